// The C library's functions that change files, each recorded and then done by
// its system call. See recorder.h.
#undef _FORTIFY_SOURCE  // its inline versions would be defined twice
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "simulation/recorder.h"

namespace nimbus::simulation {
namespace {

int Open(int directory, const char* path, int flags, mode_t mode) {
  const auto call = [&]() -> int64_t { return syscall(SYS_openat, directory, path, flags, mode); };
  const bool changes = (flags & (O_CREAT | O_TRUNC)) != 0;
  const std::optional<Watched> watched = changes ? WatchedPath(directory, path) : std::nullopt;
  if (!watched.has_value()) return static_cast<int>(call());
  const uint16_t truncates = (flags & O_TRUNC) != 0 ? kTruncates : 0;
  return static_cast<int>(
      Record({.call = Call::kCreate, .flags = truncates, .path = watched->path}, call, true));
}

// A call on a descriptor that is recorded without data.
int OnFile(Call kind, int descriptor, int64_t offset, const std::function<int64_t()>& call) {
  const std::optional<Watched> file = WatchedFile(descriptor);
  if (!file.has_value()) return static_cast<int>(call());
  return static_cast<int>(
      Record({.call = kind, .inode = file->inode, .offset = offset, .path = file->path}, call));
}

// `offset` < 0: where the descriptor stands.
ssize_t Write(int descriptor, const iovec* data, int count, off_t offset,
              const std::function<int64_t()>& call) {
  const std::optional<Watched> file = WatchedFile(descriptor);
  if (!file.has_value()) return call();
  const int flags = fcntl(descriptor, F_GETFL);
  struct stat info {};
  if ((flags & O_APPEND) != 0 && fstat(descriptor, &info) == 0) offset = info.st_size;
  if (offset < 0) offset = lseek(descriptor, 0, SEEK_CUR);
  const uint16_t through = (flags & (O_SYNC | O_DSYNC)) != 0 ? kThrough : 0;
  return Record({.call = Call::kWrite,
                 .flags = through,
                 .inode = file->inode,
                 .offset = offset,
                 .path = file->path,
                 .data = data,
                 .data_count = count},
                call);
}

int OnPath(Call kind, int directory, const char* path, int64_t offset,
           const std::function<int64_t()>& call) {
  const std::optional<Watched> watched = WatchedPath(directory, path);
  if (!watched.has_value()) return static_cast<int>(call());
  return static_cast<int>(Record({.call = kind, .offset = offset, .path = watched->path}, call));
}

int Rename(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) {
  const auto call = [&]() -> int64_t {
    return syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
  };
  const std::optional<Watched> source = WatchedPath(from_directory, from);
  const std::optional<Watched> target = WatchedPath(to_directory, to);
  if (!source.has_value() && !target.has_value()) return static_cast<int>(call());
  if (!source.has_value() || !target.has_value() || flags != 0) RecordUnsupported("rename");
  return static_cast<int>(Record({.call = Call::kRename,
                                  .path = source.value_or(Watched()).path,
                                  .second_path = target.value_or(Watched()).path},
                                 call));
}

int Link(int from_directory, const char* from, int to_directory, const char* to, int flags) {
  const auto call = [&]() -> int64_t {
    return syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
  };
  const std::optional<Watched> source = WatchedPath(from_directory, from);
  const std::optional<Watched> target = WatchedPath(to_directory, to);
  if (!target.has_value()) return static_cast<int>(call());
  if (!source.has_value()) RecordUnsupported("link from outside");
  return static_cast<int>(Record(
      {.call = Call::kLink, .path = source.value_or(Watched()).path, .second_path = target->path},
      call));
}

int Symlink(const char* text, int directory, const char* path) {
  const auto call = [&]() -> int64_t { return syscall(SYS_symlinkat, text, directory, path); };
  const std::optional<Watched> watched = WatchedPath(directory, path);
  if (!watched.has_value()) return static_cast<int>(call());
  return static_cast<int>(
      Record({.call = Call::kSymlink, .path = watched->path, .second_path = text}, call));
}

int Allocate(int descriptor, int mode, off_t offset, off_t length) {
  const auto call = [&]() -> int64_t {
    return syscall(SYS_fallocate, descriptor, mode, offset, length);
  };
  // Space alone changes nothing that a reader sees.
  if (mode == FALLOC_FL_KEEP_SIZE) return static_cast<int>(call());
  if (mode != 0 && WatchedFile(descriptor).has_value()) RecordUnsupported("fallocate with a mode");
  return OnFile(Call::kExtend, descriptor, offset + length, call);
}

int SyncAll(const std::function<int64_t()>& call) {
  if (!IsRecording()) return static_cast<int>(call());
  return static_cast<int>(Record({.call = Call::kSyncAll}, call));
}

ssize_t Copy(int descriptor, std::string_view name, const std::function<int64_t()>& call) {
  if (WatchedFile(descriptor).has_value()) RecordUnsupported(name);
  return call();
}

mode_t ModeOf(int flags, va_list arguments) {
  const bool makes = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  return makes ? va_arg(arguments, mode_t) : 0;
}

}  // namespace
}  // namespace nimbus::simulation

namespace sim = nimbus::simulation;
using sim::Call;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = sim::ModeOf(flags, arguments);
  va_end(arguments);
  return sim::Open(AT_FDCWD, path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = sim::ModeOf(flags, arguments);
  va_end(arguments);
  return sim::Open(AT_FDCWD, path, flags, mode);
}

int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = sim::ModeOf(flags, arguments);
  va_end(arguments);
  return sim::Open(directory, path, flags, mode);
}

int openat64(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = sim::ModeOf(flags, arguments);
  va_end(arguments);
  return sim::Open(directory, path, flags, mode);
}

int creat(const char* path, mode_t mode) {
  return sim::Open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char* path, mode_t mode) { return creat(path, mode); }

ssize_t write(int fd, const void* data, size_t size) {
  const iovec piece{const_cast<void*>(data), size};
  return sim::Write(fd, &piece, 1, -1, [=] { return syscall(SYS_write, fd, data, size); });
}

ssize_t writev(int fd, const iovec* pieces, int count) {
  return sim::Write(fd, pieces, count, -1, [=] { return syscall(SYS_writev, fd, pieces, count); });
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  const iovec piece{const_cast<void*>(data), size};
  return sim::Write(fd, &piece, 1, offset,
                    [=] { return syscall(SYS_pwrite64, fd, data, size, offset); });
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  return pwrite(fd, data, size, offset);
}

ssize_t pwritev(int fd, const iovec* pieces, int count, off_t offset) {
  return sim::Write(fd, pieces, count, offset,
                    [=] { return syscall(SYS_pwritev, fd, pieces, count, offset, 0L); });
}

ssize_t pwritev64(int fd, const iovec* pieces, int count, off64_t offset) {
  return pwritev(fd, pieces, count, offset);
}

ssize_t pwritev2(int fd, const iovec* pieces, int count, off_t offset, int flags) {
  if (flags != 0 && sim::WatchedFile(fd).has_value()) sim::RecordUnsupported("pwritev2");
  return sim::Write(fd, pieces, count, offset,
                    [=] { return syscall(SYS_pwritev2, fd, pieces, count, offset, 0L, flags); });
}

ssize_t pwritev64v2(int fd, const iovec* pieces, int count, off64_t offset, int flags) {
  return pwritev2(fd, pieces, count, offset, flags);
}

int fsync(int fd) {
  return sim::OnFile(Call::kSync, fd, 0, [=] { return syscall(SYS_fsync, fd); });
}

int fdatasync(int fd) {
  return sim::OnFile(Call::kSync, fd, 0, [=] { return syscall(SYS_fdatasync, fd); });
}

// sync_file_range and msync promise nothing after a power cut: not recorded.

void sync() noexcept {
  sim::SyncAll([] { return syscall(SYS_sync); });
}

int syncfs(int fd) noexcept {
  return sim::SyncAll([=] { return syscall(SYS_syncfs, fd); });
}

int ftruncate(int fd, off_t size) noexcept {
  return sim::OnFile(Call::kTruncate, fd, size, [=] { return syscall(SYS_ftruncate, fd, size); });
}

int ftruncate64(int fd, off64_t size) noexcept { return ftruncate(fd, size); }

int truncate(const char* path, off_t size) noexcept {
  return sim::OnPath(Call::kTruncate, AT_FDCWD, path, size,
                     [=] { return syscall(SYS_truncate, path, size); });
}

int truncate64(const char* path, off64_t size) noexcept { return truncate(path, size); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
  return sim::Allocate(fd, mode, offset, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  return sim::Allocate(fd, mode, offset, length);
}

int posix_fallocate(int fd, off_t offset, off_t length) {
  const int error = errno;
  const int result = sim::Allocate(fd, 0, offset, length) == 0 ? 0 : errno;
  errno = error;
  return result;
}

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
  return posix_fallocate(fd, offset, length);
}

int rename(const char* from, const char* to) noexcept {
  return sim::Rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_fd, const char* from, int to_fd, const char* to) noexcept {
  return sim::Rename(from_fd, from, to_fd, to, 0);
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) noexcept {
  return sim::Rename(from_fd, from, to_fd, to, flags);
}

int link(const char* from, const char* to) noexcept {
  return sim::Link(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_fd, const char* from, int to_fd, const char* to, int flags) noexcept {
  return sim::Link(from_fd, from, to_fd, to, flags);
}

int symlink(const char* text, const char* path) noexcept {
  return sim::Symlink(text, AT_FDCWD, path);
}

int symlinkat(const char* text, int fd, const char* path) noexcept {
  return sim::Symlink(text, fd, path);
}

int unlinkat(int fd, const char* path, int flags) noexcept {
  return sim::OnPath(Call::kUnlink, fd, path, 0,
                     [=] { return syscall(SYS_unlinkat, fd, path, flags); });
}

int unlink(const char* path) noexcept { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char* path) noexcept { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int remove(const char* path) noexcept {
  if (unlink(path) == 0) return 0;
  return errno == EISDIR ? rmdir(path) : -1;
}

int mkdirat(int fd, const char* path, mode_t mode) noexcept {
  return sim::OnPath(Call::kMakeDirectory, fd, path, 0,
                     [=] { return syscall(SYS_mkdirat, fd, path, mode); });
}

int mkdir(const char* path, mode_t mode) noexcept { return mkdirat(AT_FDCWD, path, mode); }

ssize_t sendfile(int to, int from, off_t* offset, size_t size) noexcept {
  return sim::Copy(to, "sendfile", [=] { return syscall(SYS_sendfile, to, from, offset, size); });
}

ssize_t copy_file_range(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t size,
                        unsigned flags) {
  return sim::Copy(to, "copy_file_range", [=] {
    return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, size, flags);
  });
}

}  // extern "C"
