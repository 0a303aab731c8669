// What the commands of both programs share: the options every command takes, the
// store they lead to, and how a result becomes an exit code.
//
//   CommandLine line;
//   CLI::App app{"…", "nimbus"};
//   AddGlobalOptions(&app, &line);
//   AddHistoryCommands(&app, &line);      // each sets line.command when it is chosen
//   return RunProgram(&app, &line, argc, argv);
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/projections/database.h"
#include "tools/cli/man.h"

namespace nimbus::tools::cli {

enum ExitCode : int {
  kHolds = 0,
  kProvenWrong = 1,
  kNotEnoughEvidence = 2,
  kUsage = 64,
  kBadData = 65,
  kNotFound = 66,
  kIoError = 74,
  kInterrupted = 130,
};

// The exit code of a command that ended with `status`.
int ExitCodeOf(const absl::Status& status);

struct CommandLine {
  std::string store;  // --store; empty when not given
  bool json = false;
  std::string color = "auto";
  std::function<absl::StatusOr<int>()> command;
};

void AddGlobalOptions(CLI::App* app, CommandLine* line);

// Adds a command that runs `body`. `app` and `line` outlive the parse.
CLI::App* AddCommand(CLI::App* app, CommandLine* line, const std::string& name,
                     const std::string& description, std::function<absl::StatusOr<int>()> body);

// The same for a command with values of its own, which its options fill in before `body`
// gets them. They live as long as the command.
template <typename Values>
std::pair<CLI::App*, std::shared_ptr<Values>> AddCommand(
    CLI::App* app, CommandLine* line, const std::string& name, const std::string& description,
    absl::StatusOr<int> (*body)(const CommandLine&, const Values&)) {
  auto values = std::make_shared<Values>();
  CLI::App* command = AddCommand(app, line, name, description,
                                 [line, values, body] { return body(*line, *values); });
  return {command, std::move(values)};
}

// To transform() an option that counts: accepts decimal digits alone, of a number
// that fits 64 bits. CLI11 by itself takes -1 for 2^64 - 1, and 010 for 8.
CLI::Validator IsCount();

// Which rows of a listing: --limit and --offset.
struct Page {
  std::optional<uint64_t> limit;  // else the preference history.max_entries
  uint64_t offset = 0;
};
void AddPageOptions(CLI::App* command, Page* page);

// --reason, of a command that destroys: what the journal keeps of why.
void AddReasonOption(CLI::App* command, std::string* reason);

// Parses, runs the command chosen, prints its error to standard error.
int RunProgram(CLI::App* app, CommandLine* line, int argc, char** argv);

// The store to use: --store, else $NIMBUS_STORE, else the nearest .nimbus in this
// directory or one above, else $XDG_DATA_HOME/nimbus (~/.local/share/nimbus).
// FailedPrecondition when none of them can be named.
absl::StatusOr<std::string> StorePath(const CommandLine& line);

// Where `nimbus init` makes a store: --store, else $NIMBUS_STORE, else ./.nimbus.
std::string NewStorePath(const CommandLine& line);

// The store's journal to read. NotFound says how to make a store.
absl::StatusOr<std::unique_ptr<journal::Journal>> OpenJournal(const CommandLine& line);

// The same to write; makes no store.
absl::StatusOr<std::unique_ptr<journal::Journal>> OpenJournalToWrite(const CommandLine& line);

// The store's journal and views, to read, caught up with the journal; shows
// progress meanwhile.
absl::StatusOr<std::unique_ptr<projections::Database>> OpenDatabase(const CommandLine& line);

// The same to write; makes no store.
absl::StatusOr<std::unique_ptr<projections::Database>> OpenDatabaseToWrite(const CommandLine& line);

// Waits until the views show what was written, so that the next command sees it.
absl::Status AwaitViews(projections::Database& database, const projections::Written& written);

// To look at the views as they are, stale or not: brings nothing up to date.
absl::StatusOr<std::unique_ptr<projections::Database>> OpenDatabaseAsIs(const CommandLine& line);

// What the man pages of both programs say beside their commands: the store, exit
// codes, environment.
std::vector<ManSection> CommonManSections();

// Prints "program: message" to standard error.
void PrintError(const absl::Status& status);

// True from the first SIGINT or SIGTERM on (a second one ends the process).
bool Interrupted();
const std::atomic<bool>& InterruptFlag();

// After an interrupt from the keyboard (SIGINT): as if there had been none, and true.
bool ForgetInterrupt();

// Cancelled, as a command returns it when it was interrupted.
absl::Status InterruptedError();

}  // namespace nimbus::tools::cli
