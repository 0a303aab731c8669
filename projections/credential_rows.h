// The rows of credentials and credential_profiles: written from events, and read back
// into structs. All SQL about these tables is in credential_rows.cc.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/projections/credentials.h"
#include "nimbus/schema/events_generated.h"
#include "rows.h"
#include "sqlite.h"

namespace nimbus::projections {

class CredentialWriter : public RowWriter {
 public:
  static absl::StatusOr<std::unique_ptr<RowWriter>> Create(sqlite::Connection* database);

  bool NeedsBody(schema::fb::Event type) const override;
  absl::Status Apply(const AppliedRecord& record) override;

 private:
  explicit CredentialWriter(sqlite::Connection* database) : database_(database) {}

  absl::Status Store(const AppliedRecord& record, const schema::fb::CredentialStored& event);
  absl::Status Rotate(const AppliedRecord& record, const schema::fb::CredentialRotated& event);

  sqlite::Connection* database_;
  std::optional<sqlite::Statement> store_, rotate_, use_, remove_;
};

class CredentialProfileWriter : public RowWriter {
 public:
  static absl::StatusOr<std::unique_ptr<RowWriter>> Create(sqlite::Connection* database);

  bool NeedsBody(schema::fb::Event type) const override;
  absl::Status Apply(const AppliedRecord& record) override;

 private:
  explicit CredentialProfileWriter(sqlite::Connection* database) : database_(database) {}

  absl::Status Save(const AppliedRecord& record, const schema::fb::CredentialProfileSaved& event);

  sqlite::Connection* database_;
  std::optional<sqlite::Statement> save_, make_default_, delete_;
};

// Row to struct.
class CredentialReader {
 public:
  static constexpr std::string_view kName = "credentials";
  static constexpr int kSchemaVersion = 1;
  static absl::StatusOr<CredentialReader> Create(sqlite::Connection* database);

  absl::StatusOr<std::vector<Credential>> List(const std::optional<std::string>& provider);
  absl::StatusOr<std::vector<Credential>> ListExpiring(int64_t before_us);
  absl::StatusOr<std::optional<Credential>> Get(const schema::Uuid& id);
  absl::StatusOr<std::optional<Credential>> GetByName(std::string_view name);
  absl::StatusOr<std::optional<std::string>> GetSealed(const schema::Uuid& id);

 private:
  CredentialReader() = default;

  std::optional<sqlite::Statement> list_, list_expiring_, get_, get_by_name_, get_sealed_;
};

class CredentialProfileReader {
 public:
  static constexpr std::string_view kName = "credential profiles";
  static constexpr int kSchemaVersion = 6;
  static absl::StatusOr<CredentialProfileReader> Create(sqlite::Connection* database);

  absl::StatusOr<std::vector<CredentialProfile>> List();
  absl::StatusOr<std::optional<CredentialProfile>> Get(std::string_view name);
  absl::StatusOr<std::optional<CredentialProfile>> GetDefault();

 private:
  CredentialProfileReader() = default;

  std::optional<sqlite::Statement> list_, get_, get_default_;
};

}  // namespace nimbus::projections
