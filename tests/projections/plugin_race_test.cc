// Processes that want the same plugin, or one that another takes away.
#include <signal.h>

#include <atomic>
#include <chrono>
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
using test::StatusIs;
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

TEST_F(PluginRaceTest, ACommandGivesUpOnAPluginThatOthersChangeAllTheTime) {
  const schema::Uuid id = Install(ManifestOf("aws"));
  std::atomic<bool> stop = false;
  std::thread others([&] {
    const schema::Event event =
        MakeEvent(schema::fb::EntityKind::plugin, id, schema::fb::PluginEnabledT{});
    while (!stop) {
      ASSERT_THAT(journal().Append(event, {.durability = journal::Durability::kRelaxed}), IsOk());
    }
  });
  // Each attempt waits for the tables, then for the disk; the others wait for nothing.
  int written = 0;
  absl::StatusOr<Written> last = Written{};
  for (; last.ok() && written < 100; written += last.ok() ? 1 : 0) {
    last = plugins().Configure(id, "{}", fmt::format("profile {}", written));
  }
  stop = true;
  others.join();
  EXPECT_THAT(last, StatusIs(absl::StatusCode::kAborted,
                             HasSubstr("plugin 'aws' was changed by others 16 times meanwhile")));
  EXPECT_THAT(Sql("SELECT count(*) FROM plugin_configs"), ElementsAre(std::to_string(written)));
  ASSERT_THAT(journal().Flush(), IsOk());  // what they have appended is seen from now on
  EXPECT_THAT(plugins().Configure(id, "{}"), IsOk());
}

class PluginLockTest : public PluginRaceTest {
 protected:
  void SetUp() override {
    DatabaseOptions options;
    options.views.command_wait_ms = 50;
    ASSERT_THAT(Open(options), IsOk());
    Install(ManifestOf("core"));
    // The tables, for which a command must not have to wait here.
    ASSERT_THAT(CatchUp(), IsOk());
  }

  // A process that has stopped while it decides.
  std::unique_ptr<test::Program> StartHolder() {
    absl::StatusOr<std::unique_ptr<test::Program>> child =
        test::Program::Start({.argv = {NIMBUS_PLUGIN_CHILD, store(), "hold"}});
    EXPECT_THAT(child, IsOk());
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while ((*child)->OutputSoFar() != "held\n" && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ((*child)->OutputSoFar(), "held\n");
    return *std::move(child);
  }
};

TEST_F(PluginLockTest, AStoppedProcessIsNamedByThoseWhoseTurnDoesNotCome) {
  const std::unique_ptr<test::Program> holder = StartHolder();
  const auto refused =
      StatusIs(absl::StatusCode::kDeadlineExceeded,
               testing::AllOf(HasSubstr("plugins.lock is held by process " +
                                        std::to_string(holder->pid()) + " after 50 ms"),
                              HasSubstr("if it is stopped")));
  const uint64_t before = Size();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto core, plugins().FindByName("core"));
  EXPECT_THAT(plugins().Install(ManifestOf("a", "1.0.0", {"core"})), refused);
  EXPECT_THAT(plugins().Update(*core, {.version = "1.1.0"}), refused);
  EXPECT_EQ(Size(), before) << "nothing was written";
  // Commands that decide by one plugin alone take no turns.
  EXPECT_THAT(plugins().Install(ManifestOf("b")), IsOk());
  EXPECT_THAT(plugins().Disable(*core), IsOk());
  holder->Signal(SIGCONT);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished finished, holder->Wait());
  EXPECT_EQ(finished.exit_code, 0);
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(plugins().Install(ManifestOf("a", "1.0.0", {"core"})), IsOk());
}

TEST_F(PluginLockTest, AKilledProcessLetsTheOthersGoOn) {
  const std::unique_ptr<test::Program> holder = StartHolder();
  EXPECT_THAT(plugins().Install(ManifestOf("a", "1.0.0", {"core"})),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  holder->Signal(SIGKILL);
  ASSERT_THAT(holder->Wait(), IsOk());
  EXPECT_THAT(plugins().Install(ManifestOf("a", "1.0.0", {"core"})), IsOk());
  ExpectRowsAsRebuilt();
}

}  // namespace
}  // namespace nimbus::projections
