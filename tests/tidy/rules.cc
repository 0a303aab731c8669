#include "tidy/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>
#include <sstream>
#include <string_view>

namespace nimbus::tidy {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool IsWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// The next offset from `from` at which `name` stands as a name of its own.
size_t FindName(std::string_view code, std::string_view name, size_t from) {
  for (size_t at = code.find(name, from); at != kNone; at = code.find(name, at + 1)) {
    const bool begins = at == 0 || !(IsWord(code[at - 1]) || code[at - 1] == ':');
    const size_t end = at + name.size();
    const bool ends = !IsWord(name.back()) || end == code.size() || !IsWord(code[end]);
    if (begins && ends) return at;
  }
  return kNone;
}

// Code that people read line by line.
bool HasLines(const SourceFile& file) {
  return IsCpp(file) || file.path.ends_with(".cmake") || file.path.ends_with("CMakeLists.txt") ||
         file.text.starts_with("#!");
}

size_t CountCharacters(std::string_view line) {
  return static_cast<size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// A conversion that throws fails a test as loudly as it should.
enum class Where { kEverywhere, kNotTests, kLibraries };

struct Ban {
  std::string_view name;
  std::string_view instead;
  Where where = Where::kEverywhere;
};

constexpr auto kBans = std::to_array<Ban>({
    {"std::stoi", "std::from_chars: it does not throw", Where::kNotTests},
    {"std::stol", "std::from_chars: it does not throw", Where::kNotTests},
    {"std::stoll", "std::from_chars: it does not throw", Where::kNotTests},
    {"std::stoul", "std::from_chars: it does not throw", Where::kNotTests},
    {"std::stoull", "std::from_chars: it does not throw", Where::kNotTests},
    {"std::stod", "std::from_chars: it does not throw", Where::kNotTests},
    {"atoi", "std::from_chars: it tells 0 from an error", Where::kNotTests},
    {"atol", "std::from_chars: it tells 0 from an error", Where::kNotTests},
    {"atof", "std::from_chars: it tells 0 from an error", Where::kNotTests},
    {"json::parse", "schema::Json::Parse: it returns a Status"},
    {"nlohmann::json::parse", "schema::Json::Parse: it returns a Status"},
    {"absl::string_view", "std::string_view: Debian's Abseil has its own type"},
    {"absl::optional", "std::optional: Debian's Abseil has its own type"},
    {"absl::Span", "std::span"},
    {"sprintf", "fmt::format"},
    {"strcpy", "std::string"},
    {"std::rand", "schema::NewUuid, or a seeded generator that prints its seed"},
    {"assert(", "NIMBUS_CHECK: it also holds in a release"},
    {"using namespace", "using declarations"},
    {"usleep", "a wait on the event", Where::kLibraries},
    {"std::this_thread::sleep_for", "a wait on the event", Where::kLibraries},
    {"std::this_thread::sleep_until", "a wait on the event", Where::kLibraries},
    {"absl::SleepFor", "a wait on the event", Where::kLibraries},
    {"throw", "absl::Status, or NIMBUS_CHECK", Where::kLibraries},
    {"fork", "posix_spawn: LMDB is never used after a fork", Where::kLibraries},
    {"std::cout", "a return value: libraries are silent", Where::kLibraries},
    {"std::cerr", "a return value: libraries are silent", Where::kLibraries},
    {"printf", "a return value: libraries are silent", Where::kLibraries},
    {"fmt::print", "a return value: libraries are silent", Where::kLibraries},
    {"getenv", "an Options member: libraries never read the environment", Where::kLibraries},
    {"std::getenv", "an Options member: libraries never read the environment", Where::kLibraries},
});

// A project's own name for a leftover; spelled apart, so that this is none.
constexpr auto kLeftovers =
    std::to_array<std::string_view>({"TO"
                                     "DO",
                                     "FIX"
                                     "ME"});

// Modules that may be included from each, itself among them.
const std::map<std::string_view, std::set<std::string_view>>& Below() {
  static const std::map<std::string_view, std::set<std::string_view>> below = {
      {"schema", {"schema"}},
      {"journal", {"schema", "journal"}},
      {"projections", {"schema", "journal", "projections"}},
      {"replay", {"schema", "journal", "projections", "replay"}},
  };
  return below;
}

std::string_view TopDirectory(std::string_view path) { return path.substr(0, path.find('/')); }

std::string_view WithoutExtension(std::string_view path) { return path.substr(0, path.rfind('.')); }

// Paths in the #include lines of a file, with their lines.
std::vector<std::pair<size_t, std::string>> Includes(const SourceFile& file) {
  std::vector<std::pair<size_t, std::string>> includes;
  std::istringstream lines(file.text);
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (!line.starts_with("#include ")) continue;
    includes.emplace_back(number, line.substr(10, line.find_first_of(">\"", 10) - 10));
  }
  return includes;
}

// Whether a comment stands in one of the three lines that end at `offset`.
bool HasCommentNear(const SourceFile& file, size_t offset) {
  size_t begin = offset;
  for (int lines = 0; lines < 3 && begin != kNone && begin > 0; ++lines) {
    begin = file.text.rfind('\n', begin - 1);
  }
  if (begin == kNone) begin = 0;
  return file.text.substr(begin, offset - begin).find("// ") != kNone;
}

bool IsTestHead(std::string_view head) {
  return head.starts_with("TEST") || head.starts_with("TYPED_TEST");
}

// The name of the function that `head` declares; empty when it declares none.
std::string NameOf(std::string_view head) {
  const size_t end = std::min(head.find('('), head.size());
  size_t begin = end;
  while (begin > 0 && IsWord(head[begin - 1])) --begin;
  return std::string(head.substr(begin, end - begin));
}

const SourceFile* FindFile(const std::vector<SourceFile>& files, std::string_view path) {
  for (const SourceFile& file : files) {
    if (file.path == path) return &file;
  }
  return nullptr;
}

void CheckLines(const SourceFile& file, std::vector<Problem>* problems) {
  std::istringstream lines(file.text);
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (const size_t length = CountCharacters(line); length > kLineLengthMax) {
      problems->push_back(
          {file.path, number,
           fmt::format("{} characters; break the line at {}", length, kLineLengthMax)});
    }
  }
  if (IsCpp(file) && number > kFileLinesMax) {
    problems->push_back(
        {file.path, number, fmt::format("{} lines; split the file at {}", number, kFileLinesMax)});
  }
}

// "Suite.Test" of each, and "Suite.*".
std::set<std::string> TestsOf(const std::vector<SourceFile>& files) {
  std::set<std::string> tests;
  for (const SourceFile& file : files) {
    if (!IsCpp(file) || !IsTest(file)) continue;
    for (const std::string_view macro : {"TEST(", "TEST_F(", "TEST_P("}) {
      for (size_t at = FindName(file.code, macro, 0); at != kNone;
           at = FindName(file.code, macro, at + 1)) {
        const size_t begin = at + macro.size(), end = file.code.find(')', begin);
        std::string name = file.code.substr(begin, end - begin);
        std::erase_if(name, [](char c) { return std::isspace(static_cast<unsigned char>(c)); });
        const size_t comma = name.find(',');
        if (comma == kNone) continue;
        name[comma] = '.';
        tests.insert(name.substr(0, comma) + ".*");
        tests.insert(std::move(name));
      }
    }
  }
  return tests;
}

std::vector<std::string> Backquoted(const std::string& line) {
  std::vector<std::string> names;
  for (size_t begin = line.find('`'); begin != kNone; begin = line.find('`', begin)) {
    const size_t end = line.find('`', begin + 1);
    if (end == kNone) break;
    if (end > begin + 1) names.push_back(line.substr(begin + 1, end - begin - 1));
    begin = end + 1;
  }
  return names;
}

bool IsPath(std::string_view name) {
  return name.find('/') != kNone || name.ends_with(".cc") || name.ends_with(".h") ||
         name.ends_with(".sql");
}

// A file, or a directory with one in it.
bool Exists(const std::vector<SourceFile>& files, const std::string& path) {
  const std::string directory = path.ends_with('/') ? path : path + "/";
  return std::any_of(files.begin(), files.end(), [&](const SourceFile& file) {
    return file.path == path || file.path.starts_with(directory);
  });
}

}  // namespace

std::vector<Problem> CheckLengths(const SourceFile& file) {
  std::vector<Problem> problems;
  if (!HasLines(file)) return problems;
  CheckLines(file, &problems);
  if (!IsCpp(file)) return problems;
  for (const Function& function : FindFunctions(file.code)) {
    const size_t first = LineAt(file.code, function.begin);
    const size_t lines = LineAt(file.code, function.end - 1) - first + 1;
    if (lines <= kFunctionLinesMax) continue;
    problems.push_back({file.path, first,
                        fmt::format("a function of {} lines; at most {}: move the leaves out",
                                    lines, kFunctionLinesMax)});
  }
  return problems;
}

std::vector<Problem> CheckBannedNames(const SourceFile& file) {
  std::vector<Problem> problems;
  if (!IsCpp(file)) return problems;
  // The one place of a library that may print: a failed NIMBUS_CHECK.
  const bool silent = IsLibrary(file) && file.path != "schema/check.cc";
  for (const Ban& ban : kBans) {
    if (ban.where == Where::kLibraries && !silent) continue;
    if (ban.where == Where::kNotTests && IsTest(file)) continue;
    for (size_t at = FindName(file.code, ban.name, 0); at != kNone;
         at = FindName(file.code, ban.name, at + 1)) {
      problems.push_back({file.path, LineAt(file.code, at),
                          fmt::format("{} is banned; use {}", ban.name, ban.instead)});
    }
  }
  for (const std::string_view leftover : kLeftovers) {
    if (const size_t at = FindName(file.text, leftover, 0); at != kNone) {
      problems.push_back({file.path, LineAt(file.text, at), "left over: do it, or drop it"});
    }
  }
  return problems;
}

std::vector<Problem> CheckDroppedResults(const SourceFile& file) {
  std::vector<Problem> problems;
  if (!IsCpp(file)) return problems;
  const auto report = [&](size_t at) {
    problems.push_back(
        {file.path, LineAt(file.code, at), "a result is dropped; return it, or say what it was"});
  };
  constexpr std::string_view kVoid = "(void)";
  for (size_t at = file.code.find(kVoid); at != kNone; at = file.code.find(kVoid, at + 1)) {
    // A call follows, not a name to mark as used, nor the end of a parameter list.
    size_t end = at + kVoid.size();
    while (end < file.code.size() &&
           (IsWord(file.code[end]) || std::string_view(" :.->").find(file.code[end]) != kNone)) {
      ++end;
    }
    const bool declares = at > 0 && IsWord(file.code[at - 1]);
    if (!declares && end < file.code.size() && file.code[end] == '(') report(at);
  }
  // Where nothing can be done, as in a destructor, a comment above says why.
  for (const std::string_view name : {".IgnoreError()", "std::ignore ="}) {
    for (size_t at = file.code.find(name); at != kNone; at = file.code.find(name, at + 1)) {
      if (!HasCommentNear(file, at)) report(at);
    }
  }
  return problems;
}

std::vector<Problem> CheckIncludes(const SourceFile& file) {
  std::vector<Problem> problems;
  if (!IsCpp(file)) return problems;
  if (file.path.ends_with(".h") && file.text.find("#pragma once") == kNone) {
    problems.push_back({file.path, 1, "no include guard; add #pragma once"});
  }
  if (file.path.find("/include/nimbus/") != kNone && !file.text.starts_with("//")) {
    problems.push_back({file.path, 1, "a public header begins with what it is and an example"});
  }
  const auto module = Below().find(TopDirectory(file.path));
  if (module == Below().end()) return problems;
  for (const auto& [line, path] : Includes(file)) {
    if (!path.starts_with("nimbus/")) continue;
    const std::string_view other = TopDirectory(std::string_view(path).substr(7));
    if (module->second.contains(other)) continue;
    problems.push_back(
        {file.path, line,
         fmt::format("{} may not include {}: modules link downward only", module->first, other)});
  }
  return problems;
}

std::vector<Problem> CheckTestsAssert(const SourceFile& file) {
  std::vector<Problem> problems;
  if (!file.path.ends_with("_test.cc")) return problems;
  const std::vector<Function> functions = FindFunctions(file.code);
  // What a test may call to assert: the macros, helpers of other files that are
  // named for it, and this file's functions that do.
  std::vector<std::string> asserting = {"EXPECT_", "ASSERT_", "FAIL()", "Expect", "Assert"};
  const auto asserts = [&](const Function& function) {
    const std::string_view body =
        std::string_view(file.code).substr(function.begin, function.end - function.begin);
    return std::any_of(asserting.begin(), asserting.end(),
                       [&](const std::string& word) { return body.find(word) != kNone; });
  };
  for (const Function& function : functions) {
    const std::string name = NameOf(function.head);
    if (!IsTestHead(function.head) && !name.empty() && asserts(function)) {
      asserting.push_back(name + "(");
    }
  }
  for (const Function& function : functions) {
    if (!IsTestHead(function.head) || asserts(function)) continue;
    problems.push_back({file.path, LineAt(file.code, function.begin),
                        "a test that cannot fail; assert on the outcome"});
  }
  return problems;
}

std::vector<Problem> CheckMachinePaths(const SourceFile& file) {
  std::vector<Problem> problems;
  for (const std::string root : {"home", "root", "work", "Users"}) {
    const std::string path = "/" + root + "/";
    for (size_t at = file.text.find(path); at != kNone; at = file.text.find(path, at + 1)) {
      // Inside a longer path it is somebody's own directory.
      if (at > 0 && (IsWord(file.text[at - 1]) ||
                     std::string_view(".}-*/~").find(file.text[at - 1]) != kNone)) {
        continue;
      }
      problems.push_back({file.path, LineAt(file.text, at),
                          fmt::format("a path of one machine, {}; make it relative", path)});
    }
  }
  return problems;
}

std::vector<Problem> CheckTestsAreBuilt(const std::vector<SourceFile>& files) {
  std::vector<Problem> problems;
  for (const SourceFile& file : files) {
    if (!file.path.ends_with("_test.cc")) continue;
    bool listed = false;
    for (size_t slash = file.path.rfind('/'); !listed && slash != kNone && slash > 0;
         slash = file.path.rfind('/', slash - 1)) {
      const SourceFile* list = FindFile(files, file.path.substr(0, slash) + "/CMakeLists.txt");
      listed = list != nullptr && list->text.find(file.path.substr(slash + 1)) != kNone;
    }
    if (!listed) problems.push_back({file.path, 1, "is in no CMakeLists.txt; add it to its test"});
  }
  return problems;
}

std::vector<Problem> CheckWrappedOnce(const std::vector<SourceFile>& files) {
  std::vector<Problem> problems;
  std::map<std::string, std::string> wrappers;  // C header → the file pair that includes it
  for (const SourceFile& file : files) {
    // Benchmarks and tests may look beneath the wrapper.
    if (!IsCpp(file) || !(IsLibrary(file) || file.path.starts_with("tools/"))) continue;
    for (const auto& [line, path] : Includes(file)) {
      if (path != "lmdb.h" && path != "sqlite3.h") continue;
      const std::string pair(WithoutExtension(file.path));
      const auto [wrapper, first] = wrappers.emplace(path, pair);
      if (first || wrapper->second == pair) continue;
      problems.push_back(
          {file.path, line, fmt::format("includes {}; use {}.h", path, wrapper->second)});
    }
  }
  return problems;
}

std::vector<Problem> CheckReadme(const std::vector<SourceFile>& files) {
  std::vector<Problem> problems;
  const SourceFile* readme = FindFile(files, "README.md");
  if (readme == nullptr) return problems;
  std::istringstream lines(readme->text);
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const size_t begin = line.find_first_not_of(" $");
    if (begin == kNone || !std::string_view(line).substr(begin).starts_with("tools/")) continue;
    const std::string command = line.substr(begin, line.find_first_of(" `", begin) - begin);
    const SourceFile* program = FindFile(files, command);
    if (program != nullptr && program->text.starts_with("#!")) continue;
    problems.push_back({readme->path, number, fmt::format("there is no command {}", command)});
  }
  for (const std::string_view command : {"tools/quickstart", "tools/test"}) {
    if (readme->text.find(command) != kNone) continue;
    problems.push_back({readme->path, 1, fmt::format("does not tell to run {}", command)});
  }
  const SourceFile* ci = FindFile(files, ".ci/run");
  if (ci == nullptr || ci->text.find("tools/test") == kNone) {
    problems.push_back({".ci/run", 1, "does not run tools/test, as the README says"});
  }
  return problems;
}

std::vector<Problem> CheckSpec(const std::vector<SourceFile>& files) {
  std::vector<Problem> problems;
  const SourceFile* spec = FindFile(files, "docs/spec.md");
  if (spec == nullptr) return problems;
  const std::set<std::string> tests = TestsOf(files);
  std::istringstream lines(spec->text);
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::string suite;
    for (const std::string& name : Backquoted(line)) {
      const bool upper = std::isupper(static_cast<unsigned char>(name[0])) != 0;
      const size_t dot = name.find('.');
      bool exists = true;
      if (IsPath(name)) {
        exists = Exists(files, name);
      } else if (upper && dot != kNone) {
        suite = name.substr(0, dot);
        exists = tests.contains(name);
      } else if (upper && !suite.empty()) {
        exists = tests.contains(suite + "." + name);
      }
      if (!exists) problems.push_back({spec->path, number, fmt::format("there is no {}", name)});
    }
  }
  return problems;
}

std::vector<Problem> CheckAll(const std::vector<SourceFile>& files) {
  std::vector<Problem> problems;
  const auto add = [&](const std::vector<Problem>& more) {
    problems.insert(problems.end(), more.begin(), more.end());
  };
  for (const SourceFile& file : files) {
    add(CheckLengths(file));
    add(CheckBannedNames(file));
    add(CheckDroppedResults(file));
    add(CheckIncludes(file));
    add(CheckTestsAssert(file));
    add(CheckMachinePaths(file));
  }
  add(CheckTestsAreBuilt(files));
  add(CheckWrappedOnce(files));
  add(CheckReadme(files));
  add(CheckSpec(files));
  return problems;
}

}  // namespace nimbus::tidy
