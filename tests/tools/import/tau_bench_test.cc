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

constexpr std::string_view kResults = R"([
  {"task_id": 3, "trial": 1, "reward": 1.0,
   "info": {"task": {"user_id": "mia"}, "user_cost": 0.0035, "reward_info": {"reward": 1.0}},
   "traj": [
     {"role": "system", "content": "policy"}, {"role": "user", "content": "book it"},
     {"role": "assistant", "content": null, "tool_calls": [
       {"id": "c1", "type": "function", "function": {"name": "book", "arguments": "{\"n\": 1}"}},
       {"id": "c2", "type": "function", "function": {"name": "pay", "arguments": "{oops"}}]},
     {"role": "tool", "tool_call_id": "c1", "name": "book", "content": "done"},
     {"role": "tool", "tool_call_id": "c2", "name": "pay", "content": "Error: no money"},
     {"role": "assistant", "content": "It is."},
     {"role": "user", "content": "###STOP###"}]},
  {"task_id": 4, "reward": 0.0, "info": {"error": "timed out"}, "traj": [
     {"role": "user", "content": "hi"},
     {"role": "assistant", "content": null, "tool_calls": [
       {"id": "c1", "function": {"name": "look", "arguments": "{}"}}]}]}])";

absl::StatusOr<Recording> ReadDocument(Json document) {
  const Source source = SourceOf("gpt-4o-airline.json", std::move(document));
  EXPECT_TRUE(IsTauBench(source));
  return ReadTauBench(source);
}

TEST(TauBench, MakesAnOperationOfARun) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(*Json::Parse(kResults)));
  ExpectSound(run);
  const std::vector<Operation>& operations = run.sessions.at(0).operations;
  ASSERT_EQ(operations.size(), 2u);
  EXPECT_EQ(operations[0].source_id, "task-3-trial-1");
  EXPECT_EQ(operations[0].input, R"({"task_id":3,"trial":1,"task":{"user_id":"mia"}})");
  EXPECT_EQ(operations[0].status, Lifecycle::kCompleted);
  EXPECT_EQ(operations[0].output,
            R"({"reward":1.0,"reward_info":{"reward":1.0},"user_cost":0.0035})");
  EXPECT_FALSE(operations[0].usage.cost_microdollars.has_value());  // the user's is none of it
  EXPECT_FALSE(operations[0].created_at_us.has_value());
  EXPECT_EQ(operations[1].status, Lifecycle::kFailed);
  EXPECT_EQ(operations[1].error, "timed out");
}

TEST(TauBench, MakesStepsOfTheConversationAndTheReward) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(*Json::Parse(kResults)));
  const std::vector<Step>& steps = run.sessions.at(0).operations[0].steps;
  std::vector<StepType> types;
  for (const Step& step : steps) types.push_back(step.type);
  EXPECT_THAT(types, ElementsAre(StepType::user_input, StepType::llm_call, StepType::tool_call,
                                 StepType::tool_call, StepType::llm_call, StepType::user_input,
                                 StepType::verification));
  EXPECT_EQ(steps[0].messages.size(), 2u);  // with the policy
  EXPECT_EQ(steps[2].tool_name, "book");
  EXPECT_EQ(steps[2].input, R"({"n": 1})");
  EXPECT_EQ(steps[2].status, Lifecycle::kCompleted);
  EXPECT_EQ(steps[3].input, R"({"name":"pay","arguments":"{oops"})");
  EXPECT_EQ(steps[3].error, "Error: no money");
  EXPECT_EQ(steps[6].status, Lifecycle::kCompleted);
  const std::vector<Step>& other = run.sessions.at(0).operations[1].steps;
  EXPECT_EQ(other[2].status, Lifecycle::kCancelled);
  EXPECT_EQ(other[3].status, Lifecycle::kFailed);
  Json::Array messages;
  for (const Json& message : MessagesOf(run.sessions[0].operations[0])) messages.push_back(message);
  EXPECT_EQ(messages, Json::Parse(kResults)->array()[0].Find("traj")->array());
}

TEST(TauBench, IsOnlyWhatHasItsMembers) {
  const auto claims = [](std::string_view text) { return IsTauBench(SourceOfText("x", text)); };
  EXPECT_TRUE(claims(R"([{"task_id":1,"reward":0,"traj":[]}])"));
  EXPECT_FALSE(claims(R"([{"task_id":1,"traj":[]}])"));
  EXPECT_FALSE(claims(R"({"task_id":1,"reward":0,"traj":[]})"));
  EXPECT_FALSE(claims(R"([])"));
}

TEST(TauBench, NamesTheMemberThatBreaksTheFormat) {
  const auto expect = [](std::string_view place, auto damage) {
    Json document = *Json::Parse(kResults);
    damage(document.array(), document.array()[0].Find("traj")->array());
    EXPECT_THAT(ReadDocument(std::move(document)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(place))));
  };
  expect("[1]: a string", [](auto& d, auto&) { d[1] = Json::String(""); });
  expect("[1].reward: a number is needed", [](auto& d, auto&) { d[1].Erase("reward"); });
  expect("[0].traj[1].role: a number", [](auto&, auto& t) { t[1].Set("role", Json::Int(1)); });
  expect("[0].traj[2].tool_calls[0].function: an object is needed",
         [](auto&, auto& t) { t[2].Find("tool_calls")->array()[0].Erase("function"); });
  expect("[0].traj[3].tool_call_id: message 3 answers no call",
         [](auto&, auto& t) { t[3].Set("tool_call_id", Json::String("c9")); });
}

}  // namespace
}  // namespace nimbus::tools::import
