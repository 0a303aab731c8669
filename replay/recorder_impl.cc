// Opening a recording, and what all calls share.
#include "recorder_impl.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "message.h"
#include "nimbus/replay/patch.h"
#include "nimbus/schema/status.h"
#include "recorder_events.h"

namespace nimbus::replay {

using journal::EntityState;
using journal::IsFinal;
using journal::Lifecycle;
using journal::RecordView;
using schema::Error;
using schema::Event;
using schema::Json;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;
using What = StepDivergence::What;

namespace {

std::string Text(const flatbuffers::String* text) { return text == nullptr ? "" : text->str(); }

}  // namespace

Recorder::Impl::Impl(journal::Journal* journal, const Uuid& operation,
                     const RecorderOptions& options, State state)
    : journal_(journal),
      operation_(operation),
      options_(options),
      redactor_(options.redact),
      tape_(journal, options.session.reader),
      main_{.state = std::move(state),
            .position = {},
            .next = {},
            .last_ended = std::nullopt,
            .outcome = {}} {
  report_.operation = operation;
}

int64_t Recorder::Impl::NowMicros() const {
  return options_.clock != nullptr ? options_.clock->NowMicros()
                                   : schema::SystemClock().NowMicros();
}

absl::Status Recorder::Impl::Open(const std::optional<EntityState>& entity,
                                  NewRecording recording) {
  if (options_.from_checkpoint.has_value() && !reexecuting()) {
    return Error(Code::kInvalidArgument, "only executing again begins at a checkpoint");
  }
  NIMBUS_RETURN_IF_ERROR(RedactRecording(&recording));
  if (!reexecuting()) {
    return entity.has_value() ? Resume(*entity, std::move(recording), std::nullopt)
                              : Begin(std::move(recording));
  }
  if (!entity.has_value()) {
    return Error(Code::kNotFound, "no operation {} to execute again", operation_.ToString());
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<EntityState> checkpoint, FindCheckpoint());
  const absl::Status resumed = Resume(*entity, std::move(recording), checkpoint);
  return IsAbsent(resumed) ? Incomplete(MessageOf(resumed)) : resumed;
}

// The one to begin at.
absl::StatusOr<std::optional<EntityState>> Recorder::Impl::FindCheckpoint() const {
  if (!options_.from_checkpoint.has_value()) return std::optional<EntityState>();
  NIMBUS_ASSIGN_OR_RETURN(std::optional<EntityState> checkpoint,
                          journal_->FindEntity(EntityKind::checkpoint, *options_.from_checkpoint));
  if (checkpoint.has_value() && checkpoint->parent == operation_) return checkpoint;
  return Error(Code::kNotFound, "operation {} has no checkpoint {}", operation_.ToString(),
               options_.from_checkpoint->ToString());
}

absl::Status Recorder::Impl::RedactRecording(NewRecording* recording) const {
  redactor_.Text(&recording->type);
  redactor_.Text(&recording->name);
  redactor_.Value(&recording->state);
  return schema::Annotate(redactor_.JsonText(&recording->input), "input");
}

absl::Status Recorder::Impl::Begin(NewRecording recording) {
  begun_us_ = NowMicros();
  NIMBUS_ASSIGN_OR_RETURN(main_.state,
                          State::Make(std::move(recording.state), options_.session.state));
  schema::fb::OperationCreatedT created;
  created.session = IdPtr(recording.session);
  created.type = recording.type;
  if (recording.parent.has_value()) created.parent = IdPtr(*recording.parent);
  std::vector<Event> events;
  events.push_back(OperationEvent(operation_, std::move(created)));
  events.back().body.name = recording.name;
  events.back().body.input = recording.input;
  events.push_back(StartEvent(main_.state));
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  status_ = Lifecycle::kRunning;
  return absl::OkStatus();
}

absl::Status Recorder::Impl::Resume(const EntityState& entity, NewRecording recording,
                                    const std::optional<EntityState>& checkpoint) {
  resumed_ = true;
  status_ = static_cast<Lifecycle>(entity.state);
  version_ = entity.version;
  NIMBUS_RETURN_IF_ERROR(CompareOperation(entity, recording));
  NIMBUS_RETURN_IF_ERROR(tape_.Open(entity));
  if (status_ == Lifecycle::kPending && !reexecuting()) {
    NIMBUS_RETURN_IF_ERROR(StartPending(recording));
  }
  // Nothing ends any more where the operation has ended, nor when it is executed again.
  if (!IsFinal(status_) && !reexecuting()) NIMBUS_RETURN_IF_ERROR(FindOpenSteps());
  if (checkpoint.has_value()) NIMBUS_RETURN_IF_ERROR(GoTo(*checkpoint));
  return main_.Advance(&tape_);
}

absl::Status Recorder::Impl::FindOpenSteps() {
  NIMBUS_ASSIGN_OR_RETURN(const Tape::Steps steps, tape_.ReadSteps());
  for (const TapeStep& step : steps.open) {
    const bool running = step.status == Lifecycle::kRunning;
    open_.push_back({.step = step.step, .holder = running ? Holder::kInDoubt : Holder::kNobody});
    open_.back().step.number = tape_.NumberOf(tape_.End().part, step.step.number);
  }
  return absl::OkStatus();
}

absl::Status Recorder::Impl::CompareOperation(const EntityState& entity,
                                              const NewRecording& recording) {
  NIMBUS_ASSIGN_OR_RETURN(journal::StreamReader stream,
                          journal::StreamReader::Open(*journal_, EntityKind::operation, operation_,
                                                      options_.session.reader));
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream.ReadAt(entity.first_sequence));
  const schema::fb::OperationCreated* created = view->record->event_as_OperationCreated();
  if (created == nullptr) {
    return Error(Code::kDataLoss, "record {} begins operation {} but does not create it",
                 entity.first_sequence, operation_.ToString());
  }
  begun_us_ = schema::OccurredAt(*view->record).value_or(NowMicros());
  main_.next.sequence = view->sequence;
  const std::string type = Text(created->type());
  if (type != recording.type) {
    return Diverge(What::kOperationType, Json::String(type), Json::String(recording.type));
  }
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream.Body(*view));
  NIMBUS_ASSIGN_OR_RETURN(Json expected, ParseRecorded(body == nullptr ? nullptr : body->input()));
  NIMBUS_ASSIGN_OR_RETURN(Json actual, ParseGiven(recording.input, "input"));
  if (expected == actual) return absl::OkStatus();
  Json difference = Diff(expected, actual);
  return Diverge(What::kOperationInput, std::move(expected), std::move(actual),
                 std::move(difference));
}

// What was created and never started. A fork's state is its parent's.
absl::Status Recorder::Impl::StartPending(const NewRecording& recording) {
  NIMBUS_ASSIGN_OR_RETURN(const State state, State::Make(recording.state, options_.session.state));
  std::vector<Event> events;
  events.push_back(tape_.forked() ? OperationEvent(operation_, schema::fb::OperationStartedT())
                                  : StartEvent(state));
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  main_.position = {};  // it is read like the rest
  status_ = Lifecycle::kRunning;
  return absl::OkStatus();
}

Event Recorder::Impl::StartEvent(const State& state) const {
  Event event = OperationEvent(operation_, schema::fb::OperationStartedT());
  event.body.state = state.Text();
  event.body.digest = DigestPtr(state.Digest());
  return event;
}

absl::Status Recorder::Impl::GoTo(const EntityState& checkpoint) {
  NIMBUS_ASSIGN_OR_RETURN(main_.position, tape_.PositionAt(checkpoint));
  NIMBUS_ASSIGN_OR_RETURN(const Tape::Steps before, tape_.ReadStepsAt(checkpoint));
  std::optional<uint32_t> open = tape_.NotBegunAnew(before.added);
  if (!before.open.empty()) {
    open = tape_.NumberOf(main_.position.part, before.open.front().step.number);
  }
  if (open.has_value()) {
    return Error(Code::kFailedPrecondition, "step {} has not ended at checkpoint {}", *open,
                 checkpoint.id.ToString());
  }
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view,
                          tape_.ReadAt(main_.position.part, checkpoint.first_sequence));
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, tape_.Body(*view));
  NIMBUS_ASSIGN_OR_RETURN(Json state, ParseRecorded(body == nullptr ? nullptr : body->state()));
  NIMBUS_RETURN_IF_ERROR(main_.state.Restore(std::move(state)));
  const schema::fb::Digest* digest = body == nullptr ? nullptr : body->digest();
  if (digest != nullptr && schema::FromFb(*digest) != main_.state.Digest()) {
    return Error(Code::kDataLoss, "the state of checkpoint {} is not the one recorded",
                 checkpoint.id.ToString());
  }
  main_.last_ended = before.last_ended;
  done_ = tape_.CalledAt(main_.position.part, before.added);
  report_.from_checkpoint = checkpoint.id;
  report_.from_step = done_;
  return absl::OkStatus();
}

// Values that wait go first: what follows them may depend on them.
absl::Status Recorder::Impl::Append(std::vector<Event> events) {
  const auto waiting = static_cast<std::ptrdiff_t>(values_.size());
  values_.insert(values_.end(), std::make_move_iterator(events.begin()),
                 std::make_move_iterator(events.end()));
  const absl::StatusOr<journal::Appended> appended =
      journal_->Append(values_, {.expected_version = version_});
  if (!appended.ok()) {
    values_.erase(values_.begin() + waiting, values_.end());
    return appended.status();
  }
  values_.clear();
  value_bytes_ = 0;
  version_ = appended->version;
  tape_.Extend(version_, appended->first + appended->count - 1);
  if (main_.next.kind == Recorded::Kind::kNone) main_.position = tape_.End();
  if (tail_.has_value()) tail_->position = tape_.End();
  return absl::OkStatus();
}

absl::Status Recorder::Impl::Advance() {
  const absl::Status advanced = main_.Advance(&tape_);
  if (main_.next.kind == Recorded::Kind::kNone) tail_.reset();
  if (advanced.ok()) return absl::OkStatus();
  if (reexecuting() && IsAbsent(advanced)) {
    return Incomplete(fmt::format("after step {}: {}", done_, MessageOf(advanced)));
  }
  broken_ = advanced;
  return advanced;
}

// Where a result that is journaled now applies.
absl::StatusOr<Playback*> Recorder::Impl::Tail() {
  if (main_.next.kind == Recorded::Kind::kNone) return &main_;
  if (!tail_.has_value()) {
    Playback tail = main_;
    NIMBUS_RETURN_IF_ERROR(tail.Finish(&tape_));
    tail_ = std::move(tail);
  }
  return &*tail_;
}

absl::Status Recorder::Impl::Diverge(What what, Json expected, Json actual,
                                     std::optional<Json> difference) {
  const bool at_step = main_.next.kind == Recorded::Kind::kStep;
  divergence_ = StepDivergence{.what = what,
                               .operation = resumed_ && main_.next.part < tape_.parts()
                                                ? tape_.operation(main_.next.part)
                                                : operation_,
                               .step = at_step ? main_.next.step.step.number : done_,
                               .sequence = main_.next.sequence,
                               .expected = std::move(expected),
                               .actual = std::move(actual),
                               .difference = std::move(difference)};
  broken_ = absl::InvalidArgumentError(divergence_->ToString());
  return broken_;
}

absl::Status Recorder::Impl::Incomplete(std::string why) {
  if (report_.incomplete.empty()) report_.incomplete = std::move(why);
  broken_ = absl::OutOfRangeError(report_.incomplete);
  return broken_;
}

absl::Status Recorder::Impl::GoesNoFurther() {
  return Incomplete(
      fmt::format("the recording of operation {} goes no further than step {} and has not ended",
                  operation_.ToString(), done_));
}

absl::Status Recorder::Impl::Ended() const {
  return Error(Code::kFailedPrecondition, "operation {} has ended", operation_.ToString());
}

uint32_t Recorder::Impl::steps() const {
  const std::lock_guard lock(mu_);
  return done_;
}

std::optional<StepDivergence> Recorder::Impl::divergence() const {
  const std::lock_guard lock(mu_);
  return divergence_;
}

ReexecutionReport Recorder::Impl::report() const {
  const std::lock_guard lock(mu_);
  ReexecutionReport report = report_;
  report.divergence = divergence_;
  return report;
}

}  // namespace nimbus::replay
