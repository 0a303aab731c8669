// Lines that a person types, or a script holds.
//
//   Prompt prompt("nimbus> ");
//   while (std::optional<std::string> line = prompt.Read()) …
//
// On a terminal with a prompt, line editing and a history; control-C there gives up the
// line that is being typed, control-D ends. Else lines as they come, without any of it.
// One in a program.
#pragma once

#include <optional>
#include <string>

namespace nimbus::tools::cli {

class Prompt {
 public:
  explicit Prompt(std::string text);
  ~Prompt();
  Prompt(const Prompt&) = delete;
  Prompt& operator=(const Prompt&) = delete;

  // Whether a person types: standard input and output are a terminal.
  bool interactive() const { return interactive_; }

  // The next line, without its end; nullopt when there are no more, or the program is
  // to end: Interrupted().
  std::optional<std::string> Read();

 private:
  std::optional<std::string> ReadTyped() const;

  const std::string text_;
  const bool interactive_;
};

}  // namespace nimbus::tools::cli
