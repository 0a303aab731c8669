#include "tools/nimbus/configs.h"

#include "tools/cli/show.h"

namespace nimbus::tools {
namespace {

using schema::Json;

constexpr size_t kValueWidth = 200;  // characters

Json ToJson(const projections::ConfigSource& source) {
  Json version;
  if (source.version.has_value()) version = Json::Int(*source.version);
  return Json::MakeObject({{"layer", Json::String(std::string(LayerText(source.layer)))},
                           {"name", Json::String(source.name)},
                           {"id", Json::String(source.row_id)},
                           {"version", std::move(version)},
                           {"updated_at", cli::JsonTime(source.updated_at_us)}});
}

}  // namespace

Json ToJson(const projections::Preference& preference) {
  return Json::MakeObject({{"id", Json::String(preference.id)},
                           {"key", Json::String(preference.key)},
                           {"value", cli::JsonOrNull(preference.value)},
                           {"type", Json::String(schema::fb::EnumNameValueType(preference.type))},
                           {"description", cli::JsonText(preference.description)},
                           {"default_value", cli::JsonOrNull(preference.default_value)},
                           {"version", Json::Int(preference.version)},
                           {"updated_at", cli::JsonTime(preference.updated_at_us)}});
}

Json ToJson(const projections::ConfigValue& value) {
  return Json::MakeObject({{"key", Json::String(value.key)},
                           {"value", Json::String(value.value)},
                           {"updated_at", cli::JsonTime(value.updated_at_us)}});
}

Json ToJson(const projections::ConfigProfile& profile) {
  return Json::MakeObject({{"id", Json::String(profile.id.ToString())},
                           {"name", Json::String(profile.name)},
                           {"description", cli::JsonText(profile.description)},
                           {"config", cli::JsonOrNull(profile.config)},
                           {"is_active", Json::Bool(profile.is_active)},
                           {"created_at", cli::JsonTime(profile.created_at_us)},
                           {"updated_at", cli::JsonTime(profile.updated_at_us)}});
}

Json ToJson(const projections::EnvironmentConfig& environment) {
  return Json::MakeObject({{"id", Json::String(environment.id.ToString())},
                           {"environment", Json::String(environment.environment)},
                           {"cloud_provider", Json::String(environment.cloud_provider)},
                           {"config", cli::JsonOrNull(environment.config)},
                           {"created_at", cli::JsonTime(environment.created_at_us)},
                           {"updated_at", cli::JsonTime(environment.updated_at_us)}});
}

Json ToJson(const projections::EffectiveValue& value) {
  Json::Array shadows;
  for (const projections::ShadowedValue& below : value.shadows) {
    shadows.push_back(Json::MakeObject({{"key", Json::String(below.key)},
                                        {"value", cli::JsonOrNull(below.value)},
                                        {"source", ToJson(below.source)}}));
  }
  return Json::MakeObject({{"key", Json::String(value.key)},
                           {"value", cli::JsonOrNull(value.value)},
                           {"source", ToJson(value.source)},
                           {"shadows", Json::MakeArray(std::move(shadows))}});
}

void PrintField(std::string_view name, std::string_view value) {
  cli::Print("{:<13}{}\n", name, cli::OneLine(value, kValueWidth));
}

void PrintConfig(const std::string& json) { cli::PrintJson(cli::JsonOrNull(json)); }

}  // namespace nimbus::tools
