#include "nimbus/projections/config.h"

#include <array>
#include <utility>

#include "config_rows.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/json.h"
#include "preference_definition.h"
#include "view_reader.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using fb::EntityKind;
using schema::Error;
using schema::Event;
using schema::Json;
using schema::Uuid;
using Code = absl::StatusCode;

constexpr int kSavesTriedMax = 3;
constexpr size_t kNameShownMax = 64;

std::string Shown(std::string_view name) { return std::string(name.substr(0, kNameShownMax)); }

absl::Status RequireObject(const std::string& config) {
  const absl::StatusOr<Json> json = Json::Parse(config);
  if (!json.ok()) return schema::Annotate(json.status(), "config");
  if (json->IsObject()) return absl::OkStatus();
  return Error(Code::kInvalidArgument, "config: should be a JSON object");
}

// The entity if it is in place, else NotFound, which names it.
absl::StatusOr<journal::EntityState> RequireInPlace(const journal::Journal& journal,
                                                    EntityKind kind, const Uuid& id,
                                                    const std::string& name) {
  NIMBUS_ASSIGN_OR_RETURN(const auto state, journal.FindEntity(kind, id));
  if (state && state->state != static_cast<uint8_t>(journal::Standing::kRemoved)) return *state;
  return Error(Code::kNotFound, "there is no {}", name);
}

absl::StatusOr<PreferenceDefinition> RequirePreference(const journal::Journal& journal,
                                                       const std::string& key) {
  NIMBUS_ASSIGN_OR_RETURN(auto preference, FindPreference(journal, key));
  if (preference.has_value()) return *std::move(preference);
  return Error(Code::kNotFound, "there is no preference '{}'", Shown(key));
}

// Preferences count their versions by themselves: other events may join their streams.
absl::StatusOr<journal::AppendOptions> OptionsFor(const journal::EntityState& preference,
                                                  const std::string& key,
                                                  std::optional<uint64_t> expected_version) {
  journal::AppendOptions options;
  if (!expected_version.has_value()) return options;
  if (preference.steps != *expected_version) {
    return Error(Code::kAborted, "preference '{}' is at version {}, not {}", key, preference.steps,
                 *expected_version);
  }
  options.expected_version = preference.version;
  return options;
}

template <typename Payload>
Event PreferenceEvent(const std::string& key, Payload payload) {
  return MakeEvent(EntityKind::preference, schema::PreferenceId(key), std::move(payload));
}

absl::StatusOr<std::optional<Uuid>> ActiveProfile(const journal::Journal& journal) {
  return journal.FindName(EntityKind::config_profile, "role", "active");
}

Event ProfileActivated(const Uuid& profile, const std::optional<Uuid>& previous) {
  fb::ConfigProfileActivatedT activated;
  if (previous) activated.previous = std::make_unique<fb::Id>(previous->ToFb());
  return MakeEvent(EntityKind::config_profile, profile, std::move(activated));
}

Event ProfileSaved(const NewConfigProfile& profile) {
  fb::ConfigProfileSavedT saved;
  saved.name = profile.name;
  Event event = MakeEvent(EntityKind::config_profile, schema::ConfigProfileId(profile.name),
                          std::move(saved));
  event.body.description = profile.description;
  event.body.details = std::make_unique<fb::DetailsT>();
  event.body.details->config = profile.config;
  return event;
}

template <typename Payload>
Event Removal(EntityKind kind, const Uuid& id, Payload payload, const std::string& reason) {
  Event event = MakeEvent(kind, id, std::move(payload));
  event.body.description = reason;
  return event;
}

std::string EnvironmentName(std::string_view environment, std::string_view cloud_provider) {
  return fmt::format("environment config '{}/{}'", Shown(environment), Shown(cloud_provider));
}

}  // namespace

absl::StatusOr<fb::ValueType> ParseValueType(std::string_view text) {
  for (const fb::ValueType type : fb::EnumValuesValueType()) {
    if (text == fb::EnumNameValueType(type)) return type;
  }
  return Error(Code::kInvalidArgument,
               "'{}' is no type; string, number, boolean, object and array are", Shown(text));
}

std::string_view LayerText(ConfigLayer layer) {
  static constexpr auto kNames =
      std::to_array<std::string_view>({"default", "preference", "environment", "profile"});
  return kNames[static_cast<size_t>(layer)];
}

class Config::Rows : public ViewReader<ConfigReader> {
 public:
  using ViewReader::ViewReader;
};

class Config::ValueRows : public ViewReader<ConfigValueReader> {
 public:
  using ViewReader::ViewReader;
};

Config::Config(journal::Journal* journal, Views* views)
    : journal_(journal),
      rows_(std::make_unique<Rows>(views)),
      values_(std::make_unique<ValueRows>(views)) {}

Config::~Config() = default;

absl::StatusOr<Written> Config::Append(const std::vector<Event>& events,
                                       const journal::AppendOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended, journal_->Append(events, options));
  return Written{.id = events.front().stream, .sequence = appended.first + appended.count - 1};
}

absl::StatusOr<Written> Config::SetValue(const std::string& key, std::string value) {
  NIMBUS_ASSIGN_OR_RETURN(const auto preference, FindPreference(*journal_, key));
  if (preference.has_value()) {
    return Error(Code::kFailedPrecondition, "'{}' is a preference: set it as one", key);
  }
  fb::ConfigValueSetT set;
  set.key = key;
  std::vector<Event> events(1);
  events[0] = MakeEvent(EntityKind::config_value, schema::ConfigValueId(key), std::move(set));
  events[0].body.details = std::make_unique<fb::DetailsT>();
  events[0].body.details->text = std::move(value);
  return Append(events);
}

absl::StatusOr<Written> Config::UnsetValue(const std::string& key, const std::string& reason) {
  const Uuid id = schema::ConfigValueId(key);
  NIMBUS_RETURN_IF_ERROR(RequireInPlace(*journal_, EntityKind::config_value, id,
                                        fmt::format("config value '{}'", Shown(key)))
                             .status());
  fb::ConfigValueUnsetT unset;
  unset.key = key;
  return Append({Removal(EntityKind::config_value, id, std::move(unset), reason)});
}

absl::StatusOr<std::optional<ConfigValue>> Config::GetValue(std::string_view key) {
  return values_->With([&](ConfigValueReader& reader) { return reader.Get(key); });
}

absl::StatusOr<std::vector<ConfigValue>> Config::GetValues(std::optional<uint64_t> limit,
                                                           uint64_t offset) {
  return values_->With([&](ConfigValueReader& reader) { return reader.List(limit, offset); });
}

absl::StatusOr<Written> Config::DefinePreference(const NewPreference& preference) {
  const std::string& key = preference.key;
  const std::string& value = preference.value.empty() ? preference.default_value : preference.value;
  NIMBUS_RETURN_IF_ERROR(CheckPreferenceValue(key, preference.type, value));
  if (!preference.default_value.empty()) {
    NIMBUS_RETURN_IF_ERROR(CheckPreferenceValue(key, preference.type, preference.default_value));
  }
  const auto free =
      RequireInPlace(*journal_, EntityKind::config_value, schema::ConfigValueId(key), Shown(key));
  if (free.ok()) {
    return Error(Code::kFailedPrecondition, "'{}' is set as a config value: unset it before", key);
  }
  if (!absl::IsNotFound(free.status())) return free.status();
  fb::PreferenceDefinedT defined;
  defined.key = key;
  defined.type = preference.type;
  std::vector<Event> events(1);
  events[0] = PreferenceEvent(key, std::move(defined));
  events[0].body.description = preference.description;
  events[0].body.details = std::make_unique<fb::DetailsT>();
  events[0].body.details->value = value;
  events[0].body.details->default_value = preference.default_value;
  return Append(events);
}

absl::StatusOr<Written> Config::SetPreference(const std::string& key, std::string value,
                                              std::optional<uint64_t> expected_version) {
  NIMBUS_ASSIGN_OR_RETURN(const PreferenceDefinition preference, RequirePreference(*journal_, key));
  NIMBUS_RETURN_IF_ERROR(CheckPreferenceValue(key, preference.type, value));
  NIMBUS_ASSIGN_OR_RETURN(const journal::AppendOptions options,
                          OptionsFor(preference.state, key, expected_version));
  fb::PreferenceSetT set;
  NIMBUS_ASSIGN_OR_RETURN(set.persona, PersonaNamedBy(*journal_, key, value));
  std::vector<Event> events(1);
  events[0] = PreferenceEvent(key, std::move(set));
  events[0].body.details = std::make_unique<fb::DetailsT>();
  events[0].body.details->value = std::move(value);
  return Append(events, options);
}

absl::StatusOr<Written> Config::ResetPreference(const std::string& key,
                                                std::optional<uint64_t> expected_version) {
  NIMBUS_ASSIGN_OR_RETURN(const PreferenceDefinition preference, RequirePreference(*journal_, key));
  if (!preference.default_value.has_value()) {
    return Error(Code::kFailedPrecondition, "preference '{}' has no default value", key);
  }
  NIMBUS_ASSIGN_OR_RETURN(const journal::AppendOptions options,
                          OptionsFor(preference.state, key, expected_version));
  fb::PreferenceResetT reset;
  NIMBUS_ASSIGN_OR_RETURN(reset.persona, PersonaNamedBy(*journal_, key, *preference.default_value));
  return Append({PreferenceEvent(key, std::move(reset))}, options);
}

absl::StatusOr<std::optional<Preference>> Config::GetPreference(std::string_view key) {
  return rows_->With([&](ConfigReader& reader) { return reader.GetPreference(key); });
}

absl::StatusOr<std::vector<Preference>> Config::GetPreferences() {
  return rows_->With([&](ConfigReader& reader) { return reader.GetPreferences(); });
}

absl::StatusOr<Written> Config::SaveProfile(const NewConfigProfile& profile) {
  NIMBUS_RETURN_IF_ERROR(RequireObject(profile.config));
  absl::StatusOr<Written> saved;
  for (int i = 0; i < kSavesTriedMax; ++i) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> active, ActiveProfile(*journal_));
    std::vector<Event> events;
    events.push_back(ProfileSaved(profile));
    const Uuid id = events[0].stream;
    if (!active.has_value()) events.push_back(ProfileActivated(id, std::nullopt));
    saved = Append(events);
    // Another process's first profile came before this one's.
    if (active.has_value() || !absl::IsFailedPrecondition(saved.status())) break;
  }
  return saved;
}

absl::StatusOr<Written> Config::ActivateProfile(const std::string& name) {
  const Uuid id = schema::ConfigProfileId(name);
  NIMBUS_ASSIGN_OR_RETURN(const journal::EntityState state,
                          RequireInPlace(*journal_, EntityKind::config_profile, id,
                                         fmt::format("config profile '{}'", Shown(name))));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> active, ActiveProfile(*journal_));
  if (active == id) return Written{.id = id, .sequence = state.head_sequence};
  return Append({ProfileActivated(id, active)});
}

absl::StatusOr<Written> Config::DeleteProfile(const std::string& name, const std::string& reason) {
  const Uuid id = schema::ConfigProfileId(name);
  NIMBUS_RETURN_IF_ERROR(RequireInPlace(*journal_, EntityKind::config_profile, id,
                                        fmt::format("config profile '{}'", Shown(name)))
                             .status());
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> active, ActiveProfile(*journal_));
  if (active == id) {
    return Error(Code::kFailedPrecondition,
                 "config profile '{}' is the active one: activate another before", name);
  }
  return Append({Removal(EntityKind::config_profile, id, fb::ConfigProfileDeletedT(), reason)});
}

absl::StatusOr<std::optional<ConfigProfile>> Config::GetProfile(std::string_view name) {
  return rows_->With([&](ConfigReader& reader) { return reader.GetProfile(name); });
}

absl::StatusOr<std::optional<ConfigProfile>> Config::GetActiveProfile() {
  return rows_->With([](ConfigReader& reader) { return reader.GetActiveProfile(); });
}

absl::StatusOr<std::vector<ConfigProfile>> Config::GetProfiles() {
  return rows_->With([](ConfigReader& reader) { return reader.GetProfiles(); });
}

absl::StatusOr<Written> Config::SetEnvironment(const NewEnvironmentConfig& environment) {
  NIMBUS_RETURN_IF_ERROR(RequireObject(environment.config));
  fb::EnvironmentConfigSetT set;
  set.environment = environment.environment;
  set.cloud_provider = environment.cloud_provider;
  std::vector<Event> events(1);
  events[0] =
      MakeEvent(EntityKind::environment_config,
                schema::EnvironmentConfigId(environment.environment, environment.cloud_provider),
                std::move(set));
  events[0].body.details = std::make_unique<fb::DetailsT>();
  events[0].body.details->config = environment.config;
  return Append(events);
}

absl::StatusOr<Written> Config::DeleteEnvironment(const std::string& environment,
                                                  const std::string& cloud_provider,
                                                  const std::string& reason) {
  const Uuid id = schema::EnvironmentConfigId(environment, cloud_provider);
  NIMBUS_RETURN_IF_ERROR(RequireInPlace(*journal_, EntityKind::environment_config, id,
                                        EnvironmentName(environment, cloud_provider))
                             .status());
  return Append(
      {Removal(EntityKind::environment_config, id, fb::EnvironmentConfigDeletedT(), reason)});
}

absl::StatusOr<std::optional<EnvironmentConfig>> Config::GetEnvironment(
    std::string_view environment, std::string_view cloud_provider) {
  return rows_->With(
      [&](ConfigReader& reader) { return reader.GetEnvironment(environment, cloud_provider); });
}

absl::StatusOr<std::vector<EnvironmentConfig>> Config::GetEnvironments() {
  return rows_->With([](ConfigReader& reader) { return reader.GetEnvironments(); });
}

absl::StatusOr<std::vector<EffectiveValue>> Config::GetEffective(const EffectiveQuery& query) {
  if (query.environment.empty() != query.cloud_provider.empty()) {
    return Error(Code::kInvalidArgument, "an environment and a cloud provider go together");
  }
  NIMBUS_ASSIGN_OR_RETURN(const ConfigRows rows,
                          rows_->With([&](ConfigReader& reader) { return reader.GetAll(query); }));
  if (!query.environment.empty() && !rows.environment.has_value()) {
    return Error(Code::kNotFound, "there is no {}",
                 EnvironmentName(query.environment, query.cloud_provider));
  }
  return MergeConfig(rows, query.key);
}

}  // namespace nimbus::projections
