// What the race tests and the processes they start both know.
#pragma once

#include <fmt/format.h>

#include "nimbus/schema/id.h"

namespace nimbus::projections {

// Of what the processes want in that round.
inline schema::Uuid RoundId(int round) {
  return schema::DeriveUuid("race", fmt::format("round {}", round));
}

}  // namespace nimbus::projections
