// What Install and Update have in common: a manifest's texts checked and put into events.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/projections/plugins.h"
#include "nimbus/schema/event.h"
#include "semver.h"

namespace nimbus::projections {

// InvalidArgument: no name, or one that a dependency could not spell.
absl::Status CheckPluginName(std::string_view name);

// InvalidArgument: more than kPluginListMax, one that can't be read, or a plugin twice.
absl::StatusOr<std::vector<Dependency>> ParseDependencies(const std::vector<std::string>& texts);

// The texts of a PluginInstalled or PluginUpdated. InvalidArgument names the member.
struct PluginTexts {
  const std::string& description;
  const std::string& author;
  const std::string& homepage;
  const std::string& repository;
  const std::string& entry_point;
  const std::string& config_schema;
  const std::vector<std::string>* dependencies;  // null: not to be set
  const std::vector<std::string>* permissions;
};
absl::Status SetTexts(const PluginTexts& texts, schema::fb::BodyT* body);

absl::StatusOr<schema::Event> HookRegisteredEvent(const schema::Uuid& plugin, const NewHook& hook);

std::vector<schema::fb::Id> ToFbIds(const std::vector<schema::Uuid>& ids);

}  // namespace nimbus::projections
