// A plugin's manifest as a JSON file has it.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "nimbus/projections/plugins.h"

namespace nimbus::tools {

// For the help and the man page.
extern const char kManifestHelp[];

// InvalidArgument: no JSON object, a member of the wrong kind, or one there is not.
absl::StatusOr<projections::PluginManifest> ParseManifest(std::string_view text);

// The same to update a plugin of the manifest's name: what it leaves out stays.
struct ManifestChange {
  std::string name;
  projections::PluginChange change;
};
absl::StatusOr<ManifestChange> ParseManifestChange(std::string_view text);

}  // namespace nimbus::tools
