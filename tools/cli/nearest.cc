#include "tools/cli/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace nimbus::tools::cli {
namespace {

constexpr size_t kNameMax = 256;  // longer ones are nobody's slip of the finger

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Insertions, deletions and replacements that make one of the other, case aside.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (Lower(a[i - 1]) == Lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string DidYouMean(std::string_view name, std::span<const std::string> known) {
  if (name.empty() || name.size() > kNameMax) return {};
  const std::string* nearest = nullptr;
  size_t least = 1 + name.size() / 3;  // more is another name
  for (const std::string& candidate : known) {
    if (candidate.size() > kNameMax) continue;
    const size_t distance = EditDistance(name, candidate);
    if (distance > least || (distance == least && nearest != nullptr)) continue;
    if (distance >= std::max(name.size(), candidate.size())) continue;  // nothing in common
    least = distance;
    nearest = &candidate;
  }
  return nearest == nullptr ? std::string() : fmt::format("; did you mean '{}'?", *nearest);
}

}  // namespace nimbus::tools::cli
