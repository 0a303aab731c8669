#include "tools/cli/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace nimbus::tools::cli {
namespace {

const std::vector<std::string> kNames = {"aws", "azure", "kubernetes", "terraform"};

TEST(NearestTest, SuggestsTheNameThatIsNearest) {
  EXPECT_EQ(DidYouMean("awss", kNames), "; did you mean 'aws'?");
  EXPECT_EQ(DidYouMean("asw", kNames), "; did you mean 'aws'?");
  EXPECT_EQ(DidYouMean("azur", kNames), "; did you mean 'azure'?");
  EXPECT_EQ(DidYouMean("kubernets", kNames), "; did you mean 'kubernetes'?");
  EXPECT_EQ(DidYouMean("tarraforn", kNames), "; did you mean 'terraform'?");
}

TEST(NearestTest, SuggestsNothingThatIsNotNear) {
  EXPECT_EQ(DidYouMean("gcp", kNames), "");
  EXPECT_EQ(DidYouMean("", kNames), "");
  EXPECT_EQ(DidYouMean("aws", {}), "");
  EXPECT_EQ(DidYouMean(std::string(100'000, 'a'), kNames), "");
  EXPECT_EQ(DidYouMean("aws", std::vector<std::string>{"aws"}), "") << "it is there";
}

}  // namespace
}  // namespace nimbus::tools::cli
