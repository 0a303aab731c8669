// nimbus plugin hooks [add | change | remove]
#include <iostream>
#include <memory>
#include <string>

#include "nimbus/schema/status.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"
#include "tools/nimbus/plugin_show.h"

namespace nimbus::tools {
namespace {

using projections::PluginHook;
using schema::Json;
using schema::Uuid;
using schema::fb::EntityKind;

struct ListOptions {
  std::string plugin, name;
};

absl::StatusOr<std::vector<PluginHook>> Select(projections::Plugins* plugins,
                                               const ListOptions& options) {
  std::optional<Uuid> plugin;
  if (!options.plugin.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(plugin, SelectPlugin(plugins, options.plugin));
  }
  if (options.name.empty()) return plugins->ListHooks(plugin);
  NIMBUS_ASSIGN_OR_RETURN(std::vector<PluginHook> hooks, plugins->GetHooks(options.name));
  if (plugin)
    std::erase_if(hooks, [&](const PluginHook& hook) { return hook.plugin_id != *plugin; });
  return hooks;
}

absl::StatusOr<int> List(const cli::CommandLine& line, const ListOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<PluginHook> hooks,
                          Select(&database->plugins(), options));
  Json::Array rows;
  cli::Table table({"HOOK", "PRIORITY", "PLUGIN", "STATE", "ID"});
  for (const PluginHook& hook : hooks) {
    rows.push_back(ToJson(hook));
    const bool called = hook.enabled && hook.plugin_enabled;
    table.Add({{hook.name},
               {fmt::format("{}", hook.priority), cli::Style::kPlain, true},
               {hook.plugin_name},
               {called         ? "enabled"
                : hook.enabled ? "plugin disabled"
                               : "disabled",
                called ? cli::Style::kGood : cli::Style::kWarn},
               {hook.id.ToString()}});
  }
  if (line.json) {
    cli::PrintJson(Json::MakeArray(std::move(rows)));
  } else {
    table.Print(std::cout);
  }
  return cli::kHolds;
}

absl::StatusOr<int> Print(const cli::CommandLine& line, const projections::Written& hook,
                          std::string_view done) {
  if (line.json) {
    cli::PrintJson(Json::MakeObject(
        {{"id", Json::String(hook.id.ToString())}, {"sequence", Json::Uint(hook.sequence)}}));
  } else {
    cli::Print("{} hook {}\n", done, hook.id.ToString());
  }
  return cli::kHolds;
}

struct AddOptions {
  std::string plugin;
  projections::NewHook hook;
  bool disabled = false;
};

absl::StatusOr<int> Add(const cli::CommandLine& line, const AddOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  projections::Plugins& plugins = database->plugins();
  NIMBUS_ASSIGN_OR_RETURN(const Uuid plugin, SelectPlugin(&plugins, options.plugin));
  projections::NewHook hook = options.hook;
  hook.enabled = !options.disabled;
  NIMBUS_ASSIGN_OR_RETURN(const projections::Written written, plugins.RegisterHook(plugin, hook));
  return Print(line, written, "added");
}

struct ChangeOptions {
  std::string id;
  projections::HookChange change;
  bool enable = false, disable = false;
};

absl::StatusOr<int> Change(const cli::CommandLine& line, const ChangeOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(
      const Uuid id, cli::SelectEntity(database->journal(), EntityKind::plugin_hook, options.id));
  projections::HookChange change = options.change;
  if (options.enable || options.disable) change.enabled = options.enable;
  NIMBUS_ASSIGN_OR_RETURN(const projections::Written written,
                          database->plugins().ChangeHook(id, change));
  return Print(line, written, "changed");
}

absl::StatusOr<int> Remove(const cli::CommandLine& line, const std::string& text) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const Uuid id,
                          cli::SelectEntity(database->journal(), EntityKind::plugin_hook, text));
  NIMBUS_ASSIGN_OR_RETURN(const projections::Written written, database->plugins().RemoveHook(id));
  return Print(line, written, "removed");
}

}  // namespace

void AddPluginHooksCommands(CLI::App* plugin, cli::CommandLine* line) {
  auto list = std::make_shared<ListOptions>();
  CLI::App* hooks = plugin->add_subcommand(
      "hooks", "List hooks: all of them, or with --name those that are called, in their order");
  hooks->add_option("--plugin", list->plugin, "Only of this plugin")->type_name("NAME");
  hooks->add_option("--name", list->name, "Only of this name, and only enabled ones")
      ->type_name("HOOK");
  hooks->require_subcommand(0, 1);
  hooks->callback([line, list, hooks] {
    if (hooks->get_subcommands().empty()) line->command = [=] { return List(*line, *list); };
  });

  auto added = std::make_shared<AddOptions>();
  CLI::App* add = cli::AddCommand(hooks, line, "add", "Register one more hook of a plugin",
                                  [line, added] { return Add(*line, *added); });
  add->add_option("PLUGIN", added->plugin, "Plugin")->required();
  add->add_option("HOOK", added->hook.name, "Name of the hook")->required();
  add->add_option("--priority", added->hook.priority, "Lower comes first")->capture_default_str();
  add->add_flag("--disabled", added->disabled, "Do not call it yet");

  auto changed = std::make_shared<ChangeOptions>();
  CLI::App* change = cli::AddCommand(hooks, line, "change", "Change a hook's priority or state",
                                     [line, changed] { return Change(*line, *changed); });
  change->add_option("ID", changed->id, "Hook: its id or the beginning of it")->required();
  change->add_option("--priority", changed->change.priority, "Lower comes first");
  CLI::Option* enable = change->add_flag("--enable", changed->enable, "Call it");
  change->add_flag("--disable", changed->disable, "Do not call it")->excludes(enable);

  auto removed = std::make_shared<std::string>();
  cli::AddCommand(hooks, line, "remove", "Remove a hook",
                  [line, removed] { return Remove(*line, *removed); })
      ->add_option("ID", *removed, "Hook: its id or the beginning of it")
      ->required();
}

}  // namespace nimbus::tools
