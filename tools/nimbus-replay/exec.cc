// nimbus-replay exec: run an agent program again, served from its recording.
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "nimbus/schema/status.h"
#include "tools/agent/command.h"
#include "tools/agent/end.h"
#include "tools/agent/run.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"

namespace nimbus::tools {
namespace {

using replay::StepDivergence;
using schema::Json;
using schema::fb::EntityKind;

struct ExecOptions {
  std::string operation, from_checkpoint;
  agent::SecretSources secrets;
  std::vector<std::string> argv;
};

// The calls as far as they went, and what the program's end adds to that.
struct Verdict {
  replay::ReexecutionReport report;
  agent::AgentEnd end;

  int ExitCode() const {
    if (report.divergence.has_value()) return cli::kProvenWrong;
    return report.holds() ? cli::kHolds : cli::kNotEnoughEvidence;
  }
};

bool IsOpen(const replay::ReexecutionReport& report) {
  return !report.holds() && !report.divergence.has_value() && report.incomplete.empty();
}

// A program that made no calls at all is another one than the recorded.
absl::StatusOr<StepDivergence> NeverOpened(const journal::Journal& journal,
                                           const schema::Uuid& operation) {
  NIMBUS_ASSIGN_OR_RETURN(const auto entity, journal.FindEntity(EntityKind::operation, operation));
  if (!entity.has_value()) {
    return schema::Error(absl::StatusCode::kDataLoss, "operation {} is not in the journal",
                         operation.ToString());
  }
  return StepDivergence{
      .what = StepDivergence::What::kEnd,
      .operation = operation,
      .sequence = entity->first_sequence,
      .expected = Json::MakeObject({{"open", Json::String(operation.ToString())}})};
}

// One that ended well and before its recording did is another program, too; one that
// failed proves nothing.
absl::StatusOr<Verdict> MakeVerdict(const journal::Journal& journal, const schema::Uuid& operation,
                                    const agent::AgentEnd& end, agent::Server* server) {
  Verdict verdict{.end = end};
  replay::ReexecutionReport& report = verdict.report;
  replay::Recorder* recorder = server->recorder();
  if (recorder != nullptr) {
    report = recorder->report();
  } else {
    report.operation = operation;
    report.divergence = server->divergence();
  }
  if (report.incomplete.empty()) report.incomplete = server->incomplete();
  if (!IsOpen(report)) return verdict;
  if (!end.succeeded()) {
    report.incomplete = fmt::format("the program {} after step {}", agent::Describe(end),
                                    report.from_step + report.steps);
  } else if (recorder == nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(report.divergence, NeverOpened(journal, operation));
  } else {
    const absl::Status judged = recorder->EndHere();
    report = recorder->report();
    if (!judged.ok() && IsOpen(report)) return judged;
  }
  return verdict;
}

void PrintDivergence(const StepDivergence& divergence, const schema::Uuid& operation) {
  // Where a fork begins, it is its parent's recording.
  const std::string whose = divergence.operation == operation
                                ? std::string()
                                : fmt::format(" of operation {}", divergence.operation.ToString());
  cli::Print("  step {}{}, record {}: another {}\n", divergence.step, whose, divergence.sequence,
             replay::NameOf(divergence.what));
  cli::Print("  recorded: {}\n", divergence.expected.Dump());
  cli::Print("  called:   {}\n", divergence.actual.Dump());
  if (divergence.difference.has_value()) {
    cli::Print("  recorded -> called:\n{}\n", divergence.difference->DumpPretty());
  }
}

void PrintVerdict(const Verdict& verdict) {
  const replay::ReexecutionReport& report = verdict.report;
  const auto word = [&]() -> std::pair<cli::Style, std::string_view> {
    if (report.divergence.has_value()) return {cli::Style::kBad, "diverged"};
    if (report.holds()) return {cli::Style::kGood, "reproduced"};
    return {cli::Style::kWarn, "incomplete"};
  }();
  cli::Print("{} operation {}\n", cli::Paint(word.first, word.second, std::cout),
             report.operation.ToString());
  const std::string from = report.from_checkpoint.has_value()
                               ? fmt::format("checkpoint {} (step {})",
                                             report.from_checkpoint->ToString(), report.from_step)
                               : std::string("the start");
  cli::Print("  from {}: {} steps and {} values served, nothing run\n", from, report.steps,
             report.values);
  if (report.divergence.has_value()) PrintDivergence(*report.divergence, report.operation);
  if (!report.incomplete.empty()) cli::Print("  {}\n", report.incomplete);
  const std::string end = agent::Describe(verdict.end);
  const bool told = report.incomplete.find(end) != std::string::npos;
  if (!verdict.end.succeeded() && !told) cli::Print("  the program {}\n", end);
}

// Before the program starts, which would be told of another operation's otherwise.
absl::StatusOr<schema::Uuid> SelectCheckpoint(const journal::Journal& journal,
                                              const schema::Uuid& operation,
                                              const std::string& id) {
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid checkpoint,
                          cli::SelectEntity(journal, EntityKind::checkpoint, id));
  NIMBUS_ASSIGN_OR_RETURN(const auto entity,
                          journal.FindEntity(EntityKind::checkpoint, checkpoint));
  if (entity.has_value() && entity->parent == operation) return checkpoint;
  return schema::Error(absl::StatusCode::kNotFound, "operation {} has no checkpoint {}",
                       operation.ToString(), checkpoint.ToString());
}

absl::StatusOr<int> Execute(const cli::CommandLine& line, const ExecOptions& options) {
  const agent::AgentSignals signals;
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  agent::ServerOptions server_options{.software = "nimbus-replay " NIMBUS_VERSION};
  NIMBUS_ASSIGN_OR_RETURN(const agent::Secrets secrets, agent::ReadSecrets(options.secrets));
  server_options.recorder.redact = secrets.Redaction();
  server_options.recorder.mode = replay::RecorderOptions::Mode::kReexecute;
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid operation,
                          cli::SelectEntity(*journal, EntityKind::operation, options.operation));
  server_options.operation = operation;
  if (!options.from_checkpoint.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(server_options.recorder.from_checkpoint,
                            SelectCheckpoint(*journal, operation, options.from_checkpoint));
  }
  agent::Server server(journal.get(), std::move(server_options));
  NIMBUS_ASSIGN_OR_RETURN(const agent::AgentEnd end,
                          agent::RunAgent(options.argv, signals, &server));
  NIMBUS_ASSIGN_OR_RETURN(const Verdict verdict, MakeVerdict(*journal, operation, end, &server));
  agent::WarnOfRefusals(server.refusals());
  if (line.json) {
    Json report = verdict.report.ToJson();
    agent::SetMembers(end, &report);
    cli::PrintJson(report);
  } else {
    std::cout.flush();
    PrintVerdict(verdict);
  }
  return verdict.ExitCode();
}

}  // namespace

void AddExecCommand(CLI::App* app, cli::CommandLine* line) {
  auto options = std::make_shared<ExecOptions>();
  CLI::App* exec = cli::AddCommand(
      app, line, "exec",
      "Run a program again, served from its recording; nothing is written (exit 1: diverged)",
      [line, options] { return Execute(*line, *options); });
  exec->add_option("ID", options->operation, "Operation: its id or the beginning of it, @, @-, …")
      ->required();
  exec->add_option("--from-checkpoint", options->from_checkpoint, "Begin at this checkpoint")
      ->type_name("ID");
  agent::AddRedactionOptions(exec, &options->secrets);
  agent::AddProgram(exec, &options->argv);
}

}  // namespace nimbus::tools
