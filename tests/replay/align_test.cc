// Alignments: the shortest one, and what is paired where none that short is looked for.
#include "align.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "testing/random.h"

namespace nimbus::replay {
namespace {

std::vector<AlignKey> Keys(std::string_view text) {
  std::vector<AlignKey> keys;
  for (const char c : text) keys.push_back({static_cast<uint8_t>(c)});
  return keys;
}

Alignment AlignTexts(std::string_view a, std::string_view b, size_t edits_max = 1000) {
  const std::vector<AlignKey> keys_a = Keys(a), keys_b = Keys(b);
  return Align(keys_a, keys_b, edits_max);
}

// The items that both have, in order; fails when an index is missing or out of order.
std::string Shared(std::string_view a, std::string_view b, const Alignment& alignment) {
  std::string shared;
  size_t next_a = 0, next_b = 0;
  for (const AlignedPair& pair : alignment.pairs) {
    if (pair.a != kUnaligned) {
      EXPECT_EQ(pair.a, next_a++);
    }
    if (pair.b != kUnaligned) {
      EXPECT_EQ(pair.b, next_b++);
    }
    if (pair.a == kUnaligned || pair.b == kUnaligned) continue;
    EXPECT_EQ(a[pair.a], b[pair.b]);
    shared += a[pair.a];
  }
  EXPECT_EQ(next_a, a.size());
  EXPECT_EQ(next_b, b.size());
  return shared;
}

size_t LongestCommon(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> best(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      best[i][j] =
          a[i - 1] == b[j - 1] ? best[i - 1][j - 1] + 1 : std::max(best[i - 1][j], best[i][j - 1]);
    }
  }
  return best[a.size()][b.size()];
}

TEST(Align, PairsWhatBothHave) {
  EXPECT_EQ(Shared("abcdef", "abXdef", AlignTexts("abcdef", "abXdef")), "abdef");
  EXPECT_EQ(Shared("abc", "abc", AlignTexts("abc", "abc")), "abc");
  EXPECT_EQ(Shared("", "abc", AlignTexts("", "abc")), "");
  EXPECT_EQ(Shared("abc", "", AlignTexts("abc", "")), "");
  EXPECT_EQ(AlignTexts("", "").pairs.size(), 0u);
  EXPECT_EQ(Shared("abc", "xyz", AlignTexts("abc", "xyz")), "");
}

TEST(Align, IsTheShortestOneOfRandomSequences) {
  test::SeededRandom random;
  for (int round = 0; round < 2000; ++round) {
    std::string a, b;
    for (size_t n = random.Below(20); n > 0; --n) a += static_cast<char>('a' + random.Below(4));
    for (size_t n = random.Below(20); n > 0; --n) b += static_cast<char>('a' + random.Below(4));
    const Alignment alignment = AlignTexts(a, b);
    EXPECT_TRUE(alignment.shortest);
    EXPECT_EQ(Shared(a, b, alignment).size(), LongestCommon(a, b)) << a << " / " << b;
    // Whatever the limit, every item is there once and in order.
    const size_t limit = random.Below(6);
    const Alignment limited = AlignTexts(a, b, limit);
    const size_t edits = a.size() + b.size() - 2 * LongestCommon(a, b);
    const size_t shared = Shared(a, b, limited).size();
    EXPECT_TRUE(limited.shortest || edits > limit) << a << " / " << b << " / " << limit;
    EXPECT_TRUE(shared == LongestCommon(a, b) || !limited.shortest);
    EXPECT_LE(shared, LongestCommon(a, b));
  }
}

TEST(Align, BeyondItsLimitPairsWhatOccursOnce) {
  // More than four edits, but X, Y and Z stand in both once, in this order.
  const std::string a = "aaaaaXbbbbbYcccccZ", b = "dddXeeeYfffZ";
  const Alignment alignment = AlignTexts(a, b, 4);
  EXPECT_FALSE(alignment.shortest);
  EXPECT_EQ(Shared(a, b, alignment), "XYZ");
  EXPECT_EQ(Shared("abcde", "fghij", AlignTexts("abcde", "fghij", 9)), "");
}

}  // namespace
}  // namespace nimbus::replay
