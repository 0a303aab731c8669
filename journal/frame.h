// A frame: the bytes of records that became durable together. See FORMAT.md.
//
//   FrameBuilder builder(journal_id, first_sequence, previous_checksum);
//   builder.Add(record_bytes);                     // until builder.IsFull()
//   Bytes frame = builder.Finish();
//
//   NIMBUS_ASSIGN_OR_RETURN(Frame frame, Frame::Decode(bytes));
//   frame.record(0);                               // aligned to 8, owned by `frame`
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "format.h"
#include "nimbus/schema/id.h"

namespace nimbus::journal {

struct FrameHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t flags;  // kFrameCompressed
  std::array<uint8_t, 16> journal;
  uint64_t first_sequence;
  uint32_t count;
  uint32_t plain_bytes;
  uint32_t stored_bytes;
  uint32_t reserved;
  uint64_t previous_checksum;  // of the frame before it; 0 in the first
  uint64_t checksum;           // XXH3-64 of this header with 0 here, then the stored payload
};
static_assert(sizeof(FrameHeader) == 64);

inline constexpr uint16_t kFrameVersion = 1;
inline constexpr uint16_t kFrameCompressed = 1;

class FrameBuilder {
 public:
  FrameBuilder(const schema::Uuid& journal, uint64_t first_sequence, uint64_t previous_checksum);

  void Add(std::span<const uint8_t> record);
  // Records that lie one after the other, each padded to 8.
  void AddAll(std::span<const uint32_t> lengths, std::span<const uint8_t> records);
  bool IsEmpty() const { return lengths_.empty(); }
  bool IsFull() const;
  // Whether so many records of so many bytes in all, padded, still go in. An empty
  // frame takes any run.
  bool HasRoomFor(size_t records, size_t bytes) const;
  uint64_t first_sequence() const { return header_.first_sequence; }
  uint64_t end_sequence() const { return header_.first_sequence + lengths_.size(); }
  // Where the frame before was not known yet.
  void set_previous_checksum(uint64_t checksum) { header_.previous_checksum = checksum; }

  struct Finished {
    Bytes bytes;
    uint64_t checksum = 0;
  };
  // Require at least one record. The second leaves the payload uncompressed, as
  // the log has it.
  Finished Finish() const;
  Finished FinishRaw() const;

 private:
  Bytes Plain() const;
  Finished Seal(Bytes bytes, uint16_t flags, size_t plain_bytes) const;

  FrameHeader header_{};
  std::vector<uint32_t> lengths_;
  Bytes records_;  // each padded to 8
};

// How many bytes the frame at the beginning of `bytes` takes; nullopt when it
// says more than there are.
std::optional<size_t> FrameBytes(std::span<const uint8_t> bytes);

class Frame {
 public:
  // Decodes the frame at the beginning of `bytes`; what follows it is not looked
  // at. Checks magic, version, sizes and checksum. DataLoss when they do not hold.
  static absl::StatusOr<Frame> Decode(std::span<const uint8_t> bytes);

  const FrameHeader& header() const { return header_; }
  uint64_t first_sequence() const { return header_.first_sequence; }
  uint64_t end_sequence() const { return header_.first_sequence + records_.size(); }
  bool Holds(uint64_t sequence) const {
    return sequence >= first_sequence() && sequence < end_sequence();
  }
  std::span<const uint8_t> record(size_t index) const {
    return {plain_.data() + records_[index].offset, records_[index].length};
  }

 private:
  struct Extent {
    uint32_t offset;
    uint32_t length;
  };
  Frame() = default;
  absl::Status Split();

  FrameHeader header_{};
  Bytes plain_;
  std::vector<Extent> records_;
};

}  // namespace nimbus::journal
