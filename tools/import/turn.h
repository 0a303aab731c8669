// One turn of a conversation while its records come in: an operation, its
// steps, and what they wait for. For recordings in which a prompt begins a turn
// and an API message is spread over several records.
//
// An API message is open until something shows that it is whole. Tools may
// answer before; their results are held back until then, so that the
// conversation has the call before its result, and so that what is ended here
// is never changed by the rest of the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nimbus/schema/json.h"
#include "tools/import/run.h"

namespace nimbus::tools::import {

struct Turn {
  struct Held {
    size_t step;
    journal::Lifecycle status;
  };

  Operation operation;
  std::optional<size_t> open_message;  // step of the API message that may still grow
  std::vector<Held> held;              // calls answered while it may
  std::vector<schema::Json> pending;   // messages that no step has taken yet
  size_t unanswered = 0;               // calls
  std::optional<int64_t> last_us;      // time of the last record
  bool left = false;                   // it ends once all calls are answered
  bool ended = false;

  // A chat operation, running, made known by `record`.
  void Begin(std::string source_id, uint64_t record, std::optional<int64_t> time_us);

  // The record tells of this turn.
  void Touch(uint64_t record, std::optional<int64_t> time_us);

  // Index of a new step, running.
  size_t AddStep(schema::fb::StepType type, std::string source_id, uint64_t record,
                 std::optional<int64_t> time_us);
  // The same for a tool call, which waits for Answer.
  size_t AddCall(std::string tool_name, std::string source_id, uint64_t record,
                 std::optional<int64_t> time_us);

  // Gives the step its final status, and the pending messages.
  void EndStep(size_t step, journal::Lifecycle status, uint64_t record,
               std::optional<int64_t> time_us);
  // The outcome of a call: at once, or when the open message is closed.
  void Answer(size_t step, journal::Lifecycle status, uint64_t record,
              std::optional<int64_t> time_us);

  // `step` is an API message that begins with the pending messages and `message`.
  void OpenMessage(size_t step, schema::Json message);
  // The open message, if there is one, is whole; so are the answers held for it.
  void CloseMessage(uint64_t record);

  void CancelRunning(uint64_t record, std::optional<int64_t> time_us);
  void SetPlan(std::string plan, uint64_t record);  // the first is kept

  // Something else follows: the turn ends now or with its last answer.
  void Leave(uint64_t record);
  // kCompleted becomes kFailed if the operation has an error.
  void End(journal::Lifecycle status, uint64_t record);
};

}  // namespace nimbus::tools::import
