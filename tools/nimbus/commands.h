// The commands of `nimbus`, one file per noun. Each function adds its commands
// to the program; what a command does is in its file.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "tools/cli/command_line.h"

namespace nimbus::tools {

void AddInitCommand(CLI::App* app, cli::CommandLine* line);
void AddImportCommand(CLI::App* app, cli::CommandLine* line);
void AddExportCommand(CLI::App* app, cli::CommandLine* line);
void AddRecordCommand(CLI::App* app, cli::CommandLine* line);
void AddHistoryCommands(CLI::App* app, cli::CommandLine* line);
void AddSessionCommands(CLI::App* app, cli::CommandLine* line);
void AddPersonaCommands(CLI::App* app, cli::CommandLine* line);
void AddConfigCommands(CLI::App* app, cli::CommandLine* line);
void AddJournalCommands(CLI::App* app, cli::CommandLine* line);
void AddCredentialCommands(CLI::App* app, cli::CommandLine* line);
void AddDbCommands(CLI::App* app, cli::CommandLine* line);
// `nimbus session list`, and the same as `nimbus history sessions`.
void AddSessionListing(CLI::App* noun, cli::CommandLine* line, const std::string& name);
// Below `nimbus config`.
void AddConfigProfileCommands(CLI::App* config, cli::CommandLine* line);
void AddConfigEnvironmentCommands(CLI::App* config, cli::CommandLine* line);
// Below `nimbus credential`.
void AddCredentialProfileCommands(CLI::App* credential, cli::CommandLine* line);
// Below `nimbus db`.
void AddDbSqlCommand(CLI::App* db, cli::CommandLine* line);
// Below `nimbus history`.
void AddHistorySearchCommand(CLI::App* history, cli::CommandLine* line);
// Below `nimbus journal`.
void AddJournalBackupCommands(CLI::App* journal, cli::CommandLine* line);
void AddJournalCompactCommands(CLI::App* journal, cli::CommandLine* line);
void AddJournalPruneCommands(CLI::App* journal, cli::CommandLine* line);
void AddJournalRangeCommands(CLI::App* journal, cli::CommandLine* line);
void AddJournalUsageCommands(CLI::App* journal, cli::CommandLine* line);
void AddPluginCommands(CLI::App* app, cli::CommandLine* line);
// Below `nimbus plugin`.
void AddPluginInstallCommands(CLI::App* plugin, cli::CommandLine* line);
void AddPluginHooksCommands(CLI::App* plugin, cli::CommandLine* line);
void AddPluginRegistryCommands(CLI::App* plugin, cli::CommandLine* line);

}  // namespace nimbus::tools
