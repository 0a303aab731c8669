// The write-ahead log over many turns of its halves, and of those who write to it.
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "testing/random.h"
#include "wal_fixture.h"

namespace nimbus::journal {
namespace {

constexpr int kPowerCuts = NIMBUS_LONG_TESTS ? 2000 : 40;

// Two processes that write in turns, and one that reads along, over many turns
// of the halves. LMDB is `applied`: what has been noted as such.
class WalTurnsTest : public WalTest {
 protected:
  size_t Random(size_t from, size_t to) { return from + random_.Below(to - from + 1); }
  WalLink lmdb_end() const { return ends_.at(applied_); }
  void Apply(Wal* wal, uint64_t sequence) {
    applied_ = sequence;  // LMDB first
    wal->NoteApplied(sequence);
  }
  // Some entries, some of them flushed, LMDB following at a distance.
  void WriteSome(Wal* wal) {
    for (size_t i = Random(1, 30); i > 0; --i) {
      const size_t bytes = 512 * (Random(0, 20) == 0 ? Random(200, 2048) : Random(1, 40));
      if (Random(0, 60) == 0) {  // LMDB takes it directly, after all that is in the log
        const WalLink end{.sequence = wal->end().sequence + 1, .checksum = random_()};
        ends_[end.sequence] = end;
        applied_ = end.sequence;
        wal->NoteBypass(end);
        continue;
      }
      if (!wal->HasRoom(bytes)) Apply(wal, wal->end().sequence);
      const WalLink end = Write(bytes, wal);
      ends_[end.sequence] = end;
      if (Random(0, 3) == 0) {
        ASSERT_THAT(wal->Flush(), IsOk());
      }
      if (Random(0, 20) == 0) Apply(wal, Random(applied_, end.sequence));
    }
  }
  // What is seen beyond LMDB is what was written, without gap, at least up to `end`.
  void ExpectHolds(WalOverlay overlay, uint64_t end) {
    ASSERT_TRUE(overlay.Continue(applied_));
    uint64_t next = applied_;
    for (size_t i = 0; i < overlay.count(); ++i) {
      ASSERT_EQ(overlay.entry(i).first_sequence(), next);
      next = overlay.entry(i).end_sequence();
      ASSERT_EQ(EndOf(overlay.entry(i)), ends_.at(next));
    }
    ASSERT_GE(next, end);  // a reader that has read the whole log has flushed it, too
  }
  // A snapshot, as Environment takes it.
  void ExpectReads(Wal* wal, uint64_t durable) {
    for (int i = 0; i < 2; ++i) {
      WalOverlay overlay = wal->DurableOverlay();
      if (overlay.Continue(applied_)) {
        ExpectHolds(std::move(overlay), durable);
        return;
      }
      ASSERT_EQ(i, 0) << "the log is not understood";
      ASSERT_THAT(wal->Synchronize(lmdb_end()), IsOk());
    }
  }

  // Where entries of the records [from, to) lie in the log.
  std::vector<size_t> SectorsOf(const std::string& log, uint64_t from, uint64_t to) const {
    std::vector<size_t> sectors;
    for (size_t at = 0; at < kWalBytes; at += kWalAlignment) {
      WalEntryHeader header;
      std::memcpy(&header, log.data() + at, sizeof(header));
      if (header.magic != kWalEntryMagic || header.journal != journal_.bytes ||
          header.first_sequence < from || header.first_sequence >= to) {
        continue;
      }
      const size_t end = at + sizeof(header) + header.payload_bytes;
      for (size_t sector = at; sector < end; sector += kWalAlignment) sectors.push_back(sector);
    }
    return sectors;
  }

  test::SeededRandom random_;
  std::map<uint64_t, WalLink> ends_ = {{kStart.sequence, kStart}};
  uint64_t applied_ = kStart.sequence;
};

TEST_F(WalTurnsTest, ProcessesTakeUpWhereOthersLeftOff) {
  std::vector<std::unique_ptr<Wal>> processes;
  processes.push_back(std::move(wal_));
  processes.push_back(OpenLog());
  const std::unique_ptr<Wal> reader = OpenLog(true);
  ASSERT_THAT(reader->Synchronize(kStart), IsOk());
  size_t holder = 0;
  for (int turn = 0; turn < 150 && !HasFailure(); ++turn) {
    Wal* wal = processes[holder].get();
    WriteSome(wal);
    ExpectHolds(wal->WholeOverlay(), wal->end().sequence);
    ExpectReads(wal, wal->durable());
    if (Random(0, 3) > 0) ExpectReads(reader.get(), wal->durable());
    if (Random(0, 9) == 0) {
      processes[holder] = OpenLog();  // it was killed, flushed or not
    } else {
      ASSERT_THAT(wal->Flush(), IsOk());
      wal->EndTenure();
    }
    holder = Random(0, 1);
    ASSERT_THAT(processes[holder]->BeginTenure(lmdb_end()), IsOk());
    ASSERT_EQ(processes[holder]->end(), ends_.rbegin()->second);
    ExpectHolds(processes[holder]->WholeOverlay(), ends_.rbegin()->first);
    ExpectReads(reader.get(), ends_.rbegin()->first);
  }
}

// After a power cut, entries from the last flush on may be torn or gone; LMDB has
// what it had.
TEST_F(WalTurnsTest, AfterAPowerCutASuffixOfWhatWasNotFlushedIsGone) {
  int torn_turns = 0;
  for (int turn = 0; turn < kPowerCuts && !HasFailure(); ++turn) {
    const std::string before = *test::ReadFile(File());
    WriteSome(wal_.get());
    const uint64_t durable = wal_->durable();
    const uint64_t written = wal_->end().sequence;
    const std::string log = *test::ReadFile(File());
    wal_.reset();
    if (Random(0, 1) == 0) {
      ASSERT_TRUE(test::WriteFile(File("wal.state"), std::string(4096, '\0')));
    }
    const std::vector<size_t> sectors = SectorsOf(log, durable, written);
    bool torn = false;
    for (int i = 0; i < 3 && !sectors.empty(); ++i) {
      const size_t at = sectors[Random(0, sectors.size() - 1)];
      torn = torn || log.compare(at, 512, before, at, 512) != 0;
      Damage(at, before.substr(at, 512));
    }
    torn_turns += torn;
    TakeOver(lmdb_end());
    ASSERT_GE(wal_->end().sequence, durable);
    ASSERT_LE(wal_->end().sequence, written);
    ASSERT_EQ(wal_->end().sequence < written, torn);
    ends_.erase(ends_.upper_bound(wal_->end().sequence), ends_.end());
    ASSERT_EQ(wal_->end(), ends_.rbegin()->second);
    ExpectHolds(wal_->WholeOverlay(), wal_->end().sequence);
  }
  EXPECT_GT(torn_turns, 5);
}

// While one thread writes, others read, as processes of their own would.
TEST_F(WalTurnsTest, ReadersFollowAWriterThroughManyTurnsOfTheHalves) {
  std::atomic<uint64_t> lmdb = kStart.sequence, done = 0;
  std::mutex mu;
  std::map<uint64_t, WalLink> ends = ends_;
  const auto follow = [&] {
    const std::unique_ptr<Wal> reader = OpenLog(true);
    uint64_t seen = kStart.sequence;
    int tries = 0;
    while (seen < 4000 || done == 0) {
      WalOverlay overlay = reader->DurableOverlay();
      WalLink head;
      {
        const std::lock_guard<std::mutex> lock(mu);
        head = ends.at(lmdb);
      }
      if (!overlay.Continue(head.sequence)) {
        static_cast<void>(reader->Synchronize(head).ok());
        ASSERT_LT(++tries, 1000) << "never understood";
        continue;
      }
      tries = 0;
      uint64_t next = head.sequence;
      for (size_t i = 0; i < overlay.count(); ++i) {
        ASSERT_EQ(overlay.entry(i).first_sequence(), next);
        next = overlay.entry(i).end_sequence();
      }
      ASSERT_GE(next, seen);
      seen = next;
      if (done != 0 && seen == done) break;
    }
  };
  std::thread readers[] = {std::thread(follow), std::thread(follow)};
  while (wal_->end().sequence < 4000) {
    const size_t bytes = 512 * Random(1, 60);
    if (!wal_->HasRoom(bytes)) {
      lmdb = Random(wal_->end().sequence - 1, wal_->end().sequence);
      wal_->NoteApplied(lmdb);
      if (!wal_->HasRoom(bytes)) wal_->NoteApplied(lmdb = wal_->end().sequence);
    }
    EntrySpec spec{.begin = wal_->end(), .body_bytes = bytes - 200, .salt = wal_->salt()};
    std::unique_ptr<const WalEntry> entry = MakeEntry(journal_, spec);
    {
      const std::lock_guard<std::mutex> lock(mu);
      ends[entry->end_sequence()] = EndOf(*entry);
    }
    ASSERT_THAT(wal_->Write(std::move(entry)), IsOk());
    if (Random(0, 2) == 0) {
      ASSERT_THAT(wal_->Flush(), IsOk());
    }
  }
  ASSERT_THAT(wal_->Flush(), IsOk());
  done = wal_->end().sequence;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace nimbus::journal
