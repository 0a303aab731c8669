#include "file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "nimbus/schema/status.h"
#include "store.h"

namespace nimbus::journal {

absl::StatusOr<std::unique_ptr<LockFile>> LockFile::Open(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return StatusOfErrno(errno, path);
  return std::unique_ptr<LockFile>(new LockFile(path, descriptor));
}

LockFile::~LockFile() { close(descriptor_); }

absl::Status LockFile::Lock() {
  while (flock(descriptor_, LOCK_EX) != 0) {
    if (errno != EINTR) return StatusOfErrno(errno, path_);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> LockFile::TryLock() {
  while (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return StatusOfErrno(errno, path_);
  }
  return true;
}

void LockFile::Unlock() { flock(descriptor_, LOCK_UN); }

absl::StatusOr<FileLock> FileLock::Take(LockFile* file) {
  NIMBUS_RETURN_IF_ERROR(file->Lock());
  return FileLock(file);
}

FileLock::~FileLock() {
  if (file_ != nullptr) file_->Unlock();
}

FileLock::FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, nullptr)) {}

}  // namespace nimbus::journal
