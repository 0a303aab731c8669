// Wakes those who wait for the journal to grow.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "nimbus/schema/mutex.h"

namespace nimbus::journal {

// Thread-safe.
class SizeSignal {
 public:
  // The journal has grown.
  void Notify();
  // Waits are to end.
  void Wake();
  // Counts calls of Notify and Wake.
  uint64_t generation() const;
  // Counts calls of Wake.
  uint64_t wakes() const;
  // Waits until either has been called since `generation`, or `timeout_ms` passed.
  void Wait(uint64_t generation, int64_t timeout_ms) const;

 private:
  mutable schema::Mutex mu_;
  mutable schema::CondVar changed_;
  uint64_t generation_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t wakes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace nimbus::journal
