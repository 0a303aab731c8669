#include "nimbus/projections/plugins.h"

#include <algorithm>
#include <map>
#include <utility>

#include "generations.h"
#include "json_schema.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/schema/json.h"
#include "plugin_manifest.h"
#include "plugins_internal.h"

namespace nimbus::projections {

namespace fb = schema::fb;
using journal::EntityState;
using schema::Error;
using schema::Event;
using schema::MakeEvent;
using schema::Uuid;
using Code = absl::StatusCode;

namespace {

// What others changed meanwhile is read again so many times.
constexpr int kAttemptsMax = 16;

std::unique_ptr<fb::Id> FbId(const Uuid& id) { return std::make_unique<fb::Id>(id.ToFb()); }

absl::Status NoPlugin(const Uuid& plugin) {
  return Error(Code::kNotFound, "there is no plugin {}", plugin.ToString());
}

bool IsInPlace(const std::optional<EntityState>& state) {
  return state && static_cast<journal::Standing>(state->state) != journal::Standing::kRemoved;
}

// What is wrong with the version that is there of what is needed; empty if nothing.
std::string Unmet(const Dependency& dependency, const std::string& version) {
  if (dependency.constraints.empty()) return {};
  const absl::StatusOr<Semver> parsed = ParseSemver(version);
  if (parsed.ok() && Satisfies(dependency, *parsed)) return {};
  return fmt::format("{} {} (installed: {}{})", dependency.name, dependency.constraint_text,
                     version, parsed.ok() ? "" : ", which is no semantic version");
}

void AddTo(std::string* list, std::string_view item) {
  if (!list->empty()) *list += ", ";
  *list += item;
}

}  // namespace

Plugins::Plugins(journal::Journal* journal, Views* views)
    : journal_(journal), views_(views), rows_(std::make_unique<Rows>(views)) {}

Plugins::~Plugins() = default;

// To be held from looking at what others need, and in which version, until the decision
// is appended: the journal's rules know who needs whom, but no versions and no circles.
absl::StatusOr<std::optional<FileLock>> Plugins::LockNeedsIf(bool wanted) const {
  if (!wanted) return std::nullopt;
  NIMBUS_ASSIGN_OR_RETURN(FileLock lock, FileLock::TakeWithin(journal_->store() + "/plugins.lock",
                                                              views_->command_wait_ms()));
  return lock;
}

absl::StatusOr<Written> Plugins::Append(const Uuid& id, const Events& events,
                                        const journal::AppendOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended, journal_->Append(events, options));
  return Written{.id = id, .sequence = appended.first + appended.count - 1};
}

absl::StatusOr<Written> Plugins::AppendTo(const Uuid& plugin, Event event) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended, journal_->Append(event));
  return Written{.id = plugin, .sequence = appended.first};
}

// The plugin as the journal has it now, or later.
absl::StatusOr<Plugins::Current> Plugins::Read(const Uuid& plugin) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<EntityState> state,
                          journal_->FindEntity(fb::EntityKind::plugin, plugin));
  if (!IsInPlace(state)) return NoPlugin(plugin);
  NIMBUS_RETURN_IF_ERROR(views_->WaitFor(state->head_sequence, views_->command_wait_ms()));
  NIMBUS_ASSIGN_OR_RETURN(std::optional<Plugin> row, Get(plugin));
  if (!row) return NoPlugin(plugin);  // uninstalled meanwhile
  return Current{.state = *state, .plugin = *std::move(row)};
}

// Appends what `decide` makes of the plugin, unless others have changed it by then.
absl::StatusOr<Written> Plugins::Change(
    const Uuid& plugin, const std::function<absl::StatusOr<Events>(const Current&)>& decide) {
  for (int attempt = 1;; ++attempt) {
    NIMBUS_ASSIGN_OR_RETURN(const Current current, Read(plugin));
    NIMBUS_ASSIGN_OR_RETURN(const Events events, decide(current));
    absl::StatusOr<Written> written =
        Append(plugin, events, {.expected_version = current.state.version});
    if (!absl::IsAborted(written.status())) return written;
    if (attempt < kAttemptsMax) continue;
    return schema::Annotate(written.status(),
                            fmt::format("plugin '{}' was changed by others {} times meanwhile",
                                        current.plugin.name, attempt));
  }
}

// Ids of what is needed. FailedPrecondition unless all is there as it is needed.
absl::StatusOr<std::vector<Uuid>> Plugins::Resolve(const std::vector<std::string>& dependencies) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Dependency> needed, ParseDependencies(dependencies));
  std::vector<Uuid> ids;
  std::string unmet;
  for (const Dependency& dependency : needed) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> id, FindByName(dependency.name));
    absl::StatusOr<Current> found = id ? Read(*id) : NoPlugin({});
    if (absl::IsNotFound(found.status())) {
      const std::string space = dependency.constraints.empty() ? "" : " ";
      AddTo(&unmet, dependency.name + space + dependency.constraint_text + " (not installed)");
      continue;
    }
    NIMBUS_RETURN_IF_ERROR(found.status());
    const std::string wrong = Unmet(dependency, found->plugin.version);
    if (!wrong.empty()) AddTo(&unmet, wrong);
    ids.push_back(*id);
  }
  if (unmet.empty()) return ids;
  return Error(Code::kFailedPrecondition, "it needs {}", unmet);
}

absl::StatusOr<Written> Plugins::Install(const PluginManifest& manifest) {
  NIMBUS_RETURN_IF_ERROR(CheckPluginName(manifest.name));
  if (manifest.entry_point.empty()) {
    return Error(Code::kInvalidArgument, "entry_point: is required");
  }
  if (manifest.hooks.size() > kPluginListMax) {
    return Error(Code::kInvalidArgument, "hooks: {} of them, {} are allowed", manifest.hooks.size(),
                 kPluginListMax);
  }
  const Uuid id = manifest.id ? *manifest.id : schema::NewUuid();
  Events events;
  events.push_back(MakeEvent(fb::EntityKind::plugin, id, fb::PluginInstalledT{}));
  NIMBUS_RETURN_IF_ERROR(
      SetTexts({.description = manifest.description,
                .author = manifest.author,
                .homepage = manifest.homepage,
                .repository = manifest.repository,
                .entry_point = manifest.entry_point,
                .config_schema = manifest.config_schema,
                .dependencies = manifest.dependencies.empty() ? nullptr : &manifest.dependencies,
                .permissions = manifest.permissions.empty() ? nullptr : &manifest.permissions},
               &events.front().body));
  for (const NewHook& hook : manifest.hooks) {
    NIMBUS_ASSIGN_OR_RETURN(Event event, HookRegisteredEvent(id, hook));
    events.push_back(std::move(event));
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<FileLock> lock,
                          LockNeedsIf(!manifest.dependencies.empty()));
  for (int attempt = 1;; ++attempt) {
    absl::StatusOr<std::vector<Uuid>> needs = Resolve(manifest.dependencies);
    if (!needs.ok()) {
      return schema::Annotate(needs.status(), fmt::format("plugin '{}'", manifest.name));
    }
    fb::PluginInstalledT installed;
    installed.name = manifest.name;
    installed.version = manifest.version;
    installed.type = manifest.type;
    installed.needs = ToFbIds(*needs);
    events.front().payload.Set(std::move(installed));
    absl::StatusOr<Written> written = Append(id, events);
    // What it needs was uninstalled since it was found.
    if (!absl::IsNotFound(written.status()) || attempt == kAttemptsMax) return written;
  }
}

absl::StatusOr<Written> Plugins::Configure(const Uuid& plugin, const std::string& config,
                                           const std::string& profile) {
  if (config.size() > kPluginConfigBytesMax) {
    return Error(Code::kInvalidArgument, "config: {} bytes, {} are allowed", config.size(),
                 kPluginConfigBytesMax);
  }
  const absl::StatusOr<schema::Json> parsed = schema::Json::Parse(config);
  if (!parsed.ok()) return schema::Annotate(parsed.status(), "config");
  if (!parsed->IsObject()) return Error(Code::kInvalidArgument, "config: no JSON object");
  return Change(plugin, [&](const Current& current) -> absl::StatusOr<Events> {
    if (current.plugin.config_schema) {
      const absl::Status valid = ValidateAgainstSchema(*current.plugin.config_schema, config);
      if (!valid.ok()) {
        return schema::Annotate(valid, fmt::format("config of plugin '{}', profile '{}'",
                                                   current.plugin.name, profile));
      }
    }
    fb::PluginConfiguredT configured;
    configured.profile = profile;
    Events events;
    events.push_back(MakeEvent(fb::EntityKind::plugin, plugin, std::move(configured)));
    events.back().body.details = std::make_unique<fb::DetailsT>();
    events.back().body.details->config = config;
    return events;
  });
}

absl::StatusOr<Written> Plugins::Enable(const Uuid& plugin) {
  return AppendTo(plugin, MakeEvent(fb::EntityKind::plugin, plugin, fb::PluginEnabledT{}));
}

absl::StatusOr<Written> Plugins::Disable(const Uuid& plugin) {
  return AppendTo(plugin, MakeEvent(fb::EntityKind::plugin, plugin, fb::PluginDisabledT{}));
}

// As the records say, which stay when their bodies are erased. Read backwards: what is
// said last of an id holds, and of a stream of any length only the ids are kept.
absl::StatusOr<std::vector<Uuid>> Plugins::NeedsOf(const Uuid& plugin) const {
  NIMBUS_ASSIGN_OR_RETURN(journal::StreamReader stream,
                          journal::StreamReader::Open(*journal_, fb::EntityKind::plugin, plugin));
  NIMBUS_RETURN_IF_ERROR(stream.Seek(stream.version() + 1));
  std::map<Uuid, bool> needed;
  const auto say = [&](const flatbuffers::Vector<const fb::Id*>* ids, bool is_needed) {
    if (ids == nullptr) return;
    for (const fb::Id* id : *ids) needed.emplace(Uuid::FromFb(*id), is_needed);
  };
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, stream.Previous());
    if (view == nullptr) break;
    if (const auto* update = view->record->event_as_PluginUpdated()) {
      say(update->needs(), true);
      say(update->dropped(), false);
    } else if (const auto* event = view->record->event_as_PluginInstalled()) {
      say(event->needs(), true);
    }
  }
  std::vector<Uuid> needs;
  for (const auto& [id, is_needed] : needed) {
    if (is_needed) needs.push_back(id);
  }
  return needs;
}

// With all that the journal holds by now.
absl::StatusOr<std::vector<Plugin>> Plugins::ListAll() {
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal_->Size());
  const absl::Status caught_up = views_->WaitFor(size - 1, views_->command_wait_ms());
  // That the last record is in quarantine is no reason not to read the others.
  if (!caught_up.ok() && !absl::IsFailedPrecondition(caught_up)) return caught_up;
  return List();
}

absl::Status Plugins::CheckNotNeeded(const Plugin& plugin) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Plugin> all, ListAll());
  std::string dependents;
  for (const Plugin& other : all) {
    for (const std::string& text : other.dependencies) {
      const absl::StatusOr<Dependency> dependency = ParseDependency(text);
      if (dependency.ok() && dependency->name == plugin.name) {
        AddTo(&dependents, "'" + other.name + "'");
      }
    }
  }
  if (dependents.empty()) return absl::OkStatus();
  return Error(Code::kFailedPrecondition, "plugin '{}' is needed by {}", plugin.name, dependents);
}

absl::StatusOr<Written> Plugins::Uninstall(const Uuid& plugin, const std::string& reason) {
  std::optional<Plugin> row;
  absl::StatusOr<Written> written =
      Change(plugin, [&](const Current& current) -> absl::StatusOr<Events> {
        row = current.plugin;
        if (current.state.steps > 0) NIMBUS_RETURN_IF_ERROR(CheckNotNeeded(current.plugin));
        fb::PluginUninstalledT uninstalled;
        uninstalled.name = current.plugin.name;
        NIMBUS_ASSIGN_OR_RETURN(const std::vector<Uuid> needs, NeedsOf(plugin));
        uninstalled.dropped = ToFbIds(needs);
        Events events;
        events.push_back(MakeEvent(fb::EntityKind::plugin, plugin, std::move(uninstalled)));
        events.back().body.error = reason;
        return events;
      });
  // Another process has installed what needs it: who that is says more.
  if (absl::IsFailedPrecondition(written.status()) && row) {
    NIMBUS_RETURN_IF_ERROR(CheckNotNeeded(*row));
  }
  return written;
}

absl::StatusOr<Written> Plugins::RegisterHook(const Uuid& plugin, const NewHook& hook) {
  NIMBUS_ASSIGN_OR_RETURN(Event event, HookRegisteredEvent(plugin, hook));
  const Uuid id = Uuid::FromFb(*event.payload.AsHookRegistered()->hook);
  NIMBUS_ASSIGN_OR_RETURN(const Written written, AppendTo(plugin, std::move(event)));
  return Written{.id = id, .sequence = written.sequence};
}

// Events about a hook belong to the stream of its plugin.
absl::StatusOr<Uuid> Plugins::PluginOfHook(const Uuid& hook) const {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<EntityState> found,
                          journal_->FindEntity(fb::EntityKind::plugin_hook, hook));
  if (IsInPlace(found)) return found->parent;
  return Error(Code::kNotFound, "there is no hook {}", hook.ToString());
}

absl::StatusOr<Written> Plugins::ChangeHook(const Uuid& hook, const HookChange& change) {
  if (!change.priority && !change.enabled) {
    return Error(Code::kInvalidArgument, "nothing of the hook is to change");
  }
  NIMBUS_ASSIGN_OR_RETURN(const Uuid plugin, PluginOfHook(hook));
  fb::HookChangedT changed;
  changed.hook = FbId(hook);
  if (change.priority) changed.priority = *change.priority;
  if (change.enabled) changed.enabled = *change.enabled;
  NIMBUS_ASSIGN_OR_RETURN(
      const Written written,
      AppendTo(plugin, MakeEvent(fb::EntityKind::plugin, plugin, std::move(changed))));
  return Written{.id = hook, .sequence = written.sequence};
}

absl::StatusOr<Written> Plugins::RemoveHook(const Uuid& hook) {
  NIMBUS_ASSIGN_OR_RETURN(const Uuid plugin, PluginOfHook(hook));
  fb::HookRemovedT removed;
  removed.hook = FbId(hook);
  NIMBUS_ASSIGN_OR_RETURN(
      const Written written,
      AppendTo(plugin, MakeEvent(fb::EntityKind::plugin, plugin, std::move(removed))));
  return Written{.id = hook, .sequence = written.sequence};
}

absl::StatusOr<std::optional<Uuid>> Plugins::FindByName(std::string_view name) const {
  return journal_->FindName(fb::EntityKind::plugin, "", name);
}

absl::StatusOr<std::vector<Plugin>> Plugins::List(std::optional<PluginType> type) {
  return rows_->With([&](PluginsReader& reader) { return reader.List(type); });
}

absl::StatusOr<std::optional<Plugin>> Plugins::Get(const Uuid& plugin) {
  return rows_->With([&](PluginsReader& reader) { return reader.Get(plugin); });
}

absl::StatusOr<std::optional<Plugin>> Plugins::GetByName(std::string_view name) {
  return rows_->With([&](PluginsReader& reader) { return reader.GetByName(name); });
}

absl::StatusOr<std::optional<PluginConfig>> Plugins::GetConfig(const Uuid& plugin,
                                                               std::string_view profile) {
  return rows_->With([&](PluginsReader& reader) { return reader.GetConfig(plugin, profile); });
}

absl::StatusOr<std::vector<PluginConfig>> Plugins::ListConfigs(const Uuid& plugin) {
  return rows_->With([&](PluginsReader& reader) { return reader.ListConfigs(plugin); });
}

absl::StatusOr<std::vector<PluginHook>> Plugins::GetHooks(std::string_view name) {
  return rows_->With([&](PluginsReader& reader) { return reader.GetHooks(name); });
}

absl::StatusOr<std::vector<PluginHook>> Plugins::ListHooks(std::optional<Uuid> plugin) {
  return rows_->With([&](PluginsReader& reader) { return reader.ListHooks(plugin); });
}

}  // namespace nimbus::projections
