// nimbus journal backup | restore
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <string>

#include "nimbus/journal/backup.h"
#include "nimbus/journal/verify.h"
#include "nimbus/schema/status.h"
#include "tools/cli/progress.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using schema::Error;
using schema::Json;
using Code = absl::StatusCode;

struct CopyCommand {
  std::string from;  // of a restore: the backup
  std::string to;
  bool verify = false;
};

// Reads the copy back from its files, as `journal verify` does.
absl::Status VerifyCopy(const std::string& store, const journal::BackupReport& copy) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal,
                          journal::Journal::Open(store, {.create = false, .read_only = true}));
  cli::Progress progress("verifying");
  journal::VerifyOptions options;
  options.progress = [&](uint64_t done, uint64_t total) { progress.Update(done, total); };
  NIMBUS_ASSIGN_OR_RETURN(const journal::VerifyReport report,
                          journal::VerifyJournal(*journal, options));
  if (!report.holds()) {
    return Error(Code::kAborted, "{}: record {}: {}", store, report.findings.front().sequence,
                 report.findings.front().what);
  }
  if (report.root == copy.root) return absl::OkStatus();
  return Error(Code::kAborted, "{}: its root is {}", store, schema::ToHex(report.root));
}

absl::StatusOr<int> Copy(const cli::CommandLine& line, const journal::Journal& journal,
                         const CopyCommand& command) {
  absl::StatusOr<journal::BackupReport> report = absl::UnknownError("");
  {
    cli::Progress progress("copying");
    report = journal::BackupJournal(journal, command.to,
                                    {.progress = [&](uint64_t done, uint64_t total) {
                                      progress.Update(done, total);
                                      return !cli::Interrupted();
                                    }});
  }
  NIMBUS_RETURN_IF_ERROR(report.status());
  if (command.verify) {
    const absl::Status verified = VerifyCopy(command.to, *report);
    if (absl::IsAborted(verified)) {
      cli::PrintError(schema::Annotate(verified, "proven wrong"));
      return cli::kProvenWrong;
    }
    NIMBUS_RETURN_IF_ERROR(verified);
  }
  if (line.json) {
    cli::PrintJson(Json::MakeObject({{"store", Json::String(command.to)},
                                     {"journal", Json::String(journal.id().ToString())},
                                     {"records", Json::Uint(report->records)},
                                     {"bodies", Json::Uint(report->bodies)},
                                     {"root", Json::String(schema::ToHex(report->root))},
                                     {"bytes", Json::Uint(report->bytes)},
                                     {"verified", Json::Bool(command.verify)}}));
    return cli::kHolds;
  }
  cli::Print("{}: {} records, {} bodies, {}{}\nroot {}\n", command.to, report->records,
             report->bodies, cli::ShowBytes(report->bytes),
             command.verify ? "; read back and verified" : "", schema::ToHex(report->root));
  return cli::kHolds;
}

absl::StatusOr<int> Backup(const cli::CommandLine& line, const CopyCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  return Copy(line, *journal, command);
}

absl::StatusOr<int> Restore(const cli::CommandLine& line, CopyCommand command) {
  if (command.to.empty()) command.to = cli::NewStorePath(line);
  NIMBUS_ASSIGN_OR_RETURN(
      const auto backup,
      journal::Journal::Open(command.from, {.create = false, .read_only = true}));
  return Copy(line, *backup, command);
}

}  // namespace

void AddJournalBackupCommands(CLI::App* journal, cli::CommandLine* line) {
  auto backup = std::make_shared<CopyCommand>();
  CLI::App* add = cli::AddCommand(
      journal, line, "backup",
      "Copy the journal, which may be in use, as of one moment into a new store of its own. Every "
      "body is checked against its record's commitment, and the records against the root. Views "
      "are not copied: they follow from the journal. What was cut off may be run again",
      [line, backup] { return Backup(*line, *backup); });
  add->add_option("DIR", backup->to, "Directory to make; never one that holds a store")
      ->required()
      ->type_name("DIR");
  add->add_flag("--verify", backup->verify, "Read the copy back from its files and verify it");

  auto restore = std::make_shared<CopyCommand>();
  add = cli::AddCommand(journal, line, "restore",
                        "Make a store of a backup; the backup stays as it is. Never writes over a "
                        "store that is there",
                        [line, restore] { return Restore(*line, *restore); });
  add->add_option("BACKUP", restore->from, "Directory that 'nimbus journal backup' made")
      ->required()
      ->type_name("BACKUP");
  add->add_option("DIR", restore->to,
                  "Store to make (default: --store, else $NIMBUS_STORE, else .nimbus)")
      ->type_name("DIR");
  add->add_flag("--verify", restore->verify, "Read the store back from its files and verify it");
}

}  // namespace nimbus::tools
