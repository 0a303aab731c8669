// tau-bench results: an array of runs, each the conversation of an agent with a
// simulated user about one task, and what the benchmark thinks of how it ended.
//
// A run is an operation. Messages of the user are user_inputs, those of the model
// llm_calls, what it called tool_calls, and the reward is a verification. No
// times and no tokens are recorded; the recorded cost is the simulated user's and
// not the agent's, so it stays in the output.
#include <map>
#include <string>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/import/document.h"
#include "tools/import/format.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Error;
using schema::Json;
using schema::fb::StepType;

constexpr std::string_view kFormat = "tau-bench";

class ConversationReader {
 public:
  explicit ConversationReader(Operation* operation) : operation_(*operation) {}

  absl::Status Take(const Fields& message, size_t index);
  // What was said up to and including the first answer.
  const Json::Array& opening() const { return opening_; }

 private:
  Step BeginStep(StepType type, std::string id, const Json& message);
  absl::Status TakeAnswer(const Fields& message, size_t index);
  absl::Status TakeResult(const Fields& message, size_t index);

  Operation& operation_;
  bool answered_ = false;
  Json::Array opening_;
  Json::Array unheard_;                               // system messages: part of what comes next
  std::map<std::string, size_t, std::less<>> calls_;  // steps without a result, by call id
};

Step ConversationReader::BeginStep(StepType type, std::string id, const Json& message) {
  Step step;
  step.source_id = std::move(id);
  step.type = type;
  step.messages = std::exchange(unheard_, {});
  step.messages.push_back(message);
  return step;
}

absl::Status ConversationReader::Take(const Fields& message, size_t index) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view role, message.Text("role"));
  if (!answered_) opening_.push_back(message.json());
  if (role == "assistant") return TakeAnswer(message, index);
  if (role == "tool") return TakeResult(message, index);
  if (role == "user") {
    Step step = BeginStep(StepType::user_input, fmt::format("message-{}", index), message.json());
    step.input = message.json().Dump();
    operation_.steps.push_back(std::move(step));
    return absl::OkStatus();
  }
  unheard_.push_back(message.json());
  return absl::OkStatus();
}

absl::Status ConversationReader::TakeAnswer(const Fields& message, size_t index) {
  answered_ = true;
  Step answer = BeginStep(StepType::llm_call, fmt::format("message-{}", index), message.json());
  answer.input = "{}";
  answer.output = message.json().Dump();
  operation_.steps.push_back(std::move(answer));
  NIMBUS_ASSIGN_OR_RETURN(const Json* calls, message.Optional("tool_calls", Json::Type::kArray));
  for (size_t i = 0; calls != nullptr && i < calls->array().size(); ++i) {
    const std::string path = ItemPath(message.PathOf("tool_calls"), i);
    NIMBUS_ASSIGN_OR_RETURN(const Fields call, Fields::Of(calls->array()[i], path));
    NIMBUS_ASSIGN_OR_RETURN(const Json* object, call.Required("function", Json::Type::kObject));
    NIMBUS_ASSIGN_OR_RETURN(const Fields function, Fields::Of(*object, call.PathOf("function")));
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view id, call.Text("id"));
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, function.Text("name"));
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view arguments, function.Text("arguments"));
    Step step;
    step.source_id = fmt::format("message-{}-call-{}", index, i);
    step.type = StepType::tool_call;
    step.tool_name = name.empty() ? "tool" : ToolName(name);
    step.status = Lifecycle::kRunning;
    // A string of JSON, or what the model made of it.
    step.input = schema::ValidateJson(arguments).ok() ? std::string(arguments) : object->Dump();
    calls_[std::string(id)] = operation_.steps.size();
    operation_.steps.push_back(std::move(step));
  }
  return absl::OkStatus();
}

absl::Status ConversationReader::TakeResult(const Fields& message, size_t index) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view id, message.Text("tool_call_id"));
  const auto at = calls_.find(id);
  if (at == calls_.end())
    return Error(absl::StatusCode::kInvalidArgument, "{}: message {} answers no call",
                 message.PathOf("tool_call_id"), index);
  Step& step = operation_.steps[at->second];
  calls_.erase(at);
  const std::string text = ContentText(message.Find("content"));
  const bool failed = text.starts_with("Error: ");  // how the environment tells of one
  step.status = failed ? Lifecycle::kFailed : Lifecycle::kCompleted;
  if (failed) step.error = text;
  step.output = message.json().Dump();
  step.messages.push_back(message.json());
  return absl::OkStatus();
}

// 1 is the whole reward.
absl::Status ReadReward(const Fields& run, const Json* info, Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* reward, run.Required("reward", Json::Type::kNumber));
  const bool reached = reward->AsDouble().value_or(0) >= 1;
  Json output = Json::MakeObject({{"reward", *reward}});
  const Json* reward_info = info == nullptr ? nullptr : info->Find("reward_info");
  if (reward_info != nullptr) output.Set("reward_info", *reward_info);
  Step step;
  step.source_id = "reward";
  step.type = StepType::verification;
  step.input = "{}";
  step.output = output.Dump();
  step.status = reached ? Lifecycle::kCompleted : Lifecycle::kFailed;
  operation->steps.push_back(std::move(step));
  operation->status = reached ? Lifecycle::kCompleted : Lifecycle::kFailed;
  const Json* error = info == nullptr ? nullptr : info->Find("error");
  if (error != nullptr && !error->IsNull()) {
    operation->status = Lifecycle::kFailed;
    operation->error = error->IsString() ? error->string() : error->Dump();
  } else if (!reached) {
    operation->error = fmt::format("reward {}", reward->number());
  }
  for (const std::string_view key : {"user_cost", "error", "traceback"}) {
    const Json* value = info == nullptr ? nullptr : info->Find(key);
    if (value != nullptr && !value->IsNull()) output.Set(key, *value);
  }
  operation->output = output.Dump();
  return absl::OkStatus();
}

absl::StatusOr<Operation> ReadRun(const Fields& run, Json::Array* opening) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* task_id, run.Required("task_id", Json::Type::kNumber));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> trial, run.Count("trial"));
  NIMBUS_ASSIGN_OR_RETURN(const Json* info, run.Optional("info", Json::Type::kObject));
  NIMBUS_ASSIGN_OR_RETURN(const Json* messages, run.Required("traj", Json::Type::kArray));
  Operation operation;
  operation.source_id = fmt::format("task-{}-trial-{}", task_id->number(), trial.value_or(0));
  operation.name = operation.source_id;
  operation.type = "chat";
  operation.end_record = 1;
  Json input = Json::MakeObject({{"task_id", *task_id}});
  if (trial.has_value()) input.Set("trial", Json::Uint(*trial));
  const Json* task = info == nullptr ? nullptr : info->Find("task");
  if (task != nullptr) input.Set("task", *task);
  operation.input = input.Dump();
  ConversationReader reader(&operation);
  for (size_t i = 0; i < messages->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields message,
                            Fields::Of(messages->array()[i], ItemPath(run.PathOf("traj"), i)));
    NIMBUS_RETURN_IF_ERROR(reader.Take(message, i));
  }
  NIMBUS_RETURN_IF_ERROR(ReadReward(run, info, &operation));
  SettleOpenCalls(&operation);
  *opening = reader.opening();
  return operation;
}

}  // namespace

bool IsTauBench(const Source& source) {
  const Json* document = DocumentOf(source);
  if (document == nullptr || !document->IsArray() || document->array().empty()) return false;
  const Json& first = document->array().front();
  for (const std::string_view key : {"task_id", "reward", "traj"}) {
    if (first.Find(key) == nullptr) return false;
  }
  return true;
}

absl::StatusOr<Run> ReadTauBench(const Source& source) {
  const Json::Array& runs = DocumentOf(source)->array();
  Session session;
  session.name = StemOf(source);
  session.context = Json::MakeObject({{"agent", Json::String("tau-bench")}});
  for (size_t i = 0; i < runs.size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields run, Fields::Of(runs[i], ItemPath("", i)));
    Json::Array opening;
    NIMBUS_ASSIGN_OR_RETURN(Operation operation, ReadRun(run, &opening));
    operation.first_record = i == 0 ? 0 : 1;  // the one record tells of all
    if (i == 0) session.source_id = ConversationKey(kFormat, opening);
    session.operations.push_back(std::move(operation));
  }
  Run run;
  run.format = kFormat;
  run.key = session.source_id;
  run.sessions.push_back(std::move(session));
  return run;
}

}  // namespace nimbus::tools::import
