// What the user has configured, and what of it is in effect.
//
//   preferences    typed JSON values under known keys, with a version and a default
//   profiles       named JSON objects of which one is active
//   environments   a JSON object per environment and cloud provider
//   values         any other text under any other key
//
//   NIMBUS_RETURN_IF_ERROR(config.SetPreference("ui.theme", R"("dark")").status());
//   NIMBUS_RETURN_IF_ERROR(config.SaveProfile({.name = "work",
//       .config = R"({"llm":{"default_model":"claude-opus-4"}})"}).status());
//   NIMBUS_RETURN_IF_ERROR(database.CatchUp(1000));
//   NIMBUS_ASSIGN_OR_RETURN(auto values, config.GetEffective({.key = "llm"}));
//   // llm.default_model = "claude-opus-4", of profile work, over the preference's default
//
// Commands append events to the journal, and decide by what it holds, not by the
// views. They fail as journal::Journal::Append does, and nothing was written then
// (except DataLoss):
//   InvalidArgument     a value is not JSON, not of its type, or not allowed; a name is
//                       missing or a limit exceeded
//   NotFound            what is to be changed or removed does not exist
//   FailedPrecondition  as each command says, or the journal is open read-only
//
// A query sees what the projector has applied. It returns FailedPrecondition when the
// tables of version 5 (of version 1 for values) do not exist (migrated down).
//
// Thread-safe, as History is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/projections/history.h"
#include "nimbus/schema/event.h"

namespace nimbus::projections {

struct ConfigValue {
  std::string key, value;
  std::optional<int64_t> updated_at_us;
  uint64_t sequence = 0;
};

struct NewPreference {
  std::string key;
  schema::fb::ValueType type = schema::fb::ValueType::string;
  std::string value;          // JSON of that type; the default value when empty
  std::string default_value;  // JSON of that type; none when empty
  std::string description;
};

struct Preference {
  std::string id;  // row id: of a built-in one the specification's ('pref_theme')
  std::string key;
  std::string value;  // JSON
  schema::fb::ValueType type = schema::fb::ValueType::string;
  std::optional<std::string> description;
  std::optional<std::string> default_value;  // JSON
  int64_t version = 1;                       // one more with each SetPreference and reset
  std::optional<int64_t> updated_at_us;
  uint64_t sequence = 0;
};

struct NewConfigProfile {
  std::string name, description;
  std::string config;  // JSON object
};

struct ConfigProfile {
  schema::Uuid id;
  std::string name;
  std::optional<std::string> description;
  std::string config;  // JSON
  bool is_active = false;
  std::optional<int64_t> created_at_us, updated_at_us;
  uint64_t sequence = 0;
};

struct NewEnvironmentConfig {
  std::string environment;     // 'development', 'staging', 'production', or the caller's own
  std::string cloud_provider;  // 'aws', 'gcp', 'azure', or the caller's own
  std::string config;          // JSON object
};

struct EnvironmentConfig {
  schema::Uuid id;
  std::string environment, cloud_provider;
  std::string config;  // JSON
  std::optional<int64_t> created_at_us, updated_at_us;
  uint64_t sequence = 0;
};

// Where a value comes from. From the lowest precedence to the highest.
enum class ConfigLayer : uint8_t { kDefault, kPreference, kEnvironment, kProfile };

struct ConfigSource {
  ConfigLayer layer = ConfigLayer::kDefault;
  std::string name;                // key of the preference; 'production/aws'; of the profile
  std::string row_id;              // in preferences, environment_configs or config_profiles
  std::optional<int64_t> version;  // of a preference
  std::optional<int64_t> updated_at_us;
};

struct ShadowedValue {
  std::string key;    // its own: a value also shadows those below its key, and above it
  std::string value;  // JSON
  ConfigSource source;
};

struct EffectiveValue {
  std::string key;    // dotted path: "ui.theme"
  std::string value;  // JSON, and no object unless it is empty
  ConfigSource source;
  std::vector<ShadowedValue> shadows;  // the highest precedence first
};

struct EffectiveQuery {
  std::string environment, cloud_provider;  // go together; no environment config when empty
  std::string key;                          // only this one and those below it
};

// The spec's words: 'string', 'number', … InvalidArgument for any other.
absl::StatusOr<schema::fb::ValueType> ParseValueType(std::string_view text);
// 'default', 'preference', 'environment', 'profile'.
std::string_view LayerText(ConfigLayer layer);

class Config {
 public:
  Config(journal::Journal* journal, Views* views);  // made by Database; both outlive it
  ~Config();
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;

  // Any text. FailedPrecondition: the key is a preference's.
  absl::StatusOr<Written> SetValue(const std::string& key, std::string value);
  absl::StatusOr<Written> UnsetValue(const std::string& key, const std::string& reason = {});
  absl::StatusOr<std::optional<ConfigValue>> GetValue(std::string_view key);
  // By key.
  absl::StatusOr<std::vector<ConfigValue>> GetValues(std::optional<uint64_t> limit = std::nullopt,
                                                     uint64_t offset = 0);

  // AlreadyExists: there is one of that key. FailedPrecondition: a value has the key.
  absl::StatusOr<Written> DefinePreference(const NewPreference& preference);
  // `value` is JSON of the preference's type. history.max_entries is a positive integer,
  // agent.default_persona the name of an active persona (NotFound, FailedPrecondition).
  // Aborted: the preference is not at `expected_version`, if that is given.
  absl::StatusOr<Written> SetPreference(const std::string& key, std::string value,
                                        std::optional<uint64_t> expected_version = std::nullopt);
  // To its default value. FailedPrecondition: it has none. Aborted as SetPreference.
  absl::StatusOr<Written> ResetPreference(const std::string& key,
                                          std::optional<uint64_t> expected_version = std::nullopt);
  absl::StatusOr<std::optional<Preference>> GetPreference(std::string_view key);
  // All, by key.
  absl::StatusOr<std::vector<Preference>> GetPreferences();

  // Makes it, or replaces its description and config. The first one becomes active in
  // the same append; from then on exactly one is.
  absl::StatusOr<Written> SaveProfile(const NewConfigProfile& profile);
  // Appends nothing when it is active already. FailedPrecondition: another process has
  // activated one meanwhile.
  absl::StatusOr<Written> ActivateProfile(const std::string& name);
  // FailedPrecondition: it is the active one.
  absl::StatusOr<Written> DeleteProfile(const std::string& name, const std::string& reason = {});
  absl::StatusOr<std::optional<ConfigProfile>> GetProfile(std::string_view name);
  absl::StatusOr<std::optional<ConfigProfile>> GetActiveProfile();
  // All, by name.
  absl::StatusOr<std::vector<ConfigProfile>> GetProfiles();

  // Makes it, or replaces its config.
  absl::StatusOr<Written> SetEnvironment(const NewEnvironmentConfig& environment);
  absl::StatusOr<Written> DeleteEnvironment(const std::string& environment,
                                            const std::string& cloud_provider,
                                            const std::string& reason = {});
  absl::StatusOr<std::optional<EnvironmentConfig>> GetEnvironment(std::string_view environment,
                                                                  std::string_view cloud_provider);
  // All, by environment and provider.
  absl::StatusOr<std::vector<EnvironmentConfig>> GetEnvironments();

  // What is in effect, by key, as of one moment: defaults of preferences, over them the
  // preferences that have another value, over them the environment's config if one is
  // asked for, over them the active profile's. Objects are merged member by member; any
  // other value, null and arrays too, replaces what is there. What was erased counts
  // for nothing. InvalidArgument: an environment without a provider, or the reverse.
  // NotFound: there is no config of that environment.
  absl::StatusOr<std::vector<EffectiveValue>> GetEffective(const EffectiveQuery& query = {});

 private:
  class Rows;
  class ValueRows;

  absl::StatusOr<Written> Append(const std::vector<schema::Event>& events,
                                 const journal::AppendOptions& options = {});

  journal::Journal* const journal_;
  const std::unique_ptr<Rows> rows_;
  const std::unique_ptr<ValueRows> values_;
};

}  // namespace nimbus::projections
