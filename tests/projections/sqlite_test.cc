#include "sqlite.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "testing/files.h"
#include "testing/status_matchers.h"

namespace nimbus::projections::sqlite {
namespace {

using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::HasSubstr;

class SqliteTest : public testing::Test {
 protected:
  absl::StatusOr<Connection> OpenFile(Connection::Options options = {}) {
    return Connection::Open(path(), options);
  }
  std::string path() const { return directory_ / "a file%20?.db"; }

  test::TempDir directory_;
};

TEST_F(SqliteTest, ReturnsWhatWasBound) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, OpenFile());
  ASSERT_THAT(db.Execute("CREATE TABLE t (i INTEGER, x TEXT, b BLOB, n TEXT)"), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(Statement insert, db.Prepare("INSERT INTO t VALUES (?, ?, ?, ?)"));
  const uint8_t bytes[] = {0, 255, 0};
  ASSERT_THAT(insert.Run(int64_t{-5}, std::string_view("a\0b", 3), std::span(bytes), nullptr),
              IsOk());
  ASSERT_THAT(insert.Run(7, std::string_view(), std::span<const uint8_t>(),
                         std::optional<std::string>("set")),
              IsOk());
  EXPECT_EQ(db.changes(), 1);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Statement select, db.Prepare("SELECT * FROM t ORDER BY rowid"));
  ASSERT_THAT(select.First(), IsOkAndHolds(true));
  EXPECT_EQ(select.columns(), 4);
  EXPECT_EQ(select.Int(0), -5);
  EXPECT_EQ(select.Text(1), std::string_view("a\0b", 3));
  EXPECT_EQ(select.Blob(2).size(), 3u);
  EXPECT_EQ(select.Blob(2)[1], 255);
  EXPECT_TRUE(select.IsNull(3));
  EXPECT_EQ(select.OptionalText(3), std::nullopt);
  ASSERT_THAT(select.Next(), IsOkAndHolds(true));
  EXPECT_FALSE(select.IsNull(1)) << "an empty text is not NULL";
  EXPECT_EQ(select.Text(1), "");
  EXPECT_EQ(select.OptionalInt(0), 7);
  EXPECT_EQ(select.OptionalText(3), "set");
  EXPECT_THAT(select.Next(), IsOkAndHolds(false));
}

TEST_F(SqliteTest, TellsWhichConstraintFailed) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, OpenFile());
  ASSERT_THAT(db.Execute("CREATE TABLE t (id TEXT PRIMARY KEY, x TEXT NOT NULL)"), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(Statement insert, db.Prepare("INSERT INTO t VALUES (?, ?)"));
  ASSERT_THAT(insert.Run("a", "x"), IsOk());
  const absl::Status twice = insert.Run("a", "x");
  EXPECT_THAT(twice, StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("t.id")));
  EXPECT_TRUE(IsSqliteError(twice));
  EXPECT_TRUE(IsSqliteError(schema::Annotate(twice, "while testing")));
  EXPECT_THAT(insert.Run("b", nullptr),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("NOT NULL")));
  EXPECT_THAT(insert.Run("b", "x"), IsOk()) << "the statement works after an error";
  EXPECT_FALSE(IsSqliteError(absl::NotFoundError("ours")));
}

TEST_F(SqliteTest, ReportsAMissingFileAndOneThatIsNoDatabase) {
  EXPECT_THAT(OpenFile({.mode = Connection::Mode::kReadWrite}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("a file%20?.db")));
  EXPECT_THAT(OpenFile({.mode = Connection::Mode::kReadOnly}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(std::filesystem::exists(path())) << "looking must not create it";
  ASSERT_TRUE(test::WriteFile(path(), std::string(10'000, 'x')));
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, OpenFile());
  const absl::Status damaged = db.TableExists("t").status();
  EXPECT_THAT(damaged, StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_TRUE(IsSqliteError(damaged));
}

TEST_F(SqliteTest, ReportsAFullFile) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, OpenFile());
  ASSERT_THAT(db.Execute("CREATE TABLE t (x TEXT)"), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const int64_t limit, db.QueryInt("PRAGMA max_page_count = 4"));
  ASSERT_EQ(limit, 4);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Statement insert, db.Prepare("INSERT INTO t VALUES (?)"));
  const std::string large(100'000, 'x');
  EXPECT_THAT(insert.Run(large), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(insert.Run("small"), IsOk());
}

TEST_F(SqliteTest, RollsBackATransactionThatIsNotCommitted) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, OpenFile());
  ASSERT_THAT(db.Execute("CREATE TABLE t (x INTEGER)"), IsOk());
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Transaction transaction, Transaction::Begin(&db));
    ASSERT_THAT(db.Execute("INSERT INTO t VALUES (1)"), IsOk());
    EXPECT_TRUE(db.in_transaction());
  }
  EXPECT_FALSE(db.in_transaction());
  EXPECT_THAT(db.QueryInt("SELECT count(*) FROM t"), IsOkAndHolds(0));
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Transaction transaction, Transaction::Begin(&db));
    ASSERT_THAT(db.Execute("INSERT INTO t VALUES (1)"), IsOk());
    ASSERT_THAT(transaction.Commit(), IsOk());
  }
  EXPECT_THAT(db.QueryInt("SELECT count(*) FROM t"), IsOkAndHolds(1));
}

TEST_F(SqliteTest, SecondWriterIsUnavailableUntilTheFirstIsDone) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection first, OpenFile());
  ASSERT_THAT(first.Execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x INTEGER)"), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection second, OpenFile({.busy_timeout_ms = 1}));
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Transaction transaction, Transaction::Begin(&first));
    EXPECT_THAT(Transaction::Begin(&second), StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_THAT(Transaction::Begin(&second), IsOk());
}

// The connections would wait for each other for longer than a test may take.
TEST_F(SqliteTest, ATryWaitsForNobody) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection first, OpenFile({.busy_timeout_ms = 3'600'000}));
  ASSERT_THAT(first.Execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x INTEGER)"), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection second, OpenFile({.busy_timeout_ms = 3'600'000}));
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Transaction transaction, Transaction::TryBegin(&first));
    EXPECT_THAT(Transaction::TryBegin(&second), StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(second.Checkpoint(Connection::CheckpointMode::kRestart), IsOkAndHolds(0))
        << "what there is, and nothing of what is written now";
    ASSERT_THAT(first.Execute("INSERT INTO t VALUES (1)"), IsOk());
    ASSERT_THAT(transaction.Commit(), IsOk());
  }
  EXPECT_THAT(Transaction::TryBegin(&second), IsOk());
}

TEST_F(SqliteTest, ACheckpointIsFullUnlessAReaderStaysBehind) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, OpenFile({.busy_timeout_ms = 3'600'000}));
  ASSERT_THAT(db.Execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x INTEGER)"), IsOk());
  db.CheckpointByHand();
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection reader, OpenFile({.mode = Connection::Mode::kReadOnly}));
  for (const auto mode :
       {Connection::CheckpointMode::kPassive, Connection::CheckpointMode::kRestart}) {
    ASSERT_THAT(db.Execute("INSERT INTO t VALUES (1)"), IsOk());
    {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const Snapshot snapshot, Snapshot::Begin(&reader));
      ASSERT_THAT(db.Execute("INSERT INTO t VALUES (2)"), IsOk());
      EXPECT_THAT(db.Checkpoint(mode), IsOkAndHolds(1)) << "what the reader must not see";
    }
    EXPECT_GT(db.wal_pages(), 1);
    EXPECT_THAT(db.Checkpoint(mode), IsOkAndHolds(0));
    ASSERT_THAT(db.Execute("INSERT INTO t VALUES (3)"), IsOk());
    EXPECT_EQ(db.wal_pages(), 1) << "the log has started over";
  }
}

TEST_F(SqliteTest, ARestartWaitsForWhoWritesAndWhoReadsAsLongAsItIsToldTo) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, OpenFile({.busy_timeout_ms = 3'600'000}));
  ASSERT_THAT(db.Execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x INTEGER)"), IsOk());
  db.CheckpointByHand();
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection other, OpenFile());
  std::optional<Transaction> writing;
  std::optional<Snapshot> reading;
  int waits = 0;
  const auto give_up = [&waits] { return ++waits < 3; };
  const auto let_go = [&waits, &writing, &reading] {
    writing.reset();
    reading.reset();
    return ++waits < 3;
  };
  for (const bool writes : {true, false}) {
    const auto begin = [&] {
      waits = 0;
      ASSERT_THAT(db.Execute("INSERT INTO t VALUES (1), (2)"), IsOk());
      if (writes) {
        NIMBUS_ASSERT_OK_AND_ASSIGN(Transaction begun, Transaction::Begin(&other));
        writing.emplace(std::move(begun));
      } else {
        NIMBUS_ASSERT_OK_AND_ASSIGN(Snapshot begun, Snapshot::Begin(&other));
        reading.emplace(std::move(begun));
        ASSERT_THAT(db.Execute("INSERT INTO t VALUES (3)"), IsOk());
      }
    };
    ASSERT_NO_FATAL_FAILURE(begin());
    EXPECT_THAT(db.Checkpoint(Connection::CheckpointMode::kRestart, give_up),
                IsOkAndHolds(writes ? 0 : 1));
    EXPECT_EQ(waits, 3);
    let_go();
    ASSERT_NO_FATAL_FAILURE(begin());
    EXPECT_THAT(db.Checkpoint(Connection::CheckpointMode::kRestart, let_go), IsOkAndHolds(0));
    EXPECT_EQ(waits, 1);
    ASSERT_THAT(db.Execute("INSERT INTO t VALUES (4)"), IsOk());
    EXPECT_EQ(db.wal_pages(), 1) << "the log has started over";
  }
}

TEST_F(SqliteTest, ReadOnlyConnectionsReadAndRefuseToWrite) {
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, OpenFile());
    ASSERT_THAT(db.Execute("CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (42)"), IsOk());
  }
  for (const auto mode : {Connection::Mode::kReadOnly, Connection::Mode::kImmutable}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, OpenFile({.mode = mode}));
    EXPECT_THAT(db.QueryInt("SELECT x FROM t"), IsOkAndHolds(42));
    EXPECT_THAT(db.Execute("DELETE FROM t"), StatusIs(absl::StatusCode::kPermissionDenied));
  }
}

}  // namespace
}  // namespace nimbus::projections::sqlite
