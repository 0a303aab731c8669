// What is suggested for a name that there is not.
#include "tools/cli/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace nimbus::tools::cli {
namespace {

TEST(NearestTest, SuggestsWhatIsSpelledMuchTheSame) {
  const std::vector<std::string> known = {"aws", "azure", "kubernetes", "gcp"};
  EXPECT_EQ(DidYouMean("awss", known), "; did you mean 'aws'?");
  EXPECT_EQ(DidYouMean("AWS", known), "; did you mean 'aws'?");
  EXPECT_EQ(DidYouMean("kubernets", known), "; did you mean 'kubernetes'?");
  EXPECT_EQ(DidYouMean("azrue", known), "; did you mean 'azure'?");
  EXPECT_EQ(DidYouMean("gpc", known), "; did you mean 'gcp'?");
}

TEST(NearestTest, SuggestsNothingFarFetched) {
  const std::vector<std::string> known = {"aws", "azure", std::string(1000, 'a')};
  EXPECT_EQ(DidYouMean("terraform", known), "");
  EXPECT_EQ(DidYouMean("", known), "");
  EXPECT_EQ(DidYouMean("x", known), "");
  EXPECT_EQ(DidYouMean(std::string(1000, 'a'), known), "");
  EXPECT_EQ(DidYouMean("aws", {}), "");
  const std::vector<std::string> short_one = {"q"};
  EXPECT_EQ(DidYouMean("x", short_one), "") << "nothing in common";
}

TEST(NearestTest, TheFirstOfTheNearestIsSuggested) {
  const std::vector<std::string> known = {"abcd", "abce", "abcf"};
  EXPECT_EQ(DidYouMean("abcx", known), "; did you mean 'abcd'?");
}

}  // namespace
}  // namespace nimbus::tools::cli
