#include "bench/result.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace nimbus::bench {
namespace {

const std::vector<double> kOurs = {30, 10, 20};
const std::vector<double> kTheirs = {10, 10, 10};

TEST(PercentileTest, IsTheNearestRank) {
  const std::vector<double> values = {5, 1, 4, 2, 3};
  EXPECT_EQ(Percentile(values, 0.0), 1);
  EXPECT_EQ(Percentile(values, 0.5), 3);
  EXPECT_EQ(Percentile(values, 0.8), 4);
  EXPECT_EQ(Percentile(values, 0.81), 5);
  EXPECT_EQ(Percentile(values, 1.0), 5);
  EXPECT_EQ(Percentile({7}, 0.99), 7);
}

TEST(MakeRowTest, MeasuresWhatIsAskedFor) {
  const Row ratio = MakeRow({.peer = "x"}, kOurs, kTheirs);
  EXPECT_DOUBLE_EQ(ratio.median, 2);
  EXPECT_DOUBLE_EQ(ratio.least, 1);
  EXPECT_DOUBLE_EQ(ratio.most, 3);
  EXPECT_DOUBLE_EQ(ratio.nimbus, 20);
  EXPECT_DOUBLE_EQ(ratio.peer_value, 10);
  const Row inverse = MakeRow({.peer = "x", .measure = Measure::kInverse}, kOurs, kTheirs);
  EXPECT_DOUBLE_EQ(inverse.median, 0.5);
  const Row difference = MakeRow({.peer = "x", .measure = Measure::kDifference}, kOurs, kTheirs);
  EXPECT_DOUBLE_EQ(difference.median, 10);
  const Row value = MakeRow({.measure = Measure::kValue}, kOurs, {});
  EXPECT_DOUBLE_EQ(value.median, 20);
}

TEST(AimTest, IsMetAtItsValue) {
  EXPECT_TRUE(IsMet(MakeRow({.peer = "x", .aim = AtLeast(2)}, kOurs, kTheirs)));
  EXPECT_FALSE(IsMet(MakeRow({.peer = "x", .aim = AtLeast(2.01)}, kOurs, kTheirs)));
  EXPECT_TRUE(IsMet(MakeRow({.peer = "x", .aim = AtMost(2)}, kOurs, kTheirs)));
  EXPECT_FALSE(IsMet(MakeRow({.peer = "x", .aim = AtMost(1.99)}, kOurs, kTheirs)));
  EXPECT_TRUE(IsMet(MakeRow({.peer = "x"}, kOurs, kTheirs)));
}

Results Example() {
  Results results{.program = "durable_bench", .directory = "/disk", .rounds = 3};
  results.flush_us = {150, 200, 900};
  results.rows.push_back(
      MakeRow({.question = "64 writers", .unit = "events/s", .peer = "lmdb", .aim = AtLeast(2.5)},
              std::vector<double>{1'234'567}, std::vector<double>{1'000'000}));
  return results;
}

TEST(ResultsTest, TextNamesAimAndVerdict) {
  const std::string text = ToText(Example());
  EXPECT_NE(text.find("200 us (150 to 900)"), std::string::npos) << text;
  EXPECT_NE(text.find("1,234,567"), std::string::npos) << text;
  EXPECT_NE(text.find("1.23x (1.23 to 1.23)"), std::string::npos) << text;
  EXPECT_NE(text.find("≥ 2.5"), std::string::npos) << text;
  EXPECT_NE(text.find("MISSED"), std::string::npos) << text;
}

TEST(ResultsTest, MarkdownHasTheSameRows) {
  EXPECT_NE(
      RowsToMarkdown(Example().rows)
          .find("\n| 64 writers | 1,234,567 | lmdb 1,000,000 | 1.23x (1.23 to 1.23) | ≥ 2.5 | "
                "MISSED |\n"),
      std::string::npos)
      << RowsToMarkdown(Example().rows);
}

TEST(ResultsTest, RowsOutliveTheFile) {
  const Results results = Example();
  const absl::StatusOr<Results> read = ParseResults(ToJson(results).DumpPretty());
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->program, "durable_bench");
  EXPECT_EQ(read->flush_us, results.flush_us);
  EXPECT_EQ(RowsToText(read->rows), RowsToText(results.rows));
}

TEST(ResultsTest, RefusesOtherFiles) {
  EXPECT_FALSE(ParseResults("no JSON").ok());
  EXPECT_FALSE(ParseResults("{}").ok());
  EXPECT_FALSE(ParseResults(R"({"rows":[{"measure":"ratio","aim":"guess"}]})").ok());
  EXPECT_TRUE(ParseResults(R"({"rows":[]})").ok());
}

}  // namespace
}  // namespace nimbus::bench
