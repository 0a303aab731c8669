// Starting a program as ProgramOptions say. Private to tests/testing.
#pragma once

#include <spawn.h>
#include <sys/types.h>

#include "testing/program.h"

namespace nimbus::test {

// With argv, environment and directory of `options`; its streams are what `actions` make
// them, and only `attributes` may be null. Returns an errno.
int Spawn(const ProgramOptions& options, posix_spawn_file_actions_t* actions,
          const posix_spawnattr_t* attributes, pid_t* pid);

// False when the process still runs after `timeout_ms`.
bool WaitForEnd(pid_t pid, int timeout_ms);

}  // namespace nimbus::test
