// The entity and name tables as records alone imply them, rebuilt in scratch
// space so that memory does not grow with the journal.
//
//   Rebuilt rebuilt;
//   NIMBUS_RETURN_IF_ERROR(rebuilt.Open(map_bytes));
//   StatusOr<Placement> placement = rebuilt.Apply(record, sequence);   // in order, from 0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "entities.h"
#include "lmdb_env.h"

namespace nimbus::journal {

// Whether `status` is what the rules say of a record, as against a failure to
// read or write.
bool IsRefusal(const absl::Status& status);

// A journal begins with the record that names it. DataLoss if `record` does not.
absl::Status CheckGenesis(const schema::fb::Record& record, const schema::Uuid& journal);

// A directory for scratch files that goes away with its object.
class ScratchDirectory {
 public:
  static absl::StatusOr<ScratchDirectory> Make();
  ~ScratchDirectory();
  ScratchDirectory(ScratchDirectory&& other) noexcept;
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;
  const std::string& path() const { return path_; }

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// One thread.
class Rebuilt {
 public:
  absl::Status Open(size_t map_bytes);

  // Begins from what these tables hold instead of from nothing.
  absl::Status CopyFrom(const lmdb::Transaction& txn, const EntityTables& tables);

  // What the rules make of the next record; a refused one changes nothing.
  absl::StatusOr<Placement> Apply(const schema::fb::Record& record, uint64_t sequence);

  // Writes what was applied. The tables are complete after it.
  absl::Status Flush();
  // To be called between two records, so that memory stays bounded.
  absl::Status FlushIfFull();
  // What was changed since the last Flush.
  std::vector<TableChange> Pending() const;

  const lmdb::Transaction& txn() const { return *txn_; }
  const EntityTables& tables() const { return tables_; }

 private:
  static constexpr int kPendingMax = 4096;

  absl::Status Begin();
  absl::Status CopyTable(const lmdb::Transaction& txn, lmdb::Table from, lmdb::Table to);

  std::optional<ScratchDirectory> directory_;
  std::unique_ptr<lmdb::Env> env_;
  std::optional<lmdb::Transaction> txn_;
  std::optional<Changes> changes_;
  EntityTables tables_;
  int pending_ = 0;
};

}  // namespace nimbus::journal
