// nimbus-replay blame: which step made a value what it is.
#include "nimbus/replay/blame.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "nimbus/schema/status.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"
#include "tools/nimbus-replay/point.h"

namespace nimbus::tools {
namespace {

using schema::Json;

constexpr size_t kValueWidth = 160;

struct BlameCommand {
  std::string operation;
  std::string pointer;
  std::string at = "end";
  bool history = false;
};

std::string ValueText(const std::optional<Json>& value) {
  return value.has_value() ? cli::OneLine(value->Dump(), kValueWidth) : "(none)";
}

// A step of the operation asked for by its number; of one it was forked from, with that.
std::string StepText(const replay::BlameReport& report, const replay::ValueChange& change) {
  const std::string step = change.step == 0 ? "start" : fmt::format("{}", change.step);
  if (change.operation == report.operation) return step;
  return fmt::format("{} of {}", step, change.operation.ToString());
}

void PrintReport(const replay::BlameReport& report) {
  cli::Table table({"STEP", "RECORD", "WHERE", "BEFORE", "AFTER"});
  for (const replay::ValueChange& change : report.changes) {
    const std::string where =
        change.pointer_before.has_value() && *change.pointer_before != change.pointer
            ? *change.pointer_before + " -> " + change.pointer
            : change.pointer;
    table.Add({{StepText(report, change), cli::Style::kBold, true},
               {fmt::format("{}", change.sequence), cli::Style::kPlain, true},
               {where.empty() ? "(all)" : where},
               {ValueText(change.before)},
               {ValueText(change.after)}});
  }
  table.Print(std::cout);
  if (report.truncated) std::cout << "… and earlier ones\n";
}

absl::StatusOr<int> Blame(const cli::CommandLine& line, const BlameCommand& command) {
  NIMBUS_RETURN_IF_ERROR(CheckPointer(command.pointer));
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(
      const schema::Uuid operation,
      cli::SelectEntity(*journal, schema::fb::EntityKind::operation, command.operation));
  replay::BlameOptions options{.history = command.history};
  NIMBUS_ASSIGN_OR_RETURN(options.at, SelectPoint(*journal, command.at));
  NIMBUS_ASSIGN_OR_RETURN(const replay::BlameReport report,
                          replay::BlameValue(*journal, operation, command.pointer, options));
  if (line.json) {
    cli::PrintJson(report.ToJson());
  } else {
    PrintReport(report);
  }
  return cli::kHolds;
}

}  // namespace

void AddBlameCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<BlameCommand>();
  CLI::App* add = cli::AddCommand(
      app, line, "blame", "Say which step last changed a value in the state, and from what to what",
      [line, command] { return Blame(*line, *command); });
  AddOperationArgument(add, &command->operation);
  add->add_option("POINTER", command->pointer,
                  "JSON Pointer (RFC 6901) of the value, such as /messages/3/content")
      ->required();
  add->add_flag("--history", command->history, "All its changes, the last first");
  AddAtOption(add, &command->at)->capture_default_str();
}

}  // namespace nimbus::tools
