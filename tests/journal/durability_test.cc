// When what was appended is on stable storage, and seen: durable and relaxed
// appends, asynchronous ones, Flush and ApplyLog; with a disk that fails, too.
#include <atomic>
#include <chrono>
#include <csignal>
#include <ctime>
#include <functional>
#include <mutex>
#include <thread>

#include "child.h"
#include "failing_disk.h"
#include "nimbus/journal/verify.h"

namespace nimbus::journal {
namespace {

using std::chrono::steady_clock;
using ::testing::AnyOf;

constexpr AppendOptions kRelaxed{.durability = Durability::kRelaxed};

class DurabilityTest : public JournalTest {
 protected:
  static Event AnyEvent() { return SessionStarted(schema::NewUuid()); }
  static int64_t MillisSince(steady_clock::time_point begin) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begin)
        .count();
  }
  void ExpectVerifies() const {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyReport report, VerifyJournal(*journal_, {}));
    for (const Finding& finding : report.findings) {
      ADD_FAILURE() << "record " << finding.sequence << ": " << finding.what;
    }
  }
};

TEST_F(DurabilityTest, ARelaxedAppendIsSeenOnceItIsDurable) {
  int unseen = 0;
  int64_t longest_ms = 0;
  for (uint64_t n = 0; n < 20; ++n) {
    const auto begin = steady_clock::now();
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended appended, journal_->Append(AnyEvent(), kRelaxed));
    EXPECT_EQ(appended.first, n + 1);
    unseen += *journal_->Size() == appended.first;
    EXPECT_THAT(journal_->WaitForMore(appended.first, 10'000), IsOkAndHolds(appended.first + 1));
    longest_ms = std::max(longest_ms, MillisSince(begin));
  }
  EXPECT_GT(unseen, 0);
  // Promised: 100 ms. A busy machine may need longer.
  std::printf("%d of 20 not seen at once, all after %ld ms\n", unseen, longest_ms);
}

TEST_F(DurabilityTest, EachAppendSaysWhetherItIsDurable) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended relaxed, journal_->Append(AnyEvent(), kRelaxed));
  EXPECT_FALSE(relaxed.durable);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended durable, journal_->Append(AnyEvent()));
  EXPECT_TRUE(durable.durable);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(3u));  // what came before, too
}

TEST_F(DurabilityTest, FlushMakesDurableWhatWasAppendedAndWhatIsQueued) {
  for (int i = 0; i < 10; ++i) ASSERT_THAT(journal_->Append(AnyEvent(), kRelaxed), IsOk());
  ASSERT_THAT(journal_->Flush(), IsOk());
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(11u));
  std::atomic<int> done = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::vector<Event> event = {AnyEvent()};
    ASSERT_THAT(journal_->AppendAsync(event, kRelaxed, [&](const auto&) { ++done; }), IsOk());
  }
  ASSERT_THAT(journal_->Flush(), IsOk());
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(1511u));
  journal_.reset();
  EXPECT_EQ(done, 1500);
}

TEST_F(DurabilityTest, FlushWithoutAnythingToFlushDoesNothing) {
  EXPECT_THAT(journal_->Flush(), IsOk());
  ASSERT_THAT(journal_->Append(AnyEvent()), IsOk());
  EXPECT_THAT(journal_->Flush(), IsOk());
  Open({.read_only = true});
  EXPECT_THAT(journal_->Flush(), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(journal_->ApplyLog(), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(journal_->AppendAsync(std::vector{AnyEvent()}, {}, [](const auto&) { FAIL(); }),
              StatusIs(Code::kFailedPrecondition));
}

// While relaxed appends follow each other without a pause, they still become
// durable.
TEST_F(DurabilityTest, RelaxedAppendsBecomeDurableUnderLoad) {
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> appended = 0;
  std::vector<std::thread> writers;
  for (int i = 0; i < 3; ++i) {
    writers.emplace_back([&] {
      while (!stop) {
        const absl::StatusOr<Appended> result = journal_->Append(AnyEvent(), kRelaxed);
        ASSERT_THAT(result, IsOk());
        for (uint64_t was = appended; was <= result->first;) {
          if (appended.compare_exchange_weak(was, result->first + 1)) break;
        }
      }
    });
  }
  int64_t longest_ms = 0;
  const auto begin = steady_clock::now();
  while (MillisSince(begin) < 1000) {
    const auto asked = steady_clock::now();
    const uint64_t target = appended;
    for (uint64_t size = 0; size < target; size = *journal_->Size()) {
      ASSERT_LT(MillisSince(asked), 30'000) << "never durable";
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    longest_ms = std::max(longest_ms, MillisSince(asked));
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  std::printf("%lu relaxed appends, durable after %ld ms at most\n", appended.load(), longest_ms);
  ExpectVerifies();
}

TEST_F(DurabilityTest, RelaxedAppendsSurviveTheirProcess) {
  journal_.reset();
  for (int round = 0; round < 10 && !HasFailure(); ++round) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto child, StartChild({"relaxed", store(), "0", "2"}));
    ASSERT_TRUE(WaitForLines(*child, 20 + 100 * round));
    child->Signal(SIGKILL);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, child->Wait());
    ASSERT_EQ(run.signal, SIGKILL) << run.out;
    Open({.read_only = round % 2 == 0});
    for (const auto& [session, acknowledged] : ParseOutput(run.out)) {
      const uint64_t present = ExpectUpdates(*journal_, session, acknowledged);
      if (round % 2 == 0 || acknowledged.empty()) continue;
      // The last is answered from the log, not written again.
      NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t size, journal_->Size());
      NIMBUS_ASSERT_OK_AND_ASSIGN(
          const Appended again, journal_->Append(SessionUpdated(session, present - 1),
                                                 {.append_id = AppendIdOf(session, present - 1)}));
      EXPECT_TRUE(again.durable);
      EXPECT_EQ(again.version, present + 1);
      EXPECT_THAT(journal_->Size(), IsOkAndHolds(size));
    }
    ExpectVerifies();
    journal_.reset();
  }
}

TEST_F(DurabilityTest, ARetryOfARelaxedAppendCanMakeItDurable) {
  Begin();
  const Event event = StepAdded(operation_, schema::NewUuid());
  const AppendId id{7};
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Appended first,
      journal_->Append(event, {.append_id = id, .durability = Durability::kRelaxed}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended again, journal_->Append(event, {.append_id = id}));
  EXPECT_EQ(again.first, first.first);
  EXPECT_TRUE(again.durable);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(4u));
}

TEST_F(DurabilityTest, AsynchronousAppendsOfAThreadKeepTheirOrder) {
  constexpr int kThreads = 3, kEach = 400;
  std::mutex mu;
  std::vector<std::vector<uint64_t>> sequences(kThreads, std::vector<uint64_t>(kEach));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        std::vector<Event> events(1 + static_cast<size_t>(i) % 3);
        for (Event& event : events) event = AnyEvent();
        const AppendOptions options = i % 2 == 0 ? kRelaxed : AppendOptions{};
        ASSERT_THAT(journal_->AppendAsync(events, options,
                                          [&, t, i, count = events.size()](const auto& result) {
                                            ASSERT_THAT(result, IsOk());
                                            EXPECT_EQ(result->count, count);
                                            EXPECT_TRUE(result->durable || i % 2 == 0);
                                            const std::lock_guard<std::mutex> lock(mu);
                                            sequences[t][i] = result->first;
                                          }),
                    IsOk());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Open();  // closing waits for all
  std::vector<uint64_t> all;
  for (const std::vector<uint64_t>& of_thread : sequences) {
    EXPECT_TRUE(std::is_sorted(of_thread.begin(), of_thread.end()));
    all.insert(all.end(), of_thread.begin(), of_thread.end());
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  EXPECT_GE(all.front(), 1u);
  ExpectVerifies();
}

TEST_F(DurabilityTest, AnAsynchronousAppendIsRefusedAtOnceOrByItsResult) {
  Begin();
  const Uuid step = schema::NewUuid();
  std::mutex mu;
  std::vector<absl::StatusCode> codes;
  const auto note = [&](const absl::StatusOr<Appended>& result) {
    const std::lock_guard<std::mutex> lock(mu);
    codes.push_back(result.status().code());
  };
  const auto append = [&](const Event& event, const AppendOptions& options = {}) {
    return journal_->AppendAsync(std::span(&event, 1), options, note);
  };
  EXPECT_THAT(append(StepAdded(operation_, step, "{")), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(journal_->AppendAsync({}, {}, note), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(append(StepAdded(operation_, step)), IsOk());
  EXPECT_THAT(append(StepAdded(operation_, step)), IsOk());                           // exists
  EXPECT_THAT(append(StepAdded(schema::NewUuid(), schema::NewUuid())), IsOk());       // nowhere
  EXPECT_THAT(append(StepAdded(operation_, step), {.expected_version = 9}), IsOk());  // version
  Open();
  EXPECT_THAT(codes, ::testing::UnorderedElementsAre(Code::kOk, Code::kAlreadyExists,
                                                     Code::kNotFound, Code::kAborted));
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(4u));
}

TEST_F(DurabilityTest, ApplyLogMovesTheLogIntoLmdb) {
  Begin();
  ASSERT_THAT(journal_->Append(StepAdded(operation_, schema::NewUuid()), kRelaxed), IsOk());
  EXPECT_GT(journal_->GetStat()->log_records, 0u);
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  const Stat stat = *journal_->GetStat();
  EXPECT_EQ(stat.log_records, 0u);
  EXPECT_EQ(stat.records, 4u);
  EXPECT_EQ(stat.log_bytes, size_t{4} << 20);
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  ExpectVerifies();
}

// Around the length above which a group goes into LMDB directly.
TEST_F(DurabilityTest, AGroupIsTakenAtEveryLength) {
  Begin();
  std::vector<Acknowledged> acknowledged;
  uint64_t in_log = 0, bypassed = 0;
  uint64_t x = 1;
  for (size_t bytes = 2'000'000; bytes < 2'200'000; bytes += 9'000) {
    Event event = SessionUpdated(session_, acknowledged.size());
    while (event.body.description.size() < bytes) {  // half of it compressed away
      x = x * 6364136223846793005u + 1442695040888963407u;
      event.body.description += fmt::format("{:016x}", x);
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended appended, journal_->Append(event));
    acknowledged.push_back({.n = acknowledged.size(), .sequence = appended.first});
    ++(journal_->GetStat()->log_records > 0 ? in_log : bypassed);
    EXPECT_THAT(journal_->Size(), IsOkAndHolds(appended.first + 1));
  }
  EXPECT_GT(in_log, 0u);
  EXPECT_GT(bypassed, 0u);
  EXPECT_EQ(ExpectUpdates(*journal_, session_, acknowledged), acknowledged.size());
  ExpectVerifies();
  Open();
  EXPECT_EQ(ExpectUpdates(*journal_, session_, acknowledged), acknowledged.size());
}

// Who flushes leads now and again between those who append: each of them gets its
// own turn.
TEST_F(DurabilityTest, AllWaysOfAppendingGoTogether) {
  Open({.queue_records_max = 40, .group_records_max = 3});
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> done = 0, appended = 0;
  std::vector<std::thread> threads;
  const auto loop = [&](const std::function<void()>& act) {
    threads.emplace_back([&, act] {
      while (!stop) act();
    });
  };
  for (int i = 0; i < 3; ++i) {
    loop([&] {
      ASSERT_THAT(journal_->AppendAsync(std::vector{AnyEvent()}, kRelaxed,
                                        [&](const auto& result) { done += result.ok(); }),
                  IsOk());
      ++appended;
    });
    loop([&] {
      ++appended;
      ASSERT_THAT(journal_->Append(AnyEvent()), IsOk());
      ++done;
    });
  }
  loop([&] { ASSERT_THAT(journal_->Flush(), IsOk()); });
  loop([&] { ASSERT_THAT(journal_->ApplyLog(), IsOk()); });
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  Open();
  EXPECT_EQ(done, appended);
  EXPECT_GT(appended, 100u);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(1 + appended));
  ExpectVerifies();
}

TEST_F(DurabilityTest, AWriteToTheLogThatFailsRefusesItsGroupOnly) {
  ASSERT_THAT(journal_->Append(AnyEvent()), IsOk());
  {
    const FailingDisk disk({.call = FailingDisk::Call::kWrite, .file = "/wal", .error = ENOSPC});
    for (int i = 0; i < 3; ++i) {
      EXPECT_THAT(journal_->Append(AnyEvent()), StatusIs(Code::kResourceExhausted));
    }
    EXPECT_EQ(disk.failures(), 3);
  }
  EXPECT_THAT(journal_->Append(AnyEvent()), IsOk());
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(3u));
  Open();
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(3u));
}

// What was not flushed may or may not be on the disk: it is not shown, and
// nothing is built on it.
TEST_F(DurabilityTest, AFlushThatFailsIsTheLastAndWhatItWasForIsNotSeen) {
  ASSERT_THAT(journal_->Append(AnyEvent()), IsOk());
  // What LMDB has is durable, whatever becomes of the log.
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  {
    const FailingDisk disk({.call = FailingDisk::Call::kFlush, .file = "/wal", .times = 1});
    EXPECT_THAT(journal_->Append(AnyEvent()), StatusIs(Code::kDataLoss));
    EXPECT_EQ(disk.failures(), 1);
  }
  EXPECT_THAT(journal_->Append(AnyEvent()), StatusIs(Code::kDataLoss));
  EXPECT_THAT(journal_->Append(AnyEvent(), kRelaxed), StatusIs(Code::kDataLoss));
  EXPECT_THAT(journal_->Flush(), StatusIs(Code::kDataLoss));
  EXPECT_THAT(journal_->AppendAsync(std::vector{AnyEvent()}, {}, [](const auto&) { FAIL(); }),
              StatusIs(Code::kDataLoss));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the keeper has been at it
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(2u));
  Open();
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(AnyOf(2u, 3u)));
  EXPECT_THAT(journal_->Append(AnyEvent()), IsOk());
  ExpectVerifies();
}

TEST_F(DurabilityTest, ARelaxedFlushThatFailsIsFoundOutByTheNextAppend) {
  ASSERT_THAT(journal_->Append(AnyEvent()), IsOk());
  {
    const FailingDisk disk({.call = FailingDisk::Call::kFlush, .file = "/wal", .times = 1});
    ASSERT_THAT(journal_->Append(AnyEvent(), kRelaxed), IsOk());
    for (int i = 0; i < 5000 && disk.failures() == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(disk.failures(), 1);
  }
  for (int i = 0; i < 5000 && journal_->Flush().ok(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_THAT(journal_->Append(AnyEvent()), StatusIs(Code::kDataLoss));
  // It does not try again and again.
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.1);
}

// The applier works beside the appends. When LMDB can't say whether a commit is
// on the disk, all end with DataLoss, and so does the journal's life.
TEST_F(DurabilityTest, AnApplierThatFailsEndsAllAppendsAndClosing) {
  for (int round = 0; round < 5 && !HasFailure(); ++round) {
    Open();
    NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t before, journal_->Size());
    const FailingDisk disk({.call = FailingDisk::Call::kFlush, .file = "data.mdb"});
    std::atomic<uint64_t> acknowledged = 0;
    std::vector<std::thread> writers;
    for (int i = 0; i < 6; ++i) {
      writers.emplace_back([&, i] {
        Event event = SessionStarted(schema::NewUuid(), std::string(20'000, 'x'));
        for (absl::Status status; status.ok();) {
          event.stream = schema::NewUuid();
          status = journal_->Append(event, i % 2 == 0 ? kRelaxed : AppendOptions{}).status();
          acknowledged += status.ok();
          if (!status.ok()) {
            EXPECT_THAT(status, StatusIs(Code::kDataLoss));
          }
        }
      });
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_GT(disk.failures(), 0);
    EXPECT_THAT(journal_->Flush(), StatusIs(Code::kDataLoss));
    EXPECT_THAT(journal_->ApplyLog(), StatusIs(Code::kDataLoss));
    journal_.reset();
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, RunChild({"read", store()}));
    EXPECT_EQ(run.exit_code, 0) << run.out.substr(run.out.find("error"));
    EXPECT_GE(std::count(run.out.begin(), run.out.end(), '\n'),
              static_cast<int64_t>(before + acknowledged));
  }
}

}  // namespace
}  // namespace nimbus::journal
