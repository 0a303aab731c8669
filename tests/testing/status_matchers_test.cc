#include "testing/status_matchers.h"

#include <gtest/gtest-spi.h>

namespace nimbus::test {
namespace {

using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("7 is odd");
  return value / 2;
}

TEST(StatusMatchers, TellOkFromError) {
  EXPECT_THAT(absl::OkStatus(), IsOk());
  EXPECT_THAT(Half(4), IsOk());
  EXPECT_THAT(absl::InternalError("broken"), Not(IsOk()));
  EXPECT_THAT(Half(7), Not(IsOk()));
}

TEST(StatusMatchers, MatchCodeAndMessage) {
  EXPECT_THAT(Half(7), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Half(7), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("odd")));
  EXPECT_THAT(Half(7), Not(StatusIs(absl::StatusCode::kInvalidArgument, "odd")));
  EXPECT_THAT(Half(7).status(), Not(StatusIs(absl::StatusCode::kInternal)));
}

TEST(StatusMatchers, MatchTheValue) {
  EXPECT_THAT(Half(4), IsOkAndHolds(2));
  EXPECT_THAT(Half(4), Not(IsOkAndHolds(Gt(2))));
  EXPECT_THAT(Half(7), Not(IsOkAndHolds(3)));
}

TEST(StatusMatchers, NameTheErrorWhenTheyFail) {
  EXPECT_NONFATAL_FAILURE(EXPECT_THAT(Half(7), IsOk()), "7 is odd");
  EXPECT_NONFATAL_FAILURE(EXPECT_THAT(Half(7), IsOkAndHolds(3)), "7 is odd");
  EXPECT_FATAL_FAILURE(NIMBUS_ASSERT_OK(absl::InternalError("broken")), "broken");
}

}  // namespace
}  // namespace nimbus::test
