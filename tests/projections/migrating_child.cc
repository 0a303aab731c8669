// What the tests of migrations kill: migrates a store's views, or one file of them, and
// kills itself at the N-th statement that it has SQLite run for that. What the follower
// runs meanwhile is not counted, so the N-th is the same each time.
//
//   migrating_child store|file PATH VERSION N before|after
//
// With N = 0 it goes through, and prints how many statements that were.
#include <signal.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "migrator.h"
#include "nimbus/projections/database.h"
#include "sqlite.h"

namespace {

thread_local bool migrating = false;
thread_local int statements = 0;
int kill_at = 0;

// Few, so that tables are filled in several transactions.
constexpr size_t kBatchRecords = 100;

int OnStatement(unsigned, void*, void*, void*) {
  if (migrating && ++statements == kill_at) kill(getpid(), SIGKILL);
  return 0;
}

unsigned traced = SQLITE_TRACE_STMT;

// SQLite calls this for each connection it opens.
int Watch(sqlite3* connection, char**, const sqlite3_api_routines*) {
  return sqlite3_trace_v2(connection, traced, &OnStatement, nullptr);
}

absl::Status MigrateStore(const char* path, int version) {
  auto database =
      nimbus::projections::Database::Open(path, {.views = {.batch_records_max = kBatchRecords}});
  if (!database.ok()) return database.status();
  NIMBUS_RETURN_IF_ERROR((*database)->CatchUp(60'000));
  migrating = true;
  return (*database)->Migrate(version).status();
}

absl::Status MigrateFile(const char* path, int version) {
  auto database = nimbus::projections::sqlite::Connection::Open(path, {});
  if (!database.ok()) return database.status();
  migrating = true;
  return nimbus::projections::Migrate(&*database, version);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 64;
  kill_at = std::atoi(argv[4]);
  if (std::string_view(argv[5]) == "after") traced = SQLITE_TRACE_PROFILE;
  sqlite3_auto_extension(reinterpret_cast<void (*)()>(&Watch));
  const int version = std::atoi(argv[3]);
  const absl::Status status = std::string_view(argv[1]) == "store" ? MigrateStore(argv[2], version)
                                                                   : MigrateFile(argv[2], version);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::printf("%d\n", statements);
  return status.ok() ? 0 : 1;
}
