// Lets processes that race begin at the same moment, however long each took to start.
//
//   StartGate gate(path);                        // the test
//   auto child = Program::Start(…);              // which calls WaitAtGate(path)
//   ASSERT_THAT(gate.Open({child.get()}), IsOk());
//
// A child says "ready" on its standard output, before anything else.
#pragma once

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "generations.h"
#include "nimbus/schema/status.h"
#include "testing/program.h"

namespace nimbus::projections {

class StartGate {
 public:
  explicit StartGate(const std::string& path) {
    absl::StatusOr<FileLock> lock = FileLock::Take(path);
    if (lock.ok()) lock_.emplace(*std::move(lock));
  }

  // Waits until all are ready, and lets them go. DeadlineExceeded when one is not.
  absl::Status Open(const std::vector<const test::Program*>& children) {
    if (!lock_) return absl::InternalError("there is no gate");
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (const test::Program* child : children) {
      while (!child->OutputSoFar().starts_with("ready\n")) {
        if (std::chrono::steady_clock::now() > deadline) {
          return absl::DeadlineExceededError("a child is not ready");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
    lock_.reset();
    return absl::OkStatus();
  }

 private:
  std::optional<FileLock> lock_;
};

inline absl::Status WaitAtGate(const std::string& path) {
  std::puts("ready");
  std::fflush(stdout);
  return FileLock::Take(path).status();
}

}  // namespace nimbus::projections
