#include "persona_definition.h"

#include <utility>

#include "nimbus/journal/reader.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Error;
using schema::Uuid;
using Code = absl::StatusCode;

constexpr size_t kNameShownMax = 64;

absl::StatusOr<PersonaDefinition> ReadDefinition(const journal::Journal& journal,
                                                 const journal::EntityState& state) {
  journal::Reader reader(journal);
  NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, reader.Read(state.first_sequence));
  const auto* defined = view->record->event_as_PersonaDefined();
  if (defined == nullptr) {
    return Error(Code::kDataLoss, "record {} does not define a persona", state.first_sequence);
  }
  PersonaDefinition persona{.state = state,
                            .name = defined->name()->str(),
                            .row_id = state.id.ToString(),
                            .builtin = defined->builtin()};
  if (defined->row_id() != nullptr && defined->row_id()->size() > 0) {
    persona.row_id = schema::CanonicalRowId(defined->row_id()->string_view());
  }
  return persona;
}

absl::Status NoPersona(std::string_view name) {
  return Error(Code::kNotFound, "there is no persona '{}'", name.substr(0, kNameShownMax));
}

absl::StatusOr<PersonaDefinition> FindById(const journal::Journal& journal, const Uuid& id,
                                           std::string_view name) {
  NIMBUS_ASSIGN_OR_RETURN(const auto state, journal.FindEntity(fb::EntityKind::persona, id));
  if (!state.has_value() || state->state == static_cast<uint8_t>(journal::Standing::kRemoved)) {
    return NoPersona(name);
  }
  return ReadDefinition(journal, *state);
}

}  // namespace

absl::StatusOr<PersonaDefinition> FindPersona(const journal::Journal& journal,
                                              std::string_view row_id) {
  return FindById(journal, schema::RowEntityId(fb::EntityKind::persona, row_id), row_id);
}

absl::StatusOr<PersonaDefinition> FindPersonaByName(const journal::Journal& journal,
                                                    std::string_view name) {
  NIMBUS_ASSIGN_OR_RETURN(const auto id, journal.FindName(fb::EntityKind::persona, "", name));
  if (!id.has_value()) return NoPersona(name);
  return FindById(journal, *id, name);
}

schema::Event PersonaUsedEvent(const PersonaDefinition& persona, const Uuid& session) {
  fb::PersonaUsedT used;
  used.session = std::make_unique<fb::Id>(session.ToFb());
  return MakeEvent(fb::EntityKind::persona, persona.state.id, std::move(used));
}

}  // namespace nimbus::projections
