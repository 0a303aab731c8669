#include "tools/cli/prompt.h"

#include <editline/readline.h>
#include <poll.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <iostream>
#include <memory>
#include <utility>

#include "tools/cli/command_line.h"
#include "tools/cli/terminal.h"

namespace nimbus::tools::cli {

namespace {

constexpr int kLookAtInterruptsMs = 200;
constexpr int kControlD = 4;

// The next character that is typed; -1 at the end of the input, and when there is an
// interrupt, which libedit by itself would wait out.
int ReadCharacter(std::FILE*) {
  for (;;) {
    if (Interrupted()) return -1;
    pollfd typed{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (poll(&typed, 1, kLookAtInterruptsMs) > 0) break;
  }
  std::mbstate_t state{};
  for (;;) {
    char byte;
    if (read(STDIN_FILENO, &byte, 1) != 1) return -1;
    wchar_t character;
    const size_t used = std::mbrtowc(&character, &byte, 1, &state);
    // libedit prompts first and takes the terminal out of its line mode then; a control-D
    // that was typed between the two has become a NUL.
    if (used == 0) return kControlD;
    if (used == 1) return static_cast<int>(character);
    if (used == static_cast<size_t>(-1)) return '?';
  }
}

}  // namespace

Prompt::Prompt(std::string text)
    : text_(std::move(text)), interactive_(isatty(STDIN_FILENO) == 1 && IsTerminal(std::cout)) {
  if (!interactive_) return;
  std::setlocale(LC_CTYPE, "C.UTF-8");  // what is typed is UTF-8, as all our texts are
  rl_getc_function = ReadCharacter;
  using_history();
}

Prompt::~Prompt() {
  if (interactive_) clear_history();
}

std::optional<std::string> Prompt::Read() {
  if (interactive_) return ReadTyped();
  std::string line;
  if (Interrupted() || !std::getline(std::cin, line)) return std::nullopt;
  return line;
}

std::optional<std::string> Prompt::ReadTyped() const {
  for (;;) {
    std::cout.flush();
    const std::unique_ptr<char, void (*)(void*)> typed(readline(text_.c_str()), &std::free);
    if (typed != nullptr && !Interrupted()) {
      if (*typed != '\0') add_history(typed.get());
      return typed.get();
    }
    std::cout << '\n';
    if (!ForgetInterrupt()) return std::nullopt;
  }
}

}  // namespace nimbus::tools::cli
