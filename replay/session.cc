#include "nimbus/replay/session.h"

#include <algorithm>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

namespace nimbus::replay {

using journal::Lifecycle;
using journal::RecordView;
using schema::Error;
using schema::Json;
using schema::Uuid;
using Code = absl::StatusCode;
using Event = schema::fb::Event;

namespace {

std::string Text(const flatbuffers::String* text) { return text == nullptr ? "" : text->str(); }

std::optional<schema::Digest> DigestOf(const schema::fb::Body* body) {
  if (body == nullptr || body->digest() == nullptr) return std::nullopt;
  return schema::FromFb(*body->digest());
}

const schema::fb::Outcome* OutcomeOf(const schema::fb::Record& record) {
  switch (record.event_type()) {
    case Event::StepCompleted:
      return record.event_as_StepCompleted()->outcome();
    case Event::StepFailed:
      return record.event_as_StepFailed()->outcome();
    case Event::StepCancelled:
      return record.event_as_StepCancelled()->outcome();
    default:
      return nullptr;
  }
}

}  // namespace

Session::Session(const journal::Journal& journal, const Uuid& operation,
                 const SessionOptions& options, State state)
    : operation_(operation),
      reader_(journal, options.reader),
      state_options_(options.state),
      state_(std::move(state)) {}

absl::StatusOr<Session> Session::Open(const journal::Journal& journal, const Uuid& operation,
                                      const SessionOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> entity,
                          journal.FindEntity(schema::fb::EntityKind::operation, operation));
  if (!entity.has_value()) {
    return Error(Code::kNotFound, "no operation {}", operation.ToString());
  }
  NIMBUS_ASSIGN_OR_RETURN(State state, State::Make(Json(), options.state));
  Session session(journal, operation, options, std::move(state));
  session.version_ = entity->version;
  NIMBUS_RETURN_IF_ERROR(session.Index(entity->head_sequence));
  NIMBUS_RETURN_IF_ERROR(session.SeekToStart());
  return session;
}

absl::Status Session::Index(uint64_t head) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<uint64_t> sequences, reader_.StreamSequences(head));
  created_ = sequences.front();
  for (const uint64_t sequence : sequences) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader_.Read(sequence));
    NIMBUS_RETURN_IF_ERROR(IndexRecord(*view));
  }
  return absl::OkStatus();
}

absl::StatusOr<StepInfo*> Session::FindStep(const schema::fb::Id* id, uint64_t sequence) {
  const auto found = step_index_.find(Uuid::FromFb(*id));
  if (found != step_index_.end()) return &steps_[found->second];
  return Error(Code::kDataLoss, "record {} names a step that operation {} does not have", sequence,
               operation_.ToString());
}

absl::Status Session::IndexRecord(const RecordView& view) {
  const schema::fb::Record& record = *view.record;
  const uint64_t sequence = view.sequence;
  const auto end_step = [&](const schema::fb::Id* id, Lifecycle status) -> absl::Status {
    NIMBUS_ASSIGN_OR_RETURN(StepInfo * step, FindStep(id, sequence));
    step->status = status;
    step->ended = sequence;
    marks_.push_back({Moment::Kind::kStep, sequence, step->number});
    return absl::OkStatus();
  };
  switch (record.event_type()) {
    case Event::OperationStarted:
      status_ = Lifecycle::kRunning;
      marks_.push_back({Moment::Kind::kStart, sequence, 0});
      return absl::OkStatus();
    case Event::OperationCompleted:
      status_ = Lifecycle::kCompleted;
      return absl::OkStatus();
    case Event::OperationFailed:
      status_ = Lifecycle::kFailed;
      return absl::OkStatus();
    case Event::OperationCancelled:
      status_ = Lifecycle::kCancelled;
      return absl::OkStatus();
    case Event::StepAdded: {
      const schema::fb::StepAdded& added = *record.event_as_StepAdded();
      steps_.push_back({.number = view.envelope().ordinal(),
                        .id = Uuid::FromFb(*added.step()),
                        .type = added.type(),
                        .tool_name = Text(added.tool_name()),
                        .status = Lifecycle::kPending,
                        .added = sequence,
                        .ended = std::nullopt});
      step_index_.emplace(steps_.back().id, steps_.size() - 1);
      if (steps_.back().number == steps_.size()) return absl::OkStatus();
      return Error(Code::kDataLoss, "record {} says it adds step {}, but it is number {}", sequence,
                   steps_.back().number, steps_.size());
    }
    case Event::StepStarted: {
      NIMBUS_ASSIGN_OR_RETURN(StepInfo * step,
                              FindStep(record.event_as_StepStarted()->step(), sequence));
      step->status = Lifecycle::kRunning;
      return absl::OkStatus();
    }
    case Event::StepCompleted:
      return end_step(record.event_as_StepCompleted()->step(), Lifecycle::kCompleted);
    case Event::StepFailed:
      return end_step(record.event_as_StepFailed()->step(), Lifecycle::kFailed);
    case Event::StepCancelled:
      return end_step(record.event_as_StepCancelled()->step(), Lifecycle::kCancelled);
    case Event::CheckpointCreated: {
      const schema::fb::CheckpointCreated& created = *record.event_as_CheckpointCreated();
      NIMBUS_ASSIGN_OR_RETURN(StepInfo * step, FindStep(created.step(), sequence));
      checkpoints_.push_back({Uuid::FromFb(*created.checkpoint()), step->number, sequence});
      marks_.push_back({Moment::Kind::kCheckpoint, sequence, step->number});
      return absl::OkStatus();
    }
    default:
      return absl::OkStatus();  // says nothing about the state
  }
}

absl::StatusOr<Moment> Session::ReadMark(const Mark& mark) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader_.Read(mark.sequence));
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, reader_.Body(*view));
  Moment moment{.kind = mark.kind,
                .sequence = mark.sequence,
                .step = mark.step,
                .patched = body != nullptr && body->patch() != nullptr,
                .fold = absl::OkStatus(),
                .digest = DigestOf(body),
                .state = std::nullopt};
  if (mark.kind == Moment::Kind::kStep) {
    if (moment.patched) moment.fold = state_.Fold(body->patch()->string_view());
    return moment;
  }
  moment.state = Json();
  if (body == nullptr || body->state() == nullptr) return moment;
  absl::StatusOr<Json> state = Json::Parse(body->state()->string_view(), state_options_.limits);
  if (!state.ok()) {
    return Error(Code::kDataLoss, "the state in record {}: {}", mark.sequence,
                 state.status().ToString());
  }
  moment.state = *std::move(state);
  return moment;
}

absl::StatusOr<std::optional<Moment>> Session::Next() {
  if (next_ == marks_.size()) return std::nullopt;
  const Mark& mark = marks_[next_];
  NIMBUS_ASSIGN_OR_RETURN(Moment moment, ReadMark(mark));
  if (mark.kind == Moment::Kind::kStart) NIMBUS_RETURN_IF_ERROR(state_.Restore(*moment.state));
  if (mark.kind == Moment::Kind::kCheckpoint) state_.MarkCheckpoint();
  ++next_;
  return moment;
}

// Takes the state from the start or checkpoint at `mark`, and goes on after it.
absl::Status Session::Restore(size_t mark) {
  NIMBUS_ASSIGN_OR_RETURN(Moment moment, ReadMark(marks_[mark]));
  NIMBUS_RETURN_IF_ERROR(state_.Restore(*std::move(moment.state)));
  next_ = mark + 1;
  return absl::OkStatus();
}

absl::Status Session::FoldUpTo(size_t end) {
  while (next_ < end) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Moment> moment, Next());
    NIMBUS_CHECK(moment.has_value());
    if (!moment->fold.ok()) {
      return Error(Code::kDataLoss, "record {}, step {}: its patch does not apply: {}",
                   moment->sequence, moment->step, moment->fold.ToString());
    }
  }
  return absl::OkStatus();
}

absl::Status Session::SeekToStart() {
  if (!marks_.empty() && marks_.front().kind == Moment::Kind::kStart) return Restore(0);
  Rewind();
  return absl::OkStatus();
}

void Session::Rewind() {
  NIMBUS_CHECK(state_.Restore(Json()).ok());  // null is within any limits
  next_ = 0;
}

absl::StatusOr<size_t> Session::FindCheckpoint(const Uuid& checkpoint) const {
  for (const CheckpointInfo& info : checkpoints_) {
    if (info.id != checkpoint) continue;
    const auto mark = std::find_if(marks_.begin(), marks_.end(),
                                   [&](const Mark& m) { return m.sequence == info.sequence; });
    return static_cast<size_t>(mark - marks_.begin());
  }
  return Error(Code::kNotFound, "operation {} has no checkpoint {}", operation_.ToString(),
               checkpoint.ToString());
}

absl::Status Session::SeekToCheckpoint(const Uuid& checkpoint) {
  NIMBUS_ASSIGN_OR_RETURN(const size_t mark, FindCheckpoint(checkpoint));
  return Restore(mark);
}

absl::StatusOr<Moment> Session::ReadCheckpoint(const Uuid& checkpoint) {
  NIMBUS_ASSIGN_OR_RETURN(const size_t mark, FindCheckpoint(checkpoint));
  return ReadMark(marks_[mark]);
}

absl::Status Session::SeekToStep(uint32_t number) {
  if (number == 0) return SeekToStart();
  if (number > steps_.size()) {
    return Error(Code::kNotFound, "operation {} has {} steps, none numbered {}",
                 operation_.ToString(), steps_.size(), number);
  }
  const std::optional<uint64_t> ended = steps_[number - 1].ended;
  if (!ended.has_value()) {
    return Error(Code::kFailedPrecondition, "step {} has not ended", number);
  }
  const auto target = std::find_if(marks_.begin(), marks_.end(),
                                   [&](const Mark& mark) { return mark.sequence == *ended; });
  const auto end = static_cast<size_t>(target - marks_.begin()) + 1;
  size_t whole = end;  // behind the last mark before `end` that holds the whole state
  while (whole > 0 && marks_[whole - 1].kind == Moment::Kind::kStep) --whole;
  if (next_ > end || next_ < whole) {
    NIMBUS_RETURN_IF_ERROR(whole == 0 ? SeekToStart() : Restore(whole - 1));
  }
  return FoldUpTo(end);
}

absl::Status Session::SeekToEnd() {
  size_t whole = marks_.size();
  while (whole > 0 && marks_[whole - 1].kind == Moment::Kind::kStep) --whole;
  if (next_ < whole) NIMBUS_RETURN_IF_ERROR(Restore(whole - 1));
  return FoldUpTo(marks_.size());
}

uint32_t Session::step() const {
  for (size_t i = next_; i > 0; --i) {
    if (marks_[i - 1].kind != Moment::Kind::kStart) return marks_[i - 1].step;
  }
  return 0;
}

uint64_t Session::NextSequence() const {
  return next_ == marks_.size() ? UINT64_MAX : marks_[next_].sequence;
}

uint64_t Session::sequence() const { return next_ == 0 ? created_ : marks_[next_ - 1].sequence; }

absl::StatusOr<OperationRecord> Session::ReadOperation() {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader_.Read(created_));
  const schema::fb::OperationCreated* created = view->record->event_as_OperationCreated();
  if (created == nullptr) {
    return Error(Code::kDataLoss, "record {} begins operation {} but does not create it", created_,
                 operation_.ToString());
  }
  OperationRecord read{.session = Uuid::FromFb(*created->session()),
                       .type = Text(created->type()),
                       .name = {},
                       .input = {},
                       .created_at_us = schema::OccurredAt(*view->record)};
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, reader_.Body(*view));
  if (body == nullptr) return read;
  read.name = Text(body->name());
  read.input = Text(body->input());
  return read;
}

absl::StatusOr<StepRecord> Session::ReadStep(uint32_t number) {
  if (number == 0 || number > steps_.size()) {
    return Error(Code::kNotFound, "operation {} has {} steps, none numbered {}",
                 operation_.ToString(), steps_.size(), number);
  }
  const StepInfo& step = steps_[number - 1];
  StepRecord read;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* added, reader_.Read(step.added));
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* intent, reader_.Body(*added));
  if (intent != nullptr) read.input = Text(intent->input());
  if (!step.ended.has_value()) return read;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* ended, reader_.Read(*step.ended));
  if (const schema::fb::Outcome* outcome = OutcomeOf(*ended->record)) {
    read.outcome.emplace();
    outcome->UnPackTo(&*read.outcome);
  }
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* result, reader_.Body(*ended));
  if (result == nullptr) return read;
  read.output = Text(result->output());
  read.error = Text(result->error());
  read.patch = Text(result->patch());
  read.digest = DigestOf(result);
  return read;
}

absl::StatusOr<std::string> Session::ReadCheckpointName(const CheckpointInfo& checkpoint) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader_.Read(checkpoint.sequence));
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, reader_.Body(*view));
  return body == nullptr ? "" : Text(body->name());
}

}  // namespace nimbus::replay
