// Files that are written through a map: the recorder does not see their stores,
// and no sync covers them, so what they hold after a power cut is anybody's guess.
#pragma once

#include <cstdint>
#include <string_view>

#include "simulation/image.h"
#include "simulation/trace.h"

namespace nimbus::simulation {

// lock.mdb of LMDB, wal.state; and turn.lock, which holds nothing.
bool IsMapped(std::string_view path);

// Makes each of them, as `seed` has it, missing, zeros, as it was at some time
// before the cut, or sector by sector of such times.
void GuessMapped(const Trace& trace, size_t cut, uint64_t seed, Image* image);

}  // namespace nimbus::simulation
