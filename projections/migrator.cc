#include "migrator.h"

#include <string>

#include "nimbus/schema/check.h"

namespace nimbus::projections {
namespace {

using schema::Error;
using sqlite::Connection;
using sqlite::Statement;
using sqlite::Transaction;

constexpr char kMigrationsTable[] = R"(
  CREATE TABLE IF NOT EXISTS migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at DATETIME DEFAULT CURRENT_TIMESTAMP
  ))";

absl::Status CheckVersion(int version, std::span<const Migration> all) {
  if (version >= 0 && version <= LatestMigration(all)) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument,
               "there is no schema version {}; this Nimbus knows 0 to {}", version,
               LatestMigration(all));
}

absl::Status Record(Connection* database, const Migration& migration) {
  NIMBUS_ASSIGN_OR_RETURN(
      Statement insert, database->Prepare("INSERT INTO migrations (version, name) VALUES (?, ?)"));
  return insert.Run(migration.version, migration.name);
}

absl::Status Forget(Connection* database, const Migration& migration) {
  NIMBUS_ASSIGN_OR_RETURN(Statement remove,
                          database->Prepare("DELETE FROM migrations WHERE version = ?"));
  return remove.Run(migration.version);
}

// One version towards `target`, if the database is not there yet.
absl::StatusOr<bool> MigrateOneStep(Connection* database, int target,
                                    std::span<const Migration> all) {
  NIMBUS_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database));
  NIMBUS_RETURN_IF_ERROR(database->Execute(kMigrationsTable));
  // Read inside the transaction: another process may have migrated meanwhile.
  NIMBUS_ASSIGN_OR_RETURN(const int current, CurrentVersion(database, all));
  if (current == target) {
    NIMBUS_RETURN_IF_ERROR(transaction.Commit());
    return false;
  }
  const bool up = target > current;
  const Migration& migration = all[static_cast<size_t>(up ? current : current - 1)];
  absl::Status done = database->Execute(std::string(up ? migration.up : migration.down));
  if (done.ok()) done = up ? Record(database, migration) : Forget(database, migration);
  if (done.ok()) done = CheckForeignKeys(database);
  if (!done.ok()) {
    return schema::Annotate(done,
                            fmt::format("migrating {} version {} ({})", up ? "up to" : "down from",
                                        migration.version, migration.name));
  }
  NIMBUS_RETURN_IF_ERROR(transaction.Commit());
  return true;
}

}  // namespace

int LatestMigration(std::span<const Migration> all) {
  for (size_t i = 0; i < all.size(); ++i) NIMBUS_CHECK(all[i].version == static_cast<int>(i) + 1);
  return static_cast<int>(all.size());
}

absl::StatusOr<int> CurrentVersion(Connection* database, std::span<const Migration> all) {
  NIMBUS_ASSIGN_OR_RETURN(const bool exists, database->TableExists("migrations"));
  if (!exists) return 0;
  NIMBUS_ASSIGN_OR_RETURN(const int64_t version,
                          database->QueryInt("SELECT coalesce(max(version), 0) FROM migrations"));
  if (version > LatestMigration(all)) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "the SQLite views are at schema version {}, made by a newer Nimbus; this one "
                 "knows versions up to {}",
                 version, LatestMigration(all));
  }
  // Migrate keeps the versions gapless, so their number is the newest of them.
  NIMBUS_ASSIGN_OR_RETURN(const int64_t count,
                          database->QueryInt("SELECT count(*) FROM migrations"));
  if (version < 0 || count != version) {
    return Error(absl::StatusCode::kDataLoss,
                 "table migrations is damaged: {} rows, the newest of version {}", count, version);
  }
  return static_cast<int>(version);
}

absl::Status Migrate(Connection* database, int target, std::span<const Migration> all) {
  NIMBUS_RETURN_IF_ERROR(CheckVersion(target, all));
  NIMBUS_RETURN_IF_ERROR(database->Execute("PRAGMA foreign_keys = OFF"));
  for (bool moved = true; moved;) {
    NIMBUS_ASSIGN_OR_RETURN(moved, MigrateOneStep(database, target, all));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> PrintMigration(int from, int to) {
  const std::span<const Migration> all = Migrations();
  NIMBUS_RETURN_IF_ERROR(CheckVersion(from, all));
  NIMBUS_RETURN_IF_ERROR(CheckVersion(to, all));
  std::string script = "PRAGMA foreign_keys = OFF;\n";
  if (from == 0) {
    script += fmt::format("{};\n", std::string_view(kMigrationsTable).substr(1));
  }
  for (int version = from; version != to;) {
    const bool up = to > version;
    const Migration& migration = all[static_cast<size_t>(up ? version : version - 1)];
    script +=
        fmt::format("\n-- {} version {}: {}\nBEGIN IMMEDIATE;\n{}", up ? "up to" : "down from",
                    migration.version, migration.name, up ? migration.up : migration.down);
    script += up ? fmt::format("INSERT INTO migrations (version, name) VALUES ({}, '{}');\n",
                               migration.version, migration.name)
                 : fmt::format("DELETE FROM migrations WHERE version = {};\n", migration.version);
    script += "COMMIT;\n";
    version += up ? 1 : -1;
  }
  return script;
}

absl::Status CheckForeignKeys(Connection* database) {
  NIMBUS_ASSIGN_OR_RETURN(
      Statement violations,
      database->Prepare("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check "
                        "WHERE parent IN (SELECT name FROM sqlite_master WHERE type = 'table')"));
  NIMBUS_ASSIGN_OR_RETURN(const bool found, violations.First());
  if (!found) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               "row {} of table {} refers to a row of {} that does not exist", violations.Int(1),
               violations.Text(0), violations.Text(2));
}

}  // namespace nimbus::projections
