// Changing the live generation: migrating it in place, or filling another beside it and
// switching; and comparing what it holds with what the journal says.
#include <unistd.h>

#include <utility>

#include "digest.h"
#include "migrator.h"
#include "views.h"

namespace nimbus::projections {
namespace {

using schema::Error;
using sqlite::Connection;
using Code = absl::StatusCode;

constexpr int kMigratorBusyMs = 10'000;
constexpr std::string_view kViewsName = "the views", kJournalName = "the journal";

absl::StatusOr<uint64_t> WatermarkOf(Connection* database) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Bookmark> bookmark, ReadBookmark(database));
  if (!bookmark) return Error(Code::kDataLoss, "the views have lost their watermark");
  return bookmark->watermark;
}

absl::Status Differ(const TableDifference& difference, std::string_view consequence) {
  return Error(Code::kDataLoss, "the views are not what the journal says: {}; {}",
               difference.ToString(), consequence);
}

absl::StatusOr<std::vector<TableDigest>> DigestsOf(Connection* database) {
  NIMBUS_ASSIGN_OR_RETURN(const sqlite::Snapshot snapshot, sqlite::Snapshot::Begin(database));
  return DigestTables(database);
}

}  // namespace

Aside::~Aside() {
  if (!generation_) return;
  const std::string path = generation_->files.path;
  generation_.reset();
  for (const char* suffix : {"", "-wal", "-shm"}) unlink((path + suffix).c_str());
}

absl::Status Views::RequireWriting() const {
  if (projecting_) return absl::OkStatus();
  return Error(Code::kFailedPrecondition, "this process can't write the views");
}

absl::StatusOr<int> Views::LiveVersion() const {
  NIMBUS_ASSIGN_OR_RETURN(ReadConnection reader, OpenReader());
  return VersionOf(&reader.database);
}

absl::StatusOr<Aside> Views::MakeAside(int version) {
  NIMBUS_ASSIGN_OR_RETURN(const FileLock lock, generations_.Lock());
  NIMBUS_ASSIGN_OR_RETURN(OpenGeneration made, MakeGeneration(version));
  return Aside(std::move(made));
}

absl::StatusOr<std::optional<TableDifference>> Views::CompareWithLive(OpenGeneration* fresh,
                                                                      bool common_only) {
  NIMBUS_ASSIGN_OR_RETURN(ReadConnection live, OpenReader());
  // Most of the way before the moment that is compared, so that it does not keep the
  // live generation's log from starting over for long.
  NIMBUS_ASSIGN_OR_RETURN(uint64_t watermark, WatermarkOf(&live.database));
  NIMBUS_RETURN_IF_ERROR(Fill(fresh, watermark));
  NIMBUS_ASSIGN_OR_RETURN(const sqlite::Snapshot snapshot, sqlite::Snapshot::Begin(&live.database));
  NIMBUS_ASSIGN_OR_RETURN(const int version, VersionOf(&live.database));
  NIMBUS_ASSIGN_OR_RETURN(const int fresh_version, VersionOf(fresh->database.get()));
  if (!common_only && version != fresh_version) {
    return Error(Code::kAborted, "another process has migrated the views to version {} meanwhile",
                 version);
  }
  NIMBUS_ASSIGN_OR_RETURN(watermark, WatermarkOf(&live.database));
  NIMBUS_RETURN_IF_ERROR(Fill(fresh, watermark));
  return CompareTables(&live.database, fresh->database.get(),
                       {.common_only = common_only, .a_name = kViewsName, .b_name = kJournalName});
}

absl::Status Views::Fill(OpenGeneration* fresh, uint64_t end) {
  const BatchLimits limits{
      .records_max = options_.batch_records_max, .bytes_max = options_.batch_bytes_max, .end = end};
  for (;;) {
    if (Stopping()) return Error(Code::kCancelled, "the store is being closed");
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t applied, fresh->projector->ProjectBatch(limits));
    if (applied == 0) return absl::OkStatus();
    if (fresh->database->wal_pages() * kPageBytes < static_cast<int64_t>(options_.wal_bytes_max)) {
      continue;
    }
    NIMBUS_RETURN_IF_ERROR(
        fresh->database->Checkpoint(Connection::CheckpointMode::kPassive).status());
  }
}

absl::Status Views::FillAndSwitch(Aside* fresh) {
  NIMBUS_RETURN_IF_ERROR(Fill(&**fresh, UINT64_MAX));
  {
    // Once more while the follower stands still, so that what WaitFor has promised
    // of the old generation holds for the new one.
    absl::MutexLock batch_lock(&batch_mu_);
    NIMBUS_ASSIGN_OR_RETURN(const FileLock lock, generations_.Lock());
    NIMBUS_RETURN_IF_ERROR(Fill(&**fresh, UINT64_MAX));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Generation> live, generations_.Live());
    if (live && live->number > (*fresh)->files.number) {
      return Error(Code::kAborted, "another process has rebuilt the views meanwhile");
    }
    NIMBUS_RETURN_IF_ERROR(generations_.MakeLive((*fresh)->files));
    fresh->Keep();
  }
  journal_->Wake();  // the follower sees that the link has changed
  return absl::OkStatus();
}

absl::StatusOr<MigrateReport> Views::Migrate(int version, const MigrateOptions& options) {
  NIMBUS_RETURN_IF_ERROR(PrintMigration(0, version).status());  // that there is such a version
  NIMBUS_RETURN_IF_ERROR(RequireWriting());
  NIMBUS_ASSIGN_OR_RETURN(const FileLock building, generations_.LockBuilding());
  const absl::StatusOr<int> current = LiveVersion();
  // Without views, what is missing is made at once as it is asked for.
  if (!absl::IsNotFound(current.status())) NIMBUS_RETURN_IF_ERROR(current.status());
  MigrateReport report{.from = current.value_or(0), .to = version};
  if (version > report.from || !current.ok()) {
    NIMBUS_RETURN_IF_ERROR(MigrateUp(version, {.verify = options.verify && current.ok()}));
  } else if (version < report.from) {
    NIMBUS_RETURN_IF_ERROR(MigrateDown(version, options));
  }
  if (!options.verify) return report;
  NIMBUS_ASSIGN_OR_RETURN(ReadConnection reader, OpenReader());
  NIMBUS_ASSIGN_OR_RETURN(report.tables, DigestsOf(&reader.database));
  return report;
}

absl::Status Views::MigrateUp(int version, const MigrateOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(Aside fresh, MakeAside(version));
  if (options.verify) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<TableDifference> difference,
                            CompareWithLive(&*fresh, /*common_only=*/true));
    if (difference) return Differ(*difference, "nothing was migrated");
  }
  return FillAndSwitch(&fresh);
}

absl::Status Views::MigrateDown(int version, const MigrateOptions& options) {
  if (!options.verify) return DropTables(version);
  // What is about to be dropped is what the journal will give back.
  NIMBUS_ASSIGN_OR_RETURN(const int current, LiveVersion());
  NIMBUS_ASSIGN_OR_RETURN(Aside fresh, MakeAside(current));
  NIMBUS_ASSIGN_OR_RETURN(std::optional<TableDifference> difference,
                          CompareWithLive(&*fresh, /*common_only=*/false));
  if (difference) return Differ(*difference, "nothing was migrated");
  NIMBUS_RETURN_IF_ERROR(DropTables(version));
  NIMBUS_ASSIGN_OR_RETURN(difference, CompareWithLive(&*fresh, /*common_only=*/true));
  if (difference) return Differ(*difference, "the views were migrated");
  return absl::OkStatus();
}

// In place, one version after another.
absl::Status Views::DropTables(int version) {
  NIMBUS_ASSIGN_OR_RETURN(const FileLock lock, generations_.Lock());
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Generation> live, generations_.Live());
  if (!live) return Error(Code::kAborted, "the views were deleted meanwhile");
  NIMBUS_ASSIGN_OR_RETURN(Connection database,
                          Connection::Open(live->path, {.mode = Connection::Mode::kReadWrite,
                                                        .busy_timeout_ms = kMigratorBusyMs}));
  NIMBUS_ASSIGN_OR_RETURN(const int current, VersionOf(&database));
  if (version >= current) return absl::OkStatus();
  return projections::Migrate(&database, version, layout_.migrations);
}

absl::StatusOr<RebuildReport> Views::Rebuild() {
  NIMBUS_RETURN_IF_ERROR(RequireWriting());
  NIMBUS_ASSIGN_OR_RETURN(const FileLock building, generations_.LockBuilding());
  NIMBUS_ASSIGN_OR_RETURN(const int version, LiveVersion());
  NIMBUS_ASSIGN_OR_RETURN(Aside fresh, MakeAside(version));
  RebuildReport report{.path = fresh->files.path};
  absl::StatusOr<std::optional<TableDifference>> compared =
      CompareWithLive(&*fresh, /*common_only=*/false);
  if (compared.ok()) {
    report.difference = *std::move(compared);
  } else if (sqlite::IsSqliteError(compared.status()) || absl::IsDataLoss(compared.status())) {
    report.not_compared = compared.status();  // a reason to rebuild, not one to stop
  } else {
    return std::move(compared).status();
  }
  NIMBUS_ASSIGN_OR_RETURN(report.tables, DigestsOf(fresh->database.get()));
  NIMBUS_RETURN_IF_ERROR(FillAndSwitch(&fresh));
  return report;
}

absl::StatusOr<VerifyViewsReport> Views::Verify() {
  NIMBUS_RETURN_IF_ERROR(RequireWriting());
  NIMBUS_ASSIGN_OR_RETURN(const FileLock building, generations_.LockBuilding());
  NIMBUS_ASSIGN_OR_RETURN(const int version, LiveVersion());
  NIMBUS_ASSIGN_OR_RETURN(Aside fresh, MakeAside(version));
  VerifyViewsReport report;
  NIMBUS_ASSIGN_OR_RETURN(report.difference, CompareWithLive(&*fresh, /*common_only=*/false));
  report.watermark = fresh->projector->watermark();
  NIMBUS_ASSIGN_OR_RETURN(report.tables, DigestsOf(fresh->database.get()));
  return report;
}

}  // namespace nimbus::projections
