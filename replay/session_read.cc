// What stands in the bodies of an operation's events.
#include "nimbus/replay/session.h"
#include "nimbus/schema/status.h"
#include "steps.h"

namespace nimbus::replay {

using journal::RecordView;
using schema::Error;
using schema::Uuid;
using Code = absl::StatusCode;

namespace {

std::string Text(const flatbuffers::String* text) { return text == nullptr ? "" : text->str(); }

}  // namespace

absl::StatusOr<OperationRecord> Session::ReadOperation() {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.Read(1));
  const schema::fb::OperationCreated* created = view->record->event_as_OperationCreated();
  if (created == nullptr) {
    return Error(Code::kDataLoss, "record {} begins operation {} but does not create it",
                 view->sequence, operation_.ToString());
  }
  OperationRecord read{.session = Uuid::FromFb(*created->session()),
                       .type = Text(created->type()),
                       .name = {},
                       .input = {},
                       .created_at_us = schema::OccurredAt(*view->record)};
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream_.Body(*view));
  if (body == nullptr) return read;
  read.name = Text(body->name());
  read.input = Text(body->input());
  return read;
}

absl::StatusOr<StepRecord> Session::ReadStep(uint32_t number) {
  NIMBUS_ASSIGN_OR_RETURN(const StepInfo step, FindStep(number));
  StepRecord read;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* added, stream_.ReadAt(step.added));
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* intent, stream_.Body(*added));
  if (intent != nullptr) read.input = Text(intent->input());
  if (!step.ended.has_value()) return read;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* ended, stream_.ReadAt(*step.ended));
  if (const schema::fb::Outcome* outcome = OutcomeOf(*ended->record)) {
    read.outcome.emplace();
    outcome->UnPackTo(&*read.outcome);
  }
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* result, stream_.Body(*ended));
  if (result == nullptr) return read;
  read.output = Text(result->output());
  read.error = Text(result->error());
  read.patch = Text(result->patch());
  read.digest = DigestOf(result);
  return read;
}

absl::StatusOr<std::string> Session::ReadCheckpointName(const CheckpointInfo& checkpoint) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream_.ReadAt(checkpoint.sequence));
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream_.Body(*view));
  return body == nullptr ? "" : Text(body->name());
}

}  // namespace nimbus::replay
