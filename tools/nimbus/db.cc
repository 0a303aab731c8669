// nimbus db status | migrate | rebuild | verify
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "nimbus/projections/database.h"
#include "nimbus/schema/status.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using projections::Database;
using schema::Json;

constexpr uint64_t kQuarantinedShown = 10;

Json ToJson(const std::vector<projections::TableDigest>& tables) {
  Json::Array rows;
  for (const projections::TableDigest& table : tables) {
    rows.push_back(Json::MakeObject({{"table", Json::String(table.table)},
                                     {"rows", Json::Uint(table.rows)},
                                     {"digest", Json::String(schema::ToHex(table.digest))}}));
  }
  return Json::MakeArray(std::move(rows));
}

Json ToJson(const std::optional<projections::TableDifference>& difference) {
  if (!difference) return Json();
  return Json::MakeObject({{"table", Json::String(difference->table)},
                           {"row", Json::String(difference->row)},
                           {"what", Json::String(difference->what)}});
}

void PrintDigests(const std::vector<projections::TableDigest>& tables) {
  cli::Table table({"TABLE", "ROWS", "BLAKE2B"});
  for (const projections::TableDigest& digest : tables) {
    table.Add({{digest.table},
               {fmt::format("{}", digest.rows), cli::Style::kPlain, true},
               {schema::ToHex(digest.digest)}});
  }
  table.Print(std::cout);
}

Json ToJson(const projections::ViewsReport& report, bool checked,
            const std::vector<projections::Quarantined>& quarantine) {
  Json::Array tables, problems, quarantined;
  for (const projections::TableRows& table : report.tables) {
    tables.push_back(
        Json::MakeObject({{"table", Json::String(table.table)}, {"rows", Json::Uint(table.rows)}}));
  }
  for (const std::string& problem : report.problems) problems.push_back(Json::String(problem));
  for (const projections::Quarantined& record : quarantine) {
    quarantined.push_back(Json::MakeObject({{"sequence", Json::Uint(record.sequence)},
                                            {"stream", Json::String(record.stream)},
                                            {"event", Json::String(record.event)},
                                            {"error", Json::String(record.error)}}));
  }
  const projections::ViewsStatus& status = report.status;
  return Json::MakeObject(
      {{"path", Json::String(status.path)},
       {"version", Json::Int(status.schema_version)},
       {"latest_version", Json::Int(Database::LatestSchemaVersion())},
       {"watermark", Json::Uint(status.watermark)},
       {"records", Json::Uint(report.records)},
       {"lag", Json::Uint(report.records - std::min(report.records, status.watermark))},
       {"unknown_events", Json::Uint(status.unknown_events)},
       {"quarantined", Json::Uint(status.quarantined)},
       {"quarantine", Json::MakeArray(std::move(quarantined))},
       {"file_bytes", Json::Uint(report.file_bytes)},
       {"log_bytes", Json::Uint(report.log_bytes)},
       {"stale", report.stale.empty() ? Json() : Json::String(report.stale)},
       {"tables", Json::MakeArray(std::move(tables))},
       {"problems", checked ? Json::MakeArray(std::move(problems)) : Json()}});
}

void Print(const projections::ViewsReport& report, bool checked,
           const std::vector<projections::Quarantined>& quarantine) {
  const projections::ViewsStatus& status = report.status;
  cli::Print("views      {}\nversion    {} of {}\n", status.path, status.schema_version,
             Database::LatestSchemaVersion());
  cli::Print("records    {} of {} applied, {} behind\n", status.watermark, report.records,
             report.records - std::min(report.records, status.watermark));
  cli::Print("size       {} file, {} log\n", cli::ShowBytes(report.file_bytes),
             cli::ShowBytes(report.log_bytes));
  if (status.unknown_events > 0) {
    cli::Print("skipped    {} records of kinds that a newer Nimbus knows\n", status.unknown_events);
  }
  if (!report.stale.empty()) cli::Print("stale      {}: made anew when used\n", report.stale);
  if (status.quarantined > 0) {
    std::cout << cli::Paint(cli::Style::kBad, "quarantine", std::cout)
              << fmt::format(" {} records could not be applied\n", status.quarantined);
  }
  for (const projections::Quarantined& record : quarantine) {
    cli::Print("  {} {} of {}: {}\n", record.sequence, record.event, record.stream, record.error);
  }
  if (checked) cli::Print("checks     {}\n", report.problems.empty() ? "clean" : "failed");
  for (const std::string& problem : report.problems) cli::Print("  {}\n", problem);
  std::cout << '\n';
  cli::Table table({"TABLE", "ROWS"});
  for (const projections::TableRows& rows : report.tables) {
    table.Add({{rows.table}, {fmt::format("{}", rows.rows), cli::Style::kPlain, true}});
  }
  table.Print(std::cout);
}

// To look at the views as they are, without bringing them up to date; of a store that
// has none yet, they are made.
absl::StatusOr<std::unique_ptr<Database>> OpenToLook(const cli::CommandLine& line) {
  NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, cli::OpenDatabaseAsIs(line));
  if (!absl::IsNotFound(database->GetViewsStatus().status())) return database;
  database.reset();
  return cli::OpenDatabase(line);
}

absl::StatusOr<int> PrintStatus(const cli::CommandLine& line, bool check) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, OpenToLook(line));
  NIMBUS_ASSIGN_OR_RETURN(const projections::ViewsReport report,
                          database->Inspect({.check = check}));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<projections::Quarantined> quarantine,
                          database->GetQuarantine(kQuarantinedShown));
  if (line.json) {
    cli::PrintJson(ToJson(report, check, quarantine));
  } else {
    Print(report, check, quarantine);
  }
  return report.problems.empty() ? cli::kHolds : cli::kProvenWrong;
}

struct MigrateCommand {
  uint64_t to = 0;
  bool dry_run = false;
  bool verify = false;
};

// A version too large for an int exists no more than the one after the latest.
int VersionOf(const MigrateCommand& command) {
  const auto beyond = static_cast<uint64_t>(Database::LatestSchemaVersion()) + 1;
  return static_cast<int>(std::min(command.to, beyond));
}

absl::StatusOr<int> PrintSql(const cli::CommandLine& line, int to) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, OpenToLook(line));
  NIMBUS_ASSIGN_OR_RETURN(const projections::ViewsReport report, database->Inspect());
  const int from = report.status.schema_version;
  NIMBUS_ASSIGN_OR_RETURN(const std::string sql, Database::PrintMigration(from, to));
  if (line.json) {
    cli::PrintJson(Json::MakeObject(
        {{"from", Json::Int(from)}, {"to", Json::Int(to)}, {"sql", Json::String(sql)}}));
    return cli::kHolds;
  }
  cli::Print("{}", sql);
  if (to > from) cli::Print("\n-- The rows come from the journal, into a new file beside this.\n");
  return cli::kHolds;
}

absl::StatusOr<int> Migrate(const cli::CommandLine& line, const MigrateCommand& command) {
  const int to = VersionOf(command);
  if (command.dry_run) return PrintSql(line, to);
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabaseToWrite(line));
  NIMBUS_ASSIGN_OR_RETURN(const projections::MigrateReport report,
                          database->Migrate(to, {.verify = command.verify}));
  if (line.json) {
    cli::PrintJson(Json::MakeObject({{"from", Json::Int(report.from)},
                                     {"to", Json::Int(report.to)},
                                     {"verified", Json::Bool(command.verify)},
                                     {"tables", ToJson(report.tables)}}));
    return cli::kHolds;
  }
  if (report.from == report.to) {
    cli::Print("the views are at version {} already\n", report.to);
  } else {
    cli::Print("migrated the views from version {} to {}\n", report.from, report.to);
  }
  if (!command.verify) return cli::kHolds;
  if (report.from > report.to) {
    cli::Print(
        "verified: what was dropped equals what the journal gives back, and the {} tables that "
        "stay are unchanged\n",
        report.tables.size());
  } else if (report.from < report.to) {
    cli::Print("verified: the tables that were there have the same rows as before\n");
  }
  PrintDigests(report.tables);
  return cli::kHolds;
}

absl::StatusOr<int> Rebuild(const cli::CommandLine& line) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const projections::RebuildReport report, database->Rebuild());
  if (line.json) {
    cli::PrintJson(Json::MakeObject({{"path", Json::String(report.path)},
                                     {"compared", Json::Bool(report.not_compared.ok())},
                                     {"difference", ToJson(report.difference)},
                                     {"tables", ToJson(report.tables)}}));
    return cli::kHolds;
  }
  cli::Print("rebuilt the views from the journal: {}\n", report.path);
  if (!report.not_compared.ok()) {
    cli::Print("the old ones could not be compared: {}\n", report.not_compared.ToString());
  } else if (report.difference) {
    cli::Print("the old ones differed: {}\n", report.difference->ToString());
  } else {
    cli::Print("the digests of all {} tables equal the old ones\n", report.tables.size());
  }
  return cli::kHolds;
}

absl::StatusOr<int> Verify(const cli::CommandLine& line) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  NIMBUS_ASSIGN_OR_RETURN(const projections::VerifyViewsReport report, database->Verify());
  const int code = report.holds() ? cli::kHolds : cli::kProvenWrong;
  if (line.json) {
    cli::PrintJson(Json::MakeObject({{"holds", Json::Bool(report.holds())},
                                     {"watermark", Json::Uint(report.watermark)},
                                     {"difference", ToJson(report.difference)},
                                     {"tables", ToJson(report.tables)}}));
    return code;
  }
  if (report.holds()) {
    cli::Print("holds: {} tables are what the journal says, {} records\n", report.tables.size(),
               report.watermark);
  } else {
    cli::Print("proven wrong: {}\n", report.difference->ToString());
  }
  return code;
}

}  // namespace

void AddDbCommands(CLI::App* app, cli::CommandLine* line) {
  CLI::App* db = app->add_subcommand("db", "The SQLite tables that are made from the journal");
  db->require_subcommand(1);

  auto check = std::make_shared<bool>(false);
  CLI::App* status = cli::AddCommand(
      db, line, "status", "Show the version of the tables, their rows, and how far they have got",
      [line, check] { return PrintStatus(*line, *check); });
  status->add_flag("--check", *check,
                   "Also run SQLite's integrity_check and look for rows that refer to none");

  auto command = std::make_shared<MigrateCommand>();
  command->to = static_cast<uint64_t>(Database::LatestSchemaVersion());
  CLI::App* migrate = cli::AddCommand(
      db, line, "migrate",
      "Go to another version of the tables. Down drops tables; up fills them from the journal "
      "again, so that nothing is lost",
      [line, command] { return Migrate(*line, *command); });
  migrate->add_option("--to", command->to, "Version, 0 for none")
      ->transform(cli::IsCount())
      ->capture_default_str()
      ->type_name("N");
  migrate->add_flag("--dry-run", command->dry_run, "Print the SQL instead of running it");
  migrate->add_flag("--verify", command->verify,
                    "Compare the tables with what the journal gives, before and after");

  cli::AddCommand(db, line, "rebuild",
                  "Make the tables anew from the journal, beside the old ones, and compare",
                  [line] { return Rebuild(*line); });
  cli::AddCommand(db, line, "verify",
                  "Make the tables anew from the journal, compare row by row, and leave them be",
                  [line] { return Verify(*line); });
  AddDbSqlCommand(db, line);
}

}  // namespace nimbus::tools
