// nimbus plugin registry list | search | cache | remove
#include "nimbus/projections/plugin_registry.h"

#include <charconv>
#include <iostream>
#include <memory>
#include <string>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/status.h"
#include "tools/cli/input.h"
#include "tools/cli/nearest.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"
#include "tools/nimbus/plugin_show.h"

namespace nimbus::tools {
namespace {

using projections::NewRegistryEntry;
using projections::RegistryEntry;
using schema::Error;
using schema::Json;
using Code = absl::StatusCode;

constexpr size_t kCacheBytesMax = 64u << 20;
constexpr size_t kTextWidth = 200;
constexpr int64_t kMicrosPerSecond = 1'000'000;

const char kEntriesHelp[] =
    "The file holds a JSON array of objects, or one object:\n\n"
    "    [{\n"
    "      \"name\": \"aws\", \"latest_version\": \"1.3.0\",      required\n"
    "      \"description\": \"\", \"author\": \"\", \"downloads\": 500, \"rating\": 4.5,\n"
    "      \"categories\": [\"cloud\"], \"metadata\": {}\n"
    "    }]\n\n"
    "An entry that is there is replaced.";

// "45s", "30m", "12h" or "7d", in microseconds.
std::optional<int64_t> ParseAge(const std::string& text) {
  int64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc() || rest + 1 != end || count < 0) return std::nullopt;
  const std::string_view units = "smhd";
  constexpr int64_t kSeconds[] = {1, 60, 3600, 86'400};
  const size_t unit = units.find(*rest);
  if (unit == std::string_view::npos) return std::nullopt;
  int64_t micros = 0;
  if (__builtin_mul_overflow(count, kSeconds[unit] * kMicrosPerSecond, &micros)) {
    return std::nullopt;
  }
  return micros;
}

Json EntryJson(const RegistryEntry& entry) {
  const std::optional<double>& rating = entry.rating;
  return Json::MakeObject({{"id", Json::String(entry.id.ToString())},
                           {"name", Json::String(entry.name)},
                           {"latest_version", Json::String(entry.latest_version)},
                           {"description", cli::JsonText(entry.description)},
                           {"author", cli::JsonText(entry.author)},
                           {"downloads", Json::Int(entry.downloads)},
                           {"rating", rating ? Json::Double(*rating) : Json()},
                           {"categories", ListJson(entry.categories)},
                           {"metadata", cli::JsonOrNull(entry.metadata)},
                           {"fetched_at", cli::JsonTime(entry.fetched_at_us)},
                           {"sequence", Json::Uint(entry.sequence)}});
}

std::string AgeOf(const RegistryEntry& entry) {
  if (!entry.fetched_at_us) return "-";
  const int64_t micros = schema::SystemClock().NowMicros() - *entry.fetched_at_us;
  return cli::ShowDuration(std::max<int64_t>(micros, 0) / 1000);
}

struct SearchOptions {
  std::string text, category, max_age;
  uint64_t limit = projections::kListingLimitDefault;
};

absl::StatusOr<int> Search(const cli::CommandLine& line, const SearchOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  projections::RegistryFilter filter{.text = options.text, .limit = options.limit};
  if (!options.category.empty()) filter.category = options.category;
  filter.max_age_us = ParseAge(options.max_age);
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<RegistryEntry> entries,
                          database->plugin_registry().Search(filter));
  Json::Array rows;
  cli::Table table({"PLUGIN", "LATEST", "DOWNLOADS", "RATING", "AGE", "DESCRIPTION"});
  for (const RegistryEntry& entry : entries) {
    rows.push_back(EntryJson(entry));
    table.Add(
        {{entry.name},
         {entry.latest_version},
         {fmt::format("{}", entry.downloads), cli::Style::kPlain, true},
         {entry.rating ? fmt::format("{:.1f}", *entry.rating) : "-", cli::Style::kPlain, true},
         {AgeOf(entry), cli::Style::kPlain, true},
         {cli::OneLine(entry.description.value_or("-"), kTextWidth)}});
  }
  if (line.json) {
    cli::PrintJson(Json::MakeArray(std::move(rows)));
  } else {
    table.Print(std::cout);
  }
  return cli::kHolds;
}

absl::Status WrongKind(std::string_view member, std::string_view kind) {
  return Error(Code::kInvalidArgument, "{}: {}", member, kind);
}

absl::Status ReadNumber(const std::string& member, const Json& value, NewRegistryEntry* entry) {
  if (member == "downloads") {
    const std::optional<int64_t> downloads = value.AsInt();
    if (!downloads || *downloads < 0) return WrongKind(member, "a count");
    entry->downloads = static_cast<uint64_t>(*downloads);
    return absl::OkStatus();
  }
  if (value.IsNull()) return absl::OkStatus();
  entry->rating = value.AsDouble();
  return entry->rating ? absl::OkStatus() : WrongKind(member, "a number");
}

absl::Status ReadMember(const std::string& member, const Json& value, NewRegistryEntry* entry) {
  const std::vector<std::pair<std::string, std::string*>> texts = {
      {"name", &entry->name},
      {"latest_version", &entry->latest_version},
      {"description", &entry->description},
      {"author", &entry->author}};
  for (const auto& [name, text] : texts) {
    if (member != name) continue;
    if (value.IsNull()) return absl::OkStatus();
    if (!value.IsString()) return WrongKind(member, "a text");
    *text = value.string();
    return absl::OkStatus();
  }
  if (member == "downloads" || member == "rating") return ReadNumber(member, value, entry);
  if (member == "metadata") {
    if (!value.IsNull()) entry->metadata = value.Dump();
    return absl::OkStatus();
  }
  // What `registry list --json` prints can be cached again.
  if (member == "id" || member == "fetched_at" || member == "sequence") return absl::OkStatus();
  if (member != "categories") {
    const std::vector<std::string> known = {"name",       "latest_version", "description",
                                            "author",     "downloads",      "rating",
                                            "categories", "metadata"};
    return Error(Code::kInvalidArgument, "an entry has no member '{}'{}", member,
                 cli::DidYouMean(member, known));
  }
  if (!value.IsArray()) return WrongKind(member, "a list of texts");
  for (const Json& category : value.array()) {
    if (!category.IsString()) return WrongKind(member, "a list of texts");
    entry->categories.push_back(category.string());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<NewRegistryEntry>> ParseEntries(std::string_view text) {
  NIMBUS_ASSIGN_OR_RETURN(const Json json, Json::Parse(text));
  const Json::Array one = {json};
  std::vector<NewRegistryEntry> entries;
  for (const Json& item : json.IsArray() ? json.array() : one) {
    if (!item.IsObject()) return Error(Code::kInvalidArgument, "an entry is a JSON object");
    NewRegistryEntry& entry = entries.emplace_back();
    for (const auto& [member, value] : item.object()) {
      NIMBUS_RETURN_IF_ERROR(ReadMember(member, value, &entry));
    }
  }
  return entries;
}

absl::StatusOr<int> Cache(const cli::CommandLine& line, const std::string& path) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string text, cli::ReadInput(path, kCacheBytesMax));
  const absl::StatusOr<std::vector<NewRegistryEntry>> entries = ParseEntries(text);
  if (!entries.ok()) return schema::Annotate(entries.status(), path);
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const projections::Written written,
                          database->plugin_registry().Cache(*entries));
  if (line.json) {
    cli::PrintJson(Json::MakeObject(
        {{"cached", Json::Uint(entries->size())}, {"sequence", Json::Uint(written.sequence)}}));
  } else {
    cli::Print("cached {}\n", entries->size());
  }
  return cli::kHolds;
}

struct RemoveOptions {
  std::string name, reason;
};

absl::StatusOr<int> Remove(const cli::CommandLine& line, const RemoveOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  projections::PluginRegistry& registry = database->plugin_registry();
  const absl::StatusOr<projections::Written> written =
      registry.Remove(options.name, options.reason);
  if (absl::IsNotFound(written.status())) {
    NIMBUS_ASSIGN_OR_RETURN(const auto all, registry.Search());
    std::vector<std::string> names;
    for (const RegistryEntry& entry : all) names.push_back(entry.name);
    return Error(Code::kNotFound, "the registry holds no '{}'{}", options.name,
                 cli::DidYouMean(options.name, names));
  }
  NIMBUS_RETURN_IF_ERROR(written.status());
  if (line.json) {
    cli::PrintJson(Json::MakeObject({{"name", Json::String(options.name)},
                                     {"removed", Json::Bool(true)},
                                     {"sequence", Json::Uint(written->sequence)}}));
  } else {
    cli::Print("removed {}\n", options.name);
  }
  return cli::kHolds;
}

void AddFilters(CLI::App* command, SearchOptions* options) {
  command->add_option("--category", options->category, "Only of this category")->type_name("NAME");
  const auto is_age = [](const std::string& text) {
    return ParseAge(text) ? std::string() : "'" + text + "' is no age, such as 45s, 30m, 12h or 7d";
  };
  command->add_option("--max-age", options->max_age, "Only what was cached no longer ago")
      ->check(CLI::Validator(is_age, "", "age"))
      ->type_name("AGE");
  command->add_option("--limit", options->limit, "At most so many")
      ->transform(cli::IsCount())
      ->capture_default_str();
}

}  // namespace

void AddPluginRegistryCommands(CLI::App* plugin, cli::CommandLine* line) {
  CLI::App* registry =
      plugin->add_subcommand("registry", "What a marketplace said of plugins, kept");
  registry->require_subcommand(1);

  auto listed = std::make_shared<SearchOptions>();
  AddFilters(cli::AddCommand(registry, line, "list", "List entries, the most downloaded first",
                             [line, listed] { return Search(*line, *listed); }),
             listed.get());

  auto searched = std::make_shared<SearchOptions>();
  CLI::App* search =
      cli::AddCommand(registry, line, "search", "List entries with this text in them",
                      [line, searched] { return Search(*line, *searched); });
  search->add_option("TEXT", searched->text, "Part of a name, description or author")->required();
  AddFilters(search, searched.get());

  auto path = std::make_shared<std::string>();
  CLI::App* cache = cli::AddCommand(registry, line, "cache", "Keep what a marketplace says",
                                    [line, path] { return Cache(*line, *path); });
  cache->add_option("FILE", *path, "JSON file, or - for standard input")->required();
  cache->footer(kEntriesHelp);

  auto removed = std::make_shared<RemoveOptions>();
  CLI::App* remove = cli::AddCommand(registry, line, "remove", "Remove an entry",
                                     [line, removed] { return Remove(*line, *removed); });
  remove->add_option("NAME", removed->name, "Entry")->required();
  remove->add_option("--reason", removed->reason, "Why, for the record")->type_name("TEXT");
}

}  // namespace nimbus::tools
