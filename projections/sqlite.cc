#include "sqlite.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "absl/strings/cord.h"
#include "nimbus/schema/check.h"

namespace nimbus::projections::sqlite {
namespace {

constexpr char kPayload[] = "nimbus.sqlite";

absl::StatusCode CodeOf(int extended) {
  switch (extended) {
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_ROWID:
      return absl::StatusCode::kAlreadyExists;
    case SQLITE_IOERR_NOMEM:
      return absl::StatusCode::kResourceExhausted;
    default:
      break;
  }
  switch (extended & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return absl::StatusCode::kUnavailable;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_CANTOPEN:
      return absl::StatusCode::kNotFound;
    case SQLITE_CONSTRAINT:
      return absl::StatusCode::kFailedPrecondition;
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
      return absl::StatusCode::kOutOfRange;
    case SQLITE_INTERRUPT:
      return absl::StatusCode::kCancelled;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status MakeStatus(int code, std::string_view message) {
  absl::Status status = schema::Error(CodeOf(code), "SQLite: {} ({})", message, code);
  status.SetPayload(kPayload, absl::Cord(std::to_string(code)));
  return status;
}

absl::Status LastError(sqlite3* connection) {
  int code = sqlite3_extended_errcode(connection);
  // "Can't open" leaves the reason to errno: a missing file and a forbidden one
  // must be told apart.
  if ((code & 0xff) == SQLITE_CANTOPEN) {
    const int system = sqlite3_system_errno(connection);
    if (system == EACCES || system == EPERM || system == EROFS) code = SQLITE_PERM;
  }
  return MakeStatus(code, sqlite3_errmsg(connection));
}

// `path` as a file: URI that opens it without locks or WAL.
std::string ImmutableUri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f || c == '%' || c == '?' || c == '#') {
      uri += fmt::format("%{:02x}", byte);
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

// Pragmas that tell something and, with or without an argument, change nothing.
constexpr auto kTellingPragmas = std::to_array<std::string_view>(
    {"collation_list", "compile_options", "database_list", "foreign_key_check", "foreign_key_list",
     "function_list", "index_info", "index_list", "index_xinfo", "integrity_check", "module_list",
     "pragma_list", "quick_check", "table_info", "table_list", "table_xinfo"});
// Those that do only without one.
constexpr auto kAskingPragmas =
    std::to_array<std::string_view>({"application_id", "encoding", "freelist_count", "journal_mode",
                                     "page_count", "page_size", "schema_version", "user_version"});

template <size_t count>
bool IsAmong(const std::array<std::string_view, count>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsHarmlessPragma(const char* name, const char* argument) {
  std::string lower(name == nullptr ? "" : name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return IsAmong(kTellingPragmas, lower) || (argument == nullptr && IsAmong(kAskingPragmas, lower));
}

int AuthorizeReading(void*, int action, const char* first, const char* second, const char*,
                     const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      return std::string_view(second) == "load_extension" ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_UPDATE:
      // Asked when a pragma is used as a table; a statement that does it is refused all
      // the same, as one that writes.
      return std::string_view(first) == "sqlite_master" ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_PRAGMA:
      return IsHarmlessPragma(first, second) ? SQLITE_OK : SQLITE_DENY;
    default:
      return SQLITE_DENY;
  }
}

}  // namespace

bool IsSqliteError(const absl::Status& status) { return status.GetPayload(kPayload).has_value(); }

void Statement::Finalizer::operator()(sqlite3_stmt* statement) const {
  // Its result repeats the error of the last step, which was reported then.
  sqlite3_finalize(statement);
}

absl::StatusOr<bool> Statement::Next() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    Reset();
    return false;
  }
  absl::Status error = LastError(sqlite3_db_handle(statement_.get()));
  Reset();
  return error;
}

absl::Status Statement::Finish() {
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const bool row, Next());
    if (!row) return absl::OkStatus();
  }
}

void Statement::Reset() {
  // As in Finalizer: the error, if any, was reported by the step it belongs to.
  sqlite3_reset(statement_.get());
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }

double Statement::Real(int column) const { return sqlite3_column_double(statement_.get(), column); }

std::string_view Statement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return {reinterpret_cast<const char*>(text), text == nullptr ? 0 : static_cast<size_t>(size)};
}

std::span<const uint8_t> Statement::Blob(int column) const {
  const void* blob = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return {static_cast<const uint8_t*>(blob), blob == nullptr ? 0 : static_cast<size_t>(size)};
}

std::optional<int64_t> Statement::OptionalInt(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Int(column);
}

std::optional<double> Statement::OptionalDouble(int column) const {
  if (IsNull(column)) return std::nullopt;
  return sqlite3_column_double(statement_.get(), column);
}

std::optional<std::string> Statement::OptionalText(int column) const {
  if (IsNull(column)) return std::nullopt;
  return std::string(Text(column));
}

int Statement::columns() const { return sqlite3_column_count(statement_.get()); }

Statement::Type Statement::TypeOf(int column) const {
  switch (sqlite3_column_type(statement_.get(), column)) {
    case SQLITE_INTEGER:
      return Type::kInteger;
    case SQLITE_FLOAT:
      return Type::kReal;
    case SQLITE_TEXT:
      return Type::kText;
    case SQLITE_BLOB:
      return Type::kBlob;
    default:
      return Type::kNull;
  }
}

std::string_view Statement::NameOf(int column) const {
  const char* name = sqlite3_column_name(statement_.get(), column);
  return name == nullptr ? std::string_view() : std::string_view(name);
}

bool Statement::Bind(int index, std::nullptr_t) {
  return sqlite3_bind_null(statement_.get(), index) == SQLITE_OK;
}

bool Statement::Bind(int index, int64_t value) {
  return sqlite3_bind_int64(statement_.get(), index, value) == SQLITE_OK;
}

bool Statement::Bind(int index, double value) {
  return sqlite3_bind_double(statement_.get(), index, value) == SQLITE_OK;
}

bool Statement::Bind(int index, std::string_view value) {
  const char* text = value.data() == nullptr ? "" : value.data();  // a null pointer would be NULL
  return sqlite3_bind_text64(statement_.get(), index, text, value.size(), SQLITE_STATIC,
                             SQLITE_UTF8) == SQLITE_OK;
}

bool Statement::Bind(int index, std::span<const uint8_t> value) {
  const void* bytes = value.data() == nullptr ? static_cast<const void*>("") : value.data();
  return sqlite3_bind_blob64(statement_.get(), index, bytes, value.size(), SQLITE_STATIC) ==
         SQLITE_OK;
}

absl::Status Statement::BindError() const { return LastError(sqlite3_db_handle(statement_.get())); }

void Connection::Closer::operator()(sqlite3* connection) const {
  // With close_v2 the order in which statements and connection go is free.
  sqlite3_close_v2(connection);
}

absl::StatusOr<Connection> Connection::Open(const std::string& path, const Options& options) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (options.mode) {
    case Mode::kCreate:
      flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
      break;
    case Mode::kReadWrite:
      flags |= SQLITE_OPEN_READWRITE;
      break;
    case Mode::kReadOnly:
      flags |= SQLITE_OPEN_READONLY;
      break;
    case Mode::kImmutable:
      flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
      break;
  }
  const std::string name = options.mode == Mode::kImmutable ? ImmutableUri(path) : path;
  sqlite3* raw = nullptr;
  const int result = sqlite3_open_v2(name.c_str(), &raw, flags, nullptr);
  Connection connection(raw, options.busy_timeout_ms);  // is to be closed even when opening failed
  if (raw == nullptr) return MakeStatus(SQLITE_NOMEM, "out of memory");
  if (result != SQLITE_OK) return schema::Annotate(LastError(raw), path);
  if (sqlite3_busy_timeout(raw, options.busy_timeout_ms) != SQLITE_OK) return LastError(raw);
  return connection;
}

absl::StatusOr<Statement> Connection::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return LastError(connection_.get());
  NIMBUS_CHECK(statement != nullptr);  // the text was empty
  return Statement(statement);
}

absl::StatusOr<Statement> Connection::PrepareQuery(std::string_view sql) {
  const auto refused = [](std::string_view why) {
    return schema::Error(absl::StatusCode::kInvalidArgument, "SQL: {}", why);
  };
  const char* const end = sql.data() + sql.size();
  const char* rest = nullptr;
  sqlite3_stmt* raw = nullptr;
  const int result = sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &raw, &rest);
  const int reason = result & 0xff;
  if (reason == SQLITE_AUTH) return refused("only a query that reads the tables is run here");
  if (reason == SQLITE_ERROR) return refused(sqlite3_errmsg(connection_.get()));
  if (result != SQLITE_OK) return LastError(connection_.get());
  if (raw == nullptr) return refused("there is no statement");
  Statement statement(raw);
  sqlite3_stmt* next = nullptr;
  const int more =
      sqlite3_prepare_v2(connection_.get(), rest, static_cast<int>(end - rest), &next, nullptr);
  const Statement second(next);
  if (more != SQLITE_OK || next != nullptr) return refused("one statement at a time");
  if (sqlite3_stmt_readonly(raw) == 0) return refused("only a query is run here, no change");
  if (statement.columns() == 0) return refused("the statement returns no rows");
  return statement;
}

absl::Status Connection::Execute(const std::string& script) {
  const int result = sqlite3_exec(connection_.get(), script.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : LastError(connection_.get());
}

absl::StatusOr<int64_t> Connection::QueryInt(std::string_view sql) {
  NIMBUS_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  NIMBUS_ASSIGN_OR_RETURN(const bool found, statement.First());
  if (!found) return schema::Error(absl::StatusCode::kNotFound, "no row: {}", sql);
  return statement.Int(0);
}

absl::StatusOr<bool> Connection::TableExists(std::string_view name) {
  NIMBUS_ASSIGN_OR_RETURN(Statement statement,
                          Prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"));
  return statement.First(name);
}

int64_t Connection::changes() const { return sqlite3_changes64(connection_.get()); }

bool Connection::in_transaction() const { return sqlite3_get_autocommit(connection_.get()) == 0; }

void Connection::AllowOnlyReading() {
  sqlite3_set_authorizer(connection_.get(), &AuthorizeReading, nullptr);
}

void Connection::InterruptOn(const std::atomic<bool>& flag) {
  constexpr int kInstructions = 10'000;  // of SQLite's machine, between looks at the flag
  const auto is_set = [](void* to) {
    return static_cast<const std::atomic<bool>*>(to)->load() ? 1 : 0;
  };
  sqlite3_progress_handler(connection_.get(), kInstructions, is_set,
                           const_cast<std::atomic<bool>*>(&flag));
}

void Connection::CheckpointByHand() {
  wal_pages_ = std::make_unique<int>(0);
  const auto note_pages = [](void* pages, sqlite3*, const char*, int count) {
    *static_cast<int*>(pages) = count;
    return SQLITE_OK;
  };
  sqlite3_wal_hook(connection_.get(), note_pages, wal_pages_.get());
}

class Connection::Waiting {
 public:
  Waiting(const Connection& connection, const Wait& wait) : connection_(connection), wait_(wait) {
    const auto ask = [](void* waiting, int) {
      const Wait& next = static_cast<Waiting*>(waiting)->wait_;
      return next != nullptr && next() ? 1 : 0;
    };
    sqlite3_busy_handler(connection_.connection_.get(), ask, this);
  }
  ~Waiting() { sqlite3_busy_timeout(connection_.connection_.get(), connection_.busy_timeout_ms_); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  const Connection& connection_;
  const Wait& wait_;
};

absl::StatusOr<int64_t> Connection::Checkpoint(CheckpointMode mode, const Wait& wait) {
  const Waiting waiting(*this, wait);
  int pages = -1, moved = -1;
  const int result = sqlite3_wal_checkpoint_v2(
      connection_.get(), nullptr,
      mode == CheckpointMode::kRestart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE,
      &pages, &moved);
  if (result != SQLITE_OK && (result & 0xff) != SQLITE_BUSY) return LastError(connection_.get());
  return pages < 0 ? INT64_MAX : pages - moved;
}

absl::StatusOr<Snapshot> Snapshot::Begin(Connection* connection) {
  NIMBUS_RETURN_IF_ERROR(connection->Execute("BEGIN"));
  Snapshot snapshot(connection);
  // The moment is that of the first read.
  NIMBUS_RETURN_IF_ERROR(connection->QueryInt("SELECT count(*) FROM sqlite_master").status());
  return snapshot;
}

Snapshot::~Snapshot() {
  // Nothing was written: what becomes of the transaction does not matter.
  if (connection_ != nullptr) connection_->Execute("ROLLBACK").IgnoreError();
}

absl::StatusOr<Transaction> Transaction::Begin(Connection* connection) {
  NIMBUS_RETURN_IF_ERROR(connection->Execute("BEGIN IMMEDIATE"));
  return Transaction(connection);
}

absl::StatusOr<Transaction> Transaction::TryBegin(Connection* connection) {
  const Connection::Wait never;
  const Connection::Waiting waiting(*connection, never);
  return Begin(connection);
}

Transaction::~Transaction() {
  // SQLite rolls back by itself on a full disk and the like. A ROLLBACK that
  // fails leaves the transaction to be undone when the connection is closed.
  if (connection_ == nullptr || !connection_->in_transaction()) return;
  connection_->Execute("ROLLBACK").IgnoreError();
}

absl::Status Transaction::Commit() {
  NIMBUS_RETURN_IF_ERROR(connection_->Execute("COMMIT"));
  connection_ = nullptr;
  return absl::OkStatus();
}

}  // namespace nimbus::projections::sqlite
