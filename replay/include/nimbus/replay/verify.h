// Does a recording reproduce itself? Folds the patches of an operation from the
// start or any checkpoint and compares every digest and every state that was
// recorded on the way.
//
//   NIMBUS_ASSIGN_OR_RETURN(const ReplayReport report, ReplayOperation(*journal, id, {}));
//   if (report.divergence.has_value()) … report.divergence->ToString() …
//
// Reads only the journal. The same journal gives the same report on every
// machine: ToJson() is equal byte for byte.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/session.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/json.h"

namespace nimbus::replay {

// What to replay. A checkpoint or step to begin from is trusted as recorded,
// but a checkpoint's own digest; at most one of them may be set.
struct ReplayRange {
  std::optional<schema::Uuid> from_checkpoint;
  std::optional<uint32_t> from_step;  // the state after it; 0 is the start
  std::optional<uint32_t> to_step;    // the last step to replay; all of them when unset
};

struct ReplayOptions {
  SessionOptions session;
  // Called now and then with (steps replayed, steps in all).
  std::function<void(uint64_t, uint64_t)> progress;
};

// The first place where what was recorded is not what the fold gives.
struct Divergence {
  enum class What { kPatch, kDigest, kCheckpointDigest, kCheckpointState };
  What what = What::kDigest;
  uint64_t sequence = 0;
  uint32_t step = 0;                       // 0: the start
  std::optional<schema::Digest> expected;  // as recorded
  std::optional<schema::Digest> actual;    // of the folded state
  std::string detail;                      // why a patch does not apply, or no difference is known
  // RFC 6902: from the recorded state to the folded one, where a whole state is
  // recorded: at `difference_sequence`, this event or the next checkpoint after it.
  std::optional<schema::Json> difference;
  std::optional<uint64_t> difference_sequence;

  schema::Json ToJson() const;
  std::string ToString() const;  // one line, without the difference
};

struct ReplayReport {
  schema::Uuid operation;
  std::optional<schema::Uuid> from_checkpoint;
  uint32_t from_step = 0;             // the last step that was not replayed
  uint32_t to_step = 0;               // the last one that was
  uint64_t steps = 0;                 // replayed
  uint64_t patches = 0;               // applied
  uint64_t digests_compared = 0;      // of the start, steps and checkpoints
  uint64_t checkpoints_compared = 0;  // whole states
  uint64_t last_sequence = 0;
  std::optional<schema::Digest> digest;  // of the state in the end; unset after a divergence
  std::optional<Divergence> divergence;

  bool holds() const { return !divergence.has_value(); }
  schema::Json ToJson() const;
};

// An error is a failure to replay, not a divergence: NotFound (no such
// operation, checkpoint or step, or a body was erased), InvalidArgument (the
// range is empty or contradictory), FailedPrecondition (a step of the range has
// not ended), DataLoss (the journal is damaged).
absl::StatusOr<ReplayReport> ReplayOperation(const journal::Journal& journal,
                                             const schema::Uuid& operation,
                                             const ReplayRange& range,
                                             const ReplayOptions& options = {});

}  // namespace nimbus::replay
