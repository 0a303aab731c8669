#include "steps.h"

#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::replay {

using journal::RecordView;
using schema::Error;
using schema::Uuid;
using Code = absl::StatusCode;
using Event = schema::fb::Event;

absl::StatusOr<StepInfo> FindEndedStep(Session* session, uint32_t number) {
  NIMBUS_ASSIGN_OR_RETURN(StepInfo step, session->FindStep(number));
  if (step.ended.has_value()) return step;
  return Error(Code::kFailedPrecondition, "step {} has not ended", number);
}

absl::StatusOr<StepEnds> StepEnds::Open(const journal::Journal& journal, const Session& session,
                                        const journal::ReaderOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(journal::StreamReader stream,
                          journal::StreamReader::Open(journal, schema::fb::EntityKind::operation,
                                                      session.operation(), options));
  return StepEnds(journal, std::move(stream), session.version());
}

absl::StatusOr<std::optional<uint64_t>> StepEnds::First(uint64_t from, uint64_t to) {
  for (uint64_t version = from; version < to; ++version) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.Read(version));
    if (IsStepEnd(*view->record)) return std::optional<uint64_t>(version);
  }
  return std::optional<uint64_t>();
}

absl::StatusOr<std::optional<uint64_t>> StepEnds::Last(uint64_t from, uint64_t to) {
  for (uint64_t version = to; version-- > from;) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.Read(version));
    if (IsStepEnd(*view->record)) return std::optional<uint64_t>(version);
  }
  return std::optional<uint64_t>();
}

absl::StatusOr<uint32_t> StepEnds::StepOf(uint64_t version) {
  if (version == 0) return 0;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* ended, stream_.Read(version));
  const uint64_t sequence = ended->sequence;
  const schema::fb::Id* id = StepIdOf(*ended->record);
  if (id != nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> step,
                            journal_->FindEntity(schema::fb::EntityKind::step, Uuid::FromFb(*id)));
    if (step.has_value()) {
      NIMBUS_ASSIGN_OR_RETURN(const RecordView* added, stream_.ReadAt(step->first_sequence));
      return added->envelope().ordinal();
    }
  }
  return Error(Code::kDataLoss, "record {} names no step of operation {}", sequence,
               stream_.entity().id.ToString());
}

absl::StatusOr<uint64_t> StepEnds::VersionOf(const StepInfo& step) {
  if (step.number == 0) return 0;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* ended, stream_.ReadAt(step.ended.value_or(step.added)));
  return ended->envelope().version();
}

absl::StatusOr<std::optional<ForkOrigin>> FindForkOrigin(const journal::Journal& journal,
                                                         journal::StreamReader* stream) {
  const Uuid& operation = stream->entity().id;
  NIMBUS_ASSIGN_OR_RETURN(
      const std::optional<Uuid> forked,
      journal.FindName(schema::fb::EntityKind::operation, "fork", operation.ToString()));
  if (!forked.has_value()) return std::optional<ForkOrigin>();
  for (uint64_t version = 1; version <= stream->version(); ++version) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream->Read(version));
    // A fork has no step of its own yet.
    if (view->record->event_type() == Event::StepAdded) break;
    const schema::fb::OperationForked* event = view->record->event_as_OperationForked();
    if (event == nullptr) continue;
    ForkOrigin origin{.parent = Uuid::FromFb(*event->parent()),
                      .checkpoint = std::nullopt,
                      .step = event->step_number(),
                      .sequence = view->sequence};
    if (event->checkpoint() != nullptr) origin.checkpoint = Uuid::FromFb(*event->checkpoint());
    return std::optional<ForkOrigin>(origin);
  }
  return std::optional<ForkOrigin>();
}

Point PointOf(const ForkOrigin& origin) {
  if (!origin.checkpoint.has_value()) return {.kind = Point::Kind::kStep, .step = origin.step};
  return {.kind = Point::Kind::kCheckpoint, .checkpoint = *origin.checkpoint};
}

absl::Status WalkBack(journal::StreamReader* stream,
                      const std::function<absl::StatusOr<bool>(const RecordView&)>& visit) {
  NIMBUS_RETURN_IF_ERROR(stream->Seek(stream->version() + 1));
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream->Previous());
    if (view == nullptr) return absl::OkStatus();
    NIMBUS_ASSIGN_OR_RETURN(const bool go_on, visit(*view));
    if (!go_on) return absl::OkStatus();
  }
}

bool IsStepEnd(const schema::fb::Record& record) {
  return record.event_type() == Event::StepCompleted || record.event_type() == Event::StepFailed ||
         record.event_type() == Event::StepCancelled;
}

const schema::fb::Id* StepIdOf(const schema::fb::Record& record) {
  switch (record.event_type()) {
    case Event::StepAdded:
      return record.event_as_StepAdded()->step();
    case Event::StepStarted:
      return record.event_as_StepStarted()->step();
    case Event::StepCompleted:
      return record.event_as_StepCompleted()->step();
    case Event::StepFailed:
      return record.event_as_StepFailed()->step();
    case Event::StepCancelled:
      return record.event_as_StepCancelled()->step();
    case Event::StepAttemptFailed:
      return record.event_as_StepAttemptFailed()->step();
    case Event::CheckpointCreated:
      return record.event_as_CheckpointCreated()->step();
    default:
      return nullptr;
  }
}

const schema::fb::Outcome* StepOutcomeOf(const schema::fb::Record& record) {
  const bool attempt = record.event_type() == Event::StepAttemptFailed;
  if (attempt) return record.event_as_StepAttemptFailed()->outcome();
  return IsStepEnd(record) ? OutcomeOf(record) : nullptr;
}

const schema::fb::Outcome* OutcomeOf(const schema::fb::Record& record) {
  switch (record.event_type()) {
    case Event::StepCompleted:
      return record.event_as_StepCompleted()->outcome();
    case Event::StepFailed:
      return record.event_as_StepFailed()->outcome();
    case Event::StepCancelled:
      return record.event_as_StepCancelled()->outcome();
    case Event::OperationCompleted:
      return record.event_as_OperationCompleted()->outcome();
    case Event::OperationFailed:
      return record.event_as_OperationFailed()->outcome();
    case Event::OperationCancelled:
      return record.event_as_OperationCancelled()->outcome();
    default:
      return nullptr;
  }
}

std::optional<schema::Digest> DigestOf(const schema::fb::Body* body) {
  if (body == nullptr || body->digest() == nullptr) return std::nullopt;
  return schema::FromFb(*body->digest());
}

absl::StatusOr<uint32_t> StepNumberOf(const journal::Journal& journal,
                                      const schema::fb::Record& record) {
  const schema::fb::Id* id = StepIdOf(record);
  if (id == nullptr) return 0;
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> step,
                          journal.FindEntity(schema::fb::EntityKind::step, Uuid::FromFb(*id)));
  if (!step.has_value()) return 0;
  journal::Reader reader(journal);
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* added, reader.Read(step->first_sequence));
  return added->envelope().ordinal();
}

absl::StatusOr<uint32_t> StepNumberAt(const journal::Journal& journal, uint64_t sequence) {
  journal::Reader reader(journal);
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader.Read(sequence));
  return StepNumberOf(journal, *view->record);
}

}  // namespace nimbus::replay
