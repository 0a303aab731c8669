// A run imported while it is still going on, and again when it is longer: what
// a reader said of a step that had ended must stay as it was.
#include <gtest/gtest.h>

#include "testing/files.h"
#include "testing/status_matchers.h"
#include "tools/import/document_source.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;

using Read = absl::StatusOr<Recording> (*)(const Source&);

void ExpectSameStep(const Step& early, const Step& late) {
  EXPECT_EQ(early.source_id, late.source_id);
  EXPECT_EQ(early.type, late.type);
  EXPECT_EQ(early.tool_name, late.tool_name);
  EXPECT_EQ(early.input, late.input);
  EXPECT_EQ(early.started_at_us, late.started_at_us);
  if (early.status == Lifecycle::kRunning) return;
  EXPECT_EQ(early.status, late.status);
  EXPECT_EQ(early.output, late.output);
  EXPECT_EQ(early.error, late.error);
  EXPECT_EQ(early.messages, late.messages);
  EXPECT_EQ(early.ended_at_us, late.ended_at_us);
  EXPECT_EQ(early.usage.cost_microdollars, late.usage.cost_microdollars);
}

// `early` is a snapshot taken before `late`, of the same run.
void ExpectBeginning(const Recording& early, const Recording& late) {
  EXPECT_EQ(early.key, late.key);
  ASSERT_EQ(early.sessions.size(), 1u);
  EXPECT_EQ(early.sessions[0].source_id, late.sessions[0].source_id);
  const Operation& a = early.sessions[0].operations[0];
  const Operation& b = late.sessions[0].operations[0];
  EXPECT_EQ(a.source_id, b.source_id);
  EXPECT_EQ(a.input, b.input);
  EXPECT_EQ(a.plan, b.plan);
  EXPECT_EQ(a.created_at_us, b.created_at_us);
  ASSERT_LE(a.steps.size(), b.steps.size());
  for (size_t i = 0; i < a.steps.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "step " << i);
    ExpectSameStep(a.steps[i], b.steps[i]);
  }
}

Recording ReadSnapshot(Read read, Json document) {
  const Source source = SourceOf("run.json", std::move(document));
  absl::StatusOr<Recording> run = read(source);
  EXPECT_TRUE(run.ok()) << run.status().ToString();
  if (run.ok()) ExpectSound(*run);
  return run.ok() ? *std::move(run) : Recording();
}

// The documents of one directory of recorded runs.
std::vector<Json> ReadDocuments(const std::filesystem::path& directory) {
  std::vector<Json> documents;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    absl::StatusOr<Json> document = Json::Parse(test::ReadFile(entry.path()).value_or(""));
    EXPECT_TRUE(document.ok()) << entry.path();
    if (document.ok()) documents.push_back(*std::move(document));
  }
  return documents;
}

TEST(Snapshots, OfMiniSweAgentAreTheBeginningsOfTheRun) {
  NIMBUS_SHARED_OR_SKIP(directory, "data/runs/mini-swe-agent");
  size_t snapshots = 0;
  for (const Json& document : ReadDocuments(directory)) {
    const Recording whole = ReadSnapshot(ReadMiniSweAgent, document);
    const bool bare = document.IsArray();
    const size_t messages =
        bare ? document.array().size() : document.Find("messages")->array().size();
    for (size_t size = 3; size < messages; ++size, ++snapshots) {
      SCOPED_TRACE(testing::Message() << size << " of " << messages << " messages");
      Json early = document;
      (bare ? early : *early.Find("messages")).array().resize(size);
      if (!bare) early.Find("info")->Set("exit_status", Json::String(""));
      const Recording run = ReadSnapshot(ReadMiniSweAgent, std::move(early));
      EXPECT_EQ(run.sessions.at(0).operations.at(0).status, Lifecycle::kRunning);
      ExpectBeginning(run, whole);
    }
  }
  EXPECT_GT(snapshots, 100u);
}

// What SWE-agent writes after `turns` turns. 1.x adds the outcome of the last
// one to the history at once, 0.x with the next turn.
Json SweAgentSnapshot(const Json& document, const Operation& operation, size_t turns,
                      bool with_outcome) {
  size_t messages = 0, turn = 0;
  for (const Step& step : operation.steps) {
    if (step.type == schema::fb::StepType::llm_call && turn++ == turns) break;
    const bool last_outcome = turn == turns && step.type == schema::fb::StepType::tool_call;
    if (!last_outcome || with_outcome) messages += step.messages.size();
  }
  Json early = document;
  early.Find("trajectory")->array().resize(turns);
  early.Find("history")->array().resize(messages);
  early.Find("info")->Erase("exit_status");
  return early;
}

TEST(Snapshots, OfSweAgentAreTheBeginningsOfTheRun) {
  NIMBUS_SHARED_OR_SKIP(directory, "data/runs/swe-agent-traj");
  size_t snapshots = 0;
  for (const Json& document : ReadDocuments(directory)) {
    const Recording whole = ReadSnapshot(ReadSweAgent, document);
    const Operation& operation = whole.sessions.at(0).operations.at(0);
    const Json* trajectory = document.Find("trajectory");
    // Where the history leaves something out, messages do not tell its length.
    if (trajectory == nullptr || MessagesOf(operation) != document.Find("history")->array()) {
      continue;
    }
    for (size_t turns = 1; turns < trajectory->array().size(); ++turns) {
      for (const bool with_outcome : {false, true}) {
        SCOPED_TRACE(testing::Message() << turns << " turns, outcome: " << with_outcome);
        const Recording run =
            ReadSnapshot(ReadSweAgent, SweAgentSnapshot(document, operation, turns, with_outcome));
        ExpectBeginning(run, whole);
        const Operation& early = run.sessions.at(0).operations.at(0);
        EXPECT_EQ(early.status, Lifecycle::kRunning);
        EXPECT_EQ(early.steps.back().status,
                  with_outcome ? Lifecycle::kCompleted : Lifecycle::kRunning);
        ++snapshots;
      }
    }
  }
  EXPECT_GT(snapshots, 100u);
}

}  // namespace
}  // namespace nimbus::tools::import
