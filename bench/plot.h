// A plot as SVG text, made of nothing but lines and words.
//
//   WriteFile("growth.svg", SvgPlot({.x_label = "events in the journal", .panels = {…}}));
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace nimbus::bench {

struct PlotLine {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x above 0, y at least 0
};

struct PlotPanel {
  std::string title;  // says the unit of y
  std::vector<PlotLine> lines;
};

struct Plot {
  std::string x_label;
  std::vector<PlotPanel> panels;  // side by side, with the same x axis
};

// x is logarithmic, from the decade of the least x to that of the greatest; y
// begins at 0. Requires a panel, a line in each and a point in each of those.
std::string SvgPlot(const Plot& plot);

}  // namespace nimbus::bench
