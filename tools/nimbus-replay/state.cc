// nimbus-replay state: the state of an operation at any point, as JSON.
#include <memory>
#include <optional>

#include "nimbus/replay/session.h"
#include "nimbus/schema/status.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"

namespace nimbus::tools {
namespace {

using schema::fb::EntityKind;

struct StateOptions {
  std::string operation;
  std::string checkpoint;
  std::optional<uint32_t> step;
};

absl::Status Seek(const journal::Journal& journal, const StateOptions& options,
                  replay::Session* session) {
  if (options.step.has_value()) return session->SeekToStep(*options.step);
  if (options.checkpoint.empty()) return session->SeekToEnd();
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid checkpoint,
                          cli::SelectEntity(journal, EntityKind::checkpoint, options.checkpoint));
  return session->SeekToCheckpoint(checkpoint);
}

absl::StatusOr<int> PrintState(const cli::CommandLine& line, const StateOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid operation,
                          cli::SelectEntity(*journal, EntityKind::operation, options.operation));
  NIMBUS_ASSIGN_OR_RETURN(replay::Session session, replay::Session::Open(*journal, operation));
  NIMBUS_RETURN_IF_ERROR(Seek(*journal, options, &session));
  cli::PrintJson(session.state().document());
  return cli::kHolds;
}

}  // namespace

void AddStateCommand(CLI::App* app, cli::CommandLine* line) {
  auto options = std::make_shared<StateOptions>();
  CLI::App* state = cli::AddCommand(
      app, line, "state", "Print the state of an operation as JSON (its last, by default)",
      [line, options] { return PrintState(*line, *options); });
  state->add_option("ID", options->operation, "Operation: its id or the beginning of it, @, @-, …")
      ->required();
  CLI::Option* step =
      state->add_option("--at-step", options->step, "After this step (0: the start)")
          ->type_name("N")
          ->transform(cli::IsCount());
  state->add_option("--at-checkpoint", options->checkpoint, "At this checkpoint")
      ->type_name("ID")
      ->excludes(step);
}

}  // namespace nimbus::tools
