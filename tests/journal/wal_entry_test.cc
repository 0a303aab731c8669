// Entries of the log: what comes back is what went in, or DataLoss.
#include "wal_entry.h"

#include <xxhash.h>

#include <cstring>
#include <functional>

#include "entries.h"
#include "fixture.h"

namespace nimbus::journal {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr WalLink kBegin{.sequence = 41, .checksum = 0x1122334455667788};

class WalEntryTest : public ::testing::Test {
 protected:
  // Three frames, changes of keys and values of several lengths.
  std::unique_ptr<const WalEntry> Entry() const {
    return MakeEntry(journal_, {.begin = kBegin,
                                .records = 7,
                                .body_bytes = 13,
                                .frames = 3,
                                .durable_before = 40,
                                .salt = 0x99aabbccddeeff00,
                                .entities = {{Bytes(17, 1), Bytes(30, 2)}, {Bytes(17, 3), {}}},
                                .names = {{Bytes(511, 4), Bytes(16, 5)}}});
  }
  // The entry with one thing in its header or payload changed, and a checksum that
  // holds.
  static Bytes Forged(const WalEntry& entry,
                      const std::function<void(WalEntryHeader*, uint8_t* payload)>& lie) {
    Bytes bytes = entry.bytes();
    WalEntryHeader header = entry.header();
    lie(&header, bytes.data() + sizeof(header));
    header.checksum = 0;
    const uint64_t of_header = XXH3_64bits(&header, sizeof(header));
    header.checksum = XXH3_64bits_withSeed(
        bytes.data() + sizeof(header),
        std::min<size_t>(header.payload_bytes, bytes.size() - sizeof(header)), of_header);
    std::memcpy(bytes.data(), &header, sizeof(header));
    return bytes;
  }
  static size_t BytesProven(const WalEntry& entry) {
    return sizeof(WalEntryHeader) + entry.header().payload_bytes;
  }

  const Uuid journal_ = schema::NewUuid();
};

TEST_F(WalEntryTest, ComesBackAsItWasMade) {
  const std::unique_ptr<const WalEntry> made = Entry();
  EXPECT_EQ(made->bytes().size() % kWalAlignment, 0u);
  EXPECT_EQ(WalEntryExtent(made->bytes(), journal_), made->bytes().size());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto entry, WalEntry::Decode(made->bytes()));
  EXPECT_EQ(entry->first_sequence(), 41u);
  EXPECT_EQ(entry->end_sequence(), 48u);
  EXPECT_EQ(entry->header().durable_before, 40u);
  EXPECT_EQ(entry->header().salt, 0x99aabbccddeeff00u);
  EXPECT_EQ(entry->header().previous, kBegin.checksum);
  EXPECT_EQ(entry->header().checksum, made->header().checksum);
  ASSERT_EQ(entry->frames().size(), 3u);
  std::vector<uint64_t> ends;
  for (size_t i = 0; i < 3; ++i) {
    ends.push_back(entry->frames()[i].end_sequence);
    EXPECT_TRUE(std::ranges::equal(entry->frames()[i].value, made->frames()[i].value)) << i;
    EXPECT_THAT(Frame::Decode(entry->frames()[i].value), IsOk()) << i;
  }
  EXPECT_THAT(ends, ElementsAre(43u, 45u, 48u));
  ASSERT_EQ(entry->changes().size(), 3u);
  const WalChange& name = entry->changes()[2];
  EXPECT_EQ(name.table, WalTable::kNames);
  EXPECT_EQ(name.key.size(), 511u);
  EXPECT_THAT(name.key, Each(4));
  EXPECT_THAT(name.value, Each(5));
  EXPECT_EQ(entry->changes()[1].value.size(), 0u);
}

TEST_F(WalEntryTest, FindsTheFrameOfARecord) {
  const std::unique_ptr<const WalEntry> entry = Entry();
  EXPECT_EQ(entry->FindFrame(40), nullptr);
  EXPECT_EQ(entry->FindFrame(48), nullptr);
  for (uint64_t sequence = 41; sequence < 48; ++sequence) {
    const WalFrame* frame = entry->FindFrame(sequence);
    ASSERT_NE(frame, nullptr) << sequence;
    EXPECT_LE(frame->first_sequence, sequence);
    EXPECT_LT(sequence, frame->end_sequence);
  }
}

TEST_F(WalEntryTest, IsFoundDamagedWhicheverBitIsFlipped) {
  const std::unique_ptr<const WalEntry> entry = Entry();
  for (size_t i = 0; i < entry->bytes().size() * 8; ++i) {
    Bytes damaged = entry->bytes();
    damaged[i / 8] = static_cast<uint8_t>(damaged[i / 8] ^ (1 << i % 8));
    const absl::Status status = WalEntry::Decode(std::move(damaged)).status();
    if (i / 8 < BytesProven(*entry)) {
      ASSERT_THAT(status, StatusIs(Code::kDataLoss)) << "bit " << i;
    } else {
      ASSERT_THAT(status, IsOk()) << "padding, bit " << i;
    }
  }
}

TEST_F(WalEntryTest, IsFoundCutOffWhereverItIs) {
  const std::unique_ptr<const WalEntry> entry = Entry();
  for (size_t size = 0; size < BytesProven(*entry); ++size) {
    const Bytes cut(entry->bytes().begin(), entry->bytes().begin() + static_cast<long>(size));
    ASSERT_THAT(WalEntry::Decode(cut), StatusIs(Code::kDataLoss)) << size;
    EXPECT_EQ(WalEntryExtent(cut, journal_).has_value(), size >= sizeof(WalEntryHeader)) << size;
  }
}

// As after a power cut: each sector is the new one or what was there before.
TEST_F(WalEntryTest, IsFoundTornAtEverySector) {
  const auto old = MakeEntry(journal_, {.begin = kBegin, .body_bytes = 5000});
  const auto entry =
      MakeEntry(journal_, {.begin = {.sequence = 42, .checksum = 1}, .body_bytes = 5000});
  ASSERT_EQ(old->bytes().size(), entry->bytes().size());
  for (const Bytes& before : {old->bytes(), Bytes(entry->bytes().size())}) {
    for (size_t sector = 0; sector < entry->bytes().size(); sector += kWalAlignment) {
      Bytes torn = entry->bytes();
      std::memcpy(torn.data() + sector, before.data() + sector, kWalAlignment);
      EXPECT_THAT(WalEntry::Decode(std::move(torn)), StatusIs(Code::kDataLoss)) << sector;
    }
  }
}

TEST_F(WalEntryTest, IsNoneOfAnotherJournal) {
  const std::unique_ptr<const WalEntry> entry = Entry();
  EXPECT_FALSE(WalEntryExtent(entry->bytes(), schema::NewUuid()).has_value());
  EXPECT_FALSE(WalEntryExtent(Bytes(512), journal_).has_value());
}

// Whatever it says: a checksum that holds proves who wrote it, not that the
// lengths within agree.
TEST_F(WalEntryTest, IsRefusedWhenItsLengthsDoNotAgree) {
  const std::unique_ptr<const WalEntry> entry = Entry();
  using Header = WalEntryHeader;
  const std::vector<std::function<void(Header*, uint8_t*)>> lies = {
      [](Header* h, uint8_t*) { h->records = 0; },
      [](Header* h, uint8_t*) { h->records = 6; },
      [](Header* h, uint8_t*) { h->records = UINT32_MAX; },
      [](Header* h, uint8_t*) { h->version = 2; },
      [](Header* h, uint8_t*) { h->first_sequence += 1; },
      [](Header* h, uint8_t*) { h->payload_bytes -= 8; },
      [](Header* h, uint8_t*) { h->payload_bytes = 0; },
      [](Header* h, uint8_t*) { h->payload_bytes = 7; },
      [](Header* h, uint8_t*) { h->payload_bytes = UINT32_MAX; },
      [](Header*, uint8_t* payload) { payload[0] = 0; },  // frames
      [](Header*, uint8_t* payload) { payload[0] = 4; },
      [](Header*, uint8_t* payload) { payload[4] = 2; },  // changes
      [](Header*, uint8_t* payload) { payload[4] = 4; },
      [](Header*, uint8_t* payload) { payload[7] = 0xff; },
      [](Header*, uint8_t* payload) { payload[8] = 63; },  // bytes of the first frame
      [](Header*, uint8_t* payload) { payload[15] = 0xff; },
  };
  for (size_t i = 0; i < lies.size(); ++i) {
    EXPECT_THAT(WalEntry::Decode(Forged(*entry, lies[i])), StatusIs(Code::kDataLoss)) << i;
  }
  EXPECT_THAT(WalEntry::Decode(Forged(*entry, [](Header*, uint8_t*) {})), IsOk());
}

}  // namespace
}  // namespace nimbus::journal
