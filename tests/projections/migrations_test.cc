// Any version to any other and back, killed or not, and nothing is lost.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <numeric>
#include <random>

#include "all_events.h"
#include "digest.h"
#include "fixture.h"
#include "migrator.h"
#include "nimbus/journal/reader.h"
#include "testing/program.h"
#include "testing/random.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using Code = absl::StatusCode;
using sqlite::Connection;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;
using Digests = std::vector<TableDigest>;

class MigrationsTest : public StoreTest {
 protected:
  // A store with a history of every kind of event, projected.
  void MakeStore(int more = 150) {
    const auto seed = static_cast<unsigned>(test::MakeSeed());
    trace_.emplace(__FILE__, __LINE__, fmt::format("seed {}", seed));
    random_.seed(seed);
    ASSERT_THAT(Open(), IsOk());
    RandomHistory history(&journal(), seed);
    ASSERT_THAT(history.AppendEveryKind(), IsOk());
    ASSERT_THAT(history.Append(more), IsOk());
    ASSERT_THAT(CatchUp(), IsOk());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
    ASSERT_EQ(status.quarantined, 0u) << FirstQuarantined();
  }

  std::string FirstQuarantined() {
    const auto found = database_->GetQuarantine(1);
    return found.ok() && !found->empty() ? found->front().event + ": " + found->front().error : "";
  }

  static Digests DigestsOf(const std::string& path) {
    absl::StatusOr<Connection> db = Connection::Open(path, {.mode = Connection::Mode::kReadWrite});
    EXPECT_THAT(db, IsOk());
    if (!db.ok()) return {};
    EXPECT_THAT(CheckForeignKeys(&*db), IsOk());
    EXPECT_THAT(Column(path, "PRAGMA integrity_check"), ElementsAre("ok"));
    absl::StatusOr<Digests> digests = DigestTables(&*db);
    EXPECT_THAT(digests, IsOk());
    return digests.value_or(Digests{});
  }

  // The tables of the version, the same whenever it is come to.
  void ExpectAt(int version) {
    const Digests digests = DigestsOf(link());
    EXPECT_THAT(Column(link(), "SELECT coalesce(max(version), 0) FROM migrations"),
                ElementsAre(fmt::format("{}", version)));
    const auto [known, first] = of_version_.emplace(version, digests);
    if (first) return;
    ASSERT_EQ(known->second.size(), digests.size());
    for (size_t i = 0; i < digests.size(); ++i) {
      EXPECT_TRUE(known->second[i] == digests[i])
          << digests[i].table << " of version " << version << ": " << known->second[i].rows
          << " and " << digests[i].rows << " rows";
    }
  }

  absl::StatusOr<test::Finished> RunChild(const std::string& what, const std::string& path,
                                          int version, int kill_at, bool before) {
    return test::RunProgram(
        {.argv = {NIMBUS_MIGRATING_CHILD, what, path, fmt::format("{}", version),
                  fmt::format("{}", kill_at), before ? "before" : "after"}});
  }

  std::map<int, Digests> of_version_;
  std::mt19937 random_;
  std::optional<testing::ScopedTrace> trace_;
};

TEST_F(MigrationsTest, BetweenAnyTwoVersionsAndBackLoseNothing) {
  ASSERT_NO_FATAL_FAILURE(MakeStore());
  const int latest = Database::LatestSchemaVersion();
  ASSERT_EQ(latest, 7);
  for (int a = 0; a <= latest; ++a) {
    for (int b = 0; b <= latest; ++b) {
      SCOPED_TRACE(fmt::format("{} to {}", a, b));
      for (const int version : {a, b, a}) {
        ASSERT_THAT(database_->Migrate(version), IsOk());
        ExpectAt(version);
      }
    }
  }
  ASSERT_THAT(database_->Migrate(latest), IsOk());
  ExpectAt(latest);
  EXPECT_THAT(Column(link(), "SELECT count(*) FROM nimbus_quarantine"), ElementsAre("0"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyViewsReport report, database_->Verify());
  EXPECT_TRUE(report.holds()) << report.difference->ToString();
  EXPECT_EQ(report.tables, of_version_[latest]);
}

TEST_F(MigrationsTest, AreVerifiedOnTheWayDownAndUp) {
  ASSERT_NO_FATAL_FAILURE(MakeStore());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const MigrateReport none, database_->Migrate(7, {.verify = true}));
  EXPECT_EQ(none.from, none.to);
  for (const int version : {3, 1, 5, 0, 7}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const MigrateReport report,
                                database_->Migrate(version, {.verify = true}));
    EXPECT_EQ(report.to, version);
    EXPECT_EQ(report.tables, DigestsOf(link()));
  }
  EXPECT_EQ(DigestsOf(link()), none.tables);
}

TEST_F(MigrationsTest, ThatVerifyStopBeforeTheyHideADifference) {
  ASSERT_NO_FATAL_FAILURE(MakeStore());
  ASSERT_THAT(database_->Migrate(5), IsOk());
  Close();
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(link(), {}));
    ASSERT_THAT(db.Execute("UPDATE sessions SET name = 'tampered' WHERE rowid = (SELECT min(rowid) "
                           "FROM sessions)"),
                IsOk());
  }
  ASSERT_THAT(Open(), IsOk());
  const auto found = StatusIs(Code::kDataLoss, testing::AllOf(HasSubstr("table sessions, row id"),
                                                              HasSubstr("nothing was migrated")));
  for (const int version : {1, 7}) {
    EXPECT_THAT(database_->Migrate(version, {.verify = true}), found);
    EXPECT_THAT(Column(link(), "SELECT max(version) FROM migrations"), ElementsAre("5"));
  }
  ASSERT_THAT(database_->Migrate(7), IsOk()) << "without being asked to look, it does not";
  EXPECT_THAT(Column(link(), "SELECT count(*) FROM sessions WHERE name = 'tampered'"),
              ElementsAre("0"));
}

TEST_F(MigrationsTest, AreRecordedInTheJournalWhenTheyChangeSomething) {
  ASSERT_THAT(Open(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t before, journal().Size());
  ASSERT_THAT(database_->Migrate(7), IsOk());
  EXPECT_THAT(journal().Size(), IsOkAndHolds(before));
  ASSERT_THAT(database_->Migrate(2), IsOk());
  EXPECT_THAT(journal().Size(), IsOkAndHolds(before + 1));
  journal::Reader reader(journal());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Read(before));
  const auto* migrated = view->record->event_as_ViewsMigrated();
  ASSERT_NE(migrated, nullptr);
  EXPECT_EQ(migrated->from(), 7u);
  EXPECT_EQ(migrated->to(), 2u);
  EXPECT_EQ(schema::Uuid::FromFb(view->envelope().stream()), journal().id());
  DatabaseOptions reading;
  reading.journal.read_only = true;
  ASSERT_THAT(Open(reading), IsOk());
  EXPECT_THAT(database_->Migrate(7), StatusIs(Code::kFailedPrecondition, HasSubstr("read-only")));
}

TEST_F(MigrationsTest, ArePrintedAsTheyWouldBeRun) {
  for (const auto& [from, to] : {std::pair(0, 7), {7, 0}, {2, 5}, {6, 1}, {3, 3}}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Connection run, Connection::Open(directory_ / "run.db", {}));
    NIMBUS_ASSERT_OK_AND_ASSIGN(Connection printed, Connection::Open(directory_ / "sql.db", {}));
    ASSERT_THAT(Migrate(&run, from), IsOk());
    if (from > 0) {
      ASSERT_THAT(Migrate(&printed, from), IsOk());
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::string sql, Database::PrintMigration(from, to));
    ASSERT_THAT(Migrate(&run, to), IsOk());
    ASSERT_THAT(printed.Execute(sql), IsOk()) << sql;
    EXPECT_THAT(CompareTables(&run, &printed), IsOkAndHolds(std::nullopt));
    ASSERT_TRUE(std::filesystem::remove(directory_ / "run.db"));
    ASSERT_TRUE(std::filesystem::remove(directory_ / "sql.db"));
  }
  EXPECT_THAT(Database::PrintMigration(0, 8), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(Database::PrintMigration(-1, 3), StatusIs(Code::kInvalidArgument));
}

// The file alone: each statement of each version, in both directions.
TEST_F(MigrationsTest, KilledAtAnyStatementLeaveAVersionAndGoOn) {
  ASSERT_NO_FATAL_FAILURE(MakeStore(50));
  Close();
  const std::string full = directory_ / "full.db", empty = directory_ / "empty.db";
  const std::string file = directory_ / "file.db";
  std::filesystem::copy_file(std::filesystem::canonical(link()), full);
  { NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(empty, {})); }
  for (const auto& [start, from, to] : {std::tuple(full, 7, 0), {empty, 0, 7}}) {
    std::map<int, Digests> expected;
    std::filesystem::copy_file(start, file);
    for (int version = from;; version += to > from ? 1 : -1) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(file, {}));
      ASSERT_THAT(Migrate(&db, version), IsOk());
      expected[version] = DigestsOf(file);
      if (version == to) break;
    }
    int kills = 0;
    for (int n = 1;; ++n) {
      SCOPED_TRACE(fmt::format("{} to {}, statement {}", from, to, n));
      for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file + suffix);
      std::filesystem::copy_file(start, file);
      NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished child,
                                  RunChild("file", file, to, n, n % 2 == 0));
      NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(file, {}));
      NIMBUS_ASSERT_OK_AND_ASSIGN(const int version, CurrentVersion(&db));
      if (version > 0 || from > 0) {
        EXPECT_TRUE(DigestsOf(file) == expected[version]) << version;
      }
      ASSERT_THAT(Migrate(&db, to), IsOk());
      EXPECT_TRUE(DigestsOf(file) == expected[to]);
      if (child.signal != SIGKILL) {
        EXPECT_EQ(child.exit_code, 0) << child.err;
        break;
      }
      ++kills;
    }
    EXPECT_GT(kills, 50);
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file + suffix);
  }
}

// The store: tables filled from the journal beside the live ones, and the switch. From
// each version to every other; the first statement, one in the middle and the last, or,
// when there is time, every one.
class MigrationsFromTest : public MigrationsTest, public testing::WithParamInterface<int> {
 protected:
  // Which statements to be killed at, of a migration that runs `count`.
  static std::vector<int> Chosen(int count) {
    if (!NIMBUS_LONG_TESTS) return {1, (count + 1) / 2, count};
    std::vector<int> all(static_cast<size_t>(count));
    std::iota(all.begin(), all.end(), 1);
    return all;
  }

  // As the killed process left it, then on to `to` and back to `from`.
  void ExpectWholeAndGoOn(int from, int to) {
    ASSERT_THAT(Open(), IsOk());
    ASSERT_THAT(CatchUp(), IsOk());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
    EXPECT_GE(status.schema_version, std::min(from, to));
    EXPECT_LE(status.schema_version, std::max(from, to));
    ExpectAt(status.schema_version);
    for (const int version : {to, from}) {
      ASSERT_THAT(database_->Migrate(version), IsOk());
      ExpectAt(version);
    }
    ASSERT_THAT(CatchUp(), IsOk());
    Close();
  }
};

TEST_P(MigrationsFromTest, KilledAtAnyStatementOfTheStoreGoOn) {
  const int from = GetParam();
  ASSERT_NO_FATAL_FAILURE(MakeStore(0));
  ASSERT_THAT(database_->Migrate(from), IsOk());
  ExpectAt(from);
  Close();
  int killed = 0;
  for (int to = 0; to <= Database::LatestSchemaVersion(); ++to) {
    if (to == from) continue;
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished whole,
                                RunChild("store", store(), to, 0, true));
    ASSERT_EQ(whole.exit_code, 0) << whole.err;
    ExpectWholeAndGoOn(from, to);
    for (const int kill_at : Chosen(std::atoi(whole.out.c_str()))) {
      SCOPED_TRACE(fmt::format("{} to {}, statement {}", from, to, kill_at));
      NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished child,
                                  RunChild("store", store(), to, kill_at, random_() % 2 == 0));
      if (child.signal == SIGKILL) ++killed;
      ExpectWholeAndGoOn(from, to);
    }
  }
  EXPECT_GE(killed, Database::LatestSchemaVersion() * 2) << "of 3 in each direction";
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  Close();
  EXPECT_EQ(Generations().size(), 1u) << "what the killed processes had begun is removed";
}

INSTANTIATE_TEST_SUITE_P(, MigrationsFromTest, testing::Range(0, 8));

TEST_F(MigrationsTest, OfANewerDatabaseAreRefused) {
  ASSERT_NO_FATAL_FAILURE(MakeStore(0));
  Close();
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(link(), {}));
    ASSERT_THAT(db.Execute("INSERT INTO migrations (version, name) VALUES (8, 'tomorrow')"),
                IsOk());
  }
  const auto refused = StatusIs(Code::kFailedPrecondition,
                                testing::AllOf(HasSubstr("version 8"), HasSubstr("up to 7")));
  EXPECT_THAT(Open(), refused);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(link(), {}));
  EXPECT_THAT(Migrate(&db, 7), refused);
  EXPECT_THAT(db.QueryInt("SELECT count(*) FROM migrations"), IsOkAndHolds(8));
  DatabaseOptions reading;
  reading.views.project = false;
  ASSERT_THAT(Open(reading), IsOk()) << "the journal is readable all the same";
  EXPECT_THAT(database_->Inspect(), refused);
  EXPECT_THAT(history().GetSessions(), refused);
}

}  // namespace
}  // namespace nimbus::projections
