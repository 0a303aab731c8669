// The rules of the house that a machine can check. Each takes what it judges
// and returns what is wrong, with what to do instead.
#pragma once

#include <string>
#include <vector>

#include "tidy/source.h"

namespace nimbus::tidy {

inline constexpr size_t kLineLengthMax = 100;  // characters
inline constexpr size_t kFunctionLinesMax = 70;
inline constexpr size_t kFileLinesMax = 600;

struct Problem {
  std::string path;
  size_t line = 0;
  std::string what;
};

std::vector<Problem> CheckLengths(const SourceFile& file);
// Names that have a better replacement here.
std::vector<Problem> CheckBannedNames(const SourceFile& file);
// A Status thrown away.
std::vector<Problem> CheckDroppedResults(const SourceFile& file);
// #pragma once, a leading comment in a public header, links downward only.
std::vector<Problem> CheckIncludes(const SourceFile& file);
std::vector<Problem> CheckTestsAssert(const SourceFile& file);
// Paths of the machine it was written on.
std::vector<Problem> CheckMachinePaths(const SourceFile& file);

// Every *_test.cc is named in a CMakeLists.txt above it.
std::vector<Problem> CheckTestsAreBuilt(const std::vector<SourceFile>& files);
// One file pair includes lmdb.h, one sqlite3.h.
std::vector<Problem> CheckWrappedOnce(const std::vector<SourceFile>& files);
// The README's commands exist, and CI runs the tests as it says.
std::vector<Problem> CheckReadme(const std::vector<SourceFile>& files);
// What docs/spec.md names in backquotes exists: files, by their whole path, and tests, as
// `Suite.Test`, as `Suite.*`, or as `Test` after one of its suite in the same line.
std::vector<Problem> CheckSpec(const std::vector<SourceFile>& files);

// All of the above.
std::vector<Problem> CheckAll(const std::vector<SourceFile>& files);

}  // namespace nimbus::tidy
