// Copies a journal into a Replica, while it is in use.
//
//   JournalCopy copy(journal, &replica, progress);
//   NIMBUS_RETURN_IF_ERROR(copy.CatchUp());   // most of it
//   NIMBUS_RETURN_IF_ERROR(copy.Finish());    // the rest, as of one moment
#pragma once

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "entry.h"
#include "nimbus/journal/range.h"
#include "replica.h"

namespace nimbus::journal {

class JournalCopy {
 public:
  // May take the body from an entry, and say where it is instead.
  using Filter = std::function<absl::Status(Entry*)>;

  // All outlive it. `progress` is told of records. With a filter bodies that are in
  // archives stay there; without they are read from there, and copied.
  JournalCopy(const Journal& journal, Replica* replica, const ProgressFunction& progress,
              Filter filter = nullptr)
      : journal_(journal),
        replica_(*replica),
        progress_(progress),
        filter_(std::move(filter)),
        entries_(journal, filter_ == nullptr ? EntryReader::Archived::kRead
                                             : EntryReader::Archived::kKeep) {}

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
  const Filter filter_;
  EntryReader entries_;
};

}  // namespace nimbus::journal
