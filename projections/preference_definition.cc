#include "preference_definition.h"

#include <algorithm>
#include <array>
#include <utility>

#include "nimbus/journal/reader.h"
#include "nimbus/projections/builtins.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Error;
using schema::Event;
using schema::Json;
using Code = absl::StatusCode;

// Where an empty text would leave Nimbus without what it needs.
constexpr auto kNotEmpty = std::to_array<std::string_view>(
    {"ui.theme", "llm.default_model", "generator.output_directory", kDefaultPersonaKey});

bool IsOf(const Json& value, fb::ValueType type) {
  switch (type) {
    case fb::ValueType::string:
      return value.IsString();
    case fb::ValueType::number:
      return value.IsNumber();
    case fb::ValueType::boolean:
      return value.IsBool();
    case fb::ValueType::object:
      return value.IsObject();
    case fb::ValueType::array:
      return value.IsArray();
  }
  return false;  // a type of a later version
}

absl::Status RequireActive(const PersonaDefinition& persona) {
  if (persona.active()) return absl::OkStatus();
  return Error(Code::kFailedPrecondition, "persona '{}' is not active", persona.name);
}

}  // namespace

absl::StatusOr<std::optional<PreferenceDefinition>> FindPreference(const journal::Journal& journal,
                                                                   std::string_view key) {
  NIMBUS_ASSIGN_OR_RETURN(
      const auto state, journal.FindEntity(fb::EntityKind::preference, schema::PreferenceId(key)));
  if (!state.has_value()) return std::nullopt;
  journal::Reader reader(journal);
  NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, reader.Read(state->first_sequence));
  const auto* defined = view->record->event_as_PreferenceDefined();
  if (defined == nullptr) {
    return Error(Code::kDataLoss, "record {} does not define a preference", state->first_sequence);
  }
  PreferenceDefinition preference{.state = *state, .type = defined->type(), .default_value = {}};
  const absl::StatusOr<const fb::Body*> body = reader.Body(*view);
  if (absl::IsNotFound(body.status())) return preference;  // erased
  if (!body.ok()) return body.status();
  const fb::Details* details = *body == nullptr ? nullptr : (*body)->details();
  if (details != nullptr && details->default_value() != nullptr) {
    preference.default_value = details->default_value()->str();
  }
  return preference;
}

absl::Status CheckPreferenceValue(std::string_view key, fb::ValueType type,
                                  std::string_view value) {
  const absl::StatusOr<Json> json = Json::Parse(value);
  if (!json.ok()) return schema::Annotate(json.status(), std::string(key));
  if (!IsOf(*json, type)) {
    return Error(Code::kInvalidArgument, "{}: the value should be JSON of type {}", key,
                 fb::EnumNameValueType(type));
  }
  if (key == kListingLimitKey && json->AsInt().value_or(0) < 1) {
    return Error(Code::kInvalidArgument, "{}: {} is not a positive integer", key, value);
  }
  const bool may_be_empty = std::find(kNotEmpty.begin(), kNotEmpty.end(), key) == kNotEmpty.end();
  if (!may_be_empty && json->IsString() && json->string().empty()) {
    return Error(Code::kInvalidArgument, "{}: is required", key);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<fb::Id>> PersonaNamedBy(const journal::Journal& journal,
                                                       std::string_view key,
                                                       std::string_view value) {
  if (key != kDefaultPersonaKey) return nullptr;
  NIMBUS_ASSIGN_OR_RETURN(const Json json, Json::Parse(value));
  if (!json.IsString()) return nullptr;  // refused by its type
  NIMBUS_ASSIGN_OR_RETURN(const PersonaDefinition persona,
                          FindPersonaByName(journal, json.string()));
  NIMBUS_RETURN_IF_ERROR(RequireActive(persona));
  return std::make_unique<fb::Id>(persona.state.id.ToFb());
}

absl::StatusOr<Event> DefaultPersonaEvent(const PersonaDefinition& persona) {
  NIMBUS_RETURN_IF_ERROR(RequireActive(persona));
  fb::PreferenceSetT set;
  set.persona = std::make_unique<fb::Id>(persona.state.id.ToFb());
  Event event = MakeEvent(fb::EntityKind::preference, schema::PreferenceId(kDefaultPersonaKey),
                          std::move(set));
  event.body.details = std::make_unique<fb::DetailsT>();
  schema::AppendJsonString(persona.name, &event.body.details->value);
  return event;
}

}  // namespace nimbus::projections
