// What the writers and readers of all tables share: a record as a row sees it, its
// texts and times as columns, and rows read back with a check of what they hold.
//
// Foreign keys are not enforced by SQLite, because tables of one version refer to
// tables of a later one: a statement that makes a row selects its parent. A row's
// rowid is the sequence of the record that made it, so that rows of one time have an
// order. Times come from the journal, never from SQLite's clock.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/event.h"
#include "sqlite.h"

namespace nimbus::projections {

// A record with its body.
struct AppliedRecord {
  const journal::RecordView& view;
  const schema::fb::Body* body = nullptr;  // null: none recorded, or erased
  bool erased = false;

  uint64_t sequence() const { return view.sequence; }
  int64_t rowid() const { return static_cast<int64_t>(view.sequence); }
  const schema::fb::Record& record() const { return *view.record; }
  schema::Uuid stream() const { return schema::Uuid::FromFb(view.envelope().stream()); }
  // Null when the body has none.
  const schema::fb::Details* details() const { return body == nullptr ? nullptr : body->details(); }
};

// Event to rows, of some tables. Each event is applied whole or not: by one
// statement, or by several of which a later one fails only for SQLite's reasons.
//
// A writer may keep a row back, to write it once with all that a batch makes of it. What
// it keeps it has copied, and writes before another writer's record is applied and before
// the transaction ends: then Flush is called. A row is as it would be without.
class RowWriter {
 public:
  virtual ~RowWriter() = default;

  // Whether events of this type, which are the writer's own, change rows at all, and
  // whether their body is needed for that.
  virtual bool NeedsBody(schema::fb::Event type) const = 0;

  // NotFound: the row it changes or refers to does not exist. OutOfRange: a number
  // that SQLite can't hold. Else the error of SQLite.
  virtual absl::Status Apply(const AppliedRecord& record) = 0;

  // Fails as Apply, for any of the records since the last call; what was kept back is
  // forgotten then.
  virtual absl::Status Flush() { return absl::OkStatus(); }
};

using StatementTexts =
    std::initializer_list<std::pair<std::optional<sqlite::Statement>*, std::string>>;
absl::Status PrepareAll(sqlite::Connection* database, StatementTexts statements);

// NotFound.
absl::Status NoRow(std::string_view what, std::string_view id);

// NoRow unless the statement just run touched a row.
absl::Status RequireChange(const sqlite::Connection& database, std::string_view what,
                           std::string_view id);

// Columns of a record.

// A text, or NULL when there is none. Valid as long as the body.
std::optional<std::string_view> Text(const flatbuffers::String* text);
std::optional<std::string> Time(const AppliedRecord& record);  // when it happened
std::string StreamId(const AppliedRecord& record);
std::string IdText(const schema::fb::Id& id);
// What stands for an erased body in a column that can't be NULL.
std::string ErasedMark(uint64_t sequence);
// JSON that is {} when the event has none; NULL when it was erased.
std::optional<std::string_view> JsonOrEmptyObject(const AppliedRecord& record,
                                                  const flatbuffers::String* text);
// OutOfRange when SQLite can't hold it.
absl::StatusOr<std::optional<int64_t>> SqlInteger(std::string_view name,
                                                  flatbuffers::Optional<uint64_t> value);
// SQLite's LIMIT and OFFSET are signed.
int64_t SqlCount(uint64_t count);

// Reads the columns of a row whose first is its rowid, one by one; the first that
// holds what it can't is remembered as DataLoss.
class RowReader {
 public:
  explicit RowReader(const sqlite::Statement& row) : row_(row), rowid_(row.Int(0)) {}

  uint64_t sequence() const { return static_cast<uint64_t>(rowid_); }
  schema::Uuid Id(int column);
  std::optional<int64_t> Time(int column);  // microseconds
  // The member of `values` that `name_of` names as the column does.
  template <typename Enum, size_t count>
  Enum Member(int column, std::string_view what, const Enum (&values)[count],
              const char* (*name_of)(Enum)) {
    for (const Enum value : values) {
      if (row_.Text(column) == name_of(value)) return value;
    }
    Fail(what, column);
    return values[0];
  }
  void Fail(std::string_view what, int column);
  const absl::Status& status() const { return status_; }

 private:
  const sqlite::Statement& row_;
  const int64_t rowid_;
  absl::Status status_;
};

// The row `rows` is at, if `found`, and all that follow.
template <typename Row>
absl::StatusOr<std::vector<Row>> ReadAll(sqlite::Statement* rows, absl::StatusOr<bool> found,
                                         absl::StatusOr<Row> (*read)(const sqlite::Statement&)) {
  std::vector<Row> all;
  for (; found.ok() && *found; found = rows->Next()) {
    absl::StatusOr<Row> row = read(*rows);
    if (!row.ok()) {
      rows->Reset();
      return std::move(row).status();
    }
    all.push_back(*std::move(row));
  }
  if (!found.ok()) return std::move(found).status();
  return all;
}

template <typename Row>
absl::StatusOr<std::optional<Row>> ReadOne(sqlite::Statement* rows, absl::StatusOr<bool> found,
                                           absl::StatusOr<Row> (*read)(const sqlite::Statement&)) {
  NIMBUS_ASSIGN_OR_RETURN(std::vector<Row> all, ReadAll(rows, std::move(found), read));
  if (all.empty()) return std::nullopt;
  return std::move(all.front());
}

}  // namespace nimbus::projections
