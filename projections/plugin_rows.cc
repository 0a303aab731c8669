#include "plugin_rows.h"

#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/json.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Error;
using schema::Uuid;
using sqlite::Statement;

// A plugin type's name; of one this version does not know, its number.
std::string TypeColumn(PluginType type) {
  const std::string_view name = PluginTypeText(type);
  return name.empty() ? fmt::format("{}", static_cast<int>(type)) : std::string(name);
}

// Its members are null where the event has no such text.
struct Texts {
  std::optional<std::string_view> description, author, homepage, repository, entry_point,
      config_schema, dependencies, permissions;
};

Texts TextsOf(const AppliedRecord& record) {
  Texts texts;
  if (record.body != nullptr) texts.description = Text(record.body->description());
  const fb::Details* details = record.details();
  if (details == nullptr) return texts;
  texts.author = Text(details->author());
  texts.homepage = Text(details->homepage());
  texts.repository = Text(details->repository());
  texts.entry_point = Text(details->entry_point());
  texts.config_schema = Text(details->config_schema());
  texts.dependencies = Text(details->dependencies());
  texts.permissions = Text(details->permissions());
  return texts;
}

// Reading a row. Columns are numbered as the SELECTs below list them.

constexpr char kPluginColumns[] =
    "SELECT rowid, id, name, version, description, author, homepage, repository, type, "
    "entry_point, config_schema, dependencies, permissions, enabled, installed_at, updated_at "
    "FROM plugins ";

absl::StatusOr<Plugin> ReadPlugin(const Statement& row) {
  RowReader reader(row);
  Plugin plugin{
      .id = reader.Id(1),
      .name = std::string(row.Text(2)),
      .version = std::string(row.Text(3)),
      .description = row.OptionalText(4),
      .author = row.OptionalText(5),
      .homepage = row.OptionalText(6),
      .repository = row.OptionalText(7),
      .type = reader.Member(8, "plugin type", fb::EnumValuesPluginType(), &fb::EnumNamePluginType),
      .entry_point = std::string(row.Text(9)),
      .config_schema = row.OptionalText(10),
      .dependencies = StringsOf(row.OptionalText(11)),
      .permissions = StringsOf(row.OptionalText(12)),
      .enabled = row.Int(13) != 0,
      .installed_at_us = reader.Time(14),
      .updated_at_us = reader.Time(15),
      .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return plugin;
}

constexpr char kConfigColumns[] =
    "SELECT rowid, id, plugin_id, config, profile, created_at, updated_at FROM plugin_configs ";

absl::StatusOr<PluginConfig> ReadConfig(const Statement& row) {
  RowReader reader(row);
  PluginConfig config{.id = reader.Id(1),
                      .plugin_id = reader.Id(2),
                      .config = std::string(row.Text(3)),
                      .profile = std::string(row.Text(4)),
                      .created_at_us = reader.Time(5),
                      .updated_at_us = reader.Time(6),
                      .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return config;
}

constexpr char kHookColumns[] =
    "SELECT h.rowid, h.id, h.plugin_id, p.name, h.hook_name, h.priority, h.enabled, p.enabled "
    "FROM plugin_hooks h JOIN plugins p ON p.id = h.plugin_id ";

absl::StatusOr<PluginHook> ReadHook(const Statement& row) {
  RowReader reader(row);
  PluginHook hook{.id = reader.Id(1),
                  .plugin_id = reader.Id(2),
                  .plugin_name = std::string(row.Text(3)),
                  .name = std::string(row.Text(4)),
                  .priority = row.Int(5),
                  .enabled = row.Int(6) != 0,
                  .plugin_enabled = row.Int(7) != 0,
                  .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return hook;
}

}  // namespace

std::string_view PluginTypeText(PluginType type) { return fb::EnumNamePluginType(type); }

absl::StatusOr<PluginType> ParsePluginType(std::string_view text) {
  for (const PluginType type : fb::EnumValuesPluginType()) {
    if (text == PluginTypeText(type)) return type;
  }
  return Error(absl::StatusCode::kInvalidArgument,
               "'{}' is no plugin type; tool, provider, generator, ui and integration are", text);
}

Uuid PluginConfigId(const Uuid& plugin, std::string_view profile) {
  return schema::DeriveUuid("plugin_config", fmt::format("{} {}", plugin.ToString(), profile));
}

std::vector<std::string> StringsOf(const std::optional<std::string>& json) {
  std::vector<std::string> strings;
  if (!json) return strings;
  const absl::StatusOr<schema::Json> list = schema::Json::Parse(*json);
  if (!list.ok() || !list->IsArray()) return strings;
  for (const schema::Json& item : list->array()) {
    if (item.IsString()) strings.push_back(item.string());
  }
  return strings;
}

absl::StatusOr<std::unique_ptr<RowWriter>> PluginsWriter::Create(sqlite::Connection* database) {
  std::unique_ptr<PluginsWriter> writer(new PluginsWriter(database));
  NIMBUS_RETURN_IF_ERROR(writer->Prepare());
  return writer;
}

absl::Status PluginsWriter::Prepare() {
  return PrepareAll(
      database_,
      {
          {&install_,
           "INSERT INTO plugins (rowid, id, name, version, description, author, homepage, "
           "repository, type, entry_point, config_schema, dependencies, permissions, enabled, "
           "installed_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, true, ?, "
           "NULL)"},
          {&update_,
           "UPDATE plugins SET version = coalesce(?2, version), description = coalesce(?3, "
           "description), author = coalesce(?4, author), homepage = coalesce(?5, homepage), "
           "repository = coalesce(?6, repository), type = coalesce(?7, type), entry_point = "
           "coalesce(?8, entry_point), config_schema = coalesce(?9, config_schema), dependencies "
           "= coalesce(?10, dependencies), permissions = coalesce(?11, permissions), updated_at = "
           "?12 WHERE id = ?1"},
          {&configure_,
           "INSERT INTO plugin_configs (rowid, id, plugin_id, config, profile, created_at, "
           "updated_at) SELECT ?1, ?2, id, ?4, ?5, ?6, ?6 FROM plugins WHERE id = ?3 "
           "ON CONFLICT (plugin_id, profile) DO UPDATE SET config = excluded.config, "
           "updated_at = excluded.updated_at"},
          {&switch_, "UPDATE plugins SET enabled = ?2 WHERE id = ?1"},
          {&uninstall_, "DELETE FROM plugins WHERE id = ?"},
          {&drop_hooks_, "DELETE FROM plugin_hooks WHERE plugin_id = ?"},
          {&drop_configs_, "DELETE FROM plugin_configs WHERE plugin_id = ?"},
          {&register_hook_,
           "INSERT INTO plugin_hooks (rowid, id, plugin_id, hook_name, priority, enabled) "
           "SELECT ?1, ?2, id, ?4, ?5, ?6 FROM plugins WHERE id = ?3"},
          {&change_hook_,
           "UPDATE plugin_hooks SET priority = coalesce(?2, priority), enabled = coalesce(?3, "
           "enabled) WHERE id = ?1"},
          {&remove_hook_, "DELETE FROM plugin_hooks WHERE id = ?"},
      });
}

bool PluginsWriter::NeedsBody(fb::Event type) const {
  return type == fb::Event::PluginInstalled || type == fb::Event::PluginUpdated ||
         type == fb::Event::PluginConfigured;
}

absl::Status PluginsWriter::Apply(const AppliedRecord& record) {
  const fb::Record& r = record.record();
  switch (r.event_type()) {
    case fb::Event::PluginInstalled:
      return Install(record, *r.event_as_PluginInstalled());
    case fb::Event::PluginUpdated:
      return Update(record, *r.event_as_PluginUpdated());
    case fb::Event::PluginConfigured:
      return Configure(record, *r.event_as_PluginConfigured());
    case fb::Event::PluginEnabled:
      return Switch(record, true);
    case fb::Event::PluginDisabled:
      return Switch(record, false);
    case fb::Event::PluginUninstalled:
      return Uninstall(record);
    case fb::Event::HookRegistered:
      return RegisterHook(record, *r.event_as_HookRegistered());
    case fb::Event::HookChanged:
      return ChangeHook(*r.event_as_HookChanged());
    case fb::Event::HookRemoved:
      return RemoveHook(*r.event_as_HookRemoved());
    default:
      return Error(absl::StatusCode::kInternal, "event {} is none of the plugins'",
                   fb::EnumNameEvent(r.event_type()));
  }
}

absl::Status PluginsWriter::Install(const AppliedRecord& record, const fb::PluginInstalled& event) {
  const Texts texts = TextsOf(record);
  const std::string missing = record.erased ? ErasedMark(record.sequence()) : "";
  return install_->Run(record.rowid(), StreamId(record), Text(event.name()), Text(event.version()),
                       texts.description, texts.author, texts.homepage, texts.repository,
                       TypeColumn(event.type()), texts.entry_point.value_or(missing),
                       texts.config_schema, texts.dependencies, texts.permissions, Time(record));
}

absl::Status PluginsWriter::Update(const AppliedRecord& record, const fb::PluginUpdated& event) {
  const Texts texts = TextsOf(record);
  std::optional<std::string_view> version = Text(event.version());
  if (version && version->empty()) version.reset();
  std::optional<std::string> type;
  if (event.type().has_value()) type = TypeColumn(*event.type());
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(update_->Run(
      id, version, texts.description, texts.author, texts.homepage, texts.repository, type,
      texts.entry_point, texts.config_schema, texts.dependencies, texts.permissions, Time(record)));
  return RequireChange(*database_, "plugin", id);
}

absl::Status PluginsWriter::Configure(const AppliedRecord& record,
                                      const fb::PluginConfigured& event) {
  const std::string id = StreamId(record);
  const fb::Details* details = record.details();
  const std::string missing = record.erased ? ErasedMark(record.sequence()) : "{}";
  const std::string row = PluginConfigId(record.stream(), *Text(event.profile())).ToString();
  NIMBUS_RETURN_IF_ERROR(configure_->Run(
      record.rowid(), row, id, Text(details ? details->config() : nullptr).value_or(missing),
      Text(event.profile()), Time(record)));
  return RequireChange(*database_, "plugin", id);
}

absl::Status PluginsWriter::Switch(const AppliedRecord& record, bool enabled) {
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(switch_->Run(id, enabled ? 1 : 0));
  return RequireChange(*database_, "plugin", id);
}

absl::Status PluginsWriter::Uninstall(const AppliedRecord& record) {
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(uninstall_->Run(id));
  NIMBUS_RETURN_IF_ERROR(RequireChange(*database_, "plugin", id));
  NIMBUS_RETURN_IF_ERROR(drop_hooks_->Run(id));
  return drop_configs_->Run(id);
}

absl::Status PluginsWriter::RegisterHook(const AppliedRecord& record,
                                         const fb::HookRegistered& event) {
  const std::string plugin = StreamId(record), id = IdText(*event.hook());
  NIMBUS_RETURN_IF_ERROR(register_hook_->Run(record.rowid(), id, plugin, Text(event.name()),
                                             event.priority(), event.disabled() ? 0 : 1));
  return RequireChange(*database_, "plugin", plugin);
}

absl::Status PluginsWriter::ChangeHook(const fb::HookChanged& event) {
  const std::string id = IdText(*event.hook());
  std::optional<int64_t> priority, enabled;
  if (event.priority().has_value()) priority = *event.priority();
  if (event.enabled().has_value()) enabled = *event.enabled() ? 1 : 0;
  NIMBUS_RETURN_IF_ERROR(change_hook_->Run(id, priority, enabled));
  return RequireChange(*database_, "hook", id);
}

absl::Status PluginsWriter::RemoveHook(const fb::HookRemoved& event) {
  const std::string id = IdText(*event.hook());
  NIMBUS_RETURN_IF_ERROR(remove_hook_->Run(id));
  return RequireChange(*database_, "hook", id);
}

absl::StatusOr<PluginsReader> PluginsReader::Create(sqlite::Connection* database) {
  PluginsReader reader;
  const std::string plugins = kPluginColumns, configs = kConfigColumns, hooks = kHookColumns;
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database,
      {
          {&reader.list_, plugins + "WHERE ?1 IS NULL OR type = ?1 ORDER BY name"},
          {&reader.get_, plugins + "WHERE id = ?"},
          {&reader.get_by_name_, plugins + "WHERE name = ?"},
          {&reader.get_config_, configs + "WHERE plugin_id = ? AND profile = ?"},
          {&reader.list_configs_, configs + "WHERE plugin_id = ? ORDER BY profile"},
          {&reader.get_hooks_, hooks + "WHERE h.hook_name = ? AND h.enabled AND p.enabled "
                                       "ORDER BY h.priority, h.rowid"},
          {&reader.list_hooks_, hooks + "WHERE ?1 IS NULL OR h.plugin_id = ?1 "
                                        "ORDER BY h.hook_name, h.priority, h.rowid"},
      }));
  return reader;
}

absl::StatusOr<std::vector<Plugin>> PluginsReader::List(std::optional<PluginType> type) {
  std::optional<std::string_view> text;
  if (type) text = PluginTypeText(*type);
  return ReadAll(&*list_, list_->First(text), &ReadPlugin);
}

absl::StatusOr<std::optional<Plugin>> PluginsReader::Get(const Uuid& plugin) {
  const std::string id = plugin.ToString();
  return ReadOne(&*get_, get_->First(id), &ReadPlugin);
}

absl::StatusOr<std::optional<Plugin>> PluginsReader::GetByName(std::string_view name) {
  return ReadOne(&*get_by_name_, get_by_name_->First(name), &ReadPlugin);
}

absl::StatusOr<std::optional<PluginConfig>> PluginsReader::GetConfig(const Uuid& plugin,
                                                                     std::string_view profile) {
  const std::string id = plugin.ToString();
  return ReadOne(&*get_config_, get_config_->First(id, profile), &ReadConfig);
}

absl::StatusOr<std::vector<PluginConfig>> PluginsReader::ListConfigs(const Uuid& plugin) {
  const std::string id = plugin.ToString();
  return ReadAll(&*list_configs_, list_configs_->First(id), &ReadConfig);
}

absl::StatusOr<std::vector<PluginHook>> PluginsReader::GetHooks(std::string_view name) {
  return ReadAll(&*get_hooks_, get_hooks_->First(name), &ReadHook);
}

absl::StatusOr<std::vector<PluginHook>> PluginsReader::ListHooks(
    const std::optional<Uuid>& plugin) {
  std::optional<std::string> id;
  if (plugin) id = plugin->ToString();
  return ReadAll(&*list_hooks_, list_hooks_->First(id), &ReadHook);
}

}  // namespace nimbus::projections
