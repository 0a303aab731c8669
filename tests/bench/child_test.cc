// The test program is its own child: it lists its tests, or runs one.
#include "bench/child.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <memory>
#include <string>

namespace nimbus::bench {
namespace {

TEST(ChildTest, IsThisProgramAndItsLinesAreHeard) {
  absl::StatusOr<std::unique_ptr<Child>> child =
      Child::Start({"--gtest_list_tests", "--gtest_filter=ChildTest.IsThis*"});
  ASSERT_TRUE(child.ok()) << child.status().ToString();
  std::string lines;
  absl::StatusOr<std::string> line = (*child)->ReadLine();
  for (; line.ok(); line = (*child)->ReadLine()) lines += *line + "\n";
  EXPECT_EQ(line.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_NE(lines.find("\n  IsThisProgramAndItsLinesAreHeard\n"), std::string::npos) << lines;
  EXPECT_TRUE((*child)->Wait().ok());
}

TEST(ChildTest, AFailureOfTheChildIsAnError) {
  constexpr char kInChild[] = "NIMBUS_BENCH_TEST_CHILD";
  if (getenv(kInChild) != nullptr) FAIL() << "as it should";
  setenv(kInChild, "1", 1);
  absl::StatusOr<std::unique_ptr<Child>> child = Child::Start({"--gtest_filter=ChildTest.AFail*"});
  unsetenv(kInChild);
  ASSERT_TRUE(child.ok()) << child.status().ToString();
  while ((*child)->ReadLine().ok()) {
  }
  EXPECT_EQ((*child)->Wait().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace nimbus::bench
