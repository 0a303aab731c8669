// The calls that begin and end steps.
#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

#include "message.h"
#include "nimbus/replay/patch.h"
#include "nimbus/schema/status.h"
#include "recorder_events.h"
#include "recorder_impl.h"

namespace nimbus::replay {

using journal::IsFinal;
using journal::Lifecycle;
using journal::RecordView;
using schema::Error;
using schema::Event;
using schema::Json;
using schema::Uuid;
using Code = absl::StatusCode;
using What = StepDivergence::What;

namespace {

std::string Text(const flatbuffers::String* text) { return text == nullptr ? "" : text->str(); }

absl::Status InDoubt(const OpenStep& step) {
  return Error(Code::kFailedPrecondition,
               "step {} ({}) is in doubt: it was begun, and no result of it is recorded",
               step.number, step.id.ToString());
}

int64_t DefaultBackoffMs(uint32_t failed) {
  constexpr int64_t kFirstMs = 100, kMostMs = 30'000;
  return failed > 9 ? kMostMs : std::min(kMostMs, kFirstMs << (failed - 1));
}

}  // namespace

absl::StatusOr<BegunStep> Recorder::Impl::BeginStep(StepCall call) {
  const std::lock_guard lock(mu_);
  NIMBUS_RETURN_IF_ERROR(broken_);
  redactor_.Text(&call.tool_name);
  NIMBUS_RETURN_IF_ERROR(schema::Annotate(redactor_.JsonText(&call.input), "input"));
  switch (main_.next.kind) {
    case Recorded::Kind::kNone:
      return BeginLive(call);
    case Recorded::Kind::kStep:
      return BeginRecorded(call);
    case Recorded::Kind::kValue:
      return Diverge(What::kValue, main_.next.ToJson(), StepJson(call.type, call.tool_name));
    case Recorded::Kind::kCheckpoint:
      return Diverge(What::kCheckpoint, main_.next.ToJson(), StepJson(call.type, call.tool_name));
    case Recorded::Kind::kEnd:
      break;
  }
  if (!reexecuting()) return Ended();
  return Diverge(What::kStep, main_.next.ToJson(), StepJson(call.type, call.tool_name));
}

absl::StatusOr<BegunStep> Recorder::Impl::BeginLive(const StepCall& call) {
  if (reexecuting()) return GoesNoFurther();
  if (IsFinal(status_)) return Ended();
  for (const Held& open : open_) {
    if (open.holder == Holder::kInDoubt) return InDoubt(open.step);
  }
  return Start(done_ + 1, call);
}

absl::StatusOr<BegunStep> Recorder::Impl::Start(uint32_t number, const StepCall& call) {
  Held open{.step = {.number = number,
                     .id = schema::NewUuid(),
                     .type = call.type,
                     .tool_name = call.tool_name},
            .holder = Holder::kCaller,
            .begun_us = NowMicros()};
  schema::fb::StepAddedT added;
  added.step = IdPtr(open.step.id);
  added.type = call.type;
  added.tool_name = call.tool_name;
  std::vector<Event> events;
  events.push_back(OperationEvent(operation_, std::move(added)));
  events.back().body.input = call.input;
  events.push_back(StepStarted(operation_, open.step.id, 1));
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  done_ = open.step.number;
  BegunStep begun{.number = done_, .id = open.step.id};
  open_.push_back(std::move(open));
  return begun;
}

absl::Status Recorder::Impl::CompareStep(const Recorded& recorded, const StepCall& call) {
  const OpenStep& step = recorded.step.step;
  const auto type_json = [](schema::fb::StepType type) {
    return Json::String(schema::fb::EnumNameStepType(type));
  };
  if (step.type != call.type) {
    return Diverge(What::kStepType, type_json(step.type), type_json(call.type));
  }
  if (step.tool_name != call.tool_name) {
    return Diverge(What::kTool, Json::String(step.tool_name), Json::String(call.tool_name));
  }
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* added, tape_.ReadAt(recorded.part, recorded.sequence));
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, tape_.Body(*added));
  NIMBUS_ASSIGN_OR_RETURN(Json expected, ParseRecorded(body == nullptr ? nullptr : body->input()));
  NIMBUS_ASSIGN_OR_RETURN(Json actual, ParseGiven(call.input, "input"));
  if (expected == actual) return absl::OkStatus();
  Json difference = Diff(expected, actual);
  return Diverge(What::kInput, std::move(expected), std::move(actual), std::move(difference));
}

absl::StatusOr<BegunStep> Recorder::Impl::BeginRecorded(const StepCall& call) {
  const auto erased_means_incomplete = [&](const absl::Status& status) -> absl::Status {
    if (!reexecuting() || !IsAbsent(status)) return status;
    return Incomplete(fmt::format("step {}: {}", main_.next.step.step.number, MessageOf(status)));
  };
  if (const absl::Status same = CompareStep(main_.next, call); !same.ok()) {
    return erased_means_incomplete(same);
  }
  // It may have been ended since it was found.
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* added,
                          tape_.ReadAt(main_.next.part, main_.next.sequence));
  NIMBUS_ASSIGN_OR_RETURN(const TapeStep step, tape_.ReadStep(*added, main_.next.part));
  BegunStep begun{.number = step.step.number, .id = step.step.id, .attempt = step.step.attempt};
  if (step.ended.has_value()) {
    absl::StatusOr<RecordedStep> result = ReadResult(step);
    if (!result.ok()) return erased_means_incomplete(result.status());
    begun.recorded = *std::move(result);
    ++report_.steps;
  } else if (reexecuting()) {
    return Incomplete(fmt::format("step {} ({}) has no recorded result", step.step.number,
                                  step.step.id.ToString()));
  } else if (IsFinal(status_)) {
    return Ended();
  } else if (step.part != tape_.End().part) {  // it was under way where this was forked
    NIMBUS_ASSIGN_OR_RETURN(begun, Start(step.step.number, call));
  } else {
    NIMBUS_RETURN_IF_ERROR(Take(step, call.idempotent));
  }
  done_ = begun.number;
  NIMBUS_RETURN_IF_ERROR(Advance());
  return begun;
}

absl::StatusOr<RecordedStep> Recorder::Impl::ReadResult(const TapeStep& step) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* ended, tape_.ReadAt(step.part, *step.ended));
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, tape_.Body(*ended));
  RecordedStep result{.number = step.step.number,
                      .id = step.step.id,
                      .status = step.status,
                      .attempts = step.step.attempt,
                      .recorded = true};
  if (body == nullptr) return result;
  result.output = Text(body->output());
  result.error = Text(body->error());
  return result;
}

// Gives a recorded step without a result to the caller to run.
absl::Status Recorder::Impl::Take(const TapeStep& step, bool idempotent) {
  NIMBUS_ASSIGN_OR_RETURN(Held * open, FindOpen(step.step.number));
  if (open->holder == Holder::kInDoubt && !idempotent && !open->run_again) {
    return InDoubt(open->step);
  }
  // What is not started, or between two attempts, has certainly not run.
  if (open->holder == Holder::kNobody) {
    std::vector<Event> events;
    events.push_back(StepStarted(operation_, step.step.id, open->step.attempt));
    NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  }
  open->holder = Holder::kCaller;
  open->begun_us = NowMicros();
  return absl::OkStatus();
}

absl::StatusOr<Recorder::Impl::Held*> Recorder::Impl::FindOpen(uint32_t number) {
  for (Held& open : open_) {
    if (open.step.number == number) return &open;
  }
  return Error(Code::kNotFound, "operation {} has no open step {}", operation_.ToString(), number);
}

absl::StatusOr<Recorder::Impl::Held*> Recorder::Impl::FindHeld(uint32_t number, Holder holder) {
  NIMBUS_ASSIGN_OR_RETURN(Held * open, FindOpen(number));
  if (open->holder == holder) return open;
  return Error(Code::kNotFound, "step {} of operation {} is {}", number, operation_.ToString(),
               holder == Holder::kInDoubt ? "not in doubt" : "not under way here");
}

absl::StatusOr<RecordedStep> Recorder::Impl::EndStep(uint32_t number, StepResult result) {
  NIMBUS_RETURN_IF_ERROR(NothingEnds());
  const std::lock_guard lock(mu_);
  NIMBUS_ASSIGN_OR_RETURN(Held * open, FindHeld(number, Holder::kCaller));
  return Finish(open, std::move(result));
}

absl::Status Recorder::Impl::NothingEnds() const {
  if (!reexecuting()) return absl::OkStatus();
  return Error(Code::kFailedPrecondition, "executing again, no step runs, and none ends");
}

absl::StatusOr<RecordedStep> Recorder::Impl::SettleInDoubt(uint32_t number, StepResult result) {
  NIMBUS_RETURN_IF_ERROR(NothingEnds());
  const std::lock_guard lock(mu_);
  NIMBUS_ASSIGN_OR_RETURN(Held * open, FindHeld(number, Holder::kInDoubt));
  return Finish(open, std::move(result));
}

absl::Status Recorder::Impl::RunAgain(uint32_t number) {
  const std::lock_guard lock(mu_);
  NIMBUS_ASSIGN_OR_RETURN(Held * open, FindHeld(number, Holder::kInDoubt));
  if (number <= done_) {
    return Error(Code::kNotFound, "step {} was called already; it can only be settled", number);
  }
  open->run_again = true;
  return absl::OkStatus();
}

std::vector<OpenStep> Recorder::Impl::in_doubt() const {
  const std::lock_guard lock(mu_);
  std::vector<OpenStep> steps;
  for (const Held& open : open_) {
    if (open.holder == Holder::kInDoubt) steps.push_back(open.step);
  }
  return steps;
}

absl::Status Recorder::Impl::RedactResult(StepResult* result) const {
  if (result->state.has_value() && result->patch.has_value()) {
    return Error(Code::kInvalidArgument, "a result has a state or a patch, not both");
  }
  redactor_.Text(&result->error);
  if (result->state.has_value()) redactor_.Value(&*result->state);
  if (result->patch.has_value()) redactor_.Patch(&*result->patch);
  return schema::Annotate(redactor_.JsonText(&result->output), "output");
}

void Recorder::Impl::MeasureDuration(const Held& open, StepResult* result) const {
  if (open.begun_us == 0 || result->outcome.duration_ms.has_value()) return;
  result->outcome.duration_ms =
      static_cast<uint64_t>(std::max<int64_t>(0, NowMicros() - open.begun_us) / 1000);
}

absl::StatusOr<RecordedStep> Recorder::Impl::Finish(Held* open, StepResult result) {
  NIMBUS_RETURN_IF_ERROR(RedactResult(&result));
  MeasureDuration(*open, &result);
  NIMBUS_ASSIGN_OR_RETURN(Playback * tail, Tail());
  State next = tail->state;  // kept apart until the step is journaled
  const Json patch = result.patch.has_value()   ? *std::move(result.patch)
                     : result.state.has_value() ? Diff(next.document(), *result.state)
                                                : Json::MakeArray();
  NIMBUS_ASSIGN_OR_RETURN(const StateChange change, next.Record(patch));
  const Uuid id = open->step.id;
  const bool failed = !result.error.empty();
  std::vector<Event> events;
  events.push_back(failed ? StepEnded<schema::fb::StepFailedT>(operation_, id, result.outcome)
                          : StepEnded<schema::fb::StepCompletedT>(operation_, id, result.outcome));
  schema::fb::BodyT& body = events.back().body;
  body.output = result.output;
  body.error = result.error;
  body.patch = change.patch;
  if (change.digest.has_value()) body.digest = DigestPtr(*change.digest);
  if (change.checkpoint_due) {
    events.push_back(CheckpointEvent(id, {}, next));
    next.MarkCheckpoint();
  }
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  tail->state = std::move(next);
  tail->last_ended = id;
  Count(result.outcome);
  RecordedStep ended{.number = open->step.number,
                     .id = id,
                     .status = failed ? Lifecycle::kFailed : Lifecycle::kCompleted,
                     .output = std::move(result.output),
                     .error = std::move(result.error),
                     .attempts = open->step.attempt};
  open_.erase(open_.begin() + (open - open_.data()));
  return ended;
}

absl::Status Recorder::Impl::AttemptFailed(uint32_t number, StepResult failed) {
  NIMBUS_RETURN_IF_ERROR(NothingEnds());
  const std::lock_guard lock(mu_);
  NIMBUS_ASSIGN_OR_RETURN(Held * open, FindUnderWay(number));
  if (open->between_attempts) {
    return Error(Code::kFailedPrecondition, "step {}: no attempt is under way", number);
  }
  if (failed.error.empty()) {
    return Error(Code::kInvalidArgument, "step {}: a failed attempt has an error", number);
  }
  failed.state.reset();
  failed.patch.reset();
  NIMBUS_RETURN_IF_ERROR(RedactResult(&failed));
  MeasureDuration(*open, &failed);
  schema::fb::StepAttemptFailedT attempt;
  attempt.attempt = open->step.attempt;
  std::vector<Event> events;
  events.push_back(StepEnded(operation_, open->step.id, failed.outcome, std::move(attempt)));
  events.back().body.output = failed.output;
  events.back().body.error = failed.error;
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  Count(failed.outcome);
  open->between_attempts = true;
  ++open->step.attempt;
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> Recorder::Impl::BeginAttempt(uint32_t number) {
  NIMBUS_RETURN_IF_ERROR(NothingEnds());
  const std::lock_guard lock(mu_);
  NIMBUS_RETURN_IF_ERROR(broken_);
  NIMBUS_ASSIGN_OR_RETURN(Held * open, FindUnderWay(number));
  if (!open->between_attempts) {
    return Error(Code::kFailedPrecondition, "step {}: attempt {} is under way", number,
                 open->step.attempt);
  }
  std::vector<Event> events;
  events.push_back(StepStarted(operation_, open->step.id, open->step.attempt));
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  open->between_attempts = false;
  open->begun_us = NowMicros();
  return open->step.attempt;
}

// Held by whoever called BeginStep, or by a `run` of this Recorder.
absl::StatusOr<Recorder::Impl::Held*> Recorder::Impl::FindUnderWay(uint32_t number) {
  NIMBUS_ASSIGN_OR_RETURN(Held * open, FindOpen(number));
  if (open->holder == Holder::kRun) return open;
  return FindHeld(number, Holder::kCaller);
}

namespace {

// Whose `run` this thread is in.
thread_local const void* current_run = nullptr;

}  // namespace

bool Recorder::Impl::InRun() const { return current_run == this; }

// While it lives, the step is held by its run; then it is in doubt, unless it was ended.
class Recorder::Impl::Running {
 public:
  Running(Impl* impl, uint32_t number) : impl_(impl), number_(number), outer_(current_run) {
    Hold(Holder::kRun);
    current_run = impl;
  }
  ~Running() {
    current_run = outer_;
    Hold(Holder::kInDoubt);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  void Hold(Holder holder) {
    const std::lock_guard lock(impl_->mu_);
    const absl::StatusOr<Held*> open = impl_->FindOpen(number_);
    if (open.ok()) (*open)->holder = holder;
  }

  Impl* const impl_;
  const uint32_t number_;
  const void* const outer_;
};

StepResult Recorder::Impl::RunOnce(const Run& run) {
  absl::StatusOr<StepResult> ran = run();
  if (ran.ok()) return *std::move(ran);
  StepResult failed;
  failed.error = ran.status().ToString();
  return failed;
}

void Recorder::Impl::Wait(const RetryPolicy& retry, uint32_t failed) {
  constexpr int64_t kDayMs = 24 * 3600 * 1000;
  const int64_t ms = std::clamp<int64_t>(
      retry.backoff_ms ? retry.backoff_ms(failed) : DefaultBackoffMs(failed), 0, kDayMs);
  if (options_.sleep) return options_.sleep(ms);
  std::unique_lock lock(mu_);
  ended_.wait_for(lock, std::chrono::milliseconds(ms), [&] { return IsFinal(status_); });
}

absl::StatusOr<RecordedStep> Recorder::Impl::RunAttempts(const BegunStep& begun,
                                                         const StepCall& call, const Run& run) {
  if (begun.recorded.has_value()) return *begun.recorded;
  const Running running(this, begun.number);
  for (uint32_t attempt = begun.attempt;; ++attempt) {
    StepResult result = RunOnce(run);
    if (result.error.empty() || attempt >= call.retry.max_attempts) {
      const std::lock_guard lock(mu_);
      NIMBUS_ASSIGN_OR_RETURN(Held * open, FindOpen(begun.number));
      return Finish(open, std::move(result));
    }
    NIMBUS_RETURN_IF_ERROR(AttemptFailed(begun.number, std::move(result)));
    Wait(call.retry, attempt);
    NIMBUS_RETURN_IF_ERROR(BeginAttempt(begun.number).status());
  }
}

}  // namespace nimbus::replay
