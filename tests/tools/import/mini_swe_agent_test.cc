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

// A run of 1.x, whose commands stand in the answers' text.
constexpr std::string_view kText = R"({
  "info": {"exit_status": "Submitted", "submission": "diff", "mini_version": "1.15.0",
           "model_stats": {"instance_cost": 0.5, "api_calls": 2},
           "config": {"model": {"model_name": "m"}, "environment": {"cwd": "/testbed"}}},
  "trajectory_format": "mini-swe-agent-1", "instance_id": "django-1",
  "messages": [
    {"role": "system", "content": "Use ```bash blocks."},
    {"role": "user", "content": "fix it"},
    {"role": "assistant", "content": "Look.\n\n```bash\nls\n```", "extra": {"response": {
       "model": "gemini", "created": 1763509110,
       "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                 "cost": 0.0000014, "prompt_tokens_details": {"cached_tokens": 4}}}}},
    {"role": "user", "content": "<returncode>2</returncode>\n<output>\nno such file\n</output>"},
    {"role": "assistant", "content": "Two:\n```bash\na\n```\n```bash\nb\n```", "extra": {
       "response": {"created": 1763509120,
                    "usage": {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26,
                              "cost": 0.0000014}}}},
    {"role": "user", "content": "Exactly one block, please."},
    {"role": "assistant", "content": "```bash\necho COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\n```",
     "extra": {"response": {"created": 1763509130, "usage": {"cost": 0.0000014}}}},
    {"role": "user", "content": "diff"}]})";

// A run of 2.x with tool calls.
constexpr std::string_view kToolCalls = R"({
  "info": {"exit_status": "Submitted", "submission": "diff", "mini_version": "2.2.8",
           "model_stats": {"instance_cost": 0.03, "api_calls": 1}, "config": {}},
  "trajectory_format": "mini-swe-agent-1.1",
  "messages": [
    {"role": "system", "content": "s"}, {"role": "user", "content": "t"},
    {"role": "assistant", "content": null, "tool_calls": [
       {"id": "c1", "function": {"name": "bash", "arguments": "{\"command\": \"ls\"}"}},
       {"id": "c2", "function": {"name": "bash", "arguments": "{\"command\": \"pwd\"}"}}],
     "extra": {"actions": [{"command": "ls", "tool_call_id": "c1"},
                           {"command": "pwd", "tool_call_id": "c2"}],
               "cost": 0.02, "timestamp": 100.25,
               "response": {"created": 99, "usage": {"cost": 0.5}}}},
    {"role": "tool", "tool_call_id": "c2", "content": "/",
     "extra": {"raw_output": "/", "returncode": 0, "timestamp": 101.5}},
    {"role": "tool", "tool_call_id": "c1", "content": "-",
     "extra": {"returncode": -1, "exception_info": "action was not executed", "timestamp": 101.5}},
    {"role": "user", "content": "Interrupted by user: use rg",
     "extra": {"interrupt_type": "UserInterruption"}},
    {"role": "user", "content": "User command: \n```bash\nmake\n```",
     "extra": {"actions": [{"command": "make"}]}},
    {"role": "user", "content": "ok", "extra": {"returncode": 2, "timestamp": 105.0}},
    {"object": "response", "model": "gpt", "created_at": 110,
     "output": [{"type": "function_call", "call_id": "c3"}],
     "usage": {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 25},
               "output_tokens": 40},
     "extra": {"actions": [{"command": "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT",
                            "tool_call_id": "c3"}],
               "cost": 0.01, "timestamp": 112}},
    {"role": "exit", "content": "diff",
     "extra": {"exit_status": "Submitted", "submission": "diff"}}]})";

absl::StatusOr<Recording> ReadDocument(Json document) {
  const Source source = SourceOf("run.traj.json", std::move(document));
  EXPECT_TRUE(IsMiniSweAgent(source));
  return ReadMiniSweAgent(source);
}

absl::StatusOr<Recording> ReadText(std::string_view text) {
  return ReadDocument(*Json::Parse(text));
}

const Operation& OperationOf(const Recording& run) { return run.sessions[0].operations[0]; }

std::vector<std::string> StepIds(const Operation& operation) {
  std::vector<std::string> ids;
  for (const Step& step : operation.steps) ids.push_back(step.source_id);
  return ids;
}

TEST(MiniSweAgent, FindsTheCommandInTheAnswersText) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadText(kText));
  ExpectSound(run);
  const Operation& operation = OperationOf(run);
  EXPECT_THAT(StepIds(operation), ElementsAre("prompt", "message-2", "message-2-action-0",
                                              "message-4", "message-6", "message-6-action-0"));
  const Step& ls = operation.steps[2];
  EXPECT_EQ(ls.tool_name, "bash");
  EXPECT_EQ(ls.input, R"({"command":"ls"})");
  EXPECT_EQ(ls.status, Lifecycle::kFailed);
  EXPECT_EQ(ls.error, "return code 2");
  EXPECT_EQ(ls.output, R"({"returncode":2,"output":"no such file\n"})");
  EXPECT_EQ(operation.steps[5].status, Lifecycle::kCompleted);
  EXPECT_EQ(operation.steps[5].output, R"({"content":"diff"})");
}

TEST(MiniSweAgent, KeepsTheMessagesAsTheConversation) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadText(kText));
  Json::Array expected = Json::Parse(kText)->Find("messages")->array();
  for (Json& message : expected) message.Erase("extra");
  EXPECT_EQ(MessagesOf(OperationOf(run)), expected);
  // The complaint about the format is heard by the next call.
  EXPECT_EQ(OperationOf(run).steps[3].messages.size(), 1u);
  EXPECT_EQ(OperationOf(run).steps[4].messages.size(), 2u);
}

TEST(MiniSweAgent, AddsUpTokensAndFractionsOfMicrodollars) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadText(kText));
  const Operation& operation = OperationOf(run);
  EXPECT_THAT(operation.usage.input, Optional(30u));
  EXPECT_THAT(operation.usage.output, Optional(11u));
  EXPECT_THAT(operation.usage.total, Optional(41u));
  EXPECT_THAT(operation.usage.cache_read, Optional(4u));
  EXPECT_THAT(operation.usage.cost_microdollars, Optional(4));  // 3 x 1.4
  EXPECT_THAT(operation.steps[1].usage.cost_microdollars, Optional(1));
  EXPECT_THAT(operation.steps[3].usage.cost_microdollars, Optional(2));
  EXPECT_THAT(operation.steps[4].usage.cost_microdollars, Optional(1));
}

TEST(MiniSweAgent, TakesTheRunsCostWhereACallHasNone) {
  Json document = *Json::Parse(kText);
  document.Find("messages")->array()[4].Erase("extra");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(document));
  EXPECT_THAT(OperationOf(run).usage.cost_microdollars, Optional(500000));
}

TEST(MiniSweAgent, ReadsTimesNameAndSurroundings) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadText(kText));
  const Operation& operation = OperationOf(run);
  EXPECT_THAT(operation.created_at_us, Optional(1763509110000000));
  EXPECT_THAT(operation.ended_at_us, Optional(1763509130000000));
  EXPECT_EQ(operation.name, "django-1");
  EXPECT_EQ(operation.plan, R"({"model":{"model_name":"m"},"environment":{"cwd":"/testbed"}})");
  EXPECT_EQ(operation.output.find("config"), std::string::npos);
  EXPECT_EQ(run.sessions[0].context.StringOr("cwd"), "/testbed");
  EXPECT_EQ(run.sessions[0].context.StringOr("version"), "1.15.0");
  EXPECT_EQ(operation.steps[1].input, R"({"model":"gemini"})");
}

TEST(MiniSweAgent, ReadsActionsAndOutcomesByTheirCallIds) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadText(kToolCalls));
  ExpectSound(run);
  const Operation& operation = OperationOf(run);
  EXPECT_THAT(
      StepIds(operation),
      ElementsAre("prompt", "message-2", "message-2-action-0", "message-2-action-1", "message-5",
                  "message-6", "message-6-action-0", "message-8", "message-8-action-0"));
  EXPECT_EQ(operation.steps[2].status, Lifecycle::kCancelled);
  EXPECT_EQ(operation.steps[2].error, "action was not executed");
  EXPECT_EQ(operation.steps[3].status, Lifecycle::kCompleted);
  EXPECT_THAT(operation.steps[3].started_at_us, Optional(100250000));
  EXPECT_THAT(operation.steps[3].ended_at_us, Optional(101500000));
  EXPECT_EQ(operation.steps[8].status, Lifecycle::kCompleted);
  EXPECT_EQ(CountSteps(run, StepType::llm_call), 2u);
}

TEST(MiniSweAgent, TakesWhatAPersonTypedAsUserInput) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadText(kToolCalls));
  const Operation& operation = OperationOf(run);
  EXPECT_EQ(operation.steps[4].type, StepType::user_input);
  EXPECT_THAT(operation.steps[4].input, HasSubstr("use rg"));
  EXPECT_EQ(operation.steps[5].type, StepType::user_input);
  EXPECT_EQ(operation.steps[6].type, StepType::tool_call);
  EXPECT_EQ(operation.steps[6].status, Lifecycle::kFailed);
  EXPECT_EQ(operation.steps[6].input, R"({"command":"make"})");
}

TEST(MiniSweAgent, ReadsResponsesOfTheResponsesApi) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadText(kToolCalls));
  const Operation& operation = OperationOf(run);
  const Step& call = operation.steps[7];
  EXPECT_EQ(call.type, StepType::llm_call);
  EXPECT_THAT(call.usage.input, Optional(100u));
  EXPECT_THAT(call.usage.cache_read, Optional(25u));
  EXPECT_THAT(call.started_at_us, Optional(110000000));
  EXPECT_THAT(call.ended_at_us, Optional(112000000));
  EXPECT_THAT(operation.usage.cost_microdollars, Optional(30000));  // the agent's own sums
}

TEST(MiniSweAgent, ReadsTheBareMessagesOfTheFirstVersion) {
  Json::Array messages = Json::Parse(kText)->Find("messages")->array();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(Json::MakeArray(messages)));
  ExpectSound(run);
  EXPECT_EQ(OperationOf(run).status, Lifecycle::kCompleted);
  EXPECT_EQ(OperationOf(run).name, "run");
  messages.pop_back();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording open, ReadDocument(Json::MakeArray(messages)));
  EXPECT_EQ(OperationOf(open).status, Lifecycle::kRunning);
  EXPECT_EQ(OperationOf(open).steps.back().status, Lifecycle::kRunning);
  EXPECT_EQ(open.key, run.key);
}

TEST(MiniSweAgent, FollowsTheFenceTheAgentWasToldToUse) {
  Json document = *Json::Parse(kText);
  Json::Array& messages = document.Find("messages")->array();
  messages[0].Set("content", Json::String("Use ```mswea_bash_command blocks."));
  messages[2].Set("content", Json::String("```mswea_bash_command\nls\n```\nas in ```bash\nx\n```"));
  messages[4].Set("content", Json::String("```bash\nb\n```"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(document));
  EXPECT_EQ(CountSteps(run, StepType::tool_call), 1u);
  EXPECT_EQ(OperationOf(run).steps[2].input, R"({"command":"ls"})");
}

TEST(MiniSweAgent, KnowsCommandsThatTimedOutOrWereRejected) {
  Json document = *Json::Parse(kText);
  Json& observation = document.Find("messages")->array()[3];
  observation.Set("content", Json::String("The last command timed out and has been killed."));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording late, ReadDocument(document));
  EXPECT_EQ(OperationOf(late).steps[2].status, Lifecycle::kFailed);
  EXPECT_EQ(OperationOf(late).steps[2].error, "timed out");
  observation.Set("content", Json::String("Command not executed. The user says no."));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording rejected, ReadDocument(document));
  EXPECT_EQ(OperationOf(rejected).steps[2].status, Lifecycle::kCancelled);
  EXPECT_THAT(OperationOf(rejected).steps[2].error, HasSubstr("The user says no"));
}

TEST(MiniSweAgent, TellsHowARunEnded) {
  Json document = *Json::Parse(kText);
  for (const auto& [exit, status] : {std::pair{"LimitsExceeded", Lifecycle::kFailed},
                                     {"KeyboardInterrupt", Lifecycle::kCancelled},
                                     {"Submitted", Lifecycle::kCompleted}}) {
    document.Find("info")->Set("exit_status", Json::String(exit));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(document));
    EXPECT_EQ(OperationOf(run).status, status) << exit;
    EXPECT_EQ(OperationOf(run).error, status == Lifecycle::kCompleted ? "" : exit);
  }
}

TEST(MiniSweAgent, IsOnlyWhatHasItsMembers) {
  const auto claims = [](std::string_view text) { return IsMiniSweAgent(SourceOfText("x", text)); };
  EXPECT_TRUE(claims(R"({"messages":{},"trajectory_format":"mini-swe-agent-1"})"));
  EXPECT_TRUE(claims(R"({"messages":[],"info":{"mini_version":"1"}})"));
  EXPECT_FALSE(claims(R"({"messages":[]})"));
  EXPECT_FALSE(claims(R"({"info":{"mini_version":"1"}})"));
  EXPECT_FALSE(claims(R"([{"role":"user","content":"hello"}])"));
  EXPECT_FALSE(claims(R"([{"role":"tool","content":"COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"}])"));
  EXPECT_FALSE(claims(R"([])"));
}

TEST(MiniSweAgent, NamesTheMemberOfAWrongType) {
  const auto expect = [](std::string_view place, auto damage) {
    Json document = *Json::Parse(kText);
    damage(document, document.Find("messages")->array());
    EXPECT_THAT(ReadDocument(document),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(place))));
  };
  expect("messages: an object", [](Json& d, auto&) { d.Set("messages", Json::MakeObject()); });
  expect("messages[1]: null", [](Json&, auto& m) { m[1] = Json(); });
  expect("messages[1].role: a number", [](Json&, auto& m) { m[1].Set("role", Json::Int(1)); });
  expect("messages[2].extra: a string",
         [](Json&, auto& m) { m[2].Set("extra", Json::String("")); });
  expect("messages[2].extra.response.usage.prompt_tokens: a string", [](Json&, auto& m) {
    Json* usage = m[2].Find("extra")->Find("response")->Find("usage");
    usage->Set("prompt_tokens", Json::String("10"));
  });
  expect("messages[2].extra.response.created: 1e400", [](Json&, auto& m) {
    m[2].Find("extra")->Find("response")->Set("created", Json::Number("1e400"));
  });
  expect("info: an array", [](Json& d, auto&) { d.Set("info", Json::MakeArray()); });
  expect("info.exit_status: a number",
         [](Json& d, auto&) { d.Find("info")->Set("exit_status", Json::Int(1)); });
}

}  // namespace
}  // namespace nimbus::tools::import
