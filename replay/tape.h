// An operation's recording, read forward from its very beginning: the records of its
// parents up to the forks, then its own. And what there is to know of it before.
//
// Memory does not grow with the recording: streams are linked backwards only, so every
// so many records one is remembered, and the ones after it are found again from the next.
// One thread at a time; the journal must outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/reader.h"
#include "nimbus/replay/recorder.h"
#include "nimbus/schema/event.h"

namespace nimbus::replay {

// What stands in a step's StepAdded, and what its entity tells as of some sequence.
struct TapeStep {
  OpenStep step;
  journal::Lifecycle status = journal::Lifecycle::kPending;
  std::optional<uint64_t> ended;  // sequence of what ended it
};

class Tape {
 public:
  // A place between two records of a part: parts are the operations, parents first.
  struct Position {
    size_t part = 0;
    uint64_t version = 0;  // of the last record passed
  };

  struct Item {
    const journal::RecordView* view = nullptr;  // until the next call
    size_t part = 0;
  };

  // What the records of the operation itself add up to.
  struct Summary {
    std::vector<TapeStep> open;              // without a result, by number
    std::optional<schema::Uuid> last_ended;  // step
    uint32_t steps = 0;                      // added
    bool forked = false;
    schema::fb::OutcomeT outcome;  // of all steps and attempts; no duration
  };

  // Nothing to read.
  Tape(const journal::Journal* journal, const journal::ReaderOptions& options);
  // Of an operation that exists. FailedPrecondition: steps are open at a fork, or a step
  // to fork after has not ended.
  absl::Status Open(const journal::EntityState& operation);

  // Where reading begins; after a checkpoint of the operation itself, it begins there, and
  // `summary` tells of the records up to it.
  absl::StatusOr<Position> PositionAt(const journal::EntityState& checkpoint, Summary* summary);

  // The record after `position`, which moves on; no view at the end.
  absl::StatusOr<Item> Next(Position* position);
  bool AtEnd(const Position& position) const;

  // The records that were appended to the operation's own stream, up to this one.
  void Extend(uint64_t version, uint64_t sequence);
  Position End() const;

  const Summary& summary() const { return summary_; }
  const schema::Uuid& operation(size_t part) const { return parts_[part].operation; }
  uint32_t base(size_t part) const { return parts_[part].base; }  // steps of the parts before
  uint32_t own_base() const { return parts_.empty() ? 0 : parts_.back().base; }
  size_t parts() const { return parts_.size(); }

  // The step that a StepAdded adds, as of the end of its part.
  absl::StatusOr<TapeStep> ReadStep(const journal::RecordView& added, size_t part) const;

  journal::Reader& reader() { return reader_; }

 private:
  struct Mark {
    uint64_t version = 0, sequence = 0;
  };
  struct Part {
    schema::Uuid operation;
    uint32_t base = 0;
    uint64_t version = 0, sequence = 0;  // of its last record
    std::vector<Mark> marks;             // ascending, every `stride` versions
    uint64_t stride = 1;
  };
  struct Origin {
    schema::Uuid parent;
    std::optional<schema::Uuid> checkpoint;
    uint32_t step_number = 0;
  };
  using Visit = std::function<absl::StatusOr<bool>(const journal::RecordView&)>;

  absl::Status WalkBack(const schema::Uuid& operation, uint64_t head, const Visit& visit);
  absl::StatusOr<std::optional<Origin>> AddPart(const schema::Uuid& operation, uint64_t head,
                                                Summary* summary);
  absl::StatusOr<Summary> Survey(const schema::Uuid& operation, uint64_t head, Part* part,
                                 std::optional<Origin>* origin);
  absl::Status Count(const journal::RecordView& view, uint64_t head, Summary* summary) const;
  absl::StatusOr<uint64_t> ForkSequence(const Origin& origin);
  absl::StatusOr<TapeStep> StepAsOf(const journal::RecordView& added, uint64_t head) const;
  absl::Status LoadWindow(size_t part, uint64_t version);
  static void AddMark(const Mark& mark, Part* part);

  const journal::Journal* journal_;
  journal::Reader reader_;
  std::vector<Part> parts_;
  Summary summary_;
  // The records of a part that were found last, ascending.
  size_t window_part_ = 0;
  std::vector<Mark> window_;
};

// Adds tokens and cost (not durations), without going beyond what a number holds.
void AddOutcome(const schema::fb::OutcomeT& outcome, schema::fb::OutcomeT* sum);

}  // namespace nimbus::replay
