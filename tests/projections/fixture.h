// A store for tests: opened and reopened, its clock in the test's hand, its
// tables compared as text.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/projections/database.h"
#include "nimbus/schema/clock.h"
#include "nimbus/schema/event.h"
#include "sqlite.h"
#include "testing/files.h"

namespace nimbus::projections {

// Each look is one second after the one before, from 2026-01-10 21:39:35.
class SteppingClock final : public schema::Clock {
 public:
  int64_t NowMicros() override { return now_us_ += 1'000'000; }

 private:
  int64_t now_us_ = 1'768'081'174'000'000;
};

// Every row of every table of the database as text, in order, except when the
// migrations were applied: what must be the same after a rebuild.
absl::StatusOr<std::string> DumpTables(const std::string& path);

// Of a query's first column; an error's text if it fails.
std::vector<std::string> Column(const std::string& path, std::string_view sql);

// The events of one operation with `steps` steps: created, started, each step
// added and completed, a checkpoint after every fifth, completed.
std::vector<schema::Event> OperationEvents(const schema::Uuid& session, int steps);

// Appends a session with `operations` operations of 10 steps each.
absl::Status AppendHistory(journal::Journal* journal, int operations);

class StoreTest : public testing::Test {
 protected:
  StoreTest() = default;
  explicit StoreTest(const std::filesystem::path& below) : directory_(below) {}

  std::string store() const { return directory_.string(); }
  std::string link() const { return directory_ / "views.db"; }

  // Opens the store, after closing it if it is open.
  absl::Status Open(DatabaseOptions options = {});
  absl::Status CatchUp() { return database_->CatchUp(30'000); }
  void Close() { database_.reset(); }

  History& history() { return database_->history(); }
  journal::Journal& journal() { return database_->journal(); }
  // What plain sqlite3 shows of the views, once they hold all there is.
  std::vector<std::string> Sql(std::string_view sql);
  // A rebuild from the journal makes the same rows, and none was left out.
  void ExpectRowsAsRebuilt();
  // Removes everything but the journal. The store must be closed.
  void DeleteViews();
  // Names of the views' files, without those of a WAL.
  std::vector<std::string> Generations() const;

  test::TempDir directory_;
  SteppingClock clock_;
  std::unique_ptr<Database> database_;
};

}  // namespace nimbus::projections
