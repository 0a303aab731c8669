// nimbus import FILE...
#include "tools/import/importer.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "nimbus/projections/builtins.h"
#include "nimbus/schema/status.h"
#include "tools/cli/progress.h"
#include "tools/cli/show.h"
#include "tools/import/format.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using schema::Json;

constexpr int kCompressionLevel = 9;

struct ImportCommand {
  std::vector<std::string> files;
  bool keep_going = false;
};

Json UintOrNull(const std::optional<uint64_t>& value) {
  return value.has_value() ? Json::Uint(*value) : Json();
}

Json IdsJson(const std::vector<schema::Uuid>& ids) {
  Json::Array items;
  for (const schema::Uuid& id : ids) items.push_back(Json::String(id.ToString()));
  return Json::MakeArray(std::move(items));
}

Json ReportJson(const std::string& file, const import::ImportReport& report) {
  const import::Counts& counts = report.counts;
  Json::Array gaps;
  for (const import::Gap& gap : report.gaps) {
    gaps.push_back(
        Json::MakeObject({{"line", Json::Uint(gap.line)}, {"reason", Json::String(gap.reason)}}));
  }
  Json::Array notes;
  for (const std::string& note : report.notes) notes.push_back(Json::String(note));
  return Json::MakeObject({{"file", Json::String(file)},
                           {"format", Json::String(report.format)},
                           {"source", Json::String(report.source.ToString())},
                           {"sessions", IdsJson(report.sessions)},
                           {"operations", IdsJson(report.operations)},
                           {"steps", Json::Uint(counts.steps)},
                           {"llm_calls", Json::Uint(counts.llm_calls)},
                           {"tool_calls", Json::Uint(counts.tool_calls)},
                           {"tool_results", Json::Uint(counts.tool_results)},
                           {"tool_errors", Json::Uint(counts.tool_errors)},
                           {"user_inputs", Json::Uint(counts.user_inputs)},
                           {"verifications", Json::Uint(counts.verifications)},
                           {"input_tokens", UintOrNull(counts.usage.input)},
                           {"output_tokens", UintOrNull(counts.usage.output)},
                           {"cache_read_tokens", UintOrNull(counts.usage.cache_read)},
                           {"cache_write_tokens", UintOrNull(counts.usage.cache_write)},
                           {"cost_microdollars", cli::JsonInt(counts.usage.cost_microdollars)},
                           {"records", Json::Uint(report.records)},
                           {"records_before", Json::Uint(report.records_before)},
                           {"events", Json::Uint(report.events)},
                           {"gaps", Json::MakeArray(std::move(gaps))},
                           {"notes", Json::MakeArray(std::move(notes))}});
}

std::string ShowCost(const std::optional<int64_t>& microdollars) {
  if (!microdollars.has_value()) return "-";
  return fmt::format("${:.4f}", static_cast<double>(*microdollars) / 1e6);
}

void PrintReport(const std::string& file, const import::ImportReport& report) {
  const import::Counts& counts = report.counts;
  const std::string outcome =
      report.events == 0 ? "all there already" : fmt::format("{} events appended", report.events);
  cli::Print("{}: {}, {} operation{}, {} steps ({} llm calls, {} tool calls, {} errors), {}; {}\n",
             file, report.format, counts.operations, counts.operations == 1 ? "" : "s",
             counts.steps, counts.llm_calls, counts.tool_calls, counts.tool_errors,
             ShowCost(counts.usage.cost_microdollars), outcome);
  for (const import::Gap& gap : report.gaps) {
    cli::Print("  {} line {}: {}\n", cli::Paint(cli::Style::kWarn, "left out", std::cout), gap.line,
               gap.reason);
  }
  for (const std::string& note : report.notes)
    cli::Print("  {} {}\n", cli::Paint(cli::Style::kWarn, "note:", std::cout),
               cli::OneLine(note, note.size()));
}

// Imports one file after the other. A file that can't be imported is reported
// and the next one tried; the command ends with the first such error. One that
// is interrupted is the last.
absl::StatusOr<int> Import(const cli::CommandLine& line, const ImportCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string store, cli::StorePath(line));
  // Made by init alone: a mistyped --store is not to become one.
  NIMBUS_RETURN_IF_ERROR(cli::OpenJournal(line).status());
  // An import waits for no one: what a higher level saves, it saves for good.
  NIMBUS_ASSIGN_OR_RETURN(const auto journal,
                          journal::Journal::Open(store, {.compression_level = kCompressionLevel}));
  NIMBUS_RETURN_IF_ERROR(projections::AppendBuiltins(journal.get()));
  absl::Status first_error;
  Json::Array reports;
  for (const std::string& file : command.files) {
    cli::Progress progress(file);
    import::ImportOptions options;
    options.source.keep_going = command.keep_going;
    options.progress = [&](uint64_t done, uint64_t total) { progress.Update(done, total); };
    options.stop = &cli::InterruptFlag();
    absl::StatusOr<import::ImportReport> report = import::ImportFile(*journal, file, options);
    if (!report.ok()) {
      cli::PrintError(report.status());
      const bool interrupted = absl::IsCancelled(report.status());
      if (first_error.ok() || interrupted) first_error = report.status();
      if (interrupted) break;
      continue;
    }
    if (line.json) {
      reports.push_back(ReportJson(file, *report));
    } else {
      PrintReport(file, *report);
    }
  }
  if (line.json) cli::PrintJson(Json::MakeArray(std::move(reports)));
  return cli::ExitCodeOf(first_error);
}

}  // namespace

void AddImportCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<ImportCommand>();
  CLI::App* add = cli::AddCommand(
      app, line, "import",
      fmt::format("Import recordings of other programs ({}); the format is detected",
                  import::FormatNames()),
      [line, command] { return Import(*line, *command); });
  add->add_option("FILE", command->files, "Recordings")->required()->type_name("FILE");
  add->add_flag("--keep-going", command->keep_going,
                "Leave out lines that are not JSON, and record the gap");
}

}  // namespace nimbus::tools
