// The files of a layout: NAME-<g>.db, one per generation, and the link NAME.db
// that names the live one. A generation number is never used again, so
// a name always means the same file, and no file is renamed over another that
// may be open.
//
// Thread-compatible; the decisions of several processes are ordered by Lock.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nimbus::projections {

struct Generation {
  uint64_t number = 0;
  std::string path;
  // Of the file, once it exists: tells a file from another made later.
  dev_t device = 0;
  ino_t inode = 0;

  friend bool operator==(const Generation&, const Generation&) = default;
};

// An exclusive flock, held until destroyed.
class FileLock {
 public:
  // Waits for it. PermissionDenied when the file can't be written.
  static absl::StatusOr<FileLock> Take(const std::string& path);
  // Waits at most `timeout_ms` (DeadlineExceeded names the process that holds it then),
  // since a holder may be stopped. Those who wait are served in no order.
  static absl::StatusOr<FileLock> TakeWithin(const std::string& path, int64_t timeout_ms);
  // nullopt when somebody else holds it.
  static absl::StatusOr<std::optional<FileLock>> TryTake(const std::string& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  FileLock& operator=(FileLock&&) = delete;

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  absl::StatusOr<bool> TryLock(const std::string& path) const;

  int descriptor_;
};

class Generations {
 public:
  Generations(std::string store, std::string_view name) : store_(std::move(store)), name_(name) {}

  // To be held from looking at the live generation to making another one live.
  absl::StatusOr<FileLock> Lock() const;

  // To be held, taken before Lock, by whoever fills a generation that is not live: one
  // at a time, so that a generation nobody fills is known to be abandoned.
  absl::StatusOr<FileLock> LockBuilding() const;

  // What NAME.db links to; nullopt when there is no link or no such file.
  // FailedPrecondition when it is something else than our link.
  absl::StatusOr<std::optional<Generation>> Live() const;

  // The first generation without files, to be made.
  absl::StatusOr<Generation> Next() const;

  // Points NAME.db at `generation`, durably, in one step.
  absl::Status MakeLive(const Generation& generation) const;

  // Removes the files of generations older than `live`.
  absl::Status RemoveBefore(const Generation& live) const;

  // Removes the files of generations newer than the live one, unless somebody fills
  // one: whoever did was killed.
  absl::Status RemoveAbandoned() const;

 private:
  std::string LinkPath() const;
  std::string PathOf(uint64_t number) const;
  std::string BuildingPath() const;
  std::optional<uint64_t> NumberOf(std::string_view name) const;
  absl::StatusOr<std::vector<std::string>> FileNames() const;
  // The files of the generations from `first` up to, not including, `end`.
  absl::Status Remove(uint64_t first, uint64_t end) const;

  const std::string store_;
  const std::string name_;
};

}  // namespace nimbus::projections
