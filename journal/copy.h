// Copies a journal into a Replica, while it is in use.
//
//   JournalCopy copy(journal, &replica, progress);
//   NIMBUS_RETURN_IF_ERROR(copy.CatchUp());   // most of it
//   NIMBUS_RETURN_IF_ERROR(copy.Finish());    // the rest, as of one moment
#pragma once

#include "absl/status/status.h"
#include "entry.h"
#include "nimbus/journal/range.h"
#include "replica.h"

namespace nimbus::journal {

class JournalCopy {
 public:
  // All outlive it. `progress` is told of records.
  JournalCopy(const Journal& journal, Replica* replica, const ProgressFunction& progress)
      : journal_(journal), replica_(*replica), progress_(progress), entries_(journal) {}

  // In rounds, until few records are left, or too many come while it copies.
  absl::Status CatchUp();
  // Ends with the replica as the journal is at some moment of this call, its append
  // ids too, all of it committed. DataLoss when the roots differ.
  absl::Status Finish();

 private:
  absl::Status CopyUpTo(uint64_t size);

  const Journal& journal_;
  Replica& replica_;
  const ProgressFunction& progress_;
  EntryReader entries_;
};

}  // namespace nimbus::journal
