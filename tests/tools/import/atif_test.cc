// The ATIF reader: what a step becomes, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/status_matchers.h"
#include "tools/import/document_source.h"
#include "tools/import/script.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;
using ::testing::HasSubstr;

std::string Trajectory(std::string_view steps, std::string_view more = "") {
  return R"({"schema_version":"ATIF-v1.7","session_id":"s","agent":{"name":"a","version":"1",)"
         R"("model_name":"m"},"steps":[)" +
         std::string(steps) + "]" + std::string(more) + "}";
}

absl::StatusOr<Recording> ReadText(const std::string& text) {
  const Source source = SourceOfText("t.json", text);
  EXPECT_TRUE(IsAtif(source));
  absl::StatusOr<Recording> run = ReadAtif(source);
  if (run.ok()) {
    ExpectSound(*run);
    EXPECT_THAT(ValidateRun(*run, 1), test::IsOk());
  }
  return run;
}

constexpr std::string_view kSteps =
    R"({"step_id":1,"source":"system","message":"be good"},)"
    R"({"step_id":2,"source":"user","message":"do it","timestamp":"2026-01-01T00:00:00Z"},)"
    R"({"step_id":3,"source":"agent","timestamp":"2026-01-01T00:00:01.5Z","message":"ok",)"
    R"("reasoning_content":"hm","tool_calls":[{"tool_call_id":"c1","function_name":"bash",)"
    R"("arguments":{"command":"ls"}},{"tool_call_id":"c2","function_name":"bash","arguments":{}}],)"
    R"("observation":{"results":[{"source_call_id":"c1","content":"out"},{"content":"seen"}]},)"
    R"("metrics":{"prompt_tokens":10,"completion_tokens":2,"cached_tokens":4,)"
    R"("cost_usd":0.0000014}})";

TEST(Atif, MakesStepsOfPromptsAnswersAndCalls) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadText(Trajectory(kSteps)));
  const Operation& operation = run.sessions.at(0).operations.at(0);
  ASSERT_EQ(operation.steps.size(), 4u);
  EXPECT_EQ(operation.steps[0].type, StepType::user_input);
  const Step& call = operation.steps[1];
  EXPECT_EQ(call.type, StepType::llm_call);
  EXPECT_EQ(call.input, R"({"model":"m"})");
  EXPECT_THAT(call.output, HasSubstr(R"("observation":[{"content":"seen"}])"));
  EXPECT_EQ(call.started_at_us, 1767225601500000);
  EXPECT_EQ(call.usage.total, 12u);
  EXPECT_EQ(call.usage.cache_read, 4u);
  EXPECT_EQ(call.usage.cost_microdollars, 1);
  EXPECT_EQ(operation.steps[2].tool_name, "bash");
  EXPECT_EQ(operation.steps[2].output, R"({"source_call_id":"c1","content":"out"})");
  // The tool's result may still come.
  EXPECT_EQ(operation.steps[3].status, Lifecycle::kRunning);
  EXPECT_EQ(operation.status, Lifecycle::kRunning);
  EXPECT_EQ(MessagesOf(operation).at(0).StringOr("role"), "system");
}

TEST(Atif, IsWholeOnceThereAreTotals) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadText(Trajectory(kSteps, R"(,"final_metrics":{"total_prompt_tokens":11,)"
                                  R"("total_completion_tokens":3,"total_cost_usd":0.5})")));
  const Operation& operation = run.sessions.at(0).operations.at(0);
  EXPECT_EQ(operation.status, Lifecycle::kCompleted);
  EXPECT_EQ(operation.steps[3].status, Lifecycle::kCancelled);
  EXPECT_EQ(operation.usage.total, 14u);
  EXPECT_EQ(operation.usage.cost_microdollars, 500000);
  EXPECT_EQ(operation.duration_ms, 1500u);
}

TEST(Atif, IsTheBeginningOfALongerSnapshot) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording early, ReadText(Trajectory(kSteps)));
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording late,
      ReadText(
          Trajectory(std::string(kSteps) + R"(,{"step_id":4,"source":"agent","message":"."})")));
  EXPECT_EQ(early.key, late.key);
  const Operation& a = early.sessions.at(0).operations.at(0);
  const Operation& b = late.sessions.at(0).operations.at(0);
  EXPECT_EQ(a.source_id, b.source_id);
  EXPECT_EQ(b.status, Lifecycle::kCompleted);
  ASSERT_EQ(b.steps.size(), 5u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(a.steps[i].source_id, b.steps[i].source_id);
    EXPECT_EQ(a.steps[i].output, b.steps[i].output);
  }
}

TEST(Atif, TellsRunsOfOneSessionIdApart) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording a, ReadText(Trajectory(kSteps)));
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording b,
      ReadText(Trajectory(R"({"step_id":1,"source":"user","message":"other"})")));
  EXPECT_NE(a.key, b.key);
  EXPECT_EQ(a.sessions.at(0).source_id, b.sessions.at(0).source_id);
  EXPECT_NE(a.sessions[0].operations.at(0).source_id, b.sessions[0].operations.at(0).source_id);
}

TEST(Atif, LeavesOutWhatWasCopiedAndCallsOfNoModel) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadText(Trajectory(
          R"({"step_id":1,"source":"agent","message":"before","is_copied_context":true},)"
          R"({"step_id":2,"source":"agent","message":"","llm_call_count":0,"tool_calls":)"
          R"([{"tool_call_id":"c","function_name":"t","arguments":{}}],"observation":{"results":)"
          R"([{"source_call_id":"c","content":"r"}]}},)"
          R"({"step_id":3,"source":"agent","message":"done"})")));
  EXPECT_EQ(CountSteps(run, StepType::llm_call), 1u);
  EXPECT_EQ(CountSteps(run, StepType::tool_call), 1u);
  EXPECT_EQ(MessagesOf(run.sessions.at(0).operations.at(0)).at(0).StringOr("content"), "before");
}

TEST(Atif, MakesChildrenOfEmbeddedTrajectories) {
  const std::string inner = Trajectory(R"({"step_id":1,"source":"user","message":"sub"})");
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadText(Trajectory(kSteps, R"(,"subagent_trajectories":[)" + inner + "," + inner + "]")));
  const std::vector<Operation>& operations = run.sessions.at(0).operations;
  ASSERT_EQ(operations.size(), 3u);
  EXPECT_EQ(operations[1].parent_source_id, operations[0].source_id);
  EXPECT_EQ(operations[2].parent_source_id, operations[0].source_id);
}

void ExpectRefused(const std::string& text, const std::string& message) {
  const absl::StatusOr<Recording> run = ReadText(text);
  EXPECT_THAT(run, test::StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(run.status().message()), HasSubstr(message));
}

TEST(Atif, RefusesWhatIsNotAsTheFormatSaysByName) {
  ExpectRefused(R"({"schema_version":"ATIF-v1.5","steps":{}})", "steps: an object, an array");
  ExpectRefused(Trajectory("1"), "steps[0]: a number, an object is needed");
  ExpectRefused(Trajectory(R"({"source":"robot"})"), "steps[0].source: 'robot'");
  ExpectRefused(Trajectory(R"({"source":"user","timestamp":"noon"})"),
                "steps[0].timestamp: 'noon' is no ISO 8601 time");
  ExpectRefused(Trajectory(R"({"source":"agent","metrics":{"prompt_tokens":-1}})"),
                "steps[0].metrics.prompt_tokens: -1 is no count");
  ExpectRefused(Trajectory(R"({"source":"agent","tool_calls":[{"tool_call_id":"c"}]})"),
                "steps[0].tool_calls[0].function_name: a name is needed");
  ExpectRefused(Trajectory(R"({"source":"agent","observation":{}})"),
                "steps[0].observation.results: an array is needed");
}

TEST(Atif, RefusesExtrasOfOursThatAreNone) {
  const auto with = [](std::string_view nimbus) {
    return Trajectory(R"({"source":"user","message":"x"})",
                      R"(,"extra":{"nimbus":)" + std::string(nimbus) + "}");
  };
  ExpectRefused(with("1"), "extra.nimbus: a number, an object is needed");
  ExpectRefused(with(R"({"operations":[{"type":"chat","atif_steps":2}]})"),
                "extra.nimbus.operations[0].atif_steps: beyond the end");
  ExpectRefused(with(R"({"operations":[{"type":"chat"}]})"), "of 0 steps, of which there are 1");
  ExpectRefused(with(R"({"operations":[{"type":"chat","atif_steps":1,"parent":0}]})"),
                "extra.nimbus.operations[0].parent: no operation before");
  ExpectRefused(with(R"({"operations":[{"atif_steps":1}]})"), "type: a type is needed");
  ExpectRefused(Trajectory(R"({"source":"user","extra":{"nimbus":{"steps":[{"type":"x"}]}}})"),
                "steps[0].extra.nimbus.steps[0].type: 'x' is no type of step");
  ExpectRefused(Trajectory(R"({"source":"user","extra":{"nimbus":{"steps":)"
                           R"([{"type":"llm_call","status":"odd"}]}}})"),
                "steps[0].extra.nimbus.steps[0].status: 'odd' is no status");
}

}  // namespace
}  // namespace nimbus::tools::import
