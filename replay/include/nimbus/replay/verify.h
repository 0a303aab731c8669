// Does a recording reproduce itself? Folds the patches of an operation from the
// start or any checkpoint and compares every digest and every state that was
// recorded on the way.
//
//   NIMBUS_ASSIGN_OR_RETURN(const ReplayReport report, ReplayOperation(*journal, id, {}));
//   if (report.divergence.has_value()) … report.divergence->ToString() …
//   if (report.missing.has_value()) … it could not be replayed to its end …
//
// Reads only the journal. The same journal gives the same report on every
// machine: ToJson() is equal byte for byte.
#pragma once

#include <atomic>
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
  // Beside the fold: every body of the operation, also those that say nothing about
  // the state, matches its record and holds what its event may hold (JSON where it
  // should be). And what a complete recording has may not be missing: the end of
  // the operation and of its steps, the digest of each state that is no longer than
  // StateOptions::digest_floor_bytes. The end and the digests are looked for in the range.
  bool strict = false;
  // Looked at now and then; true ends the replay with Cancelled.
  const std::atomic<bool>* stop = nullptr;
  // Called now and then with (steps replayed, steps in all).
  std::function<void(uint64_t, uint64_t)> progress;
};

// The first place where what was recorded is not what the fold gives.
struct Divergence {
  // kRecord: the journal's bytes there, or next after it, are not what was appended.
  enum class What { kPatch, kDigest, kCheckpointDigest, kCheckpointState, kRecord };
  schema::Uuid operation;
  What what = What::kDigest;
  uint64_t sequence = 0;
  uint32_t step = 0;                       // 0: the start
  std::optional<schema::Digest> expected;  // as recorded
  std::optional<schema::Digest> actual;    // of the folded state
  std::string detail;  // why a patch does not apply, a record is none, or no difference is known
  // RFC 6902: from the recorded state to the folded one, where a whole state is
  // recorded: at `difference_sequence`, this event or the next checkpoint after it.
  std::optional<schema::Json> difference;
  std::optional<uint64_t> difference_sequence;

  schema::Json ToJson() const;
  std::string ToString() const;  // one line, without the difference
};

// The first thing that is not there, without which nothing is proven.
struct Missing {
  enum class What {
    kBody,       // it is in an archive that is not in its place
    kDigest,     // the state there has none (strict)
    kStep,       // the step has not ended (strict)
    kOperation,  // the operation has not ended (strict)
  };
  schema::Uuid operation;  // of a fork's past, the parent
  What what = What::kBody;
  uint64_t sequence = 0;
  uint32_t step = 0;   // 0: the start, or the operation
  std::string detail;  // of kBody: where it should be

  schema::Json ToJson() const;
  std::string ToString() const;  // one line
};

struct ReplayReport {
  schema::Uuid operation;
  std::optional<schema::Uuid> from_checkpoint;
  uint32_t from_step = 0;                          // the last step that was not replayed
  uint32_t to_step = 0;                            // the last one that was
  uint64_t steps = 0;                              // replayed
  uint64_t patches = 0;                            // applied
  uint64_t digests_compared = 0;                   // of the start, steps and checkpoints
  uint64_t checkpoints_compared = 0;               // whole states
  uint64_t first_sequence = 0, last_sequence = 0;  // of the events replayed
  // Behind a body that is missing replay goes on from the next state that is recorded
  // whole and can be read, which is trusted but for its own digest: the first of them,
  // and how many steps, in all, were not replayed.
  std::optional<uint64_t> resumed_at;
  uint64_t steps_skipped = 0;
  // Of the state in the end; unset after a divergence, or where a body is missing.
  std::optional<schema::Digest> digest;
  std::optional<Divergence> divergence;
  std::optional<Missing> missing;

  // A divergence is one whatever else is missing.
  schema::fb::ReplayVerdict verdict() const;
  bool holds() const { return verdict() == schema::fb::ReplayVerdict::holds; }
  schema::Json ToJson() const;
};

// An error is a failure to replay, not a divergence: NotFound (no such operation,
// checkpoint or step), InvalidArgument (the range is empty or contradictory),
// FailedPrecondition (a step that the range names has not ended), DataLoss (the journal
// is damaged on the way to the checkpoint or step to begin from, or the operation can't
// be found in it), Cancelled.
absl::StatusOr<ReplayReport> ReplayOperation(const journal::Journal& journal,
                                             const schema::Uuid& operation,
                                             const ReplayRange& range,
                                             const ReplayOptions& options = {});

}  // namespace nimbus::replay
