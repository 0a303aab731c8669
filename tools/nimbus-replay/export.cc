// nimbus-replay export: an operation as readable JSON.
#include "nimbus/replay/export.h"

#include <charconv>
#include <iostream>
#include <memory>
#include <string_view>

#include "nimbus/schema/status.h"
#include "tools/cli/select.h"
#include "tools/nimbus-replay/commands.h"
#include "tools/nimbus-replay/point.h"

namespace nimbus::tools {
namespace {

using schema::Error;
using Code = absl::StatusCode;

struct ExportCommand {
  std::string operation;
  std::string format = "json";
  std::string steps;
};

std::optional<uint32_t> ParseNumber(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "3", "3..7", "3.." or "..7"; empty for all.
absl::Status ParseRange(std::string_view text, replay::ExportOptions* options) {
  if (text.empty()) return absl::OkStatus();
  const size_t dots = text.find("..");
  const std::string_view first = text.substr(0, dots);
  const std::string_view last = dots == std::string_view::npos ? first : text.substr(dots + 2);
  const std::optional<uint32_t> from = first.empty() ? 1 : ParseNumber(first);
  const std::optional<uint32_t> to = ParseNumber(last);
  if (from.value_or(0) == 0 || (!last.empty() && to.value_or(0) == 0) || text == "..") {
    return Error(Code::kInvalidArgument, "--steps '{}' is no range of steps, such as 3..7", text);
  }
  options->from_step = *from;
  options->to_step = to;
  return absl::OkStatus();
}

absl::Status Write(std::string_view text) {
  if (cli::Interrupted()) return cli::InterruptedError();
  std::cout << text;
  return std::cout ? absl::OkStatus() : Error(Code::kUnavailable, "standard output: write failed");
}

absl::StatusOr<int> Export(const cli::CommandLine& line, const ExportCommand& command) {
  replay::ExportOptions options{.lines = command.format == "jsonl"};
  NIMBUS_RETURN_IF_ERROR(ParseRange(command.steps, &options));
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(
      const schema::Uuid operation,
      cli::SelectEntity(*journal, schema::fb::EntityKind::operation, command.operation));
  NIMBUS_RETURN_IF_ERROR(replay::ExportOperation(*journal, operation, options, Write));
  return cli::kHolds;
}

}  // namespace

void AddExportCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<ExportCommand>();
  CLI::App* add = cli::AddCommand(app, line, "export",
                                  "Write an operation with its steps and checkpoints as JSON",
                                  [line, command] { return Export(*line, *command); });
  AddOperationArgument(add, &command->operation);
  add->add_option("--format", command->format, "json: one document; jsonl: a record a line")
      ->check(CLI::IsMember({"json", "jsonl"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  add->add_option("--steps", command->steps, "Only these steps: 7, 3..7, 3.. or ..7")
      ->type_name("A..B");
}

}  // namespace nimbus::tools
