// nimbus-replay run: fold the patches, compare what was recorded on the way.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <optional>

#include "nimbus/replay/verify.h"
#include "nimbus/schema/status.h"
#include "tools/cli/progress.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"

namespace nimbus::tools {
namespace {

using schema::fb::EntityKind;

struct RunOptions {
  std::string operation;
  std::string from_checkpoint;
  std::optional<uint32_t> from_step, to_step;
};

void PrintReport(const replay::ReplayReport& report) {
  const bool holds = report.holds();
  cli::Print("{} operation {}\n",
             cli::Paint(holds ? cli::Style::kGood : cli::Style::kBad,
                        holds ? "reproduced" : "diverged", std::cout),
             report.operation.ToString());
  const std::string from = report.from_checkpoint.has_value()
                               ? fmt::format("checkpoint {} (step {})",
                                             report.from_checkpoint->ToString(), report.from_step)
                               : (report.from_step == 0 ? std::string("the start")
                                                        : fmt::format("step {}", report.from_step));
  cli::Print("  from {} to step {}: {} steps, {} patches\n", from, report.to_step, report.steps,
             report.patches);
  cli::Print("  compared {} digests, {} checkpoint states\n", report.digests_compared,
             report.checkpoints_compared);
  if (report.digest.has_value()) cli::Print("  state {}\n", schema::ToHex(*report.digest));
  if (holds) return;
  cli::Print("  {}\n", report.divergence->ToString());
  if (report.divergence->difference.has_value()) {
    cli::Print("  recorded -> replayed, at record {}:\n{}\n",
               report.divergence->difference_sequence.value_or(report.divergence->sequence),
               report.divergence->difference->DumpPretty());
  }
}

absl::StatusOr<int> Run(const cli::CommandLine& line, const RunOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid operation,
                          cli::SelectEntity(*journal, EntityKind::operation, options.operation));
  replay::ReplayRange range{.from_step = options.from_step, .to_step = options.to_step};
  if (!options.from_checkpoint.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(
        range.from_checkpoint,
        cli::SelectEntity(*journal, EntityKind::checkpoint, options.from_checkpoint));
  }
  cli::Progress progress("replaying");
  replay::ReplayOptions replay_options;
  replay_options.progress = [&](uint64_t done, uint64_t total) { progress.Update(done, total); };
  NIMBUS_ASSIGN_OR_RETURN(const replay::ReplayReport report,
                          replay::ReplayOperation(*journal, operation, range, replay_options));
  if (line.json) {
    cli::PrintJson(report.ToJson());
  } else {
    PrintReport(report);
  }
  return report.holds() ? cli::kHolds : cli::kProvenWrong;
}

}  // namespace

void AddRunCommand(CLI::App* app, cli::CommandLine* line) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* run = cli::AddCommand(
      app, line, "run",
      "Replay an operation and compare every recorded digest and checkpoint (exit 1: diverged)",
      [line, options] { return Run(*line, *options); });
  run->add_option("ID", options->operation, "Operation: its id or the beginning of it, @, @-, …")
      ->required();
  CLI::Option* checkpoint =
      run->add_option("--from-checkpoint", options->from_checkpoint, "Begin at this checkpoint")
          ->type_name("ID");
  run->add_option("--from-step", options->from_step, "Begin with the state after this step")
      ->type_name("N")
      ->transform(cli::IsCount())
      ->excludes(checkpoint);
  run->add_option("--to-step", options->to_step, "End after this step")
      ->type_name("N")
      ->transform(cli::IsCount());
}

}  // namespace nimbus::tools
