// A recording with a fault that its journal knows nothing of: an operation's events,
// changed, and appended again under ids of their own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "journal/events.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/replay/compare.h"
#include "nimbus/replay/session.h"
#include "nimbus/replay/verify.h"
#include "nimbus/schema/status.h"
#include "testing/random.h"
#include "testing/status_matchers.h"

namespace nimbus::replay {

// All events of an operation, in their order, and at which sequence each stands.
struct Recording {
  std::vector<schema::Event> events;
  std::vector<uint64_t> sequences;
};

inline absl::StatusOr<Recording> ReadRecording(const journal::Journal& journal,
                                               const schema::Uuid& operation) {
  using schema::fb::EntityKind;
  NIMBUS_ASSIGN_OR_RETURN(journal::StreamReader stream,
                          journal::StreamReader::Open(journal, EntityKind::operation, operation));
  Recording recording;
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, stream.Next());
    if (view == nullptr) return recording;
    schema::fb::RecordT record;
    view->record->UnPackTo(&record);
    schema::Event event;
    event.stream_kind = EntityKind::operation;
    event.stream = operation;
    event.payload = std::move(record.event);
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream.Body(*view));
    if (body != nullptr) body->UnPackTo(&event.body);
    recording.events.push_back(std::move(event));
    recording.sequences.push_back(view->sequence);
  }
}

// Where the step's id stands in an event; nullptr when it names none.
inline std::unique_ptr<schema::fb::Id>* StepIdIn(schema::fb::EventUnion* payload) {
  std::unique_ptr<schema::fb::Id>* id = nullptr;
  const auto look = [&](auto* event) {
    if (event != nullptr) id = &event->step;
  };
  look(payload->AsStepAdded());
  look(payload->AsStepStarted());
  look(payload->AsStepAttemptFailed());
  look(payload->AsStepCompleted());
  look(payload->AsStepFailed());
  look(payload->AsStepCancelled());
  look(payload->AsCheckpointCreated());
  return id;
}

inline bool EndsStep(const schema::Event& event) {
  const schema::fb::Event type = event.payload.type;
  return type == schema::fb::Event::StepCompleted || type == schema::fb::Event::StepFailed ||
         type == schema::fb::Event::StepCancelled;
}

struct Copy {
  schema::Uuid operation;
  uint64_t first = 0;  // sequence of its first event; the others follow
};

// Appends the events as an operation of its own, in a session of its own.
inline absl::StatusOr<Copy> AppendCopy(journal::Journal* journal,
                                       std::vector<schema::Event> events) {
  const schema::Uuid session = schema::NewUuid();
  NIMBUS_RETURN_IF_ERROR(journal->Append(journal::SessionStarted(session)).status());
  Copy copy{.operation = schema::NewUuid()};
  std::map<std::string, schema::Uuid> ids;
  for (schema::Event& event : events) {
    event.stream = copy.operation;
    if (auto* created = event.payload.AsOperationCreated()) {
      created->session = std::make_unique<schema::fb::Id>(session.ToFb());
    }
    if (auto* created = event.payload.AsCheckpointCreated()) {
      created->checkpoint = std::make_unique<schema::fb::Id>(schema::NewUuid().ToFb());
    }
    std::unique_ptr<schema::fb::Id>* step = StepIdIn(&event.payload);
    if (step == nullptr) continue;
    const auto [at, added] =
        ids.try_emplace(schema::Uuid::FromFb(**step).ToString(), schema::Uuid());
    if (added) at->second = schema::NewUuid();
    *step = std::make_unique<schema::fb::Id>(at->second.ToFb());
  }
  NIMBUS_ASSIGN_OR_RETURN(copy.first, journal->Size());
  // Nobody else appends, and an append takes so many events at most.
  constexpr size_t kEventsMax = 4096;
  for (std::span<const schema::Event> left = events; !left.empty();) {
    const size_t count = std::min(left.size(), kEventsMax);
    NIMBUS_RETURN_IF_ERROR(journal->Append(left.first(count)).status());
    left = left.subspan(count);
  }
  return copy;
}

// Faults at random places of one recorded operation. Each gives the changed events and
// where replay has to find it; nullopt where the recording has no place for it.
class Planter {
 public:
  struct Fault {
    std::vector<schema::Event> events;
    size_t index = 0;  // of the event in question
    uint32_t step = 0;
    Divergence::What what = Divergence::What::kPatch;
  };

  Planter(const journal::Journal& journal, const schema::Uuid& operation,
          test::SeededRandom* random)
      : journal_(journal), operation_(operation), random_(*random) {}

  // One bit of one byte in the patch of a step, so that the state is another one.
  absl::StatusOr<std::optional<Fault>> Patch() {
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      NIMBUS_RETURN_IF_ERROR(Read());
      const std::optional<size_t> index = Choose(EndsWithDigest());
      if (!index.has_value()) return std::optional<Fault>();
      std::string& patch = recording_.events[*index].body.patch;
      patch[random_.Below(patch.size())] ^= static_cast<char>(1u << random_.Below(7));
      if (!schema::ValidateEvent(recording_.events[*index]).ok()) continue;
      NIMBUS_ASSIGN_OR_RETURN(std::optional<Fault> fault, Judge(*index));
      if (fault.has_value()) return fault;
    }
    return std::optional<Fault>();
  }

  // What two steps did, that ended one after the other, in the other order.
  absl::StatusOr<std::optional<Fault>> Swap() {
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      NIMBUS_RETURN_IF_ERROR(Read());
      const std::vector<size_t> ends = EndsWithDigest();
      if (ends.size() < 2) return std::optional<Fault>();
      const size_t first = random_.Below(ends.size() - 1);
      std::swap(recording_.events[ends[first]].body, recording_.events[ends[first + 1]].body);
      NIMBUS_ASSIGN_OR_RETURN(std::optional<Fault> fault, Judge(ends[first]));
      if (fault.has_value()) return fault;
    }
    return std::optional<Fault>();
  }

  // The output of a step: no state tells of it, only a comparison does.
  absl::StatusOr<std::optional<Fault>> Output() {
    NIMBUS_RETURN_IF_ERROR(Read());
    const std::optional<size_t> index = Choose(Where(
        [](const schema::Event& event) { return EndsStep(event) && !event.body.output.empty(); }));
    if (!index.has_value()) return std::optional<Fault>();
    std::string& output = recording_.events[*index].body.output;
    output = "[" + output + "]";
    return Found(*index, Divergence::What::kRecord);
  }

  // The state of a checkpoint, with its digest as it was or one that fits.
  absl::StatusOr<std::optional<Fault>> Checkpoint(bool with_digest) {
    NIMBUS_RETURN_IF_ERROR(Read());
    const std::optional<size_t> index = Choose(Where([](const schema::Event& event) {
      return event.payload.type == schema::fb::Event::CheckpointCreated;
    }));
    if (!index.has_value()) return std::optional<Fault>();
    schema::fb::BodyT& body = recording_.events[*index].body;
    NIMBUS_ASSIGN_OR_RETURN(schema::Json state, schema::Json::Parse(body.state));
    if (state.IsObject()) {
      state.Set("planted", schema::Json::Bool(true));
    } else {
      state = schema::Json::MakeObject({{"planted", std::move(state)}});
    }
    body.state = state.Dump();
    if (with_digest) {
      body.digest = std::make_unique<schema::fb::Digest>(schema::ToFb(schema::StateDigest(state)));
    }
    return Found(*index, with_digest ? Divergence::What::kCheckpointDigest
                                     : Divergence::What::kCheckpointState);
  }

 private:
  static constexpr int kAttemptsMax = 200;

  absl::Status Read() {
    NIMBUS_ASSIGN_OR_RETURN(recording_, ReadRecording(journal_, operation_));
    return absl::OkStatus();
  }

  template <typename Wanted>
  std::vector<size_t> Where(const Wanted& wanted) const {
    std::vector<size_t> indices;
    for (size_t i = 0; i < recording_.events.size(); ++i) {
      if (wanted(recording_.events[i])) indices.push_back(i);
    }
    return indices;
  }

  std::vector<size_t> EndsWithDigest() const {
    return Where([](const schema::Event& event) {
      return EndsStep(event) && event.body.digest != nullptr && !event.body.patch.empty();
    });
  }

  std::optional<size_t> Choose(const std::vector<size_t>& indices) {
    if (indices.empty()) return std::nullopt;
    return indices[random_.Below(indices.size())];
  }

  // What the changed end of a step comes to, folded where it stands; nullopt when that
  // is the state its digest tells of.
  absl::StatusOr<std::optional<Fault>> Judge(size_t index) {
    const schema::fb::BodyT& body = recording_.events[index].body;
    NIMBUS_ASSIGN_OR_RETURN(Session session, Session::OpenRewound(journal_, operation_));
    for (;;) {
      NIMBUS_ASSIGN_OR_RETURN(const std::optional<Session::Ahead> ahead, session.Peek());
      if (!ahead.has_value() || ahead->sequence >= recording_.sequences[index]) break;
      NIMBUS_RETURN_IF_ERROR(session.Next().status());
    }
    State state = session.state();
    if (!state.Fold(body.patch).ok()) return Found(index, Divergence::What::kPatch);
    if (schema::FromFb(*body.digest) == state.Digest()) return std::optional<Fault>();
    return Found(index, Divergence::What::kDigest);
  }

  absl::StatusOr<std::optional<Fault>> Found(size_t index, Divergence::What what) {
    Fault fault{.events = {}, .index = index, .step = 0, .what = what};
    const schema::fb::Id wanted = **StepIdIn(&recording_.events[index].payload);
    for (schema::Event& event : recording_.events) {
      const auto* added = event.payload.AsStepAdded();
      if (added == nullptr) continue;
      ++fault.step;
      if (schema::Uuid::FromFb(*added->step) == schema::Uuid::FromFb(wanted)) break;
    }
    fault.events = std::move(recording_.events);
    return std::optional<Fault>(std::move(fault));
  }

  const journal::Journal& journal_;
  const schema::Uuid operation_;
  test::SeededRandom& random_;
  Recording recording_;
};

// A copy with this fault is found to be wrong at exactly that event.
inline void ExpectFoundByReplay(journal::Journal* journal, Planter::Fault fault) {
  const size_t index = fault.index;
  const uint32_t step = fault.step;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Copy copy, AppendCopy(journal, std::move(fault.events)));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ReplayReport report,
                              ReplayOperation(*journal, copy.operation, {}));
  ASSERT_TRUE(report.divergence.has_value()) << report.ToJson().Dump();
  EXPECT_EQ(report.divergence->step, step) << report.divergence->ToString();
  EXPECT_EQ(report.divergence->sequence, copy.first + index) << report.divergence->ToString();
  EXPECT_EQ(report.divergence->what, fault.what) << report.divergence->ToString();
  if (step < 2) return;
  // Up to the step before it there is nothing wrong, unless that ended later.
  const absl::StatusOr<ReplayReport> before =
      ReplayOperation(*journal, copy.operation, {.to_step = step - 1});
  if (before.ok() && before->last_sequence < copy.first + index) {
    EXPECT_TRUE(before->holds()) << before->ToJson().Dump();
  }
}

// A copy with another output replays; compared with the original, that step differs,
// and no other.
inline void ExpectFoundByComparison(journal::Journal* journal, const schema::Uuid& original,
                                    Planter::Fault fault) {
  const uint32_t step = fault.step;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Copy copy, AppendCopy(journal, std::move(fault.events)));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ReplayReport report,
                              ReplayOperation(*journal, copy.operation, {}));
  EXPECT_TRUE(report.holds()) << report.ToJson().Dump();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Comparison found,
                              CompareOperations(*journal, original, copy.operation, {}));
  ASSERT_EQ(found.differences.size(), 1u) << found.ToJson().Dump();
  EXPECT_EQ(found.differences[0].kind, StepPair::Kind::kResult);
  EXPECT_EQ(found.differences[0].a, step);
  EXPECT_EQ(found.differences[0].b, step);
}

}  // namespace nimbus::replay
