#include "nimbus/journal/compact.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "copy.h"
#include "internals.h"
#include "new_store.h"
#include "nimbus/schema/status.h"
#include "replica.h"
#include "store.h"

namespace nimbus::journal {
namespace {

class Compaction {
 public:
  Compaction(Journal* journal, const CompactOptions& options)
      : journal_(*journal), options_(options) {}

  absl::StatusOr<CompactReport> Run();

 private:
  absl::Status Complete(const NewGeneration& made, JournalCopy* copy);
  absl::Status Switch(const NewGeneration& made);

  Journal& journal_;
  const CompactOptions& options_;
  std::unique_ptr<Environment> next_;  // while it is filled
  std::optional<Replica> replica_;
  CompactReport report_;
};

absl::StatusOr<CompactReport> Compaction::Run() {
  const Environment& environment = Internals::EnvironmentOf(journal_);
  NIMBUS_ASSIGN_OR_RETURN(NewGeneration made, NewGeneration::Begin(journal_.store()));
  NIMBUS_RETURN_IF_ERROR(environment.Follow());
  const uint64_t before = environment.generation()->number;
  NIMBUS_RETURN_IF_ERROR(made.Make(before + 1));
  report_.generation = made.number();
  report_.bytes_before = environment.generation()->env->BytesAllocated();
  NIMBUS_ASSIGN_OR_RETURN(next_, Environment::Make(made.directory(), journal_.id(), {}));
  replica_.emplace(*next_, PackerOptions{.compression_level = options_.compression_level});
  JournalCopy copy(journal_, &*replica_, options_.progress);
  NIMBUS_RETURN_IF_ERROR(copy.CatchUp());
  NIMBUS_RETURN_IF_ERROR(
      Internals::QueueOf(journal_).Exclusively([&] { return Complete(made, &copy); }));
  RemoveOldGenerations(journal_.store(), made.number());
  report_.old_removed =
      !std::filesystem::exists(fmt::format("{}/journal-{}", journal_.store(), before));
  return report_;
}

// While nobody writes. The order of what reaches the disk makes it safe: all of the
// new generation, then that the old one is superseded, then CURRENT.
absl::Status Compaction::Complete(const NewGeneration& made, JournalCopy* copy) {
  NIMBUS_RETURN_IF_ERROR(copy->Finish());
  report_.records = replica_->size();
  {
    NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, next_->BeginWrite());
    NIMBUS_RETURN_IF_ERROR(next_->WriteBasesBegin(&txn, replica_->size()));
    NIMBUS_RETURN_IF_ERROR(txn.Commit());
  }
  report_.bytes_after = next_->generation()->env->BytesAllocated();
  replica_.reset();
  next_.reset();  // whoever follows opens it, also in this process
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Wal> wal,
                          Wal::Open(made.directory(), journal_.id(), /*read_only=*/false));
  NIMBUS_RETURN_IF_ERROR(wal->Create());
  NIMBUS_RETURN_IF_ERROR(SyncDirectory(made.directory()));
  NIMBUS_RETURN_IF_ERROR(SyncDirectory(journal_.store()));
  return Switch(made);
}

absl::Status Compaction::Switch(const NewGeneration& made) {
  const Environment& environment = Internals::EnvironmentOf(journal_);
  const std::shared_ptr<const Generation> old = environment.generation();
  {
    NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, environment.BeginWrite());
    NIMBUS_RETURN_IF_ERROR(environment.Supersede(&txn, made.number()));
    NIMBUS_RETURN_IF_ERROR(txn.Commit());
  }
  NIMBUS_RETURN_IF_ERROR(environment.Follow());  // names it in CURRENT, too
  old->wal->state()->Wake();                     // followers, who then follow here
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CompactReport> CompactJournal(Journal* journal, const CompactOptions& options) {
  if (Internals::OptionsOf(*journal).read_only) {
    return absl::FailedPreconditionError("the journal is open read-only");
  }
  return Compaction(journal, options).Run();
}

}  // namespace nimbus::journal
