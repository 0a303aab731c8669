// Lines that a person types, or a script holds.
//
//   Prompt prompt("nimbus> ");
//   while (std::optional<std::string> line = prompt.Read()) …
//
// On a terminal with a prompt, line editing and a history; else as they come, without
// any. One in a program.
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

  // The next line, without its end; nullopt when there are no more, or the user has
  // interrupted.
  std::optional<std::string> Read();

 private:
  const std::string text_;
  const bool interactive_;
};

}  // namespace nimbus::tools::cli
