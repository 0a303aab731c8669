// mini-swe-agent trajectories (.traj.json): the messages of one run, in three
// dialects. The first wrote the bare array of messages; 1.x wraps it with the
// run's outcome and keeps the provider's answer in each message; 2.x
// (trajectory format 1.1) adds the actions taken, return codes and times, and
// may hold tool calls or responses of the OpenAI Responses API.
//
// Each message of the model is an llm_call, each command it had run a
// tool_call, everything said before the first answer the user_input step
// "prompt". Messages that answer no command (a complaint about the answer's
// format, say) are part of what is said to the model next.
#include <charconv>
#include <iterator>
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

constexpr std::string_view kFormat = "mini-swe-agent";
constexpr std::string_view kShell = "bash";
// What the agent echoes to hand in its work; older versions said MINI or MICRO.
constexpr std::string_view kFinalOutputs[] = {"COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT",
                                              "SWE_AGENT_FINAL_OUTPUT"};
constexpr std::string_view kNewFence = "```mswea_bash_command";
constexpr std::string_view kOldFence = "```bash";

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool HandsIn(std::string_view text) {
  return Contains(text, kFinalOutputs[0]) || Contains(text, kFinalOutputs[1]);
}

bool IsModelMessage(const Json& message) {
  return message.StringOr("role") == "assistant" || message.StringOr("object") == "response";
}

const Json* ExtraOf(const Json& message, std::string_view key) {
  const Json* value = message.FindPath({"extra", key});
  return value == nullptr || value->IsNull() ? nullptr : value;
}

// What a person typed between two answers: a command of their own, or a comment.
bool IsHumanInput(const Json& message) {
  if (message.StringOr("role") != "user") return false;
  if (ExtraOf(message, "actions") != nullptr) return true;
  const Json* interrupt = ExtraOf(message, "interrupt_type");
  return interrupt != nullptr && interrupt->IsString() && interrupt->string().starts_with("User");
}

// ---- Commands

struct Command {
  std::string id;  // the model's own for the call; empty in text dialects
  std::string tool = std::string(kShell);
  Json input;
  bool hands_in = false;
};

// The one fenced block of the answer. Anything but exactly one is a format
// error, and nothing was run.
std::optional<std::string> FencedCommand(std::string_view text, std::string_view fence) {
  std::optional<std::string> command;
  for (size_t at = text.find(fence); at != std::string_view::npos; at = text.find(fence, at)) {
    at += fence.size();
    const size_t begin = text.find('\n', at);
    if (begin == std::string_view::npos) break;
    const bool is_fence =
        text.substr(at, begin - at).find_first_not_of(" \t\r") == std::string::npos;
    const size_t end = text.find("\n```", begin);
    if (!is_fence || end == std::string_view::npos) continue;
    if (command.has_value()) return std::nullopt;
    command = end > begin ? std::string(text.substr(begin + 1, end - begin - 1)) : std::string();
    at = end + 4;
  }
  return command;
}

std::vector<Command> RecordedActions(const Json::Array& actions) {
  std::vector<Command> commands;
  for (const Json& action : actions) {
    Command command;
    command.id = action.StringOr("tool_call_id");
    command.input = action;
    command.hands_in = HandsIn(action.StringOr("command"));
    commands.push_back(std::move(command));
  }
  return commands;
}

std::vector<Command> CalledTools(const Json::Array& calls) {
  std::vector<Command> commands;
  for (const Json& call : calls) {
    Command command;
    command.id = call.StringOr("id");
    const Json* function = call.Find("function");
    const std::string_view name = function == nullptr ? "" : function->StringOr("name");
    if (!name.empty()) command.tool = ToolName(name);
    command.input = function == nullptr ? call : *function;
    command.hands_in = function != nullptr && HandsIn(function->StringOr("arguments"));
    commands.push_back(std::move(command));
  }
  return commands;
}

// What was run because of this message.
std::vector<Command> CommandsOf(const Json& message, std::string_view fence) {
  const Json* actions = ExtraOf(message, "actions");
  if (actions != nullptr && actions->IsArray()) return RecordedActions(actions->array());
  const Json* calls = message.Find("tool_calls");
  if (calls != nullptr && calls->IsArray() && !calls->array().empty()) {
    return CalledTools(calls->array());
  }
  const std::optional<std::string> text =
      FencedCommand(ContentText(message.Find("content")), fence);
  if (!text.has_value()) return {};
  Command command;
  command.input = Json::MakeObject({{"command", Json::String(*text)}});
  command.hands_in = HandsIn(*text);
  return {std::move(command)};
}

// ---- Outcomes

// "<returncode>N</returncode>\n<output>…</output>": what the agent is shown.
struct Observation {
  std::optional<int64_t> returncode;
  std::optional<std::string_view> output;
};

Observation ParseObservation(std::string_view text) {
  constexpr std::string_view kOpen = "<returncode>", kClose = "</returncode>";
  constexpr std::string_view kOutput = "<output>\n", kOutputEnd = "</output>";
  Observation observation;
  const size_t close = text.find(kClose);
  if (!text.starts_with(kOpen) || close == std::string_view::npos) return observation;
  const std::string_view digits = text.substr(kOpen.size(), close - kOpen.size());
  int64_t code = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code);
  if (error != std::errc() || end != digits.data() + digits.size()) return observation;
  observation.returncode = code;
  std::string_view rest = text.substr(close + kClose.size());
  if (rest.starts_with('\n')) rest.remove_prefix(1);
  if (rest.starts_with(kOutput) && rest.ends_with(kOutputEnd)) {
    observation.output =
        rest.substr(kOutput.size(), rest.size() - kOutput.size() - kOutputEnd.size());
  }
  return observation;
}

const Json* ContentOf(const Json& message) {
  const Json* content = message.Find("content");
  return content != nullptr ? content : message.Find("output");  // Responses API
}

// How the command ended, from what its message records or else says.
void ReadStatus(const Json& message, std::string_view text, const Observation& observation,
                Step* step) {
  const Json* exception = ExtraOf(message, "exception_info");
  const std::string reason = ContentText(exception);
  if (reason == "action was not executed" || text.starts_with("Command not executed") ||
      text.starts_with("Interrupted by user")) {
    step->status = Lifecycle::kCancelled;
    step->error = reason.empty() ? text : reason;
  } else if (!reason.empty()) {
    step->status = Lifecycle::kFailed;
    step->error = reason;
  } else if (observation.returncode.value_or(0) != 0) {
    step->status = Lifecycle::kFailed;
    step->error = fmt::format("return code {}", *observation.returncode);
  } else if (!observation.returncode.has_value() &&
             Contains(text, "timed out and has been killed")) {
    step->status = Lifecycle::kFailed;
    step->error = "timed out";
  } else {
    step->status = Lifecycle::kCompleted;
  }
}

absl::Status ReadOutcome(const Fields& message, Step* step) {
  const Json* content = ContentOf(message.json());
  const std::string text = ContentText(content);
  Observation observation = ParseObservation(text);
  const Json* recorded = ExtraOf(message.json(), "returncode");
  if (recorded != nullptr) observation.returncode = recorded->AsInt();
  ReadStatus(message.json(), text, observation, step);
  Json::Object output;
  if (observation.returncode.has_value()) {
    output.emplace_back("returncode", Json::Int(*observation.returncode));
  }
  if (observation.output.has_value()) {
    output.emplace_back("output", Json::String(std::string(*observation.output)));
  } else if (content != nullptr) {
    output.emplace_back("content", *content);
  }
  if (const Json* extra = message.Find("extra")) output.emplace_back("extra", *extra);
  step->output = Json::MakeObject(std::move(output)).Dump();
  step->messages.push_back(Without(message.json(), {"extra"}));
  NIMBUS_ASSIGN_OR_RETURN(const Json* extra, message.Optional("extra", Json::Type::kObject));
  if (extra == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*extra, message.PathOf("extra")));
  NIMBUS_ASSIGN_OR_RETURN(step->ended_at_us, fields.Time("timestamp"));
  return absl::OkStatus();
}

// ---- Model calls

absl::Status ReadTokens(const Fields& usage, Usage* out) {
  NIMBUS_ASSIGN_OR_RETURN(out->input, usage.Count("prompt_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(out->output, usage.Count("completion_tokens"));
  std::string_view details = "prompt_tokens_details";
  if (!out->input.has_value() && !out->output.has_value()) {  // the Responses API's words
    NIMBUS_ASSIGN_OR_RETURN(out->input, usage.Count("input_tokens"));
    NIMBUS_ASSIGN_OR_RETURN(out->output, usage.Count("output_tokens"));
    details = "input_tokens_details";
  }
  NIMBUS_ASSIGN_OR_RETURN(out->total, usage.Count("total_tokens"));
  if (!out->total.has_value()) out->total = SumOf(*out);  // cached tokens are in the input's
  NIMBUS_ASSIGN_OR_RETURN(const Json* cached, usage.Optional(details, Json::Type::kObject));
  if (cached == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*cached, usage.PathOf(details)));
  NIMBUS_ASSIGN_OR_RETURN(out->cache_read, fields.Count("cached_tokens"));
  return absl::OkStatus();
}

// The provider's answer: in the message's extra, or the message itself.
absl::StatusOr<std::optional<Fields>> ResponseOf(const Fields& message) {
  if (message.json().StringOr("object") == "response") return message;
  NIMBUS_ASSIGN_OR_RETURN(const Json* extra, message.Optional("extra", Json::Type::kObject));
  if (extra == nullptr) return std::nullopt;
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*extra, message.PathOf("extra")));
  NIMBUS_ASSIGN_OR_RETURN(const Json* response, fields.Optional("response", Json::Type::kObject));
  if (response == nullptr) return std::nullopt;
  NIMBUS_ASSIGN_OR_RETURN(Fields answer, Fields::Of(*response, fields.PathOf("response")));
  return answer;
}

struct ModelCall {
  Step step;
  std::optional<int64_t> picodollars;
};

absl::Status ReadResponse(const Fields& response, ModelCall* call) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view model, response.Text("model"));
  if (!model.empty()) {
    call->step.input = Json::MakeObject({{"model", Json::String(std::string(model))}}).Dump();
  }
  const std::string_view time = response.Find("created") != nullptr ? "created" : "created_at";
  NIMBUS_ASSIGN_OR_RETURN(call->step.started_at_us, response.Time(time));
  NIMBUS_ASSIGN_OR_RETURN(const Json* usage, response.Optional("usage", Json::Type::kObject));
  if (usage == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*usage, response.PathOf("usage")));
  NIMBUS_RETURN_IF_ERROR(ReadTokens(fields, &call->step.usage));
  NIMBUS_ASSIGN_OR_RETURN(call->picodollars, fields.Picodollars("cost"));
  return absl::OkStatus();
}

absl::StatusOr<ModelCall> ReadModelCall(const Fields& message, size_t index) {
  ModelCall call;
  call.step.source_id = fmt::format("message-{}", index);
  call.step.type = StepType::llm_call;
  call.step.output = message.json().Dump();
  call.step.messages.push_back(Without(message.json(), {"extra"}));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Fields> response, ResponseOf(message));
  if (response.has_value()) NIMBUS_RETURN_IF_ERROR(ReadResponse(*response, &call));
  NIMBUS_ASSIGN_OR_RETURN(const Json* extra, message.Optional("extra", Json::Type::kObject));
  if (extra == nullptr) return call;
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*extra, message.PathOf("extra")));
  NIMBUS_ASSIGN_OR_RETURN(call.step.ended_at_us, fields.Time("timestamp"));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> cost, fields.Picodollars("cost"));
  if (cost.has_value()) call.picodollars = cost;  // what the agent itself adds up
  return call;
}

// ---- The run

// Goes through the messages and builds the operation's steps.
class Walker {
 public:
  Walker(std::string_view fence, Operation* operation) : fence_(fence), operation_(*operation) {}

  absl::Status Take(const Json& value, std::string path, size_t index) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields message, Fields::Of(value, std::move(path)));
    NIMBUS_RETURN_IF_ERROR(message.Text("role").status());
    if (!answered_) opening_.push_back(value);
    if (IsModelMessage(value)) return TakeAnswer(message, index);
    if (!answered_) {
      prompt_.push_back(&value);
      return absl::OkStatus();
    }
    if (IsHumanInput(value)) return TakeHumanInput(message, index);
    if (Step* call = PendingCall(value)) return ReadOutcome(message, call);
    unheard_.push_back(Without(value, {"extra"}));
    return absl::OkStatus();
  }

  // The prompt becomes a step when there is no answer at all, too.
  void Finish() {
    if (!answered_) AddPrompt();
  }

  // Messages after the last answer that no command waited for.
  Json::Array TakeUnheard() { return std::move(unheard_); }
  // What was said up to and including the first answer.
  const Json::Array& opening() const { return opening_; }
  const Json* issue() const { return prompt_.empty() ? nullptr : prompt_.back(); }
  // The cost of all calls, when every one has a cost.
  std::optional<int64_t> cost_microdollars() const {
    if (calls_ == 0 || calls_with_cost_ != calls_) return std::nullopt;
    return meter_.microdollars();
  }
  // Whether the last command handed in the work and was answered.
  bool handed_in() const { return handed_in_; }

 private:
  struct Pending {
    size_t step;
    std::string id;
    bool hands_in;
  };

  void AddPrompt() {
    if (prompt_.empty()) return;
    Step step;
    step.source_id = "prompt";
    step.type = StepType::user_input;
    step.input = Without(*prompt_.back(), {"extra"}).Dump();
    for (const Json* message : prompt_) step.messages.push_back(Without(*message, {"extra"}));
    operation_.steps.push_back(std::move(step));
  }

  absl::Status TakeAnswer(const Fields& message, size_t index) {
    if (!answered_) AddPrompt();
    answered_ = true;
    NIMBUS_ASSIGN_OR_RETURN(ModelCall call, ReadModelCall(message, index));
    ++calls_;
    if (call.picodollars.has_value()) {
      ++calls_with_cost_;
      call.step.usage.cost_microdollars = meter_.Add(*call.picodollars);
    }
    HearUnheard(&call.step);
    operation_.steps.push_back(std::move(call.step));
    return AddCommands(message, index);
  }

  absl::Status TakeHumanInput(const Fields& message, size_t index) {
    Step step;
    step.source_id = fmt::format("message-{}", index);
    step.type = StepType::user_input;
    step.input = message.json().Dump();
    HearUnheard(&step);
    step.messages.push_back(Without(message.json(), {"extra"}));
    operation_.steps.push_back(std::move(step));
    return ExtraOf(message.json(), "actions") == nullptr ? absl::OkStatus()
                                                         : AddCommands(message, index);
  }

  void HearUnheard(Step* step) {
    step->messages.insert(step->messages.begin(), std::make_move_iterator(unheard_.begin()),
                          std::make_move_iterator(unheard_.end()));
    unheard_.clear();
  }

  absl::Status AddCommands(const Fields& message, size_t index) {
    pending_.clear();
    const std::vector<Command> commands = CommandsOf(message.json(), fence_);
    const std::optional<int64_t> asked_at_us = operation_.steps.back().ended_at_us;
    for (size_t i = 0; i < commands.size(); ++i) {
      const Command& command = commands[i];
      Step step;
      step.source_id = fmt::format("message-{}-action-{}", index, i);
      step.type = StepType::tool_call;
      step.tool_name = command.tool;
      step.input = command.input.Dump();
      step.status = Lifecycle::kRunning;
      step.started_at_us = asked_at_us;
      handed_in_ = false;
      pending_.push_back({operation_.steps.size(), command.id, command.hands_in});
      operation_.steps.push_back(std::move(step));
    }
    return absl::OkStatus();
  }

  // The call this message answers: the one it names, else the first.
  Step* PendingCall(const Json& message) {
    std::string_view id = message.StringOr("tool_call_id");
    if (id.empty()) id = message.StringOr("call_id");
    for (auto call = pending_.begin(); call != pending_.end(); ++call) {
      if (!id.empty() && call->id != id) continue;
      Step* step = &operation_.steps[call->step];
      handed_in_ = call->hands_in;
      pending_.erase(call);
      return step;
    }
    return nullptr;
  }

  std::string_view fence_;
  Operation& operation_;
  bool answered_ = false;
  bool handed_in_ = false;
  std::vector<const Json*> prompt_;
  std::vector<Pending> pending_;
  Json::Array unheard_, opening_;
  CostMeter meter_;
  size_t calls_ = 0, calls_with_cost_ = 0;
};

// The block the agent was told to write commands in.
std::string_view FenceOf(const Json::Array& messages) {
  for (const Json& message : messages) {
    if (IsModelMessage(message)) break;
    if (Contains(ContentText(message.Find("content")), kNewFence)) return kNewFence;
  }
  return kOldFence;
}

void SumUp(Operation* operation) {
  for (const Step& step : operation->steps) {
    AddUsage(step.usage, &operation->usage);
    const std::optional<int64_t> last =
        step.ended_at_us.has_value() ? step.ended_at_us : step.started_at_us;
    if (!operation->created_at_us.has_value()) {
      operation->created_at_us = step.started_at_us.has_value() ? step.started_at_us : last;
    }
    if (last.has_value()) operation->ended_at_us = last;
  }
  if (operation->created_at_us.has_value() &&
      *operation->ended_at_us >= *operation->created_at_us) {
    operation->duration_ms = MillisecondsOf(*operation->ended_at_us - *operation->created_at_us);
  }
}

// What `info` tells: status, plan, and the cost where not every call has one.
absl::Status ReadInfo(const Fields& info, const Walker& walker, Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view exit, info.Text("exit_status"));
  if (!exit.empty()) {
    operation->status = LifecycleOfExit(exit);
    if (operation->status != Lifecycle::kCompleted) operation->error = exit;
  }
  if (const Json* config = info.Find("config")) operation->plan = config->Dump();
  operation->usage.cost_microdollars = walker.cost_microdollars();
  NIMBUS_ASSIGN_OR_RETURN(const Json* stats, info.Optional("model_stats", Json::Type::kObject));
  if (stats == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*stats, info.PathOf("model_stats")));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> cost, fields.Picodollars("instance_cost"));
  if (cost.has_value() && !operation->usage.cost_microdollars.has_value()) {
    operation->usage.cost_microdollars = MicrodollarsOf(*cost);
  }
  return absl::OkStatus();
}

Json ReadContext(const Json& document, const Json& info) {
  Json context = Json::MakeObject({{"agent", Json::String("mini-swe-agent")}});
  const auto set = [&context](std::string_view key, const Json* value) {
    if (value != nullptr && !value->IsNull()) context.Set(key, *value);
  };
  set("version", info.Find("mini_version"));
  set("trajectory_format", document.Find("trajectory_format"));
  set("model", info.FindPath({"config", "model", "model_name"}));
  set("cwd", info.FindPath({"config", "environment", "cwd"}));
  set("image", info.FindPath({"config", "environment", "image"}));
  return context;
}

struct Messages {
  const Json::Array* list;
  std::string path;
};

absl::StatusOr<Messages> MessagesOf(const Json& document) {
  if (document.IsArray()) return Messages{&document.array(), ""};
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(document, ""));
  NIMBUS_ASSIGN_OR_RETURN(const Json* list, fields.Required("messages", Json::Type::kArray));
  return Messages{&list->array(), "messages"};
}

Json InfoOf(const Json& document) {
  const Json* info = document.Find("info");
  return info == nullptr || info->IsNull() ? Json::MakeObject() : *info;
}

// A bare array is mini-swe-agent's only if it speaks of what no other agent does.
bool IsBareConversation(const Json::Array& messages) {
  bool marked = false;
  for (const Json& message : messages) {
    const std::string_view role = message.StringOr("role");
    if (role != "system" && role != "user" && role != "assistant") return false;
    const std::string text = ContentText(message.Find("content"));
    marked = marked || HandsIn(text) || Contains(text, kNewFence);
  }
  return marked;
}

// Reads everything but the session's identity.
absl::StatusOr<Operation> ReadOperation(const Json& document, const Json& info_json,
                                        std::string* key) {
  NIMBUS_ASSIGN_OR_RETURN(const Messages messages, MessagesOf(document));
  NIMBUS_ASSIGN_OR_RETURN(const Fields info, Fields::Of(info_json, "info"));
  Operation operation;
  operation.source_id = "run";
  operation.type = "generate";
  operation.end_record = 1;
  Walker walker(FenceOf(*messages.list), &operation);
  for (size_t i = 0; i < messages.list->size(); ++i) {
    NIMBUS_RETURN_IF_ERROR(walker.Take((*messages.list)[i], ItemPath(messages.path, i), i));
  }
  walker.Finish();
  operation.status = walker.handed_in() ? Lifecycle::kCompleted : Lifecycle::kRunning;
  SumUp(&operation);
  NIMBUS_RETURN_IF_ERROR(ReadInfo(info, walker, &operation));
  SettleOpenCalls(&operation);
  const Json* issue = walker.issue();
  operation.input = issue == nullptr ? "{}" : Without(*issue, {"extra"}).Dump();
  Json result = Without(info_json, {"config"});
  Json::Array unheard = walker.TakeUnheard();
  if (!unheard.empty()) result.Set("closing_messages", Json::MakeArray(std::move(unheard)));
  if (operation.status != Lifecycle::kRunning) {
    operation.output = result.Dump();
  } else {
    operation.ended_at_us.reset();
    operation.duration_ms.reset();
  }
  *key = ConversationKey(kFormat, walker.opening());
  return operation;
}

}  // namespace

bool IsMiniSweAgent(const Source& source) {
  const Json* document = DocumentOf(source);
  if (document == nullptr) return false;
  if (document->IsArray()) return IsBareConversation(document->array());
  if (document->Find("messages") == nullptr) return false;
  const Json* version = document->FindPath({"info", "mini_version"});
  return version != nullptr ||
         document->StringOr("trajectory_format").starts_with("mini-swe-agent");
}

absl::StatusOr<Run> ReadMiniSweAgent(const Source& source) {
  const Json& document = *DocumentOf(source);
  const Json info = InfoOf(document);
  Run run;
  run.format = kFormat;
  NIMBUS_ASSIGN_OR_RETURN(Operation operation, ReadOperation(document, info, &run.key));
  const std::string_view instance = document.StringOr("instance_id");
  operation.name = instance.empty() ? StemOf(source) : instance;
  Session session;
  session.source_id = run.key;
  session.name = operation.name;
  session.context = ReadContext(document, info);
  session.started_at_us = operation.created_at_us;
  session.ended_at_us = operation.ended_at_us;
  session.operations.push_back(std::move(operation));
  run.sessions.push_back(std::move(session));
  return run;
}

}  // namespace nimbus::tools::import
