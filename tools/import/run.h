// What a format's reader makes of one source file: sessions, operations and
// steps in the vocabulary of the product, and the source's own records beside
// them. Pure data; importer.h turns it into events.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nimbus/journal/journal.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/json.h"

namespace nimbus::tools::import {

// One record of the source: a line of JSONL, or a whole JSON document.
struct SourceRecord {
  std::string_view text;  // as it stands in the file, without its line end; the file outlives it
  uint64_t line = 1;      // where it begins
};

struct Usage {
  std::optional<uint64_t> total, input, output, cache_read, cache_write;
  std::optional<int64_t> cost_microdollars;
};

struct Step {
  std::string source_id;  // unique within the operation, the same in every snapshot of the source
  schema::fb::StepType type = schema::fb::StepType::llm_call;
  std::string tool_name;
  std::string input;      // JSON
  std::string output;     // JSON; empty when none is recorded
  std::string error;      // text
  journal::Lifecycle status = journal::Lifecycle::kCompleted;  // kRunning: no outcome yet
  std::optional<int64_t> started_at_us;
  std::optional<int64_t> ended_at_us;
  std::optional<uint64_t> duration_ms;
  Usage usage;
  // What this step adds to the conversation (the state's /messages), in order.
  std::vector<schema::Json> messages;
  uint64_t last_record = 0;  // index of the last source record it was read from
};

struct Operation {
  std::string source_id;  // unique within the source's format and session
  std::string parent_source_id;
  std::string name;
  std::string type;       // 'chat', 'query', 'deploy', …
  std::string input;      // JSON
  std::string output;     // JSON; empty when none
  std::string plan;       // JSON; empty when none
  std::string error;
  journal::Lifecycle status = journal::Lifecycle::kCompleted;  // kRunning: the source may go on
  std::optional<int64_t> created_at_us;
  std::optional<int64_t> ended_at_us;
  std::optional<uint64_t> duration_ms;
  Usage usage;
  std::vector<Step> steps;
  uint64_t first_record = 0;  // source records [first_record, end_record) tell of this operation
  uint64_t end_record = 0;
};

struct Session {
  std::string source_id;
  std::string name;
  std::string description;
  schema::Json context;   // object
  std::optional<int64_t> started_at_us;
  std::optional<int64_t> ended_at_us;
  std::vector<Operation> operations;
};

struct Run {
  std::string format;     // name of the format, e.g. "claude-code"
  std::string key;        // the source's identity within it: equal for snapshots of one recording
  std::vector<SourceRecord> records;
  std::vector<Session> sessions;
};

}  // namespace nimbus::tools::import
