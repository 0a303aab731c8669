// Stored bodies: codec, commitment, and the frames that hold them.
#include "body.h"

#include <zstd.h>

#include <string>

#include "fixture.h"

namespace nimbus::journal {
namespace {

Bytes Noise(size_t size, uint64_t seed) {
  Bytes bytes(size);
  for (uint8_t& byte : bytes) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<uint8_t>(seed >> 56);
  }
  return bytes;
}

constexpr int kLevel = 3;

TEST(BodyTest, ComesBackWithAndWithoutABase) {
  const Bytes base = Noise(20'000, 1);
  Bytes plain = base;
  plain.insert(plain.end(), 100, 'x');
  const Encoded alone = EncodeStored(plain, {}, kLevel);
  const Encoded against = EncodeStored(plain, base, kLevel);
  EXPECT_EQ(against.codec, Codec::kZstd);
  EXPECT_LT(against.bytes.size(), 200u);
  EXPECT_THAT(DecodeStored(alone.codec, alone.bytes, {}, plain.size()), IsOkAndHolds(plain));
  EXPECT_THAT(DecodeStored(against.codec, against.bytes, base, plain.size()), IsOkAndHolds(plain));
}

TEST(BodyTest, StaysRawWhenCompressionDoesNotPay) {
  for (const Bytes& plain : {Bytes(), Bytes(95, 'a'), Noise(5000, 3)}) {
    const Encoded encoded = EncodeStored(plain, {}, kLevel);
    EXPECT_EQ(encoded.codec, Codec::kRaw);
    EXPECT_EQ(encoded.bytes, plain);
    EXPECT_THAT(DecodeStored(encoded.codec, encoded.bytes, {}, plain.size()), IsOkAndHolds(plain));
  }
  EXPECT_EQ(EncodeStored(Bytes(96, 'a'), {}, kLevel).codec, Codec::kZstd);
}

TEST(BodyTest, DoesNotDecodeAgainstAnotherBase) {
  const Bytes base = Noise(20'000, 1);
  const Encoded against = EncodeStored(Bytes(base), base, kLevel);
  ASSERT_EQ(against.codec, Codec::kZstd);
  const absl::StatusOr<Bytes> without = DecodeStored(against.codec, against.bytes, {}, base.size());
  EXPECT_TRUE(!without.ok() || *without != base);
  const absl::StatusOr<Bytes> other =
      DecodeStored(against.codec, against.bytes, Noise(20'000, 2), base.size());
  EXPECT_TRUE(!other.ok() || *other != base);  // the commitment tells
}

TEST(BodyTest, ReachesBackThroughABaseOfManyMegabytes) {
  const Bytes base = Noise(12 << 20, 5);
  Bytes plain(base.begin(), base.begin() + (4 << 20));  // the oldest third
  plain.push_back('!');
  const Encoded against = EncodeStored(plain, base, kLevel);
  EXPECT_LT(against.bytes.size(), plain.size() / 10);
  EXPECT_THAT(DecodeStored(against.codec, against.bytes, base, plain.size()), IsOkAndHolds(plain));
}

TEST(BodyTest, RefusesATruncatedBodyAtEveryLength) {
  const Bytes plain(3000, 'a');
  const Encoded encoded = EncodeStored(plain, {}, kLevel);
  ASSERT_EQ(encoded.codec, Codec::kZstd);
  for (size_t size = 0; size < encoded.bytes.size(); ++size) {
    EXPECT_THAT(DecodeStored(Codec::kZstd, std::span(encoded.bytes).first(size), {}, plain.size()),
                StatusIs(Code::kDataLoss))
        << size;
  }
  Bytes longer = encoded.bytes;
  longer.push_back(0);
  EXPECT_THAT(DecodeStored(Codec::kZstd, longer, {}, plain.size()), StatusIs(Code::kDataLoss));
}

TEST(BodyTest, SurvivesEveryFlippedByte) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "step " + std::to_string(i * 7919) + "; ";
  const Bytes plain(text.begin(), text.end());
  const Encoded encoded = EncodeStored(plain, {}, kLevel);
  const Nonce nonce = NewNonce();
  const schema::Digest commitment = BodyCommitment(plain, nonce);
  for (size_t offset = 0; offset < encoded.bytes.size(); ++offset) {
    Bytes damaged = encoded.bytes;
    damaged[offset] ^= 0x55;
    const absl::StatusOr<Bytes> decoded = DecodeStored(Codec::kZstd, damaged, {}, plain.size());
    if (decoded.ok() && *decoded != plain) {
      EXPECT_NE(BodyCommitment(*decoded, nonce), commitment) << offset;
    }
  }
}

TEST(BodyTest, RefusesABlockThatSaysItIsOverTheLimit) {
  constexpr size_t kLimit = kBodyBytesMax + kBlockBytesMax;
  // Compressed zeros: one byte over the limit, at the limit, and of a size not said.
  const Bytes zeros(kLimit + 1, 0);
  Bytes stored(ZSTD_compressBound(zeros.size()));
  const auto compressed = [&](size_t size) {
    const size_t used = ZSTD_compress(stored.data(), stored.size(), zeros.data(), size, 1);
    return std::span<const uint8_t>(stored).first(used);
  };
  EXPECT_THAT(DecodeStored(Codec::kZstd, compressed(kLimit + 1), {}, kLimit + 1),
              StatusIs(Code::kDataLoss));
  absl::StatusOr<Bytes> longest = DecodeStored(Codec::kZstd, compressed(kLimit), {}, kLimit);
  ASSERT_THAT(longest, IsOk());
  EXPECT_EQ(longest->size(), kLimit);
  EXPECT_THAT(DecodeStored(Codec::kZstd, compressed(1000), {}, 999), StatusIs(Code::kDataLoss));
  EXPECT_THAT(DecodeStored(Codec::kRaw, zeros, {}, kLimit + 1), StatusIs(Code::kDataLoss));

  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  const size_t used = ZSTD_compress2(context, stored.data(), stored.size(), zeros.data(), 1000);
  ZSTD_freeCCtx(context);
  ASSERT_FALSE(ZSTD_isError(used));
  EXPECT_THAT(DecodeStored(Codec::kZstd, std::span(stored).first(used), {}, 1000),
              StatusIs(Code::kDataLoss));
}

TEST(BodyTest, RefusesAFrameWhoseContentIsNotAsLongAsItSays) {
  const Bytes plain(1000, 'a');
  Bytes stored = EncodeStored(plain, {}, kLevel).bytes;
  // Single segment, two bytes of content size (less 256) after magic and descriptor.
  ASSERT_EQ(stored[4] & 0xe0, 0x60);
  ASSERT_EQ(stored[5] | stored[6] << 8, 1000 - 256);
  for (const uint8_t low : {0x00, 0xe7, 0xe9, 0xff}) {
    stored[5] = low;
    EXPECT_THAT(DecodeStored(Codec::kZstd, stored, {}, plain.size()), StatusIs(Code::kDataLoss))
        << int{low};
  }
  const Bytes skippable = {0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
  EXPECT_THAT(DecodeStored(Codec::kZstd, skippable, {}, plain.size()), StatusIs(Code::kDataLoss));
}

TEST(BodyTest, CommitsToTextAndNonceAlike) {
  const Bytes plain = {'a', 'b'};
  const Nonce nonce{1}, other{2};
  EXPECT_EQ(BodyCommitment(plain, nonce), BodyCommitment(plain, nonce));
  EXPECT_NE(BodyCommitment(plain, nonce), BodyCommitment(plain, other));
  EXPECT_NE(BodyCommitment(plain, nonce), BodyCommitment(Bytes{'a'}, nonce));
  EXPECT_NE(NewNonce(), NewNonce());
}

// A raw block of bodies of these sizes, of the events 0, 1, … of its run.
Block BlockOf(std::vector<size_t> sizes, uint8_t depth = 0) {
  Block block{.depth = depth};
  for (const size_t size : sizes) {
    block.bodies.push_back({.sequence = block.bodies.size(), .bytes = size, .nonce = {9, 8, 7}});
    const Bytes body = Noise(size, size);
    block.stored.insert(block.stored.end(), body.begin(), body.end());
    block.stored.resize(Padded(block.stored.size()));
  }
  return block;
}

TEST(BodyFrameTest, GivesBackEveryBlock) {
  BodyFrameBuilder builder(1000);
  const Block blocks[] = {BlockOf({1, 20}), BlockOf({10}, 3), BlockOf({kChunkBytes}, 40),
                          BlockOf({kChunkBytes + 8})};
  const uint64_t firsts[] = {1000, 1003, 1004, 1511};
  const std::optional<uint64_t> bases[] = {std::nullopt, 12, 1003, std::nullopt};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(builder.IsFull(), i == 3);
    builder.Add(PlaceBlock(blocks[i], firsts[i], bases[i]));
  }
  const Bytes frame = builder.Finish();
  absl::StatusOr<std::vector<BlockEntry>> parsed = ParseBodyFrame(frame, 1000);
  ASSERT_THAT(parsed, IsOk());
  ASSERT_EQ(parsed->size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const BlockEntry& entry = (*parsed)[i];
    EXPECT_EQ(entry.first(), firsts[i]);
    EXPECT_EQ(entry.base, bases[i]);
    EXPECT_EQ(entry.depth, blocks[i].depth);
    ASSERT_EQ(entry.bodies.size(), blocks[i].bodies.size());
    EXPECT_EQ(entry.bodies.back().nonce, blocks[i].bodies.back().nonce);
    EXPECT_EQ(BlockBytes(entry.bodies), blocks[i].stored.size());
    EXPECT_EQ(entry.stored_bytes, blocks[i].stored.size());
    EXPECT_EQ(entry.chunked, i == 3);  // more than a chunk: kept elsewhere
    EXPECT_EQ(Bytes(entry.stored.begin(), entry.stored.end()), i == 3 ? Bytes() : blocks[i].stored);
  }
  EXPECT_TRUE((*parsed)[0].Holds(1001));
  EXPECT_FALSE((*parsed)[0].Holds(1002));
}

TEST(BodyFrameTest, RefusesABaseThatIsNotEarlier) {
  BodyFrameBuilder builder(10);
  EXPECT_DEATH(builder.Add(PlaceBlock(BlockOf({1}), 9, std::nullopt)), "first_sequence");
  EXPECT_DEATH(builder.Add(PlaceBlock(BlockOf({1}), 11, 11)), "base");
}

TEST(BodyFrameTest, RefusesTruncationAtEveryLengthAndTrailingBytes) {
  BodyFrameBuilder builder(10);
  builder.Add(PlaceBlock(BlockOf({30, 5}), 10, std::nullopt));
  builder.Add(PlaceBlock(BlockOf({200}), 12, 10));
  Bytes frame = builder.Finish();
  for (size_t size = 0; size < frame.size(); ++size) {
    EXPECT_THAT(ParseBodyFrame(std::span(frame).first(size), 10), StatusIs(Code::kDataLoss))
        << size;
  }
  frame.push_back(0);
  EXPECT_THAT(ParseBodyFrame(frame, 10), StatusIs(Code::kDataLoss));
}

TEST(BodyFrameTest, RefusesBlocksOutOfOrder) {
  for (const uint64_t second : {11, 12}) {
    BodyFrameBuilder builder(10);
    builder.Add(PlaceBlock(BlockOf({5}), 12, std::nullopt));
    builder.Add(PlaceBlock(BlockOf({5}), second, std::nullopt));
    EXPECT_THAT(ParseBodyFrame(builder.Finish(), 10), StatusIs(Code::kDataLoss)) << second;
  }
}

TEST(BodyFrameTest, HoldsBasesAndDepthsToTheirLimits) {
  const auto parsed = [](uint64_t base, uint8_t depth) {
    BodyFrameBuilder builder(10);
    builder.Add(PlaceBlock(BlockOf({30}, depth), 10, base));
    return ParseBodyFrame(builder.Finish(), 10);
  };
  EXPECT_THAT(parsed(0, 1), IsOk());
  EXPECT_THAT(parsed(9, kBlockDepthMax), IsOk());
  EXPECT_THAT(parsed(9, kBlockDepthMax + 1), StatusIs(Code::kDataLoss));
}

TEST(BodyFrameTest, RefusesEntriesThatLie) {
  BodyFrameBuilder builder(10);
  builder.Add(PlaceBlock(BlockOf({30}), 10, std::nullopt));
  const Bytes frame = builder.Finish();
  // magic, count, bytes of entries; distance to base, stored bytes, codec, depth, number of
  // bodies; delta, plain bytes, nonce.
  constexpr size_t kCount = 4, kDistance = 12, kStored = 13, kCodec = 14, kDepth = 15, kBodies = 16,
                   kDelta = 17, kPlain = 18;
  const auto with = [&](size_t offset, uint8_t value) {
    Bytes forged = frame;
    forged[offset] = value;
    return ParseBodyFrame(forged, 10);
  };
  EXPECT_THAT(with(0, 'X'), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with(kCount, 0), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with(kCount, 2), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with(kCount + 3, 0xff), StatusIs(Code::kDataLoss));  // four thousand million
  EXPECT_THAT(with(kDistance, 10), StatusIs(Code::kDataLoss));     // a base, and no depth
  EXPECT_THAT(with(kDepth, 1), StatusIs(Code::kDataLoss));         // a depth, and no base
  EXPECT_THAT(with(kStored, 31), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with(kStored, 33), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with(kCodec, 2), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with(kBodies, 0), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with(kBodies, 2), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with(kDelta, 0xff), StatusIs(Code::kDataLoss));
  EXPECT_THAT(with(kPlain, 0), StatusIs(Code::kDataLoss));
}

}  // namespace
}  // namespace nimbus::journal
