// A store with a history of every kind of event, whose tables are the same whenever a
// version is come to.
#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "all_events.h"
#include "digest.h"
#include "fixture.h"
#include "migrator.h"
#include "testing/program.h"
#include "testing/random.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {

class MigrationsTest : public StoreTest {
 protected:
  using Digests = std::vector<TableDigest>;

  MigrationsTest() = default;
  explicit MigrationsTest(const std::filesystem::path& below) : StoreTest(below) {}

  // A store with a history of every kind of event, and `more`, projected.
  void MakeStore(int more = 150, const EveryKind& kinds = kAmple) {
    const auto seed = static_cast<unsigned>(test::MakeSeed());
    trace_.emplace(__FILE__, __LINE__, fmt::format("seed {}", seed));
    random_.seed(seed);
    ASSERT_THAT(Open(), test::IsOk());
    RandomHistory history(&journal(), seed);
    ASSERT_THAT(history.AppendEveryKind(kinds), test::IsOk());
    ASSERT_THAT(history.Append(more), test::IsOk());
    ASSERT_THAT(CatchUp(), test::IsOk());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
    ASSERT_EQ(status.quarantined, 0u) << FirstQuarantined();
  }

  std::string FirstQuarantined() {
    const auto found = database_->GetQuarantine(1);
    return found.ok() && !found->empty() ? found->front().event + ": " + found->front().error : "";
  }

  // Of a file that is whole, at `version` if that is said.
  static Digests DigestsOf(const std::string& path, std::optional<int> version = {}) {
    absl::StatusOr<sqlite::Connection> db =
        sqlite::Connection::Open(path, {.mode = sqlite::Connection::Mode::kReadWrite});
    EXPECT_THAT(db, test::IsOk());
    if (!db.ok()) return {};
    EXPECT_THAT(CheckForeignKeys(&*db), test::IsOk());
    EXPECT_THAT(db->QueryInt("SELECT count(*) FROM pragma_integrity_check "
                             "WHERE integrity_check <> 'ok'"),
                test::IsOkAndHolds(0));
    if (version) {
      EXPECT_THAT(CurrentVersion(&*db), test::IsOkAndHolds(*version));
    }
    absl::StatusOr<Digests> digests = DigestTables(&*db);
    EXPECT_THAT(digests, test::IsOk());
    return digests.value_or(Digests{});
  }

  // The tables of the version, the same whenever it is come to.
  void ExpectAt(int version) {
    const Digests digests = DigestsOf(link(), version);
    const auto [known, first] = of_version_.emplace(version, digests);
    if (first) return;
    ASSERT_EQ(known->second.size(), digests.size());
    for (size_t i = 0; i < digests.size(); ++i) {
      EXPECT_TRUE(known->second[i] == digests[i])
          << digests[i].table << " of version " << version << ": " << known->second[i].rows
          << " and " << digests[i].rows << " rows";
    }
  }

  std::map<int, Digests> of_version_;
  std::mt19937 random_;
  std::optional<testing::ScopedTrace> trace_;
};

}  // namespace nimbus::projections
