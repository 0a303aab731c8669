// A recording being served: the state at a place on the tape, and what an agent's code
// must do next there. Private to the Recorder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/replay/recorder.h"
#include "nimbus/replay/state.h"
#include "nimbus/schema/json.h"
#include "tape.h"

namespace nimbus::replay {

// What the agent's code did next, as it was recorded: everything but the ends of steps,
// which come when they come.
struct Recorded {
  enum class Kind { kNone, kStep, kValue, kCheckpoint, kEnd };
  Kind kind = Kind::kNone;
  uint64_t sequence = 0;
  size_t part = 0;
  TapeStep step;                                            // of kStep
  std::string name;                                         // of kValue and kCheckpoint
  journal::Lifecycle ended = journal::Lifecycle::kPending;  // of kEnd

  // {"step":{"type":…,"tool":…}}, {"value":name}, {"checkpoint":name}, {"end":status}, null
  schema::Json ToJson() const;
};

schema::Json StepJson(schema::fb::StepType type, std::string_view tool);
schema::Json EndJson(journal::Lifecycle ended);

struct Playback {
  State state;
  Tape::Position position;
  Recorded next;
  std::optional<schema::Uuid> last_ended;  // step, of the part where `position` is
  schema::fb::OutcomeT outcome;            // of its own steps and attempts so far; no duration

  // Goes to the next thing that the agent's code did, folding the ends of steps on the
  // way. DataLoss: the state is not the recorded one. NotFound: a body was erased.
  absl::Status Advance(Tape* tape);
  // Goes to the end.
  absl::Status Finish(Tape* tape);
  // What `outcome` will be at the end: reads the records that are left, not their bodies.
  absl::StatusOr<schema::fb::OutcomeT> OutcomeAtEnd(Tape* tape) const;

 private:
  absl::Status Pass(Tape* tape, const Tape::Item& item);
  absl::Status Start(const schema::fb::Body* body, bool first);
  absl::Status EndStep(const journal::RecordView& view, const schema::fb::Id& step,
                       const schema::fb::Body* body);
};

}  // namespace nimbus::replay
