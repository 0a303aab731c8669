// nimbus credential profile list | show | save | default | delete
#include <fmt/format.h>

#include <iostream>
#include <vector>

#include "nimbus/schema/status.h"
#include "tools/cli/nearest.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"
#include "tools/nimbus/credential_names.h"

namespace nimbus::tools {
namespace {

using projections::Credential;
using projections::CredentialProfile;
using projections::Written;
using schema::Error;
using schema::Json;
using Code = absl::StatusCode;

struct ProfileCommand {
  std::string name, description, reason;
  std::vector<std::string> credentials;
};

absl::StatusOr<int> List(const cli::CommandLine& line) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<CredentialProfile> profiles,
                          database->credentials().ListProfiles());
  if (line.json) {
    Json::Array rows;
    for (const CredentialProfile& profile : profiles) rows.push_back(ToJson(profile));
    cli::PrintJson(Json::MakeArray(std::move(rows)));
    return cli::kHolds;
  }
  cli::Table table({"PROFILE", "DEFAULT", "CREATED", "DESCRIPTION"});
  for (const CredentialProfile& profile : profiles) {
    table.Add({{profile.name},
               {profile.is_default ? "default" : "-", cli::Style::kGood},
               {cli::ShowTime(profile.created_at_us)},
               {profile.description.value_or("-")}});
  }
  table.Print(std::cout);
  return cli::kHolds;
}

// With the names of the credentials it leads to.
absl::StatusOr<int> Show(const cli::CommandLine& line, const ProfileCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<CredentialProfile> found,
                          database->credentials().GetProfile(command.name));
  if (!found) return NoCredentialProfile(database.get(), command.name);
  if (line.json) {
    cli::PrintJson(ToJson(*found));
    return cli::kHolds;
  }
  cli::Print("profile     {}{}\ncreated     {}\n", cli::OneLine(found->name, found->name.size()),
             found->is_default ? " (default)" : "", cli::ShowTime(found->created_at_us));
  if (found->description) {
    cli::Print("description {}\n", cli::OneLine(*found->description, found->description->size()));
  }
  std::cout << '\n';
  cli::Table table({"PROVIDER", "CREDENTIAL"});
  const absl::StatusOr<Json> mapping = Json::Parse(found->credentials);
  if (mapping.ok() && mapping->IsObject()) {
    for (const auto& [provider, id] : mapping->object()) {
      const absl::StatusOr<Credential> credential =
          database->credentials().Resolve(provider, command.name);
      table.Add({{provider}, {credential.ok() ? credential->name : "(removed)"}});
    }
  }
  table.Print(std::cout);
  return cli::kHolds;
}

absl::StatusOr<int> Save(const cli::CommandLine& line, const ProfileCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  Json mapping = Json::MakeObject();
  for (const std::string& name : command.credentials) {
    NIMBUS_ASSIGN_OR_RETURN(const Credential credential, SelectCredential(database.get(), name));
    if (mapping.Find(credential.provider) != nullptr) {
      return Error(Code::kInvalidArgument, "two credentials of provider '{}'", credential.provider);
    }
    mapping.Set(credential.provider, Json::String(credential.id.ToString()));
  }
  return ReportWritten(line,
                       database->credentials().SaveProfile({.name = command.name,
                                                            .description = command.description,
                                                            .credentials = mapping.Dump()}),
                       "saved credential profile", command.name);
}

absl::StatusOr<int> MakeDefault(const cli::CommandLine& line, const ProfileCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  const absl::StatusOr<Written> made = database->credentials().SetDefaultProfile(command.name);
  if (absl::IsNotFound(made.status())) return NoCredentialProfile(database.get(), command.name);
  return ReportWritten(line, made, "made default: credential profile", command.name);
}

absl::StatusOr<int> Delete(const cli::CommandLine& line, const ProfileCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  const absl::StatusOr<Written> deleted =
      database->credentials().DeleteProfile(command.name, command.reason);
  if (absl::IsNotFound(deleted.status())) return NoCredentialProfile(database.get(), command.name);
  return ReportWritten(line, deleted, "deleted credential profile", command.name);
}

}  // namespace

absl::Status NoCredentialProfile(projections::Database* database, std::string_view name) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<CredentialProfile> all,
                          database->credentials().ListProfiles());
  std::vector<std::string> names;
  for (const CredentialProfile& profile : all) names.push_back(profile.name);
  return Error(Code::kNotFound, "no credential profile '{}'{}", cli::OneLine(name, 64),
               cli::DidYouMean(name, names));
}

Json ToJson(const CredentialProfile& profile) {
  return Json::MakeObject({{"id", Json::String(profile.id.ToString())},
                           {"name", Json::String(profile.name)},
                           {"description", cli::JsonText(profile.description)},
                           {"credentials", cli::JsonOrNull(profile.credentials)},
                           {"is_default", Json::Bool(profile.is_default)},
                           {"created_at", cli::JsonTime(profile.created_at_us)},
                           {"sequence", Json::Uint(profile.sequence)}});
}

void AddCredentialProfileCommands(CLI::App* credential, cli::CommandLine* line) {
  CLI::App* profile = credential->add_subcommand(
      "profile", "Which credential of each provider to take, for one context or another");
  profile->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& description, auto run) {
    auto added = cli::AddCommand<ProfileCommand>(profile, line, name, description, run);
    added.first->add_option("PROFILE", added.second->name, "Its name")->required();
    return added;
  };

  cli::AddCommand(profile, line, "list", "List credential profiles by name",
                  [line] { return List(*line); });
  add("show", "Show a profile and the credentials it names", Show);
  auto [save, saved] = add("save", "Make a profile, or put another in its place", Save);
  save->add_option("CREDENTIAL", saved->credentials,
                   "Credentials, one of each provider: names, ids or the beginnings of them");
  save->add_option("--description", saved->description, "What it is for")->type_name("TEXT");
  add("default", "Make a profile the one that is taken unless another is named", MakeDefault);
  auto [remove, removed] = add("delete", "Delete a profile; its credentials stay", Delete);
  remove->add_option("--reason", removed->reason, "Why; it is recorded")
      ->required()
      ->type_name("TEXT");
}

}  // namespace nimbus::tools
