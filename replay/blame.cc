#include "nimbus/replay/blame.h"

#include <algorithm>
#include <utility>

#include "message.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/replay/patch.h"
#include "nimbus/replay/pointer.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "steps.h"
#include "trail.h"

namespace nimbus::replay {

using schema::Error;
using schema::Json;
using schema::Uuid;
using Code = absl::StatusCode;

namespace {

std::optional<Json> ValueAt(const Json& document, const std::optional<Pointer>& pointer) {
  if (!pointer.has_value()) return std::nullopt;
  const Json* value = FindValue(document, *pointer);
  return value == nullptr ? std::optional<Json>() : *value;
}

class Blame {
 public:
  Blame(const journal::Journal& journal, Session session, journal::StreamReader stream,
        Pointer pointer, const BlameOptions& options)
      : journal_(journal),
        session_(std::move(session)),
        stream_(std::move(stream)),
        pointer_(std::move(pointer)),
        options_(options) {}

  absl::StatusOr<BlameReport> Run() {
    report_.operation = session_.operation();
    report_.pointer = PointerText(pointer_);
    NIMBUS_RETURN_IF_ERROR(SeekTo(journal_, options_.at, &session_));
    report_.step = session_.step();
    report_.value = ValueAt(session_.state().document(), pointer_);
    place_ = pointer_;
    for (;;) {
      NIMBUS_RETURN_IF_ERROR(GoBack());
      if (!place_.has_value() || IsDone()) break;
      NIMBUS_ASSIGN_OR_RETURN(const std::optional<ForkOrigin> origin,
                              FindForkOrigin(journal_, &stream_));
      if (!origin.has_value()) {
        NIMBUS_RETURN_IF_ERROR(BlameStart());
        break;
      }
      NIMBUS_RETURN_IF_ERROR(EnterParent(*origin));
    }
    if (!report_.changes.empty()) return std::move(report_);
    return Error(Code::kNotFound, "there is no {} after step {} of operation {}, nor was there",
                 report_.pointer.empty() ? "state" : report_.pointer, report_.step,
                 report_.operation.ToString());
  }

 private:
  // From a state that is journaled whole to the next.
  struct Stretch {
    std::optional<Uuid> checkpoint;  // it begins with; the start if unset
    uint64_t end = 0;                // its steps end before this sequence
  };
  struct StepEffects {
    uint32_t step = 0;
    uint64_t sequence = 0;
    std::vector<Effect> effects;
  };
  // A step that may have changed the value.
  struct Candidate {
    uint32_t step = 0;
    uint64_t sequence = 0;
    Pointer after;
    std::optional<Pointer> before;
    std::optional<Json> value_before, value_after;
  };

  bool IsDone() const {
    return !report_.changes.empty() && (!options_.history || report_.truncated);
  }

  // From where the session is to the start of its operation.
  absl::Status GoBack() {
    Stretch stretch{.end = session_.sequence() + 1};
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* last, stream_.ReadAt(session_.sequence()));
    NIMBUS_RETURN_IF_ERROR(stream_.Seek(last->envelope().version() + 1));
    do {
      NIMBUS_ASSIGN_OR_RETURN(const uint64_t begin, FindBegin(&stretch));
      NIMBUS_RETURN_IF_ERROR(GoThrough(stretch));
      stretch.end = begin;
    } while (stretch.checkpoint.has_value() && place_.has_value() && !IsDone());
    return absl::OkStatus();
  }

  absl::Status EnterParent(const ForkOrigin& origin) {
    NIMBUS_ASSIGN_OR_RETURN(session_, Session::Open(journal_, origin.parent, options_.session));
    NIMBUS_RETURN_IF_ERROR(SeekTo(journal_, PointOf(origin), &session_));
    NIMBUS_ASSIGN_OR_RETURN(stream_,
                            journal::StreamReader::Open(journal_, schema::fb::EntityKind::operation,
                                                        origin.parent, options_.session.reader));
    return absl::OkStatus();
  }

  // The checkpoint before the record that was looked at last, if there is one, and
  // its sequence.
  absl::StatusOr<uint64_t> FindBegin(Stretch* stretch) {
    stretch->checkpoint.reset();
    for (;;) {
      NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, stream_.Previous());
      if (view == nullptr) return 0;
      const auto* created = view->record->event_as_CheckpointCreated();
      if (created == nullptr) continue;
      stretch->checkpoint = Uuid::FromFb(*created->checkpoint());
      return view->sequence;
    }
  }

  // Whether there is another step of the stretch; leaves its sequence.
  absl::StatusOr<bool> HasNext(const Stretch& stretch, uint64_t* sequence) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Session::Ahead> ahead, session_.Peek());
    if (!ahead.has_value() || ahead->sequence >= stretch.end) return false;
    *sequence = ahead->sequence;
    return true;
  }

  absl::Status SeekToBegin(const Stretch& stretch) {
    return stretch.checkpoint.has_value() ? session_.SeekToCheckpoint(*stretch.checkpoint)
                                          : session_.SeekToStart();
  }

  absl::Status GoThrough(const Stretch& stretch) {
    NIMBUS_ASSIGN_OR_RETURN(std::vector<StepEffects> steps, Collect(stretch, /*all=*/false));
    const bool moves = std::any_of(steps.begin(), steps.end(), [](const StepEffects& step) {
      return std::any_of(step.effects.begin(), step.effects.end(),
                         [](const Effect& effect) { return effect.op == Effect::Op::kMove; });
    });
    // It may have come from anywhere.
    if (moves) {
      NIMBUS_ASSIGN_OR_RETURN(steps, Collect(stretch, /*all=*/true));
    }
    std::vector<Candidate> candidates = FollowBack(steps);
    NIMBUS_RETURN_IF_ERROR(ReadValues(stretch, &candidates));
    for (Candidate& candidate : candidates) {
      if (candidate.value_before == candidate.value_after || IsDone()) continue;
      NIMBUS_RETURN_IF_ERROR(Keep(std::move(candidate)));
    }
    return absl::OkStatus();
  }

  // What the stretch's patches do, in order; unless `all`, what may concern the value.
  absl::StatusOr<std::vector<StepEffects>> Collect(const Stretch& stretch, bool all) {
    std::vector<StepEffects> steps;
    NIMBUS_RETURN_IF_ERROR(SeekToBegin(stretch));
    Json document = session_.state().document();
    for (uint64_t sequence = 0;;) {
      NIMBUS_ASSIGN_OR_RETURN(const bool has_next, HasNext(stretch, &sequence));
      if (!has_next) return steps;
      NIMBUS_ASSIGN_OR_RETURN(const std::optional<Moment> moment, session_.Next());
      NIMBUS_CHECK(moment.has_value());
      if (moment->kind != Moment::Kind::kStep || !moment->patched) continue;
      NIMBUS_RETURN_IF_ERROR(Folded(*moment));
      StepEffects step{.step = moment->step, .sequence = moment->sequence};
      NIMBUS_RETURN_IF_ERROR(AddEffects(all, &step, &document));
      if (!step.effects.empty()) steps.push_back(std::move(step));
    }
  }

  static absl::Status Folded(const Moment& moment) {
    if (moment.fold.ok()) return absl::OkStatus();
    return Error(Code::kDataLoss, "record {}, step {}: its patch does not apply: {}",
                 moment.sequence, moment.step, MessageOf(moment.fold));
  }

  absl::Status AddEffects(bool all, StepEffects* step, Json* document) {
    NIMBUS_ASSIGN_OR_RETURN(const StepRecord record, session_.ReadStep(step->step));
    NIMBUS_ASSIGN_OR_RETURN(Json patch, Json::Parse(record.patch, options_.session.state.limits));
    for (Json& item : patch.array()) {
      std::optional<Effect> effect = EffectOf(item, *document);
      if (effect.has_value() && (all || MayConcern(*effect, *place_))) {
        step->effects.push_back(*std::move(effect));
      }
      Json one = Json::MakeArray({std::move(item)});
      NIMBUS_RETURN_IF_ERROR(ApplyPatch(std::move(one), document).status());
    }
    return absl::OkStatus();
  }

  // From the last step back; leaves `place_` where the value was before them all.
  std::vector<Candidate> FollowBack(const std::vector<StepEffects>& steps) {
    std::vector<Candidate> candidates;
    for (size_t i = steps.size(); i > 0 && place_.has_value(); --i) {
      const StepEffects& step = steps[i - 1];
      Candidate candidate{.step = step.step, .sequence = step.sequence, .after = *place_};
      bool touched = false;
      for (size_t e = step.effects.size(); e > 0 && place_.has_value(); --e) {
        Trail trail = Follow(step.effects[e - 1], *place_);
        touched = touched || trail.touched;
        place_ = std::move(trail.before);
      }
      candidate.before = place_;
      if (touched) candidates.push_back(std::move(candidate));
    }
    return candidates;
  }

  // What was there before and after each; `candidates` are from the last to the first.
  absl::Status ReadValues(const Stretch& stretch, std::vector<Candidate>* candidates) {
    if (candidates->empty()) return absl::OkStatus();
    NIMBUS_RETURN_IF_ERROR(SeekToBegin(stretch));
    for (auto candidate = candidates->rbegin(); candidate != candidates->rend();) {
      uint64_t sequence = 0;
      NIMBUS_ASSIGN_OR_RETURN(const bool has_next, HasNext(stretch, &sequence));
      NIMBUS_CHECK(has_next);
      const bool here = sequence == candidate->sequence;
      if (here) {
        candidate->value_before = ValueAt(session_.state().document(), candidate->before);
      }
      NIMBUS_ASSIGN_OR_RETURN(const std::optional<Moment> moment, session_.Next());
      NIMBUS_CHECK(moment.has_value());
      if (!here) continue;
      candidate->value_after = ValueAt(session_.state().document(), candidate->after);
      ++candidate;
    }
    return absl::OkStatus();
  }

  absl::Status Keep(Candidate candidate) {
    if (report_.changes.size() == options_.changes_max) {
      report_.truncated = true;
      return absl::OkStatus();
    }
    ValueChange change{.operation = session_.operation(),
                       .step = candidate.step,
                       .sequence = candidate.sequence,
                       .pointer = PointerText(candidate.after)};
    NIMBUS_ASSIGN_OR_RETURN(const StepInfo info, session_.FindStep(candidate.step));
    change.step_id = info.id;
    if (candidate.value_before.has_value()) change.pointer_before = PointerText(*candidate.before);
    change.before = std::move(candidate.value_before);
    change.after = std::move(candidate.value_after);
    report_.changes.push_back(std::move(change));
    return absl::OkStatus();
  }

  absl::Status BlameStart() {
    NIMBUS_RETURN_IF_ERROR(session_.SeekToStart());
    ValueChange change{.operation = session_.operation(),
                       .sequence = session_.sequence(),
                       .pointer = PointerText(*place_)};
    change.after = ValueAt(session_.state().document(), place_);
    if (change.after.has_value()) report_.changes.push_back(std::move(change));
    return absl::OkStatus();
  }

  const journal::Journal& journal_;
  Session session_;
  journal::StreamReader stream_;  // stands where the stretch in hand begins
  const Pointer pointer_;
  const BlameOptions& options_;
  std::optional<Pointer> place_;  // of the value, as far back as we are
  BlameReport report_;
};

Json ValueJson(const std::optional<Json>& value) { return value.value_or(Json()); }

Json ChangeJson(const ValueChange& change) {
  return Json::MakeObject(
      {{"operation", Json::String(change.operation.ToString())},
       {"step", Json::Uint(change.step)},
       {"step_id", change.step_id.has_value() ? Json::String(change.step_id->ToString()) : Json()},
       {"sequence", Json::Uint(change.sequence)},
       {"pointer", Json::String(change.pointer)},
       {"pointer_before",
        change.pointer_before.has_value() ? Json::String(*change.pointer_before) : Json()},
       {"existed_before", Json::Bool(change.before.has_value())},
       {"before", ValueJson(change.before)},
       {"exists_after", Json::Bool(change.after.has_value())},
       {"after", ValueJson(change.after)}});
}

}  // namespace

Json BlameReport::ToJson() const {
  Json::Array all;
  for (const ValueChange& change : changes) all.push_back(ChangeJson(change));
  return Json::MakeObject({{"operation", Json::String(operation.ToString())},
                           {"pointer", Json::String(pointer)},
                           {"step", Json::Uint(step)},
                           {"exists", Json::Bool(value.has_value())},
                           {"value", ValueJson(value)},
                           {"changes", Json::MakeArray(std::move(all))},
                           {"truncated", Json::Bool(truncated)}});
}

absl::StatusOr<BlameReport> BlameValue(const journal::Journal& journal, const Uuid& operation,
                                       std::string_view pointer, const BlameOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(Pointer tokens, ParsePointer(pointer));
  NIMBUS_ASSIGN_OR_RETURN(Session session, Session::Open(journal, operation, options.session));
  NIMBUS_ASSIGN_OR_RETURN(journal::StreamReader stream,
                          journal::StreamReader::Open(journal, schema::fb::EntityKind::operation,
                                                      operation, options.session.reader));
  return Blame(journal, std::move(session), std::move(stream), std::move(tokens), options).Run();
}

}  // namespace nimbus::replay
