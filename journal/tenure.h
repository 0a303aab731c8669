// The right to write: to the log, and to LMDB once it is made. A process takes it
// when it has something to append, keeps it while it is busy, and gives it up
// when another process waits for it or there is nothing to do.
//
//   NIMBUS_RETURN_IF_ERROR(tenure.Take());     // waits its turn
//   … environment.TakeWriterSnapshot(), wal().Write(…) …
//   if (tenure.IsWanted()) tenure.End();
//
// Two lock files make it fair: writer.lock is held for as long as the tenure,
// turn.lock only while waiting for it. So whoever waits is next, and the holder
// can see that somebody does.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "environment.h"
#include "file_lock.h"

namespace nimbus::journal {

// One thread at a time.
class Tenure {
 public:
  static absl::StatusOr<std::unique_ptr<Tenure>> Open(const Environment& environment);
  ~Tenure();

  // Waits for it, unless it is held, and takes in what others have written.
  // ResourceExhausted when there is no room for a log; DataLoss when the log is
  // damaged.
  absl::Status Take();
  // Whether another process had it a moment ago: then it is worth giving it up
  // as soon as there is nothing to write.
  bool IsShared() const { return std::chrono::steady_clock::now() < shared_until_; }
  // Without waiting; false when another process has it.
  absl::StatusOr<bool> TryTake();
  bool held() const { return held_.load(std::memory_order_acquire); }  // any thread
  // Whether a generation that this process has made took the place of its own: it
  // must be ended then.
  bool IsStale() const { return generation_ != environment_.generation()->number; }
  bool IsWanted();  // by another process
  void End();

 private:
  explicit Tenure(const Environment& environment) : environment_(environment) {}
  absl::Status OpenFiles();
  absl::StatusOr<bool> IsOfLiveGeneration();
  absl::Status Begin();
  absl::Status TakeIn();

  const Environment& environment_;
  uint64_t generation_ = UINT64_MAX;  // whose the files are
  std::unique_ptr<LockFile> turn_;
  std::unique_ptr<LockFile> writer_;
  std::chrono::steady_clock::time_point shared_until_;
  std::atomic<bool> held_ = false;
};

}  // namespace nimbus::journal
