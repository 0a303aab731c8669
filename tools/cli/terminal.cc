#include "tools/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

namespace nimbus::tools::cli {
namespace {

std::string color_when = "auto";

bool ShowsColor(const std::ostream& out) {
  if (color_when != "auto") return color_when == "always";
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  return IsTerminal(out) && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
}

const char* EscapeOf(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kBold:
      return "\x1b[1m";
    case Style::kGood:
      return "\x1b[32m";
    case Style::kBad:
      return "\x1b[31m";
    case Style::kWarn:
      return "\x1b[33m";
  }
  return "";
}

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// A terminal obeys them: C0, DEL, and C1 (two bytes in UTF-8).
bool BeginsControl(std::string_view text) {
  const auto byte = static_cast<unsigned char>(text[0]);
  const auto next = static_cast<unsigned char>(text.size() > 1 ? text[1] : 0);
  return byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next >= 0x80 && next < 0xa0);
}

size_t CharactersIn(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuation(c); }));
}

}  // namespace

void SetColor(std::string_view when) { color_when = when; }

bool IsTerminal(const std::ostream& out) {
  if (&out == &std::cout) return isatty(STDOUT_FILENO) == 1;
  if (&out == &std::cerr) return isatty(STDERR_FILENO) == 1;
  return false;
}

size_t TerminalWidth() {
  constexpr size_t kWidthDefault = 80;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kWidthDefault;
  return size.ws_col;
}

std::string Paint(Style style, std::string_view text, const std::ostream& out) {
  if (style == Style::kPlain || !ShowsColor(out)) return std::string(text);
  return std::string(EscapeOf(style)) + std::string(text) + "\x1b[0m";
}

std::string OneLine(std::string_view text, size_t width) {
  std::string line;
  size_t characters = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (!IsContinuation(c) && ++characters > width) {
      // Make room for the mark.
      while (!line.empty() && IsContinuation(line.back())) line.pop_back();
      if (!line.empty()) line.pop_back();
      return line + "…";
    }
    const bool control = BeginsControl(text.substr(at));
    line.push_back(control ? ' ' : c);
    if (control && c == '\xc2') ++at;
  }
  return line;
}

void Table::Print(std::ostream& out) const {
  if (IsTerminal(out)) {
    PrintAligned(out);
    return;
  }
  for (const std::vector<Cell>& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      out << (i == 0 ? "" : "\t") << OneLine(row[i].text, row[i].text.size());
    }
    out << '\n';
  }
}

void Table::PrintAligned(std::ostream& out) const {
  std::vector<size_t> widths;
  for (const std::string& name : header_) widths.push_back(CharactersIn(name));
  for (const std::vector<Cell>& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], CharactersIn(row[i].text));
    }
  }
  const auto print = [&](size_t column, std::string_view text, Style style, bool right,
                         size_t room) {
    const bool last = column + 1 == widths.size();
    const std::string line = OneLine(text, last ? std::max<size_t>(room, 8) : widths[column]);
    const size_t characters = CharactersIn(line);
    const std::string padding(
        last && !right ? 0 : widths[column] - std::min(widths[column], characters), ' ');
    const std::string painted = Paint(style, line, out);
    out << (right ? padding + painted : painted + padding) << (last ? "\n" : "  ");
  };
  size_t before_last = 0;
  for (size_t i = 0; i + 1 < widths.size(); ++i) before_last += widths[i] + 2;
  const size_t terminal = TerminalWidth();
  const size_t room = terminal > before_last ? terminal - before_last : 0;
  for (size_t i = 0; i < header_.size(); ++i) print(i, header_[i], Style::kDim, false, room);
  for (const std::vector<Cell>& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) print(i, row[i].text, row[i].style, row[i].right, room);
  }
}

}  // namespace nimbus::tools::cli
