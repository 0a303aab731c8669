#include "rows.h"

#include <algorithm>
#include <limits>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/status.h"

namespace nimbus::projections {

using schema::Error;
using schema::Uuid;

absl::Status PrepareAll(sqlite::Connection* database, StatementTexts statements) {
  for (const auto& [statement, sql] : statements) {
    NIMBUS_ASSIGN_OR_RETURN(*statement, database->Prepare(sql));
  }
  return absl::OkStatus();
}

absl::Status NoRow(std::string_view what, std::string_view id) {
  return Error(absl::StatusCode::kNotFound, "{} {} has no row", what, id);
}

absl::Status RequireChange(const sqlite::Connection& database, std::string_view what,
                           std::string_view id) {
  return database.changes() > 0 ? absl::OkStatus() : NoRow(what, id);
}

std::optional<std::string_view> Text(const flatbuffers::String* text) {
  if (text == nullptr) return std::nullopt;
  return std::string_view(text->data(), text->size());
}

std::optional<std::string> Time(const AppliedRecord& record) {
  const std::optional<int64_t> micros = schema::OccurredAt(record.record());
  if (!micros) return std::nullopt;
  return schema::FormatUtc(*micros);
}

std::string StreamId(const AppliedRecord& record) { return record.stream().ToString(); }

std::string IdText(const schema::fb::Id& id) { return Uuid::FromFb(id).ToString(); }

std::string ErasedMark(uint64_t sequence) { return fmt::format(R"({{"$erased":{}}})", sequence); }

std::optional<std::string_view> JsonOrEmptyObject(const AppliedRecord& record,
                                                  const flatbuffers::String* text) {
  if (record.erased) return std::nullopt;
  return Text(text).value_or("{}");
}

absl::StatusOr<std::optional<int64_t>> SqlInteger(std::string_view name,
                                                  flatbuffers::Optional<uint64_t> value) {
  if (!value.has_value()) return std::nullopt;
  if (*value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return Error(absl::StatusCode::kOutOfRange, "{} {} is more than SQLite can hold", name, *value);
  }
  return static_cast<int64_t>(*value);
}

int64_t SqlCount(uint64_t count) {
  return static_cast<int64_t>(
      std::min(count, static_cast<uint64_t>(std::numeric_limits<int64_t>::max())));
}

Uuid RowReader::Id(int column) {
  absl::StatusOr<Uuid> id = schema::ParseUuid(row_.Text(column));
  if (id.ok()) return *id;
  Fail("id", column);
  return {};
}

std::optional<int64_t> RowReader::Time(int column) {
  if (row_.IsNull(column)) return std::nullopt;
  const std::optional<int64_t> micros = schema::ParseUtc(row_.Text(column));
  if (!micros) Fail("time", column);
  return micros;
}

void RowReader::Fail(std::string_view what, int column) {
  if (!status_.ok()) return;
  status_ = Error(absl::StatusCode::kDataLoss, "the row of record {} holds {} '{}'", rowid_, what,
                  row_.Text(column));
}

}  // namespace nimbus::projections
