#include "heavy_streams.h"

namespace nimbus::journal {

void HeavyStreams::Add(const schema::Uuid& stream, uint64_t plain_bytes, uint64_t stored_bytes) {
  auto counter = counters_.find(stream);
  if (counter == counters_.end()) {
    StreamUsage usage{.id = stream};
    if (counters_.size() >= counters_max_) {
      const Rank least = *ranks_.begin();
      usage.stored_bytes = usage.excess_max = least.first;
      ranks_.erase(ranks_.begin());
      counters_.erase(least.second);
    }
    counter = counters_.emplace(stream, usage).first;
  } else {
    ranks_.erase({counter->second.stored_bytes, stream});
  }
  StreamUsage& usage = counter->second;
  ++usage.bodies;
  usage.plain_bytes += plain_bytes;
  usage.stored_bytes += stored_bytes;
  ranks_.emplace(usage.stored_bytes, stream);
}

std::vector<StreamUsage> HeavyStreams::Largest(size_t count) const {
  std::vector<StreamUsage> largest;
  for (auto rank = ranks_.rbegin(); rank != ranks_.rend() && largest.size() < count; ++rank) {
    largest.push_back(counters_.at(rank->second));
  }
  return largest;
}

}  // namespace nimbus::journal
