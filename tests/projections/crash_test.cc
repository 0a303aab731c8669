// Exactly once, whatever is killed and however many project at once.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <random>
#include <thread>

#include "fixture.h"
#include "migrator.h"
#include "testing/program.h"
#include "testing/random.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using test::IsOk;

class CrashTest : public StoreTest {
 protected:
  absl::StatusOr<std::unique_ptr<test::Program>> StartChild(
      int operations, int batch, uint64_t wal_bytes_max = ViewsOptions{}.wal_bytes_max) {
    return test::Program::Start(
        {.argv = {NIMBUS_PROJECTING_CHILD, store(), fmt::format("{}", operations),
                  fmt::format("{}", batch), fmt::format("{}", wal_bytes_max)}});
  }

  int64_t Watermark() {
    const std::vector<std::string> rows = Column(link(), "SELECT watermark FROM nimbus_watermark");
    return rows.size() == 1 ? std::atoll(rows[0].c_str()) : 0;
  }

  // Waits until a child has applied more than `watermark` records; not for long
  // when there are no more. However slow the machine, a kill then hits it at work.
  void WaitForProgress(int64_t watermark) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (Watermark() <= watermark && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  // The tables as they are, and as a rebuild from the journal alone makes them.
  void ExpectRowsAsLeft() {
    ASSERT_THAT(Open(), IsOk());
    ASSERT_THAT(CatchUp(), IsOk());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
    EXPECT_EQ(status.set_aside, "");
    ExpectRowsAsRebuilt();
    NIMBUS_ASSERT_OK_AND_ASSIGN(sqlite::Connection db, sqlite::Connection::Open(link(), {}));
    EXPECT_THAT(CheckForeignKeys(&db), IsOk());
  }
};

TEST_F(CrashTest, AProjectorKilledAtAnyMomentLosesAndRepeatsNothing) {
  constexpr int kOperations = 800;
  const auto seed = static_cast<unsigned>(test::MakeSeed());
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  DatabaseOptions appending;
  appending.views.project = false;
  ASSERT_THAT(Open(appending), IsOk());
  ASSERT_THAT(AppendHistory(&journal(), kOperations), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t size, journal().Size());
  Close();
  int killed_midway = 0;
  int64_t watermark = 0;
  for (int round = 0; round < 25 && watermark < static_cast<int64_t>(size); ++round) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(auto child, StartChild(0, 1 + static_cast<int>(random() % 40)));
    // Half of the kills may also hit the child while it starts.
    if (round % 2 == 0) WaitForProgress(watermark);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
    child->Signal(SIGKILL);
    ASSERT_THAT(child->Wait(), IsOk());
    const int64_t now = Watermark();
    EXPECT_GE(now, watermark) << "what was applied stays applied";
    if (now > watermark && now < static_cast<int64_t>(size)) ++killed_midway;
    watermark = now;
  }
  EXPECT_GE(killed_midway, 3) << "the kills must hit the projection to prove anything";
  ExpectRowsAsLeft();
  EXPECT_THAT(Column(link(), "SELECT count(*) FROM operations"),
              testing::ElementsAre(fmt::format("{}", kOperations)));
}

TEST_F(CrashTest, AProcessKilledWhileItAppendsAndProjectsLeavesBothInAgreement) {
  std::mt19937 random(7);
  ASSERT_THAT(Open(), IsOk());
  Close();
  for (int round = 0; round < 10; ++round) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(auto child, StartChild(100'000, 16));
    WaitForProgress(Watermark());
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 50'000));
    child->Signal(SIGKILL);
    ASSERT_THAT(child->Wait(), IsOk());
  }
  EXPECT_GT(Watermark(), 50);
  ExpectRowsAsLeft();
}

TEST_F(CrashTest, SeveralProcessesProjectOneStoreWhileItGrows) {
  ASSERT_THAT(Open({.views = {.batch_records_max = 5}}), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto first, StartChild(60, 3));
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto second, StartChild(60, 4));
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto third, StartChild(60, 7));
  ASSERT_THAT(AppendHistory(&journal(), 60), IsOk());
  // Queries go on meanwhile; each sees operations whole batches at a time.
  size_t seen = 0;
  for (int i = 0; i < 50; ++i) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto rows, history().GetOperationHistory());
    EXPECT_GE(rows.size(), seen);
    seen = rows.size();
  }
  for (auto* child : {&first, &second, &third}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished finished, (*child)->Wait());
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
  }
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(Column(link(), "SELECT count(*) FROM operations WHERE status = 'completed'"),
              testing::ElementsAre("240"));
  ExpectRowsAsLeft();
}

// It does so only while nobody writes, and of two processes one nearly always does.
TEST_F(CrashTest, TheLogStartsOverWhileTwoProcessesProject) {
  ASSERT_THAT(Open({.views = {.batch_records_max = 1, .wal_bytes_max = 256u << 10}}), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto child, StartChild(100'000, 1));
  WaitForProgress(Watermark() + 100);
  // The salt in the log's header is one more with each start, as SQLite documents it.
  const auto salt = [this] {
    const std::string log = test::ReadFile(directory_ / "views-1.db-wal").value_or("");
    uint32_t value = 0;
    for (size_t i = 16; i < 20 && i < log.size(); ++i) {
      value = value << 8 | static_cast<uint8_t>(log[i]);
    }
    return value;
  };
  const uint32_t first = salt();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (salt() - first < 3 && std::chrono::steady_clock::now() < deadline) {
    ASSERT_THAT(AppendHistory(&journal(), 5), IsOk());
  }
  EXPECT_GE(salt() - first, 3u);
  child->Signal(SIGKILL);
  ASSERT_THAT(child->Wait(), IsOk());
  ExpectRowsAsLeft();
}

// Of the two, one nearly always writes, or moves the log: left to chance, or to the disk, it
// became five times as long as it may be.
TEST_F(CrashTest, TheLogStaysShortWhileTwoProcessesProjectTinyBatches) {
  constexpr uint64_t kBytesMax = 8u << 20;
  ASSERT_THAT(Open({.views = {.batch_records_max = 1, .wal_bytes_max = kBytesMax}}), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto child, StartChild(100'000, 1, kBytesMax));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (Watermark() < 10'000 && std::chrono::steady_clock::now() < deadline) {
    ASSERT_THAT(AppendHistory(&journal(), 10), IsOk());
  }
  // A log that starts over keeps its file, whose size so tells how long it has ever been.
  EXPECT_LE(std::filesystem::file_size(directory_ / "views-1.db-wal"), 5 * kBytesMax / 2);
  child->Signal(SIGKILL);
  ASSERT_THAT(child->Wait(), IsOk());
  ExpectRowsAsLeft();
}

TEST_F(CrashTest, ProcessesThatOpenAFreshStoreTogetherShareOneGeneration) {
  ASSERT_THAT(Open(), IsOk());
  Close();
  DeleteViews();
  std::vector<std::unique_ptr<test::Program>> children;
  for (int i = 0; i < 4; ++i) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(auto child, StartChild(5, 10));
    children.push_back(std::move(child));
  }
  for (auto& child : children) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished finished, child->Wait());
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
  }
  EXPECT_EQ(Generations().size(), 1u);
  ExpectRowsAsLeft();
}

}  // namespace
}  // namespace nimbus::projections
