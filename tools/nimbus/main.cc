// nimbus: the flight recorder for AI agents, from the command line.
#include "tools/cli/documentation.h"
#include "tools/nimbus/commands.h"

int main(int argc, char** argv) {
  namespace cli = nimbus::tools::cli;
  CLI::App app{"Records what AI agents do, and shows, replays and verifies it.", "nimbus"};
  cli::CommandLine line;
  app.set_version_flag("--version", "nimbus " NIMBUS_VERSION);
  cli::AddGlobalOptions(&app, &line);
  nimbus::tools::AddInitCommand(&app, &line);
  nimbus::tools::AddRecordCommand(&app, &line);
  nimbus::tools::AddImportCommand(&app, &line);
  nimbus::tools::AddExportCommand(&app, &line);
  nimbus::tools::AddHistoryCommands(&app, &line);
  nimbus::tools::AddSessionCommands(&app, &line);
  nimbus::tools::AddPersonaCommands(&app, &line);
  nimbus::tools::AddConfigCommands(&app, &line);
  nimbus::tools::AddJournalCommands(&app, &line);
  nimbus::tools::AddPluginCommands(&app, &line);
  nimbus::tools::AddCredentialCommands(&app, &line);
  nimbus::tools::AddDbCommands(&app, &line);
  cli::AddDocumentationCommands(&app, NIMBUS_VERSION, cli::CommonManSections());
  return cli::RunProgram(&app, &line, argc, argv);
}
