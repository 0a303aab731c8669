#include "steps.h"

#include <algorithm>
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

absl::StatusOr<std::vector<uint32_t>> EndedSteps(Session* session) {
  std::vector<std::pair<uint64_t, uint32_t>> ended;
  NIMBUS_RETURN_IF_ERROR(session->ForEachPoint(
      [&](const StepInfo& step) {
        if (step.ended.has_value()) ended.emplace_back(*step.ended, step.number);
        return absl::OkStatus();
      },
      [](const CheckpointInfo&) { return absl::OkStatus(); }));
  std::sort(ended.begin(), ended.end());
  std::vector<uint32_t> numbers;
  for (const auto& [sequence, number] : ended) numbers.push_back(number);
  return numbers;
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
