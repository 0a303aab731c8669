// The commands of `nimbus-replay`, one file each: they read the journal and never SQLite.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tools/cli/command_line.h"

namespace nimbus::tools {

// `program`: what stands behind -- on the command line, as it is.
void AddBisectCommand(CLI::App* app, cli::CommandLine* line, std::vector<std::string> program);
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
