// Bodies: how they are committed to, compressed, and laid out. See FORMAT.md.
//
// The commitment is keyed BLAKE2b-256 of the plaintext under a random nonce, so
// how a body is stored (raw, compressed, in pieces) changes no commitment. A
// compressed body is one zstd frame whose window may begin with the plaintext
// of another, earlier body: its base.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "format.h"
#include "nimbus/schema/digest.h"

namespace nimbus::journal {

using Nonce = std::array<uint8_t, kNonceBytes>;

enum class Codec : uint8_t { kRaw = 0, kZstd = 1 };

// A body ready to be stored.
struct StoredBody {
  Codec codec = Codec::kRaw;
  uint8_t depth = 0;  // bases to decode first, in a chain
  Nonce nonce{};
  Bytes bytes;
};

Nonce NewNonce();
schema::Digest BodyCommitment(std::span<const uint8_t> plain, const Nonce& nonce);

// Compresses `plain` against `base` (may be empty) unless that does not make it
// smaller; then it stays raw and needs no base. `level` is zstd's.
struct Encoded {
  Codec codec = Codec::kRaw;
  Bytes bytes;
};
Encoded EncodeStored(std::span<const uint8_t> plain, std::span<const uint8_t> base, int level);

// The plaintext, at most kBodyBytesMax long. DataLoss when `stored` is no such
// thing. Whether it is the right text, the commitment tells.
absl::StatusOr<Bytes> DecodeStored(Codec codec, std::span<const uint8_t> stored,
                                   std::span<const uint8_t> base);

// One body in a body frame, as read back.
struct BodyEntry {
  uint64_t sequence = 0;
  std::optional<uint64_t> base;  // sequence of its base
  Codec codec = Codec::kRaw;
  uint8_t depth = 0;
  Nonce nonce{};
  uint64_t stored_bytes = 0;
  bool chunked = false;            // its bytes are in the chunks table
  std::span<const uint8_t> bytes;  // empty when chunked
};

class BodyFrameBuilder {
 public:
  explicit BodyFrameBuilder(uint64_t first_sequence) : first_sequence_(first_sequence) {}

  // Bodies come in the order of their records. A body of more than
  // kBodyChunkBytes is entered as chunked; its bytes go to the chunks table.
  void Add(uint64_t sequence, std::optional<uint64_t> base, const StoredBody& body);
  bool IsEmpty() const { return count_ == 0; }
  bool IsFull() const { return data_.size() >= kFrameBodyBytesMax; }
  Bytes Finish() const;

 private:
  uint64_t first_sequence_;
  uint32_t count_ = 0;
  Bytes entries_;
  Bytes data_;
};

// All entries of a body frame, in order. Views into `frame`. DataLoss when malformed.
absl::StatusOr<std::vector<BodyEntry>> ParseBodyFrame(std::span<const uint8_t> frame,
                                                      uint64_t first_sequence);

}  // namespace nimbus::journal
