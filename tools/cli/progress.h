// A progress bar on standard error, for work longer than a second, on a terminal
// only. Erased when it ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace nimbus::tools::cli {

class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of `total`; cheap, may be called as often as there is progress.
  void Update(uint64_t done, uint64_t total);
  void SetWhat(std::string what) { what_ = std::move(what); }

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_;
  const bool enabled_;
  const Clock::time_point begun_;
  Clock::time_point drawn_;
  bool visible_ = false;
};

}  // namespace nimbus::tools::cli
