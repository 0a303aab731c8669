#include "size_signal.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace nimbus::journal {

void SizeSignal::Notify() {
  const absl::MutexLock lock(&mu_);
  ++generation_;
  changed_.SignalAll();
}

void SizeSignal::Wake() {
  const absl::MutexLock lock(&mu_);
  ++wakes_;
  ++generation_;
  changed_.SignalAll();
}

uint64_t SizeSignal::wakes() const {
  const absl::MutexLock lock(&mu_);
  return wakes_;
}

uint64_t SizeSignal::generation() const {
  const absl::MutexLock lock(&mu_);
  return generation_;
}

void SizeSignal::Wait(uint64_t generation, int64_t timeout_ms) const {
  const absl::Time deadline = absl::Now() + absl::Milliseconds(timeout_ms);
  const absl::MutexLock lock(&mu_);
  while (generation_ == generation) {
    if (changed_.WaitWithDeadline(&mu_, deadline)) return;
  }
}

}  // namespace nimbus::journal
