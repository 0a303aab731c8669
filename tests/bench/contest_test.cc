#include "bench/report.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace nimbus::bench {
namespace {

RunResult Rate(uint64_t events_per_second, uint64_t bytes_per_event = 1000) {
  return {.events = events_per_second,
          .seconds = 1,
          .p50_us = 100,
          .p99_us = 400,
          .bytes = events_per_second * bytes_per_event};
}

TEST(PercentileTest, IsTheNearestRank) {
  const std::vector<double> values = {5, 1, 4, 2, 3};
  EXPECT_EQ(Percentile(values, 0.0), 1);
  EXPECT_EQ(Percentile(values, 0.5), 3);
  EXPECT_EQ(Percentile(values, 0.8), 4);
  EXPECT_EQ(Percentile(values, 0.81), 5);
  EXPECT_EQ(Percentile(values, 1.0), 5);
  EXPECT_EQ(Percentile({7}, 0.99), 7);
}

TEST(CompareTest, RatesAreComparedRoundByRound) {
  // The machine slowed down by ten in the second round: both felt it.
  const Series nimbus{"nimbus", 8, {Rate(2000), Rate(200), Rate(3000)}};
  const Series peer{"lmdb", 8, {Rate(1000, 2000), Rate(100, 2000), Rate(1000, 2000)}};
  const Ratio ratio = Compare(nimbus, peer);
  EXPECT_EQ(ratio.writers, 8u);
  EXPECT_DOUBLE_EQ(ratio.rate, 2);
  EXPECT_DOUBLE_EQ(ratio.rate_min, 2);
  EXPECT_DOUBLE_EQ(ratio.rate_max, 3);
  EXPECT_DOUBLE_EQ(ratio.bytes, 0.5);
  EXPECT_DOUBLE_EQ(ratio.p99, 1);
}

TEST(RatiosTest, TheFasterSqliteDesignStandsForSqlite) {
  Report report;
  report.flush_us = {200};
  report.series = {{"nimbus", 1, {Rate(6000)}},
                   {"sqlite-shared", 1, {Rate(2000)}},
                   {"sqlite-own", 1, {Rate(3000)}},
                   {"lmdb", 1, {Rate(1000)}}};
  const std::vector<Ratio> ratios = Ratios(report);
  ASSERT_EQ(ratios.size(), 2u);
  EXPECT_EQ(ratios[0].peer, "sqlite-own");
  EXPECT_DOUBLE_EQ(ratios[0].rate, 2);
  EXPECT_EQ(ratios[1].peer, "lmdb");
  EXPECT_DOUBLE_EQ(ratios[1].rate, 6);
}

TEST(ReportTest, TextAndJsonSayTheSame) {
  Report report;
  report.directory = "/disk";
  report.flush_us = {150, 200, 900};
  report.series = {{"nimbus", 64, {Rate(5000), Rate(7000), Rate(9000)}}};
  EXPECT_NE(ToText(report).find("7000"), std::string::npos) << ToText(report);
  EXPECT_NE(ToText(report).find("200 us (150 to 900)"), std::string::npos) << ToText(report);
  const schema::Json json = ToJson(report);
  const schema::Json& series = json.Find("series")->array()[0];
  EXPECT_EQ(series.Find("events_per_second")->AsDouble(), 7000);
  EXPECT_EQ(series.Find("rounds")->array().size(), 3u);
  EXPECT_EQ(json.Find("flush_us")->array()[2].AsDouble(), 900);
}

}  // namespace
}  // namespace nimbus::bench
