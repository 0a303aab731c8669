// Processes that want the same plugin, or one that another takes away.
#include <atomic>
#include <map>
#include <sstream>
#include <thread>

#include "plugins_fixture.h"
#include "testing/program.h"

namespace nimbus::projections {
namespace {

using test::IsOk;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kPlugins = 60;

class PluginRaceTest : public PluginStoreTest {
 protected:
  std::unique_ptr<test::Program> Start(const std::string& what) {
    absl::StatusOr<std::unique_ptr<test::Program>> child = test::Program::Start(
        {.argv = {NIMBUS_PLUGIN_CHILD, store(), what, std::to_string(kPlugins)}});
    EXPECT_THAT(child, IsOk());
    return *std::move(child);
  }
  // What became of each plugin.
  std::map<int, std::string> Results(test::Program* child, std::string* errors) {
    absl::StatusOr<test::Finished> finished = child->Wait();
    EXPECT_THAT(finished, IsOk());
    std::map<int, std::string> results;
    if (!finished.ok()) return results;
    EXPECT_EQ(finished->exit_code, 0) << finished->err;
    *errors += finished->err;
    std::istringstream lines(finished->out);
    int number = 0;
    for (std::string code; lines >> number >> code;) results[number] = code;
    EXPECT_EQ(results.size(), static_cast<size_t>(kPlugins));
    return results;
  }
};

TEST_F(PluginRaceTest, OneOfThoseThatInstallTheSamePluginWins) {
  const auto first = Start("install"), second = Start("install");
  std::string errors;
  std::map<int, std::string> one = Results(first.get(), &errors),
                             two = Results(second.get(), &errors);
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
  const auto going = Start("uninstall"), coming = Start("need");
  std::string errors;
  std::map<int, std::string> gone = Results(going.get(), &errors),
                             come = Results(coming.get(), &errors);
  int kept = 0;
  for (int i = 0; i < kPlugins; ++i) {
    const std::vector<std::string> both = {gone[i], come[i]};
    EXPECT_THAT(both, testing::UnorderedElementsAre("OK", "FAILED_PRECONDITION")) << "plugin " << i;
    kept += come[i] == "OK" ? 1 : 0;
  }
  if (kept > 0) {
    EXPECT_THAT(errors, HasSubstr("is needed by 'needs-"));
  }
  if (kept < kPlugins) {
    EXPECT_THAT(errors, HasSubstr("^1 (not installed)"));
  }
  EXPECT_THAT(Sql("SELECT count(*) FROM plugins"), ElementsAre(std::to_string(2 * kept)));
  EXPECT_THAT(Sql("SELECT count(*) FROM plugins p WHERE name LIKE 'needs-%' AND NOT EXISTS (SELECT "
                  "1 FROM plugins q WHERE q.name = 'plugin-' || substr(p.name, 7))"),
              ElementsAre("0"));
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
