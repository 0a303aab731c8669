// What the live generation says of itself, and to questions in SQL.
#include <sys/stat.h>

#include <utility>

#include "digest.h"
#include "migrator.h"
#include "views.h"

namespace nimbus::projections {
namespace {

using schema::Error;
using sqlite::Connection;
using sqlite::Statement;
using Code = absl::StatusCode;

uint64_t SizeOf(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

absl::StatusOr<std::vector<std::string>> FirstColumn(Connection* database, std::string_view sql) {
  NIMBUS_ASSIGN_OR_RETURN(Statement rows, database->Prepare(sql));
  std::vector<std::string> all;
  NIMBUS_ASSIGN_OR_RETURN(bool found, rows.First());
  while (found) {
    all.emplace_back(rows.Text(0));
    NIMBUS_ASSIGN_OR_RETURN(found, rows.Next());
  }
  return all;
}

absl::StatusOr<std::vector<TableRows>> CountRows(Connection* database) {
  NIMBUS_ASSIGN_OR_RETURN(
      const std::vector<std::string> names,
      FirstColumn(database,
                  "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE "
                  "'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'nimbus\\_%' ESCAPE '\\' "
                  "ORDER BY name"));
  std::vector<TableRows> tables;
  for (const std::string& name : names) {
    // A name of our own schema, which no quote is in.
    NIMBUS_ASSIGN_OR_RETURN(const int64_t rows,
                            database->QueryInt(fmt::format("SELECT count(*) FROM \"{}\"", name)));
    tables.push_back({.table = name, .rows = static_cast<uint64_t>(rows)});
  }
  return tables;
}

absl::StatusOr<std::vector<std::string>> CheckDatabase(Connection* database) {
  NIMBUS_ASSIGN_OR_RETURN(std::vector<std::string> found,
                          FirstColumn(database, "PRAGMA integrity_check"));
  if (found.size() == 1 && found.front() == "ok") found.clear();
  const absl::Status keys = CheckForeignKeys(database);
  if (absl::IsFailedPrecondition(keys)) {
    found.emplace_back(keys.message().data(), keys.message().size());
  } else {
    NIMBUS_RETURN_IF_ERROR(keys);
  }
  return found;
}

SqlValue ValueOf(const Statement& row, int column) {
  switch (row.TypeOf(column)) {
    case Statement::Type::kNull:
      return std::monostate();
    case Statement::Type::kInteger:
      return row.Int(column);
    case Statement::Type::kReal:
      return row.Real(column);
    case Statement::Type::kText:
      return std::string(row.Text(column));
    case Statement::Type::kBlob:
      break;
  }
  const std::span<const uint8_t> blob = row.Blob(column);
  return std::vector<uint8_t>(blob.begin(), blob.end());
}

}  // namespace

absl::StatusOr<ViewsReport> Views::Inspect(const InspectOptions& options) {
  ViewsReport report;
  NIMBUS_ASSIGN_OR_RETURN(report.status, GetStatus());
  NIMBUS_ASSIGN_OR_RETURN(ReadConnection reader, OpenReader());
  {
    NIMBUS_ASSIGN_OR_RETURN(const sqlite::Snapshot snapshot,
                            sqlite::Snapshot::Begin(&reader.database));
    NIMBUS_ASSIGN_OR_RETURN(report.tables, CountRows(&reader.database));
    if (options.check) {
      NIMBUS_ASSIGN_OR_RETURN(report.problems, CheckDatabase(&reader.database));
    }
  }
  report.file_bytes = SizeOf(reader.files.path);
  report.log_bytes = SizeOf(reader.files.path + "-wal");
  NIMBUS_ASSIGN_OR_RETURN(report.stale, WhyNotOf(&reader.database, *journal_, layout_));
  NIMBUS_ASSIGN_OR_RETURN(report.records, journal_->Size());
  return report;
}

absl::StatusOr<std::vector<std::string>> Views::Query(
    std::string_view sql, const std::atomic<bool>* interrupt,
    const std::function<absl::Status(const QueryRow&)>& take) const {
  NIMBUS_ASSIGN_OR_RETURN(ReadConnection reader, OpenReader());
  reader.database.AllowOnlyReading();
  if (interrupt != nullptr) reader.database.InterruptOn(*interrupt);
  NIMBUS_ASSIGN_OR_RETURN(Statement rows, reader.database.PrepareQuery(sql));
  QueryRow row;
  for (int i = 0; i < rows.columns(); ++i) row.columns.emplace_back(rows.NameOf(i));
  row.values.resize(row.columns.size());
  absl::StatusOr<bool> found = rows.First();
  for (; found.ok() && *found; found = rows.Next()) {
    for (int i = 0; i < rows.columns(); ++i) row.values[static_cast<size_t>(i)] = ValueOf(rows, i);
    NIMBUS_RETURN_IF_ERROR(take(row));
  }
  // What SQLite has no code of its own for is an error of the query's: a malformed
  // JSON path, an overflow.
  if (absl::IsInternal(found.status())) {
    return Error(Code::kInvalidArgument, "{}", std::string(found.status().message()));
  }
  NIMBUS_RETURN_IF_ERROR(found.status());
  return row.columns;
}

}  // namespace nimbus::projections
