#include "bench/contest.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace nimbus::bench {
namespace {

RunResult Rate(uint64_t events_per_second, double cpu_us_per_event = 20) {
  return {.events = events_per_second,
          .seconds = 1,
          .p50_us = 100,
          .p99_us = 400,
          .cpu_us = cpu_us_per_event * static_cast<double>(events_per_second),
          .bytes = events_per_second * 1000};
}

TEST(AnswerTest, RatesAreComparedRoundByRound) {
  // The machine slowed down by ten in the second round: both felt it.
  const std::vector<Series> series = {{"8 writers", "nimbus", {Rate(2000), Rate(200), Rate(3000)}},
                                      {"8 writers", "lmdb", {Rate(1000), Rate(100), Rate(1000)}}};
  const std::optional<Row> row = Answer(
      {.text = "how fast", .setting = "8 writers", .peers = {"lmdb"}, .aim = AtLeast(2)}, series);
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->question, "how fast");
  EXPECT_EQ(row->peer, "lmdb");
  EXPECT_DOUBLE_EQ(row->nimbus, 2000);
  EXPECT_DOUBLE_EQ(row->peer_value, 1000);
  EXPECT_DOUBLE_EQ(row->median, 2);
  EXPECT_DOUBLE_EQ(row->least, 2);
  EXPECT_DOUBLE_EQ(row->most, 3);
  EXPECT_TRUE(IsMet(*row));
}

TEST(AnswerTest, TheBestOfSeveralPeersStandsForAll) {
  const std::vector<Series> series = {{"a", "nimbus", {Rate(6000, 10)}},
                                      {"a", "sqlite-shared", {Rate(2000, 30)}},
                                      {"a", "sqlite-own", {Rate(3000, 40)}},
                                      {"b", "sqlite-own", {Rate(9000, 1)}}};
  const std::vector<std::string> sqlite = {"sqlite-shared", "sqlite-own", "not built"};
  const std::optional<Row> rate = Answer({.setting = "a", .peers = sqlite}, series);
  ASSERT_TRUE(rate.has_value());
  EXPECT_EQ(rate->peer, "sqlite-own");
  const std::optional<Row> cpu =
      Answer({.setting = "a", .peers = sqlite, .metric = Metric::kCpu}, series);
  ASSERT_TRUE(cpu.has_value());
  EXPECT_EQ(cpu->peer, "sqlite-shared");
  EXPECT_DOUBLE_EQ(cpu->nimbus, 10);
}

TEST(AnswerTest, ThereIsNoneWithoutNimbusOrPeer) {
  const std::vector<Series> series = {{"a", "nimbus", {Rate(1)}}, {"b", "lmdb", {Rate(1)}}};
  EXPECT_FALSE(Answer({.setting = "a", .peers = {"lmdb"}}, series).has_value());
  EXPECT_FALSE(Answer({.setting = "b", .peers = {"lmdb"}}, series).has_value());
}

TEST(SeriesTest, TextAndJsonSayTheSame) {
  const std::vector<Series> series = {{"a", "nimbus", {Rate(5000), Rate(7000), Rate(9000)}}};
  EXPECT_NE(ToText(series).find("7000"), std::string::npos) << ToText(series);
  const schema::Json json = ToJson(series);
  const schema::Json* rounds = json.array()[0].Find("rounds");
  ASSERT_EQ(rounds->array().size(), 3u);
  EXPECT_EQ(rounds->array()[1].Find("events_per_second")->AsDouble(), 7000);
}

}  // namespace
}  // namespace nimbus::bench
