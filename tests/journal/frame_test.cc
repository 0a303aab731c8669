// Frames: what comes back is what went in, or DataLoss.
#include "frame.h"

#include <xxhash.h>
#include <zstd.h>

#include <cstring>
#include <functional>
#include <string>

#include "body.h"
#include "fixture.h"

namespace nimbus::journal {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kFirst = 41;
constexpr uint64_t kPrevious = 0x1122334455667788;

Bytes Text(size_t size, uint64_t seed) {
  Bytes bytes(size);
  for (uint8_t& byte : bytes) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<uint8_t>(seed >> 56);
  }
  return bytes;
}

class FrameTest : public ::testing::Test {
 protected:
  FrameBuilder Builder() const { return {journal_, kFirst, kPrevious}; }

  Bytes FrameOf(const std::vector<Bytes>& records) const {
    FrameBuilder builder = Builder();
    for (const Bytes& record : records) builder.Add(record);
    return builder.Finish().bytes;
  }

  // A frame whose header `lie` has changed and whose checksum is right again.
  static Bytes Forged(Bytes frame, const std::function<void(FrameHeader*)>& lie) {
    FrameHeader header;
    std::memcpy(&header, frame.data(), sizeof(header));
    lie(&header);
    header.checksum = 0;
    const uint64_t of_header = XXH3_64bits(&header, sizeof(header));
    header.checksum = XXH3_64bits_withSeed(frame.data() + sizeof(header),
                                           frame.size() - sizeof(header), of_header);
    std::memcpy(frame.data(), &header, sizeof(header));
    return frame;
  }

  static void ExpectHolds(const Bytes& stored, const std::vector<Bytes>& records) {
    absl::StatusOr<Frame> frame = Frame::Decode(stored);
    ASSERT_THAT(frame, IsOk());
    ASSERT_EQ(frame->end_sequence() - frame->first_sequence(), records.size());
    for (size_t i = 0; i < records.size(); ++i) {
      const std::span<const uint8_t> record = frame->record(i);
      EXPECT_EQ(Bytes(record.begin(), record.end()), records[i]) << i;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(record.data()) % 8, 0u) << i;
    }
  }

  const Uuid journal_ = schema::NewUuid();
};

TEST_F(FrameTest, KeepsRecordsOfEveryLengthAndWhatItSaysOfThem) {
  std::vector<Bytes> records;
  for (size_t size = 1; size <= 40; ++size) records.push_back(Text(size, size));
  const Bytes stored = FrameOf(records);
  ExpectHolds(stored, records);
  const Frame frame = *Frame::Decode(stored);
  EXPECT_EQ(frame.header().journal, journal_.bytes);
  EXPECT_EQ(frame.header().previous_checksum, kPrevious);
  EXPECT_EQ(frame.first_sequence(), kFirst);
  EXPECT_FALSE(frame.Holds(kFirst - 1));
  EXPECT_TRUE(frame.Holds(kFirst));
  EXPECT_TRUE(frame.Holds(kFirst + 39));
  EXPECT_FALSE(frame.Holds(kFirst + 40));
}

TEST_F(FrameTest, CompressesWhatRepeatsAndLeavesAloneWhatDoesNot) {
  const std::vector<Bytes> same(64, Bytes(300, 7));
  EXPECT_LT(FrameOf(same).size(), 64u * 300u / 10u);
  EXPECT_EQ(Frame::Decode(FrameOf(same))->header().flags, kFrameCompressed);
  ExpectHolds(FrameOf(same), same);
  const std::vector<Bytes> noise = {Text(2000, 1)};
  EXPECT_EQ(Frame::Decode(FrameOf(noise))->header().flags, 0);
  ExpectHolds(FrameOf(noise), noise);
}

TEST_F(FrameTest, IsFullAtItsLimitOfRecordsAndNotBefore) {
  FrameBuilder builder = Builder();
  std::vector<Bytes> records(kFrameRecordsMax, Bytes(8, 1));
  for (size_t i = 0; i + 1 < kFrameRecordsMax; ++i) builder.Add(records[i]);
  EXPECT_FALSE(builder.IsFull());
  builder.Add(records.back());
  EXPECT_TRUE(builder.IsFull());
  ExpectHolds(builder.Finish().bytes, records);
  EXPECT_DEATH(builder.Add(records[0]), "IsFull");
}

TEST_F(FrameTest, IsFullAtItsLimitOfBytesAndNotBefore) {
  FrameBuilder builder = Builder();
  builder.Add(Bytes(kFrameRecordBytesMax - 8, 1));
  EXPECT_FALSE(builder.IsFull());
  builder.Add(Bytes(1, 2));  // padded to 8
  EXPECT_TRUE(builder.IsFull());
  EXPECT_THAT(Frame::Decode(builder.Finish().bytes), IsOk());
}

TEST_F(FrameTest, HoldsTheLongestRecordAfterAnAlmostFullFrame) {
  const std::vector<Bytes> records = {Text(kFrameRecordBytesMax - 8, 1),
                                      Text(schema::kRecordBytesMax, 2)};
  ExpectHolds(FrameOf(records), records);
  FrameBuilder builder = Builder();
  EXPECT_DEATH(builder.Add(Bytes(schema::kRecordBytesMax + 1)), "kRecordBytesMax");
  EXPECT_DEATH(builder.Add(Bytes()), "empty");
  EXPECT_DEATH(builder.Finish(), "IsEmpty");
}

TEST_F(FrameTest, DetectsEveryFlippedBit) {
  for (const Bytes& stored : {FrameOf({Text(50, 1), Text(60, 2)}), FrameOf({Bytes(3000, 5)})}) {
    for (size_t offset = 0; offset < stored.size(); ++offset) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes damaged = stored;
        damaged[offset] ^= static_cast<uint8_t>(1 << bit);
        EXPECT_FALSE(Frame::Decode(damaged).ok()) << "byte " << offset << " bit " << bit;
      }
    }
  }
}

TEST_F(FrameTest, DetectsTruncationAtEveryLengthAndTrailingBytes) {
  const Bytes stored = FrameOf({Text(50, 1), Text(60, 2)});
  for (size_t size = 0; size < stored.size(); ++size) {
    EXPECT_THAT(Frame::Decode(std::span(stored).first(size)), StatusIs(Code::kDataLoss)) << size;
  }
  Bytes longer = stored;
  longer.push_back(0);
  // What follows a frame is no part of it; a body frame it is not.
  EXPECT_THAT(Frame::Decode(longer), IsOk());
  EXPECT_EQ(FrameBytes(longer), stored.size());
  EXPECT_THAT(ParseBodyFrame(std::span(longer).subspan(stored.size()), 0),
              StatusIs(Code::kDataLoss));
}

TEST_F(FrameTest, TakesAnotherVersionForDamage) {
  const Bytes stored = FrameOf({Text(50, 1)});
  const auto newer = [](FrameHeader* header) { header->version = kFrameVersion + 1; };
  EXPECT_THAT(Frame::Decode(Forged(stored, newer)),
              StatusIs(Code::kDataLoss, HasSubstr("version 2")));
  const auto magic = [](FrameHeader* header) { header->magic = kBodyFrameMagic; };
  EXPECT_THAT(Frame::Decode(Forged(stored, magic)), StatusIs(Code::kDataLoss));
}

// A checksum only proves that the bytes are those written, by whomever.
TEST_F(FrameTest, RefusesCountsAndSizesThatLie) {
  const Bytes plain = FrameOf({Text(50, 1), Text(60, 2)});
  const Bytes packed = FrameOf(std::vector<Bytes>(20, Bytes(100, 3)));
  const std::function<void(FrameHeader*)> lies[] = {
      [](FrameHeader* h) { h->count = 0; },
      [](FrameHeader* h) { h->count = 1; },
      [](FrameHeader* h) { h->count += 1; },
      [](FrameHeader* h) { h->count = kFrameRecordsMax; },
      [](FrameHeader* h) { h->count = kFrameRecordsMax + 1; },
      [](FrameHeader* h) { h->count = UINT32_MAX; },
      [](FrameHeader* h) { h->plain_bytes = 0; },
      [](FrameHeader* h) { h->plain_bytes -= 1; },
      [](FrameHeader* h) { h->plain_bytes += 8; },
      [](FrameHeader* h) { h->plain_bytes = UINT32_MAX; },
      [](FrameHeader* h) { h->stored_bytes -= 1; },
      [](FrameHeader* h) { h->stored_bytes = UINT32_MAX; },
      [](FrameHeader* h) { h->flags ^= kFrameCompressed; },
  };
  for (size_t i = 0; i < std::size(lies); ++i) {
    EXPECT_THAT(Frame::Decode(Forged(plain, lies[i])), StatusIs(Code::kDataLoss)) << "lie " << i;
    EXPECT_THAT(Frame::Decode(Forged(packed, lies[i])), StatusIs(Code::kDataLoss)) << "lie " << i;
  }
}

TEST_F(FrameTest, RefusesLengthsThatLie) {
  const Bytes stored = FrameOf({Text(48, 1), Text(56, 2)});
  const auto with_lengths = [&](uint32_t first, uint32_t second) {
    Bytes frame = stored;
    std::memcpy(frame.data() + sizeof(FrameHeader), &first, sizeof(first));
    std::memcpy(frame.data() + sizeof(FrameHeader) + 4, &second, sizeof(second));
    return Frame::Decode(Forged(frame, [](FrameHeader*) {}));
  };
  EXPECT_THAT(with_lengths(48, 56), IsOk());
  EXPECT_THAT(with_lengths(0, 104), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with_lengths(48, 0), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with_lengths(48, 57), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with_lengths(104, 56), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with_lengths(UINT32_MAX, 56), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with_lengths(UINT32_MAX - 6, UINT32_MAX), StatusIs(Code::kDataLoss));
}

TEST_F(FrameTest, RefusesACompressedPayloadThatSaysMoreOrLessThanItsHeader) {
  const Bytes packed = FrameOf(std::vector<Bytes>(20, Bytes(100, 3)));
  // 100 MB of zeros in a few kilobytes: decoded into no more than the header allows.
  const Bytes zeros(100'000'000, 0);
  Bytes bomb(packed.begin(), packed.begin() + sizeof(FrameHeader));
  bomb.resize(sizeof(FrameHeader) + ZSTD_compressBound(zeros.size()));
  bomb.resize(sizeof(FrameHeader) + ZSTD_compress(bomb.data() + sizeof(FrameHeader),
                                                  bomb.size() - sizeof(FrameHeader), zeros.data(),
                                                  zeros.size(), 1));
  const Bytes forged = Forged(bomb, [&](FrameHeader* header) {
    header->stored_bytes = static_cast<uint32_t>(bomb.size() - sizeof(FrameHeader));
  });
  EXPECT_THAT(Frame::Decode(forged), StatusIs(Code::kDataLoss, HasSubstr("decompress")));
}

}  // namespace
}  // namespace nimbus::journal
