// Compaction puts a new generation in the place of the old while everyone goes on,
// and whatever is killed, the journal is whole.
#include "nimbus/journal/compact.h"

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "child.h"
#include "environment.h"
#include "new_store.h"
#include "nimbus/journal/backup.h"
#include "nimbus/journal/verify.h"
#include "store.h"
#include "testing/workload.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;

class CompactTest : public JournalTest {
 protected:
  // Small appends: loosely packed, with chains of bases.
  void Fill(uint64_t updates) {
    if (filled_ == 0) {
      ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
    }
    for (uint64_t end = filled_ + updates; filled_ < end; ++filled_) {
      ASSERT_THAT(journal_->Append(Update(filled_)), IsOk());
    }
  }

  // Large enough to be compressed against the one before.
  Event Update(uint64_t n) const {
    Event event = SessionUpdated(session_, n);
    for (uint64_t line = 0; line < 200; ++line) {
      event.body.description += fmt::format("line {} of a context that grows\n", line * n * 7919);
    }
    return event;
  }

  static void ExpectVerifies(const Journal& journal) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyReport report, VerifyJournal(journal, {}));
    for (const Finding& finding : report.findings) {
      ADD_FAILURE() << "record " << finding.sequence << ": " << finding.what;
    }
  }

  bool IsThere(int generation) const {
    return fs::exists(fmt::format("{}/journal-{}", store(), generation));
  }

  uint64_t filled_ = 0;
};

TEST_F(CompactTest, KeepsAllAndTakesLess) {
  Fill(300);
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  const Stat before = *journal_->GetStat();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const CompactReport report, CompactJournal(journal_.get(), {}));
  EXPECT_EQ(report.generation, 2u);
  EXPECT_EQ(report.records, before.records);
  EXPECT_LT(report.bytes_after, report.bytes_before);
  EXPECT_TRUE(report.old_removed);
  EXPECT_FALSE(IsThere(1));
  EXPECT_EQ(journal_->GetStat()->root, before.root);
  ExpectVerifies(*journal_);
  // What follows is never compressed against a block of the generation before.
  Fill(50);
  ExpectVerifies(*journal_);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const CompactReport again, CompactJournal(journal_.get(), {}));
  EXPECT_EQ(again.generation, 3u);
  Fill(20);
  const schema::Digest root = journal_->GetStat()->root;
  Open({.create = false});
  EXPECT_EQ(journal_->GetStat()->root, root);
  ExpectVerifies(*journal_);
}

TEST_F(CompactTest, KeepsAppendIds) {
  ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
  const AppendOptions options{.append_id = AppendIdOf(session_, 0)};
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended first,
                              journal_->Append(SessionUpdated(session_, 0), options));
  ASSERT_THAT(CompactJournal(journal_.get(), {}), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended again,
                              journal_->Append(SessionUpdated(session_, 0), options));
  EXPECT_EQ(again.first, first.first);
}

TEST_F(CompactTest, LetsThisProcessGoOn) {
  Fill(200);
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> appended = 0, read = 0, followed = 0;
  std::thread writer([&] {
    const Uuid session = schema::NewUuid();
    EXPECT_THAT(journal_->Append(SessionStarted(session)), IsOk());
    for (uint64_t n = 0; !stop; ++n, ++appended) {
      Event event = Update(n);
      event.stream = session;
      EXPECT_THAT(journal_->Append(event), IsOk());
    }
  });
  std::thread reader([&] {
    Reader own(*journal_);
    while (!stop) {
      for (uint64_t sequence = 2; sequence < 202 && !stop; sequence += 7, ++read) {
        absl::StatusOr<const RecordView*> record = own.Read(sequence);
        ASSERT_THAT(record, IsOk());
        ASSERT_THAT(own.Body(**record), IsOk());
      }
    }
  });
  std::thread follower([&] {
    for (uint64_t size = 0; !stop; ++followed) {
      absl::StatusOr<uint64_t> now = journal_->WaitForMore(size, 100);
      ASSERT_THAT(now, IsOk());
      ASSERT_GE(*now, size);
      size = *now;
    }
  });
  for (int round = 0; round < 6; ++round) {
    const uint64_t before = appended;
    EXPECT_THAT(CompactJournal(journal_.get(), {.compression_level = 1}), IsOk());
    while (appended < before + 20) std::this_thread::yield();
  }
  stop = true;
  writer.join();
  reader.join();
  follower.join();
  EXPECT_GT(read, 0u);
  EXPECT_GT(followed, 0u);
  ExpectVerifies(*journal_);
}

TEST_F(CompactTest, LetsOtherProcessesGoOn) {
  Fill(100);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto child, StartChild({"append", store(), "0", "2"}));
  ASSERT_TRUE(WaitForLines(*child, 10));
  for (int round = 1; round <= 6; ++round) {
    EXPECT_THAT(CompactJournal(journal_.get(), {.compression_level = 1}), IsOk());
    ASSERT_TRUE(WaitForLines(*child, 10 + 40 * round)) << "it appends to the new generation";
    ASSERT_THAT(journal_->Append(Update(filled_++)), IsOk());
  }
  child->Signal(SIGKILL);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, child->Wait());
  for (const auto& [session, acknowledged] : ParseOutput(run.out)) {
    ExpectUpdates(*journal_, session, acknowledged);
  }
  ExpectVerifies(*journal_);
  Open({.create = false});  // removes what nobody has open now
  EXPECT_FALSE(IsThere(1));
  EXPECT_FALSE(IsThere(6));
  EXPECT_TRUE(IsThere(7));
}

TEST_F(CompactTest, IsNotDoneTwiceAtATime) {
  Fill(3);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const NewGeneration other, NewGeneration::Begin(store()));
  EXPECT_THAT(CompactJournal(journal_.get(), {}), StatusIs(Code::kUnavailable));
  Open({.create = false, .read_only = true});
  EXPECT_THAT(CompactJournal(journal_.get(), {}), StatusIs(Code::kFailedPrecondition));
}

TEST_F(CompactTest, ThatWasCutOffIsBegunAnew) {
  Fill(400);
  const CompactOptions stopped{.progress = [](uint64_t, uint64_t) { return false; }};
  EXPECT_THAT(CompactJournal(journal_.get(), stopped), StatusIs(Code::kCancelled));
  EXPECT_TRUE(IsThere(2));
  ExpectVerifies(*journal_);
  Open({.create = false});
  ExpectVerifies(*journal_);
  EXPECT_THAT(CompactJournal(journal_.get(), {}), IsOk());
  ExpectVerifies(*journal_);
}

// As a process leaves it that dies after it committed what follows, and before it
// named it in CURRENT.
TEST_F(CompactTest, ThatDiedBeforeTheSwitchIsFinishedByTheNextWhoOpens) {
  Fill(100);
  const schema::Digest root = journal_->GetStat()->root;
  const std::string current = *test::ReadFile(store() + "/CURRENT");
  fs::copy(store() + "/journal-1", store() + "/kept");
  ASSERT_THAT(CompactJournal(journal_.get(), {}), IsOk());
  const schema::Digest after = journal_->GetStat()->root;
  journal_.reset();
  fs::rename(store() + "/kept", store() + "/journal-1");
  {
    const std::unique_ptr<lmdb::Env> env =
        *lmdb::Env::Open(store() + "/journal-1", {.map_bytes = size_t{1} << 30});
    lmdb::Transaction txn = *lmdb::Transaction::Begin(*env, lmdb::Transaction::Mode::kWrite);
    const lmdb::Table meta = *txn.OpenTable("meta", false, false);
    const std::string_view key = "superseded_by";
    const uint64_t next = 2;
    ASSERT_THAT(
        txn.Put(meta, lmdb::MakeView(key.data(), key.size()), lmdb::MakeView(&next, sizeof(next))),
        IsOk());
    ASSERT_THAT(txn.Commit(), IsOk());
  }
  ASSERT_TRUE(test::WriteFile(store() + "/CURRENT", current));
  Open({.create = false, .read_only = true});
  EXPECT_EQ(journal_->GetStat()->root, after);
  EXPECT_EQ(root, after);
  EXPECT_EQ(test::ReadFile(store() + "/CURRENT"), current) << "a reader changes nothing";
  Open({.create = false});
  EXPECT_EQ(journal_->GetStat()->root, after);
  EXPECT_NE(test::ReadFile(store() + "/CURRENT"), current);
  EXPECT_FALSE(IsThere(1));
  Fill(3);
  ExpectVerifies(*journal_);
}

TEST_F(CompactTest, ABackupMayBeUnderWay) {
  Fill(3000);
  bool compacted = false;
  const BackupOptions options{.progress = [&](uint64_t, uint64_t) {
    if (!compacted) {
      EXPECT_THAT(CompactJournal(journal_.get(), {.compression_level = 1}), IsOk());
    }
    return compacted = true;
  }};
  const std::string copy = (directory_ / "copy").string();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const BackupReport report, BackupJournal(*journal_, copy, options));
  EXPECT_TRUE(compacted);
  EXPECT_EQ(report.root, journal_->GetStat()->root);
}

}  // namespace
}  // namespace nimbus::journal
