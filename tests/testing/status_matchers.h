// Matchers and assertions for absl::Status and absl::StatusOr, which Debian's
// Abseil comes without.
//
//   EXPECT_THAT(journal->Append(event), IsOk());
//   EXPECT_THAT(Json::Parse("{"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("byte
//   1"))); EXPECT_THAT(journal->Size(), IsOkAndHolds(3)); NIMBUS_ASSERT_OK_AND_ASSIGN(const
//   uint64_t size, journal->Size());
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nimbus::test {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}

// The status, or the status of the value, is OK.
MATCHER(IsOk, negation ? "is an error" : "is OK") {
  *result_listener << "whose status is " << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

MATCHER_P2(StatusIs, code, message_matcher,
           std::string(negation ? "isn't " : "is ") + absl::StatusCodeToString(code) +
               " with a message that " + ::testing::DescribeMatcher<std::string>(message_matcher)) {
  const absl::Status& status = StatusOf(arg);
  *result_listener << "whose status is " << status.ToString();
  return status.code() == code &&
         ::testing::Matches(message_matcher)(std::string(status.message()));
}

// An error with this code, whatever its message.
inline auto StatusIs(absl::StatusCode code) { return StatusIs(code, ::testing::_); }

// A StatusOr that holds a value which matches.
MATCHER_P(IsOkAndHolds, value_matcher,
          negation ? "isn't OK with such a value" : "is OK and holds") {
  if (!arg.ok()) {
    *result_listener << "whose status is " << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value_matcher, *arg, result_listener);
}

}  // namespace nimbus::test

#define NIMBUS_EXPECT_OK(expression) EXPECT_THAT((expression), ::nimbus::test::IsOk())
#define NIMBUS_ASSERT_OK(expression) ASSERT_THAT((expression), ::nimbus::test::IsOk())

#define NIMBUS_TEST_CONCAT_INNER(a, b) a##b
#define NIMBUS_TEST_CONCAT(a, b) NIMBUS_TEST_CONCAT_INNER(a, b)
#define NIMBUS_ASSERT_OK_AND_ASSIGN(declaration, expression)                                    \
  NIMBUS_ASSERT_OK_AND_ASSIGN_IMPL(NIMBUS_TEST_CONCAT(nimbus_statusor_, __LINE__), declaration, \
                                   expression)
#define NIMBUS_ASSERT_OK_AND_ASSIGN_IMPL(statusor, declaration, expression) \
  auto statusor = (expression);                                             \
  ASSERT_THAT(statusor.status(), ::nimbus::test::IsOk());                   \
  declaration = std::move(statusor).value()
