#include "commit_queue.h"

#include <algorithm>
#include <utility>

#include "futex.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

// After so long without an append the tenure is given up.
constexpr std::chrono::milliseconds kIdle{5};
// A relaxed append is flushed so long after it was written; the promise is 100.
constexpr std::chrono::milliseconds kRelaxed{50};

}  // namespace

absl::StatusOr<std::unique_ptr<CommitQueue>> CommitQueue::Open(const Environment& environment,
                                                               const Options& options) {
  NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<Tenure> tenure, Tenure::Open(environment));
  return std::unique_ptr<CommitQueue>(new CommitQueue(environment, options, std::move(tenure)));
}

CommitQueue::CommitQueue(const Environment& environment, const Options& options,
                         std::unique_ptr<Tenure> tenure)
    : environment_(environment),
      options_(options),
      bases_(options.base_cache_bytes_max),
      tenure_(std::move(tenure)),
      applier_(environment, options.compression_level),
      keeper_([this] { Keep(); }),
      applier_thread_([this] { ApplyLoop(); }) {}

CommitQueue::~CommitQueue() {
  {
    const schema::MutexLock lock(&mu_);
    closing_ = true;
    room_.SignalAll();
    keep_.Signal();
  }
  keeper_.join();  // when all that waited is committed
  visits_ |= kClosing;
  for (uint32_t visits = visits_; visits != kClosing; visits = visits_) {
    FutexWait(visits_, visits, std::nullopt, FutexScope::kProcess);
  }
  {
    const schema::MutexLock lock(&mu_);
    closed_ = true;
    applied_.SignalAll();
  }
  applier_thread_.join();
  // Another process that is writing moves the log itself, sooner or later.
  if (!tenure_->held() && !tenure_->TryTake().value_or(false)) return;
  // What can't be applied, for want of room or anything else, stays in the log.
  if (!applier_.Apply().ok()) static_cast<void>(environment_.wal()->Flush());
}

CommitQueue::Visit::~Visit() {
  // The queue may be gone right after.
  std::atomic<uint32_t>* visits = &queue_.visits_;
  if (visits->fetch_sub(1) == kClosing + 1) FutexWakeAll(visits, FutexScope::kProcess);
}

bool CommitQueue::HasRoom(const Request& request) const {
  // An append larger than the queue passes alone.
  if (waiting_.empty()) return true;
  return waiting_records_ + request.records <= options_.queue_records_max &&
         waiting_bytes_ + request.bytes <= options_.queue_bytes_max;
}

// Puts the request into the queue, when all that came before it are in: what is
// small would else pass what is large for ever. Its caller leads if nobody does.
absl::Status CommitQueue::Enqueue(Request* request) {
  request->records = request->append.records();
  request->bytes = request->append.bytes();
  const schema::MutexLock lock(&mu_);
  const uint64_t turn = arrived_++;
  while (!closing_ && latched_.ok() && (turn != admitted_ || !HasRoom(*request))) room_.Wait(&mu_);
  ++admitted_;  // of no meaning any more once all are refused
  if (admitted_ != arrived_) room_.SignalAll();
  if (!latched_.ok()) return latched_;
  if (closing_) return absl::CancelledError("the journal is closing");
  waiting_.push_back(request);
  waiting_records_ += request->records;
  waiting_bytes_ += request->bytes;
  if (leading_) return absl::OkStatus();
  leading_ = true;
  if (request->done == nullptr) {
    request->state.store(kLead, std::memory_order_relaxed);
  } else {
    keeper_leads_ = true;
    keep_.Signal();
  }
  return absl::OkStatus();
}

absl::StatusOr<Prepared> CommitQueue::Prepare(std::span<const schema::Event> events) {
  return Preparer(options_, &bases_, environment_.generation()->bases_begin).Prepare(events);
}

absl::StatusOr<Appended> CommitQueue::Append(std::span<const schema::Event> events,
                                             const AppendOptions& options) {
  Request request;
  NIMBUS_ASSIGN_OR_RETURN(request.append, Prepare(events));
  request.options = options;
  NIMBUS_ASSIGN_OR_RETURN(const Appended appended, Await(&request));
  NoteWritten(request.append, appended.first, &bases_);
  return appended;
}

// Queues the request, leads when it is named to, and returns its result.
absl::StatusOr<Appended> CommitQueue::Await(Request* request) {
  NIMBUS_RETURN_IF_ERROR(Enqueue(request));
  for (;;) {
    switch (request->state.load(std::memory_order_acquire)) {
      case kDone:
        return std::move(request->result);
      case kLead:
        Lead();
        NIMBUS_CHECK(request->state.load(std::memory_order_acquire) == kDone);
        break;
      default:
        FutexWait(request->state, kWaiting, std::nullopt, FutexScope::kProcess);
    }
  }
}

absl::Status CommitQueue::AppendAsync(std::span<const schema::Event> events,
                                      const AppendOptions& options, Done done) {
  auto request = std::make_unique<Request>();
  NIMBUS_ASSIGN_OR_RETURN(request->append, Prepare(events));
  request->options = options;
  request->done = std::move(done);
  NIMBUS_RETURN_IF_ERROR(Enqueue(request.get()));
  static_cast<void>(request.release());  // Complete deletes it
  return absl::OkStatus();
}

// Waits until nobody leads, then does so without an append.
void CommitQueue::BecomeLeader() {
  const schema::MutexLock lock(&mu_);
  ++lead_waiters_;
  while (leading_ && !lead_handed_) led_.Wait(&mu_);
  --lead_waiters_;
  lead_handed_ = false;
  leading_ = true;
}

// Names the next to lead: who waits to without an append, else whoever appended
// first of those that wait.
void CommitQueue::EndLead() {
  std::atomic<uint32_t>* next = nullptr;
  {
    const schema::MutexLock lock(&mu_);
    held_ = tenure_->held();
    led_at_ = Clock::now();
    if (lead_waiters_ > 0) {
      // Still leading: a caller that came in between would lead a group of those
      // that wait longer, and might not be in it.
      lead_handed_ = true;
      led_.Signal();
      return;
    }
    if (waiting_.empty()) {
      leading_ = false;
      const bool wake = closing_ || ((held_ || relaxed_since_.has_value()) && !keeping_);
      if (wake) keep_.Signal();
      return;
    }
    if (waiting_.front()->done != nullptr) {
      keeper_leads_ = true;
      keep_.Signal();
    } else {
      next = &waiting_.front()->state;
      next->store(kLead, std::memory_order_release);
    }
  }
  if (next != nullptr) FutexWakeAll(next, FutexScope::kProcess);
}

void CommitQueue::Lead() {
  const std::vector<Request*> requests = TakeGroup();
  const absl::Status status = CommitGroup(requests);
  if (absl::IsDataLoss(status)) Latch(status);
  if (tenure_->held() && (tenure_->IsWanted() || (tenure_->IsShared() && IsIdle()))) {
    const absl::Status ended = EndTenure();
    if (absl::IsDataLoss(ended)) Latch(ended);
  }
  EndLead();
  Finish(requests, status);
}

// Whether the tenure can be given up at no cost but that of taking it again.
bool CommitQueue::IsIdle() const {
  const schema::MutexLock lock(&mu_);
  return waiting_.empty() && !applying_ && !apply_wanted_ && !relaxed_since_.has_value();
}

// What waits, as much as fits one group.
std::vector<CommitQueue::Request*> CommitQueue::TakeGroup() {
  std::vector<Request*> requests;
  size_t records = 0, bytes = 0;
  const schema::MutexLock lock(&mu_);
  while (!waiting_.empty()) {
    Request* request = waiting_.front();
    const bool fits = records + request->records <= options_.group_records_max &&
                      bytes + request->bytes <= options_.group_bytes_max;
    if (records > 0 && !fits) break;
    waiting_.pop_front();
    requests.push_back(request);
    records += request->records;
    bytes += request->bytes;
  }
  waiting_records_ -= records;
  waiting_bytes_ -= bytes;
  if (admitted_ != arrived_) room_.SignalAll();
  return requests;
}

// Sets the result of each; the error is that of the group.
absl::Status CommitQueue::CommitGroup(const std::vector<Request*>& requests) {
  {
    const schema::MutexLock lock(&mu_);
    NIMBUS_RETURN_IF_ERROR(latched_);
  }
  Durability durability = Durability::kRelaxed;
  NIMBUS_RETURN_IF_ERROR(PlaceGroup(requests, &durability));
  // Also for a retry of an append that was written, and not flushed; and when
  // relaxed ones are due, and the keeper has no chance between the groups.
  // Without the tenure there is nothing to flush: it is not given up before.
  const bool flush = durability == Durability::kDurable || RelaxedIsDue();
  if (flush && tenure_->held()) NIMBUS_RETURN_IF_ERROR(FlushLog());
  const uint64_t durable = environment_.wal()->durable();
  for (Request* request : requests) {
    if (!request->result.ok()) continue;
    request->result->durable = request->result->first + request->result->count <= durable;
  }
  return absl::OkStatus();
}

// Checks the appends against the rules and writes those that pass. Sets
// `durability` to the strictest that one of them asks for.
absl::Status CommitQueue::PlaceGroup(const std::vector<Request*>& requests,
                                     Durability* durability) {
  std::optional<Group> group;
  for (Request* request : requests) {
    if (request->append.runs.empty()) {  // a Flush
      request->result = Appended{};
    } else {
      if (!group.has_value()) {
        NIMBUS_RETURN_IF_ERROR(tenure_->Take());
        group.emplace(environment_, options_.clock != nullptr ? options_.clock : &system_clock_);
        NIMBUS_RETURN_IF_ERROR(group->Begin());
      }
      request->result = group->Add(std::span(request->append.runs), request->options);
    }
    if (request->result.ok() && request->options.durability == Durability::kDurable) {
      *durability = Durability::kDurable;
    }
  }
  if (!group.has_value() || group->empty()) return absl::OkStatus();
  return WriteEntry(group->Finish(), *durability);
}

absl::Status CommitQueue::WriteEntry(std::unique_ptr<const WalEntry> entry, Durability durability) {
  if (entry->bytes().size() > kWalEntryBytesMax) return Bypass(*entry);
  // The wait for room falls on few appends, and on those in full: what the applier
  // is behind with is better made up for a little at a time.
  applier_.KeepPace(environment_.wal()->Fill());
  NIMBUS_RETURN_IF_ERROR(MakeRoom(entry->bytes().size()));
  NIMBUS_ASSIGN_OR_RETURN(const bool turned, environment_.wal()->Write(std::move(entry)));
  const schema::MutexLock lock(&mu_);
  if (durability == Durability::kRelaxed && !relaxed_since_.has_value()) {
    relaxed_since_ = Clock::now();
  }
  if (turned) {
    apply_wanted_ = true;
    applied_.SignalAll();
  }
  return absl::OkStatus();
}

// Waits until the half of the log that is used next has been applied.
absl::Status CommitQueue::MakeRoom(size_t bytes) {
  if (environment_.wal()->HasRoom(bytes)) return absl::OkStatus();
  applier_.Help();
  BeginApplying();
  const absl::Status status =
      environment_.wal()->HasRoom(bytes) ? absl::OkStatus() : applier_.Apply();
  EndApplying(status);
  return status;
}

absl::Status CommitQueue::Bypass(const WalEntry& entry) {
  BeginApplying();
  const absl::Status status = applier_.Apply(&entry);
  EndApplying(status);
  if (status.ok()) {
    const schema::MutexLock lock(&mu_);
    relaxed_since_.reset();
  }
  return status;
}

bool CommitQueue::RelaxedIsDue() const {
  const schema::MutexLock lock(&mu_);
  return relaxed_since_.has_value() && Clock::now() >= *relaxed_since_ + kRelaxed;
}

absl::Status CommitQueue::FlushLog() {
  const absl::Status status = environment_.wal()->Flush();
  const schema::MutexLock lock(&mu_);
  relaxed_since_.reset();  // also after an error: there is no second try
  return status;
}

// Lets another process write. The applier has to be done: it needs the tenure.
absl::Status CommitQueue::EndTenure() {
  const absl::Status flushed = FlushLog();
  BeginApplying();
  tenure_->End();
  EndApplying(absl::OkStatus());
  return flushed;
}

void CommitQueue::Latch(const absl::Status& status) {
  std::deque<Request*> refused;
  absl::Status latched;
  {
    const schema::MutexLock lock(&mu_);
    if (latched_.ok()) {
      latched_ = schema::Annotate(status, "the journal takes no more appends; reopen it");
    }
    latched = latched_;
    refused.swap(waiting_);
    waiting_records_ = waiting_bytes_ = 0;
    // Who is named to lead has to, so that there is an end to it; it is refused then.
    if (!refused.empty() && refused.front()->state.load(std::memory_order_relaxed) == kLead) {
      waiting_.push_back(refused.front());
      waiting_records_ = refused.front()->records;
      waiting_bytes_ = refused.front()->bytes;
      refused.pop_front();
    }
    room_.SignalAll();
  }
  for (Request* request : refused) Complete(request, latched);
}

void CommitQueue::Finish(const std::vector<Request*>& requests, const absl::Status& status) {
  for (Request* request : requests) {
    // A refused append keeps its own reason; it was never part of the group.
    const bool refused = !request->result.ok() && !absl::IsUnknown(request->result.status());
    Complete(request, status.ok() || refused ? std::move(request->result) : status);
  }
}

void CommitQueue::Complete(Request* request, absl::StatusOr<Appended> result) {
  if (request->done != nullptr) {
    const std::unique_ptr<Request> owned(request);
    if (result.ok()) NoteWritten(owned->append, result->first, &bases_);
    owned->done(std::move(result));
    return;
  }
  request->result = std::move(result);
  std::atomic<uint32_t>* state = &request->state;
  // From here on the caller may return, and the request be gone.
  if (state->exchange(kDone, std::memory_order_acq_rel) == kWaiting) {
    FutexWakeAll(state, FutexScope::kProcess);
  }
}

absl::Status CommitQueue::Flush() {
  Request request;  // of no events: what waits before it is written before
  return Await(&request).status();
}

absl::Status CommitQueue::Apply() {
  return Exclusively([] { return absl::OkStatus(); });
}

absl::Status CommitQueue::Exclusively(const std::function<absl::Status()>& work) {
  BecomeLeader();
  absl::Status status = tenure_->Take();
  absl::Status worked;
  if (status.ok()) {
    BeginApplying();
    status = applier_.Apply();
    if (status.ok()) worked = work();
    if (tenure_->IsStale()) tenure_->End();
    EndApplying(status);
  }
  if (absl::IsDataLoss(status)) Latch(status);
  EndLead();
  return status.ok() ? worked : status;
}

void CommitQueue::BeginApplying() {
  const schema::MutexLock lock(&mu_);
  while (applying_) applied_.Wait(&mu_);
  applying_ = true;
}

void CommitQueue::EndApplying(const absl::Status& status) {
  if (absl::IsDataLoss(status)) Latch(status);
  const schema::MutexLock lock(&mu_);
  applying_ = false;
  applied_.SignalAll();
}

void CommitQueue::ApplyLoop() {
  for (;;) {
    {
      const schema::MutexLock lock(&mu_);
      while (!closed_ && (!apply_wanted_ || applying_)) applied_.Wait(&mu_);
      if (closed_) return;
      apply_wanted_ = false;
      applying_ = true;
    }
    // If the tenure has ended since, whoever has it now applies.
    const absl::Status status = tenure_->held() ? applier_.Apply() : absl::OkStatus();
    // What does not fit now is tried again when the log needs room.
    EndApplying(status);
  }
}

bool CommitQueue::KeeperHasWork(Clock::time_point now) {
  if (keeper_leads_) return true;
  if (leading_) return false;
  if (closing_) return !waiting_.empty();
  const bool flush = relaxed_since_.has_value() && now >= *relaxed_since_ + kRelaxed;
  return flush || (held_ && now >= led_at_ + kIdle);
}

void CommitQueue::Keep() {
  for (;;) {
    Clock::time_point now = Clock::now();
    bool lead = false;
    {
      const schema::MutexLock lock(&mu_);
      while (!KeeperHasWork(now)) {
        if (closing_ && waiting_.empty() && !leading_) return;
        keeping_ = held_ || relaxed_since_.has_value();
        if (keeping_) {
          keep_.WaitUntil(&mu_, Clock::now() + kIdle);
        } else {
          keep_.Wait(&mu_);
        }
        keeping_ = false;
        now = Clock::now();
      }
      lead = std::exchange(keeper_leads_, false);
      leading_ = true;
    }
    if (lead) {
      Lead();
    } else {
      DoKeeping(now);
    }
  }
}

// With the lead.
void CommitQueue::DoKeeping(Clock::time_point now) {
  bool idle = false;
  {
    const schema::MutexLock lock(&mu_);
    idle = waiting_.empty() && now >= led_at_ + kIdle;
  }
  absl::Status status;
  if (tenure_->held()) status = idle ? EndTenure() : FlushLog();
  if (absl::IsDataLoss(status)) Latch(status);
  EndLead();
}

}  // namespace nimbus::journal
