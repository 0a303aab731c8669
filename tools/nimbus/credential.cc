// nimbus credential list | show | store | rotate | use | remove
#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/status.h"
#include "tools/cli/nearest.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"
#include "tools/nimbus/credential_names.h"

namespace nimbus::tools {
namespace {

using projections::Credential;
using projections::Written;
using schema::Error;
using schema::Json;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

struct CredentialCommand {
  std::string name, provider, type, file, metadata, expires, reason, before;
};

// A date alone is its beginning.
std::optional<int64_t> ParseMoment(const std::string& text) {
  const std::optional<int64_t> time = schema::ParseUtc(text);
  return time.has_value() ? time : schema::ParseUtc(text + "T00:00:00Z");
}

std::optional<int64_t> MomentOf(const std::string& text) {
  return text.empty() ? std::nullopt : ParseMoment(text);
}

// The sealed text, never from the command line, which others can see. One newline at
// its end is the editor's.
absl::StatusOr<std::string> ReadSealed(const std::string& file) {
  std::ifstream opened;
  if (!file.empty()) {
    opened.open(file, std::ios::binary);
    if (!opened) return Error(Code::kNotFound, "{}: can't be read", file);
  }
  std::istream& in = file.empty() ? std::cin : opened;
  std::string text;
  std::vector<char> piece(64u << 10);
  while (text.size() <= projections::kSealedBytesMax + 1 && in.good()) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    text.append(piece.data(), static_cast<size_t>(in.gcount()));
  }
  if (in.bad()) return Error(Code::kUnavailable, "the sealed text can't be read");
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

absl::StatusOr<int> Report(const cli::CommandLine& line, const absl::StatusOr<Written>& written,
                           const std::string& done, const std::string& name) {
  return ReportWritten(line, written, done + " credential", name);
}

absl::StatusOr<int> List(const cli::CommandLine& line, const CredentialCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  std::optional<std::string> provider;
  if (!command.provider.empty()) provider = command.provider;
  std::vector<Credential> found;
  if (const std::optional<int64_t> before = MomentOf(command.before)) {
    NIMBUS_ASSIGN_OR_RETURN(found, database->credentials().ListExpiring(*before));
    std::erase_if(found,
                  [&](const Credential& one) { return provider && one.provider != *provider; });
  } else {
    NIMBUS_ASSIGN_OR_RETURN(found, database->credentials().List(provider));
  }
  if (line.json) {
    Json::Array rows;
    for (const Credential& credential : found) rows.push_back(ToJson(credential));
    cli::PrintJson(Json::MakeArray(std::move(rows)));
    return cli::kHolds;
  }
  cli::Table table({"CREDENTIAL", "PROVIDER", "TYPE", "EXPIRES", "LAST USED", "NAME"});
  for (const Credential& credential : found) {
    table.Add({{credential.id.ToString()},
               {credential.provider},
               {credential.type},
               {cli::ShowTime(credential.expires_at_us)},
               {cli::ShowTime(credential.last_used_at_us)},
               {credential.name}});
  }
  table.Print(std::cout);
  return cli::kHolds;
}

absl::StatusOr<int> Show(const cli::CommandLine& line, const CredentialCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const Credential found, SelectCredential(database.get(), command.name));
  if (line.json) {
    cli::PrintJson(ToJson(found));
    return cli::kHolds;
  }
  cli::Print("credential {}\nname       {}\nprovider   {}\ntype       {}\n", found.id.ToString(),
             cli::OneLine(found.name, found.name.size()), found.provider, found.type);
  cli::Print("created    {}\nupdated    {}\nlast used  {}\nexpires    {}\n",
             cli::ShowTime(found.created_at_us), cli::ShowTime(found.updated_at_us),
             cli::ShowTime(found.last_used_at_us), cli::ShowTime(found.expires_at_us));
  if (found.metadata) {
    cli::Print("metadata   {}\n", cli::OneLine(*found.metadata, found.metadata->size()));
  }
  return cli::kHolds;
}

absl::StatusOr<int> Store(const cli::CommandLine& line, const CredentialCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(std::string sealed, ReadSealed(command.file));
  return Report(line,
                database->credentials().Store({.name = command.name,
                                               .provider = command.provider,
                                               .type = command.type,
                                               .sealed = std::move(sealed),
                                               .metadata = command.metadata,
                                               .expires_at_us = MomentOf(command.expires)}),
                "stored", command.name);
}

absl::StatusOr<int> Rotate(const cli::CommandLine& line, const CredentialCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const Credential found, SelectCredential(database.get(), command.name));
  NIMBUS_ASSIGN_OR_RETURN(std::string sealed, ReadSealed(command.file));
  return Report(
      line,
      database->credentials().Rotate(found.id, {.sealed = std::move(sealed),
                                                .metadata = command.metadata,
                                                .expires_at_us = MomentOf(command.expires)}),
      "rotated", found.name);
}

absl::StatusOr<int> Use(const cli::CommandLine& line, const CredentialCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const Credential found, SelectCredential(database.get(), command.name));
  return Report(line, database->credentials().RecordUse(found.id), "noted a use of", found.name);
}

absl::StatusOr<int> Remove(const cli::CommandLine& line, const CredentialCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const Credential found, SelectCredential(database.get(), command.name));
  return Report(line, database->credentials().Remove(found.id, command.reason), "removed",
                found.name);
}

void AddMoment(CLI::App* command, const std::string& name, std::string* value,
               const std::string& description) {
  const auto check = [](const std::string& text) {
    return ParseMoment(text) ? std::string() : "'" + text + "' is no date or ISO 8601 time";
  };
  command->add_option(name, *value, description)
      ->check(CLI::Validator(check, "", "moment"))
      ->type_name("WHEN");
}

void AddSecretOptions(CLI::App* command, CredentialCommand* values) {
  command->add_option("--file", values->file, "File with the sealed text (default: standard input)")
      ->type_name("FILE");
  command->add_option("--metadata", values->metadata, "What is no secret about it")
      ->type_name("JSON");
  AddMoment(command, "--expires", &values->expires, "When the secret expires");
}

}  // namespace

absl::StatusOr<Credential> SelectCredential(projections::Database* database,
                                            const std::string& text) {
  projections::Credentials& credentials = database->credentials();
  NIMBUS_ASSIGN_OR_RETURN(std::optional<Credential> found, credentials.GetByName(text));
  if (found) return *std::move(found);
  const absl::StatusOr<schema::Uuid> id =
      cli::SelectEntity(database->journal(), EntityKind::credential, text);
  if (id.ok()) {
    NIMBUS_ASSIGN_OR_RETURN(found, credentials.Get(*id));
    if (found) return *std::move(found);
    return Error(Code::kNotFound, "credential {} has been removed", id->ToString());
  }
  if (cli::IsAmbiguous(id.status())) return id.status();
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Credential> all, credentials.List());
  std::vector<std::string> names;
  for (const Credential& credential : all) names.push_back(credential.name);
  return Error(Code::kNotFound, "no credential '{}'{}", cli::OneLine(text, 64),
               cli::DidYouMean(text, names));
}

absl::StatusOr<int> ReportWritten(const cli::CommandLine& line,
                                  const absl::StatusOr<Written>& written, const std::string& done,
                                  const std::string& name) {
  NIMBUS_RETURN_IF_ERROR(written.status());
  if (line.json) {
    cli::PrintJson(Json::MakeObject({{"id", Json::String(written->id.ToString())},
                                     {"name", Json::String(name)},
                                     {"sequence", Json::Uint(written->sequence)}}));
  } else {
    cli::Print("{} '{}' ({})\n", done, name, written->id.ToString());
  }
  return cli::kHolds;
}

Json ToJson(const Credential& credential) {
  return Json::MakeObject({{"id", Json::String(credential.id.ToString())},
                           {"name", Json::String(credential.name)},
                           {"provider", Json::String(credential.provider)},
                           {"type", Json::String(credential.type)},
                           {"metadata", cli::JsonOrNull(credential.metadata)},
                           {"expires_at", cli::JsonTime(credential.expires_at_us)},
                           {"last_used_at", cli::JsonTime(credential.last_used_at_us)},
                           {"created_at", cli::JsonTime(credential.created_at_us)},
                           {"updated_at", cli::JsonTime(credential.updated_at_us)},
                           {"sequence", Json::Uint(credential.sequence)}});
}

void AddCredentialCommands(CLI::App* app, cli::CommandLine* line) {
  CLI::App* credential = app->add_subcommand(
      "credential", "What is known of credentials, beside the secrets: those come sealed");
  credential->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& description, auto run) {
    return cli::AddCommand<CredentialCommand>(credential, line, name, description, run);
  };
  const auto add_for_one = [&](const std::string& name, const std::string& description, auto run) {
    auto added = add(name, description, run);
    added.first
        ->add_option("CREDENTIAL", added.second->name, "Its name, its id or the beginning of it")
        ->required();
    return added;
  };

  auto [list, listed] = add("list", "List credentials by name", List);
  list->add_option("--provider", listed->provider, "Only of this provider")->type_name("PROVIDER");
  AddMoment(list, "--expiring-before", &listed->before,
            "Only those that expire before, the first to expire first");
  add_for_one("show", "Show a credential, without its secret", Show);

  auto [store, stored] = add("store", "Store a credential that was sealed before", Store);
  store->add_option("NAME", stored->name, "A name that no other has")->required();
  store->add_option("--provider", stored->provider, "aws, gcp, azure, github, gitlab, …")
      ->required()
      ->type_name("PROVIDER");
  store->add_option("--type", stored->type, "api_key, access_key, service_account or oauth")
      ->required()
      ->check(CLI::IsMember({"api_key", "access_key", "service_account", "oauth"}))
      ->type_name("TYPE");
  AddSecretOptions(store, stored.get());

  auto [rotate, rotated] = add_for_one("rotate", "Put another sealed secret in its place", Rotate);
  AddSecretOptions(rotate, rotated.get());
  add_for_one("use", "Note that it was used now", Use);
  auto [remove, removed] = add_for_one("remove", "Remove a credential", Remove);
  remove->add_option("--reason", removed->reason, "Why; it is recorded")
      ->required()
      ->type_name("TEXT");
  AddCredentialProfileCommands(credential, line);
}

}  // namespace nimbus::tools
