#include "strict.h"

#include <utility>

#include "message.h"
#include "nimbus/journal/prune.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"
#include "steps.h"

namespace nimbus::replay {

using journal::RecordView;
using schema::Error;
using Code = absl::StatusCode;

namespace {

// What was appended was valid: what is read must be, too.
absl::Status CheckEvent(const RecordView& view, const schema::fb::Body* body) {
  schema::fb::RecordT record;
  view.record->UnPackTo(&record);
  if (record.event.value == nullptr) return absl::OkStatus();  // of a later version
  schema::Event event;
  event.stream_kind = view.envelope().stream_kind();
  event.stream = schema::Uuid::FromFb(view.envelope().stream());
  event.payload = std::move(record.event);
  if (body != nullptr) body->UnPackTo(&event.body);
  return schema::ValidateEvent(event);
}

class RecordCheck {
 public:
  RecordCheck(const journal::Journal& journal, const ReplayOptions& options, ReplayReport* report)
      : journal_(journal), options_(options), report_(*report) {}

  absl::Status Run(journal::StreamReader stream) {
    return WalkBack(&stream, [&](const RecordView& view) -> absl::StatusOr<bool> {
      if (options_.stop != nullptr && *options_.stop) return absl::CancelledError("interrupted");
      NIMBUS_RETURN_IF_ERROR(Visit(view, stream.Body(view)));
      return true;
    });
  }

 private:
  // From the last record to the first: what is found later comes before.
  absl::Status Visit(const RecordView& view, const absl::StatusOr<const schema::fb::Body*>& body) {
    if (journal::IsArchiveAbsent(body.status())) {
      NIMBUS_ASSIGN_OR_RETURN(report_.missing, MissingBody(journal_, body.status()));
      return absl::OkStatus();
    }
    const absl::Status status = body.ok() ? CheckEvent(view, *body) : body.status();
    if (status.ok()) return absl::OkStatus();
    if (!absl::IsDataLoss(status) && !absl::IsInvalidArgument(status)) return status;
    report_.divergence = DamagedRecord(report_.operation, view.sequence, status);
    NIMBUS_ASSIGN_OR_RETURN(report_.divergence->step, StepNumberOf(journal_, *view.record));
    return absl::OkStatus();
  }

  const journal::Journal& journal_;
  const ReplayOptions& options_;
  ReplayReport& report_;
};

}  // namespace

absl::Status CheckRecords(const journal::Journal& journal, const ReplayOptions& options,
                          ReplayReport* report) {
  NIMBUS_ASSIGN_OR_RETURN(journal::StreamReader stream,
                          journal::StreamReader::Open(journal, schema::fb::EntityKind::operation,
                                                      report->operation, options.session.reader));
  return RecordCheck(journal, options, report).Run(std::move(stream));
}

absl::Status CheckEnded(Session* session, ReplayReport* report) {
  std::optional<Missing> first;
  NIMBUS_RETURN_IF_ERROR(session->ForEachPoint(
      [&](const StepInfo& step) {
        if (step.ended.has_value() || first.has_value()) return absl::OkStatus();
        first = Missing{.operation = session->operation(),
                        .what = Missing::What::kStep,
                        .sequence = step.added,
                        .step = step.number};
        return absl::OkStatus();
      },
      [](const CheckpointInfo&) { return absl::OkStatus(); }));
  if (!first.has_value() && !journal::IsFinal(session->status())) {
    first = Missing{.operation = session->operation(),
                    .what = Missing::What::kOperation,
                    .sequence = session->created()};
  }
  if (first.has_value()) report->missing = std::move(first);
  return absl::OkStatus();
}

bool LacksDigest(const Moment& moment, const State& state, const StateOptions& options) {
  if (moment.digest.has_value()) return false;
  // A start and a checkpoint are journaled whole, and always with a digest.
  return moment.kind != Moment::Kind::kStep || state.bytes() <= options.digest_floor_bytes;
}

absl::StatusOr<Missing> MissingBody(const journal::Journal& journal, const absl::Status& status) {
  Missing missing{.what = Missing::What::kBody, .detail = MessageOf(status)};
  missing.sequence = journal::AbsentRecord(status).value_or(0);
  journal::Reader reader(journal);
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader.Read(missing.sequence));
  missing.operation = schema::Uuid::FromFb(view->envelope().stream());
  NIMBUS_ASSIGN_OR_RETURN(missing.step, StepNumberOf(journal, *view->record));
  return missing;
}

Divergence DamagedRecord(const schema::Uuid& operation, uint64_t sequence,
                         const absl::Status& status) {
  return {.operation = operation,
          .what = Divergence::What::kRecord,
          .sequence = sequence,
          .detail = MessageOf(status)};
}

}  // namespace nimbus::replay
