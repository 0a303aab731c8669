#include "nimbus/journal/compact.h"

#include <filesystem>
#include <utility>

#include "compaction.h"
#include "internals.h"
#include "nimbus/schema/status.h"
#include "store.h"

namespace nimbus::journal {

absl::StatusOr<std::unique_ptr<Compaction>> Compaction::Begin(Journal* journal) {
  if (Internals::OptionsOf(*journal).read_only) {
    return absl::FailedPreconditionError("the journal is open read-only");
  }
  const Environment& environment = Internals::EnvironmentOf(*journal);
  NIMBUS_ASSIGN_OR_RETURN(NewGeneration made, NewGeneration::Begin(journal->store()));
  NIMBUS_RETURN_IF_ERROR(environment.Follow());
  NIMBUS_RETURN_IF_ERROR(made.Make(environment.generation()->number + 1));
  return std::unique_ptr<Compaction>(new Compaction(journal, std::move(made)));
}

absl::StatusOr<CompactReport> Compaction::Run(const CompactOptions& options,
                                              JournalCopy::Filter filter) {
  const Environment& environment = Internals::EnvironmentOf(journal_);
  report_.generation = made_.number();
  report_.bytes_before = environment.generation()->env->BytesAllocated();
  NIMBUS_ASSIGN_OR_RETURN(next_, Environment::Make(made_.directory(), journal_.id(), {}));
  replica_.emplace(*next_, PackerOptions{.compression_level = options.compression_level});
  JournalCopy copy(journal_, &*replica_, options.progress, std::move(filter));
  NIMBUS_RETURN_IF_ERROR(copy.CatchUp());
  NIMBUS_RETURN_IF_ERROR(Internals::QueueOf(journal_).Exclusively([&] { return Complete(&copy); }));
  RemoveOldGenerations(journal_.store(), made_.number());
  report_.old_removed =
      !std::filesystem::exists(fmt::format("{}/journal-{}", journal_.store(), made_.number() - 1));
  return report_;
}

// While nobody writes. The order of what reaches the disk makes it safe: all of the
// new generation, then that the old one is superseded, then CURRENT.
absl::Status Compaction::Complete(JournalCopy* copy) {
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
                          Wal::Open(made_.directory(), journal_.id(), /*read_only=*/false));
  NIMBUS_RETURN_IF_ERROR(wal->Create());
  NIMBUS_RETURN_IF_ERROR(SyncDirectory(made_.directory()));
  NIMBUS_RETURN_IF_ERROR(SyncDirectory(journal_.store()));
  return Switch();
}

absl::Status Compaction::Switch() {
  const Environment& environment = Internals::EnvironmentOf(journal_);
  const std::shared_ptr<const Generation> old = environment.generation();
  {
    NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, environment.BeginWrite());
    NIMBUS_RETURN_IF_ERROR(environment.Supersede(&txn, made_.number()));
    NIMBUS_RETURN_IF_ERROR(txn.Commit());
  }
  NIMBUS_RETURN_IF_ERROR(environment.Follow());  // names it in CURRENT, too
  old->wal->state()->Wake();                     // followers, who then follow here
  return absl::OkStatus();
}

absl::StatusOr<CompactReport> CompactJournal(Journal* journal, const CompactOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Compaction> next, Compaction::Begin(journal));
  return next->Run(options, [](Entry*) { return absl::OkStatus(); });
}

}  // namespace nimbus::journal
