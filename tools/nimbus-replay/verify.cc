// nimbus-replay verify: replay several operations, or all, and sum up.
#include "nimbus/replay/verify_all.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "nimbus/schema/status.h"
#include "tools/cli/progress.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"
#include "tools/nimbus-replay/report.h"

namespace nimbus::tools {
namespace {

using schema::fb::EntityKind;

struct VerifyCommand {
  std::vector<std::string> operations;
  bool all = false;
  uint32_t jobs = 0;
  bool strict = false;
  bool receipt = false;
};

std::string ErrorText(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

void PrintFinding(const replay::VerifyFinding& finding) {
  const std::string id = finding.report.operation.ToString();
  if (!finding.error.ok()) {
    cli::Print("{} operation {}\n  {}\n", cli::Paint(cli::Style::kBad, "failed", std::cout), id,
               ErrorText(finding.error));
    return;
  }
  const schema::fb::ReplayVerdict verdict = finding.report.verdict();
  cli::Print("{} operation {}\n",
             cli::Paint(VerdictStyle(verdict), VerdictText(verdict), std::cout), id);
  PrintWhyNot(finding.report);
}

void PrintSummary(const replay::VerifySummary& summary) {
  for (const replay::VerifyFinding& finding : summary.findings) PrintFinding(finding);
  const uint64_t wrong = summary.operations - summary.holds;
  if (wrong > summary.findings.size()) {
    cli::Print("… and {} more\n", wrong - summary.findings.size());
  }
  cli::Print("{} of {} operations reproduced, {} diverged, {} incomplete, {} failed\n",
             cli::Paint(wrong == 0 ? cli::Style::kGood : cli::Style::kBad,
                        fmt::format("{}", summary.holds), std::cout),
             summary.operations, summary.diverges, summary.incomplete, summary.failed);
  cli::Print("  {} steps, {} digests, {} checkpoint states compared\n", summary.steps,
             summary.digests_compared, summary.checkpoints_compared);
  if (summary.receipts > 0) cli::Print("  {} receipts\n", summary.receipts);
}

// The worst of what was found: what is wrong weighs more than what is not known.
int CodeOf(const replay::VerifySummary& summary) {
  if (summary.diverges > 0) return cli::kProvenWrong;
  for (const replay::VerifyFinding& finding : summary.findings) {
    if (!finding.error.ok()) return cli::ExitCodeOf(finding.error);
  }
  if (summary.failed > 0) return cli::kBadData;
  return summary.incomplete > 0 ? cli::kNotEnoughEvidence : cli::kHolds;
}

absl::StatusOr<int> Verify(const cli::CommandLine& line, const VerifyCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal,
                          command.receipt ? cli::OpenJournalToWrite(line) : cli::OpenJournal(line));
  replay::VerifyOptions options{.jobs = command.jobs,
                                .receipts = command.receipt ? journal.get() : nullptr};
  options.replay.strict = command.strict;
  options.replay.stop = &cli::InterruptFlag();
  for (const std::string& text : command.operations) {
    NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid operation,
                            cli::SelectEntity(*journal, EntityKind::operation, text));
    options.operations.push_back(operation);
  }
  cli::Progress progress("verifying");
  options.progress = [&](uint64_t done, uint64_t total) { progress.Update(done, total); };
  NIMBUS_ASSIGN_OR_RETURN(const replay::VerifySummary summary,
                          replay::VerifyOperations(*journal, options));
  if (line.json) {
    cli::PrintJson(summary.ToJson());
  } else {
    PrintSummary(summary);
  }
  return CodeOf(summary);
}

}  // namespace

void AddVerifyCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<VerifyCommand>();
  CLI::App* verify =
      app->add_subcommand("verify",
                          "Replay several operations, or all of them, and sum up (exit "
                          "1: one diverged; 2: something is missing)");
  CLI::Option* ids = verify->add_option("ID", command->operations,
                                        "Operations: ids or the beginnings of them, @, @-, …");
  CLI::Option* all =
      verify->add_flag("--all", command->all, "All operations of the journal")->excludes(ids);
  verify
      ->add_option("-j,--jobs", command->jobs,
                   "Replay so many at a time (default: one for each processor)")
      ->type_name("N")
      ->transform(cli::IsCount() & CLI::Range(1, 1024));
  AddVerifyFlags(verify, &command->strict, &command->receipt);
  verify->callback([line, command, ids, all] {
    if (ids->count() + all->count() == 0) throw CLI::RequiredError("ID or --all");
    line->command = [line, command] { return Verify(*line, *command); };
  });
}

}  // namespace nimbus::tools
