// Semantic versions and the constraints on them.
#include "semver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using Code = absl::StatusCode;
using test::IsOk;
using test::StatusIs;
using testing::HasSubstr;

Semver V(std::string_view text) {
  const absl::StatusOr<Semver> version = ParseSemver(text);
  EXPECT_THAT(version, IsOk()) << text;
  return version.value_or(Semver{});
}

bool Holds(std::string_view dependency, std::string_view version) {
  const absl::StatusOr<Dependency> parsed = ParseDependency(dependency);
  EXPECT_THAT(parsed, IsOk()) << dependency;
  return parsed.ok() && Satisfies(*parsed, V(version));
}

TEST(SemverTest, OrdersAsTheSpecificationsExample) {
  const std::vector<std::string> ascending = {
      "0.0.1",      "0.1.0",        "1.0.0-alpha",   "1.0.0-alpha.1", "1.0.0-alpha.beta",
      "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",    "1.0.0",
      "1.2.0",      "1.10.0",       "2.0.0"};
  for (size_t i = 0; i < ascending.size(); ++i) {
    for (size_t j = 0; j < ascending.size(); ++j) {
      EXPECT_EQ(V(ascending[i]) < V(ascending[j]), i < j) << ascending[i] << " " << ascending[j];
      EXPECT_EQ(V(ascending[i]) == V(ascending[j]), i == j);
    }
  }
  EXPECT_EQ(V("1.0.0+build.7"), V("1.0.0+other"));
  EXPECT_LT(V("1.0.0-99999999999999999999"), V("1.0.0-100000000000000000000"));
}

TEST(SemverTest, RefusesWhatIsNone) {
  for (const std::string bad :
       {"", "1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.2.-3", "1.2.3-", "1.2.3-01", "1.2.3+",
        "1.2.3-a..b", "1.2.x", " 1.2.3", "1.2.3 ", "18446744073709551616.0.0", "1.2.3-\xff"}) {
    EXPECT_THAT(ParseSemver(bad), StatusIs(Code::kInvalidArgument)) << bad;
  }
}

TEST(SemverTest, ADependencyIsANameAndConstraints) {
  const absl::StatusOr<Dependency> any = ParseDependency("@scope/aws");
  ASSERT_THAT(any, IsOk());
  EXPECT_EQ(any->name, "@scope/aws");
  EXPECT_TRUE(Satisfies(*any, V("0.0.1-alpha")));
  for (const auto& [bad, why] : std::vector<std::pair<std::string, std::string>>{
           {"", "no plugin's name"},
           {" >=1", "no plugin's name"},
           {"aws>=1", "a space goes before"},
           {"aws 1.2", "'1.2' is no constraint"},
           {"aws >=1 ", "'' is no constraint"},
           {"aws ==1", "is no constraint"},
           {"aws >=1.2-rc", "is no constraint"},
           {"aws ^18446744073709551615", "is no constraint"}}) {
    EXPECT_THAT(ParseDependency(bad), StatusIs(Code::kInvalidArgument, HasSubstr(why))) << bad;
  }
}

TEST(SemverTest, ComparesWithMissingPartsAsZero) {
  EXPECT_TRUE(Holds("a >=1.2", "1.2.0"));
  EXPECT_FALSE(Holds("a >=1.2", "1.2.0-rc.1"));
  EXPECT_TRUE(Holds("a >1.2", "1.2.1"));
  EXPECT_FALSE(Holds("a >1.2", "1.2.0"));
  EXPECT_TRUE(Holds("a <2", "2.0.0-rc.1"));
  EXPECT_FALSE(Holds("a <2", "2.0.0"));
  EXPECT_TRUE(Holds("a <=2", "2.0.0"));
  EXPECT_TRUE(Holds("a =1.2.3", "1.2.3+linux"));
  EXPECT_FALSE(Holds("a =1.2", "1.2.3"));
  EXPECT_TRUE(Holds("a >=1.2 <2", "1.9.9"));
  EXPECT_FALSE(Holds("a >=1.2 <2", "2.1.0"));
}

TEST(SemverTest, CaretAndTildeEndBeforeWhatMayBreak) {
  for (const auto& [constraint, last, first_out] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"^1.2.3", "1.99.0", "2.0.0-alpha"},
           {"^1", "1.99.0", "2.0.0"},
           {"^0.2.3", "0.2.9", "0.3.0"},
           {"^0.0.3", "0.0.3", "0.0.4"},
           {"^0.0", "0.0.9", "0.1.0"},
           {"^0", "0.9.0", "1.0.0"},
           {"~1.2.3", "1.2.9", "1.3.0"},
           {"~1.2", "1.2.9", "1.3.0-rc.1"},
           {"~1", "1.9.0", "2.0.0"}}) {
    EXPECT_TRUE(Holds("a " + constraint, last)) << constraint;
    EXPECT_FALSE(Holds("a " + constraint, first_out)) << constraint;
  }
  EXPECT_FALSE(Holds("a ^1.2", "1.1.9"));
  EXPECT_FALSE(Holds("a ~1.2.3", "1.2.2"));
}

}  // namespace
}  // namespace nimbus::projections
