// What the views are measured beside: a loop written by hand that makes the same rows of
// the canonical workload with prepared statements, and does nothing else.
//
//   NIMBUS_ASSIGN_OR_RETURN(auto loop, RowLoop::Create(path));
//   NIMBUS_RETURN_IF_ERROR(loop->Begin());
//   for (…) NIMBUS_RETURN_IF_ERROR(loop->Apply(record, body));
//   NIMBUS_RETURN_IF_ERROR(loop->Commit());
//
// The specification's tables and indexes, pages of 16 KiB, a write-ahead log of 64 MiB
// between checkpoints, and each row written once with all that a batch makes of it. It
// knows the workload: an operation ends before another begins, a step likewise. What else
// a journal holds it passes over. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/sqlite_statement.h"
#include "nimbus/schema/events_generated.h"

namespace nimbus::bench {

class RowLoop {
 public:
  static absl::StatusOr<std::unique_ptr<RowLoop>> Create(const std::string& path);

  absl::Status Begin();
  absl::Status Apply(const schema::fb::Record& record, uint64_t sequence,
                     const schema::fb::Body* body);
  // Writes what is not yet final as it is.
  absl::Status Commit();

 private:
  struct Operation {
    int64_t rowid = 0;
    std::string id, session, type, input, created_at;
    bool stored = false;
  };
  struct Step {
    int64_t rowid = 0, number = 0;
    std::string id, type, tool_name, input, created_at;
    bool stored = false;
  };

  RowLoop() = default;
  absl::Status Prepare();
  absl::Status Execute(const char* sql);
  absl::Status StartSession(const schema::fb::Record& record, uint64_t sequence,
                            const schema::fb::Body& body);
  absl::Status AddCheckpoint(const schema::fb::Record& record, uint64_t sequence,
                             const schema::fb::Body& body);
  absl::Status EndStep(const schema::fb::Outcome& outcome, const schema::fb::Body& body);
  absl::Status EndOperation(const schema::fb::Record& record, const schema::fb::Outcome* outcome,
                            const schema::fb::Body& body);
  absl::Status StoreStep(std::string_view status, std::optional<std::string_view> output,
                         std::optional<int64_t> duration_ms);

  std::unique_ptr<sqlite3, CloseConnection> connection_;
  Statement begin_, commit_, add_session_, add_operation_, end_operation_, add_step_, end_step_,
      add_checkpoint_;
  std::optional<Operation> operation_;
  std::optional<Step> step_;
};

}  // namespace nimbus::bench
