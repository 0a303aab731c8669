#include "futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace nimbus::journal {
namespace {

int FlagOf(FutexScope scope) { return scope == FutexScope::kProcess ? FUTEX_PRIVATE_FLAG : 0; }

}  // namespace

void FutexWait(const std::atomic<uint32_t>& word, uint32_t value, std::optional<int64_t> timeout_ns,
               FutexScope scope) {
  struct timespec timeout {};
  if (timeout_ns.has_value()) {
    timeout.tv_sec = static_cast<time_t>(*timeout_ns / 1'000'000'000);
    timeout.tv_nsec = static_cast<long>(*timeout_ns % 1'000'000'000);
  }
  syscall(SYS_futex, &word, FUTEX_WAIT | FlagOf(scope), value,
          timeout_ns.has_value() ? &timeout : nullptr, nullptr, 0);
}

void FutexWakeAll(const std::atomic<uint32_t>* word, FutexScope scope) {
  syscall(SYS_futex, word, FUTEX_WAKE | FlagOf(scope), INT_MAX, nullptr, nullptr, 0);
}

}  // namespace nimbus::journal
