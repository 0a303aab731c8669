// nimbus export: what was imported, as it was; any operation or session in the
// formats that other programs read.
#include "tools/import/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>

#include "nimbus/schema/status.h"
#include "tools/cli/output.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/import/archive.h"
#include "tools/import/atif.h"
#include "tools/import/journaled.h"
#include "tools/import/otlp_export.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using schema::Error;
using schema::Json;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

struct ExportCommand {
  std::string id;
  std::string format = "original";
  std::string output = "-";
  bool list = false;
  bool content = false;
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

// The session of an operation; nil when there is no such one.
absl::StatusOr<schema::Uuid> SessionOf(const journal::Journal& journal,
                                       const schema::Uuid& operation) {
  NIMBUS_ASSIGN_OR_RETURN(const auto entity, journal.FindEntity(EntityKind::operation, operation));
  return entity.has_value() ? entity->parent : schema::Uuid();
}

// The sources that tell of an operation: those with records about it or, as one
// record may be about several, about others of its session.
absl::StatusOr<std::vector<schema::Uuid>> SourcesOf(const journal::Journal& journal,
                                                    const schema::Uuid& operation) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<import::SourceInfo> sources,
                          import::ListSources(journal));
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid session, SessionOf(journal, operation));
  std::vector<schema::Uuid> about, beside;
  for (const import::SourceInfo& info : sources) {
    bool same = false, sibling = false;
    for (const schema::Uuid& other : info.operations) {
      NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid parent, SessionOf(journal, other));
      same = same || other == operation;
      sibling = sibling || parent == session;
    }
    if (same) about.push_back(info.id);
    if (sibling) beside.push_back(info.id);
  }
  return about.empty() ? beside : about;
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
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<schema::Uuid> sources, SourcesOf(journal, *operation));
  if (sources.empty()) {
    return Error(Code::kNotFound, "operation {} was not imported", operation->ToString());
  }
  if (sources.size() == 1) return sources.front();
  std::string candidates;
  for (const schema::Uuid& candidate : sources) candidates += "\n  " + candidate.ToString();
  return Error(Code::kNotFound, "several sources tell of operation {}:{}", operation->ToString(),
               candidates);
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
  return import::ExportOriginal(journal, source, write).status();
}

// The session of an operation, with it alone, or a session with all of its own.
absl::StatusOr<import::Session> ReadSelected(const journal::Journal& journal,
                                             const std::string& id) {
  const absl::StatusOr<schema::Uuid> operation =
      cli::SelectEntity(journal, EntityKind::operation, id);
  const absl::StatusOr<schema::Uuid> session = cli::SelectEntity(journal, EntityKind::session, id);
  const bool relative = id.starts_with('@');  // of operations, as everywhere
  if (operation.ok() && session.ok() && !relative) {
    return Error(Code::kNotFound, "'{}' is the beginning of operation {} and of session {}", id,
                 operation->ToString(), session->ToString());
  }
  if (operation.ok()) return import::ReadJournaledOperation(journal, *operation);
  if (session.ok()) return import::ReadJournaledSession(journal, *session);
  return Error(Code::kNotFound, "no operation and no session '{}'; see 'nimbus history list'", id);
}

absl::Status WriteConverted(const import::Session& session, const ExportCommand& command,
                            std::ostream* out) {
  if (command.format == "otlp") {
    // As the collector's file exporter writes it: one object a line.
    *out << import::WriteOtlp(session, {.content = command.content}).Dump() << '\n';
    return absl::OkStatus();
  }
  import::AtifParts parts{session.source_id, session, session.operations};
  if (parts.operations.size() == 1) parts.session_id = parts.operations.front().source_id;
  *out << import::WriteAtif(parts).DumpPretty() << '\n';
  return absl::OkStatus();
}

absl::StatusOr<int> Export(const cli::CommandLine& line, const ExportCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  if (command.list) return List(line, *journal);
  if (command.format == "original") {
    NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid source, SelectSource(*journal, command.id));
    NIMBUS_RETURN_IF_ERROR(
        cli::WriteOutput(command.output, [&](std::ostream* out, const std::string& name) {
          return WriteRecords(*journal, source, out, name);
        }));
    return cli::kHolds;
  }
  NIMBUS_ASSIGN_OR_RETURN(const import::Session session, ReadSelected(*journal, command.id));
  NIMBUS_RETURN_IF_ERROR(
      cli::WriteOutput(command.output, [&](std::ostream* out, const std::string&) {
        return WriteConverted(session, command, out);
      }));
  return cli::kHolds;
}

}  // namespace

void AddExportCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<ExportCommand>();
  CLI::App* add = app->add_subcommand(
      "export", "Write an imported source as it was, or an operation or session as ATIF or OTLP");
  CLI::Option* id = add->add_option(
      "ID", command->id,
      "Operation, with another format also a session, with original also a source: id, its "
      "beginning, @, …");
  CLI::Option* list = add->add_flag("--list", command->list, "List the sources instead");
  id->excludes(list);
  add->add_option("--format", command->format,
                  "original: the source's own records; atif: an ATIF trajectory; otlp: an "
                  "OTLP/JSON trace with the GenAI conventions")
      ->check(CLI::IsMember({"original", "atif", "otlp"}))
      ->capture_default_str();
  add->add_flag("--content", command->content,
                "With otlp: messages, arguments and results as well, which may be private");
  add->add_option("-o,--output", command->output, "File to write instead of standard output")
      ->type_name("FILE");
  add->callback([line, command, id, list] {
    if (id->count() + list->count() == 0) throw CLI::RequiredError("ID or --list");
    if (command->content && command->format != "otlp")
      throw CLI::ValidationError("--content", "is of --format otlp");
    line->command = [line, command] { return Export(*line, *command); };
  });
}

}  // namespace nimbus::tools
