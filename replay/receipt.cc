#include "nimbus/replay/receipt.h"

#include <memory>
#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::replay {

using schema::Error;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

namespace {

schema::Event ReceiptEvent(const schema::Uuid& id, const ReplayReport& report,
                           const journal::Stat& stat) {
  schema::fb::OperationReplayedT replayed;
  replayed.receipt = std::make_unique<schema::fb::Id>(id.ToFb());
  replayed.verdict = report.verdict();
  replayed.records = stat.records;
  replayed.root = std::make_unique<schema::fb::Digest>(schema::ToFb(stat.root));
  replayed.first = report.first_sequence;
  replayed.last = report.last_sequence;
  replayed.steps = static_cast<uint32_t>(report.steps);
  schema::Event event =
      schema::MakeEvent(EntityKind::operation, report.operation, std::move(replayed));
  if (report.digest.has_value()) {
    event.body.digest = std::make_unique<schema::fb::Digest>(schema::ToFb(*report.digest));
  }
  if (report.divergence.has_value()) {
    event.body.output = report.divergence->ToJson().Dump();
  } else if (report.missing.has_value()) {
    event.body.context = report.missing->ToJson().Dump();
  }
  return event;
}

}  // namespace

absl::StatusOr<Receipt> RecordReceipt(journal::Journal* journal, const ReplayReport& report) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> operation,
                          journal->FindEntity(EntityKind::operation, report.operation));
  if (!operation.has_value()) {
    return Error(Code::kNotFound, "no operation {}", report.operation.ToString());
  }
  if (!journal::IsFinal(static_cast<journal::Lifecycle>(operation->state))) {
    return Error(Code::kFailedPrecondition,
                 "operation {} has not ended: a receipt would come between its recorder's events",
                 report.operation.ToString());
  }
  NIMBUS_ASSIGN_OR_RETURN(const journal::Stat stat, journal->GetStat());
  const schema::Uuid id = schema::NewUuid();
  NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended,
                          journal->Append(ReceiptEvent(id, report, stat)));
  return Receipt{.id = id, .sequence = appended.first};
}

}  // namespace nimbus::replay
