// The commands of `nimbus`, one file per noun. Each function adds its commands
// to the program; what a command does is in its file.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/cli/command_line.h"

namespace nimbus::tools {

void AddInitCommand(CLI::App* app, cli::CommandLine* line);
void AddImportCommand(CLI::App* app, cli::CommandLine* line);
void AddExportCommand(CLI::App* app, cli::CommandLine* line);
void AddHistoryCommands(CLI::App* app, cli::CommandLine* line);
void AddJournalCommands(CLI::App* app, cli::CommandLine* line);
void AddCredentialCommands(CLI::App* app, cli::CommandLine* line);
void AddCredentialProfileCommands(CLI::App* credential, cli::CommandLine* line);
void AddDbCommands(CLI::App* app, cli::CommandLine* line);
void AddDbSqlCommand(CLI::App* db, cli::CommandLine* line);
// Below `nimbus journal`.
void AddJournalBackupCommands(CLI::App* journal, cli::CommandLine* line);
void AddJournalCompactCommands(CLI::App* journal, cli::CommandLine* line);
void AddJournalPruneCommands(CLI::App* journal, cli::CommandLine* line);
void AddJournalRangeCommands(CLI::App* journal, cli::CommandLine* line);
void AddJournalUsageCommands(CLI::App* journal, cli::CommandLine* line);

}  // namespace nimbus::tools
