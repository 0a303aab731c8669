// The clients of tools/clients and their example agents.
#include <signal.h>

#include <filesystem>

#include "nimbus/schema/id.h"
#include "tools/agent/fixture.h"

namespace nimbus::tools {
namespace {

namespace fs = std::filesystem;
using schema::Json;
using test::Finished;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kAgent[] = NIMBUS_CLIENTS "/python/example_agent.py";
constexpr uint32_t kSteps = 9;
constexpr int kCalls = 31;  // that the example makes when nobody kills it
// That one call appends at most: values, an intent or a result, a checkpoint.
constexpr uint64_t kEventsOfACallMax = 4;

class ClientsTest : public AgentTest {
 protected:
  // A directory with logs, two of them noisy.
  std::string Logs(const std::string& name) const {
    fs::create_directory(Path(name));
    File(name + "/a.log", "ERROR 1\nERROR 2\nERROR 3\nERROR 4\n");
    File(name + "/b.log", "ok\nERROR 1\n");
    File(name + "/c.log", "ERROR\nERROR\nok\nERROR\nERROR\nERROR\n");
    return Path(name);
  }

  static std::vector<std::string> Files(const std::string& directory) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  // The example, recorded; its operation.
  std::string RecordExample(const std::vector<std::string>& agent, const std::string& logs) {
    const Finished run = Record(Joined({"--json", "--"}, Joined(agent, {logs})), "yes\n");
    EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
    EXPECT_THAT(run.out, HasSubstr("done, after 2 archived logs"));
    EXPECT_THAT(Files(logs), ElementsAre("a.log.archived", "b.log", "c.log.archived"));
    return std::string(Report(run).StringOr("operation"));
  }

  Finished ExecuteExample(const std::string& id, const std::vector<std::string>& agent,
                          const std::string& logs) {
    return Execute(Joined({"--json", id, "--"}, Joined(agent, {logs})));
  }

  void ExpectReproduced(const std::string& id, const std::vector<std::string>& agent,
                        const std::string& logs) {
    const std::vector<std::string> files = Files(logs);
    const std::string root = Root();
    const Finished run = ExecuteExample(id, agent, logs);
    EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
    EXPECT_THAT(run.out, HasSubstr("done, after 2 archived logs"));
    EXPECT_EQ(Report(run).Find("steps")->Dump(), std::to_string(kSteps));
    EXPECT_EQ(Files(logs), files) << "nothing outside happens";
    EXPECT_EQ(Root(), root) << "nothing is written";
  }

  // As a child does that inherited the variables, but not what they name.
  void ExpectNotRecorded(const std::vector<std::string>& agent) const {
    for (const char* number : {"77", "", "-1", "99999999999999999999", "x"}) {
      test::ProgramOptions options = AgentOptions(agent);
      for (const char* name : {"NIMBUS_RPC_READ", "NIMBUS_RPC_WRITE"}) {
        options.environment.push_back(fmt::format("{}={}", name, number));
      }
      NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, test::RunProgram(options));
      EXPECT_EQ(run.exit_code, 1) << number;
      EXPECT_EQ(run.err,
                "example_agent: nothing records this program; run it by: nimbus record -- "
                "COMMAND\n");
    }
  }

  // The compiled TypeScript example; empty when it can't be made.
  std::string Compiled() const {
    const std::string out = Path("compiled");
    const auto compiled = test::RunProgram(
        {.argv = {"tsc", "--project", NIMBUS_CLIENTS "/typescript", "--outDir", out}});
    if (!compiled.ok() || !test::RunProgram({.argv = {"node", "--version"}}).ok()) return {};
    EXPECT_EQ(compiled->exit_code, 0) << compiled->out;
    File("compiled/package.json", R"({"type":"module"})");
    return out + "/example_agent.js";
  }
};

TEST_F(ClientsTest, PythonRecordsIsVerifiedAndExecutedAgain) {
  const std::vector<std::string> agent = {"python3", kAgent};
  const std::string id = RecordExample(agent, Logs("logs"));
  EXPECT_EQ(Replay({"run", id}).exit_code, 0);
  EXPECT_EQ(ReadOperation(id).steps, kSteps);
  EXPECT_EQ(ReadOperation(id).status, journal::Lifecycle::kCompleted);
  const Json state = Document(Replay({"state", id}));
  EXPECT_EQ(state.Find("archived")->Dump(), R"(["a.log.archived","c.log.archived"])");
  EXPECT_EQ(schema::CanonicalJson(*state.Find("errors")), R"({"a.log":4,"b.log":1,"c.log":5})");
  // With logs as they were, and an answer that nobody gives.
  ExpectReproduced(id, agent, Logs("logs-again"));
}

TEST_F(ClientsTest, EachChangeOfTheAgentIsFoundAtItsStep) {
  const std::string id = RecordExample({"python3", kAgent}, Logs("logs"));
  const std::string source = test::ReadFile(kAgent).value_or("");
  struct Change {
    std::string from, to, what;
    uint32_t step;
  };
  for (const Change& change : std::vector<Change>{
           {"\"maintenance\"", "\"cleanup\"", "operation_type", 0},
           {"input={\"pattern\": \"*.log\"},\n            state",
            "input={\"pattern\": \"*\"},\n            state", "operation_input", 0},
           {"tool=\"list_logs\"", "tool=\"list_files\"", "tool", 1},
           {"tool=\"list_logs\", input={\"pattern\": \"*.log\"}",
            "tool=\"list_logs\", input={\"pattern\": \"*.txt\"}", "input", 1},
           {"\"tool_call\", tool=\"list_logs\"", "\"llm_call\", tool=\"list_logs\"", "type", 1},
           {"for file in files]", "for file in reversed(files)]", "input", 2},
           {"for file in files]", "for file in files[:2]]", "tool", 4},
           {"for file in files]", "for file in files + [\"d.log\"]]", "tool", 5},
           {"Archive {len(noisy)} of", "Delete {len(noisy)} of", "input", 6},
           {"agent.checkpoint(\"approved\")", "agent.checkpoint(\"agreed\")", "checkpoint", 6},
           {"agent.checkpoint(\"approved\")", "agent.now()", "value", 6},
           {"for file in noisy:", "for file in noisy[1:]:", "input", 7},
           {"for file in noisy:", "for file in noisy[:1]:", "type", 8},
           {"agent.verify(\"nothing noisy is left\"", "agent.verify(\"all quiet\"", "tool", 9},
           {"\"at\": int(agent.now()), ", "", "value", 9},
           {"agent.complete({", "agent.checkpoint(\"more\")\n    agent.complete({", "checkpoint",
            9}}) {
    std::string changed = source;
    const size_t at = changed.find(change.from);
    ASSERT_NE(at, std::string::npos) << change.from;
    changed.replace(at, change.from.size(), change.to);
    const Finished run = ExecuteExample(id, {"python3", File("changed.py", changed)}, Path("logs"));
    EXPECT_EQ(run.exit_code, 1) << change.to << run.out << run.err;
    const Json report = Report(run);
    const Json* divergence = report.Find("divergence");
    ASSERT_TRUE(divergence != nullptr && divergence->IsObject()) << run.out;
    EXPECT_EQ(divergence->Find("step")->Dump(), std::to_string(change.step)) << change.to;
    EXPECT_EQ(divergence->StringOr("what"), change.what) << change.to << divergence->Dump();
  }
}

// Killed around each of its calls, by its wrapper, and resumed.
class KilledClientTest : public ClientsTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(KilledClientTest, ResumesWithEachStepOnceAndTheSameState) {
  const std::string whole = RecordExample({"python3", kAgent}, Logs("logs"));
  const std::string digest = ReadOperation(whole).digest;
  std::vector<uint64_t> left = {0};  // how many events there were after each kill
  for (int call = 1; call <= kCalls; ++call) {
    const std::string id = schema::NewUuid().ToString();
    const std::string logs = Logs(fmt::format("logs-{}", call));
    Finished run = Record({"--operation", id, "--", "python3", NIMBUS_KILLED_AGENT, GetParam(),
                           std::to_string(call), logs},
                          "yes\n");
    ASSERT_EQ(run.exit_code, 128 + SIGKILL) << "call " << call << run.out << run.err;
    left.push_back(CountEvents(id));
    run = Record({"--operation", id, "--", "python3", kAgent, logs}, "yes\n");
    ASSERT_EQ(run.exit_code, 0) << "call " << call << run.out << run.err;
    EXPECT_THAT(Files(logs), ElementsAre("a.log.archived", "b.log", "c.log.archived"));
    const Operation operation = ReadOperation(id);
    EXPECT_EQ(operation.status, journal::Lifecycle::kCompleted);
    EXPECT_EQ(operation.steps, kSteps) << "call " << call;
    EXPECT_EQ(operation.digest, digest) << "call " << call;
  }
  // These were all of its calls, and so all boundaries of its events: between two of
  // them lies no more than a call appends.
  const std::string logs = Logs("logs-whole");
  const Finished run =
      Record({"--", "python3", NIMBUS_KILLED_AGENT, GetParam(), std::to_string(kCalls + 1), logs},
             "yes\n");
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  left.push_back(CountEvents(whole));
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left.back(), CountEvents(whole));
  for (size_t i = 1; i < left.size(); ++i) {
    EXPECT_LE(left[i] - left[i - 1], kEventsOfACallMax) << left[i];
  }
  ExpectVerified();
}

INSTANTIATE_TEST_SUITE_P(Around, KilledClientTest, ::testing::Values("before", "sent", "after"),
                         [](const auto& when) { return std::string(when.param); });

TEST_F(ClientsTest, PythonSaysWhatIsWrong) {
  const auto run = [&](const std::string& body) {
    return Record({"--", "python3", "-c",
                   "import nimbus_agent\nfrom nimbus_agent import *\n"
                   "with nimbus_agent.open('chat') as agent:\n" +
                       body});
  };
  // A failing tool fails its step and raises the same exception now and later.
  Finished failed = run(R"py(
    try: agent.call("divide", lambda step: 1 // 0)
    except StepFailed as error: print(error)
    agent.fail("gave up")
)py");
  EXPECT_EQ(failed.exit_code, 0) << failed.err;
  EXPECT_EQ(failed.out, "step 1 failed: ZeroDivisionError: integer division or modulo by zero\n");
  EXPECT_THAT(failed.err, HasSubstr(": failed, 1 steps"));
  // A value inside a step that runs would not be asked for when the step is recorded.
  failed = run(R"py(
    try: agent.call("clock", lambda step: agent.now())
    except AgentError as error: print(error)
)py");
  EXPECT_THAT(failed.out, HasSubstr("now inside a step that runs"));
  failed = run(R"py(
    try: agent.call("set", lambda step: {1, 2})
    except StepFailed as error: print(error)
)py");
  EXPECT_THAT(failed.out, HasSubstr("Object of type set is not JSON serializable"));
  EXPECT_THAT(run("    agent.step('guess')\n").err, HasSubstr("type: 'guess', not llm_call"));
  const Finished alone = RunAgent({"python3", kAgent, Logs("logs")});
  EXPECT_EQ(alone.exit_code, 1);
  EXPECT_THAT(alone.err, HasSubstr("nothing records this program; run it by: nimbus record"));
  ExpectNotRecorded({"python3", kAgent, Logs("logs")});
}

TEST_F(ClientsTest, PythonSettlesWhatIsInDoubt) {
  const std::string id = schema::NewUuid().ToString();
  const auto run = [&](const std::string& body) {
    return Record({"--operation", id, "--", "python3", "-c",
                   "import nimbus_agent, os\nfrom nimbus_agent import *\n"
                   "with nimbus_agent.open('chat') as agent:\n" +
                       body});
  };
  EXPECT_EQ(run("    agent.call('pay', lambda step: os.kill(os.getpid(), 9))\n").exit_code, 137);
  const Finished doubt = run(R"py(
    try: agent.call("pay", lambda step: print("paid twice"))
    except InDoubt as error: print(agent.in_doubt, error.step)
)py");
  EXPECT_EQ(doubt.out, "[1] 1\n") << doubt.err;
  const Finished settled = run(R"py(
    agent.settle(1, output="paid once")
    print(agent.call("pay", lambda step: print("paid twice")))
    agent.complete()
)py");
  EXPECT_EQ(settled.out, "paid once\n") << settled.err;
  EXPECT_EQ(settled.exit_code, 0);
}

TEST_F(ClientsTest, PythonDecoratesTools) {
  const Finished run = Record({"--", "python3", "-c", R"py(
import nimbus_agent
with nimbus_agent.open("chat", state={"sum": 0}) as agent:
    @agent.tool(update=lambda state, output: {"sum": state["sum"] + output})
    def add(a, b=2):
        return a + b
    print(add(1), add(1, b=3), agent.state("/sum"))
    print(agent.value("seed", 5), len(agent.random_bytes(8)), len(agent.new_id()))
    agent.complete()
)py"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "3 4 7\n5 8 36\n");
}

TEST_F(ClientsTest, TypeScriptRecordsAndEitherExecutesTheOther) {
  const std::string compiled = Compiled();
  if (compiled.empty()) GTEST_SKIP() << "needs node and tsc";
  const std::vector<std::string> typescript = {"node", compiled}, python = {"python3", kAgent};
  const std::string by_typescript = RecordExample(typescript, Logs("typescript"));
  EXPECT_EQ(Replay({"run", by_typescript}).exit_code, 0);
  ExpectReproduced(by_typescript, typescript, Logs("again"));
  ExpectReproduced(by_typescript, python, Logs("again"));
  const std::string by_python = RecordExample(python, Logs("python"));
  ExpectReproduced(by_python, typescript, Logs("again"));
  EXPECT_EQ(ReadOperation(by_python).digest, ReadOperation(by_typescript).digest);
}

TEST_F(ClientsTest, TypeScriptSaysWhatIsWrong) {
  const std::string compiled = Compiled();
  if (compiled.empty()) GTEST_SKIP() << "needs node and tsc";
  const Finished alone = RunAgent({"node", compiled, Logs("logs")});
  EXPECT_EQ(alone.exit_code, 1);
  EXPECT_THAT(alone.err, HasSubstr("nothing records this program; run it by: nimbus record"));
  ExpectNotRecorded({"node", compiled, Logs("logs")});
  const auto run = [&](const std::string& body) {
    const std::string script =
        File("compiled/try.js",
             "import { open, StepFailed, RpcError } from './nimbus_agent.js';\n"
             "const agent = await open({ type: 'chat' });\n" +
                 body);
    return Record({"--", "node", script});
  };
  const Finished failed = run(R"js(
try { await agent.step({ tool: "throws" }, () => { throw new Error("no disk"); }); }
catch (error) { console.log(error instanceof StepFailed, error.message); }
try { await agent.step({ type: "guess" }, () => 1); }
catch (error) { console.log(error.kind); }
await agent.fail("gave up");
)js");
  EXPECT_EQ(failed.exit_code, 0) << failed.err;
  EXPECT_EQ(failed.out, "true step 1 failed: Error: no disk\ninvalid_params\n");
  // A child of the program gets no descriptor of the protocol.
  const Finished children = run(R"js(
import { execFileSync } from "node:child_process";
console.log(execFileSync("sh", ["-c", "echo ${NIMBUS_RPC_READ:-none} $(ls /proc/$$/fd)"],
                         { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
await agent.cancel();
)js");
  EXPECT_THAT(children.out, HasSubstr("none 0 1 2"));
}

TEST_F(ClientsTest, TypeScriptLosesTheRecorderAndSaysSo) {
  const std::string compiled = Compiled();
  if (compiled.empty()) GTEST_SKIP() << "needs node and tsc";
  const std::string script =
      File("compiled/try.js", R"js(import { open, RecorderGone } from "./nimbus_agent.js";
const agent = await open({ type: "chat" });
console.log("ready");
const parent = process.ppid;
while (process.ppid === parent) await new Promise((done) => setTimeout(done, 10));
try { await agent.now(); }
catch (error) { console.log(error instanceof RecorderGone, error.message); }
)js");
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const auto program,
      test::Program::Start(AgentOptions({NIMBUS_PROGRAM, "record", "--", "node", script})));
  AwaitOutput(*program, "ready");
  program->Signal(SIGKILL);
  AwaitOutput(*program, "true the recorder is gone");
  EXPECT_THAT(program->Wait(), test::IsOk());
}

}  // namespace
}  // namespace nimbus::tools
