// The write-ahead log: where a group of appends becomes durable with one flush,
// before LMDB has it. See FORMAT.md, "Write-ahead log".
//
// The file has two halves that are used in turn. Only the process that holds the
// tenure (tenure.h) writes to it; anyone may read it. What it holds beyond LMDB's
// records is an overlay on LMDB, for readers and for the rules of the writer.
//
//   WalOverlay overlay = wal.DurableOverlay();          // the log first,
//   lmdb::Transaction txn = …; Head head = …;           // LMDB second
//   if (!overlay.Continue(head.size())) …               // wal.Synchronize, and again
//
// Environment::TakeSnapshot does that for everyone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/id.h"
#include "nimbus/schema/mutex.h"
#include "wal_overlay.h"
#include "wal_state.h"

namespace nimbus::journal {

// The end of what LMDB holds, and the checksum of the log entry that ended there.
struct WalLink {
  uint64_t sequence = 0;
  uint64_t checksum = 0;
  friend bool operator==(const WalLink&, const WalLink&) = default;
};

// Thread-safe; what takes the tenure is for one thread at a time.
class Wal {
 public:
  // A reader may find no file, and sees an empty log then. A writer's file is
  // made by Create.
  static absl::StatusOr<std::unique_ptr<Wal>> Open(const std::string& directory,
                                                   const schema::Uuid& journal, bool read_only);
  ~Wal();

  // Makes the file, of zeros that are on stable storage, unless it is there.
  // ResourceExhausted when there is no room for it.
  absl::Status Create() ABSL_LOCKS_EXCLUDED(mu_);

  // The entries known to be on stable storage. Looks for what another process
  // has written since.
  WalOverlay DurableOverlay() ABSL_LOCKS_EXCLUDED(mu_);
  // Reads the whole log, given where LMDB ends, and puts on stable storage what
  // is found in it. DataLoss when something durable is missing from it, or so it
  // seems: a reader has to look again, since the log may have moved on. Leaves
  // the log alone while this process has the tenure, and so knows it all.
  absl::Status Synchronize(const WalLink& lmdb_end) ABSL_LOCKS_EXCLUDED(mu_);

  // This process has the tenure from now on, until EndTenure. Takes in what
  // others have written since, and makes it durable; true when another had the
  // tenure since.
  absl::StatusOr<bool> BeginTenure(const WalLink& lmdb_end) ABSL_LOCKS_EXCLUDED(mu_);
  void EndTenure() ABSL_LOCKS_EXCLUDED(mu_);

  // All below: with the tenure only.

  // All entries, on stable storage or not.
  WalOverlay WholeOverlay() const ABSL_LOCKS_EXCLUDED(mu_);
  // Where the next entry goes on.
  WalLink end() const ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t durable() const ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t salt() const ABSL_LOCKS_EXCLUDED(mu_);  // of the entries of this tenure
  // Notes that LMDB has, on stable storage, what comes before `sequence`.
  void NoteApplied(uint64_t sequence) ABSL_LOCKS_EXCLUDED(mu_);

  // Whether an entry so long can be written now: the half in use has room, or the
  // other one is applied.
  bool HasRoom(size_t bytes) const ABSL_LOCKS_EXCLUDED(mu_);
  // How much of the half in use is used, from 0 to 1.
  double Fill() const ABSL_LOCKS_EXCLUDED(mu_);
  // Writes an entry that begins at end(); not durable yet. True when it is the
  // first of its half and the other one is to be applied. After an error it was not
  // written.
  absl::StatusOr<bool> Write(std::unique_ptr<const WalEntry> entry) ABSL_LOCKS_EXCLUDED(mu_);
  // Makes all that was written durable, and says so. DataLoss when it may not be.
  absl::Status Flush() ABSL_LOCKS_EXCLUDED(flush_mu_, mu_);
  // Notes that LMDB has, on stable storage, a group that was never in the log.
  void NoteBypass(const WalLink& end) ABSL_LOCKS_EXCLUDED(mu_);

  uint64_t FileBytes() const ABSL_LOCKS_EXCLUDED(mu_);  // 0 when there is no file
  WalState* state() const { return state_.get(); }

 private:
  // Where an entry is expected next.
  struct Tail {
    WalLink link;
    int half = 0;
    size_t offset = 0;
    bool known = false;
  };
  struct Chain {  // the entries of one half, from its beginning on
    std::vector<std::unique_ptr<const WalEntry>> entries;
    size_t bytes = 0;
    uint64_t durable_before = 0;  // the most that any of them says
  };

  Wal(std::string path, const schema::Uuid& journal, bool read_only)
      : path_(std::move(path)), journal_(journal), read_only_(read_only) {}

  absl::Status OpenFile() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckLength() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t DurableLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes entries from the tail on, as long as the log ends before `up_to`.
  absl::Status ReadOn(uint64_t up_to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<std::unique_ptr<const WalEntry>> ReadNext(int half, size_t offset) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Accept(std::unique_ptr<const WalEntry> entry, int half, size_t offset)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Forget() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A half begins with an entry of this journal, or with zeros.
  bool IsAnothers(std::span<const uint8_t> half) const;
  Chain ReadChain(const Bytes& half) const;
  void TakeChain(int half, Chain chain) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status SynchronizeLocked(const WalLink& lmdb_end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t DurableBefore(std::span<const uint8_t> rest, uint64_t end) const;
  absl::Status NoteFlush(int answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What was found may not have been flushed by whoever wrote it.
  absl::Status FlushFound() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Nor may the kernel have been able to write it: it tells who has the file open
  // then, and takes the pages for clean. Written again, they are flushed.
  absl::Status RewriteFound() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Rewrite(const WalSegment& segment, int half, size_t end, uint64_t durable) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool OtherHalfIsFree() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string path_;
  const schema::Uuid journal_;
  const bool read_only_;
  std::unique_ptr<WalState> state_;  // null for readers without

  // Held during a flush, so that of two nobody takes the other's answer for his.
  schema::Mutex flush_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  mutable schema::Mutex mu_;
  int file_ ABSL_GUARDED_BY(mu_) = -1;
  std::shared_ptr<WalSegment> older_ ABSL_GUARDED_BY(mu_);
  size_t older_end_ ABSL_GUARDED_BY(mu_) = 0;               // in its half
  std::shared_ptr<WalSegment> newer_ ABSL_GUARDED_BY(mu_);  // the tail's half
  Tail tail_ ABSL_GUARDED_BY(mu_);
  bool owner_ ABSL_GUARDED_BY(mu_) = false;   // this process has the tenure
  uint64_t tenure_ ABSL_GUARDED_BY(mu_) = 0;  // the number of its last one
  uint64_t salt_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t flushed_ ABSL_GUARDED_BY(mu_) = 0;  // known here to be on stable storage
  uint64_t applied_ ABSL_GUARDED_BY(mu_) = 0;
  bool flush_failed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace nimbus::journal
