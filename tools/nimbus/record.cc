// nimbus record: run an agent program, and journal what it says it does.
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "nimbus/projections/history.h"
#include "nimbus/schema/status.h"
#include "tools/agent/command.h"
#include "tools/agent/end.h"
#include "tools/agent/run.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::Uuid;
using schema::fb::EntityKind;

struct RecordOptions {
  std::string session, operation, name;
  agent::SecretSources secrets;
  std::vector<std::string> argv;
};

// A whole id may be that of a new operation, so that a supervisor can run the same command
// line again and again; the beginning of one names an operation that is there.
absl::StatusOr<Uuid> SelectOperation(const journal::Journal& journal, const std::string& text) {
  const absl::StatusOr<Uuid> whole = schema::ParseUuid(text);
  return whole.ok() ? whole : cli::SelectEntity(journal, EntityKind::operation, text);
}

absl::StatusOr<agent::ServerOptions> MakeServerOptions(const journal::Journal& journal,
                                                       const RecordOptions& options) {
  agent::ServerOptions server{.name = options.name, .software = "nimbus " NIMBUS_VERSION};
  NIMBUS_ASSIGN_OR_RETURN(const agent::Secrets secrets, agent::ReadSecrets(options.secrets));
  server.recorder.redact = secrets.Redaction();
  if (!options.operation.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(server.operation, SelectOperation(journal, options.operation));
  }
  if (!options.session.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(server.session,
                            cli::SelectEntity(journal, EntityKind::session, options.session));
  }
  return server;
}

struct Recorded {
  std::optional<Uuid> operation;  // unless the program opened none
  Lifecycle status = Lifecycle::kPending;
  uint32_t steps = 0;  // recorded in all
};

absl::StatusOr<Recorded> ReadRecorded(const journal::Journal& journal,
                                      const agent::Server& server) {
  Recorded recorded;
  if (server.recorder() == nullptr) return recorded;
  recorded.operation = server.recorder()->operation();
  NIMBUS_ASSIGN_OR_RETURN(const auto entity,
                          journal.FindEntity(EntityKind::operation, *recorded.operation));
  if (!entity.has_value()) {
    return schema::Error(absl::StatusCode::kDataLoss, "operation {} is not in the journal",
                         recorded.operation->ToString());
  }
  recorded.status = static_cast<Lifecycle>(entity->state);
  recorded.steps = entity->steps;
  return recorded;
}

Json ReportJson(const Recorded& recorded, const agent::Server& server, const agent::AgentEnd& end) {
  const auto id = [](const std::optional<Uuid>& value) {
    return value.has_value() ? Json::String(value->ToString()) : Json();
  };
  const bool opened = recorded.operation.has_value();
  const std::string status(projections::StatusText(recorded.status));
  Json::Array in_doubt;
  if (opened) {
    for (const replay::OpenStep& step : server.recorder()->in_doubt()) {
      in_doubt.push_back(Json::Uint(step.number));
    }
  }
  const auto divergence = server.divergence();
  Json report =
      Json::MakeObject({{"operation", id(recorded.operation)},
                        {"session", opened ? id(server.session()) : Json()},
                        {"status", opened ? Json::String(status) : Json()},
                        {"steps", Json::Uint(recorded.steps)},
                        {"resumed", Json::Bool(opened && server.recorder()->resumed())},
                        {"in_doubt", Json::MakeArray(std::move(in_doubt))},
                        {"divergence", divergence.has_value() ? divergence->ToJson() : Json()},
                        {"notifications", Json::Uint(server.refusals().notifications)},
                        {"refused_lines", Json::Uint(server.refusals().lines)}});
  agent::SetMembers(end, &report);
  return report;
}

// What follows the operation where the same program is to go on with it.
std::string RestOfCommand(const RecordOptions& options,
                          const std::function<void(std::string*)>& redact) {
  std::string rest;
  for (const std::string& name : options.secrets.variables) rest += " --redact-env " + name;
  for (const std::string& file : options.secrets.files) {
    rest += " --redact-from " + agent::ShellText({file});
  }
  std::vector<std::string> argv = options.argv;
  for (std::string& word : argv) {
    if (redact) redact(&word);
  }
  return rest + " -- " + agent::ShellText(argv);
}

// To standard error: standard output is the program's.
void PrintReport(const Recorded& recorded, const agent::Server& server, const agent::AgentEnd& end,
                 const std::string& rest) {
  const auto say = [](cli::Style style, std::string_view word, const std::string& what) {
    std::cerr << cli::Paint(style, word, std::cerr) << ' ' << what << '\n';
  };
  if (const auto divergence = server.divergence()) {
    say(cli::Style::kBad, "diverged", divergence->ToString());
  }
  if (!recorded.operation.has_value()) {
    say(cli::Style::kBad, "nothing recorded:",
        fmt::format("the program {} and had not opened an operation", agent::Describe(end)));
    return;
  }
  const std::string id = recorded.operation->ToString();
  const std::string status(projections::StatusText(recorded.status));
  if (journal::IsFinal(recorded.status)) {
    say(cli::StyleOf(recorded.status), "recorded",
        fmt::format("operation {}: {}, {} steps", id, status, recorded.steps));
    if (!end.succeeded()) std::cerr << "  the program " << agent::Describe(end) << '\n';
    return;
  }
  say(cli::Style::kWarn, status,
      fmt::format("operation {}: {} steps, and the program {} before it ended it", id,
                  recorded.steps, agent::Describe(end)));
  std::cerr << "  to go on: nimbus record --operation " << id << rest << '\n';
}

// The program's own exit code, if it failed; else whether there is a whole recording.
int ExitCode(const Recorded& recorded, const agent::Server& server, const agent::AgentEnd& end) {
  if (!end.succeeded()) return agent::ExitCodeOf(end);
  if (server.divergence().has_value()) return cli::kProvenWrong;
  return journal::IsFinal(recorded.status) ? cli::kHolds : cli::kNotEnoughEvidence;
}

absl::StatusOr<int> Record(const cli::CommandLine& line, const RecordOptions& options) {
  const agent::AgentSignals signals;
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournalToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(agent::ServerOptions server_options,
                          MakeServerOptions(*journal, options));
  const std::string rest = RestOfCommand(options, server_options.recorder.redact);
  agent::Server server(journal.get(), std::move(server_options));
  NIMBUS_ASSIGN_OR_RETURN(const agent::AgentEnd end,
                          agent::RunAgent(options.argv, signals, &server));
  NIMBUS_ASSIGN_OR_RETURN(const Recorded recorded, ReadRecorded(*journal, server));
  agent::WarnOfRefusals(server.refusals());
  if (line.json) {
    cli::PrintJson(ReportJson(recorded, server, end));
  } else {
    PrintReport(recorded, server, end, rest);
  }
  return ExitCode(recorded, server, end);
}

}  // namespace

void AddRecordCommand(CLI::App* app, cli::CommandLine* line) {
  auto options = std::make_shared<RecordOptions>();
  CLI::App* record = cli::AddCommand(
      app, line, "record",
      "Run a program that records what it does, or resumes (exits as it does; 2: not ended)",
      [line, options] { return Record(*line, *options); });
  record->add_option("--session", options->session, "Session of a new operation (else a new one)")
      ->type_name("ID");
  record
      ->add_option("--operation", options->operation,
                   "Operation to go on with; a whole id may be that of a new one")
      ->type_name("ID");
  record->add_option("--name", options->name, "What a new operation is called, unless it says so")
      ->type_name("TEXT");
  agent::AddRedactionOptions(record, &options->secrets);
  agent::AddProgram(record, &options->argv);
}

}  // namespace nimbus::tools
