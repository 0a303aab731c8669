// The rows of personas and persona_usage: written from events, and read back into
// structs.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/projections/personas.h"
#include "nimbus/schema/events_generated.h"
#include "rows.h"
#include "sqlite.h"
#include "stream_rows.h"

namespace nimbus::projections {

class PersonaWriter : public RowWriter {
 public:
  static absl::StatusOr<std::unique_ptr<RowWriter>> Create(sqlite::Connection* database);

  bool NeedsBody(schema::fb::Event type) const override;
  absl::Status Apply(const AppliedRecord& record) override;

 private:
  PersonaWriter(sqlite::Connection* database, StreamRows rows)
      : database_(database), rows_(std::move(rows)) {}

  absl::Status Prepare();
  absl::Status Define(const AppliedRecord& record, const schema::fb::PersonaDefined& event);
  absl::Status Update(const AppliedRecord& record, const schema::fb::PersonaUpdated& event);
  absl::Status Switch(const AppliedRecord& record, bool active);
  absl::Status Remove(const AppliedRecord& record);
  absl::Status Use(const AppliedRecord& record, const schema::fb::PersonaUsed& event);

  sqlite::Connection* const database_;
  StreamRows rows_;  // personas by row id
  std::optional<sqlite::Statement> define_, update_, switch_, remove_, use_;
};

class PersonaReader {
 public:
  static constexpr std::string_view kName = "personas";
  static constexpr int kSchemaVersion = 4;
  static absl::StatusOr<PersonaReader> Create(sqlite::Connection* database);

  absl::StatusOr<std::optional<Persona>> Get(std::string_view row_id);
  absl::StatusOr<std::optional<Persona>> GetByName(std::string_view name);
  absl::StatusOr<std::vector<Persona>> List(bool active_only);
  absl::StatusOr<std::vector<PersonaUsage>> GetUsage(const PersonaUsageFilter& filter);

 private:
  PersonaReader() = default;

  std::optional<sqlite::Statement> get_, get_by_name_, list_, get_usage_;
};

}  // namespace nimbus::projections
