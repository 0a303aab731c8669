#include "nimbus/replay/bisect.h"

#include <set>
#include <string>
#include <utility>

#include "nimbus/schema/status.h"
#include "steps.h"

namespace nimbus::replay {

using schema::Error;
using schema::Json;
using Code = absl::StatusCode;
using Outcome = BisectReport::Outcome;

namespace {

std::string_view Name(Judgement judgement) {
  switch (judgement) {
    case Judgement::kGood:
      return "good";
    case Judgement::kBad:
      return "bad";
    case Judgement::kSkip:
      return "skip";
  }
  return "";
}

std::string_view Name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kFound:
      return "found";
    case Outcome::kOneOf:
      return "one_of";
    case Outcome::kGoodIsBad:
      return "good_is_bad";
    case Outcome::kBadIsGood:
      return "bad_is_good";
  }
  return "";
}

// Halves the versions of the stream, not a list of steps: the ends of steps are spread
// over them evenly enough, and nothing has to be read but what is near the middle.
class Bisection {
 public:
  Bisection(Session session, StepEnds ends, const Judge& judge)
      : session_(std::move(session)), ends_(std::move(ends)), judge_(judge) {
    report_.operation = session_.operation();
  }

  absl::StatusOr<BisectReport> Run(const BisectOptions& options) {
    NIMBUS_RETURN_IF_ERROR(FindEnds(options));
    NIMBUS_ASSIGN_OR_RETURN(const Judgement good, Try(good_));
    if (good != Judgement::kGood) return End(Outcome::kGoodIsBad);
    NIMBUS_ASSIGN_OR_RETURN(const Judgement bad, Try(bad_));
    if (bad != Judgement::kBad) return End(Outcome::kBadIsGood);
    NIMBUS_RETURN_IF_ERROR(Search());
    NIMBUS_ASSIGN_OR_RETURN(report_.last_good, ends_.StepOf(good_));
    NIMBUS_RETURN_IF_ERROR(ListCandidates());
    if (report_.candidates.size() > 1) return End(Outcome::kOneOf);
    report_.first_bad = report_.candidates[0];
    report_.candidates.clear();
    return End(Outcome::kFound);
  }

 private:
  absl::Status FindEnds(const BisectOptions& options) {
    NIMBUS_ASSIGN_OR_RETURN(good_, VersionOf(options.good));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> last, ends_.Last(1, ends_.version() + 1));
    if (options.bad.has_value()) {
      NIMBUS_ASSIGN_OR_RETURN(bad_, VersionOf(*options.bad));
    } else {
      bad_ = last.value_or(0);
    }
    if (good_ < bad_) return absl::OkStatus();
    if (!last.has_value()) {
      return Error(Code::kFailedPrecondition, "no step of operation {} has ended",
                   session_.operation().ToString());
    }
    NIMBUS_ASSIGN_OR_RETURN(const uint32_t bad, ends_.StepOf(bad_));
    return Error(Code::kFailedPrecondition, "the good step {} does not come before the bad one {}",
                 options.good, bad);
  }

  absl::StatusOr<uint64_t> VersionOf(uint32_t number) {
    if (number == 0) return 0;
    NIMBUS_ASSIGN_OR_RETURN(const StepInfo step, FindEndedStep(&session_, number));
    return ends_.VersionOf(step);
  }

  absl::StatusOr<Judgement> Try(uint64_t version) {
    NIMBUS_ASSIGN_OR_RETURN(const uint32_t number, ends_.StepOf(version));
    NIMBUS_RETURN_IF_ERROR(session_.SeekToStep(number));
    NIMBUS_ASSIGN_OR_RETURN(const Judgement judgement,
                            judge_({.operation = session_.operation(),
                                    .step = number,
                                    .state = session_.state().document()}));
    report_.tried.push_back({.step = number, .judgement = judgement});
    return judgement;
  }

  absl::Status Search() {
    for (;;) {
      NIMBUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> next, Choose());
      if (!next.has_value()) return absl::OkStatus();
      NIMBUS_ASSIGN_OR_RETURN(const Judgement judgement, Try(*next));
      if (judgement == Judgement::kSkip) {
        skipped_.insert(*next);
      } else {
        (judgement == Judgement::kGood ? good_ : bad_) = *next;
      }
    }
  }

  // The end nearest to the middle, of those that may tell; nullopt when none is left.
  absl::StatusOr<std::optional<uint64_t>> Choose() {
    const uint64_t middle = good_ + (bad_ - good_) / 2;
    std::optional<uint64_t> before, after;
    for (uint64_t to = middle + 1; to > good_ + 1; to = *before) {
      NIMBUS_ASSIGN_OR_RETURN(before, ends_.Last(good_ + 1, to));
      if (!before.has_value() || !skipped_.contains(*before)) break;
    }
    for (uint64_t from = middle + 1; from < bad_; from = *after + 1) {
      NIMBUS_ASSIGN_OR_RETURN(after, ends_.First(from, bad_));
      if (!after.has_value() || !skipped_.contains(*after)) break;
    }
    if (before.has_value() && skipped_.contains(*before)) before.reset();
    if (after.has_value() && skipped_.contains(*after)) after.reset();
    if (!before.has_value() || !after.has_value()) return before.has_value() ? before : after;
    return middle - *before <= *after - middle ? before : after;
  }

  // What lies behind the last good one, up to the first that is known to be bad.
  absl::Status ListCandidates() {
    for (uint64_t from = good_ + 1; from <= bad_;) {
      NIMBUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> end, ends_.First(from, bad_ + 1));
      if (!end.has_value()) break;
      NIMBUS_ASSIGN_OR_RETURN(const uint32_t number, ends_.StepOf(*end));
      report_.candidates.push_back(number);
      from = *end + 1;
    }
    return absl::OkStatus();
  }

  BisectReport End(Outcome outcome) {
    report_.outcome = outcome;
    return std::move(report_);
  }

  Session session_;
  StepEnds ends_;
  const Judge& judge_;
  uint64_t good_ = 0, bad_ = 0;  // versions of ends, 0 being the start
  std::set<uint64_t> skipped_;
  BisectReport report_;
};

}  // namespace

Json BisectReport::ToJson() const {
  Json::Array steps, trials;
  for (const uint32_t step : candidates) steps.push_back(Json::Uint(step));
  for (const Tried& trial : tried) {
    trials.push_back(
        Json::MakeObject({{"step", Json::Uint(trial.step)},
                          {"judgement", Json::String(std::string(Name(trial.judgement)))}}));
  }
  return Json::MakeObject({{"operation", Json::String(operation.ToString())},
                           {"outcome", Json::String(std::string(Name(outcome)))},
                           {"first_bad", first_bad.has_value() ? Json::Uint(*first_bad) : Json()},
                           {"last_good", Json::Uint(last_good)},
                           {"candidates", Json::MakeArray(std::move(steps))},
                           {"tried", Json::MakeArray(std::move(trials))}});
}

absl::StatusOr<BisectReport> BisectOperation(const journal::Journal& journal,
                                             const schema::Uuid& operation, const Judge& judge,
                                             const BisectOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(Session session, Session::Open(journal, operation, options.session));
  NIMBUS_ASSIGN_OR_RETURN(StepEnds ends, StepEnds::Open(journal, session, options.session.reader));
  return Bisection(std::move(session), std::move(ends), judge).Run(options);
}

}  // namespace nimbus::replay
