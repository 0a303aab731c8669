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
  database->read_only_ = options.journal.read_only;
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
  database->credentials_ = std::make_unique<Credentials>(journal, views);
  database->lineage_ = std::make_unique<Lineage>(views);
  database->plugins_ = std::make_unique<Plugins>(journal, views);
  database->plugin_registry_ = std::make_unique<PluginRegistry>(journal, views);
  return database;
}

absl::Status Database::WaitFor(uint64_t sequence, int64_t timeout_ms) {
  return views_->WaitFor(sequence, timeout_ms);
}

absl::Status Database::CatchUp(int64_t timeout_ms) { return views_->CatchUp(timeout_ms); }

absl::StatusOr<ViewsStatus> Database::GetViewsStatus() { return views_->GetStatus(); }

absl::StatusOr<std::vector<Quarantined>> Database::GetQuarantine(uint64_t limit) {
  return views_->GetQuarantine(limit);
}

absl::StatusOr<MigrateReport> Database::Migrate(int version, const MigrateOptions& options) {
  if (read_only_) {
    return schema::Error(absl::StatusCode::kFailedPrecondition,
                         "the journal is open read-only: migrating is recorded in it");
  }
  NIMBUS_ASSIGN_OR_RETURN(MigrateReport report, views_->Migrate(version, options));
  if (report.from == report.to) return report;
  schema::fb::ViewsMigratedT migrated;
  migrated.from = static_cast<uint32_t>(report.from);
  migrated.to = static_cast<uint32_t>(report.to);
  const schema::Event event =
      MakeEvent(schema::fb::EntityKind::journal, journal_->id(), std::move(migrated));
  NIMBUS_RETURN_IF_ERROR(journal_->Append(event).status());
  return report;
}

absl::StatusOr<std::string> Database::PrintMigration(int from, int to) {
  return projections::PrintMigration(from, to);
}

absl::StatusOr<RebuildReport> Database::Rebuild() { return views_->Rebuild(); }

absl::StatusOr<VerifyViewsReport> Database::Verify() { return views_->Verify(); }

absl::StatusOr<ViewsReport> Database::Inspect(const InspectOptions& options) {
  return views_->Inspect(options);
}

absl::StatusOr<std::vector<std::string>> Database::Query(
    std::string_view sql, const std::function<absl::Status(const QueryRow&)>& take,
    const std::atomic<bool>* interrupt) {
  return views_->Query(sql, interrupt, take);
}

int Database::LatestSchemaVersion() { return LatestMigration(); }

}  // namespace nimbus::projections
