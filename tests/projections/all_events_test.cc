// Random histories of every kind of event: what the tables say does not depend on how
// they came to say it.
#include "all_events.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <set>

#include "digest.h"
#include "fixture.h"
#include "migrator.h"
#include "nimbus/journal/reader.h"
#include "nimbus/journal/verify.h"
#include "testing/program.h"
#include "testing/random.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using sqlite::Connection;
using test::IsOk;
using testing::ElementsAre;

constexpr int kHistories = NIMBUS_LONG_TESTS ? 60 : 4;

class AllEventsTest : public StoreTest {
 protected:
  std::vector<TableDigest> CleanDigests() {
    absl::StatusOr<Connection> db = Connection::Open(link(), {});
    EXPECT_THAT(db, IsOk());
    if (!db.ok()) return {};
    EXPECT_THAT(CheckForeignKeys(&*db), IsOk());
    EXPECT_THAT(Column(link(), "PRAGMA integrity_check"), ElementsAre("ok"));
    EXPECT_THAT(Column(link(), "SELECT event || ': ' || error FROM nimbus_quarantine"),
                testing::IsEmpty());
    absl::StatusOr<std::vector<TableDigest>> digests = DigestTables(&*db);
    EXPECT_THAT(digests, IsOk());
    return digests.value_or(std::vector<TableDigest>{});
  }
};

TEST_F(AllEventsTest, AreOfEveryKindAndValid) {
  const auto seed = static_cast<unsigned>(test::MakeSeed());
  SCOPED_TRACE(fmt::format("seed {}", seed));
  ASSERT_THAT(Open(), IsOk());
  RandomHistory history(&journal(), seed);
  ASSERT_THAT(history.AppendEveryKind(), IsOk());
  std::set<schema::fb::Event> seen;
  journal::Reader reader(journal());
  for (;;) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Next());
    if (view == nullptr) break;
    seen.insert(view->record->event_type());
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(schema::fb::Event::MAX));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::VerifyReport report,
                              journal::VerifyJournal(journal(), {}));
  EXPECT_TRUE(report.holds());
  ASSERT_THAT(CatchUp(), IsOk());
  CleanDigests();
}

TEST_F(AllEventsTest, AreTheSameHistoryForTheSameSeed) {
  std::vector<std::string> kinds;
  for (const std::string name : {"a", "b"}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(auto journal,
                                journal::Journal::Open(store() + "/" + name, {.clock = &clock_}));
    RandomHistory history(journal.get(), 42);
    ASSERT_THAT(history.Append(200), IsOk());
    journal::Reader reader(*journal);
    reader.Seek(1);
    std::string all;
    for (;;) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Next());
      if (view == nullptr) break;
      if (view->record->event_type() == schema::fb::Event::ViewsMigrated) continue;
      all += fmt::format("{} {}\n", schema::fb::EnumNameEvent(view->record->event_type()),
                         schema::Uuid::FromFb(view->envelope().stream()).ToString());
    }
    kinds.push_back(all);
  }
  EXPECT_EQ(kinds[0], kinds[1]);
}

// Batches of any size, restarts, and other processes that project at the same time.
TEST_F(AllEventsTest, GiveTheSameRowsHoweverTheyAreProjected) {
  const auto seed = static_cast<unsigned>(test::MakeSeed());
  for (unsigned round = 0; round < kHistories; ++round) {
    SCOPED_TRACE(fmt::format("seed {}", seed + round));
    std::mt19937 random(seed + round);
    Close();
    std::filesystem::remove_all(directory_.path());
    std::filesystem::create_directory(directory_.path());
    std::vector<std::unique_ptr<test::Program>> children;
    std::optional<RandomHistory> history;
    for (int part = 0; part < 6; ++part) {
      ASSERT_THAT(Open({.views = {.batch_records_max = 1 + random() % 40}}), IsOk());
      history.emplace(&journal(), static_cast<uint32_t>(random()));
      if (part < 2) {
        NIMBUS_ASSERT_OK_AND_ASSIGN(
            auto child, test::Program::Start({.argv = {NIMBUS_PROJECTING_CHILD, store(), "1",
                                                       fmt::format("{}", 1 + random() % 9)}}));
        children.push_back(std::move(child));
      }
      ASSERT_THAT(part == 0 ? history->AppendEveryKind() : history->Append(60), IsOk());
      // Some restarts come before all is projected.
      if (random() % 2 == 0) {
        ASSERT_THAT(CatchUp(), IsOk());
      }
    }
    for (auto& child : children) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished finished, child->Wait());
      EXPECT_EQ(finished.exit_code, 0) << finished.err;
    }
    ASSERT_THAT(CatchUp(), IsOk());
    const std::vector<TableDigest> grown = CleanDigests();
    NIMBUS_ASSERT_OK_AND_ASSIGN(const RebuildReport rebuilt, database_->Rebuild());
    EXPECT_FALSE(rebuilt.difference) << rebuilt.difference->ToString();
    EXPECT_EQ(rebuilt.tables, grown);
    Close();
    DeleteViews();
    ASSERT_THAT(Open({.views = {.batch_records_max = 7}}), IsOk());
    ASSERT_THAT(CatchUp(), IsOk());
    EXPECT_EQ(CleanDigests(), grown);
  }
}

}  // namespace
}  // namespace nimbus::projections
