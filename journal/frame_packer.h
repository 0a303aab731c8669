// Puts records and bodies into as few frames as they fit: what was appended one
// by one takes more bytes than what is packed together.
//
//   FramePacker packer(journal_id, first_sequence, checksum_before, {});
//   for (const Entry& entry : entries) {
//     std::vector<PackedFrame> frames = packer.Add(envelope, entry);   // mostly none
//   }
//   std::vector<PackedFrame> last = packer.Finish();
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "block_packer.h"
#include "body.h"
#include "entry.h"
#include "frame.h"

namespace nimbus::journal {

// One value of the frames table, and the block of it that belongs into chunks.
struct PackedFrame {
  uint64_t first = 0;  // sequence
  uint64_t end = 0;
  uint64_t checksum = 0;
  Bytes value;           // record frame, body frame
  uint64_t chunked = 0;  // sequence of the first body of the block in `chunks`
  Bytes chunks;          // its stored bytes; empty when no block is over kChunkBytes
};

class FramePacker {
 public:
  FramePacker(const schema::Uuid& journal, uint64_t first_sequence, uint64_t previous_checksum,
              PackerOptions options);

  // Takes the next record. Returns the frames that this completed, at most one.
  std::vector<PackedFrame> Add(const schema::fb::Envelope& envelope, const Entry& entry);
  // Returns what is left. More may be added after it.
  std::vector<PackedFrame> Finish();

 private:
  void CloseBlock();
  void CloseFrame();

  const schema::Uuid journal_;
  BlockPacker blocks_;
  uint64_t next_;      // sequence of the next record
  uint64_t checksum_;  // of the last frame
  std::optional<FrameBuilder> frame_;
  std::optional<BodyFrameBuilder> bodies_;
  PackedFrame packed_;  // what is known of the frame being filled
  std::vector<PackedFrame> done_;
};

}  // namespace nimbus::journal
