// Sleeping until a word in memory changes, by the kernel's futex.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

namespace nimbus::journal {

enum class FutexScope { kProcess, kMachine };  // the latter for words in shared mappings

// Returns when `word` was woken, or is not `value`, or `timeout_ns` passed, or for
// no reason.
void FutexWait(const std::atomic<uint32_t>& word, uint32_t value, std::optional<int64_t> timeout_ns,
               FutexScope scope);

// Wakes those who wait. The word may be gone by now: nobody waits for it then.
void FutexWakeAll(const std::atomic<uint32_t>* word, FutexScope scope);

}  // namespace nimbus::journal
