// nimbus config list | get | set | define | unset | reset | effective
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <optional>

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
using projections::ConfigValue;
using projections::Database;
using projections::Preference;
using projections::Written;
using schema::Error;
using schema::Json;
using Code = absl::StatusCode;

constexpr size_t kKeyShownMax = 64;
constexpr size_t kValueWidth = 200;

absl::StatusOr<int> List(const cli::CommandLine& line, const cli::Page& page) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Preference> preferences,
                          database->config().GetPreferences());
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<ConfigValue> values,
                          database->config().GetValues(page.limit, page.offset));
  if (line.json) {
    Json::Array preference_rows, value_rows;
    for (const Preference& row : preferences) preference_rows.push_back(ToJson(row));
    for (const ConfigValue& row : values) value_rows.push_back(ToJson(row));
    cli::PrintJson(Json::MakeObject({{"preferences", Json::MakeArray(std::move(preference_rows))},
                                     {"values", Json::MakeArray(std::move(value_rows))}}));
    return cli::kHolds;
  }
  cli::Table table({"KEY", "TYPE", "VERSION", "UPDATED", "VALUE"});
  for (const Preference& row : preferences) {
    table.Add({{row.key},
               {schema::fb::EnumNameValueType(row.type)},
               {fmt::format("{}", row.version), cli::Style::kPlain, true},
               {cli::ShowTime(row.updated_at_us)},
               {cli::OneLine(row.value, kValueWidth)}});
  }
  for (const ConfigValue& row : values) {
    table.Add({{cli::OneLine(row.key, kValueWidth)},
               {"-"},
               {"-", cli::Style::kPlain, true},
               {cli::ShowTime(row.updated_at_us)},
               {cli::OneLine(row.value, kValueWidth)}});
  }
  table.Print(std::cout);
  return cli::kHolds;
}

// NotFound, which suggests the nearest key of those of preferences and values.
absl::Status NoKey(Config& config, std::string_view what, const std::string& key) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Preference> preferences, config.GetPreferences());
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<ConfigValue> values, config.GetValues());
  std::vector<std::string> keys;
  for (const Preference& row : preferences) keys.push_back(row.key);
  for (const ConfigValue& row : values) keys.push_back(row.key);
  return Error(Code::kNotFound, "no {} '{}'{}", what, key.substr(0, kKeyShownMax),
               cli::DidYouMean(key, keys));
}

// A free value under what is nearly the key of a preference is most likely a slip.
absl::Status HintAtPreference(Config& config, const std::string& key) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Preference> preferences, config.GetPreferences());
  std::vector<std::string> keys;
  for (const Preference& row : preferences) keys.push_back(row.key);
  const std::string hint = cli::DidYouMean(key, keys);
  if (hint.empty()) return absl::OkStatus();
  std::cerr << fmt::format("note: '{}' is no preference and was set as a free value{}\n",
                           cli::OneLine(key, kKeyShownMax), hint);
  return absl::OkStatus();
}

absl::StatusOr<int> Print(const cli::CommandLine& line, Config& config, const std::string& key) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Preference> preference, config.GetPreference(key));
  if (preference.has_value()) {
    if (line.json) {
      cli::PrintJson(ToJson(*preference));
    } else {
      cli::Print("{}\n", preference->value);
    }
    return cli::kHolds;
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<ConfigValue> value, config.GetValue(key));
  if (!value.has_value()) return NoKey(config, "preference and no config value", key);
  if (line.json) {
    cli::PrintJson(ToJson(*value));
  } else {
    cli::Print("{}\n", value->value);
  }
  return cli::kHolds;
}

absl::StatusOr<int> Get(const cli::CommandLine& line, const std::string& key) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  return Print(line, database->config(), key);
}

struct SetOptions {
  std::string key, value, type, description, default_value;
  std::optional<uint64_t> expected_version;
};

// A text may be given for a preference of that type as it is; anything else is JSON.
std::string JsonValue(schema::fb::ValueType type, const std::string& text) {
  if (type != schema::fb::ValueType::string) return text;
  const absl::StatusOr<Json> json = Json::Parse(text);
  if (json.ok() && json->IsString()) return text;
  std::string quoted;
  schema::AppendJsonString(text, &quoted);
  return quoted;
}

absl::StatusOr<int> Set(const cli::CommandLine& line, const SetOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string text, cli::TextOf(options.value));
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  Config& config = database->config();
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Preference> preference,
                          config.GetPreference(options.key));
  if (!preference.has_value() && options.expected_version.has_value()) {
    return NoKey(config, "preference", options.key);
  }
  const absl::StatusOr<Written> written =
      preference.has_value() ? config.SetPreference(options.key, JsonValue(preference->type, text),
                                                    options.expected_version)
                             : config.SetValue(options.key, text);
  if (!written.ok()) return written.status();
  NIMBUS_RETURN_IF_ERROR(cli::AwaitViews(*database, *written));
  if (!preference.has_value()) NIMBUS_RETURN_IF_ERROR(HintAtPreference(config, options.key));
  return Print(line, config, options.key);
}

absl::StatusOr<int> Define(const cli::CommandLine& line, const SetOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::ValueType type,
                          projections::ParseValueType(options.type));
  projections::NewPreference preference{
      .key = options.key, .type = type, .description = options.description};
  NIMBUS_ASSIGN_OR_RETURN(const std::string value, cli::TextOf(options.value));
  preference.value = JsonValue(type, value);
  if (!options.default_value.empty()) {
    preference.default_value = JsonValue(type, options.default_value);
  }
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const Written written, database->config().DefinePreference(preference));
  NIMBUS_RETURN_IF_ERROR(cli::AwaitViews(*database, written));
  return Print(line, database->config(), options.key);
}

absl::StatusOr<int> Reset(const cli::CommandLine& line, const SetOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  Config& config = database->config();
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Preference> preference,
                          config.GetPreference(options.key));
  if (!preference.has_value()) return NoKey(config, "preference", options.key);
  NIMBUS_ASSIGN_OR_RETURN(const Written written,
                          config.ResetPreference(options.key, options.expected_version));
  NIMBUS_RETURN_IF_ERROR(cli::AwaitViews(*database, written));
  return Print(line, config, options.key);
}

absl::StatusOr<int> Unset(const cli::CommandLine& line, const std::string& key,
                          const std::string& reason) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  Config& config = database->config();
  const absl::StatusOr<Written> written = config.UnsetValue(key, reason);
  if (absl::IsNotFound(written.status())) return NoKey(config, "config value", key);
  NIMBUS_RETURN_IF_ERROR(written.status());
  if (line.json) {
    cli::PrintJson(Json::MakeObject(
        {{"removed", Json::String(key)}, {"sequence", Json::Uint(written->sequence)}}));
  } else {
    cli::Print("unset {}\n", key);
  }
  return cli::kHolds;
}

std::string SourceCell(const projections::ConfigSource& source) {
  const std::string_view layer = LayerText(source.layer);
  if (source.version.has_value()) return fmt::format("{} (version {})", layer, *source.version);
  return fmt::format("{} {}", layer, source.name);
}

absl::StatusOr<int> Effective(const cli::CommandLine& line,
                              const projections::EffectiveQuery& query) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  Config& config = database->config();
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<projections::EffectiveValue> values,
                          config.GetEffective(query));
  if (values.empty() && !query.key.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(const auto all,
                            config.GetEffective({.environment = query.environment,
                                                 .cloud_provider = query.cloud_provider}));
    std::vector<std::string> keys;
    for (const auto& value : all) keys.push_back(value.key);
    return Error(Code::kNotFound, "nothing is configured at '{}'{}",
                 query.key.substr(0, kKeyShownMax), cli::DidYouMean(query.key, keys));
  }
  if (line.json) {
    Json::Array rows;
    for (const auto& value : values) rows.push_back(ToJson(value));
    cli::PrintJson(Json::MakeArray(std::move(rows)));
    return cli::kHolds;
  }
  cli::Table table({"KEY", "VALUE", "SOURCE", "OVER"});
  for (const auto& value : values) {
    std::string over;
    for (const auto& below : value.shadows) {
      over += fmt::format("{}{} {}", over.empty() ? "" : ", ", SourceCell(below.source),
                          cli::OneLine(below.value, kKeyShownMax));
    }
    table.Add({{cli::OneLine(value.key, kValueWidth)},
               {cli::OneLine(value.value, kKeyShownMax)},
               {cli::OneLine(SourceCell(value.source), kValueWidth)},
               {over.empty() ? "-" : over, cli::Style::kDim}});
  }
  table.Print(std::cout);
  return cli::kHolds;
}

CLI::Option* AddKey(CLI::App* command, std::string* key) {
  return command->add_option("KEY", *key, "Dotted key, as ui.theme")->required();
}

void AddVersion(CLI::App* command, SetOptions* options) {
  command
      ->add_option("--expect-version", options->expected_version,
                   "Only if the preference is at this version")
      ->transform(cli::IsCount())
      ->type_name("VERSION");
}

void AddReading(CLI::App* config, cli::CommandLine* line) {
  auto page = std::make_shared<cli::Page>();
  cli::AddPageOptions(cli::AddCommand(config, line, "list", "List preferences and config values",
                                      [line, page] { return List(*line, *page); }),
                      page.get());
  auto key = std::make_shared<std::string>();
  AddKey(cli::AddCommand(config, line, "get", "Print a preference or config value",
                         [line, key] { return Get(*line, *key); }),
         key.get());
  auto query = std::make_shared<projections::EffectiveQuery>();
  CLI::App* effective = cli::AddCommand(
      config, line, "effective",
      "What is in effect, and where it comes from: the active profile over the environment's "
      "config over preferences over their defaults",
      [line, query] { return Effective(*line, *query); });
  effective->add_option("KEY", query->key, "Only this key and those below it");
  CLI::Option* environment =
      effective->add_option("--environment", query->environment, "With this environment's config")
          ->type_name("NAME");
  CLI::Option* provider =
      effective->add_option("--provider", query->cloud_provider, "Of this cloud provider")
          ->type_name("NAME");
  environment->needs(provider);
  provider->needs(environment);
}

void AddWriting(CLI::App* config, cli::CommandLine* line) {
  auto options = std::make_shared<SetOptions>();
  CLI::App* set = cli::AddCommand(
      config, line, "set",
      "Set the preference of that key, to JSON or, if it is one, a bare text; without one, set a "
      "config value to any text",
      [line, options] { return Set(*line, *options); });
  AddKey(set, &options->key);
  set->add_option("VALUE", options->value, "The value, or @FILE to read it from")->required();
  AddVersion(set, options.get());

  CLI::App* define = cli::AddCommand(config, line, "define", "Define a preference of your own",
                                     [line, options] { return Define(*line, *options); });
  AddKey(define, &options->key);
  define->add_option("TYPE", options->type, "string, number, boolean, object or array")
      ->required()
      ->check(CLI::IsMember({"string", "number", "boolean", "object", "array"}));
  define->add_option("VALUE", options->value, "As for set")->required();
  define->add_option("--default", options->default_value, "What reset sets it to")
      ->type_name("VALUE");
  define->add_option("--description", options->description, "What it is for")->type_name("TEXT");

  CLI::App* reset = cli::AddCommand(config, line, "reset", "Set a preference to its default",
                                    [line, options] { return Reset(*line, *options); });
  AddKey(reset, &options->key);
  AddVersion(reset, options.get());

  auto reason = std::make_shared<std::string>();
  CLI::App* unset =
      cli::AddCommand(config, line, "unset", "Remove a config value",
                      [line, options, reason] { return Unset(*line, options->key, *reason); });
  AddKey(unset, &options->key);
  cli::AddReasonOption(unset, reason.get());
}

}  // namespace

void AddConfigCommands(CLI::App* app, cli::CommandLine* line) {
  CLI::App* config = app->add_subcommand("config", "Preferences, config profiles and environments");
  config->require_subcommand(1);
  AddReading(config, line);
  AddWriting(config, line);
  AddConfigProfileCommands(config, line);
  AddConfigEnvironmentCommands(config, line);
}

}  // namespace nimbus::tools
