// Ids of what the product specification makes unique: derived from what is
// unique about it, so that there is one stream for it, whoever writes first.
//
//   a preference's is PreferenceId("ui.theme")
//   a built-in persona has the row id 'persona_devops': RowEntityId("persona", "persona_devops")
#pragma once

#include <string>
#include <string_view>

#include "nimbus/schema/id.h"

namespace nimbus::schema {

// The entity of the row `row_id` of the views: the UUID it is, in either case,
// else (a built-in one's) one derived from it.
Uuid RowEntityId(fb::EntityKind kind, std::string_view row_id);

// As it stands in the views: a UUID in lower case, any other text as it is.
std::string CanonicalRowId(std::string_view row_id);

Uuid PreferenceId(std::string_view key);
Uuid ConfigValueId(std::string_view key);
Uuid ConfigProfileId(std::string_view name);
Uuid EnvironmentConfigId(std::string_view environment, std::string_view cloud_provider);
Uuid RegistryEntryId(std::string_view name);
Uuid CredentialProfileId(std::string_view name);

}  // namespace nimbus::schema
