// The commands of `nimbus-replay`, one file each: they read the journal and never SQLite.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/cli/command_line.h"

namespace nimbus::tools {

void AddBisectCommand(CLI::App* app, cli::CommandLine* line);
void AddBlameCommand(CLI::App* app, cli::CommandLine* line);
void AddDiffCommand(CLI::App* app, cli::CommandLine* line);
void AddExportCommand(CLI::App* app, cli::CommandLine* line);
void AddForkCommand(CLI::App* app, cli::CommandLine* line);
void AddListCommand(CLI::App* app, cli::CommandLine* line);
void AddRunCommand(CLI::App* app, cli::CommandLine* line);
void AddExecCommand(CLI::App* app, cli::CommandLine* line);
void AddStateCommand(CLI::App* app, cli::CommandLine* line);
void AddStepCommand(CLI::App* app, cli::CommandLine* line);
void AddVerifyCommand(CLI::App* app, cli::CommandLine* line);

}  // namespace nimbus::tools
