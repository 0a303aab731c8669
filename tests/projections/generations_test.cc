// Locks that processes take turns by.
#include "generations.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fmt/format.h>

#include "testing/files.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using Code = absl::StatusCode;
using test::IsOk;
using test::StatusIs;
using testing::HasSubstr;

class FileLockTest : public testing::Test {
 protected:
  std::string path() const { return directory_ / "some.lock"; }

  test::TempDir directory_;
};

TEST_F(FileLockTest, IsHeldByOneAndNamesItToThoseWhoWaitTooLong) {
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const FileLock held, FileLock::TakeWithin(path(), 0));
    EXPECT_THAT(
        FileLock::TakeWithin(path(), 5),
        StatusIs(Code::kDeadlineExceeded,
                 HasSubstr(fmt::format("{} is held by process {} after 5 ms", path(), getpid()))));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<FileLock> other, FileLock::TryTake(path()));
    EXPECT_FALSE(other);
  }
  EXPECT_THAT(FileLock::TakeWithin(path(), 0), IsOk()) << "it was let go";
}

TEST_F(FileLockTest, OfAHolderThatDoesNotSaySoIsHeldAllTheSame) {
  for (const char* text : {"", "garbage", "                                                9"}) {
    ASSERT_TRUE(test::WriteFile(path(), text));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const FileLock held, FileLock::Take(path()));
    EXPECT_THAT(FileLock::TakeWithin(path(), 0),
                StatusIs(Code::kDeadlineExceeded, HasSubstr("held by another process")));
  }
}

TEST_F(FileLockTest, WithoutItsDirectoryIsNotFound) {
  const std::string nowhere = directory_ / "none" / "some.lock";
  EXPECT_THAT(FileLock::TakeWithin(nowhere, 0), StatusIs(Code::kNotFound, HasSubstr(nowhere)));
  EXPECT_THAT(FileLock::Take(nowhere), StatusIs(Code::kNotFound));
  EXPECT_THAT(FileLock::TryTake(nowhere), StatusIs(Code::kNotFound));
}

}  // namespace
}  // namespace nimbus::projections
