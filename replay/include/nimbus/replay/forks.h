// Going on from another operation's state: a new operation whose past is a part of
// that of its parent.
//
//   NIMBUS_ASSIGN_OR_RETURN(ForkPlan plan, PlanFork(*journal, parent,
//                           {.kind = Point::Kind::kLastFailure}));
//   NIMBUS_RETURN_IF_ERROR(AddTotals(*journal, &plan));   // if it is to be shown
//   plan.totals->reused.tokens;                           // need not be paid again
//   NIMBUS_ASSIGN_OR_RETURN(const Forked forked, ForkOperation(journal.get(), plan, {}));
//
// Nothing is copied: the new operation names its parent and the point, its state
// begins with the parent's there, and its own steps are numbered from 1. So the
// parent's bodies are kept as long as the fork is (journal/prune.h). projections'
// Lineage tells of both directions.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/point.h"
#include "nimbus/replay/session.h"

namespace nimbus::replay {

// What some steps took. Tokens and cost of the steps that tell them.
struct StepTotals {
  uint64_t steps = 0;
  uint64_t duration_ms = 0;
  uint64_t tokens = 0;
  int64_t cost_microdollars = 0;
};

struct ForkTotals {
  StepTotals reused;     // ended by then
  StepTotals after;      // recorded by the parent after it: the fork does its own
  uint64_t unended = 0;  // steps that had begun by then and not ended: not reused,
                         // a Recorder begins them anew
};

struct ForkPlan {
  schema::Uuid parent;
  journal::Lifecycle parent_status = journal::Lifecycle::kPending;
  OperationRecord operation;               // how the parent was created
  std::optional<schema::Uuid> checkpoint;  // that it begins with, else
  uint32_t step = 0;                       // the state after this step; the last that is reused
  uint64_t sequence = 0;                   // of the event after which it goes on
  schema::Digest digest{};                 // of the state there
  uint64_t state_bytes = 0;
  std::optional<ForkTotals> totals;  // once AddTotals was called

  // Members of totals are null where these are not known.
  schema::Json ToJson() const;
};

// What a fork would begin with; appends nothing. Errors as SeekTo. FailedPrecondition
// also: the parent has not been started, so there is no state to begin with. Costs a
// seek (session.h), however long the parent is.
absl::StatusOr<ForkPlan> PlanFork(const journal::Journal& journal, const schema::Uuid& parent,
                                  const Point& point, const SessionOptions& options = {});

// What would be reused, which nothing but the parent's steps tells: reads all of its
// records once, without their bodies. DataLoss: they are damaged.
absl::Status AddTotals(const journal::Journal& journal, ForkPlan* plan,
                       const SessionOptions& options = {});

struct ForkOptions {
  std::string name;                     // of the new operation; the parent's when empty
  std::optional<schema::Uuid> session;  // to put it in; the parent's when unset, see below
};

struct Forked {
  schema::Uuid operation;
  schema::Uuid session;
  bool new_session = false;
  uint64_t sequence = 0;  // of the last event, for Database::WaitFor
};

// Creates the operation, with the type and the input of its parent, and starts it:
// durable, and all or nothing. What it reuses goes on record if the plan tells it. It is
// in its parent's session; if that has ended, and none was named, in a new one of the
// same name and context. FailedPrecondition: the session named has ended. NotFound:
// there is no such session. Else as Journal::Append.
absl::StatusOr<Forked> ForkOperation(journal::Journal* journal, const ForkPlan& plan,
                                     const ForkOptions& options = {});

}  // namespace nimbus::replay
