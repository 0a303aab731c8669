// The views as files: made, found, refused, set aside, migrated, rebuilt.
#include "views.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "fixture.h"
#include "migrator.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using Code = absl::StatusCode;
using sqlite::Connection;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ViewsTest : public StoreTest {
 protected:
  // A store with some history, projected, and closed again.
  void MakeStore(int operations = 3) {
    ASSERT_THAT(Open(), IsOk());
    ASSERT_THAT(AppendHistory(&journal(), operations), IsOk());
    ASSERT_THAT(CatchUp(), IsOk());
    Close();
    // The last to close a database moves its log into it.
    EXPECT_FALSE(std::filesystem::exists(directory_ / "views-1.db-wal"));
    absl::StatusOr<std::string> dump = DumpTables(link());
    ASSERT_THAT(dump, IsOk());
    dump_ = *dump;
  }

  // Changes the closed store's views behind Nimbus's back.
  void Tamper(const std::string& sql) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(link(), {}));
    ASSERT_THAT(db.Execute(sql), IsOk());
  }

  // Opens the store and expects that its views were found bad and made anew.
  void ExpectSetAside(const std::string& why) {
    ASSERT_THAT(Open(), IsOk());
    ASSERT_THAT(CatchUp(), IsOk());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
    EXPECT_THAT(status.set_aside, AllOf(HasSubstr("views-1.db"), HasSubstr(why)));
    EXPECT_THAT(status.path, testing::EndsWith("views-2.db"));
    Close();
    EXPECT_THAT(Generations(), ElementsAre("views-2.db")) << "once rebuilt, the old one goes";
    EXPECT_EQ(std::filesystem::read_symlink(link()), "views-2.db");
    EXPECT_THAT(DumpTables(link()), IsOkAndHolds(dump_));
  }

  std::string dump_;
};

TEST_F(ViewsTest, AreMadeWithTheStoreAndContinuedWhenItIsReopened) {
  MakeStore();
  EXPECT_THAT(Generations(), ElementsAre("views-1.db"));
  EXPECT_EQ(std::filesystem::read_symlink(link()), "views-1.db");
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
  EXPECT_EQ(status.set_aside, "");
  EXPECT_THAT(status.error, IsOk());
  EXPECT_TRUE(status.projecting);
  EXPECT_EQ(status.schema_version, Database::LatestSchemaVersion());
  EXPECT_THAT(journal().Size(), IsOkAndHolds(status.watermark));
  EXPECT_EQ(status.quarantined, 0u);
  EXPECT_EQ(status.unknown_events, 0u);
  EXPECT_THAT(DumpTables(link()), IsOkAndHolds(dump_)) << "nothing was applied twice";
}

TEST_F(ViewsTest, DeletingThemLosesNothing) {
  MakeStore();
  DeleteViews();
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(DumpTables(link()), IsOkAndHolds(dump_));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto operations, history().GetOperationHistory());
  EXPECT_EQ(operations.size(), 3u);
}

TEST_F(ViewsTest, DeletingThemWhileTheStoreIsOpenLosesNothing) {
  MakeStore();
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  ASSERT_THAT(history().GetOperationHistory(), IsOk());
  DeleteViews();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written session, history().CreateSession({.name = "after"}));
  // The follower notices at its next look, and the reader with it.
  for (int i = 0; i < 1000 && !std::filesystem::exists(link()); ++i) {
    ASSERT_THAT(history().CreateSession({}), IsOk());
  }
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto row, history().GetSession(session.id));
  ASSERT_TRUE(row);
  EXPECT_EQ(row->name, "after");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto operations, history().GetOperationHistory());
  EXPECT_EQ(operations.size(), 3u);
}

TEST_F(ViewsTest, RebuildingTwiceGivesTheSameRows) {
  MakeStore();
  ASSERT_THAT(Open(), IsOk());
  for (const char* generation : {"views-2.db", "views-3.db"}) {
    ASSERT_THAT(database_->Rebuild(), IsOk());
    EXPECT_EQ(std::filesystem::read_symlink(link()), generation);
    EXPECT_THAT(DumpTables(link()), IsOkAndHolds(dump_));
  }
  // The open store has moved with it, for reading and for writing.
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written session, history().CreateSession({.name = "next"}));
  ASSERT_THAT(database_->WaitFor(session.sequence, 30'000), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto operations, history().GetOperationHistory());
  EXPECT_EQ(operations.size(), 3u);
}

TEST_F(ViewsTest, OfAnotherJournalAreSetAside) {
  MakeStore();
  Tamper("UPDATE nimbus_watermark SET journal_id = '01890000-0000-7000-8000-000000000000'");
  ExpectSetAside("01890000-0000-7000-8000-000000000000");
}

TEST_F(ViewsTest, OfAnotherHistoryOfThisJournalAreSetAside) {
  MakeStore();
  Tamper("UPDATE nimbus_watermark SET leaf_hash = zeroblob(32)");
  ExpectSetAside("leaf hash");
}

TEST_F(ViewsTest, BeyondTheJournalAreSetAside) {
  MakeStore();
  Tamper("UPDATE nimbus_watermark SET watermark = watermark + 1");
  ExpectSetAside("beyond the journal");
}

TEST_F(ViewsTest, OfAnOlderProjectorAreSetAside) {
  MakeStore();
  Tamper("UPDATE nimbus_watermark SET projector_version = 0");
  ExpectSetAside("projector version 0");
}

TEST_F(ViewsTest, WithoutTheirWatermarkAreSetAside) {
  MakeStore();
  Tamper("DROP TABLE nimbus_watermark");
  ExpectSetAside("no watermark");
}

TEST_F(ViewsTest, ThatAreNoDatabaseAreSetAside) {
  MakeStore();
  ASSERT_TRUE(test::WriteFile(directory_ / "views-1.db", std::string(40'000, '?')));
  ExpectSetAside("not a database");
}

TEST_F(ViewsTest, DamagedWhileInUseAreSetAside) {
  MakeStore(200);
  std::filesystem::resize_file(directory_ / "views-1.db", 3 * 16384);
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(history().CreateSession({.name = "one more"}), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
  EXPECT_THAT(status.set_aside, HasSubstr("views-1.db"));
  EXPECT_THAT(status.error, IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto operations, history().GetOperationHistory());
  EXPECT_EQ(operations.size(), 200u);
}

TEST_F(ViewsTest, OfANewerNimbusAreRefusedAndLeftAlone) {
  MakeStore();
  Tamper("INSERT INTO migrations (version, name) VALUES (77, 'from_tomorrow')");
  EXPECT_THAT(Open(),
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("77"), HasSubstr(fmt::format("{}", LatestMigration())))));
  Tamper(
      "DELETE FROM migrations WHERE version = 77; "
      "UPDATE nimbus_watermark SET projector_version = 88");
  EXPECT_THAT(Open(),
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("88"),
                             HasSubstr(fmt::format("{}", ViewsLayout().projector_version)))));
  EXPECT_THAT(Generations(), ElementsAre("views-1.db"));
}

TEST_F(ViewsTest, AFileInTheLinksPlaceIsNotOverwritten) {
  MakeStore();
  DeleteViews();
  ASSERT_TRUE(test::WriteFile(directory_ / "views.db", "precious"));
  EXPECT_THAT(Open(), StatusIs(Code::kFailedPrecondition, HasSubstr("views.db")));
  EXPECT_EQ(test::ReadFile(directory_ / "views.db"), "precious");
}

TEST_F(ViewsTest, MigrateDownDropsTablesAndUpBringsTheirRowsBack) {
  MakeStore();
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(history().GetOperationHistory(), IsOk());
  ASSERT_THAT(database_->Migrate(1), IsOk());
  EXPECT_THAT(Column(link(), "SELECT name FROM sqlite_master WHERE name = 'operations'"),
              IsEmpty());
  EXPECT_THAT(history().GetOperationHistory(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("schema version 1")));
  // What happens meanwhile is journaled, and is there when the tables are.
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written during, history().CreateSession({.name = "during"}));
  ASSERT_THAT(database_->WaitFor(during.sequence, 30'000), IsOk());
  ASSERT_THAT(database_->Migrate(0), IsOk());
  EXPECT_THAT(Column(link(), "SELECT count(*) FROM migrations"), ElementsAre("0"));
  ASSERT_THAT(database_->Migrate(Database::LatestSchemaVersion()), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto row, history().GetSession(during.id));
  EXPECT_TRUE(row);
  ASSERT_THAT(CatchUp(), IsOk());  // that it was migrated is journaled, too
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::string round_trip, DumpTables(link()));
  Close();
  DeleteViews();
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(DumpTables(link()), IsOkAndHolds(round_trip));
}

TEST_F(ViewsTest, StayAtTheVersionTheyWereMigratedTo) {
  MakeStore();
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(database_->Migrate(1), IsOk());
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
  EXPECT_EQ(status.schema_version, 1);
  EXPECT_EQ(status.set_aside, "");
  EXPECT_THAT(database_->Migrate(LatestMigration() + 1), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(database_->Migrate(-1), StatusIs(Code::kInvalidArgument));
}

TEST_F(ViewsTest, WaitForTimesOutOnARecordThatIsNotThere) {
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(database_->WaitFor(1'000'000, 20),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("1000000")));
}

TEST_F(ViewsTest, WhyTheyAreBehindIsSaid) {
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(link(), {.busy_timeout_ms = 10'000}));
  ASSERT_THAT(db.Execute("BEGIN IMMEDIATE"), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written session, history().CreateSession({}));
  const auto stuck =
      StatusIs(Code::kUnavailable, AllOf(HasSubstr("updating the views"), HasSubstr("locked")));
  // Until the projector has given up once, they are only late.
  absl::Status waited;
  do {
    waited = database_->WaitFor(session.sequence, 50);
  } while (absl::IsDeadlineExceeded(waited));
  EXPECT_THAT(waited, stuck);
  EXPECT_THAT(database_->CatchUp(0), stuck);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
  EXPECT_THAT(status.error, StatusIs(Code::kUnavailable));
  ASSERT_THAT(db.Execute("COMMIT"), IsOk());
  EXPECT_THAT(database_->WaitFor(session.sequence, 30'000), IsOk());
}

TEST_F(ViewsTest, AReadOnlyOpenerStillBringsThemUpToDate) {
  MakeStore();
  DeleteViews();
  DatabaseOptions options;
  options.journal.read_only = true;
  ASSERT_THAT(Open(options), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(DumpTables(link()), IsOkAndHolds(dump_));
  EXPECT_THAT(history().CreateSession({}), StatusIs(Code::kFailedPrecondition));
}

TEST_F(ViewsTest, AnOpenerThatDoesNotProjectReadsWhatIsThere) {
  MakeStore();
  DatabaseOptions options;
  options.views.project = false;
  ASSERT_THAT(Open(options), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
  EXPECT_FALSE(status.projecting);
  EXPECT_EQ(status.schema_version, LatestMigration());
  EXPECT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto operations, history().GetOperationHistory());
  EXPECT_EQ(operations.size(), 3u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written session, history().CreateSession({}));
  EXPECT_THAT(database_->WaitFor(session.sequence, 30),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("does not project")));
  EXPECT_THAT(database_->Migrate(1), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(database_->Rebuild(), StatusIs(Code::kFailedPrecondition));
  Close();
  DeleteViews();
  ASSERT_THAT(Open(options), IsOk());
  EXPECT_THAT(history().GetOperationHistory(), StatusIs(Code::kNotFound, HasSubstr("no views.db")));
}

TEST_F(ViewsTest, ClosingDoesNotWaitForAFullProjection) {
  DatabaseOptions appending;
  appending.views.project = false;
  ASSERT_THAT(Open(appending), IsOk());
  ASSERT_THAT(AppendHistory(&journal(), 400), IsOk());
  DatabaseOptions slow;
  slow.views.batch_records_max = 10;
  ASSERT_THAT(Open(slow), IsOk());
  ASSERT_THAT(database_->WaitFor(100, 30'000), IsOk());
  Close();
  const std::vector<std::string> watermark =
      Column(link(), "SELECT watermark FROM nimbus_watermark");
  ASSERT_EQ(watermark.size(), 1u);
  EXPECT_GT(std::stoll(watermark[0]), 100);
  EXPECT_LT(std::stoll(watermark[0]), 400 * 25);
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(Column(link(), "SELECT count(*) FROM operation_steps"), ElementsAre("4000"));
}

}  // namespace
}  // namespace nimbus::projections
