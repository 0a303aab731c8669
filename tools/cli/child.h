// Running another program that is given something to judge.
//
//   NIMBUS_ASSIGN_OR_RETURN(const ChildEnd end, RunChild({
//       .argv = {"grep", "-q", "error"}, .environment = {"NIMBUS_STEP=7"}, .input = text}));
//   end.exit_code == 0
//
// Started with posix_spawn, so it may be used in a process that has a journal open.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace nimbus::tools::cli {

struct ChildOptions {
  std::vector<std::string> argv;         // argv[0] is looked for in PATH
  std::vector<std::string> environment;  // "NAME=VALUE", beside or instead of our own
  std::string_view input;                // its standard input, a file that need not be read
};

struct ChildEnd {
  int exit_code = 0;  // -1 when a signal ended it
  int signal = 0;     // 0 when it exited
};

// Waits for its end. Its standard output goes to our standard error, where it is in
// nobody's way. While it runs, an interrupt of ours is passed on to it, and the call
// returns Cancelled once it has ended. NotFound, PermissionDenied, Unavailable: it
// can't be started.
absl::StatusOr<ChildEnd> RunChild(const ChildOptions& options);

}  // namespace nimbus::tools::cli
