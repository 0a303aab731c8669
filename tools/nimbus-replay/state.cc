// nimbus-replay state: the state of an operation at any point, as JSON.
#include <memory>

#include "nimbus/replay/session.h"
#include "nimbus/schema/status.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"
#include "tools/nimbus-replay/point.h"

namespace nimbus::tools {
namespace {

using schema::Error;
using schema::fb::EntityKind;

struct StateCommand {
  std::string operation;
  std::string at = "end";
  std::string path;
};

absl::StatusOr<int> PrintState(const cli::CommandLine& line, const StateCommand& command) {
  NIMBUS_RETURN_IF_ERROR(CheckPointer(command.path));
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid operation,
                          cli::SelectEntity(*journal, EntityKind::operation, command.operation));
  NIMBUS_ASSIGN_OR_RETURN(const replay::Point point, SelectPoint(*journal, command.at));
  NIMBUS_ASSIGN_OR_RETURN(replay::Session session, replay::Session::Open(*journal, operation));
  NIMBUS_RETURN_IF_ERROR(replay::SeekTo(*journal, point, &session));
  NIMBUS_ASSIGN_OR_RETURN(const replay::Pointer pointer, replay::ParsePointer(command.path));
  const schema::Json* value = replay::FindValue(session.state().document(), pointer);
  if (value == nullptr) {
    return Error(absl::StatusCode::kNotFound, "the state after step {} has no {}", session.step(),
                 command.path);
  }
  cli::PrintJson(*value);
  return cli::kHolds;
}

}  // namespace

void AddStateCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<StateCommand>();
  CLI::App* state = cli::AddCommand(app, line, "state", "Print the state of an operation as JSON",
                                    [line, command] { return PrintState(*line, *command); });
  AddOperationArgument(state, &command->operation);
  AddAtOption(state, &command->at)->capture_default_str();
  state->add_option("--path", command->path, "Only the value at this JSON Pointer (RFC 6901)")
      ->type_name("POINTER");
}

}  // namespace nimbus::tools
