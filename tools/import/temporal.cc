// Temporal workflow histories, as `temporal workflow show --output json` and the
// SDKs' replayers have them: {"events": [...]}, or the bare array.
//
// A workflow execution is an operation. An activity is one step, made of the
// events that schedule, start and end it: an llm_call when it is the one that
// calls the model in the integrations of agent frameworks, else a tool_call.
// Signals and accepted updates are user_inputs. Markers and workflow tasks are no
// steps and change no state that we could know (that of the workflow's code is
// not recorded); the recorded values of markers are in the operation's output.
//
// A history must be whole in itself: numbered from 1 without gaps, begun by
// WorkflowExecutionStarted, nothing after its end, and no event about one that
// is not before it. Whether it fits the code of its workflow only that code
// can tell.
#include <sodium.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <string>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/import/document.h"
#include "tools/import/format.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using absl::StatusCode;
using journal::Lifecycle;
using schema::Error;
using schema::Json;
using schema::fb::StepType;

constexpr std::string_view kFormat = "temporal-history";
constexpr std::string_view kAttributes = "EventAttributes";
// Activities that call the model: of the OpenAI Agents and the Google ADK integration.
constexpr std::string_view kModelActivities[] = {"invoke_model_activity", "invoke_model"};

// "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED" and "ActivityTaskScheduled" ->
// "activitytaskscheduled": the enum's name, and how it was written before.
std::string KindOf(std::string_view type) {
  constexpr std::string_view kPrefix = "EVENT_TYPE_";
  if (type.starts_with(kPrefix)) type.remove_prefix(kPrefix.size());
  std::string kind;
  for (const char c : type) {
    if (c != '_') kind += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return kind;
}

// ---- Payloads

absl::StatusOr<std::string> DecodeBase64(const Json& value, const std::string& path) {
  if (!value.IsString()) return Error(StatusCode::kInvalidArgument, "{}: no base64", path);
  const std::string& text = value.string();
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(),
                        text.size(), nullptr, &size, nullptr,
                        sodium_base64_VARIANT_ORIGINAL) != 0) {
    return Error(StatusCode::kInvalidArgument, "{}: no base64", path);
  }
  bytes.resize(size);
  return bytes;
}

// The value of a payload where it is JSON or nothing; else the payload as it is,
// its encoding readable.
absl::StatusOr<Json> DecodePayload(const Json& value, const std::string& path) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields payload, Fields::Of(value, path));
  std::string encoding;
  if (const Json* encoded = value.FindPath({"metadata", "encoding"})) {
    NIMBUS_ASSIGN_OR_RETURN(encoding, DecodeBase64(*encoded, payload.PathOf("metadata.encoding")));
  }
  const Json* data = payload.Find("data");
  std::string bytes;
  if (data != nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(bytes, DecodeBase64(*data, payload.PathOf("data")));
  }
  if (encoding == "binary/null") return Json();
  if (encoding.starts_with("json/")) {
    absl::StatusOr<Json> decoded = Json::Parse(bytes, schema::JsonLimits{.depth_max = 400});
    if (decoded.ok()) return decoded;
  }
  Json kept = value;
  if (!encoding.empty()) kept.Set("encoding", Json::String(Headline(encoding)));
  return kept;
}

// {"payloads": [...]} as an array of values.
absl::StatusOr<Json> DecodePayloads(const Json* value, const std::string& path) {
  if (value == nullptr || value->IsNull()) return Json::MakeArray();
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*value, path));
  NIMBUS_ASSIGN_OR_RETURN(const Json* payloads, fields.Optional("payloads", Json::Type::kArray));
  Json::Array decoded;
  for (size_t i = 0; payloads != nullptr && i < payloads->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(
        Json item, DecodePayload(payloads->array()[i], ItemPath(fields.PathOf("payloads"), i)));
    decoded.push_back(std::move(item));
  }
  return Json::MakeArray(std::move(decoded));
}

// A result is one value, where it is one.
absl::StatusOr<Json> DecodeResult(const Fields& attributes, std::string_view key) {
  NIMBUS_ASSIGN_OR_RETURN(Json values,
                          DecodePayloads(attributes.Find(key), attributes.PathOf(key)));
  if (values.array().empty()) return Json();
  return values.array().size() == 1 ? std::move(values.array()[0]) : std::move(values);
}

// ---- Events

struct HistoryEvent {
  Fields attributes;
  std::string type;  // as recorded
  std::string kind;
  std::string id;
  std::optional<int64_t> time_us;
};

absl::StatusOr<std::string> IdOf(const Fields& fields, std::string_view key) {
  const Json* id = fields.Find(key);
  if (id == nullptr) return std::string();
  if (id->IsNumber()) return id->number();
  if (id->IsString()) return id->string();
  return Error(StatusCode::kInvalidArgument, "{}: no event id", fields.PathOf(key));
}

absl::StatusOr<HistoryEvent> ReadEvent(const Json& value, const std::string& path, size_t index) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields event, Fields::Of(value, path));
  NIMBUS_ASSIGN_OR_RETURN(std::string id, IdOf(event, "eventId"));
  if (id != std::to_string(index + 1))
    return Error(StatusCode::kInvalidArgument,
                 "{}: '{}' where event {} is due: events are numbered from 1, without gaps",
                 event.PathOf("eventId"), Headline(id, 40), index + 1);
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view type, event.Name("eventType"));
  std::string kind = KindOf(type);
  if (kind.empty())
    return Error(StatusCode::kInvalidArgument, "{}: a string is needed", event.PathOf("eventType"));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> time, event.UtcText("eventTime"));
  const Json::Member* found = nullptr;
  for (const Json::Member& member : value.object()) {
    if (!member.first.ends_with(kAttributes) || member.second.IsNull()) continue;
    if (KindOf(member.first) != kind + KindOf(kAttributes))
      return Error(StatusCode::kInvalidArgument, "{}: event {} is a {}", event.PathOf(member.first),
                   id, type);
    found = &member;
  }
  if (found == nullptr)
    return Error(StatusCode::kInvalidArgument, "{}: event {} ({}) has no attributes", path, id,
                 type);
  NIMBUS_ASSIGN_OR_RETURN(Fields attributes, Fields::Of(found->second, event.PathOf(found->first)));
  return HistoryEvent{std::move(attributes), std::string(type), std::move(kind), std::move(id),
                      time};
}

// How an event of this kind ends a workflow execution; nullopt when it does not.
std::optional<Lifecycle> EndOfWorkflow(std::string_view kind) {
  constexpr std::string_view kWorkflow = "workflowexecution";
  if (!kind.starts_with(kWorkflow)) return std::nullopt;
  kind.remove_prefix(kWorkflow.size());
  if (kind == "completed" || kind == "continuedasnew") return Lifecycle::kCompleted;
  if (kind == "failed" || kind == "timedout") return Lifecycle::kFailed;
  if (kind == "canceled" || kind == "terminated") return Lifecycle::kCancelled;
  return std::nullopt;
}

// A failure's own words and those of its causes.
std::string FailureText(const Json* failure) {
  std::string text;
  for (int depth = 0; failure != nullptr && failure->IsObject() && depth < 8; ++depth) {
    if (!text.empty()) text += ": ";
    text += failure->StringOr("message");
    failure = failure->Find("cause");
  }
  return text;
}

// What the model's answer says of tokens; some integrations hand it on.
void ReadUsage(const Json* usage, Usage* out) {
  if (usage == nullptr) return;
  out->input = UintMember(*usage, "input_tokens");
  out->output = UintMember(*usage, "output_tokens");
  out->total = UintMember(*usage, "total_tokens");
  if (!out->total.has_value()) out->total = SumOf(*out);
}

// ---- The history

class HistoryReader {
 public:
  explicit HistoryReader(Operation* operation) : operation_(*operation) {}

  absl::Status Take(const HistoryEvent& event);
  absl::Status Finish();

  const std::string& run() const { return run_; }
  const std::string& workflow() const { return workflow_; }
  const Json& context() const { return context_; }

 private:
  struct Activity {
    size_t step;
    Json output = Json::MakeObject();
    std::optional<int64_t> started_us;
    bool ended = false;
  };

  absl::Status CheckReferences(const HistoryEvent& event) const;
  absl::Status TakeStart(const HistoryEvent& event);
  absl::Status TakeScheduled(const HistoryEvent& event);
  absl::StatusOr<Activity*> ActivityOf(const HistoryEvent& event);
  absl::Status TakeActivityStart(const HistoryEvent& event);
  absl::Status TakeActivityEnd(const HistoryEvent& event, Lifecycle status);
  absl::Status TakeInput(const HistoryEvent& event, std::string_view name, std::string_view input);
  absl::Status TakeMarker(const HistoryEvent& event);
  absl::Status TakeReset(const HistoryEvent& event);
  absl::Status TakeEnd(const HistoryEvent& event, Lifecycle status);

  Operation& operation_;
  std::string run_, workflow_;
  Json context_ = Json::MakeObject({{"agent", Json::String("Temporal")}});
  size_t events_ = 0;
  bool ended_ = false;
  std::map<std::string, Activity> activities_;  // by the event that scheduled them
  Json::Array markers_;
  Json result_ = Json::MakeObject();
};

// Events name others that must have happened before.
absl::Status HistoryReader::CheckReferences(const HistoryEvent& event) const {
  for (const std::string_view key : {"scheduledEventId", "startedEventId", "initiatedEventId",
                                     "acceptedEventId", "workflowTaskCompletedEventId"}) {
    NIMBUS_ASSIGN_OR_RETURN(const std::string id, IdOf(event.attributes, key));
    if (id.empty() || id == "0") continue;  // none
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (error != std::errc() || end != id.data() + id.size() || number > events_)
      return Error(StatusCode::kInvalidArgument,
                   "{}: event {} ({}) names event '{}', which is not "
                   "before it",
                   event.attributes.PathOf(key), event.id, event.type, Headline(id, 40));
  }
  return absl::OkStatus();
}

absl::Status HistoryReader::Take(const HistoryEvent& event) {
  const bool first = events_ == 0;
  const bool start = event.kind == "workflowexecutionstarted";
  if (first != start)
    return Error(StatusCode::kInvalidArgument, "event {} ({}): a history begins with {}, once",
                 event.id, event.type, "WorkflowExecutionStarted");
  if (ended_)
    return Error(StatusCode::kInvalidArgument, "event {} ({}): comes after the workflow's end",
                 event.id, event.type);
  NIMBUS_RETURN_IF_ERROR(CheckReferences(event));
  ++events_;
  if (start) return TakeStart(event);
  if (event.kind == "activitytaskscheduled") return TakeScheduled(event);
  if (event.kind == "activitytaskstarted") return TakeActivityStart(event);
  for (const auto& [kind, status] : {std::pair{"completed", Lifecycle::kCompleted},
                                     {"failed", Lifecycle::kFailed},
                                     {"timedout", Lifecycle::kFailed},
                                     {"canceled", Lifecycle::kCancelled}}) {
    if (event.kind == fmt::format("activitytask{}", kind)) return TakeActivityEnd(event, status);
  }
  if (event.kind == "workflowexecutionsignaled") return TakeInput(event, "signalName", "input");
  if (event.kind == "workflowexecutionupdateaccepted")
    return TakeInput(event, "protocolInstanceId", "acceptedRequest");
  if (event.kind == "markerrecorded") return TakeMarker(event);
  if (event.kind == "workflowtaskfailed") return TakeReset(event);
  if (const std::optional<Lifecycle> status = EndOfWorkflow(event.kind))
    return TakeEnd(event, *status);
  return absl::OkStatus();  // others stay in the source
}

absl::Status HistoryReader::TakeStart(const HistoryEvent& event) {
  const Fields& start = event.attributes;
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view run, start.Name("originalExecutionRunId"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view first_run, start.Text("firstExecutionRunId"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view workflow, start.Text("workflowId"));
  if (run.empty())
    return Error(StatusCode::kInvalidArgument, "{}: a string is needed",
                 start.PathOf("originalExecutionRunId"));
  run_ = run;
  workflow_ = !workflow.empty() ? workflow : first_run.empty() ? run : first_run;
  Json input = Json::MakeObject();
  if (const Json* type = start.json().FindPath({"workflowType", "name"})) {
    operation_.name = type->IsString() ? ToolName(type->string()) : std::string();
    input.Set("workflow_type", *type);
  }
  NIMBUS_ASSIGN_OR_RETURN(Json values, DecodePayloads(start.Find("input"), start.PathOf("input")));
  input.Set("input", std::move(values));
  for (const std::string_view key : {"workflowId", "originalExecutionRunId", "attempt", "memo"}) {
    if (const Json* value = start.Find(key)) input.Set(key, *value);
  }
  for (const std::string_view key :
       {"workflowId", "firstExecutionRunId", "continuedExecutionRunId", "identity", "taskQueue"}) {
    if (const Json* value = start.Find(key)) context_.Set(key, *value);
  }
  operation_.input = input.Dump();
  operation_.created_at_us = event.time_us;
  return absl::OkStatus();
}

absl::Status HistoryReader::TakeScheduled(const HistoryEvent& event) {
  const Fields& scheduled = event.attributes;
  const Json* name = scheduled.json().FindPath({"activityType", "name"});
  Step step;
  step.source_id = fmt::format("event-{}", event.id);
  step.tool_name = name != nullptr && name->IsString() ? ToolName(name->string()) : "";
  if (step.tool_name.empty()) step.tool_name = "activity";
  const bool model = std::find(std::begin(kModelActivities), std::end(kModelActivities),
                               step.tool_name) != std::end(kModelActivities);
  step.type = model ? StepType::llm_call : StepType::tool_call;
  NIMBUS_ASSIGN_OR_RETURN(Json values,
                          DecodePayloads(scheduled.Find("input"), scheduled.PathOf("input")));
  step.input = Json::MakeObject({{"event_id", Json::String(event.id)},
                                 {"activity", Json::String(step.tool_name)},
                                 {"input", std::move(values)}})
                   .Dump();
  if (model) step.tool_name.clear();
  step.status = Lifecycle::kRunning;
  step.started_at_us = event.time_us;
  Activity activity{.step = operation_.steps.size()};
  if (const Json* id = scheduled.Find("activityId")) activity.output.Set("activity_id", *id);
  activities_.emplace(event.id, std::move(activity));
  operation_.steps.push_back(std::move(step));
  return absl::OkStatus();
}

absl::StatusOr<HistoryReader::Activity*> HistoryReader::ActivityOf(const HistoryEvent& event) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string id, IdOf(event.attributes, "scheduledEventId"));
  const auto at = activities_.find(id);
  if (at == activities_.end())
    return Error(StatusCode::kInvalidArgument,
                 "{}: event {} ({}) is about event '{}', which "
                 "schedules no activity",
                 event.attributes.PathOf("scheduledEventId"), event.id, event.type,
                 Headline(id, 40));
  if (at->second.ended)
    return Error(StatusCode::kInvalidArgument,
                 "{}: event {} ({}) is about the activity of event "
                 "{}, which has ended",
                 event.attributes.PathOf("scheduledEventId"), event.id, event.type, id);
  return &at->second;
}

absl::Status HistoryReader::TakeActivityStart(const HistoryEvent& event) {
  NIMBUS_ASSIGN_OR_RETURN(Activity * activity, ActivityOf(event));
  activity->started_us = event.time_us;
  if (const Json* attempt = event.attributes.Find("attempt"))
    activity->output.Set("attempt", *attempt);
  return absl::OkStatus();
}

absl::Status HistoryReader::TakeActivityEnd(const HistoryEvent& event, Lifecycle status) {
  NIMBUS_ASSIGN_OR_RETURN(Activity * activity, ActivityOf(event));
  activity->ended = true;
  Step& step = operation_.steps[activity->step];
  step.status = status;
  step.ended_at_us = event.time_us;
  if (event.time_us && activity->started_us && *event.time_us >= *activity->started_us)
    step.duration_ms = MillisecondsOf(*event.time_us - *activity->started_us);
  const Json* failure = event.attributes.Find("failure");
  Json said;
  if (status == Lifecycle::kCompleted) {
    NIMBUS_ASSIGN_OR_RETURN(said, DecodeResult(event.attributes, "result"));
    activity->output.Set("result", said);
    if (step.type == StepType::llm_call) ReadUsage(said.Find("usage"), &step.usage);
    AddUsage(step.usage, &operation_.usage);
  } else {
    step.error = FailureText(failure);
    if (step.error.empty()) step.error = status == Lifecycle::kFailed ? "failed" : "canceled";
    said = Json::String(step.error);
    if (failure != nullptr) activity->output.Set("failure", *failure);
  }
  step.output = activity->output.Dump();
  const bool model = step.type == StepType::llm_call;
  Json message = Json::MakeObject({{"role", Json::String(model ? "assistant" : "tool")}});
  if (!model) message.Set("name", Json::String(step.tool_name));
  message.Set("content", std::move(said));
  step.messages.push_back(std::move(message));
  return absl::OkStatus();
}

absl::Status HistoryReader::TakeInput(const HistoryEvent& event, std::string_view name,
                                      std::string_view input) {
  const Fields& attributes = event.attributes;
  Step step;
  step.source_id = fmt::format("event-{}", event.id);
  step.type = StepType::user_input;
  step.started_at_us = step.ended_at_us = event.time_us;
  Json said = Json::MakeObject({{"event_id", Json::String(event.id)}});
  if (const Json* value = attributes.Find(name)) said.Set(name, *value);
  const Json* request = attributes.Find(input);
  if (request != nullptr && request->Find("input") != nullptr) {  // of an update
    const Json* handler = request->FindPath({"input", "name"});
    if (handler != nullptr) said.Set("name", *handler);
    request = request->FindPath({"input", "args"});
  }
  NIMBUS_ASSIGN_OR_RETURN(Json values, DecodePayloads(request, attributes.PathOf(input)));
  said.Set("input", values);
  step.input = said.Dump();
  step.messages.push_back(
      Json::MakeObject({{"role", Json::String("user")}, {"content", std::move(values)}}));
  operation_.steps.push_back(std::move(step));
  return absl::OkStatus();
}

// Resetting an execution makes a new run, whose history begins with that of the
// first up to here.
absl::Status HistoryReader::TakeReset(const HistoryEvent& event) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view cause, event.attributes.Text("cause"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view run, event.attributes.Name("newRunId"));
  if (!run.empty() && KindOf(cause).ends_with("resetworkflow")) run_ = run;
  return absl::OkStatus();
}

absl::Status HistoryReader::TakeMarker(const HistoryEvent& event) {
  Json marker = Json::MakeObject({{"event_id", Json::String(event.id)}});
  if (const Json* name = event.attributes.Find("markerName")) marker.Set("name", *name);
  NIMBUS_ASSIGN_OR_RETURN(const Json* details,
                          event.attributes.Optional("details", Json::Type::kObject));
  Json values = Json::MakeObject();
  for (size_t i = 0; details != nullptr && i < details->object().size(); ++i) {
    const auto& [key, value] = details->object()[i];
    NIMBUS_ASSIGN_OR_RETURN(
        Json decoded, DecodePayloads(&value, MemberPath(event.attributes.PathOf("details"), key)));
    values.Set(key, std::move(decoded));
  }
  marker.Set("details", std::move(values));
  markers_.push_back(std::move(marker));
  return absl::OkStatus();
}

absl::Status HistoryReader::TakeEnd(const HistoryEvent& event, Lifecycle status) {
  ended_ = true;
  operation_.status = status;
  operation_.ended_at_us = event.time_us;
  result_.Set("end", Json::String(event.type));
  NIMBUS_ASSIGN_OR_RETURN(Json result, DecodeResult(event.attributes, "result"));
  if (!result.IsNull()) result_.Set("result", std::move(result));
  for (const std::string_view key : {"failure", "reason", "newExecutionRunId"}) {
    if (const Json* value = event.attributes.Find(key)) result_.Set(key, *value);
  }
  if (status == Lifecycle::kCompleted) return absl::OkStatus();
  operation_.error = FailureText(event.attributes.Find("failure"));
  if (operation_.error.empty()) operation_.error = event.attributes.json().StringOr("reason");
  if (operation_.error.empty()) operation_.error = event.type;
  return absl::OkStatus();
}

absl::Status HistoryReader::Finish() {
  if (!ended_) {
    operation_.status = Lifecycle::kRunning;
  } else {
    if (!markers_.empty()) result_.Set("markers", Json::MakeArray(std::move(markers_)));
    operation_.output = result_.Dump();
    const auto &begin = operation_.created_at_us, &end = operation_.ended_at_us;
    if (begin && end && *end >= *begin) operation_.duration_ms = MillisecondsOf(*end - *begin);
  }
  SettleOpenCalls(&operation_);
  return absl::OkStatus();
}

// The array of events, wherever the document has it.
const Json* EventsOf(const Source& source) {
  const Json* document = DocumentOf(source);
  if (document == nullptr) return nullptr;
  const Json* events = document->IsArray() ? document : document->Find("events");
  return events != nullptr && events->IsArray() && !events->array().empty() ? events : nullptr;
}

}  // namespace

bool IsTemporalHistory(const Source& source) {
  const Json* events = EventsOf(source);
  if (events == nullptr) return false;
  const Json& first = events->array().front();
  return first.IsObject() && first.Find("eventId") != nullptr &&
         !first.StringOr("eventType").empty() && first.Find("event") == nullptr;
}

absl::StatusOr<Run> ReadTemporalHistory(const Source& source) {
  const Json& events = *EventsOf(source);
  const std::string path = DocumentOf(source)->IsArray() ? "" : "events";
  Operation operation;
  operation.type = "workflow";
  operation.end_record = 1;
  HistoryReader reader(&operation);
  for (size_t i = 0; i < events.array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(const HistoryEvent event,
                            ReadEvent(events.array()[i], ItemPath(path, i), i));
    NIMBUS_RETURN_IF_ERROR(reader.Take(event));
  }
  NIMBUS_RETURN_IF_ERROR(reader.Finish());
  operation.source_id = reader.run();

  Session session;
  session.source_id = reader.workflow();
  session.name = operation.name;
  session.context = reader.context();
  session.started_at_us = operation.created_at_us;
  session.operations.push_back(std::move(operation));
  Run run;
  run.format = kFormat;
  run.key = reader.run();
  run.sessions.push_back(std::move(session));
  return run;
}

}  // namespace nimbus::tools::import
