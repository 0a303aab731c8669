#include "tools/cli/child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "nimbus/schema/status.h"
#include "tools/cli/command_line.h"

extern char** environ;

namespace nimbus::tools::cli {
namespace {

using schema::Error;
using Code = absl::StatusCode;

constexpr int kLookAtInterruptsMs = 200;
constexpr int kFirstOtherDescriptor = 3;

absl::Status SystemError(std::string_view what, int error) {
  Code code = Code::kUnavailable;
  if (error == ENOENT) code = Code::kNotFound;
  if (error == EACCES) code = Code::kPermissionDenied;
  return Error(code, "{}: {}", what, std::strerror(error));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// A file in memory: whether the child reads it all, or none of it, nobody waits.
absl::Status Fill(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("the input of a program", errno);
    text.remove_prefix(static_cast<size_t>(written));
  }
  if (lseek(fd, 0, SEEK_SET) != 0) return SystemError("the input of a program", errno);
  return absl::OkStatus();
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> Environment(const std::vector<std::string>& ours) {
  std::vector<std::string> all = ours;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('=') + 1);
    bool replaced = false;
    for (const std::string& other : ours) replaced = replaced || other.starts_with(name);
    if (!replaced) all.emplace_back(text);
  }
  return all;
}

// Signals as a new program expects them, and no descriptor of the store.
class SpawnSetup {
 public:
  explicit SpawnSetup(int input) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, STDERR_FILENO, STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions_, kFirstOtherDescriptor);
    posix_spawnattr_init(&attributes_);
    sigset_t defaults, none;
    sigemptyset(&defaults);
    for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ}) sigaddset(&defaults, signal);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes_, &defaults);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// Until the child has ended; passes an interrupt on once.
absl::Status Await(pid_t child) {
  // Debian's <sys/pidfd.h> declares this for C only.
  const Descriptor ended(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  if (ended.get() < 0) return SystemError("waiting for a program", errno);
  bool passed_on = false;
  for (;;) {
    pollfd wait{.fd = ended.get(), .events = POLLIN, .revents = 0};
    const int ready = poll(&wait, 1, kLookAtInterruptsMs);
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return SystemError("waiting for a program", errno);
    if (!Interrupted() || passed_on) continue;
    passed_on = true;
    kill(child, SIGTERM);
  }
}

}  // namespace

absl::StatusOr<ChildEnd> RunChild(const ChildOptions& options) {
  const Descriptor input(memfd_create("input", MFD_CLOEXEC));
  if (input.get() < 0) return SystemError("the input of a program", errno);
  NIMBUS_RETURN_IF_ERROR(Fill(input.get(), options.input));
  std::vector<std::string> argv = options.argv, environment = Environment(options.environment);
  const SpawnSetup setup(input.get());
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv.front().c_str(), setup.actions(), setup.attributes(),
                                 Pointers(argv).data(), Pointers(environment).data());
  if (error != 0) return SystemError(argv.front(), error);
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
