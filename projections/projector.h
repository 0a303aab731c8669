// From the journal to the rows: applies records in order, a batch of them, the
// watermark and the leaf hash of the last in one SQLite transaction.
//
// Exactly once, however many projectors work on one file and whenever one is
// killed: the watermark is read again inside each transaction, which holds
// SQLite's write lock from its beginning, and what was applied and the new
// watermark become visible together.
//
// Within a batch, rows are written once with what all its records make of them
// (RowWriter::Flush). When one of the records can't be applied, the batch is undone and
// done again record by record, so that the fault is laid to the record that has it.
//
// The bookkeeping lives in two tables of our own beside the specification's:
//   nimbus_watermark   one row: whose journal, how far, the leaf hash there
//   nimbus_quarantine  records that could not be applied, and why
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "layout.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/reader.h"
#include "nimbus/projections/database.h"
#include "rows.h"
#include "sqlite.h"

namespace nimbus::projections {

struct Bookmark {
  std::string journal_id;
  uint64_t watermark = 0;
  std::string leaf_hash;  // 32 bytes, of record watermark - 1; empty at 0
  int projector_version = 0;
  uint64_t unknown_events = 0;
};

// Makes the two tables, with a watermark of 0, in an empty database.
absl::Status CreateBookkeeping(sqlite::Connection* database, const schema::Uuid& journal_id,
                               int projector_version);

// nullopt when the database has none.
absl::StatusOr<std::optional<Bookmark>> ReadBookmark(sqlite::Connection* database);

absl::StatusOr<std::vector<Quarantined>> ReadQuarantine(sqlite::Connection* database,
                                                        uint64_t limit);
absl::StatusOr<std::optional<Quarantined>> FindQuarantined(sqlite::Connection* database,
                                                           uint64_t sequence);

// Why this database's rows are not a prefix of what `journal` says, or empty
// when they are. FailedPrecondition when a newer Nimbus made it.
absl::StatusOr<std::string> WhyNotOf(sqlite::Connection* database, const journal::Journal& journal,
                                     const Layout& layout);

struct BatchLimits {
  size_t records_max = 4096;
  size_t bytes_max = 8u << 20;  // of records and bodies; passed by at most one record
  uint64_t end = UINT64_MAX;    // records from this sequence on are left for later
};

class Projector {
 public:
  // Both outlive the projector.
  static absl::StatusOr<std::unique_ptr<Projector>> Create(sqlite::Connection* database,
                                                           const journal::Journal* journal,
                                                           const Layout& layout);

  // Applies what the journal holds beyond the watermark, within the limits, and
  // returns how many records that was: 0 at the journal's end, or at `end`. After an error
  // nothing of the batch was applied, and it may be called again. Waits for nobody:
  // Unavailable while another connection writes.
  absl::StatusOr<uint64_t> ProjectBatch(const BatchLimits& limits);

  // Takes note of what others have applied, which does not wait for who writes.
  absl::Status Look();

  // As of the last batch.
  uint64_t watermark() const { return bookmark_.watermark; }
  uint64_t unknown_events() const { return bookmark_.unknown_events; }
  uint64_t quarantined() const { return quarantined_; }
  int schema_version() const { return schema_version_now_; }

 private:
  Projector(sqlite::Connection* database, const journal::Journal* journal, const Layout& layout)
      : database_(database),
        journal_(journal),
        layout_(layout),
        reader_(*journal),
        writers_(layout.domains.size()) {}

  enum class Pace { kTogether, kOneByOne };
  absl::StatusOr<uint64_t> ProjectInTransaction(const BatchLimits& limits, Pace pace);
  absl::StatusOr<uint64_t> ApplyBatch(const BatchLimits& limits, Pace pace);
  absl::Status Refresh();
  absl::Status PrepareForVersion(int64_t version);
  absl::Status LoadQuarantine();
  absl::Status SaveBookmark();
  absl::Status Apply(const journal::RecordView& view, Pace pace);
  absl::Status Apply(const AppliedRecord& record, RowWriter* writer, Pace pace);
  absl::Status Flush();
  void Forget();
  RowWriter* WriterOf(schema::fb::Event type) const;
  absl::Status Quarantine(const journal::RecordView& view, std::string_view reason);

  sqlite::Connection* const database_;
  const journal::Journal* const journal_;
  const Layout& layout_;
  journal::Reader reader_;
  std::optional<sqlite::Statement> read_bookmark_, save_bookmark_, schema_version_, quarantine_;

  // All below is as of the last transaction; `current_` false makes the next
  // one read it anew.
  bool current_ = false;
  Bookmark bookmark_;
  int schema_version_now_ = 0;
  uint64_t quarantined_ = 0;
  std::set<std::string, std::less<>> quarantined_streams_;
  std::vector<std::unique_ptr<RowWriter>> writers_;  // of the domains; null without their tables
  RowWriter* unflushed_ = nullptr;  // of them, the one that applied the last record
};

}  // namespace nimbus::projections
