#include "align.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace nimbus::replay {

namespace {

using Keys = std::span<const AlignKey>;

// Furthest points of the paths of each length: row d holds x for k = -d, -d+2, …, d.
class Trace {
 public:
  void Push(std::vector<size_t> row) { rows_.push_back(std::move(row)); }
  size_t size() const { return rows_.size(); }
  // How far in `a` the path with d edits on diagonal k goes.
  size_t X(std::ptrdiff_t d, std::ptrdiff_t k) const {
    return rows_[static_cast<size_t>(d)][static_cast<size_t>((k + d) / 2)];
  }

 private:
  std::vector<std::vector<size_t>> rows_;
};

class Aligner {
 public:
  Aligner(Keys a, Keys b, size_t edits_max) : a_(a), b_(b), edits_max_(edits_max) {}

  Alignment Run() {
    AlignRange({0, a_.size()}, {0, b_.size()}, /*may_anchor=*/true);
    return std::move(alignment_);
  }

 private:
  struct Range {
    size_t begin = 0, end = 0;
    size_t size() const { return end - begin; }
  };

  void Pair(size_t a, size_t b) { alignment_.pairs.push_back({a, b}); }

  void AlignRange(Range a, Range b, bool may_anchor) {
    while (a.size() > 0 && b.size() > 0 && a_[a.begin] == b_[b.begin]) {
      Pair(a.begin++, b.begin++);
    }
    size_t tail = 0;
    while (tail < a.size() && tail < b.size() && a_[a.end - 1 - tail] == b_[b.end - 1 - tail]) {
      ++tail;
    }
    a.end -= tail;
    b.end -= tail;
    AlignMiddle(a, b, may_anchor);
    for (size_t i = 0; i < tail; ++i) Pair(a.end + i, b.end + i);
  }

  void AlignMiddle(Range a, Range b, bool may_anchor) {
    if (a.size() == 0 || b.size() == 0) return LeaveAlone(a, b);
    if (const std::optional<Trace> trace = FindPath(a, b)) return FollowPath(*trace, a, b);
    alignment_.shortest = false;
    const std::vector<AlignedPair> anchors =
        may_anchor ? FindAnchors(a, b) : std::vector<AlignedPair>();
    if (anchors.empty()) return LeaveAlone(a, b);
    for (const AlignedPair& anchor : anchors) {
      AlignRange({a.begin, anchor.a}, {b.begin, anchor.b}, /*may_anchor=*/false);
      Pair(anchor.a, anchor.b);
      a.begin = anchor.a + 1;
      b.begin = anchor.b + 1;
    }
    AlignRange(a, b, /*may_anchor=*/false);
  }

  void LeaveAlone(Range a, Range b) {
    for (size_t i = a.begin; i < a.end; ++i) Pair(i, kUnaligned);
    for (size_t i = b.begin; i < b.end; ++i) Pair(kUnaligned, i);
  }

  // The path of the fewest edits; nullopt when it has more than edits_max.
  std::optional<Trace> FindPath(Range a, Range b) const {
    const auto n = static_cast<std::ptrdiff_t>(a.size()), m = static_cast<std::ptrdiff_t>(b.size());
    const auto most = static_cast<std::ptrdiff_t>(std::min(edits_max_, a.size() + b.size()));
    if (std::max(n, m) - std::min(n, m) > most) return std::nullopt;
    Trace trace;
    for (std::ptrdiff_t d = 0; d <= most; ++d) {
      std::vector<size_t> row(static_cast<size_t>(d) + 1);
      bool arrived = false;
      for (std::ptrdiff_t k = -d; k <= d; k += 2) {
        std::ptrdiff_t x = d == 0 ? 0 : From(trace, d, k).second;
        std::ptrdiff_t y = x - k;
        while (x < n && y < m && y >= 0 &&
               a_[a.begin + static_cast<size_t>(x)] == b_[b.begin + static_cast<size_t>(y)]) {
          ++x;
          ++y;
        }
        row[static_cast<size_t>((k + d) / 2)] = static_cast<size_t>(std::max<std::ptrdiff_t>(x, 0));
        arrived = arrived || (x >= n && y >= m);
      }
      trace.Push(std::move(row));
      if (arrived) return trace;
    }
    return std::nullopt;
  }

  // The diagonal that the path of d edits on diagonal k comes from, and its x before it
  // slides along the diagonal.
  static std::pair<std::ptrdiff_t, std::ptrdiff_t> From(const Trace& trace, std::ptrdiff_t d,
                                                        std::ptrdiff_t k) {
    const bool down = k == -d || (k != d && trace.X(d - 1, k - 1) < trace.X(d - 1, k + 1));
    const std::ptrdiff_t from = down ? k + 1 : k - 1;
    const auto x = static_cast<std::ptrdiff_t>(trace.X(d - 1, from));
    return {from, down ? x : x + 1};
  }

  void FollowPath(const Trace& trace, Range a, Range b) {
    std::vector<AlignedPair> backward;
    auto x = static_cast<std::ptrdiff_t>(a.size()), y = static_cast<std::ptrdiff_t>(b.size());
    const auto step_back = [&](bool in_a, bool in_b) {
      if (in_a) --x;
      if (in_b) --y;
      backward.push_back({in_a ? a.begin + static_cast<size_t>(x) : kUnaligned,
                          in_b ? b.begin + static_cast<size_t>(y) : kUnaligned});
    };
    for (auto d = static_cast<std::ptrdiff_t>(trace.size()) - 1; d > 0; --d) {
      const std::ptrdiff_t k = x - y;
      const auto [from, entered] = From(trace, d, k);
      while (x > entered) step_back(true, true);
      step_back(from<k, from> k);
    }
    while (x > 0 && y > 0) step_back(true, true);
    alignment_.pairs.insert(alignment_.pairs.end(), backward.rbegin(), backward.rend());
  }

  // Keys that occur once in each, as long a sequence of them as ascends in both.
  std::vector<AlignedPair> FindAnchors(Range a, Range b) const {
    struct Places {
      size_t a = 0, b = 0, in_a = 0, in_b = 0;
    };
    std::map<AlignKey, Places> places;
    for (size_t i = a.begin; i < a.end; ++i) {
      Places& place = places[a_[i]];
      place.a = i;
      ++place.in_a;
    }
    for (size_t i = b.begin; i < b.end; ++i) {
      const auto found = places.find(b_[i]);
      if (found == places.end()) continue;
      found->second.b = i;
      ++found->second.in_b;
    }
    std::vector<AlignedPair> unique;
    for (const auto& [key, place] : places) {
      if (place.in_a == 1 && place.in_b == 1) unique.push_back({place.a, place.b});
    }
    std::sort(unique.begin(), unique.end(),
              [](const AlignedPair& x, const AlignedPair& y) { return x.a < y.a; });
    return LongestAscending(unique);
  }

  // By patience sorting: piles[i] ends a sequence of i + 1 with the least b.
  static std::vector<AlignedPair> LongestAscending(const std::vector<AlignedPair>& pairs) {
    std::vector<size_t> piles, before(pairs.size(), kUnaligned);
    for (size_t i = 0; i < pairs.size(); ++i) {
      const auto pile =
          std::lower_bound(piles.begin(), piles.end(), pairs[i].b,
                           [&](size_t top, size_t value) { return pairs[top].b < value; });
      if (pile != piles.begin()) before[i] = *(pile - 1);
      if (pile == piles.end()) {
        piles.push_back(i);
      } else {
        *pile = i;
      }
    }
    std::vector<AlignedPair> longest;
    for (size_t i = piles.empty() ? kUnaligned : piles.back(); i != kUnaligned; i = before[i]) {
      longest.push_back(pairs[i]);
    }
    std::reverse(longest.begin(), longest.end());
    return longest;
  }

  const Keys a_, b_;
  const size_t edits_max_;
  Alignment alignment_;
};

}  // namespace

Alignment Align(Keys a, Keys b, size_t edits_max) { return Aligner(a, b, edits_max).Run(); }

}  // namespace nimbus::replay
