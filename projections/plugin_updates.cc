// Plugins::Update: what a new version changes, in one append.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "generations.h"
#include "plugin_manifest.h"
#include "plugins_internal.h"

namespace nimbus::projections {

namespace fb = schema::fb;
using schema::Error;
using schema::Event;
using schema::MakeEvent;
using schema::Uuid;
using Code = absl::StatusCode;

namespace {

std::vector<Uuid> Without(const std::vector<Uuid>& ids, const std::vector<Uuid>& others) {
  std::vector<Uuid> left;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(left), [&](const Uuid& id) {
    return std::find(others.begin(), others.end(), id) == others.end();
  });
  return left;
}

// Names that a plugin needs, by its name.
using Graph = std::map<std::string, std::vector<std::string>, std::less<>>;

std::vector<std::string> NamesOf(const std::vector<std::string>& dependencies) {
  std::vector<std::string> names;
  for (const std::string& text : dependencies) {
    const absl::StatusOr<Dependency> dependency = ParseDependency(text);
    if (dependency.ok()) names.push_back(dependency->name);
  }
  return names;
}

// The way from `name` to `wanted`, "a → b → c"; empty when there is none.
std::string PathTo(const Graph& graph, const std::string& name, std::string_view wanted,
                   std::set<std::string>* seen) {
  if (name == wanted) return name;
  const auto node = graph.find(name);
  if (node == graph.end() || !seen->insert(name).second) return {};
  for (const std::string& next : node->second) {
    const std::string rest = PathTo(graph, next, wanted, seen);
    if (!rest.empty()) return name + " → " + rest;
  }
  return {};
}

bool ChangesTexts(const PluginChange& change) {
  return !change.version.empty() || !change.description.empty() || !change.author.empty() ||
         !change.homepage.empty() || !change.repository.empty() || !change.entry_point.empty() ||
         !change.config_schema.empty() || change.type || change.dependencies || change.permissions;
}

}  // namespace

// FailedPrecondition if others need the plugin in another version.
absl::Status Plugins::CheckDependents(const Plugin& plugin, const std::string& version) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Plugin> all, ListAll());
  const absl::StatusOr<Semver> parsed = ParseSemver(version);
  std::string unmet;
  for (const Plugin& other : all) {
    for (const std::string& text : other.dependencies) {
      const absl::StatusOr<Dependency> dependency = ParseDependency(text);
      if (!dependency.ok() || dependency->name != plugin.name) continue;
      if (dependency->constraints.empty()) continue;
      if (parsed.ok() && Satisfies(*dependency, *parsed)) continue;
      if (!unmet.empty()) unmet += ", ";
      unmet += fmt::format("'{}' needs {}", other.name, text);
    }
  }
  if (unmet.empty()) return absl::OkStatus();
  return Error(Code::kFailedPrecondition, "plugin '{}' can't become {}: {}", plugin.name, version,
               unmet);
}

// FailedPrecondition if something it would need needs it: neither could ever go.
absl::Status Plugins::CheckNoCircle(const Plugin& plugin,
                                    const std::vector<std::string>& dependencies) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Plugin> all, ListAll());
  Graph graph;
  for (const Plugin& other : all) graph[other.name] = NamesOf(other.dependencies);
  std::set<std::string> seen;
  for (const std::string& name : NamesOf(dependencies)) {
    const std::string path = PathTo(graph, name, plugin.name, &seen);
    if (path.empty()) continue;
    return Error(Code::kFailedPrecondition, "plugin '{}' would need itself: {} → {}", plugin.name,
                 plugin.name, path);
  }
  return absl::OkStatus();
}

// Pairs the hooks there are with those wanted, by name and order.
absl::Status Plugins::UpdateHooks(const Uuid& plugin, const std::vector<NewHook>& wanted,
                                  Events* events) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<PluginHook> present, ListHooks(plugin));
  std::set<Uuid> kept;
  for (const NewHook& hook : wanted) {
    const auto same = std::find_if(present.begin(), present.end(), [&](const PluginHook& other) {
      return other.name == hook.name && !kept.contains(other.id);
    });
    if (same == present.end()) {
      NIMBUS_ASSIGN_OR_RETURN(Event event, HookRegisteredEvent(plugin, hook));
      events->push_back(std::move(event));
      continue;
    }
    kept.insert(same->id);
    if (same->priority == hook.priority) continue;
    fb::HookChangedT changed;
    changed.hook = std::make_unique<fb::Id>(same->id.ToFb());
    changed.priority = hook.priority;
    events->push_back(MakeEvent(fb::EntityKind::plugin, plugin, std::move(changed)));
  }
  for (const PluginHook& hook : present) {
    if (kept.contains(hook.id)) continue;
    fb::HookRemovedT removed;
    removed.hook = std::make_unique<fb::Id>(hook.id.ToFb());
    events->push_back(MakeEvent(fb::EntityKind::plugin, plugin, std::move(removed)));
  }
  return absl::OkStatus();
}

absl::StatusOr<Plugins::Events> Plugins::DecideUpdate(const Current& current,
                                                      const PluginChange& change) {
  const Uuid& id = current.plugin.id;
  fb::PluginUpdatedT updated;
  updated.version = change.version;
  if (change.type) updated.type = *change.type;
  if (!change.version.empty() && change.version != current.plugin.version) {
    NIMBUS_RETURN_IF_ERROR(CheckDependents(current.plugin, change.version));
  }
  if (change.dependencies) {
    NIMBUS_RETURN_IF_ERROR(CheckNoCircle(current.plugin, *change.dependencies));
    NIMBUS_ASSIGN_OR_RETURN(const std::vector<Uuid> before, NeedsOf(id));
    NIMBUS_ASSIGN_OR_RETURN(const std::vector<Uuid> after, Resolve(*change.dependencies));
    updated.needs = ToFbIds(Without(after, before));
    updated.dropped = ToFbIds(Without(before, after));
  }
  Events events;
  if (ChangesTexts(change)) {
    events.push_back(MakeEvent(fb::EntityKind::plugin, id, std::move(updated)));
    NIMBUS_RETURN_IF_ERROR(
        SetTexts({.description = change.description,
                  .author = change.author,
                  .homepage = change.homepage,
                  .repository = change.repository,
                  .entry_point = change.entry_point,
                  .config_schema = change.config_schema,
                  .dependencies = change.dependencies ? &*change.dependencies : nullptr,
                  .permissions = change.permissions ? &*change.permissions : nullptr},
                 &events.back().body));
  }
  if (change.hooks) NIMBUS_RETURN_IF_ERROR(UpdateHooks(id, *change.hooks, &events));
  return events;
}

absl::StatusOr<Written> Plugins::Update(const Uuid& plugin, const PluginChange& change) {
  if (!ChangesTexts(change) && !change.hooks) {
    return Error(Code::kInvalidArgument, "nothing of the plugin is to change");
  }
  if (change.hooks && change.hooks->size() > kPluginListMax) {
    return Error(Code::kInvalidArgument, "hooks: {} of them, {} are allowed", change.hooks->size(),
                 kPluginListMax);
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<FileLock> lock,
                          LockNeedsIf(!change.version.empty() || change.dependencies));
  return Change(plugin, [&](const Current& current) -> absl::StatusOr<Events> {
    absl::StatusOr<Events> events = DecideUpdate(current, change);
    if (events.ok()) return events;
    return schema::Annotate(events.status(), fmt::format("plugin '{}'", current.plugin.name));
  });
}

}  // namespace nimbus::projections
