#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nimbus/schema/status.h"
#include "testing/status_matchers.h"
#include "tools/import/document_source.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;
using test::IsOk;
using test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

constexpr std::string_view kEvents = R"([
  {"id": 0, "timestamp": "2025-01-27T22:44:56.900854", "source": "environment",
   "observation": "agent_state_changed", "content": "", "extras": {"agent_state": "loading"}},
  {"id": 1, "timestamp": "2025-01-27T22:44:57", "source": "user", "action": "message",
   "args": {"content": "create a game"}},
  {"id": 2, "timestamp": "2025-01-27T22:44:58", "source": "agent", "action": "run",
   "args": {"command": "ls", "thought": "look around"},
   "llm_metrics": {"accumulated_cost": 0.0000014},
   "tool_call_metadata": {"function_name": "execute_bash", "tool_call_id": "t1",
     "model_response": {"id": "r1", "model": "claude", "usage": {"prompt_tokens": 10,
       "completion_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 3}}}},
  {"id": 3, "timestamp": "2025-01-27T22:44:58.5", "source": "agent", "action": "run",
   "args": {"command": "cat x"},
   "llm_metrics": {"accumulated_cost": 0.0000014},
   "tool_call_metadata": {"function_name": "execute_bash", "tool_call_id": "t2",
     "model_response": {"id": "r1"}}},
  {"id": 4, "timestamp": "2025-01-27T22:44:59", "source": "agent", "observation": "run",
   "cause": 3, "content": "no x", "extras": {"metadata": {"exit_code": 1}}, "success": false},
  {"id": 5, "timestamp": "2025-01-27T22:45:00", "source": "agent", "observation": "run",
   "cause": 2, "content": "a b", "extras": {"metadata": {"exit_code": 0}}, "success": true},
  {"id": 6, "timestamp": "2025-01-27T22:45:01", "source": "agent", "action": "message",
   "args": {"content": "working on it", "wait_for_response": false},
   "llm_metrics": {"accumulated_cost": 0.0000028}},
  {"id": 7, "timestamp": "2025-01-27T22:45:02", "source": "agent", "action": "message",
   "args": {"content": "which one?", "wait_for_response": true},
   "llm_metrics": {"accumulated_cost": 0.0000042}},
  {"id": 8, "timestamp": "2025-01-27T22:45:03", "source": "environment",
   "observation": "agent_state_changed", "content": "", "extras": {"agent_state": "error"}},
  {"id": 9, "timestamp": "2025-01-27T22:46:00", "source": "user", "action": "message",
   "args": {"content": "the red one"}},
  {"id": 10, "timestamp": "2025-01-27T22:46:01", "source": "agent", "action": "edit",
   "args": {"path": "/x"}},
  {"id": 11, "timestamp": "2025-01-27T22:46:02", "source": "environment",
   "observation": "agent_state_changed",
   "extras": {"agent_state": "error", "reason": "budget"}}])";

absl::StatusOr<Recording> ReadEvents(Json document) {
  const Source source = SourceOf("events.json", std::move(document));
  EXPECT_TRUE(IsOpenHandsEvents(source));
  return ReadOpenHandsEvents(source);
}

TEST(OpenHandsEvents, MakesAnOperationOfAPrompt) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadEvents(*Json::Parse(kEvents)));
  ExpectSound(run);
  const std::vector<Operation>& operations = run.sessions.at(0).operations;
  ASSERT_EQ(operations.size(), 2u);
  EXPECT_EQ(operations[0].name, "create a game");
  EXPECT_EQ(operations[0].status, Lifecycle::kCompleted);  // it waits for an answer
  EXPECT_EQ(operations[0].output, R"({"role":"assistant","content":"which one?"})");
  EXPECT_THAT(operations[0].created_at_us, Optional(1738017897000000));
  EXPECT_THAT(operations[0].duration_ms, Optional(5000u));
  EXPECT_THAT(operations[0].usage.total, Optional(15u));
  EXPECT_THAT(operations[0].usage.cost_microdollars, Optional(4));  // 3 x 1.4
  EXPECT_EQ(operations[1].status, Lifecycle::kFailed);
  EXPECT_EQ(operations[1].error, "budget");
  EXPECT_EQ(operations[1].steps.back().status, Lifecycle::kCancelled);
  EXPECT_THAT(run.sessions[0].context.Dump(), HasSubstr("not recorded, taken as UTC"));
}

TEST(OpenHandsEvents, MakesOneCallOfOneAnswerAndJoinsResultsByTheirCause) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadEvents(*Json::Parse(kEvents)));
  const std::vector<Step>& steps = run.sessions.at(0).operations[0].steps;
  std::vector<StepType> types;
  for (const Step& step : steps) types.push_back(step.type);
  EXPECT_THAT(types, ElementsAre(StepType::user_input, StepType::llm_call, StepType::tool_call,
                                 StepType::tool_call, StepType::llm_call, StepType::llm_call));
  EXPECT_EQ(steps[1].input, R"({"model":"claude"})");
  EXPECT_EQ(steps[1].messages.at(0).Dump(), R"({"role":"assistant","content":"look around"})");
  EXPECT_THAT(steps[1].usage.cache_write, Optional(3u));
  EXPECT_EQ(steps[2].tool_name, "execute_bash");
  EXPECT_THAT(steps[2].output, HasSubstr("a b"));
  EXPECT_THAT(steps[2].duration_ms, Optional(2000u));
  EXPECT_EQ(steps[3].status, Lifecycle::kFailed);
  EXPECT_EQ(steps[3].error, "exit code 1");
}

TEST(OpenHandsEvents, TellsHowAnActionEnded) {
  const auto result = [](std::string_view observation) {
    Json document = *Json::Parse(kEvents);
    document.array()[5] = *Json::Parse(observation);
    const absl::StatusOr<Recording> run = ReadEvents(std::move(document));
    EXPECT_THAT(run, IsOk());
    return run.ok() ? run->sessions.at(0).operations[0].steps[2] : Step();
  };
  EXPECT_EQ(result(R"({"cause":2,"observation":"error","content":"boom"})").error, "boom");
  EXPECT_EQ(result(R"({"cause":2,"observation":"user_rejected"})").status, Lifecycle::kCancelled);
  EXPECT_EQ(result(R"({"cause":2,"observation":"edit","success":false})").status,
            Lifecycle::kFailed);
  // It has not ended, and is left running.
  EXPECT_EQ(result(R"({"cause":2,"observation":"run","exit_code":-1,"success":false})").status,
            Lifecycle::kCompleted);
  EXPECT_EQ(result(R"({"cause":99,"observation":"run"})").status, Lifecycle::kCancelled);
}

TEST(OpenHandsEvents, EndWhenTheAgentFinishesOrIsStopped) {
  const auto last = [](std::string_view event) {
    Json document = *Json::Parse(kEvents);
    document.array()[11] = *Json::Parse(event);
    const absl::StatusOr<Recording> run = ReadEvents(std::move(document));
    EXPECT_THAT(run, IsOk());
    return run.ok() ? run->sessions.at(0).operations[1].status : Lifecycle::kPending;
  };
  EXPECT_EQ(last(R"({"source":"agent","action":"finish"})"), Lifecycle::kCompleted);
  EXPECT_EQ(last(R"({"source":"agent","action":"reject"})"), Lifecycle::kFailed);
  EXPECT_EQ(last(R"({"observation":"agent_state_changed","extras":{"agent_state":"stopped"}})"),
            Lifecycle::kCancelled);
  EXPECT_EQ(last(R"({"observation":"null"})"), Lifecycle::kRunning);
}

constexpr std::string_view kTask = R"({"instance_id": "i1", "instruction": "fix", "git_patch": "d",
  "metrics": {"accumulated_cost": 0.0000042, "costs": [0.0000014, 0.0000014, 0.0000014]},
  "success": true, "error": null,
  "history": [{"action": "message", "content": "fix"},
    [{"action": "run", "command": "ls", "thought": "look"},
     {"observation": "run", "content": "a", "exit_code": 2}],
    {"action": "run_ipython", "code": "1"}, {"observation": "run_ipython", "content": "1"},
    {"action": "finish", "thought": "fixed", "outputs": {}}]})";

absl::StatusOr<Recording> ReadLines(const std::string& text) {
  NIMBUS_ASSIGN_OR_RETURN(const Source source, ParseSource("output.jsonl", text, {}));
  EXPECT_TRUE(IsOpenHandsOutput(source));
  return ReadOpenHandsOutput(source);
}

TEST(OpenHandsOutput, MakesAnOperationOfALine) {
  const std::string line = Json::Parse(kTask)->Dump();
  Json failed = *Json::Parse(kTask);
  failed.Set("error", Json::String("timeout"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadLines(line + "\n" + failed.Dump() + "\n"));
  ExpectSound(run);
  const std::vector<Operation>& operations = run.sessions.at(0).operations;
  ASSERT_EQ(operations.size(), 2u);
  EXPECT_EQ(operations[0].name, "i1");
  EXPECT_EQ(operations[0].status, Lifecycle::kCompleted);
  EXPECT_THAT(operations[0].usage.cost_microdollars, Optional(4));
  const std::vector<Step>& steps = operations[0].steps;
  ASSERT_EQ(steps.size(), 6u);
  EXPECT_EQ(steps[2].error, "exit code 2");
  EXPECT_EQ(steps[3].messages.size(), 1u);
  EXPECT_THAT(steps[4].output, HasSubstr(R"("content":"1")"));
  EXPECT_THAT(steps[1].usage.cost_microdollars, Optional(1));
  EXPECT_THAT(steps[3].usage.cost_microdollars, Optional(2));
  EXPECT_EQ(operations[1].first_record, 1u);
  EXPECT_EQ(operations[1].error, "timeout");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording shorter, ReadLines(line));
  EXPECT_EQ(shorter.key, run.key);
}

TEST(OpenHands, IsOnlyWhatHasItsMembers) {
  const auto events = [](std::string_view text) {
    return IsOpenHandsEvents(SourceOfText("x", text));
  };
  EXPECT_TRUE(events(R"([{"action":"run","source":"agent","timestamp":"t"}])"));
  EXPECT_FALSE(events(R"([{"action":"run","source":"agent"}])"));
  EXPECT_FALSE(events(R"([{"source":"agent","timestamp":"t"}])"));
  EXPECT_FALSE(events(R"([])"));
  const auto output = [](std::string_view text) {
    return IsOpenHandsOutput(SourceOfText("x", text));
  };
  EXPECT_TRUE(output(R"({"history":[],"instruction":"","metrics":{}})"));
  EXPECT_FALSE(output(R"({"history":[],"metrics":{}})"));
  EXPECT_FALSE(output(R"({"history":{},"instruction":"","metrics":{}})"));
}

TEST(OpenHands, NamesTheMemberOfAWrongType) {
  const auto expect = [](std::string_view place, auto damage) {
    Json document = *Json::Parse(kEvents);
    damage(document.array());
    EXPECT_THAT(ReadEvents(std::move(document)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(place))));
  };
  expect("[3]: null", [](auto& e) { e[3] = Json(); });
  expect("[2].timestamp: 'x'", [](auto& e) { e[2].Set("timestamp", Json::String("x")); });
  expect("[2].action: a number", [](auto& e) { e[2].Set("action", Json::Int(1)); });
  expect("[2].tool_call_metadata.model_response.usage: a number", [](auto& e) {
    e[2].Find("tool_call_metadata")->Find("model_response")->Set("usage", Json::Int(1));
  });
  expect("[2].llm_metrics.accumulated_cost: -1",
         [](auto& e) { e[2].Find("llm_metrics")->Set("accumulated_cost", Json::Int(-1)); });
  Json task = *Json::Parse(kTask);
  const std::string line = task.Dump();
  task.Find("history")->array()[1].array()[1] = Json::Int(1);
  EXPECT_THAT(ReadLines(line + "\n" + task.Dump()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 2.history[1][1]")));
  EXPECT_THAT(ReadLines(line + "\n[1]"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 2: an array")));
}

}  // namespace
}  // namespace nimbus::tools::import
