// The write-ahead log: what is found in it again, whatever happened to it, and
// how those who share it see it. Its entries hold no events; LMDB is where the
// test says it ends.
#include "wal.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <thread>

#include "entries.h"
#include "failing_disk.h"
#include "fixture.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kPowerCuts = NIMBUS_LONG_TESTS ? 2000 : 40;
constexpr size_t kMegabyte = size_t{1} << 20;
constexpr WalLink kStart{.sequence = 1, .checksum = 0};

class WalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    wal_ = OpenLog();
    ASSERT_THAT(wal_->Create(), IsOk());
    ASSERT_THAT(wal_->BeginTenure(kStart), IsOk());
  }
  std::unique_ptr<Wal> OpenLog(bool read_only = false) const {
    absl::StatusOr<std::unique_ptr<Wal>> wal = Wal::Open(directory_.string(), journal_, read_only);
    EXPECT_THAT(wal, IsOk());
    return *std::move(wal);
  }
  fs::path File(const char* name = "wal") const { return directory_ / name; }

  // An entry of one record that takes `bytes` in the file, and where it lies.
  WalLink Write(size_t bytes, Wal* wal) {
    EntrySpec spec{.begin = wal->end(), .durable_before = wal->durable(), .salt = ++written_};
    spec.body_bytes = bytes - MakeEntry(journal_, spec)->bytes().size();
    std::unique_ptr<const WalEntry> entry = MakeEntry(journal_, spec);
    EXPECT_EQ(entry->bytes().size(), bytes);
    EXPECT_TRUE(wal->HasRoom(bytes));
    const WalLink end = EndOf(*entry);
    EXPECT_THAT(wal->Write(std::move(entry)), IsOk());
    return end;
  }
  WalLink Write(size_t bytes) { return Write(bytes, wal_.get()); }
  WalLink WriteAndFlush(size_t bytes) {
    const WalLink end = Write(bytes);
    EXPECT_THAT(wal_->Flush(), IsOk());
    return end;
  }

  // The process ends; its files stay.
  void Crash() { wal_.reset(); }
  // What was said of durability is late.
  void PowerCut() {
    Crash();
    ASSERT_TRUE(test::WriteFile(File("wal.state"), std::string(4096, '\0')));
  }
  void Damage(size_t at, const std::string& bytes) const {
    std::fstream file(File(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at)).write(bytes.data(), std::ssize(bytes));
    ASSERT_TRUE(file.flush().good());
  }
  void Tear(size_t at) const { Damage(at, std::string(kWalAlignment, '\0')); }

  static std::vector<uint64_t> Firsts(WalOverlay overlay, uint64_t lmdb_size) {
    EXPECT_TRUE(overlay.Continue(lmdb_size));
    std::vector<uint64_t> firsts;
    for (size_t i = 0; i < overlay.count(); ++i) {
      firsts.push_back(overlay.entry(i).first_sequence());
    }
    return firsts;
  }
  // What a new process finds in the log, LMDB ending at `lmdb_end`.
  std::vector<uint64_t> Found(const WalLink& lmdb_end, bool read_only = false) {
    const std::unique_ptr<Wal> wal = OpenLog(read_only);
    EXPECT_THAT(wal->Synchronize(lmdb_end), IsOk());
    return Firsts(wal->DurableOverlay(), lmdb_end.sequence);
  }
  // The next process writes.
  void TakeOver(const WalLink& lmdb_end) {
    wal_ = OpenLog();
    ASSERT_THAT(wal_->BeginTenure(lmdb_end), IsOk());
  }
  void ExpectDamaged(const WalLink& lmdb_end) {
    for (const bool read_only : {true, false, true}) {  // it is none the better for trying
      const std::unique_ptr<Wal> wal = OpenLog(read_only);
      for (int i = 0; i < 2; ++i) {
        EXPECT_THAT(wal->Synchronize(lmdb_end), StatusIs(Code::kDataLoss, HasSubstr("/wal")));
        WalOverlay overlay = wal->DurableOverlay();
        EXPECT_FALSE(overlay.Continue(lmdb_end.sequence));
        if (!read_only) {
          EXPECT_THAT(wal->BeginTenure(lmdb_end), StatusIs(Code::kDataLoss));
        }
      }
    }
  }

  test::TempDir directory_;
  const Uuid journal_ = schema::NewUuid();
  std::unique_ptr<Wal> wal_;
  uint64_t written_ = 0;  // entries, so that no two are equal
};

TEST_F(WalTest, IsEmptyWhenItIsMade) {
  EXPECT_EQ(fs::file_size(File()), kWalBytes);
  EXPECT_EQ(wal_->FileBytes(), kWalBytes);
  EXPECT_EQ(wal_->end(), kStart);
  EXPECT_TRUE(wal_->WholeOverlay().empty());
  EXPECT_THAT(Found(kStart), IsEmpty());
  EXPECT_FALSE(fs::exists(File("wal.new")));
}

TEST_F(WalTest, IsFoundFromWhereLmdbEnds) {
  const WalLink first = WriteAndFlush(512);
  const WalLink second = WriteAndFlush(4096);
  const WalLink third = WriteAndFlush(1024);
  Crash();
  EXPECT_THAT(Found(kStart), ElementsAre(1u, 2u, 3u));
  EXPECT_THAT(Found(first), ElementsAre(2u, 3u));
  EXPECT_THAT(Found(second), ElementsAre(3u));
  EXPECT_THAT(Found(third), IsEmpty());
  EXPECT_THAT(Found(kStart, true), ElementsAre(1u, 2u, 3u));
}

TEST_F(WalTest, IsFoundAcrossItsHalvesInBothDirections) {
  std::vector<WalLink> ends = {kStart};
  // Two in the first half, two in the second, two in the first again, which takes
  // LMDB to have the first two.
  for (int i = 0; i < 4; ++i) ends.push_back(WriteAndFlush(kMegabyte));
  EXPECT_FALSE(wal_->HasRoom(512));
  wal_->NoteApplied(ends[1].sequence);
  EXPECT_FALSE(wal_->HasRoom(512));  // not all of that half
  wal_->NoteApplied(ends[2].sequence);
  for (int i = 0; i < 2; ++i) ends.push_back(WriteAndFlush(kMegabyte - 512));
  Crash();
  EXPECT_THAT(Found(ends[2]), ElementsAre(3u, 4u, 5u, 6u));
  EXPECT_THAT(Found(ends[3]), ElementsAre(4u, 5u, 6u));
  EXPECT_THAT(Found(ends[4]), ElementsAre(5u, 6u));
  EXPECT_THAT(Found(ends[6]), IsEmpty());
  ExpectDamaged(ends[1]);  // LMDB must have had that half
}

TEST_F(WalTest, AHalfIsFilledToItsLastByteAndNoFurther) {
  EXPECT_TRUE(wal_->HasRoom(kWalHalfBytes));
  Write(kWalHalfBytes - 512);
  const WalLink full = WriteAndFlush(512);
  EXPECT_EQ(test::ReadFile(File())->substr(kWalHalfBytes - 512, 4), "NMWE");
  WriteAndFlush(512);
  EXPECT_EQ(test::ReadFile(File())->substr(kWalHalfBytes, 4), "NMWE");
  Write(kWalHalfBytes - 512);
  EXPECT_FALSE(wal_->HasRoom(512));
  wal_->NoteApplied(full.sequence);
  EXPECT_TRUE(wal_->HasRoom(kWalHalfBytes));
  EXPECT_THAT(wal_->Flush(), IsOk());
  Crash();
  EXPECT_THAT(Found(kStart), ElementsAre(1u, 2u, 3u, 4u));
}

TEST_F(WalTest, WhatLmdbHasIsLeftOver) {
  WalLink end;
  for (int i = 0; i < 3; ++i) end = WriteAndFlush(kMegabyte / 2);
  wal_->NoteApplied(end.sequence);
  EXPECT_TRUE(wal_->WholeOverlay().empty());
  Crash();
  EXPECT_THAT(Found(end), IsEmpty());
  // A bypass: LMDB goes on without the log.
  const WalLink elsewhere{.sequence = 50, .checksum = 99};
  EXPECT_THAT(Found(elsewhere), IsEmpty());
  TakeOver(elsewhere);
  EXPECT_EQ(wal_->end(), elsewhere);
  WriteAndFlush(1024);
  Crash();
  EXPECT_THAT(Found(elsewhere), ElementsAre(50u));
}

TEST_F(WalTest, AnEntryThatWasCutOffIsNothing) {
  WriteAndFlush(1024);
  const WalLink second = WriteAndFlush(1024);
  Write(4096);
  const std::string whole = *test::ReadFile(File());
  for (size_t sector = 2048; sector < 2048 + 4096; sector += kWalAlignment) {
    PowerCut();
    ASSERT_TRUE(test::WriteFile(File(), whole));
    Tear(sector);
    EXPECT_THAT(Found(kStart), ElementsAre(1u, 2u)) << sector;
  }
  TakeOver(kStart);
  EXPECT_EQ(wal_->end(), second);
  EXPECT_EQ(wal_->durable(), 3u);
}

TEST_F(WalTest, WhatFollowedAnEntryThatWasCutOffNeverComesBack) {
  WriteAndFlush(1024);
  for (int i = 0; i < 4; ++i) Write(1024);
  PowerCut();
  Tear(1024 + 512);  // the second; three whole ones follow
  EXPECT_THAT(Found(kStart), ElementsAre(1u));
  TakeOver(kStart);
  for (uint64_t n = 2; n < 5; ++n) {  // over each of them in turn
    // Another text than was there, at the same place and of the same length.
    const WalLink end = WriteAndFlush(1024);
    EXPECT_EQ(end.sequence, n + 1);
    Crash();
    std::vector<uint64_t> expected(n);
    std::iota(expected.begin(), expected.end(), 1);
    EXPECT_EQ(Found(kStart), expected);
    TakeOver(kStart);
    EXPECT_EQ(wal_->end(), end);
  }
}

TEST_F(WalTest, AnEntryThatALaterOneSaysWasDurableIsMissed) {
  WriteAndFlush(1024);
  WriteAndFlush(1024);
  WriteAndFlush(1024);  // says that those before it are durable
  PowerCut();
  Tear(1024);
  ExpectDamaged(kStart);
  EXPECT_THAT(Found({.sequence = 3, .checksum = 7}), IsEmpty());  // LMDB has it: no loss
}

TEST_F(WalTest, AnEntryThatWalStateSaysWasDurableIsMissed) {
  WriteAndFlush(1024);
  WriteAndFlush(1024);
  Crash();
  Tear(1024);
  ExpectDamaged(kStart);
  fs::remove(File("wal.state"));  // nobody knows then
  EXPECT_THAT(Found(kStart), ElementsAre(1u));
}

TEST_F(WalTest, AWholeFileOfAnotherTimeIsMissed) {
  const std::string before = *test::ReadFile(File());
  WriteAndFlush(1024);
  Crash();
  ASSERT_TRUE(test::WriteFile(File(), before));
  ExpectDamaged(kStart);
}

TEST_F(WalTest, IsFoundWithoutWalState) {
  WriteAndFlush(1024);
  Write(1024);
  Crash();
  const std::string state = *test::ReadFile(File("wal.state"));
  std::string other = state;
  other[10] = static_cast<char>(other[10] ^ 1);  // of another journal
  const std::vector<std::optional<std::string>> states = {
      std::nullopt, "", state.substr(0, 20), std::string(4096, '\0'), other, state};
  for (size_t i = 0; i < states.size(); ++i) {
    for (const bool read_only : {true, false}) {
      fs::remove(File("wal.state"));
      if (states[i].has_value()) {
        ASSERT_TRUE(test::WriteFile(File("wal.state"), *states[i]));
      }
      EXPECT_THAT(Found(kStart, read_only), ElementsAre(1u, 2u)) << i;
      EXPECT_EQ(OpenLog(read_only)->state() == nullptr, read_only && i < 5) << i;
    }
  }
}

TEST_F(WalTest, AMissingOrShortFileIsMissedOnlyIfItHeldSomething) {
  const WalLink end = WriteAndFlush(1024);
  Crash();
  const std::string log = *test::ReadFile(File());
  for (const size_t size : {size_t{0}, size_t{100}, size_t{1023}}) {
    fs::resize_file(File(), size);
    ExpectDamaged(kStart);
    EXPECT_THAT(Found(end), IsEmpty());
  }
  fs::remove(File());
  ExpectDamaged(kStart);
  EXPECT_THAT(Found(end), IsEmpty());
  EXPECT_THAT(Found(end, true), IsEmpty());
  ASSERT_TRUE(test::WriteFile(File(), log.substr(0, 1024)));
  EXPECT_THAT(Found(kStart), ElementsAre(1u));
  TakeOver(kStart);  // it grows where it is short
  WriteAndFlush(1024);
  Crash();
  EXPECT_THAT(Found(kStart), ElementsAre(1u, 2u));
}

TEST_F(WalTest, AFileThatCantBeReadIsNoEndOfTheLog) {
  WriteAndFlush(1024);
  PowerCut();
  const std::unique_ptr<Wal> wal = OpenLog();
  const std::unique_ptr<Wal> synchronized = OpenLog();
  ASSERT_THAT(synchronized->Synchronize(kStart), IsOk());
  {
    const FailingDisk disk({.call = FailingDisk::Call::kRead, .file = "/wal"});
    EXPECT_THAT(wal->Synchronize(kStart), StatusIs(Code::kUnavailable, HasSubstr("/wal")));
    EXPECT_THAT(wal->BeginTenure(kStart), StatusIs(Code::kUnavailable));
    EXPECT_THAT(synchronized->BeginTenure(kStart), StatusIs(Code::kUnavailable));
    EXPECT_EQ(disk.failures(), 3);
  }
  ASSERT_THAT(wal->BeginTenure(kStart), IsOk());
  EXPECT_THAT(Firsts(wal->WholeOverlay(), 1), ElementsAre(1u));
}

TEST_F(WalTest, AFlushThatFailedIsNeverMadeGood) {
  WriteAndFlush(1024);
  Write(1024);
  const std::unique_ptr<Wal> reader = OpenLog(true);
  {
    const FailingDisk disk({.call = FailingDisk::Call::kFlush, .file = "/wal", .times = 1});
    EXPECT_THAT(wal_->Flush(), StatusIs(Code::kDataLoss));
  }
  // The kernel has told of it and would say yes now.
  EXPECT_THAT(wal_->Flush(), StatusIs(Code::kDataLoss));
  EXPECT_EQ(wal_->durable(), 2u);
  EXPECT_THAT(Firsts(wal_->DurableOverlay(), 1), ElementsAre(1u));
  wal_->EndTenure();
  EXPECT_THAT(wal_->BeginTenure(kStart), StatusIs(Code::kDataLoss));
  EXPECT_THAT(Firsts(wal_->DurableOverlay(), 1), ElementsAre(1u));
  wal_->NoteApplied(3);  // LMDB has it from memory: that is another thing
  EXPECT_THAT(wal_->Flush(), IsOk());
}

TEST_F(WalTest, ATenureThatCouldNotBeginIsNone) {
  Write(1024);
  Crash();
  const std::unique_ptr<Wal> wal = OpenLog();
  {
    const FailingDisk disk({.call = FailingDisk::Call::kFlush, .file = "/wal", .times = 1});
    EXPECT_THAT(wal->BeginTenure(kStart), StatusIs(Code::kDataLoss));
  }
  EXPECT_THAT(wal->BeginTenure(kStart), StatusIs(Code::kDataLoss));
  TakeOver(kStart);  // another process can
  WriteAndFlush(1024);
  ASSERT_THAT(wal->Synchronize(kStart), IsOk());  // and this one follows
  EXPECT_THAT(Firsts(wal->DurableOverlay(), 1), ElementsAre(1u, 2u));
}

TEST_F(WalTest, AWriteThatFailedIsNotThereAndTheNextTakesItsPlace) {
  WriteAndFlush(1024);
  {
    const FailingDisk disk({.call = FailingDisk::Call::kWrite, .file = "/wal", .error = ENOSPC});
    EXPECT_THAT(wal_->Write(MakeEntry(journal_, {.begin = wal_->end(), .body_bytes = 3000})),
                StatusIs(Code::kResourceExhausted));
  }
  EXPECT_EQ(wal_->end().sequence, 2u);
  WriteAndFlush(512);
  Crash();
  EXPECT_THAT(Found(kStart), ElementsAre(1u, 2u));
}

TEST_F(WalTest, ReadersSeeWhatIsFlushedAndNothingElse) {
  const std::unique_ptr<Wal> reader = OpenLog(true);
  ASSERT_THAT(reader->Synchronize(kStart), IsOk());
  const auto seen = [&] { return Firsts(reader->DurableOverlay(), 1); };
  EXPECT_THAT(seen(), IsEmpty());
  Write(1024);
  EXPECT_THAT(seen(), IsEmpty());
  EXPECT_THAT(Firsts(wal_->DurableOverlay(), 1), IsEmpty());
  EXPECT_THAT(Firsts(wal_->WholeOverlay(), 1), ElementsAre(1u));
  Write(1024);
  ASSERT_THAT(wal_->Flush(), IsOk());
  EXPECT_THAT(seen(), ElementsAre(1u, 2u));
  EXPECT_THAT(Firsts(wal_->DurableOverlay(), 1), ElementsAre(1u, 2u));
}

TEST_F(WalTest, AReaderIsToldByTheWordThatItSleepsOn) {
  const std::unique_ptr<Wal> reader = OpenLog(true);
  ASSERT_NE(reader->state(), nullptr);
  const uint32_t ticket = reader->state()->ticket();
  std::atomic<bool> woken = false;
  std::thread follower([&] {
    while (reader->state()->durable() < 2) reader->state()->Wait(ticket, 60'000);
    woken = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_FALSE(woken);
  WriteAndFlush(1024);
  follower.join();
  EXPECT_NE(reader->state()->ticket(), ticket);
}

TEST_F(WalTest, ABypassFreesTheLogAndTheNextEntryBeginsTheOtherHalf) {
  Write(1024);
  const WalLink bypassed{.sequence = 700, .checksum = 77};
  wal_->NoteBypass(bypassed);
  EXPECT_EQ(wal_->end(), bypassed);
  EXPECT_EQ(wal_->durable(), 700u);
  EXPECT_TRUE(wal_->WholeOverlay().empty());
  wal_->NoteBypass({.sequence = 800, .checksum = 78});
  const WalLink end = WriteAndFlush(kMegabyte);
  EXPECT_EQ(test::ReadFile(File())->substr(kWalHalfBytes, 4), "NMWE");
  Crash();
  EXPECT_THAT(Found({.sequence = 800, .checksum = 78}), ElementsAre(800u));
  TakeOver({.sequence = 800, .checksum = 78});
  EXPECT_EQ(wal_->end(), end);
}

// Two processes that write in turns, and one that reads along, over many turns
// of the halves. LMDB is `applied`: what has been noted as such.
class WalTurnsTest : public WalTest {
 protected:
  void SetUp() override {
    const char* given = std::getenv("NIMBUS_TEST_SEED");
    const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("NIMBUS_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
    random_.seed(seed);
    WalTest::SetUp();
  }
  size_t Random(size_t from, size_t to) {
    return std::uniform_int_distribution<size_t>(from, to)(random_);
  }
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

  std::mt19937_64 random_;
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
    EntrySpec spec{.begin = wal_->end(), .body_bytes = bytes - 200};
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
