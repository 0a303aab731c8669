#include "generations.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

using schema::Error;

constexpr std::string_view kSuffix = ".db";
constexpr int kLockPollMs = 2;

absl::Status SystemError(int error, std::string_view doing, const std::string& path) {
  absl::StatusCode code = absl::StatusCode::kInternal;
  if (error == EACCES || error == EPERM || error == EROFS) {
    code = absl::StatusCode::kPermissionDenied;
  } else if (error == ENOENT || error == ENOTDIR) {
    code = absl::StatusCode::kNotFound;
  } else if (error == ENOSPC || error == EDQUOT || error == EMFILE || error == ENFILE) {
    code = absl::StatusCode::kResourceExhausted;
  }
  return Error(code, "{} {}: {}", doing, path, std::generic_category().message(error));
}

absl::Status SyncDirectory(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return SystemError(errno, "opening", path);
  const int error = fsync(descriptor) == 0 ? 0 : errno;
  close(descriptor);
  return error == 0 ? absl::OkStatus() : SystemError(error, "syncing", path);
}

// Who has taken the lock file last, as TakeWithin has it.
std::string HolderOf(int descriptor) {
  char text[32];
  const ssize_t size = pread(descriptor, text, sizeof text, 0);
  const std::string_view written(text, static_cast<size_t>(std::max<ssize_t>(size, 0)));
  const std::string_view digits =
      written.substr(std::min(written.find_first_not_of(' '), written.size()));
  int64_t process = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), process);
  if (error != std::errc()) return "another process";
  return fmt::format("process {}", process);
}

}  // namespace

absl::StatusOr<FileLock> FileLock::Take(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return SystemError(errno, "opening", path);
  FileLock lock(descriptor);
  while (flock(descriptor, LOCK_EX) != 0) {
    if (errno != EINTR) return SystemError(errno, "locking", path);
  }
  return lock;
}

absl::StatusOr<std::optional<FileLock>> FileLock::TryTake(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return SystemError(errno, "opening", path);
  FileLock lock(descriptor);
  NIMBUS_ASSIGN_OR_RETURN(const bool locked, lock.TryLock(path));
  if (!locked) return std::nullopt;
  return lock;
}

absl::StatusOr<FileLock> FileLock::TakeWithin(const std::string& path, int64_t timeout_ms) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return SystemError(errno, "opening", path);
  FileLock lock(descriptor);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const bool locked, lock.TryLock(path));
    if (locked) break;
    if (std::chrono::steady_clock::now() >= deadline) {
      return Error(absl::StatusCode::kDeadlineExceeded,
                   "{} is held by {} after {} ms; if it is stopped, continue or end it", path,
                   HolderOf(descriptor), timeout_ms);
    }
    poll(nullptr, 0, kLockPollMs);  // flock knows no timeout
  }
  // For those who wait in vain. What an earlier holder wrote is overwritten by the next.
  const std::string process = fmt::format("{:>20}\n", getpid());
  if (pwrite(descriptor, process.data(), process.size(), 0) < 0) {
    return SystemError(errno, "writing", path);
  }
  return lock;
}

absl::StatusOr<bool> FileLock::TryLock(const std::string& path) const {
  while (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return SystemError(errno, "locking", path);
  }
  return true;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);  // which also unlocks
}

// The number in "NAME-<g>.db" or in the name of a file SQLite keeps beside it.
std::optional<uint64_t> Generations::NumberOf(std::string_view name) const {
  if (!name.starts_with(name_) || !name.substr(name_.size()).starts_with('-')) return std::nullopt;
  name.remove_prefix(name_.size() + 1);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || number == 0) return std::nullopt;
  name.remove_prefix(static_cast<size_t>(end - name.data()));
  if (name != ".db" && name != ".db-wal" && name != ".db-shm" && name != ".db-journal") {
    return std::nullopt;
  }
  return number;
}

std::string Generations::PathOf(uint64_t number) const {
  return fmt::format("{}/{}-{}{}", store_, name_, number, kSuffix);
}

std::string Generations::LinkPath() const { return fmt::format("{}/{}{}", store_, name_, kSuffix); }

absl::StatusOr<FileLock> Generations::Lock() const {
  return FileLock::Take(fmt::format("{}/{}.lock", store_, name_));
}

std::string Generations::BuildingPath() const { return fmt::format("{}/{}.build", store_, name_); }

absl::StatusOr<FileLock> Generations::LockBuilding() const {
  return FileLock::Take(BuildingPath());
}

absl::StatusOr<std::optional<Generation>> Generations::Live() const {
  const std::string link = LinkPath();
  char target[64];
  const ssize_t size = readlink(link.c_str(), target, sizeof target);
  if (size < 0 && errno == ENOENT) return std::nullopt;
  if (size < 0 && errno != EINVAL) return SystemError(errno, "reading", link);
  const std::string_view name(target, size < 0 ? 0 : static_cast<size_t>(size));
  const std::optional<uint64_t> number = NumberOf(name);
  if (!number || !name.ends_with(kSuffix)) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} is not a link to the {} Nimbus made; move it away", link, name_);
  }
  Generation live{.number = *number, .path = PathOf(*number)};
  struct stat status;
  if (stat(live.path.c_str(), &status) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return SystemError(errno, "reading", live.path);
  }
  live.device = status.st_dev;
  live.inode = status.st_ino;
  return live;
}

absl::StatusOr<std::vector<std::string>> Generations::FileNames() const {
  std::error_code error;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator it(store_, error), end; !error && it != end;
       it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) return SystemError(error.value(), "listing", store_);
  return names;
}

absl::StatusOr<Generation> Generations::Next() const {
  NIMBUS_ASSIGN_OR_RETURN(std::vector<std::string> names, FileNames());
  // The link counts too: what it names may have been deleted, but still be open.
  std::error_code error;
  const auto target = std::filesystem::read_symlink(LinkPath(), error);
  if (!error) names.push_back(target.string());
  uint64_t newest = 0;
  for (const std::string& name : names) newest = std::max(newest, NumberOf(name).value_or(0));
  return Generation{.number = newest + 1, .path = PathOf(newest + 1)};
}

absl::Status Generations::MakeLive(const Generation& generation) const {
  // The name is free to use: whoever changes the link holds the lock.
  const std::string fresh = LinkPath() + ".new";
  const std::string target = fmt::format("{}-{}{}", name_, generation.number, kSuffix);
  if (unlink(fresh.c_str()) != 0 && errno != ENOENT) return SystemError(errno, "removing", fresh);
  if (symlink(target.c_str(), fresh.c_str()) != 0) return SystemError(errno, "making", fresh);
  const std::string link = LinkPath();
  if (rename(fresh.c_str(), link.c_str()) != 0) return SystemError(errno, "replacing", link);
  return SyncDirectory(store_);
}

absl::Status Generations::Remove(uint64_t first, uint64_t end) const {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<std::string> names, FileNames());
  for (const std::string& name : names) {
    const std::optional<uint64_t> number = NumberOf(name);
    if (!number || *number < first || *number >= end) continue;
    const std::string path = fmt::format("{}/{}", store_, name);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return SystemError(errno, "removing", path);
  }
  return absl::OkStatus();
}

absl::Status Generations::RemoveBefore(const Generation& live) const {
  return Remove(0, live.number);
}

absl::Status Generations::RemoveAbandoned() const {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<FileLock> building,
                          FileLock::TryTake(BuildingPath()));
  if (!building) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const FileLock lock, Lock());
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Generation> live, Live());
  return live ? Remove(live->number + 1, UINT64_MAX) : absl::OkStatus();
}

}  // namespace nimbus::projections
