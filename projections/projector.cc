#include "projector.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "migrator.h"
#include "nimbus/schema/check.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Error;
using sqlite::Connection;
using sqlite::Statement;
using sqlite::Transaction;

constexpr char kBookkeepingTables[] = R"(
  CREATE TABLE nimbus_watermark (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    journal_id TEXT NOT NULL,
    watermark INTEGER NOT NULL,         -- records applied: all sequences below it
    leaf_hash BLOB NOT NULL,            -- of the last of them; empty when there is none
    projector_version INTEGER NOT NULL,
    unknown_events INTEGER NOT NULL     -- skipped, made by a newer Nimbus
  );
  CREATE TABLE nimbus_quarantine (
    sequence INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,               -- kind and id of the entity
    event TEXT NOT NULL,
    error TEXT NOT NULL
  );)";

constexpr char kSelectBookmark[] =
    "SELECT journal_id, watermark, leaf_hash, projector_version, unknown_events "
    "FROM nimbus_watermark WHERE id = 1";

Bookmark BookmarkOf(const Statement& row) {
  const std::span<const uint8_t> hash = row.Blob(2);
  return {.journal_id = std::string(row.Text(0)),
          .watermark = static_cast<uint64_t>(row.Int(1)),
          .leaf_hash = std::string(hash.begin(), hash.end()),
          .projector_version = static_cast<int>(row.Int(3)),
          .unknown_events = static_cast<uint64_t>(row.Int(4))};
}

Quarantined QuarantinedOf(const Statement& row) {
  return {.sequence = static_cast<uint64_t>(row.Int(0)),
          .stream = std::string(row.Text(1)),
          .event = std::string(row.Text(2)),
          .error = std::string(row.Text(3))};
}

absl::StatusOr<std::string> LeafHashBefore(const journal::Journal& journal, uint64_t watermark) {
  if (watermark == 0) return std::string();
  NIMBUS_ASSIGN_OR_RETURN(const schema::Digest hash, journal.LeafHash(watermark - 1));
  return std::string(hash.begin(), hash.end());
}

std::span<const uint8_t> AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string StreamName(const fb::Envelope& envelope) {
  return fmt::format("{} {}", fb::EnumNameEntityKind(envelope.stream_kind()),
                     schema::Uuid::FromFb(envelope.stream()).ToString());
}

bool IsKnown(fb::Event type) { return type > fb::Event::NONE && type <= fb::Event::MAX; }

// Whether applying a record failed for a reason in the record, so that trying
// again would fail again.
bool IsFaultOfRecord(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return true;
    case absl::StatusCode::kNotFound:  // of SQLite: a file it can't open
      return !sqlite::IsSqliteError(status);
    default:
      return false;
  }
}

}  // namespace

absl::Status CreateBookkeeping(Connection* database, const schema::Uuid& journal_id,
                               int projector_version) {
  NIMBUS_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(database));
  NIMBUS_RETURN_IF_ERROR(database->Execute(kBookkeepingTables));
  NIMBUS_ASSIGN_OR_RETURN(
      Statement insert,
      database->Prepare("INSERT INTO nimbus_watermark VALUES (1, ?, 0, x'', ?, 0)"));
  NIMBUS_RETURN_IF_ERROR(insert.Run(journal_id.ToString(), projector_version));
  return transaction.Commit();
}

absl::StatusOr<std::optional<Bookmark>> ReadBookmark(Connection* database) {
  NIMBUS_ASSIGN_OR_RETURN(const bool exists, database->TableExists("nimbus_watermark"));
  if (!exists) return std::nullopt;
  NIMBUS_ASSIGN_OR_RETURN(Statement select, database->Prepare(kSelectBookmark));
  NIMBUS_ASSIGN_OR_RETURN(const bool found, select.First());
  if (!found) return std::nullopt;
  return BookmarkOf(select);
}

absl::StatusOr<std::vector<Quarantined>> ReadQuarantine(Connection* database, uint64_t limit) {
  NIMBUS_ASSIGN_OR_RETURN(
      Statement select,
      database->Prepare("SELECT sequence, stream, event, error FROM nimbus_quarantine "
                        "ORDER BY sequence LIMIT ?"));
  std::vector<Quarantined> all;
  const auto count = static_cast<int64_t>(std::min<uint64_t>(limit, INT64_MAX));
  NIMBUS_ASSIGN_OR_RETURN(bool found, select.First(count));
  while (found) {
    all.push_back(QuarantinedOf(select));
    NIMBUS_ASSIGN_OR_RETURN(found, select.Next());
  }
  return all;
}

absl::StatusOr<std::optional<Quarantined>> FindQuarantined(Connection* database,
                                                           uint64_t sequence) {
  NIMBUS_ASSIGN_OR_RETURN(
      Statement select,
      database->Prepare(
          "SELECT sequence, stream, event, error FROM nimbus_quarantine WHERE sequence = ?"));
  NIMBUS_ASSIGN_OR_RETURN(const bool found, select.First(static_cast<int64_t>(sequence)));
  if (!found) return std::nullopt;
  return QuarantinedOf(select);
}

absl::StatusOr<std::string> WhyNotOf(Connection* database, const journal::Journal& journal,
                                     const Layout& layout) {
  // Comes first: what a newer Nimbus made is refused, not rebuilt.
  const absl::Status version = CurrentVersion(database, layout.migrations).status();
  if (version.code() == absl::StatusCode::kDataLoss) return version.ToString();
  NIMBUS_RETURN_IF_ERROR(version);
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Bookmark> bookmark, ReadBookmark(database));
  if (!bookmark) return std::string("it has no watermark");
  if (bookmark->journal_id != journal.id().ToString()) {
    return fmt::format("it was made from journal {}, this is {}", bookmark->journal_id,
                       journal.id().ToString());
  }
  if (bookmark->projector_version > layout.projector_version) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "the SQLite views were made by projector version {} of a newer Nimbus; this one "
                 "has version {}",
                 bookmark->projector_version, layout.projector_version);
  }
  if (bookmark->projector_version < layout.projector_version) {
    return fmt::format("it was made by projector version {}, this is version {}",
                       bookmark->projector_version, layout.projector_version);
  }
  // After the watermark was read: the journal may grow meanwhile, never shrink.
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal.Size());
  if (bookmark->watermark > size) {
    return fmt::format("its watermark {} is beyond the journal's {} records", bookmark->watermark,
                       size);
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::string hash, LeafHashBefore(journal, bookmark->watermark));
  if (hash != bookmark->leaf_hash) {
    return fmt::format("the leaf hash of record {} is not the journal's", bookmark->watermark - 1);
  }
  return std::string();
}

absl::StatusOr<std::unique_ptr<Projector>> Projector::Create(Connection* database,
                                                             const journal::Journal* journal,
                                                             const Layout& layout) {
  std::unique_ptr<Projector> projector(new Projector(database, journal, layout));
  NIMBUS_ASSIGN_OR_RETURN(projector->read_bookmark_, database->Prepare(kSelectBookmark));
  NIMBUS_ASSIGN_OR_RETURN(
      projector->save_bookmark_,
      database->Prepare("UPDATE nimbus_watermark SET watermark = ?, leaf_hash = ?, "
                        "unknown_events = ? WHERE id = 1"));
  NIMBUS_ASSIGN_OR_RETURN(projector->schema_version_,
                          database->Prepare("SELECT coalesce(max(version), 0) FROM migrations"));
  NIMBUS_ASSIGN_OR_RETURN(
      projector->quarantine_,
      database->Prepare("INSERT INTO nimbus_quarantine "
                        "(sequence, stream, event, error) VALUES (?, ?, ?, ?)"));
  return projector;
}

absl::StatusOr<uint64_t> Projector::ProjectBatch(const BatchLimits& limits) {
  absl::StatusOr<uint64_t> applied = ProjectInTransaction(limits, Pace::kTogether);
  if (IsFaultOfRecord(applied.status())) applied = ProjectInTransaction(limits, Pace::kOneByOne);
  return applied;
}

absl::StatusOr<uint64_t> Projector::ProjectInTransaction(const BatchLimits& limits, Pace pace) {
  NIMBUS_ASSIGN_OR_RETURN(Transaction transaction, Transaction::TryBegin(database_));
  absl::StatusOr<uint64_t> applied = ApplyBatch(limits, pace);
  absl::Status status = applied.status();
  if (status.ok() && *applied > 0) status = transaction.Commit();  // else there is nothing to
  if (status.ok()) return applied;
  Forget();
  return status;
}

absl::Status Projector::Look() {
  NIMBUS_ASSIGN_OR_RETURN(const sqlite::Snapshot snapshot, sqlite::Snapshot::Begin(database_));
  return Refresh();
}

absl::StatusOr<uint64_t> Projector::ApplyBatch(const BatchLimits& limits, Pace pace) {
  NIMBUS_RETURN_IF_ERROR(Refresh());
  const uint64_t first = bookmark_.watermark;
  if (reader_.position() != first) reader_.Seek(first);
  uint64_t applied = 0;
  for (size_t bytes = 0; applied < limits.records_max && bytes < limits.bytes_max; ++applied) {
    if (bookmark_.watermark >= limits.end) break;
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, reader_.Next());
    if (view == nullptr) break;
    NIMBUS_CHECK(view->sequence == bookmark_.watermark);
    bytes += view->bytes.size() + view->envelope().body_size();
    const absl::Status done = Apply(*view, pace);
    if (!done.ok()) {
      return schema::Annotate(done, fmt::format("applying record {}", bookmark_.watermark));
    }
    ++bookmark_.watermark;
  }
  if (applied == 0) return 0;
  const absl::Status flushed = Flush();
  if (!flushed.ok()) {
    return schema::Annotate(
        flushed, fmt::format("applying records {} to {}", first, bookmark_.watermark - 1));
  }
  NIMBUS_RETURN_IF_ERROR(SaveBookmark());
  return applied;
}

// What it remembers was rolled back.
void Projector::Forget() {
  current_ = false;
  unflushed_ = nullptr;
  for (std::unique_ptr<RowWriter>& writer : writers_) writer.reset();
}

// Brings what is remembered up to date with what other processes committed.
absl::Status Projector::Refresh() {
  NIMBUS_ASSIGN_OR_RETURN(const bool found, read_bookmark_->First());
  if (!found) return Error(absl::StatusCode::kDataLoss, "the views have lost their watermark");
  Bookmark stored = BookmarkOf(*read_bookmark_);
  read_bookmark_->Reset();
  NIMBUS_ASSIGN_OR_RETURN(const bool versioned, schema_version_->First());
  NIMBUS_CHECK(versioned);
  const int64_t version = schema_version_->Int(0);
  schema_version_->Reset();
  NIMBUS_RETURN_IF_ERROR(PrepareForVersion(version));
  schema_version_now_ = static_cast<int>(version);
  const bool moved = stored.watermark != bookmark_.watermark;
  bookmark_ = std::move(stored);
  if (current_ && !moved) return absl::OkStatus();
  NIMBUS_RETURN_IF_ERROR(LoadQuarantine());
  current_ = true;
  return absl::OkStatus();
}

// Tables that are not there, since the views were migrated down, are not written to.
absl::Status Projector::PrepareForVersion(int64_t version) {
  for (size_t i = 0; i < writers_.size(); ++i) {
    const Domain& domain = layout_.domains[i];
    if (version < domain.schema_version) {
      writers_[i].reset();
    } else if (writers_[i] == nullptr) {
      NIMBUS_ASSIGN_OR_RETURN(writers_[i], domain.create(database_));
    }
  }
  return absl::OkStatus();
}

RowWriter* Projector::WriterOf(fb::Event type) const {
  for (size_t i = 0; i < writers_.size(); ++i) {
    if (type >= layout_.domains[i].first && type <= layout_.domains[i].last)
      return writers_[i].get();
  }
  return nullptr;
}

absl::Status Projector::LoadQuarantine() {
  quarantined_streams_.clear();
  NIMBUS_ASSIGN_OR_RETURN(const int64_t count,
                          database_->QueryInt("SELECT count(*) FROM nimbus_quarantine"));
  quarantined_ = static_cast<uint64_t>(count);
  NIMBUS_ASSIGN_OR_RETURN(Statement streams,
                          database_->Prepare("SELECT DISTINCT stream FROM nimbus_quarantine"));
  NIMBUS_ASSIGN_OR_RETURN(bool found, streams.First());
  while (found) {
    quarantined_streams_.emplace(streams.Text(0));
    NIMBUS_ASSIGN_OR_RETURN(found, streams.Next());
  }
  return absl::OkStatus();
}

absl::Status Projector::SaveBookmark() {
  NIMBUS_ASSIGN_OR_RETURN(bookmark_.leaf_hash, LeafHashBefore(*journal_, bookmark_.watermark));
  return save_bookmark_->Run(static_cast<int64_t>(bookmark_.watermark),
                             AsBytes(bookmark_.leaf_hash),
                             static_cast<int64_t>(bookmark_.unknown_events));
}

absl::Status Projector::Apply(const journal::RecordView& view, Pace pace) {
  const fb::Event type = view.record->event_type();
  if (!IsKnown(type)) {
    ++bookmark_.unknown_events;
    return absl::OkStatus();
  }
  RowWriter* const writer = WriterOf(type);
  if (writer == nullptr) return absl::OkStatus();
  if (!quarantined_streams_.empty() && quarantined_streams_.contains(StreamName(view.envelope()))) {
    return Quarantine(view, "an earlier record of this entity could not be applied");
  }
  AppliedRecord record{.view = view};
  if (view.envelope().body_size() > 0 && writer->NeedsBody(type)) {
    absl::StatusOr<const fb::Body*> body = reader_.Body(view);
    if (body.ok()) {
      record.body = *body;
    } else if (body.status().code() == absl::StatusCode::kNotFound) {
      record.erased = true;
    } else if (body.status().code() == absl::StatusCode::kDataLoss) {
      return Quarantine(view, body.status().ToString());
    } else {
      return std::move(body).status();
    }
  }
  return Apply(record, writer, pace);
}

absl::Status Projector::Apply(const AppliedRecord& record, RowWriter* writer, Pace pace) {
  if (writer != unflushed_) NIMBUS_RETURN_IF_ERROR(Flush());
  unflushed_ = writer;
  absl::Status applied = writer->Apply(record);
  if (pace == Pace::kTogether) return applied;
  if (applied.ok()) applied = Flush();
  return IsFaultOfRecord(applied) ? Quarantine(record.view, applied.ToString()) : applied;
}

absl::Status Projector::Flush() {
  RowWriter* const writer = std::exchange(unflushed_, nullptr);
  return writer == nullptr ? absl::OkStatus() : writer->Flush();
}

absl::Status Projector::Quarantine(const journal::RecordView& view, std::string_view reason) {
  const std::string stream = StreamName(view.envelope());
  NIMBUS_RETURN_IF_ERROR(quarantine_->Run(static_cast<int64_t>(view.sequence), stream,
                                          fb::EnumNameEvent(view.record->event_type()), reason));
  quarantined_streams_.insert(stream);
  ++quarantined_;
  return absl::OkStatus();
}

}  // namespace nimbus::projections
