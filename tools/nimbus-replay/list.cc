// nimbus-replay list: the operations, or the points of one to replay from.
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "nimbus/journal/reader.h"
#include "nimbus/projections/history.h"
#include "nimbus/replay/session.h"
#include "nimbus/schema/status.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"

namespace nimbus::tools {
namespace {

using schema::Json;
using schema::fb::EntityKind;

std::string StatusOf(uint8_t state) {
  return std::string(projections::StatusText(static_cast<journal::Lifecycle>(state)));
}

// Every operation, in the order of their creation.
absl::StatusOr<int> ListOperations(const cli::CommandLine& line, const journal::Journal& journal) {
  journal::Reader reader(journal);
  cli::Table table({"OPERATION", "CREATED", "STATUS", "STEPS"});
  Json::Array rows;
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, reader.Next());
    if (view == nullptr) break;
    if (view->record->event_type() != schema::fb::Event::OperationCreated) continue;
    const schema::Uuid id = schema::Uuid::FromFb(view->envelope().stream());
    const std::optional<int64_t> created = schema::OccurredAt(*view->record);
    NIMBUS_ASSIGN_OR_RETURN(const auto entity, journal.FindEntity(EntityKind::operation, id));
    if (!entity.has_value()) {
      return schema::Error(absl::StatusCode::kDataLoss, "operation {} has no entity",
                           id.ToString());
    }
    rows.push_back(Json::MakeObject({{"id", Json::String(id.ToString())},
                                     {"created_at", cli::JsonTime(created)},
                                     {"status", Json::String(StatusOf(entity->state))},
                                     {"steps", Json::Uint(entity->steps)}}));
    table.Add(
        {{id.ToString()},
         {cli::ShowTime(created)},
         {StatusOf(entity->state), cli::StyleOf(static_cast<journal::Lifecycle>(entity->state))},
         {fmt::format("{}", entity->steps), cli::Style::kPlain, true}});
  }
  if (line.json) {
    cli::PrintJson(Json::MakeArray(std::move(rows)));
  } else {
    table.Print(std::cout);
  }
  return cli::kHolds;
}

absl::StatusOr<int> ListPoints(const cli::CommandLine& line, const journal::Journal& journal,
                               const std::string& text) {
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid operation,
                          cli::SelectEntity(journal, EntityKind::operation, text));
  NIMBUS_ASSIGN_OR_RETURN(replay::Session session, replay::Session::Open(journal, operation));
  cli::Table table({"STEP", "KIND", "WHAT", "STATUS", "ID"});
  Json::Array steps, checkpoints;
  const auto add_step = [&](const replay::StepInfo& step) {
    const std::string status = StatusOf(static_cast<uint8_t>(step.status));
    const std::string type = schema::fb::EnumNameStepType(step.type);
    steps.push_back(Json::MakeObject({{"step_number", Json::Uint(step.number)},
                                      {"id", Json::String(step.id.ToString())},
                                      {"type", Json::String(type)},
                                      {"tool_name", Json::String(step.tool_name)},
                                      {"status", Json::String(status)}}));
    table.Add({{fmt::format("{}", step.number), cli::Style::kPlain, true},
               {"step"},
               {step.tool_name.empty() ? type : type + " " + step.tool_name},
               {status, cli::StyleOf(step.status)},
               {step.id.ToString()}});
    return absl::OkStatus();
  };
  const auto add_checkpoint = [&](const replay::CheckpointInfo& checkpoint) -> absl::Status {
    NIMBUS_ASSIGN_OR_RETURN(const std::string name, session.ReadCheckpointName(checkpoint));
    checkpoints.push_back(Json::MakeObject({{"id", Json::String(checkpoint.id.ToString())},
                                            {"step_number", Json::Uint(checkpoint.step)},
                                            {"name", Json::String(name)}}));
    table.Add({{fmt::format("{}", checkpoint.step), cli::Style::kPlain, true},
               {"checkpoint", cli::Style::kBold},
               {name.empty() ? "-" : name},
               {"-"},
               {checkpoint.id.ToString()}});
    return absl::OkStatus();
  };
  NIMBUS_RETURN_IF_ERROR(session.ForEachPoint(add_step, add_checkpoint));
  if (line.json) {
    cli::PrintJson(Json::MakeObject({{"operation", Json::String(operation.ToString())},
                                     {"steps", Json::MakeArray(std::move(steps))},
                                     {"checkpoints", Json::MakeArray(std::move(checkpoints))}}));
  } else {
    table.Print(std::cout);
  }
  return cli::kHolds;
}

}  // namespace

void AddListCommand(CLI::App* app, cli::CommandLine* line) {
  auto id = std::make_shared<std::string>();
  CLI::App* list = cli::AddCommand(
      app, line, "list", "List the operations; with an ID, its steps and checkpoints",
      [line, id]() -> absl::StatusOr<int> {
        NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(*line));
        return id->empty() ? ListOperations(*line, *journal) : ListPoints(*line, *journal, *id);
      });
  list->add_option("ID", *id, "Operation: its id or the beginning of it, @, @-, …");
}

}  // namespace nimbus::tools
