// What the commands of `nimbus plugin` share: a plugin found by its name, and shown.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "nimbus/projections/database.h"
#include "nimbus/schema/json.h"
#include "tools/cli/command_line.h"

namespace nimbus::tools {

schema::Json ToJson(const projections::Plugin& plugin);
schema::Json ToJson(const projections::PluginConfig& config);
schema::Json ToJson(const projections::PluginHook& hook);
schema::Json ListJson(const std::vector<std::string>& texts);

// NotFound names the plugin that may have been meant.
absl::StatusOr<schema::Uuid> SelectPlugin(projections::Plugins* plugins, const std::string& name);

// Waits until the tables hold what was written, then prints the plugin with --json, else
// "`done` NAME VERSION". Returns the exit code.
absl::StatusOr<int> PrintWritten(const cli::CommandLine& line, projections::Database* database,
                                 const schema::Uuid& plugin, uint64_t sequence,
                                 std::string_view done);

}  // namespace nimbus::tools
