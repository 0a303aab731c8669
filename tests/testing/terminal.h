// A program on a terminal: what a person types, and what the screen is sent.
//
//   NIMBUS_ASSERT_OK_AND_ASSIGN(auto terminal, Terminal::Start({.argv = {…}}, {.columns = 20}));
//   EXPECT_TRUE(terminal->Await("step> "));
//   terminal->Type("next\r");
//   terminal->Type(Terminal::kControlD);
//   NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, terminal->Wait());
//   run.out                              // all that it was sent, escapes included
//
// The program leads a session whose terminal this is, so that control-C is a signal to
// it. One thread at a time.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "testing/program.h"

namespace nimbus::test {

struct TerminalSize {
  unsigned short columns = 80, rows = 24;
};

class Terminal {
 public:
  static constexpr std::string_view kControlC = "\x03", kControlD = "\x04", kUp = "\x1b[A";

  // Ignores options.input. NotFound when there is no such program; Unavailable when no
  // terminal can be had.
  static absl::StatusOr<std::unique_ptr<Terminal>> Start(const ProgramOptions& options,
                                                         const TerminalSize& size = {});
  // Kills it if it still runs.
  ~Terminal();

  void Type(std::string_view keys);

  // Reads until `text` has come since the last Await that found what it waited for; false
  // when the program ends, or the time is over, before.
  bool Await(std::string_view text);
  // What has come so far.
  const std::string& screen() const { return screen_; }

  // Waits until the program ends. DeadlineExceeded after options.timeout_ms. Call once.
  absl::StatusOr<Finished> Wait();

 private:
  Terminal() = default;
  // False when nothing more comes.
  bool Receive();

  pid_t pid_ = -1;
  int master_ = -1;
  int timeout_ms_ = 0;
  std::string screen_;
  size_t seen_ = 0;  // of it, by Await
};

}  // namespace nimbus::test
