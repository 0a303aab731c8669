#include "tools/cli/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace nimbus::tools::cli {
namespace {

constexpr size_t kNameMax = 255;  // bytes; longer names are not compared

// Insertions, deletions, replacements and swaps of neighbours that turn one into the
// other.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

std::string DidYouMean(std::string_view name, std::span<const std::string> known) {
  if (name.empty() || name.size() > kNameMax) return {};
  const size_t near = std::max<size_t>(1, name.size() / 3);
  const std::string* best = nullptr;
  size_t best_distance = near + 1;
  for (const std::string& candidate : known) {
    if (candidate.size() > kNameMax) continue;
    const size_t distance = EditDistance(name, candidate);
    if (distance >= best_distance) continue;
    best = &candidate;
    best_distance = distance;
  }
  return best == nullptr ? std::string() : fmt::format("; did you mean '{}'?", *best);
}

}  // namespace nimbus::tools::cli
