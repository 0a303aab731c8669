// Where operations come from and what came of replaying them: forks, which go on from a
// state of another operation, and receipts of replays. What writes these events is
// replay's; here they are found again.
//
//   NIMBUS_ASSIGN_OR_RETURN(auto origin, lineage.ForkOrigin(operation));
//   if (origin) show(origin->parent, origin->step_number);
//
// A query sees what the projector has applied, as those of History do. It returns
// FailedPrecondition when the tables of version 7 do not exist (migrated down).
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/projections/history.h"
#include "nimbus/schema/id.h"

namespace nimbus::projections {

struct Fork {
  schema::Uuid operation;
  schema::Uuid parent;
  // The state it began with: that of this checkpoint, else that after this step of the
  // parent, 0 for its start.
  std::optional<schema::Uuid> checkpoint;
  std::optional<int64_t> step_number;
  std::optional<int64_t> created_at_us;
  uint64_t sequence = 0;
  friend bool operator==(const Fork&, const Fork&) = default;
};

struct ReplayReceipt {
  schema::Uuid id;
  schema::Uuid operation;
  schema::fb::ReplayVerdict verdict = schema::fb::ReplayVerdict::incomplete;
  int64_t records = 0;                            // of the journal then,
  std::optional<std::string> root;                // and its Merkle root, in hex
  int64_t first_sequence = 0, last_sequence = 0;  // of the operation, that were replayed
  int64_t steps = 0;
  std::optional<std::string> state_digest;  // of the last state, in hex
  std::optional<std::string> divergence;    // JSON
  std::optional<int64_t> created_at_us;
  uint64_t sequence = 0;
  friend bool operator==(const ReplayReceipt&, const ReplayReceipt&) = default;
};

class Lineage {
 public:
  explicit Lineage(Views* views);  // made by Database; outlives it
  ~Lineage();
  Lineage(const Lineage&) = delete;
  Lineage& operator=(const Lineage&) = delete;

  // Operations that were forked from this one, in the order they were.
  absl::StatusOr<std::vector<Fork>> ForksOf(const schema::Uuid& operation);
  // What this operation was forked from; nullopt when it is no fork.
  absl::StatusOr<std::optional<Fork>> ForkOrigin(const schema::Uuid& operation);
  // In the order they were made.
  absl::StatusOr<std::vector<ReplayReceipt>> ReceiptsOf(const schema::Uuid& operation);

 private:
  class Rows;

  const std::unique_ptr<Rows> rows_;
};

}  // namespace nimbus::projections
