// The rows of plugin_registry: written from events, and read back into structs. All SQL
// about this table is in registry_rows.cc.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/projections/plugin_registry.h"
#include "rows.h"
#include "sqlite.h"

namespace nimbus::projections {

class RegistryWriter : public RowWriter {
 public:
  static absl::StatusOr<std::unique_ptr<RowWriter>> Create(sqlite::Connection* database);

  bool NeedsBody(schema::fb::Event type) const override;
  absl::Status Apply(const AppliedRecord& record) override;

 private:
  explicit RegistryWriter(sqlite::Connection* database) : database_(database) {}

  absl::Status Put(const AppliedRecord& record, const schema::fb::RegistryEntryCached& event);
  absl::Status Remove(const AppliedRecord& record);

  sqlite::Connection* database_;
  std::optional<sqlite::Statement> put_, remove_;
};

// Row to struct.
class RegistryReader {
 public:
  static constexpr std::string_view kName = "plugin_registry";
  static constexpr int kSchemaVersion = 3;

  static absl::StatusOr<RegistryReader> Create(sqlite::Connection* database);

  absl::StatusOr<std::optional<RegistryEntry>> Get(std::string_view name);
  // Those fetched at `since_us` or later, if it is set.
  absl::StatusOr<std::vector<RegistryEntry>> Search(const RegistryFilter& filter,
                                                    std::optional<int64_t> since_us);

 private:
  std::optional<sqlite::Statement> get_, search_;
};

}  // namespace nimbus::projections
