#include "nimbus/projections/database.h"

#include <utility>

#include "migrator.h"
#include "nimbus/projections/builtins.h"
#include "views.h"

namespace nimbus::projections {

Database::Database() = default;
Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& store,
                                                         const DatabaseOptions& options) {
  std::unique_ptr<Database> database(new Database);
  NIMBUS_ASSIGN_OR_RETURN(database->journal_, journal::Journal::Open(store, options.journal));
  if (!options.journal.read_only) {
    NIMBUS_RETURN_IF_ERROR(AppendBuiltins(database->journal_.get()));
  }
  NIMBUS_ASSIGN_OR_RETURN(database->views_, Views::Open(database->journal_.get(), options.views));
  journal::Journal* const journal = database->journal_.get();
  Views* const views = database->views_.get();
  database->history_ = std::make_unique<History>(journal, views);
  database->personas_ = std::make_unique<Personas>(journal, views);
  database->config_ = std::make_unique<Config>(journal, views);
  return database;
}

absl::Status Database::WaitFor(uint64_t sequence, int64_t timeout_ms) {
  return views_->WaitFor(sequence, timeout_ms);
}

absl::Status Database::CatchUp(int64_t timeout_ms) {
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal_->Size());
  if (size == 0) return absl::OkStatus();
  const absl::Status caught_up = views_->WaitFor(size - 1, timeout_ms);
  // That the last record is in quarantine is no reason not to read the others.
  if (!absl::IsFailedPrecondition(caught_up)) return caught_up;
  NIMBUS_ASSIGN_OR_RETURN(const ViewsStatus status, views_->GetStatus());
  return status.watermark >= size ? absl::OkStatus() : caught_up;
}

absl::StatusOr<ViewsStatus> Database::GetViewsStatus() { return views_->GetStatus(); }

absl::StatusOr<std::vector<Quarantined>> Database::GetQuarantine(uint64_t limit) {
  return views_->GetQuarantine(limit);
}

absl::Status Database::Migrate(int version) { return views_->Migrate(version); }

absl::Status Database::Rebuild() { return views_->Rebuild(); }

int Database::LatestSchemaVersion() { return LatestMigration(); }

}  // namespace nimbus::projections
