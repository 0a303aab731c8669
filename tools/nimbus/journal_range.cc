// nimbus journal export | import: ranges of records as files that prove themselves
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "nimbus/journal/range.h"
#include "nimbus/schema/status.h"
#include "tools/cli/output.h"
#include "tools/cli/progress.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

namespace fs = std::filesystem;
using schema::Error;
using schema::Json;
using Code = absl::StatusCode;

Json RangeJson(const journal::RangeInfo& range) {
  return Json::MakeObject({{"journal", Json::String(range.journal_id.ToString())},
                           {"from", Json::Uint(range.from)},
                           {"to", Json::Uint(range.to)},
                           {"root_from", Json::String(schema::ToHex(range.root_from))},
                           {"root_to", Json::String(schema::ToHex(range.root_to))},
                           {"bodies", Json::Uint(range.bodies)},
                           {"file_bytes", Json::Uint(range.file_bytes)}});
}

// Between two looks at it the work reports; so an interrupt ends it soon.
journal::ProgressFunction Watch(cli::Progress* progress) {
  return [progress](uint64_t done, uint64_t total) {
    progress->Update(done, total);
    return !cli::Interrupted();
  };
}

struct ExportCommand {
  uint64_t from = 0;
  std::optional<uint64_t> to;
  std::string file;
};

absl::StatusOr<journal::RangeInfo> WriteRange(const journal::Journal& journal,
                                              const ExportCommand& command, std::ostream* out,
                                              const std::string& name) {
  cli::Progress progress("exporting");
  const auto write = [&](std::span<const uint8_t> bytes) -> absl::Status {
    out->write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return *out ? absl::OkStatus() : Error(Code::kUnavailable, "{}: write failed", name);
  };
  return journal::ExportRange(
      journal, {.from = command.from, .to = command.to, .progress = Watch(&progress)}, write);
}

absl::StatusOr<int> Export(const cli::CommandLine& line, const ExportCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  absl::StatusOr<journal::RangeInfo> range;
  NIMBUS_RETURN_IF_ERROR(
      cli::WriteOutput(command.file, [&](std::ostream* out, const std::string& name) {
        range = WriteRange(*journal, command, out, name);
        return range.status();
      }));
  if (command.file == "-") return cli::kHolds;
  if (line.json) {
    cli::PrintJson(RangeJson(*range));
  } else {
    cli::Print("{}: records {} to {} of journal {}, {} bodies, {}\nroot {}\n", command.file,
               range->from, range->to, range->journal_id.ToString(), range->bodies,
               cli::ShowBytes(range->file_bytes), schema::ToHex(range->root_to));
  }
  return cli::kHolds;
}

struct ImportCommand {
  std::string file;
  bool check = false;
  std::string root;
};

absl::StatusOr<std::optional<schema::Digest>> ParseRoot(const std::string& hex) {
  if (hex.empty()) return std::optional<schema::Digest>();
  schema::Digest digest{};
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  const bool valid = hex.size() == 2 * digest.size() &&
                     hex.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (!valid) return Error(Code::kInvalidArgument, "'{}' is no root: it has 64 hex digits", hex);
  for (size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<uint8_t>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
  }
  return std::optional<schema::Digest>(digest);
}

absl::StatusOr<int> Check(const cli::CommandLine& line, const ImportCommand& command,
                          const std::optional<schema::Digest>& root) {
  cli::Progress progress("checking");
  NIMBUS_ASSIGN_OR_RETURN(
      const journal::RangeInfo range,
      journal::CheckRange(command.file, {.root_to = root, .progress = Watch(&progress)}));
  if (line.json) {
    Json report = RangeJson(range);
    report.Set("holds", Json::Bool(true));
    cli::PrintJson(report);
    return cli::kHolds;
  }
  cli::Print("{}: records {} to {} of journal {}, {} bodies; they extend the tree of {} records\n",
             cli::Paint(cli::Style::kGood, "holds", std::cout), range.from, range.to,
             range.journal_id.ToString(), range.bodies, range.from);
  if (range.from > 0) cli::Print("with root {}\n", schema::ToHex(range.root_from));
  cli::Print("root {}\n", schema::ToHex(range.root_to));
  return cli::kHolds;
}

// Where the store is that takes the range, or where it is made.
absl::StatusOr<std::string> TargetOf(const cli::CommandLine& line) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string store, cli::StorePath(line));
  std::error_code error;
  return fs::exists(fs::path(store) / "CURRENT", error) ? store : cli::NewStorePath(line);
}

absl::StatusOr<int> ImportInto(const cli::CommandLine& line, const ImportCommand& command,
                               const std::optional<schema::Digest>& root) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string store, TargetOf(line));
  cli::Progress progress("importing");
  NIMBUS_ASSIGN_OR_RETURN(
      const journal::ImportedRange imported,
      journal::ImportRange(command.file, store, {.root_to = root, .progress = Watch(&progress)}));
  if (line.json) {
    Json report = RangeJson(imported.range);
    report.Set("store", Json::String(store));
    report.Set("created", Json::Bool(imported.created));
    report.Set("held", Json::Uint(imported.held));
    report.Set("imported", Json::Uint(imported.imported));
    cli::PrintJson(report);
    return cli::kHolds;
  }
  cli::Print("{}{}: {} records imported, {} were there already\nroot {} at {}\n",
             imported.created ? "made " : "", store, imported.imported, imported.held,
             schema::ToHex(imported.range.root_to), imported.range.to);
  return cli::kHolds;
}

absl::StatusOr<int> Import(const cli::CommandLine& line, const ImportCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<schema::Digest> root, ParseRoot(command.root));
  const absl::StatusOr<int> done =
      command.check ? Check(line, command, root) : ImportInto(line, command, root);
  if (!absl::IsAborted(done.status())) return done;
  // The file is as it was written, and does not prove what it says, or says
  // something else than the store or the root given.
  cli::PrintError(schema::Annotate(done.status(), command.file + ": proven wrong"));
  return cli::kProvenWrong;
}

}  // namespace

void AddJournalRangeCommands(CLI::App* journal, cli::CommandLine* line) {
  auto exported = std::make_shared<ExportCommand>();
  CLI::App* add = cli::AddCommand(
      journal, line, "export",
      "Write a range of records, with their bodies, to one file that proves itself: for "
      "incremental backups, replicas, evidence. (What was imported from another program is "
      "written by 'nimbus export'.)",
      [line, exported] { return Export(*line, *exported); });
  add->add_option("--from", exported->from, "First record")
      ->transform(cli::IsCount())
      ->capture_default_str()
      ->type_name("N");
  add->add_option("--to", exported->to, "Record after the last (default: the end of the journal)")
      ->transform(cli::IsCount())
      ->type_name("M");
  add->add_option("FILE", exported->file, "File to write; - for standard output")
      ->required()
      ->type_name("FILE");

  auto imported = std::make_shared<ImportCommand>();
  add = cli::AddCommand(
      journal, line, "import",
      "Check such a file and append its records as they are, at the same places: to the store "
      "they continue, or to a new one if they begin at 0. What the store holds of them already "
      "is compared and left. Exit 1: the file or the store is proven wrong. (Recordings of other "
      "programs are imported by 'nimbus import'.)",
      [line, imported] { return Import(*line, *imported); });
  add->add_option("FILE", imported->file, "File that 'nimbus journal export' wrote")
      ->required()
      ->type_name("FILE");
  add->add_flag("--check", imported->check, "Check the file alone; import nothing");
  add->add_option("--root", imported->root, "The root at its end, known from elsewhere")
      ->type_name("HEX");
}

}  // namespace nimbus::tools
