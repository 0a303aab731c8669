// The rows of plugins, plugin_configs and plugin_hooks: written from events, and read
// back into structs. All SQL about these tables is in plugin_rows.cc.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/projections/plugins.h"
#include "rows.h"
#include "sqlite.h"

namespace nimbus::projections {

class PluginsWriter : public RowWriter {
 public:
  static absl::StatusOr<std::unique_ptr<RowWriter>> Create(sqlite::Connection* database);

  bool NeedsBody(schema::fb::Event type) const override;
  absl::Status Apply(const AppliedRecord& record) override;

 private:
  explicit PluginsWriter(sqlite::Connection* database) : database_(database) {}

  absl::Status Prepare();
  absl::Status Install(const AppliedRecord& record, const schema::fb::PluginInstalled& event);
  absl::Status Update(const AppliedRecord& record, const schema::fb::PluginUpdated& event);
  absl::Status Configure(const AppliedRecord& record, const schema::fb::PluginConfigured& event);
  absl::Status Switch(const AppliedRecord& record, bool enabled);
  absl::Status Uninstall(const AppliedRecord& record);
  absl::Status RegisterHook(const AppliedRecord& record, const schema::fb::HookRegistered& event);
  absl::Status ChangeHook(const schema::fb::HookChanged& event);
  absl::Status RemoveHook(const schema::fb::HookRemoved& event);

  sqlite::Connection* database_;
  std::optional<sqlite::Statement> install_, update_, configure_, switch_;
  std::optional<sqlite::Statement> uninstall_, drop_hooks_, drop_configs_;
  std::optional<sqlite::Statement> register_hook_, change_hook_, remove_hook_;
};

// Row to struct.
class PluginsReader {
 public:
  static constexpr std::string_view kName = "plugins";
  static constexpr int kSchemaVersion = 3;

  static absl::StatusOr<PluginsReader> Create(sqlite::Connection* database);

  absl::StatusOr<std::vector<Plugin>> List(std::optional<PluginType> type);
  absl::StatusOr<std::optional<Plugin>> Get(const schema::Uuid& plugin);
  absl::StatusOr<std::optional<Plugin>> GetByName(std::string_view name);
  absl::StatusOr<std::optional<PluginConfig>> GetConfig(const schema::Uuid& plugin,
                                                        std::string_view profile);
  absl::StatusOr<std::vector<PluginConfig>> ListConfigs(const schema::Uuid& plugin);
  absl::StatusOr<std::vector<PluginHook>> GetHooks(std::string_view name);
  absl::StatusOr<std::vector<PluginHook>> ListHooks(const std::optional<schema::Uuid>& plugin);

 private:
  std::optional<sqlite::Statement> list_, get_, get_by_name_, get_config_, list_configs_,
      get_hooks_, list_hooks_;
};

// The id of the row of plugin_configs.
schema::Uuid PluginConfigId(const schema::Uuid& plugin, std::string_view profile);

// The strings of a JSON array; what else there is does not count.
std::vector<std::string> StringsOf(const std::optional<std::string>& json);

}  // namespace nimbus::projections
