#include "tidy/source.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "testing/files.h"

namespace nimbus::tidy {
namespace {
namespace fs = std::filesystem;

bool IsWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// The offset after the literal or comment that starts at `begin`, or `begin`
// when none does.
size_t SkipLiteral(std::string_view text, size_t begin) {
  const std::string_view rest = text.substr(begin);
  const auto after = [&](std::string_view mark, size_t from) {
    const size_t found = text.find(mark, from);
    return found == std::string_view::npos ? text.size() : found + mark.size();
  };
  if (rest.starts_with("//")) return std::min(text.find('\n', begin), text.size());
  if (rest.starts_with("/*")) return after("*/", begin + 2);
  if (rest.starts_with("R\"") && (begin == 0 || !IsWord(text[begin - 1]))) {
    const size_t open = text.find('(', begin);
    return after(")" + std::string(text.substr(begin + 2, open - begin - 2)) + "\"", open);
  }
  const char quote = text[begin];
  // 1'000 holds no character literal.
  if (quote != '"' && (quote != '\'' || (begin > 0 && IsWord(text[begin - 1])))) return begin;
  size_t end = begin + 1;
  while (end < text.size() && text[end] != quote && text[end] != '\n') {
    end += text[end] == '\\' ? 2 : 1;
  }
  return std::min(end + 1, text.size());
}

bool IsSkippedDirectory(const std::string& name) {
  return name == "build" || name == ".git" || name == ".cache" || name.ends_with(".nimbus");
}

}  // namespace

std::string BlankCommentsAndLiterals(std::string_view text) {
  std::string code(text);
  for (size_t i = 0; i < text.size();) {
    const size_t end = SkipLiteral(text, i);
    for (size_t at = i; at < end; ++at) {
      if (code[at] != '\n') code[at] = ' ';
    }
    i = std::max(end, i + 1);
  }
  return code;
}

SourceFile MakeSource(std::string path, std::string text) {
  SourceFile file{.path = std::move(path), .text = std::move(text)};
  file.code = IsCpp(file) ? BlankCommentsAndLiterals(file.text) : file.text;
  return file;
}

std::vector<SourceFile> ReadTree(const fs::path& root) {
  std::vector<SourceFile> files;
  for (fs::recursive_directory_iterator it(root), end; it != end; ++it) {
    if (it->is_directory() && IsSkippedDirectory(it->path().filename().string())) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file() && it->path().filename() != ".git") {
      files.push_back(MakeSource(fs::relative(it->path(), root).generic_string(),
                                 test::ReadFile(it->path()).value_or("")));
    }
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

size_t LineAt(std::string_view text, size_t offset) {
  return 1 + static_cast<size_t>(
                 std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(offset), '\n'));
}

bool IsCpp(const SourceFile& file) {
  return file.path.ends_with(".h") || file.path.ends_with(".cc");
}

bool IsLibrary(const SourceFile& file) {
  for (const std::string_view module : {"schema/", "journal/", "projections/", "replay/"}) {
    if (file.path.starts_with(module)) return true;
  }
  return false;
}

bool IsTest(const SourceFile& file) { return file.path.starts_with("tests/"); }

namespace {

enum class Block { kScope, kFunction, kOther };

bool HasWord(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const bool begins = at == 0 || !IsWord(text[at - 1]);
    const bool ends = at + word.size() == text.size() || !IsWord(text[at + word.size()]);
    if (begins && ends) return true;
  }
  return false;
}

// What a brace opens, by what stands before it and where it stands.
Block Classify(std::string_view head, bool in_scope) {
  if (!in_scope) return Block::kOther;
  if (HasWord(head, "namespace") || HasWord(head, "extern")) return Block::kScope;
  if (head.find('(') != std::string_view::npos) return Block::kFunction;
  for (const std::string_view word : {"class", "struct", "union"}) {
    if (HasWord(head, word)) return Block::kScope;
  }
  return Block::kOther;
}

}  // namespace

std::vector<Function> FindFunctions(std::string_view code) {
  struct Open {
    Block block;
    size_t begin;
  };
  std::vector<Function> functions;
  std::vector<Open> open;
  size_t statement = 0;  // where the current declaration begins
  int parentheses = 0;   // open in it
  for (size_t i = 0; i < code.size(); ++i) {
    const char c = code[i];
    const bool in_scope = open.empty() || open.back().block == Block::kScope;
    if (c == '#' && (i == 0 || code[i - 1] == '\n')) {  // a directive ends with its line
      while (i < code.size() && (code[i] != '\n' || code[i - 1] == '\\')) ++i;
      statement = i + 1;
    } else if (c == '{') {
      const std::string_view head = code.substr(statement, i - statement);
      // An initialiser stands in a parameter list, or touches what it initialises.
      const bool initialises =
          parentheses > 0 || (i > 0 && (IsWord(code[i - 1]) || code[i - 1] == '>'));
      open.push_back({initialises ? Block::kOther : Classify(head, in_scope), statement});
      if (open.back().block == Block::kScope) statement = i + 1;
    } else if (c == '}' && !open.empty()) {
      const Open closed = open.back();
      open.pop_back();
      if (closed.block == Block::kFunction) {
        const size_t begin = code.find_first_not_of(" \n", closed.begin);
        functions.push_back({begin, i + 1, std::string(code.substr(begin, i - begin))});
      }
      if (closed.block != Block::kOther) statement = i + 1;
    } else if (c == ';' && in_scope) {
      statement = i + 1;
    } else if (in_scope) {
      parentheses += c == '(' ? 1 : c == ')' ? -1 : 0;
    }
  }
  for (Function& function : functions) {
    function.head = function.head.substr(0, function.head.find('{'));
  }
  return functions;
}

}  // namespace nimbus::tidy
