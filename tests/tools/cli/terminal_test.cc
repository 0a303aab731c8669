#include "tools/cli/terminal.h"

#include <gtest/gtest.h>

namespace nimbus::tools::cli {
namespace {

TEST(OneLineTest, IsCutByCharacters) {
  EXPECT_EQ(OneLine("", 3), "");
  EXPECT_EQ(OneLine("abc", 3), "abc");
  EXPECT_EQ(OneLine("abcd", 3), "ab…");
  EXPECT_EQ(OneLine("äöü", 3), "äöü");
  EXPECT_EQ(OneLine("äöüß", 3), "äö…");
}

// What an agent has written must not steer the terminal of who reads it.
TEST(OneLineTest, HoldsNothingThatATerminalObeys) {
  EXPECT_EQ(OneLine("a\nb\tc\x1b[31md\x7f", 80), "a b c [31md ");
  EXPECT_EQ(OneLine("a\xc2\x9b"
                    "31m\xc2\x80\xc2\x9f\xc2\xa0z",
                    80),
            "a 31m  \xc2\xa0z")
      << "CSI is one character, too";
  EXPECT_EQ(OneLine("\xc2", 80), "\xc2");
  EXPECT_EQ(OneLine("ab\xc2\x9b", 3), "ab ");
  EXPECT_EQ(OneLine("ab\xc2\x9b"
                    "c",
                    3),
            "ab…");
}

}  // namespace
}  // namespace nimbus::tools::cli
