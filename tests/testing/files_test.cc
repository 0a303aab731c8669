#include "testing/files.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <memory>

namespace nimbus::test {
namespace {
namespace fs = std::filesystem;

TEST(TempDir, GoesAwayWithAllItHolds) {
  fs::path path;
  {
    TempDir directory;
    path = directory.path();
    EXPECT_TRUE(fs::is_directory(path));
    EXPECT_TRUE(fs::is_empty(path));
    ASSERT_TRUE(fs::create_directories(directory / "a/b"));
    ASSERT_TRUE(WriteFile(directory / "a/b/file", "x"));
    fs::permissions(directory / "a", fs::perms::none);
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(TempDir, IsNeverTheSameTwice) {
  TempDir first, second;
  EXPECT_NE(first.path(), second.path());
  EXPECT_TRUE(fs::exists(first.path()));
  EXPECT_TRUE(fs::exists(second.path()));
}

TEST(TempDir, IsMadeWhereItIsAskedFor) {
  TempDir above;
  EXPECT_EQ(TempDir(above.path()).path().parent_path(), above.path());
  EXPECT_THROW(TempDir(above / "absent"), fs::filesystem_error);
  EXPECT_TRUE(fs::is_empty(above.path()));
}

TEST(MemoryBackedDirectory, IsTheOneThatIsSet) {
  TempDir chosen;
  const char* before = getenv("TMPDIR");
  const std::optional<std::string> kept =
      before ? std::optional<std::string>(before) : std::nullopt;
  setenv("TMPDIR", chosen.string().c_str(), 1);
  EXPECT_EQ(MemoryBackedDirectory(), chosen.path());
  unsetenv("TMPDIR");
  EXPECT_TRUE(fs::is_directory(TempDir(MemoryBackedDirectory()).path()));
  if (kept) setenv("TMPDIR", kept->c_str(), 1);
}

TEST(Files, KeepEveryByte) {
  TempDir directory;
  const std::string bytes("\0\r\n\xff", 4);
  ASSERT_TRUE(WriteFile(directory / "file", "longer than what follows"));
  ASSERT_TRUE(WriteFile(directory / "file", bytes));
  EXPECT_EQ(ReadFile(directory / "file"), bytes);
  ASSERT_TRUE(AppendFile(directory / "file", "more"));
  EXPECT_EQ(ReadFile(directory / "file"), bytes + "more");
}

TEST(Files, SayWhenTheyCannotBeReadOrWritten) {
  TempDir directory;
  EXPECT_EQ(ReadFile(directory / "absent"), std::nullopt);
  EXPECT_EQ(ReadFile(directory.path()), std::nullopt);
  EXPECT_FALSE(WriteFile(directory / "absent/file", "x"));
  EXPECT_FALSE(AppendFile(directory / "absent/file", "x"));
}

TEST(FindShared, PrefersTheEnvironment) {
  TempDir directory;
  ASSERT_TRUE(WriteFile(directory / "here", ""));
  const char* before = getenv("NIMBUS_SHARED");
  const std::optional<std::string> kept =
      before ? std::optional<std::string>(before) : std::nullopt;
  setenv("NIMBUS_SHARED", directory.string().c_str(), 1);
  EXPECT_EQ(FindShared("here"), directory / "here");
  EXPECT_EQ(FindShared("absent"), std::nullopt);
  if (kept) {
    setenv("NIMBUS_SHARED", kept->c_str(), 1);
  } else {
    unsetenv("NIMBUS_SHARED");
  }
}

}  // namespace
}  // namespace nimbus::test
