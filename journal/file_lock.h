// Locks between processes: flock on files of their own. A process that dies, in
// whatever way, gives up its locks.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nimbus::journal {

// A file to lock. Tells processes apart, not the threads of one.
class LockFile {
 public:
  static absl::StatusOr<std::unique_ptr<LockFile>> Open(const std::string& path);
  ~LockFile();
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

  absl::Status Lock();             // waits
  absl::StatusOr<bool> TryLock();  // false when another process holds it
  void Unlock();

 private:
  LockFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  const std::string path_;
  const int descriptor_;
};

// Holds a lock while it lives.
class FileLock {
 public:
  static absl::StatusOr<FileLock> Take(LockFile* file);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  explicit FileLock(LockFile* file) : file_(file) {}
  LockFile* file_;
};

}  // namespace nimbus::journal
