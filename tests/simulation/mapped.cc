#include "simulation/mapped.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "simulation/disk.h"

namespace nimbus::simulation {
namespace {

void CopySector(const std::string& data, uint64_t from, Contents* contents) {
  if (from < data.size()) contents->Write(from, std::string_view(data).substr(from, kSectorBytes));
}

}  // namespace

bool IsMapped(std::string_view path) {
  return path.ends_with("/lock.mdb") || path.ends_with("/wal.state") ||
         path.ends_with("/turn.lock");
}

void GuessMapped(const Trace& trace, size_t cut, uint64_t seed, Image* image) {
  std::mt19937_64 random(seed);
  const auto below = [&](size_t end) {
    return std::uniform_int_distribution<size_t>(0, end - 1)(random);
  };
  for (auto file = image->files.begin(); file != image->files.end();) {
    auto& [path, contents] = *file;
    std::vector<const Held*> times;
    for (const Held& held : trace.snapshots) {
      if (held.path == path && held.at < cut) times.push_back(&held);
    }
    constexpr size_t kMissing = 0, kZeros = 1, kAtOneTime = 2;
    const size_t fate = IsMapped(path) ? below(times.empty() ? 2 : 4) : kZeros;
    const Held* const time = times.empty() ? nullptr : times[below(times.size())];
    for (uint64_t at = 0; fate >= kAtOneTime && at < contents.size(); at += kSectorBytes) {
      const Held* const of = fate == kAtOneTime ? time : times[below(times.size())];
      CopySector(of->data, at, &contents);
    }
    file = fate == kMissing ? image->files.erase(file) : std::next(file);
  }
}

}  // namespace nimbus::simulation
