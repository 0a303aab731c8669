// From the log into LMDB: entries are packed into large frames, small bodies
// that follow each other are compressed together, and what several entries
// change in the small tables is written once.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "block_work.h"
#include "environment.h"
#include "merkle.h"

namespace nimbus::journal {

// Writes the tiles of the tree from level 1 on, from their first hash on. Level
// 0 is not stored: its hashes are those of the records, which are. The ones
// since the last full tile are kept here, and read again from the records when
// another process has applied some.
class TileWriter {
 public:
  // Makes the tiles agree with a journal of `head`'s size.
  absl::Status Load(const Environment& environment, const Snapshot& lmdb);
  absl::Status Append(const Environment& environment, lmdb::Transaction* txn, const Hash& leaf);
  // After a transaction that was not committed.
  void Forget() { loaded_ = false; }

 private:
  bool loaded_ = false;
  uint64_t size_ = 0;
  std::vector<Hash> partial_;  // leaf hashes since the last full tile
};

// One thread at a time, with the tenure, but for Help and KeepPace.
class LogApplier {
 public:
  // `compression_level` is zstd's, of packed bodies.
  LogApplier(const Environment& environment, int compression_level)
      : environment_(environment), work_(compression_level) {}

  // Flushes the log and commits its entries to LMDB, then `bypass` unless it is
  // null: a group that does not go through the log. OK: they are on stable storage there.
  // ResourceExhausted: disk or map full, nothing was written. DataLoss: unknown.
  absl::Status Apply(const WalEntry* bypass = nullptr);

  // Of another thread, one that can't go on before an Apply that is under way has
  // ended: makes that end sooner, and waits for it as good as to its end.
  void Help() { work_.Help(); }
  // The same, without waiting: until this share of what is packed is packed.
  void KeepPace(double share) { work_.KeepPace(share); }

 private:
  absl::Status ApplyEntries(const WalEntry* bypass);
  absl::Status Put(lmdb::Transaction* txn, std::span<const WalEntry* const> entries, Head* head);
  absl::Status PutChanges(lmdb::Transaction* txn, std::span<const WalEntry* const> entries) const;

  const Environment& environment_;
  BlockWork work_;
  TileWriter tiles_;
};

}  // namespace nimbus::journal
