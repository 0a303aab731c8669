// What of an append is done on its caller's thread: events are checked and
// encoded, bodies committed to and compressed. The writer only places the result.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base_cache.h"
#include "body.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {

// Events that are placed together (kRunRecordsMax and after), and the block of
// their bodies.
struct Run {
  Bytes records;  // each padded to 8; their envelopes lack only what the writer decides
  absl::InlinedVector<uint32_t, 4> lengths;  // of the records
  std::optional<Block> block;
  // What the block was compressed against: a durable block, by the sequence of
  // its first body, or that of the run before in the same append.
  std::optional<uint64_t> base;
  std::shared_ptr<const Bytes> base_bytes;  // of `base`
  bool base_is_run_before = false;
  std::shared_ptr<const Bytes> plain;  // of the block, where later ones may have it as a base
};

// Calls `use(record)` for each, in order, until one is not OK.
template <typename Use>
absl::Status ForEachRecord(Run* run, const Use& use) {
  size_t offset = 0;
  for (const uint32_t length : run->lengths) {
    NIMBUS_RETURN_IF_ERROR(use(std::span(run->records).subspan(offset, length)));
    offset += Padded(length);
  }
  return absl::OkStatus();
}

// One append, ready to be placed.
struct Prepared {
  absl::InlinedVector<Run, 1> runs;
  std::optional<ChainKey> chain;  // that of the first event with a body

  size_t records() const;
  size_t bytes() const;
};

// Makes the blocks bases for later appends: they are in the journal, the first
// event at sequence `first`. Not those of a retry that was answered with an
// earlier append, which held other bodies.
void NoteWritten(const Prepared& append, uint64_t first, BaseCache* bases);

// Of one append.
class Preparer {
 public:
  // Bases before the sequence `bases_begin` are of no use (Generation).
  Preparer(const Options& options, BaseCache* bases, uint64_t bases_begin)
      : options_(options), bases_(*bases), bases_begin_(bases_begin) {}

  // InvalidArgument names the event, by its index.
  absl::StatusOr<Prepared> Prepare(std::span<const schema::Event> events);

 private:
  absl::Status Add(const schema::Event& event);
  absl::Status CheckSizes(size_t record_bytes, size_t body_bytes);
  void CloseRunBefore(size_t records_end, size_t bodies_end);
  void CommitToBody(std::span<uint8_t> record, std::span<const uint8_t> body);
  void CloseRun();
  void CompressBlock(const std::shared_ptr<const Bytes>& plain);

  const Options& options_;
  BaseCache& bases_;
  const uint64_t bases_begin_;
  Prepared append_;
  size_t append_bytes_ = 0;  // of all bodies
  Run run_;                  // being filled
  Bytes plain_;              // of its block
};

}  // namespace nimbus::journal
