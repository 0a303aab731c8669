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

constexpr std::string_view kTrace = R"({
  "trace_id": "learn_pvc_1764_diagnosis", "agent_type": "AgentType.DIAGNOSIS",
  "problem_context": {"problem_id": "pvc", "app_name": "hotel", "initial_state": null},
  "start_time": 1764.0000009, "end_time": 1800.5, "success": true,
  "final_submission": "pvc is mounted twice",
  "tool_calls": [
    {"tool_name": "kubectl", "arguments": {"command": "get pods"}, "timestamp": 1770.5,
     "success": true, "response": "ok", "duration": 0.25},
    {"tool_name": "wait", "arguments": {}, "timestamp": 1790, "success": false,
     "response": "no such pod", "duration": 10.0004}],
  "thinking_steps": [
    {"reasoning": "look", "tool_choice": "kubectl", "timestamp": 1769.5},
    {"reasoning": "done", "tool_choice": "submit", "timestamp": 1795}],
  "performance_metrics": {"total_duration": 36.4999991},
  "oracle_results_enhanced": {"mitigation": {"success": false, "accuracy": 0.0},
                              "localization": {"success": true}}})";

// The trace with one member replaced; removed when `value` is empty.
Json TraceWith(std::string_view key, std::string_view value) {
  Json trace = *Json::Parse(kTrace);
  if (value.empty()) {
    trace.Erase(key);
  } else {
    trace.Set(key, *Json::Parse(value));
  }
  return trace;
}

absl::StatusOr<Recording> ReadTrace(Json trace) {
  return ReadSregymTrace(SourceOf("trace.json", std::move(trace)));
}

std::vector<std::string> StepIds(const Operation& operation) {
  std::vector<std::string> ids;
  for (const Step& step : operation.steps) ids.push_back(step.source_id);
  return ids;
}

TEST(Sregym, MergesThoughtsAndCallsByTimeAndVerifiesLast) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrace(*Json::Parse(kTrace)));
  ExpectSound(run);
  const Operation& operation = run.sessions[0].operations[0];
  EXPECT_THAT(StepIds(operation), ElementsAre("thinking-0", "tool-0", "tool-1", "thinking-1",
                                              "oracle-mitigation", "oracle-localization"));
  EXPECT_EQ(operation.steps[0].type, StepType::llm_call);
  EXPECT_EQ(operation.steps[4].type, StepType::verification);
  EXPECT_EQ(operation.steps[4].status, Lifecycle::kFailed);
  EXPECT_EQ(operation.steps[5].status, Lifecycle::kCompleted);
  EXPECT_EQ(operation.steps[4].output, R"({"success":false,"accuracy":0.0})");
}

TEST(Sregym, TakesATimestampAsTheEndOfItsCall) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrace(*Json::Parse(kTrace)));
  const Operation& operation = run.sessions[0].operations[0];
  EXPECT_THAT(operation.created_at_us, Optional(1764000000));  // digits beyond are cut off
  EXPECT_THAT(operation.ended_at_us, Optional(1800500000));
  EXPECT_THAT(operation.duration_ms, Optional(36500u));
  const Step& wait = operation.steps[2];
  EXPECT_THAT(wait.ended_at_us, Optional(1790000000));
  EXPECT_THAT(wait.started_at_us, Optional(1779999600));
  EXPECT_THAT(wait.duration_ms, Optional(10000u));
}

TEST(Sregym, KeepsWhatACallSaid) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrace(*Json::Parse(kTrace)));
  const Step& wait = run.sessions[0].operations[0].steps[2];
  EXPECT_EQ(wait.tool_name, "wait");
  EXPECT_EQ(wait.status, Lifecycle::kFailed);
  EXPECT_EQ(wait.error, "no such pod");
  EXPECT_EQ(wait.output, R"("no such pod")");
  ASSERT_EQ(wait.messages.size(), 1u);
  EXPECT_EQ(wait.messages[0].Dump(),
            R"({"role":"tool","name":"wait","arguments":{},"content":"no such pod"})");
}

TEST(Sregym, NamesSessionAndOperationAfterTheStage) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrace(*Json::Parse(kTrace)));
  EXPECT_EQ(run.key, "learn_pvc_1764_diagnosis");
  EXPECT_EQ(run.sessions[0].source_id, "learn_pvc_1764");
  EXPECT_EQ(run.sessions[0].name, "pvc");
  EXPECT_EQ(run.sessions[0].operations[0].type, "query");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording deploy,
                              ReadTrace(TraceWith("agent_type", R"("AgentType.MITIGATION")")));
  EXPECT_EQ(deploy.sessions[0].operations[0].type, "deploy");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording other,
                              ReadTrace(TraceWith("agent_type", R"("AgentType.REVIEW")")));
  EXPECT_EQ(other.sessions[0].operations[0].type, "review");
}

TEST(Sregym, TakesTheErrorOfAFailureButNotItsEndNote) {
  Json trace = TraceWith("success", "false");
  trace.Set("final_submission", Json::String("Error: 429 rate limited"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording failed, ReadTrace(trace));
  EXPECT_EQ(failed.sessions[0].operations[0].status, Lifecycle::kFailed);
  EXPECT_EQ(failed.sessions[0].operations[0].error, "Error: 429 rate limited");
  trace.Set("final_submission", Json::String("Execution completed in 229.96s"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording unsolved, ReadTrace(trace));
  EXPECT_EQ(unsolved.sessions[0].operations[0].status, Lifecycle::kFailed);
  EXPECT_EQ(unsolved.sessions[0].operations[0].error, "");
}

TEST(Sregym, LeavesOpenWhatHasNoOutcomeYet) {
  Json trace = TraceWith("end_time", "null");
  trace.Erase("success");
  trace.Set("tool_calls", *Json::Parse(R"([{"tool_name":"kubectl","timestamp":1999}])"));
  trace.Erase("oracle_results_enhanced");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrace(trace));
  ExpectSound(run);
  const Operation& operation = run.sessions[0].operations[0];
  EXPECT_EQ(operation.status, Lifecycle::kRunning);
  EXPECT_EQ(operation.output, "");
  EXPECT_EQ(operation.steps.back().status, Lifecycle::kRunning);
  EXPECT_TRUE(operation.steps.back().messages.empty());
}

TEST(Sregym, KeepsTheOrderOfTheFileWithoutTimes) {
  Json trace = TraceWith("tool_calls", R"([{"tool_name":"a","success":true,"response":1},
                                           {"tool_name":"b","success":true,"response":2}])");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadTrace(trace));
  const Operation& operation = run.sessions[0].operations[0];
  EXPECT_THAT(StepIds(operation), ElementsAre("thinking-0", "tool-0", "thinking-1", "tool-1",
                                              "oracle-mitigation", "oracle-localization"));
  EXPECT_EQ(operation.steps[1].started_at_us, std::nullopt);
  EXPECT_EQ(operation.steps[1].duration_ms, std::nullopt);
}

TEST(Sregym, IsOnlyWhatHasItsMembers) {
  for (const std::string_view key : {"trace_id", "agent_type", "thinking_steps", "tool_calls"}) {
    EXPECT_FALSE(IsSregymTrace(SourceOf("x", TraceWith(key, "")))) << key;
  }
  EXPECT_TRUE(IsSregymTrace(SourceOf("x", TraceWith("problem_context", ""))));
  EXPECT_FALSE(IsSregymTrace(SourceOf("x", Json::MakeArray())));
  Source lines = SourceOf("x", *Json::Parse(kTrace));
  lines.records.push_back(lines.records[0]);
  EXPECT_FALSE(IsSregymTrace(lines));
}

TEST(Sregym, NamesTheMemberOfAWrongType) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"trace_id", "7"},        {"agent_type", "\"AgentType.\""},  {"thinking_steps", "{}"},
      {"tool_calls", "null"},   {"start_time", "\"1764\""},        {"end_time", "1e400"},
      {"success", "\"true\""},  {"oracle_results_enhanced", "[]"}, {"performance_metrics", "1"},
      {"problem_context", "[]"}};
  for (const auto& [key, value] : cases) {
    EXPECT_THAT(ReadTrace(TraceWith(key, value)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(key))));
  }
  EXPECT_THAT(ReadTrace(TraceWith("tool_calls", R"([{"tool_name":"a"},{"duration":-1}])")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tool_calls[1].duration")));
  EXPECT_THAT(
      ReadTrace(TraceWith("thinking_steps", R"(["hm"])")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("thinking_steps[0]: a string")));
}

}  // namespace
}  // namespace nimbus::tools::import
