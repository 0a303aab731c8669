#include "body.h"

#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_getFrameHeader
#include <sodium.h>
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "frame.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "zstd_context.h"

namespace nimbus::journal {
namespace {

using schema::Error;

constexpr size_t kCompressBytesMin = 96;  // smaller bodies stay raw
constexpr int kWindowLogMax = 26;         // 64 MiB
constexpr size_t kLongDistanceBytesMin = 1 << 20;
constexpr size_t kPlainBytesMax = kBodyBytesMax + kBlockBytesMax;
constexpr uint8_t kChunkedFlag = 0x80;  // in the codec byte

// What zstd wants to write to is larger than what it writes, and is kept by the
// thread unless it is very large.
class Room {
 public:
  explicit Room(size_t bytes_min) {
    if (Kept().size() < bytes_min) Kept().resize(bytes_min);
  }
  ~Room() {
    constexpr size_t kKeptBytesMax = 256 * 1024;
    if (Kept().size() > kKeptBytesMax) Bytes().swap(Kept());
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  Bytes& bytes() { return Kept(); }

 private:
  static Bytes& Kept() {
    thread_local Bytes kept;
    return kept;
  }
};

void SetParameter(ZSTD_CCtx* context, ZSTD_cParameter parameter, int value) {
  NIMBUS_CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)));
}

}  // namespace

Nonce NewNonce() {
  // A system call for many.
  struct Stock {
    std::array<Nonce, 64> nonces;
    size_t left = 0;
  };
  thread_local Stock stock;
  if (stock.left == 0) {
    NIMBUS_CHECK(sodium_init() >= 0);
    randombytes_buf(stock.nonces.data(), sizeof(stock.nonces));
    stock.left = stock.nonces.size();
  }
  return std::exchange(stock.nonces[--stock.left], Nonce{});
}

schema::Digest BodyCommitment(std::span<const uint8_t> plain, const Nonce& nonce) {
  static_assert(kNonceBytes >= crypto_generichash_KEYBYTES_MIN);
  return schema::KeyedBlake2b256({reinterpret_cast<const char*>(plain.data()), plain.size()},
                                 nonce);
}

size_t BlockBytes(std::span<const BodyExtent> bodies) {
  size_t bytes = 0;
  for (const BodyExtent& body : bodies) bytes += Padded(body.bytes);
  return bytes;
}

Encoded EncodeStored(std::span<const uint8_t> plain, std::span<const uint8_t> base, int level) {
  Encoded raw{.codec = Codec::kRaw, .bytes = {}};
  if (plain.size() >= kCompressBytesMin) {
    ZSTD_CCtx* context = ThreadCompressor();
    const size_t reach = plain.size() + base.size();
    SetParameter(context, ZSTD_c_compressionLevel, level);
    SetParameter(context, ZSTD_c_windowLog,
                 std::clamp(static_cast<int>(std::bit_width(reach)), 10, kWindowLogMax));
    SetParameter(context, ZSTD_c_enableLongDistanceMatching, reach >= kLongDistanceBytesMin);
    // The commitment checks the contents.
    SetParameter(context, ZSTD_c_checksumFlag, 0);
    if (!base.empty()) {
      NIMBUS_CHECK(!ZSTD_isError(ZSTD_CCtx_refPrefix(context, base.data(), base.size())));
    }
    Room room(ZSTD_compressBound(plain.size()));
    Bytes& out = room.bytes();
    const size_t size = ZSTD_compress2(context, out.data(), out.size(), plain.data(), plain.size());
    NIMBUS_CHECK(!ZSTD_isError(size));
    if (size < plain.size()) {
      const auto end = out.begin() + static_cast<ptrdiff_t>(size);
      return {.codec = Codec::kZstd, .bytes = Bytes(out.begin(), end)};
    }
  }
  raw.bytes.assign(plain.begin(), plain.end());
  return raw;
}

absl::StatusOr<Bytes> DecodeStored(Codec codec, std::span<const uint8_t> stored,
                                   std::span<const uint8_t> base, size_t plain_bytes) {
  if (plain_bytes > kPlainBytesMax) return absl::DataLossError("block is over the limit");
  if (codec == Codec::kRaw) {
    if (stored.size() != plain_bytes) return absl::DataLossError("block has the wrong size");
    return Bytes(stored.begin(), stored.end());
  }
  ZSTD_frameHeader header;
  if (ZSTD_getFrameHeader(&header, stored.data(), stored.size()) != 0 ||
      header.frameContentSize != plain_bytes) {
    return absl::DataLossError("block is not the zstd frame it should be");
  }
  ZSTD_DCtx* context = ThreadDecompressor();
  if (!base.empty()) {
    NIMBUS_CHECK(!ZSTD_isError(ZSTD_DCtx_refPrefix(context, base.data(), base.size())));
  }
  Bytes plain(plain_bytes);
  const size_t size =
      ZSTD_decompressDCtx(context, plain.data(), plain.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) || size != plain.size()) {
    return absl::DataLossError("block does not decompress");
  }
  return plain;
}

bool BlockEntry::Holds(uint64_t sequence) const {
  return std::binary_search(
      bodies.begin(), bodies.end(), BodyExtent{.sequence = sequence},
      [](const BodyExtent& a, const BodyExtent& b) { return a.sequence < b.sequence; });
}

BlockEntry PlaceBlock(const Block& block, uint64_t run_first, std::optional<uint64_t> base) {
  NIMBUS_CHECK(!block.bodies.empty());
  BlockEntry entry{.base = base,
                   .codec = block.codec,
                   .depth = block.depth,
                   .bodies = block.bodies,
                   .stored_bytes = block.stored.size(),
                   .chunked = block.stored.size() > kChunkBytes,
                   .stored = {}};
  for (BodyExtent& body : entry.bodies) body.sequence += run_first;
  if (!entry.chunked) entry.stored = block.stored;
  return entry;
}

void BodyFrameBuilder::Add(const BlockEntry& block) {
  NIMBUS_CHECK(!block.bodies.empty() && block.first() >= first_sequence_);
  NIMBUS_CHECK(!block.base.has_value() || *block.base < block.first());
  PutVarint(block.base.has_value() ? block.first() - *block.base : 0, &entries_);
  PutVarint(block.stored_bytes, &entries_);
  entries_.push_back(static_cast<uint8_t>(block.codec) | (block.chunked ? kChunkedFlag : 0));
  entries_.push_back(block.depth);
  PutVarint(block.bodies.size(), &entries_);
  for (const BodyExtent& body : block.bodies) {
    PutVarint(body.sequence - first_sequence_, &entries_);
    PutVarint(body.bytes, &entries_);
    entries_.insert(entries_.end(), body.nonce.begin(), body.nonce.end());
  }
  data_.insert(data_.end(), block.stored.begin(), block.stored.end());
  ++count_;
}

Bytes BodyFrameBuilder::Finish() const {
  Bytes frame;
  AppendTo(&frame);
  return frame;
}

void BodyFrameBuilder::AppendTo(Bytes* out) const {
  out->reserve(out->size() + 3 * sizeof(uint32_t) + entries_.size() + data_.size());
  PutFixed(kBodyFrameMagic, out);
  PutFixed(count_, out);
  PutFixed(static_cast<uint32_t>(entries_.size()), out);
  out->insert(out->end(), entries_.begin(), entries_.end());
  out->insert(out->end(), data_.begin(), data_.end());
}

namespace {

bool ParseBodies(std::span<const uint8_t>* entries, uint64_t first_sequence, uint64_t count,
                 BodyExtents* bodies) {
  if (count == 0 || count > kRunRecordsMax) return false;
  bodies->resize(count);
  uint64_t next = 0;  // the least delta that comes after the body before
  for (BodyExtent& body : *bodies) {
    const auto delta = TakeVarint(entries);
    const auto bytes = TakeVarint(entries);
    if (!delta || !bytes || !TakeFixed(entries, &body.nonce)) return false;
    if (*delta < next || *delta >= kFrameRecordsMax || *bytes == 0 || *bytes > kBodyBytesMax) {
      return false;
    }
    body.sequence = first_sequence + *delta;
    body.bytes = *bytes;
    next = *delta + 1;
  }
  return true;
}

bool ParseBlock(std::span<const uint8_t>* entries, std::span<const uint8_t>* data,
                uint64_t first_sequence, BlockEntry* block) {
  const auto distance = TakeVarint(entries);
  const auto stored = TakeVarint(entries);
  uint8_t codec = 0;
  if (!distance || !stored || !TakeFixed(entries, &codec) || !TakeFixed(entries, &block->depth)) {
    return false;
  }
  const auto count = TakeVarint(entries);
  if (!count || !ParseBodies(entries, first_sequence, *count, &block->bodies)) return false;
  block->stored_bytes = *stored;
  block->chunked = (codec & kChunkedFlag) != 0;
  block->codec = static_cast<Codec>(codec & ~kChunkedFlag);
  if (*distance > block->first() || block->codec > Codec::kZstd) return false;
  if (block->depth > kBlockDepthMax || (block->depth > 0) != (*distance != 0)) return false;
  const size_t plain_bytes = BlockBytes(block->bodies);
  if (plain_bytes > kPlainBytesMax || *stored > plain_bytes) return false;
  if (*distance != 0) block->base = block->first() - *distance;
  if (block->chunked) return true;
  if (*stored > data->size()) return false;
  block->stored = data->first(*stored);
  *data = data->subspan(*stored);
  return true;
}

}  // namespace

absl::StatusOr<std::vector<BlockEntry>> ParseBodyFrame(std::span<const uint8_t> frame,
                                                       uint64_t first_sequence) {
  const absl::Status malformed = absl::DataLossError("body frame is malformed");
  uint32_t magic = 0, count = 0, entries_bytes = 0;
  if (!TakeFixed(&frame, &magic) || magic != kBodyFrameMagic || !TakeFixed(&frame, &count) ||
      !TakeFixed(&frame, &entries_bytes) || entries_bytes > frame.size() ||
      count > kFrameRecordsMax) {
    return malformed;
  }
  std::span<const uint8_t> entries = frame.first(entries_bytes);
  std::span<const uint8_t> data = frame.subspan(entries_bytes);
  std::vector<BlockEntry> blocks(count);
  uint64_t next = first_sequence;
  for (BlockEntry& block : blocks) {
    if (!ParseBlock(&entries, &data, first_sequence, &block) || block.first() < next) {
      return malformed;
    }
    next = block.bodies.back().sequence + 1;
  }
  if (!entries.empty() || !data.empty()) return malformed;
  return blocks;
}

absl::StatusOr<std::vector<BlockEntry>> BlocksOf(std::span<const uint8_t> value,
                                                 uint64_t first_sequence) {
  const std::optional<size_t> record_frame = FrameBytes(value);
  if (!record_frame.has_value()) return absl::DataLossError("not a frame");
  if (*record_frame == value.size()) return std::vector<BlockEntry>();
  return ParseBodyFrame(value.subspan(*record_frame), first_sequence);
}

}  // namespace nimbus::journal
