#include "testing/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "testing/spawn.h"

namespace nimbus::test {
namespace {

// The controlling end of a new terminal; -1 when there is none.
int OpenMaster(const TerminalSize& size) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0) return master;
  winsize window{};
  window.ws_col = size.columns;
  window.ws_row = size.rows;
  if (grantpt(master) == 0 && unlockpt(master) == 0 && ioctl(master, TIOCSWINSZ, &window) == 0) {
    return master;
  }
  close(master);
  return -1;
}

int SpawnOnTerminal(const ProgramOptions& options, int master, pid_t* pid) {
  std::array<char, 64> name;
  if (const int error = ptsname_r(master, name.data(), name.size()); error != 0) return error;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // The first terminal that the leader of a session opens is the session's.
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, name.data(), O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  const int error = Spawn(options, &actions, &attributes, pid);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Terminal>> Terminal::Start(const ProgramOptions& options,
                                                          const TerminalSize& size) {
  if (options.argv.empty()) return absl::InvalidArgumentError("no program to run");
  std::unique_ptr<Terminal> terminal(new Terminal);
  terminal->master_ = OpenMaster(size);
  if (terminal->master_ < 0) return absl::UnavailableError("no terminal can be had");
  if (const int error = SpawnOnTerminal(options, terminal->master_, &terminal->pid_); error != 0) {
    terminal->pid_ = -1;
    return absl::ErrnoToStatus(error, "cannot run " + options.argv[0]);
  }
  terminal->timeout_ms_ = options.timeout_ms;
  return terminal;
}

Terminal::~Terminal() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (master_ >= 0) close(master_);
}

void Terminal::Type(std::string_view keys) {
  while (!keys.empty()) {
    const ssize_t count = write(master_, keys.data(), keys.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    keys.remove_prefix(static_cast<size_t>(count));
  }
}

bool Terminal::Receive() {
  for (;;) {
    pollfd readable{master_, POLLIN, 0};
    const int ready = poll(&readable, 1, timeout_ms_);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    std::array<char, 4096> bytes;
    const ssize_t count = read(master_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;  // EIO once nobody has the terminal open
    screen_.append(bytes.data(), static_cast<size_t>(count));
    return true;
  }
}

bool Terminal::Await(std::string_view text) {
  for (;;) {
    const size_t at = screen_.find(text, seen_);
    if (at != std::string::npos) {
      seen_ = at + text.size();
      return true;
    }
    if (!Receive()) return false;
  }
}

absl::StatusOr<Finished> Terminal::Wait() {
  if (pid_ < 0) return absl::FailedPreconditionError("the program has been waited for");
  while (Receive()) {
  }
  const bool ended = WaitForEnd(pid_, timeout_ms_);
  if (!ended) kill(pid_, SIGKILL);
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return absl::ErrnoToStatus(errno, "waitpid");
  pid_ = -1;
  if (!ended) return absl::DeadlineExceededError("still running: " + screen_);
  return Finished{.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                  .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                  .out = screen_,
                  .err = {}};
}

}  // namespace nimbus::test
