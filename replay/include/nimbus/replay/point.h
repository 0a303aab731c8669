// A point of a recorded operation where its state can be looked at.
//
//   NIMBUS_RETURN_IF_ERROR(SeekTo(*journal, {.kind = Point::Kind::kStep, .step = 12}, &session));
//   … session.state().document() …
//
// Thread-compatible.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/replay/session.h"

namespace nimbus::replay {

struct Point {
  enum class Kind {
    kStart,
    kStep,         // after step number `step`; 0 is the start
    kCheckpoint,   // at the checkpoint `checkpoint`
    kLastFailure,  // before the last step that failed: what it began with
    kEnd,
  };
  Kind kind = Kind::kEnd;
  uint32_t step = 0;
  schema::Uuid checkpoint;
};

// Leaves `session`, of that journal, at the point. NotFound: it has no such step or checkpoint, or
// no step failed. Else as Session's own calls. A failure is looked for from the end back.
absl::Status SeekTo(const journal::Journal& journal, const Point& point, Session* session);

}  // namespace nimbus::replay
