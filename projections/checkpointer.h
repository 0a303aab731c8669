// Moves a write-ahead log into its file on a thread and a connection of its own, while
// the caller goes on writing.
//
//   checkpointer.Begin(path);                 // one pass over what the log holds now
//   … commit more …
//   if (!checkpointer.running()) {            // done, or failed
//     NIMBUS_RETURN_IF_ERROR(checkpointer.TakeStatus());
//   }
//
// One thread at a time uses it; it starts its own with the first pass.
#pragma once

#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace nimbus::projections {

class Checkpointer {
 public:
  Checkpointer() = default;
  // Waits for the pass in hand.
  ~Checkpointer();
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;

  // Requires that none is running.
  void Begin(const std::string& path) ABSL_LOCKS_EXCLUDED(mu_);
  bool running() ABSL_LOCKS_EXCLUDED(mu_);
  void Wait() ABSL_LOCKS_EXCLUDED(mu_);
  // What became of the last pass; OK when asked again.
  absl::Status TakeStatus() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for the pass in hand, if there is one, of whose file nothing is wanted any more.
  void Forget() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);

  absl::Mutex mu_;
  std::optional<std::string> path_ ABSL_GUARDED_BY(mu_);  // of the pass in hand
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  std::thread thread_;
};

}  // namespace nimbus::projections
