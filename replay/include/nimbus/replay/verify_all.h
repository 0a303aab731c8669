// Replaying many operations at once: a few that are named, or all there are.
//
//   NIMBUS_ASSIGN_OR_RETURN(const VerifySummary summary,
//                           VerifyOperations(*journal, {.jobs = 4}));       // all of them
//   summary.holds == summary.operations
//
// Each thread replays one operation at a time and takes the next from the journal, so
// memory is that of so many replays, however many operations there are.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/receipt.h"
#include "nimbus/replay/verify.h"

namespace nimbus::replay {

struct VerifyOptions {
  // The operations, in this order; all of the journal, in that of their creation,
  // when empty.
  std::vector<schema::Uuid> operations;
  // `strict` and `stop` count; `progress` is not called.
  ReplayOptions replay;
  unsigned jobs = 0;           // threads; as many as there are processors when 0
  size_t findings_max = 1000;  // kept in the summary: the first in order
  // Where to put a receipt of each operation that has ended; none when null.
  journal::Journal* receipts = nullptr;
  // Called now and then, by one thread at a time, with what is done of what there is
  // to do: operations, or, of all, records of the journal looked through.
  std::function<void(uint64_t, uint64_t)> progress;
};

// An operation that does not hold.
struct VerifyFinding {
  uint64_t index = 0;  // in order, from 0
  ReplayReport report;
  absl::Status error;  // why it could not be replayed, if so; the report is empty then
};

struct VerifySummary {
  uint64_t operations = 0;
  uint64_t holds = 0, diverges = 0, incomplete = 0;
  uint64_t failed = 0;  // could not be replayed, as the journal is damaged there
  uint64_t steps = 0, digests_compared = 0, checkpoints_compared = 0;
  uint64_t receipts = 0;
  std::vector<VerifyFinding> findings;  // by index

  schema::Json ToJson() const;
};

// NotFound: one of the operations named does not exist. Cancelled: stopped. Other
// errors are those of reading the journal, or of recording receipts, not of one
// operation.
absl::StatusOr<VerifySummary> VerifyOperations(const journal::Journal& journal,
                                               const VerifyOptions& options);

}  // namespace nimbus::replay
