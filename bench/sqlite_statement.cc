#include "bench/sqlite_statement.h"

#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::bench {

absl::Status SqliteError(sqlite3* connection, std::string_view what) {
  return schema::Error(absl::StatusCode::kInternal, "{}: {}", what, sqlite3_errmsg(connection));
}

absl::Status Statement::Prepare(sqlite3* connection, std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(connection, sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    return SqliteError(connection, sql);
  }
  statement_.reset(statement);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Statement::Run() {
  bound_ = 0;
  if (std::exchange(bind_error_, SQLITE_OK) != SQLITE_OK) return Error("sqlite3_bind");
  int64_t value = 0;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement_.get())) == SQLITE_ROW) {
    value = sqlite3_column_int64(statement_.get(), 0);
  }
  if (code != SQLITE_DONE) {
    const absl::Status error = Error("sqlite3_step");
    sqlite3_reset(statement_.get());
    return error;
  }
  sqlite3_reset(statement_.get());
  return value;
}

absl::Status Statement::Error(std::string_view what) const {
  return SqliteError(sqlite3_db_handle(statement_.get()), what);
}

}  // namespace nimbus::bench
