#include "views.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/time/time.h"
#include "migrator.h"

namespace nimbus::projections {
namespace {

using schema::Error;
using sqlite::Connection;

constexpr int kProjectorBusyMs = 100;  // short, so that closing is quick
constexpr int64_t kRetryWaitMinMs = 10;
constexpr int64_t kIdleWaitMs = 1000;  // between looks at whether the files were replaced
constexpr int64_t kPollMs = 10;        // for the work of other processes
constexpr int64_t kTurnPollUs = 250;   // for another process to let go of the views
constexpr uint64_t kCheckpointStepBytes = 4u << 20;    // of log, moved in one pass
constexpr uint64_t kCheckpointRestBytes = 512u << 10;  // of log, moved between two batches
constexpr int64_t kRestartWaitMs = 5;                  // for others, who can't write meanwhile
constexpr int kCheckpointAheadShare = 8;               // of the limit, written during a pass
constexpr int kCheckpointPassesMax = 4;                // before the rest is moved, however much

int64_t PagesOf(uint64_t bytes) { return static_cast<int64_t>(bytes / kPageBytes); }

// What holds for every connection that writes. Durable after a power cut only
// as far as the last checkpoint, but whole: rows and watermark stay together.
absl::Status PrepareForWriting(Connection* database) {
  database->CheckpointByHand();
  return database->Execute(
      "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -32768; "
      "PRAGMA journal_size_limit = 67108864;");
}

bool IsDamage(const absl::Status& status) {
  return status.code() == absl::StatusCode::kDataLoss && sqlite::IsSqliteError(status);
}

int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

absl::Status Late(uint64_t sequence, uint64_t watermark, int64_t timeout_ms) {
  return Error(absl::StatusCode::kDeadlineExceeded,
               "the views hold the records below {}, not yet {}, after {} ms", watermark, sequence,
               timeout_ms);
}

}  // namespace

Views::Views(journal::Journal* journal, const ViewsOptions& options, const Layout& layout)
    : journal_(journal),
      options_(options),
      layout_(layout),
      generations_(journal->store(), layout.name) {}

absl::StatusOr<std::unique_ptr<Views>> Views::Open(journal::Journal* journal,
                                                   const ViewsOptions& options,
                                                   const Layout& layout) {
  std::unique_ptr<Views> views(new Views(journal, options, layout));
  if (!options.project) return views;
  absl::StatusOr<OpenGeneration> live = views->OpenLive();
  if (live.ok()) {
    views->live_ = *std::move(live);
  } else if (live.status().code() == absl::StatusCode::kPermissionDenied) {
    return views;  // serves what is there
  } else if (live.status().code() == absl::StatusCode::kFailedPrecondition) {
    return std::move(live).status();
  } else {
    views->Publish(live.status());  // the journal is fine: the follower tries again
  }
  views->projecting_ = true;
  views->follower_ = std::thread([raw = views.get()] { raw->Follow(); });
  return views;
}

Views::~Views() {
  if (!follower_.joinable()) return;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    // A wake-up that comes before the follower begins to wait is lost: repeat.
    const auto stopped = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopped_; };
    do {
      journal_->Wake();
    } while (!mu_.AwaitWithTimeout(absl::Condition(&stopped), absl::Milliseconds(10)));
  }
  follower_.join();
}

absl::StatusOr<OpenGeneration> Views::Attach(Generation files, Connection database) {
  OpenGeneration open{.files = std::move(files),
                      .database = std::make_unique<Connection>(std::move(database)),
                      .projector = nullptr};
  NIMBUS_RETURN_IF_ERROR(PrepareForWriting(open.database.get()));
  NIMBUS_ASSIGN_OR_RETURN(open.projector,
                          Projector::Create(open.database.get(), journal_, layout_));
  return open;
}

absl::StatusOr<OpenGeneration> Views::OpenLive() {
  NIMBUS_ASSIGN_OR_RETURN(const FileLock lock, generations_.Lock());
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Generation> live, generations_.Live());
  if (live && live != damaged_) {
    absl::StatusOr<Connection> database = Connection::Open(
        live->path, {.mode = Connection::Mode::kReadWrite, .busy_timeout_ms = kProjectorBusyMs});
    NIMBUS_RETURN_IF_ERROR(database.status());
    absl::StatusOr<std::string> why_not = WhyNotOf(&*database, *journal_, layout_);
    if (IsDamage(why_not.status())) why_not = why_not.status().ToString();
    NIMBUS_RETURN_IF_ERROR(why_not.status());
    if (why_not->empty()) return Attach(*live, *std::move(database));
    absl::MutexLock mutex_lock(&mu_);
    status_.set_aside = fmt::format("{}: {}", live->path, *why_not);
  }
  NIMBUS_ASSIGN_OR_RETURN(OpenGeneration made, MakeGeneration(LatestMigration(layout_.migrations)));
  NIMBUS_RETURN_IF_ERROR(generations_.MakeLive(made.files));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Generation> now_live, generations_.Live());
  if (!now_live) return Error(absl::StatusCode::kUnavailable, "{} is gone", made.files.path);
  made.files = *now_live;
  return made;
}

// An empty generation, not yet live. Requires the lock.
absl::StatusOr<OpenGeneration> Views::MakeGeneration(int version) {
  NIMBUS_ASSIGN_OR_RETURN(Generation files, generations_.Next());
  NIMBUS_ASSIGN_OR_RETURN(Connection database,
                          Connection::Open(files.path, {.mode = Connection::Mode::kCreate,
                                                        .busy_timeout_ms = kProjectorBusyMs}));
  NIMBUS_RETURN_IF_ERROR(database.Execute(
      fmt::format("PRAGMA page_size = {}; PRAGMA journal_mode = WAL;", kPageBytes)));
  NIMBUS_RETURN_IF_ERROR(projections::Migrate(&database, version, layout_.migrations));
  NIMBUS_RETURN_IF_ERROR(CreateBookkeeping(&database, journal_->id(), layout_.projector_version));
  return Attach(std::move(files), std::move(database));
}

// The follower thread.

void Views::Follow() {
  int64_t wait_ms = kRetryWaitMinMs;
  while (!Stopping()) {
    absl::Status status = ProjectAll();
    Publish(status);
    if (status.ok()) {
      wait_ms = kRetryWaitMinMs;
      status = journal_->WaitForMore(live_->projector->watermark(), kIdleWaitMs).status();
      if (status.ok()) continue;
      Publish(status);
    }
    if (IsDamage(status) && live_) {
      damaged_ = live_->files;
      live_.reset();
      absl::MutexLock lock(&mu_);
      status_.watermark = 0;
      status_.set_aside = fmt::format("{}: {}", damaged_->path, status.ToString());
    }
    if (Pause(absl::Milliseconds(wait_ms))) break;
    wait_ms = std::min(wait_ms * 2, options_.retry_wait_max_ms);
  }
  live_.reset();  // closes the file, on the thread that used it
  absl::MutexLock lock(&mu_);
  stopped_ = true;
}

// Applies all the journal holds.
absl::Status Views::ProjectAll() {
  const BatchLimits limits{.records_max = options_.batch_records_max,
                           .bytes_max = options_.batch_bytes_max};
  bool more = true;
  while (more && !Stopping()) {
    absl::MutexLock lock(&batch_mu_);
    NIMBUS_RETURN_IF_ERROR(Reattach());
    NIMBUS_RETURN_IF_ERROR(ProjectInTurn(limits));
    Publish(absl::OkStatus());
    NIMBUS_RETURN_IF_ERROR(CheckpointIfLong());
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal_->Size());
    more = size > live_->projector->watermark();
  }
  if (more || swept_) return absl::OkStatus();
  NIMBUS_RETURN_IF_ERROR(generations_.RemoveBefore(live_->files));
  swept_ = true;
  return generations_.RemoveAbandoned();
}

// Others that project hold SQLite's lock for a moment only, and it tells nobody when it is
// free again: it is tried often, and what they have applied meanwhile is left to them.
absl::Status Views::ProjectInTurn(const BatchLimits& limits) {
  const int64_t deadline_ms = NowMs() + kProjectorBusyMs;
  for (;;) {
    const absl::Status status = live_->projector->ProjectBatch(limits).status();
    if (!absl::IsUnavailable(status) || NowMs() >= deadline_ms) return status;
    NIMBUS_RETURN_IF_ERROR(live_->projector->Look());
    Publish(absl::OkStatus());
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal_->Size());
    if (live_->projector->watermark() >= size) return absl::OkStatus();
    if (Pause(absl::Microseconds(kTurnPollUs))) return absl::OkStatus();
  }
}

// Follows the link to another generation, and makes a new one if the file was
// deleted under us.
absl::Status Views::Reattach() {
  if (live_) {
    NIMBUS_ASSIGN_OR_RETURN(const bool is_live, IsLive(live_->files));
    if (is_live) return absl::OkStatus();
    live_.reset();
    // Nobody may be told that the next generation holds what this one held.
    absl::MutexLock lock(&mu_);
    status_.watermark = 0;
  }
  checkpointer_.Forget();  // the file before
  NIMBUS_ASSIGN_OR_RETURN(live_, OpenLive());
  swept_ = false;
  log_ = {};
  return absl::OkStatus();
}

// Moves the write-ahead log into the file beside the batches that follow, a few megabytes
// at a time: as long as more is flushed at once, appends to the journal wait for the disk.
// When the log has grown to its limit, the last of it is moved between two batches, so that
// it starts over with the next one. From there on a pass is waited for when the disk is so
// slow that the log would go far beyond: no more than about twice the limit in all.
absl::Status Views::CheckpointIfLong() {
  const int64_t pages = live_->database->wal_pages();
  const int64_t pages_max = PagesOf(options_.wal_bytes_max);
  if (pages < log_.moved) log_ = {};  // it has started over
  const int64_t rest = pages - log_.moved;
  const bool is_long = pages >= pages_max;
  if (checkpointer_.running()) {
    if (!is_long || rest < pages_max / kCheckpointAheadShare) return absl::OkStatus();
    checkpointer_.Wait();  // the disk is slower than we are
  }
  NIMBUS_RETURN_IF_ERROR(checkpointer_.TakeStatus());
  if (is_long && (rest <= PagesOf(kCheckpointRestBytes) || log_.passes == kCheckpointPassesMax)) {
    return StartLogOver(pages);
  }
  if (!is_long && rest < PagesOf(kCheckpointStepBytes)) return absl::OkStatus();
  if (is_long) ++log_.passes;
  log_.moved = pages;
  checkpointer_.Begin(live_->files.path);
  return absl::OkStatus();
}

// Only a log that nobody reads and that holds nothing the file does not starts over. With
// another process at work that never comes by chance, so it is kept from writing, and the
// batch or look it is at is waited for; so is its own checkpoint, once the log is much too
// long, and with that it has time to end. What lasts longer, as a query may, is not waited
// for again before the log has grown by a step.
absl::Status Views::StartLogOver(int64_t pages) {
  if (log_.tried > 0 && pages - log_.tried < PagesOf(kCheckpointStepBytes)) {
    return absl::OkStatus();
  }
  const int64_t pages_max = PagesOf(options_.wal_bytes_max);
  const bool much_too_long = pages - pages_max >= 2 * pages_max / kCheckpointAheadShare;
  const auto wait_until = [this](int64_t deadline_ms) {
    return NowMs() < deadline_ms && !Pause(absl::Microseconds(kTurnPollUs));
  };
  const int64_t begin_ms = NowMs();
  do {
    const int64_t give_up_ms = NowMs() + kRestartWaitMs;
    NIMBUS_ASSIGN_OR_RETURN(const int64_t left,
                            live_->database->Checkpoint(Connection::CheckpointMode::kRestart,
                                                        [&] { return wait_until(give_up_ms); }));
    if (left < INT64_MAX) {
      log_ = {.moved = std::max(log_.moved, pages - left), .tried = pages};
      return absl::OkStatus();
    }
  } while (much_too_long && wait_until(begin_ms + kProjectorBusyMs));
  if (much_too_long) log_.tried = pages;
  return absl::OkStatus();
}

bool Views::Pause(absl::Duration duration) {
  absl::MutexLock lock(&mu_);
  const auto stopping = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_; };
  return mu_.AwaitWithTimeout(absl::Condition(&stopping), duration);
}

void Views::Publish(const absl::Status& error) {
  absl::MutexLock lock(&mu_);
  status_.error = error;
  if (!live_) return;
  status_.path = live_->files.path;
  status_.watermark = live_->projector->watermark();
  status_.schema_version = live_->projector->schema_version();
  status_.quarantined = live_->projector->quarantined();
  status_.unknown_events = live_->projector->unknown_events();
}

bool Views::Stopping() {
  absl::MutexLock lock(&mu_);
  return stopping_;
}

// Called from any thread.

absl::Status Views::WaitFor(uint64_t sequence, int64_t timeout_ms) {
  if (!projecting_) return PollFor(sequence, timeout_ms);
  ViewsStatus status;
  {
    absl::MutexLock lock(&mu_);
    const auto done = [this, sequence]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      // Another process may hold the file for a while: not stuck yet.
      const bool stuck = !status_.error.ok() && !absl::IsUnavailable(status_.error);
      return status_.watermark > sequence || stuck;
    };
    mu_.AwaitWithTimeout(absl::Condition(&done), absl::Milliseconds(timeout_ms));
    status = status_;
  }
  if (status.watermark > sequence) {
    return status.quarantined == 0 ? absl::OkStatus() : CheckQuarantine(sequence);
  }
  if (!status.error.ok()) return schema::Annotate(status.error, "updating the views");
  return Late(sequence, status.watermark, timeout_ms);
}

absl::Status Views::CatchUp(int64_t timeout_ms) {
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal_->Size());
  if (size == 0) return absl::OkStatus();
  const absl::Status caught_up = WaitFor(size - 1, timeout_ms);
  // That the last record is in quarantine is no reason not to read the others.
  if (!absl::IsFailedPrecondition(caught_up)) return caught_up;
  NIMBUS_ASSIGN_OR_RETURN(const ViewsStatus status, GetStatus());
  return status.watermark >= size ? absl::OkStatus() : caught_up;
}

absl::Status Views::PollFor(uint64_t sequence, int64_t timeout_ms) {
  const int64_t deadline = NowMs() + timeout_ms;
  for (;;) {
    absl::StatusOr<uint64_t> watermark = ReadWatermark();
    if (watermark.ok() && *watermark > sequence) return CheckQuarantine(sequence);
    if (NowMs() < deadline) {
      Pause(absl::Milliseconds(kPollMs));
      continue;
    }
    NIMBUS_RETURN_IF_ERROR(watermark.status());
    return schema::Annotate(Late(sequence, *watermark, timeout_ms),
                            "this process does not project, and nobody else has");
  }
}

absl::StatusOr<uint64_t> Views::ReadWatermark() const {
  NIMBUS_ASSIGN_OR_RETURN(ReadConnection reader, OpenReader());
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Bookmark> bookmark, ReadBookmark(&reader.database));
  if (!bookmark)
    return Error(absl::StatusCode::kDataLoss, "{} has no watermark", reader.files.path);
  return bookmark->watermark;
}

absl::Status Views::CheckQuarantine(uint64_t sequence) const {
  NIMBUS_ASSIGN_OR_RETURN(ReadConnection reader, OpenReader());
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Quarantined> found,
                          FindQuarantined(&reader.database, sequence));
  if (!found) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition,
               "record {} ({} of {}) is in quarantine, not in the views: {}", sequence,
               found->event, found->stream, found->error);
}

absl::StatusOr<ViewsStatus> Views::GetStatus() {
  ViewsStatus status;
  {
    absl::MutexLock lock(&mu_);
    status = status_;
  }
  status.projecting = projecting_;
  if (projecting_) return status;
  NIMBUS_ASSIGN_OR_RETURN(ReadConnection reader, OpenReader());
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Bookmark> bookmark, ReadBookmark(&reader.database));
  if (!bookmark)
    return Error(absl::StatusCode::kDataLoss, "{} has no watermark", reader.files.path);
  status.path = reader.files.path;
  status.watermark = bookmark->watermark;
  status.unknown_events = bookmark->unknown_events;
  NIMBUS_ASSIGN_OR_RETURN(status.schema_version,
                          CurrentVersion(&reader.database, layout_.migrations));
  NIMBUS_ASSIGN_OR_RETURN(const int64_t quarantined,
                          reader.database.QueryInt("SELECT count(*) FROM nimbus_quarantine"));
  status.quarantined = static_cast<uint64_t>(quarantined);
  return status;
}

absl::StatusOr<std::vector<Quarantined>> Views::GetQuarantine(uint64_t limit) const {
  NIMBUS_ASSIGN_OR_RETURN(ReadConnection reader, OpenReader());
  return ReadQuarantine(&reader.database, limit);
}

absl::StatusOr<ReadConnection> Views::OpenReader() const {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Generation> live, generations_.Live());
  if (!live) {
    return Error(absl::StatusCode::kNotFound,
                 "the store {} has no {}.db yet; who may write to it makes it", journal_->store(),
                 layout_.name);
  }
  NIMBUS_ASSIGN_OR_RETURN(Connection database,
                          Connection::Open(live->path, {.mode = Connection::Mode::kReadOnly}));
  const absl::Status readable = database.TableExists("migrations").status();
  if (absl::IsPermissionDenied(readable) || absl::IsNotFound(readable)) {
    // Read-only media without the WAL's shared memory. Without a WAL, the file
    // alone says it all.
    if (access((live->path + "-wal").c_str(), F_OK) == 0) return readable;
    NIMBUS_ASSIGN_OR_RETURN(database,
                            Connection::Open(live->path, {.mode = Connection::Mode::kImmutable}));
  } else {
    NIMBUS_RETURN_IF_ERROR(readable);
  }
  NIMBUS_RETURN_IF_ERROR(CurrentVersion(&database, layout_.migrations).status());
  return ReadConnection{.files = *live, .database = std::move(database)};
}

absl::StatusOr<bool> Views::IsLive(const Generation& files) const {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Generation> live, generations_.Live());
  return live && *live == files;
}

}  // namespace nimbus::projections
