#include "nimbus/journal/backup.h"

#include <memory>

#include "copy.h"
#include "new_store.h"
#include "nimbus/schema/status.h"
#include "replica.h"

namespace nimbus::journal {

absl::StatusOr<BackupReport> BackupJournal(const Journal& journal, const std::string& store,
                                           const BackupOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(NewStore made, NewStore::Begin(store));
  BackupReport report;
  {
    NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Environment> environment,
                            Environment::Make(made.directory(), journal.id(), {}));
    Replica replica(*environment, {.compression_level = options.compression_level});
    JournalCopy copy(journal, &replica, options.progress);
    NIMBUS_RETURN_IF_ERROR(copy.CatchUp());
    NIMBUS_RETURN_IF_ERROR(copy.Finish());
    report = {.records = replica.size(),
              .bodies = replica.bodies(),
              .root = replica.root(),
              .bytes = environment->generation()->env->BytesAllocated()};
  }
  NIMBUS_RETURN_IF_ERROR(made.Complete());
  return report;
}

}  // namespace nimbus::journal
