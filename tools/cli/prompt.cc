#include "tools/cli/prompt.h"

#include <editline/readline.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <utility>

#include "tools/cli/command_line.h"
#include "tools/cli/terminal.h"

namespace nimbus::tools::cli {

Prompt::Prompt(std::string text)
    : text_(std::move(text)), interactive_(isatty(STDIN_FILENO) == 1 && IsTerminal(std::cout)) {
  if (interactive_) using_history();
}

Prompt::~Prompt() {
  if (interactive_) clear_history();
}

std::optional<std::string> Prompt::Read() {
  if (Interrupted()) return std::nullopt;
  std::string line;
  if (!interactive_) {
    if (!std::getline(std::cin, line)) return std::nullopt;
    return line;
  }
  std::cout.flush();
  const std::unique_ptr<char, void (*)(void*)> typed(readline(text_.c_str()), &std::free);
  if (typed == nullptr || Interrupted()) return std::nullopt;
  line = typed.get();
  if (!line.empty()) add_history(line.c_str());
  return line;
}

}  // namespace nimbus::tools::cli
