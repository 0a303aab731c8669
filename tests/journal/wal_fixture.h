// A log in a temporary directory, and what happens to it. Its entries hold no
// events; LMDB is where the test says it ends.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "entries.h"
#include "fixture.h"
#include "wal.h"

namespace nimbus::journal {

inline constexpr WalLink kStart{.sequence = 1, .checksum = 0};

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
  std::filesystem::path File(const char* name = "wal") const { return directory_ / name; }

  // An entry of one record that takes `bytes` in the file, and where it lies.
  WalLink Write(size_t bytes, Wal* wal) {
    EntrySpec spec{.begin = wal->end(),
                   .durable_before = wal->durable(),
                   .salt = wal->salt(),
                   .text = ++written_};
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
        EXPECT_THAT(wal->Synchronize(lmdb_end),
                    StatusIs(Code::kDataLoss, ::testing::HasSubstr("/wal")));
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

}  // namespace nimbus::journal
