#include "nimbus/replay/verify.h"

#include <cstdint>
#include <string_view>
#include <utility>

#include "message.h"
#include "nimbus/journal/prune.h"
#include "nimbus/replay/patch.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "steps.h"
#include "strict.h"

namespace nimbus::replay {

using schema::Error;
using schema::Json;
using schema::Uuid;
using Code = absl::StatusCode;

namespace {

constexpr uint64_t kMomentsPerProgress = 64;

std::string_view Name(Divergence::What what) {
  switch (what) {
    case Divergence::What::kPatch:
      return "patch";
    case Divergence::What::kDigest:
      return "digest";
    case Divergence::What::kCheckpointDigest:
      return "checkpoint digest";
    case Divergence::What::kCheckpointState:
      return "checkpoint state";
    case Divergence::What::kRecord:
      return "record";
  }
  return "";
}

std::string_view Name(Missing::What what) {
  switch (what) {
    case Missing::What::kBody:
      return "body";
    case Missing::What::kDigest:
      return "digest";
    case Missing::What::kStep:
      return "end of the step";
    case Missing::What::kOperation:
      return "end of the operation";
  }
  return "";
}

std::string PlaceText(uint32_t step, uint64_t sequence) {
  return step == 0 ? fmt::format("start (record {})", sequence)
                   : fmt::format("step {} (record {})", step, sequence);
}

template <typename Finding>
void KeepFirst(std::optional<Finding> found, std::optional<Finding>* first) {
  if (!found.has_value()) return;
  if (!first->has_value() || found->sequence < (*first)->sequence) *first = std::move(found);
}

Json HexOrNull(const std::optional<schema::Digest>& digest) {
  return digest.has_value() ? Json::String(schema::ToHex(*digest)) : Json();
}

class Replay {
 public:
  Replay(const journal::Journal& journal, Session session, const ReplayRange& range,
         const ReplayOptions& options)
      : journal_(journal), session_(std::move(session)), range_(range), options_(options) {
    report_.operation = session_.operation();
  }

  absl::StatusOr<ReplayReport> Run() {
    const absl::Status begun = Begin();
    if (journal::IsArchiveAbsent(begun)) {
      NIMBUS_RETURN_IF_ERROR(Miss(begun));
      report_.first_sequence = report_.last_sequence = report_.missing->sequence;
    } else {
      NIMBUS_RETURN_IF_ERROR(begun);
      NIMBUS_RETURN_IF_ERROR(Fold());
    }
    if (options_.strict) NIMBUS_RETURN_IF_ERROR(BeStrict());
    return std::move(report_);
  }

 private:
  absl::Status Fold() {
    report_.first_sequence = session_.sequence();
    for (uint64_t moments = 1; !over_; ++moments) {
      if (options_.stop != nullptr && *options_.stop) return absl::CancelledError("interrupted");
      NIMBUS_RETURN_IF_ERROR(FoldNext());
      if (options_.progress && moments % kMomentsPerProgress == 0) {
        options_.progress(report_.steps, session_.StepCount());
      }
    }
    report_.last_sequence = session_.sequence();
    if (report_.divergence.has_value()) {
      FindDifference();
    } else if (!report_.missing.has_value() || report_.missing->what != Missing::What::kBody) {
      report_.digest = session_.state().Digest();
    }
    return absl::OkStatus();
  }

  absl::Status FoldNext() {
    const absl::StatusOr<std::optional<Session::Ahead>> ahead = session_.Peek();
    if (absl::IsDataLoss(ahead.status())) return Damaged(session_.sequence(), ahead.status());
    NIMBUS_RETURN_IF_ERROR(ahead.status());
    if (IsEnd(*ahead)) {
      over_ = true;
      return absl::OkStatus();
    }
    const absl::StatusOr<std::optional<Moment>> moment = session_.Next();
    if (journal::IsArchiveAbsent(moment.status())) {
      NIMBUS_RETURN_IF_ERROR(Miss(moment.status()));
      return GoOn();
    }
    if (absl::IsDataLoss(moment.status())) return Damaged((*ahead)->sequence, moment.status());
    NIMBUS_RETURN_IF_ERROR(moment.status());
    NIMBUS_CHECK(moment->has_value());
    Visit(**moment);
    if (report_.divergence.has_value()) over_ = true;
    return absl::OkStatus();
  }

  // From the next state that is recorded whole, if one is left to be replayed.
  absl::Status GoOn() {
    const absl::StatusOr<std::optional<Session::Skip>> skip =
        session_.SkipToWhole(range_.to_step.has_value() ? last_ : UINT64_MAX);
    if (absl::IsDataLoss(skip.status())) return Damaged(session_.sequence(), skip.status());
    NIMBUS_RETURN_IF_ERROR(skip.status());
    over_ = !skip->has_value();
    if (over_) return absl::OkStatus();
    if (!report_.resumed_at.has_value()) report_.resumed_at = (*skip)->to.sequence;
    report_.steps_skipped += (*skip)->steps;
    CompareDigest((*skip)->to, (*skip)->to.kind == Moment::Kind::kStart
                                   ? Divergence::What::kDigest
                                   : Divergence::What::kCheckpointDigest);
    over_ = report_.divergence.has_value();
    return absl::OkStatus();
  }

  absl::Status Miss(const absl::Status& status) {
    NIMBUS_ASSIGN_OR_RETURN(Missing missing, MissingBody(journal_, status));
    KeepFirst(std::optional<Missing>(std::move(missing)), &report_.missing);
    return absl::OkStatus();
  }

  absl::Status Damaged(uint64_t sequence, const absl::Status& status) {
    over_ = true;
    report_.divergence = DamagedRecord(report_.operation, sequence, status);
    report_.divergence->step = StepNumberAt(journal_, sequence).value_or(0);
    return absl::OkStatus();
  }

  absl::Status BeStrict() {
    ReplayReport found;
    found.operation = report_.operation;
    const absl::Status checked = CheckRecords(journal_, options_, &found);
    if (absl::IsDataLoss(checked) && !report_.divergence.has_value()) {
      found.divergence = DamagedRecord(report_.operation, session_.created(), checked);
    } else if (!absl::IsDataLoss(checked)) {
      NIMBUS_RETURN_IF_ERROR(checked);
    }
    KeepFirst(std::move(found.divergence), &report_.divergence);
    KeepFirst(std::move(found.missing), &report_.missing);
    if (!report_.missing.has_value() && !range_.to_step.has_value()) {
      NIMBUS_RETURN_IF_ERROR(CheckEnded(&session_, &report_));
    }
    if (report_.divergence.has_value()) report_.digest.reset();
    return absl::OkStatus();
  }

  absl::Status Begin() {
    if (range_.from_checkpoint.has_value() && range_.from_step.has_value()) {
      return Error(Code::kInvalidArgument, "a replay begins at a checkpoint or a step, not both");
    }
    if (range_.to_step > 0u) {
      NIMBUS_ASSIGN_OR_RETURN(const StepInfo last, FindEndedStep(&session_, *range_.to_step));
      last_ = *last.ended;
    }
    if (range_.from_checkpoint.has_value()) {
      NIMBUS_RETURN_IF_ERROR(session_.SeekToCheckpoint(*range_.from_checkpoint));
      report_.from_checkpoint = range_.from_checkpoint;
      report_.from_step = session_.step();
    } else if (range_.from_step > 0u) {
      NIMBUS_RETURN_IF_ERROR(session_.SeekToStep(*range_.from_step));
      report_.from_step = *range_.from_step;
    } else {
      session_.Rewind();
    }
    report_.to_step = report_.from_step;
    if (range_.to_step.has_value() && *range_.to_step < report_.from_step) {
      return Error(Code::kInvalidArgument, "the replay would begin after step {} and end at {}",
                   report_.from_step, *range_.to_step);
    }
    return range_.from_checkpoint.has_value() ? VisitFirstCheckpoint() : absl::OkStatus();
  }

  // The checkpoint the replay begins from is compared with its own digest.
  absl::Status VisitFirstCheckpoint() {
    NIMBUS_ASSIGN_OR_RETURN(const Moment moment, session_.ReadCheckpoint(*range_.from_checkpoint));
    CompareDigest(moment, Divergence::What::kCheckpointDigest);
    return absl::OkStatus();
  }

  // Whether the first step is next that is not to be replayed: what lies between the
  // last one's end and that, its checkpoints, is still visited.
  bool IsEnd(const std::optional<Session::Ahead>& ahead) const {
    if (!ahead.has_value()) return true;
    return range_.to_step.has_value() && ahead->kind == Moment::Kind::kStep &&
           ahead->sequence > last_;
  }

  void Visit(const Moment& moment) {
    if (options_.strict && !report_.missing.has_value() &&
        LacksDigest(moment, session_.state(), options_.session.state)) {
      report_.missing = Missing{.operation = report_.operation,
                                .what = Missing::What::kDigest,
                                .sequence = moment.sequence,
                                .step = moment.step};
    }
    switch (moment.kind) {
      case Moment::Kind::kStart:
        CompareDigest(moment, Divergence::What::kDigest);
        break;
      case Moment::Kind::kStep:
        ++report_.steps;
        report_.to_step = moment.step;
        if (!moment.fold.ok()) {
          Diverge(moment, Divergence::What::kPatch);
          report_.divergence->detail = MessageOf(moment.fold);
          break;
        }
        if (moment.patched) ++report_.patches;
        CompareDigest(moment, Divergence::What::kDigest);
        break;
      case Moment::Kind::kCheckpoint:
        ++report_.checkpoints_compared;
        CompareDigest(moment, Divergence::What::kCheckpointDigest);
        if (!report_.divergence.has_value() && !(*moment.state == session_.state().document())) {
          Diverge(moment, Divergence::What::kCheckpointState);
          report_.divergence->expected = schema::StateDigest(*moment.state);
          report_.divergence->actual = session_.state().Digest();
        }
        if (report_.divergence.has_value()) SetDifference(moment);
        break;
    }
  }

  void CompareDigest(const Moment& moment, Divergence::What what) {
    if (!moment.digest.has_value()) return;
    ++report_.digests_compared;
    const schema::Digest actual = session_.state().Digest();
    if (actual == *moment.digest) return;
    Diverge(moment, what);
    report_.divergence->expected = moment.digest;
    report_.divergence->actual = actual;
  }

  void Diverge(const Moment& moment, Divergence::What what) {
    report_.divergence.emplace();
    report_.divergence->operation = report_.operation;
    report_.divergence->what = what;
    report_.divergence->sequence = moment.sequence;
    report_.divergence->step = moment.step;
  }

  void SetDifference(const Moment& recorded) {
    report_.divergence->difference = Diff(*recorded.state, session_.state().document());
    report_.divergence->difference_sequence = recorded.sequence;
  }

  // A step's digest says that the state is another one, not how: the next
  // checkpoint does, if the patches up to it apply.
  void FindDifference() {
    Divergence& divergence = *report_.divergence;
    if (divergence.difference.has_value() || divergence.what == Divergence::What::kPatch ||
        divergence.what == Divergence::What::kRecord) {
      return;
    }
    for (;;) {
      const absl::StatusOr<std::optional<Moment>> moment = session_.Next();
      const absl::Status status =
          moment.ok() && moment->has_value() ? (*moment)->fold : moment.status();
      if (!status.ok()) {
        divergence.detail = "no state to compare with: " + MessageOf(status);
        return;
      }
      if (!moment->has_value()) return;
      if ((*moment)->kind == Moment::Kind::kCheckpoint) return SetDifference(**moment);
    }
  }

  const journal::Journal& journal_;
  Session session_;
  const ReplayRange range_;
  const ReplayOptions& options_;
  uint64_t last_ = 0;  // where the last step to be replayed ended
  ReplayReport report_;
  bool over_ = false;  // a divergence, or a body is missing
};

}  // namespace

Json Divergence::ToJson() const {
  Json json = Json::MakeObject({{"what", Json::String(std::string(Name(what)))},
                                {"operation", Json::String(operation.ToString())},
                                {"sequence", Json::Uint(sequence)},
                                {"step", Json::Uint(step)},
                                {"expected", HexOrNull(expected)},
                                {"actual", HexOrNull(actual)}});
  if (!detail.empty()) json.Set("detail", Json::String(detail));
  if (difference.has_value()) {
    json.Set("difference", *difference);
    json.Set("difference_sequence", Json::Uint(*difference_sequence));
  }
  return json;
}

std::string Divergence::ToString() const {
  const std::string text = PlaceText(step, sequence) + ": ";
  if (what == What::kRecord) return text + detail;
  if (what == What::kPatch) return text + "its patch does not apply: " + detail;
  return text + fmt::format("the {} is {}, replay gives {}", Name(what),
                            expected.has_value() ? schema::ToHex(*expected) : "none",
                            actual.has_value() ? schema::ToHex(*actual) : "none");
}

Json Missing::ToJson() const {
  Json json = Json::MakeObject({{"what", Json::String(std::string(Name(what)))},
                                {"operation", Json::String(operation.ToString())},
                                {"sequence", Json::Uint(sequence)},
                                {"step", Json::Uint(step)}});
  if (!detail.empty()) json.Set("detail", Json::String(detail));
  return json;
}

std::string Missing::ToString() const {
  if (what == What::kOperation) return "the operation has not ended";
  if (what == What::kStep) return fmt::format("{}: it has not ended", PlaceText(step, sequence));
  if (what == What::kBody) return fmt::format("{}: {}", PlaceText(step, sequence), detail);
  return fmt::format("{}: no {} is recorded", PlaceText(step, sequence), Name(what));
}

schema::fb::ReplayVerdict ReplayReport::verdict() const {
  using schema::fb::ReplayVerdict;
  if (divergence.has_value()) return ReplayVerdict::diverges;
  return missing.has_value() ? ReplayVerdict::incomplete : ReplayVerdict::holds;
}

Json ReplayReport::ToJson() const {
  return Json::MakeObject(
      {{"operation", Json::String(operation.ToString())},
       {"from_checkpoint",
        from_checkpoint.has_value() ? Json::String(from_checkpoint->ToString()) : Json()},
       {"from_step", Json::Uint(from_step)},
       {"to_step", Json::Uint(to_step)},
       {"steps", Json::Uint(steps)},
       {"patches", Json::Uint(patches)},
       {"digests_compared", Json::Uint(digests_compared)},
       {"checkpoints_compared", Json::Uint(checkpoints_compared)},
       {"first_sequence", Json::Uint(first_sequence)},
       {"last_sequence", Json::Uint(last_sequence)},
       {"resumed_at", resumed_at.has_value() ? Json::Uint(*resumed_at) : Json()},
       {"steps_skipped", Json::Uint(steps_skipped)},
       {"digest", HexOrNull(digest)},
       {"holds", Json::Bool(holds())},
       {"verdict", Json::String(schema::fb::EnumNameReplayVerdict(verdict()))},
       {"divergence", divergence.has_value() ? divergence->ToJson() : Json()},
       {"missing", missing.has_value() ? missing->ToJson() : Json()}});
}

absl::StatusOr<ReplayReport> ReplayOperation(const journal::Journal& journal, const Uuid& operation,
                                             const ReplayRange& range,
                                             const ReplayOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(Session session,
                          Session::OpenRewound(journal, operation, options.session));
  return Replay(journal, std::move(session), range, options).Run();
}

}  // namespace nimbus::replay
