#include "nimbus/replay/verify.h"

#include <cstdint>
#include <string_view>
#include <utility>

#include "nimbus/replay/patch.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

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
  }
  return "";
}

Json HexOrNull(const std::optional<schema::Digest>& digest) {
  return digest.has_value() ? Json::String(schema::ToHex(*digest)) : Json();
}

class Replay {
 public:
  Replay(Session session, const ReplayRange& range, const ReplayOptions& options)
      : session_(std::move(session)), range_(range), options_(options) {
    report_.operation = session_.operation();
  }

  absl::StatusOr<ReplayReport> Run() {
    NIMBUS_RETURN_IF_ERROR(Begin());
    for (uint64_t moments = 1; report_.holds(); ++moments) {
      NIMBUS_ASSIGN_OR_RETURN(const bool ended, IsAtEnd());
      if (ended) break;
      NIMBUS_ASSIGN_OR_RETURN(const std::optional<Moment> moment, session_.Next());
      NIMBUS_CHECK(moment.has_value());
      Visit(*moment);
      if (options_.progress && moments % kMomentsPerProgress == 0) {
        options_.progress(report_.steps, session_.StepCount());
      }
    }
    report_.last_sequence = session_.sequence();
    if (report_.holds()) {
      report_.digest = session_.state().Digest();
    } else {
      FindDifference();
    }
    return std::move(report_);
  }

 private:
  absl::Status Begin() {
    if (range_.from_checkpoint.has_value() && range_.from_step.has_value()) {
      return Error(Code::kInvalidArgument, "a replay begins at a checkpoint or a step, not both");
    }
    if (range_.to_step > 0u) {
      NIMBUS_ASSIGN_OR_RETURN(const StepInfo last, session_.FindStep(*range_.to_step));
      if (!last.ended.has_value()) {
        return Error(Code::kFailedPrecondition, "step {} has not ended", *range_.to_step);
      }
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
  absl::StatusOr<bool> IsAtEnd() {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Session::Ahead> ahead, session_.Peek());
    if (!ahead.has_value()) return true;
    return range_.to_step.has_value() && ahead->kind == Moment::Kind::kStep &&
           ahead->sequence > last_;
  }

  void Visit(const Moment& moment) {
    switch (moment.kind) {
      case Moment::Kind::kStart:
        CompareDigest(moment, Divergence::What::kDigest);
        break;
      case Moment::Kind::kStep:
        ++report_.steps;
        report_.to_step = moment.step;
        if (!moment.fold.ok()) {
          Diverge(moment, Divergence::What::kPatch);
          report_.divergence->detail = moment.fold.ToString();
          break;
        }
        if (moment.patched) ++report_.patches;
        CompareDigest(moment, Divergence::What::kDigest);
        break;
      case Moment::Kind::kCheckpoint:
        ++report_.checkpoints_compared;
        CompareDigest(moment, Divergence::What::kCheckpointDigest);
        if (report_.holds() && !(*moment.state == session_.state().document())) {
          Diverge(moment, Divergence::What::kCheckpointState);
          report_.divergence->expected = schema::StateDigest(*moment.state);
          report_.divergence->actual = session_.state().Digest();
        }
        if (!report_.holds()) SetDifference(moment);
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
    if (divergence.difference.has_value() || divergence.what == Divergence::What::kPatch) return;
    for (;;) {
      const absl::StatusOr<std::optional<Moment>> moment = session_.Next();
      const absl::Status status =
          moment.ok() && moment->has_value() ? (*moment)->fold : moment.status();
      if (!status.ok()) {
        divergence.detail = "no state to compare with: " + status.ToString();
        return;
      }
      if (!moment->has_value()) return;
      if ((*moment)->kind == Moment::Kind::kCheckpoint) return SetDifference(**moment);
    }
  }

  Session session_;
  const ReplayRange range_;
  const ReplayOptions& options_;
  uint64_t last_ = 0;  // where the last step to be replayed ended
  ReplayReport report_;
};

}  // namespace

Json Divergence::ToJson() const {
  Json json = Json::MakeObject({{"what", Json::String(std::string(Name(what)))},
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
  std::string text = step == 0 ? "start" : fmt::format("step {}", step);
  text += fmt::format(" (record {}): ", sequence);
  if (what == What::kPatch) return text + "its patch does not apply: " + detail;
  return text + fmt::format("the {} is {}, replay gives {}", Name(what),
                            expected.has_value() ? schema::ToHex(*expected) : "none",
                            actual.has_value() ? schema::ToHex(*actual) : "none");
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
       {"last_sequence", Json::Uint(last_sequence)},
       {"digest", HexOrNull(digest)},
       {"holds", Json::Bool(holds())},
       {"divergence", divergence.has_value() ? divergence->ToJson() : Json()}});
}

absl::StatusOr<ReplayReport> ReplayOperation(const journal::Journal& journal, const Uuid& operation,
                                             const ReplayRange& range,
                                             const ReplayOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(Session session, Session::Open(journal, operation, options.session));
  return Replay(std::move(session), range, options).Run();
}

}  // namespace nimbus::replay
