// Recordings of other programs into the journal.
//
//   NIMBUS_ASSIGN_OR_RETURN(const ImportReport report,
//                           ImportFile(*journal, "session.jsonl", {.keep_going = true}));
//   report.events;  // 0: it was all there already
//
// The file is read, parsed and understood whole before the first append. Then
// its records are journaled byte for byte, as a source, and what they tell of
// as sessions, operations and steps beside them. All ids follow from the
// source's own, so that importing a file again adds nothing, importing it when
// it has grown adds what is new, and an import that was killed goes on where it
// stopped. An ImportStarted that no ImportFinished follows is one that did not
// come to its end.
//
// A line format is one source per recording: what is stored must be the
// beginning of the file, or the file the beginning of what is stored. A
// document is a source per content: a later snapshot of it is another, about
// the same operations.
//
// Thread-safe; any number of processes may import the same file at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/id.h"
#include "tools/import/script.h"
#include "tools/import/source.h"

namespace nimbus::tools::import {

struct ImportOptions {
  SourceOptions source;  // keep_going: leave out lines that are no JSON, and record them
  // Called after each append with (records done, records in all).
  std::function<void(uint64_t, uint64_t)> progress;
  // Looked at before each append; true ends the import with Cancelled.
  const std::atomic<bool>* stop = nullptr;
};

struct Gap {
  uint64_t line = 1;
  std::string reason;
};

struct ImportReport {
  std::string format;
  schema::Uuid source;
  std::vector<schema::Uuid> sessions;
  std::vector<schema::Uuid> operations;
  Counts counts;                   // of the whole file, new or not
  uint64_t records = 0;            // of the file
  uint64_t records_before = 0;     // of them, in the journal before
  uint64_t events = 0;             // appended now
  std::vector<Gap> gaps;           // lines left out
  std::vector<std::string> notes;  // what else is odd about the file
};

// NotFound, PermissionDenied, Unavailable: the file. InvalidArgument: not
// something that can be imported (the message names the line, or the formats
// that are known). ResourceExhausted: larger than a limit, or no room in the
// journal. FailedPrecondition: the journal holds another beginning of the same
// recording. Cancelled: stopped; what is journaled is kept and the same call
// goes on from there. Other errors are the journal's. Every message begins with
// the path.
absl::StatusOr<ImportReport> ImportFile(journal::Journal& journal, const std::string& path,
                                        const ImportOptions& options);

// The same for a source already read; its messages leave the name to the caller.
absl::StatusOr<ImportReport> ImportSource(journal::Journal& journal, const Source& source,
                                          const ImportOptions& options);

}  // namespace nimbus::tools::import
