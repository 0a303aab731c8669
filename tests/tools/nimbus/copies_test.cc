// nimbus journal export, import, backup and restore as a user runs them, and as
// they are killed.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "testing/random.h"
#include "tools/nimbus/fixture.h"

namespace nimbus::tools {
namespace {

namespace fs = std::filesystem;
using schema::Json;
using test::Finished;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kKills = 20;

class CopiesTest : public CommandLineTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(Nimbus({"init"}).exit_code, 0);
    ASSERT_NO_FATAL_FAILURE(Import(0, 400));
  }

  // Lines [0, to) of a session; those before `from` are in the store already.
  void Import(int from, int to) {
    File("a", SessionLines(0, to));
    const Finished run = Nimbus({"import", "a"});
    ASSERT_EQ(run.exit_code, 0) << from << run.err;
  }

  Finished At(const std::string& store, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--store", store, "journal"});
    return Nimbus(std::move(arguments));
  }

  uint64_t SizeOf(const std::string& store) const {
    return static_cast<uint64_t>(
        Document(At(store, {"stat", "--json"})).Find("records")->AsInt().value_or(0));
  }

  void ExpectSame(const std::string& store) const {
    EXPECT_EQ(Document(At(store, {"stat", "--json"})).StringOr("root"), Root());
    const Finished verified = At(store, {"verify"});
    EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  }

  void ExpectError(const Finished& run, int exit_code, const std::string& message) const {
    EXPECT_EQ(run.exit_code, exit_code) << run.out << run.err;
    EXPECT_THAT(run.err, HasSubstr(message));
  }

  // How long the command takes when nobody kills it.
  int64_t MicrosOf(const std::vector<std::string>& arguments) const {
    const auto begun = std::chrono::steady_clock::now();
    const Finished run = Nimbus(arguments);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const auto took = std::chrono::steady_clock::now() - begun;
    return std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  }

  // Runs the command and kills it some time within `most_us`.
  Finished RunAndKill(const std::vector<std::string>& arguments, int64_t most_us) {
    std::vector<std::string> argv = {NIMBUS_PROGRAM};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    absl::StatusOr<std::unique_ptr<test::Program>> program = test::Program::Start(Options(argv));
    EXPECT_THAT(program, test::IsOk());
    std::this_thread::sleep_for(std::chrono::microseconds(random_.Between(0, most_us)));
    (*program)->Signal(SIGKILL);
    absl::StatusOr<Finished> run = (*program)->Wait();
    EXPECT_THAT(run, test::IsOk());
    return *std::move(run);
  }

  test::SeededRandom random_;
};

TEST_F(CopiesTest, KeepAReplicaByRanges) {
  const Finished first = Nimbus({"journal", "export", "first"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, AllOf(HasSubstr("records 0 to "), HasSubstr("root " + Root())));
  EXPECT_EQ(At("replica", {"import", "first"}).exit_code, 0);
  ExpectSame("replica");
  const std::string size = std::to_string(SizeOf("replica"));

  Import(400, 600);
  EXPECT_EQ(Nimbus({"journal", "export", "--from", size, "second"}).exit_code, 0);
  const Json checked = Document(Nimbus({"journal", "import", "--check", "second", "--json"}));
  EXPECT_EQ(checked.StringOr("root_to"), Root());
  EXPECT_EQ(Nimbus({"journal", "import", "--check", "--root", Root(), "second"}).exit_code, 0);
  EXPECT_EQ(At("replica", {"import", "second"}).exit_code, 0);
  ExpectSame("replica");
  const Json again = Document(At("replica", {"import", "second", "--json"}));
  EXPECT_EQ(again.Find("imported")->AsInt(), 0);
  EXPECT_EQ(
      Shell("$NIMBUS journal export - > third && $NIMBUS journal import --check third").exit_code,
      0);
}

// As root, renaming a file over a device would take that away from everybody.
TEST_F(CopiesTest, AreWrittenIntoWhatIsNoFileAsItIs) {
  for (const std::string command : {"journal export pipe", "export @ --format atif -o pipe"}) {
    const Finished run = Shell("rm -f pipe; mkfifo pipe; cat pipe >copy & $NIMBUS " + command +
                               "; e=$?; wait; exit $e");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_TRUE(fs::is_fifo(Path("pipe"))) << command;
    EXPECT_GT(fs::file_size(Path("copy")), 100u) << command;
  }
  ExpectError(Nimbus({"journal", "export", "."}), 74, ".: can't be written");
  EXPECT_FALSE(fs::exists(Path("pipe.new")));
}

TEST_F(CopiesTest, SayWhatIsWrongWithARange) {
  ASSERT_EQ(Nimbus({"journal", "export", "good"}).exit_code, 0);
  const std::string good = *test::ReadFile(directory_ / "good");
  ExpectError(Nimbus({"journal", "import", "--check", "--root", std::string(64, '0'), "good"}), 1,
              "good: proven wrong: its root at");
  ExpectError(Nimbus({"journal", "import", "--check", "--root", "12", "good"}), 65, "is no root");
  File("cut", good.substr(0, good.size() / 2));
  ExpectError(At("other", {"import", "cut"}), 65, "cut: cut off, or changed");
  ExpectError(At("other", {"import", "--check", "a"}), 65, "a: not a range of a journal");
  ExpectError(At("other", {"import", "none"}), 66, "none: No such file");
  ExpectError(Nimbus({"journal", "export", "--from", "99999", "x"}), 66, "no records 99999");
  ExpectError(Nimbus({"journal", "export", "no/such/x"}), 74, "can't be written");
  ExpectError(Nimbus({"journal", "export", "--from", "-1", "x"}), 64, "--from");
  EXPECT_EQ(Shell("$NIMBUS journal export - >/dev/full").exit_code, 74);
  EXPECT_FALSE(fs::exists(Path("other")));
  EXPECT_FALSE(fs::exists(Path("x")));
  EXPECT_FALSE(fs::exists(Path("x.new")));

  ASSERT_EQ(At("stranger", {"stat"}).exit_code, 66);
  ASSERT_EQ(Nimbus({"--store", "stranger", "init"}).exit_code, 0);
  ExpectError(At("stranger", {"import", "good"}), 65, "stranger holds journal");
}

TEST_F(CopiesTest, GoIntoBackupsAndBack) {
  ASSERT_EQ(Nimbus({"history", "list"}).exit_code, 0);  // makes views
  const Finished backup = Nimbus({"journal", "backup", "--verify", "b"});
  ASSERT_EQ(backup.exit_code, 0) << backup.err;
  EXPECT_THAT(backup.out, AllOf(HasSubstr("read back and verified"), HasSubstr("root " + Root())));
  ExpectSame("b");
  EXPECT_FALSE(fs::exists(Path("b/views.db")));
  ExpectError(Nimbus({"journal", "backup", "b"}), 65, "b: there is a store already");
  ExpectError(Nimbus({"journal", "restore", "b"}), 65, "there is a store already");
  ExpectError(Nimbus({"journal", "restore", "nothing", "r"}), 66, "nothing: not a Nimbus store");

  const Json restored =
      Document(Nimbus({"--store", "r", "journal", "restore", "b", "--verify", "--json"}));
  EXPECT_EQ(restored.StringOr("root"), Root());
  EXPECT_EQ(Nimbus({"journal", "restore", "b", "r2"}).exit_code, 0);
  ExpectSame("r");
  ExpectSame("r2");
  EXPECT_EQ(Nimbus({"--store", "r", "history", "list", "--json"}).out,
            Nimbus({"history", "list", "--json"}).out);
  EXPECT_EQ(Nimbus({"--store", "r", "import", "a"}).exit_code, 0);
}

TEST_F(CopiesTest, SayWhenABackupIsDamaged) {
  ASSERT_EQ(Nimbus({"journal", "backup", "b"}).exit_code, 0);
  const fs::path data = directory_ / "b/journal-2/data.mdb";
  std::string bytes = *test::ReadFile(data);
  const size_t at = bytes.find("NMFR");
  ASSERT_NE(at, std::string::npos);
  bytes[at + 70] = static_cast<char>(bytes[at + 70] ^ 1);
  ASSERT_TRUE(test::WriteFile(data, bytes));
  ExpectError(Nimbus({"journal", "restore", "b", "r"}), 65, "record 0: frame checksum");
  EXPECT_FALSE(fs::exists(Path("r/CURRENT")));
}

TEST_F(CopiesTest, AreWholeOrNoStoresWhenTheyAreKilled) {
  ASSERT_EQ(Nimbus({"journal", "export", "range"}).exit_code, 0);
  const int64_t most_us = MicrosOf({"journal", "backup", "whole"});
  int killed = 0, unfinished = 0;
  for (int round = 0; round < kKills && !HasFailure(); ++round) {
    const std::string store = fmt::format("copy-{}", round);
    const std::vector<std::string> command =
        round % 2 == 0 ? std::vector<std::string>{"journal", "backup", store}
                       : std::vector<std::string>{"--store", store, "journal", "import", "range"};
    killed += RunAndKill(command, most_us).signal == SIGKILL;
    if (fs::exists(Path(store + "/CURRENT"))) {
      ExpectSame(store);
      continue;
    }
    unfinished += fs::exists(Path(store));
    EXPECT_EQ(At(store, {"stat"}).exit_code, 66);
    const Finished again = Nimbus(command);
    EXPECT_EQ(again.exit_code, 0) << again.err;
    ExpectSame(store);
  }
  std::printf("%d of %d killed, %d were begun and not finished\n", killed, kKills, unfinished);
}

TEST_F(CopiesTest, AreWholeWhenACompactionIsKilled) {
  ASSERT_EQ(Nimbus({"history", "list"}).exit_code, 0);
  const int64_t most_us = MicrosOf({"journal", "compact"});
  int killed = 0;
  for (int round = 0; round < kKills && !HasFailure(); ++round) {
    const std::string root = Root();
    killed += RunAndKill({"journal", "compact"}, most_us).signal == SIGKILL;
    const Finished verified = Nimbus({"journal", "verify"});
    EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
    EXPECT_EQ(Root(), root);
    if (round % 3 != 0) continue;
    Import(0, 402 + 2 * round);
    EXPECT_NE(Root(), root);
  }
  const Json done = Document(Nimbus({"journal", "compact", "--json"}));
  EXPECT_EQ(done.Find("old_removed")->Dump(), "true");
  ExpectSame("store");
  EXPECT_EQ(Nimbus({"history", "list"}).exit_code, 0);
  EXPECT_EQ(std::distance(fs::directory_iterator(Path("store")), {}),
            std::count_if(fs::directory_iterator(Path("store")), {}, [](const auto& entry) {
              const std::string name = entry.path().filename().string();
              return name == "CURRENT" || name.starts_with("journal-") || name.starts_with("views");
            }));
  std::printf("%d of %d killed\n", killed, kKills);
}

TEST_F(CopiesTest, KeepPrunedBodiesInAnArchive) {
  const std::string root = Root();
  const Finished dry = Nimbus({"journal", "prune", "--before", "2030-01-01"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_THAT(dry.out, AllOf(HasSubstr("would move"), HasSubstr("--yes")));
  EXPECT_FALSE(fs::exists(Path("store/archives")));
  EXPECT_EQ(Nimbus({"journal", "prune", "--before", "soon"}).exit_code, 64);

  const Json done =
      Document(Nimbus({"journal", "prune", "--before", "2030-01-01", "--yes", "--json"}));
  const std::string archive(done.StringOr("archive"));
  ASSERT_TRUE(fs::exists(directory_ / archive)) << archive;
  EXPECT_EQ(Root(), root);
  EXPECT_EQ(Nimbus({"journal", "verify"}).exit_code, 0);
  EXPECT_EQ(Replay({"run", "@-"}).exit_code, 0);
  EXPECT_EQ(Nimbus({"import", "a"}).exit_code, 0);

  fs::rename(directory_ / archive, Path("elsewhere"));
  const Finished verified = Nimbus({"journal", "verify"});
  EXPECT_EQ(verified.exit_code, 2) << verified.out << verified.err;
  EXPECT_THAT(verified.out, HasSubstr("in archives that are not there"));
  const Finished replayed = Replay({"run", "@-"});
  EXPECT_EQ(replayed.exit_code, 2) << replayed.err;
  EXPECT_THAT(replayed.out, AllOf(HasSubstr("incomplete"), HasSubstr(archive)));
  fs::rename(Path("elsewhere"), directory_ / archive);
  EXPECT_EQ(Replay({"run", "@-"}).exit_code, 0);
}

TEST_F(CopiesTest, GoOnWhereAnImportWasKilled) {
  ASSERT_EQ(Nimbus({"journal", "export", "--to", "10", "first"}).exit_code, 0);
  Import(400, 3000);
  ASSERT_EQ(Nimbus({"journal", "export", "all"}).exit_code, 0);
  ASSERT_EQ(At("whole", {"import", "first"}).exit_code, 0);
  const int64_t most_us = MicrosOf({"--store", "whole", "journal", "import", "all"});
  int part = 0;
  for (int round = 0; round < kKills && !HasFailure(); ++round) {
    const std::string store = fmt::format("replica-{}", round);
    ASSERT_EQ(At(store, {"import", "first"}).exit_code, 0);
    RunAndKill({"--store", store, "journal", "import", "all"}, most_us);
    const Finished verified = At(store, {"verify"});
    EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
    const uint64_t size = SizeOf(store);
    EXPECT_GE(size, 10u);
    part += size > 10 && size < SizeOf("store");
    EXPECT_EQ(At(store, {"import", "all"}).exit_code, 0);
    ExpectSame(store);
    fs::remove_all(Path(store));
  }
  std::printf("%d of %d were killed between two batches\n", part, kKills);
}

}  // namespace
}  // namespace nimbus::tools
