// How soon somebody who follows the journal knows of an append.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/child.h"

namespace nimbus::bench {

// On the clock that all processes of a machine share.
int64_t NowNanos();

// When somebody knew that so many records were there.
struct Wake {
  uint64_t size = 0;
  int64_t at_ns = 0;
};

// From a child to its parent, as lines of its standard output.
void SayWakes(const std::vector<Wake>& wakes);
absl::StatusOr<std::vector<Wake>> HearWakes(Child* child);

// Of each append, how long after its acknowledgement the follower knew of it. 0
// when it knew before its caller did. Internal when it missed one.
absl::StatusOr<std::vector<double>> LatenciesMs(const std::vector<Wake>& acknowledged,
                                                const std::vector<Wake>& wakes);

}  // namespace nimbus::bench
