#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sodium.h>

#include "testing/status_matchers.h"
#include "tools/import/document_source.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;
using test::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;

std::string Base64(std::string_view bytes) {
  std::string text(sodium_base64_ENCODED_LEN(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();
  return text;
}

Json Payload(std::string_view encoding, std::string_view data) {
  return Json::MakeObject(
      {{"metadata", Json::MakeObject({{"encoding", Json::String(Base64(encoding))}})},
       {"data", Json::String(Base64(data))}});
}

Json Payloads(std::string_view data) {
  return Json::MakeObject({{"payloads", Json::MakeArray({Payload("json/plain", data)})}});
}

// A history while it is written down: numbers its events.
class History {
 public:
  History& Add(std::string_view type, std::string_view attributes_key, Json attributes) {
    const size_t id = events_.size() + 1;
    events_.push_back(Json::MakeObject(
        {{"eventId", Json::String(std::to_string(id))},
         {"eventTime", Json::String(fmt::format("2025-06-30T16:00:{:02}.000000500Z", id))},
         {"eventType", Json::String(std::string(type))},
         {std::string(attributes_key), std::move(attributes)}}));
    return *this;
  }
  History& Add(std::string_view type, std::string_view key, std::string_view attributes) {
    return Add(type, key, *Json::Parse(attributes));
  }
  History& Started() {
    Json start = *Json::Parse(R"({"workflowType": {"name": "Greet"}, "workflowId": "W",
      "originalExecutionRunId": "R", "firstExecutionRunId": "R", "parentInitiatedEventId": "99"})");
    start.Set("input", Payloads("\"Ada\""));
    return Add("EVENT_TYPE_WORKFLOW_EXECUTION_STARTED", "workflowExecutionStartedEventAttributes",
               std::move(start));
  }
  History& Scheduled(std::string_view activity) {
    Json attributes = Json::MakeObject(
        {{"activityId", Json::String("1")},
         {"activityType", Json::MakeObject({{"name", Json::String(std::string(activity))}})},
         {"input", Payloads("{\"city\":\"Tokio\"}")}});
    return Add("EVENT_TYPE_ACTIVITY_TASK_SCHEDULED", "activityTaskScheduledEventAttributes",
               std::move(attributes));
  }
  History& Begun(std::string_view scheduled) {
    return Add("EVENT_TYPE_ACTIVITY_TASK_STARTED", "activityTaskStartedEventAttributes",
               fmt::format(R"({{"scheduledEventId": "{}", "attempt": 2}})", scheduled));
  }
  History& Done(std::string_view scheduled, std::string_view started, std::string_view result) {
    Json attributes = Json::MakeObject({{"scheduledEventId", Json::String(std::string(scheduled))},
                                        {"startedEventId", Json::String(std::string(started))},
                                        {"result", Payloads(result)}});
    return Add("EVENT_TYPE_ACTIVITY_TASK_COMPLETED", "activityTaskCompletedEventAttributes",
               std::move(attributes));
  }
  History& Completed() {
    Json attributes = Json::MakeObject({{"result", Payloads("[1]")}});
    return Add("EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED",
               "workflowExecutionCompletedEventAttributes", std::move(attributes));
  }

  Json& event(size_t id) { return events_.at(id - 1); }
  Json::Array& events() { return events_; }
  Json document() const { return Json::MakeObject({{"events", Json::MakeArray(events_)}}); }

 private:
  Json::Array events_;
};

absl::StatusOr<Recording> ReadDocument(Json document) {
  const Source source = SourceOf("history.json", std::move(document));
  EXPECT_TRUE(IsTemporalHistory(source));
  return ReadTemporalHistory(source);
}

const Operation& OperationOf(const Recording& run) { return run.sessions.at(0).operations.at(0); }

TEST(TemporalHistory, MakesAnOperationOfAnExecution) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run,
                              ReadDocument(History().Started().Completed().document()));
  ExpectSound(run);
  EXPECT_EQ(run.key, "R");
  EXPECT_EQ(run.sessions[0].source_id, "W");
  const Operation& operation = OperationOf(run);
  EXPECT_EQ(operation.name, "Greet");
  EXPECT_THAT(operation.input, HasSubstr(R"("input":["Ada"])"));
  EXPECT_EQ(operation.output, R"({"end":"EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED","result":[1]})");
  EXPECT_THAT(operation.created_at_us, Optional(1751299201000000));
  EXPECT_THAT(operation.duration_ms, Optional(1000u));
}

TEST(TemporalHistory, JoinsTheEventsOfAnActivity) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run,
                              ReadDocument(History()
                                               .Started()
                                               .Scheduled("get_weather")
                                               .Scheduled("invoke_model_activity")
                                               .Begun("3")
                                               .Begun("2")
                                               .Done("3", "4", "{\"answer\":1}")
                                               .Done("2", "5", "\"sunny\"")
                                               .Completed()
                                               .document()));
  const std::vector<Step>& steps = OperationOf(run).steps;
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].type, StepType::tool_call);
  EXPECT_EQ(steps[0].tool_name, "get_weather");
  EXPECT_EQ(steps[0].source_id, "event-2");
  EXPECT_EQ(steps[0].input,
            R"({"event_id":"2","activity":"get_weather","input":[{"city":"Tokio"}]})");
  EXPECT_EQ(steps[0].output, R"({"activity_id":"1","attempt":2,"result":"sunny"})");
  EXPECT_THAT(steps[0].duration_ms, Optional(2000u));
  EXPECT_EQ(steps[0].messages.at(0).Dump(),
            R"({"role":"tool","name":"get_weather","content":"sunny"})");
  EXPECT_EQ(steps[1].type, StepType::llm_call);
  EXPECT_EQ(steps[1].messages.at(0).Dump(), R"({"role":"assistant","content":{"answer":1}})");
}

TEST(TemporalHistory, KnowsActivitiesThatFailedOrNeverEnded) {
  History history;
  history.Started().Scheduled("a").Scheduled("b").Scheduled("c");
  history.Add("ActivityTaskTimedOut", "activityTaskTimedOutEventAttributes",
              R"({"scheduledEventId": 2, "startedEventId": "0",
                  "failure": {"message": "late", "cause": {"message": "very"}}})");
  history.Add("ACTIVITY_TASK_CANCELED", "activityTaskCanceledEventAttributes",
              R"({"scheduledEventId": "3"})");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording open, ReadDocument(history.document()));
  ExpectSound(open);
  EXPECT_EQ(OperationOf(open).status, Lifecycle::kRunning);
  const std::vector<Step>& steps = OperationOf(open).steps;
  EXPECT_EQ(steps[0].status, Lifecycle::kFailed);
  EXPECT_EQ(steps[0].error, "late: very");
  EXPECT_EQ(steps[1].status, Lifecycle::kCancelled);
  EXPECT_EQ(steps[2].status, Lifecycle::kRunning);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording whole, ReadDocument(history.Completed().document()));
  EXPECT_EQ(OperationOf(whole).steps[2].status, Lifecycle::kCancelled);
}

TEST(TemporalHistory, TakesSignalsAndUpdatesAsUserInputs) {
  History history;
  history.Started();
  Json signal = Json::MakeObject({{"signalName", Json::String("go")}, {"input", Payloads("7")}});
  history.Add("WorkflowExecutionSignaled", "workflowExecutionSignaledEventAttributes",
              std::move(signal));
  Json update = *Json::Parse(R"({"protocolInstanceId": "u", "acceptedRequest": {"input":
    {"name": "set"}}})");
  update.Find("acceptedRequest")->Find("input")->Set("args", Payloads("8"));
  history.Add("EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
              "workflowExecutionUpdateAcceptedEventAttributes", std::move(update));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(history.document()));
  const std::vector<Step>& steps = OperationOf(run).steps;
  ASSERT_EQ(CountSteps(run, StepType::user_input), 2u);
  EXPECT_EQ(steps[0].input, R"({"event_id":"2","signalName":"go","input":[7]})");
  EXPECT_EQ(steps[1].input,
            R"({"event_id":"3","protocolInstanceId":"u","name":"set","input":[8]})");
}

TEST(TemporalHistory, KeepsTheValuesOfMarkers) {
  History history;
  history.Started();
  Json marker = *Json::Parse(R"({"markerName": "Version", "details": {}})");
  marker.Find("details")->Set("version", Payloads("1"));
  history.Add("MarkerRecorded", "markerRecordedEventAttributes", std::move(marker)).Completed();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(history.document()));
  EXPECT_THAT(
      OperationOf(run).output,
      HasSubstr(R"("markers":[{"event_id":"2","name":"Version","details":{"version":[1]}}])"));
}

TEST(TemporalHistory, KeepsPayloadsThatAreNoJson) {
  History history;
  history.Started();
  Json& input = *history.event(1).Find("workflowExecutionStartedEventAttributes")->Find("input");
  input.Set("payloads",
            Json::MakeArray({Payload("binary/null", ""), Payload("binary/plain", "\x01"),
                             Payload("json/plain", "{broken")}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(history.document()));
  EXPECT_THAT(OperationOf(run).input,
              AllOf(HasSubstr("[null,{"), HasSubstr(R"("data":"AQ==","encoding":"binary/plain")"),
                    HasSubstr(R"("encoding":"json/plain")")));
}

TEST(TemporalHistory, TellsHowAnExecutionEnded) {
  for (const auto& [type, key, status, error] :
       {std::tuple{"WorkflowExecutionFailed", "workflowExecutionFailedEventAttributes",
                   Lifecycle::kFailed, "boom"},
        {"WorkflowExecutionTimedOut", "workflowExecutionTimedOutEventAttributes",
         Lifecycle::kFailed, "boom"},
        {"WorkflowExecutionTerminated", "workflowExecutionTerminatedEventAttributes",
         Lifecycle::kCancelled, "boom"},
        {"EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED", "workflowExecutionCanceledEventAttributes",
         Lifecycle::kCancelled, "boom"},
        {"WorkflowExecutionContinuedAsNew", "workflowExecutionContinuedAsNewEventAttributes",
         Lifecycle::kCompleted, ""}}) {
    const Json document =
        History().Started().Add(type, key, R"({"failure": {"message": "boom"}})").document();
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(document));
    EXPECT_EQ(OperationOf(run).status, status) << type;
    EXPECT_EQ(OperationOf(run).error, error) << type;
  }
}

TEST(TemporalHistory, OfAResetExecutionIsThatOfTheNewRun) {
  const auto reset = [](std::string_view cause) {
    return History()
        .Started()
        .Add("WorkflowTaskFailed", "workflowTaskFailedEventAttributes",
             fmt::format(R"({{"cause": "{}", "baseRunId": "R", "newRunId": "R2"}})", cause))
        .document();
  };
  for (const std::string_view cause :
       {"ResetWorkflow", "WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW"}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(reset(cause)));
    EXPECT_EQ(run.key, "R2");
    EXPECT_EQ(OperationOf(run).source_id, "R2");
    EXPECT_EQ(run.sessions[0].source_id, "W");
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Recording run, ReadDocument(reset("UnhandledCommand")));
  EXPECT_EQ(run.key, "R");
}

TEST(TemporalHistory, TakesTheTokensThatAnAnswerTells) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run,
      ReadDocument(History()
                       .Started()
                       .Scheduled("invoke_model")
                       .Begun("2")
                       .Done("2", "3", R"({"usage":{"input_tokens":7,"output_tokens":2}})")
                       .Completed()
                       .document()));
  EXPECT_THAT(OperationOf(run).steps[0].usage.total, Optional(9u));
  EXPECT_THAT(OperationOf(run).usage.input, Optional(7u));
}

TEST(TemporalHistory, MayBeTheBareArray) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Recording run, ReadDocument(Json::MakeArray(History().Started().Completed().events())));
  EXPECT_EQ(OperationOf(run).status, Lifecycle::kCompleted);
}

TEST(TemporalHistory, IsOnlyWhatHasItsEvents) {
  const auto claims = [](std::string_view text) {
    return IsTemporalHistory(SourceOfText("x", text));
  };
  EXPECT_TRUE(claims(R"({"events":[{"eventId":"7","eventType":"X"}]})"));
  EXPECT_FALSE(claims(R"({"events":[]})"));
  EXPECT_FALSE(claims(R"({"events":[{"eventId":"1"}]})"));
  EXPECT_FALSE(claims(R"({"events":{}})"));
  EXPECT_FALSE(claims(R"([1])"));
}

// Every rule that makes a history one, and the event that breaks it.
TEST(TemporalHistory, NamesTheEventThatBreaksIt) {
  const auto expect = [](std::string_view reason, auto damage) {
    History history;
    history.Started().Scheduled("a").Begun("2").Done("2", "3", "1").Completed();
    damage(history);
    EXPECT_THAT(ReadDocument(history.document()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(reason))));
  };
  expect("events[2].eventId: '4' where event 3 is due",
         [](History& h) { h.events().erase(h.events().begin() + 2); });
  expect("events[1].eventId: '1' where event 2 is due",
         [](History& h) { h.event(2).Set("eventId", Json::String("1")); });
  expect("events[1].eventId: '02' where event 2 is due",
         [](History& h) { h.event(2).Set("eventId", Json::String("02")); });
  expect("events[3].eventId: '' where event 4 is due",
         [](History& h) { h.event(4).Erase("eventId"); });
  expect("events[1].eventType: a string is needed",
         [](History& h) { h.event(2).Erase("eventType"); });
  expect("events[2].eventTime: 'noon' is no time",
         [](History& h) { h.event(3).Set("eventTime", Json::String("noon")); });
  expect("events[1]: event 2 (EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) has no attributes",
         [](History& h) { h.event(2).Erase("activityTaskScheduledEventAttributes"); });
  expect("events[1].activityTaskScheduledEventAttributes: event 2 is a TimerFired",
         [](History& h) { h.event(2).Set("eventType", Json::String("TimerFired")); });
  expect("event 6 (EVENT_TYPE_WORKFLOW_EXECUTION_STARTED): a history begins with",
         [](History& h) { h.Started(); });
  expect("event 1 (EVENT_TYPE_ACTIVITY_TASK_SCHEDULED): a history begins with", [](History& h) {
    h.events().clear();
    h.Scheduled("a");
  });
  expect("event 6 (EVENT_TYPE_ACTIVITY_TASK_SCHEDULED): comes after the workflow's end",
         [](History& h) { h.Scheduled("b"); });
  const auto attributes = [](History& h, size_t id) -> Json& {
    return h.event(id).object().back().second;
  };
  expect("event 3 (EVENT_TYPE_ACTIVITY_TASK_STARTED) names event '3', which is not before it",
         [&](History& h) { attributes(h, 3).Set("scheduledEventId", Json::String("3")); });
  expect("names event 'x'",
         [&](History& h) { attributes(h, 3).Set("scheduledEventId", Json::String("x")); });
  expect("names event '5'", [&](History& h) {
    attributes(h, 2).Set("workflowTaskCompletedEventId", Json::String("5"));
  });
  expect("is about event '1', which schedules no activity",
         [&](History& h) { attributes(h, 4).Set("scheduledEventId", Json::String("1")); });
  expect(
      "event 5 (EVENT_TYPE_ACTIVITY_TASK_COMPLETED) is about the activity of event 2, which has "
      "ended",
      [](History& h) {
        h.events().pop_back();
        h.Done("2", "3", "1");
      });
  expect("result.payloads[0].data: no base64", [&](History& h) {
    attributes(h, 4).Find("result")->Find("payloads")->array()[0].Set("data", Json::String("%%"));
  });
  expect("events[0].workflowExecutionStartedEventAttributes.originalExecutionRunId",
         [&](History& h) { attributes(h, 1).Erase("originalExecutionRunId"); });
}

}  // namespace
}  // namespace nimbus::tools::import
