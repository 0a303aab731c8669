// What a Recorder holds. Private to the module.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nimbus/replay/recorder.h"
#include "playback.h"
#include "redactor.h"
#include "tape.h"

namespace nimbus::replay {

class Recorder::Impl {
 public:
  Impl(journal::Journal* journal, const schema::Uuid& operation, const RecorderOptions& options,
       State state);

  absl::Status Open(const std::optional<journal::EntityState>& entity, NewRecording recording);

  absl::StatusOr<BegunStep> BeginStep(StepCall call);
  absl::StatusOr<RecordedStep> EndStep(uint32_t number, StepResult result);
  absl::Status AttemptFailed(uint32_t number, StepResult failed);
  absl::StatusOr<uint32_t> BeginAttempt(uint32_t number);
  std::vector<OpenStep> in_doubt() const;
  absl::StatusOr<RecordedStep> SettleInDoubt(uint32_t number, StepResult result);
  absl::Status RunAgain(uint32_t number);

  // Runs a step that was begun, as often as its policy says, and ends it.
  absl::StatusOr<RecordedStep> RunAttempts(const BegunStep& begun, const StepCall& call,
                                           const Run& run);

  absl::StatusOr<schema::Json> Value(std::string name,
                                     const std::function<absl::StatusOr<schema::Json>()>& make);
  absl::Status Checkpoint(std::string name);
  absl::Status Complete(std::string output, const schema::fb::OutcomeT& outcome);
  absl::Status Fail(std::string error, const schema::fb::OutcomeT& outcome);
  absl::Status Cancel(const schema::fb::OutcomeT& outcome);
  absl::Status EndHere();

  const schema::Json& state() const { return main_.state.document(); }
  const schema::Uuid& operation() const { return operation_; }
  uint32_t steps() const;
  bool resumed() const { return resumed_; }
  std::optional<StepDivergence> divergence() const;
  ReexecutionReport report() const;
  int64_t NowMicros() const;

 private:
  // Who is to say what becomes of an open step.
  enum class Holder {
    kNobody,   // it is certainly not running
    kInDoubt,  // it was left without a result
    kCaller,   // who called BeginStep
    kRun,      // a `run` of this Recorder
  };
  class Running;
  struct Held {
    OpenStep step;
    Holder holder = Holder::kNobody;
    bool between_attempts = false;
    bool run_again = false;
    int64_t begun_us = 0;
  };

  bool reexecuting() const { return options_.mode == RecorderOptions::Mode::kReexecute; }
  absl::Status RedactRecording(NewRecording* recording) const;
  absl::Status RedactResult(StepResult* result) const;
  absl::Status Begin(NewRecording recording);
  absl::Status Resume(const journal::EntityState& entity, NewRecording recording,
                      const std::optional<journal::EntityState>& checkpoint);
  absl::StatusOr<std::optional<journal::EntityState>> FindCheckpoint() const;
  absl::Status CompareOperation(const journal::EntityState& entity, const NewRecording& recording);
  absl::Status StartPending(const NewRecording& recording);
  absl::Status FindOpenSteps();
  absl::Status GoTo(const journal::EntityState& checkpoint);
  schema::Event StartEvent(const State& state) const;

  absl::Status Append(std::vector<schema::Event> events);
  absl::Status Advance();
  absl::StatusOr<Playback*> Tail();
  absl::Status Diverge(StepDivergence::What what, schema::Json expected, schema::Json actual,
                       std::optional<schema::Json> difference = std::nullopt);
  absl::Status Incomplete(std::string why);
  absl::Status GoesNoFurther();
  absl::Status Ended() const;

  absl::StatusOr<BegunStep> BeginLive(const StepCall& call);
  absl::StatusOr<BegunStep> BeginRecorded(const StepCall& call);
  absl::Status CompareStep(const Recorded& recorded, const StepCall& call);
  absl::StatusOr<BegunStep> Start(uint32_t number, const StepCall& call);
  absl::StatusOr<RecordedStep> ReadResult(const TapeStep& step);
  absl::Status Take(const TapeStep& step, bool idempotent);
  absl::StatusOr<Held*> FindOpen(uint32_t number);
  absl::StatusOr<Held*> FindHeld(uint32_t number, Holder holder);
  absl::StatusOr<Held*> FindUnderWay(uint32_t number);
  absl::Status NothingEnds() const;
  void MeasureDuration(const Held& open, StepResult* result) const;
  absl::StatusOr<RecordedStep> Finish(Held* open, StepResult result);
  bool InRun() const;
  static StepResult RunOnce(const Run& run);
  void Wait(const RetryPolicy& retry, uint32_t failed);

  absl::StatusOr<std::optional<schema::Json>> ServeValue(std::string_view name);
  schema::Event CheckpointEvent(const schema::Uuid& step, std::string_view name,
                                const State& state) const;
  bool AtFork() const;
  absl::Status NothingIsOpen() const;
  absl::Status End(journal::Lifecycle status, schema::Event event);
  absl::Status CompareEnd(journal::Lifecycle status, const schema::Event& event);
  absl::StatusOr<std::unique_ptr<schema::fb::OutcomeT>> Filled(const schema::fb::OutcomeT& outcome);
  absl::StatusOr<schema::fb::OutcomeT> Totals();
  void Count(const schema::fb::OutcomeT& outcome);

  // Constant after Open().
  journal::Journal* const journal_;
  const schema::Uuid operation_;
  const RecorderOptions options_;
  const Redactor redactor_;
  bool resumed_ = false;
  int64_t begun_us_ = 0;      // when the operation was created
  ReexecutionReport report_;  // what of it is known from the beginning

  mutable std::mutex mu_;  // guards all that follows
  journal::Lifecycle status_ = journal::Lifecycle::kPending;
  uint64_t version_ = 0;  // of the operation's stream
  Tape tape_;
  Playback main_;                      // where the calls are
  std::optional<Playback> tail_;       // where the journal ends, when it was asked for and is ahead
  std::vector<Held> open_;             // by number
  uint32_t done_ = 0;                  // steps begun by calls
  std::vector<schema::Event> values_;  // not journaled yet
  size_t value_bytes_ = 0;
  std::condition_variable ended_;  // notified when the operation ends
  absl::Status broken_;            // why no call can go on
  std::optional<StepDivergence> divergence_;
};

}  // namespace nimbus::replay
