// The way into the journal: its bounds, and its end.
#include <atomic>
#include <optional>
#include <thread>

#include "child.h"

namespace nimbus::journal {
namespace {

// Holds the writer up, by holding its lock from another process.
class QueueTest : public JournalTest {
 protected:
  void HoldWriter() {
    absl::StatusOr<std::unique_ptr<test::Program>> child = StartChild({"hold", store()});
    ASSERT_THAT(child, IsOk());
    ASSERT_TRUE(WaitForLines(**child, 1));
    holder_ = *std::move(child);
  }
  void ReleaseWriter() {
    holder_->Signal(SIGKILL);
    ASSERT_THAT(holder_->Wait(), IsOk());
    holder_.reset();
  }
  void StartAppends(int threads, int each) {
    for (int i = 0; i < threads; ++i) {
      writers_.emplace_back([this, each, journal = journal_.get()] {
        for (int k = 0; k < each; ++k) {
          const absl::Status status = journal->Append(SessionStarted(schema::NewUuid())).status();
          ++(status.ok() ? done_ : absl::IsCancelled(status) ? cancelled_ : failed_);
        }
      });
    }
  }
  void JoinAppends() {
    for (std::thread& writer : writers_) writer.join();
    writers_.clear();
  }
  static void Settle() { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }

  std::unique_ptr<test::Program> holder_;
  std::vector<std::thread> writers_;
  std::atomic<int> done_ = 0, cancelled_ = 0, failed_ = 0;
};

TEST_F(QueueTest, BlocksWhileItIsFullAndLosesNothing) {
  Options options;
  options.queue_records_max = 2;
  options.group_records_max = 1;
  Open(options);
  HoldWriter();
  StartAppends(8, 5);
  Settle();
  EXPECT_EQ(done_, 0);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(1u));  // reading is not blocked
  ReleaseWriter();
  JoinAppends();
  EXPECT_EQ(done_, 40);
  EXPECT_EQ(failed_ + cancelled_, 0);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(41u));
}

TEST_F(QueueTest, ABoundOfBytesLetsALargeAppendPassAlone) {
  Options options;
  options.queue_bytes_max = 1000;
  options.group_bytes_max = 1;
  Open(options);
  Begin();
  std::vector<std::thread> writers;
  for (int i = 0; i < 6; ++i) {
    writers.emplace_back([this, i] {
      std::string text = "\"";
      for (uint64_t x = static_cast<uint64_t>(i); text.size() < 20'000;) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        text += fmt::format("{:016x}", x);
      }
      ++(journal_->Append(StepAdded(operation_, schema::NewUuid(), text + "\"")).ok() ? done_
                                                                                      : failed_);
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(done_, 6);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(9u));
}

TEST_F(QueueTest, ALargeAppendIsNotPassedBySmallOnesThatCameAfterIt) {
  Options options;
  options.queue_records_max = 3;
  options.group_records_max = 1;
  Open(options);
  HoldWriter();
  StartAppends(3, 1);  // one leads, two are in the queue
  Settle();
  std::optional<Appended> large;
  std::thread writer([&] {
    std::vector<Event> events(3);
    for (Event& event : events) event = SessionStarted(schema::NewUuid());
    const absl::StatusOr<Appended> appended = journal_->Append(events);
    EXPECT_THAT(appended, IsOk());
    if (appended.ok()) large = *appended;
  });
  Settle();
  StartAppends(8, 5);
  Settle();
  ReleaseWriter();
  writer.join();
  JoinAppends();
  ASSERT_TRUE(large.has_value());
  EXPECT_EQ(large->first, 4u);  // after the genesis record and the three
  EXPECT_EQ(done_, 43);
  EXPECT_EQ(failed_ + cancelled_, 0);
}

TEST_F(QueueTest, AnAppendMayFillTheWholeQueueAndMoreThanAGroup) {
  Options options;
  options.queue_records_max = 20;
  options.group_records_max = 3;
  Open(options);
  StartAppends(4, 10);
  std::vector<Event> entries(20);
  for (Event& entry : entries) entry = SessionStarted(schema::NewUuid());
  absl::StatusOr<Appended> appended = journal_->Append(entries);
  ASSERT_THAT(appended, IsOk());
  JoinAppends();
  EXPECT_EQ(done_, 40);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(61u));
  Reader reader(*journal_);
  for (uint64_t i = 0; i < 20; ++i) {  // none came between
    const RecordView* record = *reader.Read(appended->first + i);
    EXPECT_EQ(Uuid::FromFb(record->envelope().stream()), entries[i].stream);
  }
}

TEST_F(QueueTest, OptionsOutOfRangeAreRefused) {
  journal_.reset();
  Options options;
  const auto open = [&] { return Journal::Open(store(), options).status(); };
  options.queue_records_max = 0;
  EXPECT_THAT(open(), StatusIs(Code::kInvalidArgument));
  options = {.group_records_max = 0};
  EXPECT_THAT(open(), StatusIs(Code::kInvalidArgument));
  options = {.body_bytes_max = (64u << 20) + 1};
  EXPECT_THAT(open(), StatusIs(Code::kInvalidArgument));
  options = {.append_bytes_max = (size_t{1} << 30) + 1};
  EXPECT_THAT(open(), StatusIs(Code::kInvalidArgument));
  options = {.compression_level = 0};
  EXPECT_THAT(open(), StatusIs(Code::kInvalidArgument));
  options = {.compression_level = 20};
  EXPECT_THAT(open(), StatusIs(Code::kInvalidArgument));
  options = {.queue_records_max = 1,
             .group_records_max = 1,
             .body_bytes_max = 64u << 20,
             .compression_level = 19};
  EXPECT_THAT(open(), IsOk());
}

TEST_F(QueueTest, ClosingCompletesOrCancelsTheAppendsThatWait) {
  Options options;
  options.queue_records_max = 2;
  options.group_records_max = 1;
  Open(options);
  HoldWriter();
  StartAppends(8, 1);
  for (int i = 0; i < 6; ++i) Settle();  // all must be in Append by then
  // The destructor runs while eight are in Append: two in the queue, one with
  // the writer, the others waiting for room.
  std::thread closer([&] { delete journal_.release(); });
  Settle();
  ReleaseWriter();
  closer.join();
  JoinAppends();
  EXPECT_EQ(done_ + cancelled_, 8);
  EXPECT_GE(done_, 1);
  EXPECT_GE(cancelled_, 1);
  Open();
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(1u + static_cast<uint64_t>(done_)));
}

TEST_F(QueueTest, AWaitIsNotEndedByAnAppendThatIsNotEnough) {
  std::thread writer([&] {
    for (int i = 0; i < 3; ++i) {
      Settle();
      EXPECT_THAT(journal_->Append(SessionStarted(schema::NewUuid())), IsOk());
    }
  });
  EXPECT_THAT(journal_->WaitForMore(3, 60'000), IsOkAndHolds(4u));
  writer.join();
  EXPECT_THAT(journal_->WaitForMore(100, 20), IsOkAndHolds(4u));
  EXPECT_THAT(journal_->WaitForMore(100, 0), IsOkAndHolds(4u));
  EXPECT_THAT(journal_->WaitForMore(100, -1), IsOkAndHolds(4u));
}

TEST_F(QueueTest, WakeEndsAllWaits) {
  std::atomic<int> waiting = 0;
  std::vector<std::thread> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([&] {
      ++waiting;
      EXPECT_THAT(journal_->WaitForMore(1, INT64_MAX), IsOkAndHolds(1u));
      --waiting;
    });
  }
  while (waiting < 4) std::this_thread::yield();
  while (waiting > 0) {  // one that had not begun to wait yet is woken by the next
    journal_->Wake();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (std::thread& waiter : waiters) waiter.join();
  EXPECT_EQ(waiting, 0);
}

}  // namespace
}  // namespace nimbus::journal
