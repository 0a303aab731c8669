// What the journal says of a preference, and what its value may be: what a command
// decides by.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/event.h"
#include "persona_definition.h"

namespace nimbus::projections {

struct PreferenceDefinition {
  journal::EntityState state;
  schema::fb::ValueType type = schema::fb::ValueType::string;  // never changes
  std::optional<std::string> default_value;  // JSON; nor does it, unless it is erased
};

// nullopt when there is none of that key.
absl::StatusOr<std::optional<PreferenceDefinition>> FindPreference(const journal::Journal& journal,
                                                                   std::string_view key);

// InvalidArgument unless `value` is JSON of the type, and what Nimbus can obey where it
// knows the key. That a persona exists is left to PersonaNamedBy.
absl::Status CheckPreferenceValue(std::string_view key, schema::fb::ValueType type,
                                  std::string_view value);

// The persona that the value of the preference names; nullptr where it names none.
// NotFound, or FailedPrecondition when it is not active.
absl::StatusOr<std::unique_ptr<schema::fb::Id>> PersonaNamedBy(const journal::Journal& journal,
                                                               std::string_view key,
                                                               std::string_view value);

// The event that makes `persona` the default one. FailedPrecondition when it is not
// active.
absl::StatusOr<schema::Event> DefaultPersonaEvent(const PersonaDefinition& persona);

}  // namespace nimbus::projections
