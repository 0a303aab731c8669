#include "tape.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/saturate.h"
#include "nimbus/schema/status.h"
#include "steps.h"

namespace nimbus::replay {

using journal::EntityState;
using journal::IsFinal;
using journal::Lifecycle;
using journal::RecordView;
using journal::StreamReader;
using schema::Error;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;
using Event = schema::fb::Event;

namespace {

constexpr size_t kForksMax = 1000;

std::string Text(const flatbuffers::String* text) { return text == nullptr ? "" : text->str(); }

template <typename Number>
void AddTo(const flatbuffers::Optional<Number>& number, flatbuffers::Optional<Number>* sum) {
  if (number.has_value()) *sum = schema::SaturatedSum(sum->value_or(0), *number);
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

void AddOutcomeOf(const schema::fb::Record& record, schema::fb::OutcomeT* sum) {
  const schema::fb::Outcome* outcome = StepOutcomeOf(record);
  if (outcome == nullptr) return;
  schema::fb::OutcomeT unpacked;
  outcome->UnPackTo(&unpacked);
  AddOutcome(unpacked, sum);
}

Tape::Tape(const journal::Journal* journal, const journal::ReaderOptions& options)
    : journal_(journal), options_(options) {}

absl::Status Tape::Open(const EntityState& operation) {
  parts_.push_back({.operation = operation.id,
                    .version = operation.version,
                    .sequence = operation.head_sequence});
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(StreamReader * stream, Select(parts_.size() - 1));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<ForkOrigin> origin,
                            FindForkOrigin(*journal_, stream));
    if (!origin.has_value()) break;
    if (parts_.size() > kForksMax) {
      return Error(Code::kFailedPrecondition,
                   "operation {} was forked from more than {} others, one from another",
                   operation.id.ToString(), kForksMax);
    }
    NIMBUS_RETURN_IF_ERROR(AddParent(*origin));
  }
  std::reverse(parts_.begin(), parts_.end());  // they were found from the last to the first
  CountSteps();
  return absl::OkStatus();
}

void Tape::CountSteps() {
  for (size_t part = 1; part < parts_.size(); ++part) {
    const Part& before = parts_[part - 1];
    Part& after = parts_[part];
    after.base = CalledAt(part - 1, before.added);
    for (const uint32_t ordinal : before.open) after.anew.push_back(NumberOf(part - 1, ordinal));
    for (size_t i = before.added; i < before.anew.size(); ++i) {
      after.anew.push_back(before.anew[i]);
    }
    std::sort(after.anew.begin(), after.anew.end());
  }
}

uint32_t Tape::NumberOf(size_t part, uint32_t ordinal) const {
  const Part& counted = parts_[part];
  const auto anew = static_cast<uint32_t>(counted.anew.size());
  return ordinal <= anew ? counted.anew[ordinal - 1] : counted.base + ordinal - anew;
}

uint32_t Tape::CalledAt(size_t part, uint32_t added) const {
  const Part& counted = parts_[part];
  const auto anew = static_cast<uint32_t>(counted.anew.size());
  return counted.base + (added > anew ? added - anew : 0);
}

bool Tape::BeginsAnew(size_t part, const RecordView& added) const {
  return added.envelope().ordinal() <= parts_[part].anew.size();
}

std::optional<uint32_t> Tape::NotBegunAnew(uint32_t added) const {
  if (parts_.empty() || added >= parts_.back().anew.size()) return std::nullopt;
  return parts_.back().anew[added];
}

// The stream of a part, up to its end at least.
absl::StatusOr<StreamReader*> Tape::Select(size_t part) {
  const Part& selected = parts_[part];
  const bool there = stream_.has_value() && stream_->entity().id == selected.operation &&
                     stream_->version() >= selected.version;
  if (!there) {
    stream_.reset();
    NIMBUS_ASSIGN_OR_RETURN(
        StreamReader stream,
        StreamReader::Open(*journal_, EntityKind::operation, selected.operation, options_));
    stream_.emplace(std::move(stream));
  }
  return &*stream_;
}

absl::Status Tape::AddParent(const ForkOrigin& origin) {
  parts_.push_back({.operation = origin.parent});
  const absl::StatusOr<StreamReader*> parent = Select(parts_.size() - 1);
  if (absl::IsNotFound(parent.status())) {
    return Error(Code::kDataLoss, "no operation {} to be forked", origin.parent.ToString());
  }
  NIMBUS_RETURN_IF_ERROR(parent.status());
  NIMBUS_RETURN_IF_ERROR(FindEnd(origin, *parent, &parts_.back()));
  NIMBUS_ASSIGN_OR_RETURN(const Steps steps,
                          ReadSteps(*parent, parts_.back().version, parts_.back().sequence));
  parts_.back().added = steps.added;
  for (const TapeStep& step : steps.open) parts_.back().open.push_back(step.step.number);
  return absl::OkStatus();
}

// The last record of the parent that its fork goes on from.
absl::Status Tape::FindEnd(const ForkOrigin& origin, StreamReader* parent, Part* part) const {
  if (!origin.checkpoint.has_value() && origin.step == 0) return FindStart(parent, part);
  NIMBUS_ASSIGN_OR_RETURN(part->sequence, origin.checkpoint.has_value()
                                              ? SequenceOf(*origin.checkpoint, origin.parent)
                                              : EndOf(origin.step, parent));
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, parent->ReadAt(part->sequence));
  part->version = view->envelope().version();
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Tape::SequenceOf(const Uuid& checkpoint, const Uuid& parent) const {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<EntityState> entity,
                          journal_->FindEntity(EntityKind::checkpoint, checkpoint));
  if (entity.has_value() && entity->parent == parent) return entity->first_sequence;
  return Error(Code::kDataLoss, "operation {} has no checkpoint {}", parent.ToString(),
               checkpoint.ToString());
}

absl::StatusOr<uint64_t> Tape::EndOf(uint32_t number, StreamReader* parent) const {
  const auto wrong = [&](Code code, std::string_view what) {
    return Error(code, "step {} of operation {}, after which it was forked, {}", number,
                 parent->entity().id.ToString(), what);
  };
  const absl::StatusOr<const RecordView*> added = parent->ReadStepAdded(number);
  if (absl::IsNotFound(added.status())) return wrong(Code::kDataLoss, "does not exist");
  NIMBUS_RETURN_IF_ERROR(added.status());
  NIMBUS_ASSIGN_OR_RETURN(const TapeStep step, StepAsOf(**added, parent->entity().head_sequence));
  if (step.ended.has_value()) return *step.ended;
  return wrong(Code::kFailedPrecondition, "has not ended");
}

// What was never started has come to nothing.
absl::Status Tape::FindStart(StreamReader* parent, Part* part) const {
  part->version = parent->version();
  part->sequence = parent->entity().head_sequence;
  for (uint64_t version = 1; version <= parent->version(); ++version) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, parent->Read(version));
    if (view->record->event_type() != Event::OperationStarted) continue;
    part->version = version;
    part->sequence = view->sequence;
    break;  // an operation starts once
  }
  return absl::OkStatus();
}

absl::StatusOr<Tape::Steps> Tape::ReadSteps(StreamReader* stream, uint64_t version,
                                            uint64_t sequence) const {
  Steps steps;
  for (uint64_t next = 1; next <= version; ++next) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream->Read(next));
    if (IsStepEnd(*view->record)) steps.last_ended = Uuid::FromFb(*StepIdOf(*view->record));
    if (view->record->event_type() != Event::StepAdded) continue;
    steps.added = view->envelope().ordinal();
    NIMBUS_ASSIGN_OR_RETURN(TapeStep step, StepAsOf(*view, sequence));
    if (!step.ended.has_value()) steps.open.push_back(std::move(step));
  }
  return steps;
}

absl::StatusOr<Tape::Steps> Tape::ReadSteps() {
  NIMBUS_ASSIGN_OR_RETURN(StreamReader * own, Select(parts_.size() - 1));
  return ReadSteps(own, parts_.back().version, parts_.back().sequence);
}

absl::StatusOr<Tape::Steps> Tape::ReadStepsAt(const EntityState& checkpoint) {
  NIMBUS_ASSIGN_OR_RETURN(const Position end, PositionAt(checkpoint));
  NIMBUS_ASSIGN_OR_RETURN(StreamReader * own, Select(end.part));
  return ReadSteps(own, end.version, checkpoint.first_sequence);
}

absl::StatusOr<Tape::Position> Tape::PositionAt(const EntityState& checkpoint) {
  const size_t part = parts_.size() - 1;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, ReadAt(part, checkpoint.first_sequence));
  return Position{.part = part, .version = view->envelope().version()};
}

absl::StatusOr<const RecordView*> Tape::ReadAt(size_t part, uint64_t sequence) {
  NIMBUS_ASSIGN_OR_RETURN(StreamReader * stream, Select(part));
  return stream->ReadAt(sequence);
}

absl::StatusOr<const schema::fb::Body*> Tape::Body(const RecordView& record) {
  NIMBUS_CHECK(stream_.has_value());  // it was read
  return stream_->Body(record);
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

absl::StatusOr<TapeStep> Tape::ReadStep(const RecordView& added, size_t part) {
  const uint32_t number = NumberOf(part, added.envelope().ordinal());
  NIMBUS_ASSIGN_OR_RETURN(TapeStep step, StepAsOf(added, parts_[part].sequence));
  step.part = part;
  for (size_t later = part + 1; !step.ended.has_value() && later < parts_.size(); ++later) {
    NIMBUS_ASSIGN_OR_RETURN(std::optional<TapeStep> anew, ReadAnew(number, later));
    if (anew.has_value()) step = *std::move(anew);
  }
  if (!step.ended.has_value() && step.part + 1 < parts_.size()) step.status = Lifecycle::kPending;
  step.step.number = number;
  return step;
}

// The step that this part began in the place of one that was under way before it.
absl::StatusOr<std::optional<TapeStep>> Tape::ReadAnew(uint32_t number, size_t part) {
  const std::vector<uint32_t>& anew = parts_[part].anew;
  const auto found = std::find(anew.begin(), anew.end(), number);
  const auto ordinal = static_cast<uint32_t>(found - anew.begin()) + 1;
  NIMBUS_ASSIGN_OR_RETURN(StreamReader * stream, Select(part));
  if (found == anew.end() || ordinal > stream->entity().steps) return std::optional<TapeStep>();
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* added, stream->ReadStepAdded(ordinal));
  if (added->sequence > parts_[part].sequence) return std::optional<TapeStep>();
  NIMBUS_ASSIGN_OR_RETURN(TapeStep step, StepAsOf(*added, parts_[part].sequence));
  step.part = part;
  return std::optional<TapeStep>(std::move(step));
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

absl::StatusOr<Tape::Item> Tape::Next(Position* position) {
  if (AtEnd(*position)) return Item{};
  if (position->version >= parts_[position->part].version) {
    position->version = 0;
    ++position->part;
  }
  NIMBUS_ASSIGN_OR_RETURN(StreamReader * stream, Select(position->part));
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, stream->Read(position->version + 1));
  ++position->version;
  return Item{.view = view, .part = position->part};
}

}  // namespace nimbus::replay
