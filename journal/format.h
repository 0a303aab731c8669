// The constants of FORMAT.md, and the few integer helpers its encodings need.
// All integers are little-endian; the static_assert below is where a
// big-endian port would begin.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace nimbus::journal {

static_assert(std::endian::native == std::endian::little);

using Bytes = std::vector<uint8_t>;

inline constexpr uint32_t kFormatVersion = 1;

inline constexpr uint32_t kRecordFrameMagic = 0x52464d4e;  // "NMFR"
inline constexpr uint32_t kBodyFrameMagic = 0x42464d4e;    // "NMFB"

// A frame is closed when it reaches one of these.
inline constexpr size_t kFrameRecordsMax = 512;
inline constexpr size_t kFrameRecordBytesMax = 64 * 1024;
inline constexpr size_t kFrameBodyBytesMax = 1024 * 1024;

inline constexpr size_t kBodyBytesMax = size_t{64} << 20;   // plaintext
inline constexpr size_t kAppendBytesMax = size_t{1} << 30;  // of bodies; an entry counts in u32

// A run: events of one append that are placed together, their bodies in one
// block. It ends at one of these, or before the body that would exceed it.
inline constexpr size_t kRunRecordsMax = 256;
inline constexpr size_t kRunRecordBytesMax = 32 * 1024;
inline constexpr size_t kBlockBytesMax = 1024 * 1024;  // plaintext, unless it is of one body
inline constexpr size_t kChunkBytes = 1024 * 1024;     // of a stored block kept in pieces
inline constexpr int kBlockDepthMax = 40;              // decodes to read any block, less one
inline constexpr size_t kNonceBytes = 16;

// Blocks of less plaintext than this stay raw until the applier packs those that
// follow each other into blocks of up to kPackedBlockBytesMax.
inline constexpr size_t kPackableBytesMax = 64 * 1024;
inline constexpr size_t kPackedBlockBytesMax = 64 * 1024;

inline constexpr uint32_t kWalEntryMagic = 0x45574d4e;  // "NMWE"
inline constexpr uint16_t kWalEntryVersion = 1;
inline constexpr size_t kWalAlignment = 512;  // what a disk writes whole or not at all
inline constexpr size_t kWalHalfBytes = size_t{2} << 20;
inline constexpr size_t kWalBytes = 2 * kWalHalfBytes;
// A larger one is committed to LMDB instead.
inline constexpr size_t kWalEntryBytesMax = kWalHalfBytes / 2;

inline constexpr size_t kTileHashes = 256;  // C2SP tlog-tiles

// Records and bodies begin at multiples of 8, as FlatBuffers has to.
inline size_t Padded(size_t size) { return (size + 7) & ~size_t{7}; }

inline void PutVarint(uint64_t value, Bytes* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<uint8_t>(value));
}

// Takes a varint off the front of `in`; nullopt when it is cut short or too long.
inline std::optional<uint64_t> TakeVarint(std::span<const uint8_t>* in) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !in->empty(); shift += 7) {
    const uint8_t byte = in->front();
    *in = in->subspan(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

template <typename T>
void PutFixed(const T& value, Bytes* out) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  out->insert(out->end(), bytes, bytes + sizeof(T));
}

template <typename T>
bool TakeFixed(std::span<const uint8_t>* in, T* value) {
  if (in->size() < sizeof(T)) return false;
  std::memcpy(value, in->data(), sizeof(T));
  *in = in->subspan(sizeof(T));
  return true;
}

}  // namespace nimbus::journal
