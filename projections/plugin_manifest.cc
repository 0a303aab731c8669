#include "plugin_manifest.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "json_schema.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Error;
using schema::Event;
using schema::Json;
using schema::MakeEvent;
using schema::Uuid;
using Code = absl::StatusCode;

absl::Status CheckList(std::string_view member, const std::vector<std::string>& texts) {
  if (texts.size() > kPluginListMax) {
    return Error(Code::kInvalidArgument, "{}: {} of them, {} are allowed", member, texts.size(),
                 kPluginListMax);
  }
  for (const std::string& text : texts) {
    if (text.empty()) return Error(Code::kInvalidArgument, "{}: an empty text", member);
    if (text.size() > schema::kNameBytesMax) {
      return Error(Code::kInvalidArgument, "{}: one of {} bytes, {} are allowed", member,
                   text.size(), schema::kNameBytesMax);
    }
  }
  return absl::OkStatus();
}

std::string ListJson(const std::vector<std::string>& texts) {
  Json::Array list;
  for (const std::string& text : texts) list.push_back(Json::String(text));
  return Json::MakeArray(std::move(list)).Dump();
}

}  // namespace

absl::Status CheckPluginName(std::string_view name) {
  if (name.find_first_of(" <>=^~") == std::string_view::npos) return absl::OkStatus();
  return Error(Code::kInvalidArgument, "name: '{}' holds one of ' <>=^~'", name);
}

absl::StatusOr<std::vector<Dependency>> ParseDependencies(const std::vector<std::string>& texts) {
  NIMBUS_RETURN_IF_ERROR(CheckList("dependencies", texts));
  std::vector<Dependency> dependencies;
  std::set<std::string> names;
  for (const std::string& text : texts) {
    NIMBUS_ASSIGN_OR_RETURN(Dependency dependency, ParseDependency(text));
    if (!names.insert(dependency.name).second) {
      return Error(Code::kInvalidArgument, "dependencies: '{}' is there twice", dependency.name);
    }
    dependencies.push_back(std::move(dependency));
  }
  return dependencies;
}

absl::Status SetTexts(const PluginTexts& texts, fb::BodyT* body) {
  if (!texts.config_schema.empty()) {
    const absl::Status checked = CheckSchema(texts.config_schema);
    if (!checked.ok()) return schema::Annotate(checked, "config_schema");
  }
  body->description = texts.description;
  body->details = std::make_unique<fb::DetailsT>();
  fb::DetailsT& details = *body->details;
  details.author = texts.author;
  details.homepage = texts.homepage;
  details.repository = texts.repository;
  details.entry_point = texts.entry_point;
  details.config_schema = texts.config_schema;
  if (texts.dependencies != nullptr) details.dependencies = ListJson(*texts.dependencies);
  if (texts.permissions != nullptr) {
    NIMBUS_RETURN_IF_ERROR(CheckList("permissions", *texts.permissions));
    details.permissions = ListJson(*texts.permissions);
  }
  return absl::OkStatus();
}

absl::StatusOr<Event> HookRegisteredEvent(const Uuid& plugin, const NewHook& hook) {
  if (hook.name.empty()) return Error(Code::kInvalidArgument, "hooks: one without a name");
  fb::HookRegisteredT registered;
  registered.hook = std::make_unique<fb::Id>(schema::NewUuid().ToFb());
  registered.name = hook.name;
  registered.priority = hook.priority;
  registered.disabled = !hook.enabled;
  return MakeEvent(fb::EntityKind::plugin, plugin, std::move(registered));
}

std::vector<fb::Id> ToFbIds(const std::vector<Uuid>& ids) {
  std::vector<fb::Id> converted;
  std::transform(ids.begin(), ids.end(), std::back_inserter(converted),
                 [](const Uuid& id) { return id.ToFb(); });
  return converted;
}

}  // namespace nimbus::projections
