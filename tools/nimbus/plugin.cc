// nimbus plugin list | show | enable | disable | uninstall | permissions
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "nimbus/schema/status.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"
#include "tools/nimbus/plugin_show.h"

namespace nimbus::tools {
namespace {

using projections::Plugin;
using schema::Json;
using schema::Uuid;

constexpr size_t kTextWidth = 200;

cli::Table::Cell StateCell(bool enabled) {
  return {enabled ? "enabled" : "disabled", enabled ? cli::Style::kGood : cli::Style::kWarn};
}

absl::StatusOr<int> List(const cli::CommandLine& line, const std::string& type) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  std::optional<projections::PluginType> wanted;
  if (!type.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(wanted, projections::ParsePluginType(type));
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Plugin> plugins, database->plugins().List(wanted));
  Json::Array rows;
  cli::Table table({"PLUGIN", "VERSION", "TYPE", "STATE", "INSTALLED", "DESCRIPTION"});
  for (const Plugin& plugin : plugins) {
    rows.push_back(ToJson(plugin));
    table.Add({{plugin.name},
               {plugin.version},
               {std::string(projections::PluginTypeText(plugin.type))},
               StateCell(plugin.enabled),
               {cli::ShowTime(plugin.installed_at_us)},
               {cli::OneLine(plugin.description.value_or("-"), kTextWidth)}});
  }
  if (line.json) {
    cli::PrintJson(Json::MakeArray(std::move(rows)));
  } else {
    table.Print(std::cout);
  }
  return cli::kHolds;
}

void PrintField(std::string_view name, std::string_view value) {
  if (!value.empty()) cli::Print("{:<13}{}\n", name, cli::OneLine(value, kTextWidth));
}

std::string Joined(const std::vector<std::string>& texts) {
  return fmt::format("{}", fmt::join(texts, ", "));
}

void PrintPlugin(const Plugin& plugin) {
  PrintField("plugin", plugin.name);
  PrintField("id", plugin.id.ToString());
  PrintField("version", plugin.version);
  PrintField("type", projections::PluginTypeText(plugin.type));
  PrintField("state", plugin.enabled ? "enabled" : "disabled");
  PrintField("description", plugin.description.value_or(""));
  PrintField("author", plugin.author.value_or(""));
  PrintField("homepage", plugin.homepage.value_or(""));
  PrintField("repository", plugin.repository.value_or(""));
  PrintField("entry point", plugin.entry_point);
  PrintField("needs", Joined(plugin.dependencies));
  PrintField("permissions", Joined(plugin.permissions));
  PrintField("schema", plugin.config_schema.value_or(""));
  PrintField("installed", cli::ShowTime(plugin.installed_at_us));
  PrintField("updated", cli::ShowTime(plugin.updated_at_us));
}

absl::StatusOr<int> Show(const cli::CommandLine& line, const std::string& name) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  projections::Plugins& plugins = database->plugins();
  NIMBUS_ASSIGN_OR_RETURN(const Uuid id, SelectPlugin(&plugins, name));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Plugin> plugin, plugins.Get(id));
  if (!plugin) {
    return schema::Error(absl::StatusCode::kNotFound,
                         "plugin '{}' is in the journal but not in the views: see quarantine",
                         name);
  }
  NIMBUS_ASSIGN_OR_RETURN(const auto hooks, plugins.ListHooks(id));
  NIMBUS_ASSIGN_OR_RETURN(const auto configs, plugins.ListConfigs(id));
  if (line.json) {
    Json json = ToJson(*plugin);
    Json::Array hook_rows, config_rows;
    for (const auto& hook : hooks) hook_rows.push_back(ToJson(hook));
    for (const auto& config : configs) config_rows.push_back(ToJson(config));
    json.Set("hooks", Json::MakeArray(std::move(hook_rows)));
    json.Set("configs", Json::MakeArray(std::move(config_rows)));
    cli::PrintJson(json);
    return cli::kHolds;
  }
  PrintPlugin(*plugin);
  for (const auto& hook : hooks) {
    PrintField("hook",
               fmt::format("{} {}{}", hook.name, hook.priority, hook.enabled ? "" : " disabled"));
  }
  for (const auto& config : configs) {
    PrintField("config", fmt::format("{} {}", config.profile, config.config));
  }
  return cli::kHolds;
}

absl::StatusOr<int> Switch(const cli::CommandLine& line, const std::string& name, bool enable) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  projections::Plugins& plugins = database->plugins();
  NIMBUS_ASSIGN_OR_RETURN(const Uuid id, SelectPlugin(&plugins, name));
  NIMBUS_ASSIGN_OR_RETURN(const projections::Written written,
                          enable ? plugins.Enable(id) : plugins.Disable(id));
  return PrintWritten(line, database.get(), id, written.sequence, enable ? "enabled" : "disabled");
}

struct UninstallOptions {
  std::string name, reason;
};

absl::StatusOr<int> Uninstall(const cli::CommandLine& line, const UninstallOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  projections::Plugins& plugins = database->plugins();
  NIMBUS_ASSIGN_OR_RETURN(const Uuid id, SelectPlugin(&plugins, options.name));
  NIMBUS_ASSIGN_OR_RETURN(const projections::Written written,
                          plugins.Uninstall(id, options.reason));
  if (line.json) {
    cli::PrintJson(Json::MakeObject({{"id", Json::String(id.ToString())},
                                     {"name", Json::String(options.name)},
                                     {"uninstalled", Json::Bool(true)},
                                     {"sequence", Json::Uint(written.sequence)}}));
  } else {
    cli::Print("uninstalled {}\n", options.name);
  }
  return cli::kHolds;
}

absl::StatusOr<int> Permissions(const cli::CommandLine& line, const std::string& name) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  projections::Plugins& plugins = database->plugins();
  std::optional<Uuid> only;
  if (!name.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(only, SelectPlugin(&plugins, name));
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Plugin> all, plugins.List());
  Json::Array rows;
  cli::Table table({"PLUGIN", "STATE", "PERMISSION"});
  for (const Plugin& plugin : all) {
    if (only && plugin.id != *only) continue;
    rows.push_back(Json::MakeObject({{"plugin", Json::String(plugin.name)},
                                     {"enabled", Json::Bool(plugin.enabled)},
                                     {"permissions", ListJson(plugin.permissions)}}));
    for (const std::string& permission : plugin.permissions) {
      table.Add({{plugin.name}, StateCell(plugin.enabled), {permission}});
    }
  }
  if (line.json) {
    cli::PrintJson(Json::MakeArray(std::move(rows)));
  } else {
    table.Print(std::cout);
  }
  return cli::kHolds;
}

}  // namespace

void AddPluginCommands(CLI::App* app, cli::CommandLine* line) {
  CLI::App* plugin = app->add_subcommand("plugin", "Plugins: what is installed, and how it is set");
  plugin->require_subcommand(1);

  auto type = std::make_shared<std::string>();
  cli::AddCommand(plugin, line, "list", "List installed plugins by name",
                  [line, type] { return List(*line, *type); })
      ->add_option("--type", *type, "Only of this type")
      ->check(CLI::IsMember({"tool", "provider", "generator", "ui", "integration"}))
      ->type_name("TYPE");

  auto shown = std::make_shared<std::string>();
  cli::AddCommand(plugin, line, "show", "Show a plugin with its hooks and configurations",
                  [line, shown] { return Show(*line, *shown); })
      ->add_option("NAME", *shown, "Plugin")
      ->required();
  AddPluginInstallCommands(plugin, line);

  auto enabled = std::make_shared<std::string>();
  cli::AddCommand(plugin, line, "enable", "Switch a plugin and its hooks on",
                  [line, enabled] { return Switch(*line, *enabled, true); })
      ->add_option("NAME", *enabled, "Plugin")
      ->required();
  auto disabled = std::make_shared<std::string>();
  cli::AddCommand(plugin, line, "disable", "Switch a plugin and its hooks off",
                  [line, disabled] { return Switch(*line, *disabled, false); })
      ->add_option("NAME", *disabled, "Plugin")
      ->required();

  auto uninstall = std::make_shared<UninstallOptions>();
  CLI::App* gone =
      cli::AddCommand(plugin, line, "uninstall",
                      "Remove a plugin with its hooks and configurations, unless others need it",
                      [line, uninstall] { return Uninstall(*line, *uninstall); });
  gone->add_option("NAME", uninstall->name, "Plugin")->required();
  gone->add_option("--reason", uninstall->reason, "Why, for the record")->type_name("TEXT");

  AddPluginHooksCommands(plugin, line);
  auto permitted = std::make_shared<std::string>();
  cli::AddCommand(plugin, line, "permissions", "List what plugins ask to be allowed",
                  [line, permitted] { return Permissions(*line, *permitted); })
      ->add_option("NAME", *permitted, "Only of this plugin");
  AddPluginRegistryCommands(plugin, line);
}

}  // namespace nimbus::tools
