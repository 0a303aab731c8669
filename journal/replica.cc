#include "replica.h"

#include <algorithm>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"
#include "rebuilt.h"
#include "stream_marks.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

lmdb::View KeyOf(const uint64_t& sequence) { return lmdb::MakeView(&sequence, sizeof(sequence)); }

}  // namespace

absl::Status Replica::Begin() {
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_.BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(head_, environment_.ReadHead(txn));
  packer_.emplace(environment_.journal_id(), head_.size(), head_.frame_checksum, options_);
  return absl::OkStatus();
}

absl::Status Replica::BeginBatch() {
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, environment_.BeginWrite());
  txn_.emplace(std::move(txn));
  changes_.emplace(TableReader(*txn_, environment_.tables().entity));
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction read, environment_.BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(const Head head, environment_.ReadHead(read));
  if (head.size() != size() || head.frontier.Root() != root()) {
    return Error(Code::kAborted, "the journal has grown to {} records meanwhile", head.size());
  }
  return tiles_.Load(environment_, Snapshot(std::move(read), head, {}));
}

absl::Status Replica::Append(const Entry& entry) {
  NIMBUS_CHECK(packer_.has_value());
  if (entry.sequence != size()) {
    return Error(Code::kDataLoss, "record {} comes after record {}", entry.sequence, size());
  }
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Record* record, CheckEntry(entry));
  if (!txn_.has_value()) NIMBUS_RETURN_IF_ERROR(BeginBatch());
  NIMBUS_RETURN_IF_ERROR(Place(*record, entry.sequence));
  const Hash leaf = LeafHashOf(entry.record);
  head_.frontier.Append(leaf);
  NIMBUS_RETURN_IF_ERROR(tiles_.Append(environment_, &*txn_, leaf));
  NIMBUS_RETURN_IF_ERROR(PutStreamMarks(&*txn_, environment_.tables().meta, *record->envelope()));
  NIMBUS_RETURN_IF_ERROR(Write(packer_->Add(*record->envelope(), entry)));
  if (entry.archived.has_value()) {
    NIMBUS_RETURN_IF_ERROR(NoteArchived(entry.sequence, *entry.archived));
  } else if (entry.body.has_value()) {
    archived_.reset();
    ++bodies_;
  }
  batch_bytes_ += entry.record.size() + (entry.body.has_value() ? entry.body->bytes.size() : 0);
  const bool full = ++batch_records_ >= kBatchRecordsMax || batch_bytes_ >= kBatchBytesMax;
  return full ? Commit() : absl::OkStatus();
}

absl::Status Replica::Place(const schema::fb::Record& record, uint64_t sequence) {
  const absl::StatusOr<Placement> placement = changes_->Apply(record, sequence);
  if (!placement.ok()) {
    if (!IsRefusal(placement.status())) return placement.status();
    return Error(Code::kDataLoss, "record {}: the rules refuse it: {}", sequence,
                 placement.status().ToString());
  }
  changes_->Accept();
  return CheckPlacement(*record.envelope(), *placement);
}

absl::Status Replica::Write(const std::vector<PackedFrame>& frames) {
  const Tables& tables = environment_.tables();
  for (const PackedFrame& frame : frames) {
    NIMBUS_RETURN_IF_ERROR(txn_->Put(tables.frames, KeyOf(frame.first), frame.value));
    for (size_t at = 0; at < frame.chunks.size(); at += kChunkBytes) {
      const size_t bytes = std::min(kChunkBytes, frame.chunks.size() - at);
      NIMBUS_RETURN_IF_ERROR(txn_->Put(tables.chunks, MakeChunkKey(frame.chunked, at / kChunkBytes),
                                       std::span(frame.chunks).subspan(at, bytes)));
    }
    head_.frame_checksum = frame.checksum;
  }
  return absl::OkStatus();
}

// Ranges go on over records without bodies.
absl::Status Replica::NoteArchived(uint64_t sequence, uint64_t archive) {
  if (!archived_.has_value() || archived_->number != archive) {
    archived_ = ArchivedRange{.first = sequence, .number = archive};
  }
  archived_->end = sequence + 1;
  return PutArchivedRange(&*txn_, environment_.tables().meta, *archived_);
}

absl::Status Replica::Commit() {
  if (!txn_.has_value()) return absl::OkStatus();
  NIMBUS_RETURN_IF_ERROR(Write(packer_->Finish()));
  for (const TableChange& change : changes_->Collect()) {
    const lmdb::Table table = TableOf(environment_.tables().entity, change.table);
    NIMBUS_RETURN_IF_ERROR(txn_->Put(table, change.key, change.value));
  }
  head_.entry_checksum = head_.frame_checksum;  // what the next log entry is linked to
  NIMBUS_RETURN_IF_ERROR(environment_.WriteHead(&*txn_, head_));
  NIMBUS_RETURN_IF_ERROR(txn_->Commit());
  changes_.reset();
  txn_.reset();
  if (environment_.wal() != nullptr) environment_.wal()->NoteBypass(head_.link());
  batch_records_ = 0;
  batch_bytes_ = 0;
  return absl::OkStatus();
}

absl::Status Replica::TakeAppendIds(const TableReader& theirs) {
  NIMBUS_RETURN_IF_ERROR(Commit());
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction read, environment_.BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor,
                          read.OpenCursor(environment_.tables().entity.entities));
  NIMBUS_ASSIGN_OR_RETURN(auto ours, cursor.First());
  while (ours.has_value()) {
    NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, environment_.BeginWrite());
    for (int taken = 0; ours.has_value() && taken < kBatchRecordsMax; ++taken) {
      NIMBUS_RETURN_IF_ERROR(TakeAppendId(theirs, *ours, &txn));
      NIMBUS_ASSIGN_OR_RETURN(ours, cursor.Next());
    }
    NIMBUS_RETURN_IF_ERROR(txn.Commit());
  }
  return absl::OkStatus();
}

absl::Status Replica::TakeAppendId(const TableReader& theirs, const lmdb::KeyValue& ours,
                                   lmdb::Transaction* txn) {
  NIMBUS_ASSIGN_OR_RETURN(const auto value, theirs.Get(WalTable::kEntities, ours.key));
  NIMBUS_ASSIGN_OR_RETURN(Entity entity, DecodeEntity(ours.key, ours.value));
  const auto describe = [&] {
    return fmt::format("{} {}", schema::fb::EnumNameEntityKind(entity.state.kind),
                       entity.state.id.ToString());
  };
  if (!value.has_value()) return Error(Code::kDataLoss, "{} is in no table", describe());
  NIMBUS_ASSIGN_OR_RETURN(Entity other, DecodeEntity(ours.key, *value));
  entity.last_append = std::exchange(other.last_append, std::nullopt);
  const Bytes bytes = EncodeEntity(other);
  if (!std::equal(bytes.begin(), bytes.end(), ours.value.begin(), ours.value.end())) {
    return Error(Code::kDataLoss, "{} is not what the records make of it", describe());
  }
  if (!entity.last_append.has_value()) return absl::OkStatus();
  return txn->Put(environment_.tables().entity.entities, ours.key, EncodeEntity(entity));
}

}  // namespace nimbus::journal
