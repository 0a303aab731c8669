// Files for tests: a directory that goes away with its object, whole files read
// and written, and the shared data and suites that are no part of the project.
//
//   TempDir directory;
//   ASSERT_TRUE(WriteFile(directory / "input.json", "{}"));
//   NIMBUS_SHARED_OR_SKIP(runs, "data/runs");
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace nimbus::test {

// A new empty directory below $TMPDIR (or /tmp) or `below`, removed with all it holds when
// the object is destroyed, whatever its permissions were set to. Throws
// std::filesystem::filesystem_error when none can be made.
class TempDir {
 public:
  TempDir();
  explicit TempDir(const std::filesystem::path& below);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string string() const { return path_.string(); }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Where flushing costs nothing, for tests that kill processes by the thousand: what a
// process has written outlives it, flushed or not. $TMPDIR if it is set; else /dev/shm if it
// is memory with room for a few stores; else /tmp.
std::filesystem::path MemoryBackedDirectory();

// Makes the file hold exactly `bytes`; false when that fails.
bool WriteFile(const std::filesystem::path& path, std::string_view bytes);
bool AppendFile(const std::filesystem::path& path, std::string_view bytes);

// All bytes of the file; nullopt when it can't be read.
std::optional<std::string> ReadFile(const std::filesystem::path& path);

// `relative` below the shared directory ($NIMBUS_SHARED, else what CMake found
// beside the repository); nullopt when there is no such file or directory.
std::optional<std::filesystem::path> FindShared(std::string_view relative);

}  // namespace nimbus::test

// Declares `name`, the path of `relative` in the shared directory, or skips the test.
#define NIMBUS_SHARED_OR_SKIP(name, relative)                                                  \
  const std::optional<std::filesystem::path> name##_or = ::nimbus::test::FindShared(relative); \
  if (!name##_or)                                                                              \
    GTEST_SKIP() << "no " << (relative) << " in the shared directory; set NIMBUS_SHARED";      \
  const std::filesystem::path name = *name##_or
