// What a scan tells the kernel it wants next, as the kernel is told it.
#include "read_ahead.h"

#include <sodium.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "internals.h"
#include "journal/fixture.h"
#include "nimbus/journal/compact.h"

namespace nimbus::journal {
namespace {

// Pages of memory that were asked for, each with how often.
struct Asked {
  static constexpr uintptr_t kPageBytes = 4096;
  std::mutex mu;
  std::map<uintptr_t, int> pages;

  void Note(const void* begin, size_t size) {
    const std::lock_guard lock(mu);
    const auto address = reinterpret_cast<uintptr_t>(begin);
    for (uintptr_t at = address; at < address + size; at += kPageBytes) ++pages[at / kPageBytes];
  }
  bool Covers(lmdb::View view) {
    const std::lock_guard lock(mu);
    const auto address = reinterpret_cast<uintptr_t>(view.data());
    for (uintptr_t at = address / kPageBytes; at * kPageBytes < address + view.size(); ++at) {
      if (!pages.contains(at)) return false;
    }
    return true;
  }
  int most() {
    const std::lock_guard lock(mu);
    int most = 0;
    for (const auto& [page, times] : pages) most = std::max(most, times);
    return most;
  }
};

Asked& asked() {
  static Asked asked;
  return asked;
}

class ReadAheadTest : public JournalTest {
 protected:
  // More bodies than are read ahead at a time, and not to be made smaller.
  void SetUp() override {
    JournalTest::SetUp();
    ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
    std::vector<Event> events;
    for (uint64_t n = 0; n < 2000; ++n) {
      events.push_back(SessionUpdated(session_, n));
      std::string noise(3000, '\0');
      randombytes_buf(noise.data(), noise.size());
      for (char& c : noise) c = static_cast<char>(' ' + 1 + (static_cast<uint8_t>(c) & 63));
      std::ranges::replace(noise, '"', ' ');
      std::ranges::replace(noise, '\\', ' ');
      events.back().body.description = noise;
    }
    ASSERT_THAT(journal_->Append(events), IsOk());
    ASSERT_THAT(journal_->ApplyLog(), IsOk());
    asked().pages.clear();
  }

  // Calls `with(value, size of its records)` for each frame.
  template <typename With>
  void ForEachFrame(const With& with) const {
    const Environment& environment = Internals::EnvironmentOf(*journal_);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const lmdb::Transaction txn, environment.BeginRead());
    NIMBUS_ASSERT_OK_AND_ASSIGN(lmdb::Cursor cursor, txn.OpenCursor(environment.tables().frames));
    NIMBUS_ASSERT_OK_AND_ASSIGN(auto entry, cursor.First());
    int frames = 0;
    for (; entry.has_value(); ++frames) {
      with(entry->value, *FrameBytes(entry->value));
      NIMBUS_ASSERT_OK_AND_ASSIGN(entry, cursor.Next());
    }
    EXPECT_GE(frames, 4);
  }

  void Scan(Reader* reader, bool bodies) {
    for (;;) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* record, reader->Next());
      if (record == nullptr) break;
      if (bodies) {
        ASSERT_THAT(reader->Body(*record), IsOk());
      }
    }
  }
};

TEST_F(ReadAheadTest, OfRecordsOnlyTheyAreReadAhead) {
  Reader reader(*journal_);
  Scan(&reader, /*bodies=*/false);
  size_t value_bytes = 0;
  ForEachFrame([&](lmdb::View value, size_t record_bytes) {
    EXPECT_TRUE(asked().Covers(value.first(record_bytes)));
    value_bytes += value.size();
  });
  EXPECT_LT(asked().pages.size() * Asked::kPageBytes, value_bytes / 4);
}

TEST_F(ReadAheadTest, OfBodiesAllIsReadAheadOnce) {
  Reader reader(*journal_, {.read_ahead_bodies = true});
  Scan(&reader, /*bodies=*/true);
  ForEachFrame([&](lmdb::View value, size_t) { EXPECT_TRUE(asked().Covers(value)); });
  EXPECT_EQ(asked().most(), 1);
}

TEST_F(ReadAheadTest, WhoAsksForABodyHasTheNextReadAhead) {
  Reader reader(*journal_);
  Scan(&reader, /*bodies=*/true);
  int frames = 0, covered = 0;
  ForEachFrame([&](lmdb::View value, size_t) {
    ++frames;
    if (asked().Covers(value)) ++covered;
  });
  EXPECT_GE(covered, frames - 2);  // but the genesis, and that of the first body
}

TEST_F(ReadAheadTest, FollowsAJump) {
  Reader reader(*journal_);
  reader.Seek(1500);
  ASSERT_THAT(reader.Next(), IsOk());
  const size_t from_there = asked().pages.size();
  EXPECT_GT(from_there, 0u);
  reader.Seek(0);
  ASSERT_THAT(reader.Next(), IsOk());
  EXPECT_GT(asked().pages.size(), from_there);
}

TEST_F(ReadAheadTest, NothingIsReadAheadOfOneRecord) {
  Reader reader(*journal_);
  ASSERT_THAT(reader.Read(1000), IsOk());
  EXPECT_TRUE(asked().pages.empty());
}

// The next generation but one may be mapped where the first was.
TEST_F(ReadAheadTest, IsOfItsGeneration) {
  Reader reader(*journal_);
  ASSERT_THAT(reader.Next(), IsOk());
  for (int i = 0; i < 2; ++i) ASSERT_THAT(CompactJournal(journal_.get(), {}), IsOk());
  asked().pages.clear();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* record, reader.Next());
  EXPECT_EQ(record->sequence, 1u);
  EXPECT_FALSE(asked().pages.empty());
}

}  // namespace
}  // namespace nimbus::journal

// Takes the place of the C library's.
extern "C" int madvise(void* begin, size_t size, int advice) noexcept {
  if (advice == MADV_WILLNEED) nimbus::journal::asked().Note(begin, size);
  return static_cast<int>(syscall(SYS_madvise, begin, size, advice));
}
