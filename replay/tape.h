// An operation's recording, read forward from its very beginning: the records of its
// parents up to the forks, then its own.
//
// A step that was under way at a fork is begun anew by who goes on: the first steps that a
// fork adds are these, in their order, which is that of the agent's calls. They keep their
// numbers; so a step's number is that of its call, whatever was forked where.
//
// Memory does not grow with the recording: journal::StreamReader finds its records.
// One thread at a time; the journal must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/replay/recorder.h"
#include "nimbus/schema/event.h"

namespace nimbus::replay {

// What stands in a step's StepAdded, and what its entity tells as of some sequence.
struct TapeStep {
  OpenStep step;
  journal::Lifecycle status = journal::Lifecycle::kPending;
  std::optional<uint64_t> ended;  // sequence of what ended it
  size_t part = 0;                // that added it
};

class Tape {
 public:
  // A place between two records of a part: parts are the operations, parents first.
  struct Position {
    size_t part = 0;
    uint64_t version = 0;  // of the last record passed
  };

  struct Item {
    const journal::RecordView* view = nullptr;  // until the next call, but Body
    size_t part = 0;
  };

  // The steps of an operation up to a place in it. No entity counts the ones that have
  // ended and none lists the others, so whoever asks takes one pass over the records
  // up to there, without their bodies. Memory: the open ones.
  struct Steps {
    std::vector<TapeStep> open;              // without a result, by number
    std::optional<schema::Uuid> last_ended;  // step
    uint32_t added = 0;
  };

  // Nothing to read.
  Tape(const journal::Journal* journal, const journal::ReaderOptions& options);
  // Of an operation that exists. Reads none of its own records but those before its
  // first step, and the Steps of each parent. FailedPrecondition: a step to fork after has
  // not ended.
  absl::Status Open(const journal::EntityState& operation);

  // Of the operation itself: now, and up to one of its checkpoints.
  absl::StatusOr<Steps> ReadSteps();
  absl::StatusOr<Steps> ReadStepsAt(const journal::EntityState& checkpoint);

  // After this checkpoint of the operation itself.
  absl::StatusOr<Position> PositionAt(const journal::EntityState& checkpoint);

  // The record after `position`, which moves on; no view at the end.
  absl::StatusOr<Item> Next(Position* position);
  bool AtEnd(const Position& position) const;

  // The record of a part at this sequence, until the next call but Body.
  absl::StatusOr<const journal::RecordView*> ReadAt(size_t part, uint64_t sequence);
  // The body of the record that was read last.
  absl::StatusOr<const schema::fb::Body*> Body(const journal::RecordView& record);

  // The records that were appended to the operation's own stream, up to this one.
  void Extend(uint64_t version, uint64_t sequence);
  Position End() const;

  bool forked() const { return parts_.size() > 1; }
  const schema::Uuid& operation(size_t part) const { return parts_[part].operation; }
  size_t parts() const { return parts_.size(); }

  // The number of a step that a part adds, and how many have been called where it had
  // added so many.
  uint32_t NumberOf(size_t part, uint32_t ordinal) const;
  uint32_t CalledAt(size_t part, uint32_t added) const;
  // Whether this part begins anew what was under way at its fork by adding this step.
  bool BeginsAnew(size_t part, const journal::RecordView& added) const;
  // Of those that the operation itself has to begin anew, the first that it has not added
  // where it had added so many.
  std::optional<uint32_t> NotBegunAnew(uint32_t added) const;

  // The step that a StepAdded adds, or the one that a later part began in its place: as of
  // the end of that part. Pending, of a part that is not the last: to be begun anew.
  absl::StatusOr<TapeStep> ReadStep(const journal::RecordView& added, size_t part);

 private:
  struct Part {
    schema::Uuid operation;
    uint32_t base = 0;                   // steps called before it
    uint64_t version = 0, sequence = 0;  // of its last record
    std::vector<uint32_t> anew;          // numbers of the steps that were under way before it
    uint32_t added = 0;                  // of a parent: its steps
    std::vector<uint32_t> open;          // of a parent: those without a result, as it counts
  };

  absl::StatusOr<journal::StreamReader*> Select(size_t part);
  absl::Status AddParent(const ForkOrigin& origin);
  void CountSteps();
  absl::StatusOr<std::optional<TapeStep>> ReadAnew(uint32_t number, size_t part);
  absl::Status FindEnd(const ForkOrigin& origin, journal::StreamReader* parent, Part* part) const;
  absl::Status FindStart(journal::StreamReader* parent, Part* part) const;
  absl::StatusOr<uint64_t> SequenceOf(const schema::Uuid& checkpoint,
                                      const schema::Uuid& parent) const;
  absl::StatusOr<uint64_t> EndOf(uint32_t number, journal::StreamReader* parent) const;
  absl::StatusOr<Steps> ReadSteps(journal::StreamReader* stream, uint64_t version,
                                  uint64_t sequence) const;
  absl::StatusOr<TapeStep> StepAsOf(const journal::RecordView& added, uint64_t head) const;

  const journal::Journal* journal_;
  journal::ReaderOptions options_;
  std::vector<Part> parts_;
  std::optional<journal::StreamReader> stream_;  // of the part that was read last
};

// Adds tokens and cost (not durations), without going beyond what a number holds.
void AddOutcome(const schema::fb::OutcomeT& outcome, schema::fb::OutcomeT* sum);

// What the record's step, or an attempt, took is added; else nothing.
void AddOutcomeOf(const schema::fb::Record& record, schema::fb::OutcomeT* sum);

}  // namespace nimbus::replay
