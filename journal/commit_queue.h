// The way into the journal: appends queue here, one thread commits them in
// groups. While a group is being flushed the next one gathers, so that the
// more callers there are the fewer flushes each costs.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "group.h"
#include "nimbus/schema/mutex.h"
#include "size_signal.h"

namespace nimbus::journal {

// Thread-safe.
class CommitQueue {
 public:
  CommitQueue(const Environment& environment, const Options& options, SizeSignal* signal);
  // Refuses new appends, commits those that wait, ends the thread, waits until
  // the last caller has left.
  ~CommitQueue();

  // A caller holds one for as long as it uses the journal to append: the queue,
  // and all that was made before it, stays until then.
  class Visit {
   public:
    explicit Visit(CommitQueue* queue);
    ~Visit();
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    CommitQueue& queue_;
  };

  // Blocks until the events are durable, or refused. See Journal::Append.
  absl::StatusOr<Appended> Append(std::span<Run> runs, const AppendOptions& options);

 private:
  struct Request {
    std::span<Run> runs;
    const AppendOptions& options;
    size_t records;
    size_t bytes;
    absl::StatusOr<Appended> result = absl::UnknownError("pending");
    bool done = false;
    schema::CondVar finished{};
  };

  void Work();
  void CommitGroup();
  absl::Status FillAndCommit(Group* group, std::vector<Request*>* taken);
  Request* Take(size_t records, size_t bytes);
  void Finish(const std::vector<Request*>& requests, const absl::Status& status);
  bool HasRoom(size_t records, size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Constant after construction.
  const Environment& environment_;
  const Options options_;
  SizeSignal& signal_;

  // The writer thread's own.
  schema::SystemClock system_clock_;
  TileWriter tiles_;

  schema::Mutex mu_;
  schema::CondVar arrived_;  // for the writer
  schema::CondVar room_;     // for callers
  schema::CondVar left_;     // for the destructor
  std::deque<Request*> waiting_ ABSL_GUARDED_BY(mu_);
  size_t waiting_records_ ABSL_GUARDED_BY(mu_) = 0;
  size_t waiting_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t visits_ ABSL_GUARDED_BY(mu_) = 0;
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status latched_ ABSL_GUARDED_BY(mu_);  // DataLoss: no append will succeed again

  std::thread writer_;  // last: it uses all of the above
};

}  // namespace nimbus::journal
