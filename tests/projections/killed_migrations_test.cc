// Migrations killed at a statement: what they leave is a version, whole, and goes on.
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "migrations_fixture.h"

namespace nimbus::projections {
namespace {

namespace fs = std::filesystem;
using sqlite::Connection;
using test::IsOk;

// A child that migrates, and kills itself before or after its statement `kill_at`.
absl::StatusOr<test::Finished> RunChild(const std::string& what, const std::string& path,
                                        int version, int kill_at, bool before) {
  return test::RunProgram({.argv = {NIMBUS_MIGRATING_CHILD, what, path, fmt::format("{}", version),
                                    fmt::format("{}", kill_at), before ? "before" : "after"}});
}

class KilledFileMigrationTest : public MigrationsTest {
 protected:
  // A killed process leaves what it has written, flushed or not: this is not a power cut.
  KilledFileMigrationTest() : MigrationsTest(test::MemoryBackedDirectory()) {}
};

// The file alone: each statement of each version, in both directions.
TEST_F(KilledFileMigrationTest, LeavesAVersionAndGoesOn) {
  ASSERT_NO_FATAL_FAILURE(MakeStore(50));
  Close();
  const std::string full = directory_ / "full.db", empty = directory_ / "empty.db";
  const std::string file = directory_ / "file.db";
  fs::copy_file(fs::canonical(link()), full);
  { NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(empty, {})); }
  for (const auto& [start, from, to] : {std::tuple(full, 7, 0), {empty, 0, 7}}) {
    std::map<int, Digests> expected;
    fs::copy_file(start, file);
    for (int version = from;; version += to > from ? 1 : -1) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(file, {}));
      ASSERT_THAT(Migrate(&db, version), IsOk());
      expected[version] = DigestsOf(file);
      if (version == to) break;
    }
    int kills = 0;
    for (int n = 1;; ++n) {
      SCOPED_TRACE(fmt::format("{} to {}, statement {}", from, to, n));
      for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(file + suffix);
      fs::copy_file(start, file);
      NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished child,
                                  RunChild("file", file, to, n, n % 2 == 0));
      NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(file, {}));
      NIMBUS_ASSERT_OK_AND_ASSIGN(const int version, CurrentVersion(&db));
      if (version > 0 || from > 0) {
        EXPECT_TRUE(DigestsOf(file) == expected[version]) << version;
      }
      ASSERT_THAT(Migrate(&db, to), IsOk());
      EXPECT_TRUE(DigestsOf(file) == expected[to]);
      if (child.signal != SIGKILL) {
        EXPECT_EQ(child.exit_code, 0) << child.err;
        break;
      }
      ++kills;
    }
    EXPECT_GT(kills, 50);
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(file + suffix);
  }
}

// The store: tables filled from the journal beside the live ones, and the switch. From one
// version to another; at the first statement, one in the middle and the last, or, when there
// is time, every one, before it and after it.
class KilledStoreMigrationTest : public MigrationsTest,
                                 public testing::WithParamInterface<std::pair<int, int>> {
 protected:
  KilledStoreMigrationTest() : MigrationsTest(test::MemoryBackedDirectory()) {}

  int from() const { return GetParam().first; }
  int to() const { return GetParam().second; }

  // Each statement is one process, so when it is every one there should not be thousands.
  static constexpr EveryKind kKinds = NIMBUS_LONG_TESTS ? kSparing : kAmple;

  // The store at version `from`, closed, and a copy of it; the tables of each version that
  // is passed through.
  void Prepare() {
    ASSERT_NO_FATAL_FAILURE(MakeStore(0, kKinds));
    ASSERT_NO_FATAL_FAILURE(FillEveryTable());
    for (int version = from();; version += to() > from() ? 1 : -1) {
      ASSERT_THAT(database_->Migrate(version), IsOk());
      ExpectAt(version);
      if (version == to()) break;
    }
    ASSERT_THAT(database_->Migrate(from()), IsOk());
    ExpectAt(from());
    ASSERT_THAT(CatchUp(), IsOk());
    Close();
    fs::copy(store(), prepared_.path(), kWithLinks);
  }

  // What a history makes it may remove as well.
  void FillEveryTable() {
    RandomHistory more(&journal(), static_cast<uint32_t>(random_()));
    for (int tries = 0; tries < 100; ++tries) {
      ASSERT_THAT(CatchUp(), IsOk());
      const Digests digests = DigestsOf(link());
      if (std::ranges::none_of(digests, [](const auto& table) { return table.rows == 0; })) return;
      ASSERT_THAT(more.Append(10), IsOk());
    }
    FAIL() << "a table stays empty";
  }

  void Restore() {
    for (const auto& entry : fs::directory_iterator(store())) fs::remove_all(entry.path());
    fs::copy(prepared_.path(), store(), kWithLinks);
  }

  struct Moment {
    int statement = 0;
    bool before = false;  // or after it
  };
  // Of a migration that runs `count` statements.
  std::vector<Moment> Chosen(int count) {
    std::vector<Moment> chosen;
    if (!NIMBUS_LONG_TESTS) {
      for (const int n : {1, (count + 1) / 2, count}) chosen.push_back({n, random_() % 2 == 0});
      return chosen;
    }
    for (int n = 1; n <= count; ++n) {
      chosen.push_back({n, true});
      chosen.push_back({n, false});
    }
    return chosen;
  }

  // As the killed process left it, then on to `to` and back to `from`.
  void ExpectWholeAndGoOn() {
    ASSERT_THAT(Open(), IsOk());
    ASSERT_THAT(CatchUp(), IsOk());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
    EXPECT_EQ(status.set_aside, "") << "made anew, so what was left was no good";
    EXPECT_EQ(status.quarantined, 0u);
    const int version = status.schema_version;
    if (from() < to()) {
      EXPECT_TRUE(version == from() || version == to()) << version << ": one switch goes up";
    } else {
      EXPECT_TRUE(to() <= version && version <= from()) << version;
    }
    ExpectAt(version);
    for (const int next : {to(), from()}) {
      ASSERT_THAT(database_->Migrate(next), IsOk());
      ExpectAt(next);
    }
    ASSERT_THAT(CatchUp(), IsOk());
    Close();
    EXPECT_EQ(Generations().size(), 1u) << "what the killed process had begun is removed";
  }

  static constexpr fs::copy_options kWithLinks =
      fs::copy_options::recursive | fs::copy_options::copy_symlinks;
  test::TempDir prepared_{test::MemoryBackedDirectory()};
};

TEST_P(KilledStoreMigrationTest, LeavesAVersionAndGoesOn) {
  ASSERT_NO_FATAL_FAILURE(Prepare());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished whole,
                              RunChild("store", store(), to(), 0, true));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  ASSERT_NO_FATAL_FAILURE(ExpectWholeAndGoOn());
  const int count = std::atoi(whole.out.c_str());
  const std::vector<Moment> chosen = Chosen(count);
  for (const Moment& moment : chosen) {
    SCOPED_TRACE(fmt::format("killed {} statement {} of {}", moment.before ? "before" : "after",
                             moment.statement, count));
    ASSERT_NO_FATAL_FAILURE(Restore());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished child,
                                RunChild("store", store(), to(), moment.statement, moment.before));
    ASSERT_EQ(child.signal, SIGKILL) << child.exit_code << child.err;
    ASSERT_NO_FATAL_FAILURE(ExpectWholeAndGoOn());
  }
  fmt::print("{} to {}: {} statements, killed {} times\n", from(), to(), count, chosen.size());
}

std::vector<std::pair<int, int>> Pairs() {
  std::vector<std::pair<int, int>> pairs;
  for (int from = 0; from <= Database::LatestSchemaVersion(); ++from) {
    for (int to = 0; to <= Database::LatestSchemaVersion(); ++to) {
      if (from != to) pairs.emplace_back(from, to);
    }
  }
  return pairs;
}

INSTANTIATE_TEST_SUITE_P(, KilledStoreMigrationTest, testing::ValuesIn(Pairs()),
                         [](const auto& pair) {
                           return fmt::format("From{}To{}", pair.param.first, pair.param.second);
                         });

}  // namespace
}  // namespace nimbus::projections
