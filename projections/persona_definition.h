// What the journal says of a persona, whether or not the views know it yet: what a
// command decides by.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/event.h"

namespace nimbus::projections {

struct PersonaDefinition {
  journal::EntityState state;
  std::string name;    // never changes, nor do the others
  std::string row_id;  // the only one that is a foreign key to its row
  bool builtin = false;

  bool active() const { return state.state == static_cast<uint8_t>(journal::Standing::kOn); }
};

// NotFound when there is none, or it was removed.
absl::StatusOr<PersonaDefinition> FindPersona(const journal::Journal& journal,
                                              std::string_view row_id);
absl::StatusOr<PersonaDefinition> FindPersonaByName(const journal::Journal& journal,
                                                    std::string_view name);

// That `persona` was used in `session`.
schema::Event PersonaUsedEvent(const PersonaDefinition& persona, const schema::Uuid& session);

}  // namespace nimbus::projections
