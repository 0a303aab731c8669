// The verbs of nimbus-replay as a user runs them, on operations recorded here.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <sstream>

#include "journal/damage.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/patch.h"
#include "nimbus/replay/recorder.h"
#include "tools/nimbus/fixture.h"

namespace nimbus::tools {
namespace {

using schema::Json;
using schema::Uuid;
using test::Finished;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ReplayProgramTest : public CommandLineTest {
 protected:
  void SetUp() override { ASSERT_EQ(Nimbus({"init"}).exit_code, 0); }

  // Appends events of our own to the store, then lets the programs have it.
  void Write(const std::function<void(journal::Journal*)>& write) {
    auto journal = journal::Journal::Open(Path("store"), {});
    ASSERT_THAT(journal, test::IsOk());
    write(journal->get());
  }

  Uuid NewSession(journal::Journal* journal) {
    const Uuid session = schema::NewUuid();
    EXPECT_THAT(journal->Append(schema::MakeEvent(schema::fb::EntityKind::session, session,
                                                  schema::fb::SessionStartedT())),
                test::IsOk());
    return session;
  }

  // Counts to `steps`; at step `fails` (if any) a step fails and changes nothing. A
  // step's input tells its number, plus `shift` from step 4 on.
  std::string RecordCount(int steps, int fails = 0, int shift = 0, bool complete = true) {
    const Uuid id = schema::NewUuid();
    Write([&](journal::Journal* journal) {
      auto opened = replay::Recorder::Open(journal, {.id = id,
                                                     .session = NewSession(journal),
                                                     .type = "count",
                                                     .input = R"({"to":"end"})",
                                                     .state = *Json::Parse(R"({"n":0,"log":[]})")});
      ASSERT_THAT(opened, test::IsOk());
      for (int number = 1; number <= steps; ++number) {
        const std::string input = fmt::format(R"({{"n":{}}})", number + (number > 3 ? shift : 0));
        const auto run = [&]() -> absl::StatusOr<replay::StepResult> {
          if (number == fails) return replay::StepResult{.error = "no more"};
          Json state = opened->state();
          state.Set("n", Json::Int(number));
          state.Find("log")->array().push_back(Json::String(fmt::format("did {}", number)));
          return replay::StepResult{.output = R"({"ok":true})", .state = std::move(state)};
        };
        ASSERT_THAT(opened->Step({.tool_name = "counter", .input = input}, run), test::IsOk());
        if (number != 2) continue;
        ASSERT_THAT(opened->Checkpoint("second"), test::IsOk());
      }
      if (!complete) return;
      ASSERT_THAT(opened->Complete(R"({"done":1})"), test::IsOk());
    });
    return id.ToString();
  }

  // One of three steps, whose second does not reproduce.
  std::string RecordWrong() {
    const Uuid id = schema::NewUuid();
    Write([&](journal::Journal* journal) {
      std::vector<schema::Event> events;
      schema::fb::OperationCreatedT created;
      created.session = std::make_unique<schema::fb::Id>(NewSession(journal).ToFb());
      created.type = "wrong";
      const auto add = [&](auto payload) -> schema::fb::BodyT& {
        events.push_back(
            schema::MakeEvent(schema::fb::EntityKind::operation, id, std::move(payload)));
        return events.back().body;
      };
      add(std::move(created));
      add(schema::fb::OperationStartedT()).state = R"({"n":0})";
      for (int number = 1; number <= 3; ++number) {
        const auto step = schema::NewUuid();
        schema::fb::StepAddedT added;
        added.step = std::make_unique<schema::fb::Id>(step.ToFb());
        add(std::move(added));
        schema::fb::StepCompletedT completed;
        completed.step = std::make_unique<schema::fb::Id>(step.ToFb());
        schema::fb::BodyT& body = add(std::move(completed));
        body.patch = fmt::format(R"([{{"op":"replace","path":"/n","value":{}}}])", number);
        const Json state = Json::MakeObject({{"n", Json::Int(number == 2 ? 7 : number)}});
        body.digest =
            std::make_unique<schema::fb::Digest>(schema::ToFb(schema::StateDigest(state)));
      }
      add(schema::fb::OperationCompletedT());
      ASSERT_THAT(journal->Append(events), test::IsOk());
    });
    return id.ToString();
  }

  Finished ReplayWith(std::vector<std::string> arguments, const std::string& input) {
    arguments.insert(arguments.begin(), NIMBUS_REPLAY_PROGRAM);
    test::ProgramOptions options = Options(std::move(arguments));
    options.input = input;
    absl::StatusOr<Finished> run = test::RunProgram(options);
    EXPECT_THAT(run, test::IsOk());
    return run.value_or(Finished{.exit_code = -1});
  }

  static Json Parsed(const Finished& run) {
    const absl::StatusOr<Json> json = Json::Parse(run.out);
    EXPECT_THAT(json, test::IsOk()) << run.out << run.err;
    return json.value_or(Json());
  }
};

TEST_F(ReplayProgramTest, RunNamesTheStepThatDiverges) {
  const std::string id = RecordWrong();
  const Finished run = Replay({"run", id});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.out, AllOf(HasSubstr("diverged operation " + id), HasSubstr("step 2 (record")));
  const Json json = Parsed(Replay({"run", id, "--json"}));
  EXPECT_EQ(json.StringOr("verdict"), "diverges");
  EXPECT_EQ(json.Find("divergence")->StringOr("operation"), id);
  EXPECT_EQ(json.Find("divergence")->Find("step")->AsInt(), 2);
  EXPECT_EQ(Replay({"run", id, "--to-step", "1"}).exit_code, 0);
  EXPECT_EQ(Replay({"run", id, "--from-step", "2"}).exit_code, 0);
}

TEST_F(ReplayProgramTest, StrictMissesWhatIsNotThere) {
  const std::string running = RecordCount(3, 0, 0, /*complete=*/false);
  EXPECT_EQ(Replay({"run", running}).exit_code, 0);
  const Finished strict = Replay({"run", running, "--strict"});
  EXPECT_EQ(strict.exit_code, 2);
  EXPECT_THAT(strict.out, HasSubstr("the operation has not ended"));
  EXPECT_EQ(Parsed(Replay({"run", running, "--strict", "--json"})).StringOr("verdict"),
            "incomplete");
  EXPECT_EQ(Replay({"run", RecordCount(3), "--strict"}).exit_code, 0);
  const Finished receipt = Replay({"run", running, "--receipt"});
  EXPECT_EQ(receipt.exit_code, 65);
  EXPECT_THAT(receipt.err, HasSubstr("has not ended"));
}

TEST_F(ReplayProgramTest, ReceiptsAreRowsOfTheViews) {
  const std::string id = RecordCount(5), wrong = RecordWrong();
  const Json report = Document(Replay({"run", id, "--receipt", "--json"}));
  EXPECT_EQ(report.StringOr("receipt").size(), 36u);
  EXPECT_EQ(Replay({"run", wrong, "--receipt"}).exit_code, 1);
  const Finished rows =
      Nimbus({"db", "sql", "SELECT verdict, steps FROM replay_receipts ORDER BY rowid"});
  EXPECT_EQ(rows.exit_code, 0) << rows.err;
  EXPECT_THAT(rows.out, AllOf(HasSubstr("holds"), HasSubstr("diverges")));
  ExpectVerified();
}

TEST_F(ReplayProgramTest, VerifySumsUpWithTheWorstExitCode) {
  const std::string good = RecordCount(5), running = RecordCount(2, 0, 0, false);
  EXPECT_EQ(Replay({"verify", "--all"}).exit_code, 0);
  EXPECT_EQ(Replay({"verify", "--all", "--strict"}).exit_code, 2);
  const std::string wrong = RecordWrong();
  const Finished all = Replay({"verify", "--all", "--strict", "-j", "2"});
  EXPECT_EQ(all.exit_code, 1);
  EXPECT_THAT(all.out, AllOf(HasSubstr("1 of 3 operations reproduced, 1 diverged, 1 incomplete"),
                             HasSubstr("diverged operation " + wrong),
                             HasSubstr("incomplete operation " + running)));
  const Json json = Parsed(Replay({"verify", good, wrong, "--json", "--receipt"}));
  EXPECT_EQ(json.Find("operations")->AsInt(), 2);
  EXPECT_EQ(json.Find("receipts")->AsInt(), 2);
  EXPECT_EQ(json.Find("findings")->array().size(), 1u);
  EXPECT_EQ(Replay({"verify"}).exit_code, 64);
  EXPECT_EQ(Replay({"verify", good, "--all"}).exit_code, 64);
  EXPECT_EQ(Replay({"verify", "--all", "-j", "0"}).exit_code, 64);
  EXPECT_EQ(Replay({"verify", "nothing"}).exit_code, 66);
}

TEST_F(ReplayProgramTest, AnArchiveThatIsAwayIsNotEnoughEvidence) {
  const std::string id = RecordCount(5);
  ASSERT_EQ(Nimbus({"journal", "prune", "--before", "1000000", "--yes"}).exit_code, 0);
  EXPECT_EQ(Replay({"run", id}).exit_code, 0);
  ASSERT_EQ(Shell("mv store/archives away").exit_code, 0);
  const Json json = Parsed(Replay({"run", id, "--json"}));
  EXPECT_EQ(json.Find("missing")->StringOr("what"), "body");
  EXPECT_EQ(Replay({"run", id}).exit_code, 2);
  EXPECT_EQ(Replay({"verify", "--all"}).exit_code, 2);
  for (const std::vector<std::string>& verb : {std::vector<std::string>{"state", id},
                                               {"blame", id, "/n"},
                                               {"export", id},
                                               {"fork", id, "--at", "3", "-n"},
                                               {"diff", id, id}}) {
    const Finished run = Replay(verb);
    EXPECT_EQ(run.exit_code, 2) << verb[0] << run.out;
    EXPECT_THAT(run.err, HasSubstr("which is not there")) << verb[0];
  }
}

// The bodies of a fork are there, those of the parent that it began with are not.
TEST_F(ReplayProgramTest, GoesOnBehindWhatIsNotThere) {
  const std::string parent = RecordCount(3);
  ASSERT_EQ(Nimbus({"journal", "prune", "--before", "1000000", "--yes"}).exit_code, 0);
  const std::string fork(
      Document(Replay({"fork", parent, "--at", "end", "--json"})).StringOr("operation"));
  Write([&](journal::Journal* journal) {
    auto opened = replay::Recorder::Open(
        journal, {.id = *schema::ParseUuid(fork), .type = "count", .input = R"({"to":"end"})"});
    ASSERT_THAT(opened, test::IsOk());
    const auto count = [&](int number) {
      return opened->Step({.tool_name = "counter", .input = fmt::format(R"({{"n":{}}})", number)},
                          [&]() -> absl::StatusOr<replay::StepResult> {
                            Json state = opened->state();
                            state.Set("n", Json::Int(number));
                            return replay::StepResult{.state = std::move(state)};
                          });
    };
    for (int number = 1; number <= 6; ++number) {
      ASSERT_THAT(count(number), test::IsOk());
      if (number != 2 && number != 5) continue;
      ASSERT_THAT(opened->Checkpoint(number == 2 ? "second" : "more"), test::IsOk());
    }
  });
  EXPECT_EQ(Replay({"run", fork}).exit_code, 0);
  ASSERT_EQ(Shell("mv store/archives away").exit_code, 0);
  const Finished run = Replay({"run", fork});
  EXPECT_EQ(run.exit_code, 2) << run.err;
  EXPECT_THAT(run.out,
              AllOf(HasSubstr("incomplete operation " + fork), HasSubstr("which is not there"),
                    HasSubstr("step 2 (record"), HasSubstr("went on from record"),
                    HasSubstr("2 steps were not replayed")));
  const Json json = Parsed(Replay({"run", fork, "--json"}));
  EXPECT_EQ(json.Find("steps_skipped")->AsInt(), 2);
  EXPECT_EQ(json.Find("steps")->AsInt(), 1);
  // The checkpoint that the parent's last state would be folded from.
  EXPECT_EQ(json.Find("missing")->Find("step")->AsInt(), 2);
  EXPECT_EQ(json.Find("missing")->StringOr("operation"), parent);
}

// LMDB trusts its pages and may fault on damaged ones: what dies is this program's child.
TEST_F(ReplayProgramTest, DamageIsNeverReplayedAsIfItWereWhatWasRecorded) {
  const std::string id = RecordCount(40);
  const std::vector<std::string> run = {"run", id, "--strict", "--json"};
  const std::string honest = Replay(run).out;
  const journal::ClosedFiles files(Path("store"));
  test::SeededRandom random;
  int named = 0;
  for (int round = 0; round < 40; ++round) {
    std::string bytes = files["data.mdb"];
    const std::string what = journal::FlipBit(&bytes, random.Below(bytes.size()), &random);
    ASSERT_TRUE(files.Restore({{"data.mdb", bytes}}));
    const Finished damaged = Replay(run);
    EXPECT_THAT(damaged.err, Not(HasSubstr("check failed"))) << what;
    if (damaged.exit_code == 0) {
      EXPECT_EQ(damaged.out, honest) << what;
      continue;
    }
    if (damaged.exit_code != 1) continue;  // it can't be read so far, and says so
    ++named;
    EXPECT_EQ(Parsed(damaged).Find("divergence")->StringOr("what"), "record") << what;
    const Finished verified = Nimbus({"journal", "verify"});
    EXPECT_NE(verified.exit_code, 0) << what << verified.out;
  }
  std::printf("%d of 40 flipped bits were named by a replay\n", named);
  ASSERT_TRUE(files.Restore({}));
  EXPECT_EQ(Replay(run).out, honest);
}

TEST_F(ReplayProgramTest, StateIsThatOfAnyPoint) {
  const std::string id = RecordCount(5, /*fails=*/4);
  const auto n_at = [&](const std::string& at) {
    return Replay({"state", id, "--at", at, "--path", "/n"}).out;
  };
  EXPECT_EQ(n_at("end"), "5\n");
  EXPECT_EQ(n_at("start"), "0\n");
  EXPECT_EQ(n_at("0"), "0\n");
  EXPECT_EQ(n_at("3"), "3\n");
  EXPECT_EQ(n_at("last-failure"), "3\n");
  const Json points = Document(Replay({"list", id, "--json"}));
  const std::string checkpoint(points.Find("checkpoints")->array()[0].StringOr("id"));
  EXPECT_EQ(n_at(checkpoint), "2\n");
  EXPECT_EQ(Replay({"state", id}).out, Replay({"state", id, "--at", "end"}).out);
  EXPECT_EQ(Replay({"state", id, "--path", "/log/0"}).out, "\"did 1\"\n");
}

TEST_F(ReplayProgramTest, BadInputIsNamed) {
  const std::string id = RecordCount(3);
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::string message;
  };
  const std::string typo = id.substr(0, 30) + (id[30] == '0' ? "1" : "0") + id.substr(31);
  for (const Case& c : std::vector<Case>{
           {{"state", typo}, 66, "did you mean " + id + "?"},
           {{"state", "zzz"}, 66, "no operation 'zzz'"},
           {{"state", id, "--at", "9"}, 66, "9"},
           {{"state", id, "--at", "99999999999"}, 66, "no step 99999999999"},
           {{"state", id, "--at", "strat"}, 66, "did you mean 'start'?"},
           {{"state", id, "--at", "last-failure"}, 66, "no step of operation"},
           {{"state", id, "--path", "n"}, 65, "must begin with '/'"},
           {{"state", id, "--path", "/~"}, 65, "'~'"},
           {{"state", id, "--path", "/\xff\xfe"}, 65, "not valid UTF-8"},
           {{"state", id, "--path", "/none"}, 66, "has no /none"},
           {{"blame", id, "/\xc3"}, 65, "not valid UTF-8"},
           {{"blame", id, "/none"}, 66, "there is no /none"},
           {{"blame", id}, 64, "POINTER"},
           {{"export", id, "--steps", "3..1"}, 65, "3 to 1"},
           {{"export", id, "--steps", "x"}, 65, "no range"},
           {{"export", id, "--steps", "0..2"}, 65, "no range"},
           {{"export", id, "--steps", "2..9"}, 66, "9"},
           {{"export", id, "--format", "xml"}, 64, "--format"},
           {{"fork", id}, 64, "--at"},
           {{"fork", id, "--at", "4"}, 66, "4"},
           {{"diff", id}, 64, "B"},
           {{"bisect", id}, 64, "COMMAND"},
           {{"bisect", id, "--good", "2", "--bad", "1", "--", "true"}, 65, "does not come before"},
           {{"step", "zzz"}, 66, "no operation"}}) {
    const Finished run = Replay(c.arguments);
    EXPECT_EQ(run.exit_code, c.exit_code) << c.arguments[0] << ": " << run.err;
    EXPECT_THAT(run.err, HasSubstr(c.message)) << c.arguments[0];
  }
}

TEST_F(ReplayProgramTest, AnOperationWithoutStepsIsNoTrouble) {
  const std::string id = RecordCount(0);
  EXPECT_EQ(Replay({"run", id, "--strict"}).exit_code, 0);
  EXPECT_THAT(Replay({"state", id}).out, HasSubstr(R"("n":0)"));
  EXPECT_EQ(Replay({"blame", id, "/n"}).exit_code, 0);
  EXPECT_EQ(Replay({"diff", id, id}).exit_code, 0);
  EXPECT_EQ(Document(Replay({"export", id})).Find("steps")->array().size(), 0u);
  EXPECT_EQ(Document(Replay({"fork", id, "--at", "end", "-n", "--json"})).Find("step")->AsInt(), 0);
  EXPECT_EQ(Replay({"bisect", id, "--", "true"}).exit_code, 65);
  EXPECT_EQ(ReplayWith({"step", id}, "where\n").exit_code, 0);
}

TEST_F(ReplayProgramTest, StepsThroughAScript) {
  const std::string id = RecordCount(5);
  const Finished run = ReplayWith({"step", id}, R"(# from the start
where
next
n
state /n
diff
goto 4
prev
search did 5
state
goto start
quit
next
)");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  EXPECT_THAT(run.out, AllOf(HasSubstr("at the start of 5 steps\n"), HasSubstr("step 1 of 5"),
                             HasSubstr("step 2 of 5"), HasSubstr("\n2\n"),
                             HasSubstr(R"("op": "replace")"), HasSubstr("step 4 of 5"),
                             HasSubstr("step 3 of 5"), HasSubstr("in its patch\nstep 5 of 5")));
  EXPECT_THAT(run.out, Not(HasSubstr("step>")));
}

TEST_F(ReplayProgramTest, AScriptEndsAtItsFirstBadLine) {
  const std::string id = RecordCount(2);
  struct Case {
    std::string script;
    int exit_code;
    std::string message;
  };
  for (const Case& c : std::vector<Case>{
           {"next\nnxet\nnext\n", 65, "line 2: no command 'nxet'; did you mean 'next'?"},
           {"prev\n", 66, "line 1: this is the start"},
           {"n\nn\nn\n", 66, "line 3: this is the last"},
           {"goto 7\n", 66, "line 1: "},
           {"goto\n", 65, "'goto' what"},
           {"next 3\n", 65, "takes nothing more"},
           {"state n\n", 65, "must begin with '/'"},
           {"state /none\n", 66, "no /none"},
           {"search nowhere\n", 66, "no step holds"}}) {
    const Finished run = ReplayWith({"step", id}, c.script + "goto end\n");
    EXPECT_EQ(run.exit_code, c.exit_code) << c.script << run.err;
    EXPECT_THAT(run.err, HasSubstr(c.message)) << c.script;
    EXPECT_THAT(run.out, Not(HasSubstr("did 2"))) << c.script;
  }
}

TEST_F(ReplayProgramTest, StepPrintsADocumentALineWithJson) {
  const std::string id = RecordCount(3);
  const Finished run = ReplayWith({"step", id, "--json"}, "where\nnext\nstate\ndiff\ngoto end\n");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  std::stringstream lines(run.out);
  std::vector<Json> documents;
  for (std::string line; std::getline(lines, line);) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Json document, Json::Parse(line));
    documents.push_back(std::move(document));
  }
  ASSERT_EQ(documents.size(), 5u);
  EXPECT_EQ(documents[0].Find("step")->AsInt(), 0);
  EXPECT_EQ(documents[1].StringOr("tool_name"), "counter");
  EXPECT_EQ(documents[2].Find("n")->AsInt(), 1);
  EXPECT_TRUE(documents[3].IsArray());
  EXPECT_EQ(documents[4].Find("step")->AsInt(), 3);
}

TEST_F(ReplayProgramTest, DiffShowsWhereTwoOperationsPart) {
  const std::string a = RecordCount(6), b = RecordCount(6), c = RecordCount(6, 0, 100);
  const Finished same = Replay({"diff", a, b});
  EXPECT_EQ(same.exit_code, 0) << same.out;
  EXPECT_THAT(same.out, HasSubstr("6 the same"));
  const Finished run = Replay({"diff", a, c});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.out, AllOf(HasSubstr("~    4    4"), HasSubstr(R"("path":"/n","value":104)"),
                             HasSubstr("they part at step 4 of a, 4 of b"),
                             HasSubstr("3 the same, 3 with another input")));
  const Finished stat = Replay({"diff", a, c, "--stat"});
  EXPECT_EQ(stat.exit_code, 1);
  EXPECT_THAT(stat.out, Not(HasSubstr("104")));
  const Json json = Parsed(Replay({"diff", a, c, "--json", "--limit", "2"}));
  EXPECT_EQ(json.Find("pairs_input")->AsInt(), 3);
  EXPECT_EQ(json.Find("differences")->array().size(), 2u);
  EXPECT_EQ(json.Find("first")->Find("a")->AsInt(), 4);
  EXPECT_EQ(Parsed(Replay({"diff", a, RecordCount(4), "--json"})).Find("only_a")->AsInt(), 2);
}

TEST_F(ReplayProgramTest, BlameNamesTheStep) {
  const std::string id = RecordCount(5);
  const Finished run = Replay({"blame", id, "/n"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("5\t"), HasSubstr("/n\t4\t5")));
  const Json json = Document(Replay({"blame", id, "/log/1", "--json"}));
  EXPECT_EQ(json.Find("changes")->array()[0].Find("step")->AsInt(), 2);
  const Json history = Document(Replay({"blame", id, "/n", "--history", "--at", "3", "--json"}));
  EXPECT_EQ(history.Find("changes")->array().size(), 4u);
  EXPECT_EQ(history.Find("changes")->array()[0].Find("step")->AsInt(), 3);
}

TEST_F(ReplayProgramTest, BisectRunsAProgramOnEachState) {
  const std::string id = RecordCount(12);
  const std::string test = "! grep -q 'did 7'";
  const Finished run = Replay({"bisect", id, "--", "sh", "-c", test});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("good     the start\n"), HasSubstr("bad      step 12\n"),
                             HasSubstr("step 7 is the first bad one\n")));
  const Json json = Document(Replay({"bisect", id, "--json", "--", "sh", "-c", test}));
  EXPECT_EQ(json.Find("first_bad")->AsInt(), 7);
  EXPECT_EQ(json.StringOr("outcome"), "found");
  // Its environment, its output, and an input that nobody reads.
  const Finished noisy = Replay({"bisect", id, "--", "sh", "-c",
                                 "echo $NIMBUS_STEP $NIMBUS_OPERATION; [ $NIMBUS_STEP -lt 3 ]"});
  EXPECT_EQ(noisy.exit_code, 0);
  EXPECT_THAT(noisy.out, AllOf(HasSubstr("step 3 is the first bad one"), Not(HasSubstr(id))));
  EXPECT_THAT(noisy.err, HasSubstr("12 " + id));
  // An argument in brackets, and one that is the name of a command, stay what they are.
  const Finished words =
      Replay({"bisect", id, "--", "sh", "-c", "[ $NIMBUS_STEP -lt 3 ]", "run", "--json"});
  EXPECT_THAT(words.out, HasSubstr("step 3 is the first bad one")) << words.err;
  const std::string skip = "case $NIMBUS_STEP in 5|6) exit 125;; 0|1|2|3|4) exit 0;; esac; exit 1";
  const Finished skipped = Replay({"bisect", id, "--", "sh", "-c", skip});
  EXPECT_EQ(skipped.exit_code, 2);
  EXPECT_THAT(skipped.out, HasSubstr("among steps 5, 6, 7"));
}

TEST_F(ReplayProgramTest, BisectSaysWhyItEnds) {
  const std::string id = RecordCount(4);
  EXPECT_EQ(Replay({"bisect", id, "--", "true"}).exit_code, 2);
  EXPECT_THAT(Replay({"bisect", id, "--", "true"}).out, HasSubstr("step 4 should be bad"));
  EXPECT_EQ(Replay({"bisect", id, "--", "false"}).exit_code, 2);
  EXPECT_THAT(Replay({"bisect", id, "--", "sh", "-c", "exit 125"}).out,
              HasSubstr("the start should be good, and could not be judged"));
  EXPECT_EQ(Replay({"bisect", id, "--good", "1", "--bad", "3", "--", "false"}).exit_code, 2);
  const Finished aborted = Replay({"bisect", id, "--", "sh", "-c", "exit 128"});
  EXPECT_EQ(aborted.exit_code, 65);
  EXPECT_THAT(aborted.err, HasSubstr("exit code 128 at the start"));
  const Finished killed = Replay({"bisect", id, "--", "sh", "-c", "kill -9 $$"});
  EXPECT_EQ(killed.exit_code, 65);
  EXPECT_THAT(killed.err, HasSubstr("signal 9"));
  const Finished missing = Replay({"bisect", id, "--", "./no-such-program"});
  EXPECT_EQ(missing.exit_code, 66);
  EXPECT_THAT(missing.err, HasSubstr("no-such-program"));
}

TEST_F(ReplayProgramTest, BisectPassesAnInterruptOn) {
  const std::string id = RecordCount(4);
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      auto program, test::Program::Start(Options({NIMBUS_REPLAY_PROGRAM, "bisect", id, "--", "sh",
                                                  "-c", "touch begun; exec sleep 1000"})));
  for (int i = 0; i < 2000 && !std::filesystem::exists(Path("begun")); ++i) usleep(10'000);
  ASSERT_TRUE(std::filesystem::exists(Path("begun")));
  program->Signal(SIGTERM);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, program->Wait());
  EXPECT_EQ(run.exit_code, 130) << run.err;
}

TEST_F(ReplayProgramTest, ForksFromAPointAndTellsOfBoth) {
  const std::string id = RecordCount(5, /*fails=*/4);
  const std::string before = Root();
  const Finished dry = Replay({"fork", id, "--at", "last-failure", "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_THAT(dry.out, AllOf(HasSubstr("nothing is done"), HasSubstr("after step 3"),
                             HasSubstr("reused  3 steps"), HasSubstr("the parent took 2 steps")));
  EXPECT_EQ(Root(), before);
  const Json json =
      Document(Replay({"fork", id, "--at", "last-failure", "--name", "retry", "--json"}));
  const std::string forked(json.StringOr("operation"));
  EXPECT_EQ(json.Find("reused")->Find("steps")->AsInt(), 3);
  EXPECT_EQ(Replay({"state", forked}).out, Replay({"state", id, "--at", "3"}).out);
  EXPECT_EQ(Replay({"run", forked}).exit_code, 0);
  const Finished rows = Nimbus({"db", "sql", "SELECT operation_id, parent_id FROM forks"});
  EXPECT_THAT(rows.out, AllOf(HasSubstr(forked), HasSubstr(id)));
  EXPECT_EQ(Document(Replay({"export", forked}))
                .Find("operation")
                ->Find("forked_from")
                ->StringOr("operation"),
            id);
  // Their past is shared, not two equal ones.
  const Finished diff = Replay({"diff", id, forked});
  EXPECT_EQ(diff.exit_code, 1) << diff.err;
  EXPECT_THAT(diff.out, AllOf(HasSubstr("shared 3 steps of " + id + ", to step 3 (record "),
                              HasSubstr("0 the same"), HasSubstr("2 only in a"),
                              HasSubstr("they part at step 4 of a, - of b"),
                              Not(HasSubstr("begin with different states"))));
  const Json parted = Parsed(Replay({"diff", forked, id, "--json"}));
  EXPECT_EQ(parted.Find("shared")->StringOr("operation"), id);
  EXPECT_EQ(parted.Find("shared")->Find("step")->AsInt(), 3);
  EXPECT_EQ(parted.Find("shared")->Find("steps")->AsInt(), 3);
  EXPECT_EQ(parted.Find("first")->Find("b")->AsInt(), 4);
  EXPECT_EQ(parted.Find("only_b")->AsInt(), 2);
  // A fork of the fork, at its start.
  const Json again = Document(Replay({"fork", forked, "--at", "start", "--json"}));
  EXPECT_EQ(Replay({"state", std::string(again.StringOr("operation"))}).out,
            Replay({"state", id, "--at", "3"}).out);
  ExpectVerified();
}

TEST_F(ReplayProgramTest, ExportsADocumentOrLines) {
  const std::string id = RecordCount(5);
  const Json document = Document(Replay({"export", id}));
  EXPECT_EQ(document.Find("operation")->StringOr("type"), "count");
  EXPECT_EQ(document.Find("operation")->Find("output")->Dump(), R"({"done":1})");
  EXPECT_EQ(document.Find("steps")->array().size(), 5u);
  EXPECT_EQ(document.Find("checkpoints")->array()[0].StringOr("name"), "second");
  const Finished lines = Replay({"export", id, "--format", "jsonl", "--steps", "2..3"});
  EXPECT_EQ(lines.exit_code, 0);
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 1 + 2 + 1) << lines.out;
  EXPECT_EQ(Shell("$NIMBUS_REPLAY export @ >/dev/full").exit_code, 74);
}

}  // namespace
}  // namespace nimbus::tools
