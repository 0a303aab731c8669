// nimbus import: what it says to bad input, and that nothing is lost or doubled
// by a full disk, a signal or another process.
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "tools/import/zip_writer.h"
#include "tools/nimbus/fixture.h"

namespace nimbus::tools {
namespace {

using test::Finished;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ImportCommandTest : public CommandLineTest {
 protected:
  void SetUp() override { ASSERT_EQ(Nimbus({"init"}).exit_code, 0); }

  void ExpectRefused(const std::string& file, int exit_code, const std::string& message) {
    const std::string root = Root();
    const Finished run = Nimbus({"import", file});
    EXPECT_EQ(run.exit_code, exit_code) << run.err;
    EXPECT_THAT(run.err, AllOf(StartsWith("nimbus: " + file + ": "), HasSubstr(message)));
    EXPECT_EQ(run.err.find(file, run.err.find(file) + 1), std::string::npos) << run.err;
    EXPECT_EQ(run.out, "");
    EXPECT_EQ(Root(), root) << "something was appended";
  }
};

TEST_F(ImportCommandTest, RefusesWhatIsNoRecordingAndSaysWhere) {
  const std::string lines = SessionLines(0, 4);
  ExpectRefused("absent.jsonl", 66, "No such file");
  ExpectRefused("../" + directory_.path().filename().string(), 65, "is a directory");
  File("bad.jsonl", "hello\nworld\n");
  ExpectRefused("bad.jsonl", 65, "not JSON, from line 1 on");
  File("bad.jsonl", "");
  ExpectRefused("bad.jsonl", 65, "the file is empty");
  File("bad.jsonl", "{\"a\":1}\n");
  ExpectRefused("bad.jsonl", 65, "of no known format; known are claude-code");
  File("bad.jsonl", lines.substr(0, lines.size() - 20));
  ExpectRefused("bad.jsonl", 65, "line 4: malformed JSON");
  File("bad.jsonl", lines + "{\"a\":\"\xFF\"}\n");
  ExpectRefused("bad.jsonl", 65, "line 5: malformed JSON: invalid UTF-8");
}

TEST_F(ImportCommandTest, RefusesAFileItMayNotRead) {
  const std::string file = File("a", SessionLines(0, 2));
  ASSERT_EQ(chmod(file.c_str(), 0), 0);
  if (geteuid() != 0) {
    ExpectRefused("a", 74, "Permission denied");
    return;
  }
  // Root may read everything: become nobody, with a store of its own.
  ASSERT_EQ(chmod(directory_.string().c_str(), 0777), 0);
  const std::string nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups ";
  if (Shell(nobody + "$NIMBUS --version").exit_code != 0) GTEST_SKIP() << "no setpriv";
  EXPECT_EQ(Shell(nobody + "$NIMBUS --store own init").exit_code, 0);
  const Finished run = Shell(nobody + "$NIMBUS --store own import a");
  EXPECT_EQ(run.exit_code, 74) << run.out;
  EXPECT_EQ(run.err, "nimbus: a: Permission denied\n");
}

TEST_F(ImportCommandTest, ImportsTheOthersWhenOneIsRefused) {
  File("bad", "hello\n");
  File("good", SessionLines(0, 2));
  const Finished run = Nimbus({"import", "absent", "bad", "good", "--json"});
  EXPECT_EQ(run.exit_code, 66) << "the first error is the one that counts";
  EXPECT_THAT(run.err, AllOf(HasSubstr("absent: "), HasSubstr("bad: "), Not(HasSubstr("good"))));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const schema::Json reports, schema::Json::Parse(run.out));
  ASSERT_EQ(reports.array().size(), 1u);
  EXPECT_EQ(reports.array()[0].StringOr("file"), "good");
}

TEST_F(ImportCommandTest, AppendsNothingTheSecondTime) {
  File("a", SessionLines(0, 20));
  File("b", SessionLines(0, 20, "t"));
  EXPECT_EQ(Nimbus({"import", "a", "b"}).exit_code, 0);
  const std::string root = Root();
  const Finished again = Nimbus({"import", "b", "a"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("all there already"));
  EXPECT_EQ(Root(), root);
}

TEST_F(ImportCommandTest, ExportsTheBytesThatWereImported) {
  const std::string text = SessionLines(0, 20);
  File("a", text);
  ASSERT_EQ(Nimbus({"import", "a"}).exit_code, 0);
  EXPECT_EQ(Nimbus({"export", "@"}).out, text);
  EXPECT_EQ(Nimbus({"export", "@-", "-o", "b"}).exit_code, 0);
  EXPECT_EQ(test::ReadFile(directory_ / "b"), text);
  EXPECT_EQ(Nimbus({"export", "@", "-o", "/dev/full"}).exit_code, 74);
}

// An Inspect log is a zip archive, and ends with no line end.
std::string InspectArchive(std::string_view last_message) {
  const std::string header =
      R"({"version":2,"status":"success","eval":{"task":"t","eval_id":"E","model":"m"}})";
  const std::string sample = fmt::format(
      R"({{"id":1,"epoch":1,"messages":["{}"],"events":[{{"event":"sample_init",)"
      R"("state":{{"messages":[]}}}},{{"event":"model","model":"m","output":{{}}}},)"
      R"({{"event":"state","changes":[{{"op":"add","path":"/messages/0","value":"hi"}}]}}]}})",
      last_message);
  return test::WriteZip({{"samples/1_epoch_1.json", sample, test::ZipMember::Method::kZstd},
                         {"header.json", header, test::ZipMember::Method::kDeflate}});
}

TEST_F(ImportCommandTest, ExportsAnArchiveAsTheFileItWas) {
  const std::string bytes = InspectArchive("hi");
  File("log.eval", bytes);
  const schema::Json reports = Document(Nimbus({"import", "log.eval", "--json"}));
  EXPECT_EQ(reports.array().at(0).StringOr("format"), "inspect");
  EXPECT_EQ(*reports.array()[0].Find("notes"), schema::Json::MakeArray());
  EXPECT_EQ(Nimbus({"export", "@"}).out, bytes);
  EXPECT_EQ(Nimbus({"export", "@", "-o", "copy.eval"}).exit_code, 0);
  EXPECT_EQ(test::ReadFile(directory_ / "copy.eval"), bytes);
  const schema::Json state = Document(Replay({"state", "@", "--json"}));
  EXPECT_THAT(state.Dump(), HasSubstr(R"({"messages":["hi"]})"));
  EXPECT_EQ(Replay({"run", "@"}).exit_code, 0);
  File("cut.eval", bytes.substr(0, bytes.size() - 9));
  ExpectRefused("cut.eval", 65, "zip: ");
}

TEST_F(ImportCommandTest, SaysWhatIsOddAboutAFile) {
  File("log.eval", InspectArchive("bye"));
  const std::string note = "samples/1_epoch_1.json.messages/0: differs from the state";
  EXPECT_THAT(Nimbus({"import", "log.eval"}).out, HasSubstr("note: " + note));
  const schema::Json reports = Document(Nimbus({"import", "log.eval", "--json"}));
  ASSERT_EQ(reports.array().at(0).Find("notes")->array().size(), 1u);
  EXPECT_THAT(reports.array()[0].Find("notes")->array()[0].string(), HasSubstr(note));
}

TEST_F(ImportCommandTest, GoesOnOnceThereIsRoomOnTheDisk) {
  File("a", SessionLines(0, 3000));
  const Finished full = Shell("ulimit -f 300; exec \"$NIMBUS\" import a");
  EXPECT_EQ(full.exit_code, 74) << full.out << full.err;
  EXPECT_THAT(full.err, StartsWith("nimbus: a: "));
  ExpectVerified();
  EXPECT_EQ(Nimbus({"import", "a"}).exit_code, 0);

  // The views need more room than the journal.
  const Finished listed = Shell("ulimit -f 300; exec \"$NIMBUS\" history list");
  EXPECT_EQ(listed.exit_code, 74) << listed.out;
  EXPECT_THAT(listed.err, HasSubstr("SQLite"));
  EXPECT_EQ(Nimbus({"history", "list"}).exit_code, 0);
  EXPECT_EQ(Nimbus({"export", "@"}).out, SessionLines(0, 3000));
  ExpectVerified();
}

TEST_F(ImportCommandTest, GoesOnAfterSignals) {
  const std::string text = SessionLines(0, 4000);
  File("a", text);
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 8; ++i) {
    const int signal = i % 2 == 0 ? SIGKILL : SIGINT;
    NIMBUS_ASSERT_OK_AND_ASSIGN(auto program,
                                test::Program::Start(Options({NIMBUS_PROGRAM, "import", "a"})));
    usleep(20'000 + random() % 80'000);
    program->Signal(signal);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, program->Wait());
    if (run.exit_code == 130) {
      EXPECT_EQ(run.err, "nimbus: a: interrupted; the same command goes on from here\n");
    } else if (run.exit_code != 0) {
      EXPECT_TRUE(run.signal == SIGKILL || run.signal == SIGINT) << run.exit_code << run.err;
    }
    ExpectVerified();
  }
  EXPECT_EQ(Nimbus({"import", "a"}).exit_code, 0);
  EXPECT_EQ(Nimbus({"export", "@"}).out, text);
  EXPECT_THAT(Nimbus({"export", "--list"}).out, Not(HasSubstr("unfinished")));
}

TEST_F(ImportCommandTest, SharesTheStoreWithOtherImportsAndReaders) {
  std::vector<std::string> forward = {NIMBUS_PROGRAM, "import"}, backward = forward;
  for (int i = 0; i < 6; ++i) {
    forward.push_back(File(fmt::format("f{}", i), SessionLines(0, 300, fmt::format("s{}", i))));
  }
  backward.insert(backward.end(), forward.rbegin(), forward.rend() - 2);
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto one, test::Program::Start(Options(forward)));
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto other, test::Program::Start(Options(backward)));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Nimbus({"history", "list"}).exit_code, 0);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished one_run, one->Wait());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished other_run, other->Wait());
  EXPECT_EQ(one_run.exit_code, 0) << one_run.err;
  EXPECT_EQ(other_run.exit_code, 0) << other_run.err;
  ExpectVerified();
  const schema::Json all = Document(Nimbus({"history", "list", "--limit", "10000", "--json"}));
  EXPECT_EQ(all.array().size(), 6u * 150);
}

}  // namespace
}  // namespace nimbus::tools
