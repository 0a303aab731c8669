// The way back: the records of imported sources, as they were.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/id.h"
#include "tools/import/stored.h"

namespace nimbus::tools::import {

struct SourceInfo {
  schema::Uuid id;
  std::string format, key;
  uint64_t records = 0;
  bool finished = false;                 // else an import of it was interrupted
  std::vector<schema::Uuid> operations;  // that its records tell of, each once
};

// Every source of the journal, in the order of their ids. Reads all they hold.
absl::StatusOr<std::vector<SourceInfo>> ListSources(const journal::Journal& journal);

// Gives each record of the source to `sink`, in order and byte for byte. Lines
// come without their line ends, a document as the one record it is. Returns how
// many; NotFound when there is no such source; the error of `sink` ends it.
absl::StatusOr<uint64_t> ExportOriginal(const journal::Journal& journal, const schema::Uuid& source,
                                        const RecordSink& sink);

}  // namespace nimbus::tools::import
