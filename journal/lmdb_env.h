// LMDB, wrapped once: RAII, absl::Status, no raw handles outside lmdb_env.cc.
// Everything here is confined to journal/.
//
// A View points into the memory map and is valid until its transaction ends, or
// in a write transaction until the next write. Begin and end a transaction on
// one thread. Never used after fork().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct MDB_env;
struct MDB_txn;
struct MDB_cursor;

namespace nimbus::journal::lmdb {

using View = std::span<const uint8_t>;

inline View MakeView(const void* data, size_t size) {
  return {static_cast<const uint8_t*>(data), size};
}

// A named table, valid for the life of its Env.
struct Table {
  unsigned handle = 0;
};

struct TableStat {
  uint64_t entries = 0;
  uint64_t bytes = 0;  // whole pages
};

struct EnvOptions {
  size_t map_bytes = 0;
  bool read_only = false;
  bool unlocked = false;  // no lock file: only when nobody writes
  bool durable = true;    // false: scratch space that may be lost
  unsigned tables_max = 8;
};

class Env {
 public:
  // Opens the environment in the existing directory `path`.
  static absl::StatusOr<std::unique_ptr<Env>> Open(const std::string& path,
                                                   const EnvOptions& options);
  ~Env();
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  // Number of the last transaction whose commit is in the file, of any process;
  // new readers see it once it is flushed, a little later. Costs no transaction,
  // so it may be polled.
  uint64_t LastTransaction() const;
  // Pages of the file in use or free, in bytes.
  uint64_t BytesAllocated() const;
  // Frees the slots of readers whose process died.
  absl::Status ClearDeadReaders();

 private:
  friend class Transaction;
  explicit Env(MDB_env* env) : env_(env) {}
  MDB_env* env_;
};

class Cursor;

class Transaction {
 public:
  enum class Mode { kRead, kWrite };

  // A write transaction waits for that of any other thread or process.
  static absl::StatusOr<Transaction> Begin(const Env& env, Mode mode);
  ~Transaction();  // aborts what was not committed
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;

  // Keeps what `owner` owns, as the Env, until the transaction is gone.
  void KeepAlive(std::shared_ptr<const void> owner) { owner_ = std::move(owner); }

  // Of a reader: the number of the transaction whose outcome it sees.
  uint64_t Id() const;

  // ResourceExhausted: out of space, nothing was written. DataLoss: unknown.
  absl::Status Commit();

  // NotFound if the table does not exist and !create.
  absl::StatusOr<Table> OpenTable(const char* name, bool integer_key, bool create);

  absl::StatusOr<std::optional<View>> Get(Table table, View key) const;
  absl::Status Put(Table table, View key, View value);
  absl::StatusOr<TableStat> Stat(Table table) const;
  absl::StatusOr<uint64_t> FreePageBytes() const;
  absl::StatusOr<Cursor> OpenCursor(Table table) const;

 private:
  explicit Transaction(MDB_txn* txn) : txn_(txn) {}
  std::shared_ptr<const void> owner_;
  MDB_txn* txn_;
};

struct KeyValue {
  View key;
  View value;
};

// Must not outlive its transaction.
class Cursor {
 public:
  ~Cursor();
  Cursor(Cursor&& other) noexcept;
  Cursor& operator=(Cursor&&) = delete;

  absl::StatusOr<std::optional<KeyValue>> First();
  absl::StatusOr<std::optional<KeyValue>> Last();
  absl::StatusOr<std::optional<KeyValue>> Next();
  absl::StatusOr<std::optional<KeyValue>> Previous();
  // The first entry whose key is `key` or after it.
  absl::StatusOr<std::optional<KeyValue>> AtOrAfter(View key);

 private:
  friend class Transaction;
  explicit Cursor(MDB_cursor* cursor) : cursor_(cursor) {}
  absl::StatusOr<std::optional<KeyValue>> Move(int operation, View key);
  MDB_cursor* cursor_;
};

}  // namespace nimbus::journal::lmdb
