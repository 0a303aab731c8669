// Starting another program.
//
//   NIMBUS_ASSIGN_OR_RETURN(const pid_t pid, Spawn({
//       .argv = {"grep", "-q", "error"},
//       .environment = {"NIMBUS_STEP=7"},
//       .descriptors = {{.ours = input.number(), .theirs = STDIN_FILENO}}}));
//
// With posix_spawn, so it may be used in a process that has a journal open. The program
// has the standard streams, directory and user of this one. Of our files it gets those
// named and what we inherited ourselves, because all we open closes on exec.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace nimbus::tools::cli {

struct SpawnOptions {
  struct Descriptor {
    int ours, theirs;
  };

  std::vector<std::string> argv;         // argv[0] is looked for in PATH
  std::vector<std::string> environment;  // "NAME=VALUE", beside or instead of our own
  std::vector<Descriptor> descriptors;   // what the program has as what; in this order
  sigset_t signal_mask{};                // blocked in the program; none unless given
};

// The program has the default disposition of each signal for which ours has another.
// NotFound, PermissionDenied, Unavailable and the like: it can't be started.
absl::StatusOr<pid_t> Spawn(SpawnOptions options);

}  // namespace nimbus::tools::cli
