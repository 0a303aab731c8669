// Bodies: how they are committed to, compressed, and laid out. See FORMAT.md.
//
// The commitment is keyed BLAKE2b-256 of the plaintext under a random nonce, so
// how a body is stored changes no commitment.
//
// The bodies of events that were appended together form a block: their
// plaintexts one after the other, each padded to 8, stored raw or as one zstd
// frame. What repeats within an append costs nothing so; what repeats an
// earlier append costs nothing when the block names that one's block as its
// base, whose plaintext then begins the window.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "format.h"
#include "nimbus/schema/digest.h"

namespace nimbus::journal {

using Nonce = std::array<uint8_t, kNonceBytes>;

enum class Codec : uint8_t { kRaw = 0, kZstd = 1 };

Nonce NewNonce();
schema::Digest BodyCommitment(std::span<const uint8_t> plain, const Nonce& nonce);

// A body by itself; a view.
struct EntryBody {
  std::span<const uint8_t> bytes;  // plaintext
  Nonce nonce{};
};

// Where a body is in its block.
struct BodyExtent {
  uint64_t sequence = 0;  // in a block not yet placed: index of its event in the run
  uint64_t bytes = 0;     // plaintext
  Nonce nonce{};
};

// Of a block; most that are appended hold one body.
using BodyExtents = absl::InlinedVector<BodyExtent, 1>;

// The plaintext of a block that holds these bodies.
size_t BlockBytes(std::span<const BodyExtent> bodies);

// A block ready to be stored.
struct Block {
  Codec codec = Codec::kRaw;
  uint8_t depth = 0;  // bases to decode first, one after the other
  BodyExtents bodies;
  Bytes stored;
};

// Compresses `plain` against `base` (may be empty) unless that does not make it
// smaller; then it stays raw and needs no base. `level` is zstd's.
struct Encoded {
  Codec codec = Codec::kRaw;
  Bytes bytes;
};
Encoded EncodeStored(std::span<const uint8_t> plain, std::span<const uint8_t> base, int level);

// The plaintext, which is `plain_bytes` long. DataLoss when `stored` is no such
// thing. Whether it is the right text, the commitments tell.
absl::StatusOr<Bytes> DecodeStored(Codec codec, std::span<const uint8_t> stored,
                                   std::span<const uint8_t> base, size_t plain_bytes);

// One block of a body frame, as read back.
struct BlockEntry {
  std::optional<uint64_t> base;  // sequence of the first body of the base
  Codec codec = Codec::kRaw;
  uint8_t depth = 0;
  BodyExtents bodies;  // by sequence; at least one
  uint64_t stored_bytes = 0;
  bool chunked = false;             // its bytes are in the chunks table
  std::span<const uint8_t> stored;  // empty when chunked

  uint64_t first() const { return bodies.front().sequence; }
  bool Holds(uint64_t sequence) const;
};

// The block as one of a body frame, the events of its run beginning at
// `run_first`. More than kChunkBytes are chunked. Views into `block`.
BlockEntry PlaceBlock(const Block& block, uint64_t run_first, std::optional<uint64_t> base);

class BodyFrameBuilder {
 public:
  explicit BodyFrameBuilder(uint64_t first_sequence) : first_sequence_(first_sequence) {}

  // Blocks come in the order of their records. The bytes of a chunked one go to
  // the chunks table.
  void Add(const BlockEntry& block);
  bool IsFull() const { return data_.size() >= kFrameBodyBytesMax; }
  Bytes Finish() const;
  // The same, after what `out` holds.
  void AppendTo(Bytes* out) const;

 private:
  uint64_t first_sequence_;
  uint32_t count_ = 0;
  Bytes entries_;
  Bytes data_;
};

// All blocks of a body frame, in order. Views into `frame`. DataLoss when malformed.
absl::StatusOr<std::vector<BlockEntry>> ParseBodyFrame(std::span<const uint8_t> frame,
                                                       uint64_t first_sequence);

// The blocks of the value of a frame: of the body frame that follows the record
// frame in it, which begins at `first_sequence`. None when no record has a body.
absl::StatusOr<std::vector<BlockEntry>> BlocksOf(std::span<const uint8_t> value,
                                                 uint64_t first_sequence);

}  // namespace nimbus::journal
