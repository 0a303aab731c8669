#include "nimbus/journal/verify.h"

#include <optional>
#include <set>
#include <utility>

#include "body_reader.h"
#include "environment.h"
#include "internals.h"
#include "nimbus/journal/prune.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"
#include "rebuilt.h"
#include "stream_marks.h"

namespace nimbus::journal {
namespace {

// Append ids are the callers' and stand in no record; the rest of an entity must match.
bool SameEntry(const lmdb::KeyValue& stored, const lmdb::KeyValue& rebuilt, bool is_entity) {
  if (!std::equal(stored.key.begin(), stored.key.end(), rebuilt.key.begin(), rebuilt.key.end())) {
    return false;
  }
  if (!is_entity) {
    return std::equal(stored.value.begin(), stored.value.end(), rebuilt.value.begin(),
                      rebuilt.value.end());
  }
  absl::StatusOr<Entity> entity = DecodeEntity(stored.key, stored.value);
  if (!entity.ok()) return false;
  entity->last_append.reset();
  const Bytes bytes = EncodeEntity(*entity);
  return std::equal(bytes.begin(), bytes.end(), rebuilt.value.begin(), rebuilt.value.end());
}

}  // namespace

class Verifier {
 public:
  Verifier(const Journal& journal, const VerifyOptions& options)
      : environment_(*journal.environment_),
        options_(options),
        map_bytes_(journal.options_.map_bytes),
        bodies_(environment_, kBodyCacheBytes) {}

  absl::StatusOr<VerifyReport> Run();

 private:
  static constexpr size_t kBodyCacheBytes = 16u << 20;

  bool IsFull() const { return report_.findings.size() >= options_.findings_max; }
  void Find(uint64_t sequence, std::string what);
  // OK when `status` was a reading that proved damage, which is noted.
  absl::Status Note(uint64_t sequence, const absl::Status& status);

  absl::StatusOr<Snapshot> ReadLmdb() const;
  absl::Status CheckLog(const Snapshot& snapshot);
  absl::Status CheckRecords(const Snapshot& lmdb, const Frame& frame);
  absl::Status CheckUpTo(const Snapshot& lmdb, uint64_t size);
  absl::Status CheckFrame(const Snapshot& lmdb, const Frame& frame);
  absl::Status CheckRecord(const Snapshot& lmdb, uint64_t sequence, std::span<const uint8_t> bytes);
  absl::Status CheckPlacement(uint64_t sequence, const schema::fb::Record& record);
  absl::Status CheckMarks(const Snapshot& lmdb, const schema::fb::Envelope& envelope);
  absl::Status CheckBody(uint64_t sequence, const schema::fb::Envelope& envelope);
  absl::Status CheckTile(const Snapshot& lmdb, uint8_t level, uint64_t index,
                         const std::vector<Hash>& hashes);
  absl::Status AddLeaf(const Snapshot& lmdb, const Hash& leaf);
  absl::Status CheckPartialTiles(const Snapshot& lmdb);
  absl::Status CheckHead(const Snapshot& lmdb, const Head& head);
  absl::Status CheckTables(const Snapshot& lmdb);
  absl::Status CompareTables(const Snapshot& lmdb, lmdb::Table stored, lmdb::Table rebuilt,
                             const char* name);

  const Environment& environment_;
  const VerifyOptions& options_;
  const size_t map_bytes_;
  BodyReader bodies_;
  Rebuilt rebuilt_;
  StreamMarkCheck marks_;
  VerifyReport report_;
  Frontier frontier_;
  uint64_t checksum_ = 0;
  uint64_t last_frame_ = 0;  // key of the last one checked
  uint64_t total_ = 0;
  bool in_log_ = false;                    // beyond LMDB
  std::vector<std::vector<Hash>> levels_;  // the open tile of each level
};

void Verifier::Find(uint64_t sequence, std::string what) {
  if (!IsFull()) report_.findings.push_back({.sequence = sequence, .what = std::move(what)});
}

absl::Status Verifier::Note(uint64_t sequence, const absl::Status& status) {
  if (!absl::IsDataLoss(status) && !absl::IsNotFound(status)) return status;
  Find(sequence, std::string(status.message().data(), status.message().size()));
  return absl::OkStatus();
}

// LMDB without the log.
absl::StatusOr<Snapshot> Verifier::ReadLmdb() const {
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, environment_.BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(Head head, environment_.ReadHead(txn));
  return Snapshot(std::move(txn), std::move(head), {});
}

absl::StatusOr<VerifyReport> Verifier::Run() {
  NIMBUS_RETURN_IF_ERROR(rebuilt_.Open(map_bytes_));
  {
    NIMBUS_ASSIGN_OR_RETURN(const Snapshot lmdb, ReadLmdb());
    total_ = lmdb.size();
  }
  // The bulk in one short transaction a frame, so that a long check of a live
  // journal keeps no pages from being used again.
  while (report_.records < total_ && !IsFull()) {
    NIMBUS_ASSIGN_OR_RETURN(const Snapshot lmdb, ReadLmdb());
    const uint64_t before = report_.records;
    NIMBUS_RETURN_IF_ERROR(CheckUpTo(lmdb, before + 1));
    if (options_.progress) options_.progress(report_.records, total_);
    if (report_.records == before) break;  // a frame that can't be read: noted
  }
  if (report_.records < total_) return std::move(report_);

  // What the journal gained meanwhile, its head, its tables and its log, in one view.
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment_.TakeSnapshot());
  NIMBUS_RETURN_IF_ERROR(CheckUpTo(snapshot, snapshot.head().size()));
  report_.root = frontier_.Root();
  NIMBUS_RETURN_IF_ERROR(CheckHead(snapshot, snapshot.head()));
  NIMBUS_RETURN_IF_ERROR(CheckPartialTiles(snapshot));
  NIMBUS_RETURN_IF_ERROR(Note(report_.records, CheckTables(snapshot)));
  if (report_.holds()) NIMBUS_RETURN_IF_ERROR(CheckLog(snapshot));
  return std::move(report_);
}

// What is not in LMDB yet: its entries prove themselves and each other; here,
// that their records and table entries are what the rules make of them.
absl::Status Verifier::CheckLog(const Snapshot& snapshot) {
  in_log_ = true;
  const WalOverlay& log = snapshot.overlay();
  std::set<std::pair<WalTable, Bytes>> changed;
  for (size_t i = 0; i < log.count() && !IsFull(); ++i) {
    for (const WalFrame& value : log.entry(i).frames()) {
      const absl::StatusOr<Frame> frame = environment_.ReadFrame(snapshot, value.first_sequence);
      if (!frame.ok()) return Note(value.first_sequence, frame.status());
      NIMBUS_RETURN_IF_ERROR(CheckRecords(snapshot, *frame));
    }
    for (const WalChange& change : log.entry(i).changes()) {
      changed.emplace(change.table, Bytes(change.key.begin(), change.key.end()));
    }
  }
  report_.root = frontier_.Root();
  const std::vector<TableChange> expected = rebuilt_.Pending();
  for (const TableChange& change : expected) {
    const auto found = log.FindChange(change.table, change.key);
    changed.erase({change.table, change.key});
    if (found.has_value() &&
        SameEntry({.key = change.key, .value = *found}, {.key = change.key, .value = change.value},
                  change.table == WalTable::kEntities)) {
      continue;
    }
    Find(report_.records, "the log's table entries do not follow from its records");
  }
  if (!changed.empty()) Find(report_.records, "the log changes what its records do not");
  return absl::OkStatus();
}

absl::Status Verifier::CheckUpTo(const Snapshot& lmdb, uint64_t size) {
  while (report_.records < size && !IsFull()) {
    const absl::StatusOr<Frame> frame = environment_.ReadFrame(lmdb, report_.records);
    if (!frame.ok()) {
      NIMBUS_RETURN_IF_ERROR(Note(report_.records, frame.status()));
      return absl::OkStatus();
    }
    const uint64_t before = report_.records;
    NIMBUS_RETURN_IF_ERROR(CheckFrame(lmdb, *frame));
    if (report_.records == before) return absl::OkStatus();  // noted
  }
  return absl::OkStatus();
}

absl::Status Verifier::CheckFrame(const Snapshot& lmdb, const Frame& frame) {
  if (frame.header().previous_checksum != checksum_) {
    Find(frame.first_sequence(), "the frame does not follow the one before it");
  }
  if (frame.first_sequence() != report_.records) {
    Find(report_.records, fmt::format("the frame begins at {}", frame.first_sequence()));
    return absl::OkStatus();
  }
  // Readers find a record by the last key at or before it; that must be here.
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t key,
                          environment_.FindFrameKey(lmdb.txn(), frame.end_sequence() - 1));
  if (key != frame.first_sequence()) {
    Find(key, fmt::format("another frame begins within that of record {}", frame.first_sequence()));
  }
  checksum_ = frame.header().checksum;
  last_frame_ = frame.first_sequence();
  return CheckRecords(lmdb, frame);
}

absl::Status Verifier::CheckRecords(const Snapshot& lmdb, const Frame& frame) {
  for (uint64_t sequence = frame.first_sequence(); sequence < frame.end_sequence(); ++sequence) {
    NIMBUS_RETURN_IF_ERROR(
        CheckRecord(lmdb, sequence, frame.record(sequence - frame.first_sequence())));
    ++report_.records;
  }
  return absl::OkStatus();
}

absl::Status Verifier::CheckRecord(const Snapshot& lmdb, uint64_t sequence,
                                   std::span<const uint8_t> bytes) {
  NIMBUS_RETURN_IF_ERROR(AddLeaf(lmdb, LeafHashOf(bytes)));
  const absl::StatusOr<const schema::fb::Record*> record = schema::VerifyRecord(bytes);
  if (!record.ok()) return Note(sequence, record.status());
  const schema::fb::Envelope& envelope = *(*record)->envelope();
  if (envelope.sequence() != sequence) {
    Find(sequence, fmt::format("it says it is record {}", envelope.sequence()));
  }
  if (sequence == 0) {
    NIMBUS_RETURN_IF_ERROR(Note(0, CheckGenesis(**record, environment_.journal_id())));
  }
  NIMBUS_RETURN_IF_ERROR(CheckPlacement(sequence, **record));
  NIMBUS_RETURN_IF_ERROR(CheckMarks(lmdb, envelope));
  return CheckBody(sequence, envelope);
}

absl::Status Verifier::CheckPlacement(uint64_t sequence, const schema::fb::Record& record) {
  const schema::fb::Envelope& envelope = *record.envelope();
  if (!in_log_) NIMBUS_RETURN_IF_ERROR(rebuilt_.FlushIfFull());
  const absl::StatusOr<Placement> placement = rebuilt_.Apply(record, sequence);
  if (!placement.ok()) {
    if (!IsRefusal(placement.status())) return placement.status();
    Find(sequence, fmt::format("the rules refuse it: {}", placement.status().ToString()));
    return absl::OkStatus();
  }
  const auto compare = [&](const char* what, uint64_t recorded, uint64_t expected) {
    if (recorded == expected) return;
    Find(sequence, fmt::format("{} is {}, not {}", what, recorded, expected));
  };
  compare("stream version", envelope.version(), placement->version);
  compare("back-link", envelope.previous(), placement->previous);
  compare("step number", envelope.ordinal(), placement->ordinal);
  return absl::OkStatus();
}

// Those that are missing are no finding: an older program may have written here.
absl::Status Verifier::CheckMarks(const Snapshot& lmdb, const schema::fb::Envelope& envelope) {
  if (in_log_) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const bool holds,
                          marks_.Holds(lmdb.txn(), environment_.tables().meta, envelope));
  if (!holds) Find(envelope.sequence(), "the mark of its stream names another record");
  return absl::OkStatus();
}

absl::Status Verifier::CheckBody(uint64_t sequence, const schema::fb::Envelope& envelope) {
  const bool committed = schema::FromFb(envelope.body_commitment()) != schema::Digest{};
  if (!committed && envelope.body_size() == 0) return absl::OkStatus();
  const absl::StatusOr<std::optional<PlainBody>> plain = bodies_.Read(sequence);
  if (IsArchiveAbsent(plain.status())) {
    ++report_.absent;
    return absl::OkStatus();
  }
  if (!plain.ok()) return Note(sequence, plain.status());
  if (!plain->has_value()) {
    Find(sequence, "its body is missing");
    return absl::OkStatus();
  }
  ++report_.bodies;
  const PlainBody& body = **plain;
  if (body.bytes.size() != envelope.body_size() ||
      BodyCommitment(body.bytes, body.nonce) != schema::FromFb(envelope.body_commitment())) {
    Find(sequence, "its body is not the one it commits to");
    return absl::OkStatus();
  }
  return Note(sequence, schema::VerifyBody(body.bytes).status());
}

absl::Status Verifier::CheckTile(const Snapshot& lmdb, uint8_t level, uint64_t index,
                                 const std::vector<Hash>& hashes) {
  const auto found = lmdb.txn().Get(environment_.tables().tiles, MakeTileKey(level, index));
  if (!found.ok()) return Note(report_.records, found.status());
  const std::optional<lmdb::View>& stored = *found;
  const size_t bytes = hashes.size() * sizeof(Hash);
  // A tile that was open when its transaction began may have grown since.
  if (!stored.has_value() || stored->size() < bytes ||
      std::memcmp(stored->data(), hashes.data(), bytes) != 0) {
    Find(report_.records, fmt::format("tile {}/{} is missing or wrong", level, index));
  }
  return absl::OkStatus();
}

absl::Status Verifier::AddLeaf(const Snapshot& lmdb, const Hash& leaf) {
  frontier_.Append(leaf);
  Hash hash = leaf;
  uint64_t position = report_.records;
  for (size_t level = 0;; ++level, position /= kTileHashes) {
    if (levels_.size() == level) levels_.emplace_back();
    levels_[level].push_back(hash);
    if (levels_[level].size() < kTileHashes) return absl::OkStatus();
    if (level > 0 && !in_log_) {
      NIMBUS_RETURN_IF_ERROR(
          CheckTile(lmdb, static_cast<uint8_t>(level), position / kTileHashes, levels_[level]));
    }
    hash = CompleteRoot(levels_[level]);
    levels_[level].clear();
  }
}

absl::Status Verifier::CheckPartialTiles(const Snapshot& lmdb) {
  uint64_t width = report_.records / kTileHashes;
  for (size_t level = 1; level < levels_.size(); ++level, width /= kTileHashes) {
    if (levels_[level].empty()) continue;
    NIMBUS_RETURN_IF_ERROR(
        CheckTile(lmdb, static_cast<uint8_t>(level), width / kTileHashes, levels_[level]));
  }
  return absl::OkStatus();
}

absl::Status Verifier::CheckHead(const Snapshot& lmdb, const Head& head) {
  if (report_.records < head.size()) return absl::OkStatus();  // noted where it broke off
  if (report_.records > head.size()) {
    Find(head.size(), fmt::format("the head counts {} records, the frames hold {}", head.size(),
                                  report_.records));
  }
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t last, environment_.FindFrameKey(lmdb.txn(), UINT64_MAX));
  if (last != last_frame_) Find(last, "a frame beyond the end of the journal");
  if (report_.root != head.frontier.Root()) {
    Find(head.size(), "the recomputed root is not the one the journal keeps");
  }
  if (checksum_ != head.frame_checksum) {
    Find(head.size(), "the last frame is not the one the head names");
  }
  return absl::OkStatus();
}

absl::Status Verifier::CheckTables(const Snapshot& lmdb) {
  if (!report_.holds()) return absl::OkStatus();  // what follows from it would only repeat it
  NIMBUS_RETURN_IF_ERROR(rebuilt_.Flush());
  NIMBUS_RETURN_IF_ERROR(CompareTables(lmdb, environment_.tables().entity.entities,
                                       rebuilt_.tables().entities, "entity"));
  NIMBUS_RETURN_IF_ERROR(
      CompareTables(lmdb, environment_.tables().entity.names, rebuilt_.tables().names, "name"));
  NIMBUS_ASSIGN_OR_RETURN(const bool marks_hold,
                          marks_.HoldsInAll(lmdb.txn(), environment_.tables().meta));
  if (!marks_hold) Find(report_.records, "there are marks of streams that no record makes");
  return absl::OkStatus();
}

absl::Status Verifier::CompareTables(const Snapshot& lmdb, lmdb::Table stored, lmdb::Table rebuilt,
                                     const char* name) {
  const bool is_entity = stored.handle == environment_.tables().entity.entities.handle;
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor left, lmdb.txn().OpenCursor(stored));
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor right, rebuilt_.txn().OpenCursor(rebuilt));
  NIMBUS_ASSIGN_OR_RETURN(auto a, left.First());
  NIMBUS_ASSIGN_OR_RETURN(auto b, right.First());
  while (a.has_value() && b.has_value() && SameEntry(*a, *b, is_entity)) {
    NIMBUS_ASSIGN_OR_RETURN(a, left.Next());
    NIMBUS_ASSIGN_OR_RETURN(b, right.Next());
  }
  if (a.has_value() || b.has_value()) {
    const lmdb::View key = a.has_value() ? a->key : b->key;
    Find(report_.records, fmt::format("the {} table does not follow from the records, at key {}",
                                      name, schema::ToHex(key)));
  }
  return absl::OkStatus();
}

absl::StatusOr<VerifyReport> VerifyJournal(const Journal& journal, const VerifyOptions& options) {
  if (options.findings_max == 0) {
    return absl::InvalidArgumentError("verification needs room for a finding");
  }
  for (;;) {
    const uint64_t generation = Internals::EnvironmentOf(journal).generation()->number;
    absl::StatusOr<VerifyReport> report = Verifier(journal, options).Run();
    // What was read of two generations proves nothing.
    if (Internals::EnvironmentOf(journal).generation()->number == generation) return report;
  }
}

}  // namespace nimbus::journal
