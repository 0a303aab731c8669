// The files of a store that are not LMDB's own: finding a store, making one,
// and the preparations LMDB needs where disks are full or creation was cut off.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nimbus::journal {

// The status of a failed system call; `what` is the path or the deed.
absl::Status StatusOfErrno(int error, const std::string& what);

// Puts on stable storage which names the directory holds.
absl::Status SyncDirectory(const std::string& path);

struct StoreLayout {
  std::string journal_directory;
  bool complete = true;  // false: CURRENT is still to be written
};

// The number of the generation in a directory journal-<number>; 0 in any other.
uint64_t GenerationNumber(const std::string& journal_directory);

// The layout of the store at `path`. NotFound when there is no store,
// InvalidArgument when there is something else, Unimplemented for a newer format.
absl::StatusOr<StoreLayout> FindStore(const std::string& path);

// FindStore, or the directories of a new store where `path` is empty, missing, or
// a store whose creation was cut off.
absl::StatusOr<StoreLayout> CreateStore(const std::string& path);

// Makes `path` and what is missing above it, each in stable storage before what
// is below it.
absl::Status CreateDirectories(const std::filesystem::path& path);

// Makes a created store one: writes and syncs CURRENT. Safe to repeat, by one
// process at a time.
absl::Status CompleteStore(const std::string& path, const StoreLayout& layout);

// DataLoss when the LMDB environment in `directory` has no data, or less than
// any has.
absl::Status CheckDataFile(const std::string& directory);

// To be called before LMDB opens `directory`: gives lock.mdb its blocks.
absl::Status PrepareLockFile(const std::string& directory);

// To be called before LMDB makes the environment in `directory`, under the turn
// lock: empties what a creation that was cut off left of data.mdb, where LMDB
// would refuse it.
absl::Status RemoveStump(const std::string& directory);

// FailedPrecondition when a process has the environment in `directory` open.
absl::Status CheckNoLockHolder(const std::string& directory);

}  // namespace nimbus::journal
