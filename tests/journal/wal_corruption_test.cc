// Damage to the write-ahead log while the journal is closed: found and named, or
// without effect. It kills nobody, and never makes a wrong record; what follows
// the damage may be missing, and nothing before it.
#include <algorithm>
#include <csignal>
#include <cstring>
#include <optional>

#include "child.h"
#include "damage.h"
#include "format.h"

namespace nimbus::journal {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kRounds = NIMBUS_LONG_TESTS ? 4000 : 100;

class WalCorruptionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // A log with something in it is what a process leaves that was killed.
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto child, StartChild({"append", store_, "0", "2"}));
    ASSERT_TRUE(WaitForLines(*child, 150));
    child->Signal(SIGKILL);
    ASSERT_THAT(child->Wait(), IsOk());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, RunChild({"read", store_}));
    ASSERT_EQ(run.exit_code, 0) << run.out;
    known_ = RecordLines(run.out);
    ASSERT_GT(known_.size(), 140u);
    files_.emplace(store_);
    std::memcpy(&said_, (*files_)["wal.state"].data() + 24, sizeof(said_));
    ASSERT_GE(said_ + 4, known_.size());  // the last group may not have been acknowledged
    used_ = (*files_)["wal"].find_last_not_of('\0') + 1;
    ASSERT_LT(used_, kWalHalfBytes);
  }
  std::string DamageLog(std::string* log) {
    const size_t offset = random_.Below(used_);
    if (random_.Below(5) > 0) return Damage(log, offset, used_, kWalAlignment, &random_);
    log->resize(offset);
    return fmt::format("cut off at {}", offset);
  }
  // Runs the child; what it reads begins with the records that were there, `same`
  // of them if there are more.
  test::Finished Run(const std::vector<std::string>& arguments, const std::string& damage,
                     size_t same = SIZE_MAX) {
    absl::StatusOr<test::Finished> run = RunChild(arguments);
    EXPECT_THAT(run, IsOk()) << damage;
    EXPECT_EQ(run->signal, 0) << damage << run->err;
    EXPECT_THAT(run->err, Not(HasSubstr("check failed"))) << damage;
    EXPECT_THAT(static_cast<Code>(run->exit_code), AnyOf(Code::kOk, Code::kDataLoss))
        << damage << run->out;
    const std::vector<std::string> lines = RecordLines(run->out);
    for (size_t i = 0; i < std::min({lines.size(), known_.size(), same}); ++i) {
      EXPECT_EQ(lines[i], known_[i]) << damage;
    }
    return *std::move(run);
  }

  test::TempDir directory_;
  const std::string store_ = (directory_ / "store").string();
  test::SeededRandom random_;
  std::optional<ClosedFiles> files_;
  std::vector<std::string> known_;
  uint64_t said_ = 0;  // by wal.state to be durable
  size_t used_ = 0;    // bytes of the log
};

TEST_F(WalCorruptionTest, IsFoundWhileWalStateKnowsWhatWasThere) {
  int found = 0;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    std::string log = (*files_)["wal"];
    const std::string damage = DamageLog(&log);
    ASSERT_TRUE(files_->Restore({{"wal", log}}));
    const test::Finished read = Run({"read", store_}, damage);
    const size_t left = RecordLines(read.out).size();
    found += read.exit_code != 0;
    if (read.exit_code == 0) {  // padding, or what nobody was told of
      EXPECT_GE(left, said_) << damage;
    } else {
      EXPECT_THAT(read.out, HasSubstr("wal")) << damage;
      EXPECT_TRUE(RecordLines(read.out).empty()) << damage;
    }
    const test::Finished writer = Run({"append", store_, "2", "1"}, damage);
    EXPECT_EQ(writer.exit_code, read.exit_code) << damage << writer.out;
    const test::Finished again = Run({"read", store_}, damage, left);
    EXPECT_EQ(again.exit_code, read.exit_code) << damage;
    EXPECT_EQ(RecordLines(again.out).size(), read.exit_code == 0 ? left + 3 : 0) << damage;
  }
  EXPECT_GT(found, kRounds / 4);
  std::printf("%d of %d found, the others of no effect\n", found, kRounds);
}

// As after a power cut. Only the end can be missing without anything that says so.
TEST_F(WalCorruptionTest, IsFoundByLaterEntriesWithoutWalState) {
  int found = 0, shorter = 0;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    std::string log = (*files_)["wal"];
    const std::string damage = DamageLog(&log);
    ASSERT_TRUE(files_->Restore({{"wal", log}, {"wal.state", std::string(4096, '\0')}}));
    const test::Finished read = Run({"read", store_}, damage);
    const size_t left = RecordLines(read.out).size();
    found += read.exit_code != 0;
    shorter += read.exit_code == 0 && left < known_.size();
    if (read.exit_code == 0) {
      EXPECT_GE(left + 4, known_.size()) << damage;  // what the last group or two held
    }
    const test::Finished writer = Run({"append", store_, "2", "1"}, damage);
    EXPECT_EQ(writer.exit_code, read.exit_code) << damage << writer.out;
    // What was cut off does not come back behind what was written since.
    const test::Finished again = Run({"read", store_}, damage, left);
    EXPECT_EQ(again.exit_code, read.exit_code) << damage;
    if (read.exit_code != 0) continue;
    EXPECT_EQ(RecordLines(again.out).size(), left + 3) << damage;
  }
  EXPECT_GT(found, kRounds / 8);
  std::printf("%d of %d found, %d have a shorter journal\n", found, kRounds, shorter);
}

}  // namespace
}  // namespace nimbus::journal
