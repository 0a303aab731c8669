// What a person at a terminal sees that a pipe does not: colour and tables.
#pragma once

#include <fmt/format.h>

#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nimbus::tools::cli {

enum class Style { kPlain, kDim, kBold, kGood, kBad, kWarn };

// "auto" (on a terminal, unless $NO_COLOR is set and not empty, or $TERM is dumb), "always"
// or "never".
void SetColor(std::string_view when);

bool IsTerminal(const std::ostream& out);  // knows std::cout and std::cerr
size_t TerminalWidth();                    // columns; 80 when unknown

// Prints to std::cout. fmt::print throws when that fails; a stream remembers.
template <typename... Args>
void Print(fmt::format_string<Args...> format, Args&&... args) {
  std::cout << fmt::format(format, std::forward<Args>(args)...);
}

// `text` with the escapes of `style`, where `out` shows colour.
std::string Paint(Style style, std::string_view text, const std::ostream& out);

// `text` as one line a terminal can't be fooled by: control characters become
// spaces or escapes, and at most `width` characters are kept ("…" marks a cut).
std::string OneLine(std::string_view text, size_t width);

// Aligned columns on a terminal, its header included; tab-separated values
// without header when piped. The last column is cut to the terminal's width.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}

  struct Cell {
    std::string text;
    Style style = Style::kPlain;
    bool right = false;
  };
  void Add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  void Print(std::ostream& out) const;

 private:
  void PrintAligned(std::ostream& out) const;

  std::vector<std::string> header_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace nimbus::tools::cli
