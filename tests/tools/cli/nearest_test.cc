#include "tools/cli/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace nimbus::tools::cli {
namespace {

TEST(NearestTest, SuggestsTheNameThatIsNearest) {
  const std::vector<std::string> known = {"aws", "azure", "github", "gitlab"};
  EXPECT_EQ(DidYouMean("awss", known), "; did you mean 'aws'?");
  EXPECT_EQ(DidYouMean("asw", known), "; did you mean 'aws'?");
  EXPECT_EQ(DidYouMean("gitlub", known), "; did you mean 'github'?");
  EXPECT_EQ(DidYouMean("azur", known), "; did you mean 'azure'?");
}

TEST(NearestTest, SuggestsNothingWhenNothingIsNear) {
  const std::vector<std::string> known = {"aws", std::string(300, 'a')};
  EXPECT_EQ(DidYouMean("terraform", known), "");
  EXPECT_EQ(DidYouMean("", known), "");
  EXPECT_EQ(DidYouMean("aws", {}), "");
  EXPECT_EQ(DidYouMean(std::string(300, 'a'), known), "") << "too long to be meant";
}

}  // namespace
}  // namespace nimbus::tools::cli
