#include "bench/group_queue.h"

#include <utility>

namespace nimbus::bench {

GroupQueue::GroupQueue(Commit commit) : commit_(std::move(commit)), thread_([this] { Run(); }) {}

GroupQueue::~GroupQueue() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  queued_.notify_one();
  thread_.join();
}

absl::Status GroupQueue::Put(const std::vector<Bytes>& values) {
  Waiter waiter{.values = values};
  std::unique_lock lock(mutex_);
  queue_.push_back(&waiter);
  if (queue_.size() == 1) queued_.notify_one();
  waiter.done.wait(lock, [&] { return waiter.result.has_value(); });
  return *std::move(waiter.result);
}

void GroupQueue::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    queued_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const std::vector<Waiter*> group = TakeGroup();
    lock.unlock();
    std::vector<const Bytes*> values;
    for (const Waiter* waiter : group) {
      for (const Bytes& value : waiter->values) values.push_back(&value);
    }
    const absl::Status status = commit_(values);
    lock.lock();
    for (Waiter* waiter : group) {
      waiter->result = status;
      waiter->done.notify_one();
    }
  }
}

std::vector<GroupQueue::Waiter*> GroupQueue::TakeGroup() {
  std::vector<Waiter*> group;
  size_t events = 0, bytes = 0;
  while (!queue_.empty() && events < kGroupEventsMax && bytes < kGroupBytesMax) {
    Waiter* waiter = queue_.front();
    events += waiter->values.size();
    for (const Bytes& value : waiter->values) bytes += value.size();
    group.push_back(waiter);
    queue_.pop_front();
  }
  return group;
}

}  // namespace nimbus::bench
