#include "frame_packer.h"

#include <utility>

#include "nimbus/schema/check.h"

namespace nimbus::journal {

FramePacker::FramePacker(const schema::Uuid& journal, uint64_t first_sequence,
                         uint64_t previous_checksum, PackerOptions options)
    : journal_(journal),
      blocks_(std::move(options)),
      next_(first_sequence),
      checksum_(previous_checksum) {}

std::vector<PackedFrame> FramePacker::Add(const schema::fb::Envelope& envelope,
                                          const Entry& entry) {
  NIMBUS_CHECK(entry.sequence == next_);
  if (entry.body.has_value() && blocks_.IsFull(entry.body->bytes.size())) CloseBlock();
  const bool full =
      frame_.has_value() && (!frame_->HasRoomFor(1, Padded(entry.record.size())) ||
                             !packed_.chunks.empty() || (bodies_.has_value() && bodies_->IsFull()));
  if (full) CloseFrame();
  if (!frame_.has_value()) {
    frame_.emplace(journal_, next_, checksum_);
    packed_.first = next_;
  }
  frame_->Add(entry.record);
  if (entry.body.has_value()) {
    blocks_.Add(schema::Uuid::FromFb(envelope.stream()), next_, *entry.body);
  }
  ++next_;
  return std::exchange(done_, {});
}

std::vector<PackedFrame> FramePacker::Finish() {
  if (frame_.has_value()) CloseFrame();
  return std::exchange(done_, {});
}

void FramePacker::CloseBlock() {
  const uint64_t first = blocks_.first();
  BlockPacker::Packed packed = blocks_.Close();
  if (!bodies_.has_value()) bodies_.emplace(packed_.first);
  bodies_->Add(PlaceBlock(packed.block, 0, packed.base));
  if (packed.block.stored.size() <= kChunkBytes) return;
  packed_.chunked = first;
  packed_.chunks = std::move(packed.block.stored);
}

void FramePacker::CloseFrame() {
  if (!blocks_.empty()) CloseBlock();
  FrameBuilder::Finished frame = frame_->Finish();
  frame_.reset();
  packed_.end = next_;
  packed_.checksum = checksum_ = frame.checksum;
  packed_.value = std::move(frame.bytes);
  if (bodies_.has_value()) {
    bodies_->AppendTo(&packed_.value);
    bodies_.reset();
  }
  done_.push_back(std::exchange(packed_, {}));
}

}  // namespace nimbus::journal
