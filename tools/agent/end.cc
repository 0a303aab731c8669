#include "tools/agent/end.h"

#include <fmt/format.h>
#include <string.h>

namespace nimbus::tools::agent {

using schema::Json;

namespace {

constexpr std::string_view kPlain =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,@%+";

std::string Quoted(const std::string& word) {
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

}  // namespace

std::string Describe(const AgentEnd& end) {
  if (end.signal == 0) return fmt::format("exited with {}", end.exit_code);
  return fmt::format("was killed by signal {} ({})", end.signal, strsignal(end.signal));
}

int ExitCodeOf(const AgentEnd& end) { return end.signal == 0 ? end.exit_code : 128 + end.signal; }

void SetMembers(const AgentEnd& end, Json* report) {
  report->Set("exit_code", end.signal == 0 ? Json::Int(end.exit_code) : Json());
  report->Set("signal", end.signal == 0 ? Json() : Json::Int(end.signal));
}

std::string ShellText(const std::vector<std::string>& argv) {
  std::string text;
  for (const std::string& word : argv) text += (text.empty() ? "" : " ") + Quoted(word);
  return text;
}

}  // namespace nimbus::tools::agent
