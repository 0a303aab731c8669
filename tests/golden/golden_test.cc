// Journals that earlier versions of Nimbus wrote, kept for ever. Each NAME.tar.gz here
// is a store without its views; NAME.txt says what must be read from it: the number of
// records, their Merkle root, and the rows of each table, one JSON array a line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "fixture.h"
#include "nimbus/journal/verify.h"
#include "testing/files.h"
#include "testing/program.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using test::IsOk;

constexpr const char* kTables[] = {"sessions", "operations", "operation_steps", "checkpoints"};

// Every column of every row, in the order they were made.
std::string RowsOf(const std::string& path, const std::string& table) {
  std::string columns;
  for (const std::string& name :
       Column(path, "SELECT name FROM pragma_table_info('" + table + "')")) {
    columns += (columns.empty() ? "" : ", ") + name;
  }
  std::string rows;
  for (const std::string& row :
       Column(path, "SELECT json_array(" + columns + ") FROM " + table + " ORDER BY rowid")) {
    rows += row + '\n';
  }
  return rows;
}

std::string Hex(const schema::Digest& digest) {
  std::string hex;
  for (const uint8_t byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

class GoldenTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::filesystem::path golden = NIMBUS_GOLDEN_DIR;
    const std::string name = GetParam();
    NIMBUS_ASSERT_OK_AND_ASSIGN(
        const test::Finished untarred,
        test::RunProgram({.argv = {"tar", "-xzf", (golden / (name + ".tar.gz")).string(), "-C",
                                   directory_.string()}}));
    ASSERT_EQ(untarred.exit_code, 0) << untarred.err;
    const std::optional<std::string> expected = test::ReadFile(golden / (name + ".txt"));
    ASSERT_TRUE(expected.has_value());
    expected_ = *expected;
  }
  std::string store() const { return directory_.string(); }

  test::TempDir directory_;
  std::string expected_;
};

std::string HeadOf(const journal::Journal& journal) {
  const absl::StatusOr<journal::Stat> stat = journal.GetStat();
  if (!stat.ok()) return stat.status().ToString();
  return fmt::format("records {}\nroot {}\n", stat->records, Hex(stat->root));
}

TEST_P(GoldenTest, VerifiesAndReadsAsItWasWritten) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      auto database, Database::Open(store(), {.journal = {.create = false, .read_only = true}}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::VerifyReport report,
                              journal::VerifyJournal(database->journal(), {}));
  EXPECT_TRUE(report.findings.empty()) << report.findings.size() << " findings";
  ASSERT_THAT(database->CatchUp(60'000), IsOk());
  std::string read = HeadOf(database->journal());
  for (const char* table : kTables) {
    read += fmt::format("table {}\n{}", table, RowsOf(directory_ / "views.db", table));
  }
  EXPECT_EQ(read, expected_);
}

TEST_P(GoldenTest, GoesOnWithThisVersion) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto database,
                              Database::Open(store(), {.journal = {.create = false}}));
  ASSERT_THAT(AppendHistory(&database->journal(), 2), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::VerifyReport report,
                              journal::VerifyJournal(database->journal(), {}));
  EXPECT_TRUE(report.findings.empty()) << report.findings.size() << " findings";
  ASSERT_THAT(database->CatchUp(60'000), IsOk());
  std::istringstream lines(expected_);
  std::string table, rows;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("table ")) {
      table = line.substr(6);
      rows = RowsOf(directory_ / "views.db", table);
    } else if (!table.empty()) {
      EXPECT_NE(rows.find(line + '\n'), std::string::npos) << table << " has lost " << line;
    }
  }
  EXPECT_EQ(table, "checkpoints");
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest, testing::Values("v1", "v1-log"));

}  // namespace
}  // namespace nimbus::projections
