// The streams of which most is stored, in bounded memory: weighted Space-Saving.
// A stream that finds no counter free takes over the smallest one, with what it
// counted; so a stream's count is never too small, and too large by at most
// that.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "nimbus/journal/usage.h"

namespace nimbus::journal {

class HeavyStreams {
 public:
  explicit HeavyStreams(size_t counters_max) : counters_max_(counters_max) {}

  void Add(const schema::Uuid& stream, uint64_t plain_bytes, uint64_t stored_bytes);

  // The `count` largest, largest first.
  std::vector<StreamUsage> Largest(size_t count) const;

 private:
  using Rank = std::pair<uint64_t, schema::Uuid>;  // stored bytes, stream

  const size_t counters_max_;
  std::map<schema::Uuid, StreamUsage> counters_;
  std::set<Rank> ranks_;  // of the counters
};

}  // namespace nimbus::journal
