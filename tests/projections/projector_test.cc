// Records that can't be applied, and what becomes of their entity.
#include "projector.h"

#include <gtest/gtest.h>

#include "digest.h"
#include "fixture.h"
#include "migrator.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using Code = absl::StatusCode;
using schema::MakeEvent;
using schema::Uuid;
using sqlite::Connection;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr uint64_t kTooManyTokens = uint64_t{1} << 63;  // SQLite's integers end below

class ProjectorTest : public StoreTest {
 protected:
  void SetUp() override { ASSERT_THAT(Open(), IsOk()); }

  // Completes the operation's only step with more tokens than SQLite can hold.
  absl::StatusOr<journal::Appended> AppendBadCompletion(const Uuid& operation, const Uuid& step) {
    fb::StepCompletedT completed;
    completed.step = std::make_unique<fb::Id>(step.ToFb());
    completed.outcome = std::make_unique<fb::OutcomeT>();
    completed.outcome->tokens_used = kTooManyTokens;
    return journal().Append(MakeEvent(fb::EntityKind::operation, operation, std::move(completed)));
  }

  // A file of its own, with tables and nothing in them.
  Connection MakeTables(const std::string& name) {
    absl::StatusOr<Connection> db = Connection::Open(directory_ / name, {});
    EXPECT_THAT(db, IsOk());
    EXPECT_THAT(Migrate(&*db, LatestMigration()), IsOk());
    EXPECT_THAT(CreateBookkeeping(&*db, journal().id(), ViewsLayout().projector_version), IsOk());
    return *std::move(db);
  }

  absl::Status ProjectAll(Connection* db, size_t records_max) {
    NIMBUS_ASSIGN_OR_RETURN(auto projector, Projector::Create(db, &journal(), ViewsLayout()));
    for (;;) {
      NIMBUS_ASSIGN_OR_RETURN(const uint64_t applied,
                              projector->ProjectBatch({.records_max = records_max}));
      if (applied == 0) return absl::OkStatus();
    }
  }

  // The tables, those of the quarantine among them, do not depend on where batches end.
  void ExpectTheSameWithBatchesOfAnySize() {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t size, journal().Size());
    std::optional<std::vector<TableDigest>> first;
    for (size_t records = 1; records <= size; ++records) {
      SCOPED_TRACE(fmt::format("batches of {}", records));
      Connection db = MakeTables(fmt::format("batches-{}.db", records));
      ASSERT_THAT(ProjectAll(&db, records), IsOk());
      EXPECT_THAT(CheckForeignKeys(&db), IsOk());
      NIMBUS_ASSERT_OK_AND_ASSIGN(std::vector<TableDigest> digests, DigestTables(&db));
      if (!first)
        first = std::move(digests);
      else
        EXPECT_TRUE(digests == *first);
    }
  }

  // Two operations side by side, with steps that end late, fail, are cancelled or never
  // end, and a checkpoint of one that still runs.
  void AppendInterleaved(const Uuid& session) {
    std::vector<Uuid> operations, steps;
    for (int i = 0; i < 2; ++i) {
      operations.push_back(
          history().CreateOperation({.session = session, .type = "chat", .plan = "[1]"})->id);
      ASSERT_THAT(history().StartOperation(operations[i]), IsOk());
    }
    for (int i = 0; i < 6; ++i) {
      steps.push_back(
          history().AddOperationStep({.operation = operations[i % 2], .input = "{}"})->id);
      ASSERT_THAT(history().StartOperationStep(steps[i]), IsOk());
    }
    ASSERT_THAT(history().CreateCheckpoint(
                    {.operation = operations[0], .step = steps[0], .state = R"({"n":1})"}),
                IsOk());
    ASSERT_THAT(history().CompleteOperationStep(steps[0], {.output = "1"}), IsOk());
    ASSERT_THAT(history().FailOperationStep(steps[1], {.error = "no"}), IsOk());
    ASSERT_THAT(history().CancelOperationStep(steps[2]), IsOk());
    ASSERT_THAT(history().PlanOperation(operations[1], "[2]"), IsOk());
    ASSERT_THAT(history().UpdateOperationStatus(operations[0], journal::Lifecycle::kFailed,
                                                {.error = "gave up"}),
                IsOk());
    ASSERT_THAT(history().UpdateOperationStatus(operations[1], journal::Lifecycle::kCompleted,
                                                {.output = "2"}),
                IsOk());
  }
};

TEST_F(ProjectorTest, ARowIsTheSameWhereverABatchEndsWhileItChanges) {
  const Uuid session = history().CreateSession({.name = "s"})->id;
  AppendInterleaved(session);
  ASSERT_THAT(history().EndSession(session), IsOk());
  ExpectTheSameWithBatchesOfAnySize();
  EXPECT_THAT(database_->GetQuarantine(), IsOkAndHolds(SizeIs(0)));
}

TEST_F(ProjectorTest, TheSameRecordsAreInQuarantineWhereverABatchEnds) {
  const Uuid session = history().CreateSession({.name = "s"})->id;
  const Uuid bad = history().CreateOperation({.session = session, .type = "chat"})->id;
  const Uuid step = history().AddOperationStep({.operation = bad})->id;
  const Uuid other = history().AddOperationStep({.operation = bad})->id;
  AppendInterleaved(session);
  ASSERT_THAT(AppendBadCompletion(bad, step), IsOk());
  AppendInterleaved(session);
  ASSERT_THAT(history().CompleteOperationStep(other, {}), IsOk());
  ExpectTheSameWithBatchesOfAnySize();
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(database_->GetQuarantine(), IsOkAndHolds(SizeIs(2)));
  EXPECT_THAT(Column(link(), "SELECT status FROM operation_steps WHERE operation_id = '" +
                                 bad.ToString() + "'"),
              ElementsAre("pending", "pending"));
}

TEST_F(ProjectorTest, WritesARowThatBeginsAndEndsInABatchOnce) {
  ASSERT_THAT(AppendHistory(&journal(), 3), IsOk());
  for (const auto& [records, updates] : {std::pair(size_t{1'000}, 0), {size_t{1}, 36}}) {
    Connection db = MakeTables(fmt::format("once-{}.db", records));
    ASSERT_THAT(
        db.Execute("CREATE TABLE changed (n); "
                   "CREATE TRIGGER a AFTER UPDATE ON operations BEGIN INSERT INTO changed "
                   "VALUES (1); END; "
                   "CREATE TRIGGER b AFTER UPDATE ON operation_steps BEGIN INSERT INTO changed "
                   "VALUES (1); END"),
        IsOk());
    ASSERT_THAT(ProjectAll(&db, records), IsOk());
    EXPECT_THAT(db.QueryInt("SELECT count(*) FROM changed"), IsOkAndHolds(updates));
    EXPECT_THAT(db.QueryInt("SELECT count(*) FROM operation_steps WHERE status = 'completed'"),
                IsOkAndHolds(30));
  }
}

TEST_F(ProjectorTest, QuarantinesABadRecordAndWhatFollowsOfItsEntity) {
  const Uuid session = history().CreateSession({.name = "s"})->id;
  const Uuid bad = history().CreateOperation({.session = session, .type = "chat"})->id;
  const Uuid good = history().CreateOperation({.session = session, .type = "chat"})->id;
  const Uuid step = history().AddOperationStep({.operation = bad})->id;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::Appended first, AppendBadCompletion(bad, step));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written later,
                              history().UpdateOperationStatus(bad, journal::Lifecycle::kCompleted));
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Written other, history().UpdateOperationStatus(good, journal::Lifecycle::kCompleted));

  EXPECT_THAT(database_->WaitFor(other.sequence, 30'000), IsOk()) << "the projector goes on";
  EXPECT_THAT(database_->WaitFor(first.first, 30'000),
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("quarantine"), HasSubstr("9223372036854775808"))));
  EXPECT_THAT(database_->CatchUp(30'000), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<Quarantined> all, database_->GetQuarantine());
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].sequence, first.first);
  EXPECT_EQ(all[0].event, "StepCompleted");
  EXPECT_EQ(all[0].stream, "operation " + bad.ToString());
  EXPECT_THAT(all[0].error, HasSubstr("tokens_used"));
  EXPECT_EQ(all[1].sequence, later.sequence);
  EXPECT_THAT(all[1].error, HasSubstr("earlier record"));
  EXPECT_THAT(database_->GetQuarantine(1), IsOkAndHolds(SizeIs(1)));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
  EXPECT_EQ(status.quarantined, 2u);
  EXPECT_THAT(Column(link(), "SELECT status FROM operations ORDER BY rowid"),
              ElementsAre("pending", "completed"));
}

TEST_F(ProjectorTest, RemembersAQuarantinedEntityAcrossReopening) {
  const Uuid session = history().CreateSession({})->id;
  const Uuid bad = history().CreateOperation({.session = session, .type = "chat"})->id;
  const Uuid step = history().AddOperationStep({.operation = bad})->id;
  ASSERT_THAT(AppendBadCompletion(bad, step), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(history().UpdateOperationStatus(bad, journal::Lifecycle::kFailed), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(database_->GetQuarantine(), IsOkAndHolds(SizeIs(2)));
  EXPECT_THAT(Column(link(), "SELECT status FROM operations"), ElementsAre("pending"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::string dump, DumpTables(link()));
  ASSERT_THAT(database_->Rebuild(), IsOk());
  EXPECT_THAT(DumpTables(link()), IsOkAndHolds(dump));
}

TEST_F(ProjectorTest, RowsWhoseParentIsMissingAreQuarantinedNotDangling) {
  // Rows made by hand are in the way of what the journal says.
  ASSERT_THAT(CatchUp(), IsOk());
  const Uuid session = schema::NewUuid(), operation = schema::NewUuid();
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(link(), {}));
    ASSERT_THAT(db.Execute("CREATE TRIGGER lose AFTER INSERT ON sessions BEGIN "
                           "DELETE FROM sessions WHERE id = new.id; END"),
                IsOk());
  }
  ASSERT_THAT(history().CreateSession({.id = session}), IsOk());
  ASSERT_THAT(history().CreateOperation({.session = session, .type = "chat", .id = operation}),
              IsOk());
  ASSERT_THAT(history().AddOperationStep({.operation = operation}), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<Quarantined> all, database_->GetQuarantine());
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_THAT(all[0].error, HasSubstr("session " + session.ToString() + " has no row"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(link(), {}));
  EXPECT_THAT(CheckForeignKeys(&db), IsOk());
}

TEST_F(ProjectorTest, StopsABatchAtItsLimits) {
  ASSERT_THAT(AppendHistory(&journal(), 4), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t size, journal().Size());
  Connection db = MakeTables("own.db");
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto projector, Projector::Create(&db, &journal(), ViewsLayout()));
  EXPECT_THAT(projector->ProjectBatch({.records_max = 7}), IsOkAndHolds(7u));
  EXPECT_EQ(projector->watermark(), 7u);
  EXPECT_THAT(projector->ProjectBatch({.bytes_max = 1}), IsOkAndHolds(1u)) << "never stuck";
  EXPECT_THAT(projector->ProjectBatch({}), IsOkAndHolds(size - 8));
  EXPECT_THAT(projector->ProjectBatch({}), IsOkAndHolds(0u));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<Bookmark> bookmark, ReadBookmark(&db));
  ASSERT_TRUE(bookmark);
  EXPECT_EQ(bookmark->watermark, size);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const schema::Digest leaf, journal().LeafHash(size - 1));
  EXPECT_EQ(bookmark->leaf_hash, std::string(leaf.begin(), leaf.end()));
  EXPECT_THAT(WhyNotOf(&db, journal(), ViewsLayout()), IsOkAndHolds(""));
  EXPECT_THAT(CheckForeignKeys(&db), IsOk());
}

TEST_F(ProjectorTest, ABatchThatFailsChangesNothingAndIsTriedAgain) {
  ASSERT_THAT(AppendHistory(&journal(), 40), IsOk());
  Connection db = MakeTables("own.db");
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto projector, Projector::Create(&db, &journal(), ViewsLayout()));
  ASSERT_THAT(projector->ProjectBatch({.records_max = 30}), IsOkAndHolds(30u));
  const auto count = [&] { return db.QueryInt("SELECT count(*) FROM operation_steps"); };
  NIMBUS_ASSERT_OK_AND_ASSIGN(const int64_t before, count());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const int64_t pages, db.QueryInt("PRAGMA page_count"));
  ASSERT_THAT(db.QueryInt(fmt::format("PRAGMA max_page_count = {}", pages + 1)), IsOk());
  EXPECT_THAT(projector->ProjectBatch({}),
              StatusIs(Code::kResourceExhausted, HasSubstr("applying record")));
  EXPECT_FALSE(db.in_transaction());
  EXPECT_THAT(count(), IsOkAndHolds(before));
  EXPECT_THAT(db.QueryInt("SELECT watermark FROM nimbus_watermark"), IsOkAndHolds(30));
  ASSERT_THAT(db.QueryInt("PRAGMA max_page_count = 1000000"), IsOk());
  EXPECT_THAT(projector->ProjectBatch({}), IsOk());
  EXPECT_THAT(count(), IsOkAndHolds(400));
}

TEST_F(ProjectorTest, TwoProjectorsOnOneFileApplyEachRecordOnce) {
  ASSERT_THAT(AppendHistory(&journal(), 20), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection a, Connection::Open(directory_ / "own.db", {}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection b, Connection::Open(directory_ / "own.db", {}));
  ASSERT_THAT(Migrate(&a, LatestMigration()), IsOk());
  ASSERT_THAT(CreateBookkeeping(&a, journal().id(), ViewsLayout().projector_version), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto first, Projector::Create(&a, &journal(), ViewsLayout()));
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto second, Projector::Create(&b, &journal(), ViewsLayout()));
  uint64_t applied = 0;
  for (int round = 0; round < 1000; ++round) {
    Projector& projector = round % 3 == 0 ? *first : *second;
    NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t count, projector.ProjectBatch({.records_max = 11}));
    applied += count;
    if (count == 0) break;
  }
  EXPECT_THAT(journal().Size(), IsOkAndHolds(applied));
  EXPECT_THAT(a.QueryInt("SELECT count(*) FROM operation_steps"), IsOkAndHolds(200));
  EXPECT_THAT(a.QueryInt("SELECT count(*) FROM nimbus_quarantine"), IsOkAndHolds(0));
}

}  // namespace
}  // namespace nimbus::projections
