// Running programs in tests: to the end, or until the test kills them.
//
//   NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, RunProgram({.argv = {"nimbus", "init",
//   store}})); EXPECT_EQ(run.exit_code, 0) << run.err;
//
//   NIMBUS_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Program> agent, Program::Start({.argv = {…}}));
//   agent->Signal(SIGKILL);
//   NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, agent->Wait());
//
// Started with posix_spawn, so it may be used in a process that has a journal
// open. One thread at a time.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "testing/files.h"

namespace nimbus::test {

struct ProgramOptions {
  std::vector<std::string> argv;         // argv[0] is looked for in PATH
  std::vector<std::string> environment;  // "NAME=VALUE" added to the test's own, "NAME" removed
  std::string directory;                 // to run in; the test's own when empty
  std::string input;                     // standard input
  int timeout_ms = 120'000;              // of Wait; the program is killed and Wait says so
};

struct Finished {
  int exit_code = 0;  // -1 when a signal ended it
  int signal = 0;     // 0 when it exited
  std::string out, err;
};

class Program {
 public:
  // NotFound when there is no such program.
  static absl::StatusOr<std::unique_ptr<Program>> Start(const ProgramOptions& options);
  // Kills it if it still runs.
  ~Program();

  pid_t pid() const { return pid_; }
  void Signal(int signal);
  // What it has written to standard output so far.
  std::string OutputSoFar() const;

  // Waits until it ends. DeadlineExceeded after timeout_ms. Call once.
  absl::StatusOr<Finished> Wait();

 private:
  Program() = default;

  TempDir files_;  // its standard streams are files, so that it never waits for the test
  pid_t pid_ = -1;
  int timeout_ms_ = 0;
  bool running_ = false;
};

// Starts a program and waits for it.
absl::StatusOr<Finished> RunProgram(const ProgramOptions& options);

}  // namespace nimbus::test
