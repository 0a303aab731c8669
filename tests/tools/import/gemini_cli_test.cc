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
using ::testing::IsEmpty;
using ::testing::Optional;

constexpr std::string_view kSession = R"({
  "sessionId": "S1", "projectHash": "h", "startTime": "2026-01-16T11:00:00.000Z",
  "lastUpdated": "2026-01-16T11:01:00.000Z",
  "messages": [
    {"id": "m0", "timestamp": "2026-01-16T11:00:00.000Z", "type": "info", "content": "hello"},
    {"id": "m1", "timestamp": "2026-01-16T11:00:01.000Z", "type": "user", "content": "make it\nso"},
    {"id": "m2", "timestamp": "2026-01-16T11:00:03.000Z", "type": "gemini", "content": "",
     "model": "gemini-3-pro", "thoughts": [{"subject": "x"}],
     "tokens": {"input": 100, "output": 5, "cached": 40, "thoughts": 7, "tool": 0, "total": 112},
     "toolCalls": [
       {"id": "c1", "name": "write_file", "args": {"p": 1}, "status": "success",
        "result": [{"functionResponse": {"response": {"output": "ok"}}}],
        "timestamp": "2026-01-16T11:00:04.000Z"},
       {"id": "c2", "name": "shell", "args": {}, "status": "error",
        "result": [{"functionResponse": {"response": {"error": "no such file"}}}],
        "timestamp": "2026-01-16T11:00:05.000Z"},
       {"id": "c3", "name": "shell", "args": {}, "status": "cancelled"}]},
    {"id": "m3", "timestamp": "2026-01-16T11:00:06.500Z", "type": "gemini", "content": "Done.",
     "model": "gemini-3-pro",
     "tokens": {"input": 10, "output": 1, "cached": 0, "thoughts": 0, "tool": 0, "total": 11}},
    {"id": "m4", "timestamp": "2026-01-16T11:00:07.000Z", "type": "gemini", "content": "And more."},
    {"id": "m5", "timestamp": "2026-01-16T11:00:08.000Z", "type": "user",
     "content": [{"text": "again"}]},
    {"id": "m6", "timestamp": "2026-01-16T11:00:09.000Z", "type": "error", "content": "quota"},
    {"id": "m7", "timestamp": "2026-01-16T11:00:10.000Z", "type": "user", "content": "and now"},
    {"id": "m8", "timestamp": "2026-01-16T11:00:11.000Z", "type": "gemini", "content": "",
     "toolCalls": [{"id": "c4", "name": "shell", "args": {}, "status": "executing"}]}]})";

absl::StatusOr<Recording> ReadDocument(Json document) {
  const Source source = SourceOf("session.json", std::move(document));
  EXPECT_TRUE(IsGeminiCli(source));
  return ReadGeminiCli(source);
}

TEST(GeminiCli, MakesAnOperationOfAPrompt) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(*Json::Parse(kSession)));
  ExpectSound(run);
  EXPECT_EQ(run.key, "S1");
  EXPECT_EQ(run.sessions[0].name, "make it");
  const std::vector<Operation>& operations = run.sessions[0].operations;
  ASSERT_EQ(operations.size(), 4u);
  EXPECT_EQ(operations[0].source_id, "m1");
  EXPECT_EQ(operations[0].status, Lifecycle::kCompleted);
  EXPECT_EQ(operations[0].output, R"({"content":"Done."})");
  EXPECT_THAT(operations[0].duration_ms, Optional(5500u));
  EXPECT_THAT(operations[0].usage.input, Optional(110u));
  EXPECT_THAT(operations[0].usage.output, Optional(13u));
  EXPECT_THAT(operations[0].usage.total, Optional(123u));
  EXPECT_THAT(operations[0].usage.cache_read, Optional(40u));
  // What the model says without having been asked.
  EXPECT_EQ(operations[1].source_id, "m4");
  EXPECT_EQ(operations[2].status, Lifecycle::kFailed);
  EXPECT_EQ(operations[2].error, "quota");
  EXPECT_EQ(operations[2].name, "again");
  EXPECT_EQ(operations[3].status, Lifecycle::kRunning);
  EXPECT_EQ(operations[3].output, "");
}

TEST(GeminiCli, MakesStepsOfMessagesAndCalls) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(*Json::Parse(kSession)));
  const std::vector<Step>& steps = run.sessions[0].operations[0].steps;
  ASSERT_EQ(steps.size(), 6u);
  EXPECT_EQ(steps[0].type, StepType::user_input);
  EXPECT_EQ(steps[1].type, StepType::llm_call);
  EXPECT_EQ(steps[1].input, R"({"model":"gemini-3-pro"})");
  EXPECT_THAT(steps[1].output, HasSubstr(R"("id":"m2")"));
  EXPECT_EQ(steps[2].tool_name, "write_file");
  EXPECT_EQ(steps[2].input, R"({"p":1})");
  EXPECT_THAT(steps[2].ended_at_us, Optional(1768561204000000));
  EXPECT_EQ(steps[3].status, Lifecycle::kFailed);
  EXPECT_EQ(steps[3].error, "no such file");
  EXPECT_EQ(steps[4].status, Lifecycle::kCancelled);
  EXPECT_EQ(steps[4].error, "cancelled");
  EXPECT_FALSE(steps[4].ended_at_us.has_value());
  EXPECT_EQ(run.sessions[0].operations[3].steps[2].status, Lifecycle::kRunning);
}

TEST(GeminiCli, MayHoldNoPromptAtAll) {
  Json document = *Json::Parse(kSession);
  document.Find("messages")->array().resize(1);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(std::move(document)));
  EXPECT_THAT(run.sessions.at(0).operations, IsEmpty());
}

TEST(GeminiCli, IsOnlyWhatHasItsMembers) {
  const auto claims = [](std::string_view text) { return IsGeminiCli(SourceOfText("x", text)); };
  EXPECT_TRUE(claims(R"({"sessionId":"s","projectHash":"h","messages":[]})"));
  EXPECT_FALSE(claims(R"({"sessionId":"s","messages":[]})"));
  EXPECT_FALSE(claims(R"({"projectHash":"h","messages":[]})"));
  EXPECT_FALSE(claims(R"({"sessionId":"s","projectHash":"h","messages":{}})"));
}

TEST(GeminiCli, NamesTheMemberOfAWrongType) {
  const auto expect = [](std::string_view place, auto damage) {
    Json document = *Json::Parse(kSession);
    damage(document.Find("messages")->array());
    EXPECT_THAT(ReadDocument(std::move(document)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(place))));
  };
  expect("messages[1]: a number", [](auto& m) { m[1] = Json::Int(1); });
  expect("messages[1].type: a number", [](auto& m) { m[1].Set("type", Json::Int(1)); });
  expect("messages[1].timestamp: 'x'", [](auto& m) { m[1].Set("timestamp", Json::String("x")); });
  expect("messages[2].tokens.input: -1",
         [](auto& m) { m[2].Find("tokens")->Set("input", Json::Int(-1)); });
  expect("messages[2].toolCalls: an object",
         [](auto& m) { m[2].Set("toolCalls", Json::MakeObject()); });
  expect("messages[2].toolCalls[0].status: a boolean",
         [](auto& m) { m[2].Find("toolCalls")->array()[0].Set("status", Json::Bool(true)); });
}

}  // namespace
}  // namespace nimbus::tools::import
