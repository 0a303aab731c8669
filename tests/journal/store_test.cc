// Opening what is, is not, or is not yet, a store.
#include "store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "environment.h"
#include "fixture.h"
#include "journal/child.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class StoreTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Journal>> Open(const Options& options = {}) const {
    return Journal::Open(store_.string(), options);
  }
  // Makes a store with three records and closes it.
  void MakeStore() {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Journal> journal, Open());
    ASSERT_THAT(journal->Append(SessionStarted(session_)), IsOk());
    ASSERT_THAT(journal->Append(SessionUpdated(session_, 0)), IsOk());
    id_ = journal->id();
  }
  void ExpectWhole() const {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Journal> journal, Open());
    EXPECT_EQ(journal->id(), id_);
    EXPECT_THAT(journal->Size(), IsOkAndHolds(3u));
    ExpectUpdates(*journal, session_, {{.n = 0, .sequence = 2}});
  }
  // Opens, appends, and finds it again: the store works.
  void ExpectWorks() {
    {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Journal> journal, Open());
      ASSERT_THAT(journal->Append(SessionStarted(session_)), IsOk());
      id_ = journal->id();
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Journal> journal, Open({.create = false}));
    EXPECT_EQ(journal->id(), id_);
    EXPECT_THAT(journal->Size(), IsOkAndHolds(2u));
  }
  fs::path Data() const { return store_ / "journal-1" / "data.mdb"; }

  test::TempDir directory_;
  const fs::path store_ = directory_ / "store";
  const Uuid session_ = schema::NewUuid();
  Uuid id_;
};

TEST_F(StoreTest, IsNotMadeWhereItWasNotAskedFor) {
  EXPECT_THAT(Open({.create = false}), StatusIs(Code::kNotFound, HasSubstr("not a Nimbus store")));
  EXPECT_THAT(Open({.read_only = true}), StatusIs(Code::kNotFound));
  EXPECT_FALSE(fs::exists(store_));
}

TEST_F(StoreTest, IsMadeInAnEmptyDirectoryAndInOneNotThereYet) {
  fs::create_directory(store_);
  ExpectWorks();
  EXPECT_THAT(Journal::Open((directory_ / "a" / "b" / "c").string(), {}), IsOk());
  EXPECT_TRUE(fs::exists(directory_ / "a" / "b" / "c" / "CURRENT"));
}

TEST_F(StoreTest, IsNotMadeAmongOthersFiles) {
  fs::create_directory(store_);
  ASSERT_TRUE(test::WriteFile(store_ / "notes.txt", "mine"));
  EXPECT_THAT(Open(), StatusIs(Code::kInvalidArgument, HasSubstr("not a Nimbus store")));
  EXPECT_THAT(Open({.create = false}), StatusIs(Code::kNotFound));
  EXPECT_EQ(std::distance(fs::directory_iterator(store_), {}), 1);
}

TEST_F(StoreTest, IsNotAFile) {
  ASSERT_TRUE(test::WriteFile(store_, "a file"));
  EXPECT_THAT(Open(), StatusIs(Code::kInvalidArgument, HasSubstr(store_.string())));
  EXPECT_THAT(Open({.create = false}), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(test::ReadFile(store_), "a file");
}

TEST_F(StoreTest, SaysWhatIsWrongWithCurrent) {
  MakeStore();
  const auto with = [&](std::string_view text) {
    EXPECT_TRUE(test::WriteFile(store_ / "CURRENT", text));
    return Open().status();
  };
  EXPECT_THAT(with("nimbus 2\njournal-1\n"), StatusIs(Code::kUnimplemented, HasSubstr("newer")));
  EXPECT_THAT(with("nimbus 2\nsomething else\n"), StatusIs(Code::kUnimplemented));
  EXPECT_THAT(with("MANIFEST-000004\n"), StatusIs(Code::kInvalidArgument));  // another program's
  EXPECT_THAT(with(""), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(with("nimbus"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(with("nimbus 0\njournal-1\n"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(with("nimbus 1\n"), StatusIs(Code::kDataLoss, HasSubstr("CURRENT")));
  EXPECT_THAT(with("nimbus 1\nviews-1\n"), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with("nimbus 1\njournal-1/../../elsewhere\n"), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with("nimbus 1\njournal-7\n"), StatusIs(Code::kDataLoss, HasSubstr("journal-7")));
  EXPECT_THAT(with(std::string(1 << 20, 'x')), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(with("nimbus 1\njournal-1\n"), IsOk());
  ExpectWhole();
}

TEST_F(StoreTest, RefusesANewerFormatInItsMetaTable) {
  MakeStore();
  const auto set_format = [&](uint32_t format) {
    absl::StatusOr<std::unique_ptr<lmdb::Env>> env =
        lmdb::Env::Open((store_ / "journal-1").string(), {.map_bytes = 1 << 30});
    ASSERT_THAT(env, IsOk());
    absl::StatusOr<lmdb::Transaction> txn =
        lmdb::Transaction::Begin(**env, lmdb::Transaction::Mode::kWrite);
    const lmdb::Table meta = *txn->OpenTable("meta", false, false);
    Bytes value;
    PutFixed(format, &value);
    PutFixed(id_.bytes, &value);
    const std::string_view key = "journal";
    ASSERT_THAT(txn->Put(meta, lmdb::MakeView(key.data(), key.size()), value), IsOk());
    ASSERT_THAT(txn->Commit(), IsOk());
  };
  set_format(kFormatVersion + 1);
  EXPECT_THAT(Open(), StatusIs(Code::kUnimplemented, HasSubstr("format 2 is newer")));
  EXPECT_THAT(Open({.read_only = true}), StatusIs(Code::kUnimplemented));
  set_format(0);
  EXPECT_THAT(Open(), StatusIs(Code::kDataLoss));
  set_format(kFormatVersion);
  ExpectWhole();
}

TEST_F(StoreTest, FinishesACreationThatWasCutOff) {
  const auto cut_off = [&](const std::function<void()>& leave) {
    std::error_code ignored;
    fs::remove_all(store_, ignored);
    fs::create_directories(store_ / "journal-1");
    leave();
    EXPECT_THAT(Open({.create = false}), StatusIs(Code::kNotFound));
    ExpectWorks();
    EXPECT_FALSE(fs::exists(store_ / "CURRENT.new"));
  };
  cut_off([] {});
  for (const size_t size : {0, 1, 100, 4096, 8191}) {
    cut_off([&] { ASSERT_TRUE(test::WriteFile(Data(), std::string(size, '\0'))); });
    cut_off([&] { ASSERT_TRUE(test::WriteFile(Data(), std::string(size, 'x'))); });
  }
  cut_off([&] { ASSERT_TRUE(test::WriteFile(store_ / "journal-1" / "turn.lock", "")); });
  cut_off([&] { ASSERT_TRUE(test::WriteFile(store_ / "journal-1" / "lock.mdb", "")); });
  cut_off([&] { ASSERT_TRUE(test::WriteFile(store_ / "CURRENT.new", "nimb")); });
}

// The first pages are written before anything is synced.
TEST_F(StoreTest, FinishesACreationThatAPowerCutEnded) {
  MakeStore();
  const std::string pages = test::ReadFile(Data())->substr(0, 8192);
  for (const size_t missing : {0, 4096}) {
    std::string torn = pages;
    torn.replace(missing, 512, 512, '\0');
    for (const size_t size : {8192, 12288, 65536}) {
      torn.resize(size);
      fs::remove_all(store_);
      fs::create_directories(store_ / "journal-1");
      ASSERT_TRUE(test::WriteFile(Data(), torn));
      ExpectWorks();
    }
  }
}

TEST_F(StoreTest, IsNotMadeOverPagesThatWereComplete) {
  MakeStore();
  std::string data = *test::ReadFile(Data());
  data.replace(0, 512, 512, '\0');
  data.resize(12288);
  ASSERT_TRUE(test::WriteFile(Data(), data));
  EXPECT_THAT(Open(), StatusIs(Code::kDataLoss));
  EXPECT_EQ(fs::file_size(Data()), data.size());
  fs::remove(store_ / "CURRENT");  // too long to be what a creation left
  data.resize(65537);
  ASSERT_TRUE(test::WriteFile(Data(), data));
  EXPECT_THAT(Open(), StatusIs(Code::kDataLoss));
  EXPECT_EQ(fs::file_size(Data()), data.size());
}

TEST_F(StoreTest, FinishesACreationOfWhichOnlyCurrentIsMissing) {
  MakeStore();
  for (const bool written : {false, true}) {
    fs::remove(store_ / "CURRENT");
    if (written) {
      ASSERT_TRUE(test::WriteFile(store_ / "CURRENT.new", "nimbus 1\njour"));
    }
    EXPECT_THAT(Open({.read_only = true}), StatusIs(Code::kNotFound));
    ExpectWhole();
    EXPECT_TRUE(fs::exists(store_ / "CURRENT"));
  }
}

// What was complete once is never begun anew: that would hide the loss.
TEST_F(StoreTest, SaysThatItsDataIsLost) {
  MakeStore();
  const std::string data = *test::ReadFile(Data());
  for (const Options& options : {Options{}, Options{.create = false}, Options{.read_only = true}}) {
    for (const size_t size : {0, 1, 100, 4096, 8191}) {
      ASSERT_TRUE(test::WriteFile(Data(), data.substr(0, size)));
      EXPECT_THAT(Open(options), StatusIs(Code::kDataLoss, HasSubstr("data.mdb"))) << size;
      EXPECT_EQ(fs::file_size(Data()), size);
    }
    fs::remove(Data());
    EXPECT_THAT(Open(options), StatusIs(Code::kDataLoss, HasSubstr("data.mdb")));
    EXPECT_FALSE(fs::exists(Data()));
    ASSERT_TRUE(test::WriteFile(Data(), data));
  }
  ExpectWhole();
  fs::rename(store_ / "journal-1", store_ / "elsewhere");
  EXPECT_THAT(Open(), StatusIs(Code::kDataLoss, HasSubstr("journal-1")));
  EXPECT_THAT(Open({.read_only = true}), StatusIs(Code::kDataLoss));
  fs::rename(store_ / "elsewhere", store_ / "journal-1");
  ExpectWhole();
}

TEST_F(StoreTest, NeedsNoLockFilesToBeThere) {
  MakeStore();
  fs::remove(store_ / "journal-1" / "lock.mdb");
  fs::remove(store_ / "journal-1" / "turn.lock");
  ExpectWhole();
}

TEST_F(StoreTest, MayBeMovedWhileClosed) {
  MakeStore();
  fs::rename(store_, directory_ / "moved");
  fs::create_directory_symlink(directory_ / "moved", store_);
  ExpectWhole();
}

// The same directory by another name is the same environment to LMDB.
TEST_F(StoreTest, OpensOnceInAProcessByWhateverName) {
  MakeStore();
  const fs::path link = directory_ / "link";
  fs::create_directory_symlink(store_, link);
  NIMBUS_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Journal> journal, Open());
  EXPECT_THAT(Journal::Open(link.string(), {}), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(Journal::Open(link.string(), {.read_only = true}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("already")));
  EXPECT_THAT(journal->Append(SessionUpdated(session_, 1)), IsOk());
  journal.reset();
  EXPECT_THAT(Journal::Open(link.string(), {}), IsOk());
}

TEST_F(StoreTest, IsMadeOnceByProcessesThatMakeItAtTheSameTime) {
  for (int round = 0; round < 8; ++round) {
    const std::string store = (directory_ / fmt::format("shared-{}", round)).string();
    std::vector<std::unique_ptr<test::Program>> children;
    for (int i = 0; i < 4; ++i) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(std::unique_ptr<test::Program> child,
                                  StartChild({"create", store}));
      children.push_back(std::move(child));
    }
    std::set<std::string> answers;
    for (const std::unique_ptr<test::Program>& child : children) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, child->Wait());
      EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
      answers.insert(run.out);
    }
    EXPECT_EQ(answers.size(), 1u);
    EXPECT_FALSE(fs::exists(fs::path(store) / "CURRENT.new"));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto journal, Journal::Open(store, {.create = false}));
    EXPECT_EQ(fmt::format("journal {}\n", journal->id().ToString()), *answers.begin());
    EXPECT_THAT(journal->Size(), IsOkAndHolds(1u));
  }
}

// Runs as somebody who is not root, to whom permissions mean something.
class UnprivilegedStoreTest : public StoreTest {
 protected:
  void SetUp() override {
    MakeStore();
    if (geteuid() == 0) {
      // Files of another owner, which this user may read only.
      ASSERT_EQ(chmod(directory_.string().c_str(), 0755), 0);
      ASSERT_EQ(seteuid(kNobody), 0);
      dropped_ = true;
    }
  }
  void TearDown() override {
    if (dropped_) {
      ASSERT_EQ(seteuid(0), 0);
    }
  }
  void SetMode(const fs::path& path, mode_t mode) const {
    if (dropped_) {
      ASSERT_EQ(seteuid(0), 0);
    }
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    if (dropped_) {
      ASSERT_EQ(seteuid(kNobody), 0);
    }
  }

  static constexpr uid_t kNobody = 65534;
  bool dropped_ = false;
};

TEST_F(UnprivilegedStoreTest, CannotBeReadWithoutPermission) {
  SetMode(store_, 0);
  EXPECT_THAT(Open(), StatusIs(Code::kPermissionDenied, HasSubstr(store_.string())));
  EXPECT_THAT(Open({.read_only = true}), StatusIs(Code::kPermissionDenied));
  SetMode(store_, 0755);
  SetMode(store_ / "journal-1", 0);
  EXPECT_THAT(Open({.read_only = true}), StatusIs(Code::kPermissionDenied));
  SetMode(store_ / "journal-1", 0755);
}

TEST_F(UnprivilegedStoreTest, IsReadUnlockedWithoutWritePermission) {
  SetMode(store_ / "journal-1", 0555);
  SetMode(store_ / "journal-1" / "lock.mdb", 0444);
  SetMode(Data(), 0444);
  if (!dropped_) SetMode(store_ / "journal-1" / "turn.lock", 0444);
  EXPECT_THAT(Open(), StatusIs(Code::kPermissionDenied));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Journal> journal, Open({.read_only = true}));
  EXPECT_THAT(journal->Size(), IsOkAndHolds(3u));
  ExpectUpdates(*journal, session_, {{.n = 0, .sequence = 2}});
  EXPECT_THAT(journal->Append(SessionUpdated(session_, 1)), StatusIs(Code::kFailedPrecondition));
  SetMode(store_ / "journal-1", 0755);
}

TEST_F(UnprivilegedStoreTest, IsNotReadUnlockedWhileAProcessHasItOpen) {
  if (!dropped_) GTEST_SKIP() << "a process of another user is needed, which takes root";
  ASSERT_EQ(seteuid(0), 0);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<test::Program> child,
                              StartChild({"hold", store_.string()}));
  ASSERT_TRUE(WaitForLines(*child, 1));
  ASSERT_EQ(child->OutputSoFar(), "held\n");
  ASSERT_EQ(seteuid(kNobody), 0);
  EXPECT_THAT(Open({.read_only = true}),
              StatusIs(Code::kFailedPrecondition, HasSubstr(std::to_string(child->pid()))));
  ASSERT_EQ(seteuid(0), 0);
  child->Signal(SIGKILL);
  ASSERT_THAT(child->Wait(), IsOk());
  ASSERT_EQ(seteuid(kNobody), 0);
  EXPECT_THAT(Open({.read_only = true}), IsOk());
}

}  // namespace
}  // namespace nimbus::journal
