// Going through one recorded operation, straight from the journal: seek to its
// start, a checkpoint or a step, then forward, with the state at every point.
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
// operation as it was at Open. Memory: the state, one body, and about a hundred
// bytes a step. One thread at a time; the journal must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/reader.h"
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

// A recorded event that tells something about the state.
struct Moment {
  enum class Kind { kStart, kStep, kCheckpoint };
  Kind kind = Kind::kStart;
  uint64_t sequence = 0;
  uint32_t step = 0;                     // its number; 0 at the start
  bool patched = false;                  // the step changed the state
  absl::Status fold;                     // why its patch does not apply, if it does not
  std::optional<schema::Digest> digest;  // as recorded
  std::optional<schema::Json> state;     // as recorded: of the start and of checkpoints
};

class Session {
 public:
  // At the start. NotFound: no such operation. DataLoss: the journal is damaged.
  static absl::StatusOr<Session> Open(const journal::Journal& journal,
                                      const schema::Uuid& operation,
                                      const SessionOptions& options = {});

  const schema::Uuid& operation() const { return operation_; }
  journal::Lifecycle status() const { return status_; }
  // The operation's stream as it was at Open.
  uint64_t version() const { return version_; }
  uint64_t created() const { return created_; }  // sequence of its OperationCreated

  std::span<const StepInfo> steps() const { return steps_; }  // by number
  std::span<const CheckpointInfo> checkpoints() const { return checkpoints_; }

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

  // The sequence of the event that Next goes to; UINT64_MAX at the end.
  uint64_t NextSequence() const;

  const State& state() const { return state_; }
  // The last step that ended before this point; 0 when none did.
  uint32_t step() const;
  uint64_t sequence() const;  // of the last event seen; created() before the first

  // How the operation was created.
  absl::StatusOr<OperationRecord> ReadOperation();
  // A step's bodies. NotFound: no such step, or a body was erased.
  absl::StatusOr<StepRecord> ReadStep(uint32_t number);
  // A checkpoint as recorded; NotFound when there is no such one.
  absl::StatusOr<Moment> ReadCheckpoint(const schema::Uuid& checkpoint);
  // The name given to a checkpoint; empty when none was.
  absl::StatusOr<std::string> ReadCheckpointName(const CheckpointInfo& checkpoint);

 private:
  struct Mark {
    Moment::Kind kind = Moment::Kind::kStart;
    uint64_t sequence = 0;
    uint32_t step = 0;
  };

  Session(const journal::Journal& journal, const schema::Uuid& operation,
          const SessionOptions& options, State state);

  absl::Status Index(uint64_t head);
  absl::Status IndexRecord(const journal::RecordView& view);
  absl::StatusOr<StepInfo*> FindStep(const schema::fb::Id* id, uint64_t sequence);
  absl::StatusOr<Moment> ReadMark(const Mark& mark);
  absl::StatusOr<size_t> FindCheckpoint(const schema::Uuid& checkpoint) const;  // its mark
  absl::Status Restore(size_t mark);
  absl::Status FoldUpTo(size_t end);

  schema::Uuid operation_;
  journal::Reader reader_;
  StateOptions state_options_;
  journal::Lifecycle status_ = journal::Lifecycle::kPending;
  uint64_t version_ = 0;
  uint64_t created_ = 0;
  std::vector<StepInfo> steps_;
  std::unordered_map<schema::Uuid, size_t> step_index_;  // of steps_, by id
  std::vector<CheckpointInfo> checkpoints_;
  std::vector<Mark> marks_;  // in the order of the stream
  State state_;
  size_t next_ = 0;  // index of the mark to fold next
};

}  // namespace nimbus::replay
