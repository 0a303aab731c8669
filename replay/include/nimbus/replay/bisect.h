// The first step after which something is wrong, found by halving, as git bisect
// finds the first commit.
//
//   const auto judge = [&](const Trial& trial) -> absl::StatusOr<Judgement> {
//     return IsSound(trial.state) ? Judgement::kGood : Judgement::kBad;
//   };
//   NIMBUS_ASSIGN_OR_RETURN(const BisectReport report, BisectOperation(*journal, id, judge, {}));
//   if (report.outcome == BisectReport::Outcome::kFound) … report.first_bad …
//
// It supposes that what is bad once stays bad. The state at both ends is judged first,
// and then that of some log2 of the steps between: each costs a seek (session.h), and
// nothing else is read of the operation, however long it is. Steps are taken in the
// order in which they ended. Memory: that of a Session, and what could not be judged.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/session.h"

namespace nimbus::replay {

enum class Judgement { kGood, kBad, kSkip };  // kSkip: this state can't be judged

struct Trial {
  const schema::Uuid& operation;
  uint32_t step = 0;  // the state is that after it; 0: the start
  const schema::Json& state;
};

using Judge = std::function<absl::StatusOr<Judgement>(const Trial&)>;

struct BisectOptions {
  SessionOptions session;
  uint32_t good = 0;            // after this step all is well; 0: at the start
  std::optional<uint32_t> bad;  // after this one it is not; the one that ended last when unset
};

struct BisectReport {
  enum class Outcome {
    kFound,      // first_bad is the first bad step
    kOneOf,      // it is one of `candidates`: those before the last could not be judged
    kGoodIsBad,  // the step said to be good is bad, or can't be judged: nothing is searched
    kBadIsGood,  // the step said to be bad is good, or can't be judged: nothing is searched
  };
  struct Tried {
    uint32_t step = 0;
    Judgement judgement = Judgement::kSkip;
  };

  schema::Uuid operation;
  Outcome outcome = Outcome::kFound;
  uint32_t last_good = 0;
  std::optional<uint32_t> first_bad;
  std::vector<uint32_t> candidates;  // of kOneOf, in the order they ended
  std::vector<Tried> tried;          // in the order they were

  schema::Json ToJson() const;
};

// NotFound: no such operation or step. FailedPrecondition: the step has not ended, or
// nothing lies between `good` and `bad`. Else what `judge` returns, and as Session.
absl::StatusOr<BisectReport> BisectOperation(const journal::Journal& journal,
                                             const schema::Uuid& operation, const Judge& judge,
                                             const BisectOptions& options);

}  // namespace nimbus::replay
