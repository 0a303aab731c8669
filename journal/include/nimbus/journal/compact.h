// Giving back space, while the journal is in use.
//
//   NIMBUS_ASSIGN_OR_RETURN(const CompactReport report, CompactJournal(journal.get(), {}));
//
// A new generation of the journal is made beside the one in use, record by record
// as a backup is (backup.h), takes its place, and the old one is removed when
// nobody has it open any more. Readers and writers, of this process and others, go
// on; they wait only while the last records are copied. Killed at any moment it
// leaves a journal that is whole.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/range.h"

namespace nimbus::journal {

struct CompactOptions {
  int compression_level = 9;  // zstd
  ProgressFunction progress;  // in records
};

struct CompactReport {
  uint64_t records = 0;
  uint64_t generation = 0;                     // the number of the new one
  uint64_t bytes_before = 0, bytes_after = 0;  // of data.mdb
  bool old_removed = false;  // else it is at a later open, by anyone who may write
};

// FailedPrecondition: the journal is read-only. Unavailable: it is being compacted
// by someone else. ResourceExhausted: no room for two generations; the old one is
// as it was. DataLoss: the journal is damaged, at the record named.
absl::StatusOr<CompactReport> CompactJournal(Journal* journal, const CompactOptions& options);

}  // namespace nimbus::journal
