// The rows of forks and replay_receipts: written from events, and read back into
// structs. All SQL about these tables is in lineage_rows.cc.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/projections/lineage.h"
#include "nimbus/schema/events_generated.h"
#include "rows.h"
#include "sqlite.h"

namespace nimbus::projections {

class LineageWriter : public RowWriter {
 public:
  static absl::StatusOr<std::unique_ptr<RowWriter>> Create(sqlite::Connection* database);

  bool NeedsBody(schema::fb::Event type) const override;
  absl::Status Apply(const AppliedRecord& record) override;

 private:
  explicit LineageWriter(sqlite::Connection* database) : database_(database) {}

  absl::Status AddFork(const AppliedRecord& record, const schema::fb::OperationForked& event);
  absl::Status AddReceipt(const AppliedRecord& record, const schema::fb::OperationReplayed& event);

  sqlite::Connection* database_;
  std::optional<sqlite::Statement> add_fork_, add_receipt_;
};

// Row to struct.
class LineageReader {
 public:
  static constexpr std::string_view kName = "lineage";
  static constexpr int kSchemaVersion = 7;
  static absl::StatusOr<LineageReader> Create(sqlite::Connection* database);

  absl::StatusOr<std::vector<Fork>> ForksOf(const schema::Uuid& operation);
  absl::StatusOr<std::optional<Fork>> ForkOrigin(const schema::Uuid& operation);
  absl::StatusOr<std::vector<ReplayReceipt>> ReceiptsOf(const schema::Uuid& operation);

 private:
  LineageReader() = default;

  std::optional<sqlite::Statement> forks_of_, fork_origin_, receipts_of_;
};

}  // namespace nimbus::projections
