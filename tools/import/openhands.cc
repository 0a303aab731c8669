// OpenHands: the event stream of one conversation (an array, V0), and the output
// of its batch runs (JSONL, one task and its events a line).
//
// In a stream a message of the user begins an operation, and the agent ends it when
// it finishes or waits for an answer; a line of output is one.
// An action of the agent comes from an answer of the model: one llm_call, even if
// it leads to several actions. What is executed (run, edit, browse, …) is a
// tool_call, and the observation that names it as its cause is the result. Other
// events (of the environment, of the agent's state) are no steps.
//
// Times are recorded without a zone and taken as UTC; the context says so.
#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/import/document.h"
#include "tools/import/format.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;

constexpr std::string_view kEvents = "openhands";
constexpr std::string_view kOutput = "openhands-output";
// Actions that nothing is executed for.
constexpr std::string_view kTalk[] = {"message",
                                      "finish",
                                      "reject",
                                      "null",
                                      "system",
                                      "recall",
                                      "condensation",
                                      "condensation_request",
                                      "change_agent_state"};

bool IsOneOf(std::string_view action, std::span<const std::string_view> actions) {
  return std::find(actions.begin(), actions.end(), action) != actions.end();
}

std::string IdText(const Json* id) {
  if (id == nullptr) return {};
  return id->IsString() ? id->string() : id->Dump();
}

// ---- Steps

absl::StatusOr<Usage> ReadUsage(const Fields& usage) {
  Usage out;
  NIMBUS_ASSIGN_OR_RETURN(out.input, usage.Count("prompt_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(out.output, usage.Count("completion_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(out.total, usage.Count("total_tokens"));
  if (!out.total.has_value()) out.total = SumOf(out);  // cached tokens are in the input's
  NIMBUS_ASSIGN_OR_RETURN(out.cache_read, usage.Count("cache_read_input_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(out.cache_write, usage.Count("cache_creation_input_tokens"));
  return out;
}

// The exit code, wherever this version has it.
std::optional<int64_t> ExitCodeOf(const Json& observation) {
  for (const Json* code :
       {observation.FindPath({"extras", "metadata", "exit_code"}),
        observation.FindPath({"extras", "exit_code"}), observation.Find("exit_code")}) {
    if (code != nullptr && code->AsInt().has_value()) return code->AsInt();
  }
  return std::nullopt;
}

// How the action ended that the observation is of. An exit code of -1 is that of
// a command that has not ended.
void ReadStatus(const Fields& observation, std::string_view kind, Step* step) {
  const Json* success = observation.Find("success");
  const int64_t exit_code = ExitCodeOf(observation.json()).value_or(0);
  step->status = Lifecycle::kCompleted;
  if (kind == "user_rejected") {
    step->status = Lifecycle::kCancelled;
    step->error = "rejected by the user";
  } else if (kind == "error") {
    step->status = Lifecycle::kFailed;
    step->error = ContentText(observation.Find("content"));
  } else if (exit_code > 0) {
    step->status = Lifecycle::kFailed;
    step->error = fmt::format("exit code {}", exit_code);
  } else if (success != nullptr && success->IsBool() && !success->boolean() && exit_code == 0) {
    step->status = Lifecycle::kFailed;
    step->error = "not successful";
  }
}

// Makes steps of the events of one operation.
class TurnReader {
 public:
  explicit TurnReader(Operation* operation) : operation_(operation) {}

  void BeginOperation(Operation* operation) { operation_ = operation; }

  absl::Status TakePrompt(const Fields& event, std::string_view id);
  absl::Status TakeAction(const Fields& event, std::string_view action, std::string id);
  absl::Status TakeObservation(const Fields& event, std::string_view kind);

  // The agent has said the last word for now, and which.
  const std::optional<Lifecycle>& settled() const { return settled_; }
  const std::string& error() const { return error_; }
  // The operation is over: nothing that follows answers its calls.
  void Forget() {
    calls_.clear();
    Unsettle();
  }

 private:
  void Unsettle() {
    settled_.reset();
    error_.clear();
  }
  absl::Status TakeAnswer(const Fields& event, const Json* response, std::string id);
  absl::Status ReadResponse(const Fields& event, const Json& response, Step* step);
  absl::Status ReadCost(const Fields& event, Step* step);
  void TakeState(const Json& event);

  Operation* operation_;
  std::map<std::string, size_t> calls_;  // tool_calls without a result, by the action's id
  std::set<std::string> responses_;      // of which an llm_call was made
  Json::Array unheard_;
  std::optional<Lifecycle> settled_;
  std::string error_;
  CostMeter meter_;
  int64_t picodollars_ = 0;  // spent so far
};

absl::Status TurnReader::TakePrompt(const Fields& event, std::string_view id) {
  Step step;
  step.source_id = id;
  step.type = StepType::user_input;
  step.input = event.json().Dump();
  NIMBUS_ASSIGN_OR_RETURN(step.ended_at_us, event.UtcText("timestamp"));
  step.started_at_us = step.ended_at_us;
  step.messages = std::exchange(unheard_, {});
  const Json* content = event.json().FindPath({"args", "content"});
  if (content == nullptr) content = event.Find("content");
  step.messages.push_back(Json::MakeObject(
      {{"role", Json::String("user")}, {"content", content == nullptr ? Json() : *content}}));
  operation_->steps.push_back(std::move(step));
  Unsettle();
  return absl::OkStatus();
}

absl::Status TurnReader::TakeAction(const Fields& event, std::string_view action, std::string id) {
  if (action == "system") {
    const Json* content = event.json().FindPath({"args", "content"});
    unheard_.push_back(Json::MakeObject(
        {{"role", Json::String("system")}, {"content", content == nullptr ? Json() : *content}}));
    return absl::OkStatus();
  }
  const bool executed = !IsOneOf(action, kTalk);
  if (!executed && action != "message" && action != "finish" && action != "reject")
    return absl::OkStatus();
  Unsettle();
  const Json* response = event.json().FindPath({"tool_call_metadata", "model_response"});
  NIMBUS_RETURN_IF_ERROR(TakeAnswer(event, response, id));
  const Json* waits = event.json().FindPath({"args", "wait_for_response"});
  const bool goes_on = waits != nullptr && waits->IsBool() && !waits->boolean();
  if (action == "finish" || (action == "message" && !goes_on)) settled_ = Lifecycle::kCompleted;
  if (action == "reject") {
    settled_ = Lifecycle::kFailed;
    error_ = "rejected by the agent";
  }
  if (!executed) return absl::OkStatus();
  Step step;
  step.source_id = id + "-action";
  step.type = StepType::tool_call;
  const Json* name = event.json().FindPath({"tool_call_metadata", "function_name"});
  const bool named = name != nullptr && name->IsString() && !name->string().empty();
  step.tool_name = ToolName(named ? std::string_view(name->string()) : action);
  step.status = Lifecycle::kRunning;
  const Json* args = event.Find("args");
  step.input =
      Json::MakeObject({{"action", Json::String(std::string(action))},
                        {"args", args == nullptr ? Without(event.json(), {"action"}) : *args}})
          .Dump();
  NIMBUS_ASSIGN_OR_RETURN(step.started_at_us, event.UtcText("timestamp"));
  const Json* recorded = event.Find("id");
  calls_[recorded == nullptr ? std::string() : IdText(recorded)] = operation_->steps.size();
  operation_->steps.push_back(std::move(step));
  return absl::OkStatus();
}

// The answer of the model that led to the action, unless it led to another before.
absl::Status TurnReader::TakeAnswer(const Fields& event, const Json* response, std::string id) {
  if (response != nullptr && response->IsObject()) {
    const std::string_view response_id = response->StringOr("id");
    if (!response_id.empty() && !responses_.emplace(response_id).second) return absl::OkStatus();
  } else {
    response = nullptr;
  }
  Step step;
  step.source_id = std::move(id);
  step.type = StepType::llm_call;
  step.input = "{}";
  step.output =
      response == nullptr ? Without(event.json(), {"tool_call_metadata"}).Dump() : response->Dump();
  NIMBUS_ASSIGN_OR_RETURN(step.ended_at_us, event.UtcText("timestamp"));
  Json said = Json::MakeObject({{"role", Json::String("assistant")}});
  const Json* content = nullptr;
  for (const auto& path : {std::pair{"args", "thought"}, {"args", "content"}}) {
    const Json* text = event.json().FindPath({path.first, path.second});
    if (content == nullptr && text != nullptr && !ContentText(text).empty()) content = text;
  }
  for (const std::string_view key : {"thought", "content"}) {
    if (content == nullptr) content = event.Find(key);
  }
  said.Set("content", content == nullptr ? Json() : *content);
  if (response != nullptr) NIMBUS_RETURN_IF_ERROR(ReadResponse(event, *response, &step));
  NIMBUS_RETURN_IF_ERROR(ReadCost(event, &step));
  AddUsage(step.usage, &operation_->usage);
  step.messages = std::exchange(unheard_, {});
  step.messages.push_back(std::move(said));
  operation_->steps.push_back(std::move(step));
  return absl::OkStatus();
}

absl::Status TurnReader::ReadResponse(const Fields& event, const Json& response, Step* step) {
  const std::string path = event.PathOf("tool_call_metadata.model_response");
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(response, path));
  if (const Json* model = fields.Find("model"))
    step->input = Json::MakeObject({{"model", *model}}).Dump();
  NIMBUS_ASSIGN_OR_RETURN(const Json* usage, fields.Optional("usage", Json::Type::kObject));
  if (usage == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields counts, Fields::Of(*usage, fields.PathOf("usage")));
  NIMBUS_ASSIGN_OR_RETURN(step->usage, ReadUsage(counts));
  return absl::OkStatus();
}

// Newer streams tell what the conversation has cost so far.
absl::Status TurnReader::ReadCost(const Fields& event, Step* step) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* metrics, event.Optional("llm_metrics", Json::Type::kObject));
  if (metrics == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*metrics, event.PathOf("llm_metrics")));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> spent,
                          fields.Picodollars("accumulated_cost"));
  if (!spent.has_value() || *spent < picodollars_) return absl::OkStatus();
  step->usage.cost_microdollars = meter_.Add(*spent - picodollars_);
  picodollars_ = *spent;
  return absl::OkStatus();
}

// What the state the agent is in now says of the operation.
void TurnReader::TakeState(const Json& event) {
  const Json* extras = event.Find("extras");
  const std::string_view name = extras == nullptr ? "" : extras->StringOr("agent_state");
  if (name == "error" || name == "rejected") {
    settled_ = Lifecycle::kFailed;
    const Json* reason = event.FindPath({"extras", "reason"});
    if (error_.empty() && reason != nullptr) error_ = ContentText(reason);
    if (error_.empty()) error_ = name;
  } else if (name == "stopped") {
    settled_ = Lifecycle::kCancelled;
    error_ = name;
  } else if (name == "finished") {
    settled_ = Lifecycle::kCompleted;
  }
}

absl::Status TurnReader::TakeObservation(const Fields& event, std::string_view kind) {
  if (kind == "agent_state_changed") TakeState(event.json());
  const Json* cause = event.Find("cause");
  const auto at = calls_.find(cause == nullptr ? std::string() : IdText(cause));
  if (at == calls_.end()) return absl::OkStatus();
  Step& step = operation_->steps[at->second];
  calls_.erase(at);
  ReadStatus(event, kind, &step);
  NIMBUS_ASSIGN_OR_RETURN(step.ended_at_us, event.UtcText("timestamp"));
  if (step.started_at_us && step.ended_at_us && *step.ended_at_us >= *step.started_at_us)
    step.duration_ms = MillisecondsOf(*step.ended_at_us - *step.started_at_us);
  step.output = Without(event.json(), {"tool_call_metadata"}).Dump();
  const Json* content = event.Find("content");
  step.messages.push_back(Json::MakeObject({{"role", Json::String("tool")},
                                            {"name", Json::String(step.tool_name)},
                                            {"content", content == nullptr ? Json() : *content}}));
  return absl::OkStatus();
}

// ---- A stream

class StreamReader {
 public:
  absl::Status Take(const Fields& event, size_t index);
  std::vector<Operation> Finish();
  // What was said up to and including the agent's first action.
  const Json::Array& opening() const { return opening_; }

 private:
  void Begin(const Fields& event, const std::string& id);
  void End(bool last);

  std::vector<Operation> operations_;
  TurnReader turn_{nullptr};
  bool open_ = false;
  bool acted_ = false;
  std::optional<int64_t> last_us_;
  Json::Array opening_;
};

absl::Status StreamReader::Take(const Fields& event, size_t index) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view source, event.Text("source"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view action, event.Text("action"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view observation, event.Text("observation"));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> time, event.UtcText("timestamp"));
  if (!acted_) opening_.push_back(event.json());
  const std::string id = fmt::format("event-{}", index);
  if (action == "message" && source == "user") {
    End(false);
    Begin(event, id);
    operations_.back().created_at_us = last_us_ = time;
    return turn_.TakePrompt(event, "prompt");
  }
  const bool acts = !action.empty() && source == "agent";
  acted_ = acted_ || (acts && action != "system");
  if (!open_ && acts && action != "system") {
    Begin(event, id);
    operations_.back().created_at_us = time;
  }
  if (!open_ && !acts) return absl::OkStatus();
  if (time.has_value() && (acts || !observation.empty())) last_us_ = time;
  if (acts) {
    NIMBUS_RETURN_IF_ERROR(turn_.TakeAction(event, action, id));
  } else if (!observation.empty()) {
    NIMBUS_RETURN_IF_ERROR(turn_.TakeObservation(event, observation));
  }
  if (turn_.settled()) End(false);
  return absl::OkStatus();
}

void StreamReader::Begin(const Fields& event, const std::string& id) {
  Operation operation;
  operation.source_id = id;
  operation.type = "chat";
  operation.input = event.json().Dump();
  const Json* content = event.json().FindPath({"args", "content"});
  operation.name = Headline(ContentText(content));
  operation.first_record = operations_.empty() ? 0 : 1;  // the one record tells of all
  operation.end_record = 1;
  operations_.push_back(std::move(operation));
  turn_.BeginOperation(&operations_.back());
  open_ = true;
}

// The last operation: nothing follows it, so it may go on.
void StreamReader::End(bool last) {
  if (!std::exchange(open_, false)) return;
  Operation& operation = operations_.back();
  operation.status = turn_.settled().value_or(last ? Lifecycle::kRunning : Lifecycle::kCompleted);
  operation.error = turn_.error();
  if (operation.status != Lifecycle::kRunning) {
    operation.ended_at_us = last_us_;
    for (auto step = operation.steps.rbegin(); step != operation.steps.rend(); ++step) {
      if (step->type != StepType::llm_call) continue;
      operation.output = step->messages.back().Dump();
      break;
    }
    const auto &begin = operation.created_at_us, &end = operation.ended_at_us;
    if (begin && end && *end >= *begin) operation.duration_ms = MillisecondsOf(*end - *begin);
  }
  SettleOpenCalls(&operation);
  turn_.Forget();
}

std::vector<Operation> StreamReader::Finish() {
  End(true);
  return std::move(operations_);
}

// ---- A line of output

absl::Status TakeHistoryItem(const Fields& event, size_t number, TurnReader* turn) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view source, event.Text("source"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view action, event.Text("action"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view observation, event.Text("observation"));
  const std::string id = fmt::format("event-{}", number);
  // Without a source the first message is the task.
  const bool of_user = source.empty() ? number == 0 : source == "user";
  if (action == "message" && of_user) return turn->TakePrompt(event, id);
  if (!action.empty() && source != "environment" && source != "user")
    return turn->TakeAction(event, action, id);
  return observation.empty() ? absl::OkStatus() : turn->TakeObservation(event, observation);
}

// Events, or pairs of an action and its observation.
absl::Status ReadHistory(const Fields& task, Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* history, task.Required("history", Json::Type::kArray));
  TurnReader turn(operation);
  size_t number = 0;
  for (size_t i = 0; i < history->array().size(); ++i) {
    const Json& item = history->array()[i];
    const std::string path = ItemPath(task.PathOf("history"), i);
    const size_t count = item.IsArray() ? item.array().size() : 1;
    for (size_t j = 0; j < count; ++j, ++number) {
      NIMBUS_ASSIGN_OR_RETURN(
          const Fields event,
          item.IsArray() ? Fields::Of(item.array()[j], ItemPath(path, j)) : Fields::Of(item, path));
      NIMBUS_RETURN_IF_ERROR(TakeHistoryItem(event, number, &turn));
    }
  }
  return absl::OkStatus();
}

// The cost of the task; of each answer too, where there is one for each.
absl::Status ReadMetrics(const Fields& task, Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* object, task.Optional("metrics", Json::Type::kObject));
  if (object == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields metrics, Fields::Of(*object, task.PathOf("metrics")));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> cost,
                          metrics.Picodollars("accumulated_cost"));
  if (cost.has_value()) operation->usage.cost_microdollars = MicrodollarsOf(*cost);
  NIMBUS_ASSIGN_OR_RETURN(const Json* costs, metrics.Optional("costs", Json::Type::kArray));
  std::vector<Step*> answers;
  for (Step& step : operation->steps) {
    if (step.type == StepType::llm_call) answers.push_back(&step);
  }
  if (costs == nullptr || costs->array().size() != answers.size()) return absl::OkStatus();
  CostMeter meter;
  for (size_t i = 0; i < answers.size(); ++i) {
    const Json& item = costs->array()[i];
    const auto pico = item.IsNumber() ? ScaledDecimal(item.number(), 12, Rounding::kNearest)
                                      : std::optional<int64_t>();
    if (!pico.has_value() || *pico < 0) continue;
    answers[i]->usage.cost_microdollars = meter.Add(*pico);
  }
  return absl::OkStatus();
}

absl::Status ReadOutcome(const Fields& task, Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<bool> success, task.Bool("success"));
  const Json* error = task.Find("error");
  if (error != nullptr) operation->error = error->IsString() ? error->string() : error->Dump();
  const bool failed = !operation->error.empty() || !success.value_or(true);
  operation->status = failed ? Lifecycle::kFailed : Lifecycle::kCompleted;
  operation->output =
      Without(task.json(), {"history", "instruction", "issue", "instance", "metadata"}).Dump();
  return absl::OkStatus();
}

absl::StatusOr<Operation> ReadTask(const Fields& task, size_t record) {
  Operation operation;
  operation.source_id = fmt::format("record-{}", record);
  operation.type = "generate";
  Json input = Json::MakeObject();
  for (const std::string_view key : {"instance_id", "instruction", "issue", "metadata"}) {
    if (const Json* value = task.Find(key)) input.Set(key, *value);
  }
  operation.input = input.Dump();
  const Json* title = task.json().FindPath({"issue", "title"});
  operation.name = Headline(task.json().StringOr(
      "instance_id", title != nullptr && title->IsString() ? title->string() : ""));
  NIMBUS_RETURN_IF_ERROR(ReadHistory(task, &operation));
  NIMBUS_RETURN_IF_ERROR(ReadMetrics(task, &operation));
  NIMBUS_RETURN_IF_ERROR(ReadOutcome(task, &operation));
  SettleOpenCalls(&operation);
  for (Step& step : operation.steps) step.added_record = step.ended_record = record;
  operation.first_record = operation.added_record = operation.planned_record =
      operation.ended_record = record;
  operation.end_record = record + 1;
  return operation;
}

bool IsEvent(const Json& value) {
  return (!value.StringOr("action").empty() || !value.StringOr("observation").empty()) &&
         !value.StringOr("source").empty() && value.Find("timestamp") != nullptr;
}

bool IsTask(const Json& value) {
  const Json* history = value.Find("history");
  return history != nullptr && history->IsArray() && value.Find("instruction") != nullptr &&
         value.Find("metrics") != nullptr;
}

}  // namespace

bool IsOpenHandsEvents(const Source& source) {
  const Json* document = DocumentOf(source);
  return document != nullptr && document->IsArray() && !document->array().empty() &&
         IsEvent(document->array().front());
}

absl::StatusOr<Run> ReadOpenHandsEvents(const Source& source) {
  const Json::Array& events = DocumentOf(source)->array();
  StreamReader reader;
  for (size_t i = 0; i < events.size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields event, Fields::Of(events[i], ItemPath("", i)));
    NIMBUS_RETURN_IF_ERROR(reader.Take(event, i));
  }
  Session session;
  session.source_id = ConversationKey(kEvents, reader.opening());
  session.context = Json::MakeObject({{"agent", Json::String("OpenHands")},
                                      {"time_zone", Json::String("not recorded, taken as UTC")}});
  session.operations = reader.Finish();
  if (!session.operations.empty()) {
    session.name = session.operations.front().name;
    session.started_at_us = session.operations.front().created_at_us;
  }
  Run run;
  run.format = kEvents;
  run.key = session.source_id;
  run.sessions.push_back(std::move(session));
  return run;
}

bool IsOpenHandsOutput(const Source& source) {
  return !source.archive && IsTask(source.records.front().value);
}

absl::StatusOr<Run> ReadOpenHandsOutput(const Source& source) {
  Session session;
  session.source_id = ConversationKey(kOutput, {source.records.front().value});
  session.name = StemOf(source);
  session.context = Json::MakeObject({{"agent", Json::String("OpenHands")}});
  for (size_t i = 0; i < source.records.size(); ++i) {
    const SourceRecord& record = source.records[i];
    const std::string path = fmt::format("line {}", record.line);
    NIMBUS_ASSIGN_OR_RETURN(const Fields task, Fields::Of(record.value, path));
    NIMBUS_ASSIGN_OR_RETURN(Operation operation, ReadTask(task, i));
    session.operations.push_back(std::move(operation));
  }
  Run run;
  run.format = kOutput;
  run.key = session.source_id;
  run.sessions.push_back(std::move(session));
  return run;
}

}  // namespace nimbus::tools::import
