#include "size_signal.h"

#include <chrono>

namespace nimbus::journal {

void SizeSignal::Notify() {
  const schema::MutexLock lock(&mu_);
  ++generation_;
  changed_.SignalAll();
}

void SizeSignal::Wake() {
  const schema::MutexLock lock(&mu_);
  ++wakes_;
  ++generation_;
  changed_.SignalAll();
}

uint64_t SizeSignal::wakes() const {
  const schema::MutexLock lock(&mu_);
  return wakes_;
}

uint64_t SizeSignal::generation() const {
  const schema::MutexLock lock(&mu_);
  return generation_;
}

void SizeSignal::Wait(uint64_t generation, int64_t timeout_ms) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  const schema::MutexLock lock(&mu_);
  while (generation_ == generation) {
    if (changed_.WaitUntil(&mu_, deadline)) return;
  }
}

}  // namespace nimbus::journal
