// The one tool of the demonstration agent: running a program.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace nimbus::tools::demo {

inline constexpr size_t kToolOutputBytesMax = 64 * 1024;

struct ToolOutput {
  int exit_code = 0;  // 128 + n when signal n ended it
  std::string text;   // standard output and error, at most kToolOutputBytesMax
};

// Runs argv[0], found in PATH, with nothing on standard input. NotFound when
// there is no such program.
absl::StatusOr<ToolOutput> RunTool(std::vector<std::string> argv);

}  // namespace nimbus::tools::demo
