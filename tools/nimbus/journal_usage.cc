// nimbus journal du
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "nimbus/journal/usage.h"
#include "nimbus/schema/status.h"
#include "tools/cli/progress.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using schema::Json;

Json StreamsJson(const std::vector<journal::StreamUsage>& streams) {
  Json::Array rows;
  for (const journal::StreamUsage& stream : streams) {
    rows.push_back(Json::MakeObject({{"id", Json::String(stream.id.ToString())},
                                     {"bodies", Json::Uint(stream.bodies)},
                                     {"plain_bytes", Json::Uint(stream.plain_bytes)},
                                     {"stored_bytes", Json::Uint(stream.stored_bytes)},
                                     {"excess_max", Json::Uint(stream.excess_max)}}));
  }
  return Json::MakeArray(std::move(rows));
}

Json UsageJson(const journal::Usage& usage) {
  Json::Array events;
  for (const journal::BodyUsage& event : usage.events) {
    events.push_back(
        Json::MakeObject({{"event", Json::String(schema::fb::EnumNameEvent(event.event))},
                          {"bodies", Json::Uint(event.bodies)},
                          {"plain_bytes", Json::Uint(event.plain_bytes)},
                          {"stored_bytes", Json::Uint(event.stored_bytes)}}));
  }
  return Json::MakeObject({{"records", Json::Uint(usage.records)},
                           {"bodies", Json::Uint(usage.bodies)},
                           {"record_bytes", Json::Uint(usage.record_bytes)},
                           {"body_bytes", Json::Uint(usage.body_bytes)},
                           {"stored_record_bytes", Json::Uint(usage.stored_record_bytes)},
                           {"stored_body_bytes", Json::Uint(usage.stored_body_bytes)},
                           {"file_bytes", Json::Uint(usage.file_bytes)},
                           {"frame_page_bytes", Json::Uint(usage.frame_page_bytes)},
                           {"chunk_page_bytes", Json::Uint(usage.chunk_page_bytes)},
                           {"tile_page_bytes", Json::Uint(usage.tile_page_bytes)},
                           {"entity_page_bytes", Json::Uint(usage.entity_page_bytes)},
                           {"free_bytes", Json::Uint(usage.free_bytes)},
                           {"log_bytes", Json::Uint(usage.log_bytes)},
                           {"view_bytes", Json::Uint(usage.view_bytes)},
                           {"archive_bytes", Json::Uint(usage.archive_bytes)},
                           {"other_bytes", Json::Uint(usage.other_bytes)},
                           {"reclaimable_bytes", Json::Uint(usage.reclaimable_bytes)},
                           {"events", Json::MakeArray(std::move(events))},
                           {"operations", StreamsJson(usage.operations)},
                           {"sessions", StreamsJson(usage.sessions)}});
}

cli::Table::Cell Number(uint64_t value) {
  return {fmt::format("{}", value), cli::Style::kPlain, true};
}

cli::Table::Cell Size(uint64_t bytes) {
  return {cli::IsTerminal(std::cout) ? cli::ShowBytes(bytes) : fmt::format("{}", bytes),
          cli::Style::kPlain, true};
}

void PrintStreams(const char* name, const std::vector<journal::StreamUsage>& streams) {
  if (streams.empty()) return;
  std::cout << '\n';
  cli::Table table({name, "BODIES", "PLAIN", "STORED", ""});
  for (const journal::StreamUsage& stream : streams) {
    table.Add(
        {{stream.id.ToString()},
         Number(stream.bodies),
         Size(stream.plain_bytes),
         Size(stream.stored_bytes),
         {stream.excess_max == 0 ? std::string()
                                 : fmt::format("or {} less", cli::ShowBytes(stream.excess_max))}});
  }
  table.Print(std::cout);
}

void PrintUsage(const journal::Usage& usage) {
  const auto row = [](const char* name, uint64_t bytes, const std::string& note = "") {
    cli::Print("{:<12}{:>11}{}{}\n", name, cli::ShowBytes(bytes), note.empty() ? "" : "  ", note);
  };
  row("journal", usage.file_bytes);
  row("  frames", usage.frame_page_bytes + usage.chunk_page_bytes);
  row("    records", usage.stored_record_bytes,
      fmt::format("{} of them, {} plain", usage.records, cli::ShowBytes(usage.record_bytes)));
  row("    bodies", usage.stored_body_bytes,
      fmt::format("{} of them, {} plain", usage.bodies, cli::ShowBytes(usage.body_bytes)));
  row("  tiles", usage.tile_page_bytes);
  row("  entities", usage.entity_page_bytes);
  row("  free", usage.free_bytes);
  row("log", usage.log_bytes);
  row("views", usage.view_bytes);
  row("archives", usage.archive_bytes);
  row("other", usage.other_bytes);
  row("reclaimable", usage.reclaimable_bytes, "by compaction, as estimated from a sample");
  std::cout << '\n';
  cli::Table table({"EVENT", "BODIES", "PLAIN", "STORED"});
  for (const journal::BodyUsage& event : usage.events) {
    table.Add({{schema::fb::EnumNameEvent(event.event)},
               Number(event.bodies),
               Size(event.plain_bytes),
               Size(event.stored_bytes)});
  }
  table.Print(std::cout);
  PrintStreams("OPERATION", usage.operations);
  PrintStreams("SESSION", usage.sessions);
}

absl::StatusOr<int> Du(const cli::CommandLine& line, uint64_t top) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  absl::StatusOr<journal::Usage> usage = absl::UnknownError("");
  {
    cli::Progress progress("measuring");
    usage = journal::MeasureUsage(*journal,
                                  {.top = top, .progress = [&](uint64_t done, uint64_t total) {
                                     progress.Update(done, total);
                                     return !cli::Interrupted();
                                   }});
  }
  NIMBUS_RETURN_IF_ERROR(usage.status());
  line.json ? cli::PrintJson(UsageJson(*usage)) : PrintUsage(*usage);
  return cli::kHolds;
}

}  // namespace

void AddJournalUsageCommands(CLI::App* journal, cli::CommandLine* line) {
  auto top = std::make_shared<uint64_t>(10);
  cli::AddCommand(journal, line, "du",
                  "Show where the bytes of the store are: records, bodies by event, tiles, "
                  "entities, free pages, log, views, archives; the operations and sessions with "
                  "the largest bodies; what compaction would give back",
                  [line, top] { return Du(*line, *top); })
      ->add_option("--top", *top, "How many operations and sessions")
      ->transform(cli::IsCount())
      ->capture_default_str()
      ->type_name("N");
}

}  // namespace nimbus::tools
