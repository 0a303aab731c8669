// The calls of docs/protocol.md, one by one.
#include "tools/agent/server.h"

#include "journal/fixture.h"
#include "nimbus/journal/verify.h"
#include "nimbus/replay/session.h"
#include "nimbus/replay/verify.h"
#include "testing/random.h"

namespace nimbus::tools::agent {
namespace {

using replay::RecorderOptions;
using schema::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kOpen[] =
    R"({"protocol":1,"type":"deploy","input":{"app":"web"},"state":{"done":[]}})";
constexpr char kList[] = R"({"type":"tool_call","tool":"bash","input":{"command":"ls"}})";

class ServerTest : public journal::JournalTest {
 protected:
  void SetUp() override {
    JournalTest::SetUp();
    Restart();
  }

  // A program that starts again, on the same operation.
  void Restart(ServerOptions options = {}) {
    options.operation = operation_;
    options.software = "nimbus test";
    server_.emplace(journal_.get(), std::move(options));
  }

  void Reexecute() { Restart({.recorder = {.mode = RecorderOptions::Mode::kReexecute}}); }

  Json Reply(const std::string& method, const std::string& params) {
    const std::optional<std::string> reply = server_->Answer(
        R"({"jsonrpc":"2.0","id":1,"method":")" + method + R"(","params":)" + params + "}");
    EXPECT_TRUE(reply.has_value());
    const absl::StatusOr<Json> json = Json::Parse(reply.value_or(""));
    EXPECT_THAT(json, test::IsOk()) << reply.value_or("");
    return json.value_or(Json());
  }

  Json Call(const std::string& method, const std::string& params = "{}") {
    const Json reply = Reply(method, params);
    EXPECT_NE(reply.Find("result"), nullptr) << method << ' ' << params << ": " << reply.Dump();
    return reply.Find("result") != nullptr ? *reply.Find("result") : Json::MakeObject();
  }

  // The data of the error that the call is answered by.
  Json Refused(const std::string& method, const std::string& params = "{}") {
    const Json reply = Reply(method, params);
    const Json* data = reply.FindPath({"error", "data"});
    EXPECT_NE(data, nullptr) << method << ' ' << params << ": " << reply.Dump();
    return data != nullptr ? *data : Json::MakeObject();
  }

  std::string Kind(const std::string& method, const std::string& params = "{}") {
    return std::string(Refused(method, params).StringOr("kind"));
  }

  std::string Message(const std::string& method, const std::string& params = "{}") {
    const Json reply = Reply(method, params);
    const Json* error = reply.Find("error");
    return error == nullptr ? reply.Dump() : std::string(error->StringOr("message"));
  }

  uint32_t Begin(const std::string& params = kList) {
    return static_cast<uint32_t>(Call("step.begin", params).Find("number")->AsInt().value_or(0));
  }

  // One step that listed, whose result is in the state.
  void RecordOneStep() {
    Call("open", kOpen);
    Begin();
    Call("step.end", R"({"number":1,"output":{"exit":0},"state":{"done":["ls"]}})");
  }

  void ExpectVerified() {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::VerifyReport report,
                                journal::VerifyJournal(*journal_, {}));
    EXPECT_TRUE(report.holds());
  }

  std::optional<Server> server_;
};

TEST_F(ServerTest, RecordsAnOperation) {
  const Json opened = Call("open", kOpen);
  EXPECT_EQ(opened.Find("protocol")->Dump(), "1");
  EXPECT_EQ(opened.StringOr("mode"), "record");
  EXPECT_EQ(opened.StringOr("server"), "nimbus test");
  EXPECT_EQ(opened.StringOr("operation"), operation_.ToString());
  EXPECT_EQ(opened.Find("resumed")->Dump(), "false");
  EXPECT_EQ(opened.Find("state")->Dump(), R"({"done":[]})");
  EXPECT_EQ(opened.Find("step")->Dump(), "0");

  const Json begun = Call("step.begin", kList);
  EXPECT_EQ(begun.Find("number")->Dump(), "1");
  EXPECT_EQ(begun.Find("recorded")->Dump(), "false");
  EXPECT_EQ(begun.Find("attempt")->Dump(), "1");
  EXPECT_EQ(Call("step.end", R"({"number":1,"output":[1],"state":{"done":["ls"]},
                                 "outcome":{"tokens_used":5,"cost_microdollars":7}})")
                .Dump(),
            R"({"number":1,"status":"completed"})");
  EXPECT_EQ(Call("state").Dump(), R"({"state":{"done":["ls"]}})");
  EXPECT_EQ(Call("state", R"({"pointer":"/done/0"})").Dump(), R"({"state":"ls"})");
  EXPECT_EQ(Call("checkpoint", R"({"name":"listed"})").Dump(), "{}");
  EXPECT_EQ(Call("complete", R"({"output":{"ok":true}})").Dump(), R"({"status":"completed"})");

  NIMBUS_ASSERT_OK_AND_ASSIGN(const replay::ReplayReport report,
                              replay::ReplayOperation(*journal_, operation_, {}));
  EXPECT_TRUE(report.holds());
  EXPECT_EQ(report.steps, 1u);
  EXPECT_EQ(report.digest, schema::StateDigest(*Json::Parse(R"({"done":["ls"]})")));
  ExpectVerified();
}

TEST_F(ServerTest, EndsAnOperationInEachWay) {
  for (const auto& [method, params, status] :
       std::vector<std::array<std::string, 3>>{{"complete", "{}", "completed"},
                                               {"fail", R"({"error":"no disk"})", "failed"},
                                               {"cancel", "{}", "cancelled"}}) {
    server_.emplace(journal_.get(), ServerOptions{});
    Call("open", kOpen);
    EXPECT_EQ(Call(method, params).StringOr("status"), status);
    EXPECT_EQ(Call(method, params).StringOr("status"), status) << "again";
    EXPECT_EQ(Kind("step.begin", kList), "ended");
    EXPECT_EQ(Kind(method == "cancel" ? "complete" : "cancel"), "ended");
  }
}

TEST_F(ServerTest, WantsOpenFirstAndOnce) {
  for (const char* method : {"step.begin", "now", "state", "complete", "cancel"}) {
    EXPECT_EQ(Kind(method), "not_open");
  }
  Call("open", kOpen);
  EXPECT_EQ(Kind("open", kOpen), "already_open");
}

TEST_F(ServerTest, SpeaksItsVersionOnly) {
  for (const std::string version : {"0", "2", "1.5", "\"1\"", "null"}) {
    const Json data = Refused("open", R"({"type":"chat","protocol":)" + version + "}");
    EXPECT_EQ(data.Dump(), R"({"kind":"unsupported_protocol","supported":[1]})") << version;
  }
  EXPECT_EQ(Kind("open", R"({"type":"chat"})"), "invalid_params");
  EXPECT_EQ(server_->recorder(), nullptr);
  Call("open", R"({"type":"chat","protocol":1.0})");
}

TEST_F(ServerTest, SuggestsWhatWasMeant) {
  EXPECT_EQ(Kind("step.bgin"), "unknown_method");
  EXPECT_THAT(Message("step.bgin"), HasSubstr("did you mean 'step.begin'?"));
  EXPECT_THAT(Message("open", R"({"protocol":1,"type":"chat","inptu":{}})"),
              HasSubstr("'inptu': no parameter of this call; did you mean 'input'?"));
}

TEST_F(ServerTest, NamesTheParameterThatIsWrong) {
  Call("open", kOpen);
  Begin();
  struct Case {
    std::string method, params, message;
  };
  for (const Case& wrong : std::vector<Case>{
           {"step.begin", "{}", "type: missing"},
           {"step.begin", R"({"type":7})", "type: no string"},
           {"step.begin", R"({"type":"tool"})", "type: 'tool', not llm_call"},
           {"step.begin", R"({"type":"tool_call","idempotent":1})", "idempotent: neither"},
           {"step.end", R"({"output":1})", "number: missing"},
           {"step.end", R"({"number":0})", "number: no whole number of 1 to"},
           {"step.end", R"({"number":1.5})", "number: no whole number"},
           {"step.end", R"({"number":-1})", "number: no whole number"},
           {"step.end", R"({"number":4294967296})", "number: no whole number"},
           {"step.end", R"({"number":"1"})", "number: no whole number"},
           {"step.end", R"({"number":1,"state":1,"patch":[]})", "state and patch"},
           {"step.end", R"({"number":1,"outcome":[]})", "outcome: no object"},
           {"step.end", R"({"number":1,"outcome":{"tokens_used":-1}})", "outcome.tokens_used"},
           {"step.end", R"({"number":1,"outcome":{"cost_microdollars":0.5}})", "outcome.cost"},
           {"step.end", R"({"number":1,"outcome":{"tokens":1}})", "outcome: 'tokens'"},
           {"step.attempt_failed", R"({"number":1,"error":""})", "error: empty"},
           {"step.attempt_failed", R"({"number":1})", "error: missing"},
           {"random", R"({"bytes":0})", "bytes: no whole number of 1 to 65536"},
           {"random", R"({"bytes":65537})", "bytes: no whole number of 1 to 65536"},
           {"now", R"({"zone":1})", "'zone': no parameter"},
           {"value", R"({"name":"n"})", "value: missing"},
           {"state", R"({"pointer":"done"})", "pointer:"},
           {"state", R"({"pointer":"/none"})", "pointer:"},
           {"fail", "{}", "error: missing"}}) {
    EXPECT_EQ(Kind(wrong.method, wrong.params), "invalid_params") << wrong.params;
    EXPECT_THAT(Message(wrong.method, wrong.params), HasSubstr(wrong.message));
  }
  // None of them had an effect.
  Call("step.end", R"({"number":1})");
  EXPECT_EQ(server_->recorder()->steps(), 1u);
}

TEST_F(ServerTest, RefusesAPatchThatDoesNotApplyAndTakesAnother) {
  Call("open", kOpen);
  Begin();
  for (const std::string patch :
       {R"([{"op":"remove","path":"/none"}])", R"([{"op":"burn","path":"/done"}])", "{}", "7"}) {
    EXPECT_EQ(Kind("step.end", R"({"number":1,"patch":)" + patch + "}"), "invalid_params") << patch;
  }
  Call("step.end", R"({"number":1,"patch":[{"op":"add","path":"/done/-","value":1}]})");
  EXPECT_EQ(Call("state").Dump(), R"({"state":{"done":[1]}})");
}

TEST_F(ServerTest, KnowsWhichStepsAreOpen) {
  Call("open", kOpen);
  EXPECT_EQ(Refused("step.end", R"({"number":1})").Dump(), R"({"kind":"step_not_open","step":1})");
  Begin();
  Call("step.end", R"({"number":1,"output":1})");
  EXPECT_EQ(Kind("step.end", R"({"number":1,"output":2})"), "step_not_open");
  EXPECT_EQ(Kind("step.end", R"({"number":2})"), "step_not_open");
  EXPECT_EQ(Kind("step.attempt_failed", R"({"number":1,"error":"e"})"), "step_not_open");
  EXPECT_EQ(Kind("step.begin_attempt", R"({"number":1})"), "step_not_open");
  EXPECT_EQ(Kind("step.settle", R"({"number":1})"), "step_not_open");
  EXPECT_EQ(Kind("step.run_again", R"({"number":1})"), "step_not_open");
}

TEST_F(ServerTest, EndsParallelStepsInAnyOrder) {
  Call("open", kOpen);
  for (uint32_t number = 1; number <= 3; ++number) EXPECT_EQ(Begin(), number);
  EXPECT_EQ(Refused("complete").Dump(), R"({"kind":"steps_open","steps":[1,2,3]})");
  for (const std::string number : {"3", "1", "2"}) {
    Call("step.end", R"({"number":)" + number +
                         R"(,"patch":[{"op":"add","path":"/done/-","value":)" + number + "}]}");
  }
  EXPECT_EQ(Call("state").Dump(), R"({"state":{"done":[3,1,2]}})");
  Call("complete");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const replay::ReplayReport report,
                              replay::ReplayOperation(*journal_, operation_, {}));
  EXPECT_TRUE(report.holds());
  EXPECT_EQ(report.steps, 3u);
}

TEST_F(ServerTest, KeepsTheNumberOfOpenStepsWithinTheLimit) {
  Call("open", kOpen);
  for (size_t i = 1; i < kOpenStepsMax; ++i) Begin();
  EXPECT_EQ(Begin(), kOpenStepsMax);
  EXPECT_EQ(Kind("step.begin", kList), "exhausted");
  Call("step.end", R"({"number":7})");
  EXPECT_EQ(Begin(), kOpenStepsMax + 1);
}

TEST_F(ServerTest, ServesWhatIsRecordedWhenItResumes) {
  RecordOneStep();
  Restart();
  const Json opened = Call("open", kOpen);
  EXPECT_EQ(opened.Find("resumed")->Dump(), "true");
  EXPECT_EQ(opened.Find("in_doubt")->Dump(), "[]");
  const Json step = Call("step.begin", kList);
  EXPECT_EQ(step.Find("recorded")->Dump(), "true");
  EXPECT_EQ(step.StringOr("status"), "completed");
  EXPECT_EQ(step.Find("output")->Dump(), R"({"exit":0})");
  EXPECT_EQ(step.Find("error"), nullptr);
  EXPECT_EQ(Call("state").Dump(), R"({"state":{"done":["ls"]}})");
  EXPECT_EQ(Kind("step.end", R"({"number":1})"), "step_not_open");
  EXPECT_EQ(Begin(), 2u);
}

TEST_F(ServerTest, ServesAFailedStepAsFailed) {
  Call("open", kOpen);
  Begin();
  EXPECT_EQ(Call("step.end", R"({"number":1,"error":"exit 2"})").StringOr("status"), "failed");
  Restart();
  Call("open", kOpen);
  const Json step = Call("step.begin", kList);
  EXPECT_EQ(step.StringOr("status"), "failed");
  EXPECT_EQ(step.StringOr("error"), "exit 2");
  EXPECT_EQ(step.Find("output"), nullptr);
}

TEST_F(ServerTest, RunsNoStepInDoubtUnasked) {
  Call("open", kOpen);
  Begin();
  Restart();
  EXPECT_EQ(Call("open", kOpen).Find("in_doubt")->Dump(), "[1]");
  EXPECT_EQ(Refused("step.begin", kList).Dump(), R"({"kind":"in_doubt","step":1})");
  EXPECT_EQ(Refused("complete").Dump(), R"({"kind":"in_doubt","step":1})");
  EXPECT_EQ(Call("step.settle", R"({"number":1,"output":"it ran"})").Dump(),
            R"({"number":1,"status":"completed"})");
  EXPECT_EQ(Call("step.begin", kList).Find("output")->Dump(), R"("it ran")");
}

TEST_F(ServerTest, RunsAStepInDoubtAgainWhenToldOrIdempotent) {
  Call("open", kOpen);
  Begin();
  Restart();
  Call("open", kOpen);
  EXPECT_EQ(Call("step.run_again", R"({"number":1})").Dump(), R"({"number":1})");
  EXPECT_EQ(Call("step.begin", kList).Find("recorded")->Dump(), "false");
  Restart();
  Call("open", kOpen);
  const std::string idempotent =
      R"({"type":"tool_call","tool":"bash","input":{"command":"ls"},"idempotent":true})";
  EXPECT_EQ(Call("step.begin", idempotent).Find("recorded")->Dump(), "false");
  Call("step.end", R"({"number":1})");
  Call("complete");
}

TEST_F(ServerTest, RecordsAttempts) {
  Call("open", kOpen);
  Begin();
  EXPECT_EQ(Call("step.attempt_failed", R"({"number":1,"error":"timeout"})").Dump(),
            R"({"number":1})");
  EXPECT_EQ(Kind("step.attempt_failed", R"({"number":1,"error":"e"})"), "step_not_open");
  EXPECT_EQ(Call("step.begin_attempt", R"({"number":1})").Dump(), R"({"number":1,"attempt":2})");
  EXPECT_EQ(Kind("step.begin_attempt", R"({"number":1})"), "step_not_open");
  Call("step.attempt_failed", R"({"number":1,"error":"timeout","outcome":{"tokens_used":3}})");
  // Killed while it waits: not in doubt.
  Restart();
  EXPECT_EQ(Call("open", kOpen).Find("in_doubt")->Dump(), "[]");
  EXPECT_EQ(Call("step.begin", kList).Find("attempt")->Dump(), "3");
  Call("step.attempt_failed", R"({"number":1,"error":"timeout"})");
  EXPECT_EQ(Call("step.end", R"({"number":1,"error":"gave up"})").StringOr("status"), "failed");
  EXPECT_EQ(Kind("step.begin_attempt", R"({"number":1})"), "step_not_open");
}

TEST_F(ServerTest, ServesRecordedValues) {
  Call("open", kOpen);
  const std::string value = Call("value", R"({"name":"seed","value":{"n":1e400}})").Dump();
  EXPECT_EQ(value, R"({"value":{"n":1e400}})");
  const std::string now = Call("now").Dump(), id = Call("id").Dump();
  const Json random = Call("random", R"({"bytes":65536})");
  EXPECT_EQ(random.StringOr("hex").size(), 2u * 65536);
  Begin();
  Restart();
  Call("open", kOpen);
  EXPECT_EQ(Call("value", R"({"name":"seed","value":"another"})").Dump(), value);
  EXPECT_EQ(Call("now").Dump(), now);
  EXPECT_EQ(Call("id").Dump(), id);
  EXPECT_EQ(Call("random", R"({"bytes":65536})"), random);
}

TEST_F(ServerTest, TellsTheFirstDivergenceAndKeepsToIt) {
  RecordOneStep();
  Restart();
  Call("open", kOpen);
  const std::string other = R"({"type":"tool_call","tool":"bash","input":{"command":"ls -l"}})";
  const Json data = Refused("step.begin", other);
  EXPECT_EQ(data.StringOr("kind"), "diverged");
  EXPECT_EQ(data.StringOr("operation"), operation_.ToString());
  EXPECT_EQ(data.Find("step")->Dump(), "1");
  EXPECT_EQ(data.StringOr("what"), "input");
  EXPECT_EQ(data.Find("expected")->Dump(), R"({"command":"ls"})");
  EXPECT_EQ(data.Find("actual")->Dump(), R"({"command":"ls -l"})");
  EXPECT_EQ(data.Find("difference")->Dump(),
            R"([{"op":"replace","path":"/command","value":"ls -l"}])");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t records, journal_->Size());
  EXPECT_EQ(Refused("step.begin", kList), data) << "later calls too, even the right one";
  EXPECT_EQ(Refused("now"), data);
  EXPECT_EQ(Refused("complete"), data);
  EXPECT_EQ(Call("state").Dump(), R"({"state":{"done":[]}})");
  EXPECT_THAT(journal_->Size(), test::IsOkAndHolds(records)) << "nothing was written";
}

TEST_F(ServerTest, DivergesAtOpenWhenTypeOrInputDiffer) {
  RecordOneStep();
  for (const auto& [params, what] : std::vector<std::pair<std::string, std::string>>{
           {R"({"protocol":1,"type":"query","input":{"app":"web"}})", "operation_type"},
           {R"({"protocol":1,"type":"deploy","input":{"app":"db"}})", "operation_input"}}) {
    Restart();
    EXPECT_EQ(Refused("open", params).StringOr("what"), what);
    EXPECT_EQ(Kind("now"), "diverged");
    EXPECT_TRUE(server_->divergence().has_value());
  }
}

TEST_F(ServerTest, LeavesTheOperationToWhoeverCameLast) {
  Call("open", kOpen);
  Server second(journal_.get(), {.operation = operation_});
  std::swap(*server_, second);
  Call("open", kOpen);
  Begin();
  std::swap(*server_, second);
  EXPECT_EQ(Kind("step.begin", kList), "superseded");
}

TEST_F(ServerTest, ExecutesAgainWithoutWriting) {
  RecordOneStep();
  const std::string now = Call("now").Dump();
  Call("complete", R"({"output":1})");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t records, journal_->Size());
  Reexecute();
  EXPECT_EQ(Call("open", kOpen).StringOr("mode"), "reexecute");
  EXPECT_EQ(Call("step.begin", kList).Find("output")->Dump(), R"({"exit":0})");
  EXPECT_EQ(Call("now").Dump(), now);
  Call("complete", R"({"output":1})");
  EXPECT_TRUE(server_->recorder()->report().holds());
  EXPECT_THAT(journal_->Size(), test::IsOkAndHolds(records));
}

TEST_F(ServerTest, SaysWhereTheRecordingIsTooShort) {
  RecordOneStep();
  Begin();
  Reexecute();
  Call("open", kOpen);
  Call("step.begin", kList);
  EXPECT_EQ(Kind("step.begin", kList), "incomplete");
  EXPECT_THAT(server_->recorder()->report().incomplete, HasSubstr("step 2"));
}

TEST_F(ServerTest, TakesTheIdOfTheProgramUnlessAnotherWasAskedFor) {
  const std::string id = schema::NewUuid().ToString();
  const std::string params = R"({"protocol":1,"type":"chat","id":")" + id + R"("})";
  EXPECT_EQ(Kind("open", params), "invalid_params");
  server_.emplace(journal_.get(), ServerOptions{});
  EXPECT_EQ(Call("open", params).StringOr("operation"), id);
  server_.emplace(journal_.get(), ServerOptions{});
  EXPECT_EQ(Call("open", params).Find("resumed")->Dump(), "true");
  server_.emplace(journal_.get(), ServerOptions{});
  EXPECT_EQ(Kind("open", R"({"protocol":1,"type":"chat","id":"x"})"), "invalid_params");
}

TEST_F(ServerTest, ExecutesNoNotification) {
  Call("open", kOpen);
  EXPECT_EQ(server_->Answer(R"({"jsonrpc":"2.0","method":"step.begin","params":{}})"),
            std::nullopt);
  EXPECT_EQ(server_->Answer(R"({"jsonrpc":"2.0","method":"cancel"})"), std::nullopt);
  EXPECT_EQ(server_->refusals().notifications, 2u);
  EXPECT_EQ(Begin(), 1u) << "neither had an effect";
}

TEST_F(ServerTest, KeepsDigitsAndOddStates) {
  Call("open", R"({"protocol":1,"type":"chat","input":12345678901234567890.10,"state":null})");
  EXPECT_EQ(Call("state").Dump(), R"({"state":null})");
  Begin();
  Call("step.end", R"({"number":1,"output":null,"state":{"n":39712373237291850001929057}})");
  EXPECT_EQ(Call("state", R"({"pointer":"/n"})").Dump(), R"({"state":39712373237291850001929057})");
  Restart();
  Call("open", R"({"protocol":1,"type":"chat","input":12345678901234567890.1})");
  EXPECT_EQ(Call("step.begin", kList).Find("output")->Dump(), "null");
}

TEST_F(ServerTest, RefusesWhatIsTooDeepOrTooLargeAndGoesOn) {
  Call("open", kOpen);
  Begin();
  const std::string deep = std::string(505, '[') + std::string(505, ']');
  EXPECT_NE(Reply("step.end",
                  R"({"number":1,"state":)" + std::string(511, '[') + std::string(511, ']') + "}")
                .Find("error"),
            nullptr);
  Call("step.end", R"({"number":1,"output":)" + deep + "}");
  EXPECT_THAT(server_->AnswerTooLong(), HasSubstr("longer than 67108864 bytes"));
  EXPECT_EQ(Begin(), 2u);
}

TEST_F(ServerTest, AnswersOnceWhateverALineHolds) {
  test::SeededRandom random;
  const std::vector<std::string> calls = {
      R"({"jsonrpc":"2.0","id":1,"method":"open","params":)" + std::string(kOpen) + "}",
      R"({"jsonrpc":"2.0","id":2,"method":"step.begin","params":)" + std::string(kList) + "}",
      R"({"jsonrpc":"2.0","id":3,"method":"step.end","params":{"number":1,"patch":[]}})",
      R"({"jsonrpc":"2.0","id":4,"method":"state","params":{"pointer":"/done"}})"};
  for (int round = 0; round < 3000; ++round) {
    std::string line = calls[random.Below(calls.size())];
    for (size_t changes = random.Below(4); changes > 0; --changes) {
      const size_t at = random.Below(line.size());
      switch (random.Below(3)) {
        case 0:
          line[at] = static_cast<char>(random.Below(256));
          break;
        case 1:
          line.erase(at, 1 + random.Below(20));
          break;
        default:
          line.insert(at, line.substr(random.Below(line.size()), random.Below(20)));
      }
      if (line.empty()) line = " ";
    }
    const uint64_t notifications = server_->refusals().notifications;
    const std::optional<std::string> reply = server_->Answer(line);
    if (!reply.has_value()) {
      EXPECT_EQ(server_->refusals().notifications, notifications + 1) << line;
      continue;
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Json json, Json::Parse(*reply));
    EXPECT_NE(json.Find("result") != nullptr, json.Find("error") != nullptr) << *reply;
  }
  ExpectVerified();
}

}  // namespace
}  // namespace nimbus::tools::agent
