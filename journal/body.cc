#include "body.h"

#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_getFrameHeader
#include <sodium.h>
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <memory>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;

constexpr size_t kCompressBytesMin = 96;  // smaller bodies stay raw
constexpr int kWindowLogMax = 26;         // 64 MiB
constexpr size_t kLongDistanceBytesMin = 1 << 20;
constexpr uint8_t kChunkedFlag = 0x80;  // in the codec byte

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// Contexts are worth keeping: making one costs more than a small body does.
ZSTD_CCtx* Compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  NIMBUS_CHECK(context != nullptr);
  return context.get();
}

ZSTD_DCtx* Decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  NIMBUS_CHECK(context != nullptr);
  return context.get();
}

void SetParameter(ZSTD_CCtx* context, ZSTD_cParameter parameter, int value) {
  NIMBUS_CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)));
}

}  // namespace

Nonce NewNonce() {
  NIMBUS_CHECK(sodium_init() >= 0);
  Nonce nonce;
  randombytes_buf(nonce.data(), nonce.size());
  return nonce;
}

schema::Digest BodyCommitment(std::span<const uint8_t> plain, const Nonce& nonce) {
  static_assert(kNonceBytes >= crypto_generichash_KEYBYTES_MIN);
  return schema::KeyedBlake2b256({reinterpret_cast<const char*>(plain.data()), plain.size()},
                                 nonce);
}

Encoded EncodeStored(std::span<const uint8_t> plain, std::span<const uint8_t> base, int level) {
  Encoded raw{.codec = Codec::kRaw, .bytes = {}};
  if (plain.size() >= kCompressBytesMin) {
    ZSTD_CCtx* context = Compressor();
    NIMBUS_CHECK(!ZSTD_isError(ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters)));
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
    Encoded zstd{.codec = Codec::kZstd, .bytes = Bytes(ZSTD_compressBound(plain.size()))};
    const size_t size =
        ZSTD_compress2(context, zstd.bytes.data(), zstd.bytes.size(), plain.data(), plain.size());
    NIMBUS_CHECK(!ZSTD_isError(size));
    if (size < plain.size()) {
      zstd.bytes.resize(size);
      return zstd;
    }
  }
  raw.bytes.assign(plain.begin(), plain.end());
  return raw;
}

absl::StatusOr<Bytes> DecodeStored(Codec codec, std::span<const uint8_t> stored,
                                   std::span<const uint8_t> base) {
  if (codec == Codec::kRaw) {
    if (stored.size() > kBodyBytesMax) return absl::DataLossError("body is over the limit");
    return Bytes(stored.begin(), stored.end());
  }
  ZSTD_frameHeader header;
  if (ZSTD_getFrameHeader(&header, stored.data(), stored.size()) != 0 ||
      header.frameContentSize > kBodyBytesMax) {  // also when the size is unknown
    return absl::DataLossError("body is not the zstd frame it should be");
  }
  ZSTD_DCtx* context = Decompressor();
  NIMBUS_CHECK(!ZSTD_isError(ZSTD_DCtx_reset(context, ZSTD_reset_session_and_parameters)));
  if (!base.empty()) {
    NIMBUS_CHECK(!ZSTD_isError(ZSTD_DCtx_refPrefix(context, base.data(), base.size())));
  }
  Bytes plain(header.frameContentSize);
  const size_t size =
      ZSTD_decompressDCtx(context, plain.data(), plain.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) || size != plain.size()) {
    return absl::DataLossError("body does not decompress");
  }
  return plain;
}

void BodyFrameBuilder::Add(uint64_t sequence, std::optional<uint64_t> base,
                           const StoredBody& body) {
  NIMBUS_CHECK(sequence >= first_sequence_ && (!base.has_value() || *base < sequence));
  const bool chunked = body.bytes.size() > kBodyChunkBytes;
  PutVarint(sequence - first_sequence_, &entries_);
  PutVarint(base.has_value() ? sequence - *base : 0, &entries_);
  PutVarint(body.bytes.size(), &entries_);
  entries_.push_back(static_cast<uint8_t>(body.codec) | (chunked ? kChunkedFlag : 0));
  entries_.push_back(body.depth);
  entries_.insert(entries_.end(), body.nonce.begin(), body.nonce.end());
  if (!chunked) data_.insert(data_.end(), body.bytes.begin(), body.bytes.end());
  ++count_;
}

Bytes BodyFrameBuilder::Finish() const {
  Bytes frame;
  frame.reserve(12 + entries_.size() + data_.size());
  PutFixed(kBodyFrameMagic, &frame);
  PutFixed(count_, &frame);
  PutFixed(static_cast<uint32_t>(entries_.size()), &frame);
  frame.insert(frame.end(), entries_.begin(), entries_.end());
  frame.insert(frame.end(), data_.begin(), data_.end());
  return frame;
}

namespace {

bool ParseEntry(std::span<const uint8_t>* entries, std::span<const uint8_t>* data,
                uint64_t first_sequence, BodyEntry* entry) {
  const auto delta = TakeVarint(entries);
  const auto distance = TakeVarint(entries);
  const auto stored = TakeVarint(entries);
  uint8_t codec = 0;
  if (!delta || !distance || !stored || !TakeFixed(entries, &codec) ||
      !TakeFixed(entries, &entry->depth) || !TakeFixed(entries, &entry->nonce)) {
    return false;
  }
  entry->sequence = first_sequence + *delta;
  entry->stored_bytes = *stored;
  entry->chunked = (codec & kChunkedFlag) != 0;
  entry->codec = static_cast<Codec>(codec & ~kChunkedFlag);
  if (*delta >= kFrameRecordsMax || *distance > entry->sequence || entry->codec > Codec::kZstd) {
    return false;
  }
  if (*distance != 0) entry->base = entry->sequence - *distance;
  if (entry->chunked) return true;
  if (*stored > data->size()) return false;
  entry->bytes = data->first(*stored);
  *data = data->subspan(*stored);
  return true;
}

}  // namespace

absl::StatusOr<std::vector<BodyEntry>> ParseBodyFrame(std::span<const uint8_t> frame,
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
  std::vector<BodyEntry> parsed(count);
  for (BodyEntry& entry : parsed) {
    if (!ParseEntry(&entries, &data, first_sequence, &entry)) return malformed;
    if (&entry != &parsed.front() && entry.sequence <= (&entry - 1)->sequence) return malformed;
  }
  if (!entries.empty() || !data.empty()) return malformed;
  return parsed;
}

}  // namespace nimbus::journal
