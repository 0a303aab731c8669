// Every recorded run, imported into one store: the tables are the same however they
// were made.
#include <fmt/format.h>

#include <filesystem>
#include <random>

#include "nimbus/projections/database.h"
#include "testing/program.h"
#include "tools/import/recorded.h"

namespace nimbus::tools::import {
namespace {

using projections::Database;
using projections::VerifyViewsReport;
using test::IsOk;

class RecordedViewsTest : public ::testing::Test {
 protected:
  void Open(size_t batch) {
    database_.reset();
    absl::StatusOr<std::unique_ptr<Database>> opened =
        Database::Open(directory_.string(), {.views = {.batch_records_max = batch}});
    ASSERT_THAT(opened, IsOk());
    database_ = *std::move(opened);
  }

  // The digests of the tables, which hold what the journal says.
  std::vector<projections::TableDigest> Verified() {
    EXPECT_THAT(database_->CatchUp(60'000), IsOk());
    const absl::StatusOr<VerifyViewsReport> report = database_->Verify();
    EXPECT_THAT(report, IsOk());
    if (!report.ok()) return {};
    EXPECT_TRUE(report->holds()) << report->difference->ToString();
    const auto inspected = database_->Inspect({.check = true});
    EXPECT_THAT(inspected, IsOk());
    if (inspected.ok()) {
      EXPECT_THAT(inspected->problems, ::testing::IsEmpty());
      EXPECT_EQ(inspected->status.quarantined, 0u);
    }
    return report->tables;
  }

  test::TempDir directory_;
  std::unique_ptr<Database> database_;
};

TEST_F(RecordedViewsTest, AreTheSameGrownRebuiltAndMigrated) {
  NIMBUS_SHARED_OR_SKIP(runs, "data/runs");
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  Open(1 + random() % 50);
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      auto other, test::Program::Start({.argv = {NIMBUS_PROJECTING_CHILD, directory_.string(), "1",
                                                 fmt::format("{}", 1 + random() % 50)}}));
  int imported = 0;
  for (const std::string& file : test::RecordedNames({""})) {
    const absl::StatusOr<ImportReport> report = ImportFile(
        database_->journal(), test::RecordedPath(file), {.source = {.keep_going = true}});
    imported += report.ok() ? 1 : 0;
    if (imported % 7 == 0) Open(1 + random() % 500);
  }
  EXPECT_GT(imported, 10);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished finished, other->Wait());
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  const std::vector<projections::TableDigest> grown = Verified();
  ASSERT_FALSE(grown.empty());

  database_.reset();
  std::vector<std::filesystem::path> views;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    if (entry.path().filename().string().starts_with("views")) views.push_back(entry.path());
  }
  for (const auto& path : views) std::filesystem::remove(path);
  Open(4096);
  EXPECT_EQ(Verified(), grown);
  for (const int version : {0, 7, 2, 7}) {
    ASSERT_THAT(database_->Migrate(version, {.verify = true}), IsOk());
  }
  EXPECT_EQ(Verified(), grown);
}

}  // namespace
}  // namespace nimbus::tools::import
