// A range of a journal's records in one file that proves itself, to be carried
// elsewhere: incremental backups, replicas, evidence.
//
//   ExportRange(*journal, {.from = 1000}, write);            // records 1000 to the end
//   StatusOr<RangeInfo> info = CheckRange(path, {});         // the file alone
//   StatusOr<RangeInfo> info = ImportRange(path, store, {}); // behind what the store holds
//
// From the subtree roots of the records before `from`, which the file carries,
// and the records' own bytes follows the root at `to` (RFC 6962): the file proves
// that its records are the leaves [from, to) of the tree of that root, and that
// this tree extends the one of the root at `from`. Whoever has either root from
// elsewhere need trust nothing else. Every body is checked against the
// commitment in its record.
//
// What is in the file: journal/FORMAT.md. Bounded memory. Thread-safe, each call
// by itself.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"

namespace nimbus::journal {

// Told now and then how much is done, of how much; false ends the work with Cancelled.
using ProgressFunction = std::function<bool(uint64_t done, uint64_t total)>;

struct RangeInfo {
  schema::Uuid journal_id;
  uint64_t from = 0;
  uint64_t to = 0;             // also the size of the tree
  schema::Digest root_from{};  // of the first `from` records; of none, SHA-256("")
  schema::Digest root_to{};
  uint64_t bodies = 0;
  uint64_t file_bytes = 0;
};

struct ExportOptions {
  uint64_t from = 0;
  std::optional<uint64_t> to;  // the end of the journal
  int compression_level = 9;   // zstd
  ProgressFunction progress;   // in records
};

// Hands the bytes of the file to `write`, in order; its error is returned.
// OutOfRange: the journal has no such records. DataLoss: it is damaged.
absl::StatusOr<RangeInfo> ExportRange(
    const Journal& journal, const ExportOptions& options,
    const std::function<absl::Status(std::span<const uint8_t>)>& write);

struct CheckOptions {
  // What the roots are known to be from elsewhere.
  std::optional<schema::Digest> root_from, root_to;
  ProgressFunction progress;  // in bytes
};

// Reads all of the file and recomputes what it claims. With from = 0 the rules of
// entities are applied too, so that nothing is left that `journal verify` would
// find in a store made of it. Append ids are not in it.
//
// InvalidArgument: no such file. DataLoss: cut off, or changed since it was
// written. Aborted: whole, and proven wrong. Unimplemented: of a newer format.
absl::StatusOr<RangeInfo> CheckRange(const std::string& path, const CheckOptions& options);

struct ImportOptions {
  int compression_level = 9;
  std::optional<schema::Digest> root_to;
  ProgressFunction progress;  // in bytes
};

struct ImportedRange {
  RangeInfo range;
  bool created = false;   // the store was made
  uint64_t held = 0;      // of the file's records, those the store had already
  uint64_t imported = 0;  // records
};

// Appends the range, byte for byte and at the same sequences, to the journal of
// the store directory, which is made if there is none and the range begins at
// 0. What the store holds of the range already is compared and left. All of the
// file is checked before anything is written. A store that is new is complete or
// not there; to one that is there, whole batches are appended, and an import
// that was cut off goes on where it stopped.
//
// As CheckRange, and: FailedPrecondition: the range begins behind the end of the
// journal, or belongs to another one. Aborted: the journal holds other records,
// or has grown meanwhile.
absl::StatusOr<ImportedRange> ImportRange(const std::string& path, const std::string& store,
                                          const ImportOptions& options);

}  // namespace nimbus::journal
