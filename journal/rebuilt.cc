#include "rebuilt.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "nimbus/schema/status.h"
#include "store.h"

namespace nimbus::journal {

bool IsRefusal(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsAlreadyExists(status) ||
         absl::IsFailedPrecondition(status) || absl::IsAborted(status) ||
         absl::IsInvalidArgument(status);
}

absl::Status CheckGenesis(const schema::fb::Record& record, const schema::Uuid& journal) {
  const schema::fb::JournalCreated* created = record.event_as_JournalCreated();
  if (created != nullptr && schema::Uuid::FromFb(*created->journal()) == journal &&
      schema::Uuid::FromFb(record.envelope()->stream()) == journal) {
    return absl::OkStatus();
  }
  return schema::Error(absl::StatusCode::kDataLoss, "record 0 is not the creation of journal {}",
                       journal.ToString());
}

absl::StatusOr<ScratchDirectory> ScratchDirectory::Make() {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  if (error) return StatusOfErrno(error.value(), "temporary directory");
  std::string path = (parent / "nimbus-verify-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) return StatusOfErrno(errno, path);
  return ScratchDirectory(path);
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;  // scratch: nothing depends on its being gone
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

ScratchDirectory::ScratchDirectory(ScratchDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

absl::Status Rebuilt::Open(size_t map_bytes) {
  NIMBUS_ASSIGN_OR_RETURN(ScratchDirectory directory, ScratchDirectory::Make());
  directory_.emplace(std::move(directory));
  NIMBUS_ASSIGN_OR_RETURN(
      env_, lmdb::Env::Open(directory_->path(), {.map_bytes = map_bytes, .durable = false}));
  NIMBUS_RETURN_IF_ERROR(Begin());
  NIMBUS_ASSIGN_OR_RETURN(tables_.entities, txn_->OpenTable("entities", false, true));
  NIMBUS_ASSIGN_OR_RETURN(tables_.names, txn_->OpenTable("names", false, true));
  return Flush();
}

absl::Status Rebuilt::CopyFrom(const lmdb::Transaction& txn, const EntityTables& tables) {
  NIMBUS_RETURN_IF_ERROR(CopyTable(txn, tables.entities, tables_.entities));
  return CopyTable(txn, tables.names, tables_.names);
}

absl::Status Rebuilt::CopyTable(const lmdb::Transaction& txn, lmdb::Table from, lmdb::Table to) {
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor, txn.OpenCursor(from));
  NIMBUS_ASSIGN_OR_RETURN(auto entry, cursor.First());
  while (entry.has_value()) {
    NIMBUS_RETURN_IF_ERROR(txn_->Put(to, entry->key, entry->value));
    if (++pending_ >= kPendingMax) NIMBUS_RETURN_IF_ERROR(Flush());
    NIMBUS_ASSIGN_OR_RETURN(entry, cursor.Next());
  }
  return Flush();
}

absl::StatusOr<Placement> Rebuilt::Apply(const schema::fb::Record& record, uint64_t sequence) {
  absl::StatusOr<Placement> placement = changes_->Apply(record, sequence);
  placement.ok() ? changes_->Accept() : changes_->Reject();
  ++pending_;
  return placement;
}

std::vector<TableChange> Rebuilt::Pending() const {
  return changes_.has_value() ? changes_->Collect() : std::vector<TableChange>();
}

absl::Status Rebuilt::FlushIfFull() { return pending_ < kPendingMax ? absl::OkStatus() : Flush(); }

absl::Status Rebuilt::Flush() {
  for (const TableChange& change : Pending()) {
    NIMBUS_RETURN_IF_ERROR(txn_->Put(TableOf(tables_, change.table), change.key, change.value));
  }
  changes_.reset();
  NIMBUS_RETURN_IF_ERROR(txn_->Commit());
  pending_ = 0;
  NIMBUS_RETURN_IF_ERROR(Begin());
  changes_.emplace(TableReader(*txn_, tables_));
  return absl::OkStatus();
}

absl::Status Rebuilt::Begin() {
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn,
                          lmdb::Transaction::Begin(*env_, lmdb::Transaction::Mode::kWrite));
  txn_.reset();
  txn_.emplace(std::move(txn));
  return absl::OkStatus();
}

}  // namespace nimbus::journal
