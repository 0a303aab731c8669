#include "nimbus/replay/bisect.h"

#include <algorithm>
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

class Bisection {
 public:
  Bisection(Session session, const Judge& judge) : session_(std::move(session)), judge_(judge) {
    report_.operation = session_.operation();
  }

  absl::StatusOr<BisectReport> Run(const BisectOptions& options) {
    NIMBUS_RETURN_IF_ERROR(FindEnds(options));
    NIMBUS_ASSIGN_OR_RETURN(const Judgement good, Try(good_));
    if (good != Judgement::kGood) return End(Outcome::kGoodIsBad);
    NIMBUS_ASSIGN_OR_RETURN(const Judgement bad, Try(bad_));
    if (bad != Judgement::kBad) return End(Outcome::kBadIsGood);
    NIMBUS_RETURN_IF_ERROR(Search());
    report_.last_good = order_[good_];
    for (size_t i = good_ + 1; i <= bad_; ++i) report_.candidates.push_back(order_[i]);
    if (report_.candidates.size() > 1) return End(Outcome::kOneOf);
    report_.first_bad = order_[bad_];
    report_.candidates.clear();
    return End(Outcome::kFound);
  }

 private:
  // order_[0] is the start; the steps follow in the order they ended.
  absl::Status FindEnds(const BisectOptions& options) {
    NIMBUS_ASSIGN_OR_RETURN(order_, EndedSteps(&session_));
    order_.insert(order_.begin(), 0);
    NIMBUS_ASSIGN_OR_RETURN(good_, IndexOf(options.good));
    NIMBUS_ASSIGN_OR_RETURN(bad_, IndexOf(options.bad.value_or(order_.back())));
    if (good_ < bad_) return absl::OkStatus();
    if (order_.size() == 1) {
      return Error(Code::kFailedPrecondition, "no step of operation {} has ended",
                   session_.operation().ToString());
    }
    return Error(Code::kFailedPrecondition, "the good step {} does not come before the bad one {}",
                 order_[good_], order_[bad_]);
  }

  absl::StatusOr<size_t> IndexOf(uint32_t number) {
    if (number == 0) return 0;
    NIMBUS_RETURN_IF_ERROR(FindEndedStep(&session_, number).status());
    return static_cast<size_t>(std::find(order_.begin(), order_.end(), number) - order_.begin());
  }

  absl::StatusOr<Judgement> Try(size_t index) {
    const uint32_t number = order_[index];
    NIMBUS_RETURN_IF_ERROR(session_.SeekToStep(number));
    NIMBUS_ASSIGN_OR_RETURN(const Judgement judgement,
                            judge_({.operation = session_.operation(),
                                    .step = number,
                                    .state = session_.state().document()}));
    report_.tried.push_back({.step = number, .judgement = judgement});
    return judgement;
  }

  absl::Status Search() {
    std::vector<bool> skipped(order_.size());
    for (;;) {
      const std::optional<size_t> next = Choose(skipped);
      if (!next.has_value()) return absl::OkStatus();
      NIMBUS_ASSIGN_OR_RETURN(const Judgement judgement, Try(*next));
      if (judgement == Judgement::kSkip) {
        skipped[*next] = true;
      } else {
        (judgement == Judgement::kGood ? good_ : bad_) = *next;
      }
    }
  }

  // The one nearest to the middle, of those that may tell; nullopt when none is left.
  std::optional<size_t> Choose(const std::vector<bool>& skipped) const {
    const size_t middle = good_ + (bad_ - good_) / 2;
    for (size_t away = 0; away < bad_ - good_; ++away) {
      if (middle + away < bad_ && middle + away > good_ && !skipped[middle + away]) {
        return middle + away;
      }
      if (middle > good_ + away && !skipped[middle - away]) return middle - away;
    }
    return std::nullopt;
  }

  BisectReport End(Outcome outcome) {
    report_.outcome = outcome;
    return std::move(report_);
  }

  Session session_;
  const Judge& judge_;
  std::vector<uint32_t> order_;
  size_t good_ = 0, bad_ = 0;  // indices into order_
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
  return Bisection(std::move(session), judge).Run(options);
}

}  // namespace nimbus::replay
