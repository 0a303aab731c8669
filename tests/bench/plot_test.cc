#include "bench/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace nimbus::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// How often `part` is in `text`.
size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(SvgPlotTest, DrawsEveryPointAndNamesEveryLine) {
  const std::string svg =
      SvgPlot({.x_label = "events",
               .panels = {{.title = "us",
                           .lines = {{"a", {{10, 1}, {100, 2}, {1000, 3}}}, {"b", {{10, 4}}}}},
                          {.title = "MB", .lines = {{"c", {{1000, 5}}}}}}});
  EXPECT_EQ(Count(svg, "<circle"), 5u) << svg;
  EXPECT_EQ(Count(svg, ">events</text>"), 2u);
  for (const char* name : {">a<", ">b<", ">c<", ">us<", ">MB<"}) EXPECT_THAT(svg, HasSubstr(name));
  EXPECT_EQ(Count(svg, "<text"), Count(svg, "</text>"));
  EXPECT_TRUE(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
}

TEST(SvgPlotTest, DecadesAreAsFarApart) {
  const std::string svg = SvgPlot(
      {.x_label = "x", .panels = {{.title = "y", .lines = {{"l", {{1, 0}, {10, 5}, {100, 10}}}}}}});
  // From the lower left corner over the middle to the upper right one.
  EXPECT_THAT(svg, HasSubstr("M56.0 286.0L246.0 166.0L436.0 46.0")) << svg;
}

TEST(SvgPlotTest, EscapesWhatWouldBeMarkup) {
  const std::string svg =
      SvgPlot({.x_label = "a<b & c", .panels = {{.title = "t", .lines = {{"l", {{1, 1}}}}}}});
  EXPECT_THAT(svg, HasSubstr("a&lt;b &amp; c"));
  EXPECT_THAT(svg, Not(HasSubstr("a<b")));
}

TEST(SvgPlotTest, NothingIsNowhere) {
  // All zeros, and a single x, have an axis nevertheless.
  const std::string svg =
      SvgPlot({.x_label = "x", .panels = {{.title = "t", .lines = {{"l", {{10, 0}}}}}}});
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

}  // namespace
}  // namespace nimbus::bench
