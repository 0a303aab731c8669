#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nimbus/schema/status.h"
#include "testing/status_matchers.h"
#include "tools/import/document_source.h"
#include "tools/import/zip_writer.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;
using test::IsOk;
using test::StatusIs;
using test::ZipMember;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;

constexpr std::string_view kHeader = R"({
  "version": 2, "status": "success",
  "eval": {"eval_id": "E1", "run_id": "R1", "task": "popularity", "task_id": "T1",
           "model": "openai/gpt-4o", "created": "2025-05-12T20:00:00-04:00",
           "packages": {"inspect_ai": "0.3.95"}},
  "plan": {"name": "plan", "steps": []},
  "stats": {"started_at": "2025-05-12T20:00:01-04:00", "completed_at": "2025-05-12T20:00:09-04:00",
            "model_usage": {"openai/gpt-4o": {"input_tokens": 9, "output_tokens": 1,
                                              "total_tokens": 10}}}})";

// A sample of a newer log: pools of messages, attachments, spans, a store.
constexpr std::string_view kSample = R"({
  "id": 1, "epoch": 2, "uuid": "U1", "input": "attachment://aa", "target": "42",
  "messages": [{"role": "user", "content": "what is it?"},
               {"role": "assistant", "content": "42"}],
  "output": {"model": "gpt", "choices": [{"message": {"role": "assistant", "content": "42"}}]},
  "scores": {"match": {"value": "C"}}, "metadata": {}, "store": {"n": 2},
  "started_at": "2025-05-12T20:00:02-04:00", "completed_at": "2025-05-12T20:00:08-04:00",
  "total_time": 5.5,
  "model_usage": {"a": {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120,
                        "input_tokens_cache_read": 60, "total_cost": 0.0000004},
                  "b": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3,
                        "total_cost": 0.0000004}},
  "attachments": {"aa": "what is it?", "bb": "a long page"},
  "events_data": {"messages": [{"role": "user", "content": "attachment://aa"},
                               {"role": "tool", "content": "attachment://bb"}],
                  "calls": [{"m": 1}, {"m": 2}, {"m": 3}]},
  "events": [
    {"event": "sample_init", "timestamp": "2025-05-12T20:00:02-04:00",
     "state": {"messages": [{"role": "user", "content": "attachment://aa"}],
               "output": {}, "store": {}, "metadata": {}}},
    {"event": "span_begin", "id": "S", "name": "solve", "type": "solver"},
    {"event": "model", "span_id": "S", "model": "openai/gpt-4o", "input": [],
     "input_refs": [[0, 1]], "tools": [], "config": {},
     "output": {"choices": [], "usage": {"input_tokens": 50, "output_tokens": 10,
                                         "total_tokens": 60, "total_cost": 0.0000004}},
     "call": {"request": {"model": "gpt"}, "response": {}, "call_refs": [[0, 2], [2, 3]],
              "call_key": "contents"},
     "timestamp": "2025-05-12T20:00:03-04:00", "completed": "2025-05-12T20:00:05-04:00"},
    {"event": "span_begin", "id": "T", "parent_id": "S", "name": "browse", "type": "tool"},
    {"event": "tool", "span_id": "S", "id": "call_1", "function": "browse",
     "arguments": {"url": "u"}, "result": "attachment://bb", "working_time": 0.25,
     "timestamp": "2025-05-12T20:00:05-04:00"},
    {"event": "sandbox", "span_id": "T", "action": "exec", "cmd": "ls", "result": 0},
    {"event": "store", "span_id": "T", "changes": [{"op": "add", "path": "/n", "value": 1}]},
    {"event": "span_end", "id": "T"},
    {"event": "tool", "span_id": "S", "id": "call_2", "function": "bash", "arguments": {},
     "error": {"type": "timeout", "message": "too slow"}},
    {"event": "input", "input": "go on"},
    {"event": "approval", "decision": "reject", "call": {"function": "rm"}},
    {"event": "somersault"},
    {"event": "state", "span_id": "S", "changes": [
      {"op": "add", "path": "/store/n", "value": 2},
      {"op": "add", "path": "/messages/1", "value": {"role": "assistant", "content": "42"}},
      {"op": "replace", "path": "/output", "replaced": {},
       "value": {"model": "gpt",
                 "choices": [{"message": {"role": "assistant", "content": "42"}}]}}]},
    {"event": "span_end", "id": "S"},
    {"event": "score", "score": {"value": "C"}, "target": "42", "intermediate": false}]})";

Json Log(const std::vector<std::string_view>& samples) {
  Json log = *Json::Parse(kHeader);
  Json::Array list;
  for (const std::string_view sample : samples) list.push_back(*Json::Parse(sample));
  log.Set("samples", Json::MakeArray(std::move(list)));
  return log;
}

absl::StatusOr<Recording> ReadLog(Json log) {
  const Source source = SourceOf("log.json", std::move(log));
  EXPECT_TRUE(IsInspectLog(source));
  return ReadInspectLog(source);
}

absl::StatusOr<Recording> ReadArchive(const std::vector<ZipMember>& members) {
  NIMBUS_ASSIGN_OR_RETURN(const Source source,
                          ParseSource("log.eval", test::WriteZip(members), {}));
  EXPECT_TRUE(IsInspectLog(source));
  return ReadInspectLog(source);
}

// The log of one sample after `damage`.
template <typename DamageSample>
absl::StatusOr<Recording> ReadChanged(const DamageSample& damage) {
  Json log = Log({kSample});
  damage(log.Find("samples")->array()[0], log.Find("samples")->array()[0].Find("events")->array());
  return ReadLog(std::move(log));
}

const Operation& First(const Recording& run) { return run.sessions.at(0).operations.at(0); }

TEST(InspectLog, TellsOfTheEvaluation) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadLog(Log({kSample})));
  ExpectSound(run);
  EXPECT_EQ(run.key, "E1");
  const Session& session = run.sessions.at(0);
  EXPECT_EQ(session.name, "popularity");
  EXPECT_EQ(session.context.StringOr("version"), "0.3.95");
  EXPECT_EQ(session.context.StringOr("status"), "success");
  EXPECT_THAT(session.started_at_us, Optional(1747094401000000));
  EXPECT_EQ(session.context.StringOr("completed_at"), "2025-05-12T20:00:09-04:00");
  EXPECT_THAT(run.notes, IsEmpty());
}

TEST(InspectLog, MakesAnOperationOfASample) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadLog(Log({kSample})));
  const Operation& operation = First(run);
  EXPECT_EQ(operation.source_id, "U1");
  EXPECT_EQ(operation.status, Lifecycle::kCompleted);
  EXPECT_THAT(operation.created_at_us, Optional(1747094402000000));
  EXPECT_THAT(operation.ended_at_us, Optional(1747094408000000));
  EXPECT_THAT(operation.duration_ms, Optional(5500u));
  EXPECT_THAT(operation.usage.total, Optional(123u));
  EXPECT_THAT(operation.usage.cache_read, Optional(60u));
  EXPECT_THAT(operation.usage.cost_microdollars, Optional(1));  // 0.4 + 0.4
  EXPECT_THAT(operation.input, HasSubstr(R"("input":"what is it?")"));
  EXPECT_EQ(operation.output, R"({"completion":"42","scores":{"match":{"value":"C"}}})");
  EXPECT_THAT(operation.plan, HasSubstr("plan"));
}

TEST(InspectLog, MakesStepsOfEventsWithWhatTheyReferTo) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadLog(Log({kSample})));
  const std::vector<Step>& steps = First(run).steps;
  ASSERT_EQ(steps.size(), 6u);
  EXPECT_EQ(steps[0].type, StepType::llm_call);
  EXPECT_THAT(steps[0].input, HasSubstr(R"("input":[{"role":"user","content":"what is it?"}])"));
  EXPECT_THAT(steps[0].output, HasSubstr(R"("contents":[{"m":1},{"m":2},{"m":3}])"));
  EXPECT_THAT(steps[0].duration_ms, Optional(2000u));
  EXPECT_THAT(steps[0].usage.input, Optional(50u));
  EXPECT_EQ(steps[1].type, StepType::tool_call);
  EXPECT_EQ(steps[1].tool_name, "browse");
  EXPECT_EQ(steps[1].input, R"({"url":"u"})");
  EXPECT_THAT(steps[1].output,
              AllOf(HasSubstr("a long page"), HasSubstr("call_1"), HasSubstr(R"("cmd":"ls")")));
  EXPECT_THAT(steps[1].duration_ms, Optional(250u));
  EXPECT_EQ(steps[2].status, Lifecycle::kFailed);
  EXPECT_EQ(steps[2].error, "timeout: too slow");
  EXPECT_EQ(steps[3].type, StepType::user_input);
  EXPECT_EQ(steps[3].input, R"({"input":"go on"})");
  EXPECT_EQ(steps[4].type, StepType::user_input);
  EXPECT_THAT(steps[4].output, HasSubstr("reject"));
  EXPECT_EQ(steps[5].type, StepType::verification);
}

TEST(InspectLog, PutsTheRecordedStateAfterTheStepsItFollows) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadLog(Log({kSample})));
  const Operation& operation = First(run);
  EXPECT_EQ(operation.state.Dump(), R"({"messages":[{"role":"user","content":"what is it?"}],)"
                                    R"("output":{},"store":{},"metadata":{}})");
  EXPECT_TRUE(operation.steps[0].patch.IsNull());
  EXPECT_EQ(operation.steps[1].patch.Dump(), R"([{"op":"add","path":"/store/n","value":1}])");
  EXPECT_TRUE(operation.steps[2].patch.IsNull());
  EXPECT_THAT(
      operation.steps[4].patch.Dump(),
      AllOf(HasSubstr("/messages/1"), HasSubstr("/store/n"), HasSubstr(R"("path":"/output")")));
}

TEST(InspectLog, LeavesChangesBeforeTheFirstStepToThatStep) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadChanged([](Json&, Json::Array& events) {
                                std::rotate(events.begin() + 2, events.begin() + 12,
                                            events.begin() + 13);
                              }));
  EXPECT_THAT(First(run).steps[0].patch.Dump(), HasSubstr("/messages/1"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording bare, ReadChanged([](Json&, Json::Array& events) {
                                events = {events[0], events[12]};
                              }));
  EXPECT_THAT(First(bare).steps, IsEmpty());
  EXPECT_THAT(First(bare).state.Dump(), HasSubstr(R"("store":{"n":2})"));
}

TEST(InspectLog, SaysWhereTheEventsMakeAnotherState) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadChanged([](Json& sample, Json::Array&) {
                                sample.Find("store")->Set("n", Json::Int(3));
                              }));
  EXPECT_THAT(run.notes, ElementsAre(AllOf(HasSubstr("samples[0].store/n: differs"))));
}

TEST(InspectLog, SaysWhatIsReferredToAndNotThere) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadChanged([](Json& sample, Json::Array&) {
                                sample.Find("attachments")->Erase("bb");
                              }));
  EXPECT_THAT(run.notes, ElementsAre(HasSubstr("samples[0].events[4]: refers to an attachment "
                                               "that is not there, attachment://bb")));
  EXPECT_THAT(First(run).steps[1].output, HasSubstr("attachment://bb"));
}

TEST(InspectLog, LeavesReferencesThatWouldBecomeTooLong) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run, ReadChanged([](Json& sample, Json::Array& events) {
        sample.Find("attachments")->Set("bb", Json::String(std::string(1 << 20, 'x')));
        Json::Array many(20, Json::String("attachment://bb"));
        events[4].Set("result", Json::MakeArray(std::move(many)));
      }));
  EXPECT_THAT(run.notes, ElementsAre(HasSubstr("samples[0].events[4]: left as it is recorded")));
  EXPECT_LT(First(run).steps[1].output.size(), 2000u);
}

TEST(InspectLog, TellsHowASampleEnded) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(Recording run, ReadChanged([](Json& sample, Json::Array&) {
                                sample.Set("error", *Json::Parse(R"({"message":"boom"})"));
                              }));
  EXPECT_EQ(First(run).status, Lifecycle::kFailed);
  EXPECT_EQ(First(run).error, "boom");
  NIMBUS_ASSERT_OK_AND_ASSIGN(run, ReadChanged([](Json& sample, Json::Array& events) {
                                sample.Set("limit", *Json::Parse(R"({"type":"token","limit":9})"));
                                events[2].Set("pending", Json::Bool(true));
                              }));
  EXPECT_EQ(First(run).status, Lifecycle::kCancelled);
  EXPECT_EQ(First(run).error, "token limit of 9 reached");
  EXPECT_EQ(First(run).steps[0].status, Lifecycle::kCancelled);
}

// Logs of before November 2024.
TEST(InspectLog, ReadsEventsOfATranscriptAndStepsInPlaceOfSpans) {
  Json log = Log({R"({"id": "a", "epoch": 1, "messages": [{"content": "hi"}],
    "transcript": {"content": {"aa": "hi"}, "events": [
      {"event": "sample_init", "state": {"messages": []}},
      {"event": "step", "action": "begin", "type": "solver", "name": "s"},
      {"event": "model", "model": "m", "input": ["tc://aa"], "output": {}},
      {"event": "state", "changes": [
        {"op": "add", "path": "/messages/0", "value": {"content": "tc://aa"}}]},
      {"event": "step", "action": "end", "type": "solver", "name": "s"}]}})"});
  log.Find("eval")->Erase("eval_id");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadLog(std::move(log)));
  EXPECT_EQ(run.key, "R1/T1");
  EXPECT_THAT(run.notes, IsEmpty());
  EXPECT_EQ(First(run).source_id, "a-epoch-1");
  ASSERT_EQ(First(run).steps.size(), 1u);
  EXPECT_THAT(First(run).steps[0].input, HasSubstr(R"("input":["hi"])"));
  EXPECT_FALSE(First(run).steps[0].started_at_us.has_value());
  EXPECT_THAT(First(run).steps[0].patch.Dump(), HasSubstr(R"("content":"hi")"));
  // One sample used what the log counts.
  EXPECT_THAT(First(run).usage.total, Optional(10u));
}

TEST(InspectLog, ReadsEventsInsideAToolAndASampleWithoutEvents) {
  const Json log = Log({R"({"id": 1, "events": [
      {"event": "tool", "function": "agent", "events": [
        {"event": "model", "model": "m", "output": {}}, {"event": "subtask", "events": [
          {"event": "score", "score": {}}]}]}]})",
                        R"({"id": 2, "messages": [{"role": "user"}], "store": {"k": 1}})"});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadLog(log));
  std::vector<std::string> ids;
  for (const Step& step : First(run).steps) ids.push_back(step.source_id);
  EXPECT_THAT(ids, ElementsAre("event-0", "event-0-0", "event-0-1-0"));
  const Operation& second = run.sessions.at(0).operations.at(1);
  EXPECT_EQ(second.state.Dump(), R"({"messages":[{"role":"user"}],"store":{"k":1}})");
}

TEST(InspectArchive, HasItsHeaderAndASampleAMember) {
  const std::string sample(kSample);
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadArchive({{"_journal/start.json", std::string(kHeader)},
                   {"samples/2_epoch_1.json", R"({"id":2,"epoch":1})", ZipMember::Method::kDeflate},
                   {"samples/1_epoch_1.json", sample, ZipMember::Method::kZstd},
                   {"summaries.json", "[]"},
                   {"header.json", std::string(kHeader)}}));
  ExpectSound(run);
  EXPECT_EQ(run.key, "E1");
  ASSERT_EQ(run.sessions.at(0).operations.size(), 2u);
  EXPECT_EQ(First(run).source_id, "2-epoch-1");
  EXPECT_EQ(run.sessions[0].operations[1].source_id, "U1");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording log, ReadLog(Log({kSample})));
  EXPECT_EQ(run.sessions[0].operations[1].steps[0].input, First(log).steps[0].input);
}

TEST(InspectArchive, WithoutAHeaderIsKnownByItsStart) {
  Json start = *Json::Parse(kHeader);
  start.Erase("stats");
  start.Erase("status");
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadArchive({{"_journal/start.json", start.Dump()}, {"samples/1.json", R"({"id":1})"}}));
  EXPECT_EQ(run.key, "E1");
  EXPECT_EQ(run.sessions.at(0).context.Find("completed_at"), nullptr);
  EXPECT_THAT(run.notes, ElementsAre(HasSubstr("no header.json")));
}

TEST(InspectArchive, IsOnlyWhatHasALogInIt) {
  const auto claims = [](const std::vector<ZipMember>& members) {
    const auto source = ParseSource("x.eval", test::WriteZip(members), {});
    EXPECT_THAT(source, IsOk());
    return source.ok() && IsInspectLog(*source);
  };
  EXPECT_TRUE(claims({{"header.json", std::string(kHeader)}}));
  EXPECT_FALSE(claims({}));
  EXPECT_FALSE(claims({{"samples/1.json", "{}"}}));
  EXPECT_FALSE(claims({{"header.json", "{}"}}));
  EXPECT_FALSE(claims({{"header.txt", std::string(kHeader)}}));
  // Its members do not make a document a log.
  const Json inside = Json::MakeObject({{"header.json", *Json::Parse(kHeader)}});
  EXPECT_FALSE(IsInspectLog(SourceOf("x.json", inside)));
}

TEST(InspectLog, NamesTheMemberThatBreaksTheFormat) {
  const auto expect = [](std::string_view place, auto damage) {
    EXPECT_THAT(ReadChanged(damage),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(place))));
  };
  expect("samples[0].events: an object",
         [](Json& s, auto&) { s.Set("events", Json::MakeObject()); });
  expect("samples[0].events[1]: null", [](Json&, auto& e) { e[1] = Json(); });
  expect("samples[0].events[2].timestamp: 'noon' is no time",
         [](Json&, auto& e) { e[2].Set("timestamp", Json::String("noon")); });
  expect("samples[0].events[2].input_refs[0]: no range of a pool of 2",
         [](Json&, auto& e) { e[2].Set("input_refs", *Json::Parse("[[1,3]]")); });
  expect("samples[0].events[2].call.call_refs[0]: no range of a pool of 3",
         [](Json&, auto& e) { e[2].Find("call")->Set("call_refs", *Json::Parse("[[2,1]]")); });
  expect("samples[0].events[2].output.usage.input_tokens: -1", [](Json&, auto& e) {
    e[2].Find("output")->Find("usage")->Set("input_tokens", Json::Int(-1));
  });
  expect("samples[0].events[6].changes: an array is needed",
         [](Json&, auto& e) { e[6].Erase("changes"); });
  expect("samples[0].events[6].changes[0]",
         [](Json&, auto& e) { e[6].Set("changes", *Json::Parse(R"([{"op":"add"}])")); });
  expect("samples[0].model_usage.a: a number",
         [](Json& s, auto&) { s.Find("model_usage")->Set("a", Json::Int(1)); });
  expect("samples[0].id: a string or a number", [](Json& s, auto&) {
    s.Erase("uuid");
    s.Erase("id");
  });
  Json log = Log({});
  log.Set("samples", Json::MakeArray({Json::Int(1)}));
  EXPECT_THAT(ReadLog(log),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("samples[0]: a number")));
  log = Log({});
  log.Find("eval")->Erase("eval_id");
  log.Find("eval")->Erase("task_id");
  EXPECT_THAT(ReadLog(log), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("eval_id")));
}

}  // namespace
}  // namespace nimbus::tools::import
