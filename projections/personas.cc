#include "nimbus/projections/personas.h"

#include <utility>

#include "nimbus/projections/builtins.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/json.h"
#include "persona_definition.h"
#include "persona_rows.h"
#include "preference_definition.h"
#include "view_reader.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Error;
using schema::Event;
using schema::Uuid;
using Code = absl::StatusCode;

absl::Status Require(std::string_view field, const std::string& text) {
  if (!text.empty()) return absl::OkStatus();
  return Error(Code::kInvalidArgument, "{}: is required", field);
}

absl::Status CheckTemperature(double temperature) {
  if (temperature >= 0 && temperature <= kTemperatureMax) return absl::OkStatus();
  return Error(Code::kInvalidArgument, "temperature: {} is not between 0 and {}", temperature,
               kTemperatureMax);
}

template <typename Payload>
Event PersonaEvent(const PersonaDefinition& persona, Payload payload) {
  return MakeEvent(fb::EntityKind::persona, persona.state.id, std::move(payload));
}

// The texts of a persona, or those of them that change.
template <typename Texts>
fb::BodyT BodyOf(const Texts& texts) {
  fb::BodyT body;
  body.description = texts.description;
  body.details = std::make_unique<fb::DetailsT>();
  body.details->display_name = texts.display_name;
  body.details->system_prompt = texts.system_prompt;
  body.details->model = texts.model;
  body.details->response_style = texts.response_style;
  body.details->capabilities = texts.capabilities;
  return body;
}

bool IsEmpty(const PersonaChange& change) {
  return change.display_name.empty() && change.description.empty() &&
         change.system_prompt.empty() && !change.temperature && change.model.empty() &&
         change.response_style.empty() && change.capabilities.empty();
}

Written AlreadySo(const PersonaDefinition& persona) {
  return {.id = persona.state.id, .sequence = persona.state.head_sequence};
}

}  // namespace

class Personas::Rows : public ViewReader<PersonaReader> {
 public:
  using ViewReader::ViewReader;
};

Personas::Personas(journal::Journal* journal, Views* views)
    : journal_(journal), views_(views), rows_(std::make_unique<Rows>(views)) {}

Personas::~Personas() = default;

absl::StatusOr<Written> Personas::Append(const Uuid& id, const std::vector<Event>& events) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended, journal_->Append(events));
  return Written{.id = id, .sequence = appended.first + appended.count - 1};
}

absl::StatusOr<Written> Personas::Define(const NewPersona& persona) {
  NIMBUS_RETURN_IF_ERROR(Require("display_name", persona.display_name));
  NIMBUS_RETURN_IF_ERROR(Require("system_prompt", persona.system_prompt));
  NIMBUS_RETURN_IF_ERROR(CheckTemperature(persona.temperature));
  const Uuid id = schema::NewUuid();
  fb::PersonaDefinedT defined;
  defined.name = persona.name;
  defined.temperature = persona.temperature;
  std::vector<Event> events(1);
  events[0] = MakeEvent(fb::EntityKind::persona, id, std::move(defined));
  events[0].body = BodyOf(persona);
  return Append(id, events);
}

absl::StatusOr<Written> Personas::Update(std::string_view row_id, const PersonaChange& change) {
  NIMBUS_ASSIGN_OR_RETURN(const PersonaDefinition persona, FindPersona(*journal_, row_id));
  if (persona.builtin) {
    return Error(Code::kFailedPrecondition,
                 "persona '{}' is built in and does not change: define one of your own",
                 persona.name);
  }
  if (IsEmpty(change)) return Error(Code::kInvalidArgument, "there is nothing to change");
  if (change.temperature) NIMBUS_RETURN_IF_ERROR(CheckTemperature(*change.temperature));
  fb::PersonaUpdatedT updated;
  if (change.temperature) updated.temperature = *change.temperature;
  std::vector<Event> events(1);
  events[0] = PersonaEvent(persona, std::move(updated));
  events[0].body = BodyOf(change);
  return Append(persona.state.id, events);
}

absl::StatusOr<Written> Personas::Activate(std::string_view row_id) {
  NIMBUS_ASSIGN_OR_RETURN(const PersonaDefinition persona, FindPersona(*journal_, row_id));
  if (persona.active()) return AlreadySo(persona);
  return Append(persona.state.id, {PersonaEvent(persona, fb::PersonaActivatedT())});
}

absl::StatusOr<Written> Personas::Deactivate(std::string_view row_id) {
  NIMBUS_ASSIGN_OR_RETURN(const PersonaDefinition persona, FindPersona(*journal_, row_id));
  if (!persona.active()) return AlreadySo(persona);
  NIMBUS_ASSIGN_OR_RETURN(const auto holder,
                          journal_->FindName(fb::EntityKind::persona, "role", "default"));
  if (holder == persona.state.id) {
    return Error(Code::kFailedPrecondition,
                 "persona '{}' is the default one: choose another default first", persona.name);
  }
  return Append(persona.state.id, {PersonaEvent(persona, fb::PersonaDeactivatedT())});
}

absl::StatusOr<Written> Personas::Remove(std::string_view row_id, const std::string& reason) {
  NIMBUS_ASSIGN_OR_RETURN(const PersonaDefinition persona, FindPersona(*journal_, row_id));
  if (persona.builtin || persona.state.steps > 0) {
    return Error(Code::kFailedPrecondition, "persona '{}' {}: deactivate it instead", persona.name,
                 persona.builtin ? "is built in" : "has been used");
  }
  fb::PersonaRemovedT removed;
  removed.name = persona.name;
  std::vector<Event> events(1);
  events[0] = PersonaEvent(persona, std::move(removed));
  events[0].body.description = reason;
  return Append(persona.state.id, events);
}

absl::StatusOr<Written> Personas::UseInSession(const Uuid& session, std::string_view row_id) {
  NIMBUS_ASSIGN_OR_RETURN(const PersonaDefinition persona, FindPersona(*journal_, row_id));
  if (!persona.active()) {
    return Error(Code::kFailedPrecondition, "persona '{}' is not active", persona.name);
  }
  fb::SessionUpdatedT updated;
  updated.persona = persona.row_id;
  std::vector<Event> events(2);
  events[0] = MakeEvent(fb::EntityKind::session, session, std::move(updated));
  events[1] = PersonaUsedEvent(persona, session);
  return Append(session, events);
}

absl::StatusOr<Written> Personas::SetDefault(std::string_view row_id) {
  NIMBUS_ASSIGN_OR_RETURN(const PersonaDefinition persona, FindPersona(*journal_, row_id));
  NIMBUS_ASSIGN_OR_RETURN(Event event, DefaultPersonaEvent(persona));
  const Uuid preference = event.stream;
  return Append(preference, {std::move(event)});
}

absl::StatusOr<std::optional<Persona>> Personas::GetDefault() {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> id,
                          journal_->FindName(fb::EntityKind::persona, "role", "default"));
  if (!id.has_value()) return std::nullopt;
  NIMBUS_ASSIGN_OR_RETURN(const PersonaDefinition persona, FindPersona(*journal_, id->ToString()));
  NIMBUS_RETURN_IF_ERROR(views_->WaitFor(persona.state.first_sequence, views_->command_wait_ms()));
  return Get(persona.row_id);
}

absl::StatusOr<std::string> Personas::FindRowId(std::string_view name_or_row_id) const {
  absl::StatusOr<PersonaDefinition> persona = FindPersonaByName(*journal_, name_or_row_id);
  if (absl::IsNotFound(persona.status())) persona = FindPersona(*journal_, name_or_row_id);
  if (!persona.ok()) return std::move(persona).status();
  return persona->row_id;
}

absl::StatusOr<std::optional<Persona>> Personas::Get(std::string_view row_id) {
  return rows_->With([&](PersonaReader& reader) { return reader.Get(row_id); });
}

absl::StatusOr<std::optional<Persona>> Personas::GetByName(std::string_view name) {
  return rows_->With([&](PersonaReader& reader) { return reader.GetByName(name); });
}

absl::StatusOr<std::vector<Persona>> Personas::List(bool active_only) {
  return rows_->With([&](PersonaReader& reader) { return reader.List(active_only); });
}

absl::StatusOr<std::vector<PersonaUsage>> Personas::GetUsage(const PersonaUsageFilter& filter) {
  return rows_->With([&](PersonaReader& reader) { return reader.GetUsage(filter); });
}

}  // namespace nimbus::projections
