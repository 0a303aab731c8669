#include "tools/nimbus/plugin_manifest.h"

#include <utility>
#include <vector>

#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"
#include "tools/cli/nearest.h"

namespace nimbus::tools {
namespace {

using schema::Error;
using schema::Json;
using Code = absl::StatusCode;

absl::Status Invalid(std::string_view member, std::string_view why) {
  return Error(Code::kInvalidArgument, "{}: {}", member, why);
}

// Members are spelled as the columns of the table, or as the specification's interface.
std::string Canonical(const std::string& member) {
  if (member == "entryPoint") return "entry_point";
  if (member == "configSchema") return "config_schema";
  return member;
}

absl::StatusOr<std::string> ReadText(std::string_view member, const Json& value) {
  if (!value.IsString()) return Invalid(member, "a text");
  return value.string();
}

absl::StatusOr<std::vector<std::string>> ReadTexts(std::string_view member, const Json& value) {
  if (!value.IsArray()) return Invalid(member, "a list of texts");
  std::vector<std::string> texts;
  for (const Json& item : value.array()) {
    NIMBUS_ASSIGN_OR_RETURN(std::string text, ReadText(member, item));
    texts.push_back(std::move(text));
  }
  return texts;
}

absl::StatusOr<projections::NewHook> ReadHook(const Json& value) {
  projections::NewHook hook;
  if (value.IsString()) {
    hook.name = value.string();
    return hook;
  }
  if (!value.IsObject()) return Invalid("hooks", "each a name, or an object with name");
  for (const auto& [member, part] : value.object()) {
    if (member == "name") {
      NIMBUS_ASSIGN_OR_RETURN(hook.name, ReadText("hooks: name", part));
    } else if (member == "priority") {
      const std::optional<int64_t> priority = part.AsInt();
      if (!priority) return Invalid("hooks: priority", "a whole number");
      hook.priority = *priority;
    } else if (member == "enabled") {
      if (!part.IsBool()) return Invalid("hooks: enabled", "true or false");
      hook.enabled = part.boolean();
    } else {
      const std::vector<std::string> known = {"name", "priority", "enabled"};
      return Invalid("hooks",
                     fmt::format("no member '{}'{}", member, cli::DidYouMean(member, known)));
    }
  }
  return hook;
}

absl::StatusOr<std::vector<projections::NewHook>> ReadHooks(const Json& value) {
  if (!value.IsArray()) return Invalid("hooks", "a list");
  std::vector<projections::NewHook> hooks;
  for (const Json& item : value.array()) {
    NIMBUS_ASSIGN_OR_RETURN(projections::NewHook hook, ReadHook(item));
    hooks.push_back(std::move(hook));
  }
  return hooks;
}

absl::Status ReadMember(const std::string& member, const Json& value, ManifestChange* manifest) {
  projections::PluginChange& change = manifest->change;
  const std::vector<std::pair<std::string, std::string*>> texts = {
      {"name", &manifest->name},
      {"version", &change.version},
      {"description", &change.description},
      {"author", &change.author},
      {"homepage", &change.homepage},
      {"repository", &change.repository},
      {"entry_point", &change.entry_point}};
  for (const auto& [name, text] : texts) {
    if (member != name) continue;
    NIMBUS_ASSIGN_OR_RETURN(*text, ReadText(member, value));
    return absl::OkStatus();
  }
  if (member == "type") {
    NIMBUS_ASSIGN_OR_RETURN(const std::string type, ReadText(member, value));
    NIMBUS_ASSIGN_OR_RETURN(change.type, projections::ParsePluginType(type));
  } else if (member == "config_schema") {
    change.config_schema = value.Dump();
  } else if (member == "dependencies") {
    NIMBUS_ASSIGN_OR_RETURN(change.dependencies, ReadTexts(member, value));
  } else if (member == "permissions") {
    NIMBUS_ASSIGN_OR_RETURN(change.permissions, ReadTexts(member, value));
  } else if (member == "hooks") {
    NIMBUS_ASSIGN_OR_RETURN(change.hooks, ReadHooks(value));
  } else {
    const std::vector<std::string> known = {
        "name",        "version", "description",   "author",       "homepage",    "repository",
        "entry_point", "type",    "config_schema", "dependencies", "permissions", "hooks"};
    return Error(Code::kInvalidArgument, "a manifest has no member '{}'{}", member,
                 cli::DidYouMean(member, known));
  }
  return absl::OkStatus();
}

}  // namespace

const char kManifestHelp[] =
    "A manifest is a JSON object:\n\n"
    "    {\n"
    "      \"name\": \"aws\",                 required; no spaces, none of <>=^~\n"
    "      \"version\": \"1.2.0\",            required\n"
    "      \"type\": \"provider\",            tool (when left out), provider, generator, ui,\n"
    "                                     integration\n"
    "      \"entry_point\": \"dist/index.js\",  required\n"
    "      \"description\": \"\", \"author\": \"\", \"homepage\": \"\", \"repository\": \"\",\n"
    "      \"config_schema\": {},           JSON Schema, up to draft 7, of its configuration\n"
    "      \"dependencies\": [\"core ^2.1\"],  names of plugins, with constraints: >=1.2 >1 <2\n"
    "                                     <=2 =1.2.3 ^1.2 (below 2.0.0) ~1.2 (below 1.3.0)\n"
    "      \"permissions\": [\"network\"],\n"
    "      \"hooks\": [{\"name\": \"pre_execute\", \"priority\": 100, \"enabled\": true}]\n"
    "    }\n\n"
    "entryPoint and configSchema are understood, too. A hook may be its name alone; a lower "
    "priority comes first.";

absl::StatusOr<ManifestChange> ParseManifestChange(std::string_view text) {
  NIMBUS_ASSIGN_OR_RETURN(const Json json, Json::Parse(text));
  if (!json.IsObject()) return Error(Code::kInvalidArgument, "a manifest is a JSON object");
  ManifestChange manifest;
  for (const auto& [member, value] : json.object()) {
    NIMBUS_RETURN_IF_ERROR(ReadMember(Canonical(member), value, &manifest));
  }
  return manifest;
}

absl::StatusOr<projections::PluginManifest> ParseManifest(std::string_view text) {
  NIMBUS_ASSIGN_OR_RETURN(ManifestChange read, ParseManifestChange(text));
  projections::PluginChange& change = read.change;
  return projections::PluginManifest{
      .name = std::move(read.name),
      .version = std::move(change.version),
      .description = std::move(change.description),
      .author = std::move(change.author),
      .homepage = std::move(change.homepage),
      .repository = std::move(change.repository),
      .type = change.type.value_or(projections::PluginType::tool),
      .entry_point = std::move(change.entry_point),
      .config_schema = std::move(change.config_schema),
      .dependencies = std::move(change.dependencies).value_or(std::vector<std::string>()),
      .permissions = std::move(change.permissions).value_or(std::vector<std::string>()),
      .hooks = std::move(change.hooks).value_or(std::vector<projections::NewHook>())};
}

}  // namespace nimbus::tools
