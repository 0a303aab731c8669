// What the tests of formats made of one JSON document share: sources from text,
// counts of what a reader made of them, and what must hold of every run.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "nimbus/schema/event.h"
#include "nimbus/schema/json.h"
#include "tools/import/format.h"

namespace nimbus::tools::import {

// Run, in the tests of a fixture, is gtest's.
using Recording = Run;

inline Source SourceOf(std::string name, schema::Json document) {
  Source source;
  source.name = std::move(name);
  source.shape = Source::Shape::kDocument;
  SourceRecord record;
  record.value = std::move(document);
  source.records.push_back(std::move(record));
  return source;
}

// Fails the test when `text` is no JSON.
inline Source SourceOfText(std::string name, std::string_view text) {
  absl::StatusOr<schema::Json> document = schema::Json::Parse(text);
  EXPECT_TRUE(document.ok()) << document.status().ToString() << "\n" << text;
  return SourceOf(std::move(name), document.ok() ? *std::move(document) : schema::Json());
}

inline size_t CountSteps(const Run& run, schema::fb::StepType type) {
  size_t count = 0;
  for (const Session& session : run.sessions) {
    for (const Operation& operation : session.operations) {
      for (const Step& step : operation.steps) count += step.type == type;
    }
  }
  return count;
}

inline std::vector<schema::Json> MessagesOf(const Operation& operation) {
  std::vector<schema::Json> messages;
  for (const Step& step : operation.steps) {
    messages.insert(messages.end(), step.messages.begin(), step.messages.end());
  }
  return messages;
}

inline void ExpectJson(const std::string& text, bool required) {
  if (text.empty()) {
    EXPECT_FALSE(required);
    return;
  }
  EXPECT_TRUE(schema::ValidateJson(text).ok()) << text.substr(0, 200);
}

inline void ExpectName(const std::string& name, bool required) {
  EXPECT_FALSE(required && name.empty());
  EXPECT_LE(name.size(), schema::kNameBytesMax);
  for (const char c : name) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << name;
}

inline void ExpectSteps(const Operation& operation) {
  std::set<std::string> ids;
  for (const Step& step : operation.steps) {
    EXPECT_TRUE(ids.insert(step.source_id).second) << "twice: " << step.source_id;
    ExpectName(step.tool_name, step.type == schema::fb::StepType::tool_call &&
                                   step.source_id.find("tool-") == std::string::npos);
    ExpectJson(step.input, false);
    ExpectJson(step.output, false);
    if (step.status == journal::Lifecycle::kRunning) {
      EXPECT_EQ(operation.status, journal::Lifecycle::kRunning) << step.source_id;
      EXPECT_TRUE(step.messages.empty()) << step.source_id;
      EXPECT_TRUE(step.output.empty()) << step.source_id;
    }
  }
}

// What the importer relies on, whatever the source held.
inline void ExpectSound(const Run& run) {
  ExpectName(run.format, true);
  ExpectName(run.key, true);
  ASSERT_FALSE(run.sessions.empty());
  for (const Session& session : run.sessions) {
    EXPECT_FALSE(session.source_id.empty());
    EXPECT_TRUE(session.context.IsObject());
    std::set<std::string> ids;
    for (const Operation& operation : session.operations) {
      EXPECT_TRUE(ids.insert(operation.source_id).second) << "twice: " << operation.source_id;
      ExpectName(operation.type, true);
      ExpectJson(operation.input, true);
      ExpectJson(operation.output, false);
      ExpectJson(operation.plan, false);
      EXPECT_LE(operation.first_record, operation.end_record);
      ExpectSteps(operation);
    }
  }
}

}  // namespace nimbus::tools::import
