// The live generation of the views: opening or making it, the "views" follower
// thread that projects the journal into it, and read-only connections to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "checkpointer.h"
#include "generations.h"
#include "layout.h"
#include "nimbus/journal/journal.h"
#include "nimbus/projections/database.h"
#include "projector.h"
#include "sqlite.h"

namespace nimbus::projections {

// A generation, open for writing.
struct OpenGeneration {
  Generation files;
  std::unique_ptr<sqlite::Connection> database;
  std::unique_ptr<Projector> projector;  // uses `database`
};

// A generation that is filled beside the live one. Its files go with it, unless it was
// made live.
class Aside {
 public:
  explicit Aside(OpenGeneration generation) : generation_(std::move(generation)) {}
  ~Aside();
  Aside(Aside&& other) noexcept : generation_(std::move(other.generation_)) {
    other.generation_.reset();
  }

  OpenGeneration& operator*() { return *generation_; }
  OpenGeneration* operator->() { return &*generation_; }
  void Keep() { generation_.reset(); }

 private:
  std::optional<OpenGeneration> generation_;
};

// A generation, open for reading.
struct ReadConnection {
  Generation files;
  sqlite::Connection database;
};

inline constexpr int kPageBytes = 16384;  // most rows with their bodies fit one page

class Views {
 public:
  // `journal` outlives the views. Starts the follower unless told not to, or
  // the files can't be written.
  static absl::StatusOr<std::unique_ptr<Views>> Open(journal::Journal* journal,
                                                     const ViewsOptions& options,
                                                     const Layout& layout = ViewsLayout());
  ~Views();
  Views(const Views&) = delete;
  Views& operator=(const Views&) = delete;

  // As Database documents them.
  absl::Status WaitFor(uint64_t sequence, int64_t timeout_ms) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CatchUp(int64_t timeout_ms) ABSL_LOCKS_EXCLUDED(mu_);
  int64_t command_wait_ms() const { return options_.command_wait_ms; }
  absl::StatusOr<ViewsStatus> GetStatus() ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<Quarantined>> GetQuarantine(uint64_t limit) const;
  absl::StatusOr<MigrateReport> Migrate(int version, const MigrateOptions& options);
  absl::StatusOr<RebuildReport> Rebuild();
  absl::StatusOr<VerifyViewsReport> Verify();
  absl::StatusOr<ViewsReport> Inspect(const InspectOptions& options);
  absl::StatusOr<std::vector<std::string>> Query(
      std::string_view sql, const std::atomic<bool>* interrupt,
      const std::function<absl::Status(const QueryRow&)>& take) const;

  // NotFound when there are no views (they are not projected, or deleted).
  absl::StatusOr<ReadConnection> OpenReader() const;
  absl::StatusOr<int> VersionOf(sqlite::Connection* database) const {
    return CurrentVersion(database, layout_.migrations);
  }
  // Whether `files` are still the live generation.
  absl::StatusOr<bool> IsLive(const Generation& files) const;

 private:
  Views(journal::Journal* journal, const ViewsOptions& options, const Layout& layout);

  // The live generation, made anew when it is missing or not this journal's.
  absl::StatusOr<OpenGeneration> OpenLive() ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<OpenGeneration> MakeGeneration(int version);
  absl::StatusOr<OpenGeneration> Attach(Generation files, sqlite::Connection database);

  // Of the follower thread.
  void Follow() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status ProjectAll() ABSL_LOCKS_EXCLUDED(mu_, batch_mu_);
  absl::Status Reattach() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status ProjectInTurn(const BatchLimits& limits) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CheckpointIfLong() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status StartLogOver(int64_t pages) ABSL_LOCKS_EXCLUDED(mu_);
  // True when it ended early because the views are being closed.
  bool Pause(absl::Duration duration) ABSL_LOCKS_EXCLUDED(mu_);
  void Publish(const absl::Status& error) ABSL_LOCKS_EXCLUDED(mu_);
  bool Stopping() ABSL_LOCKS_EXCLUDED(mu_);

  // Of any thread.
  absl::Status PollFor(uint64_t sequence, int64_t timeout_ms) ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<uint64_t> ReadWatermark() const;
  absl::Status CheckQuarantine(uint64_t sequence) const;
  absl::Status RequireWriting() const;
  // The tables of `version` as far as the live ones have got, filled beside them.
  absl::StatusOr<Aside> MakeAside(int version);
  // Fills `fresh` to where the live generation is, and compares the two.
  absl::StatusOr<std::optional<TableDifference>> CompareWithLive(OpenGeneration* fresh,
                                                                 bool common_only);
  absl::Status MigrateUp(int version, const MigrateOptions& options) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status MigrateDown(int version, const MigrateOptions& options);
  absl::Status DropTables(int version);
  absl::StatusOr<int> LiveVersion() const;
  absl::Status FillAndSwitch(Aside* fresh) ABSL_LOCKS_EXCLUDED(mu_, batch_mu_);
  absl::Status Fill(OpenGeneration* fresh, uint64_t end) ABSL_LOCKS_EXCLUDED(mu_);

  // Constant after construction.
  journal::Journal* const journal_;
  const ViewsOptions options_;
  const Layout& layout_;
  const Generations generations_;
  bool projecting_ = false;

  // How far the write-ahead log has been moved into the file, in pages of it.
  struct LogProgress {
    int64_t moved = 0;  // or will be, by a pass that has begun
    int passes = 0;     // since it was as long as it may be
    int64_t tried = 0;  // how long it was when starting it over was last tried
  };

  // The follower thread's own, once it runs.
  std::optional<OpenGeneration> live_;
  std::optional<Generation> damaged_;  // found to be so while it was live
  bool swept_ = false;                 // older generations were removed
  Checkpointer checkpointer_;          // of the live generation
  LogProgress log_;

  absl::Mutex batch_mu_
      ABSL_ACQUIRED_BEFORE(mu_);  // held while a batch is applied, or a switch made
  absl::Mutex mu_;
  ViewsStatus status_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;

  std::thread follower_;
};

}  // namespace nimbus::projections
