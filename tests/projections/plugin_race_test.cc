// Processes that want the same plugin, or one that another takes away.
#include <atomic>
#include <cstdio>
#include <map>
#include <sstream>
#include <thread>
#include <utility>

#include "plugins_fixture.h"
#include "start_gate.h"
#include "testing/program.h"

namespace nimbus::projections {
namespace {

using test::IsOk;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kPlugins = 60;

class PluginRaceTest : public PluginStoreTest {
 protected:
  using Results = std::map<int, std::string>;

  // Does one thing and another in two processes at once. What became of each plugin, in
  // the one and in the other.
  std::pair<Results, Results> Race(const std::string& one, const std::string& other) {
    StartGate gate(store() + "/gate");
    const auto first = Start(one), second = Start(other);
    EXPECT_THAT(gate.Open({first.get(), second.get()}), IsOk());
    Results results = ResultsOf(first.get());
    return {std::move(results), ResultsOf(second.get())};
  }

  std::string errors_;  // what both said

 private:
  std::unique_ptr<test::Program> Start(const std::string& what) {
    absl::StatusOr<std::unique_ptr<test::Program>> child = test::Program::Start(
        {.argv = {NIMBUS_PLUGIN_CHILD, store(), what, std::to_string(kPlugins)}});
    EXPECT_THAT(child, IsOk());
    return *std::move(child);
  }
  Results ResultsOf(test::Program* child) {
    absl::StatusOr<test::Finished> finished = child->Wait();
    EXPECT_THAT(finished, IsOk());
    Results results;
    if (!finished.ok()) return results;
    EXPECT_EQ(finished->exit_code, 0) << finished->err;
    errors_ += finished->err;
    std::istringstream lines(finished->out);
    std::string code;
    lines >> code;  // "ready"
    for (int number = 0; lines >> number >> code;) results[number] = code;
    EXPECT_EQ(results.size(), static_cast<size_t>(kPlugins));
    return results;
  }
};

TEST_F(PluginRaceTest, OneOfThoseThatInstallTheSamePluginWins) {
  auto [one, two] = Race("install", "install");
  for (int i = 0; i < kPlugins; ++i) {
    const std::vector<std::string> both = {one[i], two[i]};
    EXPECT_THAT(both, testing::UnorderedElementsAre("OK", "ALREADY_EXISTS")) << "plugin " << i;
  }
  EXPECT_THAT(Sql("SELECT count(*) || ' ' || count(DISTINCT name) FROM plugins"),
              ElementsAre(fmt::format("{0} {0}", kPlugins)));
  ExpectRowsAsRebuilt();
}

TEST_F(PluginRaceTest, APluginThatGoesIsNotNeededByOneThatComes) {
  for (int i = 0; i < kPlugins; ++i) Install(ManifestOf("plugin-" + std::to_string(i)));
  auto [gone, come] = Race("uninstall", "need");
  int kept = 0;
  for (int i = 0; i < kPlugins; ++i) {
    const std::vector<std::string> both = {gone[i], come[i]};
    EXPECT_THAT(both, testing::UnorderedElementsAre("OK", "FAILED_PRECONDITION")) << "plugin " << i;
    kept += come[i] == "OK" ? 1 : 0;
  }
  if (kept > 0) {
    EXPECT_THAT(errors_, HasSubstr("is needed by 'needs-"));
  }
  if (kept < kPlugins) {
    EXPECT_THAT(errors_, HasSubstr("^1 (not installed)"));
  }
  EXPECT_THAT(Sql("SELECT count(*) FROM plugins"), ElementsAre(std::to_string(2 * kept)));
  EXPECT_THAT(Sql("SELECT count(*) FROM plugins p WHERE name LIKE 'needs-%' AND NOT EXISTS (SELECT "
                  "1 FROM plugins q WHERE q.name = 'plugin-' || substr(p.name, 7))"),
              ElementsAre("0"));
  ExpectRowsAsRebuilt();
}

TEST_F(PluginRaceTest, APluginIsNotUpdatedAwayFromOneThatComes) {
  for (int i = 0; i < kPlugins; ++i) Install(ManifestOf("plugin-" + std::to_string(i)));
  auto [updated, come] = Race("update", "need");
  int kept = 0;
  for (int i = 0; i < kPlugins; ++i) {
    const std::vector<std::string> both = {updated[i], come[i]};
    EXPECT_THAT(both, testing::UnorderedElementsAre("OK", "FAILED_PRECONDITION")) << "plugin " << i;
    kept += come[i] == "OK" ? 1 : 0;
  }
  std::printf("not updated: %d of %d\n", kept, kPlugins);
  if (kept > 0) {
    EXPECT_THAT(errors_, HasSubstr("can't become 2.0.0: 'needs-"));
  }
  if (kept < kPlugins) {
    EXPECT_THAT(errors_, HasSubstr("^1 (installed: 2.0.0)"));
  }
  EXPECT_THAT(Sql("SELECT count(*) FROM plugins p JOIN plugins q ON q.name = 'needs-' || "
                  "substr(p.name, 8) WHERE p.name LIKE 'plugin-%' AND p.version = '2.0.0'"),
              ElementsAre("0"));
  ExpectRowsAsRebuilt();
}

TEST_F(PluginRaceTest, OfTwoThatWouldNeedEachOtherOneDoes) {
  for (int i = 0; i < kPlugins; ++i) {
    Install(ManifestOf("left-" + std::to_string(i)));
    Install(ManifestOf("right-" + std::to_string(i)));
  }
  auto [one, two] = Race("left", "right");
  for (int i = 0; i < kPlugins; ++i) {
    const std::vector<std::string> both = {one[i], two[i]};
    EXPECT_THAT(both, testing::UnorderedElementsAre("OK", "FAILED_PRECONDITION")) << "pair " << i;
  }
  EXPECT_THAT(errors_, HasSubstr("would need itself"));
  ExpectRowsAsRebuilt();
}

// A command that decides by what it has read is decided again when that has changed.
TEST_F(PluginRaceTest, ConfigurationsSetAtOnceAllCount) {
  const schema::Uuid id = Install(ManifestOf("aws"));
  constexpr int kThreads = 4, kEach = 10;
  std::vector<std::thread> threads;
  std::atomic<int> written = 0;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto set = plugins().Configure(id, "{}", fmt::format("profile {}.{}", t, i));
        EXPECT_TRUE(set.ok() || absl::IsAborted(set.status())) << set.status().ToString();
        if (set.ok()) ++written;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(written, kThreads * kEach / 2);
  EXPECT_THAT(Sql("SELECT count(*) FROM plugin_configs"),
              ElementsAre(std::to_string(written.load())));
}

}  // namespace
}  // namespace nimbus::projections
