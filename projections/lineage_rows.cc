#include "lineage_rows.h"

#include <algorithm>
#include <string>

#include "nimbus/schema/digest.h"
#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Error;
using schema::Uuid;
using sqlite::Statement;

std::optional<std::string> Hex(const fb::Digest* digest) {
  if (digest == nullptr) return std::nullopt;
  return schema::ToHex(schema::FromFb(*digest));
}

// A verdict's name; of one this version does not know, its number.
std::string VerdictText(fb::ReplayVerdict verdict) {
  const std::string_view name = fb::EnumNameReplayVerdict(verdict);
  return name.empty() ? fmt::format("{}", static_cast<int>(verdict)) : std::string(name);
}

constexpr char kForkColumns[] =
    "SELECT rowid, operation_id, parent_id, checkpoint_id, step_number, created_at FROM forks ";

absl::StatusOr<Fork> ReadFork(const Statement& row) {
  RowReader reader(row);
  Fork found{.operation = reader.Id(1),
             .parent = reader.Id(2),
             .checkpoint = std::nullopt,
             .step_number = row.OptionalInt(4),
             .created_at_us = reader.Time(5),
             .sequence = reader.sequence()};
  if (!row.IsNull(3)) found.checkpoint = reader.Id(3);
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return found;
}

constexpr char kReceiptColumns[] =
    "SELECT rowid, id, operation_id, verdict, records, root, first_sequence, last_sequence, steps, "
    "state_digest, divergence, created_at FROM replay_receipts ";

absl::StatusOr<ReplayReceipt> ReadReceipt(const Statement& row) {
  RowReader reader(row);
  ReplayReceipt receipt{.id = reader.Id(1),
                        .operation = reader.Id(2),
                        .verdict = reader.Member(3, "verdict", fb::EnumValuesReplayVerdict(),
                                                 &fb::EnumNameReplayVerdict),
                        .records = row.Int(4),
                        .root = row.OptionalText(5),
                        .first_sequence = row.Int(6),
                        .last_sequence = row.Int(7),
                        .steps = row.Int(8),
                        .state_digest = row.OptionalText(9),
                        .divergence = row.OptionalText(10),
                        .created_at_us = reader.Time(11),
                        .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return receipt;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RowWriter>> LineageWriter::Create(sqlite::Connection* database) {
  std::unique_ptr<LineageWriter> writer(new LineageWriter(database));
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database, {{&writer->add_fork_,
                  "INSERT INTO forks (rowid, operation_id, parent_id, checkpoint_id, step_number, "
                  "created_at) SELECT ?1, ?2, ?3, ?4, ?5, ?6 "
                  "WHERE EXISTS (SELECT 1 FROM operations WHERE id = ?2) "
                  "AND EXISTS (SELECT 1 FROM operations WHERE id = ?3) "
                  "AND (?4 IS NULL OR EXISTS (SELECT 1 FROM checkpoints WHERE id = ?4))"},
                 {&writer->add_receipt_,
                  "INSERT INTO replay_receipts (rowid, id, operation_id, verdict, records, root, "
                  "first_sequence, last_sequence, steps, state_digest, divergence, created_at) "
                  "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 "
                  "WHERE EXISTS (SELECT 1 FROM operations WHERE id = ?3)"}}));
  return writer;
}

bool LineageWriter::NeedsBody(fb::Event type) const { return type == fb::Event::OperationReplayed; }

absl::Status LineageWriter::Apply(const AppliedRecord& record) {
  const fb::Record& r = record.record();
  switch (r.event_type()) {
    case fb::Event::OperationForked:
      return AddFork(record, *r.event_as_OperationForked());
    case fb::Event::OperationReplayed:
      return AddReceipt(record, *r.event_as_OperationReplayed());
    default:
      return Error(absl::StatusCode::kInternal, "event {} is none of lineage's",
                   fb::EnumNameEvent(r.event_type()));
  }
}

absl::Status LineageWriter::AddFork(const AppliedRecord& record, const fb::OperationForked& event) {
  const std::string operation = StreamId(record), parent = IdText(*event.parent());
  std::optional<std::string> checkpoint;
  std::optional<int64_t> step;
  if (event.checkpoint() != nullptr) {
    checkpoint = IdText(*event.checkpoint());
  } else {
    step = event.step_number();
  }
  NIMBUS_RETURN_IF_ERROR(
      add_fork_->Run(record.rowid(), operation, parent, checkpoint, step, Time(record)));
  if (database_->changes() > 0) return absl::OkStatus();
  return Error(absl::StatusCode::kNotFound,
               "operation {}, its parent {} or the checkpoint it began with has no row", operation,
               parent);
}

absl::Status LineageWriter::AddReceipt(const AppliedRecord& record,
                                       const fb::OperationReplayed& event) {
  const fb::Body* body = record.body;
  const std::string operation = StreamId(record);
  NIMBUS_ASSIGN_OR_RETURN(const auto records, SqlInteger("records", event.records()));
  NIMBUS_ASSIGN_OR_RETURN(const auto first, SqlInteger("first", event.first()));
  NIMBUS_ASSIGN_OR_RETURN(const auto last, SqlInteger("last", event.last()));
  NIMBUS_RETURN_IF_ERROR(add_receipt_->Run(
      record.rowid(), IdText(*event.receipt()), operation, VerdictText(event.verdict()), records,
      Hex(event.root()), first, last, static_cast<int64_t>(event.steps()),
      Hex(body == nullptr ? nullptr : body->digest()),
      Text(body == nullptr ? nullptr : body->output()), Time(record)));
  return RequireChange(*database_, "operation", operation);
}

absl::StatusOr<LineageReader> LineageReader::Create(sqlite::Connection* database) {
  LineageReader reader;
  const std::string forks = kForkColumns, receipts = kReceiptColumns;
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database, {{&reader.forks_of_, forks + "WHERE parent_id = ? ORDER BY rowid"},
                 {&reader.fork_origin_, forks + "WHERE operation_id = ?"},
                 {&reader.receipts_of_, receipts + "WHERE operation_id = ? ORDER BY rowid"}}));
  return reader;
}

absl::StatusOr<std::vector<Fork>> LineageReader::ForksOf(const Uuid& operation) {
  const std::string id = operation.ToString();
  return ReadAll(&*forks_of_, forks_of_->First(id), &ReadFork);
}

absl::StatusOr<std::optional<Fork>> LineageReader::ForkOrigin(const Uuid& operation) {
  const std::string id = operation.ToString();
  return ReadOne(&*fork_origin_, fork_origin_->First(id), &ReadFork);
}

absl::StatusOr<std::vector<ReplayReceipt>> LineageReader::ReceiptsOf(const Uuid& operation) {
  const std::string id = operation.ToString();
  return ReadAll(&*receipts_of_, receipts_of_->First(id), &ReadReceipt);
}

}  // namespace nimbus::projections
