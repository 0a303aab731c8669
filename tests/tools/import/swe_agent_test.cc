#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/status_matchers.h"
#include "tools/import/document_source.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;
using test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

// A run of 1.1: tool calls, state as an object, query, execution time.
constexpr std::string_view kRun = R"({
  "environment": "main",
  "trajectory": [
    {"action": "open a.py", "observation": "[File: a.py]", "response": "I open it.",
     "thought": "I open it.", "execution_time": 0.5006, "state": {"open_file": "a.py"},
     "query": [{"role": "user", "content": "fix it"}]},
    {"action": "submit", "observation": "diff", "response": "Done.", "thought": "Done.",
     "execution_time": 1.5, "state": {"open_file": "a.py"}, "extra_info": {"k": 1}}],
  "history": [
    {"role": "system", "content": "You are an agent.", "message_type": "system_prompt"},
    {"role": "user", "content": "a demonstration", "is_demo": true, "agent": "main"},
    {"role": "user", "content": "fix it", "message_type": "observation", "agent": "main"},
    {"role": "assistant", "content": "I open it.", "action": "open a.py",
     "tool_calls": [{"id": "call_1", "function": {"name": "open", "arguments": "{}"}}]},
    {"role": "tool", "content": "[File: a.py]", "tool_call_ids": ["call_1"]},
    {"role": "assistant", "content": [{"type": "text", "text": "Done."}], "action": "submit"}],
  "info": {"exit_status": "submitted", "submission": "diff",
           "model_stats": {"instance_cost": 0.0195200000006, "tokens_sent": 7141,
                           "tokens_received": 243}},
  "replay_config": "{\"agent\": {\"model\": 1e400}}"})";

Json ParseRun() { return *Json::Parse(kRun); }

absl::StatusOr<Recording> ReadTrajectory(Json document) {
  const Source source = SourceOf("issue-1.traj", std::move(document));
  EXPECT_TRUE(IsSweAgent(source));
  return ReadSweAgent(source);
}

const Operation& OperationOf(const Recording& run) { return run.sessions[0].operations[0]; }

std::vector<std::string> StepIds(const Operation& operation) {
  std::vector<std::string> ids;
  for (const Step& step : operation.steps) ids.push_back(step.source_id);
  return ids;
}

// The text of every message of the conversation, in order.
std::vector<std::string> Said(const Operation& operation) {
  std::vector<std::string> texts;
  for (const Json& message : MessagesOf(operation)) {
    const Json* content = message.Find("content");
    texts.push_back(content->IsString() ? content->string() : content->Dump());
  }
  return texts;
}

TEST(SweAgent, MakesAModelCallAndAToolCallOfEachElement) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(ParseRun()));
  ExpectSound(run);
  const Operation& operation = OperationOf(run);
  EXPECT_THAT(StepIds(operation),
              ElementsAre("prompt", "turn-0", "turn-0-action", "turn-1", "turn-1-action"));
  EXPECT_EQ(operation.steps[0].type, StepType::user_input);
  EXPECT_EQ(operation.steps[1].input, R"({"query":[{"role":"user","content":"fix it"}]})");
  EXPECT_EQ(operation.steps[1].output, R"({"response":"I open it.","thought":"I open it."})");
  EXPECT_EQ(operation.steps[2].tool_name, "open");
  EXPECT_THAT(operation.steps[2].duration_ms, Optional(501u));
  EXPECT_EQ(operation.steps[3].output,
            R"({"response":"Done.","thought":"Done.","extra_info":{"k":1}})");
  EXPECT_EQ(operation.steps[4].tool_name, "submit");
  EXPECT_EQ(operation.steps[4].output,
            R"({"observation":"diff","state":{"open_file":"a.py"},"execution_time":1.5})");
}

TEST(SweAgent, KeepsTheHistoryAsTheConversation) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(ParseRun()));
  const Operation& operation = OperationOf(run);
  EXPECT_EQ(MessagesOf(operation), ParseRun().Find("history")->array());
  EXPECT_EQ(operation.steps[0].messages.size(), 3u);
  EXPECT_EQ(operation.input.find("demonstration"), std::string::npos);
  EXPECT_THAT(operation.input, HasSubstr(R"("content":"fix it")"));
  EXPECT_TRUE(operation.steps[4].messages.empty());  // nobody was told of the submission
}

TEST(SweAgent, ReadsOutcomeUsageAndPlan) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(ParseRun()));
  const Operation& operation = OperationOf(run);
  EXPECT_EQ(operation.name, "issue-1");
  EXPECT_EQ(operation.status, Lifecycle::kCompleted);
  EXPECT_EQ(operation.error, "");
  EXPECT_THAT(operation.usage.total, Optional(7384u));
  EXPECT_THAT(operation.usage.cost_microdollars, Optional(19520));
  EXPECT_EQ(operation.plan, R"({"agent": {"model": 1e400}})");  // the text inside the string
  EXPECT_EQ(operation.created_at_us, std::nullopt);
  EXPECT_EQ(operation.ended_at_us, std::nullopt);
}

TEST(SweAgent, TakesStateAsTextOfOldVersions) {
  Json document = ParseRun();
  Json::Array& trajectory = document.Find("trajectory")->array();
  trajectory[0].Set("state", Json::String("{\"open_file\": \"n/a\"}\n"));
  trajectory[1].Set("state", Json::String("no json"));
  trajectory[0].Erase("query");
  trajectory[0].Set("messages", *Json::Parse(R"([{"role":"user","content":"next"}])"));
  document.Set("replay_config", Json::String("no json either"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
  const Operation& operation = OperationOf(run);
  EXPECT_THAT(operation.steps[2].output, HasSubstr(R"("state":{"open_file":"n/a"})"));
  EXPECT_THAT(operation.steps[4].output, HasSubstr(R"("state":"no json")"));
  EXPECT_EQ(operation.steps[1].input, R"({"messages":[{"role":"user","content":"next"}]})");
  EXPECT_EQ(operation.plan, R"("no json either")");
}

// The journal holds JSON to a depth; what is wrapped must leave room for it.
TEST(SweAgent, KeepsStateThatIsNestedTooDeepAsText) {
  const size_t most = schema::JsonLimits().depth_max - 12;
  for (const size_t depth : {most - 1, most, most + 1}) {
    Json document = ParseRun();
    const std::string state = std::string(depth, '[') + std::string(depth, ']');
    document.Find("trajectory")->array()[0].Set("state", Json::String(state));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
    ExpectSound(run);
    const std::string& output = OperationOf(run).steps[2].output;
    EXPECT_THAT(output, HasSubstr(depth <= most ? "\"state\":[[" : "\"state\":\"[[")) << depth;
  }
}

TEST(SweAgent, ReadsADocumentThatHasOnlyAHistory) {
  const Json document = Json::MakeObject({{"history", *ParseRun().Find("history")}});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
  ExpectSound(run);
  const Operation& operation = OperationOf(run);
  EXPECT_EQ(CountSteps(run, StepType::llm_call), 2u);
  EXPECT_EQ(CountSteps(run, StepType::tool_call), 2u);
  EXPECT_EQ(operation.status, Lifecycle::kCompleted);  // it submitted
  EXPECT_EQ(operation.steps[2].output,
            R"({"role":"tool","content":"[File: a.py]","tool_call_ids":["call_1"]})");
  EXPECT_EQ(operation.steps[4].status, Lifecycle::kCancelled);
  EXPECT_EQ(operation.usage.cost_microdollars, std::nullopt);
  EXPECT_EQ(MessagesOf(operation), document.Find("history")->array());
}

TEST(SweAgent, ReadsEachAttemptAsAnOperation) {
  Json document = ParseRun();
  Json first = ParseRun(), second = ParseRun();
  first.Find("info")->Set("exit_status", Json::String("exit_context"));
  document.Set("attempts", Json::MakeArray({first, second}));
  document.Find("info")->Set("best_attempt_idx", Json::Int(1));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
  ExpectSound(run);
  ASSERT_EQ(run.sessions[0].operations.size(), 2u);
  EXPECT_EQ(run.sessions[0].operations[0].status, Lifecycle::kFailed);
  EXPECT_EQ(run.sessions[0].operations[0].error, "exit_context");
  EXPECT_EQ(run.sessions[0].operations[1].status, Lifecycle::kCompleted);
  EXPECT_EQ(run.sessions[0].operations[1].source_id, "attempt-1");
  EXPECT_EQ(run.sessions[0].context.Find("best_attempt_idx")->AsInt(), 1);
}

TEST(SweAgent, ReadsAttemptsThatHaveNoBestYet) {
  const Json document = Json::MakeObject({{"attempts", Json::MakeArray({ParseRun()})}});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
  EXPECT_EQ(run.sessions[0].operations.size(), 1u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording alone, ReadTrajectory(ParseRun()));
  EXPECT_EQ(run.key, alone.key);
}

TEST(SweAgent, StandsInForAnswersTheHistoryLeavesOut) {
  Json document = ParseRun();
  Json::Array& history = document.Find("history")->array();
  history.erase(history.begin() + 3, history.begin() + 5);  // the first answer and its outcome
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
  EXPECT_THAT(Said(OperationOf(run)),
              ElementsAre("You are an agent.", "a demonstration", "fix it", "I open it.",
                          "[File: a.py]", R"([{"type":"text","text":"Done."}])"));
  document.Erase("history");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording bare, ReadTrajectory(document));
  EXPECT_THAT(Said(OperationOf(bare)),
              ElementsAre("fix it", "I open it.", "[File: a.py]", "Done.", "diff"));
}

TEST(SweAgent, KeepsMessagesOfTheHistoryThatNoElementTellsOf) {
  Json document = ParseRun();
  Json::Array& history = document.Find("history")->array();
  history.insert(history.begin() + 5, *Json::Parse(R"({"role":"assistant","content":"aside"})"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
  EXPECT_EQ(CountSteps(run, StepType::llm_call), 2u);
  EXPECT_EQ(MessagesOf(OperationOf(run)), history);
}

TEST(SweAgent, MatchesAnAnswerWhoseTextWasEditedByItsAction) {
  Json document = ParseRun();
  document.Find("history")->array()[3].Set("content", Json::String("I open it now."));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
  EXPECT_EQ(MessagesOf(OperationOf(run)), document.Find("history")->array());
}

TEST(SweAgent, MakesNoToolCallOfAnElementThatDidNothing) {
  Json document = ParseRun();
  document.Find("trajectory")->array()[1].Set("action", Json::String(" \n"));
  document.Find("history")->array()[5].Set("action", Json());
  document.Find("history")->array().push_back(
      *Json::Parse(R"({"role":"user","content":"the cost limit is reached"})"));
  document.Find("info")->Set("exit_status", Json::String("exit_cost"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
  const Operation& operation = OperationOf(run);
  EXPECT_EQ(CountSteps(run, StepType::tool_call), 1u);
  EXPECT_THAT(operation.steps.back().output, HasSubstr(R"("observation":"diff")"));
  EXPECT_EQ(operation.status, Lifecycle::kFailed);
  EXPECT_THAT(operation.output, HasSubstr("the cost limit is reached"));
}

TEST(SweAgent, LeavesTheLastActionOfARunGoingOnOpen) {
  Json document = ParseRun();
  document.Set("info", Json::MakeObject());
  document.Find("trajectory")->array().resize(1);
  document.Find("history")->array().resize(4);  // 0.x tells the outcome with the next turn
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
  ExpectSound(run);
  EXPECT_EQ(OperationOf(run).status, Lifecycle::kRunning);
  EXPECT_EQ(OperationOf(run).steps.back().status, Lifecycle::kRunning);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording whole, ReadTrajectory(ParseRun()));
  EXPECT_EQ(run.key, whole.key);
}

TEST(SweAgent, TellsALimitFromASubmission) {
  Json document = ParseRun();
  document.Find("info")->Set("exit_status", Json::String("submitted (exit_cost)"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
  EXPECT_EQ(OperationOf(run).status, Lifecycle::kCompleted);
  EXPECT_EQ(OperationOf(run).error, "submitted (exit_cost)");
}

TEST(SweAgent, NamesTheMemberOfAWrongType) {
  const auto expect = [](std::string_view place, auto damage) {
    Json document = ParseRun();
    damage(document);
    EXPECT_THAT(ReadTrajectory(document),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(place))));
  };
  expect("trajectory: a string", [](Json& d) { d.Set("trajectory", Json::String("x")); });
  expect("history[1]: a number", [](Json& d) { d.Find("history")->array()[1] = Json::Int(1); });
  expect("history[1].role", [](Json& d) { d.Find("history")->array()[1].Erase("role"); });
  expect("history[3].tool_calls: a string",
         [](Json& d) { d.Find("history")->array()[3].Set("tool_calls", Json::String("x")); });
  expect("trajectory[1].action: an array",
         [](Json& d) { d.Find("trajectory")->array()[1].Set("action", Json::MakeArray()); });
  expect("trajectory[0].execution_time: -1",
         [](Json& d) { d.Find("trajectory")->array()[0].Set("execution_time", Json::Int(-1)); });
  expect("info: an array", [](Json& d) { d.Set("info", Json::MakeArray()); });
  expect("info.model_stats.tokens_sent: 0.5", [](Json& d) {
    d.Find("info")->Find("model_stats")->Set("tokens_sent", Json::Number("0.5"));
  });
  expect("attempts[0]: null", [](Json& d) { d.Set("attempts", Json::MakeArray({Json()})); });
}

TEST(SweAgent, IsOnlyWhatHasItsMembers) {
  const auto claims = [](std::string_view text) { return IsSweAgent(SourceOfText("x", text)); };
  EXPECT_TRUE(claims(R"({"trajectory":[],"info":{}})"));
  EXPECT_FALSE(claims(R"({"trajectory":[]})"));
  EXPECT_FALSE(claims(R"({"history":[{"role":"user","content":"x"}]})"));
  EXPECT_FALSE(claims(R"({"history":[]})"));
  EXPECT_FALSE(claims(R"({"attempts":[]})"));
  EXPECT_FALSE(claims(R"([1])"));
}

// Matching is linear: each of these would take minutes otherwise.
TEST(SweAgent, MatchesLongHostileHistoriesInTime) {
  constexpr int kMany = 20000;
  Json::Array trajectory, history;
  for (int i = 0; i < kMany; ++i) {
    trajectory.push_back(Json::MakeObject({{"response", Json::String("a")}}));
    history.push_back(Json::MakeObject({{"role", Json::String("user")}}));
  }
  const std::string long_text(1 << 20, 'x');
  trajectory.push_back(Json::MakeObject({{"response", Json::String(long_text)}}));
  history.push_back(Json::MakeObject(
      {{"role", Json::String("assistant")}, {"content", Json::String(long_text)}}));
  const Json document = Json::MakeObject(
      {{"trajectory", Json::MakeArray(trajectory)}, {"history", Json::MakeArray(history)}});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrajectory(document));
  EXPECT_EQ(CountSteps(run, StepType::llm_call), kMany + 1u);
  EXPECT_EQ(MessagesOf(OperationOf(run)).size(), 2u * kMany + 1);
}

}  // namespace
}  // namespace nimbus::tools::import
