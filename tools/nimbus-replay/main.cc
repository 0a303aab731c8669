// nimbus-replay: does a recording reproduce itself, what was the state when, and why?
#include "tools/cli/documentation.h"
#include "tools/nimbus-replay/commands.h"

int main(int argc, char** argv) {
  namespace cli = nimbus::tools::cli;
  CLI::App app{"Replays recorded operations straight from the journal.", "nimbus-replay"};
  cli::CommandLine line;
  app.set_version_flag("--version", "nimbus-replay " NIMBUS_VERSION);
  cli::AddGlobalOptions(&app, &line);
  nimbus::tools::AddRunCommand(&app, &line);
  nimbus::tools::AddVerifyCommand(&app, &line);
  nimbus::tools::AddExecCommand(&app, &line);
  nimbus::tools::AddStateCommand(&app, &line);
  nimbus::tools::AddStepCommand(&app, &line);
  nimbus::tools::AddDiffCommand(&app, &line);
  nimbus::tools::AddBlameCommand(&app, &line);
  nimbus::tools::AddBisectCommand(&app, &line);
  nimbus::tools::AddForkCommand(&app, &line);
  nimbus::tools::AddExportCommand(&app, &line);
  nimbus::tools::AddListCommand(&app, &line);
  cli::AddDocumentationCommands(&app, NIMBUS_VERSION, cli::CommonManSections());
  return cli::RunProgram(&app, &line, argc, argv);
}
