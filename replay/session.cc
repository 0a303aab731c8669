#include "nimbus/replay/session.h"

#include <algorithm>
#include <utility>

#include "message.h"
#include "nimbus/journal/prune.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "steps.h"

namespace nimbus::replay {

using journal::Lifecycle;
using journal::RecordView;
using schema::Error;
using schema::Json;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;
using Event = schema::fb::Event;
using Kind = Moment::Kind;

namespace {

constexpr size_t kAddedMax = 64;

std::string Text(const flatbuffers::String* text) { return text == nullptr ? "" : text->str(); }

// What the event tells of the state; nullopt: nothing.
std::optional<Kind> KindOf(const RecordView& view) {
  switch (view.record->event_type()) {
    case Event::OperationStarted:
    case Event::OperationForked:
      return Kind::kStart;
    case Event::StepCompleted:
    case Event::StepFailed:
    case Event::StepCancelled:
      return Kind::kStep;
    case Event::CheckpointCreated:
      return Kind::kCheckpoint;
    default:
      return std::nullopt;
  }
}

// The step that a record of kind kStep or kCheckpoint is about.
Uuid StepOf(const RecordView& view) {
  const schema::fb::Record& record = *view.record;
  switch (record.event_type()) {
    case Event::StepCompleted:
      return Uuid::FromFb(*record.event_as_StepCompleted()->step());
    case Event::StepFailed:
      return Uuid::FromFb(*record.event_as_StepFailed()->step());
    case Event::StepCancelled:
      return Uuid::FromFb(*record.event_as_StepCancelled()->step());
    default:
      return Uuid::FromFb(*record.event_as_CheckpointCreated()->step());
  }
}

}  // namespace

Session::Session(const journal::Journal& journal, journal::StreamReader stream,
                 const SessionOptions& options, State state, uint64_t before)
    : journal_(&journal),
      operation_(stream.entity().id),
      options_(options),
      before_(before),
      stream_(std::move(stream)),
      state_(std::move(state)) {}

absl::StatusOr<Session> Session::OpenBefore(const journal::Journal& journal, const Uuid& operation,
                                            const SessionOptions& options, uint64_t before) {
  NIMBUS_ASSIGN_OR_RETURN(State state, State::Make(Json(), options.state));
  NIMBUS_ASSIGN_OR_RETURN(
      journal::StreamReader stream,
      journal::StreamReader::Open(journal, EntityKind::operation, operation, options.reader));
  return Session(journal, std::move(stream), options, std::move(state), before);
}

absl::StatusOr<Session> Session::Open(const journal::Journal& journal, const Uuid& operation,
                                      const SessionOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(Session session, OpenRewound(journal, operation, options));
  NIMBUS_RETURN_IF_ERROR(session.SeekToStart());
  return session;
}

absl::StatusOr<Session> Session::OpenRewound(const journal::Journal& journal, const Uuid& operation,
                                             const SessionOptions& options) {
  return OpenBefore(journal, operation, options, UINT64_MAX);
}

absl::Status Session::NoStep(uint64_t sequence) const {
  return Error(Code::kDataLoss, "record {} names a step that operation {} does not have", sequence,
               operation_.ToString());
}

// The StepAdded of a step that the record `sequence` names.
absl::StatusOr<const RecordView*> Session::ReadAdded(const Uuid& step, uint64_t sequence) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> entity,
                          journal_->FindEntity(EntityKind::step, step));
  if (!entity.has_value() || entity->parent != operation_) return NoStep(sequence);
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* added, stream_.ReadAt(entity->first_sequence));
  const schema::fb::StepAdded* event = added->record->event_as_StepAdded();
  if (event == nullptr || Uuid::FromFb(*event->step()) != step) return NoStep(sequence);
  return added;
}

absl::StatusOr<uint32_t> Session::NumberOf(const Uuid& step, uint64_t sequence) {
  // The newest stands before the oldest, and is asked for most.
  for (size_t i = added_.size(); i-- > 0;) {
    const Added& added = added_[(oldest_ + i) % added_.size()];
    if (added.id == step) return added.number;
  }
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* added, ReadAdded(step, sequence));
  return added->envelope().ordinal();
}

void Session::NoteAdded(const RecordView& view) {
  const schema::fb::StepAdded* event = view.record->event_as_StepAdded();
  if (event == nullptr) return;
  const Added added{.id = Uuid::FromFb(*event->step()), .number = view.envelope().ordinal()};
  if (added_.size() < kAddedMax) {
    added_.push_back(added);
  } else {
    added_[oldest_] = added;
    oldest_ = (oldest_ + 1) % kAddedMax;
  }
}

absl::StatusOr<StepInfo> Session::InfoOf(const RecordView& added) {
  const schema::fb::StepAdded& event = *added.record->event_as_StepAdded();
  StepInfo info{.number = added.envelope().ordinal(),
                .id = Uuid::FromFb(*event.step()),
                .type = event.type(),
                .tool_name = Text(event.tool_name()),
                .status = Lifecycle::kPending,
                .added = added.sequence,
                .ended = std::nullopt};
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> entity,
                          journal_->FindEntity(EntityKind::step, info.id));
  if (!entity.has_value() || entity->first_sequence != added.sequence) {
    return Error(Code::kDataLoss, "the journal does not know the step that record {} adds",
                 added.sequence);
  }
  info.status = static_cast<Lifecycle>(entity->state);
  if (!journal::IsFinal(info.status)) return info;
  if (Sees(entity->head_sequence)) {
    info.ended = entity->head_sequence;
  } else {
    info.status = Lifecycle::kRunning;  // until then
  }
  return info;
}

absl::StatusOr<StepInfo> Session::FindStep(uint32_t number) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* added, stream_.ReadStepAdded(number));
  return InfoOf(*added);
}

absl::StatusOr<CheckpointInfo> Session::FindCheckpoint(const Uuid& checkpoint) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> entity,
                          journal_->FindEntity(EntityKind::checkpoint, checkpoint));
  if (!entity.has_value() || entity->parent != operation_ || !Sees(entity->first_sequence)) {
    return Error(Code::kNotFound, "operation {} has no checkpoint {}", operation_.ToString(),
                 checkpoint.ToString());
  }
  const uint64_t sequence = entity->first_sequence;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.ReadAt(sequence));
  const schema::fb::CheckpointCreated* created = view->record->event_as_CheckpointCreated();
  if (created == nullptr || Uuid::FromFb(*created->checkpoint()) != checkpoint) {
    return Error(Code::kDataLoss, "record {} does not create checkpoint {}", sequence,
                 checkpoint.ToString());
  }
  NIMBUS_ASSIGN_OR_RETURN(const uint32_t step, NumberOf(StepOf(*view), sequence));
  return CheckpointInfo{.id = checkpoint, .step = step, .sequence = sequence};
}

absl::StatusOr<std::vector<CheckpointInfo>> Session::CheckpointsOf(uint32_t step) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.ReadStepAdded(step));
  const Uuid id = Uuid::FromFb(*view->record->event_as_StepAdded()->step());
  std::vector<CheckpointInfo> checkpoints;
  for (uint64_t version = view->envelope().version() + 1; version <= this->version(); ++version) {
    NIMBUS_ASSIGN_OR_RETURN(view, stream_.Read(version));
    if (view->record->event_type() == Event::StepAdded) break;
    const auto* created = view->record->event_as_CheckpointCreated();
    if (created == nullptr || StepOf(*view) != id) continue;
    checkpoints.push_back({Uuid::FromFb(*created->checkpoint()), step, view->sequence});
  }
  return checkpoints;
}

absl::Status Session::ForEachPoint(const StepVisitor& visit_step,
                                   const CheckpointVisitor& visit_checkpoint) {
  for (uint64_t version = 1; version <= this->version(); ++version) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.Read(version));
    if (view->record->event_type() == Event::StepAdded) {
      NoteAdded(*view);
      NIMBUS_ASSIGN_OR_RETURN(const StepInfo info, InfoOf(*view));
      NIMBUS_RETURN_IF_ERROR(visit_step(info));
    } else if (const auto* created = view->record->event_as_CheckpointCreated()) {
      CheckpointInfo info{.id = Uuid::FromFb(*created->checkpoint()), .sequence = view->sequence};
      NIMBUS_ASSIGN_OR_RETURN(info.step, NumberOf(StepOf(*view), info.sequence));
      NIMBUS_RETURN_IF_ERROR(visit_checkpoint(info));
    }
  }
  return absl::OkStatus();
}

// The event at `version`; the state is as before. `body`, unless null, is valid until
// another one is read, of kStep only.
absl::StatusOr<Moment> Session::ReadMoment(uint64_t version, const schema::fb::Body** body) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.Read(version));
  Moment moment{.kind = *KindOf(*view), .sequence = view->sequence};
  if (moment.kind != Kind::kStart) {
    NIMBUS_ASSIGN_OR_RETURN(moment.step, NumberOf(StepOf(*view), moment.sequence));
    NIMBUS_ASSIGN_OR_RETURN(view, stream_.Read(version));  // as good as free, as a rule
  }
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* own, stream_.Body(*view));
  moment.digest = DigestOf(own);
  moment.patched = own != nullptr && own->patch() != nullptr;
  if (body != nullptr) *body = own;
  if (moment.kind != Kind::kStep) NIMBUS_RETURN_IF_ERROR(ReadState(version, own, &moment));
  return moment;
}

absl::Status Session::ReadState(uint64_t version, const schema::fb::Body* body, Moment* moment) {
  if (body == nullptr || body->state() == nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<ForkOrigin> origin, ForkAt(version));
    if (origin.has_value()) return Inherit(*origin, moment);
    moment->state = Json();
    return absl::OkStatus();
  }
  absl::StatusOr<Json> state = Json::Parse(body->state()->string_view(), options_.state.limits);
  if (!state.ok()) {
    return Error(Code::kDataLoss, "the state in record {}: {}", moment->sequence,
                 MessageOf(state.status()));
  }
  moment->state = *std::move(state);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Session::Ahead>> Session::Peek() {
  scanned_ = std::max(scanned_, at_);
  while (scanned_ < version()) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.Read(scanned_ + 1));
    if (!Sees(view->sequence)) break;
    if (const std::optional<Kind> kind = KindOf(*view)) {
      return std::optional<Ahead>(
          {.kind = *kind, .sequence = view->sequence, .version = scanned_ + 1});
    }
    NoteAdded(*view);
    ++scanned_;
  }
  return std::optional<Ahead>();
}

absl::StatusOr<std::optional<Moment>> Session::Next() {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Ahead> ahead, Peek());
  if (!ahead.has_value()) return std::nullopt;
  const schema::fb::Body* body = nullptr;
  NIMBUS_ASSIGN_OR_RETURN(Moment moment, ReadMoment(ahead->version, &body));
  switch (moment.kind) {
    case Kind::kStart:
      NIMBUS_RETURN_IF_ERROR(state_.Restore(*moment.state));
      break;
    case Kind::kCheckpoint:
      state_.MarkCheckpoint();
      break;
    case Kind::kStep:
      if (moment.patched) {
        moment.fold = state_.Fold(body->patch()->string_view());
      } else {
        state_.FoldUnchanged();
      }
      break;
  }
  at_ = ahead->version;
  sequence_ = moment.sequence;
  if (moment.kind != Kind::kStart) step_ = moment.step;
  return moment;
}

// The last version after `after` and up to `version` that tells the whole state; 0
// when there is none.
absl::StatusOr<uint64_t> Session::FindWhole(uint64_t version, uint64_t after) {
  for (; version > after; --version) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.Read(version));
    const std::optional<Kind> kind = KindOf(*view);
    if (kind.has_value() && *kind != Kind::kStep) return version;
  }
  return 0;
}

// The last one up to `version` that tells anything of the state; 0 when there is none.
absl::StatusOr<uint64_t> Session::FindMomentUpTo(uint64_t version) {
  for (; version > 0; --version) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.Read(version));
    if (KindOf(*view).has_value()) return version;
  }
  return 0;
}

// To the state right after the record `version`.
absl::Status Session::SeekTo(uint64_t version) {
  const bool forward = at_ <= version;
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t whole, FindWhole(version, forward ? at_ : 0));
  if (whole > 0) {
    NIMBUS_RETURN_IF_ERROR(Restore(whole));
  } else if (!forward) {
    Rewind();
  }
  return FoldUpTo(version);
}

// Takes the state from the start or checkpoint at `version`, and goes on after it.
absl::Status Session::Restore(uint64_t version) {
  NIMBUS_ASSIGN_OR_RETURN(Moment moment, ReadMoment(version, nullptr));
  return TakeState(version, &moment);
}

absl::Status Session::TakeState(uint64_t version, Moment* moment) {
  NIMBUS_RETURN_IF_ERROR(state_.Restore(*std::exchange(moment->state, std::nullopt)));
  at_ = version;
  scanned_ = version;
  sequence_ = moment->sequence;
  step_ = moment->step;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Session::Skip>> Session::SkipToWhole(uint64_t until) {
  Skip skip;
  bool ahead = true;  // what Next would go to has not been passed
  for (uint64_t version = at_ + 1; version <= this->version(); ++version) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.Read(version));
    if (!Sees(view->sequence)) break;
    NoteAdded(*view);
    const std::optional<Kind> kind = KindOf(*view);
    if (kind == Kind::kStep) {
      if (view->sequence > until) break;
      ++skip.steps;
    }
    if (!kind.has_value() || std::exchange(ahead, false) || kind == Kind::kStep) continue;
    absl::StatusOr<Moment> moment = ReadMoment(version, nullptr);
    if (journal::IsArchiveAbsent(moment.status())) continue;
    NIMBUS_RETURN_IF_ERROR(moment.status());
    skip.to = *std::move(moment);
    NIMBUS_RETURN_IF_ERROR(TakeState(version, &skip.to));
    return std::optional<Skip>(std::move(skip));
  }
  return std::optional<Skip>();
}

// Goes on to `version` as Next does, without what only those want who compare.
absl::Status Session::FoldUpTo(uint64_t version) {
  for (uint64_t next = at_ + 1; next <= version; ++next) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.Read(next));
    const std::optional<Kind> kind = KindOf(*view);
    if (kind == Kind::kStart) {
      NIMBUS_RETURN_IF_ERROR(Restore(next));
    } else if (kind.has_value()) {
      const uint64_t sequence = view->sequence;
      NIMBUS_RETURN_IF_ERROR(FoldRecord(*view, *kind));
      at_ = next;
      scanned_ = next;
      sequence_ = sequence;
    } else {
      NoteAdded(*view);
    }
  }
  return SettleStep();
}

absl::Status Session::FoldRecord(const RecordView& view, Kind kind) {
  const uint64_t sequence = view.sequence;
  const Uuid step = StepOf(view);
  if (kind == Kind::kCheckpoint) {
    state_.MarkCheckpoint();
  } else {
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream_.Body(view));
    if (body == nullptr || body->patch() == nullptr) {
      state_.FoldUnchanged();
    } else if (const absl::Status fold = state_.Fold(body->patch()->string_view()); !fold.ok()) {
      NIMBUS_ASSIGN_OR_RETURN(const uint32_t number, NumberOf(step, sequence));
      return Error(Code::kDataLoss, "record {}, step {}: its patch does not apply: {}", sequence,
                   number, MessageOf(fold));
    }
  }
  ended_ = step;
  return absl::OkStatus();
}

// Looks up the number of the step that FoldRecord met last.
absl::Status Session::SettleStep() {
  if (!ended_.has_value()) return absl::OkStatus();
  const Uuid step = *std::exchange(ended_, std::nullopt);
  NIMBUS_ASSIGN_OR_RETURN(step_, NumberOf(step, sequence_));
  return absl::OkStatus();
}

absl::Status Session::SeekToStart() {
  Rewind();
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Ahead> ahead, Peek());
    if (!ahead.has_value() || ahead->kind != Kind::kStart) return absl::OkStatus();
    NIMBUS_RETURN_IF_ERROR(Next().status());
  }
}

void Session::Rewind() {
  NIMBUS_CHECK(state_.Restore(Json()).ok());  // null is within any limits
  at_ = 0;
  scanned_ = 0;
  sequence_ = 0;
  step_ = 0;
}

absl::StatusOr<uint64_t> Session::VersionOf(const CheckpointInfo& checkpoint) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.ReadAt(checkpoint.sequence));
  return view->envelope().version();
}

absl::Status Session::SeekToCheckpoint(const Uuid& checkpoint) {
  NIMBUS_ASSIGN_OR_RETURN(const CheckpointInfo info, FindCheckpoint(checkpoint));
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t version, VersionOf(info));
  return Restore(version);
}

absl::StatusOr<Moment> Session::ReadCheckpoint(const Uuid& checkpoint) {
  NIMBUS_ASSIGN_OR_RETURN(const CheckpointInfo info, FindCheckpoint(checkpoint));
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t version, VersionOf(info));
  return ReadMoment(version, nullptr);
}

// The version that ended this step.
absl::StatusOr<uint64_t> Session::EndOf(uint32_t step) {
  NIMBUS_ASSIGN_OR_RETURN(const StepInfo info, FindStep(step));
  if (!info.ended.has_value()) {
    return Error(Code::kFailedPrecondition, "step {} has not ended", step);
  }
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* ended, stream_.ReadAt(*info.ended));
  if (KindOf(*ended) != Kind::kStep || StepOf(*ended) != info.id) {
    return Error(Code::kDataLoss, "record {} does not end step {}", *info.ended, step);
  }
  return ended->envelope().version();
}

absl::Status Session::SeekToStep(uint32_t number) {
  if (number == 0) return SeekToStart();
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t version, EndOf(number));
  return SeekTo(version);
}

absl::Status Session::SeekToEnd() { return SeekTo(version()); }

absl::StatusOr<std::optional<Moment>> Session::Previous() {
  if (at_ == 0) return std::nullopt;
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t to, FindMomentUpTo(at_ - 1));
  if (to == 0) {
    Rewind();
    return std::nullopt;
  }
  NIMBUS_RETURN_IF_ERROR(SeekTo(to - 1));
  return Next();
}

// Where this operation was forked; nullopt when it is no fork, or not yet.
absl::StatusOr<std::optional<ForkOrigin>> Session::FindFork() {
  NIMBUS_ASSIGN_OR_RETURN(std::optional<ForkOrigin> origin, FindForkOrigin(*journal_, &stream_));
  if (origin.has_value() && !Sees(origin->sequence)) origin.reset();
  return origin;
}

// The fork that the start at `version` takes its state from; nullopt when it has one
// of its own.
absl::StatusOr<std::optional<ForkOrigin>> Session::ForkAt(uint64_t version) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.Read(version));
  if (KindOf(*view) != Kind::kStart) return std::optional<ForkOrigin>();
  if (view->record->event_type() == Event::OperationStarted) {
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream_.Body(*view));
    if (body != nullptr && body->state() != nullptr) return std::optional<ForkOrigin>();
  }
  return FindFork();
}

// The version, here in the parent, that `fork` goes on from; 0: before the first event.
absl::StatusOr<uint64_t> Session::VersionAt(const ForkOrigin& origin) {
  if (origin.checkpoint.has_value()) {
    NIMBUS_ASSIGN_OR_RETURN(const CheckpointInfo info, FindCheckpoint(*origin.checkpoint));
    return VersionOf(info);
  }
  if (origin.step > 0) return EndOf(origin.step);
  Rewind();
  uint64_t start = 0;
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Ahead> ahead, Peek());
    if (!ahead.has_value() || ahead->kind != Kind::kStart) return start;
    start = ahead->version;
    at_ = start;  // passed without a look at its state
  }
}

// From the parent of a fork up to an operation that has the state. It ends, since each
// is looked at as of before the fork that led to it.
absl::StatusOr<std::vector<Session::Hop>> Session::FindHops(const ForkOrigin& from) const {
  std::vector<Hop> hops;
  for (std::optional<ForkOrigin> origin = from; origin.has_value();) {
    Hop hop{.origin = *std::exchange(origin, std::nullopt)};
    absl::StatusOr<Session> parent =
        OpenBefore(*journal_, hop.origin.parent, options_, hop.origin.sequence);
    if (!parent.ok()) return OfParent(hop.origin, parent.status());
    const absl::StatusOr<uint64_t> to = parent->VersionAt(hop.origin);
    if (!to.ok()) return OfParent(hop.origin, to.status());
    hop.to = *to;
    NIMBUS_ASSIGN_OR_RETURN(hop.whole, parent->FindWhole(hop.to, 0));
    if (hop.whole > 0) {
      NIMBUS_ASSIGN_OR_RETURN(origin, parent->ForkAt(hop.whole));
    }
    hops.push_back(std::move(hop));
  }
  return hops;
}

absl::Status Session::OfParent(const ForkOrigin& origin, const absl::Status& status) {
  return schema::Annotate(
      status, fmt::format("operation {}, the parent of a fork", origin.parent.ToString()));
}

// The state that a fork starts from, and the digest recorded with it. A parent may be a
// fork itself, any number of times: from the one that has the state down again with it.
absl::Status Session::Inherit(const ForkOrigin& origin, Moment* moment) const {
  NIMBUS_ASSIGN_OR_RETURN(std::vector<Hop> hops, FindHops(origin));
  std::optional<Json> state;
  std::optional<schema::Digest> digest;
  for (; !hops.empty(); hops.pop_back()) {
    const Hop& hop = hops.back();
    NIMBUS_ASSIGN_OR_RETURN(
        Session parent, OpenBefore(*journal_, hop.origin.parent, options_, hop.origin.sequence));
    if (state.has_value()) {
      NIMBUS_RETURN_IF_ERROR(parent.state_.Restore(*std::move(state)));
      parent.at_ = hop.whole;
    } else if (hop.whole > 0) {
      NIMBUS_RETURN_IF_ERROR(OfParent(hop.origin, parent.Restore(hop.whole)));
    }
    NIMBUS_RETURN_IF_ERROR(OfParent(hop.origin, parent.FoldUpTo(hop.to)));
    state = parent.state_.document();
    if (hop.to == 0) continue;
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, parent.stream_.Read(hop.to));
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, parent.stream_.Body(*view));
    const std::optional<schema::Digest> own = DigestOf(body);
    // The start of a fork has none of its own: the state is still the one before.
    if (own.has_value() || KindOf(*view) != Kind::kStart) digest = own;
  }
  moment->state = *std::move(state);
  if (!moment->digest.has_value()) moment->digest = digest;
  return absl::OkStatus();
}

}  // namespace nimbus::replay
