// The tree at an earlier size.
#pragma once

#include "absl/status/statusor.h"
#include "environment.h"

namespace nimbus::journal {

// The frontier of the journal's first `size` records, from the tiles and at most
// 255 records, or those that are in the log alone; what they say is taken as true. OutOfRange
// beyond the journal.
absl::StatusOr<Frontier> FrontierAt(const Environment& environment, const Snapshot& snapshot,
                                    uint64_t size);

}  // namespace nimbus::journal
