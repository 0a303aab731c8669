// Views looked at as tables: verified, rebuilt, inspected, queried.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "all_events.h"
#include "fixture.h"
#include "generations.h"
#include "migrator.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using Code = absl::StatusCode;
using sqlite::Connection;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TablesTest : public StoreTest {
 protected:
  void SetUp() override {
    ASSERT_THAT(Open(), IsOk());
    RandomHistory history(&journal(), 11);
    ASSERT_THAT(history.AppendEveryKind(), IsOk());
    ASSERT_THAT(CatchUp(), IsOk());
  }

  // Changes the views behind Nimbus's back.
  void Tamper(const std::string& sql) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db,
                                Connection::Open(link(), {.busy_timeout_ms = 10'000}));
    ASSERT_THAT(db.Execute(sql), IsOk()) << sql;
  }

  std::set<std::string> Files() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      names.insert(entry.path().filename().string());
    }
    names.erase("views.build");  // a lock, which the follower takes, too, when it has time
    return names;
  }

  // Until a thread sleeps in flock on this file of the store.
  void WaitUntilSomebodyWaitsFor(const std::string& name) {
    struct stat info;
    ASSERT_EQ(stat((directory_ / name).c_str(), &info), 0);
    const std::string inode = fmt::format(":{} ", info.st_ino);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < deadline) {
      std::ifstream locks("/proc/locks");
      for (std::string line; std::getline(locks, line);) {
        if (line.find("->") != std::string::npos && line.find(inode) != std::string::npos) return;
      }
      std::this_thread::yield();
    }
    FAIL() << "nobody waits for " << name;
  }

  // Of all rows as text, the columns separated.
  absl::StatusOr<std::vector<std::string>> Rows(const std::string& sql) {
    std::vector<std::string> rows;
    const auto take = [&](const QueryRow& row) {
      std::string text;
      for (const SqlValue& value : row.values) {
        text += fmt::format("|{}", value.index());
        if (const auto* string = std::get_if<std::string>(&value)) text += " " + *string;
        if (const auto* integer = std::get_if<int64_t>(&value))
          text += fmt::format(" {}", *integer);
      }
      rows.push_back(text);
      return absl::OkStatus();
    };
    NIMBUS_RETURN_IF_ERROR(database_->Query(sql, take).status());
    return rows;
  }
};

TEST_F(TablesTest, AreVerifiedWithoutLeavingFiles) {
  const std::set<std::string> before = Files();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyViewsReport report, database_->Verify());
  EXPECT_TRUE(report.holds());
  EXPECT_THAT(journal().Size(), IsOkAndHolds(report.watermark));
  EXPECT_GT(report.tables.size(), 15u);
  EXPECT_EQ(Files(), before);
}

TEST_F(TablesTest, ThatWereTamperedWithAreFoundByTableAndRow) {
  const std::string session = Column(link(), "SELECT id FROM sessions ORDER BY id").front();
  const std::string row = fmt::format(" WHERE id = '{}'", session);
  const std::set<std::string> before = Files();
  for (const auto& [sql, says] :
       {std::pair("UPDATE sessions SET rowid = 99999" + row, "column rowid differs"),
        {"UPDATE sessions SET name = 'x'" + row, "column name differs"},
        {"UPDATE sessions SET ended_at = 7" + row, "column ended_at differs"},
        {"DELETE FROM sessions" + row, "is only in the journal"}}) {
    Tamper(sql);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyViewsReport report, database_->Verify());
    ASSERT_FALSE(report.holds()) << sql;
    EXPECT_EQ(report.difference->table, "sessions");
    EXPECT_EQ(report.difference->row, fmt::format("id '{}'", session));
    EXPECT_EQ(report.difference->what, says);
    EXPECT_EQ(Files(), before);
  }
  Tamper("INSERT INTO sessions (id) VALUES ('~')");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RebuildReport rebuilt, database_->Rebuild());
  ASSERT_TRUE(rebuilt.difference) << "rebuilding says so, and goes on";
  EXPECT_EQ(rebuilt.difference->table, "sessions");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyViewsReport report, database_->Verify());
  EXPECT_TRUE(report.holds());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RebuildReport again, database_->Rebuild());
  EXPECT_FALSE(again.difference);
}

TEST_F(TablesTest, WithoutAnIndexOrWithOneTooManyAreFound) {
  Tamper("DROP INDEX idx_operations_created");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyViewsReport gone, database_->Verify());
  ASSERT_FALSE(gone.holds());
  EXPECT_EQ(gone.difference->ToString(),
            "idx_operations_created: the index is only in the journal");
}

TEST_F(TablesTest, TooDamagedToCompareAreRebuiltAllTheSame) {
  Tamper("DROP TABLE nimbus_watermark");
  EXPECT_THAT(database_->Verify(), StatusIs(Code::kDataLoss, HasSubstr("watermark")));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RebuildReport rebuilt, database_->Rebuild());
  EXPECT_THAT(rebuilt.not_compared, StatusIs(Code::kDataLoss));
  EXPECT_THAT(database_->Verify(), IsOk());
}

TEST_F(TablesTest, AreVerifiedWhileTheStoreGrows) {
  std::thread writer([this] {
    for (int i = 0; i < 30; ++i) EXPECT_THAT(AppendHistory(&journal(), 1), IsOk());
  });
  for (int i = 0; i < 5; ++i) {
    const absl::StatusOr<VerifyViewsReport> report = database_->Verify();
    EXPECT_THAT(report, IsOk());
    if (report.ok()) {
      EXPECT_TRUE(report->holds()) << report->difference->ToString();
    }
  }
  EXPECT_THAT(database_->Rebuild(), IsOk());
  writer.join();
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyViewsReport report, database_->Verify());
  EXPECT_TRUE(report.holds());
}

// Migrations of this Nimbus wait for each other, and for those who compare; another
// program's need not.
TEST_F(TablesTest, MigratedWhileTheyAreComparedAreNotCompared) {
  absl::StatusOr<FileLock> lock = projections::Generations(store(), "views").Lock();
  ASSERT_THAT(lock, IsOk());
  std::optional<FileLock> held(*std::move(lock));
  absl::StatusOr<VerifyViewsReport> report;
  std::thread verifying([&] { report = database_->Verify(); });
  WaitUntilSomebodyWaitsFor("views.lock");  // to make the tables to compare with
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(link(), {.busy_timeout_ms = 10'000}));
  EXPECT_THAT(Migrate(&db, 3), IsOk());
  held.reset();
  verifying.join();
  EXPECT_THAT(report, StatusIs(Code::kAborted, HasSubstr("migrated the views to version 3")));
  EXPECT_THAT(Generations(), ElementsAre("views-1.db"));
  EXPECT_THAT(database_->Verify(), IsOk());
}

TEST_F(TablesTest, MadeAnewByOthersWhileTheyAreRebuiltStay) {
  const projections::Generations generations(store(), "views");
  const auto take = [&] {
    absl::StatusOr<FileLock> lock = generations.Lock();
    EXPECT_THAT(lock, IsOk());
    return *std::move(lock);
  };
  std::optional<FileLock> held(take());
  absl::StatusOr<RebuildReport> report;
  std::thread rebuilding([&] { report = database_->Rebuild(); });
  // Once to make its tables, then to switch to them.
  while (Generations().size() < 2) {
    WaitUntilSomebodyWaitsFor("views.lock");
    held.reset();
    held.emplace(take());
  }
  WaitUntilSomebodyWaitsFor("views.lock");
  EXPECT_THAT(Column(link(), "SELECT count(*) FROM migrations"), ElementsAre("7"));
  Tamper("PRAGMA wal_checkpoint(TRUNCATE)");
  std::filesystem::copy_file(directory_ / "views-1.db", directory_ / "views-3.db");
  EXPECT_THAT(generations.MakeLive({.number = 3, .path = directory_ / "views-3.db"}), IsOk());
  held.reset();
  rebuilding.join();
  EXPECT_THAT(report, StatusIs(Code::kAborted, HasSubstr("has rebuilt the views meanwhile")));
  EXPECT_EQ(std::filesystem::read_symlink(link()), "views-3.db");
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyViewsReport verified, database_->Verify());
  EXPECT_TRUE(verified.holds());
}

TEST_F(TablesTest, AreNotComparedByWhoCanNotWriteThem) {
  ASSERT_THAT(Open({.views = {.project = false}}), IsOk());
  const auto refused = StatusIs(Code::kFailedPrecondition, HasSubstr("can't write the views"));
  EXPECT_THAT(database_->Verify(), refused);
  EXPECT_THAT(database_->Rebuild(), refused);
  EXPECT_THAT(database_->Migrate(3), refused);
}

TEST_F(TablesTest, OfAKilledBuildAreRemovedUnlessSomebodyStillBuilds) {
  Close();
  const auto abandon = [&] {
    ASSERT_TRUE(test::WriteFile(directory_ / "views-9.db", "half"));
    ASSERT_TRUE(test::WriteFile(directory_ / "views-9.db-wal", "half"));
  };
  abandon();
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const FileLock building,
                                projections::Generations(store(), "views").LockBuilding());
    ASSERT_THAT(Open(), IsOk());
    ASSERT_THAT(CatchUp(), IsOk());
    Close();
    EXPECT_THAT(Generations(), ElementsAre("views-1.db", "views-9.db"));
  }
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  Close();
  EXPECT_THAT(Generations(), ElementsAre("views-1.db"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "views-9.db-wal"));
}

TEST_F(TablesTest, AreInspected) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsReport report, database_->Inspect({.check = true}));
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_EQ(report.stale, "");
  EXPECT_EQ(report.status.watermark, report.records);
  EXPECT_EQ(report.tables.size(), 20u - 1u);
  EXPECT_GT(report.file_bytes + report.log_bytes, 16384u);
  for (const TableRows& table : report.tables) {
    if (table.table == "migrations") {
      EXPECT_EQ(table.rows, 7u);
    }
    if (table.table == "sessions") {
      EXPECT_GT(table.rows, 0u);
    }
  }
  Tamper("UPDATE operations SET session_id = 'nobody'");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsReport bad, database_->Inspect({.check = true}));
  EXPECT_THAT(bad.problems, ElementsAre(AllOf(HasSubstr("operations"), HasSubstr("sessions"))));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsReport unasked, database_->Inspect());
  EXPECT_THAT(unasked.problems, IsEmpty());
  Tamper("UPDATE nimbus_watermark SET projector_version = 0");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsReport stale, database_->Inspect());
  EXPECT_THAT(stale.stale, HasSubstr("projector version 0"));
}

TEST_F(TablesTest, AnswerQueries) {
  EXPECT_THAT(Rows("SELECT version, name FROM migrations WHERE version < 3 ORDER BY 1"),
              IsOkAndHolds(ElementsAre("|1 1|3 initial_schema", "|1 2|3 add_operations_history")));
  EXPECT_THAT(Rows("SELECT NULL, 1.5, x'00', '' -- a comment"),
              IsOkAndHolds(ElementsAre("|0|2|4|3 ")));
  EXPECT_THAT(Rows("WITH t(x) AS (VALUES (1), (2)) SELECT sum(x) FROM t;\n  "),
              IsOkAndHolds(ElementsAre("|1 3")));
  EXPECT_THAT(Rows("PRAGMA user_version"), IsOkAndHolds(ElementsAre("|1 0")));
  EXPECT_THAT(Rows("SELECT name FROM pragma_table_info('config') LIMIT 1"),
              IsOkAndHolds(ElementsAre("|3 key")));
  EXPECT_THAT(Rows("EXPLAIN QUERY PLAN SELECT * FROM config"), IsOk());
  EXPECT_THAT(database_->Query("SELECT 1 AS one, 2 AS two WHERE 0",
                               [](const QueryRow&) { return absl::InternalError("no row"); }),
              IsOkAndHolds(ElementsAre("one", "two")));
  EXPECT_THAT(database_->Query("SELECT 1 UNION SELECT 2",
                               [](const QueryRow&) { return absl::CancelledError("enough"); }),
              StatusIs(Code::kCancelled, "enough"));
}

TEST_F(TablesTest, AnswerQueriesAndNothingElse) {
  const std::string other = directory_ / "other.db";
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::string before, DumpTables(link()));
  for (const std::string& sql : std::vector<std::string>{"",
                                                         "  -- nothing",
                                                         "SELEC 1",
                                                         "SELECT 1; SELECT 2",
                                                         "SELECT 1; DROP TABLE config",
                                                         "SELECT 1; nonsense",
                                                         "SELECT * FROM nowhere",
                                                         "INSERT INTO config VALUES ('k','v',1)",
                                                         "UPDATE config SET value = 1",
                                                         "DELETE FROM config",
                                                         "DROP TABLE config",
                                                         "CREATE TABLE t (x)",
                                                         "CREATE TEMP TABLE t (x)",
                                                         "BEGIN",
                                                         "COMMIT",
                                                         "SAVEPOINT s",
                                                         "ATTACH '" + other + "' AS other",
                                                         "DETACH main",
                                                         "VACUUM",
                                                         "VACUUM INTO '" + other + "'",
                                                         "PRAGMA journal_mode = DELETE",
                                                         "PRAGMA writable_schema = ON",
                                                         "PRAGMA user_version = 7",
                                                         "PRAGMA query_only = OFF",
                                                         "PRAGMA wal_checkpoint",
                                                         "PRAGMA temp_store_directory = '/'",
                                                         "REINDEX",
                                                         "ANALYZE",
                                                         "SELECT load_extension('x')",
                                                         "WITH t AS (SELECT 1) DELETE FROM config",
                                                         "SELECT json('{')",
                                                         "SELECT abs(-9223372036854775808)",
                                                         std::string("SELECT \0 1", 10)}) {
    EXPECT_THAT(Rows(sql), StatusIs(Code::kInvalidArgument)) << sql;
  }
  EXPECT_THAT(DumpTables(link()), IsOkAndHolds(before));
  EXPECT_FALSE(std::filesystem::exists(other));
}

TEST_F(TablesTest, StopAnsweringWhenToldTo) {
  std::atomic<bool> stop = false;
  uint64_t rows = 0;
  const auto take = [&](const QueryRow&) {
    if (++rows == 1000) stop = true;
    return absl::OkStatus();
  };
  EXPECT_THAT(database_->Query("WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) "
                               "SELECT x FROM t",
                               take, &stop),
              StatusIs(Code::kCancelled));
  EXPECT_LT(rows, 100'000u);
}

}  // namespace
}  // namespace nimbus::projections
