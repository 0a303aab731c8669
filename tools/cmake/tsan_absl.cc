// Debian's Abseil is built without ThreadSanitizer, which therefore sees neither
// what an absl::Mutex guards nor how a shared absl::Status ends, and reports
// every access. Programs built with -fsanitize=thread link this file: its
// functions stand before the library's, tell the sanitizer who handed what to
// whom, and call on.
//
// Accesses inside the library's own calls are ignored: it evaluates a waiter's
// absl::Condition in whatever thread unlocks, with the lock held, where the
// sanitizer can't see that it is.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <utility>

#include "absl/base/dynamic_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace {

template <typename Function>
Function* NextDefinition(const char* mangled_name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, mangled_name));
}

template <typename Function, typename... Args>
auto CallUnseen(Function* function, Args&&... args) {
  struct Unseen {
    Unseen() { ABSL_ANNOTATE_IGNORE_READS_AND_WRITES_BEGIN(); }
    ~Unseen() { ABSL_ANNOTATE_IGNORE_READS_AND_WRITES_END(); }
  };
  const Unseen unseen;
  return function(std::forward<Args>(args)...);
}

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static auto* const next = NextDefinition<void(Mutex*)>("_ZN4absl7debian35Mutex4LockEv");
  CallUnseen(next, this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  static auto* const next = NextDefinition<void(Mutex*)>("_ZN4absl7debian35Mutex6UnlockEv");
  __tsan_release(this);
  CallUnseen(next, this);
}

bool Mutex::TryLock() {
  static auto* const next = NextDefinition<bool(Mutex*)>("_ZN4absl7debian35Mutex7TryLockEv");
  const bool locked = CallUnseen(next, this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::Await(const Condition& condition) {
  static auto* const next = NextDefinition<void(Mutex*, const Condition&)>(
      "_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE");
  __tsan_release(this);
  CallUnseen(next, this, condition);
  __tsan_acquire(this);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static auto* const next = NextDefinition<bool(Mutex*, const Condition&, Duration)>(
      "_ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  __tsan_release(this);
  const bool holds = CallUnseen(next, this, condition, timeout);
  __tsan_acquire(this);
  return holds;
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static auto* const next = NextDefinition<bool(Mutex*, const Condition&, Time)>(
      "_ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  __tsan_release(this);
  const bool holds = CallUnseen(next, this, condition, deadline);
  __tsan_acquire(this);
  return holds;
}

void Mutex::LockWhen(const Condition& condition) {
  static auto* const next = NextDefinition<void(Mutex*, const Condition&)>(
      "_ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE");
  CallUnseen(next, this, condition);
  __tsan_acquire(this);
}

void CondVar::Wait(Mutex* mutex) {
  static auto* const next =
      NextDefinition<void(CondVar*, Mutex*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  __tsan_release(mutex);
  CallUnseen(next, this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static auto* const next = NextDefinition<bool(CondVar*, Mutex*, Duration)>(
      "_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mutex);
  const bool expired = CallUnseen(next, this, mutex, timeout);
  __tsan_acquire(mutex);
  return expired;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static auto* const next = NextDefinition<bool(CondVar*, Mutex*, Time)>(
      "_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mutex);
  const bool expired = CallUnseen(next, this, mutex, deadline);
  __tsan_acquire(mutex);
  return expired;
}

// The last of the threads that share a status frees it, after all others let go.
void Status::UnrefNonInlined(uintptr_t rep) {
  static auto* const next =
      NextDefinition<void(uintptr_t)>("_ZN4absl7debian36Status15UnrefNonInlinedEm");
  __tsan_release(reinterpret_cast<void*>(rep));
  __tsan_acquire(reinterpret_cast<void*>(rep));
  CallUnseen(next, rep);
}

ABSL_NAMESPACE_END
}  // namespace absl
