// Whole journals, copied while they are in use.
//
//   NIMBUS_ASSIGN_OR_RETURN(BackupReport report, BackupJournal(*journal, "/backups/today", {}));
//
// A copy is a store itself: of the same journal, with the same records, bodies and
// append ids, as of one size; without views, which follow from the journal. It is
// made record by record: every body is checked against its commitment, frontier,
// tiles, entities and names are made anew from the records, and the root must come
// out as the journal's. What is packed loosely is packed well in the copy.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/range.h"

namespace nimbus::journal {

struct BackupOptions {
  int compression_level = 9;  // zstd
  ProgressFunction progress;  // in records
};

struct BackupReport {
  uint64_t records = 0;  // the copy is as of this size
  uint64_t bodies = 0;
  schema::Digest root{};
  uint64_t bytes = 0;  // of its data.mdb
};

// Copies `journal`, which may be written meanwhile, by any process, to the
// directory `store`: missing, empty, or left by a copy that was cut off, which is
// made anew. It is no store until all of it is on stable storage.
//
// AlreadyExists: there is a store. InvalidArgument: something else is there.
// Unavailable: another copy is made there right now. DataLoss: the journal is
// damaged, at the record named.
absl::StatusOr<BackupReport> BackupJournal(const Journal& journal, const std::string& store,
                                           const BackupOptions& options);

}  // namespace nimbus::journal
