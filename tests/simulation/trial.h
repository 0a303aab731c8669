// A workload recorded, and judged: what the tests of power cuts are made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simulation/image.h"
#include "simulation/trace.h"
#include "testing/files.h"

namespace nimbus::simulation {

// A run of the workload (workload.cc): its arguments beside the store.
struct Process {
  std::vector<std::string> arguments;
  uint64_t calls = 0;    // it is killed after so many, unless 0
  uint64_t slow_ms = 0;  // of a sync of LMDB's file
};

// The programs that append to one store, all in one trace.
class Trial {
 public:
  Trial();
  // One that begins with the files of `image`, which are on stable storage, and,
  // unless it is 0, a store of `records` among them.
  Trial(const Image& image, uint64_t records);

  // Runs them at the same time, to their ends.
  void Run(const std::vector<Process>& processes);

  std::string root() const { return directory_ / "root"; }
  std::string trace() const { return directory_ / "trace"; }

 private:
  test::TempDir directory_;
};

struct Verdict {
  uint64_t judged = 0;
  std::vector<std::string> bad;  // "N: …", an image that crashed the judge among them
};

// Judges `count` images of a trace, numbers [0, count) of those that `cases` and
// `options` give (judge.cc), in two processes.
Verdict Judge(const std::string& trace, uint64_t count, const std::string& cases,
              const std::vector<std::string>& options = {});

// Fails the test when an image is bad, and keeps the trace for a closer look.
void ExpectHolds(const Verdict& verdict, const Trial& trial, const std::string& cases);

}  // namespace nimbus::simulation
