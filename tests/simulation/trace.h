// A recorded trace (trace_format.h) in memory: its calls with their outcomes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "simulation/trace_format.h"

namespace nimbus::simulation {

inline constexpr size_t kNever = std::numeric_limits<size_t>::max();

// A call that had an effect, or did not return.
struct Op {
  Call call = Call::kReturned;
  uint16_t flags = 0;
  uint64_t inode = 0;  // of a kCreate: of the file it opened
  uint64_t offset = 0;
  std::string path, second_path, data;
  size_t begin = 0;     // index of its record
  size_t end = kNever;  // index of the record of its return
};

struct Said {
  size_t at = 0;  // index of its record
  std::string text;
};

// What a file written through a map held at some time.
struct Held {
  size_t at = 0;
  std::string path, data;
};

struct Trace {
  std::vector<Op> ops;  // in the order they began
  std::vector<Said> marks;
  std::vector<Held> snapshots;
  std::vector<std::string> unsupported;
  // Cuts are from here on: after the mark "begun", if there is one, before which
  // are the files that the program found.
  size_t begun = 0;
  std::vector<int64_t> micros;  // of each record; a cut at c is after record c - 1

  size_t records() const { return micros.size(); }
};

// DataLoss when `bytes` end within a record or are none.
absl::StatusOr<Trace> ParseTrace(std::string_view bytes);
absl::StatusOr<Trace> ReadTrace(const std::string& path);

}  // namespace nimbus::simulation
