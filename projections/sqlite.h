// SQLite, wrapped once: the only file pair that includes sqlite3.h.
//
//   NIMBUS_ASSIGN_OR_RETURN(Connection db, Connection::Open(path, {}));
//   NIMBUS_ASSIGN_OR_RETURN(Statement find, db.Prepare("SELECT name FROM t WHERE id = ?"));
//   NIMBUS_ASSIGN_OR_RETURN(bool found, find.First(id));
//   if (found) use(find.Text(0));     // valid until the statement is used again
//
// Errors: ResourceExhausted (disk full, out of memory), DataLoss (damaged, or no
// database), Unavailable (busy, locked), PermissionDenied (read-only, no
// access), NotFound (can't open), AlreadyExists (a unique column),
// FailedPrecondition (another constraint), OutOfRange (a value over SQLite's
// limits), Cancelled (interrupted), Internal (I/O error, anything else).
// IsSqliteError tells them from errors of other origin.
//
// One thread at a time uses a connection and its statements.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace nimbus::projections::sqlite {

// Whether `status` came from SQLite.
bool IsSqliteError(const absl::Status& status);

class Statement {
 public:
  // Runs the statement with these parameters to its end.
  template <typename... Parameters>
  absl::Status Run(const Parameters&... parameters) {
    NIMBUS_RETURN_IF_ERROR(BindAll(parameters...));
    return Finish();
  }

  // Binds the parameters and moves to the first row; false when there is none.
  // Texts and blobs are not copied: they stay valid until the last row is read.
  template <typename... Parameters>
  absl::StatusOr<bool> First(const Parameters&... parameters) {
    NIMBUS_RETURN_IF_ERROR(BindAll(parameters...));
    return Next();
  }
  absl::StatusOr<bool> Next();
  // Ends a query whose remaining rows are not wanted.
  void Reset();

  // Columns of the row it is at, from 0. Text and Blob are valid until the next
  // call of Run, First, Next or Reset.
  bool IsNull(int column) const;
  int64_t Int(int column) const;
  double Real(int column) const;
  std::string_view Text(int column) const;
  std::span<const uint8_t> Blob(int column) const;
  std::optional<int64_t> OptionalInt(int column) const;
  std::optional<double> OptionalDouble(int column) const;
  std::optional<std::string> OptionalText(int column) const;
  int columns() const;
  enum class Type { kNull, kInteger, kReal, kText, kBlob };
  Type TypeOf(int column) const;  // of the value as it is stored
  // As the query names the column; valid as long as the statement.
  std::string_view NameOf(int column) const;

 private:
  friend class Connection;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  template <typename... Parameters>
  absl::Status BindAll(const Parameters&... parameters) {
    Reset();
    int index = 0;
    bool bound = (Bind(++index, parameters) && ...);
    return bound ? absl::OkStatus() : BindError();
  }
  bool Bind(int index, std::nullptr_t);
  bool Bind(int index, int value) { return Bind(index, static_cast<int64_t>(value)); }
  bool Bind(int index, int64_t value);
  bool Bind(int index, double value);
  bool Bind(int index, std::string_view value);
  bool Bind(int index, const char* value) { return Bind(index, std::string_view(value)); }
  bool Bind(int index, const std::string& value) { return Bind(index, std::string_view(value)); }
  bool Bind(int index, std::span<const uint8_t> value);
  template <typename T>
  bool Bind(int index, const std::optional<T>& value) {
    return value ? Bind(index, *value) : Bind(index, nullptr);
  }
  absl::Status BindError() const;
  absl::Status Finish();

  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
};

class Connection {
 public:
  enum class Mode {
    kCreate,     // read and write, make the file when there is none
    kReadWrite,  // NotFound when there is none
    kReadOnly,   // sees what others commit; may have to make the WAL's -shm file
    kImmutable,  // for media that can't be written: ignores any WAL, takes no lock
  };
  struct Options {
    Mode mode = Mode::kCreate;
    int busy_timeout_ms = 1000;  // before Unavailable
  };

  static absl::StatusOr<Connection> Open(const std::string& path, const Options& options);

  absl::StatusOr<Statement> Prepare(std::string_view sql);
  // One statement of somebody else's, that reads and returns rows. InvalidArgument for
  // anything else, for what AllowOnlyReading refuses, and for what is no SQL.
  absl::StatusOr<Statement> PrepareQuery(std::string_view sql);
  // Runs all statements of `script`, which binds nothing and returns no rows.
  absl::Status Execute(const std::string& script);
  // The integer in the first column of the query's first row.
  absl::StatusOr<int64_t> QueryInt(std::string_view sql);
  absl::StatusOr<bool> TableExists(std::string_view name);

  // Rows the last INSERT, UPDATE or DELETE touched.
  int64_t changes() const;
  bool in_transaction() const;

  // From now on, statements may only look: no write, no ATTACH, no transaction, no
  // PRAGMA but those that tell something.
  void AllowOnlyReading();
  // A statement that is running when `flag` becomes true ends as Cancelled. The flag
  // outlives the connection.
  void InterruptOn(const std::atomic<bool>& flag);

  // Leaves checkpoints of the WAL to the caller, who learns from wal_pages how
  // many pages the last commit left in it.
  void CheckpointByHand();
  int64_t wal_pages() const { return wal_pages_ == nullptr ? 0 : *wal_pages_; }

  enum class CheckpointMode {
    kPassive,  // as far as it goes beside others that read and write
    kRestart,  // all of it, and the next commit starts it over: others can't write meanwhile
  };
  // Called while others hold a lock that is needed: waits a little, and says whether to try
  // again.
  using Wait = std::function<bool()>;
  // Moves the WAL into the file, and makes both durable. Returns how many pages are left that
  // others still read or have written since, INT64_MAX when another checkpoint runs, which is
  // never waited for. With kRestart those who write, and then those who read what is in the
  // WAL, are waited for; when `wait` gives up, it has been like kPassive.
  absl::StatusOr<int64_t> Checkpoint(CheckpointMode mode, const Wait& wait = nullptr);

 private:
  struct Closer {
    void operator()(sqlite3* connection) const;
  };
  friend class Transaction;
  // For as long as it exists, others are waited for in its way.
  class Waiting;
  Connection(sqlite3* connection, int busy_timeout_ms)
      : busy_timeout_ms_(busy_timeout_ms), connection_(connection) {}

  int busy_timeout_ms_;
  std::unique_ptr<int> wal_pages_;  // SQLite writes to it at each commit, once CheckpointByHand
  std::unique_ptr<sqlite3, Closer> connection_;
};

// All that is read of the connection until it is destroyed is as of one moment.
class Snapshot {
 public:
  static absl::StatusOr<Snapshot> Begin(Connection* connection);
  ~Snapshot();
  Snapshot(Snapshot&& other) noexcept : connection_(other.connection_) {
    other.connection_ = nullptr;
  }
  Snapshot& operator=(Snapshot&&) = delete;

 private:
  explicit Snapshot(Connection* connection) : connection_(connection) {}

  Connection* connection_;  // null once moved from
};

// BEGIN IMMEDIATE to COMMIT; rolled back when destroyed before.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(Connection* connection);
  // Unavailable at once, whatever the connection's timeout, when another one writes.
  static absl::StatusOr<Transaction> TryBegin(Connection* connection);
  ~Transaction();
  Transaction(Transaction&& other) noexcept : connection_(other.connection_) {
    other.connection_ = nullptr;
  }
  Transaction& operator=(Transaction&&) = delete;

  absl::Status Commit();

 private:
  explicit Transaction(Connection* connection) : connection_(connection) {}

  Connection* connection_;  // null once committed or moved from
};

}  // namespace nimbus::projections::sqlite
