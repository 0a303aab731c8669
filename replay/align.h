// Aligning two sequences: which items of one are those of the other. Private to replay.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace nimbus::replay {

// What two items have in common that are the same: a digest of them.
using AlignKey = std::array<uint8_t, 16>;

inline constexpr size_t kUnaligned = SIZE_MAX;

// An item of each, or of one alone: the other index is kUnaligned then.
struct AlignedPair {
  size_t a = kUnaligned, b = kUnaligned;
  friend bool operator==(const AlignedPair&, const AlignedPair&) = default;
};

struct Alignment {
  std::vector<AlignedPair> pairs;  // both indices ascend
  bool shortest = true;            // no other alignment pairs more items
};

// The alignment that pairs most items (Myers 1986), if no more than `edits_max` items
// are left alone. Where more would be, first those keys are paired that occur once in
// each and in the same order, and what is between them is aligned by itself; what
// still leaves more alone is not paired. Time and memory: edits_max^2 beside the
// lengths, or n log n.
Alignment Align(std::span<const AlignKey> a, std::span<const AlignKey> b, size_t edits_max);

}  // namespace nimbus::replay
