// How an agent records: durable steps, which a crash does not repeat.
//
//   NIMBUS_ASSIGN_OR_RETURN(Recorder recorder, Recorder::Open(journal.get(), {
//       .id = id, .session = session, .type = "deploy", .input = R"({"app":"web"})",
//       .state = Json::MakeObject()}));
//   NIMBUS_ASSIGN_OR_RETURN(const RecordedStep listed, recorder.Step(
//       {.tool_name = "bash", .input = R"({"command":"ls"})"},
//       [&]() -> absl::StatusOr<StepResult> {
//         Json state = recorder.state();                   // after the step before
//         state.Set("files", Json::String(RunBash("ls")));
//         return StepResult{.output = R"({"exit":0})", .state = std::move(state)};
//       }));
//   NIMBUS_RETURN_IF_ERROR(recorder.Complete(R"({"done":true})"));
//
// A step's intent (StepAdded, StepStarted) is on stable storage before it runs,
// its result and its patch of the state (StepCompleted or StepFailed) before
// Step returns, and with them a checkpoint when State's rule wants one.
//
// After a crash the same code with the same operation id resumes: a step that
// ended returns what was recorded, without running. A step whose intent has no
// result is in doubt: nobody knows whether it ran, so it is not run again unless
// it was declared idempotent. A call that is not the recorded one (type, tool or
// canonical input) is a divergence: nothing runs and nothing is written.
//
// One thread at a time, and one Recorder per operation at a time: a second one
// makes the first one's next append Aborted. The journal must outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/session.h"
#include "nimbus/replay/state.h"
#include "nimbus/schema/clock.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/json.h"

namespace nimbus::replay {

struct RecorderOptions {
  SessionOptions session;
  schema::Clock* clock = nullptr;  // for durations; the system's when null. Outlives the Recorder
};

// The operation to record. On resuming, type and input must be as recorded;
// what else is given here is then not looked at.
struct NewRecording {
  schema::Uuid id;
  schema::Uuid session;  // must have been started
  std::string type;      // 'chat', 'deploy', … or the caller's own word
  std::string name;
  std::string input = "{}";  // JSON
  std::optional<schema::Uuid> parent;
  schema::Json state;  // the initial one
};

struct StepCall {
  schema::fb::StepType type = schema::fb::StepType::tool_call;
  std::string tool_name;
  std::string input = "{}";  // JSON
  bool idempotent = false;   // may run again where it is not known whether it ran
};

struct StepResult {
  std::string output;                 // JSON; empty when there is none
  std::string error;                  // the step failed when not empty
  std::optional<schema::Json> state;  // after the step; unchanged when unset
  schema::fb::OutcomeT outcome;       // duration_ms is measured unless set
};

struct RecordedStep {
  uint32_t number = 0;  // from 1
  schema::Uuid id;
  journal::Lifecycle status = journal::Lifecycle::kCompleted;
  std::string output, error;
  bool recorded = false;  // an earlier run's result; nothing ran now
};

// Where the calls leave the recording.
struct StepDivergence {
  uint32_t step = 0;
  std::string what;              // "type", "tool", "input", "checkpoint" or "end"
  std::string expected, actual;  // as recorded, as called; an input as canonical JSON
};

class Recorder {
 public:
  using Run = std::function<absl::StatusOr<StepResult>()>;

  // Begins the operation, or resumes it if the journal has it. Errors as
  // Journal::Append; InvalidArgument also when the recorded operation has
  // another type or input; NotFound or DataLoss when what is recorded can't be
  // read.
  static absl::StatusOr<Recorder> Open(journal::Journal* journal, NewRecording recording,
                                       const RecorderOptions& options = {});

  // Runs a step durably, or returns its recorded result. A `run` that returns an
  // error makes a failed step, whose error is that status; Step itself is then
  // OK. If the result can't be journaled (its output is not JSON, its state over
  // a limit, the disk full) Step returns that error, and the step is in doubt,
  // because it did run: SettleInDoubt takes another result for it. So is a step
  // whose `run` throws; the exception passes through.
  //
  // FailedPrecondition: the step is in doubt, or the operation has ended.
  // InvalidArgument: malformed input, or a divergence: see divergence().
  // Aborted: another Recorder went on with this operation. Else as Append.
  absl::StatusOr<RecordedStep> Step(const StepCall& call, const Run& run);

  // Journals what became of the step in doubt, found out by other means, as if
  // it had just run. FailedPrecondition when none is.
  absl::StatusOr<RecordedStep> SettleInDoubt(StepResult result);

  // Journals the state whole, under a name, after the last step. Does nothing
  // when the recording has a checkpoint of this name there already.
  // FailedPrecondition before the first step: that state is journaled anyway.
  absl::Status Checkpoint(std::string_view name);

  // Ends the operation. A duration left out is the time since it was created,
  // crashes included. OK without effect when it is recorded to have ended so.
  // FailedPrecondition when it ended otherwise; InvalidArgument when recorded
  // steps were not called (a divergence). Output is JSON, or empty.
  absl::Status Complete(const std::string& output = {}, const schema::fb::OutcomeT& outcome = {});
  absl::Status Fail(const std::string& error, const schema::fb::OutcomeT& outcome = {});
  absl::Status Cancel();

  const schema::Json& state() const { return state_.document(); }
  const schema::Uuid& operation() const { return operation_; }
  uint32_t steps() const { return done_; }  // returned by Step so far
  bool resumed() const { return session_.has_value(); }
  // The step whose intent has no result, once the calls have reached it.
  const std::optional<StepInfo>& in_doubt() const { return in_doubt_; }
  const std::optional<StepDivergence>& divergence() const { return divergence_; }

 private:
  Recorder(journal::Journal* journal, const schema::Uuid& operation, const RecorderOptions& options,
           State state);

  absl::Status Begin(const NewRecording& recording);
  absl::Status Resume(const NewRecording& recording);
  schema::Event StartEvent() const;
  absl::Status CompareOperation(const NewRecording& recording);
  absl::Status Append(const std::vector<schema::Event>& events);

  absl::StatusOr<std::optional<StepInfo>> NextRecorded();
  absl::Status CompareStep(const StepInfo& step, const StepCall& call);
  absl::Status Diverge(StepDivergence divergence);
  absl::StatusOr<RecordedStep> BeginStep(const StepCall& call, const Run& run);
  absl::StatusOr<RecordedStep> Serve(const StepInfo& step);
  absl::StatusOr<RecordedStep> RunStep(const StepInfo& step, const Run& run);
  absl::StatusOr<RecordedStep> Finish(const StepInfo& step, StepResult result);
  schema::Event CheckpointEvent(const StepInfo& step, std::string_view name,
                                const State& state) const;
  absl::Status End(journal::Lifecycle status, schema::Event event);
  int64_t NowMicros() const;
  std::unique_ptr<schema::fb::OutcomeT> WithDuration(const schema::fb::OutcomeT& outcome) const;

  journal::Journal* journal_;
  schema::Clock* clock_;
  schema::Uuid operation_;
  SessionOptions session_options_;
  State state_;
  journal::Lifecycle status_ = journal::Lifecycle::kPending;
  int64_t begun_us_ = 0;            // when the operation was created
  uint64_t version_ = 0;            // of the operation's stream
  std::optional<Session> session_;  // the recording that is resumed
  std::optional<StepInfo> last_;    // the last step that Step returned
  uint32_t done_ = 0;
  std::optional<StepInfo> in_doubt_;
  std::optional<StepDivergence> divergence_;
};

}  // namespace nimbus::replay
