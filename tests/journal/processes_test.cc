// Several processes on one journal.
#include <csignal>
#include <ctime>
#include <thread>

#include "child.h"
#include "nimbus/journal/verify.h"

namespace nimbus::journal {
namespace {

class ProcessesTest : public JournalTest {
 protected:
  std::vector<std::unique_ptr<test::Program>> Start(int children,
                                                    const std::vector<std::string>& arguments) {
    std::vector<std::unique_ptr<test::Program>> started;
    for (int i = 0; i < children; ++i) {
      absl::StatusOr<std::unique_ptr<test::Program>> child = StartChild(arguments);
      EXPECT_THAT(child, IsOk());
      started.push_back(*std::move(child));
    }
    return started;
  }
  void ExpectVerifies() {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyReport report, VerifyJournal(*journal_, {}));
    for (const Finding& finding : report.findings) {
      ADD_FAILURE() << "record " << finding.sequence << ": " << finding.what;
    }
    EXPECT_THAT(journal_->Size(), IsOkAndHolds(report.records));
  }
};

TEST_F(ProcessesTest, LoseNothingOfWhatTheyAppendAtTheSameTime) {
  constexpr int kChildren = 3, kThreads = 3, kUpdates = 100;
  const auto children =
      Start(kChildren, {"append", store(), std::to_string(kUpdates), std::to_string(kThreads)});
  Begin();
  for (uint64_t n = 0; n < kUpdates; ++n) {
    ASSERT_THAT(journal_->Append(SessionUpdated(session_, n)), IsOk());
  }
  size_t sessions = 0;
  for (const std::unique_ptr<test::Program>& child : children) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, child->Wait());
    ASSERT_EQ(run.exit_code, 0) << run.out << run.err;
    for (const auto& [session, acknowledged] : ParseOutput(run.out)) {
      ++sessions;
      EXPECT_EQ(acknowledged.size(), static_cast<size_t>(kUpdates));
      EXPECT_EQ(ExpectUpdates(*journal_, session, acknowledged), static_cast<size_t>(kUpdates));
    }
  }
  EXPECT_EQ(sessions, static_cast<size_t>(kChildren * kThreads));
  EXPECT_EQ(ExpectUpdates(*journal_, session_, {}), static_cast<size_t>(kUpdates));
  EXPECT_THAT(journal_->Size(),
              IsOkAndHolds(3u + kUpdates + kChildren * kThreads * (kUpdates + 1)));
  ExpectVerifies();
}

TEST_F(ProcessesTest, SeeEachOthersAppendsSoon) {
  constexpr uint64_t kUpdates = 200;
  const auto children = Start(1, {"append", store(), std::to_string(kUpdates), "1"});
  std::map<uint64_t, int64_t> seen;  // record → when a reader here could have it
  uint64_t size = 1;
  while (size < 2 + kUpdates) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t now, journal_->WaitForMore(size, 60'000));
    ASSERT_GT(now, size) << "nothing seen for a minute";
    const int64_t micros = std::chrono::duration_cast<std::chrono::microseconds>(
                               std::chrono::steady_clock::now().time_since_epoch())
                               .count();
    for (; size < now; ++size) seen[size] = micros;
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, children[0]->Wait());
  ASSERT_EQ(run.exit_code, 0) << run.out;
  std::vector<int64_t> latencies;
  for (const auto& [session, acknowledged] : ParseOutput(run.out)) {
    for (const Acknowledged& update : acknowledged) {
      ASSERT_TRUE(seen.contains(update.sequence));
      latencies.push_back(std::max<int64_t>(0, seen[update.sequence] - update.micros));
    }
  }
  ASSERT_EQ(latencies.size(), kUpdates);
  std::sort(latencies.begin(), latencies.end());
  // Promised: 10 ms. A busy machine may need longer, so that this is not asserted.
  std::printf("seen after %ld us (median), %ld us (longest)\n", latencies[kUpdates / 2],
              latencies.back());
}

TEST_F(ProcessesTest, EachGetsItsTurn) {
  const auto children = Start(2, {"append", store(), "0", "1"});
  ASSERT_TRUE(WaitForLines(*children[0], 2));
  ASSERT_TRUE(WaitForLines(*children[1], 2));
  const auto lines = [&](size_t child) {
    const std::string out = children[child]->OutputSoFar();
    return std::count(out.begin(), out.end(), '\n');
  };
  // While either makes a hundred more, the other makes some too.
  const int64_t before[] = {lines(0), lines(1)};
  ASSERT_TRUE(WaitForLines(*children[0], before[0] + 100));
  EXPECT_GT(lines(1), before[1] + 10);
  const int64_t between = lines(0);
  ASSERT_TRUE(WaitForLines(*children[1], lines(1) + 100));
  EXPECT_GT(lines(0), between + 10);
  for (const std::unique_ptr<test::Program>& child : children) {
    child->Signal(SIGKILL);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, child->Wait());
    const auto sessions = ParseOutput(run.out);
    ASSERT_EQ(sessions.size(), 1u);
    std::printf("%zu appends by one process\n", sessions.begin()->second.size());
    ExpectUpdates(*journal_, sessions.begin()->first, sessions.begin()->second);
  }
}

TEST_F(ProcessesTest, GoOnWhenTheHolderOfTheWriteLockIsKilled) {
  for (int round = 0; round < 5; ++round) {
    const auto children = Start(1, {"hold", store()});
    ASSERT_TRUE(WaitForLines(*children[0], 1));
    ASSERT_EQ(children[0]->OutputSoFar(), "held\n");
    absl::StatusOr<Appended> appended = absl::UnknownError("not yet");
    std::thread writer([&] { appended = journal_->Append(SessionStarted(schema::NewUuid())); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // so that it waits, as a rule
    EXPECT_THAT(journal_->Size(), IsOkAndHolds(static_cast<uint64_t>(1 + round)));
    children[0]->Signal(SIGKILL);
    writer.join();
    ASSERT_THAT(appended, IsOk());
    EXPECT_EQ(appended->first, static_cast<uint64_t>(1 + round));
    ASSERT_THAT(children[0]->Wait(), IsOk());
  }
  ExpectVerifies();
}

// Over many turns of the log's halves, and groups that go past it, a reader in
// another process sees every record once, in order, as it was written.
TEST_F(ProcessesTest, AReaderFollowsAWriterThroughManyTurnsOfTheLog) {
  constexpr uint64_t kUpdates = 250;
  Open({.read_only = true});
  const auto children = Start(1, {"varied", store(), std::to_string(kUpdates)});
  Reader reader(*journal_);
  reader.Seek(1);
  uint64_t seen = 1;
  while (seen < 2 + kUpdates && !HasFailure()) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t size, journal_->WaitForMore(seen, 60'000));
    ASSERT_GT(size, seen) << "nothing seen for a minute";
    for (; seen < size; ++seen) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* record, reader.Next());
      ASSERT_NE(record, nullptr) << seen;
      ASSERT_EQ(record->sequence, seen);
      ASSERT_EQ(record->envelope().version(), seen);
      NIMBUS_ASSERT_OK_AND_ASSIGN(const schema::fb::Body* body, reader.Body(*record));
      if (seen > 1) {
        ASSERT_EQ(body->name()->str(), UpdateName(seen - 2));
      }
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* none, reader.Next());
    if (none != nullptr) reader.Seek(seen);  // more has come meanwhile
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, children[0]->Wait());
  ASSERT_EQ(run.exit_code, 0) << run.out.substr(run.out.find("error"));
  for (const auto& [session, acknowledged] : ParseOutput(run.out)) {
    EXPECT_EQ(ExpectUpdates(*journal_, session, acknowledged), kUpdates);
  }
  ExpectVerifies();
}

// A wait costs nothing until another process ends it.
TEST_F(ProcessesTest, AWaitSleepsUntilAnotherProcessAppends) {
  Open({.read_only = true});
  const std::clock_t before = std::clock();
  EXPECT_THAT(journal_->WaitForMore(1, 500), IsOkAndHolds(1u));
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.05);
  absl::StatusOr<uint64_t> size = absl::UnknownError("not yet");
  std::thread waiter([&] { size = journal_->WaitForMore(1, INT64_MAX); });
  const auto children = Start(1, {"append", store(), "1", "1"});
  waiter.join();
  ASSERT_THAT(size, IsOk());
  EXPECT_GT(*size, 1u);
  ASSERT_THAT(children[0]->Wait(), IsOk());
}

TEST_F(ProcessesTest, WriteInTurnsWithEveryKindOfGroup) {
  constexpr uint64_t kUpdates = 120;
  const auto children = Start(2, {"varied", store(), std::to_string(kUpdates)});
  Begin();
  for (uint64_t n = 0; n < kUpdates; ++n) {
    const auto durability = n % 2 == 0 ? Durability::kRelaxed : Durability::kDurable;
    ASSERT_THAT(journal_->Append(SessionUpdated(session_, n), {.durability = durability}), IsOk());
  }
  for (const std::unique_ptr<test::Program>& child : children) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, child->Wait());
    ASSERT_EQ(run.exit_code, 0) << run.out.substr(run.out.find("error"));
    for (const auto& [session, acknowledged] : ParseOutput(run.out)) {
      EXPECT_EQ(ExpectUpdates(*journal_, session, acknowledged), kUpdates);
    }
  }
  ASSERT_THAT(journal_->Flush(), IsOk());
  EXPECT_EQ(ExpectUpdates(*journal_, session_, {}), kUpdates);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(3u + kUpdates + 2 * (kUpdates + 1)));
  ExpectVerifies();
}

// A reader must not be stopped by, nor stop, a writer that sits on its lock.
TEST_F(ProcessesTest, ReadWhileAnotherHoldsTheWriteLock) {
  Begin();
  journal_.reset();
  const auto children = Start(1, {"hold", store()});
  ASSERT_TRUE(WaitForLines(*children[0], 1));
  Options options;
  options.read_only = true;
  Open(options);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(3u));
  ExpectVerifies();
  children[0]->Signal(SIGKILL);
  ASSERT_THAT(children[0]->Wait(), IsOk());
}

}  // namespace
}  // namespace nimbus::journal
