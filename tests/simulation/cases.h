// Which power cuts to try: where in the trace, and what of the changes that were
// not safe is on the disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simulation/disk.h"

namespace nimbus::simulation {

enum class Kind {
  kAll,        // all of them
  kNone,       // none
  kAllButOne,  // one write, or change of a name, is missing
  kOnlyOne,    // one is there
  kFirst,      // sectors up to some point
  kLast,       // sectors from some point
  kTorn,       // changes in order up to one, and sectors of that
  kSectors,    // each sector by chance
  kPages,      // each 4 KiB by chance
  kWhole,      // each change by chance, wholly
  kData,       // no change of a size or a name
  kMetadata,   // nothing else
};
inline constexpr int kKinds = 12;

struct Case {
  size_t cut = 0;
  Kind kind = Kind::kAll;
  double share = 0;   // which one, up to where, how probable; in [0, 1)
  uint64_t seed = 0;  // of what is by chance

  std::string ToString() const;
};

bool IsThere(const Case& power_cut, const Slot& slot);

// Every cut of the trace: all, none, each change missing, each alone (of many,
// some), and some of the others.
std::vector<Case> EveryCase(const Trace& trace, const Disk::Ignored& ignored, uint64_t seed);

// `count` of them by chance, in the order of their cuts.
std::vector<Case> SomeCases(const Trace& trace, size_t count, uint64_t seed);

}  // namespace nimbus::simulation
