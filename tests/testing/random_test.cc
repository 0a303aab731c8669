#include "testing/random.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace nimbus::test {
namespace {

TEST(SeededRandomTest, MakesTheSameChoicesForASeedThatIsGiven) {
  const char* outer = std::getenv("NIMBUS_TEST_SEED");
  const std::string before = outer == nullptr ? "" : outer;
  setenv("NIMBUS_TEST_SEED", "7", 1);
  SeededRandom one, other;
  setenv("NIMBUS_TEST_SEED", "8", 1);
  SeededRandom third;
  outer == nullptr ? unsetenv("NIMBUS_TEST_SEED") : setenv("NIMBUS_TEST_SEED", before.c_str(), 1);
  EXPECT_EQ(one.seed(), 7u);
  const uint64_t first = one();
  EXPECT_EQ(first, other());
  EXPECT_NE(first, third());
}

TEST(SeededRandomTest, StaysWithinItsBounds) {
  SeededRandom random;
  bool least = false, most = false;
  for (int i = 0; i < 1000; ++i) {
    const int64_t between = random.Between(-2, 2);
    ASSERT_GE(between, -2);
    ASSERT_LE(between, 2);
    ASSERT_LT(random.Below(3), 3u);
    least |= between == -2;
    most |= between == 2;
  }
  EXPECT_TRUE(least && most);
  EXPECT_EQ(random.Below(1), 0u);
}

}  // namespace
}  // namespace nimbus::test
