// nimbus persona list | show | add | update | use | default | activate | deactivate |
// remove | usage
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <optional>

#include "nimbus/projections/database.h"
#include "nimbus/schema/clock.h"
#include "nimbus/schema/status.h"
#include "tools/cli/nearest.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/cli/text_argument.h"
#include "tools/nimbus/commands.h"
#include "tools/nimbus/personas.h"

namespace nimbus::tools {
namespace {

using projections::Database;
using projections::Persona;
using projections::Written;
using schema::Error;
using schema::Json;

Json ToJson(const Persona& persona) {
  return Json::MakeObject({{"id", Json::String(persona.id)},
                           {"name", Json::String(persona.name)},
                           {"display_name", Json::String(persona.display_name)},
                           {"description", cli::JsonText(persona.description)},
                           {"system_prompt", Json::String(persona.system_prompt)},
                           {"temperature", Json::Double(persona.temperature)},
                           {"model_preference", cli::JsonText(persona.model_preference)},
                           {"response_style", cli::JsonOrNull(persona.response_style)},
                           {"capabilities", cli::JsonOrNull(persona.capabilities)},
                           {"is_builtin", Json::Bool(persona.is_builtin)},
                           {"is_active", Json::Bool(persona.is_active)},
                           {"created_at", cli::JsonTime(persona.created_at_us)},
                           {"updated_at", cli::JsonTime(persona.updated_at_us)},
                           {"sequence", Json::Uint(persona.sequence)}});
}

absl::StatusOr<int> List(const cli::CommandLine& line, bool active_only) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Persona> personas,
                          database->personas().List(active_only));
  if (line.json) {
    Json::Array rows;
    for (const Persona& persona : personas) rows.push_back(ToJson(persona));
    cli::PrintJson(Json::MakeArray(std::move(rows)));
    return cli::kHolds;
  }
  NIMBUS_ASSIGN_OR_RETURN(const auto chosen, database->personas().GetDefault());
  cli::Table table({"PERSONA", "ACTIVE", "DEFAULT", "BUILT IN", "TEMPERATURE", "DESCRIPTION"});
  for (const Persona& persona : personas) {
    const bool is_default = chosen.has_value() && chosen->id == persona.id;
    table.Add({{persona.name, is_default ? cli::Style::kBold : cli::Style::kPlain},
               {persona.is_active ? "yes" : "no"},
               {is_default ? "yes" : "-"},
               {persona.is_builtin ? "yes" : "-"},
               {fmt::format("{}", persona.temperature), cli::Style::kPlain, true},
               {cli::OneLine(persona.description.value_or("-"), kFieldWidth)}});
  }
  table.Print(std::cout);
  return cli::kHolds;
}

absl::StatusOr<int> Print(const cli::CommandLine& line, Database& database,
                          const std::string& row_id) {
  NIMBUS_ASSIGN_OR_RETURN(const auto persona, database.personas().Get(row_id));
  if (!persona.has_value()) {
    return Error(absl::StatusCode::kNotFound,
                 "persona {} is in the journal but not in the views: see quarantine", row_id);
  }
  if (line.json) {
    cli::PrintJson(ToJson(*persona));
    return cli::kHolds;
  }
  const auto field = [](std::string_view name, std::string_view value) {
    cli::Print("{:<15}{}\n", name, cli::OneLine(value, kFieldWidth));
  };
  field("persona", persona->name);
  field("id", persona->id);
  field("display name", persona->display_name);
  field("description", persona->description.value_or("-"));
  field("active", persona->is_active ? "yes" : "no");
  field("built in", persona->is_builtin ? "yes" : "no");
  field("temperature", fmt::format("{}", persona->temperature));
  field("model", persona->model_preference.value_or("-"));
  field("response style", persona->response_style.value_or("-"));
  field("capabilities", persona->capabilities.value_or("-"));
  field("system prompt", persona->system_prompt);
  return cli::kHolds;
}

absl::StatusOr<int> Show(const cli::CommandLine& line, const std::string& text) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const std::string id, SelectPersona(*database, text));
  return Print(line, *database, id);
}

// Runs `change` on the persona that `text` names, and shows what became of it.
template <typename Change>
absl::StatusOr<int> Edit(const cli::CommandLine& line, const std::string& text, Change change) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const std::string id, SelectPersona(*database, text));
  const absl::StatusOr<Written> written = change(*database, id);
  if (!written.ok()) return written.status();
  NIMBUS_RETURN_IF_ERROR(cli::AwaitViews(*database, *written));
  return Print(line, *database, id);
}

struct Texts {
  std::string name, display_name, description, system_prompt, model, response_style, capabilities;
  std::optional<double> temperature;
};

// Replaces "@FILE" by what the file holds.
absl::Status ReadTexts(Texts* texts) {
  for (std::string* text : {&texts->system_prompt, &texts->response_style, &texts->capabilities}) {
    NIMBUS_ASSIGN_OR_RETURN(*text, cli::TextOf(*text));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Add(const cli::CommandLine& line, Texts texts) {
  NIMBUS_RETURN_IF_ERROR(ReadTexts(&texts));
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(
      const Written written,
      database->personas().Define(
          {.name = texts.name,
           .display_name = texts.display_name.empty() ? texts.name : texts.display_name,
           .description = texts.description,
           .system_prompt = texts.system_prompt,
           .temperature = texts.temperature.value_or(projections::kTemperatureDefault),
           .model = texts.model,
           .response_style = texts.response_style,
           .capabilities = texts.capabilities}));
  NIMBUS_RETURN_IF_ERROR(cli::AwaitViews(*database, written));
  return Print(line, *database, written.id.ToString());
}

absl::StatusOr<int> Update(const cli::CommandLine& line, Texts texts) {
  NIMBUS_RETURN_IF_ERROR(ReadTexts(&texts));
  return Edit(line, texts.name, [&](Database& database, const std::string& id) {
    return database.personas().Update(id, {.display_name = texts.display_name,
                                           .description = texts.description,
                                           .system_prompt = texts.system_prompt,
                                           .temperature = texts.temperature,
                                           .model = texts.model,
                                           .response_style = texts.response_style,
                                           .capabilities = texts.capabilities});
  });
}

void AddTexts(CLI::App* command, Texts* texts, bool is_new) {
  command->add_option("--display-name", texts->display_name, "What people see it called")
      ->type_name("TEXT");
  command->add_option("--description", texts->description, "What it is for")->type_name("TEXT");
  CLI::Option* prompt = command
                            ->add_option("--system-prompt", texts->system_prompt,
                                         "The text, or @FILE to read it from")
                            ->type_name("TEXT");
  if (is_new) prompt->required();
  command->add_option("--temperature", texts->temperature, "From 0 to 2")->type_name("NUMBER");
  command->add_option("--model", texts->model, "Preferred model")->type_name("TEXT");
  command->add_option("--response-style", texts->response_style, "JSON, or @FILE")
      ->type_name("JSON");
  command->add_option("--capabilities", texts->capabilities, "JSON, or @FILE")->type_name("JSON");
}

absl::StatusOr<int> Use(const cli::CommandLine& line, const std::string& text,
                        const std::string& session) {
  return Edit(
      line, text, [&](Database& database, const std::string& id) -> absl::StatusOr<Written> {
        NIMBUS_ASSIGN_OR_RETURN(
            const schema::Uuid found,
            cli::SelectEntity(database.journal(), schema::fb::EntityKind::session, session));
        return database.personas().UseInSession(found, id);
      });
}

// Without a name, shows the default one.
absl::StatusOr<int> Default(const cli::CommandLine& line, const std::string& text) {
  if (!text.empty()) {
    return Edit(line, text, [](Database& database, const std::string& id) {
      return database.personas().SetDefault(id);
    });
  }
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const auto persona, database->personas().GetDefault());
  if (!persona.has_value()) {
    return Error(absl::StatusCode::kNotFound, "the store has no default persona");
  }
  return Print(line, *database, persona->id);
}

absl::StatusOr<int> Remove(const cli::CommandLine& line, const std::string& text,
                           const std::string& reason) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const std::string id, SelectPersona(*database, text));
  NIMBUS_ASSIGN_OR_RETURN(const Written written, database->personas().Remove(id, reason));
  if (line.json) {
    cli::PrintJson(Json::MakeObject(
        {{"removed", Json::String(id)}, {"sequence", Json::Uint(written.sequence)}}));
  } else {
    cli::Print("removed persona {}\n", text);
  }
  return cli::kHolds;
}

struct UsageOptions {
  std::string persona, session, since;
};

absl::StatusOr<projections::PersonaUsageFilter> FilterOf(Database& database,
                                                         const UsageOptions& options) {
  projections::PersonaUsageFilter filter;
  if (!options.persona.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(filter.persona, SelectPersona(database, options.persona));
  }
  if (!options.session.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(
        filter.session,
        cli::SelectEntity(database.journal(), schema::fb::EntityKind::session, options.session));
  }
  if (!options.since.empty()) {
    filter.since_us = schema::ParseUtc(options.since);
    if (!filter.since_us.has_value()) {
      return Error(absl::StatusCode::kInvalidArgument, "'{}' is no time; 2026-01-10T21:39:35Z is",
                   options.since);
    }
  }
  return filter;
}

absl::StatusOr<int> ShowUsage(const cli::CommandLine& line, const UsageOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const projections::PersonaUsageFilter filter,
                          FilterOf(*database, options));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<projections::PersonaUsage> usage,
                          database->personas().GetUsage(filter));
  if (line.json) {
    Json::Array rows;
    for (const auto& row : usage) {
      rows.push_back(Json::MakeObject({{"persona_id", Json::String(row.persona_id)},
                                       {"name", Json::String(row.name)},
                                       {"uses", Json::Uint(row.uses)},
                                       {"last_used_at", cli::JsonTime(row.last_used_at_us)}}));
    }
    cli::PrintJson(Json::MakeArray(std::move(rows)));
    return cli::kHolds;
  }
  cli::Table table({"PERSONA", "USES", "LAST USED"});
  for (const auto& row : usage) {
    table.Add({{row.name},
               {fmt::format("{}", row.uses), cli::Style::kPlain, true},
               {cli::ShowTime(row.last_used_at_us)}});
  }
  table.Print(std::cout);
  return cli::kHolds;
}

CLI::Option* AddName(CLI::App* command, std::string* name) {
  return command->add_option("PERSONA", *name, "Its name or id")->required();
}

void AddReading(CLI::App* persona, cli::CommandLine* line, std::shared_ptr<std::string> name) {
  auto active = std::make_shared<bool>(false);
  cli::AddCommand(persona, line, "list", "List personas", [line, active] {
    return List(*line, *active);
  })->add_flag("--active", *active, "Only those that may be used");
  AddName(cli::AddCommand(persona, line, "show", "Show a persona",
                          [line, name] { return Show(*line, *name); }),
          name.get());
  auto usage = std::make_shared<UsageOptions>();
  CLI::App* uses =
      cli::AddCommand(persona, line, "usage", "How often personas were used, the most used first",
                      [line, usage] { return ShowUsage(*line, *usage); });
  uses->add_option("PERSONA", usage->persona, "Only this one: its name or id");
  uses->add_option("--session", usage->session, "Only in this session (id or its beginning)")
      ->type_name("ID");
  uses->add_option("--since", usage->since, "Only then or later")->type_name("TIME");
}

void AddDefining(CLI::App* persona, cli::CommandLine* line) {
  auto texts = std::make_shared<Texts>();
  CLI::App* add = cli::AddCommand(persona, line, "add", "Define a persona",
                                  [line, texts] { return Add(*line, *texts); });
  add->add_option("NAME", texts->name, "Its name, which no other has")->required();
  AddTexts(add, texts.get(), true);
  CLI::App* update =
      cli::AddCommand(persona, line, "update", "Change a persona that is not built in",
                      [line, texts] { return Update(*line, *texts); });
  AddName(update, &texts->name);
  AddTexts(update, texts.get(), false);
}

void AddSwitching(CLI::App* persona, cli::CommandLine* line, std::shared_ptr<std::string> name) {
  CLI::App* activate =
      cli::AddCommand(persona, line, "activate", "Let a persona be used again", [line, name] {
        return Edit(*line, *name, [](Database& database, const std::string& id) {
          return database.personas().Activate(id);
        });
      });
  AddName(activate, name.get());
  CLI::App* deactivate =
      cli::AddCommand(persona, line, "deactivate", "Let a persona not be used", [line, name] {
        return Edit(*line, *name, [](Database& database, const std::string& id) {
          return database.personas().Deactivate(id);
        });
      });
  AddName(deactivate, name.get());
}

}  // namespace

absl::StatusOr<std::string> SelectPersona(Database& database, const std::string& text) {
  const absl::StatusOr<std::string> id = database.personas().FindRowId(text);
  if (!absl::IsNotFound(id.status())) return id;
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Persona> personas, database.personas().List());
  std::vector<std::string> names;
  for (const Persona& persona : personas) names.push_back(persona.name);
  return Error(absl::StatusCode::kNotFound, "no persona '{}'{}", text.substr(0, kFieldWidth),
               cli::DidYouMean(text, names));
}

void AddPersonaCommands(CLI::App* app, cli::CommandLine* line) {
  CLI::App* persona = app->add_subcommand("persona", "Personas: who an agent speaks as");
  persona->require_subcommand(1);
  auto name = std::make_shared<std::string>();
  AddReading(persona, line, name);
  AddDefining(persona, line);

  auto session = std::make_shared<std::string>();
  CLI::App* use = cli::AddCommand(persona, line, "use", "Switch a session to a persona",
                                  [line, name, session] { return Use(*line, *name, *session); });
  AddName(use, name.get());
  use->add_option("--session", *session, "The session (id or its beginning)")
      ->required()
      ->type_name("ID");
  CLI::App* chosen = cli::AddCommand(persona, line, "default", "Show or choose the default persona",
                                     [line, name] { return Default(*line, *name); });
  chosen->add_option("PERSONA", *name, "The one to choose: its name or id");
  AddSwitching(persona, line, name);

  auto reason = std::make_shared<std::string>();
  CLI::App* remove =
      cli::AddCommand(persona, line, "remove", "Remove a persona that was never used",
                      [line, name, reason] { return Remove(*line, *name, *reason); });
  AddName(remove, name.get());
  cli::AddReasonOption(remove, reason.get());
}

}  // namespace nimbus::tools
