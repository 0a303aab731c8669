// nimbus config profile list | show | save | activate | delete
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "nimbus/projections/database.h"
#include "nimbus/schema/status.h"
#include "tools/cli/nearest.h"
#include "tools/cli/show.h"
#include "tools/cli/text_argument.h"
#include "tools/nimbus/commands.h"
#include "tools/nimbus/configs.h"

namespace nimbus::tools {
namespace {

using projections::Config;
using projections::ConfigProfile;
using projections::Written;
using schema::Json;

constexpr size_t kNameShownMax = 64;

absl::StatusOr<int> List(const cli::CommandLine& line) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<ConfigProfile> profiles,
                          database->config().GetProfiles());
  if (line.json) {
    Json::Array rows;
    for (const ConfigProfile& profile : profiles) rows.push_back(ToJson(profile));
    cli::PrintJson(Json::MakeArray(std::move(rows)));
    return cli::kHolds;
  }
  cli::Table table({"PROFILE", "ACTIVE", "CREATED", "UPDATED", "DESCRIPTION"});
  for (const ConfigProfile& profile : profiles) {
    table.Add({{profile.name, profile.is_active ? cli::Style::kBold : cli::Style::kPlain},
               {profile.is_active ? "yes" : "-"},
               {cli::ShowTime(profile.created_at_us)},
               {cli::ShowTime(profile.updated_at_us)},
               {cli::OneLine(profile.description.value_or("-"), kNameShownMax)}});
  }
  table.Print(std::cout);
  return cli::kHolds;
}

// NotFound, which suggests the nearest name.
absl::Status NoProfile(Config& config, const std::string& name) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<ConfigProfile> profiles, config.GetProfiles());
  std::vector<std::string> names;
  for (const ConfigProfile& profile : profiles) names.push_back(profile.name);
  return schema::Error(absl::StatusCode::kNotFound, "no config profile '{}'{}",
                       name.substr(0, kNameShownMax), cli::DidYouMean(name, names));
}

absl::StatusOr<int> Print(const cli::CommandLine& line, Config& config, const std::string& name) {
  NIMBUS_ASSIGN_OR_RETURN(const auto profile, config.GetProfile(name));
  if (!profile.has_value()) return NoProfile(config, name);
  if (line.json) {
    cli::PrintJson(ToJson(*profile));
    return cli::kHolds;
  }
  PrintField("profile", profile->name);
  PrintField("id", profile->id.ToString());
  PrintField("active", profile->is_active ? "yes" : "no");
  PrintField("description", profile->description.value_or("-"));
  PrintField("created", cli::ShowTime(profile->created_at_us));
  PrintField("updated", cli::ShowTime(profile->updated_at_us));
  PrintConfig(profile->config);
  return cli::kHolds;
}

absl::StatusOr<int> Show(const cli::CommandLine& line, const std::string& name) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  return Print(line, database->config(), name);
}

struct SaveOptions {
  std::string name, description, config;
};

absl::StatusOr<int> Save(const cli::CommandLine& line, const SaveOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(std::string config, cli::TextOf(options.config));
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(
      const Written written,
      database->config().SaveProfile(
          {.name = options.name, .description = options.description, .config = std::move(config)}));
  NIMBUS_RETURN_IF_ERROR(cli::AwaitViews(*database, written));
  return Print(line, database->config(), options.name);
}

absl::StatusOr<int> Activate(const cli::CommandLine& line, const std::string& name) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  const absl::StatusOr<Written> written = database->config().ActivateProfile(name);
  if (absl::IsNotFound(written.status())) return NoProfile(database->config(), name);
  NIMBUS_RETURN_IF_ERROR(written.status());
  NIMBUS_RETURN_IF_ERROR(cli::AwaitViews(*database, *written));
  return Print(line, database->config(), name);
}

absl::StatusOr<int> Delete(const cli::CommandLine& line, const std::string& name,
                           const std::string& reason) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  const absl::StatusOr<Written> written = database->config().DeleteProfile(name, reason);
  if (absl::IsNotFound(written.status())) return NoProfile(database->config(), name);
  NIMBUS_RETURN_IF_ERROR(written.status());
  if (line.json) {
    cli::PrintJson(Json::MakeObject(
        {{"removed", Json::String(name)}, {"sequence", Json::Uint(written->sequence)}}));
  } else {
    cli::Print("deleted config profile {}\n", name);
  }
  return cli::kHolds;
}

CLI::Option* AddName(CLI::App* command, std::string* name) {
  return command->add_option("NAME", *name, "The profile")->required();
}

}  // namespace

void AddConfigProfileCommands(CLI::App* config, cli::CommandLine* line) {
  CLI::App* profile = config->add_subcommand("profile", "Config profiles, of which one is active");
  profile->require_subcommand(1);
  cli::AddCommand(profile, line, "list", "List config profiles", [line] { return List(*line); });
  auto name = std::make_shared<std::string>();
  AddName(cli::AddCommand(profile, line, "show", "Show a config profile",
                          [line, name] { return Show(*line, *name); }),
          name.get());

  auto options = std::make_shared<SaveOptions>();
  CLI::App* save =
      cli::AddCommand(profile, line, "save",
                      "Make a config profile, or replace what it holds; the first one is active",
                      [line, options] { return Save(*line, *options); });
  AddName(save, &options->name);
  save->add_option("CONFIG", options->config, "A JSON object, or @FILE to read it from")
      ->required();
  save->add_option("--description", options->description, "What it is for")->type_name("TEXT");

  AddName(cli::AddCommand(profile, line, "activate", "Switch to a config profile",
                          [line, name] { return Activate(*line, *name); }),
          name.get());
  auto reason = std::make_shared<std::string>();
  CLI::App* remove =
      cli::AddCommand(profile, line, "delete", "Delete a config profile that is not active",
                      [line, name, reason] { return Delete(*line, *name, *reason); });
  AddName(remove, name.get());
  cli::AddReasonOption(remove, reason.get());
}

}  // namespace nimbus::tools
