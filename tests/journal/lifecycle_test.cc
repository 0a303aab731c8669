#include "nimbus/journal/lifecycle.h"

#include <gtest/gtest.h>

#include "testing/status_matchers.h"

namespace nimbus::journal {
namespace {

using test::IsOkAndHolds;
using test::StatusIs;
using testing::HasSubstr;

TEST(LifecycleTest, IsSpelledAsSpecified) {
  EXPECT_EQ(StatusText(Lifecycle::kPending), "pending");
  EXPECT_EQ(StatusText(Lifecycle::kCancelled), "cancelled");
  for (const Lifecycle status : {Lifecycle::kPending, Lifecycle::kRunning, Lifecycle::kCompleted,
                                 Lifecycle::kFailed, Lifecycle::kCancelled}) {
    EXPECT_THAT(ParseStatus(StatusText(status)), IsOkAndHolds(status));
  }
}

TEST(LifecycleTest, RefusesOtherWords) {
  for (const char* word : {"done", "", "Running", "running "}) {
    EXPECT_THAT(ParseStatus(word), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr(std::string("'") + word + "' is no status")));
  }
}

}  // namespace
}  // namespace nimbus::journal
