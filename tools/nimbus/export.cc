// nimbus export: what was imported, as it was.
#include "tools/import/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>

#include "nimbus/schema/status.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/import/archive.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

namespace fs = std::filesystem;
using schema::Error;
using schema::Json;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

struct ExportCommand {
  std::string id;
  std::string format = "original";
  std::string output;
  bool list = false;
};

absl::StatusOr<int> List(const cli::CommandLine& line, const journal::Journal& journal) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<import::SourceInfo> sources,
                          import::ListSources(journal));
  Json::Array rows;
  cli::Table table({"SOURCE", "FORMAT", "RECORDS", "OPERATIONS", "IMPORT", "KEY"});
  for (const import::SourceInfo& source : sources) {
    rows.push_back(Json::MakeObject({{"id", Json::String(source.id.ToString())},
                                     {"format", Json::String(source.format)},
                                     {"key", Json::String(source.key)},
                                     {"records", Json::Uint(source.records)},
                                     {"operations", Json::Uint(source.operations.size())},
                                     {"finished", Json::Bool(source.finished)}}));
    table.Add({{source.id.ToString()},
               {source.format},
               {fmt::format("{}", source.records), cli::Style::kPlain, true},
               {fmt::format("{}", source.operations.size()), cli::Style::kPlain, true},
               {source.finished ? "finished" : "unfinished",
                source.finished ? cli::Style::kPlain : cli::Style::kWarn},
               {source.key}});
  }
  if (line.json) {
    cli::PrintJson(Json::MakeArray(std::move(rows)));
  } else {
    table.Print(std::cout);
  }
  return cli::kHolds;
}

// A source by its own id, or by that of an operation it tells of.
absl::StatusOr<schema::Uuid> SelectSource(const journal::Journal& journal, const std::string& id) {
  absl::StatusOr<schema::Uuid> source = cli::SelectEntity(journal, EntityKind::source, id);
  if (source.ok() || !absl::IsNotFound(source.status())) return source;
  const absl::StatusOr<schema::Uuid> operation =
      cli::SelectEntity(journal, EntityKind::operation, id);
  if (!operation.ok()) {
    return Error(Code::kNotFound, "no source and no operation '{}'; see 'nimbus export --list'",
                 id);
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<import::SourceInfo> sources,
                          import::ListSources(journal));
  std::string candidates;
  for (const import::SourceInfo& info : sources) {
    if (std::find(info.operations.begin(), info.operations.end(), *operation) ==
        info.operations.end()) {
      continue;
    }
    source = info.id;
    candidates += "\n  " + info.id.ToString();
  }
  if (candidates.empty()) {
    return Error(Code::kNotFound, "operation {} was not imported", operation->ToString());
  }
  if (candidates.find('\n', 1) != std::string::npos) {
    return Error(Code::kNotFound, "several sources tell of operation {}:{}", operation->ToString(),
                 candidates);
  }
  return source;
}

absl::Status WriteRecords(const journal::Journal& journal, const schema::Uuid& source,
                          std::ostream* out, const std::string& name) {
  const auto write = [&](uint64_t, std::string_view text) -> absl::Status {
    if (cli::Interrupted()) return cli::InterruptedError();
    *out << text;
    if (!import::IsArchive(text)) *out << '\n';
    if (!*out) return Error(Code::kUnavailable, "{}: write failed", name);
    return absl::OkStatus();
  };
  NIMBUS_RETURN_IF_ERROR(import::ExportOriginal(journal, source, write).status());
  out->flush();
  return *out ? absl::OkStatus() : Error(Code::kUnavailable, "{}: write failed", name);
}

absl::StatusOr<int> Export(const cli::CommandLine& line, const ExportCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  if (command.list) return List(line, *journal);
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid source, SelectSource(*journal, command.id));
  if (command.output.empty() || command.output == "-") {
    NIMBUS_RETURN_IF_ERROR(WriteRecords(*journal, source, &std::cout, "standard output"));
    return cli::kHolds;
  }
  // A file is written beside itself first: an export that fails leaves what was
  // there. What is no file, as a pipe or a device, is written as it is.
  std::error_code error;
  const fs::file_status target = fs::status(command.output, error);
  const bool replace = !fs::exists(target) || fs::is_regular_file(target);
  const std::string written = command.output + (replace ? ".new" : "");
  {
    std::ofstream file(written, std::ios::binary | std::ios::trunc);
    if (!file) return Error(Code::kUnavailable, "{}: can't be written", written);
    NIMBUS_RETURN_IF_ERROR(WriteRecords(*journal, source, &file, written));
  }
  if (replace) fs::rename(written, command.output, error);
  if (replace && error) {
    return Error(Code::kUnavailable, "{}: {}", command.output, error.message());
  }
  return cli::kHolds;
}

}  // namespace

void AddExportCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<ExportCommand>();
  CLI::App* add =
      app->add_subcommand("export", "Write the records of an imported source as they were");
  CLI::Option* id = add->add_option("ID", command->id,
                                    "Source, or an operation it tells of: id, its beginning, @, …");
  CLI::Option* list = add->add_flag("--list", command->list, "List the sources instead");
  id->excludes(list);
  add->add_option("--format", command->format, "original: the source's own records")
      ->check(CLI::IsMember({"original"}))
      ->capture_default_str();
  add->add_option("-o,--output", command->output, "File to write instead of standard output")
      ->type_name("FILE");
  add->callback([line, command, id, list] {
    if (id->count() + list->count() == 0) throw CLI::RequiredError("ID or --list");
    line->command = [line, command] { return Export(*line, *command); };
  });
}

}  // namespace nimbus::tools
