#include "nimbus/journal/stream_reader.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "environment.h"
#include "internals.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "stream_marks.h"

namespace nimbus::journal {

using schema::Error;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;
using Of = StreamMark::Of;

class StreamReader::Impl {
 public:
  Impl(const Journal& journal, EntityState entity, const ReaderOptions& options)
      : environment_(Internals::EnvironmentOf(journal)),
        entity_(std::move(entity)),
        reader_(journal, options) {
    Learn(Of::kVersion, entity_.version, entity_.head_sequence);
  }

  const EntityState& entity() const { return entity_; }
  absl::StatusOr<const RecordView*> Read(uint64_t version);
  absl::StatusOr<const RecordView*> ReadAt(uint64_t sequence);
  absl::StatusOr<const RecordView*> ReadStepAdded(uint32_t number);
  absl::StatusOr<const schema::fb::Body*> Body(const RecordView& record) {
    return reader_.Body(record);
  }

  uint64_t position = 1;

 private:
  // A record of the stream, and where its link leads.
  struct Place {
    uint64_t version = 0;
    uint64_t sequence = 0;
    uint64_t previous = 0;
  };

  // A known one: by its version, or the step it adds.
  struct Known {
    uint64_t number = 0;
    uint64_t sequence = 0;
  };

  void Learn(Of of, uint64_t number, uint64_t sequence) {
    known_[static_cast<size_t>(of)].emplace(number, sequence);
  }
  absl::StatusOr<std::optional<Known>> FindKnown(Of of, uint64_t number);
  bool IsOurs(const schema::fb::Envelope& envelope) const {
    return envelope.stream_kind() == entity_.kind && Uuid::FromFb(envelope.stream()) == entity_.id;
  }
  absl::Status Accept(const RecordView& view);
  absl::StatusOr<const RecordView*> ReadPlace(uint64_t version, uint64_t sequence);
  absl::StatusOr<const RecordView*> ReadBefore(bool learn);
  absl::Status GoBackTo(uint64_t version);
  absl::StatusOr<uint64_t> SequenceOf(uint64_t version);
  absl::Status LoadWindow(uint64_t version);
  absl::StatusOr<const RecordView*> ReadFollowing(uint32_t step);

  const Environment& environment_;
  const EntityState entity_;
  Reader reader_;
  // Every 64th version and step met on the way back, by number, and the head.
  std::array<std::map<uint64_t, uint64_t>, 2> known_;
  Place last_;                        // what was read last; version 0: nothing
  const RecordView* view_ = nullptr;  // of that, while the reader keeps it
  uint64_t window_first_ = 0;         // version of the first in window_
  std::vector<uint64_t> window_;      // sequences of up to 64 successive versions
  uint32_t step_ = 0;                 // the step whose StepAdded was looked up last …
  uint64_t step_version_ = 0;         // … and its version
};

// The record of this stream at `sequence`, which has to be of that version.
absl::StatusOr<const RecordView*> StreamReader::Impl::ReadPlace(uint64_t version,
                                                                uint64_t sequence) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, ReadAt(sequence));
  if (last_.version == version) return view;
  return Error(Code::kDataLoss, "record {} has version {} in its stream, not {}", sequence,
               last_.version, version);
}

absl::StatusOr<const RecordView*> StreamReader::Impl::ReadAt(uint64_t sequence) {
  if (view_ != nullptr && last_.sequence == sequence) return view_;
  last_ = {};
  view_ = nullptr;
  const absl::StatusOr<const RecordView*> view = reader_.Read(sequence);
  if (absl::IsOutOfRange(view.status())) {
    return Error(Code::kDataLoss, "record {} is beyond the journal's end", sequence);
  }
  NIMBUS_RETURN_IF_ERROR(view.status());
  if (!IsOurs((*view)->envelope())) {
    return Error(Code::kDataLoss, "record {} is not of the stream of {} {}", sequence,
                 schema::fb::EnumNameEntityKind(entity_.kind), entity_.id.ToString());
  }
  NIMBUS_RETURN_IF_ERROR(Accept(**view));
  return *view;
}

// Notes a record of ours as the one that was read last.
absl::Status StreamReader::Impl::Accept(const RecordView& view) {
  const schema::fb::Envelope& envelope = view.envelope();
  const bool first = envelope.version() == 1;
  const uint64_t previous = envelope.previous();
  if (envelope.version() == 0 || (first ? previous != view.sequence : previous >= view.sequence)) {
    return Error(Code::kDataLoss, "record {}, version {} of its stream, links to {}", view.sequence,
                 envelope.version(), previous);
  }
  last_ = {.version = envelope.version(), .sequence = view.sequence, .previous = previous};
  view_ = &view;
  return absl::OkStatus();
}

// The record before the one that was read last, which is not the first. To learn is
// for where there are no marks.
absl::StatusOr<const RecordView*> StreamReader::Impl::ReadBefore(bool learn) {
  NIMBUS_CHECK(last_.version > 1);
  const uint64_t version = last_.version - 1;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, ReadPlace(version, last_.previous));
  if (!learn) return view;
  if (version % kStreamMarkEvery == 0) Learn(Of::kVersion, version, view->sequence);
  const uint32_t ordinal = view->envelope().ordinal();
  if (ordinal > 0 && ordinal % kStreamMarkEvery == 0) Learn(Of::kStep, ordinal, view->sequence);
  return view;
}

// The first known place at or after `number`, by the journal's marks or by what
// was learnt.
absl::StatusOr<std::optional<StreamReader::Impl::Known>> StreamReader::Impl::FindKnown(
    Of of, uint64_t number) {
  const auto& known = known_[static_cast<size_t>(of)];
  const auto at = known.lower_bound(number);
  std::optional<Known> learnt;
  if (at != known.end()) learnt = {.number = at->first, .sequence = at->second};
  if (entity_.kind != EntityKind::operation || (learnt && learnt->number == number)) return learnt;
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment_.TakeSnapshot());
  NIMBUS_ASSIGN_OR_RETURN(
      const std::optional<StreamMark> mark,
      FindStreamMark(snapshot.txn(), environment_.tables().meta, entity_.id, of, number));
  // What was added since Open is none of ours.
  const bool nearer = mark.has_value() && mark->sequence <= entity_.head_sequence &&
                      (!learnt.has_value() || mark->number < learnt->number);
  if (!nearer) return learnt;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, ReadAt(mark->sequence));
  const uint64_t marked = of == Of::kVersion ? last_.version : view->envelope().ordinal();
  if (marked == mark->number) {
    return std::optional<Known>({.number = mark->number, .sequence = mark->sequence});
  }
  return Error(Code::kDataLoss, "a mark of {} {} names record {}, which is another one; verify it",
               schema::fb::EnumNameEntityKind(entity_.kind), entity_.id.ToString(), mark->sequence);
}

// Reads back from the next known place, so that this version is the one read last.
absl::Status StreamReader::Impl::GoBackTo(uint64_t version) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Known> from, FindKnown(Of::kVersion, version));
  NIMBUS_CHECK(from.has_value());  // the head, at least
  NIMBUS_RETURN_IF_ERROR(ReadPlace(from->number, from->sequence).status());
  const bool learn = from->number - version >= kStreamMarkEvery;
  while (last_.version > version) NIMBUS_RETURN_IF_ERROR(ReadBefore(learn).status());
  return absl::OkStatus();
}

// The sequences of the 64 versions, from a multiple on, that this one is of.
absl::Status StreamReader::Impl::LoadWindow(uint64_t version) {
  const uint64_t before = (version - 1) / kStreamMarkEvery * kStreamMarkEvery;
  const uint64_t end = std::min(before + kStreamMarkEvery, entity_.version);
  window_.clear();
  NIMBUS_RETURN_IF_ERROR(GoBackTo(end));
  std::vector<uint64_t> sequences(end - before);
  for (;;) {
    sequences[last_.version - before - 1] = last_.sequence;
    if (last_.version == before + 1) break;
    NIMBUS_RETURN_IF_ERROR(ReadBefore(/*learn=*/false).status());
  }
  window_first_ = before + 1;
  window_ = std::move(sequences);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> StreamReader::Impl::SequenceOf(uint64_t version) {
  if (version < window_first_ || version - window_first_ >= window_.size()) {
    NIMBUS_RETURN_IF_ERROR(LoadWindow(version));
  }
  return window_[version - window_first_];
}

absl::StatusOr<const RecordView*> StreamReader::Impl::Read(uint64_t version) {
  if (version == 0 || version > entity_.version) {
    return Error(Code::kOutOfRange, "{} {} has {} records, none of version {}",
                 schema::fb::EnumNameEntityKind(entity_.kind), entity_.id.ToString(),
                 entity_.version, version);
  }
  if (last_.version == version) return ReadPlace(version, last_.sequence);
  if (last_.version == version + 1) return ReadBefore(/*learn=*/false);
  // What one append wrote lies side by side.
  if (last_.version != 0 && last_.version + 1 == version &&
      last_.sequence < entity_.head_sequence) {
    view_ = nullptr;
    const absl::StatusOr<const RecordView*> view = reader_.Read(last_.sequence + 1);
    if (view.ok() && (*view)->envelope().version() == version && IsOurs((*view)->envelope())) {
      NIMBUS_RETURN_IF_ERROR(Accept(**view));
      return view;
    }
  }
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t sequence, SequenceOf(version));
  return ReadPlace(version, sequence);
}

// The StepAdded of a step that comes soon after the one looked up last; nullptr
// when it is not found soon.
absl::StatusOr<const RecordView*> StreamReader::Impl::ReadFollowing(uint32_t step) {
  if (step_ == step) return Read(step_version_);
  if (step_ == 0 || step < step_ || step - step_ > kStreamMarkEvery) return nullptr;
  const uint64_t end = std::min(entity_.version, step_version_ + (step - step_) * kStreamMarkEvery);
  for (uint64_t version = step_version_ + 1; version <= end; ++version) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, Read(version));
    if (view->envelope().ordinal() == step) return view;
  }
  return nullptr;
}

absl::StatusOr<const RecordView*> StreamReader::Impl::ReadStepAdded(uint32_t number) {
  if (entity_.kind != EntityKind::operation || number == 0 || number > entity_.steps) {
    return Error(Code::kNotFound, "operation {} has {} steps, none numbered {}",
                 entity_.id.ToString(), entity_.steps, number);
  }
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, ReadFollowing(number));
  if (view == nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Known> from, FindKnown(Of::kStep, number));
    const bool learn = !from.has_value() || from->number - number >= kStreamMarkEvery;
    NIMBUS_ASSIGN_OR_RETURN(view,
                            ReadAt(from.has_value() ? from->sequence : entity_.head_sequence));
    while (view->envelope().ordinal() != number) {
      // Steps are numbered in the order they are added.
      const uint32_t ordinal = view->envelope().ordinal();
      if (last_.version == 1 || (ordinal != 0 && ordinal < number)) {
        return Error(Code::kDataLoss, "no record adds step {} of operation {}", number,
                     entity_.id.ToString());
      }
      NIMBUS_ASSIGN_OR_RETURN(view, ReadBefore(learn));
    }
  }
  if (view->record->event_type() != schema::fb::Event::StepAdded) {
    return Error(Code::kDataLoss, "record {} has a step number and adds no step", view->sequence);
  }
  step_ = number;
  step_version_ = last_.version;
  return view;
}

StreamReader::StreamReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StreamReader::~StreamReader() = default;
StreamReader::StreamReader(StreamReader&&) noexcept = default;
StreamReader& StreamReader::operator=(StreamReader&&) noexcept = default;

absl::StatusOr<StreamReader> StreamReader::Open(const Journal& journal, EntityKind kind,
                                                const Uuid& id, const ReaderOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(std::optional<EntityState> entity, journal.FindEntity(kind, id));
  if (!entity.has_value() || entity->version == 0) {
    return Error(Code::kNotFound, "no {} {}", schema::fb::EnumNameEntityKind(kind), id.ToString());
  }
  return StreamReader(std::make_unique<Impl>(journal, *std::move(entity), options));
}

const EntityState& StreamReader::entity() const { return impl_->entity(); }
uint64_t StreamReader::position() const { return impl_->position; }

absl::Status StreamReader::Seek(uint64_t version) {
  if (version == 0 || version > this->version() + 1) {
    return Error(Code::kOutOfRange, "a stream of {} records has no version {}", this->version(),
                 version);
  }
  impl_->position = version;
  return absl::OkStatus();
}

absl::StatusOr<const RecordView*> StreamReader::Next() {
  if (impl_->position > version()) return nullptr;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, impl_->Read(impl_->position));
  ++impl_->position;
  return view;
}

absl::StatusOr<const RecordView*> StreamReader::Previous() {
  if (impl_->position == 1) return nullptr;
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, impl_->Read(impl_->position - 1));
  --impl_->position;
  return view;
}

absl::StatusOr<const RecordView*> StreamReader::Read(uint64_t version) {
  return impl_->Read(version);
}
absl::StatusOr<const RecordView*> StreamReader::ReadAt(uint64_t sequence) {
  return impl_->ReadAt(sequence);
}
absl::StatusOr<const RecordView*> StreamReader::ReadStepAdded(uint32_t number) {
  return impl_->ReadStepAdded(number);
}
absl::StatusOr<const schema::fb::Body*> StreamReader::Body(const RecordView& record) {
  return impl_->Body(record);
}

}  // namespace nimbus::journal
