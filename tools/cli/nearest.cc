#include "tools/cli/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace nimbus::tools::cli {
namespace {

constexpr size_t kNameMax = 64;  // bytes; nobody mistypes longer ones

// Insertions, deletions, replacements and swaps of neighbours between two texts.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
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
  const std::string* nearest = nullptr;
  size_t least = (name.size() + 2) / 3 + 1;  // a third of it may be wrong
  for (const std::string& candidate : known) {
    if (candidate.size() > kNameMax || candidate == name) continue;
    const size_t distance = Distance(name, candidate);
    if (distance >= least) continue;
    least = distance;
    nearest = &candidate;
  }
  return nearest == nullptr ? std::string() : fmt::format("; did you mean '{}'?", *nearest);
}

}  // namespace nimbus::tools::cli
