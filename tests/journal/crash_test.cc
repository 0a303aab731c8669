// SIGKILL at any moment: what was acknowledged is there, the rest whole or not
// at all, and a retry makes it once.
#include <csignal>
#include <thread>

#include "child.h"
#include "nimbus/journal/verify.h"
#include "testing/random.h"

namespace nimbus::journal {
namespace {

constexpr int kRounds = NIMBUS_LONG_TESTS ? 1000 : 40;

class CrashTest : public ::testing::Test {
 protected:
  // Runs a child that appends in `threads` threads, and kills it so long after
  // it has printed `lines`.
  test::Finished RunAndKill(const std::string& store, int threads, int64_t lines,
                            int64_t after_us) {
    absl::StatusOr<std::unique_ptr<test::Program>> child =
        StartChild({"append", store, "0", std::to_string(threads)});
    EXPECT_THAT(child, IsOk());
    EXPECT_TRUE(WaitForLines(**child, lines));
    std::this_thread::sleep_for(std::chrono::microseconds(after_us));
    (*child)->Signal(SIGKILL);
    absl::StatusOr<test::Finished> run = (*child)->Wait();
    EXPECT_THAT(run, IsOk());
    EXPECT_EQ(run->signal, SIGKILL) << run->out;
    return *std::move(run);
  }
  static void ExpectVerifies(const Journal& journal) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyReport report, VerifyJournal(journal, {}));
    for (const Finding& finding : report.findings) {
      ADD_FAILURE() << "record " << finding.sequence << ": " << finding.what;
    }
  }

  test::TempDir directory_;
  test::SeededRandom random_;
};

// The append that was on its way when the child was killed is there or not;
// asked for again, it is there once.
void RetryLast(Journal* journal, const Uuid& session, uint64_t acknowledged, uint64_t present) {
  ASSERT_GE(present, acknowledged);
  ASSERT_LE(present, acknowledged + 1);
  for (int attempt = 0; attempt < 2; ++attempt) {
    absl::StatusOr<Appended> appended = journal->Append(
        SessionUpdated(session, acknowledged), {.append_id = AppendIdOf(session, acknowledged)});
    ASSERT_THAT(appended, IsOk());
    EXPECT_EQ(appended->version, acknowledged + 2);
  }
  EXPECT_EQ(ExpectUpdates(*journal, session, {}), acknowledged + 1);
}

TEST_F(CrashTest, KeepsWhatWasAcknowledgedAndARetryMakesTheRestOnce) {
  const std::string store = (directory_ / "store").string();
  uint64_t acknowledged_in_all = 0, unacknowledged = 0, begun = 0;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    const test::Finished run = RunAndKill(store, static_cast<int>(random_.Between(1, 4)),
                                          random_.Between(0, 60), random_.Between(0, 5'000));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
    for (const auto& [session, acknowledged] : ParseOutput(run.out)) {
      const uint64_t present = ExpectUpdates(*journal, session, acknowledged);
      acknowledged_in_all += acknowledged.size();
      unacknowledged += present - std::min<uint64_t>(present, acknowledged.size());
      ++begun;
      const auto state = journal->FindEntity(EntityKind::session, session);
      ASSERT_THAT(state, IsOk());
      if (state->has_value()) RetryLast(journal.get(), session, acknowledged.size(), present);
    }
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  ExpectVerifies(*journal);
  std::printf("%d kills, %lu sessions, %lu appends acknowledged, %lu more were whole\n", kRounds,
              begun, acknowledged_in_all, unacknowledged);
  EXPECT_GT(acknowledged_in_all, 0u);
}

TEST_F(CrashTest, AStoreWhoseCreationWasKilledIsMadeByTheNext) {
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    const std::string store = (directory_ / fmt::format("store-{}", round)).string();
    const test::Finished run = RunAndKill(store, 1, 0, random_.Between(0, 12'000));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
    for (const auto& [session, acknowledged] : ParseOutput(run.out)) {
      ExpectUpdates(*journal, session, acknowledged);
    }
    ASSERT_THAT(journal->Append(SessionStarted(schema::NewUuid())), IsOk());
    ExpectVerifies(*journal);
  }
}

TEST_F(CrashTest, OtherProcessesGoOnWhenOneIsKilled) {
  const std::string store = (directory_ / "store").string();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  const Uuid session = schema::NewUuid();
  ASSERT_THAT(journal->Append(SessionStarted(session)), IsOk());
  uint64_t n = 0;
  for (int round = 0; round < kRounds / 4 && !HasFailure(); ++round) {
    absl::StatusOr<std::unique_ptr<test::Program>> child = StartChild({"append", store, "0", "2"});
    ASSERT_THAT(child, IsOk());
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::microseconds(random_.Between(5'000, 40'000));
    for (; std::chrono::steady_clock::now() < end; ++n) {
      ASSERT_THAT(journal->Append(SessionUpdated(session, n)), IsOk());
    }
    (*child)->Signal(SIGKILL);
    ASSERT_THAT(journal->Append(SessionUpdated(session, n++)), IsOk());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, (*child)->Wait());
    for (const auto& [other, acknowledged] : ParseOutput(run.out)) {
      ExpectUpdates(*journal, other, acknowledged);
    }
  }
  EXPECT_EQ(ExpectUpdates(*journal, session, {}), n);
  ExpectVerifies(*journal);
}

}  // namespace
}  // namespace nimbus::journal
