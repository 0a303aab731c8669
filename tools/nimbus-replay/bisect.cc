// nimbus-replay bisect: the first step whose state a program finds fault with.
#include "nimbus/replay/bisect.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/cli/child.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"
#include "tools/nimbus-replay/point.h"

namespace nimbus::tools {
namespace {

using replay::BisectReport;
using replay::Judgement;
using schema::Error;

constexpr int kSkipCode = 125;   // as git bisect run has it
constexpr int kAbortCode = 128;  // and above

struct BisectCommand {
  std::string operation;
  std::optional<uint32_t> good, bad;
  std::vector<std::string> argv;
};

std::string PlaceText(uint32_t step) {
  return step == 0 ? std::string("the start") : fmt::format("step {}", step);
}

std::string_view JudgementText(Judgement judgement) {
  switch (judgement) {
    case Judgement::kGood:
      return "good";
    case Judgement::kBad:
      return "bad";
    case Judgement::kSkip:
      return "skipped";
  }
  return "";
}

absl::StatusOr<Judgement> RunJudge(const std::vector<std::string>& argv,
                                   const replay::Trial& trial) {
  const std::string state = trial.state.Dump() + "\n";
  NIMBUS_ASSIGN_OR_RETURN(
      const cli::ChildEnd end,
      cli::RunChild({.argv = argv,
                     .environment = {fmt::format("NIMBUS_STEP={}", trial.step),
                                     "NIMBUS_OPERATION=" + trial.operation.ToString()},
                     .input = state}));
  if (end.signal != 0) {
    return Error(absl::StatusCode::kFailedPrecondition, "{}: ended by signal {} at {}",
                 argv.front(), end.signal, PlaceText(trial.step));
  }
  if (end.exit_code >= kAbortCode) {
    return Error(absl::StatusCode::kFailedPrecondition, "{}: exit code {} at {} ends the search",
                 argv.front(), end.exit_code, PlaceText(trial.step));
  }
  if (end.exit_code == kSkipCode) return Judgement::kSkip;
  return end.exit_code == 0 ? Judgement::kGood : Judgement::kBad;
}

void PrintNothingToSearch(const BisectReport::Tried& end, std::string_view wanted) {
  cli::Print("nothing to search: {} should be {}, and {}\n", PlaceText(end.step), wanted,
             end.judgement == Judgement::kSkip ? "could not be judged" : "is not");
}

void PrintOutcome(const BisectReport& report) {
  switch (report.outcome) {
    case BisectReport::Outcome::kFound:
      cli::Print("{} is the first bad one\n",
                 cli::Paint(cli::Style::kBold, PlaceText(*report.first_bad), std::cout));
      return;
    case BisectReport::Outcome::kOneOf:
      cli::Print("the first bad one is among steps {}: the others could not be judged\n",
                 fmt::join(report.candidates, ", "));
      return;
    case BisectReport::Outcome::kGoodIsBad:
      PrintNothingToSearch(report.tried.back(), "good");
      return;
    case BisectReport::Outcome::kBadIsGood:
      PrintNothingToSearch(report.tried.back(), "bad");
      return;
  }
}

absl::StatusOr<int> Bisect(const cli::CommandLine& line, const BisectCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(
      const schema::Uuid operation,
      cli::SelectEntity(*journal, schema::fb::EntityKind::operation, command.operation));
  const auto judge = [&](const replay::Trial& trial) -> absl::StatusOr<Judgement> {
    if (cli::Interrupted()) return cli::InterruptedError();
    NIMBUS_ASSIGN_OR_RETURN(const Judgement judgement, RunJudge(command.argv, trial));
    if (!line.json) {
      cli::Print("{:<8} {}\n", JudgementText(judgement), PlaceText(trial.step));
      std::cout.flush();
    }
    return judgement;
  };
  NIMBUS_ASSIGN_OR_RETURN(
      const BisectReport report,
      replay::BisectOperation(*journal, operation, judge,
                              {.good = command.good.value_or(0), .bad = command.bad}));
  if (line.json) {
    cli::PrintJson(report.ToJson());
  } else {
    PrintOutcome(report);
  }
  return report.outcome == BisectReport::Outcome::kFound ? cli::kHolds : cli::kNotEnoughEvidence;
}

}  // namespace

void AddBisectCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<BisectCommand>();
  CLI::App* add =
      cli::AddCommand(app, line, "bisect", "Find the first step whose state makes a program fail",
                      [line, command] { return Bisect(*line, *command); });
  AddOperationArgument(add, &command->operation);
  add->add_option("--good", command->good, "A step after which all is well (default: the start)")
      ->type_name("N")
      ->transform(cli::IsCount());
  add->add_option("--bad", command->bad, "A step after which it is not (default: the last)")
      ->type_name("N")
      ->transform(cli::IsCount());
  add->add_option("COMMAND", command->argv, "Program that judges a state, with its arguments")
      ->required();
  add->footer(
      "Write -- before COMMAND. It gets the state as JSON on its standard input, NIMBUS_STEP and "
      "NIMBUS_OPERATION in its environment; what it prints goes to standard error. It exits with "
      "0 if all is well, 125 if it can't tell, less than 128 if not; anything else ends the "
      "search. Exit status: 0 when the step is found, 2 when it can't be.");
}

}  // namespace nimbus::tools
