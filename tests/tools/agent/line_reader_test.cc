#include "tools/agent/line_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "testing/random.h"

namespace nimbus::tools::agent {
namespace {

using ::testing::ElementsAre;

// The lines of `bytes`, fed so many at a time; a line that was too long is "!".
std::vector<std::string> Lines(std::string_view bytes, size_t at_a_time, size_t bytes_max = 8) {
  LineReader reader(bytes_max);
  std::vector<std::string> lines;
  while (!bytes.empty()) {
    reader.Feed(bytes.substr(0, at_a_time));
    bytes.remove_prefix(std::min(at_a_time, bytes.size()));
    while (const auto line = reader.Next()) lines.push_back(line->too_long ? "!" : line->text);
  }
  return lines;
}

TEST(LineReaderTest, CutsAtLineFeedsHoweverTheBytesCome) {
  for (const size_t at_a_time : {1, 2, 3, 100}) {
    EXPECT_THAT(Lines("ab\n\nc\r\nd", at_a_time), ElementsAre("ab", "", "c\r"));
  }
}

TEST(LineReaderTest, TakesALineOfTheLimitAndNoLongerOne) {
  for (const size_t at_a_time : {1, 5, 100}) {
    EXPECT_THAT(Lines("1234567\n", at_a_time), ElementsAre("1234567"));
    EXPECT_THAT(Lines("12345678\nok\n", at_a_time), ElementsAre("!", "ok"));
    EXPECT_THAT(Lines("123456789012345678901\nok\n", at_a_time), ElementsAre("!", "ok"));
  }
}

TEST(LineReaderTest, SaysWhetherALineIsCutOff) {
  LineReader reader(8);
  EXPECT_FALSE(reader.incomplete());
  reader.Feed("ab");
  EXPECT_EQ(reader.Next(), std::nullopt);
  EXPECT_TRUE(reader.incomplete());
  reader.Feed("\n");
  EXPECT_TRUE(reader.Next().has_value());
  EXPECT_FALSE(reader.incomplete());
  reader.Feed("1234567890");
  EXPECT_EQ(reader.Next(), std::nullopt);
  EXPECT_TRUE(reader.incomplete());
}

TEST(LineReaderTest, GivesTheSameLinesForAnyPieces) {
  test::SeededRandom random;
  std::string bytes;
  for (int i = 0; i < 2000; ++i) bytes += "ab\n"[random.Below(3)];
  const std::vector<std::string> lines = Lines(bytes, bytes.size());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Lines(bytes, 1 + random.Below(40)), lines);
}

}  // namespace
}  // namespace nimbus::tools::agent
