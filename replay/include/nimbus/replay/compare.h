// Two operations side by side: which steps they share, and where they part.
//
//   NIMBUS_ASSIGN_OR_RETURN(const Comparison found, CompareOperations(*journal, a, b, {}));
//   if (!found.same()) … found.first->a, found.first->b, found.state_there …
//
// Steps are aligned by what was asked for: type, tool and canonical input. Between
// those that both have, a step of the one stands for a step of the other if type and
// tool are the same. Of steps that stand for each other, results (status, canonical
// output, error) and changes to the state (canonical patch) are compared.
//
// Of a fork and its parent, and of two forks from one place, the past is one and the
// same, not two equal ones: it is told as shared, and what comes after it is aligned.
// Forks of forks, and forks from different places, are compared as any two operations.
//
// Reads every step of both once, but the shared ones. Memory: two Sessions, and about a
// hundred bytes a step.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/session.h"

namespace nimbus::replay {

struct CompareOptions {
  SessionOptions session;
  size_t steps_max = 4'000'000;  // of one operation
  size_t edits_max = 2000;       // as far as the alignment is the shortest one
};

// Steps that stand for each other; 0 where the other operation has none.
struct StepPair {
  enum class Kind { kSame, kState, kResult, kInput, kOnlyA, kOnlyB };
  Kind kind = Kind::kSame;  // the first that differs, of input, result and change of the state
  uint32_t a = 0, b = 0;
};

// "same", "state", "result", "input", "only_a", "only_b".
std::string_view KindText(StepPair::Kind kind);

// The past that two operations have in common: that of one of them, or of a third.
struct SharedPast {
  schema::Uuid operation;
  uint32_t step = 0;      // of that operation, the last one to end in it; 0: its start is all
  uint64_t sequence = 0;  // of the record after which they part
  uint64_t steps = 0;     // that ended by then
};

struct Comparison {
  schema::Uuid a, b;
  uint32_t steps_a = 0, steps_b = 0;  // of their own, shared ones among them
  std::optional<SharedPast> shared;   // what follows tells of what comes after it
  uint64_t pairs_same = 0, pairs_state = 0, pairs_result = 0, pairs_input = 0;
  uint64_t only_a = 0, only_b = 0;
  bool start_differs = false;         // the states they begin with, or go on from
  bool shortest = true;               // else more steps might have been paired (edits_max)
  std::vector<StepPair> differences;  // pairs that are not the same, in order
  // Where they part: the first of `differences`; a = b = 0 when the starts differ.
  std::optional<StepPair> first;
  // RFC 6902, from a's state to b's, after that pair, and in the end; unset where the
  // patches of one of them do not apply that far.
  std::optional<schema::Json> state_there, state_in_the_end;

  bool same() const { return !first.has_value(); }
  // Without `differences`.
  schema::Json ToJson() const;
};

// NotFound: no such operation. ResourceExhausted: more than steps_max steps. Else as
// Session.
absl::StatusOr<Comparison> CompareOperations(const journal::Journal& journal, const schema::Uuid& a,
                                             const schema::Uuid& b, const CompareOptions& options);

// What differs in a pair, read again: {"kind","a","b","type","tool_name"} and RFC 6902
// differences from a's to b's, "input" and "output"; "error" as {"a","b"}; of a step
// that stands alone its input.
class PairReader {
 public:
  static absl::StatusOr<PairReader> Open(const journal::Journal& journal, const schema::Uuid& a,
                                         const schema::Uuid& b, const SessionOptions& options = {});
  absl::StatusOr<schema::Json> Read(const StepPair& pair);

 private:
  PairReader(Session a, Session b);
  Session a_, b_;
};

}  // namespace nimbus::replay
