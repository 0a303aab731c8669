// nimbus-replay diff: two operations, step by step.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "nimbus/replay/compare.h"
#include "nimbus/schema/status.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"

namespace nimbus::tools {
namespace {

using replay::Comparison;
using replay::StepPair;
using schema::Json;
using schema::fb::EntityKind;

constexpr size_t kDifferenceWidth = 400;

struct DiffCommand {
  std::string a, b;
  bool stat = false;
  uint64_t limit = 100;
};

std::string NumberText(uint32_t step) { return step == 0 ? "-" : fmt::format("{}", step); }

std::string_view MarkOf(StepPair::Kind kind) {
  if (kind == StepPair::Kind::kOnlyA) return "-";
  return kind == StepPair::Kind::kOnlyB ? "+" : "~";
}

cli::Style StyleOf(StepPair::Kind kind) {
  if (kind == StepPair::Kind::kOnlyA) return cli::Style::kBad;
  return kind == StepPair::Kind::kOnlyB ? cli::Style::kGood : cli::Style::kWarn;
}

// Operations of a patch, one a line.
void PrintPatch(std::string_view title, const Json* patch) {
  if (patch == nullptr || !patch->IsArray() || patch->array().empty()) return;
  cli::Print("      {}\n", title);
  for (const Json& operation : patch->array()) {
    cli::Print("        {}\n", cli::OneLine(operation.Dump(), kDifferenceWidth));
  }
}

void PrintPair(const StepPair& pair, const Json& details) {
  const std::string_view tool = details.StringOr("tool_name");
  const std::string line = fmt::format(
      "{} {:>4} {:>4}  {}{}{}  {}", MarkOf(pair.kind), NumberText(pair.a), NumberText(pair.b),
      details.StringOr("type"), tool.empty() ? "" : " ", tool, replay::KindText(pair.kind));
  cli::Print("{}\n", cli::Paint(StyleOf(pair.kind), line, std::cout));
  if (pair.a == 0 || pair.b == 0) {
    if (const Json* input = details.Find("input")) {
      cli::Print("      {}\n", cli::OneLine(cli::Summary(input->Dump()), kDifferenceWidth));
    }
    return;
  }
  PrintPatch("input", details.Find("input"));
  PrintPatch("output", details.Find("output"));
  if (const Json* error = details.Find("error")) {
    cli::Print("      error\n        {}\n        {}\n",
               cli::OneLine(error->StringOr("a"), kDifferenceWidth),
               cli::OneLine(error->StringOr("b"), kDifferenceWidth));
  }
}

void PrintSummary(const Comparison& found) {
  cli::Print(
      "{} the same, {} with another input, {} with another result, {} with another change "
      "of the state, {} only in a, {} only in b\n",
      found.pairs_same, found.pairs_input, found.pairs_result, found.pairs_state, found.only_a,
      found.only_b);
  if (!found.shortest) cli::Print("(they differ so much that more steps might be paired)\n");
}

void PrintShared(const replay::SharedPast& shared) {
  const std::string to = shared.step == 0 ? "to its start" : fmt::format("to step {}", shared.step);
  cli::Print("shared {} steps of {}, {} (record {})\n", shared.steps, shared.operation.ToString(),
             to, shared.sequence);
}

void PrintParting(const Comparison& found) {
  if (!found.first.has_value()) {
    return cli::Print("{}\n", cli::Paint(cli::Style::kGood, "the same", std::cout));
  }
  if (found.start_differs) {
    cli::Print("they begin with different states\n");
  } else {
    cli::Print("they part at step {} of a, {} of b\n", NumberText(found.first->a),
               NumberText(found.first->b));
  }
  if (found.state_there.has_value()) PrintPatch("states there, a -> b", &*found.state_there);
  if (found.state_in_the_end.has_value()) {
    PrintPatch("states in the end, a -> b", &*found.state_in_the_end);
  }
}

absl::StatusOr<Json::Array> ReadPairs(const journal::Journal& journal, const Comparison& found,
                                      uint64_t limit) {
  NIMBUS_ASSIGN_OR_RETURN(replay::PairReader reader,
                          replay::PairReader::Open(journal, found.a, found.b));
  Json::Array details;
  for (const StepPair& pair : found.differences) {
    if (details.size() == limit) break;
    if (cli::Interrupted()) return cli::InterruptedError();
    NIMBUS_ASSIGN_OR_RETURN(Json one, reader.Read(pair));
    details.push_back(std::move(one));
  }
  return details;
}

absl::StatusOr<int> DiffOperations(const cli::CommandLine& line, const DiffCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid a,
                          cli::SelectEntity(*journal, EntityKind::operation, command.a));
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid b,
                          cli::SelectEntity(*journal, EntityKind::operation, command.b));
  NIMBUS_ASSIGN_OR_RETURN(const Comparison found, replay::CompareOperations(*journal, a, b, {}));
  const uint64_t limit = command.stat ? 0 : command.limit;
  NIMBUS_ASSIGN_OR_RETURN(Json::Array details, ReadPairs(*journal, found, limit));
  if (line.json) {
    Json json = found.ToJson();
    json.Set("differences", Json::MakeArray(std::move(details)));
    cli::PrintJson(json);
  } else {
    cli::Print("a {} ({} steps)\nb {} ({} steps)\n", a.ToString(), found.steps_a, b.ToString(),
               found.steps_b);
    if (found.shared.has_value()) PrintShared(*found.shared);
    for (size_t i = 0; i < details.size(); ++i) PrintPair(found.differences[i], details[i]);
    if (!command.stat && details.size() < found.differences.size()) {
      cli::Print("… and {} more differences\n", found.differences.size() - details.size());
    }
    PrintSummary(found);
    if (!command.stat) PrintParting(found);
  }
  return found.same() ? cli::kHolds : cli::kProvenWrong;
}

}  // namespace

void AddDiffCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<DiffCommand>();
  CLI::App* add = cli::AddCommand(
      app, line, "diff",
      "Compare two operations: steps aligned by type, tool and input; states (exit 1: they differ)",
      [line, command] { return DiffOperations(*line, *command); });
  add->add_option("A", command->a, "Operation: its id or the beginning of it, @, @-, …")
      ->required();
  add->add_option("B", command->b, "Operation")->required();
  add->add_flag("--stat", command->stat, "Only count the differences");
  add->add_option("--limit", command->limit, "Show so many differences at most")
      ->type_name("COUNT")
      ->transform(cli::IsCount())
      ->capture_default_str();
}

}  // namespace nimbus::tools
