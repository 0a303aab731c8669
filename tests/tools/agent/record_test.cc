// nimbus record and nimbus-replay exec with programs of a few lines: what they inherit,
// how they end, and what they send that is no call.
#include <signal.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "nimbus/schema/id.h"
#include "tools/agent/fixture.h"

namespace nimbus::tools {
namespace {

using schema::Json;
using test::Finished;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A client for bash: call METHOD PARAMS prints the reply.
constexpr char kBash[] = R"sh(
call() {
  printf '{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}\n' "$1" "$2" >&$NIMBUS_RPC_WRITE
  IFS= read -r reply <&$NIMBUS_RPC_READ || { echo "recorder gone"; exit 9; }
  echo "$reply"
}
open='{"protocol":1,"type":"chat"}'
step='{"type":"tool_call","tool":"bash"}'
)sh";

class RecordTest : public AgentTest {
 protected:
  static std::vector<std::string> Bash(const std::string& script) {
    return {"--", "bash", "-c", kBash + script};
  }

  static std::vector<std::string> Python(const std::string& script) {
    return {"--", "python3", "-c", kPythonCalls + script};
  }

  static std::string OperationOf(const Finished& run) {
    return std::string(Report(run).StringOr("operation"));
  }
};

TEST_F(RecordTest, LeavesStandardStreamsToTheProgram) {
  const Finished run = Record(Bash(R"(read -r line; echo "heard $line"; echo "no" >&2
      call open "$open" > /dev/null; call complete {} > /dev/null)"),
                              "hello\n");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.out, "heard hello\n");
  EXPECT_THAT(run.err,
              AllOf(StartsWith("no\nrecorded operation "), HasSubstr(": completed, 0 steps\n")));
  EXPECT_THAT(Nimbus({"history", "list"}).out, HasSubstr("completed"));
}

TEST_F(RecordTest, ReportsInJson) {
  const Finished run =
      Record(Joined({"--json", "--name", "try"},
                    Bash(R"(call open "$open"; call step.begin "$step"; call step.end '{"number":1}'
                            call complete {})")));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const Json report = Report(run);
  EXPECT_EQ(report.StringOr("status"), "completed");
  EXPECT_EQ(report.Find("steps")->Dump(), "1");
  EXPECT_EQ(report.Find("exit_code")->Dump(), "0");
  EXPECT_EQ(report.Find("signal")->Dump(), "null");
  EXPECT_EQ(report.Find("resumed")->Dump(), "false");
  EXPECT_EQ(report.Find("divergence")->Dump(), "null");
  EXPECT_EQ(report.Find("notifications")->Dump(), "0");
  EXPECT_EQ(run.err, "");
  const Json shown = Document(Nimbus({"history", "show", OperationOf(run), "--json"}));
  EXPECT_THAT(shown.Dump(), HasSubstr(std::string(report.StringOr("session"))));
}

TEST_F(RecordTest, EndsAsTheProgramDoes) {
  const std::string done = R"(call open "$open"; call complete {};)";
  EXPECT_EQ(Record(Bash(done)).exit_code, 0);
  EXPECT_EQ(Record(Bash(done + "exit 3")).exit_code, 3);
  EXPECT_EQ(Record(Bash(done + "kill -9 $$")).exit_code, 128 + SIGKILL);
  const Finished failed = Record(Bash(R"(call open "$open"; call fail '{"error":"no"}')"));
  EXPECT_EQ(failed.exit_code, 0) << "a failed operation is recorded as well as any";
  EXPECT_THAT(failed.err, HasSubstr(": failed, 0 steps"));
}

TEST_F(RecordTest, SaysHowToGoOnWithAnOperationThatWasNotEnded) {
  const Finished left = Record(Bash(R"(call open "$open"; call step.begin "$step")"));
  EXPECT_EQ(left.exit_code, 2);
  EXPECT_THAT(left.err,
              AllOf(StartsWith("running operation "),
                    HasSubstr("1 steps, and the program exited with 0 before it ended"),
                    HasSubstr("to go on: nimbus record --operation "), HasSubstr(" -- bash -c '")));
  const Finished killed = Record(Bash(R"(call open "$open"; kill -9 $$)"));
  EXPECT_EQ(killed.exit_code, 137);
  EXPECT_THAT(killed.err, HasSubstr("the program was killed by signal 9 (Killed)"));
  const Finished none = Record(Bash("exit 0"));
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, StartsWith("nothing recorded: the program exited with 0"));
}

TEST_F(RecordTest, SaysWhenTheProgramCannotRun) {
  Finished run = Record({"--", "no-such-program-anywhere"});
  EXPECT_EQ(run.exit_code, 66);
  EXPECT_THAT(run.err, HasSubstr("cannot run no-such-program-anywhere"));
  run = Record({"--", File("data", "no program")});
  EXPECT_EQ(run.exit_code, 74);
  EXPECT_THAT(run.err, HasSubstr("Permission denied"));
  EXPECT_EQ(Record({}).exit_code, 64);
  EXPECT_EQ(Nimbus({"history", "list"}).out, "");
}

TEST_F(RecordTest, HandsArgumentsOnAsTheyAre) {
  const std::vector<std::string> odd = {"[a,b]", "", "-n", "--json", "{}", "a b", "--", "@-", "%%"};
  const Finished run =
      Record(Joined({"--", "bash", "-c", R"(printf '%s|' "$@"; exit 5)", "name"}, odd));
  EXPECT_EQ(run.exit_code, 5);
  std::string expected;
  for (const std::string& argument : odd) expected += argument + "|";
  EXPECT_EQ(run.out, expected);
}

// "--" ends options and nothing else, so the id may stand on either side of it.
TEST_F(RecordTest, TakesWhatStandsAfterTheDashesInItsOrder) {
  const std::vector<std::string> program = Bash(R"(call open "$open"; call complete '{}')");
  EXPECT_EQ(Record(program).exit_code, 0);
  EXPECT_EQ(Execute(Joined({"@"}, program)).exit_code, 0);
  const Finished run = Execute({"--", "@", program[1], program[2], program[3]});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("reproduced operation"));
  const Finished none = Execute({"--", "@"});
  EXPECT_EQ(none.exit_code, 64);
  EXPECT_THAT(none.err, HasSubstr("COMMAND is required"));
  const Finished split = Record({"touch", "--", "ran"});
  EXPECT_EQ(split.exit_code, 64) << "not the program that was meant, whichever that is";
  EXPECT_FALSE(std::filesystem::exists(Path("ran")));
  EXPECT_THAT(Record({"--", "[no,such]"}).err, HasSubstr("cannot run [no,such]: "));
}

TEST_F(RecordTest, GivesTheProgramTwoDescriptorsAndNothingElse) {
  const std::string list =
      "for n in $(seq 0 200); do [ -e /proc/$$/fd/$n ] && echo $n; done; exit 0";
  const auto numbers = [](const std::string& text) {
    std::istringstream lines(text);
    std::set<int> found;
    for (int number = 0; lines >> number;) found.insert(number);
    return found;
  };
  std::set<int> expected = numbers(RunAgent({"bash", "-c", list}).out);
  const Finished run =
      Record({"--", "bash", "-c", "echo $NIMBUS_RPC_READ; echo $NIMBUS_RPC_WRITE; exit 0"});
  const std::set<int> pipes = numbers(run.out);
  EXPECT_EQ(pipes.size(), 2u);
  expected.insert(pipes.begin(), pipes.end());
  EXPECT_EQ(numbers(Record({"--", "bash", "-c", list}).out), expected);
  EXPECT_EQ(Record({"--", "bash", "-c", "echo $NIMBUS_RPC_VERSION"}).out, "1\n");
}

TEST_F(RecordTest, ForwardsSignalsToTheProgram) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
    const std::string script = fmt::format(
        R"(trap 'kill $!; call cancel {{}}; exit 7' {}; call open "$open"
           sleep 1000 & echo ready; wait)",
        signal);
    NIMBUS_ASSERT_OK_AND_ASSIGN(
        const auto program,
        test::Program::Start(AgentOptions(Joined({NIMBUS_PROGRAM, "record"}, Bash(script)))));
    AwaitOutput(*program, "ready");
    program->Signal(signal);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, program->Wait());
    EXPECT_EQ(run.exit_code, 7) << "signal " << signal << run.err;
    EXPECT_THAT(run.err, HasSubstr(": cancelled, 0 steps"));
  }
}

TEST_F(RecordTest, AnswersWhatIsNoCallAndGoesOn) {
  const Finished run = Record(Bash(R"(
      say() { printf '%s\n' "$1" >&$NIMBUS_RPC_WRITE; IFS= read -r reply <&$NIMBUS_RPC_READ
              echo "$reply"; }
      say 'no JSON'; say '[]'; say $'{"id":"\xff"}'; say ''
      printf '{"jsonrpc":"2.0","method":"cancel"}\n' >&$NIMBUS_RPC_WRITE
      call open "$open"; call complete {})"));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr(R"("id":null,"error":{"code":-32700)"),
                             HasSubstr("no batches"), HasSubstr(R"({"status":"completed"})")));
  EXPECT_THAT(run.err, AllOf(HasSubstr("warning: 1 notifications of the program were not"),
                             HasSubstr("warning: 4 lines of the program were no calls")));
}

TEST_F(RecordTest, DropsALineThatIsCutOff) {
  const Finished run = Record(Joined({"--json"}, Bash(R"(call open "$open"
      printf '{"jsonrpc":"2.0","id":2,"method":"step.begin","params":%s}' "$step" \
        >&$NIMBUS_RPC_WRITE)")));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_EQ(Report(run).Find("steps")->Dump(), "0");
}

TEST_F(RecordTest, HandlesWhatTheProgramSentBeforeItWasKilled) {
  const Finished run = Record(Joined({"--json"}, Bash(R"(call open "$open"
      printf '{"jsonrpc":"2.0","id":2,"method":"step.begin","params":%s}\n' "$step" \
        >&$NIMBUS_RPC_WRITE; kill -9 $$)")));
  EXPECT_EQ(run.exit_code, 137);
  EXPECT_EQ(Report(run).Find("steps")->Dump(), "1");
  EXPECT_EQ(Report(run).Find("signal")->Dump(), "9");
}

TEST_F(RecordTest, RefusesALineThatIsTooLongAndReadsTheNext) {
  const Finished run = Record(Python(R"py(
for _ in range(80): requests.write(b"x" * (1 << 20))
requests.write(b"\n"); requests.flush()
print(answer()["error"]["message"])
send("open", protocol=1, type="chat"); print(answer()["result"]["mode"])
send("complete"); answer()
)py"));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "a line longer than 67108864 bytes\nrecord\n");
}

TEST_F(RecordTest, KeepsRepliesThatWaitWithinTheLimit) {
  // 120 MB of replies to calls that all fit into the pipe.
  const Finished run = Record(Python(R"py(
send("open", protocol=1, type="chat", state="x" * 400_000); answer()
for _ in range(300): send("state")
sizes = {len(answer()["result"]["state"]) for _ in range(300)}
send("complete"); answer()
print(sizes)
)py"));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "{400000}\n");
}

TEST_F(RecordTest, OutlivesAProgramThatReadsNoReplies) {
  const Finished run = Record(Joined({"--json"}, Python(R"py(
replies.close()
send("open", protocol=1, type="chat"); send("step.begin", type="tool_call")
requests.close()
)py")));
  EXPECT_EQ(run.exit_code, 2) << run.err;
  EXPECT_EQ(Report(run).Find("steps")->Dump(), "1");
}

TEST_F(RecordTest, HasNoMoreRepliesForAProgramThatSendsNoMore) {
  const Finished run = Record(Python(R"py(
send("open", protocol=1, type="chat"); send("complete")
requests.close()
print(len(replies.readlines()))
)py"));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "2\n");
}

TEST_F(RecordTest, ResumesAndMakesOperationsByWholeId) {
  const std::string id = schema::NewUuid().ToString();
  const auto script = Bash(R"(call open "$open"; call step.begin "$step"; call step.end \
      '{"number":1,"output":7}'; [ -e go ] && call complete {}; exit 0)");
  EXPECT_EQ(Record(Joined({"--operation", id}, script)).exit_code, 2);
  File("go", "");
  const Finished run = Record(Joined({"--json", "--operation", id.substr(0, 18)}, script));
  EXPECT_EQ(run.exit_code, 0) << run.err << run.out;
  EXPECT_THAT(run.out, AllOf(HasSubstr(R"("recorded":true)"), HasSubstr(R"("output":7)")));
  EXPECT_EQ(OperationOf(run), id);
  EXPECT_EQ(Report(run).Find("resumed")->Dump(), "true");
  EXPECT_EQ(Report(run).Find("steps")->Dump(), "1");
  EXPECT_EQ(Record(Joined({"--operation", "01234567"}, script)).exit_code, 66);
}

TEST_F(RecordTest, PutsANewOperationIntoTheSessionAskedFor) {
  const Json session = Document(Nimbus({"session", "start", "--name", "ops", "--json"}));
  const std::string id(session.StringOr("id"));
  const auto script = Bash(R"(call open "$open"; call complete {})");
  const Finished run = Record(Joined({"--json", "--session", id}, script));
  EXPECT_EQ(Report(run).StringOr("session"), id) << run.err;
  EXPECT_EQ(Nimbus({"session", "end", id}).exit_code, 0);
  const Finished ended = Record(Joined({"--session", id}, script));
  EXPECT_EQ(ended.exit_code, 2);
  EXPECT_THAT(ended.out, HasSubstr(R"("error")"));
  EXPECT_EQ(Record(Joined({"--session", "01234567"}, script)).exit_code, 66);
}

TEST_F(RecordTest, ReportsADivergenceOfAResumedProgram) {
  const std::string id = schema::NewUuid().ToString();
  EXPECT_EQ(Record(Joined({"--operation", id}, Bash(R"(call open "$open"
      call step.begin "$step"; call step.end '{"number":1}')")))
                .exit_code,
            2);
  const Finished run = Record(Joined({"--operation", id}, Bash(R"(call open "$open"
      call step.begin '{"type":"tool_call","tool":"python"}')")));
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, AllOf(StartsWith("diverged "), HasSubstr("step 1")));
}

TEST_F(RecordTest, TellsTheProgramWhenTheRecorderIsKilledAndGoesOnLater) {
  const std::string id = schema::NewUuid().ToString();
  const std::string script = R"py(
import os, sys, time, nimbus_agent
try:
    with nimbus_agent.open("chat") as agent:
        print("first", agent.call("one", lambda step: 1), flush=True)
        if sys.argv[1] == "wait":
            print("ready", os.getppid(), flush=True)
            parent = os.getppid()
            while os.getppid() == parent: time.sleep(0.01)
        print("second", agent.call("two", lambda step: 2), flush=True)
        agent.complete()
except nimbus_agent.RecorderGone as error:
    print("gone:", error, flush=True)
)py";
  const auto arguments = [&](const std::string& mode) {
    return Joined({NIMBUS_PROGRAM, "record", "--operation", id, "--", "python3", "-c", script},
                  {mode});
  };
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto program,
                              test::Program::Start(AgentOptions(arguments("wait"))));
  AwaitOutput(*program, "ready");
  program->Signal(SIGKILL);
  AwaitOutput(*program, "gone: the recorder is gone");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished killed, program->Wait());
  EXPECT_EQ(killed.signal, SIGKILL);
  EXPECT_THAT(killed.out, Not(HasSubstr("second")));

  const Finished resumed = RunAgent(arguments("go"));
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(resumed.out, "first 1\nsecond 2\n");
  EXPECT_EQ(ReadOperation(id).steps, 2u);
  ExpectVerified();
}

// Executing again

TEST_F(RecordTest, ExecutesAgainAndJudges) {
  const std::string steps = R"(call open "$open"; call step.begin "$step"
      call step.end '{"number":1,"output":7}' > /dev/null; )";
  const Finished recorded = Record(Joined({"--json"}, Bash(steps + "call complete {}")));
  const std::string id = OperationOf(recorded), root = Root();
  const auto execute = [&](const std::string& script) {
    return Execute(Joined({"--json", id}, Bash(script)));
  };

  Finished run = execute(steps + "call complete {}");
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_EQ(Report(run).StringOr("operation"), id);
  EXPECT_EQ(Report(run).Find("exit_code")->Dump(), "0");

  // Ended well, too early: another program.
  run = execute(steps);
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(Report(run).FindPath({"divergence", "what"})->string(), "end");
  EXPECT_EQ(Report(run).FindPath({"divergence", "expected"})->Dump(), R"({"end":"completed"})");
  run = execute(R"(call open "$open")");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(Report(run).FindPath({"divergence", "step"})->Dump(), "1");
  EXPECT_EQ(Report(run).FindPath({"divergence", "expected"})->Dump(),
            R"({"step":{"type":"tool_call","tool":"bash"}})")
      << "the first that was left out";
  // Failed: proves nothing.
  run = execute(steps + "exit 4");
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(Report(run).StringOr("incomplete"),
              HasSubstr("the program exited with 4 after step 1"));
  run = execute("exit 0");
  EXPECT_EQ(run.exit_code, 1) << "a program that makes no calls is another one";
  // Too many steps.
  run = execute(steps + R"(call step.begin "$step")");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(Report(run).FindPath({"divergence", "what"})->string(), "step");
  EXPECT_EQ(Report(run).FindPath({"divergence", "step"})->Dump(), "1") << "the last one";
  EXPECT_EQ(Root(), root) << "nothing was written";
}

TEST_F(RecordTest, ExecutesAgainAsFarAsTheRecordingGoes) {
  const std::string steps = R"(call open "$open"; call step.begin "$step"
      call step.end '{"number":1}' > /dev/null; )";
  const std::string id = OperationOf(Record(Joined({"--json"}, Bash(steps))));
  Finished run = Execute(Joined({"--json", id}, Bash(steps)));
  EXPECT_EQ(run.exit_code, 2);
  // Less than was recorded is another program, though the recorded one did not end, either.
  EXPECT_EQ(Execute(Joined({id}, Bash(R"(call open "$open")"))).exit_code, 1);
  EXPECT_THAT(Report(run).StringOr("incomplete"), HasSubstr("goes no further than step 1 and"));
  run = Execute(Joined({id}, Bash(steps + R"(call step.begin "$step")")));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.out, AllOf(HasSubstr("-32009"), HasSubstr("incomplete operation " + id)));
}

TEST_F(RecordTest, SaysWhenWhatWasRecordedIsNotThere) {
  const auto script = Bash(R"(call open "$open"; call step.begin "$step"
      call step.end '{"number":1,"output":7}'; call complete {})");
  const std::string id = OperationOf(Record(Joined({"--json"}, script)));
  ASSERT_EQ(Nimbus({"journal", "prune", "--before", "100000", "--yes"}).exit_code, 0);
  EXPECT_EQ(Execute(Joined({id}, script)).exit_code, 0) << "an archive will do";
  std::filesystem::rename(Path("store/archives"), Path("away"));
  const Finished run = Execute(Joined({"--json", id}, script));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.out, HasSubstr("-32009"));
  EXPECT_THAT(Report(run).StringOr("incomplete"), AllOf(StartsWith("after step 0: the body of"),
                                                        HasSubstr("was moved to the archive")));
}

TEST_F(RecordTest, ExecutesAgainFromACheckpoint) {
  const std::string id = OperationOf(Record(Joined({"--json"}, Bash(R"(call open "$open"
      call step.begin "$step"; call step.end '{"number":1,"state":[1]}'
      call checkpoint '{"name":"one"}'
      call step.begin "$step"; call step.end '{"number":2,"state":[1,2]}'; call complete {})"))));
  const Json points = Document(Replay({"list", id, "--json"}));
  const std::string checkpoint(points.Find("checkpoints")->array().at(0).StringOr("id"));
  const Finished run = Execute(Joined({id, "--from-checkpoint", checkpoint, "--json"},
                                      Bash(R"(call open "$open"; call step.begin "$step"
      call state {}; call complete {})")));
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr(R"("step":1,"state":[1])"), HasSubstr(R"("number":2)"),
                             HasSubstr(R"("state":[1,2])")));
  EXPECT_EQ(Execute(Joined({id, "--from-checkpoint", "01234567"}, Bash("exit 0"))).exit_code, 66);
  const std::string other = OperationOf(Record(Joined({"--json"}, Bash(R"(call open "$open")"))));
  const Finished foreign =
      Execute(Joined({other, "--from-checkpoint", checkpoint}, Bash("echo started")));
  EXPECT_EQ(foreign.exit_code, 66);
  EXPECT_EQ(foreign.out, "") << "the program does not run";
  EXPECT_THAT(foreign.err, HasSubstr("operation " + other + " has no checkpoint " + checkpoint));
}

}  // namespace
}  // namespace nimbus::tools
