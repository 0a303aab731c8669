// nimbus journal stat | tail | verify
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "nimbus/journal/reader.h"
#include "nimbus/journal/verify.h"
#include "nimbus/schema/status.h"
#include "tools/cli/progress.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using schema::Json;

constexpr int64_t kFollowSliceMs = 250;  // between looks at Interrupted()

absl::StatusOr<int> PrintStat(const cli::CommandLine& line) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(const journal::Stat stat, journal->GetStat());
  if (line.json) {
    cli::PrintJson(Json::MakeObject({{"store", Json::String(journal->store())},
                                     {"journal", Json::String(stat.journal_id.ToString())},
                                     {"format", Json::Uint(stat.format)},
                                     {"records", Json::Uint(stat.records)},
                                     {"frames", Json::Uint(stat.frames)},
                                     {"root", Json::String(schema::ToHex(stat.root))},
                                     {"bytes_used", Json::Uint(stat.bytes_used)},
                                     {"bytes_free", Json::Uint(stat.bytes_free)},
                                     {"file_bytes", Json::Uint(stat.file_bytes)},
                                     {"frame_bytes", Json::Uint(stat.frame_bytes)},
                                     {"tile_bytes", Json::Uint(stat.tile_bytes)},
                                     {"entity_bytes", Json::Uint(stat.entity_bytes)}}));
    return cli::kHolds;
  }
  cli::Print(
      "store      {}\njournal    {} (format {})\nrecords    {} in {} frames\nroot       {}\n",
      journal->store(), stat.journal_id.ToString(), stat.format, stat.records, stat.frames,
      schema::ToHex(stat.root));
  cli::Print("size       {} used, {} free pages, {} file\n", cli::ShowBytes(stat.bytes_used),
             cli::ShowBytes(stat.bytes_free), cli::ShowBytes(stat.file_bytes));
  cli::Print("  frames   {}\n  tiles    {}\n  entities {}\n", cli::ShowBytes(stat.frame_bytes),
             cli::ShowBytes(stat.tile_bytes), cli::ShowBytes(stat.entity_bytes));
  return cli::kHolds;
}

void PrintRecord(const journal::RecordView& view, bool json) {
  if (json) {
    std::cout << cli::ToJson(view).Dump() << '\n';
    return;
  }
  const schema::fb::Envelope& envelope = view.envelope();
  const std::string step =
      envelope.ordinal() == 0 ? std::string() : fmt::format(" #{}", envelope.ordinal());
  std::cout << fmt::format("{:>8}  {}  {:<18} {:<9} {} v{}{}", view.sequence,
                           cli::ShowTime(envelope.time_us()),
                           schema::fb::EnumNameEvent(view.record->event_type()),
                           schema::fb::EnumNameEntityKind(envelope.stream_kind()),
                           schema::Uuid::FromFb(envelope.stream()).ToString(), envelope.version(),
                           step)
            << (envelope.body_size() == 0
                    ? std::string()
                    : fmt::format("  body {}", cli::ShowBytes(envelope.body_size())))
            << '\n';
}

struct TailOptions {
  uint64_t lines = 10;
  bool follow = false;
};

absl::StatusOr<int> Tail(const cli::CommandLine& line, const TailOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(uint64_t size, journal->Size());
  journal::Reader reader(*journal);
  reader.Seek(size - std::min(size, options.lines));
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, reader.Next());
    if (view != nullptr) {
      PrintRecord(*view, line.json);
      continue;
    }
    std::cout.flush();
    if (!options.follow) return cli::kHolds;
    if (cli::Interrupted()) return cli::InterruptedError();
    NIMBUS_ASSIGN_OR_RETURN(size, journal->WaitForMore(reader.position(), kFollowSliceMs));
  }
}

Json ReportJson(const journal::VerifyReport& report) {
  Json::Array findings;
  for (const journal::Finding& finding : report.findings) {
    findings.push_back(Json::MakeObject(
        {{"sequence", Json::Uint(finding.sequence)}, {"what", Json::String(finding.what)}}));
  }
  return Json::MakeObject({{"holds", Json::Bool(report.holds())},
                           {"records", Json::Uint(report.records)},
                           {"bodies", Json::Uint(report.bodies)},
                           {"absent", Json::Uint(report.absent)},
                           {"root", Json::String(schema::ToHex(report.root))},
                           {"findings", Json::MakeArray(std::move(findings))}});
}

absl::StatusOr<int> Verify(const cli::CommandLine& line) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  cli::Progress progress("verifying");
  journal::VerifyOptions options;
  options.progress = [&](uint64_t done, uint64_t total) { progress.Update(done, total); };
  NIMBUS_ASSIGN_OR_RETURN(const journal::VerifyReport report,
                          journal::VerifyJournal(*journal, options));
  if (line.json) {
    cli::PrintJson(ReportJson(report));
  } else if (report.holds()) {
    cli::Print(
        "{}: {} records, {} bodies; tree, commitments, streams and entities agree\nroot {}\n",
        cli::Paint(cli::Style::kGood, "holds", std::cout), report.records, report.bodies,
        schema::ToHex(report.root));
    if (report.absent > 0) {
      cli::Print("{} bodies are in archives that are not there, and were not checked\n",
                 report.absent);
    }
  } else {
    cli::Print("{} ({} of the journal's records checked)\n",
               cli::Paint(cli::Style::kBad, "proven wrong", std::cout), report.records);
    for (const journal::Finding& finding : report.findings) {
      cli::Print("  record {}: {}\n", finding.sequence, finding.what);
    }
  }
  if (!report.holds()) return cli::kProvenWrong;
  return report.absent == 0 ? cli::kHolds : cli::kNotEnoughEvidence;
}

}  // namespace

void AddJournalCommands(CLI::App* app, cli::CommandLine* line) {
  CLI::App* journal =
      app->add_subcommand("journal", "Read, verify, copy and keep the journal itself");
  journal->require_subcommand(1);
  cli::AddCommand(journal, line, "stat", "Show identity, size and Merkle root",
                  [line] { return PrintStat(*line); });

  auto options = std::make_shared<TailOptions>();
  CLI::App* tail = cli::AddCommand(journal, line, "tail", "Show the newest records",
                                   [line, options] { return Tail(*line, *options); });
  tail->add_option("-n,--lines", options->lines, "How many")
      ->transform(cli::IsCount())
      ->capture_default_str();
  tail->add_flag("-f,--follow", options->follow, "Go on as records are appended");

  cli::AddCommand(journal, line, "verify",
                  "Recompute tree, body commitments, sequences, stream versions, back-links and "
                  "entities from the stored bytes, trusting nothing (exit 1: proven wrong)",
                  [line] { return Verify(*line); });
  AddJournalUsageCommands(journal, line);
  AddJournalCompactCommands(journal, line);
  AddJournalPruneCommands(journal, line);
  AddJournalBackupCommands(journal, line);
  AddJournalRangeCommands(journal, line);
}

}  // namespace nimbus::tools
