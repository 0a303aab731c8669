// Blocks that wait to be compressed, and who does it: the thread that applies the
// log, and one that would only wait for it.
//
//   work.Begin();
//   … work.Compress(blocks); …         // meanwhile, in another thread: work.Help();
//   work.End();
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "body.h"
#include "nimbus/schema/mutex.h"

namespace nimbus::journal {

// A block of a frame that is being filled: one that stays as it is, or bodies to
// be compressed together.
struct PackedBlock {
  BlockEntry entry;                              // of the latter the bodies only, at first
  std::vector<std::span<const uint8_t>> pieces;  // plaintext of the latter; none of the former
  Bytes stored;                                  // what `entry` views, of the latter
};

// For the applier, every fraction of a millisecond: it would else use up its time
// slice, and whoever leads a group, which is to run for microseconds when the flush of
// the log is over, waits some milliseconds for a processor.
void LetOthersRun();

// Thread-safe; Begin, Compress and End are for one thread at a time.
class BlockWork {
 public:
  explicit BlockWork(int compression_level) : compression_level_(compression_level) {}

  void Begin() ABSL_LOCKS_EXCLUDED(mu_);
  // Those of the second kind. At the fastest level once somebody waits.
  void Compress(std::span<PackedBlock* const> blocks) ABSL_LOCKS_EXCLUDED(mu_);
  void End() ABSL_LOCKS_EXCLUDED(mu_);

  // Takes part until End. Returns at once outside of Begin and End.
  void Help() ABSL_LOCKS_EXCLUDED(mu_);
  // Takes part until this share of the blocks, from 0 to 1, is taken.
  void KeepPace(double share) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  bool HasMore() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return next_ < blocks_.size(); }
  bool CompressNext(double share) ABSL_LOCKS_EXCLUDED(mu_);

  const int compression_level_;
  schema::Mutex mu_;
  schema::CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
  bool hurry_ ABSL_GUARDED_BY(mu_) = false;
  std::span<PackedBlock* const> blocks_ ABSL_GUARDED_BY(mu_);
  size_t next_ ABSL_GUARDED_BY(mu_) = 0;
  size_t busy_ ABSL_GUARDED_BY(mu_) = 0;  // blocks in hand
};

}  // namespace nimbus::journal
