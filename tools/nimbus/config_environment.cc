// nimbus config env list | show | set | delete
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
using projections::EnvironmentConfig;
using projections::Written;
using schema::Json;

constexpr size_t kConfigWidth = 200;  // characters
constexpr size_t kNameShownMax = 64;

struct Pair {
  std::string environment, provider;
};

std::string NameOf(const Pair& pair) {
  return fmt::format("{}/{}", pair.environment.substr(0, kNameShownMax),
                     pair.provider.substr(0, kNameShownMax));
}

absl::StatusOr<int> List(const cli::CommandLine& line) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<EnvironmentConfig> environments,
                          database->config().GetEnvironments());
  if (line.json) {
    Json::Array rows;
    for (const EnvironmentConfig& row : environments) rows.push_back(ToJson(row));
    cli::PrintJson(Json::MakeArray(std::move(rows)));
    return cli::kHolds;
  }
  cli::Table table({"ENVIRONMENT", "PROVIDER", "CREATED", "UPDATED", "CONFIG"});
  for (const EnvironmentConfig& row : environments) {
    table.Add({{row.environment},
               {row.cloud_provider},
               {cli::ShowTime(row.created_at_us)},
               {cli::ShowTime(row.updated_at_us)},
               {cli::OneLine(row.config, kConfigWidth)}});
  }
  table.Print(std::cout);
  return cli::kHolds;
}

// NotFound, which suggests the nearest pair.
absl::Status NoEnvironment(Config& config, const Pair& pair) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<EnvironmentConfig> all, config.GetEnvironments());
  std::vector<std::string> names;
  for (const EnvironmentConfig& row : all) {
    names.push_back(NameOf({row.environment, row.cloud_provider}));
  }
  return schema::Error(absl::StatusCode::kNotFound, "no environment config '{}'{}", NameOf(pair),
                       cli::DidYouMean(NameOf(pair), names));
}

absl::StatusOr<int> Print(const cli::CommandLine& line, Config& config, const Pair& pair) {
  NIMBUS_ASSIGN_OR_RETURN(const auto row, config.GetEnvironment(pair.environment, pair.provider));
  if (!row.has_value()) return NoEnvironment(config, pair);
  if (line.json) {
    cli::PrintJson(ToJson(*row));
    return cli::kHolds;
  }
  PrintField("environment", row->environment);
  PrintField("provider", row->cloud_provider);
  PrintField("id", row->id.ToString());
  PrintField("created", cli::ShowTime(row->created_at_us));
  PrintField("updated", cli::ShowTime(row->updated_at_us));
  PrintConfig(row->config);
  return cli::kHolds;
}

absl::StatusOr<int> Show(const cli::CommandLine& line, const Pair& pair) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  return Print(line, database->config(), pair);
}

absl::StatusOr<int> Set(const cli::CommandLine& line, const Pair& pair,
                        const std::string& argument) {
  NIMBUS_ASSIGN_OR_RETURN(std::string config, cli::TextOf(argument));
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const Written written,
                          database->config().SetEnvironment({.environment = pair.environment,
                                                             .cloud_provider = pair.provider,
                                                             .config = std::move(config)}));
  NIMBUS_RETURN_IF_ERROR(cli::AwaitViews(*database, written));
  return Print(line, database->config(), pair);
}

absl::StatusOr<int> Delete(const cli::CommandLine& line, const Pair& pair,
                           const std::string& reason) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  const absl::StatusOr<Written> written =
      database->config().DeleteEnvironment(pair.environment, pair.provider, reason);
  if (absl::IsNotFound(written.status())) return NoEnvironment(database->config(), pair);
  NIMBUS_RETURN_IF_ERROR(written.status());
  if (line.json) {
    cli::PrintJson(Json::MakeObject(
        {{"removed", Json::String(NameOf(pair))}, {"sequence", Json::Uint(written->sequence)}}));
  } else {
    cli::Print("deleted environment config {}\n", NameOf(pair));
  }
  return cli::kHolds;
}

void AddPair(CLI::App* command, Pair* pair) {
  command->add_option("ENVIRONMENT", pair->environment, "As development, staging, production")
      ->required();
  command->add_option("PROVIDER", pair->provider, "As aws, gcp, azure")->required();
}

}  // namespace

void AddConfigEnvironmentCommands(CLI::App* config, cli::CommandLine* line) {
  CLI::App* environment =
      config->add_subcommand("env", "Configs of an environment at a cloud provider");
  environment->require_subcommand(1);
  cli::AddCommand(environment, line, "list", "List environment configs",
                  [line] { return List(*line); });
  auto pair = std::make_shared<Pair>();
  auto text = std::make_shared<std::string>();
  AddPair(cli::AddCommand(environment, line, "show", "Show an environment config",
                          [line, pair] { return Show(*line, *pair); }),
          pair.get());
  CLI::App* set = cli::AddCommand(environment, line, "set",
                                  "Make an environment config, or replace what it holds",
                                  [line, pair, text] { return Set(*line, *pair, *text); });
  AddPair(set, pair.get());
  set->add_option("CONFIG", *text, "A JSON object, or @FILE to read it from")->required();
  CLI::App* remove = cli::AddCommand(environment, line, "delete", "Delete an environment config",
                                     [line, pair, text] { return Delete(*line, *pair, *text); });
  AddPair(remove, pair.get());
  cli::AddReasonOption(remove, text.get());
}

}  // namespace nimbus::tools
