// How an agent records: durable steps, which a crash does not repeat; and how the
// same agent is executed again against what was recorded.
//
//   NIMBUS_ASSIGN_OR_RETURN(Recorder recorder, Recorder::Open(journal.get(), {
//       .id = id, .session = session, .type = "deploy", .input = R"({"app":"web"})",
//       .state = Json::MakeObject()}));
//   NIMBUS_ASSIGN_OR_RETURN(const int64_t began_us, recorder.Now());
//   NIMBUS_ASSIGN_OR_RETURN(const RecordedStep listed, recorder.Step(
//       {.tool_name = "bash", .input = R"({"command":"ls"})", .retry = {.max_attempts = 3}},
//       [&]() -> absl::StatusOr<StepResult> {
//         Json state = recorder.state();                   // after the step before
//         state.Set("files", Json::String(RunBash("ls")));
//         return StepResult{.output = R"({"exit":0})", .state = std::move(state)};
//       }));
//   NIMBUS_RETURN_IF_ERROR(recorder.Complete(R"({"done":true})"));
//
// Steps. A step's intent (StepAdded, StepStarted) is on stable storage before it
// runs; its result and its patch of the state (StepCompleted or StepFailed) before
// the call that hands them in returns, and with them a checkpoint when State's rule
// wants one. What a user says and what a check finds are steps of their own types.
//
// Resuming. After a crash the same code with the same operation id goes on: calls
// are compared with the recording, one by one. A step that ended returns what was
// recorded, without running. A step whose intent has no result is in doubt: nobody
// knows whether it ran, so it is not run again unless it was declared idempotent or
// the caller says so (RunAgain), or has found out what became of it (SettleInDoubt).
// A call that is not the recorded one is a divergence: nothing runs and nothing is
// written, then and later.
//
// Parallel steps. BeginStep journals an intent, EndStep a result; several steps may
// be open. Numbers are in the order of BeginStep, which must not depend on chance.
// Results are journaled in the order in which EndStep is called, and each patch is
// applied to the state as it is then: so steps that run in parallel hand in patches,
// not whole states. While recorded results are served, state() after BeginStep(n) is
// the one that was recorded last before step n+1 was begun, or the last one of all
// when none was: whatever ended when, the agent sees at each BeginStep the state that
// it saw there before. Of the steps that were open when the agent died, each is in
// doubt by itself.
//
// Values. Whatever else an agent takes from the world goes through Value: the clock,
// random numbers, ids. A value is journaled together with the next intent, result,
// checkpoint or end, so it costs no flush; one that none of these followed before a
// crash is made anew, which nobody can tell, because nothing depended on it. Values
// are recorded at their place among BeginStep calls and other values, so they must
// be taken where the agent's code comes by whether or not a step's result is
// recorded: before the step. Inside a `run` (of Step or Parallel) a value is made and
// not recorded: what comes of it is the step's result.
//
// Forks. An operation that was forked (OperationForked) is run by the same agent code
// from the beginning: it is served its parent's recording (and the parent's parent's)
// up to the fork, and goes on live. A step that was under way there is begun anew: it is
// given to the agent to run, as one of the fork's own. Step numbers here count the steps
// of the parents, and are those of the calls; in the journal the fork's own steps are
// numbered from 1, and its tokens and cost are those of its own steps.
//
// Executing again (Mode::kReexecute) is the same calls, which only compare and serve:
// no `run` is called and nothing is written. report() says what came of it.
//
// Redaction. RecorderOptions::redact sees every text before anything is made of it,
// recorded or executed again alike; what Step and Value return is what is journaled.
//
// Thread-safe, with two exceptions: the reference that state() returns is good until
// another thread ends a step, and a Recorder that is moved or destroyed must be at
// rest. One Recorder per operation at a time: a second one makes the first one's next
// append Aborted. The journal must outlive it. Memory: the state (twice while a result
// is applied), the steps that are open, the values not yet journaled. Opening a recording
// that goes on, a fork, or one at a checkpoint reads the records (not the bodies) up to
// there once, to know which steps are open; opening any other costs its start.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
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
  enum class Mode { kRecord, kReexecute };
  Mode mode = Mode::kRecord;
  // Of kReexecute: begins right after this checkpoint, with its state, instead of at
  // the start. No step may be open there.
  std::optional<schema::Uuid> from_checkpoint;
  SessionOptions session;
  // For durations and Now; the system's when null. Outlives the Recorder.
  schema::Clock* clock = nullptr;
  // Waits between attempts. When null the thread sleeps, at most until the operation ends.
  std::function<void(int64_t milliseconds)> sleep;
  // Changes a text in place: every string, number and member name of every JSON that is
  // handed in, every error, every name. A number that it changes becomes a string. Must be
  // quick, give the same for the same and leave alone what it has redacted. Called by one
  // thread at a time.
  std::function<void(std::string*)> redact;
};

// The operation to record. On resuming and executing again, type and input must be
// as recorded; what else is given here is then not looked at.
struct NewRecording {
  schema::Uuid id;
  schema::Uuid session;  // must have been started
  std::string type;      // 'chat', 'deploy', … or the caller's own word
  std::string name;
  std::string input = "{}";  // JSON
  std::optional<schema::Uuid> parent;
  schema::Json state;  // the initial one
};

// An attempt that fails and is not the last is recorded as such, and the step runs
// again. Attempts of earlier runs count.
struct RetryPolicy {
  uint32_t max_attempts = 1;
  // How long to wait after so many failed attempts, in milliseconds, at most a day; when
  // null 100 ms, doubled with each, at most 30 s.
  std::function<int64_t(uint32_t failed)> backoff_ms;
};

struct StepCall {
  schema::fb::StepType type = schema::fb::StepType::tool_call;
  std::string tool_name;
  std::string input = "{}";  // JSON
  bool idempotent = false;   // may run again where it is not known whether it ran
  RetryPolicy retry;         // of Step and Parallel
};

struct StepResult {
  std::string output;                 // JSON; empty when there is none
  std::string error;                  // the step failed when not empty
  std::optional<schema::Json> state;  // after the step, whole; or
  std::optional<schema::Json> patch;  // RFC 6902, of the state when this is journaled; or
                                      // neither: the state does not change
  schema::fb::OutcomeT outcome;       // duration_ms is measured from the begin unless set
};

struct RecordedStep {
  uint32_t number = 0;  // from 1
  schema::Uuid id;
  journal::Lifecycle status = journal::Lifecycle::kCompleted;
  std::string output, error;  // as journaled
  uint32_t attempts = 1;
  bool recorded = false;  // an earlier run's result; nothing ran now
};

// What BeginStep gives: what was recorded, or a step to run now.
struct BegunStep {
  uint32_t number = 0;
  schema::Uuid id;
  uint32_t attempt = 1;                  // that is to run
  std::optional<RecordedStep> recorded;  // then there is nothing to run, and no EndStep
};

// A step that was begun and has no result.
struct OpenStep {
  uint32_t number = 0;
  schema::Uuid id;
  schema::fb::StepType type = schema::fb::StepType::tool_call;
  std::string tool_name;
  uint32_t attempt = 1;
  uint64_t sequence = 0;  // of its StepAdded
};

// Where the calls leave the recording.
struct StepDivergence {
  enum class What {
    kOperationType,
    kOperationInput,
    kStepType,
    kTool,
    kInput,
    kValue,       // another name, or a value where there was something else, or none
    kStep,        // a step where there was none
    kCheckpoint,  // another name, or one where there was none, or none
    kEnd,         // the operation ended otherwise or elsewhere
  };
  What what = What::kStep;
  schema::Uuid operation;  // whose recording: of a fork's beginning, the parent's
  uint32_t step = 0;       // the step in question, or the last one begun; 0: none yet
  uint64_t sequence = 0;   // of the record that the call was compared with
  // As recorded and as called; null where there was nothing. A step or a value that
  // should not be there is {"step":…} or {"value":…}, an end {"end":…}.
  schema::Json expected, actual;
  std::optional<schema::Json> difference;  // of inputs: RFC 6902, from expected to actual

  // {"what":"input","operation":…,"step":…,"sequence":…,"expected":…,"actual":…,
  // "difference":…}
  schema::Json ToJson() const;
  std::string ToString() const;  // one line, shortened
};

// The words of ToJson: "operation_type", "operation_input", "type", "tool", "input",
// "value", "step", "checkpoint", "end".
std::string_view NameOf(StepDivergence::What what);

// What came of executing again, so far.
struct ReexecutionReport {
  schema::Uuid operation;
  std::optional<schema::Uuid> from_checkpoint;
  uint32_t from_step = 0;                    // the last step that was not executed again
  uint32_t steps = 0, values = 0;            // served
  bool ended = false;                        // the calls came to the recorded end
  std::optional<StepDivergence> divergence;  // the first
  // Why it could not go on though nothing differs: a step without a result, a body that
  // was erased, a recording that goes no further. Names the step. Empty when it could.
  std::string incomplete;

  bool holds() const { return ended && !divergence.has_value() && incomplete.empty(); }
  schema::Json ToJson() const;
};

class Recorder {
 public:
  using Run = std::function<absl::StatusOr<StepResult>()>;
  struct ParallelStep {
    StepCall call;
    Run run;
  };

  static constexpr size_t kRandomBytesMax = 64 * 1024;  // of one call of Random

  // Begins the operation, or resumes it if the journal has it; to execute again it
  // must have it (NotFound). Errors as Journal::Append; InvalidArgument also when the
  // recorded operation has another type or input: a divergence that this status tells
  // (`divergence`, if given, holds it). FailedPrecondition: steps are open at the
  // checkpoint to begin from, or the one to fork after is. NotFound: no such checkpoint, or a body
  // was erased. OutOfRange: the latter, executing again. DataLoss: the journal is damaged.
  static absl::StatusOr<Recorder> Open(journal::Journal* journal, NewRecording recording,
                                       const RecorderOptions& options = {},
                                       std::optional<StepDivergence>* divergence = nullptr);
  Recorder(Recorder&&) noexcept;
  Recorder& operator=(Recorder&&) noexcept;
  ~Recorder();

  // BeginStep, `run`, EndStep; or the recorded result. A `run` that returns an error
  // makes a failed step (or attempt), whose error is that status; Step itself is then
  // OK. If the result can't be journaled (its output is not JSON, its state over a
  // limit, the disk full) Step returns that error, and the step is in doubt, because it
  // did run: SettleInDoubt takes another result for it. So is a step whose `run`
  // throws; the exception passes through. Errors as BeginStep and EndStep.
  absl::StatusOr<RecordedStep> Step(const StepCall& call, const Run& run);

  // Begins all of them in their order, runs those without a recorded result on at most
  // `threads_max` threads (0: one each), and ends each when it is done. Results in the
  // order of `steps`. The first error that begins or ends one is returned when all
  // threads are done; what was begun and not ended by then is in doubt. No `run` may
  // throw.
  absl::StatusOr<std::vector<RecordedStep>> Parallel(std::span<const ParallelStep> steps,
                                                     size_t threads_max = 0);

  // Journals the intent of the next step, or returns its recorded result.
  //
  // FailedPrecondition: the step is in doubt (call again after SettleInDoubt or
  // RunAgain), or the operation has ended. InvalidArgument: malformed input, or a
  // divergence, see divergence(). Aborted: another Recorder went on with this
  // operation. OutOfRange (executing again): the recording goes no further. Else as
  // Append. After an error the call has not been made, and may be made again.
  absl::StatusOr<BegunStep> BeginStep(const StepCall& call);

  // Journals the result of a step that BeginStep gave to run. NotFound: no such step is
  // open. FailedPrecondition (executing again): nothing ends. InvalidArgument,
  // ResourceExhausted and what else a patch or Append refuses: the step stays open, and
  // may be ended otherwise.
  absl::StatusOr<RecordedStep> EndStep(uint32_t number, StepResult result);

  // Journals that an attempt failed (`failed` must have an error; a state or patch is not
  // looked at) and another one will follow: BeginAttempt journals its intent and returns
  // its number. Between the two the step is certainly not running; after a crash there
  // BeginStep returns it with the next attempt, and EndStep gives it up. Errors as
  // EndStep, and FailedPrecondition out of turn.
  absl::Status AttemptFailed(uint32_t number, const StepResult& failed);
  absl::StatusOr<uint32_t> BeginAttempt(uint32_t number);

  // The steps in doubt: those that an earlier run left without a result, known from Open
  // on, and those whose Step returned an error. By number. None once the operation has
  // ended: nothing settles them any more.
  std::vector<OpenStep> in_doubt() const;
  // Journals what became of a step in doubt, found out by other means. If BeginStep has
  // not returned it yet, it will return this as recorded. NotFound: not in doubt. Else as
  // EndStep.
  absl::StatusOr<RecordedStep> SettleInDoubt(uint32_t number, StepResult result);
  // BeginStep will return this step to run, as if it were declared idempotent. NotFound:
  // not in doubt, or its call was made (then only SettleInDoubt ends it).
  absl::Status RunAgain(uint32_t number);

  // A value that the agent's code can't compute: what is recorded at this place, else
  // what `make` gives. An error of `make` is returned and nothing is recorded; where the
  // agent goes on after one, the error is the value to record. InvalidArgument: empty or
  // malformed name, a divergence. OutOfRange as BeginStep.
  absl::StatusOr<schema::Json> Value(std::string_view name,
                                     const std::function<absl::StatusOr<schema::Json>()>& make);
  absl::StatusOr<int64_t> Now();                     // "now": microseconds since 1970
  absl::StatusOr<std::string> Random(size_t bytes);  // "random:N": N bytes
  absl::StatusOr<schema::Uuid> NewId();              // "id": version 7

  // Journals the state whole, under a name, after the last step that ended. Does nothing
  // when the recording has this checkpoint at this place. InvalidArgument: no name, or a
  // divergence. FailedPrecondition before the end of any step: that state is journaled
  // anyway.
  absl::Status Checkpoint(std::string_view name);

  // Ends the operation. What `outcome` leaves out is filled in: the duration is the time
  // since the operation was created, crashes included; tokens and cost are the sums over
  // all recorded steps and attempts. OK without effect when it is recorded to have ended
  // so (executing again: with this output or error). FailedPrecondition when it ended
  // otherwise, or (Complete) when steps are open or in doubt; InvalidArgument for a
  // divergence: recorded steps were not called (not told of Fail and Cancel, which may
  // end a resumed operation anywhere, even after a divergence). Output is JSON, or empty.
  absl::Status Complete(const std::string& output = {}, const schema::fb::OutcomeT& outcome = {});
  absl::Status Fail(const std::string& error, const schema::fb::OutcomeT& outcome = {});
  absl::Status Cancel(const schema::fb::OutcomeT& outcome = {});

  // Executing again: the agent's code is over, without an end of the operation. Where the
  // recording goes on, that is a divergence (InvalidArgument) from what comes next there;
  // where it does not, OutOfRange. OK where it came to the recorded end.
  absl::Status EndHere();

  const schema::Json& state() const;
  const schema::Uuid& operation() const;
  uint32_t steps() const;  // begun so far by calls; those of parents and before
                           // from_checkpoint count
  bool resumed() const;    // the journal had the operation
  // The first divergence. BeginStep, Value, Checkpoint and Complete fail with it from then
  // on; what runs already may end.
  std::optional<StepDivergence> divergence() const;
  ReexecutionReport report() const;

 private:
  class Impl;
  explicit Recorder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nimbus::replay
