#include "config_rows.h"

#include "nimbus/schema/entity_id.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Error;
using sqlite::Statement;

absl::Status NoneOfConfigs(fb::Event type) {
  return Error(absl::StatusCode::kInternal, "event {} is none of the configuration's",
               fb::EnumNameEvent(type));
}

// JSON of the body, in a column that can't be NULL: when there is none, `absent`.
std::string JsonColumn(const AppliedRecord& record, const flatbuffers::String* text,
                       std::string_view absent) {
  if (record.erased) return ErasedMark(record.sequence());
  return std::string(Text(text).value_or(absent));
}

std::string ConfigColumn(const AppliedRecord& record) {
  const fb::Details* details = record.details();
  return JsonColumn(record, details ? details->config() : nullptr, "{}");
}

// A value type's name; of one this version does not know, its number.
std::string TypeText(fb::ValueType type) {
  const std::string_view name = fb::EnumNameValueType(type);
  return name.empty() ? fmt::format("{}", static_cast<int>(type)) : std::string(name);
}

absl::StatusOr<ConfigValue> ReadValue(const Statement& row) {
  RowReader reader(row);
  ConfigValue value{.key = std::string(row.Text(1)),
                    .value = std::string(row.Text(2)),
                    .updated_at_us = reader.Time(3),
                    .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return value;
}

constexpr char kPreferenceColumns[] =
    "SELECT rowid, id, key, value, type, description, default_value, version, updated_at "
    "FROM preferences ";

absl::StatusOr<Preference> ReadPreference(const Statement& row) {
  RowReader reader(row);
  Preference preference{
      .id = std::string(row.Text(1)),
      .key = std::string(row.Text(2)),
      .value = std::string(row.Text(3)),
      .type = reader.Member(4, "value type", fb::EnumValuesValueType(), &fb::EnumNameValueType),
      .description = row.OptionalText(5),
      .default_value = row.OptionalText(6),
      .version = row.Int(7),
      .updated_at_us = reader.Time(8),
      .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return preference;
}

constexpr char kProfileColumns[] =
    "SELECT rowid, id, name, description, config, is_active, created_at, updated_at "
    "FROM config_profiles ";

absl::StatusOr<ConfigProfile> ReadProfile(const Statement& row) {
  RowReader reader(row);
  ConfigProfile profile{.id = reader.Id(1),
                        .name = std::string(row.Text(2)),
                        .description = row.OptionalText(3),
                        .config = std::string(row.Text(4)),
                        .is_active = row.Int(5) != 0,
                        .created_at_us = reader.Time(6),
                        .updated_at_us = reader.Time(7),
                        .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return profile;
}

constexpr char kEnvironmentColumns[] =
    "SELECT rowid, id, environment, cloud_provider, config, created_at, updated_at "
    "FROM environment_configs ";

absl::StatusOr<EnvironmentConfig> ReadEnvironment(const Statement& row) {
  RowReader reader(row);
  EnvironmentConfig environment{.id = reader.Id(1),
                                .environment = std::string(row.Text(2)),
                                .cloud_provider = std::string(row.Text(3)),
                                .config = std::string(row.Text(4)),
                                .created_at_us = reader.Time(5),
                                .updated_at_us = reader.Time(6),
                                .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return environment;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RowWriter>> ConfigValueWriter::Create(sqlite::Connection* database) {
  std::unique_ptr<ConfigValueWriter> writer(new ConfigValueWriter(database));
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database, {
                    {&writer->set_,
                     "INSERT INTO config (rowid, key, value, updated_at) VALUES (?1, ?2, ?3, ?4) "
                     "ON CONFLICT (key) DO UPDATE SET value = ?3, updated_at = ?4"},
                    {&writer->unset_, "DELETE FROM config WHERE key = ?"},
                }));
  return writer;
}

bool ConfigValueWriter::NeedsBody(fb::Event type) const {
  return type == fb::Event::ConfigValueSet;
}

absl::Status ConfigValueWriter::Apply(const AppliedRecord& record) {
  const fb::Record& r = record.record();
  if (const auto* event = r.event_as_ConfigValueSet()) {
    const fb::Details* details = record.details();
    return set_->Run(record.rowid(), Text(event->key()),
                     JsonColumn(record, details ? details->text() : nullptr, ""), Time(record));
  }
  const auto* event = r.event_as_ConfigValueUnset();
  if (event == nullptr) return NoneOfConfigs(r.event_type());
  const std::string key = event->key()->str();
  NIMBUS_RETURN_IF_ERROR(unset_->Run(key));
  return RequireChange(*database_, "config value", key);
}

absl::StatusOr<ConfigValueReader> ConfigValueReader::Create(sqlite::Connection* database) {
  NIMBUS_ASSIGN_OR_RETURN(ListingLimit limit, ListingLimit::Create(database));
  ConfigValueReader reader(std::move(limit));
  const std::string values = "SELECT rowid, key, value, updated_at FROM config ";
  NIMBUS_RETURN_IF_ERROR(
      PrepareAll(database, {
                               {&reader.get_, values + "WHERE key = ?"},
                               {&reader.list_, values + "ORDER BY key LIMIT ? OFFSET ?"},
                           }));
  return reader;
}

absl::StatusOr<std::optional<ConfigValue>> ConfigValueReader::Get(std::string_view key) {
  return ReadOne(&*get_, get_->First(key), &ReadValue);
}

absl::StatusOr<std::vector<ConfigValue>> ConfigValueReader::List(std::optional<uint64_t> limit,
                                                                 uint64_t offset) {
  NIMBUS_ASSIGN_OR_RETURN(const int64_t count, limit_.Get(limit));
  return ReadAll(&*list_, list_->First(count, SqlCount(offset)), &ReadValue);
}

absl::StatusOr<std::unique_ptr<RowWriter>> ConfigWriter::Create(sqlite::Connection* database) {
  NIMBUS_ASSIGN_OR_RETURN(
      StreamRows preferences,
      StreamRows::Create(database, "SELECT key FROM preferences", &schema::PreferenceId));
  std::unique_ptr<ConfigWriter> writer(new ConfigWriter(database, std::move(preferences)));
  NIMBUS_RETURN_IF_ERROR(writer->Prepare());
  return writer;
}

absl::Status ConfigWriter::Prepare() {
  return PrepareAll(
      database_,
      {
          {&define_preference_,
           "INSERT INTO preferences (rowid, id, key, value, type, description, default_value, "
           "version, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"},
          {&set_preference_,
           "UPDATE preferences SET value = ?2, version = ?3, updated_at = ?4 WHERE key = ?1"},
          // Without a default value, it was erased from the record that made the row.
          {&reset_preference_,
           "UPDATE preferences SET value = coalesce(default_value, '{\"$erased\":' || rowid || "
           "'}'), version = ?2, updated_at = ?3 WHERE key = ?1"},
          {&save_profile_,
           "INSERT INTO config_profiles (rowid, id, name, description, config, is_active, "
           "created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, NULL) "
           "ON CONFLICT (id) DO UPDATE SET description = ?4, config = ?5, updated_at = ?6"},
          {&activate_profile_,
           "UPDATE config_profiles SET is_active = (id = ?1) WHERE (is_active OR id = ?1) "
           "AND EXISTS (SELECT 1 FROM config_profiles WHERE id = ?1)"},
          {&delete_profile_, "DELETE FROM config_profiles WHERE id = ?"},
          {&set_environment_,
           "INSERT INTO environment_configs (rowid, id, environment, cloud_provider, config, "
           "created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL) "
           "ON CONFLICT (id) DO UPDATE SET config = ?5, updated_at = ?6"},
          {&delete_environment_, "DELETE FROM environment_configs WHERE id = ?"},
      });
}

bool ConfigWriter::NeedsBody(fb::Event type) const {
  return type == fb::Event::PreferenceDefined || type == fb::Event::PreferenceSet ||
         type == fb::Event::ConfigProfileSaved || type == fb::Event::EnvironmentConfigSet;
}

absl::Status ConfigWriter::Apply(const AppliedRecord& record) {
  const fb::Record& r = record.record();
  switch (r.event_type()) {
    case fb::Event::PreferenceDefined:
      return DefinePreference(record, *r.event_as_PreferenceDefined());
    case fb::Event::PreferenceSet:
      return SetPreference(record);
    case fb::Event::PreferenceReset:
      return ResetPreference(record);
    case fb::Event::ConfigProfileSaved:
      return SaveProfile(record, *r.event_as_ConfigProfileSaved());
    case fb::Event::ConfigProfileActivated:
      return ActivateProfile(record);
    case fb::Event::ConfigProfileDeleted:
      return DeleteProfile(record);
    case fb::Event::EnvironmentConfigSet:
      return SetEnvironment(record, *r.event_as_EnvironmentConfigSet());
    case fb::Event::EnvironmentConfigDeleted:
      return DeleteEnvironment(record);
    default:
      return NoneOfConfigs(r.event_type());
  }
}

absl::Status ConfigWriter::DefinePreference(const AppliedRecord& record,
                                            const fb::PreferenceDefined& event) {
  const std::optional<std::string_view> row_id = Text(event.row_id());
  const std::string id = row_id.value_or("").empty() ? StreamId(record) : std::string(*row_id);
  const fb::Details* details = record.details();
  const auto def = Text(details ? details->default_value() : nullptr);
  return define_preference_->Run(
      record.rowid(), id, Text(event.key()),
      JsonColumn(record, details ? details->value() : nullptr, def.value_or("null")),
      TypeText(event.type()), Text(record.body ? record.body->description() : nullptr), def,
      static_cast<int64_t>(record.view.envelope().ordinal()), Time(record));
}

absl::Status ConfigWriter::SetPreference(const AppliedRecord& record) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string key, preferences_.Find(record.stream()));
  const fb::Details* details = record.details();
  NIMBUS_RETURN_IF_ERROR(
      set_preference_->Run(key, JsonColumn(record, details ? details->value() : nullptr, "null"),
                           static_cast<int64_t>(record.view.envelope().ordinal()), Time(record)));
  return RequireChange(*database_, "preference", key);
}

absl::Status ConfigWriter::ResetPreference(const AppliedRecord& record) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string key, preferences_.Find(record.stream()));
  NIMBUS_RETURN_IF_ERROR(reset_preference_->Run(
      key, static_cast<int64_t>(record.view.envelope().ordinal()), Time(record)));
  return RequireChange(*database_, "preference", key);
}

absl::Status ConfigWriter::SaveProfile(const AppliedRecord& record,
                                       const fb::ConfigProfileSaved& event) {
  return save_profile_->Run(record.rowid(), StreamId(record), Text(event.name()),
                            Text(record.body ? record.body->description() : nullptr),
                            ConfigColumn(record), Time(record));
}

absl::Status ConfigWriter::ActivateProfile(const AppliedRecord& record) {
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(activate_profile_->Run(id));
  return RequireChange(*database_, "config profile", id);
}

absl::Status ConfigWriter::DeleteProfile(const AppliedRecord& record) {
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(delete_profile_->Run(id));
  return RequireChange(*database_, "config profile", id);
}

absl::Status ConfigWriter::SetEnvironment(const AppliedRecord& record,
                                          const fb::EnvironmentConfigSet& event) {
  return set_environment_->Run(record.rowid(), StreamId(record), Text(event.environment()),
                               Text(event.cloud_provider()), ConfigColumn(record), Time(record));
}

absl::Status ConfigWriter::DeleteEnvironment(const AppliedRecord& record) {
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(delete_environment_->Run(id));
  return RequireChange(*database_, "environment config", id);
}

absl::StatusOr<ConfigReader> ConfigReader::Create(sqlite::Connection* database) {
  ConfigReader reader;
  const std::string preferences = kPreferenceColumns;
  const std::string profiles = kProfileColumns;
  const std::string environments = kEnvironmentColumns;
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database,
      {
          {&reader.begin_, "BEGIN"},
          {&reader.commit_, "COMMIT"},
          {&reader.get_preference_, preferences + "WHERE key = ?"},
          {&reader.get_preferences_, preferences + "ORDER BY key"},
          {&reader.get_profile_, profiles + "WHERE name = ?"},
          {&reader.get_active_profile_, profiles + "WHERE is_active"},
          {&reader.get_profiles_, profiles + "ORDER BY name"},
          {&reader.get_environment_, environments + "WHERE environment = ? AND cloud_provider = ?"},
          {&reader.get_environments_, environments + "ORDER BY environment, cloud_provider"},
      }));
  return reader;
}

absl::StatusOr<std::optional<Preference>> ConfigReader::GetPreference(std::string_view key) {
  return ReadOne(&*get_preference_, get_preference_->First(key), &ReadPreference);
}

absl::StatusOr<std::vector<Preference>> ConfigReader::GetPreferences() {
  return ReadAll(&*get_preferences_, get_preferences_->First(), &ReadPreference);
}

absl::StatusOr<std::optional<ConfigProfile>> ConfigReader::GetProfile(std::string_view name) {
  return ReadOne(&*get_profile_, get_profile_->First(name), &ReadProfile);
}

absl::StatusOr<std::optional<ConfigProfile>> ConfigReader::GetActiveProfile() {
  return ReadOne(&*get_active_profile_, get_active_profile_->First(), &ReadProfile);
}

absl::StatusOr<std::vector<ConfigProfile>> ConfigReader::GetProfiles() {
  return ReadAll(&*get_profiles_, get_profiles_->First(), &ReadProfile);
}

absl::StatusOr<std::optional<EnvironmentConfig>> ConfigReader::GetEnvironment(
    std::string_view environment, std::string_view cloud_provider) {
  return ReadOne(&*get_environment_, get_environment_->First(environment, cloud_provider),
                 &ReadEnvironment);
}

absl::StatusOr<std::vector<EnvironmentConfig>> ConfigReader::GetEnvironments() {
  return ReadAll(&*get_environments_, get_environments_->First(), &ReadEnvironment);
}

absl::StatusOr<ConfigRows> ConfigReader::GetAll(const EffectiveQuery& query) {
  NIMBUS_RETURN_IF_ERROR(begin_->Run());
  absl::StatusOr<ConfigRows> rows = ReadAllRows(query);
  const absl::Status ended = commit_->Run();
  if (rows.ok()) NIMBUS_RETURN_IF_ERROR(ended);
  return rows;
}

absl::StatusOr<ConfigRows> ConfigReader::ReadAllRows(const EffectiveQuery& query) {
  ConfigRows rows;
  NIMBUS_ASSIGN_OR_RETURN(rows.preferences, GetPreferences());
  NIMBUS_ASSIGN_OR_RETURN(rows.profile, GetActiveProfile());
  if (!query.environment.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(rows.environment,
                            GetEnvironment(query.environment, query.cloud_provider));
  }
  return rows;
}

}  // namespace nimbus::projections
