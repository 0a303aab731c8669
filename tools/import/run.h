// What a format's reader makes of one source file: sessions, operations and
// steps in the vocabulary of the product. Pure data; importer.h turns it into
// events.
//
// A source may be imported while it is still being written, and again when it
// is longer. So a reader's answer for the beginning of a source must be the
// beginning of its answer for all of it: the same source ids, and of everything
// that has a final status the same content. What the source may still change is
// left kRunning.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nimbus/journal/journal.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/json.h"

namespace nimbus::tools::import {

struct Usage {
  // `total` is what the source says or, without a word of it, the sum of the others.
  std::optional<uint64_t> total, input, output, cache_read, cache_write;
  std::optional<int64_t> cost_microdollars;
};

struct Step {
  std::string source_id;  // unique within the operation
  schema::fb::StepType type = schema::fb::StepType::llm_call;
  std::string tool_name;
  std::string input;                                           // JSON
  std::string output;                                          // JSON; empty when none is recorded
  std::string error;                                           // text
  journal::Lifecycle status = journal::Lifecycle::kCompleted;  // kRunning: no outcome yet
  std::optional<int64_t> started_at_us;
  std::optional<int64_t> ended_at_us;
  std::optional<uint64_t> duration_ms;
  Usage usage;
  // What this step adds to the conversation (the state's /messages) when it
  // ends, in order. Of a step that is still running, nothing yet.
  std::vector<schema::Json> messages;
  // Instead of messages, for a source that tells how the whole state changes: the
  // JSON Patch (RFC 6902) from the state before the step to the one after it; an
  // array, and null for none. The reader has applied it.
  schema::Json patch;
  // Source records that made the step known and that gave its outcome. Steps
  // are journaled in the order of these, so that of two tools called at once
  // the one that answered first comes first into the conversation. A document
  // is one record: there, and wherever they are equal, the order of
  // Operation::steps decides.
  uint64_t added_record = 0;
  uint64_t ended_record = 0;
};

struct Operation {
  std::string source_id;         // unique within the session
  std::string parent_source_id;  // of an operation earlier in the same session; empty: none
  std::string name;
  std::string type;    // 'chat', 'query', 'deploy', …
  std::string input;   // JSON
  std::string output;  // JSON; empty when none
  std::string plan;    // JSON; empty when none
  std::string error;
  journal::Lifecycle status = journal::Lifecycle::kCompleted;  // kRunning: the source may go on
  std::optional<int64_t> created_at_us;
  std::optional<int64_t> ended_at_us;
  std::optional<uint64_t> duration_ms;
  Usage usage;
  // The state before the first step, where the source tells it; null: a
  // conversation without messages. The same in every snapshot of the source.
  schema::Json state;
  std::vector<Step> steps;  // in the order of their numbers, which is that of the file
  // Source records [first_record, end_record) tell of this operation. They
  // ascend and do not overlap, but an operation inside another's records has
  // none of its own: end_record = first_record. A document: 0 and 1.
  uint64_t first_record = 0;
  uint64_t end_record = 0;
  // The records that made it and its plan known and, unless it runs, ended it.
  // No earlier than first_record; a document: 0.
  uint64_t added_record = 0;
  uint64_t planned_record = 0;
  uint64_t ended_record = 0;
};

struct Session {
  std::string source_id;
  std::string name;
  std::string description;
  schema::Json context;  // object: cwd, git branch, agent and its version, model, …
  std::optional<int64_t> started_at_us;
  std::optional<int64_t> ended_at_us;  // unset while the source may go on
  std::vector<Operation> operations;
};

struct Run {
  std::string format;  // name of the format, e.g. "claude-code"
  // The source's identity within its format: equal for snapshots of one
  // recording, different for any two others.
  std::string key;
  std::vector<Session> sessions;
  // What is odd about the source, though it can be imported: told to whoever
  // imports it, and kept with the source.
  std::vector<std::string> notes;
};

}  // namespace nimbus::tools::import
