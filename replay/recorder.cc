#include "nimbus/replay/recorder.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::replay {

using journal::IsFinal;
using journal::Lifecycle;
using schema::Error;
using schema::Event;
using schema::Json;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

namespace {

std::unique_ptr<schema::fb::Id> IdPtr(const Uuid& id) {
  return std::make_unique<schema::fb::Id>(id.ToFb());
}

std::unique_ptr<schema::fb::Digest> DigestPtr(const schema::Digest& digest) {
  return std::make_unique<schema::fb::Digest>(schema::ToFb(digest));
}

absl::StatusOr<std::string> Canonical(std::string_view text, std::string_view what) {
  const absl::StatusOr<Json> value = Json::Parse(text.empty() ? "null" : text);
  if (!value.ok()) return schema::Annotate(value.status(), std::string(what));
  return schema::CanonicalJson(*value);
}

template <typename Payload>
Event OperationEvent(const Uuid& operation, Payload payload) {
  return schema::MakeEvent(EntityKind::operation, operation, std::move(payload));
}

Event StepStarted(const Uuid& operation, const StepInfo& step) {
  schema::fb::StepStartedT started;
  started.step = IdPtr(step.id);
  return OperationEvent(operation, std::move(started));
}

// StepCompleted or StepFailed, without its body.
template <typename Payload>
Event StepEnded(const Uuid& operation, const StepInfo& step, const schema::fb::OutcomeT& outcome) {
  Payload ended;
  ended.step = IdPtr(step.id);
  ended.outcome = std::make_unique<schema::fb::OutcomeT>(outcome);
  return OperationEvent(operation, std::move(ended));
}

absl::Status InDoubt(const StepInfo& step) {
  return Error(Code::kFailedPrecondition,
               "step {} ({}) is in doubt: it was begun, and no result of it is recorded",
               step.number, step.id.ToString());
}

}  // namespace

Recorder::Recorder(journal::Journal* journal, const Uuid& operation, const RecorderOptions& options,
                   State state)
    : journal_(journal),
      clock_(options.clock),
      operation_(operation),
      session_options_(options.session),
      state_(std::move(state)) {}

absl::StatusOr<Recorder> Recorder::Open(journal::Journal* journal, NewRecording recording,
                                        const RecorderOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> entity,
                          journal->FindEntity(EntityKind::operation, recording.id));
  NIMBUS_ASSIGN_OR_RETURN(State state,
                          State::Make(std::move(recording.state), options.session.state));
  Recorder recorder(journal, recording.id, options, std::move(state));
  NIMBUS_RETURN_IF_ERROR(entity.has_value() ? recorder.Resume(recording)
                                            : recorder.Begin(recording));
  return recorder;
}

absl::Status Recorder::Begin(const NewRecording& recording) {
  begun_us_ = NowMicros();
  schema::fb::OperationCreatedT created;
  created.session = IdPtr(recording.session);
  created.type = recording.type;
  if (recording.parent.has_value()) created.parent = IdPtr(*recording.parent);
  Event event = OperationEvent(operation_, std::move(created));
  event.body.name = recording.name;
  event.body.input = recording.input;
  std::vector<Event> events;
  events.push_back(std::move(event));
  events.push_back(StartEvent());
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  status_ = Lifecycle::kRunning;
  return absl::OkStatus();
}

absl::Status Recorder::Resume(const NewRecording& recording) {
  NIMBUS_ASSIGN_OR_RETURN(Session session, Session::Open(*journal_, operation_, session_options_));
  session_.emplace(std::move(session));
  status_ = session_->status();
  version_ = session_->version();
  NIMBUS_RETURN_IF_ERROR(CompareOperation(recording));
  if (status_ == Lifecycle::kPending) {
    std::vector<Event> events;
    events.push_back(StartEvent());
    NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
    status_ = Lifecycle::kRunning;
    return absl::OkStatus();
  }
  state_ = session_->state();
  return absl::OkStatus();
}

absl::Status Recorder::CompareOperation(const NewRecording& recording) {
  NIMBUS_ASSIGN_OR_RETURN(const OperationRecord recorded, session_->ReadOperation());
  begun_us_ = recorded.created_at_us.value_or(NowMicros());
  NIMBUS_ASSIGN_OR_RETURN(std::string expected, Canonical(recorded.input, "recorded input"));
  NIMBUS_ASSIGN_OR_RETURN(std::string actual, Canonical(recording.input, "input"));
  if (recorded.type != recording.type) {
    return Diverge(
        {.step = 0, .what = "type", .expected = recorded.type, .actual = recording.type});
  }
  if (expected == actual) return absl::OkStatus();
  return Diverge(
      {.step = 0, .what = "input", .expected = std::move(expected), .actual = std::move(actual)});
}

Event Recorder::StartEvent() const {
  Event event = OperationEvent(operation_, schema::fb::OperationStartedT());
  event.body.state = state_.Text();
  event.body.digest = DigestPtr(state_.Digest());
  return event;
}

absl::Status Recorder::Append(const std::vector<Event>& events) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended,
                          journal_->Append(events, {.expected_version = version_}));
  version_ = appended.version;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<StepInfo>> Recorder::NextRecorded() {
  if (!session_.has_value() || done_ >= session_->StepCount()) return std::optional<StepInfo>();
  NIMBUS_ASSIGN_OR_RETURN(StepInfo step, session_->FindStep(done_ + 1));
  return std::optional<StepInfo>(std::move(step));
}

absl::Status Recorder::Diverge(StepDivergence divergence) {
  divergence_ = std::move(divergence);
  const std::string where =
      divergence_->step == 0 ? "the operation" : fmt::format("step {}", divergence_->step);
  constexpr size_t kShownMax = 200;
  return Error(Code::kInvalidArgument, "{} diverges from its recording: {} was {}, now {}", where,
               divergence_->what, divergence_->expected.substr(0, kShownMax),
               divergence_->actual.substr(0, kShownMax));
}

absl::Status Recorder::CompareStep(const StepInfo& step, const StepCall& call) {
  if (step.type != call.type) {
    return Diverge({.step = step.number,
                    .what = "type",
                    .expected = schema::fb::EnumNameStepType(step.type),
                    .actual = schema::fb::EnumNameStepType(call.type)});
  }
  if (step.tool_name != call.tool_name) {
    return Diverge({.step = step.number,
                    .what = "tool",
                    .expected = step.tool_name,
                    .actual = call.tool_name});
  }
  NIMBUS_ASSIGN_OR_RETURN(const StepRecord recorded, session_->ReadStep(step.number));
  NIMBUS_ASSIGN_OR_RETURN(std::string expected, Canonical(recorded.input, "recorded input"));
  NIMBUS_ASSIGN_OR_RETURN(std::string actual, Canonical(call.input, "input"));
  if (expected == actual) return absl::OkStatus();
  return Diverge({.step = step.number,
                  .what = "input",
                  .expected = std::move(expected),
                  .actual = std::move(actual)});
}

absl::StatusOr<RecordedStep> Recorder::Step(const StepCall& call, const Run& run) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<StepInfo> recorded, NextRecorded());
  if (recorded.has_value()) {
    NIMBUS_RETURN_IF_ERROR(CompareStep(*recorded, call));
    if (recorded->ended.has_value()) return Serve(*recorded);
  }
  if (IsFinal(status_)) {
    return Error(Code::kFailedPrecondition, "operation {} has ended", operation_.ToString());
  }
  if (!recorded.has_value() && in_doubt_.has_value()) return InDoubt(*in_doubt_);
  if (!recorded.has_value()) return BeginStep(call, run);
  // What is added but not started has certainly not run.
  const bool begun = recorded->status == Lifecycle::kRunning || in_doubt_.has_value();
  if (begun && !call.idempotent) {
    in_doubt_ = *recorded;
    return InDoubt(*recorded);
  }
  if (!begun) {
    std::vector<Event> events;
    events.push_back(StepStarted(operation_, *recorded));
    NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  }
  return RunStep(*recorded, run);
}

absl::StatusOr<RecordedStep> Recorder::BeginStep(const StepCall& call, const Run& run) {
  const StepInfo step{.number = done_ + 1,
                      .id = schema::NewUuid(),
                      .type = call.type,
                      .tool_name = call.tool_name,
                      .status = Lifecycle::kRunning,
                      .added = 0,
                      .ended = std::nullopt};
  schema::fb::StepAddedT added;
  added.step = IdPtr(step.id);
  added.type = call.type;
  added.tool_name = call.tool_name;
  std::vector<Event> events;
  events.push_back(OperationEvent(operation_, std::move(added)));
  events.back().body.input = call.input;
  events.push_back(StepStarted(operation_, step));
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  return RunStep(step, run);
}

absl::StatusOr<RecordedStep> Recorder::Serve(const StepInfo& step) {
  NIMBUS_ASSIGN_OR_RETURN(StepRecord recorded, session_->ReadStep(step.number));
  if (!recorded.patch.empty()) {
    if (const absl::Status folded = state_.Fold(recorded.patch); !folded.ok()) {
      return Error(Code::kDataLoss, "the recorded patch of step {} does not apply: {}", step.number,
                   folded.ToString());
    }
  } else {
    state_.FoldUnchanged();
  }
  if (recorded.digest.has_value() && *recorded.digest != state_.Digest()) {
    return Error(Code::kDataLoss, "the state after step {} is not the one recorded", step.number);
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<CheckpointInfo> checkpoints,
                          session_->CheckpointsOf(step.number));
  if (!checkpoints.empty()) state_.MarkCheckpoint();
  last_ = step;
  done_ = step.number;
  return RecordedStep{.number = step.number,
                      .id = step.id,
                      .status = step.status,
                      .output = std::move(recorded.output),
                      .error = std::move(recorded.error),
                      .recorded = true};
}

absl::StatusOr<RecordedStep> Recorder::RunStep(const StepInfo& step, const Run& run) {
  in_doubt_ = step;  // until its result is journaled
  const int64_t started_us = NowMicros();
  absl::StatusOr<StepResult> ran = run();
  const int64_t duration_us = std::max<int64_t>(0, NowMicros() - started_us);
  StepResult result;
  if (ran.ok()) {
    result = *std::move(ran);
  } else {
    result.error = ran.status().ToString();
  }
  if (!result.outcome.duration_ms.has_value()) {
    result.outcome.duration_ms = static_cast<uint64_t>(duration_us / 1000);
  }
  return Finish(step, std::move(result));
}

absl::StatusOr<RecordedStep> Recorder::Finish(const StepInfo& step, StepResult result) {
  State next = state_;  // kept apart until the step is journaled
  NIMBUS_ASSIGN_OR_RETURN(const StateChange change, result.state.has_value()
                                                        ? next.RecordNext(*result.state)
                                                        : next.Record(Json::MakeArray()));
  const bool failed = !result.error.empty();
  std::vector<Event> events;
  events.push_back(failed
                       ? StepEnded<schema::fb::StepFailedT>(operation_, step, result.outcome)
                       : StepEnded<schema::fb::StepCompletedT>(operation_, step, result.outcome));
  schema::fb::BodyT& body = events.back().body;
  body.output = result.output;
  body.error = result.error;
  body.patch = change.patch;
  if (change.digest.has_value()) body.digest = DigestPtr(*change.digest);
  if (change.checkpoint_due) {
    events.push_back(CheckpointEvent(step, {}, next));
    next.MarkCheckpoint();
  }
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  state_ = std::move(next);
  last_ = step;
  done_ = step.number;
  in_doubt_.reset();
  return RecordedStep{.number = step.number,
                      .id = step.id,
                      .status = failed ? Lifecycle::kFailed : Lifecycle::kCompleted,
                      .output = std::move(result.output),
                      .error = std::move(result.error),
                      .recorded = false};
}

absl::StatusOr<RecordedStep> Recorder::SettleInDoubt(StepResult result) {
  if (!in_doubt_.has_value()) {
    return Error(Code::kFailedPrecondition, "no step of operation {} is in doubt",
                 operation_.ToString());
  }
  return Finish(StepInfo(*in_doubt_), std::move(result));
}

Event Recorder::CheckpointEvent(const StepInfo& step, std::string_view name,
                                const State& state) const {
  schema::fb::CheckpointCreatedT created;
  created.checkpoint = IdPtr(schema::NewUuid());
  created.step = IdPtr(step.id);
  Event event = OperationEvent(operation_, std::move(created));
  event.body.name = name;
  event.body.state = state.Text();
  event.body.digest = DigestPtr(state.Digest());
  return event;
}

absl::Status Recorder::Checkpoint(std::string_view name) {
  if (!last_.has_value()) {
    return Error(Code::kFailedPrecondition, "a checkpoint belongs to a step, and there is none");
  }
  if (session_.has_value() && last_->number <= session_->StepCount()) {
    NIMBUS_ASSIGN_OR_RETURN(const std::vector<CheckpointInfo> checkpoints,
                            session_->CheckpointsOf(last_->number));
    for (const CheckpointInfo& checkpoint : checkpoints) {
      NIMBUS_ASSIGN_OR_RETURN(const std::string recorded, session_->ReadCheckpointName(checkpoint));
      if (recorded == name) return absl::OkStatus();
    }
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<StepInfo> next, NextRecorded());
  if (next.has_value()) {
    return Diverge({.step = last_->number,
                    .what = "checkpoint",
                    .expected = "none",
                    .actual = std::string(name)});
  }
  std::vector<Event> events;
  events.push_back(CheckpointEvent(*last_, name, state_));
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  state_.MarkCheckpoint();
  return absl::OkStatus();
}

absl::Status Recorder::End(Lifecycle status, Event event) {
  if (status_ == status) return absl::OkStatus();
  if (IsFinal(status_)) {
    return Error(Code::kFailedPrecondition, "operation {} has ended otherwise",
                 operation_.ToString());
  }
  std::vector<Event> events;
  events.push_back(std::move(event));
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  status_ = status;
  return absl::OkStatus();
}

absl::Status Recorder::Complete(const std::string& output, const schema::fb::OutcomeT& outcome) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<StepInfo> step, NextRecorded());
  if (step.has_value()) {
    if (!step->ended.has_value()) return InDoubt(*step);
    return Diverge({.step = step->number,
                    .what = "end",
                    .expected = "a step",
                    .actual = "the end of the operation"});
  }
  if (in_doubt_.has_value()) return InDoubt(*in_doubt_);
  schema::fb::OperationCompletedT completed;
  completed.outcome = WithDuration(outcome);
  Event event = OperationEvent(operation_, std::move(completed));
  event.body.output = output;
  return End(Lifecycle::kCompleted, std::move(event));
}

absl::Status Recorder::Fail(const std::string& error, const schema::fb::OutcomeT& outcome) {
  schema::fb::OperationFailedT failed;
  failed.outcome = WithDuration(outcome);
  Event event = OperationEvent(operation_, std::move(failed));
  event.body.error = error;
  return End(Lifecycle::kFailed, std::move(event));
}

absl::Status Recorder::Cancel() {
  schema::fb::OperationCancelledT cancelled;
  cancelled.outcome = WithDuration({});
  return End(Lifecycle::kCancelled, OperationEvent(operation_, std::move(cancelled)));
}

std::unique_ptr<schema::fb::OutcomeT> Recorder::WithDuration(
    const schema::fb::OutcomeT& outcome) const {
  auto with = std::make_unique<schema::fb::OutcomeT>(outcome);
  if (!with->duration_ms.has_value()) {
    with->duration_ms = static_cast<uint64_t>(std::max<int64_t>(0, NowMicros() - begun_us_) / 1000);
  }
  return with;
}

int64_t Recorder::NowMicros() const {
  return clock_ != nullptr ? clock_->NowMicros() : schema::SystemClock().NowMicros();
}

}  // namespace nimbus::replay
