#include "bench/child.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "nimbus/schema/status.h"

extern char** environ;

namespace nimbus::bench {
namespace {

constexpr char kThisProgram[] = "/proc/self/exe";

absl::Status Failure(std::string_view what, int error) {
  return schema::Error(absl::StatusCode::kInternal, "{}: {}", what, std::strerror(error));
}

// posix_spawn with `input` and `output` as the standard streams.
int Spawn(const std::vector<std::string>& arguments, int input, int output, pid_t* pid) {
  std::vector<char*> argv = {const_cast<char*>(kThisProgram)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.data()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  const int error = posix_spawn(pid, kThisProgram, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Child>> Child::Start(const std::vector<std::string>& arguments) {
  signal(SIGPIPE, SIG_IGN);  // a child that has ended is an error of SendLine
  std::array<int, 2> input, output;
  if (pipe2(input.data(), O_CLOEXEC) != 0) return Failure("pipe2", errno);
  if (pipe2(output.data(), O_CLOEXEC) != 0) {
    const int error = errno;
    for (const int end : input) close(end);
    return Failure("pipe2", error);
  }
  std::unique_ptr<Child> child(new Child);
  const int error = Spawn(arguments, input[0], output[1], &child->pid_);
  close(input[0]);
  close(output[1]);
  child->input_ = fdopen(input[1], "w");
  child->output_ = fdopen(output[0], "r");
  if (error != 0) {
    child->pid_ = -1;
    return Failure(kThisProgram, error);
  }
  return child;
}

Child::~Child() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (input_ != nullptr) std::fclose(input_);
  if (output_ != nullptr) std::fclose(output_);
}

absl::Status Child::SendLine(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), input_);
  std::fputc('\n', input_);
  return std::fflush(input_) == 0 ? absl::OkStatus() : Failure("writing to the child", errno);
}

absl::StatusOr<std::string> Child::ReadLine() {
  char* line = nullptr;
  size_t capacity = 0;
  const ssize_t length = getline(&line, &capacity, output_);
  const std::unique_ptr<char, decltype(&free)> owned(line, free);
  if (length <= 0) return absl::OutOfRangeError("the child says no more");
  return std::string(line, static_cast<size_t>(length) - (line[length - 1] == '\n' ? 1 : 0));
}

absl::Status Child::Wait() {
  std::fclose(input_);
  input_ = nullptr;
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return Failure("waitpid", errno);
  pid_ = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return schema::Error(absl::StatusCode::kInternal, "the child ended with status {}", status);
}

}  // namespace nimbus::bench
