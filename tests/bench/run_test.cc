#include "bench/run.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <string>

#include "testing/files.h"

namespace nimbus::bench {
namespace {

constexpr uint64_t kSeed = 1;

class PeerTest : public testing::TestWithParam<PeerKind> {
 protected:
  test::TempDir directory_;
};

TEST_P(PeerTest, TakesWholeOperationsOfConcurrentWriters) {
  const RunOptions options{.writers = 3, .seconds = 1, .operations = 2};
  Texts texts(test::Workload(kSeed), options.writers);
  const absl::StatusOr<RunResult> result =
      MeasurePeer(GetParam(), options, texts, directory_ / "run");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->events, 3 * 2 * test::kWorkloadEvents);
  EXPECT_GT(result->seconds, 0);
  EXPECT_LE(result->p50_us, result->p99_us);
  EXPECT_GT(result->bytes, 3 * 2 * test::kCheckpointStateBytes);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "run"));
}

TEST_P(PeerTest, TakesAnOperationAtOnce) {
  const RunOptions options{.writers = 2, .whole_operations = true, .operations = 3};
  Texts texts(test::Workload(kSeed), options.writers);
  const absl::StatusOr<RunResult> result =
      MeasurePeer(GetParam(), options, texts, directory_ / "run");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->events, 2 * 3 * test::kWorkloadEvents);
  EXPECT_GT(result->cpu_us, 0);
}

TEST_P(PeerTest, TakesSingleEventsRelaxed) {
  const RunOptions options{.content = Content::kSingle, .relaxed = true, .operations = 5};
  Texts texts(test::Workload(kSeed), options.writers, options.content);
  const absl::StatusOr<RunResult> result =
      MeasurePeer(GetParam(), options, texts, directory_ / "run");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->events, 5u);
}

TEST_P(PeerTest, EndsByTimeWithinAnOperation) {
  const RunOptions options{.writers = 1, .seconds = 0.05, .operations = 0};
  Texts texts(test::Workload(kSeed), options.writers);
  const absl::StatusOr<RunResult> result =
      MeasurePeer(GetParam(), options, texts, directory_ / "run");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_GT(result->events, 0u);
  EXPECT_LT(result->seconds, 5);
}

INSTANTIATE_TEST_SUITE_P(All, PeerTest, testing::ValuesIn(PeerKinds().begin(), PeerKinds().end()),
                         [](const testing::TestParamInfo<PeerKind>& peer) {
                           std::string name(peer.param.name);
                           std::erase(name, '-');
                           return name;
                         });

TEST(RunTest, RefusesADirectoryThatIsNotEmpty) {
  test::TempDir directory;
  Texts texts(test::Workload(kSeed), 1);
  std::filesystem::create_directory(directory / "run");
  ASSERT_TRUE(test::WriteFile(directory / "run" / "mine", "precious"));
  const absl::StatusOr<RunResult> result = MeasurePeer(
      PeerKinds()[0], {.writers = 1, .seconds = 1, .operations = 1}, texts, directory / "run");
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(test::ReadFile(directory / "run" / "mine"), "precious");
}

TEST(RunTest, FlushIsMeasuredAndLeavesNothing) {
  test::TempDir directory;
  const absl::StatusOr<double> micros = MeasureFlush(directory.path());
  ASSERT_TRUE(micros.ok()) << micros.status().ToString();
  EXPECT_GT(*micros, 0);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(RunTest, MemoryIsNoDisk) {
  if (!std::filesystem::exists("/dev/shm")) GTEST_SKIP() << "no /dev/shm here";
  EXPECT_EQ(CheckOnDisk("/dev/shm").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckOnDisk("/no/such/directory").code(), absl::StatusCode::kNotFound);
}

// What the spec's tables hold after an operation: the peer does the whole work.
TEST(SqlitePeerTest, RowsAreThoseOfTheSpecsRepository) {
  test::TempDir directory;
  const test::Workload workload(kSeed);
  const test::WorkloadOperation operation = workload.Operation(0);
  {
    const absl::StatusOr<std::unique_ptr<Peer>> peer =
        OpenSqliteShared({.directory = directory.string(), .sessions = {workload.SessionId(0)}});
    ASSERT_TRUE(peer.ok()) << peer.status().ToString();
    // A call each, the other half in one transaction.
    for (size_t index = 0; index < test::kWorkloadEvents / 2; ++index) {
      const absl::Status status = (*peer)->Append(0, operation, index, index + 1);
      ASSERT_TRUE(status.ok()) << index << ": " << status.ToString();
    }
    const absl::Status status =
        (*peer)->Append(0, operation, test::kWorkloadEvents / 2, test::kWorkloadEvents);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((directory / "history.db").c_str(), &database), SQLITE_OK);
  sqlite3_stmt* query = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(
                database,
                "SELECT (SELECT COUNT(*) FROM operation_steps WHERE status = 'completed' AND "
                "length(input) = 400 AND length(output) = 1500), "
                "(SELECT MAX(step_number) FROM operation_steps), "
                "(SELECT COUNT(*) FROM checkpoints WHERE length(state) = 4096), "
                "(SELECT COUNT(*) FROM operations o JOIN sessions s ON s.id = o.session_id "
                "WHERE status = 'completed' AND completed_at NOT NULL)",
                -1, &query, nullptr),
            SQLITE_OK)
      << sqlite3_errmsg(database);
  ASSERT_EQ(sqlite3_step(query), SQLITE_ROW);
  EXPECT_EQ(sqlite3_column_int(query, 0), 10);
  EXPECT_EQ(sqlite3_column_int(query, 1), 10);
  EXPECT_EQ(sqlite3_column_int(query, 2), 2);
  EXPECT_EQ(sqlite3_column_int(query, 3), 1);
  sqlite3_finalize(query);
  sqlite3_close(database);
}

}  // namespace
}  // namespace nimbus::bench
