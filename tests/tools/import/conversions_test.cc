// Exports to the formats of others: what they may hold, and what is left of a
// run that goes out and comes back.
#include <set>

#include "nimbus/replay/recorder.h"
#include "nimbus/schema/clock.h"
#include "tools/import/atif.h"
#include "tools/import/journaled.h"
#include "tools/import/otlp_export.h"
#include "tools/import/recorded.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using schema::Json;
using schema::fb::StepType;
using test::TestJournal;

std::vector<std::string> AllRecordings() {
  return test::RecordedFiles({"claude-code", "codex-rollout", "sregym-trace", "swe-agent-traj",
                              "mini-swe-agent", "otel-genai", "atif", "holmesgpt-history",
                              "sregym-stratus", "aiopslab-session", "claude-code-stream-json"});
}

Json AtifOf(const Session& session) {
  return WriteAtif({session.source_id, session, session.operations});
}

// ---- The rules of ATIF, as its RFC has them

void ExpectKeys(const Json& object, const std::set<std::string>& known) {
  for (const Json::Member& member : object.object())
    EXPECT_TRUE(known.contains(member.first)) << member.first;
}

void ExpectAtifMetrics(const Json& metrics, const std::string& prefix) {
  ExpectKeys(metrics, {prefix + "prompt_tokens", prefix + "completion_tokens",
                       prefix + "cached_tokens", prefix + "cost_usd", "total_steps", "extra"});
}

void ExpectAtifCalls(const Json& step) {
  std::set<std::string> ids;
  if (const Json* calls = step.Find("tool_calls")) {
    for (const Json& call : calls->array()) {
      ExpectKeys(call, {"tool_call_id", "function_name", "arguments"});
      ids.insert(std::string(call.StringOr("tool_call_id")));
      EXPECT_NE(call.StringOr("function_name"), "");
      ASSERT_NE(call.Find("arguments"), nullptr);
      EXPECT_TRUE(call.Find("arguments")->IsObject());
    }
  }
  const Json* results = step.FindPath({"observation", "results"});
  if (results == nullptr) return;
  for (const Json& result : results->array()) {
    ExpectKeys(result, {"source_call_id", "content", "subagent_trajectory_ref"});
    const std::string call(result.StringOr("source_call_id"));
    EXPECT_TRUE(call.empty() || ids.contains(call)) << call;
    EXPECT_TRUE(result.Find("content")->IsString());
  }
}

void ExpectAtif(const Json& trajectory) {
  ExpectKeys(trajectory,
             {"schema_version", "session_id", "agent", "steps", "notes", "final_metrics", "extra"});
  EXPECT_EQ(trajectory.StringOr("schema_version"), "ATIF-v1.5");
  EXPECT_NE(trajectory.StringOr("session_id"), "");
  const Json& agent = *trajectory.Find("agent");
  ExpectKeys(agent, {"name", "version", "model_name", "tool_definitions", "extra"});
  EXPECT_NE(agent.StringOr("name"), "");
  EXPECT_NE(agent.StringOr("version"), "");
  const Json::Array& steps = trajectory.Find("steps")->array();
  for (size_t i = 0; i < steps.size(); ++i) {
    const Json& step = steps[i];
    SCOPED_TRACE(testing::Message() << "step " << i + 1);
    ExpectKeys(step, {"step_id", "timestamp", "source", "message", "model_name", "extra",
                      "reasoning_content", "tool_calls", "observation", "metrics"});
    EXPECT_EQ(step.Find("step_id")->AsInt(), static_cast<int64_t>(i + 1));
    const std::string_view source = step.StringOr("source");
    EXPECT_TRUE(source == "system" || source == "user" || source == "agent");
    EXPECT_TRUE(step.Find("message") != nullptr && step.Find("message")->IsString());
    if (const Json* time = step.Find("timestamp")) {
      EXPECT_TRUE(schema::ParseUtc(time->string()).has_value());
    }
    if (source != "agent") {
      for (const std::string_view key :
           {"model_name", "reasoning_content", "tool_calls", "metrics", "observation"})
        EXPECT_EQ(step.Find(key), nullptr) << key;
    }
    if (const Json* metrics = step.Find("metrics")) ExpectAtifMetrics(*metrics, "");
    ExpectAtifCalls(step);
  }
  ExpectAtifMetrics(*trajectory.Find("final_metrics"), "total_");
  EXPECT_EQ(trajectory.FindPath({"final_metrics", "total_steps"})->AsInt(),
            static_cast<int64_t>(steps.size()));
}

// ---- The rules of OTLP/JSON

bool IsHex(std::string_view id, size_t digits) {
  return id.size() == digits && id.find_first_not_of("0123456789abcdef") == std::string::npos &&
         id.find_first_not_of('0') != std::string::npos;
}

void ExpectAttributes(const Json* list) {
  ASSERT_NE(list, nullptr);
  std::set<std::string> keys;
  for (const Json& attribute : list->array()) {
    EXPECT_TRUE(keys.insert(std::string(attribute.StringOr("key"))).second);
    const Json& value = *attribute.Find("value");
    ASSERT_EQ(value.object().size(), 1u);
    if (const Json* number = value.Find("intValue")) {
      EXPECT_TRUE(number->IsString());
    }
  }
}

void ExpectSpanTimes(const Json& span) {
  std::string start;
  for (const std::string_view key : {"startTimeUnixNano", "endTimeUnixNano"}) {
    const Json* time = span.Find(key);
    if (time == nullptr) continue;
    ASSERT_TRUE(time->IsString());
    EXPECT_EQ(time->string().find_first_not_of("0123456789"), std::string::npos);
    EXPECT_GE(time->string().size(), 10u);
  }
}

const Json::Array& SpansOf(const Json& traces) {
  const Json& resource = traces.Find("resourceSpans")->array().at(0);
  return resource.Find("scopeSpans")->array().at(0).Find("spans")->array();
}

void ExpectOtlp(const Json& traces) {
  std::set<std::string> ids;
  for (const Json& span : SpansOf(traces)) {
    EXPECT_TRUE(IsHex(span.StringOr("traceId"), 32));
    EXPECT_TRUE(IsHex(span.StringOr("spanId"), 16));
    EXPECT_TRUE(
        ids.insert(std::string(span.StringOr("traceId")) + std::string(span.StringOr("spanId")))
            .second);
    if (span.Find("parentSpanId") != nullptr) {
      EXPECT_TRUE(IsHex(span.StringOr("parentSpanId"), 16));
    }
    EXPECT_NE(span.StringOr("name"), "");
    EXPECT_TRUE(span.Find("kind")->AsInt() == 1 || span.Find("kind")->AsInt() == 3);
    ExpectSpanTimes(span);
    ExpectAttributes(span.Find("attributes"));
    const Json* code = span.FindPath({"status", "code"});
    EXPECT_TRUE(code == nullptr || code->AsInt() == 2);
  }
}

// ---- Out and back

class ConvertedRecording : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    NIMBUS_ASSERT_OK_AND_ASSIGN(report_, ImportFile(*journal_, test::RecordedPath(GetParam()),
                                                    {.source = {.keep_going = true}}));
  }

  TestJournal journal_, other_;
  ImportReport report_;
};

INSTANTIATE_TEST_SUITE_P(All, ConvertedRecording, ::testing::ValuesIn(AllRecordings()),
                         test::FileTestName);
// Without the shared data there are no files.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConvertedRecording);

void ExpectSameJson(const std::string& a, const std::string& b) {
  if (a == b) return;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Json left, Json::Parse(a));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Json right, Json::Parse(b));
  EXPECT_EQ(left, right) << a.substr(0, 300) << "\n" << b.substr(0, 300);
}

void ExpectSameUsage(const Usage& a, const Usage& b) {
  EXPECT_EQ(a.total, b.total);
  EXPECT_EQ(a.input, b.input);
  EXPECT_EQ(a.output, b.output);
  EXPECT_EQ(a.cache_read, b.cache_read);
  EXPECT_EQ(a.cache_write, b.cache_write);
  EXPECT_EQ(a.cost_microdollars, b.cost_microdollars);
}

void ExpectSameStep(const Step& a, const Step& b) {
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.tool_name, b.tool_name);
  EXPECT_EQ(a.status, b.status);
  ExpectSameJson(a.input, b.input);
  ExpectSameJson(a.output, b.output);
  EXPECT_EQ(a.error, b.error);
  EXPECT_EQ(a.started_at_us, b.started_at_us);
  EXPECT_EQ(a.ended_at_us, b.ended_at_us);
  EXPECT_EQ(a.duration_ms, b.duration_ms);
  ExpectSameUsage(a.usage, b.usage);
}

void ExpectSameOperation(const Operation& a, const Operation& b) {
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.parent_source_id.empty(), b.parent_source_id.empty());
  ExpectSameJson(a.input, b.input);
  ExpectSameJson(a.output, b.output);
  ExpectSameJson(a.plan, b.plan);
  EXPECT_EQ(a.error, b.error);
  EXPECT_EQ(a.created_at_us, b.created_at_us);
  EXPECT_EQ(a.ended_at_us, b.ended_at_us);
  EXPECT_EQ(a.duration_ms, b.duration_ms);
  ExpectSameUsage(a.usage, b.usage);
  ASSERT_EQ(a.steps.size(), b.steps.size());
  for (size_t i = 0; i < a.steps.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "step " << i + 1);
    ExpectSameStep(a.steps[i], b.steps[i]);
  }
}

TEST_P(ConvertedRecording, ComesBackFromAtifTheSame) {
  for (const schema::Uuid& id : report_.sessions) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Session session, ReadJournaledSession(*journal_, id));
    const Json trajectory = AtifOf(session);
    ExpectAtif(trajectory);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Source source,
                                ParseSource("t.json", trajectory.DumpPretty(), {}));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportSource(*other_, source, {}));
    EXPECT_EQ(report.format, "atif");
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Session back,
                                ReadJournaledSession(*other_, report.sessions.at(0)));
    EXPECT_EQ(back.name, session.name);
    EXPECT_EQ(back.context, session.context);
    ASSERT_EQ(back.operations.size(), session.operations.size());
    for (size_t i = 0; i < session.operations.size(); ++i) {
      SCOPED_TRACE(session.operations[i].source_id);
      ExpectSameOperation(session.operations[i], back.operations[i]);
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport again, ImportSource(*other_, source, {}));
    EXPECT_EQ(again.events, 0u);
  }
  EXPECT_GT(other_.ReadAll().digests, 0u);
}

// What was said, which is only there when it is asked for.
constexpr std::string_view kContent[] = {
    "gen_ai.input.messages",      "gen_ai.output.messages",    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",    "nimbus.user_input.content", "gen_ai.evaluation.explanation",
    "gen_ai.system_instructions", "gen_ai.tool.definitions"};

// Tokens are those of the calls; where only their operation has any, its own,
// which are read once it has an end.
std::optional<uint64_t> OutputTokens(const Operation& operation) {
  Usage sum;
  for (const Step& step : operation.steps) AddUsage(step.usage, &sum);
  if (sum.output.has_value() || !operation.ended_at_us.has_value()) return sum.output;
  return operation.usage.output;
}

TEST_P(ConvertedRecording, ComesBackFromOtlpWithItsCounts) {
  for (const schema::Uuid& id : report_.operations) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Session session, ReadJournaledOperation(*journal_, id));
    const Json closed = WriteOtlp(session, {}), open = WriteOtlp(session, {.content = true});
    ExpectOtlp(closed);
    ExpectOtlp(open);
    const std::string text = closed.Dump();
    for (const std::string_view key : kContent) EXPECT_EQ(text.find(key), std::string::npos) << key;
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Source source, ParseSource("t.json", open.Dump(), {}));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportSource(*other_, source, {}));
    EXPECT_EQ(report.format, "otlp-json");
    const Counts expected = CountRun({.sessions = {session}});
    EXPECT_EQ(report.counts.operations, 1u);
    EXPECT_EQ(report.counts.llm_calls, expected.llm_calls);
    EXPECT_EQ(report.counts.tool_calls, expected.tool_calls);
    EXPECT_EQ(report.counts.verifications, expected.verifications);
    EXPECT_EQ(report.counts.usage.output.value_or(0),
              OutputTokens(session.operations.at(0)).value_or(0));
  }
}

// ---- Recorded by an agent of ours

TEST(ConvertedOperation, MayBeRecordedByAnyAgent) {
  TestJournal journal;
  const schema::Uuid session = schema::NewUuid(), id = schema::NewUuid();
  schema::Event event =
      schema::MakeEvent(schema::fb::EntityKind::session, session, schema::fb::SessionStartedT{});
  event.body.context = R"({"agent":"mine","version":"2"})";
  NIMBUS_ASSERT_OK(journal->Append(event));
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      replay::Recorder recorder,
      replay::Recorder::Open(
          &*journal,
          {.id = id, .session = session, .type = "deploy", .state = Json::MakeObject()}));
  const auto say = [](std::string output, std::string error = {}) {
    return [output, error]() -> absl::StatusOr<replay::StepResult> {
      return replay::StepResult{.output = output, .error = error};
    };
  };
  NIMBUS_ASSERT_OK(recorder.Step({.type = StepType::llm_call, .input = R"({"model":"m"})"},
                                 say(R"({"text":"on it"})")));
  NIMBUS_ASSERT_OK(recorder.Step({.tool_name = "bash", .input = R"(["ls"])"}, say("", "exit 1")));
  NIMBUS_ASSERT_OK(recorder.Step({.tool_name = "bash"}, say(R"("README")")));
  NIMBUS_ASSERT_OK(recorder.Step({.type = StepType::verification}, say(R"({"ok":true})")));
  NIMBUS_ASSERT_OK(recorder.Complete(R"({"done":true})"));

  NIMBUS_ASSERT_OK_AND_ASSIGN(const Session read, ReadJournaledOperation(*journal, id));
  const Json trajectory = AtifOf(read);
  ExpectAtif(trajectory);
  const Json::Array& steps = trajectory.Find("steps")->array();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].StringOr("message"), "on it");
  EXPECT_EQ(trajectory.FindPath({"agent", "model_name"})->string(), "m");
  EXPECT_EQ(steps[0].Find("tool_calls")->array().size(), 2u);
  const Json::Array& results = steps[0].FindPath({"observation", "results"})->array();
  EXPECT_EQ(results.at(0).StringOr("content"), "exit 1");
  EXPECT_EQ(results.at(1).StringOr("content"), "README");
  EXPECT_EQ(steps[1].StringOr("source"), "system");

  TestJournal other;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Source source, ParseSource("t", trajectory.Dump(), {}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportSource(*other, source, {}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Session back,
                              ReadJournaledSession(*other, report.sessions.at(0)));
  ExpectSameOperation(read.operations.at(0), back.operations.at(0));

  const Json traces = WriteOtlp(read, {.content = true});
  ExpectOtlp(traces);
  EXPECT_EQ(SpansOf(traces).size(), 4u);
  EXPECT_EQ(SpansOf(traces)[0].StringOr("name"), "invoke_agent mine");
  EXPECT_EQ(SpansOf(traces)[1].StringOr("name"), "chat m");
  EXPECT_EQ(SpansOf(traces)[2].FindPath({"status", "message"})->string(), "exit 1");
}

TEST(ConvertedOperation, MayHoldTheStrangestNumbersAndNames) {
  Session session;
  session.source_id = schema::NewUuid().ToString();
  session.context = Json::MakeObject();
  Operation operation;
  operation.source_id = schema::NewUuid().ToString();
  operation.type = "x";
  for (const int64_t number : {INT64_MIN, int64_t{-1}, int64_t{0}, INT64_MAX}) {
    for (const StepType type : schema::fb::EnumValuesStepType()) {
      Step step;
      step.source_id = schema::NewUuid().ToString();
      step.type = type;
      step.tool_name = number == 0 ? "" : "a/b c";
      step.input = number < 0 ? "" : "[1]";
      step.started_at_us = step.ended_at_us = number;
      step.usage.cost_microdollars = number;
      step.usage.input = step.usage.total = static_cast<uint64_t>(number);
      operation.steps.push_back(std::move(step));
    }
  }
  session.operations.push_back(std::move(operation));
  const Json trajectory = AtifOf(session);
  ExpectAtif(trajectory);
  ExpectOtlp(WriteOtlp(session, {.content = true}));
  EXPECT_EQ(trajectory.Find("steps")->array().size(), 12u);
}

TEST(SumOfUsage, ThatDoesNotFitIsTheNearestThatDoes) {
  Usage sum{.total = UINT64_MAX - 1, .cost_microdollars = INT64_MAX - 1};
  AddUsage({.total = 1, .cost_microdollars = 1}, &sum);
  EXPECT_EQ(sum.total, UINT64_MAX);
  EXPECT_EQ(sum.cost_microdollars, INT64_MAX);
  AddUsage({.total = 1, .cost_microdollars = 1}, &sum);
  EXPECT_EQ(sum.total, UINT64_MAX);
  EXPECT_EQ(sum.cost_microdollars, INT64_MAX);
  Usage debt{.cost_microdollars = INT64_MIN};
  AddUsage({.cost_microdollars = -1}, &debt);
  EXPECT_EQ(debt.cost_microdollars, INT64_MIN);
}

TEST(ConvertedOperation, IsNotFoundWhereThereIsNone) {
  TestJournal journal;
  EXPECT_THAT(ReadJournaledOperation(*journal, schema::NewUuid()),
              test::StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ReadJournaledSession(*journal, schema::NewUuid()),
              test::StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace nimbus::tools::import
