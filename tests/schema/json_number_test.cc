// Numbers as values and in canonical JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "nimbus/schema/json.h"
#include "testing/status_matchers.h"

namespace nimbus::schema {
namespace {

Json Number(std::string_view token) { return Json::Number(std::string(token)); }

std::string Canonical(std::string_view text) {
  const absl::StatusOr<Json> value = Json::Parse(text);
  EXPECT_THAT(value, test::IsOk()) << text;
  return value.ok() ? CanonicalJson(*value) : "";
}

TEST(JsonInt, IsExactOrAbsent) {
  EXPECT_EQ(Number("1.0").AsInt(), 1);
  EXPECT_EQ(Number("1e2").AsInt(), 100);
  EXPECT_EQ(Number("-12.50e1").AsInt(), -125);
  EXPECT_EQ(Number("-0").AsInt(), 0);
  EXPECT_EQ(Number("0e99999999999999999999").AsInt(), 0);
  EXPECT_EQ(Number("9223372036854775807").AsInt(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Number("-9223372036854775808").AsInt(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(Number("9223372036854775808").AsInt(), std::nullopt);
  EXPECT_EQ(Number("-9223372036854775809").AsInt(), std::nullopt);
  EXPECT_EQ(Number("1.5").AsInt(), std::nullopt);
  EXPECT_EQ(Number("1e1000000000").AsInt(), std::nullopt);
  EXPECT_EQ(Json::String("1").AsInt(), std::nullopt);
}

TEST(JsonDouble, IsTheNearestOrAbsent) {
  EXPECT_EQ(Number("0.1").AsDouble(), 0.1);
  EXPECT_EQ(Number("9007199254740993").AsDouble(), 9007199254740992.0);
  EXPECT_EQ(Number("1.7976931348623157e308").AsDouble(), std::numeric_limits<double>::max());
  EXPECT_EQ(Number("5e-324").AsDouble(), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(Number("1e-400").AsDouble(), 0.0);
  EXPECT_TRUE(std::signbit(Number("-1e-99999999999999999999999").AsDouble().value_or(1)));
  EXPECT_EQ(Number("1e400").AsDouble(), std::nullopt);
  EXPECT_EQ(Number("-1e99999999999999999999999").AsDouble(), std::nullopt);
  EXPECT_EQ(Json().AsDouble(), std::nullopt);
}

TEST(JsonDouble, IsWrittenInTheShortestFormThatReadsBack) {
  EXPECT_EQ(Json::Double(0.1).number(), "0.1");
  EXPECT_EQ(Json::Double(1e21).number(), "1e+21");
  EXPECT_EQ(Json::Double(123456789012345680000.0).number(), "123456789012345680000");
  EXPECT_EQ(Json::Double(-0.0).number(), "-0");
  EXPECT_EQ(Json::Double(1e-7).number(), "1e-7");
  EXPECT_EQ(Json::Double(0.000001).number(), "0.000001");
  EXPECT_EQ(Json::Uint(std::numeric_limits<uint64_t>::max()).number(), "18446744073709551615");
}

TEST(CanonicalNumber, ShortNumbersFollowEcmaScript) {
  EXPECT_EQ(Canonical("-0"), "0");
  EXPECT_EQ(Canonical("-0.0e5"), "0");
  EXPECT_EQ(Canonical("1.0"), "1");
  EXPECT_EQ(Canonical("100e-2"), "1");
  EXPECT_EQ(Canonical("1e21"), "1e+21");
  EXPECT_EQ(Canonical("1E20"), "100000000000000000000");
  EXPECT_EQ(Canonical("0.00000100"), "0.000001");
  EXPECT_EQ(Canonical("0.0000001"), "1e-7");
  EXPECT_EQ(Canonical("-4.50"), "-4.5");
  EXPECT_EQ(Canonical("123456789012345"), "123456789012345");
  EXPECT_EQ(Canonical("5e-324"), "5e-324");
  EXPECT_EQ(Canonical("17976931348623157e292"), "1.7976931348623157e+308");
}

TEST(CanonicalNumber, DigitsADoubleWouldLoseAreKept) {
  EXPECT_EQ(Canonical("9007199254740993"), "9007199254740993");
  EXPECT_EQ(Canonical("39712373237291850001929057"), "39712373237291850001929057");
  EXPECT_EQ(Canonical("39712373237291850001929057.0"), "39712373237291850001929057");
  EXPECT_EQ(Canonical("1152921504606846976"), "1152921504606846976");  // 2^60
  const std::string ones64(64, '1'), ones65(65, '1');
  EXPECT_EQ(Canonical(ones64), ones64);
  EXPECT_EQ(Canonical(ones65), "1." + std::string(64, '1') + "e+64");
  EXPECT_EQ(Canonical("0.10000000000000000555"), "0.10000000000000000555");
  EXPECT_EQ(Canonical("1E400"), "1e+400");
  EXPECT_EQ(Canonical("0.001e-400"), "1e-403");
  EXPECT_EQ(Canonical("12e99999999999999999999"), "1.2e+100000000000000000000");
}

// One of the many tokens of digits[0].digits[1:] × 10^exponent.
std::string RandomSpelling(const std::string& digits, int exponent, std::mt19937& random) {
  const size_t shift = random() % 8;
  if (shift > 0) {
    return "0." + std::string(shift - 1, '0') + digits + "e" +
           std::to_string(exponent + static_cast<int>(shift));
  }
  const std::string fraction = digits.size() > 1 ? digits.substr(1) : "0";
  return digits.substr(0, 1) + "." + fraction + std::string(random() % 3, '0') +
         (random() % 2 == 0 ? "e" : "E") + std::to_string(exponent);
}

TEST(CanonicalNumber, EqualValuesAndOnlyTheyHaveEqualBytes) {
  constexpr unsigned kSeed = 20260110;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    std::string digits(1, static_cast<char>('1' + random() % 9));
    for (size_t n = random() % 30; n > 0; --n) digits += static_cast<char>('0' + random() % 10);
    const int exponent = static_cast<int>(random() % 700) - 350;
    const std::string a = RandomSpelling(digits, exponent, random);
    const std::string b = RandomSpelling(digits, exponent, random);
    ASSERT_EQ(Canonical(a), Canonical(b)) << a << " and " << b << ", seed " << kSeed;
    ASSERT_EQ(Number(a), Number(b)) << a << " and " << b;
    ASSERT_EQ(Number(Canonical(a)), Number(a)) << a;
    std::string other = digits;
    other.back() = other.back() == '9' ? '8' : static_cast<char>(other.back() + 1);
    const std::string c = RandomSpelling(other, exponent, random);
    ASSERT_NE(Canonical(a), Canonical(c)) << a << " and " << c << ", seed " << kSeed;
  }
}

TEST(CanonicalObject, SortsMembersByUtf16CodeUnits) {
  EXPECT_EQ(Canonical(R"({"b":1,"a":{"d":[],"c":{}},"":0,"aa":2,"B":3})"),
            R"({"":0,"B":3,"a":{"c":{},"d":[]},"aa":2,"b":1})");
  // U+1F600 is D83D DE00 in UTF-16: before U+E000 and U+FFFF, after U+D7FF.
  EXPECT_EQ(Canonical("{\"\uffff\":4,\"\ue000\":3,\"\U0001F600\":2,\"\ud7ff\":1}"),
            "{\"\ud7ff\":1,\"\U0001F600\":2,\"\ue000\":3,\"\uffff\":4}");
}

}  // namespace
}  // namespace nimbus::schema
