#include "tools/cli/child.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "nimbus/schema/status.h"
#include "tools/cli/command_line.h"
#include "tools/cli/spawn.h"
#include "tools/file_descriptor.h"

namespace nimbus::tools::cli {
namespace {

constexpr int kLookAtInterruptsMs = 200;

absl::Status Failed(std::string_view what) { return absl::ErrnoToStatus(errno, std::string(what)); }

// A file in memory: whether the child reads it all, or none of it, nobody waits.
absl::Status Fill(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("the input of a program");
    text.remove_prefix(static_cast<size_t>(written));
  }
  if (lseek(fd, 0, SEEK_SET) != 0) return Failed("the input of a program");
  return absl::OkStatus();
}

// Until the child has ended; passes an interrupt on once.
absl::Status Await(pid_t child) {
  // Debian's <sys/pidfd.h> declares this for C only.
  const FileDescriptor ended(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  if (ended.number() < 0) return Failed("waiting for a program");
  bool passed_on = false;
  for (;;) {
    pollfd wait{.fd = ended.number(), .events = POLLIN, .revents = 0};
    const int ready = poll(&wait, 1, kLookAtInterruptsMs);
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return Failed("waiting for a program");
    if (!Interrupted() || passed_on) continue;
    passed_on = true;
    kill(child, SIGTERM);
  }
}

}  // namespace

absl::StatusOr<ChildEnd> RunChild(const ChildOptions& options) {
  const FileDescriptor input(memfd_create("input", MFD_CLOEXEC));
  if (input.number() < 0) return Failed("the input of a program");
  NIMBUS_RETURN_IF_ERROR(Fill(input.number(), options.input));
  NIMBUS_ASSIGN_OR_RETURN(
      const pid_t child,
      Spawn({.argv = options.argv,
             .environment = options.environment,
             .descriptors = {{input.number(), STDIN_FILENO}, {STDERR_FILENO, STDOUT_FILENO}}}));
  const absl::Status awaited = Await(child);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  NIMBUS_RETURN_IF_ERROR(awaited);
  if (Interrupted()) return InterruptedError();
  if (WIFSIGNALED(status)) return ChildEnd{.exit_code = -1, .signal = WTERMSIG(status)};
  return ChildEnd{.exit_code = WEXITSTATUS(status), .signal = 0};
}

}  // namespace nimbus::tools::cli
