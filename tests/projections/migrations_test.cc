// Any version to any other and back, and nothing is lost.
#include <filesystem>
#include <utility>

#include "migrations_fixture.h"
#include "nimbus/journal/reader.h"

namespace nimbus::projections {
namespace {

using Code = absl::StatusCode;
using sqlite::Connection;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;

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
