#include "nimbus/schema/entity_id.h"

namespace nimbus::schema {
namespace {

Uuid Derive(fb::EntityKind kind, std::string_view name) {
  return DeriveUuid(fb::EnumNameEntityKind(kind), name);
}

}  // namespace

Uuid RowEntityId(fb::EntityKind kind, std::string_view row_id) {
  const absl::StatusOr<Uuid> id = ParseUuid(row_id);
  return id.ok() ? *id : Derive(kind, row_id);
}

std::string CanonicalRowId(std::string_view row_id) {
  const absl::StatusOr<Uuid> id = ParseUuid(row_id);
  return id.ok() ? id->ToString() : std::string(row_id);
}

Uuid PreferenceId(std::string_view key) { return Derive(fb::EntityKind::preference, key); }

Uuid ConfigValueId(std::string_view key) { return Derive(fb::EntityKind::config_value, key); }

Uuid ConfigProfileId(std::string_view name) { return Derive(fb::EntityKind::config_profile, name); }

Uuid EnvironmentConfigId(std::string_view environment, std::string_view cloud_provider) {
  std::string pair(environment);
  pair.push_back('\0');
  pair.append(cloud_provider);
  return Derive(fb::EntityKind::environment_config, pair);
}

Uuid RegistryEntryId(std::string_view name) { return Derive(fb::EntityKind::registry_entry, name); }

Uuid CredentialProfileId(std::string_view name) {
  return Derive(fb::EntityKind::credential_profile, name);
}

}  // namespace nimbus::schema
