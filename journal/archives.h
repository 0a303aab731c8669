// The archives of a store: which bodies were moved to which, and reading them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "archive.h"
#include "lmdb_env.h"
#include "nimbus/schema/mutex.h"

namespace nimbus::journal {

// <store>/archives, and the file of archive `number` in it.
std::string ArchiveDirectory(const std::string& store);
std::string ArchivePath(const std::string& store, uint64_t number);

// Sequences [first, end) whose bodies, where they have one, are in archive `number`.
struct ArchivedRange {
  uint64_t first = 0;
  uint64_t end = 0;
  uint64_t number = 0;
};

absl::Status PutArchivedRange(lmdb::Transaction* txn, lmdb::Table meta, const ArchivedRange& range);
// The range that `sequence` is in; nullopt when its body, if any, is in the journal.
absl::StatusOr<std::optional<ArchivedRange>> FindArchivedRange(const lmdb::Transaction& txn,
                                                               lmdb::Table meta, uint64_t sequence);

// That range, or the first one behind `sequence`.
absl::StatusOr<std::optional<ArchivedRange>> NextArchivedRange(const lmdb::Transaction& txn,
                                                               lmdb::Table meta, uint64_t sequence);

// That an archive is not in its place: IsArchiveAbsent (prune.h).
absl::Status ArchiveAbsentError(const std::string& store, uint64_t number, uint64_t sequence);

// Opens archives when they are first read. Thread-safe.
class Archives {
 public:
  absl::StatusOr<std::shared_ptr<const Archive>> Get(const std::string& store, uint64_t number,
                                                     const schema::Uuid& journal)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  schema::Mutex mu_;
  std::map<uint64_t, std::shared_ptr<const Archive>> open_ ABSL_GUARDED_BY(mu_);
};

}  // namespace nimbus::journal
