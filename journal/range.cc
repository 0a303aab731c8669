#include "nimbus/journal/range.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "entry.h"
#include "internals.h"
#include "new_store.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"
#include "range_file.h"
#include "rebuilt.h"
#include "replica.h"
#include "store.h"
#include "tree.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

constexpr uint64_t kReportEvery = 256;  // records
constexpr int kCheckPasses = 2;         // over a file: its digest, its contents

absl::Status CancelledError() { return absl::CancelledError("interrupted"); }

RangeInfo InfoOf(const RangeHeader& header) {
  return {.journal_id = header.journal,
          .from = header.from,
          .to = header.to,
          .root_from = header.root_from,
          .root_to = header.root_to};
}

// What is wrong with the contents of a file whose digest is right was written so.
absl::Status AsForged(const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  return absl::AbortedError(status.message());
}

// The frontier of the environment's journal at `size`.
absl::StatusOr<Frontier> FrontierOf(const Environment& environment, uint64_t size) {
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment.TakeSnapshot());
  return FrontierAt(environment, snapshot, size);
}

// Reads a file through, trusting nothing in it. Memory does not grow with it.
class RangeChecker {
 public:
  // The file is to be read `passes` times in all.
  RangeChecker(RangeReader* file, int passes, const ProgressFunction& progress)
      : file_(*file), bytes_in_all_(passes * file->file_bytes()), progress_(progress) {}

  // That the file is as it was written, and what the roots known from elsewhere say.
  absl::Status CheckFile(const std::optional<schema::Digest>& root_from,
                         const std::optional<schema::Digest>& root_to);

  // Where the rules of entities come into force: at the end of a journal, which
  // must be one of the same records, or at 0.
  struct Start {
    uint64_t held = 0;
    const Environment* environment = nullptr;
  };
  // The records, the bodies and the root; the rules too, given a start for them.
  absl::Status CheckContents(const std::optional<Start>& start);

  uint64_t bodies() const { return bodies_; }

 private:
  absl::Status CheckRecord(const Entry& entry);
  absl::Status CheckHeld(const Start& start, const Frontier& frontier);
  absl::Status Report(uint64_t done);

  RangeReader& file_;
  const uint64_t bytes_in_all_;
  const ProgressFunction& progress_;
  std::optional<Rebuilt> rules_;  // in force once there
  uint64_t bodies_ = 0;
};

absl::Status RangeChecker::Report(uint64_t done) {
  if (!progress_ || progress_(done, bytes_in_all_)) return absl::OkStatus();
  return CancelledError();
}

absl::Status RangeChecker::CheckFile(const std::optional<schema::Digest>& root_from,
                                     const std::optional<schema::Digest>& root_to) {
  NIMBUS_RETURN_IF_ERROR(file_.CheckDigest([&](uint64_t done) { return Report(done).ok(); }));
  const RangeHeader& header = file_.header();
  if (header.from > header.to || header.to == 0) {
    return Error(Code::kAborted, "a range from {} to {} is none", header.from, header.to);
  }
  if (Frontier(header.from, header.subtrees).Root() != header.root_from) {
    return Error(Code::kAborted, "its subtrees do not lead to its root at {}", header.from);
  }
  if (root_from.value_or(header.root_from) != header.root_from) {
    return Error(Code::kAborted, "its root at {} is {}, not the one given", header.from,
                 schema::ToHex(header.root_from));
  }
  if (root_to.value_or(header.root_to) != header.root_to) {
    return Error(Code::kAborted, "its root at {} is {}, not the one given", header.to,
                 schema::ToHex(header.root_to));
  }
  return absl::OkStatus();
}

absl::Status RangeChecker::CheckHeld(const Start& start, const Frontier& frontier) {
  rules_.emplace();
  NIMBUS_RETURN_IF_ERROR(rules_->Open(Options().map_bytes));
  if (start.environment == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, start.environment->BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(const Head head, start.environment->ReadHead(txn));
  if (head.size() != start.held) {
    return Error(Code::kAborted, "the journal has grown to {} records meanwhile", head.size());
  }
  if (head.frontier.Root() != frontier.Root()) {
    return Error(Code::kAborted, "the journal's first {} records are not those of the file",
                 start.held);
  }
  return rules_->CopyFrom(txn, start.environment->tables().entity);
}

absl::Status RangeChecker::CheckRecord(const Entry& entry) {
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Record* record, CheckEntry(entry));
  if (entry.sequence == 0) NIMBUS_RETURN_IF_ERROR(CheckGenesis(*record, file_.header().journal));
  if (!rules_.has_value()) return absl::OkStatus();
  NIMBUS_RETURN_IF_ERROR(rules_->FlushIfFull());
  const absl::StatusOr<Placement> placement = rules_->Apply(*record, entry.sequence);
  if (!placement.ok()) {
    if (!IsRefusal(placement.status())) return placement.status();
    return Error(Code::kDataLoss, "record {}: the rules refuse it: {}", entry.sequence,
                 placement.status().ToString());
  }
  return CheckPlacement(*record->envelope(), *placement);
}

absl::Status RangeChecker::CheckContents(const std::optional<Start>& start) {
  Frontier frontier(file_.header().from, file_.header().subtrees);
  for (;;) {
    if (start.has_value() && frontier.size() == start->held) {
      NIMBUS_RETURN_IF_ERROR(CheckHeld(*start, frontier));
    }
    const absl::StatusOr<std::optional<Entry>> entry = file_.Next();
    if (!entry.ok()) return AsForged(entry.status());
    if (!entry->has_value()) break;
    NIMBUS_RETURN_IF_ERROR(AsForged(CheckRecord(**entry)));
    if ((*entry)->body.has_value()) ++bodies_;
    frontier.Append(LeafHashOf((*entry)->record));
    if (frontier.size() % kReportEvery == 0) {
      NIMBUS_RETURN_IF_ERROR(Report(file_.file_bytes() + file_.position()));
    }
  }
  if (frontier.Root() == file_.header().root_to) return absl::OkStatus();
  return Error(Code::kAborted, "its records do not lead to its root at {}", file_.header().to);
}

}  // namespace

absl::StatusOr<RangeInfo> ExportRange(
    const Journal& journal, const ExportOptions& options,
    const std::function<absl::Status(std::span<const uint8_t>)>& write) {
  const Environment& environment = Internals::EnvironmentOf(journal);
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal.Size());
  const uint64_t to = options.to.value_or(size);
  if (options.from > to || to > size || to == 0) {
    return Error(Code::kOutOfRange, "no records {} to {}: the journal ends at {}", options.from, to,
                 size);
  }
  NIMBUS_ASSIGN_OR_RETURN(Frontier frontier, FrontierOf(environment, options.from));
  NIMBUS_ASSIGN_OR_RETURN(const Frontier end, FrontierOf(environment, to));
  const RangeHeader header{.journal = journal.id(),
                           .from = options.from,
                           .to = to,
                           .root_from = frontier.Root(),
                           .root_to = end.Root(),
                           .subtrees = frontier.subtrees()};
  RangeInfo info = InfoOf(header);
  RangeWriter file(write, options.compression_level);
  NIMBUS_RETURN_IF_ERROR(file.Begin(header));
  EntryReader entries(journal);
  entries.Seek(options.from);
  while (frontier.size() < to) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Entry> entry, entries.Next());
    if (!entry.has_value()) return absl::DataLossError("the journal became shorter");
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Record* record, CheckEntry(*entry));
    frontier.Append(LeafHashOf(entry->record));
    NIMBUS_RETURN_IF_ERROR(file.Add(*record->envelope(), *entry));
    if (entry->body.has_value()) ++info.bodies;
    if (options.progress && frontier.size() % kReportEvery == 0 &&
        !options.progress(frontier.size() - options.from, to - options.from)) {
      return CancelledError();
    }
  }
  if (frontier.Root() != header.root_to) {
    return absl::DataLossError("the journal's records do not lead to its root; verify it");
  }
  NIMBUS_RETURN_IF_ERROR(file.Finish());
  info.file_bytes = file.bytes();
  return info;
}

absl::StatusOr<RangeInfo> CheckRange(const std::string& path, const CheckOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<RangeReader> file, RangeReader::Open(path));
  RangeChecker checker(file.get(), kCheckPasses, options.progress);
  NIMBUS_RETURN_IF_ERROR(checker.CheckFile(options.root_from, options.root_to));
  std::optional<RangeChecker::Start> start;
  if (file->header().from == 0) start.emplace();
  NIMBUS_RETURN_IF_ERROR(checker.CheckContents(start));
  RangeInfo info = InfoOf(file->header());
  info.bodies = checker.bodies();
  info.file_bytes = file->file_bytes();
  return info;
}

namespace {

// The entries of a checked file from the end of the environment's journal on.
absl::StatusOr<uint64_t> Append(RangeReader* file, const Environment& environment,
                                const ImportOptions& options) {
  Replica replica(environment, {.compression_level = options.compression_level});
  NIMBUS_RETURN_IF_ERROR(replica.Begin());
  const uint64_t held = replica.size();
  file->Rewind();
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Entry> entry, file->Next());
    if (!entry.has_value()) break;
    if (entry->sequence < held) continue;
    NIMBUS_RETURN_IF_ERROR(replica.Append(*entry));
    if (options.progress && entry->sequence % kReportEvery == 0 &&
        !options.progress(kCheckPasses * file->file_bytes() + file->position(),
                          (kCheckPasses + 1) * file->file_bytes())) {
      return CancelledError();
    }
  }
  if (replica.root() != file->header().root_to) {
    return absl::AbortedError("the file was changed while it was imported");
  }
  NIMBUS_RETURN_IF_ERROR(replica.Commit());
  return replica.size() - held;
}

absl::StatusOr<ImportedRange> ImportToNew(RangeReader* file, RangeChecker* checker,
                                          const std::string& store, const ImportOptions& options) {
  const RangeHeader& header = file->header();
  if (header.from != 0) {
    return Error(Code::kFailedPrecondition,
                 "{}: no store there, and the range begins at record {}, not at 0", store,
                 header.from);
  }
  NIMBUS_RETURN_IF_ERROR(checker->CheckContents(RangeChecker::Start{}));
  ImportedRange imported{.range = InfoOf(header), .created = true};
  NIMBUS_ASSIGN_OR_RETURN(NewStore made, NewStore::Begin(store));
  {
    NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Environment> environment,
                            Environment::Make(made.directory(), header.journal, {}));
    NIMBUS_ASSIGN_OR_RETURN(imported.imported, Append(file, *environment, options));
  }
  NIMBUS_RETURN_IF_ERROR(made.Complete());
  return imported;
}

absl::StatusOr<ImportedRange> ImportToExisting(RangeReader* file, RangeChecker* checker,
                                               const std::string& store,
                                               const ImportOptions& options) {
  const RangeHeader& header = file->header();
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal,
                          Journal::Open(store, {.create = false}));
  NIMBUS_RETURN_IF_ERROR(journal->ApplyLog());  // the rules are tried on LMDB's tables
  const Environment& environment = Internals::EnvironmentOf(*journal);
  if (journal->id() != header.journal) {
    return Error(Code::kFailedPrecondition, "{} holds journal {}; the range is of {}", store,
                 journal->id().ToString(), header.journal.ToString());
  }
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal->Size());
  if (size < header.from) {
    return Error(Code::kFailedPrecondition,
                 "the journal ends at record {}; the range begins behind it, at {}", size,
                 header.from);
  }
  NIMBUS_ASSIGN_OR_RETURN(const Frontier begin, FrontierOf(environment, header.from));
  if (begin.Root() != header.root_from) {
    return Error(Code::kAborted, "the journal's first {} records are not those the range extends",
                 header.from);
  }
  ImportedRange imported{.range = InfoOf(header)};
  if (size < header.to) {
    NIMBUS_RETURN_IF_ERROR(
        checker->CheckContents(RangeChecker::Start{.held = size, .environment = &environment}));
    const auto append = [&]() -> absl::Status {
      NIMBUS_ASSIGN_OR_RETURN(imported.imported, Append(file, environment, options));
      return absl::OkStatus();
    };
    NIMBUS_RETURN_IF_ERROR(Internals::QueueOf(*journal).Exclusively(append));
  } else {
    NIMBUS_RETURN_IF_ERROR(checker->CheckContents(std::nullopt));
    NIMBUS_ASSIGN_OR_RETURN(const Frontier end, FrontierOf(environment, header.to));
    if (end.Root() != header.root_to) {
      return Error(Code::kAborted, "the journal's first {} records are not those of the file",
                   header.to);
    }
  }
  imported.held = header.to - header.from - imported.imported;
  return imported;
}

}  // namespace

absl::StatusOr<ImportedRange> ImportRange(const std::string& path, const std::string& store,
                                          const ImportOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<RangeReader> file, RangeReader::Open(path));
  RangeChecker checker(file.get(), kCheckPasses + 1, options.progress);
  NIMBUS_RETURN_IF_ERROR(checker.CheckFile(std::nullopt, options.root_to));
  const absl::Status found = FindStore(store).status();
  if (!found.ok() && !absl::IsNotFound(found)) return found;
  absl::StatusOr<ImportedRange> imported =
      found.ok() ? ImportToExisting(file.get(), &checker, store, options)
                 : ImportToNew(file.get(), &checker, store, options);
  if (!imported.ok()) return imported;
  imported->range.bodies = checker.bodies();
  imported->range.file_bytes = file->file_bytes();
  return imported;
}

}  // namespace nimbus::journal
