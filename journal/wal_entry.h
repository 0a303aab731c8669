// An entry of the write-ahead log: what one group of appends wrote. See FORMAT.md.
//
//   std::unique_ptr<const WalEntry> entry = WalEntry::Make({.journal = id, …});
//   Write(entry->bytes());
//   NIMBUS_ASSIGN_OR_RETURN(entry, WalEntry::Decode(bytes));
//
// It holds its records and bodies as a frame each LMDB value would hold, and the
// entries of the small tables as they are after it, so that a reader can look
// things up in it as it does in LMDB, and applying it means no decision.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "format.h"
#include "nimbus/schema/id.h"

namespace nimbus::journal {

struct WalEntryHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t flags;
  std::array<uint8_t, 16> journal;
  uint64_t first_sequence;
  uint32_t records;
  uint32_t payload_bytes;
  uint64_t durable_before;  // records below were on stable storage when this was written
  uint64_t salt;            // of the tenure: an entry is never the same as one it overwrites
  uint64_t previous;        // checksum of the entry before
  uint64_t checksum;        // XXH3-64 of the payload, seeded with that of this header with 0 here
};
static_assert(sizeof(WalEntryHeader) == 72);

// The tables an entry changes beside the frames.
enum class WalTable : uint8_t { kEntities = 0, kNames = 1, kChunks = 2 };

struct WalChange {
  WalTable table = WalTable::kEntities;
  std::span<const uint8_t> key;
  std::span<const uint8_t> value;
};

struct WalFrame {
  uint64_t first_sequence = 0;
  uint64_t end_sequence = 0;
  std::span<const uint8_t> value;  // a record frame, and a body frame unless none has a body
};

// What an entry is made of.
struct WalEntryParts {
  schema::Uuid journal;
  uint64_t first_sequence = 0;
  uint32_t records = 0;
  uint64_t durable_before = 0;
  uint64_t salt = 0;
  uint64_t previous = 0;
  std::span<const WalFrame> frames;
  std::span<const WalChange> changes;
};

// How many bytes the entry takes that begins with this header, padding included;
// nullopt when it is none of this journal's.
std::optional<size_t> WalEntryExtent(std::span<const uint8_t> header, const schema::Uuid& journal);

class WalEntry {
 public:
  static std::unique_ptr<const WalEntry> Make(const WalEntryParts& parts);
  // Checks the checksum and every length. DataLoss when they do not hold.
  static absl::StatusOr<std::unique_ptr<const WalEntry>> Decode(Bytes bytes);
  WalEntry(const WalEntry&) = delete;
  WalEntry& operator=(const WalEntry&) = delete;

  const WalEntryHeader& header() const { return header_; }
  uint64_t first_sequence() const { return header_.first_sequence; }
  uint64_t end_sequence() const { return header_.first_sequence + header_.records; }
  const std::vector<WalFrame>& frames() const { return frames_; }
  const std::vector<WalChange>& changes() const { return changes_; }
  // As stored, padded with zeros to a multiple of kWalAlignment.
  const Bytes& bytes() const { return bytes_; }
  // The frame that holds `sequence`; nullptr when none does.
  const WalFrame* FindFrame(uint64_t sequence) const;

 private:
  WalEntry() = default;
  absl::Status Split();

  Bytes bytes_;
  WalEntryHeader header_{};
  std::vector<WalFrame> frames_;
  std::vector<WalChange> changes_;
};

}  // namespace nimbus::journal
