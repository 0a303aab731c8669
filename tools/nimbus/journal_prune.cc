// nimbus journal prune
#include "nimbus/journal/prune.h"

#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <memory>
#include <string>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/status.h"
#include "tools/cli/progress.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using schema::Json;

struct PruneCommand {
  std::string before;
  bool yes = false;
};

std::optional<uint64_t> ParseSequence(const std::string& text) {
  uint64_t sequence = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, sequence);
  return error == std::errc() && rest == end ? std::optional(sequence) : std::nullopt;
}

// A date alone is its beginning.
std::optional<int64_t> ParseTime(const std::string& text) {
  const std::optional<int64_t> time = schema::ParseUtc(text);
  return time.has_value() ? time : schema::ParseUtc(text + "T00:00:00Z");
}

void Print(const journal::PruneReport& report, bool applied) {
  cli::Print("{} {} bodies, {} plain, of {} operations\n", applied ? "moved" : "would move",
             report.bodies, cli::ShowBytes(report.plain_bytes), report.operations);
  if (report.running > 0) cli::Print("left: {} operations that are not over\n", report.running);
  if (report.referred > 0) {
    cli::Print("left: {} operations that others, which stay, name as their parent\n",
               report.referred);
  }
  if (!applied) {
    cli::Print("nothing was changed; --yes does it\n");
  } else if (!report.archive.empty()) {
    cli::Print("archive {}, {}\njournal {} before, {} now\n", report.archive,
               cli::ShowBytes(report.archive_bytes), cli::ShowBytes(report.bytes_before),
               cli::ShowBytes(report.bytes_after));
  }
}

absl::StatusOr<int> Prune(const cli::CommandLine& line, const PruneCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal,
                          command.yes ? cli::OpenJournalToWrite(line) : cli::OpenJournal(line));
  absl::StatusOr<journal::PruneReport> report = absl::UnknownError("");
  {
    cli::Progress progress(command.yes ? "pruning" : "looking");
    journal::PruneOptions options{.apply = command.yes};
    options.before_sequence = ParseSequence(command.before);
    if (!options.before_sequence.has_value()) options.before_us = ParseTime(command.before);
    options.progress = [&](uint64_t done, uint64_t total) {
      progress.Update(done, total);
      return !cli::Interrupted();
    };
    report = journal::PruneJournal(journal.get(), options);
  }
  NIMBUS_RETURN_IF_ERROR(report.status());
  if (!line.json) {
    Print(*report, command.yes);
    return cli::kHolds;
  }
  cli::PrintJson(Json::MakeObject({{"applied", Json::Bool(command.yes)},
                                   {"operations", Json::Uint(report->operations)},
                                   {"running", Json::Uint(report->running)},
                                   {"referred", Json::Uint(report->referred)},
                                   {"bodies", Json::Uint(report->bodies)},
                                   {"plain_bytes", Json::Uint(report->plain_bytes)},
                                   {"archive", Json::String(report->archive)},
                                   {"archive_bytes", Json::Uint(report->archive_bytes)},
                                   {"bytes_before", Json::Uint(report->bytes_before)},
                                   {"bytes_after", Json::Uint(report->bytes_after)}}));
  return cli::kHolds;
}

}  // namespace

void AddJournalPruneCommands(CLI::App* journal, cli::CommandLine* line) {
  auto command = std::make_shared<PruneCommand>();
  CLI::App* add = cli::AddCommand(
      journal, line, "prune",
      "Say which bodies of operations that ended before a moment would be moved to an archive in "
      "STORE/archives; with --yes, move them and compact the journal. Records and proofs stay, and "
      "reading and replay go on as long as the archive is there",
      [line, command] { return Prune(*line, *command); });
  const auto is_moment = [](const std::string& text) {
    const bool valid = ParseSequence(text).has_value() || ParseTime(text).has_value();
    return valid ? std::string() : "'" + text + "' is no sequence, date or ISO 8601 time";
  };
  add->add_option(
         "--before", command->before,
         "Sequence of a record, a date, or an ISO 8601 time (UTC unless it says otherwise)")
      ->required()
      ->check(CLI::Validator(is_moment, "", "moment"))
      ->type_name("WHEN");
  add->add_flag("--yes", command->yes, "Do it");
}

}  // namespace nimbus::tools
