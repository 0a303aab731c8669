#include "testing/workload_text.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "nimbus/schema/check.h"

namespace nimbus::test {
namespace {

constexpr std::array<std::string_view, 160> kWords = {
    "the",         "to",        "of",        "and",         "is",        "in",
    "a",           "that",      "for",       "it",          "this",      "not",
    "with",        "on",        "we",        "be",          "file",      "test",
    "are",         "function",  "from",      "should",      "when",      "error",
    "if",          "now",       "an",        "by",          "or",        "all",
    "can",         "will",      "I",         "need",        "as",        "has",
    "which",       "value",     "check",     "but",         "code",      "so",
    "there",       "first",     "line",      "call",        "only",      "because",
    "before",      "after",     "then",      "run",         "change",    "fix",
    "returns",     "uses",      "directory", "request",     "response",  "deploy",
    "service",     "config",    "cluster",   "namespace",   "pod",       "container",
    "image",       "failed",    "passes",    "missing",     "timeout",   "retry",
    "connection",  "refused",   "port",      "endpoint",    "token",     "header",
    "parser",      "module",    "import",    "package",     "version",   "build",
    "compile",     "link",      "branch",    "commit",      "merge",     "diff",
    "patch",       "review",    "handler",   "client",      "server",    "database",
    "migration",   "schema",    "table",     "column",      "index",     "query",
    "transaction", "lock",      "thread",    "queue",       "worker",    "cache",
    "buffer",      "memory",    "limit",     "usage",       "metric",    "log",
    "trace",       "span",      "event",     "state",       "session",   "operation",
    "step",        "plan",      "replica",   "rollout",     "secret",    "volume",
    "mount",       "network",   "policy",    "ingress",     "gateway",   "route",
    "certificate", "expired",   "renewed",   "unexpected",  "argument",  "parameter",
    "default",     "option",    "flag",      "environment", "variable",  "script",
    "command",     "output",    "stderr",    "exit",        "status",    "warning",
    "deprecated",  "instead",   "previous",  "current",     "remaining", "verified",
    "reproduced",  "confirmed", "likely",    "probably"};

constexpr std::array<std::string_view, 12> kDirectories = {
    "src",       "src/api", "src/core",   "internal/server", "internal/store", "pkg/client",
    "cmd/agent", "tests",   "tests/unit", "deploy/charts",   "deploy/base",    "scripts"};
constexpr std::array<std::string_view, 8> kSuffixes = {"py", "go", "ts", "yaml",
                                                       "cc", "md", "sh", "json"};
constexpr std::array<std::string_view, 8> kStates = {
    "Running", "Pending", "CrashLoopBackOff", "Completed",
    "Running", "Running", "ImagePullBackOff", "Running"};
constexpr std::array<std::string_view, 4> kCommands = {
    "grep -rn %i %d | head -%2", "kubectl -n %w get pods -l app=%w -o wide",
    "python -m pytest %p -x -q -k %i", "sed -n %n,%np %p"};

// Lines of what the tools agents call most print: a listing, a search, tests, a
// cluster, source code, a log. A tool keeps to its own lines.
using Lines = std::array<std::string_view, 4>;
constexpr std::array<Lines, 6> kToolLines = {{
    {"-rw-r--r-- 1 app app  %n%n Mar %2 %2:%2 %p", "-rw-r--r-- 1 app app   %n Mar %2 %2:%2 %p",
     "-rwxr-xr-x 1 app app %n%n Mar %2 %2:%2 %p", "drwxr-xr-x 2 app app   4096 Mar %2 %2:%2 %w"},
    {"%p:%n:    %i = self.%i(%w, %w=%n)", "%p:%n:from %w.%w import %i",
     "%p:%n:        self.%w.%i(%i)", "%p:%n:  # %w %w %w %w"},
    {"%p::test_%i_%w PASSED [ %2%%]", "%p::test_%i PASSED [ %2%%]", "%p::test_%i_%w FAILED [ %2%%]",
     "%p::test_%i[%w-%n] PASSED [ %2%%]"},
    {"%w-%w-%h   1/1   %s   0   %nm", "%w-%h   1/1   %s   %2   %nm",
     "%w-%w-%n   0/1   %s   %2   %2m", "%w-%i-%h   2/2   %s   0   %2h"},
    {R"(  %n\tdef %i(self, %w, %w):)", R"(  %n\t    if %i is None:)",
     R"(  %n\t        raise ValueError(f\"%w %w {%w}\"))", R"(  %n\t    return self.%i[%w])"},
    {"2026-03-14T%2:%2:%2.%nZ INFO %i: %w %w %w %w id=%h",
     "2026-03-14T%2:%2:%2.%nZ INFO %i: %w %i=%n %w",
     "2026-03-14T%2:%2:%2.%nZ ERROR %i: %w %w %w: %w",
     "2026-03-14T%2:%2:%2.%nZ DEBUG %i: %w %w %p id=%h"},
}};

template <typename Array>
std::string_view Pick(Random& random, const Array& array) {
  return array[random.Below(array.size())];
}

std::string Number(uint64_t number, size_t digits) { return fmt::format("{:0{}}", number, digits); }

void AppendPart(Random& random, char part, std::string* out) {
  switch (part) {
    case 'w':
      *out += Word(random);
      return;
    case 'i':
      return AppendPattern(random, "%w_%w", out);
    case 'd':
      *out += Pick(random, kDirectories);
      return;
    case 'p':
      AppendPattern(random, "%d/%i.", out);
      *out += Pick(random, kSuffixes);
      return;
    case 'n':
      *out += Number(random.Below(1000), 1);
      return;
    case '2':
      *out += Number(random.Below(60), 2);
      return;
    case 'h':
      out->append(fmt::format("{:016x}", random.Next()), 4, 12);
      return;
    case 's':
      *out += Pick(random, kStates);
      return;
    case 'c':
      return AppendPattern(random, Pick(random, kCommands), out);
    default:
      NIMBUS_CHECK(part == '%');
      *out += '%';
  }
}

// Cuts what exceeds `size`, never within an escape.
void CutTo(size_t size, std::string* out) {
  const bool in_escape = (*out)[size - 1] == '\\' && (*out)[size - 2] != '\\';
  out->resize(size);
  if (in_escape) out->back() = '.';
}

}  // namespace

uint64_t Random::Next() {
  uint64_t value = (state_ += 0x9e3779b97f4a7c15u);
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

// Words are used about as unevenly as people use them: the product of two
// uniform numbers falls near zero.
std::string_view Word(Random& random) {
  const uint64_t product = random.Below(1u << 16) * random.Below(1u << 16) >> 16;
  return kWords[product * kWords.size() >> 16];
}

void AppendPattern(Random& random, std::string_view pattern, std::string* out) {
  for (size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] == '%') {
      AppendPart(random, pattern[++at], out);
    } else {
      *out += pattern[at];
    }
  }
}

std::string Pattern(Random& random, std::string_view pattern) {
  std::string text;
  AppendPattern(random, pattern, &text);
  return text;
}

void AppendProse(Random& random, size_t bytes, std::string* out) {
  const size_t end = out->size() + bytes;
  while (out->size() < end) {
    for (uint64_t words = 5 + random.Below(12); words > 0; --words) {
      const uint64_t kind = random.Below(16);
      AppendPattern(random, kind == 0 ? "`%p`" : kind == 1 ? "`%i`" : "%w", out);
      *out += words == 1 ? ". " : " ";
    }
    if (random.Below(4) == 0) *out += "\\n\\n";
  }
  if (bytes > 0) CutTo(end, out);
}

void AppendToolOutput(Random& random, size_t bytes, std::string* out) {
  const size_t end = out->size() + bytes;
  const Lines& lines = kToolLines[random.Below(kToolLines.size())];
  while (out->size() < end) {
    AppendPattern(random, Pick(random, lines), out);
    *out += "\\n";
  }
  if (bytes > 0) CutTo(end, out);
}

}  // namespace nimbus::test
