// That an operation was replayed, and what came of it, on record.
//
//   NIMBUS_ASSIGN_OR_RETURN(const Receipt receipt, RecordReceipt(journal.get(), report));
//
// The receipt is an event of the operation (OperationReplayed), durable when the call
// returns; projections' Lineage finds it again. With it goes the divergence, or what is
// missing, as JSON. It names the size and the Merkle root that the journal had after the
// replay, so that it says of which history it is true.
//
// Thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/verify.h"

namespace nimbus::replay {

struct Receipt {
  schema::Uuid id;
  uint64_t sequence = 0;
};

// FailedPrecondition: the operation has not ended; an event beside those of its
// recorder would stop that one. NotFound: there is no such operation. Else as
// Journal::Append.
absl::StatusOr<Receipt> RecordReceipt(journal::Journal* journal, const ReplayReport& report);

}  // namespace nimbus::replay
