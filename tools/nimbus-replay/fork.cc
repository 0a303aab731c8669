// nimbus-replay fork: a new operation that goes on from another one's state.
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "nimbus/replay/forks.h"
#include "nimbus/schema/status.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"
#include "tools/nimbus-replay/point.h"

namespace nimbus::tools {
namespace {

using schema::Json;
using schema::fb::EntityKind;

struct ForkCommand {
  std::string operation;
  std::string at;
  std::string name;
  std::string session;
  bool dry_run = false;
};

std::string TotalsText(const replay::StepTotals& totals) {
  return fmt::format("{} steps, {} tokens, ${}.{:06}, {}", totals.steps, totals.tokens,
                     totals.cost_microdollars / 1'000'000, totals.cost_microdollars % 1'000'000,
                     cli::ShowDuration(static_cast<int64_t>(totals.duration_ms)));
}

void PrintPlan(const replay::ForkPlan& plan) {
  const replay::ForkTotals& totals = *plan.totals;
  cli::Print("from operation {}\n", plan.parent.ToString());
  const std::string at = plan.step == 0 ? "its start" : fmt::format("step {}", plan.step);
  cli::Print("  after {} (record {}), a state of {}\n", at, plan.sequence,
             cli::ShowBytes(plan.state_bytes));
  cli::Print("  state   {}\n", schema::ToHex(plan.digest));
  cli::Print("  reused  {}\n", TotalsText(totals.reused));
  cli::Print("  live    what comes after; the parent took {}\n", TotalsText(totals.after));
  if (totals.unended > 0) {
    cli::Print("  {}\n", cli::Paint(cli::Style::kWarn,
                                    fmt::format("{} steps had begun and not ended by then: "
                                                "they are live, too",
                                                totals.unended),
                                    std::cout));
  }
}

void Print(const cli::CommandLine& line, const replay::ForkPlan& plan,
           const std::optional<replay::Forked>& forked) {
  if (line.json) {
    Json json = plan.ToJson();
    json.Set("dry_run", Json::Bool(!forked.has_value()));
    json.Set("operation", forked.has_value() ? Json::String(forked->operation.ToString()) : Json());
    json.Set("session", forked.has_value() ? Json::String(forked->session.ToString()) : Json());
    json.Set("new_session", forked.has_value() ? Json::Bool(forked->new_session) : Json());
    return cli::PrintJson(json);
  }
  if (forked.has_value()) {
    cli::Print("forked operation {}\n  in {}session {}\n", forked->operation.ToString(),
               forked->new_session ? "the new " : "", forked->session.ToString());
  } else {
    cli::Print("nothing is done (--dry-run)\n");
  }
  PrintPlan(plan);
}

absl::StatusOr<int> Fork(const cli::CommandLine& line, const ForkCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal,
                          command.dry_run ? cli::OpenJournal(line) : cli::OpenJournalToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid parent,
                          cli::SelectEntity(*journal, EntityKind::operation, command.operation));
  NIMBUS_ASSIGN_OR_RETURN(const replay::Point point, SelectPoint(*journal, command.at));
  replay::ForkOptions options{.name = command.name, .session = std::nullopt};
  if (!command.session.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(options.session,
                            cli::SelectEntity(*journal, EntityKind::session, command.session));
  }
  NIMBUS_ASSIGN_OR_RETURN(replay::ForkPlan plan, replay::PlanFork(*journal, parent, point));
  NIMBUS_RETURN_IF_ERROR(replay::AddTotals(*journal, &plan));
  std::optional<replay::Forked> forked;
  if (!command.dry_run) {
    NIMBUS_ASSIGN_OR_RETURN(forked, replay::ForkOperation(journal.get(), plan, options));
  }
  Print(line, plan, forked);
  return cli::kHolds;
}

}  // namespace

void AddForkCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<ForkCommand>();
  CLI::App* add = cli::AddCommand(
      app, line, "fork",
      "Create an operation that goes on from another one's state; nothing is copied",
      [line, command] { return Fork(*line, *command); });
  AddOperationArgument(add, &command->operation);
  AddAtOption(add, &command->at)->required();
  add->add_option("--name", command->name, "Name of the new operation (default: its parent's)")
      ->type_name("NAME");
  add->add_option("--session", command->session,
                  "Session to put it in (default: its parent's, or a new one if that has ended)")
      ->type_name("ID");
  add->add_flag("-n,--dry-run", command->dry_run, "Say what would be reused, and do nothing");
}

}  // namespace nimbus::tools
