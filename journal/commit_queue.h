// The way into the journal. Appends queue here; one of the callers that wait
// leads: it takes what waits by then, checks it against the rules, writes it to
// the log as one group, flushes once, tells the others, and names the next to
// lead. So a lone caller needs no other thread, and the more callers there are
// the fewer flushes each costs.
//
// Two threads of the queue's own: the keeper leads for appends nobody waits for,
// flushes relaxed ones in time and gives up an idle tenure; the applier moves the
// log into LMDB.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "apply.h"
#include "base_cache.h"
#include "group.h"
#include "nimbus/schema/mutex.h"
#include "tenure.h"

namespace nimbus::journal {

// Thread-safe.
class CommitQueue {
 public:
  static absl::StatusOr<std::unique_ptr<CommitQueue>> Open(const Environment& environment,
                                                           const Options& options);
  // Refuses new appends, commits those that wait, waits until the last caller has
  // left, and moves the log into LMDB unless another process is writing.
  ~CommitQueue();

  // A caller holds one for as long as it uses the journal to append: the queue,
  // and all that was made before it, stays until then.
  class Visit {
   public:
    explicit Visit(CommitQueue* queue) : queue_(*queue) { ++queue_.visits_; }
    ~Visit();
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    CommitQueue& queue_;
  };

  // Prepares the events, and blocks until they are durable, or refused. See
  // Journal::Append.
  absl::StatusOr<Appended> Append(std::span<const schema::Event> events,
                                  const AppendOptions& options);

  // Blocks while the queue is full. `done` is called by another thread.
  using Done = std::function<void(absl::StatusOr<Appended> result)>;
  absl::Status AppendAsync(std::span<const schema::Event> events, const AppendOptions& options,
                           Done done);

  // What was appended before is on stable storage.
  absl::Status Flush();

  // The log is moved into LMDB, all of it.
  absl::Status Apply();

  // Runs `work` after that, while neither this process nor another writes.
  absl::Status Exclusively(const std::function<absl::Status()>& work);

 private:
  using Clock = std::chrono::steady_clock;
  enum State : uint32_t { kWaiting, kLead, kDone };
  static constexpr uint32_t kClosing = uint32_t{1} << 31;

  struct Request {
    Prepared append;
    AppendOptions options;
    size_t records = 0;
    size_t bytes = 0;
    absl::StatusOr<Appended> result;  // Unknown while there is none
    std::atomic<uint32_t> state = kWaiting;
    Done done;  // of an append nobody waits for; the queue owns it then
  };

  CommitQueue(const Environment& environment, const Options& options,
              std::unique_ptr<Tenure> tenure);

  absl::StatusOr<Prepared> Prepare(std::span<const schema::Event> events);
  absl::StatusOr<Appended> Await(Request* request);
  absl::Status Enqueue(Request* request);
  bool HasRoom(const Request& request) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Of whoever leads.
  void Lead();
  void BecomeLeader();
  void EndLead();
  std::vector<Request*> TakeGroup();
  absl::Status CommitGroup(const std::vector<Request*>& requests);
  absl::Status PlaceGroup(const std::vector<Request*>& requests, Durability* durability);
  absl::Status WriteEntry(std::unique_ptr<const WalEntry> entry, Durability durability);
  absl::Status MakeRoom(size_t bytes);
  absl::Status Bypass(const WalEntry& entry);
  bool IsIdle() const;
  bool RelaxedIsDue() const;
  absl::Status FlushLog();
  absl::Status EndTenure();
  void Finish(const std::vector<Request*>& requests, const absl::Status& status);
  void Complete(Request* request, absl::StatusOr<Appended> result);
  void Latch(const absl::Status& status);

  void Keep();  // the keeper thread
  bool KeeperHasWork(Clock::time_point now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DoKeeping(Clock::time_point now);
  void ApplyLoop();  // the applier thread
  void BeginApplying() ABSL_LOCKS_EXCLUDED(mu_);
  void EndApplying(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  // Constant after construction.
  const Environment& environment_;
  const Options options_;
  schema::SystemClock system_clock_;

  BaseCache bases_;

  // The leader's own.
  const std::unique_ptr<Tenure> tenure_;

  // Of whoever is applying, and who helps.
  LogApplier applier_;

  std::atomic<uint32_t> visits_ = 0;  // and kClosing, once the last one is waited for

  mutable schema::Mutex mu_;
  schema::CondVar keep_;     // for the keeper
  schema::CondVar room_;     // for callers that find the queue full
  schema::CondVar led_;      // for who wants to lead without an append
  schema::CondVar applied_;  // for the applier, and who waits for it
  std::deque<Request*> waiting_ ABSL_GUARDED_BY(mu_);
  size_t waiting_records_ ABSL_GUARDED_BY(mu_) = 0;
  size_t waiting_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t arrived_ ABSL_GUARDED_BY(mu_) = 0;   // appends; they wait for room in turn
  uint64_t admitted_ ABSL_GUARDED_BY(mu_) = 0;  // of these
  uint64_t lead_waiters_ ABSL_GUARDED_BY(mu_) = 0;
  bool leading_ ABSL_GUARDED_BY(mu_) = false;      // or named to
  bool lead_handed_ ABSL_GUARDED_BY(mu_) = false;  // to one of lead_waiters_
  bool keeper_leads_ ABSL_GUARDED_BY(mu_) = false;
  bool keeping_ ABSL_GUARDED_BY(mu_) = false;  // the keeper has a deadline
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  bool applying_ ABSL_GUARDED_BY(mu_) = false;
  bool apply_wanted_ ABSL_GUARDED_BY(mu_) = false;
  bool held_ ABSL_GUARDED_BY(mu_) = false;  // the tenure, as of the last lead
  Clock::time_point led_at_ ABSL_GUARDED_BY(mu_);
  std::optional<Clock::time_point> relaxed_since_ ABSL_GUARDED_BY(mu_);
  absl::Status latched_ ABSL_GUARDED_BY(mu_);  // DataLoss: no append will succeed again

  std::thread keeper_, applier_thread_;  // last: they use all of the above
};

}  // namespace nimbus::journal
