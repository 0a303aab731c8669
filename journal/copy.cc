#include "copy.h"

#include <optional>

#include "internals.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

constexpr uint64_t kReportEvery = 256;  // records
// The last records are copied in one view of the journal, which keeps LMDB from
// using pages again, or while nobody may write; so only few are left for it, if a
// few rounds suffice.
constexpr uint64_t kLeftForTheEnd = 2048;
constexpr int kRoundsMax = 16;

}  // namespace

absl::Status JournalCopy::CopyUpTo(uint64_t size) {
  while (replica_.size() < size) {
    NIMBUS_ASSIGN_OR_RETURN(std::optional<Entry> entry, entries_.Next());
    if (!entry.has_value()) return absl::DataLossError("the journal became shorter");
    if (filter_) NIMBUS_RETURN_IF_ERROR(filter_(&*entry));
    NIMBUS_RETURN_IF_ERROR(replica_.Append(*entry));
    if (progress_ && replica_.size() % kReportEvery == 0 && !progress_(replica_.size(), size)) {
      return absl::CancelledError("interrupted");
    }
  }
  return absl::OkStatus();
}

absl::Status JournalCopy::CatchUp() {
  NIMBUS_RETURN_IF_ERROR(replica_.Begin());
  for (int round = 0; round < kRoundsMax; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal_.Size());
    if (size - replica_.size() <= kLeftForTheEnd) break;
    NIMBUS_RETURN_IF_ERROR(CopyUpTo(size));
  }
  return absl::OkStatus();
}

absl::Status JournalCopy::Finish() {
  const Environment& source = Internals::EnvironmentOf(journal_);
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, source.TakeSnapshot());
  NIMBUS_ASSIGN_OR_RETURN(const Frontier frontier, source.FrontierOf(snapshot));
  NIMBUS_RETURN_IF_ERROR(CopyUpTo(snapshot.size()));
  if (replica_.root() != frontier.Root()) {
    return absl::DataLossError("the journal's records do not lead to its root; verify it");
  }
  return replica_.TakeAppendIds(source.TablesOf(snapshot));
}

}  // namespace nimbus::journal
