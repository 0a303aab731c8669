// nimbus plugin install | update | configure
#include <memory>
#include <string>

#include "nimbus/schema/status.h"
#include "tools/cli/input.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"
#include "tools/nimbus/plugin_manifest.h"
#include "tools/nimbus/plugin_show.h"

namespace nimbus::tools {
namespace {

using schema::Uuid;

constexpr size_t kManifestBytesMax = 1u << 20;

absl::StatusOr<int> Install(const cli::CommandLine& line, const std::string& path) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string text, cli::ReadInput(path, kManifestBytesMax));
  const absl::StatusOr<projections::PluginManifest> manifest = ParseManifest(text);
  if (!manifest.ok()) return schema::Annotate(manifest.status(), path);
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const projections::Written written,
                          database->plugins().Install(*manifest));
  return PrintWritten(line, database.get(), written.id, written.sequence, "installed");
}

absl::StatusOr<int> Update(const cli::CommandLine& line, const std::string& path) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string text, cli::ReadInput(path, kManifestBytesMax));
  const absl::StatusOr<ManifestChange> manifest = ParseManifestChange(text);
  if (!manifest.ok()) return schema::Annotate(manifest.status(), path);
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  projections::Plugins& plugins = database->plugins();
  NIMBUS_ASSIGN_OR_RETURN(const Uuid id, SelectPlugin(&plugins, manifest->name));
  NIMBUS_ASSIGN_OR_RETURN(const projections::Written written, plugins.Update(id, manifest->change));
  return PrintWritten(line, database.get(), id, written.sequence, "updated");
}

struct ConfigureOptions {
  std::string name, config, file;
  std::string profile = "default";
};

absl::StatusOr<int> Configure(const cli::CommandLine& line, const ConfigureOptions& options) {
  std::string config = options.config;
  if (!options.file.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(config,
                            cli::ReadInput(options.file, projections::kPluginConfigBytesMax));
  }
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  projections::Plugins& plugins = database->plugins();
  NIMBUS_ASSIGN_OR_RETURN(const Uuid id, SelectPlugin(&plugins, options.name));
  NIMBUS_ASSIGN_OR_RETURN(const projections::Written written,
                          plugins.Configure(id, config, options.profile));
  if (!line.json) return PrintWritten(line, database.get(), id, written.sequence, "configured");
  NIMBUS_RETURN_IF_ERROR(database->WaitFor(written.sequence, projections::kViewsWaitMs));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<projections::PluginConfig> row,
                          plugins.GetConfig(id, options.profile));
  cli::PrintJson(row ? ToJson(*row) : schema::Json());
  return cli::kHolds;
}

}  // namespace

void AddPluginInstallCommands(CLI::App* plugin, cli::CommandLine* line) {
  auto path = std::make_shared<std::string>();
  CLI::App* install = cli::AddCommand(plugin, line, "install", "Install a plugin from its manifest",
                                      [line, path] { return Install(*line, *path); });
  install->add_option("MANIFEST", *path, "JSON file, or - for standard input")->required();
  install->footer(kManifestHelp);

  auto newer = std::make_shared<std::string>();
  CLI::App* update = cli::AddCommand(
      plugin, line, "update",
      "Bring a plugin to a new manifest: the plugin of its name; what it leaves out stays",
      [line, newer] { return Update(*line, *newer); });
  update->add_option("MANIFEST", *newer, "JSON file, or - for standard input")->required();
  update->footer(
      "The manifest is as for install. Its hooks, if it lists any, replace those there "
      "are: one of the same name stays the same hook.");

  auto options = std::make_shared<ConfigureOptions>();
  CLI::App* configure = cli::AddCommand(plugin, line, "configure",
                                        "Set a plugin's configuration, which must fit its schema",
                                        [line, options] { return Configure(*line, *options); });
  configure->add_option("NAME", options->name, "Plugin")->required();
  CLI::Option* set =
      configure->add_option("--set", options->config, "The configuration, a JSON object")
          ->type_name("JSON");
  CLI::Option* file =
      configure->add_option("--file", options->file, "File that holds it, or - for standard input")
          ->type_name("FILE")
          ->excludes(set);
  configure->add_option("--profile", options->profile, "Profile it is for")
      ->capture_default_str()
      ->type_name("NAME");
  configure->parse_complete_callback([set, file] {
    if (set->count() + file->count() == 0) throw CLI::RequiredError("--set or --file");
  });
}

}  // namespace nimbus::tools
