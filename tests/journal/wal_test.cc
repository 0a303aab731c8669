// The write-ahead log: what is found in it again, whatever happened to it, and
// how those who share it see it. Its entries hold no events; LMDB is where the
// test says it ends.
#include "wal.h"

#include <atomic>
#include <filesystem>
#include <numeric>
#include <thread>

#include "failing_disk.h"
#include "wal_fixture.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kMegabyte = size_t{1} << 20;

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

// As when the clock stands still and the append is made again.
TEST_F(WalTest, TheSameEntryAgainBringsNothingBackThatFollowedIt) {
  WriteAndFlush(1024);
  for (int i = 0; i < 3; ++i) Write(1024);
  PowerCut();
  Tear(1024 + 512);
  TakeOver(kStart);
  written_ = 1;
  WriteAndFlush(1024);
  Crash();
  EXPECT_THAT(Found(kStart), ElementsAre(1u, 2u));
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

TEST_F(WalTest, AFileOfAnotherLengthIsDamagedWhateverItHeld) {
  const WalLink end = WriteAndFlush(1024);
  PowerCut();  // nobody says what it held
  for (const size_t size : {size_t{0}, size_t{100}, size_t{1024}, kWalBytes - 1, kWalBytes + 1}) {
    fs::resize_file(File(), size);
    ExpectDamaged(kStart);
    ExpectDamaged(end);
    EXPECT_THAT(OpenLog()->Synchronize(end), StatusIs(Code::kDataLoss, HasSubstr("bytes long")));
    EXPECT_EQ(fs::file_size(File()), size);
  }
}

TEST_F(WalTest, AFileThatIsCutOffWhileItIsOpenIsDamaged) {
  WriteAndFlush(1024);
  wal_->EndTenure();
  fs::resize_file(File(), 512);
  const std::unique_ptr<Wal> reader = OpenLog(true);
  EXPECT_THAT(wal_->Synchronize(kStart), StatusIs(Code::kDataLoss, HasSubstr("bytes long")));
  EXPECT_THAT(reader->Synchronize(kStart), StatusIs(Code::kDataLoss, HasSubstr("bytes long")));
}

TEST_F(WalTest, TheLogOfAnotherJournalIsDamage) {
  WriteAndFlush(1024);
  PowerCut();
  const absl::StatusOr<std::unique_ptr<Wal>> other =
      Wal::Open(directory_.string(), schema::NewUuid(), /*read_only=*/true);
  ASSERT_THAT(other, IsOk());
  EXPECT_THAT((*other)->Synchronize(kStart), StatusIs(Code::kDataLoss, HasSubstr("another")));
  EXPECT_THAT(Found(kStart), ElementsAre(1u));
}

// A copy has none until somebody writes to it.
TEST_F(WalTest, AMissingFileIsMissedOnlyIfItHeldSomething) {
  const WalLink end = WriteAndFlush(1024);
  Crash();
  fs::remove(File());
  ExpectDamaged(kStart);
  EXPECT_THAT(Found(end), IsEmpty());
  EXPECT_THAT(Found(end, true), IsEmpty());
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

// A page that could not be written counts as clean, and is gone when it is read
// again: whoever has found the entry there has it in memory.
TEST_F(WalTest, WhatAKilledProcessLeftIsWrittenOnceMoreByTheNext) {
  for (const size_t bytes : {kMegabyte, kMegabyte, kMegabyte / 2, size_t{1024}}) Write(bytes);
  Crash();
  const std::string whole = *test::ReadFile(File());
  wal_ = OpenLog();
  ASSERT_THAT(wal_->Synchronize(kStart), IsOk());
  EXPECT_EQ(wal_->durable(), 5u);  // as a reader it can but flush
  for (const size_t at : {size_t{0}, kMegabyte, 2 * kMegabyte, 5 * kMegabyte / 2}) Tear(at);
  ASSERT_THAT(wal_->BeginTenure(kStart), IsOk());
  EXPECT_TRUE(*test::ReadFile(File()) == whole);
  EXPECT_EQ(wal_->state()->durable(), 5u);
}

TEST_F(WalTest, WhatIsDurableIsNotWrittenOnceMore) {
  std::vector<WalLink> ends = {kStart};
  for (int i = 0; i < 4; ++i) ends.push_back(WriteAndFlush(kMegabyte));
  wal_->NoteApplied(ends[2].sequence);
  Write(1024);  // the only one that nobody says is durable
  Crash();
  wal_ = OpenLog();
  ASSERT_THAT(wal_->Synchronize(ends[2]), IsOk());
  Tear(3 * kMegabyte);
  const std::string torn = *test::ReadFile(File());
  Tear(0);
  ASSERT_THAT(wal_->BeginTenure(ends[2]), IsOk());
  EXPECT_TRUE(*test::ReadFile(File()) == torn);
}

TEST_F(WalTest, AfterAPowerCutOnlyWhatLmdbHasIsNotWrittenOnceMore) {
  std::vector<WalLink> ends = {kStart};
  for (int i = 0; i < 4; ++i) ends.push_back(WriteAndFlush(kMegabyte));
  wal_->NoteApplied(ends[3].sequence);
  WriteAndFlush(1024);
  PowerCut();
  wal_ = OpenLog();
  ASSERT_THAT(wal_->Synchronize(ends[3]), IsOk());
  Tear(2 * kMegabyte);
  const std::string torn = *test::ReadFile(File());
  Tear(3 * kMegabyte);
  Tear(0);
  ASSERT_THAT(wal_->BeginTenure(ends[3]), IsOk());
  EXPECT_TRUE(*test::ReadFile(File()) == torn);
}

TEST_F(WalTest, WhatCantBeWrittenOnceMoreBeginsNoTenure) {
  Write(1024);
  Crash();
  wal_ = OpenLog();
  {
    const FailingDisk disk({.call = FailingDisk::Call::kWrite, .file = "/wal", .times = 1});
    EXPECT_THAT(wal_->BeginTenure(kStart), StatusIs(Code::kUnavailable));
    EXPECT_EQ(disk.failures(), 1);
  }
  EXPECT_LE(wal_->state()->durable(), 1u);
  ASSERT_THAT(wal_->BeginTenure(kStart), IsOk());
  EXPECT_EQ(wal_->state()->durable(), 2u);
}

TEST_F(WalTest, AWriteThatFailedIsNotThereAndTheNextTakesItsPlace) {
  WriteAndFlush(1024);
  {
    const FailingDisk disk({.call = FailingDisk::Call::kWrite, .file = "/wal", .error = ENOSPC});
    EXPECT_THAT(wal_->Write(MakeEntry(
                    journal_, {.begin = wal_->end(), .body_bytes = 3000, .salt = wal_->salt()})),
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

TEST_F(WalTest, ABypassFreesTheLogAndTheNextEntryBeginsIt) {
  Write(1024);
  const WalLink bypassed{.sequence = 700, .checksum = 77};
  wal_->NoteBypass(bypassed);
  EXPECT_EQ(wal_->end(), bypassed);
  EXPECT_EQ(wal_->durable(), 700u);
  EXPECT_TRUE(wal_->WholeOverlay().empty());
  wal_->NoteBypass({.sequence = 800, .checksum = 78});
  const WalLink end = WriteAndFlush(kMegabyte);
  Crash();
  EXPECT_THAT(Found({.sequence = 800, .checksum = 78}), ElementsAre(800u));
  TakeOver({.sequence = 800, .checksum = 78});
  EXPECT_EQ(wal_->end(), end);
}

// The one who bypassed the log and the next to write agree on where it goes on,
// else each would follow the same record with one of his own.
TEST_F(WalTest, WhatIsWrittenAfterAnothersBypassIsFoundFlushedOrNot) {
  const WalLink bypassed{.sequence = 700, .checksum = 77};
  for (const bool second_half : {false, true}) {
    SCOPED_TRACE(second_half);
    if (second_half) {
      for (int i = 0; i < 2; ++i) Write(kWalHalfBytes / 2);
    }
    wal_->NoteBypass(bypassed);
    wal_->EndTenure();
    std::unique_ptr<Wal> other = OpenLog();
    ASSERT_THAT(other->BeginTenure(bypassed), IsOk());
    const WalLink end = Write(1024, other.get());
    other.reset();  // killed
    ASSERT_THAT(wal_->BeginTenure(bypassed), IsOk());
    EXPECT_EQ(wal_->end(), end);
    wal_ = OpenLog();
    ASSERT_THAT(wal_->BeginTenure(bypassed), IsOk());
  }
}

}  // namespace
}  // namespace nimbus::journal
