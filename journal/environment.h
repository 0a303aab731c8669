// One opened journal: its directory, its LMDB environment and tables, and reads
// that need a single short transaction.
//
//   <store>/CURRENT        "nimbus 1\njournal-1\n": format, live generation
//   <store>/journal-1/     data.mdb, lock.mdb, turn.lock
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "body.h"
#include "entities.h"
#include "frame.h"
#include "lmdb_env.h"
#include "merkle.h"
#include "nimbus/journal/journal.h"

namespace nimbus::journal {

struct Tables {
  lmdb::Table meta, frames, chunks, tiles;
  EntityTables entity;
};

// What every commit replaces.
struct Head {
  Frontier frontier;
  uint64_t frame_checksum = 0;  // of the last frame
  uint64_t size() const { return frontier.size(); }
};

Bytes EncodeHead(const Head& head);
absl::StatusOr<Head> DecodeHead(std::span<const uint8_t> bytes);

Bytes MakeTileKey(uint8_t level, uint64_t index);
Bytes MakeChunkKey(uint64_t sequence, uint64_t index);

// A lock of the file system, held while it lives.
class FileLock {
 public:
  static absl::StatusOr<FileLock> Take(int descriptor);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

class Environment {
 public:
  static absl::StatusOr<std::unique_ptr<Environment>> Open(const std::string& store,
                                                           const Options& options);
  ~Environment();

  absl::StatusOr<lmdb::Transaction> BeginRead() const;
  // Waits its turn among processes, then for the write lock.
  absl::StatusOr<lmdb::Transaction> BeginWrite() const;

  absl::StatusOr<Head> ReadHead(const lmdb::Transaction& txn) const;
  absl::Status WriteHead(lmdb::Transaction* txn, const Head& head) const;
  // The key under which readers look for `sequence`: the last one at or before it.
  absl::StatusOr<uint64_t> FindFrameKey(const lmdb::Transaction& txn, uint64_t sequence) const;
  // The frame that holds `sequence`. OutOfRange beyond the end.
  absl::StatusOr<Frame> ReadFrame(const lmdb::Transaction& txn, uint64_t sequence) const;
  // The block that holds the body of `sequence`, its bytes copied into `bytes`;
  // nullopt if there is none.
  absl::StatusOr<std::optional<BlockEntry>> ReadBlock(uint64_t sequence, Bytes* bytes) const;

  const Tables& tables() const { return tables_; }
  const lmdb::Env& env() const { return *env_; }
  const schema::Uuid& journal_id() const { return journal_id_; }
  const std::string& store() const { return store_; }
  bool read_only() const { return read_only_; }

 private:
  Environment() = default;
  absl::Status OpenFiles(const std::string& directory, const Options& options);
  absl::Status OpenTables(bool create);
  absl::Status CreateJournal(const Options& options);
  absl::Status ReadMeta();
  absl::Status ReadChunks(const lmdb::Transaction& txn, uint64_t sequence, size_t size,
                          Bytes* bytes) const;

  std::string store_;
  std::string registered_;  // identity of the directory among those open in this process
  bool read_only_ = false;
  int turn_ = -1;  // descriptor of turn.lock
  std::unique_ptr<lmdb::Env> env_;
  Tables tables_;
  schema::Uuid journal_id_;
};

}  // namespace nimbus::journal
