// The rows of config, preferences, config_profiles and environment_configs: written
// from events, and read back into structs.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "effective_config.h"
#include "listing_limit.h"
#include "nimbus/projections/config.h"
#include "nimbus/schema/events_generated.h"
#include "rows.h"
#include "sqlite.h"
#include "stream_rows.h"

namespace nimbus::projections {

// Of the table config, which is older than the others.
class ConfigValueWriter : public RowWriter {
 public:
  static absl::StatusOr<std::unique_ptr<RowWriter>> Create(sqlite::Connection* database);

  bool NeedsBody(schema::fb::Event type) const override;
  absl::Status Apply(const AppliedRecord& record) override;

 private:
  explicit ConfigValueWriter(sqlite::Connection* database) : database_(database) {}

  sqlite::Connection* const database_;
  std::optional<sqlite::Statement> set_, unset_;
};

class ConfigValueReader {
 public:
  static constexpr std::string_view kName = "config values";
  static constexpr int kSchemaVersion = 1;
  static absl::StatusOr<ConfigValueReader> Create(sqlite::Connection* database);

  absl::StatusOr<std::optional<ConfigValue>> Get(std::string_view key);
  absl::StatusOr<std::vector<ConfigValue>> List(std::optional<uint64_t> limit, uint64_t offset);

 private:
  explicit ConfigValueReader(ListingLimit limit) : limit_(std::move(limit)) {}

  ListingLimit limit_;
  std::optional<sqlite::Statement> get_, list_;
};

class ConfigWriter : public RowWriter {
 public:
  static absl::StatusOr<std::unique_ptr<RowWriter>> Create(sqlite::Connection* database);

  bool NeedsBody(schema::fb::Event type) const override;
  absl::Status Apply(const AppliedRecord& record) override;

 private:
  ConfigWriter(sqlite::Connection* database, StreamRows preferences)
      : database_(database), preferences_(std::move(preferences)) {}

  absl::Status Prepare();
  absl::Status DefinePreference(const AppliedRecord& record,
                                const schema::fb::PreferenceDefined& event);
  absl::Status SetPreference(const AppliedRecord& record);
  absl::Status ResetPreference(const AppliedRecord& record);
  absl::Status SaveProfile(const AppliedRecord& record,
                           const schema::fb::ConfigProfileSaved& event);
  absl::Status ActivateProfile(const AppliedRecord& record);
  absl::Status DeleteProfile(const AppliedRecord& record);
  absl::Status SetEnvironment(const AppliedRecord& record,
                              const schema::fb::EnvironmentConfigSet& event);
  absl::Status DeleteEnvironment(const AppliedRecord& record);

  sqlite::Connection* const database_;
  StreamRows preferences_;  // by key
  std::optional<sqlite::Statement> define_preference_, set_preference_, reset_preference_;
  std::optional<sqlite::Statement> save_profile_, activate_profile_, delete_profile_;
  std::optional<sqlite::Statement> set_environment_, delete_environment_;
};

class ConfigReader {
 public:
  static constexpr std::string_view kName = "configuration";
  static constexpr int kSchemaVersion = 5;
  static absl::StatusOr<ConfigReader> Create(sqlite::Connection* database);

  absl::StatusOr<std::optional<Preference>> GetPreference(std::string_view key);
  absl::StatusOr<std::vector<Preference>> GetPreferences();
  absl::StatusOr<std::optional<ConfigProfile>> GetProfile(std::string_view name);
  absl::StatusOr<std::optional<ConfigProfile>> GetActiveProfile();
  absl::StatusOr<std::vector<ConfigProfile>> GetProfiles();
  absl::StatusOr<std::optional<EnvironmentConfig>> GetEnvironment(std::string_view environment,
                                                                  std::string_view cloud_provider);
  absl::StatusOr<std::vector<EnvironmentConfig>> GetEnvironments();
  // All as of one moment; the environment's config if `query` names one that exists.
  absl::StatusOr<ConfigRows> GetAll(const EffectiveQuery& query);

 private:
  ConfigReader() = default;

  absl::StatusOr<ConfigRows> ReadAllRows(const EffectiveQuery& query);

  std::optional<sqlite::Statement> begin_, commit_;
  std::optional<sqlite::Statement> get_preference_, get_preferences_;
  std::optional<sqlite::Statement> get_profile_, get_active_profile_, get_profiles_;
  std::optional<sqlite::Statement> get_environment_, get_environments_;
};

}  // namespace nimbus::projections
