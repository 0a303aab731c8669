// What the program of a trace was told by the journal, in its marks, and what has
// to be there after a power cut because of it.
//
//   opened SIZE                              Open returned, and there were so many records
//   seen SIZE                                a reader was told that there are
//   ack FIRST COUNT durable [SESSION N]      an append was acknowledged: update N of the session
//   ack FIRST COUNT relaxed [SESSION N]      … and those after it, if it was one of updates
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/schema/id.h"
#include "simulation/trace.h"

namespace nimbus::simulation {

// What a relaxed append may lose, and how much later a busy machine may do what
// is to be done by then.
inline constexpr int64_t kRelaxedMicros = 100'000;
inline constexpr int64_t kSlackMicros = 400'000;

struct Acknowledgement {
  size_t at = 0;  // record of the trace
  int64_t micros = 0;
  uint64_t first = 0, count = 0;
  bool durable = true;
  schema::Uuid session;  // nil: it was no update
  uint64_t n = 0;
};

// A reader was shown records below `size`: what it may have acted on has to last.
struct Sight {
  size_t at = 0;
  uint64_t size = 0;
};

struct Claims {
  size_t opened_at = kNever;  // first time
  std::vector<Sight> sights;
  std::vector<Acknowledgement> acknowledgements;
};

absl::StatusOr<Claims> ParseClaims(const Trace& trace);

struct Needed {
  bool store = false;    // there is one
  uint64_t records = 0;  // at least
};

// After a cut at `cut`. A durable append, or record that was seen, vouches for all
// before it too.
Needed NeededAt(const Trace& trace, const Claims& claims, size_t cut);

}  // namespace nimbus::simulation
