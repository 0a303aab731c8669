#include "nimbus/journal/backup.h"

#include <memory>
#include <optional>
#include <utility>

#include "entry.h"
#include "internals.h"
#include "new_store.h"
#include "nimbus/schema/status.h"
#include "replica.h"

namespace nimbus::journal {
namespace {

constexpr uint64_t kReportEvery = 256;  // records
// The last records are copied in one view of the journal, which keeps LMDB from
// using pages again; so only few are left for it, if a few rounds suffice.
constexpr uint64_t kLeftForTheEnd = 2048;
constexpr int kRoundsMax = 16;

class Copy {
 public:
  Copy(const Journal& journal, Replica* replica, const BackupOptions& options)
      : journal_(journal), replica_(*replica), options_(options), entries_(journal) {}

  absl::Status Run();

 private:
  absl::Status CopyUpTo(uint64_t size);

  const Journal& journal_;
  Replica& replica_;
  const BackupOptions& options_;
  EntryReader entries_;
};

absl::Status Copy::CopyUpTo(uint64_t size) {
  while (replica_.size() < size) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Entry> entry, entries_.Next());
    if (!entry.has_value()) return absl::DataLossError("the journal became shorter");
    NIMBUS_RETURN_IF_ERROR(replica_.Append(*entry));
    if (options_.progress && replica_.size() % kReportEvery == 0 &&
        !options_.progress(replica_.size(), size)) {
      return absl::CancelledError("interrupted");
    }
  }
  return absl::OkStatus();
}

absl::Status Copy::Run() {
  const Environment& source = Internals::EnvironmentOf(journal_);
  NIMBUS_RETURN_IF_ERROR(replica_.Begin());
  for (int round = 0; round < kRoundsMax; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal_.Size());
    if (size - replica_.size() <= kLeftForTheEnd) break;
    NIMBUS_RETURN_IF_ERROR(CopyUpTo(size));
  }
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, source.TakeSnapshot());
  NIMBUS_ASSIGN_OR_RETURN(const Frontier frontier, source.FrontierOf(snapshot));
  NIMBUS_RETURN_IF_ERROR(CopyUpTo(snapshot.size()));
  if (replica_.root() != frontier.Root()) {
    return absl::DataLossError("the journal's records do not lead to its root; verify it");
  }
  return replica_.TakeAppendIds(source.TablesOf(snapshot));
}

}  // namespace

absl::StatusOr<BackupReport> BackupJournal(const Journal& journal, const std::string& store,
                                           const BackupOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(NewStore made, NewStore::Begin(store));
  BackupReport report;
  {
    NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Environment> environment,
                            Environment::Make(made.directory(), journal.id(), {}));
    Replica replica(*environment, {.compression_level = options.compression_level});
    NIMBUS_RETURN_IF_ERROR(Copy(journal, &replica, options).Run());
    report = {.records = replica.size(),
              .bodies = replica.bodies(),
              .root = replica.root(),
              .bytes = environment->env().BytesAllocated()};
  }
  NIMBUS_RETURN_IF_ERROR(made.Complete());
  return report;
}

}  // namespace nimbus::journal
