#include "commit_queue.h"

#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

size_t RecordsIn(std::span<const Run> runs) {
  size_t records = 0;
  for (const Run& run : runs) records += run.records.size();
  return records;
}

size_t BytesOf(std::span<const Run> runs) {
  size_t bytes = 0;
  for (const Run& run : runs) {
    bytes += run.record_bytes() + (run.block.has_value() ? run.block->stored.size() : 0);
  }
  return bytes;
}

}  // namespace

CommitQueue::CommitQueue(const Environment& environment, const Options& options, SizeSignal* signal)
    : environment_(environment), options_(options), signal_(*signal), writer_([this] { Work(); }) {}

CommitQueue::~CommitQueue() {
  {
    const schema::MutexLock lock(&mu_);
    closing_ = true;
    arrived_.Signal();
    room_.SignalAll();
  }
  writer_.join();
  const schema::MutexLock lock(&mu_);
  while (visits_ > 0) left_.Wait(&mu_);
}

CommitQueue::Visit::Visit(CommitQueue* queue) : queue_(*queue) {
  const schema::MutexLock lock(&queue_.mu_);
  ++queue_.visits_;
}

CommitQueue::Visit::~Visit() {
  const schema::MutexLock lock(&queue_.mu_);
  if (--queue_.visits_ == 0) queue_.left_.Signal();
}

bool CommitQueue::HasRoom(size_t records, size_t bytes) const {
  // An append larger than the queue passes alone.
  if (waiting_.empty()) return true;
  return waiting_records_ + records <= options_.queue_records_max &&
         waiting_bytes_ + bytes <= options_.queue_bytes_max;
}

absl::StatusOr<Appended> CommitQueue::Append(std::span<Run> runs, const AppendOptions& options) {
  Request request{
      .runs = runs, .options = options, .records = RecordsIn(runs), .bytes = BytesOf(runs)};
  const schema::MutexLock lock(&mu_);
  while (!closing_ && latched_.ok() && !HasRoom(request.records, request.bytes)) room_.Wait(&mu_);
  if (!latched_.ok()) return latched_;
  if (closing_) return absl::CancelledError("the journal is closing");
  waiting_.push_back(&request);
  waiting_records_ += request.records;
  waiting_bytes_ += request.bytes;
  arrived_.Signal();
  while (!request.done) request.finished.Wait(&mu_);
  return std::move(request.result);
}

void CommitQueue::Work() {
  for (;;) {
    {
      const schema::MutexLock lock(&mu_);
      while (waiting_.empty() && !closing_) arrived_.Wait(&mu_);
      if (waiting_.empty()) return;
    }
    CommitGroup();
  }
}

// The next append that fits a group already holding so much; nullptr when none does.
CommitQueue::Request* CommitQueue::Take(size_t records, size_t bytes) {
  const schema::MutexLock lock(&mu_);
  if (waiting_.empty()) return nullptr;
  Request* request = waiting_.front();
  const bool fits = records + request->records <= options_.group_records_max &&
                    bytes + request->bytes <= options_.group_bytes_max;
  if (records > 0 && !fits) return nullptr;
  waiting_.pop_front();
  waiting_records_ -= request->records;
  waiting_bytes_ -= request->bytes;
  room_.SignalAll();
  return request;
}

void CommitQueue::CommitGroup() {
  schema::Clock* clock = options_.clock != nullptr ? options_.clock : &system_clock_;
  Group group(environment_, &tiles_, clock);
  std::vector<Request*> taken;
  const absl::Status status = FillAndCommit(&group, &taken);
  if (status.ok()) signal_.Notify();
  Finish(taken, status);
}

absl::Status CommitQueue::FillAndCommit(Group* group, std::vector<Request*>* taken) {
  const absl::Status begun = group->Begin();
  size_t records = 0, bytes = 0;
  while (Request* request = Take(records, bytes)) {
    taken->push_back(request);
    if (!begun.ok()) return begun;  // fail one; the next begins anew
    records += request->records;
    bytes += request->bytes;
    request->result = group->Add(request->runs, request->options);
    NIMBUS_RETURN_IF_ERROR(group->failed());
  }
  return group->Commit();
}

void CommitQueue::Finish(const std::vector<Request*>& requests, const absl::Status& status) {
  const schema::MutexLock lock(&mu_);
  if (absl::IsDataLoss(status)) {
    latched_ = schema::Annotate(status, "the journal takes no more appends; reopen it");
    room_.SignalAll();
  }
  for (Request* request : requests) {
    // A refused append keeps its own reason; it was never part of the group.
    if (!status.ok() && request->result.ok()) request->result = status;
    request->done = true;
    request->finished.Signal();
  }
  if (latched_.ok()) return;
  for (Request* request : waiting_) {
    request->result = latched_;
    request->done = true;
    request->finished.Signal();
  }
  waiting_.clear();
  waiting_records_ = waiting_bytes_ = 0;
}

}  // namespace nimbus::journal
