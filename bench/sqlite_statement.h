// SQLite's C API, as little of it as a loop of prepared statements takes.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nimbus::bench {

struct CloseConnection {
  void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

absl::Status SqliteError(sqlite3* connection, std::string_view what);

// A prepared statement; values are bound in the order of its parameters and
// must live until Run returns.
class Statement {
 public:
  absl::Status Prepare(sqlite3* connection, std::string_view sql);

  Statement& Bind(std::string_view text) {
    return Note(sqlite3_bind_text(statement_.get(), ++bound_, text.data(),
                                  static_cast<int>(text.size()), SQLITE_STATIC));
  }
  Statement& Bind(int64_t number) {
    return Note(sqlite3_bind_int64(statement_.get(), ++bound_, number));
  }
  Statement& BindNull() { return Note(sqlite3_bind_null(statement_.get(), ++bound_)); }
  template <typename Value>
  Statement& Bind(const std::optional<Value>& value) {
    return value ? Bind(*value) : BindNull();
  }

  // Runs it to its end, and gives the last row's first column, or 0.
  absl::StatusOr<int64_t> Run();

 private:
  Statement& Note(int code) {
    if (code != SQLITE_OK) bind_error_ = code;
    return *this;
  }
  absl::Status Error(std::string_view what) const;

  std::unique_ptr<sqlite3_stmt, FinalizeStatement> statement_;
  int bound_ = 0;
  int bind_error_ = SQLITE_OK;
};

}  // namespace nimbus::bench
