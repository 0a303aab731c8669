// Grouping as the peers without their own do it: callers queue, one thread
// stores all that wait as one group and wakes them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "bench/peer.h"

namespace nimbus::bench {

inline constexpr size_t kGroupEventsMax = 512;  // as journal::Options
inline constexpr size_t kGroupBytesMax = 1u << 20;

// Thread-safe.
class GroupQueue {
 public:
  // Stores the values in their order, and returns when they are as durable as
  // promised. Called on the queue's thread.
  using Commit = std::function<absl::Status(const std::vector<const Bytes*>& values)>;

  explicit GroupQueue(Commit commit);
  // Commits what waits. No Put may be in progress.
  ~GroupQueue();

  // Returns when the values are committed, all in one group.
  absl::Status Put(const std::vector<Bytes>& values);

 private:
  struct Waiter {
    const std::vector<Bytes>& values;
    std::optional<absl::Status> result{};
    std::condition_variable done{};
  };

  void Run();
  std::vector<Waiter*> TakeGroup();

  const Commit commit_;
  std::mutex mutex_;
  std::condition_variable queued_;
  std::deque<Waiter*> queue_;  // guarded by mutex_
  bool closing_ = false;       // guarded by mutex_
  std::thread thread_;         // last: it uses all of the above
};

}  // namespace nimbus::bench
