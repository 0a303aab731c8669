// What of an append is done on its caller's thread: events are checked and
// encoded, bodies committed to and compressed. The writer only places the result.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base_cache.h"
#include "body.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/event.h"

namespace nimbus::journal {

// Events that are placed together (kRunRecordsMax and after), and the block of
// their bodies.
struct Run {
  std::vector<Bytes> records;  // their envelopes lack only what the writer decides
  std::optional<Block> block;
  // What the block was compressed against: a durable block, by the sequence of
  // its first body, or that of the run before in the same append.
  std::optional<uint64_t> base;
  std::shared_ptr<const Bytes> base_bytes;  // of `base`
  bool base_is_run_before = false;

  size_t record_bytes() const;
};

// One append.
class Preparer {
 public:
  // Bases before the sequence `bases_begin` are of no use (Generation).
  Preparer(const Options& options, BaseCache* bases, uint64_t bases_begin)
      : options_(options), bases_(*bases), bases_begin_(bases_begin) {}

  // InvalidArgument names the event, by its index.
  absl::StatusOr<std::vector<Run>> Prepare(std::span<const schema::Event> events);

  // Makes the blocks bases for later appends: they are in the journal, the first
  // event at sequence `first`. Not those of a retry that was answered with an
  // earlier append, which held other bodies.
  void NoteWritten(std::span<const Run> runs, uint64_t first);

 private:
  absl::Status Add(const schema::Event& event);
  void CloseRun();
  void CompressBlock(const Bytes& plain);

  const Options& options_;
  BaseCache& bases_;
  const uint64_t bases_begin_;
  std::optional<ChainKey> chain_;  // that of the first event with a body
  std::vector<Run> runs_;
  size_t append_bytes_ = 0;  // of all bodies
  Run run_;                  // being filled
  Bytes plain_;              // of its block
  std::vector<std::shared_ptr<const Bytes>>
      plains_;  // of the blocks of runs_; null for none, or a small one
};

}  // namespace nimbus::journal
