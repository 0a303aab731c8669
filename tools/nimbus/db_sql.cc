// nimbus db sql
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <variant>

#include "nimbus/projections/database.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/status.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using projections::QueryRow;
using projections::SqlValue;
using schema::Json;

std::string Hex(const std::vector<uint8_t>& bytes) { return schema::ToHex(bytes); }

// As the sqlite3 shell prints it, except that a blob is in hex.
std::string TextOf(const SqlValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return fmt::format("{}", *integer);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* blob = std::get_if<std::vector<uint8_t>>(&value)) return Hex(*blob);
  return {};
}

Json JsonOf(const SqlValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return Json::Int(*integer);
  if (const auto* real = std::get_if<double>(&value)) {
    // SQLite has infinities, JSON has not.
    return std::isfinite(*real) ? Json::Double(*real) : Json();
  }
  if (const auto* text = std::get_if<std::string>(&value)) {
    // SQLite does not check that text is UTF-8.
    const Json string = Json::String(*text);
    return Json::Parse(string.Dump()).ok()
               ? string
               : Json::String(
                     schema::ToHex({reinterpret_cast<const uint8_t*>(text->data()), text->size()}));
  }
  if (const auto* blob = std::get_if<std::vector<uint8_t>>(&value)) return Json::String(Hex(*blob));
  return Json();
}

absl::Status CheckGoingOn() {
  if (cli::Interrupted()) return cli::InterruptedError();
  // Whoever reads has had enough, or the disk is full: the end says so.
  return std::cout ? absl::OkStatus() : absl::UnavailableError("standard output: write failed");
}

absl::Status PrintJsonRow(const QueryRow& row) {
  Json object = Json::MakeObject();
  for (size_t i = 0; i < row.columns.size(); ++i) object.Set(row.columns[i], JsonOf(row.values[i]));
  std::cout << object.Dump() << '\n';
  return CheckGoingOn();
}

absl::Status PrintTabbedRow(const QueryRow& row) {
  for (size_t i = 0; i < row.values.size(); ++i) {
    const std::string text = TextOf(row.values[i]);
    std::cout << (i == 0 ? "" : "\t") << cli::OneLine(text, text.size());
  }
  std::cout << '\n';
  return CheckGoingOn();
}

absl::StatusOr<int> RunSql(const cli::CommandLine& line, const std::string& sql) {
  NIMBUS_ASSIGN_OR_RETURN(const auto database, cli::OpenDatabase(line));
  const auto run = [&](const std::function<absl::Status(const QueryRow&)>& take) {
    return database->Query(sql, take, &cli::InterruptFlag());
  };
  if (line.json) {
    NIMBUS_RETURN_IF_ERROR(run(PrintJsonRow).status());
    return cli::kHolds;
  }
  if (!cli::IsTerminal(std::cout)) {
    NIMBUS_RETURN_IF_ERROR(run(PrintTabbedRow).status());
    return cli::kHolds;
  }
  // Columns are aligned, so all rows are read before the first is printed.
  std::vector<std::vector<cli::Table::Cell>> rows;
  NIMBUS_ASSIGN_OR_RETURN(std::vector<std::string> columns, run([&](const QueryRow& row) {
                            std::vector<cli::Table::Cell> cells;
                            for (const SqlValue& value : row.values) {
                              const bool number = value.index() == 1 || value.index() == 2;
                              cells.push_back({TextOf(value), cli::Style::kPlain, number});
                            }
                            rows.push_back(std::move(cells));
                            return CheckGoingOn();
                          }));
  cli::Table table(std::move(columns));
  for (auto& row : rows) table.Add(std::move(row));
  table.Print(std::cout);
  return cli::kHolds;
}

}  // namespace

void AddDbSqlCommand(CLI::App* db, cli::CommandLine* line) {
  auto sql = std::make_shared<std::string>();
  CLI::App* command = cli::AddCommand(
      db, line, "sql",
      "Run one query in SQLite's SQL, read-only. With --json an object per line and row",
      [line, sql] { return RunSql(*line, *sql); });
  command->add_option("QUERY", *sql, "One SELECT")->required();
}

}  // namespace nimbus::tools
