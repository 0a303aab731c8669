#include "nimbus/schema/clock.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace nimbus::schema {
namespace {

constexpr int64_t kMicros = 1'768'081'175'285'000;  // 2026-01-10 21:39:35.285 UTC

TEST(ClockTest, WritesTimesThatSortAsText) {
  EXPECT_EQ(FormatUtc(kMicros), "2026-01-10 21:39:35.285000");
  EXPECT_EQ(FormatUtc(0), "1970-01-01 00:00:00.000000");
  EXPECT_EQ(FormatUtc(-1), "1969-12-31 23:59:59.999999");
  EXPECT_LT(FormatUtc(kMicros), FormatUtc(kMicros + 1));
}

TEST(ClockTest, StaysWithinFourDigitYears) {
  EXPECT_EQ(FormatUtc(std::numeric_limits<int64_t>::max()), "9999-12-31 23:59:59.999999");
  EXPECT_EQ(FormatUtc(std::numeric_limits<int64_t>::min()), "0000-01-01 00:00:00.000000");
}

TEST(ClockTest, ReadsEveryFormThatRecordingsUse) {
  EXPECT_EQ(ParseUtc("2026-01-10T21:39:35.285Z"), kMicros);
  EXPECT_EQ(ParseUtc("2026-01-10 21:39:35.285000"), kMicros);
  EXPECT_EQ(ParseUtc("2026-01-10T16:39:35.285-05:00"), kMicros);
  EXPECT_EQ(ParseUtc("2026-01-10T22:39:35.285+0100"), kMicros);
  EXPECT_EQ(ParseUtc("2026-01-10T22:39:35.285+01"), kMicros);
  EXPECT_EQ(ParseUtc("2026-01-10t21:39:35.285999999z"), kMicros + 999);
  EXPECT_EQ(ParseUtc("2026-01-10T21:39Z"), kMicros - 35'285'000);
  EXPECT_EQ(ParseUtc(FormatUtc(kMicros)), kMicros);
}

TEST(ClockTest, RefusesImpossibleAndMalformedTimes) {
  for (const char* text :
       {"", "yesterday", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-10T24:00:00Z",
        "2026-01-10T21:60:00Z", "2026-01-10T21:39:35.Z", "2026-01-10T21:39:35Zjunk",
        "2026-01-10T21:39:35+25:00", "2026-01-10", "1768081175", "2026-1-1T00:00:00Z"}) {
    EXPECT_EQ(ParseUtc(text), std::nullopt) << text;
  }
}

TEST(ClockTest, KnowsLeapDays) {
  EXPECT_TRUE(ParseUtc("2024-02-29T12:00:00Z").has_value());
  EXPECT_FALSE(ParseUtc("2023-02-29T12:00:00Z").has_value());
}

}  // namespace
}  // namespace nimbus::schema
