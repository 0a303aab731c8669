#include "block_work.h"

#include <sched.h>

#include <utility>

#include "nimbus/schema/check.h"

namespace nimbus::journal {
namespace {

constexpr int kHurriedLevel = 1;

void CompressBlock(PackedBlock* block, int level) {
  thread_local Bytes plain;  // its memory is worth keeping: kPackedBlockBytesMax at most
  plain.clear();
  for (const std::span<const uint8_t> piece : block->pieces) {
    plain.insert(plain.end(), piece.begin(), piece.end());
  }
  Encoded encoded = EncodeStored(plain, {}, level);
  block->stored = std::move(encoded.bytes);
  block->entry.codec = encoded.codec;
  block->entry.stored_bytes = block->stored.size();
  block->entry.stored = block->stored;
}

}  // namespace

void LetOthersRun() { sched_yield(); }

void BlockWork::Begin() {
  const schema::MutexLock lock(&mu_);
  NIMBUS_CHECK(!open_);
  open_ = true;
}

void BlockWork::End() {
  const schema::MutexLock lock(&mu_);
  open_ = hurry_ = false;
  changed_.SignalAll();
}

// False when that share of the blocks is taken.
bool BlockWork::CompressNext(double share) {
  PackedBlock* block = nullptr;
  int level = compression_level_;
  {
    const schema::MutexLock lock(&mu_);
    const auto until = static_cast<size_t>(share * static_cast<double>(blocks_.size()));
    if (next_ >= until) return false;
    block = blocks_[next_++];
    ++busy_;
    if (hurry_) level = kHurriedLevel;
  }
  CompressBlock(block, level);
  const schema::MutexLock lock(&mu_);
  if (--busy_ == 0 && !HasMore()) changed_.SignalAll();
  return true;
}

void BlockWork::Compress(std::span<PackedBlock* const> blocks) {
  {
    const schema::MutexLock lock(&mu_);
    blocks_ = blocks;
    next_ = 0;
    if (hurry_) changed_.SignalAll();
  }
  while (CompressNext(1)) LetOthersRun();
  const schema::MutexLock lock(&mu_);
  while (busy_ > 0) changed_.Wait(&mu_);
  blocks_ = {};
  next_ = 0;
}

void BlockWork::Help() {
  const auto wait_for_more = [this] {
    const schema::MutexLock lock(&mu_);
    hurry_ = open_;
    while (open_ && !HasMore()) changed_.Wait(&mu_);
    return open_;
  };
  while (wait_for_more()) CompressNext(1);
}

void BlockWork::KeepPace(double share) {
  while (CompressNext(share)) {
  }
}

}  // namespace nimbus::journal
