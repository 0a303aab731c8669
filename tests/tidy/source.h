// A file of the project as the tidy rules see it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace nimbus::tidy {

struct SourceFile {
  std::string path;  // from the root of the project, with '/'
  std::string text;
  std::string code;  // text with comments and the insides of literals blanked; line ends stay
};

// `text` of C++ with every comment and everything inside string and character
// literals replaced by spaces, so that a search finds code only.
std::string BlankCommentsAndLiterals(std::string_view text);

SourceFile MakeSource(std::string path, std::string text);

// Every file of the project below `root`, in the order of their paths. Build
// trees, stores and git's own files are left out.
std::vector<SourceFile> ReadTree(const std::filesystem::path& root);

// 1 for the first line.
size_t LineAt(std::string_view text, size_t offset);

bool IsCpp(const SourceFile& file);
// Of the libraries: what an application links.
bool IsLibrary(const SourceFile& file);
bool IsTest(const SourceFile& file);

// A function with a body, or a TEST.
struct Function {
  size_t begin = 0, end = 0;  // offsets in the code: first character of its declaration, after '}'
  std::string head;           // what stands before its body
};
std::vector<Function> FindFunctions(std::string_view code);

}  // namespace nimbus::tidy
