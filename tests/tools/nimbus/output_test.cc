// What the commands print, to whom, and what they say when it can't be printed.
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "tools/nimbus/fixture.h"

namespace nimbus::tools {
namespace {

using schema::Json;
using test::Finished;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class OutputTest : public CommandLineTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(Nimbus({"init"}).exit_code, 0);
    File("a", SessionLines(0, 400));
    const Finished run = Nimbus({"import", "a"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }
};

TEST_F(OutputTest, IsOneDocumentWithJson) {
  EXPECT_TRUE(Document(Nimbus({"init", "--json"})).IsObject());
  EXPECT_TRUE(Document(Nimbus({"import", "a", "--json"})).IsArray());
  EXPECT_TRUE(Document(Nimbus({"history", "list", "--json"})).IsArray());
  EXPECT_TRUE(Document(Nimbus({"history", "sessions", "--json"})).IsArray());
  EXPECT_TRUE(Document(Nimbus({"history", "show", "@", "--json"})).IsObject());
  EXPECT_TRUE(Document(Nimbus({"journal", "stat", "--json"})).IsObject());
  EXPECT_TRUE(Document(Nimbus({"journal", "verify", "--json"})).IsObject());
  EXPECT_TRUE(Document(Nimbus({"journal", "du", "--json"})).IsObject());
  EXPECT_TRUE(Document(Nimbus({"journal", "tail", "-n", "1", "--json"})).IsObject());
  EXPECT_TRUE(Document(Nimbus({"export", "--list", "--json"})).IsArray());
  EXPECT_TRUE(Document(Replay({"list", "--json"})).IsArray());
  EXPECT_TRUE(Document(Replay({"list", "@", "--json"})).IsObject());
  EXPECT_TRUE(Document(Replay({"run", "@", "--json"})).IsObject());
  EXPECT_TRUE(Document(Replay({"state", "@", "--json"})).IsObject());
  EXPECT_TRUE(Document(Replay({"verify", "--all", "--json"})).IsObject());
  EXPECT_TRUE(Document(Replay({"blame", "@", "/messages", "--json"})).IsObject());
  EXPECT_TRUE(Document(Replay({"diff", "@", "@", "--json"})).IsObject());
  EXPECT_TRUE(Document(Replay({"export", "@", "--json"})).IsObject());
  EXPECT_TRUE(Document(Replay({"fork", "@", "--at", "start", "-n", "--json"})).IsObject());
}

TEST_F(OutputTest, IsPlainTextWhenPiped) {
  const Finished list = Nimbus({"history", "list", "--limit", "2"});
  const Finished show = Nimbus({"history", "show", "@"});
  EXPECT_THAT(list.out + show.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(list.out, AllOf(HasSubstr("\tchat\t"), Not(HasSubstr("OPERATION"))));
  EXPECT_EQ(list.out.find('\t'), 36u) << "ids are whole: " << list.out;
  EXPECT_EQ(std::count(list.out.begin(), list.out.end(), '\n'), 2);
  EXPECT_THAT(Nimbus({"--color", "always", "journal", "verify"}).out, HasSubstr("\x1b"));
}

TEST_F(OutputTest, EndsQuietlyWhenItsReaderHasEnough) {
  const Finished run = Shell("$NIMBUS journal tail -n 100000 | head -n 1");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.err, "");
  EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 1);
}

TEST_F(OutputTest, SaysWhenItCannotBeWritten) {
  for (const std::string command :
       {"$NIMBUS history list --limit 100000", "$NIMBUS history show @ --json",
        "$NIMBUS journal stat", "$NIMBUS journal verify", "$NIMBUS journal tail -n 100000",
        "$NIMBUS export @", "$NIMBUS import a", "$NIMBUS --help", "$NIMBUS man",
        "$NIMBUS_REPLAY run @", "$NIMBUS_REPLAY state @", "$NIMBUS_REPLAY list"}) {
    for (const std::string target : {" >/dev/full", " >&-"}) {
      const Finished run = Shell(command + target);
      EXPECT_EQ(run.exit_code, 74) << command << target << ": " << run.err;
      EXPECT_THAT(run.err, HasSubstr("standard output: write failed")) << command << target;
    }
  }
}

// More than a buffer's worth, so that the write fails while the command still works.
TEST_F(OutputTest, SaysWhenALongReportCannotBeWritten) {
  std::string files;
  for (int i = 0; i < 60; ++i) files += " a";
  const Finished run = Shell("$NIMBUS import" + files + " >/dev/full");
  EXPECT_EQ(run.exit_code, 74) << run.err;
  EXPECT_EQ(run.signal, 0);
  EXPECT_EQ(run.err, "nimbus: standard output: write failed\n");
}

// Else the files of the store would take the numbers of the streams.
TEST_F(OutputTest, NeverGoesIntoTheStoreWhenItsStreamsAreClosed) {
  File("b", SessionLines(0, 100, "t"));
  File("bad", "hello\n");
  EXPECT_EQ(Shell("$NIMBUS import bad b a <&- >&- 2>&-").exit_code, 74);
  ExpectVerified();
  EXPECT_EQ(Document(Nimbus({"history", "sessions", "--json"})).array().size(), 2u);
  EXPECT_EQ(test::ReadFile(directory_ / "store/journal-1/turn.lock"), "");
}

TEST_F(OutputTest, TakesOnlyCountsForCounts) {
  EXPECT_EQ(Document(Nimbus({"history", "list", "--limit", "010", "--json"})).array().size(), 10u);
  EXPECT_EQ(Document(Nimbus({"history", "list", "--limit", "0", "--json"})).array().size(), 0u);
  const std::string most = "18446744073709551615";
  EXPECT_EQ(Document(Nimbus({"history", "list", "--limit", most, "--json"})).array().size(), 200u);
  EXPECT_EQ(Document(Nimbus({"history", "list", "--offset", most, "--json"})).array().size(), 0u);
  for (const std::string bad : {"-1", "18446744073709551616", "x", "1x", "", "1.5", "+1"}) {
    const Finished run = Nimbus({"history", "list", "--limit=" + bad});
    EXPECT_EQ(run.exit_code, 64) << bad << run.out;
    EXPECT_THAT(run.err, HasSubstr("--limit")) << bad;
  }
  EXPECT_EQ(Nimbus({"history", "list", "--offset", "-5"}).exit_code, 64);
  EXPECT_EQ(Nimbus({"journal", "tail", "-n", "-2"}).exit_code, 64);
  EXPECT_EQ(Replay({"run", "@", "--from-step", "-1"}).exit_code, 64);
  EXPECT_EQ(Replay({"run", "@", "--to-step", "-18446744073709551615"}).exit_code, 64);
  EXPECT_EQ(Replay({"state", "@", "--at", "4294967297"}).exit_code, 66);
}

TEST_F(OutputTest, SaysWhichCommandThereIsNot) {
  const Finished run = Nimbus({"histroy", "list"});
  EXPECT_EQ(run.exit_code, 64);
  EXPECT_EQ(run.err, "nimbus: no command 'histroy'; did you mean 'history'?\n");
  EXPECT_EQ(Nimbus({"histor", "lst"}).err,
            "nimbus: no command 'histor'; did you mean 'history'?\n");
  EXPECT_EQ(Nimbus({"history", "lst"}).err, "nimbus: no command 'lst'; did you mean 'list'?\n");
  EXPECT_EQ(Nimbus({"quux"}).err, "nimbus: no command 'quux'; see --help\n");
  EXPECT_EQ(Nimbus({"history", "show", "@", "--folow"}).err,
            "nimbus: unexpected argument '--folow'; did you mean '--follow'?\n");
  EXPECT_EQ(Nimbus({"history", "list", "--limt=3", "more"}).exit_code, 64);
  EXPECT_EQ(Nimbus({"history", "show", "--"}).err,
            "nimbus: ID is required\nRun with --help for more information.\n");
  EXPECT_EQ(Nimbus({"history", "lst"}).exit_code, 64);
  EXPECT_EQ(Nimbus({}).exit_code, 64);
  EXPECT_EQ(Nimbus({"history", "list", "--colour"}).exit_code, 64);
  EXPECT_EQ(Nimbus({"history", "list", "--status", "odd"}).exit_code, 64);
}

// Waits until the program has printed `text`; false when it never does.
bool Prints(const test::Program& program, const std::string& text) {
  for (int i = 0; i < 400; ++i) {
    if (program.OutputSoFar().find(text) != std::string::npos) return true;
    usleep(25'000);
  }
  return false;
}

TEST_F(OutputTest, FollowsWhatAnotherProcessAppends) {
  File("b", SessionLines(0, 1, "t"));
  ASSERT_EQ(Nimbus({"import", "b"}).exit_code, 0);
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      auto tail,
      test::Program::Start(Options({NIMBUS_PROGRAM, "journal", "tail", "-f", "-n", "1"})));
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      auto show, test::Program::Start(Options({NIMBUS_PROGRAM, "history", "show", "@", "-f"})));
  EXPECT_TRUE(Prints(*tail, "ImportFinished"));
  EXPECT_TRUE(Prints(*show, "running"));

  File("b", SessionLines(0, 3, "t"));
  ASSERT_EQ(Nimbus({"import", "b"}).exit_code, 0);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished shown, show->Wait());
  EXPECT_EQ(shown.exit_code, 0) << "the operation has ended: " << shown.err;
  EXPECT_THAT(shown.out, AllOf(HasSubstr("StepCompleted"), HasSubstr("OperationCompleted")));
  EXPECT_TRUE(Prints(*tail, "OperationCompleted"));
  tail->Signal(SIGINT);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished tailed, tail->Wait());
  EXPECT_EQ(tailed.exit_code, 130) << tailed.err;
}

}  // namespace
}  // namespace nimbus::tools
