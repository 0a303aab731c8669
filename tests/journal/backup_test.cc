// A backup is the journal as of one size, whoever writes meanwhile, or no store.
#include "nimbus/journal/backup.h"

#include <atomic>
#include <filesystem>
#include <thread>

#include "environment.h"
#include "fixture.h"
#include "nimbus/journal/verify.h"
#include "testing/workload.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BackupTest : public JournalTest {
 protected:
  std::string Path(std::string_view name) const { return (directory_ / name).string(); }

  void Fill(int updates) {
    ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
    for (int n = 0; n < updates; ++n) {
      ASSERT_THAT(
          journal_->Append(SessionUpdated(session_, n), {.append_id = AppendIdOf(session_, n)}),
          IsOk());
    }
  }

  // That the store verifies and begins as the fixture's journal does.
  void ExpectCopy(const std::string& store, const BackupReport& report) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto copy,
                                Journal::Open(Path(store), {.create = false, .read_only = true}));
    EXPECT_EQ(copy->id(), journal_->id());
    EXPECT_THAT(copy->Size(), IsOkAndHolds(report.records));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyReport verified, VerifyJournal(*copy, {}));
    EXPECT_TRUE(verified.holds());
    EXPECT_EQ(verified.root, report.root);
    EXPECT_EQ(verified.bodies, report.bodies);
    EXPECT_EQ(*copy->LeafHash(report.records - 1), *journal_->LeafHash(report.records - 1));
  }
};

TEST_F(BackupTest, IsAStoreOfItsOwnThatGoesOn) {
  Fill(600);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const BackupReport report, BackupJournal(*journal_, Path("b"), {}));
  EXPECT_EQ(report.records, 602u);
  EXPECT_EQ(report.root, journal_->GetStat()->root);
  ExpectCopy("b", report);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto copy, Journal::Open(Path("b"), {.create = false}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended ours, journal_->Append(SessionUpdated(session_, 600)));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended theirs, copy->Append(SessionUpdated(session_, 600)));
  EXPECT_EQ(ours.first, theirs.first);
  EXPECT_EQ(ours.version, theirs.version);
}

TEST_F(BackupTest, KeepsAppendIdsSoThatARetryIsSafe) {
  Fill(10);
  ASSERT_THAT(BackupJournal(*journal_, Path("b"), {}), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto copy, Journal::Open(Path("b"), {.create = false}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Appended again,
      copy->Append(SessionUpdated(session_, 9), {.append_id = AppendIdOf(session_, 9)}));
  EXPECT_EQ(again.first, 11u);
  EXPECT_THAT(copy->Size(), IsOkAndHolds(12u));
}

TEST_F(BackupTest, IsAsOfOneSizeWhileOthersWrite) {
  Fill(3000);
  std::atomic<bool> stop = false;
  std::atomic<int> appended = 0;
  std::thread writer([&] {
    const test::Workload workload(/*seed=*/3);
    const Uuid session = workload.SessionId(0);
    EXPECT_THAT(journal_->Append(test::SessionStarted(session)), IsOk());
    for (uint64_t n = 0; !stop; ++n) {
      for (const Event& event : workload.Operation(n).Events(session)) {
        EXPECT_THAT(journal_->Append(event), IsOk());
        ++appended;
      }
    }
  });
  while (appended < 24) std::this_thread::yield();
  for (const std::string store : {"a", "b", "c"}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const BackupReport report,
                                BackupJournal(*journal_, Path(store), {}));
    EXPECT_GT(report.records, 3025u);
    ExpectCopy(store, report);
  }
  const int before = appended;
  stop = true;
  writer.join();
  EXPECT_GT(before, 24);
}

TEST_F(BackupTest, NeverGoesWhereAnythingIs) {
  Fill(3);
  ASSERT_THAT(BackupJournal(*journal_, Path("b"), {}), IsOk());
  const std::string current = *test::ReadFile(Path("b/CURRENT"));
  EXPECT_THAT(BackupJournal(*journal_, Path("b"), {}), StatusIs(Code::kAlreadyExists));
  EXPECT_THAT(BackupJournal(*journal_, store(), {}), StatusIs(Code::kAlreadyExists));
  EXPECT_EQ(test::ReadFile(Path("b/CURRENT")), current);
  fs::create_directory(Path("full"));
  ASSERT_TRUE(test::WriteFile(Path("full/mine"), "text"));
  EXPECT_THAT(BackupJournal(*journal_, Path("full"), {}),
              StatusIs(Code::kInvalidArgument, HasSubstr("not empty")));
  EXPECT_EQ(test::ReadFile(Path("full/mine")), "text");
  ASSERT_TRUE(test::WriteFile(Path("file"), "text"));
  EXPECT_THAT(BackupJournal(*journal_, Path("file"), {}), testing::Not(IsOk()));
  EXPECT_EQ(test::ReadFile(Path("file")), "text");
}

TEST_F(BackupTest, ThatWasCutOffIsNoStoreAndIsMadeAnew) {
  Fill(2000);
  const BackupOptions stopped{.progress = [](uint64_t done, uint64_t) { return done < 1000; }};
  EXPECT_THAT(BackupJournal(*journal_, Path("b"), stopped), StatusIs(Code::kCancelled));
  ASSERT_FALSE(fs::is_empty(Path("b")));
  EXPECT_THAT(Journal::Open(Path("b"), {.create = false}), StatusIs(Code::kNotFound));
  EXPECT_THAT(Journal::Open(Path("b"), {}), StatusIs(Code::kInvalidArgument))
      << "nobody may take it for a store that is being created";
  NIMBUS_ASSERT_OK_AND_ASSIGN(const BackupReport report, BackupJournal(*journal_, Path("b"), {}));
  ExpectCopy("b", report);
}

TEST_F(BackupTest, RefusesAJournalWhoseEntitiesDoNotFollow) {
  Fill(20);
  journal_.reset();
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto environment, Environment::Open(store(), {}));
    NIMBUS_ASSERT_OK_AND_ASSIGN(lmdb::Transaction txn, environment->BeginWrite());
    const EntityKey key = MakeEntityKey(EntityKind::session, session_);
    const lmdb::Table entities = environment->tables().entity.entities;
    Entity entity = *DecodeEntity(key, **txn.Get(entities, key));
    entity.state.state = static_cast<uint8_t>(Lifecycle::kCompleted);
    ASSERT_THAT(txn.Put(entities, key, EncodeEntity(entity)), IsOk());
    ASSERT_THAT(txn.Commit(), IsOk());
  }
  Open();
  EXPECT_THAT(BackupJournal(*journal_, Path("b"), {}),
              StatusIs(Code::kDataLoss, HasSubstr("is not what the records make of it")));
  EXPECT_FALSE(fs::exists(Path("b/CURRENT")));
}

}  // namespace
}  // namespace nimbus::journal
