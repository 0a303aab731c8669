#include "bench/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string_view>

#include "nimbus/schema/check.h"

namespace nimbus::bench {
namespace {

constexpr double kPanelWidth = 380, kPanelHeight = 240;
constexpr double kLeft = 56, kRight = 16, kTop = 34, kBottom = 46;
constexpr double kLegend = 16;    // of one line, between title and grid
constexpr double kNearly = 0.01;  // of a decade, by which a point may be outside
constexpr int kTicks = 4;         // of y, above 0
constexpr std::array<std::string_view, 4> kColours = {"#1f6fb4", "#d1702b", "#3a8f4d", "#8a55b0"};

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string Words(double x, double y, std::string_view anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     Escaped(text));
}

std::string Stroke(double x1, double y1, double x2, double y2) {
  return fmt::format("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"#ddd\"/>\n", x1, y1, x2,
                     y2);
}

// The least 1, 2, 2.5 or 5 times a power of ten that is not below `value`.
double RoundUp(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 2.5, 5.0}) {
    if (value <= step * power) return step * power;
  }
  return 10 * power;
}

// Where values are within a panel.
class Scale {
 public:
  Scale(double left, double top, int first_decade, int last_decade, double y_max)
      : left_(left), top_(top), first_(first_decade), last_(last_decade), y_max_(y_max) {}

  double X(double x) const { return AtDecade(std::log10(x)); }
  double AtDecade(double decade) const {
    return left_ + kPanelWidth * (decade - first_) / (last_ - first_);
  }
  double Y(double y) const { return top_ + kPanelHeight * (1 - y / y_max_); }

  std::string Grid() const {
    std::string svg;
    for (int tick = 0; tick <= kTicks; ++tick) {
      const double y = y_max_ * tick / kTicks;
      svg += Stroke(left_, Y(y), left_ + kPanelWidth, Y(y));
      svg += Words(left_ - 6, Y(y) + 4, "end", fmt::format("{:g}", y));
    }
    for (int decade = first_; decade <= last_; ++decade) {
      svg += Stroke(AtDecade(decade), top_, AtDecade(decade), top_ + kPanelHeight);
      svg += fmt::format(
          "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">10"
          "<tspan dy=\"-5\" font-size=\"9\">{}</tspan></text>\n",
          AtDecade(decade), top_ + kPanelHeight + 18, decade);
    }
    return svg;
  }

  std::string Line(const PlotLine& line, size_t number) const {
    const std::string_view colour = kColours[number % kColours.size()];
    std::string path, dots;
    for (const auto& [x, y] : line.points) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", X(x), Y(y));
      dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" fill=\"{}\"/>\n", X(x),
                          Y(y), colour);
    }
    const double y = kTop + kLegend * static_cast<double>(number);
    return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>\n", path,
                       colour) +
           dots + fmt::format("<g fill=\"{}\">", colour) + Words(left_, y, "start", line.name) +
           "</g>\n";
  }

 private:
  const double left_, top_;
  const int first_, last_;
  const double y_max_;
};

}  // namespace

std::string SvgPlot(const Plot& plot) {
  NIMBUS_CHECK(!plot.panels.empty());
  double x_min = INFINITY, x_max = 0;
  size_t lines = 0;  // most in a panel
  for (const PlotPanel& panel : plot.panels) {
    NIMBUS_CHECK(!panel.lines.empty());
    lines = std::max(lines, panel.lines.size());
    for (const PlotLine& line : panel.lines) {
      NIMBUS_CHECK(!line.points.empty());
      for (const auto& [x, y] : line.points) {
        NIMBUS_CHECK(x > 0 && y >= 0);
        x_min = std::min(x_min, x);
        x_max = std::max(x_max, x);
      }
    }
  }
  const int first = static_cast<int>(std::floor(std::log10(x_min)));
  const int last = std::max(first + 1, static_cast<int>(std::ceil(std::log10(x_max) - kNearly)));
  const double step = kLeft + kPanelWidth + kRight;
  const double width = step * static_cast<double>(plot.panels.size());
  const double top = kTop + kLegend * static_cast<double>(lines) - 4;
  const double height = top + kPanelHeight + kBottom;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n"
      "<rect width=\"{0:.0f}\" height=\"{1:.0f}\" fill=\"#fff\"/>\n",
      width, height);
  for (size_t number = 0; number < plot.panels.size(); ++number) {
    const PlotPanel& panel = plot.panels[number];
    double y_max = 0;
    for (const PlotLine& line : panel.lines) {
      for (const auto& point : line.points) y_max = std::max(y_max, point.second);
    }
    const double left = kLeft + step * static_cast<double>(number);
    const Scale scale(left, top, first, last, y_max > 0 ? RoundUp(y_max) : 1);
    svg += Words(left, kTop - 14, "start", panel.title) + scale.Grid();
    for (size_t line = 0; line < panel.lines.size(); ++line) {
      svg += scale.Line(panel.lines[line], line);
    }
    svg += Words(left + kPanelWidth / 2, height - 10, "middle", plot.x_label);
  }
  return svg + "</svg>\n";
}

}  // namespace nimbus::bench
