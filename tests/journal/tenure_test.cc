// The right to write, between this process and children of it.
#include "tenure.h"

#include <csignal>
#include <filesystem>
#include <thread>

#include "child.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class TenureTest : public JournalTest {
 protected:
  void SetUp() override {
    JournalTest::SetUp();
    ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
    journal_.reset();
    environment_ = *Environment::Open(store(), {});
    tenure_ = *Tenure::Open(*environment_);
  }
  std::unique_ptr<test::Program> Start(const std::vector<std::string>& arguments) {
    absl::StatusOr<std::unique_ptr<test::Program>> child = StartChild(arguments);
    EXPECT_THAT(child, IsOk());
    return *std::move(child);
  }
  // A child that has the tenure, until killed.
  std::unique_ptr<test::Program> Holder() {
    std::unique_ptr<test::Program> child = Start({"hold", store()});
    EXPECT_TRUE(WaitForLines(*child, 1));
    return child;
  }
  static void Kill(test::Program* child) {
    child->Signal(SIGKILL);
    ASSERT_THAT(child->Wait(), IsOk());
  }

  std::unique_ptr<Environment> environment_;
  std::unique_ptr<Tenure> tenure_;
};

TEST_F(TenureTest, IsHeldByOneProcessAtATime) {
  EXPECT_FALSE(tenure_->held());
  ASSERT_THAT(tenure_->Take(), IsOk());
  EXPECT_TRUE(tenure_->held());
  EXPECT_THAT(tenure_->Take(), IsOk());  // it has it already
  EXPECT_THAT(tenure_->TryTake(), IsOkAndHolds(true));
  tenure_->End();
  EXPECT_FALSE(tenure_->held());
  const auto holder = Holder();
  EXPECT_THAT(tenure_->TryTake(), IsOkAndHolds(false));
  EXPECT_FALSE(tenure_->held());
  Kill(holder.get());
  EXPECT_THAT(tenure_->TryTake(), IsOkAndHolds(true));
}

TEST_F(TenureTest, PassesOnWhenItsHolderIsKilled) {
  for (int round = 0; round < 5; ++round) {
    const auto holder = Holder();
    absl::Status taken = absl::UnknownError("not yet");
    std::thread taker([&] { taken = tenure_->Take(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_FALSE(tenure_->held());
    Kill(holder.get());
    taker.join();
    ASSERT_THAT(taken, IsOk());
    tenure_->End();
  }
}

TEST_F(TenureTest, ItsHolderSeesThatAnotherWaits) {
  ASSERT_THAT(tenure_->Take(), IsOk());
  EXPECT_FALSE(tenure_->IsWanted());
  const auto child = Start({"append", store(), "3", "1"});
  while (!tenure_->IsWanted()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(tenure_->IsWanted());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Snapshot before, environment_->TakeSnapshot());
  EXPECT_EQ(before.size(), 2u);  // it waits
  tenure_->End();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, child->Wait());
  EXPECT_EQ(run.exit_code, 0) << run.out;
  ASSERT_THAT(tenure_->Take(), IsOk());
  EXPECT_FALSE(tenure_->IsWanted());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Snapshot after, environment_->TakeWriterSnapshot());
  EXPECT_EQ(after.size(), 6u);  // it takes in what the other has written
  EXPECT_EQ(environment_->wal()->end().sequence, 6u);
}

TEST_F(TenureTest, IsNotTakenOfALogThatIsDamaged) {
  const fs::path log = fs::path(environment_->generation()->directory) / "wal";
  const auto child = Start({"append", store(), "0", "1"});
  ASSERT_TRUE(WaitForLines(*child, 50));
  Kill(child.get());
  const std::string whole = *test::ReadFile(log);
  ASSERT_TRUE(test::WriteFile(log, std::string(whole.size(), '\0')));
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(tenure_->Take(), StatusIs(Code::kDataLoss, HasSubstr("wal")));
    EXPECT_THAT(tenure_->TryTake(), StatusIs(Code::kDataLoss));
    EXPECT_FALSE(tenure_->held());
  }
  ASSERT_TRUE(test::WriteFile(log, whole));
  const auto holder = Holder();  // the lock is free
  Kill(holder.get());
  EXPECT_THAT(tenure_->Take(), IsOk());
  EXPECT_GE(environment_->wal()->end().sequence, 50u);
}

}  // namespace
}  // namespace nimbus::journal
