// One opened journal: its directory, its LMDB environment and tables, and reads
// that need a single short transaction.
//
//   <store>/CURRENT        "nimbus 1\njournal-1\n": format, live generation
//   <store>/journal-1/     data.mdb, lock.mdb, wal, wal.state, turn.lock, writer.lock
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "archives.h"
#include "body.h"
#include "entities.h"
#include "frame.h"
#include "lmdb_env.h"
#include "merkle.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/mutex.h"
#include "read_ahead.h"
#include "store.h"
#include "wal.h"

namespace nimbus::journal {

struct Tables {
  lmdb::Table meta, frames, chunks, tiles;
  EntityTables entity;
};

// What every commit replaces.
struct Head {
  Frontier frontier;
  uint64_t frame_checksum = 0;  // of the last frame
  uint64_t entry_checksum = 0;  // of the last log entry, or of what would have been one
  uint64_t size() const { return frontier.size(); }
  WalLink link() const { return {.sequence = size(), .checksum = entry_checksum}; }
};

// The journal as of one moment: what LMDB holds, and what the log holds beyond
// it. Short-lived: it keeps LMDB from using pages again. Not to be moved to
// another thread.
class Snapshot {
 public:
  Snapshot(lmdb::Transaction txn, Head head, WalOverlay overlay)
      : txn_(std::move(txn)), head_(std::move(head)), overlay_(std::move(overlay)) {}

  const lmdb::Transaction& txn() const { return txn_; }
  const Head& head() const { return head_; }  // LMDB's
  const WalOverlay& overlay() const { return overlay_; }
  uint64_t size() const { return overlay_.empty() ? head_.size() : overlay_.end_sequence(); }

 private:
  lmdb::Transaction txn_;
  Head head_;
  WalOverlay overlay_;
};

// Removes generations before that of `number` that nobody has open.
void RemoveOldGenerations(const std::string& store, uint64_t number);

Bytes EncodeHead(const Head& head);
absl::StatusOr<Head> DecodeHead(std::span<const uint8_t> bytes);

Bytes MakeTileKey(uint8_t level, uint64_t index);
Bytes MakeChunkKey(uint64_t sequence, uint64_t index);

// The files of a generation, open. Kept by whoever reads in it when another one
// takes its place.
struct Generation {
  ~Generation();
  uint64_t number = 0;
  std::string directory;
  std::string registered;  // identity of the directory among those open in this process
  // A base of a lower sequence is of the generation before: blocks were cut
  // differently there.
  uint64_t bases_begin = 0;
  std::unique_ptr<lmdb::Env> env;
  std::unique_ptr<Wal> wal;  // null in one that Make made
};

class Environment {
 public:
  static absl::StatusOr<std::unique_ptr<Environment>> Open(const std::string& store,
                                                           const Options& options);
  // Makes an environment without records, of this journal's id, in the empty
  // `directory`, for one who fills it: it has not even the genesis record.
  static absl::StatusOr<std::unique_ptr<Environment>> Make(const std::string& directory,
                                                           const schema::Uuid& journal,
                                                           const Options& options);

  // What is on stable storage, LMDB and log together.
  absl::StatusOr<Snapshot> TakeSnapshot() const;
  // That, and what is not on stable storage yet. With the tenure only.
  absl::StatusOr<Snapshot> TakeWriterSnapshot() const;
  TableReader TablesOf(const Snapshot& snapshot) const {
    return TableReader(snapshot.txn(), tables_.entity, &snapshot.overlay());
  }

  // LMDB by itself. The log is applied by whoever holds the tenure (tenure.h),
  // and nobody else changes LMDB once it is made.
  absl::StatusOr<lmdb::Transaction> BeginRead() const;
  absl::StatusOr<lmdb::Transaction> BeginWrite() const;
  absl::StatusOr<Head> ReadHead(const lmdb::Transaction& txn) const;
  absl::Status WriteHead(lmdb::Transaction* txn, const Head& head) const;

  // The key under which LMDB keeps `sequence`: the last one at or before it.
  absl::StatusOr<uint64_t> FindFrameKey(const lmdb::Transaction& txn, uint64_t sequence) const;
  // The frame that holds `sequence`. OutOfRange beyond the end.
  // `ahead`, unless null, is of who reads frame after frame.
  absl::StatusOr<Frame> ReadFrame(const Snapshot& snapshot, uint64_t sequence,
                                  ReadAhead* ahead = nullptr) const;
  // The tree over all records of `snapshot`.
  absl::StatusOr<Frontier> FrontierOf(const Snapshot& snapshot) const;
  // The block that holds the body of `sequence`, in the journal or in an archive, its
  // bytes copied into `bytes`; nullopt if there is none.
  absl::StatusOr<std::optional<BlockEntry>> ReadBlock(uint64_t sequence, Bytes* bytes) const;

  const Tables& tables() const { return tables_; }
  // The live generation. Compaction, by whatever process, puts a new one in its
  // place; every snapshot is of the newest, and Follow looks for it. It stays the
  // same while this process has the tenure.
  std::shared_ptr<const Generation> generation() const ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Follow() const;
  // Says in `txn`, which must be of the live generation, that another follows.
  absl::Status Supersede(lmdb::Transaction* txn, uint64_t number) const;
  // Notes in `txn` from which sequence on blocks are cut as here.
  absl::Status WriteBasesBegin(lmdb::Transaction* txn, uint64_t sequence) const;

  const schema::Uuid& journal_id() const { return journal_id_; }
  const std::string& store() const { return store_; }
  bool read_only() const { return read_only_; }
  std::shared_ptr<Wal> wal() const;  // null in what Make made

 private:
  Environment(std::string store, const Options& options)
      : store_(std::move(store)), read_only_(options.read_only), map_bytes_(options.map_bytes) {}
  static absl::StatusOr<std::unique_ptr<Environment>> TryOpen(const StoreLayout& layout,
                                                              const std::string& store,
                                                              const Options& options);
  absl::StatusOr<std::shared_ptr<Generation>> OpenGeneration(const std::string& directory) const;
  absl::Status OpenFiles(Generation* generation) const;
  absl::StatusOr<Tables> OpenTables(const Generation& generation, bool create) const;
  absl::Status CreateJournal(const Options& options);
  absl::Status ReadMeta(Generation* generation, schema::Uuid* journal) const;
  static absl::StatusOr<lmdb::Transaction> BeginReadIn(
      const std::shared_ptr<const Generation>& generation);
  absl::StatusOr<uint64_t> ReadSuperseded(const lmdb::Transaction& txn) const;
  absl::Status Reopen(const Generation& old, uint64_t number) const;
  absl::StatusOr<Snapshot> TrySnapshot(bool* again) const;
  absl::StatusOr<lmdb::View> FrameValue(const Snapshot& snapshot, uint64_t sequence,
                                        uint64_t* key) const;
  absl::StatusOr<std::optional<BlockEntry>> ReadArchived(const Snapshot& snapshot,
                                                         uint64_t sequence, Bytes* bytes) const;
  absl::Status ReadChunks(const lmdb::Transaction& txn, uint64_t sequence, size_t size,
                          Bytes* bytes) const;

  // Constant once it is open.
  std::string store_;
  bool read_only_ = false;
  size_t map_bytes_ = 0;
  Tables tables_;
  schema::Uuid journal_id_;

  mutable Archives archives_;  // has its own lock
  mutable schema::Mutex mu_;
  mutable std::shared_ptr<Generation> live_ ABSL_GUARDED_BY(mu_);
  mutable schema::Mutex reopen_mu_;
};

}  // namespace nimbus::journal
