// nimbus session list | show | start | rename | end | use-persona
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "nimbus/projections/database.h"
#include "nimbus/schema/status.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/cli/text_argument.h"
#include "tools/nimbus/commands.h"
#include "tools/nimbus/personas.h"

namespace nimbus::tools {
namespace {

using projections::Database;
using projections::Session;
using projections::Written;
using schema::Json;
using schema::fb::EntityKind;

absl::StatusOr<int> List(const cli::CommandLine& line, const cli::Page& page) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Session> sessions,
                          database->history().GetSessions(page.limit, page.offset));
  if (line.json) {
    Json::Array rows;
    for (const auto& session : sessions) rows.push_back(cli::ToJson(session));
    cli::PrintJson(Json::MakeArray(std::move(rows)));
    return cli::kHolds;
  }
  cli::Table table({"SESSION", "STARTED", "ENDED", "NAME"});
  for (const auto& session : sessions) {
    NIMBUS_ASSIGN_OR_RETURN(std::string id,
                            cli::ListedId(database->journal(), EntityKind::session, session.id));
    table.Add({{std::move(id)},
               {cli::ShowTime(session.started_at_us)},
               {cli::ShowTime(session.ended_at_us)},
               {session.name.value_or("-")}});
  }
  table.Print(std::cout);
  return cli::kHolds;
}

absl::StatusOr<int> Print(const cli::CommandLine& line, Database& database,
                          const schema::Uuid& id) {
  NIMBUS_ASSIGN_OR_RETURN(const auto session, database.history().GetSession(id));
  if (!session.has_value()) {
    return schema::Error(absl::StatusCode::kNotFound,
                         "session {} is in the journal but not in the views: see quarantine",
                         id.ToString());
  }
  if (line.json) {
    cli::PrintJson(cli::ToJson(*session));
    return cli::kHolds;
  }
  cli::Print("session      {}\n", id.ToString());
  cli::Print("name         {}\n", cli::OneLine(session->name.value_or("-"), kFieldWidth));
  cli::Print("description  {}\n", cli::OneLine(session->description.value_or("-"), kFieldWidth));
  cli::Print("persona      {}\n", session->persona_id.value_or("-"));
  cli::Print("started      {}\n", cli::ShowTime(session->started_at_us));
  cli::Print("ended        {}\n", cli::ShowTime(session->ended_at_us));
  cli::Print("context      {}\n", cli::OneLine(session->context.value_or("-"), kFieldWidth));
  return cli::kHolds;
}

absl::StatusOr<int> Show(const cli::CommandLine& line, const std::string& text) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid id,
                          cli::SelectEntity(database->journal(), EntityKind::session, text));
  return Print(line, *database, id);
}

// Runs `change` on the session that `text` names, and shows what became of it.
template <typename Change>
absl::StatusOr<int> Edit(const cli::CommandLine& line, const std::string& text, Change change) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid id,
                          cli::SelectEntity(database->journal(), EntityKind::session, text));
  const absl::StatusOr<Written> written = change(*database, id);
  if (!written.ok()) return written.status();
  NIMBUS_RETURN_IF_ERROR(cli::AwaitViews(*database, *written));
  return Print(line, *database, id);
}

struct StartOptions {
  std::string name, description, context, persona;
};

absl::StatusOr<int> Start(const cli::CommandLine& line, const StartOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  projections::NewSession session{.name = options.name, .description = options.description};
  NIMBUS_ASSIGN_OR_RETURN(session.context, cli::TextOf(options.context));
  if (!options.persona.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(session.persona, SelectPersona(*database, options.persona));
  }
  NIMBUS_ASSIGN_OR_RETURN(const Written written, database->history().CreateSession(session));
  NIMBUS_RETURN_IF_ERROR(cli::AwaitViews(*database, written));
  return Print(line, *database, written.id);
}

void AddStart(CLI::App* session, cli::CommandLine* line) {
  auto options = std::make_shared<StartOptions>();
  CLI::App* start = cli::AddCommand(session, line, "start", "Start a session",
                                    [line, options] { return Start(*line, *options); });
  start->add_option("--name", options->name, "What it is called")->type_name("TEXT");
  start->add_option("--description", options->description, "What it is for")->type_name("TEXT");
  start->add_option("--context", options->context, "JSON, or @FILE to read it from")
      ->type_name("JSON");
  start->add_option("--persona", options->persona, "Name or id of an active persona")
      ->type_name("PERSONA");
}

CLI::Validator IsNotEmpty() {
  return CLI::Validator(
      [](const std::string& text) {
        return text.empty() ? std::string("is empty") : std::string();
      },
      "", "text");
}

void AddId(CLI::App* command, std::string* id) {
  command->add_option("ID", *id, "Session: its id or the beginning of it")->required();
}

}  // namespace

void AddSessionListing(CLI::App* noun, cli::CommandLine* line, const std::string& name) {
  auto page = std::make_shared<cli::Page>();
  CLI::App* list = cli::AddCommand(noun, line, name, "List sessions, newest first",
                                   [line, page] { return List(*line, *page); });
  cli::AddPageOptions(list, page.get());
}

void AddSessionCommands(CLI::App* app, cli::CommandLine* line) {
  CLI::App* session = app->add_subcommand("session", "Sessions: what agents work in");
  session->require_subcommand(1);
  AddSessionListing(session, line, "list");

  auto id = std::make_shared<std::string>();
  auto text = std::make_shared<std::string>();
  AddId(cli::AddCommand(session, line, "show", "Show a session",
                        [line, id] { return Show(*line, *id); }),
        id.get());
  AddStart(session, line);

  CLI::App* rename =
      cli::AddCommand(session, line, "rename", "Give a session another name", [line, id, text] {
        return Edit(*line, *id, [&](Database& database, const schema::Uuid& found) {
          return database.history().UpdateSession(found, {.name = *text});
        });
      });
  AddId(rename, id.get());
  rename->add_option("NAME", *text, "The name")->required()->check(IsNotEmpty());

  CLI::App* end = cli::AddCommand(session, line, "end", "End a session", [line, id] {
    return Edit(*line, *id, [](Database& database, const schema::Uuid& found) {
      return database.history().EndSession(found);
    });
  });
  AddId(end, id.get());

  CLI::App* use = cli::AddCommand(
      session, line, "use-persona", "Switch a session to another persona", [line, id, text] {
        return Edit(*line, *id,
                    [&](Database& database, const schema::Uuid& found) -> absl::StatusOr<Written> {
                      NIMBUS_ASSIGN_OR_RETURN(const std::string persona,
                                              SelectPersona(database, *text));
                      return database.personas().UseInSession(found, persona);
                    });
      });
  AddId(use, id.get());
  use->add_option("PERSONA", *text, "Its name or id")->required();
}

}  // namespace nimbus::tools
