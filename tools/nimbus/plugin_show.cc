#include "tools/nimbus/plugin_show.h"

#include "nimbus/schema/status.h"
#include "tools/cli/nearest.h"
#include "tools/cli/show.h"

namespace nimbus::tools {

using schema::Error;
using schema::Json;
using Code = absl::StatusCode;

Json ListJson(const std::vector<std::string>& texts) {
  Json::Array list;
  for (const std::string& text : texts) list.push_back(Json::String(text));
  return Json::MakeArray(std::move(list));
}

Json ToJson(const projections::Plugin& plugin) {
  return Json::MakeObject(
      {{"id", Json::String(plugin.id.ToString())},
       {"name", Json::String(plugin.name)},
       {"version", Json::String(plugin.version)},
       {"description", cli::JsonText(plugin.description)},
       {"author", cli::JsonText(plugin.author)},
       {"homepage", cli::JsonText(plugin.homepage)},
       {"repository", cli::JsonText(plugin.repository)},
       {"type", Json::String(std::string(projections::PluginTypeText(plugin.type)))},
       {"entry_point", Json::String(plugin.entry_point)},
       {"config_schema", cli::JsonOrNull(plugin.config_schema)},
       {"dependencies", ListJson(plugin.dependencies)},
       {"permissions", ListJson(plugin.permissions)},
       {"enabled", Json::Bool(plugin.enabled)},
       {"installed_at", cli::JsonTime(plugin.installed_at_us)},
       {"updated_at", cli::JsonTime(plugin.updated_at_us)},
       {"sequence", Json::Uint(plugin.sequence)}});
}

Json ToJson(const projections::PluginConfig& config) {
  return Json::MakeObject({{"id", Json::String(config.id.ToString())},
                           {"plugin_id", Json::String(config.plugin_id.ToString())},
                           {"profile", Json::String(config.profile)},
                           {"config", cli::JsonOrNull(config.config)},
                           {"created_at", cli::JsonTime(config.created_at_us)},
                           {"updated_at", cli::JsonTime(config.updated_at_us)},
                           {"sequence", Json::Uint(config.sequence)}});
}

Json ToJson(const projections::PluginHook& hook) {
  return Json::MakeObject({{"id", Json::String(hook.id.ToString())},
                           {"plugin_id", Json::String(hook.plugin_id.ToString())},
                           {"plugin", Json::String(hook.plugin_name)},
                           {"hook_name", Json::String(hook.name)},
                           {"priority", Json::Int(hook.priority)},
                           {"enabled", Json::Bool(hook.enabled)},
                           {"plugin_enabled", Json::Bool(hook.plugin_enabled)},
                           {"sequence", Json::Uint(hook.sequence)}});
}

absl::StatusOr<schema::Uuid> SelectPlugin(projections::Plugins* plugins, const std::string& name) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<schema::Uuid> id, plugins->FindByName(name));
  if (id) return *id;
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<projections::Plugin> all, plugins->List());
  std::vector<std::string> names;
  for (const projections::Plugin& plugin : all) names.push_back(plugin.name);
  return Error(Code::kNotFound, "no plugin '{}'{}", name, cli::DidYouMean(name, names));
}

absl::StatusOr<int> PrintWritten(const cli::CommandLine& line, projections::Database* database,
                                 const schema::Uuid& plugin, uint64_t sequence,
                                 std::string_view done) {
  NIMBUS_RETURN_IF_ERROR(database->WaitFor(sequence, projections::kViewsWaitMs));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<projections::Plugin> row,
                          database->plugins().Get(plugin));
  if (!row) {
    return Error(Code::kNotFound, "{}, and uninstalled by another process since", done);
  }
  if (line.json) {
    cli::PrintJson(ToJson(*row));
  } else {
    cli::Print("{} {} {}\n", done, row->name, row->version);
  }
  return cli::kHolds;
}

}  // namespace nimbus::tools
