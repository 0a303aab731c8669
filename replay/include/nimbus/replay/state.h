// The state of an operation while it is recorded or replayed: a JSON document
// that each step changes by a patch, and the rule that says when to journal it
// whole, as a checkpoint.
//
// Recording (Recorder does so; an importer does it like this):
//
//   NIMBUS_ASSIGN_OR_RETURN(State state, State::Make(std::move(initial)));
//   started.body.state = state.Text();                 // OperationStarted
//   started.body.digest = ToFb(state.Digest());
//   for each step:
//     NIMBUS_ASSIGN_OR_RETURN(StateChange change, state.Record(AppendPatch("/messages", items)));
//     or, when all that is known is the next state:    state.RecordNext(next)
//     completed.body.patch = change.patch;             // StepCompleted, unless empty
//     completed.body.digest = …*change.digest;         // if there is one
//     if (change.checkpoint_due) {
//       checkpoint.body.state = state.Text();          // CheckpointCreated, of that step
//       checkpoint.body.digest = ToFb(state.Digest());
//       state.MarkCheckpoint();
//     }
//
// Bodies hold `state` and `patch` as text; an unset digest stays null. An
// importer that goes on where an earlier import stopped folds what is journaled
// first: Session (session.h) seeks to the end and hands out its State.
//
// Thread-compatible.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/json.h"

namespace nimbus::replay {

struct StateOptions {
  // A checkpoint is due once the patches since the last one (or the initial
  // state) are larger than it, and than this. So a seek reads at most about
  // twice the state, and all checkpoints together stay linear in the patches.
  size_t checkpoint_floor_bytes = 4u << 10;
  // A step counts as a patch of at least so many bytes: it takes its time to read
  // even if it changes nothing.
  size_t step_bytes_min = 64;
  // Steps carry a digest while the state's text is at most this long. A digest
  // costs what the whole state costs; so of a longer one only each step does whose
  // patch brings those since the last digest above a sixteenth of it. Then digests
  // cost about what folding the patches does, however large the state is.
  size_t digest_floor_bytes = 16u << 10;
  // Of the state's text and of patches; since a patch nests what it adds two
  // levels deeper, the state itself may be nested two levels less.
  schema::JsonLimits limits;
};

// What a step does to the state, as the event that ends it carries it.
struct StateChange {
  std::string patch;                     // JSON (RFC 6902); empty when nothing changed
  std::optional<schema::Digest> digest;  // of the state after it
  bool checkpoint_due = false;
};

class State {
 public:
  // ResourceExhausted when `initial` is over a limit.
  static absl::StatusOr<State> Make(schema::Json initial, const StateOptions& options = {});

  const schema::Json& document() const { return document_; }

  // The document's compact text, its length, and its digest. O(state), but bytes().
  std::string Text() const { return document_.Dump(); }
  size_t bytes() const { return bytes_; }
  schema::Digest Digest() const { return schema::StateDigest(document_); }

  // Changes the state by a patch, and says what to journal. On an error the
  // state is what it was: InvalidArgument, NotFound and FailedPrecondition as
  // ApplyPatch, ResourceExhausted when the state would exceed a limit.
  absl::StatusOr<StateChange> Record(const schema::Json& patch);

  // The same, given the state after the step: finds the patch.
  absl::StatusOr<StateChange> RecordNext(const schema::Json& next);

  // Replays a step's journaled patch. Keeps the account of patches, so that
  // recording can go on after it. Errors as Record, and InvalidArgument when
  // `patch` is not JSON.
  absl::Status Fold(std::string_view patch);

  // Replays a step without a patch: it changes only the account.
  void FoldUnchanged();

  // The state has been journaled whole: patches count from here.
  void MarkCheckpoint();

  // Continues from a checkpoint's state instead.
  absl::Status Restore(schema::Json document);

 private:
  State(schema::Json document, const StateOptions& options);
  absl::Status CheckSize() const;
  absl::Status Apply(schema::Json patch, size_t patch_bytes);
  void Count(size_t patch_bytes);
  bool CheckpointDue() const;
  bool DigestDue() const;

  StateOptions options_;
  schema::Json document_;
  size_t bytes_ = 0;             // of the document's compact text
  size_t checkpoint_bytes_ = 0;  // what bytes_ was at the last checkpoint
  size_t patch_bytes_ = 0;       // of the patches since, as the rule counts them
  size_t undigested_bytes_ = 0;  // of those since the last digest
};

}  // namespace nimbus::replay
