// nimbus-replay run: fold the patches, compare what was recorded on the way.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <optional>

#include "nimbus/replay/receipt.h"
#include "nimbus/replay/verify.h"
#include "nimbus/schema/status.h"
#include "tools/cli/progress.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"
#include "tools/nimbus-replay/point.h"
#include "tools/nimbus-replay/report.h"

namespace nimbus::tools {
namespace {

using schema::fb::EntityKind;

struct RunCommand {
  std::string operation;
  std::string from_checkpoint;
  std::optional<uint32_t> from_step, to_step;
  bool strict = false;
  bool receipt = false;
};

std::string BeginText(const replay::ReplayReport& report) {
  if (report.from_checkpoint.has_value()) {
    return fmt::format("checkpoint {} (step {})", report.from_checkpoint->ToString(),
                       report.from_step);
  }
  return report.from_step == 0 ? "the start" : fmt::format("step {}", report.from_step);
}

void PrintReport(const replay::ReplayReport& report) {
  cli::Print("{} operation {}\n",
             cli::Paint(VerdictStyle(report.verdict()), VerdictText(report.verdict()), std::cout),
             report.operation.ToString());
  cli::Print("  from {} to step {}: {} steps, {} patches\n", BeginText(report), report.to_step,
             report.steps, report.patches);
  cli::Print("  compared {} digests, {} checkpoint states\n", report.digests_compared,
             report.checkpoints_compared);
  if (report.digest.has_value()) cli::Print("  state {}\n", schema::ToHex(*report.digest));
  PrintWhyNot(report);
}

absl::StatusOr<replay::ReplayReport> Replay(const journal::Journal& journal,
                                            const RunCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid operation,
                          cli::SelectEntity(journal, EntityKind::operation, command.operation));
  replay::ReplayRange range{.from_step = command.from_step, .to_step = command.to_step};
  if (!command.from_checkpoint.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(
        range.from_checkpoint,
        cli::SelectEntity(journal, EntityKind::checkpoint, command.from_checkpoint));
  }
  cli::Progress progress("replaying");
  replay::ReplayOptions options{.strict = command.strict, .stop = &cli::InterruptFlag()};
  options.progress = [&](uint64_t done, uint64_t total) { progress.Update(done, total); };
  return replay::ReplayOperation(journal, operation, range, options);
}

absl::StatusOr<int> Run(const cli::CommandLine& line, const RunCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal,
                          command.receipt ? cli::OpenJournalToWrite(line) : cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(const replay::ReplayReport report, Replay(*journal, command));
  std::optional<replay::Receipt> receipt;
  if (command.receipt) {
    NIMBUS_ASSIGN_OR_RETURN(receipt, replay::RecordReceipt(journal.get(), report));
  }
  if (line.json) {
    schema::Json json = report.ToJson();
    json.Set("receipt",
             receipt.has_value() ? schema::Json::String(receipt->id.ToString()) : schema::Json());
    cli::PrintJson(json);
  } else {
    PrintReport(report);
    if (receipt.has_value()) {
      cli::Print("  receipt {} (record {})\n", receipt->id.ToString(), receipt->sequence);
    }
  }
  return VerdictCode(report.verdict());
}

}  // namespace

void AddRunCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<RunCommand>();
  CLI::App* run = cli::AddCommand(
      app, line, "run",
      "Replay an operation and compare every recorded digest and checkpoint (exit 1: diverged; 2: "
      "something is missing)",
      [line, command] { return Run(*line, *command); });
  AddOperationArgument(run, &command->operation);
  CLI::Option* checkpoint =
      run->add_option("--from-checkpoint", command->from_checkpoint, "Begin at this checkpoint")
          ->type_name("ID");
  run->add_option("--from-step", command->from_step, "Begin with the state after this step")
      ->type_name("N")
      ->transform(cli::IsCount())
      ->excludes(checkpoint);
  run->add_option("--to-step", command->to_step, "End after this step")
      ->type_name("N")
      ->transform(cli::IsCount());
  AddVerifyFlags(run, &command->strict, &command->receipt);
}

}  // namespace nimbus::tools
