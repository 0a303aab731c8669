// Moving old bodies out of a journal, into archives beside it.
//
//   PruneOptions options{.before_us = …};
//   NIMBUS_ASSIGN_OR_RETURN(PruneReport report, PruneJournal(journal.get(), options));  // a dry
//   run options.apply = true; NIMBUS_ASSIGN_OR_RETURN(report, PruneJournal(journal.get(),
//   options));
//
// What is moved: the bodies of operations that have ended before the given moment,
// and of the source records that tell of them. The records stay, so no proof
// changes; each body keeps its nonce, and proves itself against its record
// wherever it is. Readers, replay among them, go on reading it as long as the
// archive is in <store>/archives. What is never moved: the bodies of an operation
// that is not over, and of one that an operation which stays names as its parent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/range.h"

namespace nimbus::journal {

struct PruneOptions {
  // One of them: the operation's last record is before this sequence, or was
  // appended, or happened, before this time.
  std::optional<uint64_t> before_sequence;
  std::optional<int64_t> before_us;
  bool apply = false;  // false: say what would be moved
  int compression_level = 9;
  ProgressFunction progress;  // in records
};

struct PruneReport {
  uint64_t operations = 0;  // whose bodies are moved
  uint64_t running = 0;     // that would be, had they ended
  uint64_t referred = 0;    // that would be, did no operation that stays name them
  uint64_t bodies = 0;
  uint64_t plain_bytes = 0;
  std::string archive;  // its path, if there is one now
  uint64_t archive_bytes = 0;
  uint64_t bytes_before = 0, bytes_after = 0;  // of data.mdb, if it was applied
};

// The archive is sealed, and what is in it read back and compared, before the
// journal lets a body go, which it does as in compaction (compact.h), with the
// same errors. Killed at any moment it leaves every body in the journal, or in an
// archive that the journal names.
absl::StatusOr<PruneReport> PruneJournal(Journal* journal, const PruneOptions& options);

// Whether a read failed because an archive is not in its place.
bool IsArchiveAbsent(const absl::Status& status);

// If so, the record whose body that archive holds.
std::optional<uint64_t> AbsentRecord(const absl::Status& status);

}  // namespace nimbus::journal
