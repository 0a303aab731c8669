// What the readers of Claude Code sessions and Codex rollouts make of single
// situations. Whole recordings: recorded_runs_test.cc.
#include <fmt/format.h>

#include "tools/import/format.h"
#include "tools/import/recorded.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::fb::StepType;
using test::IsOk;
using test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using Recording = Run;  // Run, in the tests of a fixture, is gtest's

Source LinesOf(const std::vector<std::string>& lines) {
  auto source = ParseSource("test.jsonl", test::JoinLines(lines, lines.size()), {});
  EXPECT_THAT(source, IsOk());
  return source.ok() ? *std::move(source) : Source();
}

std::string Joined(const std::vector<schema::Json>& messages) {
  std::string text;
  for (const schema::Json& message : messages) text += message.Dump();
  return text;
}

// ---- Claude Code

class ClaudeCode : public ::testing::Test {
 protected:
  // A record with the members that all have, and `more`.
  void Add(const std::string& type, const std::string& more, bool sidechain = false) {
    ++n_;
    lines_.push_back(fmt::format(
        R"({{"type":"{}","uuid":"r{}","parentUuid":"r{}","sessionId":"s","isSidechain":{},)"
        R"("timestamp":"2026-01-01T00:00:{:02}.000Z",{}}})",
        type, n_, n_ - 1, sidechain, n_, more));
  }
  void User(const std::string& content, const std::string& more = {}, bool sidechain = false) {
    Add("user", fmt::format(R"("message":{{"role":"user","content":{}}}{})", content, more),
        sidechain);
  }
  void Assistant(const std::string& id, const std::string& block, int output_tokens = 1,
                 bool sidechain = false) {
    Add("assistant",
        fmt::format(R"("message":{{"id":"{}","role":"assistant","content":[{}],)"
                    R"("stop_reason":null,"usage":{{"input_tokens":10,"output_tokens":{}}}}})",
                    id, block, output_tokens),
        sidechain);
  }
  void Call(const std::string& message, const std::string& call, const std::string& tool = "Bash") {
    Assistant(message, fmt::format(R"({{"type":"tool_use","id":"{}","name":"{}","input":{{}}}})",
                                   call, tool));
  }
  void Result(const std::string& call, const std::string& content,
              const std::string& more = R"("is_error":false)") {
    User(fmt::format(R"([{{"type":"tool_result","tool_use_id":"{}","content":"{}",{}}}])", call,
                     content, more));
  }

  const Session& Read() {
    const Source source = LinesOf(lines_);
    EXPECT_TRUE(IsClaudeCode(source));
    auto run = ReadClaudeCode(source);
    EXPECT_THAT(run, IsOk());
    if (run.ok()) run_ = *std::move(run);
    if (run_.sessions.empty()) run_.sessions.emplace_back();
    return run_.sessions.front();
  }

  int n_ = 0;
  std::vector<std::string> lines_;
  Recording run_;
};

TEST_F(ClaudeCode, TakesRecordsOfOneMessageAsOneCallWithTheLastUsage) {
  User(R"("hello")");
  Assistant("m", R"({"type":"thinking","thinking":"hm"})", 4);
  Assistant("m", R"({"type":"text","text":"hi"})", 4);
  Assistant("m", R"({"type":"text","text":"hi"})", 395);
  User(R"("more")");
  const Session& session = Read();
  ASSERT_THAT(session.operations, SizeIs(2));
  ASSERT_THAT(session.operations[0].steps, SizeIs(2));
  const Step& call = session.operations[0].steps[1];
  EXPECT_EQ(call.type, StepType::llm_call);
  EXPECT_EQ(call.usage.output, 395u);
  EXPECT_EQ(call.usage.total, 405u);
  EXPECT_EQ(Joined(call.messages),
            R"({"role":"assistant","content":[{"type":"thinking","thinking":"hm"},)"
            R"({"type":"text","text":"hi"}]})");
  EXPECT_EQ(session.operations[0].output, R"("hi")");
  EXPECT_EQ(session.operations[0].usage.total, 405u);
  EXPECT_EQ(session.operations[0].status, Lifecycle::kCompleted);
  EXPECT_EQ(session.operations[1].status, Lifecycle::kRunning);
}

// A tool answers while its message is still being written.
TEST_F(ClaudeCode, HoldsResultsBackUntilTheMessageIsWhole) {
  User(R"("go")");
  Call("m", "t1");
  Result("t1", "one");
  Call("m", "t2");
  const Session& growing = Read();
  ASSERT_THAT(growing.operations.at(0).steps, SizeIs(4));
  for (size_t i = 1; i < 4; ++i)
    EXPECT_EQ(growing.operations[0].steps[i].status, Lifecycle::kRunning) << i;

  Result("t2", "two", R"("is_error":true)");
  Assistant("n", R"({"type":"text","text":"next"})");
  const Session& session = Read();
  const std::vector<Step>& steps = session.operations.at(0).steps;
  ASSERT_THAT(steps, SizeIs(5));
  EXPECT_EQ(steps[1].status, Lifecycle::kCompleted);
  EXPECT_EQ(steps[2].status, Lifecycle::kCompleted);
  EXPECT_EQ(steps[3].status, Lifecycle::kFailed);
  EXPECT_EQ(steps[3].error, "two");
  EXPECT_EQ(steps[2].duration_ms, 1000u);
  for (size_t i = 1; i < 4; ++i) EXPECT_EQ(steps[i].ended_record, 5u) << i;
}

TEST_F(ClaudeCode, CancelsWhatAPersonInterruptsOrRejects) {
  User(R"("go")");
  Call("m", "t1");
  Call("m", "t2");
  Result("t1", "The user doesn't want to proceed with this tool use.", R"("is_error":true)");
  User(R"([{"type":"text","text":"[Request interrupted by user for tool use]"}])");
  const Operation& operation = Read().operations.at(0);
  EXPECT_EQ(operation.status, Lifecycle::kCancelled);
  EXPECT_THAT(operation.error, HasSubstr("interrupted by user"));
  ASSERT_THAT(operation.steps, SizeIs(5));
  EXPECT_EQ(operation.steps[2].status, Lifecycle::kCancelled);
  EXPECT_EQ(operation.steps[3].status, Lifecycle::kCancelled);
  EXPECT_EQ(operation.steps[4].type, StepType::user_input);
}

TEST_F(ClaudeCode, MakesSubAgentsChildrenOfTheTurnThatStartedThem) {
  User(R"("go")");
  Call("m", "task", "Task");
  n_ = 100;  // the sub-agent's first record has no parent in the file
  User(R"("search")", {}, true);
  Assistant("sub", R"({"type":"text","text":"found"})", 7, true);
  Result("task", "found");
  User(R"("next")");
  const Session& session = Read();
  ASSERT_THAT(session.operations, SizeIs(3));
  const Operation& child = session.operations[1];
  EXPECT_EQ(child.parent_source_id, session.operations[0].source_id);
  EXPECT_EQ(child.status, Lifecycle::kCompleted);
  EXPECT_EQ(child.usage.output, 7u);
  EXPECT_EQ(child.first_record, child.added_record);
  EXPECT_THAT(session.operations[0].steps, SizeIs(3));
}

TEST_F(ClaudeCode, FailsTheTurnThatEndsInAnApiError) {
  User(R"("go")");
  Add("assistant",
      R"("isApiErrorMessage":true,"message":{"id":"e","model":"<synthetic>","role":"assistant",)"
      R"("content":[{"type":"text","text":"API Error: 529"}]})");
  User(R"("again")");
  const Session& session = Read();
  EXPECT_EQ(session.operations.at(0).status, Lifecycle::kFailed);
  EXPECT_EQ(session.operations.at(0).error, "API Error: 529");
  EXPECT_THAT(session.operations.at(0).steps, SizeIs(1)) << "no model was called";
}

TEST_F(ClaudeCode, EndsTheTurnWhereItsDurationIsSaid) {
  lines_.push_back(R"({"type":"summary","summary":"An old name","leafUuid":"x"})");
  User(R"("go")", R"(,"permissionMode":"plan","planContent":"first this")");
  Assistant("m", R"({"type":"text","text":"done"})");
  Add("system", R"("subtype":"stop_hook_summary","hookCount":1,"hookErrors":["no"])");
  Add("system", R"("subtype":"turn_duration","durationMs":1234)");
  Add("unheard-of", R"("data":{})");
  lines_.push_back(R"({"type":"ai-title","aiTitle":"A name","sessionId":"s"})");
  const Session& session = Read();
  EXPECT_EQ(session.name, "A name");
  const Operation& operation = session.operations.at(0);
  EXPECT_EQ(operation.status, Lifecycle::kCompleted);
  EXPECT_EQ(operation.duration_ms, 1234u);
  EXPECT_EQ(operation.plan, R"("first this")");
  EXPECT_THAT(operation.input, HasSubstr(R"("permissionMode":"plan")"));
  ASSERT_THAT(operation.steps, SizeIs(3));
  EXPECT_EQ(operation.steps[2].type, StepType::verification);
  EXPECT_EQ(operation.steps[2].status, Lifecycle::kFailed);
}

// Every release brings records of other shapes: they are no reason to refuse a session.
TEST_F(ClaudeCode, PassesOverRecordsOfUnknownShape) {
  User(R"("go")");
  Add("user", R"("message":null)");
  Add("assistant", R"("message":{"role":"assistant","content":"as text, without an id"})");
  Add("system", R"("subtype":7)");
  Assistant("m", R"({"type":"text","text":"done"})");
  const Session& session = Read();
  ASSERT_THAT(session.operations, SizeIs(1));
  EXPECT_THAT(session.operations[0].steps, SizeIs(2));
}

TEST_F(ClaudeCode, KeepsTheSummaryOfALongConversationInItsTurn) {
  User(R"("go")");
  Assistant("m", R"({"type":"text","text":"long"})");
  Add("system", R"("subtype":"compact_boundary","compactMetadata":{"trigger":"auto"})");
  User(R"("so far ...")", R"(,"isCompactSummary":true)");
  Assistant("n", R"({"type":"text","text":"on"})");
  const Session& session = Read();
  ASSERT_THAT(session.operations, SizeIs(1));
  EXPECT_THAT(session.operations[0].steps, SizeIs(4));
}

TEST(LineFormats, AreNotTakenForOneAnother) {
  NIMBUS_SHARED_OR_SKIP(runs, "data/runs");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(runs)) {
    if (!entry.is_regular_file()) continue;
    const auto source = ReadSource(entry.path().string(), {.keep_going = true});
    if (!source.ok()) continue;  // not JSON at all
    int claims = 0;
    for (const Format& format : Formats()) claims += format.detect(*source);
    // The tables beside the runs are no recordings; nor is a provider's turn, nor are
    // lists of spans and samples that are of no log.
    const std::string name = entry.path().filename();
    const bool known = entry.path().parent_path() != runs &&
                       !name.starts_with("live_localharness") &&
                       name != "leaf_tool_exclusion.json" && name != "legacy_steps.json" &&
                       name != "parallel_spans.json";
    EXPECT_EQ(claims, known ? 1 : 0) << entry.path();
  }
}

// ---- Codex

class Codex : public ::testing::Test {
 protected:
  void Add(const std::string& type, const std::string& payload) {
    lines_.push_back(
        fmt::format(R"({{"timestamp":"2026-01-01T00:00:{:02}.000Z","type":"{}","payload":{}}})",
                    lines_.size(), type, payload));
  }
  void Meta() { Add("session_meta", R"({"id":"s","cwd":"/","cli_version":"0.1"})"); }
  void Event(const std::string& payload) { Add("event_msg", payload); }
  void Item(const std::string& payload) { Add("response_item", payload); }
  void Call(const std::string& id) {
    Item(fmt::format(
        R"({{"type":"function_call","name":"shell","arguments":"{{\"a\":1}}","call_id":"{}"}})",
        id));
  }
  void Output(const std::string& id, const std::string& output) {
    Item(fmt::format(R"({{"type":"function_call_output","call_id":"{}","output":{}}})", id,
                     schema::Json::String(output).Dump()));
  }
  void Tokens(int input, int output) {
    Event(fmt::format(
        R"({{"type":"token_count","info":{{"total_token_usage":{{"input_tokens":{0},)"
        R"("output_tokens":{1},"total_tokens":{2}}},"last_token_usage":{{"input_tokens":{0},)"
        R"("output_tokens":{1},"total_tokens":{2}}}}}}})",
        input, output, input + output));
  }

  const Session& Read() {
    const Source source = LinesOf(lines_);
    EXPECT_TRUE(IsCodexRollout(source));
    auto run = ReadCodexRollout(source);
    EXPECT_THAT(run, IsOk());
    if (run.ok()) run_ = *std::move(run);
    if (run_.sessions.empty()) run_.sessions.emplace_back();
    return run_.sessions.front();
  }

  std::vector<std::string> lines_;
  Recording run_;
};

TEST_F(Codex, ReadsTheOutcomeOfACallWhereverItIsTold) {
  Meta();
  Event(R"({"type":"user_message","message":"go"})");
  for (const char* id : {"a", "b", "c", "d"}) Call(id);
  Output("a", R"({"output":"x","metadata":{"exit_code":1,"duration_seconds":0.25}})");
  Output("b", "Chunk ID: 1\nWall time: 4.8107 seconds\nProcess exited with code 0\nOutput:\nok");
  Output("c", "Output:\nProcess exited with code 7");
  Event(R"({"type":"exec_command_end","call_id":"d","exit_code":2,)"
        R"("duration":{"secs":1,"nanos":500000000}})");
  Output("d", "cut off");
  Tokens(10, 5);
  const std::vector<Step>& steps = Read().operations.at(0).steps;
  ASSERT_THAT(steps, SizeIs(6));
  EXPECT_EQ(steps[2].status, Lifecycle::kFailed);
  EXPECT_EQ(steps[2].error, "exit code 1");
  EXPECT_EQ(steps[2].duration_ms, 250u);
  EXPECT_EQ(steps[2].input, R"({"a":1})");
  EXPECT_EQ(steps[3].status, Lifecycle::kCompleted);
  EXPECT_EQ(steps[3].duration_ms, 4811u);
  EXPECT_EQ(steps[4].status, Lifecycle::kCompleted) << "what a tool prints is no heading";
  EXPECT_EQ(steps[5].status, Lifecycle::kFailed);
  EXPECT_EQ(steps[5].duration_ms, 1500u);
}

TEST_F(Codex, CountsARepeatedTokenCountOnce) {
  Meta();
  Event(R"({"type":"task_started","turn_id":"t"})");
  Event(R"({"type":"user_message","message":"go"})");
  Event(R"({"type":"token_count","info":null})");
  Item(R"({"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]})");
  Tokens(10, 5);
  Tokens(10, 5);
  Event(R"({"type":"task_complete","turn_id":"t","last_agent_message":"hi","duration_ms":77})");
  const Session& session = Read();
  ASSERT_THAT(session.operations, SizeIs(1));
  const Operation& operation = session.operations[0];
  EXPECT_EQ(operation.source_id, "t");
  EXPECT_EQ(operation.status, Lifecycle::kCompleted);
  EXPECT_EQ(operation.duration_ms, 77u);
  EXPECT_EQ(operation.output, R"("hi")");
  EXPECT_EQ(operation.usage.total, 15u);
  ASSERT_THAT(operation.steps, SizeIs(2));
  EXPECT_EQ(operation.steps[1].usage.total, 15u);
  EXPECT_EQ(operation.first_record, 1u);
  EXPECT_EQ(operation.added_record, 2u);
}

TEST_F(Codex, CancelsAnAbortedTurn) {
  Meta();
  Event(R"({"type":"task_started","turn_id":"t"})");
  Event(R"({"type":"user_message","message":"go"})");
  Call("a");
  Event(R"({"type":"turn_aborted","turn_id":"t","reason":"interrupted"})");
  Event(R"({"type":"task_started","turn_id":"u"})");
  Event(R"({"type":"user_message","message":"again"})");
  Event(R"({"type":"user_message","message":"and this"})");
  const Session& session = Read();
  ASSERT_THAT(session.operations, SizeIs(2));
  EXPECT_EQ(session.operations[0].status, Lifecycle::kCancelled);
  EXPECT_EQ(session.operations[0].error, "interrupted");
  for (const Step& step : session.operations[0].steps) EXPECT_TRUE(journal::IsFinal(step.status));
  EXPECT_THAT(session.operations[1].steps, SizeIs(2)) << "the second message steers the turn";
}

TEST_F(Codex, ReadsTheFirstVersionsWithoutEnvelope) {
  lines_ = {
      R"({"id":"old","timestamp":"2025-05-01T00:00:00Z","instructions":null,"git":{}})",
      R"({"record_type":"state"})",
      R"({"type":"message","role":"user","content":[{"type":"input_text","text":"go"}]})",
      R"({"type":"function_call","name":"shell","arguments":"{}","call_id":"c"})",
      R"({"type":"function_call_output","call_id":"c","output":"{\"output\":\"ok\"}"})",
      R"({"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]})",
      R"({"type":"message","role":"user","content":[{"type":"input_text","text":"on"}]})"};
  const Session& session = Read();
  EXPECT_EQ(session.source_id, "old");
  ASSERT_THAT(session.operations, SizeIs(2));
  EXPECT_EQ(session.operations[0].status, Lifecycle::kCompleted);
  ASSERT_THAT(session.operations[0].steps, SizeIs(4));
  EXPECT_EQ(Joined(session.operations[0].steps[0].messages),
            R"({"type":"message","role":"user","content":[{"type":"input_text","text":"go"}]})");
  EXPECT_EQ(session.operations[0].output, R"("hi")");
}

}  // namespace
}  // namespace nimbus::tools::import
