#include "testing/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "testing/spawn.h"

namespace nimbus::test {
namespace {

std::string_view NameOf(std::string_view assignment) {
  return assignment.substr(0, assignment.find('='));
}

// The test's own environment with `changes` applied.
std::vector<std::string> MakeEnvironment(const std::vector<std::string>& changes) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const auto changed = [&](const std::string& change) {
      return NameOf(change) == NameOf(*entry);
    };
    if (std::none_of(changes.begin(), changes.end(), changed)) result.emplace_back(*entry);
  }
  for (const std::string& change : changes) {
    if (change.find('=') != std::string::npos) result.push_back(change);
  }
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

int SpawnOnFiles(const ProgramOptions& options, const TempDir& files, pid_t* pid) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const std::string in = files / "in", out = files / "out", err = files / "err";
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, in.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_APPEND, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_APPEND, 0);
  const int error = Spawn(options, &actions, nullptr, pid);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

int Spawn(const ProgramOptions& options, posix_spawn_file_actions_t* actions,
          const posix_spawnattr_t* attributes, pid_t* pid) {
  std::vector<std::string> argv = options.argv;
  std::vector<std::string> environment = MakeEnvironment(options.environment);
  if (!options.directory.empty()) {
    posix_spawn_file_actions_addchdir_np(actions, options.directory.c_str());
  }
  return posix_spawnp(pid, argv[0].c_str(), actions, attributes, Pointers(argv).data(),
                      Pointers(environment).data());
}

bool WaitForEnd(pid_t pid, int timeout_ms) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return true;  // no pidfd: waitpid waits without a limit, CTest has one
  pollfd end{fd, POLLIN, 0};
  int ready;
  do {
    ready = poll(&end, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  close(fd);
  return ready > 0;
}

absl::StatusOr<std::unique_ptr<Program>> Program::Start(const ProgramOptions& options) {
  if (options.argv.empty()) return absl::InvalidArgumentError("no program to run");
  std::unique_ptr<Program> program(new Program);
  const TempDir& files = program->files_;
  if (!WriteFile(files / "in", options.input) || !WriteFile(files / "out", "") ||
      !WriteFile(files / "err", "")) {
    return absl::ResourceExhaustedError("cannot write files in " + files.string());
  }
  if (const int error = SpawnOnFiles(options, files, &program->pid_); error != 0) {
    return absl::ErrnoToStatus(error, "cannot run " + options.argv[0]);
  }
  program->timeout_ms_ = options.timeout_ms;
  program->running_ = true;
  return program;
}

Program::~Program() {
  if (!running_) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Program::Signal(int signal) {
  if (running_) kill(pid_, signal);
}

std::string Program::OutputSoFar() const { return ReadFile(files_ / "out").value_or(""); }

absl::StatusOr<Finished> Program::Wait() {
  if (!running_) return absl::FailedPreconditionError("the program has been waited for");
  const bool ended = WaitForEnd(pid_, timeout_ms_);
  if (!ended) kill(pid_, SIGKILL);
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return absl::ErrnoToStatus(errno, "waitpid");
  running_ = false;
  Finished finished{
      .exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
      .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
      .out = OutputSoFar(),
      .err = ReadFile(files_ / "err").value_or(""),
  };
  if (!ended) {
    return absl::DeadlineExceededError("still running after " + std::to_string(timeout_ms_) +
                                       " ms: " + finished.out + finished.err);
  }
  return finished;
}

absl::StatusOr<Finished> RunProgram(const ProgramOptions& options) {
  absl::StatusOr<std::unique_ptr<Program>> program = Program::Start(options);
  if (!program.ok()) return program.status();
  return (*program)->Wait();
}

}  // namespace nimbus::test
