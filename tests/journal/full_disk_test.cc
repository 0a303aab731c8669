// Without room: an error, nothing lost, and on it goes once there is room.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "child.h"
#include "nimbus/journal/verify.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;

// An update whose body is as long as it says, and does not compress.
Event LargeUpdate(const Uuid& session, uint64_t n, size_t bytes) {
  Event event = SessionUpdated(session, n);
  for (uint64_t x = n + 1; event.body.description.size() < bytes;) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    event.body.description += fmt::format("{:016x}", x);
  }
  return event;
}

void ExpectVerifies(const Journal& journal) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyReport report, VerifyJournal(journal, {}));
  for (const Finding& finding : report.findings) {
    ADD_FAILURE() << "record " << finding.sequence << ": " << finding.what;
  }
}

// A disk of eight megabytes, for this process and its children only.
class FullDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "mounting a small disk takes root";
    fs::create_directory(disk_);
    const bool mounted = unshare(CLONE_NEWNS) == 0 &&
                         mount("none", "/", nullptr, MS_REC | MS_PRIVATE, "") == 0 &&
                         mount("nimbus-test", disk_.c_str(), "tmpfs", 0, "size=8m") == 0;
    if (!mounted) GTEST_SKIP() << "can't mount a small disk: " << std::strerror(errno);
    mounted_ = true;
  }
  void TearDown() override {
    journal_.reset();
    if (mounted_) {
      EXPECT_EQ(umount2(disk_.c_str(), MNT_DETACH), 0);
    }
  }
  void Open(const Options& options = {}) {
    journal_.reset();
    absl::StatusOr<std::unique_ptr<Journal>> opened = Journal::Open(store_, options);
    ASSERT_THAT(opened, IsOk());
    journal_ = *std::move(opened);
  }
  // Leaves this much room on the disk.
  void Fill(off_t room) {
    const int file = open(ballast_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ASSERT_GE(file, 0);
    const std::string page(4096, 'b');
    while (write(file, page.data(), page.size()) > 0) continue;
    const off_t size = lseek(file, 0, SEEK_END);
    ASSERT_EQ(ftruncate(file, std::max<off_t>(0, size - room)), 0);
    close(file);
  }
  void MakeRoom() { fs::remove(ballast_); }

  test::TempDir directory_;
  const fs::path disk_ = directory_ / "disk";
  const fs::path ballast_ = disk_ / "ballast";
  const std::string store_ = disk_ / "store";
  const Uuid session_ = schema::NewUuid();
  std::unique_ptr<Journal> journal_;
  bool mounted_ = false;
};

TEST_F(FullDiskTest, RefusesAppendsKeepsWhatItHasAndGoesOnOnceThereIsRoom) {
  Open();
  ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
  Fill(1'000'000);
  std::vector<Acknowledged> acknowledged;
  absl::Status refused;
  uint64_t n = 0;
  for (; n < 1000; ++n) {
    const auto appended = journal_->Append(LargeUpdate(session_, n, 20'000));
    refused = appended.status();
    if (!refused.ok()) break;
    acknowledged.push_back({.n = n, .sequence = appended->first});
  }
  EXPECT_THAT(refused, StatusIs(Code::kResourceExhausted));
  EXPECT_GT(acknowledged.size(), 10u);
  for (int again = 0; again < 3; ++again) {
    EXPECT_THAT(journal_->Append(LargeUpdate(session_, n, 200'000)),
                StatusIs(Code::kResourceExhausted));
  }
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(2 + n));
  EXPECT_EQ(ExpectUpdates(*journal_, session_, acknowledged), n);
  ExpectVerifies(*journal_);
  EXPECT_THAT(journal_->GetStat(), IsOk());

  MakeRoom();
  for (; n < acknowledged.size() + 20; ++n) {
    ASSERT_THAT(journal_->Append(LargeUpdate(session_, n, 20'000)), IsOk());
  }
  EXPECT_EQ(ExpectUpdates(*journal_, session_, acknowledged), n);
  Open();
  EXPECT_EQ(ExpectUpdates(*journal_, session_, acknowledged), n);
  ExpectVerifies(*journal_);
}

TEST_F(FullDiskTest, OpensAndReadsAStoreOnAFullDisk) {
  Open();
  ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
  for (uint64_t n = 0; n < 10; ++n) {
    ASSERT_THAT(journal_->Append(LargeUpdate(session_, n, 3000)), IsOk());
  }
  Fill(0);
  for (const bool read_only : {false, true}) {
    Open({.read_only = read_only});
    EXPECT_EQ(ExpectUpdates(*journal_, session_, {}), 10u);
    ExpectVerifies(*journal_);
  }
  Open();
  // The log has its blocks: what fits it is taken even now.
  uint64_t n = 10;
  absl::Status status;
  for (; status.ok() && n < 100; ++n) {
    status = journal_->Append(LargeUpdate(session_, n, 200'000)).status();
  }
  EXPECT_THAT(status, StatusIs(Code::kResourceExhausted));
  EXPECT_GT(n, 20u);
  MakeRoom();
  EXPECT_THAT(journal_->Append(LargeUpdate(session_, n - 1, 200'000)), IsOk());
  EXPECT_EQ(ExpectUpdates(*journal_, session_, {}), n);
}

// LMDB maps lock.mdb; without a block for it, touching it would be SIGBUS.
TEST_F(FullDiskTest, SaysThatThereIsNoRoomForTheLockFile) {
  Open();
  journal_.reset();
  fs::remove(fs::path(store_) / "journal-1" / "lock.mdb");
  Fill(0);
  for (const char* mode : {"read", "create"}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, RunChild({mode, store_}));
    EXPECT_EQ(run.exit_code, static_cast<int>(Code::kResourceExhausted)) << run.out << run.signal;
    EXPECT_THAT(run.out, HasSubstr("lock.mdb"));
  }
  MakeRoom();
  Open();
}

TEST_F(FullDiskTest, AStoreThatCouldNotBeMadeIsMadeOnceThereIsRoom) {
  int refused = 0;
  for (off_t room = 0; room <= 4'600'000; room += 140'000) {
    Fill(room);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, RunChild({"create", store_}));
    EXPECT_THAT(run.exit_code, AnyOf(0, static_cast<int>(Code::kResourceExhausted)))
        << "with " << room << " bytes of room: " << run.out << " signal " << run.signal;
    refused += run.exit_code != 0 ? 1 : 0;
    // Again without room, then with it.
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished again, RunChild({"create", store_}));
    EXPECT_EQ(again.exit_code, run.exit_code) << again.out;
    MakeRoom();
    Open();
    EXPECT_THAT(journal_->Append(SessionStarted(schema::NewUuid())), IsOk());
    ExpectVerifies(*journal_);
    journal_.reset();
    fs::remove_all(store_);
  }
  EXPECT_GE(refused, 3);
  EXPECT_LT(refused, 33);
}

TEST_F(FullDiskTest, ManyWritersAreRefusedOneByOne) {
  Open();
  ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
  Fill(400'000);
  std::vector<std::thread> writers;
  std::atomic<uint64_t> done = 0, refused = 0, failed = 0;
  for (uint64_t i = 0; i < 8; ++i) {
    writers.emplace_back([&, i] {
      for (uint64_t k = 0; k < 20; ++k) {
        const auto code =
            journal_->Append(LargeUpdate(session_, 20 * i + k, 80'000)).status().code();
        ++(code == Code::kOk ? done : code == Code::kResourceExhausted ? refused : failed);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(failed, 0u);
  EXPECT_GT(refused, 0u);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(2 + done));
  ExpectVerifies(*journal_);
  MakeRoom();
  EXPECT_THAT(journal_->Append(SessionEnded(session_)), IsOk());
}

// Where mounting is not allowed, a limit on the size of files does the same.
TEST(FileSizeLimitTest, IsResourceExhaustedAndNothingIsLost) {
  for (const int kilobytes : {4300, 4501}) {
    const test::TempDir directory;
    const std::string store = directory.string() + "/store";
    const std::string command = fmt::format("ulimit -f {}; exec \"$0\" fill \"$1\" 5000",
                                            kilobytes * 2);  // of 512 bytes
    NIMBUS_ASSERT_OK_AND_ASSIGN(
        const test::Finished run,
        test::RunProgram({.argv = {"sh", "-c", command, NIMBUS_JOURNAL_CHILD, store}}));
    EXPECT_EQ(run.exit_code, static_cast<int>(Code::kResourceExhausted)) << run.out << run.signal;
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
    const auto sessions = ParseOutput(run.out);
    ASSERT_EQ(sessions.size(), 1u);
    const auto& [session, acknowledged] = *sessions.begin();
    EXPECT_GT(acknowledged.size(), 10u);
    EXPECT_EQ(ExpectUpdates(*journal, session, acknowledged), acknowledged.size());
    EXPECT_THAT(journal->Append(SessionUpdated(session, acknowledged.size())), IsOk());
    ExpectVerifies(*journal);
  }
}

TEST_F(JournalTest, AFullMapIsResourceExhaustedAndALargerOneGoesOn) {
  Open({.map_bytes = 2 << 20});
  ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
  std::vector<Acknowledged> acknowledged;
  absl::StatusOr<Appended> appended;
  uint64_t n = 0;
  for (; n < 1000; ++n) {
    appended = journal_->Append(LargeUpdate(session_, n, 20'000));
    if (!appended.ok()) break;
    acknowledged.push_back({.n = n, .sequence = appended->first});
  }
  EXPECT_THAT(appended, StatusIs(Code::kResourceExhausted));
  EXPECT_GT(acknowledged.size(), 20u);
  EXPECT_THAT(journal_->Append(LargeUpdate(session_, n, 20'000)),
              StatusIs(Code::kResourceExhausted));
  EXPECT_EQ(ExpectUpdates(*journal_, session_, acknowledged), n);
  ExpectVerifies(*journal_);
  Open({.map_bytes = 1 << 20});  // less than there is: enough to read it
  EXPECT_EQ(ExpectUpdates(*journal_, session_, acknowledged), n);
  EXPECT_THAT(journal_->Append(LargeUpdate(session_, n, 20'000)),
              StatusIs(Code::kResourceExhausted));
  Open();
  EXPECT_THAT(journal_->Append(LargeUpdate(session_, n, 20'000)), IsOk());
  EXPECT_EQ(ExpectUpdates(*journal_, session_, acknowledged), n + 1);
  ExpectVerifies(*journal_);
}

}  // namespace
}  // namespace nimbus::journal
