// The rows of sessions, operations, operation_steps and checkpoints: written
// from events, and read back into structs. All SQL about these tables is in
// history_rows.cc.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "listing_limit.h"
#include "nimbus/journal/reader.h"
#include "nimbus/projections/history.h"
#include "nimbus/schema/events_generated.h"
#include "rows.h"
#include "sqlite.h"

namespace nimbus::projections {

// Micro-dollars in cents, half a cent rounded up.
int64_t CentsFromMicrodollars(int64_t microdollars);

class HistoryWriter : public RowWriter {
 public:
  static absl::StatusOr<std::unique_ptr<RowWriter>> Create(sqlite::Connection* database);

  bool NeedsBody(schema::fb::Event type) const override;
  absl::Status Apply(const AppliedRecord& record) override;
  absl::Status Flush() override;

 private:
  // Rows that are kept back until they are final, or the batch ends: most operations and
  // nearly all steps begin and end within one.
  struct NewOperation {
    int64_t rowid = 0;
    std::string session, type, input;
    std::optional<std::string> plan, created_at;
    std::string_view status;
  };
  struct NewStep {
    int64_t rowid = 0;
    std::string operation;
    int64_t number = 0;
    std::string type;
    std::optional<std::string> tool_name, input, created_at;
    std::string_view status;
  };
  struct OperationEnd;
  struct StepEnd;

  explicit HistoryWriter(sqlite::Connection* database) : database_(database) {}

  absl::Status Prepare();
  absl::Status StartSession(const AppliedRecord& record, const schema::fb::SessionStarted& event);
  absl::Status UpdateSession(const AppliedRecord& record, const schema::fb::SessionUpdated& event);
  absl::Status EndSession(const AppliedRecord& record);
  absl::Status CreateOperation(const AppliedRecord& record,
                               const schema::fb::OperationCreated& event);
  absl::Status PlanOperation(const AppliedRecord& record);
  absl::Status StartOperation(const AppliedRecord& record);
  absl::Status EndOperation(const AppliedRecord& record, std::string_view status,
                            const schema::fb::Outcome* outcome);
  absl::Status AddStep(const AppliedRecord& record, const schema::fb::StepAdded& event);
  absl::Status StartStep(const schema::Uuid& step);
  absl::Status EndStep(const AppliedRecord& record, std::string_view status,
                       const schema::Uuid& step, const schema::fb::Outcome* outcome);
  absl::Status CreateCheckpoint(const AppliedRecord& record,
                                const schema::fb::CheckpointCreated& event);

  absl::StatusOr<bool> HasOperation(const schema::Uuid& operation);
  absl::Status Insert(const schema::Uuid& id, const NewOperation& row, const OperationEnd& end);
  absl::Status Insert(const schema::Uuid& id, const NewStep& row, const StepEnd& end);
  absl::Status InsertAll();

  sqlite::Connection* database_;
  std::optional<sqlite::Statement> start_session_, update_session_, end_session_;
  std::optional<sqlite::Statement> create_operation_, plan_operation_, start_operation_,
      end_operation_;
  std::optional<sqlite::Statement> add_step_, start_step_, end_step_, create_checkpoint_;
  std::optional<sqlite::Statement> find_session_, find_operation_, find_step_;

  // Since the last Flush.
  std::map<schema::Uuid, NewOperation> operations_;
  std::map<schema::Uuid, NewStep> steps_;
  std::set<schema::Uuid> found_sessions_, found_operations_;  // that have a row
};

// Row to struct.
class HistoryReader {
 public:
  static constexpr std::string_view kName = "history";
  static constexpr int kSchemaVersion = 2;  // whose tables these are
  static absl::StatusOr<HistoryReader> Create(sqlite::Connection* database);

  absl::StatusOr<std::optional<Session>> GetSession(const schema::Uuid& id);
  absl::StatusOr<std::vector<Session>> GetSessions(std::optional<uint64_t> limit, uint64_t offset);
  absl::StatusOr<std::optional<Operation>> GetOperation(const schema::Uuid& id);
  absl::StatusOr<std::vector<Operation>> GetOperations(const OperationFilter& filter);
  // All as of one moment.
  absl::StatusOr<std::optional<OperationWithSteps>> GetOperationWithSteps(const schema::Uuid& id,
                                                                          bool with_states);

 private:
  explicit HistoryReader(ListingLimit limit) : limit_(std::move(limit)) {}

  absl::StatusOr<std::optional<OperationWithSteps>> ReadOperationWithSteps(const schema::Uuid& id,
                                                                           bool with_states);

  ListingLimit limit_;
  std::optional<sqlite::Statement> begin_, commit_;
  std::optional<sqlite::Statement> get_session_, get_sessions_;
  std::optional<sqlite::Statement> get_operation_, get_operations_, get_operations_of_session_;
  std::optional<sqlite::Statement> get_steps_, get_checkpoints_;
};

}  // namespace nimbus::projections
