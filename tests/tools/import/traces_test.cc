// What is made of spans: dialects, nesting, and what is wrong with them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/status_matchers.h"
#include "tools/import/document_source.h"
#include "tools/import/script.h"
#include "tools/import/span.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kTrace = "5b8efff798038103d269b633813fc60c";

struct SpanText {
  std::string id, parent, name;
  std::string attributes;      // members of a JSON object
  int64_t start = 0, end = 0;  // seconds
  std::string more;            // members of the span
};

// A span as flat lists have it.
std::string Flat(const SpanText& span) {
  std::string text =
      fmt::format(R"({{"trace_id":"{}","span_id":"{:0>16}","name":"{}","attributes":{{{}}},)"
                  R"("start_time":{}000000000)",
                  kTrace, span.id, span.name, span.attributes, 1700000000 + span.start);
  if (!span.parent.empty()) text += fmt::format(R"(,"parent_span_id":"{:0>16}")", span.parent);
  if (span.end != 0) text += fmt::format(R"(,"end_time":{}000000000)", 1700000000 + span.end);
  return text + (span.more.empty() ? "" : "," + span.more) + "}";
}

std::string Agent(std::string_view more = "") {
  return fmt::format(R"("gen_ai.operation.name":"invoke_agent","gen_ai.agent.name":"a"{}{})",
                     more.empty() ? "" : ",", more);
}
std::string Model(int input, int output) {
  return fmt::format(
      R"("gen_ai.operation.name":"chat","gen_ai.request.model":"m","gen_ai.usage.input_tokens":{},)"
      R"("gen_ai.usage.output_tokens":{})",
      input, output);
}
std::string Tool(std::string_view call) {
  return fmt::format(R"("gen_ai.operation.name":"execute_tool","gen_ai.tool.name":"t",)"
                     R"("gen_ai.tool.call.id":"{}")",
                     call);
}

absl::StatusOr<Recording> ReadText(const std::string& text) {
  absl::StatusOr<Source> source = ParseSource("spans", text, {});
  if (!source.ok()) return source.status();
  const Format* format = DetectFormat(*source);
  if (format == nullptr) return absl::NotFoundError("of no format");
  absl::StatusOr<Recording> run = format->read(*source);
  if (!run.ok()) return run;
  const absl::Status valid = ValidateRun(*run, source->records.size());
  if (!valid.ok()) return valid;
  ExpectSound(*run);
  return run;
}

absl::StatusOr<Recording> ReadFlat(const std::vector<SpanText>& spans) {
  std::string text;
  for (const SpanText& span : spans) text += (text.empty() ? "" : ",\n") + Flat(span);
  return ReadText("[" + text + "]");
}

// The same, one span a line.
absl::StatusOr<Recording> ReadFlatLines(const std::vector<SpanText>& spans) {
  std::string text;
  for (const SpanText& span : spans) text += Flat(span) + "\n";
  return ReadText(text);
}

std::vector<std::string> StepIds(const Operation& operation) {
  std::vector<std::string> ids;
  for (const Step& step : operation.steps)
    ids.push_back(step.source_id.substr(step.source_id.find_first_not_of('0')));
  return ids;
}

// ---- Nesting

TEST(Traces, AreOperationsOfTheirOutermostAgents) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadFlat({{"1", "", "run", Agent(), 0, 9},
                                                             {"2", "1", "inner", Agent(), 1, 8},
                                                             {"3", "2", "chat", Model(10, 2), 2, 3},
                                                             {"4", "2", "tool", Tool("c"), 4, 5}}));
  ASSERT_EQ(run.sessions.size(), 1u);
  ASSERT_EQ(run.sessions[0].operations.size(), 1u);
  const Operation& operation = run.sessions[0].operations[0];
  EXPECT_EQ(operation.name, "a");
  EXPECT_EQ(operation.duration_ms, 9000u);
  EXPECT_EQ(operation.usage.input, 10u);
  EXPECT_THAT(StepIds(operation), ElementsAre("3", "4"));
  EXPECT_EQ(run.sessions[0].source_id, kTrace);
}

TEST(Traces, CountACallOnceHoweverManyInstrumentationsSawIt) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadFlat({{"1", "", "run", Agent(), 0, 9},
                {"2", "1", "call_llm", R"("gen_ai.request.model":"m")", 1, 5},
                {"3", "2", "http", "", 1, 4},
                {"4", "3", "chat", Model(10, 2) + R"(,"gen_ai.completion.0.content":"hi")", 2, 3},
                {"5", "2", "tool", Tool("c"), 3, 4},
                {"6", "5", "tool again", Tool("c"), 3, 4},
                {"7", "5", "chat of the tool's agent", Model(5, 1), 3, 4}}));
  const Operation& operation = run.sessions.at(0).operations.at(0);
  EXPECT_THAT(StepIds(operation), ElementsAre("2", "5", "7"));
  EXPECT_EQ(operation.steps[0].usage.input, 10u) << "from the span inside";
  EXPECT_THAT(operation.steps[0].output, HasSubstr(R"("content":"hi")"));
  EXPECT_EQ(operation.usage.input, 15u);
}

TEST(Traces, OrderStepsByStartThenDepthWhateverTheOrderOfSpans) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadFlat({{"9", "1", "late", Tool("c"), 5, 6},
                                                             {"8", "7", "deep", Tool("d"), 2, 3},
                                                             {"7", "1", "chat", Model(1, 1), 2, 4},
                                                             {"1", "", "run", Agent(), 0, 9}}));
  EXPECT_THAT(StepIds(run.sessions.at(0).operations.at(0)), ElementsAre("7", "8", "9"));
}

TEST(Traces, ShareTheSessionOfTheirConversation) {
  const std::string conversation = R"("gen_ai.conversation.id":"talk")";
  std::string other = Flat({"1", "", "run", Agent(), 20, 29});
  other.replace(other.find(kTrace), kTrace.size(), std::string(32, 'e'));
  const std::string chat = Flat({"2", "1", "chat", Model(1, 1) + "," + conversation, 21, 22});
  std::string inside = chat;
  inside.replace(inside.find(kTrace), kTrace.size(), std::string(32, 'e'));
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run, ReadText("[" + Flat({"1", "", "run", Agent(conversation), 0, 9}) + "," +
                                    other + "," + inside + "]"));
  ASSERT_EQ(run.sessions.size(), 1u);
  EXPECT_EQ(run.sessions[0].source_id, "talk");
  EXPECT_EQ(run.sessions[0].operations.size(), 2u);
}

// ---- Line by line, as spans are exported: the inner ones first

TEST(TraceLines, CountACallOnceWhenTheOuterSpanComesLater) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadFlatLines({{"4", "3", "openai.chat", Model(10, 2), 2, 3},
                     {"3", "2", "http", "", 1, 4},
                     {"2", "1", "call_llm", R"("gen_ai.request.model":"m")", 1, 5},
                     {"1", "", "run", Agent(), 0, 9}}));
  ASSERT_EQ(run.sessions.at(0).operations.size(), 1u);
  const Operation& operation = run.sessions[0].operations[0];
  EXPECT_EQ(operation.source_id, kTrace);
  EXPECT_THAT(StepIds(operation), ElementsAre("4"));
  EXPECT_EQ(operation.status, Lifecycle::kCompleted);
  EXPECT_EQ(operation.end_record, 4u);
}

TEST(TraceLines, LeaveAnOperationRunningUntilItsRootComes) {
  const std::vector<SpanText> spans = {{"2", "1", "chat", Model(10, 2), 1, 2},
                                       {"3", "1", "tool", Tool("c"), 3, 4},
                                       {"1", "", "run", Agent(), 0, 9}};
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording early, ReadFlatLines({spans[0], spans[1]}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording late, ReadFlatLines(spans));
  const Operation& a = early.sessions.at(0).operations.at(0);
  const Operation& b = late.sessions.at(0).operations.at(0);
  EXPECT_EQ(early.key, late.key);
  EXPECT_EQ(a.source_id, b.source_id);
  EXPECT_EQ(a.status, Lifecycle::kRunning);
  EXPECT_EQ(b.status, Lifecycle::kCompleted);
  EXPECT_EQ(StepIds(a), StepIds(b));
}

TEST(TraceLines, KeepWhatComesAfterTheEndOfItsTrace) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run,
                              ReadFlatLines({{"1", "", "run", Agent(), 0, 9},
                                             {"2", "1", "chat", Model(10, 2), 1, 2},
                                             {"3", "1", "tool", Tool("c"), 3, 4}}));
  const std::vector<Operation>& operations = run.sessions.at(0).operations;
  ASSERT_EQ(operations.size(), 3u);
  EXPECT_THAT(operations[0].steps, IsEmpty());
  for (const Operation& operation : operations)
    EXPECT_EQ(operation.status, Lifecycle::kCompleted) << operation.source_id;
  EXPECT_THAT(StepIds(operations[1]), ElementsAre("2"));
  EXPECT_THAT(StepIds(operations[2]), ElementsAre("3"));
}

// ---- What is wrong with spans

TEST(Traces, WithoutARootAreStillGoingOn) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run,
                              ReadFlat({{"2", "1", "chat", Model(10, 2), 1, 2}}));
  EXPECT_EQ(run.sessions.at(0).operations.at(0).status, Lifecycle::kRunning);
  EXPECT_EQ(run.sessions[0].operations[0].source_id, kTrace);
  // The entry of a program is a root, though its parent is elsewhere.
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording served,
                              ReadFlat({{"2", "1", "POST", "", 0, 5, R"("kind":"SpanKind.SERVER")"},
                                        {"3", "2", "chat", Model(10, 2), 1, 2}}));
  EXPECT_EQ(served.sessions.at(0).operations.at(0).status, Lifecycle::kCompleted);
}

TEST(Traces, SayWhichSpansAreTwiceInACycleOrWithoutEnd) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadFlat({{"1", "2", "agent", Agent(), 0, 9},
                                                             {"2", "1", "agent", Agent(), 0, 9},
                                                             {"3", "2", "chat", Model(10, 2), 1, 0},
                                                             {"3", "2", "chat", Model(10, 2), 1, 2},
                                                             {"4", "4", "tool", Tool("c"), 3, 4}}));
  const Session& session = run.sessions.at(0);
  ASSERT_EQ(session.operations.size(), 1u);
  EXPECT_THAT(StepIds(session.operations[0]), ElementsAre("3", "4"));
  const Json* spans = session.context.Find("spans");
  ASSERT_NE(spans, nullptr);
  EXPECT_EQ(spans->Dump(), R"({"duplicate":1,"in_parent_cycle":4,"without_end":1})");
}

TEST(Traces, CancelACallThatHasNoEndWhenItsAgentHas) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadFlat({{"1", "", "run", Agent(), 0, 9},
                                                             {"2", "1", "tool", Tool("c"), 1, 0}}));
  const Step& step = run.sessions.at(0).operations.at(0).steps.at(0);
  EXPECT_EQ(step.status, Lifecycle::kCancelled);
  EXPECT_FALSE(step.ended_at_us.has_value());
  EXPECT_FALSE(step.duration_ms.has_value());
}

TEST(Traces, HaveNoDurationWhereTheEndIsBeforeTheStart) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadFlat({{"1", "", "run", Agent(), 9, 1}}));
  const Operation& operation = run.sessions.at(0).operations.at(0);
  EXPECT_FALSE(operation.duration_ms.has_value());
  EXPECT_EQ(operation.ended_at_us, 1700000001000000);
}

TEST(Traces, MayBeNestedDeeperThanAnyStack) {
  std::vector<SpanText> spans;
  for (int i = 1; i <= 5000; ++i)
    spans.push_back({std::to_string(i), i == 1 ? "" : std::to_string(i - 1), "s", "", i, 9000 - i});
  spans.push_back({"9999", "5000", "chat", Model(10, 2), 6000, 6001});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadFlat(spans));
  EXPECT_EQ(CountSteps(run, StepType::llm_call), 1u);
}

TEST(Traces, TakeIndicesInNamesForWhatTheyAre) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadFlat({{"1", "", "chat",
                 Model(1, 1) + R"(,"gen_ai.prompt.999999999.role":"user","gen_ai.prompt.2.role":)"
                               R"("assistant","gen_ai.prompt.10.a.":1,"gen_ai.prompt.10.a":2,)"
                               R"("gen_ai.prompt.10.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.":3)",
                 1, 2}}));
  const Step& step = run.sessions.at(0).operations.at(0).steps.at(0);
  EXPECT_THAT(step.input, HasSubstr(R"("messages":[{"role":"assistant"},{"a":)"));
  EXPECT_THAT(step.input, HasSubstr(R"({"role":"user"}])"));
}

void ExpectRefused(const std::string& text, const std::string& message) {
  const absl::StatusOr<Recording> run = ReadText(text);
  EXPECT_THAT(run, test::StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(run.status().message()), HasSubstr(message));
}

std::string Otlp(std::string_view span) {
  return fmt::format(R"({{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}})", span);
}

TEST(Traces, AreRefusedByTheNameOfWhatIsNotAsItMustBe) {
  ExpectRefused(R"({"resourceSpans":[]})", "no spans");
  ExpectRefused(R"({"resourceSpans":[1]})", "resourceSpans[0]: a number, an object is needed");
  const std::string at = "resourceSpans[0].scopeSpans[0].spans[0]";
  ExpectRefused(Otlp("{}"), at + ".traceId: an id is needed");
  ExpectRefused(Otlp(R"({"traceId":"xyz"})"), at + ".traceId: \"xyz\" is no id of 32 hex digits");
  const std::string ids =
      R"("traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",)";
  ExpectRefused(Otlp("{" + ids + R"("startTimeUnixNano":"1.5"})"),
                at + ".startTimeUnixNano: \"1.5\" is no time");
  ExpectRefused(Otlp("{" + ids + R"("startTimeUnixNano":"9999999999999999999999"})"),
                at + ".startTimeUnixNano");
  ExpectRefused(Otlp("{" + ids + R"("attributes":{}})"),
                at + ".attributes: an object, an array is needed");
  ExpectRefused(Otlp("{" + ids + R"("attributes":[{"key":"k","value":{"intValue":"x"}}]})"),
                at + ".attributes[0].value.intValue: \"x\" is no integer");
  ExpectRefused("{\"resourceSpans\":[]}\n" + Otlp("{}") + "\n", "line 2: resourceSpans[0]");
  ExpectRefused("[" +
                    Flat({"1", "", "chat",
                          R"("gen_ai.operation.name":"chat",)"
                          R"("gen_ai.usage.input_tokens":-1)",
                          1, 2}) +
                    "]",
                "span 0000000000000001, gen_ai.usage.input_tokens: -1 is no count");
}

// ---- Dialects

TEST(TraceDialects, ReadOtlpLinesAndLeaveOutOtherSignals) {
  const std::string span =
      R"({"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","name":"chat",)"
      R"("startTimeUnixNano":"1544712660300000001","endTimeUnixNano":1544712661000000999,)"
      R"("status":{"code":2,"message":"no"},"attributes":[{"key":"gen_ai.operation.name","value":)"
      R"({"stringValue":"chat"}},{"key":"gen_ai.usage.input_tokens","value":{"intValue":"7"}},)"
      R"({"key":"gen_ai.response.finish_reasons","value":{"arrayValue":{"values":[{"stringValue":)"
      R"("stop"}]}}}]})";
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadText("{\"resourceLogs\":[{\"a\":1}],\"b\":2}\n" + Otlp(span) + "\n" + Otlp(span) + "\n"));
  EXPECT_EQ(run.format, "otlp-json");
  const Operation& operation = run.sessions.at(0).operations.at(0);
  const Step& step = operation.steps.at(0);
  EXPECT_EQ(operation.steps.size(), 1u) << "the second line says it again";
  EXPECT_EQ(step.source_id, "eee19b7ec3c1b174");
  EXPECT_EQ(step.started_at_us, 1544712660300000);
  EXPECT_EQ(step.ended_at_us, 1544712661000000);
  EXPECT_EQ(step.duration_ms, 700u);
  EXPECT_EQ(step.usage.input, 7u);
  EXPECT_EQ(step.status, Lifecycle::kFailed);
  EXPECT_EQ(step.error, "no");
  EXPECT_THAT(step.output, HasSubstr(R"("finish_reasons":["stop"])"));
}

TEST(TraceDialects, ReadIdsOf128BitsWrittenAsNumbers) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadText(R"({"spans":[{"name":"x","start_time":1758026594777382001,"attributes":{},)"
               R"("end_time":1758026594777382999,"status":{"status_code":"ok"},"context":)"
               R"({"trace_id":340282366920938463463374607431768211455,"span_id":1}}]})"));
  EXPECT_EQ(run.sessions.at(0).source_id, std::string(32, 'f'));
  EXPECT_EQ(run.sessions[0].started_at_us, 1758026594777382);
  ExpectRefused(R"({"spans":[{"name":"x","start_time":1,"attributes":{},"context":)"
                R"({"trace_id":340282366920938463463374607431768211456,"span_id":1}}]})",
                "spans[0].context.trace_id");
}

TEST(TraceDialects, ReadEvaluationsAndMessagesOfEvents) {
  const std::string events =
      R"("events":[{"name":"gen_ai.user.message","attributes":{"content":"why?"}},)"
      R"({"name":"gen_ai.choice","attributes":{"message":"so"}},)"
      R"({"name":"gen_ai.evaluation.result","timestamp":1700000003000000000,"attributes":)"
      R"({"gen_ai.evaluation.name":"relevance","gen_ai.evaluation.score.value":0.5}}])";
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run,
                              ReadFlat({{"1", "", "chat", Model(1, 1), 1, 2, events}}));
  const Operation& operation = run.sessions.at(0).operations.at(0);
  ASSERT_EQ(operation.steps.size(), 2u);
  EXPECT_THAT(operation.steps[0].input, HasSubstr(R"([{"content":"why?","role":"user"}])"));
  EXPECT_THAT(operation.steps[0].output, HasSubstr(R"([{"message":"so"}])"));
  EXPECT_EQ(operation.steps[1].type, StepType::verification);
  EXPECT_EQ(operation.steps[1].started_at_us, 1700000003000000);
  EXPECT_THAT(operation.steps[1].input, HasSubstr("relevance"));
}

TEST(TraceDialects, ReadOpenInferenceAndCostsBelowAMicrodollar) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadFlat(
          {{"1", "", "agent", R"("openinference.span.kind":"AGENT","agent.name":"a")", 0, 9},
           {"2", "1", "llm",
            R"("openinference.span.kind":"LLM","llm.token_count.prompt":3,)"
            R"("llm.token_count.completion":"4","gen_ai.usage.input_cost":4e-7,)"
            R"("gen_ai.usage.output_cost":2e-7,"llm.output_messages.0.message.content":"x")",
            1, 2},
           {"3", "1", "llm", R"("openinference.span.kind":"LLM","gen_ai.usage.cost":6e-7)", 3, 4},
           {"4", "1", "tool",
            R"("openinference.span.kind":"TOOL","tool.name":"Bash","tool.id":"c",)"
            R"("tool.parameters":"{\"command\":\"ls\"}","output.value":"out")",
            5, 6}}));
  const Operation& operation = run.sessions.at(0).operations.at(0);
  ASSERT_EQ(operation.steps.size(), 3u);
  EXPECT_EQ(operation.steps[0].usage.total, 7u);
  EXPECT_EQ(operation.usage.cost_microdollars, 1);
  EXPECT_THAT(operation.steps[0].output, HasSubstr(R"([{"content":"x"}])"));
  EXPECT_EQ(operation.steps[2].input, R"({"command":"ls"})");
  EXPECT_THAT(operation.steps[2].output, HasSubstr(R"("result":"out")"));
}

TEST(TraceDialects, BringWhatIsSaidIntoTheConversationOnce) {
  const auto chat = [](std::string_view input, std::string_view output) {
    return fmt::format(R"({},"gen_ai.input.messages":{},"gen_ai.output.messages":{})", Model(1, 1),
                       input, output);
  };
  const std::string user = R"({"role":"user","content":"q"})",
                    first = R"({"role":"assistant","content":"c"})",
                    tool = R"({"role":"tool","content":"r"})";
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadFlat({{"1", "", "run", Agent(), 0, 9},
                {"2", "1", "chat", chat("[" + user + "]", "[" + first + "]"), 1, 2},
                {"3", "1", "tool", Tool("c") + R"(,"gen_ai.tool.call.result":"r")", 3, 4},
                {"4", "1", "chat",
                 chat("[" + user + "," + first + "," + tool + "]",
                      R"([{"role":"assistant","content":"a"}])"),
                 5, 6}}));
  std::vector<std::string> said;
  for (const Json& message : MessagesOf(run.sessions.at(0).operations.at(0)))
    said.push_back(std::string(message.StringOr("content")));
  EXPECT_THAT(said, ElementsAre("q", "c", "r", "a"));
  EXPECT_THAT(run.sessions[0].operations[0].input, HasSubstr(R"("content":"q")"));
}

}  // namespace
}  // namespace nimbus::tools::import
