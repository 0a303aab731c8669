#include "nimbus/projections/builtins.h"

#include <string_view>
#include <vector>

#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Event;

struct BuiltinPersona {
  std::string_view row_id, name, display_name, description, system_prompt;
  double temperature;
};

constexpr BuiltinPersona kPersonas[] = {
    {"persona_professional", "professional", "Professional",
     "Formal, detailed responses with comprehensive explanations",
     "You are a professional cloud infrastructure consultant. Provide detailed, formal responses "
     "with thorough explanations. Always explain the reasoning behind recommendations and include "
     "relevant documentation references.",
     0.5},
    {"persona_concise", "concise", "Concise",
     "Brief, to-the-point responses focusing on commands and code",
     "You are a concise infrastructure assistant. Provide brief, actionable responses. Focus on "
     "commands and code. Minimize explanations unless asked. Use bullet points.",
     0.3},
    {"persona_educational", "educational", "Educational",
     "Teaching-focused responses that explain concepts in depth",
     "You are an educational infrastructure mentor. Explain concepts thoroughly, use analogies, "
     "and teach best practices. Include \"why\" explanations and common pitfalls to avoid.",
     0.7},
    {"persona_cautious", "cautious", "Cautious",
     "Safety-focused responses with extra warnings and confirmations",
     "You are a safety-conscious infrastructure advisor. Always highlight potential risks, suggest "
     "dry-run options first, and emphasize backup procedures. Err on the side of caution.",
     0.3},
    {"persona_devops", "devops", "DevOps Expert", "CI/CD and automation focused",
     "You are a DevOps automation expert. Focus on CI/CD pipelines, GitOps practices, and "
     "infrastructure automation. Emphasize repeatability, idempotency, and automation best "
     "practices.",
     0.5},
    {"persona_security", "security", "Security Focused",
     "Security and compliance oriented responses",
     "You are a cloud security specialist. Prioritize security best practices, compliance "
     "requirements, and threat mitigation. Always suggest security hardening options and audit "
     "logging.",
     0.4},
};

struct BuiltinPreference {
  std::string_view row_id, key, value;
  fb::ValueType type;
  std::string_view description;
};

constexpr BuiltinPreference kPreferences[] = {
    {"pref_theme", "ui.theme", R"("auto")", fb::ValueType::string, "Color theme"},
    {"pref_confirm", "safety.require_confirmation", "true", fb::ValueType::boolean,
     "Require confirmation for mutations"},
    {"pref_dry_run", "safety.default_dry_run", "false", fb::ValueType::boolean,
     "Default to dry-run mode"},
    {"pref_telemetry", "telemetry.enabled", "false", fb::ValueType::boolean,
     "Enable anonymous telemetry"},
    {"pref_model", "llm.default_model", R"("claude-sonnet-4-20250514")", fb::ValueType::string,
     "Default LLM model"},
    {"pref_persona", kDefaultPersonaKey, R"("professional")", fb::ValueType::string,
     "Default persona"},
    {"pref_history_limit", kListingLimitKey, "1000", fb::ValueType::number, "Max history entries"},
    {"pref_output_dir", "generator.output_directory", R"("./infrastructure")",
     fb::ValueType::string, "Default output directory"},
};

Event ToEvent(const BuiltinPersona& persona) {
  fb::PersonaDefinedT defined;
  defined.name = persona.name;
  defined.row_id = persona.row_id;
  defined.temperature = persona.temperature;
  defined.builtin = true;
  Event event =
      MakeEvent(fb::EntityKind::persona,
                schema::RowEntityId(fb::EntityKind::persona, persona.row_id), std::move(defined));
  event.body.description = persona.description;
  event.body.details = std::make_unique<fb::DetailsT>();
  event.body.details->display_name = persona.display_name;
  event.body.details->system_prompt = persona.system_prompt;
  return event;
}

Event ToEvent(const BuiltinPreference& preference) {
  fb::PreferenceDefinedT defined;
  defined.key = preference.key;
  defined.type = preference.type;
  defined.row_id = preference.row_id;
  if (preference.key == kDefaultPersonaKey) {
    defined.persona = std::make_unique<fb::Id>(
        schema::RowEntityId(fb::EntityKind::persona, kPersonas[0].row_id).ToFb());
  }
  Event event = MakeEvent(fb::EntityKind::preference, schema::PreferenceId(preference.key),
                          std::move(defined));
  event.body.description = preference.description;
  event.body.details = std::make_unique<fb::DetailsT>();
  event.body.details->value = preference.value;
  event.body.details->default_value = preference.value;
  return event;
}

}  // namespace

absl::Status AppendBuiltins(journal::Journal* journal) {
  const schema::Uuid last = schema::PreferenceId(std::end(kPreferences)[-1].key);
  NIMBUS_ASSIGN_OR_RETURN(const auto found, journal->FindEntity(fb::EntityKind::preference, last));
  if (found.has_value()) return absl::OkStatus();
  std::vector<Event> events;
  for (const BuiltinPersona& persona : kPersonas) events.push_back(ToEvent(persona));
  for (const BuiltinPreference& preference : kPreferences) events.push_back(ToEvent(preference));
  const absl::Status appended = journal->Append(events).status();
  // Another process was first.
  return absl::IsAlreadyExists(appended) ? absl::OkStatus() : appended;
}

}  // namespace nimbus::projections
