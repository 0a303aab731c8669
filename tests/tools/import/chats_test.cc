// The readers of chat messages: HolmesGPT, Stratus, AIOpsLab and Claude Code's
// stream.
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

absl::StatusOr<Recording> ReadText(const std::string& text) {
  absl::StatusOr<Source> source = ParseSource("chat", text, {});
  if (!source.ok()) return source.status();
  const Format* format = DetectFormat(*source);
  if (format == nullptr) return absl::NotFoundError("of no format");
  absl::StatusOr<Recording> run = format->read(*source);
  if (!run.ok()) return run;
  // A message that may still grow has been said in part.
  if (format->name != "claude-code-stream") ExpectSound(*run);
  EXPECT_THAT(ValidateRun(*run, source->records.size()), test::IsOk());
  return run;
}

void ExpectRefused(const std::string& text, const std::string& message) {
  const absl::StatusOr<Recording> run = ReadText(text);
  EXPECT_THAT(run, test::StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(run.status().message()), HasSubstr(message));
}

// ---- HolmesGPT

constexpr std::string_view kOpening =
    R"([{"role":"system","content":"s","token_count":9},)"
    R"({"role":"user","content":"check\nall","token_count":2},)"
    R"({"role":"assistant","content":"ok","token_count":5,"tool_calls":[)"
    R"({"id":"c1","function":{"name":"kubectl","arguments":"{\"a\":1}"}},)"
    R"({"id":"c2","function":{"name":"kubectl","arguments":"no json"}}]},)"
    R"({"role":"tool","tool_call_id":"c2","name":"kubectl","content":"two","token_count":1})";

TEST(HolmesGpt, AnswersCallsByTheirIds) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadText(std::string(kOpening) + "]"));
  EXPECT_EQ(run.format, "holmesgpt");
  const Operation& operation = run.sessions.at(0).operations.at(0);
  EXPECT_EQ(operation.name, "check");
  EXPECT_EQ(operation.status, Lifecycle::kRunning);
  ASSERT_EQ(operation.steps.size(), 4u);
  EXPECT_EQ(operation.steps[1].usage.output, 5u);
  EXPECT_FALSE(operation.steps[1].usage.input.has_value());
  EXPECT_EQ(operation.steps[2].input, R"({"a":1})");
  EXPECT_EQ(operation.steps[3].input, R"("no json")");
  EXPECT_EQ(operation.steps[3].status, Lifecycle::kCompleted);
  EXPECT_FALSE(operation.created_at_us.has_value());
}

TEST(HolmesGpt, GoesOnInALongerSnapshot) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording early, ReadText(std::string(kOpening) + "]"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording late,
      ReadText(std::string(kOpening) + R"(,{"role":"assistant","content":"done","token_count":1},)"
                                       R"({"role":"user","content":"more","token_count":1}])"));
  EXPECT_EQ(early.key, late.key);
  const std::vector<Operation>& operations = late.sessions.at(0).operations;
  ASSERT_EQ(operations.size(), 2u);
  EXPECT_EQ(operations[0].source_id, early.sessions.at(0).operations.at(0).source_id);
  EXPECT_EQ(operations[0].status, Lifecycle::kCompleted);
  EXPECT_EQ(operations[0].output, R"("done")");
  EXPECT_EQ(operations[0].steps[2].status, Lifecycle::kCancelled) << "c1 was never answered";
  EXPECT_EQ(operations[1].status, Lifecycle::kRunning);
}

TEST(HolmesGpt, IsRefusedByTheNameOfWhatIsWrong) {
  ExpectRefused(R"([{"role":"system","content":"s","token_count":9}])", "no message of a user");
  ExpectRefused(R"([{"role":"user","token_count":1},{"role":"assistant","token_count":1.5}])",
                "[1].token_count: 1.5 is no count");
  ExpectRefused(R"([{"role":"user","token_count":1},{"role":"assistant","token_count":1,)"
                R"("tool_calls":[{}]}])",
                "[1].tool_calls[0].function: an object is needed");
  EXPECT_THAT(ReadText(R"([{"role":"user","content":"an ordinary chat"}])"),
              test::StatusIs(absl::StatusCode::kNotFound));
}

// ---- Stratus

const std::string kMetadata =
    R"({"type":"metadata","problem_id":"p","timestamp":"0704_1458","total_stages":1})"
    "\n";
std::string StageStart(const std::string& stage) {
  return R"({"type":"stage_start","stage":")" + stage + R"(","num_events":2})" + "\n";
}
std::string StageEvent(const std::string& stage, const std::string& more) {
  return R"({"type":"event","stage":")" + stage + R"(","event_index":1)" + more + "}\n";
}
const std::string kAsked =
    R"({"type":"SystemMessage","content":"s"},{"type":"HumanMessage","content":"h"},)"
    R"({"type":"AIMessage","content":"","tool_calls":[{"name":"k","args":{"a":1},"id":"c1"},)"
    R"({"name":"k","args":{},"id":"c2"}]})";
const std::string kAnswered = R"(,{"type":"ToolMessage","content":"one"})";

TEST(Stratus, AnswersCallsInTurnAndEndsAStageWithTheNext) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadText(kMetadata + StageStart("diagnosis") +
               StageEvent("diagnosis", R"(,"messages":[)" + kAsked + "]") +
               StageEvent("diagnosis", R"(,"last_message":{"type":"ToolMessage"})") +
               StageEvent("diagnosis", R"(,"messages":[)" + kAsked + kAnswered + "]") +
               StageStart("mitigation_attempt_0") +
               StageEvent("mitigation_attempt_0", R"(,"submitted":true,"messages":[])")));
  EXPECT_EQ(run.format, "sregym-stratus");
  const std::vector<Operation>& operations = run.sessions.at(0).operations;
  ASSERT_EQ(operations.size(), 2u);
  EXPECT_EQ(operations[0].type, "query");
  EXPECT_EQ(operations[0].status, Lifecycle::kCompleted);
  EXPECT_EQ(operations[1].type, "deploy");
  EXPECT_EQ(operations[1].status, Lifecycle::kCompleted);
  ASSERT_EQ(operations[0].steps.size(), 4u);
  EXPECT_EQ(operations[0].steps[2].status, Lifecycle::kCompleted);
  EXPECT_EQ(operations[0].steps[2].added_record, 2u);
  EXPECT_EQ(operations[0].steps[2].ended_record, 4u);
  EXPECT_EQ(operations[0].steps[3].status, Lifecycle::kCancelled);
}

TEST(Stratus, IsRefusedByTheLineAndTheName) {
  ExpectRefused(kMetadata + StageStart("a") + StageStart("b") + StageStart("a"),
                "line 4: stage: 'a' begins again");
  ExpectRefused(kMetadata + StageStart("a") + StageEvent("a", R"(,"messages":[1])"),
                "line 3: messages[0]: a number, an object is needed");
}

// ---- AIOpsLab

std::string Lab(const std::string& trace, const std::string& more = "") {
  return R"({"agent":"react","session_id":"u","problem_id":"p","start_time":1770783108.5,)"
         R"("trace":[)" +
         trace + "]" + more + "}";
}

TEST(AiOpsLab, TakesTheActionOfEachTurnAndHowItFailed) {
  const std::string turn =
      R"({"role":"assistant","content":"Thought: x\nAction:\n```\nexec_shell(\"ls\")\n```"},)";
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadText(Lab(turn + R"({"role":"env","content":"out"},)" + turn +
                       R"({"role":"env","content":"[ERROR] no"},)"
                       R"({"role":"assistant","content":"no action"})",
                   R"(,"end_time":1770783109.75,"results":{"success":false,"in_tokens":5,)"
                   R"("out_tokens":6})")));
  const Operation& operation = run.sessions.at(0).operations.at(0);
  ASSERT_EQ(operation.steps.size(), 6u);
  EXPECT_EQ(operation.steps[1].tool_name, "exec_shell");
  EXPECT_EQ(operation.steps[1].input, R"x({"action":"exec_shell(\"ls\")"})x");
  EXPECT_EQ(operation.steps[1].status, Lifecycle::kCompleted);
  EXPECT_EQ(operation.steps[3].status, Lifecycle::kFailed);
  EXPECT_EQ(operation.steps[3].error, "[ERROR] no");
  EXPECT_EQ(operation.steps[5].type, StepType::verification);
  EXPECT_EQ(operation.status, Lifecycle::kFailed);
  EXPECT_EQ(operation.duration_ms, 1250u);
  EXPECT_EQ(operation.usage.total, 11u);
}

TEST(AiOpsLab, GoesOnWithoutResultsAndIsRefusedByName) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadText(Lab("")));
  EXPECT_EQ(run.sessions.at(0).operations.at(0).status, Lifecycle::kRunning);
  ExpectRefused(Lab("1"), "trace[0]: a number, an object is needed");
  ExpectRefused(Lab("", R"(,"results":{"in_tokens":"5"})"),
                "results.in_tokens: a string, a number is needed");
}

// ---- Claude Code's stream

const std::string kInit =
    R"({"type":"system","subtype":"init","session_id":"s","tools":[],"model":"m","cwd":"/"})"
    "\n";
std::string Said(const std::string& id, const std::string& block, const std::string& parent) {
  return R"({"type":"assistant","session_id":"s","parent_tool_use_id":)" + parent +
         R"(,"message":{"id":")" + id + R"(","content":[)" + block +
         R"(],"usage":{"output_tokens":1}}})" + "\n";
}
std::string Result(const std::string& call, const std::string& parent) {
  return R"({"type":"user","session_id":"s","parent_tool_use_id":)" + parent +
         R"(,"message":{"content":[{"type":"tool_result","tool_use_id":")" + call +
         R"(","content":"no","is_error":true}]}})" + "\n";
}
const std::string kText = R"({"type":"text","text":"x"})";
const std::string kTask = R"({"type":"tool_use","id":"t","name":"Task","input":{}})";
const std::string kBash = R"({"type":"tool_use","id":"b","name":"Bash","input":{"command":"ls"}})";
std::string Total(const std::string& dollars) {
  return R"({"type":"result","subtype":"success","is_error":false,"duration_ms":7,)"
         R"("total_cost_usd":)" +
         dollars + R"(,"session_id":"s","usage":{"input_tokens":3,"output_tokens":9}})" + "\n";
}

TEST(ClaudeStream, MakesAnOperationOfEachResultAndOfEachSubAgent) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadText(kInit + Said("m1", kText, "null") + Said("m1", kTask, "null") +
               Said("m2", kBash, R"("t")") + Result("b", R"("t")") + Result("t", "null") +
               Total("0.25") + kInit + Said("m3", kText, "null") + Total("0.75")));
  const std::vector<Operation>& operations = run.sessions.at(0).operations;
  ASSERT_EQ(operations.size(), 3u);
  EXPECT_EQ(operations[0].status, Lifecycle::kCompleted);
  EXPECT_EQ(operations[0].usage.cost_microdollars, 250000);
  EXPECT_EQ(operations[0].usage.total, 12u);
  EXPECT_EQ(operations[0].duration_ms, 7u);
  ASSERT_EQ(operations[0].steps.size(), 2u);
  EXPECT_THAT(operations[0].steps[0].output, HasSubstr(R"("content":[{"type":"text")"));
  EXPECT_EQ(operations[0].steps[1].status, Lifecycle::kFailed);
  EXPECT_EQ(operations[1].parent_source_id, operations[0].source_id);
  EXPECT_EQ(operations[1].status, Lifecycle::kCompleted);
  EXPECT_EQ(operations[1].steps.at(1).error, "no");
  EXPECT_EQ(operations[2].usage.cost_microdollars, 500000) << "what came on top";
}

TEST(ClaudeStream, RunsUntilItsResultAndIsRefusedByLineAndName) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadText(kInit + Said("m1", kBash, "null")));
  EXPECT_EQ(run.sessions.at(0).operations.at(0).status, Lifecycle::kRunning);
  ExpectRefused(kInit + R"({"type":"assistant","message":1,"session_id":"s"})" + "\n",
                "line 2: message: a number, an object is needed");
  ExpectRefused(kInit + Total("-1"), "line 2: total_cost_usd: -1 is no cost");
}

}  // namespace
}  // namespace nimbus::tools::import
