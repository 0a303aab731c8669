// A run in the order it is journaled: what happens to which session, operation
// or step, by the source record that tells of it. The script of a source's
// beginning is the beginning of the script of the whole source.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "nimbus/schema/id.h"
#include "tools/import/run.h"

namespace nimbus::tools::import {

struct Item {
  enum class Kind { kSession, kOperation, kPlan, kStep, kStepEnd, kOperationEnd };

  Kind kind = Kind::kSession;
  uint64_t record = 0;  // the last one it needs
  size_t session = 0;
  size_t operation = 0;
  size_t step = 0;
};

std::vector<Item> MakeScript(const Run& run);

// Of a state, and of the messages that an operation adds to its own.
inline constexpr size_t kStateBytesMax = 48u << 20;

// What the journal would refuse, found before anything is appended:
// InvalidArgument names the operation or step.
absl::Status ValidateRun(const Run& run, uint64_t records);

// The ids of what is imported follow from the source's own.
schema::Uuid SourceId(std::string_view format, std::string_view key);
schema::Uuid SessionId(const Run& run, const Session& session);
schema::Uuid OperationId(const Run& run, const Session& session, std::string_view source_id);
schema::Uuid StepId(const Run& run, const schema::Uuid& operation, const Step& step);
schema::Uuid CheckpointId(const schema::Uuid& operation, const schema::Uuid& step);

// What was found in a file, for people and tests.
struct Counts {
  uint64_t sessions = 0, operations = 0, steps = 0;
  uint64_t llm_calls = 0, tool_calls = 0, user_inputs = 0, verifications = 0;
  uint64_t tool_results = 0, tool_errors = 0;
  Usage usage;
};

// Steps count whether they have ended or not. Usage is that of the operations;
// of one without, that of its steps.
Counts CountRun(const Run& run);

}  // namespace nimbus::tools::import
