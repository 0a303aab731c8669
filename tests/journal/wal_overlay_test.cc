// What the log holds beyond LMDB, as one reader sees it.
#include "wal_overlay.h"

#include <map>
#include <random>
#include <thread>

#include "entries.h"
#include "fixture.h"

namespace nimbus::journal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class WalOverlayTest : public ::testing::Test {
 protected:
  // Adds an entry of so many records to `segment`.
  void Add(WalSegment* segment, uint32_t records, uint8_t key = 0, uint8_t value = 0) {
    EntrySpec spec{.begin = end_, .records = records};
    if (key != 0) spec.entities.push_back({Bytes{key}, Bytes{value}});
    std::unique_ptr<const WalEntry> entry = MakeEntry(journal_, spec);
    end_ = EndOf(*entry);
    segment->Add(std::move(entry));
  }
  WalOverlay Overlay(uint64_t end = UINT64_MAX, uint64_t wanted = 0) const {
    return {older_, older_->size(), newer_, newer_->size(), end, wanted};
  }
  static std::vector<uint64_t> Firsts(const WalOverlay& overlay) {
    std::vector<uint64_t> firsts;
    for (size_t i = 0; i < overlay.count(); ++i) {
      firsts.push_back(overlay.entry(i).first_sequence());
    }
    return firsts;
  }
  static std::optional<uint8_t> Value(const WalOverlay& overlay, uint8_t key,
                                      WalTable table = WalTable::kEntities) {
    const auto found = overlay.FindChange(table, Bytes{key});
    return found.has_value() ? std::optional<uint8_t>(found->front()) : std::nullopt;
  }

  const Uuid journal_ = schema::NewUuid();
  const std::shared_ptr<WalSegment> older_ = std::make_shared<WalSegment>();
  const std::shared_ptr<WalSegment> newer_ = std::make_shared<WalSegment>();
  WalLink end_{.sequence = 10, .checksum = 1};
};

TEST_F(WalOverlayTest, IsEmptyWithoutEntries) {
  WalOverlay overlay;
  EXPECT_TRUE(overlay.empty());
  EXPECT_TRUE(overlay.Continue(0));
  EXPECT_TRUE(overlay.Continue(7));
  EXPECT_EQ(overlay.FindFrame(0), nullptr);
  EXPECT_EQ(Value(overlay, 1), std::nullopt);
  WalOverlay of_segments = Overlay();
  EXPECT_TRUE(of_segments.Continue(10));
  EXPECT_TRUE(of_segments.empty());
}

TEST_F(WalOverlayTest, HoldsEntriesOfBothHalvesInOrder) {
  Add(older_.get(), 2);
  Add(older_.get(), 3);
  Add(newer_.get(), 1);
  Add(newer_.get(), 4);
  const WalOverlay overlay = Overlay();
  EXPECT_THAT(Firsts(overlay), ElementsAre(10u, 12u, 15u, 16u));
  EXPECT_EQ(overlay.end_sequence(), 20u);
  EXPECT_EQ(overlay.FindFrame(9), nullptr);
  EXPECT_EQ(overlay.FindFrame(20), nullptr);
  for (uint64_t sequence = 10; sequence < 20; ++sequence) {
    const WalFrame* frame = overlay.FindFrame(sequence);
    ASSERT_NE(frame, nullptr) << sequence;
    EXPECT_LE(frame->first_sequence, sequence);
    EXPECT_GT(frame->end_sequence, sequence);
  }
}

TEST_F(WalOverlayTest, LeavesOutWhatIsNotDurable) {
  Add(older_.get(), 2);
  Add(older_.get(), 3);
  Add(newer_.get(), 1);
  EXPECT_THAT(Firsts(Overlay(9)), IsEmpty());
  EXPECT_THAT(Firsts(Overlay(11)), IsEmpty());  // an entry is there whole or not at all
  EXPECT_THAT(Firsts(Overlay(12)), ElementsAre(10u));
  EXPECT_THAT(Firsts(Overlay(15)), ElementsAre(10u, 12u));
  EXPECT_THAT(Firsts(Overlay(16)), ElementsAre(10u, 12u, 15u));
}

TEST_F(WalOverlayTest, ContinuesLmdbWithoutGapOrOverlap) {
  Add(older_.get(), 2);
  Add(older_.get(), 3);
  Add(newer_.get(), 1);
  const auto after = [&](uint64_t size) {
    WalOverlay overlay = Overlay();
    EXPECT_TRUE(overlay.Continue(size)) << size;
    return Firsts(overlay);
  };
  EXPECT_THAT(after(10), ElementsAre(10u, 12u, 15u));
  EXPECT_THAT(after(12), ElementsAre(12u, 15u));
  EXPECT_THAT(after(15), ElementsAre(15u));
  EXPECT_THAT(after(16), IsEmpty());
  EXPECT_THAT(after(100), IsEmpty());               // others have written, and applied, more
  for (const uint64_t size : {0u, 9u, 11u, 13u}) {  // records are missing in between
    WalOverlay overlay = Overlay();
    EXPECT_FALSE(overlay.Continue(size)) << size;
  }
}

TEST_F(WalOverlayTest, TellsWhenDurableRecordsAreMissing) {
  Add(newer_.get(), 2);
  WalOverlay enough = Overlay(12, 12);
  EXPECT_TRUE(enough.Continue(10));
  WalOverlay behind = Overlay(13, 13);
  EXPECT_FALSE(behind.Continue(10));
  WalOverlay applied = Overlay(13, 13);
  EXPECT_TRUE(applied.Continue(13));
  WalOverlay unknown = Overlay(UINT64_MAX, UINT64_MAX);
  EXPECT_FALSE(unknown.Continue(10));
}

TEST_F(WalOverlayTest, FindsTheLastChangeAmongItsEntriesOnly) {
  Add(older_.get(), 1, 7, 1);
  Add(older_.get(), 1, 7, 2);
  Add(older_.get(), 1, 8, 3);
  Add(newer_.get(), 1, 7, 4);
  EXPECT_EQ(Value(Overlay(), 7), 4);
  EXPECT_EQ(Value(Overlay(), 8), 3);
  EXPECT_EQ(Value(Overlay(), 9), std::nullopt);
  EXPECT_EQ(Value(Overlay(), 7, WalTable::kNames), std::nullopt);
  EXPECT_EQ(Value(Overlay(13), 7), 2);  // the last is not durable yet
  EXPECT_EQ(Value(Overlay(11), 7), 1);
  EXPECT_EQ(Value(Overlay(11), 8), std::nullopt);
  WalOverlay rest = Overlay(13);  // what LMDB has is looked up there
  ASSERT_TRUE(rest.Continue(12));
  EXPECT_EQ(Value(rest, 7), std::nullopt);
  EXPECT_EQ(Value(rest, 8), 3);
}

TEST_F(WalOverlayTest, FindsAmongManyWhatAMapDoes) {
  std::mt19937_64 random(20261127);
  std::map<uint8_t, uint8_t> expected;
  for (int i = 0; i < 2000; ++i) {
    const auto key = static_cast<uint8_t>(1 + random() % 200);
    const auto value = static_cast<uint8_t>(random());
    Add(i < 1000 ? older_.get() : newer_.get(), 1 + static_cast<uint32_t>(random() % 3), key,
        value);
    expected[key] = value;
  }
  const WalOverlay overlay = Overlay();
  for (int key = 1; key <= 255; ++key) {
    const auto it = expected.find(static_cast<uint8_t>(key));
    const auto value = it == expected.end() ? std::nullopt : std::optional<uint8_t>(it->second);
    EXPECT_EQ(Value(overlay, static_cast<uint8_t>(key)), value) << key;
  }
}

// A reader's entries stay as they are while the writer adds others.
TEST_F(WalOverlayTest, StaysTheSameWhileEntriesAreAdded) {
  for (int i = 0; i < 10; ++i) Add(newer_.get(), 1, 7, static_cast<uint8_t>(i));
  const WalOverlay overlay = Overlay();
  std::thread writer([&] {
    for (int i = 0; i < 2000; ++i) Add(newer_.get(), 1, 7, 99);
  });
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(Value(overlay, 7), 9);
    ASSERT_EQ(overlay.count(), 10u);
    ASSERT_EQ(overlay.FindFrame(20), nullptr);
  }
  writer.join();
  EXPECT_EQ(Value(Overlay(), 7), 99);
}

}  // namespace
}  // namespace nimbus::journal
