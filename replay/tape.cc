#include "tape.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "nimbus/schema/status.h"
#include "steps.h"

namespace nimbus::replay {

using journal::EntityState;
using journal::IsFinal;
using journal::Lifecycle;
using journal::RecordView;
using schema::Error;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;
using Event = schema::fb::Event;

namespace {

constexpr size_t kMarksMax = 8192;
constexpr size_t kForksMax = 1000;
constexpr uint64_t kWindowRecords = 1024;  // found at once, where more are remembered

std::string Text(const flatbuffers::String* text) { return text == nullptr ? "" : text->str(); }

template <typename Number>
void AddTo(const flatbuffers::Optional<Number>& number, flatbuffers::Optional<Number>* sum) {
  if (!number.has_value()) return;
  Number added = 0;
  if (__builtin_add_overflow(sum->value_or(0), *number, &added)) {
    added = *number < 0 ? std::numeric_limits<Number>::min() : std::numeric_limits<Number>::max();
  }
  *sum = added;
}

}  // namespace

void AddOutcome(const schema::fb::OutcomeT& outcome, schema::fb::OutcomeT* sum) {
  AddTo(outcome.tokens_used, &sum->tokens_used);
  AddTo(outcome.input_tokens, &sum->input_tokens);
  AddTo(outcome.output_tokens, &sum->output_tokens);
  AddTo(outcome.cache_read_tokens, &sum->cache_read_tokens);
  AddTo(outcome.cache_write_tokens, &sum->cache_write_tokens);
  AddTo(outcome.cost_microdollars, &sum->cost_microdollars);
}

Tape::Tape(const journal::Journal* journal, const journal::ReaderOptions& options)
    : journal_(journal), reader_(*journal, options) {}

absl::Status Tape::Open(const EntityState& operation) {
  NIMBUS_ASSIGN_OR_RETURN(std::optional<Origin> origin,
                          AddPart(operation.id, operation.head_sequence, &summary_));
  summary_.forked = origin.has_value();
  while (origin.has_value()) {
    if (parts_.size() > kForksMax) {
      return Error(Code::kFailedPrecondition,
                   "operation {} was forked from more than {} others, one from another",
                   operation.id.ToString(), kForksMax);
    }
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t end, ForkSequence(*origin));
    Summary of_parent;
    const Uuid parent = origin->parent;
    NIMBUS_ASSIGN_OR_RETURN(origin, AddPart(parent, end, &of_parent));
    for (Part& part : parts_) part.base += &part == &parts_.back() ? 0 : of_parent.steps;
    if (of_parent.open.empty()) continue;
    return Error(Code::kFailedPrecondition,
                 "step {} of operation {} has not ended where operation {} was forked",
                 of_parent.open.front().step.number, parent.ToString(), operation.id.ToString());
  }
  std::reverse(parts_.begin(), parts_.end());
  return absl::OkStatus();
}

// From the operation itself to its parents; Open turns them round.
absl::StatusOr<std::optional<Tape::Origin>> Tape::AddPart(const Uuid& operation, uint64_t head,
                                                          Summary* summary) {
  Part part;
  part.operation = operation;
  std::optional<Origin> origin;
  NIMBUS_ASSIGN_OR_RETURN(*summary, Survey(operation, head, &part, &origin));
  std::reverse(part.marks.begin(), part.marks.end());
  parts_.push_back(std::move(part));
  return origin;
}

absl::Status Tape::WalkBack(const Uuid& operation, uint64_t head, const Visit& visit) {
  for (uint64_t sequence = head;;) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader_.Read(sequence));
    const schema::fb::Envelope envelope = view->envelope();
    if (Uuid::FromFb(envelope.stream()) != operation || envelope.previous() > sequence) {
      return Error(Code::kDataLoss, "record {} is not linked into operation {}", sequence,
                   operation.ToString());
    }
    NIMBUS_ASSIGN_OR_RETURN(const bool more, visit(*view));
    if (!more || envelope.previous() == sequence) return absl::OkStatus();
    sequence = envelope.previous();
  }
}

absl::StatusOr<Tape::Summary> Tape::Survey(const Uuid& operation, uint64_t head, Part* part,
                                           std::optional<Origin>* origin) {
  Summary summary;
  const auto visit = [&](const RecordView& view) -> absl::StatusOr<bool> {
    const Mark mark{view.envelope().version(), view.sequence};
    if (view.sequence == head) {
      part->version = mark.version;
      part->sequence = mark.sequence;
    }
    AddMark(mark, part);
    if (const auto* forked = view.record->event_as_OperationForked()) {
      origin->emplace(Origin{.parent = Uuid::FromFb(*forked->parent()),
                             .checkpoint = std::nullopt,
                             .step_number = forked->step_number()});
      if (forked->checkpoint() != nullptr) {
        (*origin)->checkpoint = Uuid::FromFb(*forked->checkpoint());
      }
    }
    NIMBUS_RETURN_IF_ERROR(Count(view, head, &summary));
    return true;
  };
  NIMBUS_RETURN_IF_ERROR(WalkBack(operation, head, visit));
  std::reverse(summary.open.begin(), summary.open.end());
  return summary;
}

absl::Status Tape::Count(const RecordView& view, uint64_t head, Summary* summary) const {
  if (const schema::fb::Outcome* outcome = StepOutcomeOf(*view.record)) {
    schema::fb::OutcomeT unpacked;
    outcome->UnPackTo(&unpacked);
    AddOutcome(unpacked, &summary->outcome);
  }
  if (IsStepEnd(*view.record) && !summary->last_ended.has_value()) {
    summary->last_ended = Uuid::FromFb(*StepIdOf(*view.record));
  }
  if (view.record->event_type() != Event::StepAdded) return absl::OkStatus();
  summary->steps = std::max(summary->steps, view.envelope().ordinal());
  NIMBUS_ASSIGN_OR_RETURN(TapeStep step, StepAsOf(view, head));
  if (!step.ended.has_value()) summary->open.push_back(std::move(step));
  return absl::OkStatus();
}

void Tape::AddMark(const Mark& mark, Part* part) {
  if (mark.version % part->stride != 0) return;
  part->marks.push_back(mark);
  if (part->marks.size() < kMarksMax) return;
  part->stride *= 2;
  std::erase_if(part->marks, [&](const Mark& m) { return m.version % part->stride != 0; });
}

absl::StatusOr<uint64_t> Tape::ForkSequence(const Origin& origin) {
  if (origin.checkpoint.has_value()) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<EntityState> checkpoint,
                            journal_->FindEntity(EntityKind::checkpoint, *origin.checkpoint));
    if (checkpoint.has_value() && checkpoint->parent == origin.parent) {
      return checkpoint->first_sequence;
    }
    return Error(Code::kDataLoss, "operation {} has no checkpoint {}", origin.parent.ToString(),
                 origin.checkpoint->ToString());
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<EntityState> parent,
                          journal_->FindEntity(EntityKind::operation, origin.parent));
  if (!parent.has_value()) {
    return Error(Code::kDataLoss, "no operation {} to be forked", origin.parent.ToString());
  }
  std::optional<uint64_t> found;
  bool added = false;
  const auto visit = [&](const RecordView& view) -> absl::StatusOr<bool> {
    if (origin.step_number == 0) {
      const bool start = view.record->event_type() == Event::OperationStarted;
      // What was never started has come to nothing.
      if (start || !found.has_value()) found = view.sequence;
      return !start;
    }
    added = view.record->event_type() == Event::StepAdded &&
            view.envelope().ordinal() == origin.step_number;
    if (!added) return true;
    NIMBUS_ASSIGN_OR_RETURN(const TapeStep step, StepAsOf(view, parent->head_sequence));
    found = step.ended;
    return false;
  };
  NIMBUS_RETURN_IF_ERROR(WalkBack(origin.parent, parent->head_sequence, visit));
  if (found.has_value()) return *found;
  return Error(added ? Code::kFailedPrecondition : Code::kDataLoss,
               "step {} of operation {}, after which it was forked, {}", origin.step_number,
               origin.parent.ToString(), added ? "has not ended" : "does not exist");
}

absl::StatusOr<TapeStep> Tape::StepAsOf(const RecordView& view, uint64_t head) const {
  const schema::fb::StepAdded& added = *view.record->event_as_StepAdded();
  TapeStep found;
  found.step.number = view.envelope().ordinal();
  found.step.id = Uuid::FromFb(*added.step());
  found.step.type = added.type();
  found.step.tool_name = Text(added.tool_name());
  found.step.sequence = view.sequence;
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<EntityState> entity,
                          journal_->FindEntity(EntityKind::step, found.step.id));
  if (!entity.has_value()) {
    return Error(Code::kDataLoss, "record {} adds step {}, which does not exist", view.sequence,
                 found.step.id.ToString());
  }
  found.status = static_cast<Lifecycle>(entity->state);
  found.step.attempt = entity->steps + 1;
  if (!IsFinal(found.status)) return found;
  if (entity->head_sequence <= head) {
    found.ended = entity->head_sequence;
  } else {
    found.status = Lifecycle::kRunning;  // it ended later
  }
  return found;
}

absl::StatusOr<TapeStep> Tape::ReadStep(const RecordView& added, size_t part) const {
  NIMBUS_ASSIGN_OR_RETURN(TapeStep step, StepAsOf(added, parts_[part].sequence));
  step.step.number += parts_[part].base;
  return step;
}

absl::StatusOr<Tape::Position> Tape::PositionAt(const EntityState& checkpoint, Summary* summary) {
  Part scratch;
  std::optional<Origin> origin;
  NIMBUS_ASSIGN_OR_RETURN(
      *summary, Survey(parts_.back().operation, checkpoint.first_sequence, &scratch, &origin));
  return Position{.part = parts_.size() - 1, .version = scratch.version};
}

bool Tape::AtEnd(const Position& position) const {
  if (parts_.empty()) return true;
  return position.part + 1 == parts_.size() && position.version >= parts_.back().version;
}

Tape::Position Tape::End() const {
  if (parts_.empty()) return {};
  return {.part = parts_.size() - 1, .version = parts_.back().version};
}

void Tape::Extend(uint64_t version, uint64_t sequence) {
  if (parts_.empty()) return;
  parts_.back().version = version;
  parts_.back().sequence = sequence;
}

// Finds the records of a part from `version` on, up to the next one that is remembered.
absl::Status Tape::LoadWindow(size_t index, uint64_t version) {
  const Part& part = parts_[index];
  auto mark = std::ranges::lower_bound(part.marks, version, {}, &Mark::version);
  const auto ahead = static_cast<std::ptrdiff_t>(kWindowRecords / part.stride);
  mark += std::min(ahead, part.marks.end() - mark);
  const uint64_t head = mark == part.marks.end() ? part.sequence : mark->sequence;
  window_.clear();
  window_part_ = index;
  const auto visit = [&](const RecordView& view) -> absl::StatusOr<bool> {
    window_.push_back({view.envelope().version(), view.sequence});
    return window_.back().version > version;
  };
  NIMBUS_RETURN_IF_ERROR(WalkBack(part.operation, head, visit));
  std::reverse(window_.begin(), window_.end());
  if (window_.front().version == version) return absl::OkStatus();
  return Error(Code::kDataLoss, "operation {} has no record of version {}",
               part.operation.ToString(), version);
}

absl::StatusOr<Tape::Item> Tape::Next(Position* position) {
  if (AtEnd(*position)) return Item{};
  if (position->version >= parts_[position->part].version) {
    position->version = 0;
    ++position->part;
  }
  const uint64_t version = position->version + 1;
  const bool loaded = window_part_ == position->part && !window_.empty() &&
                      version >= window_.front().version && version <= window_.back().version;
  if (!loaded) NIMBUS_RETURN_IF_ERROR(LoadWindow(position->part, version));
  const Mark& mark = window_[version - window_.front().version];
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader_.Read(mark.sequence));
  position->version = version;
  return Item{.view = view, .part = position->part};
}

}  // namespace nimbus::replay
