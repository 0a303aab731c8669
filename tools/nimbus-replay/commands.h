// The commands of `nimbus-replay`: each reads the journal and never SQLite.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/cli/command_line.h"

namespace nimbus::tools {

void AddRunCommand(CLI::App* app, cli::CommandLine* line);
void AddExecCommand(CLI::App* app, cli::CommandLine* line);
void AddStateCommand(CLI::App* app, cli::CommandLine* line);
void AddListCommand(CLI::App* app, cli::CommandLine* line);

}  // namespace nimbus::tools
