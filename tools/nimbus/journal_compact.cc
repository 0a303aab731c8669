// nimbus journal compact
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "nimbus/journal/compact.h"
#include "nimbus/schema/status.h"
#include "tools/cli/progress.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using schema::Json;

absl::StatusOr<int> Compact(const cli::CommandLine& line) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournalToWrite(line));
  absl::StatusOr<journal::CompactReport> report = absl::UnknownError("");
  {
    cli::Progress progress("compacting");
    report =
        journal::CompactJournal(journal.get(), {.progress = [&](uint64_t done, uint64_t total) {
                                  progress.Update(done, total);
                                  return !cli::Interrupted();
                                }});
  }
  NIMBUS_RETURN_IF_ERROR(report.status());
  if (line.json) {
    cli::PrintJson(Json::MakeObject({{"store", Json::String(journal->store())},
                                     {"records", Json::Uint(report->records)},
                                     {"generation", Json::Uint(report->generation)},
                                     {"bytes_before", Json::Uint(report->bytes_before)},
                                     {"bytes_after", Json::Uint(report->bytes_after)},
                                     {"old_removed", Json::Bool(report->old_removed)}}));
    return cli::kHolds;
  }
  cli::Print("{} records, {} before, {} now (generation {}){}\n", report->records,
             cli::ShowBytes(report->bytes_before), cli::ShowBytes(report->bytes_after),
             report->generation,
             report->old_removed ? "" : "; the old files go when nobody has them open any more");
  return cli::kHolds;
}

}  // namespace

void AddJournalCompactCommands(CLI::App* journal, cli::CommandLine* line) {
  cli::AddCommand(journal, line, "compact",
                  "Write the journal anew, packed well, and put that in its place; who reads or "
                  "writes it goes on. Needs room for both meanwhile",
                  [line] { return Compact(*line); });
}

}  // namespace nimbus::tools
