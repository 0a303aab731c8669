// A store, opened: the journal, the SQLite views derived from it, the thread
// that keeps them up to date, and what reads and writes through them. The one
// place where these are wired together.
//
//   NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(store, {}));
//   NIMBUS_ASSIGN_OR_RETURN(Written session, database->history().CreateSession({}));
//   NIMBUS_RETURN_IF_ERROR(database->WaitFor(session.sequence, 1000));
//
// Files beside the journal: views-<g>.db (SQLite, WAL), the link views.db to the
// live one of them, and views.lock and views.build, held while that link is decided on
// and while a generation is filled that is not live. All of them may be deleted at any
// time; what they say is in the journal. Several processes may have a store open and
// project it at the same time.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/projections/config.h"
#include "nimbus/projections/credentials.h"
#include "nimbus/projections/history.h"
#include "nimbus/projections/lineage.h"
#include "nimbus/projections/personas.h"
#include "nimbus/projections/plugin_registry.h"
#include "nimbus/projections/plugins.h"
#include "nimbus/projections/tables.h"

namespace nimbus::projections {

inline constexpr int64_t kViewsWaitMs = 30'000;

struct ViewsOptions {
  bool project = true;                 // false: read what others project, start no thread
  size_t batch_records_max = 4096;     // of one SQLite transaction
  size_t batch_bytes_max = 8u << 20;   // of its records and bodies; one record may exceed it
  uint64_t wal_bytes_max = 64u << 20;  // of write-ahead log between checkpoints
  int64_t retry_wait_max_ms = 5000;    // between attempts after an I/O error
  // How long a command that decides by the views waits for them, or for its turn.
  int64_t command_wait_ms = kViewsWaitMs;
};

struct DatabaseOptions {
  // With read_only, all commands that append are FailedPrecondition; the views are
  // still brought up to date if their files can be written.
  journal::Options journal;
  ViewsOptions views;
};

struct ViewsStatus {
  std::string path;             // of the live generation
  int schema_version = 0;       // of its tables
  uint64_t watermark = 0;       // records applied: all below it
  uint64_t quarantined = 0;     // records that could not be applied, see GetQuarantine
  uint64_t unknown_events = 0;  // records of kinds this version does not know, skipped
  bool projecting = false;      // this process keeps them up to date
  absl::Status error;           // why projecting is stuck; it is tried again
  std::string set_aside;        // why the former generation was abandoned at open, or empty
};

struct InspectOptions {
  bool check = false;  // SQLite's integrity_check, and the foreign keys; reads all of the file
};

struct ViewsReport {
  ViewsStatus status;
  uint64_t records = 0;  // of the journal
  std::vector<TableRows> tables;
  uint64_t file_bytes = 0, log_bytes = 0;  // of the live generation and its write-ahead log
  std::string stale;  // why the next to project will build another generation, or empty
  std::vector<std::string> problems;  // that the checks found
};

struct MigrateOptions {
  // Builds the tables from the journal beside the live ones and compares the two, before
  // tables are dropped or others take their place; and afterwards, that those which stay
  // hold what they held.
  bool verify = false;
};

struct MigrateReport {
  int from = 0;
  int to = 0;
  std::vector<TableDigest> tables;  // afterwards; when verified
};

struct RebuildReport {
  std::string path;                           // of the new generation
  std::vector<TableDigest> tables;            // of the new generation, when it was compared
  std::optional<TableDifference> difference;  // the old one had from it
  absl::Status not_compared;                  // why, if it was too damaged for that
};

struct VerifyViewsReport {
  uint64_t watermark = 0;                     // records that were compared: all below it
  std::vector<TableDigest> tables;            // as the journal gives them
  std::optional<TableDifference> difference;  // of the live ones from these

  bool holds() const { return !difference.has_value(); }
};

// A record that could not be applied for a reason in the record itself, or
// because an earlier one of its entity could not.
struct Quarantined {
  uint64_t sequence = 0;
  std::string stream;  // kind and id of the entity
  std::string event;   // its name in events.fbs
  std::string error;
};

class Database {
 public:
  // Opens or, unless options.journal.create is false, makes the store in the
  // directory `store`. Views that are missing, damaged or not this journal's are
  // rebuilt in the background. A journal opened to write gets the built-in rows it
  // lacks (builtins.h). As Journal::Open and Append; also FailedPrecondition when
  // the views were made by a newer Nimbus (the message names both versions).
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& store,
                                                        const DatabaseOptions& options);
  // Stops projecting after the batch in hand; what is missing is applied by the
  // next opener.
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  journal::Journal& journal() { return *journal_; }
  History& history() { return *history_; }
  Personas& personas() { return *personas_; }
  Config& config() { return *config_; }
  Credentials& credentials() { return *credentials_; }
  Lineage& lineage() { return *lineage_; }
  Plugins& plugins() { return *plugins_; }
  PluginRegistry& plugin_registry() { return *plugin_registry_; }

  // Waits until the views contain record `sequence`. DeadlineExceeded after
  // `timeout_ms`; FailedPrecondition when that record is in quarantine; NotFound
  // when there are no views and this process makes none; else why projecting is
  // stuck.
  absl::Status WaitFor(uint64_t sequence, int64_t timeout_ms);

  // WaitFor the last record the journal holds now, but OK if it is in quarantine.
  absl::Status CatchUp(int64_t timeout_ms);

  absl::StatusOr<ViewsStatus> GetViewsStatus();

  // The first `limit` records in quarantine, by sequence.
  absl::StatusOr<std::vector<Quarantined>> GetQuarantine(uint64_t limit = kListingLimitDefault);

  // Makes the tables those of schema `version` (0 to LatestSchemaVersion): going
  // down drops tables in place, one transaction a version; going up builds a new
  // generation beside the live one, filled from the journal, and switches to it.
  // Killed at any moment, the views are at one of the versions on the way, and the
  // same call goes on from there. Appends ViewsMigrated if that changed anything.
  // InvalidArgument for a version that does not exist, FailedPrecondition when the
  // views can't be written or the journal is open read-only; with verify DataLoss when
  // a table is not what the journal says, which migrating would hide.
  absl::StatusOr<MigrateReport> Migrate(int version, const MigrateOptions& options = {});

  // The SQL of such a migration, which makes and drops tables. InvalidArgument for a
  // version that does not exist.
  static absl::StatusOr<std::string> PrintMigration(int from, int to);

  // Builds the views anew from the journal beside the live ones, which serve
  // until the switch, and compares the two. FailedPrecondition when this process can't
  // write them; Aborted when others were made meanwhile, since the live ones were deleted
  // or damaged.
  absl::StatusOr<RebuildReport> Rebuild();

  // Builds them likewise, compares, and leaves the live ones as they are. Errors as
  // Rebuild; also Aborted when they are migrated meanwhile, by a program that does not
  // take turns. Migrate, Rebuild and Verify do, also in several processes: one waits until
  // the other is done.
  absl::StatusOr<VerifyViewsReport> Verify();

  // NotFound when there are no views.
  absl::StatusOr<ViewsReport> Inspect(const InspectOptions& options = {});

  // Runs a query in SQLite's SQL on the live views, hands each row to `take` until that
  // returns an error, and returns the names of the columns. One statement that reads:
  // InvalidArgument for anything else, and for what is no SQL. Cancelled once
  // `*interrupt` is true.
  absl::StatusOr<std::vector<std::string>> Query(
      std::string_view sql, const std::function<absl::Status(const QueryRow&)>& take,
      const std::atomic<bool>* interrupt = nullptr);

  static int LatestSchemaVersion();

 private:
  Database();

  bool read_only_ = false;

  // Destroyed from the last to the first.
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<Views> views_;
  std::unique_ptr<History> history_;
  std::unique_ptr<Personas> personas_;
  std::unique_ptr<Config> config_;
  std::unique_ptr<Credentials> credentials_;
  std::unique_ptr<Lineage> lineage_;
  std::unique_ptr<Plugins> plugins_;
  std::unique_ptr<PluginRegistry> plugin_registry_;
};

}  // namespace nimbus::projections
