// What can be said of an event without the journal: see ValidateEvent.
#include <cmath>
#include <utility>

#include "nimbus/schema/event.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"
#include "utf8.h"

namespace nimbus::schema {
namespace {

absl::Status Invalid(std::string_view field, std::string_view why) {
  return Error(absl::StatusCode::kInvalidArgument, "{}: {}", field, why);
}

absl::Status CheckJson(std::string_view field, const std::string& text, const JsonLimits& limits) {
  if (text.empty()) return absl::OkStatus();
  return Annotate(ValidateJson(text, limits), std::string(field));
}

absl::Status CheckText(std::string_view field, const std::string& text) {
  if (!IsUtf8(text)) return Invalid(field, "not valid UTF-8");
  return absl::OkStatus();
}

absl::Status CheckName(std::string_view field, const std::string& name, bool required) {
  if (name.empty()) return required ? Invalid(field, "is required") : absl::OkStatus();
  if (name.size() > kNameBytesMax) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: {} bytes, {} are allowed", field,
                 name.size(), kNameBytesMax);
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return Invalid(field, "holds a control character");
    }
  }
  return CheckText(field, name);
}

absl::Status CheckId(std::string_view field, const std::unique_ptr<fb::Id>& id) {
  if (id == nullptr || Uuid::FromFb(*id).IsNil()) return Invalid(field, "is required");
  return absl::OkStatus();
}

// SQLite has no NaN, and JSON neither it nor infinity.
absl::Status CheckFinite(std::string_view field, flatbuffers::Optional<double> number) {
  if (!number.has_value() || std::isfinite(*number)) return absl::OkStatus();
  return Invalid(field, "is no finite number");
}

absl::Status CheckDetails(const fb::DetailsT& details, const JsonLimits& limits) {
  using Texts = std::pair<std::string_view, const std::string*>;
  for (const auto& [field, text] :
       {Texts{"author", &details.author}, Texts{"homepage", &details.homepage},
        Texts{"repository", &details.repository}, Texts{"entry_point", &details.entry_point},
        Texts{"display_name", &details.display_name}, Texts{"model", &details.model},
        Texts{"system_prompt", &details.system_prompt}, Texts{"text", &details.text},
        Texts{"sealed", &details.sealed}}) {
    NIMBUS_RETURN_IF_ERROR(CheckText(field, *text));
  }
  for (const auto& [field, json] :
       {Texts{"config_schema", &details.config_schema},
        Texts{"dependencies", &details.dependencies}, Texts{"permissions", &details.permissions},
        Texts{"config", &details.config}, Texts{"categories", &details.categories},
        Texts{"metadata", &details.metadata}, Texts{"response_style", &details.response_style},
        Texts{"capabilities", &details.capabilities}, Texts{"value", &details.value},
        Texts{"default_value", &details.default_value}}) {
    NIMBUS_RETURN_IF_ERROR(CheckJson(field, *json, limits));
  }
  return absl::OkStatus();
}

absl::Status CheckBody(const fb::BodyT& body, const JsonLimits& limits) {
  NIMBUS_RETURN_IF_ERROR(CheckText("name", body.name));
  NIMBUS_RETURN_IF_ERROR(CheckText("description", body.description));
  NIMBUS_RETURN_IF_ERROR(CheckText("error", body.error));
  NIMBUS_RETURN_IF_ERROR(CheckJson("context", body.context, limits));
  NIMBUS_RETURN_IF_ERROR(CheckJson("input", body.input, limits));
  NIMBUS_RETURN_IF_ERROR(CheckJson("output", body.output, limits));
  NIMBUS_RETURN_IF_ERROR(CheckJson("plan", body.plan, limits));
  NIMBUS_RETURN_IF_ERROR(CheckJson("state", body.state, limits));
  NIMBUS_RETURN_IF_ERROR(CheckJson("patch", body.patch, limits));
  return body.details == nullptr ? absl::OkStatus() : CheckDetails(*body.details, limits);
}

absl::Status CheckStepId(const fb::EventUnion& payload) {
  if (const auto* e = payload.AsStepStarted()) return CheckId("step", e->step);
  if (const auto* e = payload.AsStepCompleted()) return CheckId("step", e->step);
  if (const auto* e = payload.AsStepFailed()) return CheckId("step", e->step);
  if (const auto* e = payload.AsStepCancelled()) return CheckId("step", e->step);
  if (const auto* e = payload.AsStepAttemptFailed()) return CheckId("step", e->step);
  return absl::OkStatus();
}

absl::Status CheckPluginPayload(const fb::EventUnion& payload) {
  if (const auto* e = payload.AsPluginInstalled()) {
    NIMBUS_RETURN_IF_ERROR(CheckName("name", e->name, true));
    return CheckName("version", e->version, true);
  }
  if (const auto* e = payload.AsPluginUpdated()) return CheckName("version", e->version, false);
  if (const auto* e = payload.AsPluginUninstalled()) return CheckName("name", e->name, true);
  if (const auto* e = payload.AsPluginConfigured()) return CheckName("profile", e->profile, true);
  if (const auto* e = payload.AsHookRegistered()) {
    NIMBUS_RETURN_IF_ERROR(CheckId("hook", e->hook));
    return CheckName("name", e->name, true);
  }
  if (const auto* e = payload.AsHookChanged()) return CheckId("hook", e->hook);
  if (const auto* e = payload.AsHookRemoved()) return CheckId("hook", e->hook);
  if (const auto* e = payload.AsRegistryEntryCached()) {
    NIMBUS_RETURN_IF_ERROR(CheckName("name", e->name, true));
    NIMBUS_RETURN_IF_ERROR(CheckName("latest_version", e->latest_version, true));
    return CheckFinite("rating", e->rating);
  }
  return absl::OkStatus();
}

absl::Status CheckPersonaPayload(const fb::EventUnion& payload) {
  if (const auto* e = payload.AsPersonaDefined()) {
    NIMBUS_RETURN_IF_ERROR(CheckName("name", e->name, true));
    NIMBUS_RETURN_IF_ERROR(CheckName("row_id", e->row_id, false));
    return CheckFinite("temperature", e->temperature);
  }
  if (const auto* e = payload.AsPersonaRemoved()) return CheckName("name", e->name, true);
  if (const auto* e = payload.AsPersonaUpdated()) return CheckFinite("temperature", e->temperature);
  return absl::OkStatus();
}

absl::Status CheckConfigPayload(const fb::EventUnion& payload) {
  if (const auto* e = payload.AsConfigValueSet()) return CheckName("key", e->key, true);
  if (const auto* e = payload.AsConfigValueUnset()) return CheckName("key", e->key, true);
  if (const auto* e = payload.AsPreferenceDefined()) {
    NIMBUS_RETURN_IF_ERROR(CheckName("key", e->key, true));
    return CheckName("row_id", e->row_id, false);
  }
  if (const auto* e = payload.AsConfigProfileSaved()) return CheckName("name", e->name, true);
  if (const auto* e = payload.AsEnvironmentConfigSet()) {
    NIMBUS_RETURN_IF_ERROR(CheckName("environment", e->environment, true));
    return CheckName("cloud_provider", e->cloud_provider, true);
  }
  return absl::OkStatus();
}

absl::Status CheckCredentialPayload(const fb::EventUnion& payload) {
  if (const auto* e = payload.AsCredentialStored()) {
    NIMBUS_RETURN_IF_ERROR(CheckName("name", e->name, true));
    NIMBUS_RETURN_IF_ERROR(CheckName("provider", e->provider, true));
    return CheckName("type", e->type, true);
  }
  if (const auto* e = payload.AsCredentialRemoved()) return CheckName("name", e->name, true);
  if (const auto* e = payload.AsCredentialProfileSaved()) return CheckName("name", e->name, true);
  return absl::OkStatus();
}

absl::Status CheckPayload(const fb::EventUnion& payload) {
  if (const auto* e = payload.AsJournalCreated()) {
    NIMBUS_RETURN_IF_ERROR(CheckId("journal", e->journal));
    return CheckName("software", e->software, true);
  }
  if (const auto* e = payload.AsSessionStarted()) return CheckName("persona", e->persona, false);
  if (const auto* e = payload.AsSessionUpdated()) return CheckName("persona", e->persona, false);
  if (const auto* e = payload.AsOperationCreated()) {
    NIMBUS_RETURN_IF_ERROR(CheckId("session", e->session));
    return CheckName("type", e->type, true);
  }
  if (const auto* e = payload.AsStepAdded()) {
    NIMBUS_RETURN_IF_ERROR(CheckId("step", e->step));
    return CheckName("tool_name", e->tool_name, false);
  }
  if (const auto* e = payload.AsCheckpointCreated()) {
    NIMBUS_RETURN_IF_ERROR(CheckId("checkpoint", e->checkpoint));
    return CheckId("step", e->step);
  }
  if (const auto* e = payload.AsImportStarted()) {
    NIMBUS_RETURN_IF_ERROR(CheckName("format", e->format, true));
    return CheckName("key", e->key, true);
  }
  NIMBUS_RETURN_IF_ERROR(CheckStepId(payload));
  NIMBUS_RETURN_IF_ERROR(CheckPluginPayload(payload));
  NIMBUS_RETURN_IF_ERROR(CheckPersonaPayload(payload));
  NIMBUS_RETURN_IF_ERROR(CheckConfigPayload(payload));
  NIMBUS_RETURN_IF_ERROR(CheckCredentialPayload(payload));
  if (const auto* e = payload.AsValueRecorded()) return CheckName("name", e->name, true);
  if (const auto* e = payload.AsOperationForked()) return CheckId("parent", e->parent);
  if (const auto* e = payload.AsOperationReplayed()) return CheckId("receipt", e->receipt);
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateEvent(const Event& event, const JsonLimits& json_limits) {
  if (event.payload.type == fb::Event::NONE || event.payload.value == nullptr) {
    return Invalid("event", "is required");
  }
  if (event.stream_kind == fb::EntityKind::none || event.stream.IsNil()) {
    return Invalid("stream", "is required");
  }
  NIMBUS_RETURN_IF_ERROR(CheckPayload(event.payload));
  return CheckBody(event.body, json_limits);
}

}  // namespace nimbus::schema
