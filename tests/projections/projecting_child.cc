// What the crash tests kill: opens a store, appends `operations` operations to
// it, and projects until its input ends.
//
//   projecting_child STORE OPERATIONS RECORDS_PER_BATCH [BYTES_OF_LOG]
#include <cstdio>
#include <cstdlib>

#include "fixture.h"

int main(int argc, char** argv) {
  using nimbus::projections::Database;
  if (argc != 4 && argc != 5) return 64;
  nimbus::projections::DatabaseOptions options;
  options.views.batch_records_max = static_cast<size_t>(std::atoi(argv[3]));
  if (argc == 5) options.views.wal_bytes_max = static_cast<uint64_t>(std::atoll(argv[4]));
  auto database = Database::Open(argv[1], options);
  absl::Status status = database.status();
  if (status.ok()) {
    status = nimbus::projections::AppendHistory(&(*database)->journal(), std::atoi(argv[2]));
  }
  if (status.ok()) status = (*database)->CatchUp(120'000);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
