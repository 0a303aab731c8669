// Plugins: installed, configured per profile, switched on and off, uninstalled; and the
// hooks by which they are called. Commands append events to the journal; queries read the
// SQLite tables plugins, plugin_configs and plugin_hooks derived from it.
//
//   NIMBUS_ASSIGN_OR_RETURN(const Written aws, plugins.Install({
//       .name = "aws", .version = "1.2.0", .type = PluginType::provider,
//       .entry_point = "dist/index.js", .config_schema = R"({"required":["region"]})",
//       .dependencies = {"core ^2.1"}, .hooks = {{.name = "pre_execute"}}}));
//   NIMBUS_RETURN_IF_ERROR(plugins.Configure(aws.id, R"({"region":"eu-1"})").status());
//   NIMBUS_RETURN_IF_ERROR(database.WaitFor(aws.sequence, 1000));
//   NIMBUS_ASSIGN_OR_RETURN(auto hooks, plugins.GetHooks("pre_execute"));
//
// The specification's PluginRepository:
//   installPlugin        Install             getInstalledPlugins  List
//   getPluginByName      GetByName           updatePluginConfig   Configure
//   enablePlugin         Enable              disablePlugin        Disable
//   uninstallPlugin      Uninstall
//
// A command is durable when it returns. It fails as journal::Journal::Append does, and
// nothing was written then (except DataLoss):
//   InvalidArgument     a text that should be JSON is not, a configuration that the
//                       plugin's schema does not allow, a limit is exceeded
//   NotFound            the plugin or hook does not exist, or was uninstalled
//   AlreadyExists       the name or id of a new plugin is taken, also by another process
//                       at the same moment
//   FailedPrecondition  a plugin that is needed is not there or not in the version that is
//                       needed; the plugin is needed by others; read-only journal
//   Aborted             others have changed the plugin each of 16 times it was decided
//   DeadlineExceeded    the command waited ViewsOptions::command_wait_ms for the tables to
//                       hold what the journal does, or for its turn (below)
// Commands that decide by what the tables say also fail as queries do.
//
// Dependencies: the name of a plugin, or "name ^1.2" with constraints as projections/
// semver.h has them. That what is needed is in place, in a version that is needed, and
// that no plugin needs itself, holds across processes, whoever is first: commands that
// install with dependencies, or change these or a version, take turns on the file
// plugins.lock in the store, and wait while another one decides. When their turn does not
// come, as when the process that decides is stopped, DeadlineExceeded names that process.
//
// A query sees what the projector has applied; it fails as those of History do. An erased
// text reads {"$erased":SEQUENCE} where a column can't be NULL, else it is absent.
//
// Thread-safe. Queries take turns on one read-only connection; commands run side by side.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/projections/history.h"
#include "nimbus/schema/event.h"

namespace nimbus::projections {

class FileLock;

using schema::fb::PluginType;

inline constexpr int64_t kHookPriorityDefault = 100;
inline constexpr size_t kPluginConfigBytesMax = 256u << 10;
inline constexpr size_t kPluginListMax = 256;  // dependencies, permissions or hooks of one

struct NewHook {
  std::string name;                         // 'pre_execute', 'post_execute', 'on_error', …
  int64_t priority = kHookPriorityDefault;  // lower comes first
  bool enabled = true;
};

// Text members are unset when empty.
struct PluginManifest {
  std::string name;     // unique; without spaces and <>=^~
  std::string version;  // a semantic version if others are to constrain it
  std::string description, author, homepage, repository;
  PluginType type = PluginType::tool;
  std::string entry_point;    // path to the main module; required
  std::string config_schema;  // JSON Schema, up to draft 7, see projections/json_schema.h
  std::vector<std::string> dependencies;
  std::vector<std::string> permissions;
  std::vector<NewHook> hooks;
  std::optional<schema::Uuid> id;  // made by the command when left out
};

// What to set; empty members stay as they are. Lists replace those that are there; of
// hooks, those of the same name and number are kept as they are but for their priority.
struct PluginChange {
  std::string version;
  std::string description, author, homepage, repository;
  std::optional<PluginType> type;
  std::string entry_point;
  std::string config_schema;  // `true` allows any configuration
  std::optional<std::vector<std::string>> dependencies, permissions;
  std::optional<std::vector<NewHook>> hooks;
};

struct HookChange {
  std::optional<int64_t> priority;
  std::optional<bool> enabled;
};

// Rows. `sequence` is that of the record that made the row.
struct Plugin {
  schema::Uuid id;
  std::string name, version;
  std::optional<std::string> description, author, homepage, repository;
  PluginType type = PluginType::tool;
  std::string entry_point;
  std::optional<std::string> config_schema;
  std::vector<std::string> dependencies, permissions;
  bool enabled = true;
  std::optional<int64_t> installed_at_us, updated_at_us;  // of the last PluginUpdated
  uint64_t sequence = 0;
};

struct PluginConfig {
  schema::Uuid id;  // derived from plugin and profile
  schema::Uuid plugin_id;
  std::string config;  // JSON
  std::string profile;
  std::optional<int64_t> created_at_us, updated_at_us;
  uint64_t sequence = 0;
};

struct PluginHook {
  schema::Uuid id;
  schema::Uuid plugin_id;
  std::string plugin_name;
  std::string name;
  int64_t priority = kHookPriorityDefault;
  bool enabled = true;
  bool plugin_enabled = true;
  uint64_t sequence = 0;
};

class Plugins {
 public:
  Plugins(journal::Journal* journal, Views* views);  // made by Database; both outlive it
  ~Plugins();
  Plugins(const Plugins&) = delete;
  Plugins& operator=(const Plugins&) = delete;

  // The plugin, enabled, with its hooks: one append. FailedPrecondition names all that
  // is missing, and which version is there of what has the wrong one.
  absl::StatusOr<Written> Install(const PluginManifest& manifest);
  // FailedPrecondition as for Install; also when others need this plugin in a version
  // that the new one is not, or when it would come to need itself. Configurations stay;
  // they are checked against a new schema when they are next set.
  absl::StatusOr<Written> Update(const schema::Uuid& plugin, const PluginChange& change);
  // Sets the configuration of a profile: JSON, checked against the plugin's schema if it
  // has one. InvalidArgument says where it fails.
  absl::StatusOr<Written> Configure(const schema::Uuid& plugin, const std::string& config,
                                    const std::string& profile = "default");
  absl::StatusOr<Written> Enable(const schema::Uuid& plugin);
  absl::StatusOr<Written> Disable(const schema::Uuid& plugin);
  // With its hooks and configurations. FailedPrecondition names the plugins that need it.
  absl::StatusOr<Written> Uninstall(const schema::Uuid& plugin, const std::string& reason = {});

  absl::StatusOr<Written> RegisterHook(const schema::Uuid& plugin, const NewHook& hook);
  absl::StatusOr<Written> ChangeHook(const schema::Uuid& hook, const HookChange& change);
  absl::StatusOr<Written> RemoveHook(const schema::Uuid& hook);

  // By name, as the journal knows it: what was installed a moment ago is found.
  absl::StatusOr<std::optional<schema::Uuid>> FindByName(std::string_view name) const;

  // By name.
  absl::StatusOr<std::vector<Plugin>> List(std::optional<PluginType> type = std::nullopt);
  absl::StatusOr<std::optional<Plugin>> Get(const schema::Uuid& plugin);
  absl::StatusOr<std::optional<Plugin>> GetByName(std::string_view name);
  absl::StatusOr<std::optional<PluginConfig>> GetConfig(const schema::Uuid& plugin,
                                                        std::string_view profile = "default");
  // By profile.
  absl::StatusOr<std::vector<PluginConfig>> ListConfigs(const schema::Uuid& plugin);
  // Those to be called: of this name, enabled, of enabled plugins; by priority, then as
  // they were registered.
  absl::StatusOr<std::vector<PluginHook>> GetHooks(std::string_view name);
  // All of one plugin, or of all; by name, then in the order of GetHooks.
  absl::StatusOr<std::vector<PluginHook>> ListHooks(
      std::optional<schema::Uuid> plugin = std::nullopt);

 private:
  class Rows;
  struct Current;
  using Events = std::vector<schema::Event>;

  absl::StatusOr<Written> Append(const schema::Uuid& id, const Events& events,
                                 const journal::AppendOptions& options = {});
  absl::StatusOr<std::optional<FileLock>> LockNeedsIf(bool wanted) const;
  absl::StatusOr<Written> AppendTo(const schema::Uuid& plugin, schema::Event event);
  absl::StatusOr<Current> Read(const schema::Uuid& plugin);
  absl::StatusOr<Written> Change(
      const schema::Uuid& plugin,
      const std::function<absl::StatusOr<Events>(const Current&)>& decide);
  absl::StatusOr<std::vector<schema::Uuid>> Resolve(const std::vector<std::string>& dependencies);
  absl::StatusOr<std::vector<schema::Uuid>> NeedsOf(const schema::Uuid& plugin) const;
  absl::StatusOr<std::vector<Plugin>> ListAll();
  absl::Status CheckNotNeeded(const Plugin& plugin);
  absl::Status CheckDependents(const Plugin& plugin, const std::string& version);
  absl::Status CheckNoCircle(const Plugin& plugin, const std::vector<std::string>& dependencies);
  absl::StatusOr<Events> DecideUpdate(const Current& current, const PluginChange& change);
  absl::Status UpdateHooks(const schema::Uuid& plugin, const std::vector<NewHook>& wanted,
                           Events* events);
  absl::StatusOr<schema::Uuid> PluginOfHook(const schema::Uuid& hook) const;

  journal::Journal* const journal_;
  Views* const views_;
  const std::unique_ptr<Rows> rows_;
};

// The spec's words: 'tool', 'provider', 'generator', 'ui', 'integration'.
std::string_view PluginTypeText(PluginType type);
// InvalidArgument for any other word.
absl::StatusOr<PluginType> ParsePluginType(std::string_view text);

}  // namespace nimbus::projections
