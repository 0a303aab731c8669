// Going through one recorded operation, straight from the journal: seek to its
// start, a checkpoint or a step, then forward or back, with the state at every
// point.
//
//   NIMBUS_ASSIGN_OR_RETURN(Session session, Session::Open(*journal, operation));
//   NIMBUS_RETURN_IF_ERROR(session.SeekToStep(12));
//   for (;;) {
//     NIMBUS_ASSIGN_OR_RETURN(const std::optional<Moment> moment, session.Next());
//     if (!moment.has_value()) break;
//     … moment->step, session.state().document() …
//   }
//
// It folds what was recorded and judges nothing; verify.h compares. It sees the
// operation as it was at Open. An operation that is a fork starts from the state
// of its parent, as that was when it was forked.
//
// However long the operation is, opening it and seeking anywhere cost the state,
// the patches since the last checkpoint, and some hundred records; memory is the
// state, one body, and what StreamReader takes. One thread at a time; the journal
// must outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/replay/state.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/event.h"

namespace nimbus::replay {

struct SessionOptions {
  StateOptions state;
  journal::ReaderOptions reader;
};

struct StepInfo {
  uint32_t number = 0;  // from 1
  schema::Uuid id;
  schema::fb::StepType type = schema::fb::StepType::llm_call;
  std::string tool_name;
  journal::Lifecycle status = journal::Lifecycle::kPending;
  uint64_t added = 0;             // sequence of its StepAdded
  std::optional<uint64_t> ended;  // sequence of what made it completed, failed or cancelled
};

struct CheckpointInfo {
  schema::Uuid id;
  uint32_t step = 0;  // number of the step it belongs to
  uint64_t sequence = 0;
};

struct OperationRecord {
  schema::Uuid session;
  std::string type;
  std::string name;
  std::string input;                     // JSON; empty when none
  std::optional<int64_t> created_at_us;  // schema::OccurredAt
};

// What is in the bodies of a step's events.
struct StepRecord {
  std::string input, output;  // JSON; empty when none
  std::string error;
  std::string patch;  // JSON; empty when the state did not change
  std::optional<schema::Digest> digest;
  std::optional<schema::fb::OutcomeT> outcome;
};

// What a fork goes on from: the state of its parent after a checkpoint or a step, 0
// being the start, as that was at this record.
struct ForkOrigin {
  schema::Uuid parent;
  std::optional<schema::Uuid> checkpoint;
  uint32_t step = 0;
  uint64_t sequence = 0;  // of OperationForked
};

// A recorded event that tells something about the state.
struct Moment {
  enum class Kind { kStart, kStep, kCheckpoint };
  Kind kind = Kind::kStart;  // OperationForked is a start, too
  uint64_t sequence = 0;
  uint32_t step = 0;                     // its number; 0 at the start
  bool patched = false;                  // the step changed the state
  absl::Status fold;                     // why its patch does not apply, if it does not
  std::optional<schema::Digest> digest;  // as recorded; of a fork, by its parent
  std::optional<schema::Json> state;     // as recorded: of the start and of checkpoints
};

class Session {
 public:
  // At the start. NotFound: no such operation. DataLoss: the journal is damaged.
  static absl::StatusOr<Session> Open(const journal::Journal& journal,
                                      const schema::Uuid& operation,
                                      const SessionOptions& options = {});
  // The same, rewound: reads no state, so it needs none that can be read.
  static absl::StatusOr<Session> OpenRewound(const journal::Journal& journal,
                                             const schema::Uuid& operation,
                                             const SessionOptions& options = {});

  const schema::Uuid& operation() const { return operation_; }
  // The operation as it was at Open.
  journal::Lifecycle status() const {
    return static_cast<journal::Lifecycle>(stream_.entity().state);
  }
  uint64_t version() const { return stream_.version(); }                // of its stream
  uint64_t created() const { return stream_.entity().first_sequence; }  // of OperationCreated
  uint32_t StepCount() const { return stream_.entity().steps; }

  // Steps by number, checkpoints by id. NotFound: there is none.
  absl::StatusOr<StepInfo> FindStep(uint32_t number);
  absl::StatusOr<CheckpointInfo> FindCheckpoint(const schema::Uuid& checkpoint);
  // The checkpoints of a step that were made before the next one was added.
  absl::StatusOr<std::vector<CheckpointInfo>> CheckpointsOf(uint32_t step);

  // Tells of every step, where it was added, and every checkpoint, in the order of
  // the stream, until one of the two returns an error.
  using StepVisitor = std::function<absl::Status(const StepInfo&)>;
  using CheckpointVisitor = std::function<absl::Status(const CheckpointInfo&)>;
  absl::Status ForEachPoint(const StepVisitor& visit_step,
                            const CheckpointVisitor& visit_checkpoint);

  // Each leaves the state as it was right after that event; Next goes on from
  // there. NotFound: no such checkpoint or step, or a body on the way was
  // erased. FailedPrecondition: the step has not ended. DataLoss: what is
  // recorded on the way can't be applied. SeekToStep(0) is the start. Costs the
  // nearest checkpoint before it and the patches since.
  absl::Status SeekToStart();
  absl::Status SeekToCheckpoint(const schema::Uuid& checkpoint);
  absl::Status SeekToStep(uint32_t number);
  absl::Status SeekToEnd();
  // Before the first event: Next gives the start itself first.
  void Rewind();

  // Goes to the next event that tells something about the state, and folds it;
  // nullopt at the end. Where `fold` is an error the state is as before.
  absl::StatusOr<std::optional<Moment>> Next();

  // Goes back to the event before the last one, leaving the state as it was right
  // after it, and tells of it; nullopt when it is before the first event now.
  // Errors and costs as SeekToStep.
  absl::StatusOr<std::optional<Moment>> Previous();

  // Goes past the event that Next would go to, and the ones after it, to the next that
  // tells the whole state and can be read, and takes the state from there: how to go on
  // behind a body that is in an archive that is not in its place. Passes no step that
  // ended after the record `until`. nullopt, and nothing changes: there is no such event.
  struct Skip {
    Moment to;
    uint64_t steps = 0;  // that ended on the way, and were not folded
  };
  absl::StatusOr<std::optional<Skip>> SkipToWhole(uint64_t until = UINT64_MAX);

  // The event that Next goes to; nullopt at the end.
  struct Ahead {
    Moment::Kind kind = Moment::Kind::kStart;
    uint64_t sequence = 0;
    uint64_t version = 0;  // in the operation's stream
  };
  absl::StatusOr<std::optional<Ahead>> Peek();

  const State& state() const { return state_; }
  // The last step that ended before this point; 0 when none did.
  uint32_t step() const { return step_; }
  // Of the last event seen; created() before the first.
  uint64_t sequence() const { return at_ == 0 ? created() : sequence_; }

  // How the operation was created.
  absl::StatusOr<OperationRecord> ReadOperation();
  // A step's bodies. NotFound: no such step, or a body was erased.
  absl::StatusOr<StepRecord> ReadStep(uint32_t number);
  // A checkpoint as recorded; NotFound when there is no such one.
  absl::StatusOr<Moment> ReadCheckpoint(const schema::Uuid& checkpoint);
  // The name given to a checkpoint; empty when none was.
  absl::StatusOr<std::string> ReadCheckpointName(const CheckpointInfo& checkpoint);

 private:
  // One operation on the way to that state: the versions of the last event up to the
  // place that tells the whole state, and of the place.
  struct Hop {
    ForkOrigin origin;
    uint64_t whole = 0, to = 0;
  };
  struct Added {
    schema::Uuid id;
    uint32_t number = 0;
  };

  // `before`: what comes at this sequence or later is not looked at.
  Session(const journal::Journal& journal, journal::StreamReader stream,
          const SessionOptions& options, State state, uint64_t before);
  static absl::StatusOr<Session> OpenBefore(const journal::Journal& journal,
                                            const schema::Uuid& operation,
                                            const SessionOptions& options, uint64_t before);

  bool Sees(uint64_t sequence) const {
    return sequence <= stream_.entity().head_sequence && sequence < before_;
  }
  absl::Status NoStep(uint64_t sequence) const;
  absl::StatusOr<const journal::RecordView*> ReadAdded(const schema::Uuid& step, uint64_t sequence);
  absl::StatusOr<uint32_t> NumberOf(const schema::Uuid& step, uint64_t sequence);
  void NoteAdded(const journal::RecordView& view);
  absl::StatusOr<StepInfo> InfoOf(const journal::RecordView& added);
  absl::StatusOr<uint64_t> VersionOf(const CheckpointInfo& checkpoint);
  absl::StatusOr<uint64_t> EndOf(uint32_t step);

  absl::StatusOr<Moment> ReadMoment(uint64_t version, const schema::fb::Body** body);
  absl::Status ReadState(uint64_t version, const schema::fb::Body* body, Moment* moment);
  absl::StatusOr<uint64_t> FindWhole(uint64_t version, uint64_t after);
  absl::StatusOr<uint64_t> FindMomentUpTo(uint64_t version);
  absl::Status SeekTo(uint64_t version);
  absl::Status Restore(uint64_t version);
  absl::Status TakeState(uint64_t version, Moment* moment);
  absl::Status FoldUpTo(uint64_t version);
  absl::Status FoldRecord(const journal::RecordView& view, Moment::Kind kind);
  absl::Status SettleStep();

  absl::StatusOr<std::optional<ForkOrigin>> FindFork();
  absl::StatusOr<std::optional<ForkOrigin>> ForkAt(uint64_t version);
  absl::StatusOr<uint64_t> VersionAt(const ForkOrigin& origin);
  absl::StatusOr<std::vector<Hop>> FindHops(const ForkOrigin& from) const;
  static absl::Status OfParent(const ForkOrigin& origin, const absl::Status& status);
  absl::Status Inherit(const ForkOrigin& origin, Moment* moment) const;

  const journal::Journal* journal_;
  schema::Uuid operation_;
  SessionOptions options_;
  uint64_t before_;
  journal::StreamReader stream_;
  State state_;
  uint64_t at_ = 0;        // version of the last event seen; 0 before the first
  uint64_t sequence_ = 0;  // of that
  uint32_t step_ = 0;
  std::optional<schema::Uuid> ended_;  // the step whose number step_ is to become
  uint64_t scanned_ = 0;               // no event that Next goes to from at_ up to this version
  std::vector<Added> added_;           // steps met lately, of which some will end soon
  size_t oldest_ = 0;                  // of added_
};

}  // namespace nimbus::replay
