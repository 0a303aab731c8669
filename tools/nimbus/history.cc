// nimbus history list | sessions | show, and what is below `nimbus history`
#include <fmt/format.h>

#include <iostream>
#include <optional>

#include "nimbus/journal/reader.h"
#include "nimbus/projections/database.h"
#include "nimbus/schema/status.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using schema::Json;
using schema::fb::EntityKind;

constexpr int64_t kFollowSliceMs = 250;
constexpr size_t kSummaryWidth = 200;

struct ListOptions {
  std::string session, type, status;
  cli::Page page;
};

absl::StatusOr<projections::OperationFilter> FilterOf(const journal::Journal& journal,
                                                      const ListOptions& options) {
  projections::OperationFilter filter{.limit = options.page.limit, .offset = options.page.offset};
  if (!options.session.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(filter.session,
                            cli::SelectEntity(journal, EntityKind::session, options.session));
  }
  if (!options.type.empty()) filter.type = options.type;
  if (!options.status.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(filter.status, projections::ParseStatus(options.status));
  }
  return filter;
}

absl::StatusOr<int> ListOperations(const cli::CommandLine& line, const ListOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const projections::OperationFilter filter,
                          FilterOf(database->journal(), options));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<projections::Operation> operations,
                          database->history().GetOperationHistory(filter));
  if (line.json) {
    Json::Array rows;
    for (const auto& operation : operations) rows.push_back(cli::ToJson(operation));
    cli::PrintJson(Json::MakeArray(std::move(rows)));
    return cli::kHolds;
  }
  cli::Table table(
      {"OPERATION", "CREATED", "TYPE", "STATUS", "DURATION", "TOKENS", "COST", "INPUT"});
  for (const auto& operation : operations) {
    NIMBUS_ASSIGN_OR_RETURN(
        std::string id, cli::ListedId(database->journal(), EntityKind::operation, operation.id));
    table.Add(
        {{std::move(id)},
         {cli::ShowTime(operation.created_at_us)},
         {operation.type},
         {std::string(projections::StatusText(operation.status)), cli::StyleOf(operation.status)},
         {cli::ShowDuration(operation.duration_ms), cli::Style::kPlain, true},
         {cli::ShowNumber(operation.tokens_used), cli::Style::kPlain, true},
         {cli::ShowCents(operation.cost_cents), cli::Style::kPlain, true},
         {cli::OneLine(cli::Summary(operation.input), kSummaryWidth)}});
  }
  table.Print(std::cout);
  return cli::kHolds;
}

void PrintField(std::string_view name, std::string_view value) {
  std::cout << fmt::format("{:<11}{}\n", name, value);
}

void PrintText(std::string_view name, const std::optional<std::string>& json) {
  if (!json.has_value() || json->empty()) return;
  PrintField(name, cli::OneLine(cli::Summary(*json), kSummaryWidth));
}

void PrintOperation(const projections::Operation& operation) {
  PrintField("operation", operation.id.ToString());
  PrintField("session", operation.session_id.ToString());
  PrintField("type", operation.type);
  PrintField("status", cli::Paint(cli::StyleOf(operation.status),
                                  projections::StatusText(operation.status), std::cout));
  PrintField("created", cli::ShowTime(operation.created_at_us));
  PrintField("completed", cli::ShowTime(operation.completed_at_us));
  PrintField("duration", cli::ShowDuration(operation.duration_ms));
  PrintField("tokens", cli::ShowNumber(operation.tokens_used));
  PrintField("cost", cli::ShowCents(operation.cost_cents));
  PrintText("input", operation.input);
  PrintText("plan", operation.plan);
  PrintText("output", operation.output);
  if (operation.error.has_value()) {
    PrintField("error", cli::Paint(cli::Style::kBad, cli::OneLine(*operation.error, kSummaryWidth),
                                   std::cout));
  }
}

void PrintSteps(const std::vector<projections::OperationStep>& steps) {
  cli::Table table({"STEP", "TYPE", "TOOL", "STATUS", "DURATION", "INPUT -> OUTPUT"});
  for (const auto& step : steps) {
    std::string text = cli::OneLine(cli::Summary(step.input.value_or("")), kSummaryWidth);
    if (step.output.has_value()) {
      if (!text.empty()) text += ' ';
      text += "-> " + cli::OneLine(cli::Summary(*step.output), kSummaryWidth);
    }
    table.Add({{fmt::format("{}", step.step_number), cli::Style::kPlain, true},
               {schema::fb::EnumNameStepType(step.type)},
               {step.tool_name.value_or("-")},
               {std::string(projections::StatusText(step.status)), cli::StyleOf(step.status)},
               {cli::ShowDuration(step.duration_ms), cli::Style::kPlain, true},
               {std::move(text)}});
  }
  table.Print(std::cout);
}

void PrintCheckpoints(const projections::OperationWithSteps& found) {
  if (found.checkpoints.empty()) return;
  std::cout << '\n';
  cli::Table table({"CHECKPOINT", "STEP", "NAME"});
  for (const auto& checkpoint : found.checkpoints) {
    int64_t number = 0;
    for (const auto& step : found.steps) {
      if (step.id == checkpoint.step_id) number = step.step_number;
    }
    table.Add({{checkpoint.id.ToString()},
               {fmt::format("{}", number), cli::Style::kPlain, true},
               {checkpoint.name.value_or("-")}});
  }
  table.Print(std::cout);
}

// Prints the operation's records from `from` on, until it has ended.
absl::StatusOr<int> Follow(const cli::CommandLine& line, const journal::Journal& journal,
                           const schema::Uuid& id, uint64_t from) {
  journal::Reader reader(journal);
  reader.Seek(from);
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, reader.Next());
    if (view == nullptr) {
      std::cout.flush();
      NIMBUS_ASSIGN_OR_RETURN(const auto state, journal.FindEntity(EntityKind::operation, id));
      const bool ended =
          state.has_value() && IsFinal(static_cast<journal::Lifecycle>(state->state));
      if (ended && state->head_sequence < reader.position()) return cli::kHolds;
      if (cli::Interrupted()) return cli::InterruptedError();
      NIMBUS_RETURN_IF_ERROR(journal.WaitForMore(reader.position(), kFollowSliceMs).status());
      continue;
    }
    if (schema::Uuid::FromFb(view->envelope().stream()) != id) continue;
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, reader.Body(*view));
    std::optional<std::string> text;
    if (body != nullptr && body->output() != nullptr) text = body->output()->str();
    if (body != nullptr && body->input() != nullptr) text = body->input()->str();
    if (line.json) {
      Json record = cli::ToJson(*view);
      record.Set("text", cli::JsonOrNull(text));
      std::cout << record.Dump() << '\n';
      continue;
    }
    std::cout << fmt::format("{:>8}  {}  {:<18} {}\n", view->sequence,
                             cli::ShowTime(schema::OccurredAt(*view->record)),
                             schema::fb::EnumNameEvent(view->record->event_type()),
                             cli::OneLine(cli::Summary(text.value_or("")), kSummaryWidth));
  }
}

struct ShowOptions {
  std::string id;
  bool follow = false;
};

absl::StatusOr<int> Show(const cli::CommandLine& line, const ShowOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(
      const schema::Uuid id,
      cli::SelectEntity(database->journal(), EntityKind::operation, options.id));
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, database->journal().Size());
  NIMBUS_RETURN_IF_ERROR(database->CatchUp(60'000));
  NIMBUS_ASSIGN_OR_RETURN(const auto found,
                          database->history().GetOperationWithSteps(id, line.json));
  if (!found.has_value()) {
    return schema::Error(absl::StatusCode::kNotFound,
                         "operation {} is in the journal but not in the views: see quarantine",
                         id.ToString());
  }
  if (line.json) {
    Json operation = cli::ToJson(found->operation);
    Json::Array steps, checkpoints;
    for (const auto& step : found->steps) steps.push_back(cli::ToJson(step));
    for (const auto& checkpoint : found->checkpoints) {
      checkpoints.push_back(cli::ToJson(checkpoint));
    }
    operation.Set("steps", Json::MakeArray(std::move(steps)));
    operation.Set("checkpoints", Json::MakeArray(std::move(checkpoints)));
    if (options.follow) {
      std::cout << operation.Dump() << '\n';
    } else {
      cli::PrintJson(operation);
    }
  } else {
    PrintOperation(found->operation);
    std::cout << '\n';
    PrintSteps(found->steps);
    PrintCheckpoints(*found);
  }
  if (!options.follow) return cli::kHolds;
  return Follow(line, database->journal(), id, size);
}

}  // namespace

void AddHistoryCommands(CLI::App* app, cli::CommandLine* line) {
  CLI::App* history = app->add_subcommand("history", "What agents did: sessions and operations");
  history->require_subcommand(1);

  auto list = std::make_shared<ListOptions>();
  CLI::App* operations = cli::AddCommand(history, line, "list", "List operations, newest first",
                                         [line, list] { return ListOperations(*line, *list); });
  operations->add_option("--session", list->session, "Only of this session (id or its beginning)")
      ->type_name("ID");
  operations->add_option("--type", list->type, "Only of this type")->type_name("TYPE");
  operations->add_option("--status", list->status, "Only in this status")
      ->check(CLI::IsMember({"pending", "running", "completed", "failed", "cancelled"}))
      ->type_name("STATUS");
  cli::AddPageOptions(operations, &list->page);
  AddSessionListing(history, line, "sessions");

  auto show = std::make_shared<ShowOptions>();
  CLI::App* one =
      cli::AddCommand(history, line, "show", "Show an operation with its steps and checkpoints",
                      [line, show] { return Show(*line, *show); });
  one->add_option("ID", show->id, "Operation: its id or the beginning of it, @, @-, …")->required();
  one->add_flag("-f,--follow", show->follow, "Go on with what happens until it ends");

  AddHistorySearchCommand(history, line);
}

}  // namespace nimbus::tools
