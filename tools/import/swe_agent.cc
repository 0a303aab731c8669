// SWE-agent trajectories (.traj): one JSON document per run, 0.x and 1.x.
//
// Each element of `trajectory` is an llm_call and, where it acted, a tool_call.
// The conversation is `history`, matched to the elements by what the model
// answered; what the agent told the model first is the user_input step
// "prompt". Documents with only a history are read from that, and a retrying
// agent's `attempts` become one operation each. No times are recorded.
#include <algorithm>
#include <iterator>
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

constexpr std::string_view kFormat = "swe-agent";
// State that was text is wrapped when it is kept: room within the journal's own depth.
constexpr schema::JsonLimits kStateLimits{.depth_max = schema::JsonLimits().depth_max - 12};
constexpr std::string_view kSubmit = "submit";  // the command that ends a run

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// One exchange with the model: an element of the trajectory, the model's
// message in the history, or both; and the history up to the next exchange.
struct Turn {
  const Json* element = nullptr;
  const Json* answer = nullptr;
  std::string path;  // of the element, else of the answer
  size_t index = 0;
  std::vector<const Json*> after;

  std::string_view Action() const {
    const std::string_view action = element == nullptr ? "" : element->StringOr("action");
    return Trimmed(action.empty() && answer != nullptr ? answer->StringOr("action") : action);
  }
  const Json* ToolCalls() const {
    const Json* calls = answer == nullptr ? nullptr : answer->Find("tool_calls");
    return calls == nullptr || calls->IsNull() ? nullptr : calls;
  }
};

struct Conversation {
  std::vector<const Json*> prompt;  // before the first turn
  std::vector<Turn> turns;
};

// One attempt as it stands in the document.
struct Attempt {
  Fields fields;
  const Json::Array* trajectory;
  const Json::Array* history;
};

const Json::Array& Empty() {
  static const Json::Array empty;
  return empty;
}

bool IsAnswer(const Json& message) {
  const Json* demo = message.Find("is_demo");
  const bool is_demo = demo != nullptr && demo->IsBool() && demo->boolean();
  return message.StringOr("role") == "assistant" && !is_demo;
}

absl::Status CheckHistory(const Fields& attempt, const Json::Array& history) {
  const std::string path = attempt.PathOf("history");
  for (size_t i = 0; i < history.size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields item, Fields::Of(history[i], ItemPath(path, i)));
    NIMBUS_RETURN_IF_ERROR(item.Required("role", Json::Type::kString).status());
    NIMBUS_RETURN_IF_ERROR(item.Text("action").status());
    NIMBUS_RETURN_IF_ERROR(item.Optional("tool_calls", Json::Type::kArray).status());
  }
  return absl::OkStatus();
}

absl::Status CheckTrajectory(const Fields& attempt, const Json::Array& trajectory) {
  const std::string path = attempt.PathOf("trajectory");
  for (size_t i = 0; i < trajectory.size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields element, Fields::Of(trajectory[i], ItemPath(path, i)));
    for (const std::string_view key : {"action", "response", "thought"}) {
      NIMBUS_RETURN_IF_ERROR(element.Text(key).status());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Attempt> ReadAttempt(const Json& value, std::string path) {
  NIMBUS_ASSIGN_OR_RETURN(Fields fields, Fields::Of(value, std::move(path)));
  NIMBUS_ASSIGN_OR_RETURN(const Json* trajectory,
                          fields.Optional("trajectory", Json::Type::kArray));
  NIMBUS_ASSIGN_OR_RETURN(const Json* history, fields.Optional("history", Json::Type::kArray));
  if (trajectory == nullptr && history == nullptr) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: an array is needed",
                 fields.PathOf("trajectory"));
  }
  Attempt attempt{.fields = fields,
                  .trajectory = trajectory == nullptr ? &Empty() : &trajectory->array(),
                  .history = history == nullptr ? &Empty() : &history->array()};
  NIMBUS_RETURN_IF_ERROR(CheckTrajectory(fields, *attempt.trajectory));
  NIMBUS_RETURN_IF_ERROR(CheckHistory(fields, *attempt.history));
  return attempt;
}

// Walks history and trajectory together. Both leave things out now and then:
// the history an answer that was asked for again or the last one, the
// trajectory a message of another agent. So an element that does not answer to
// the next message of the model stays alone if a later element does, and a
// message that no element answers to goes with the turn before it.
class Matcher {
 public:
  explicit Matcher(const Attempt& attempt) : attempt_(attempt) {
    for (const Json& element : *attempt.trajectory) ++responses_[element.StringOr("response")];
  }

  Conversation Match() {
    for (size_t i = 0; i < attempt_.trajectory->size(); ++i) {
      const Json& element = (*attempt_.trajectory)[i];
      Turn turn;
      turn.element = &element;
      turn.index = i;
      turn.path = ItemPath(attempt_.fields.PathOf("trajectory"), i);
      turn.answer = TakeAnswer(element);
      --responses_[element.StringOr("response")];
      conversation_.turns.push_back(std::move(turn));
      if (conversation_.turns.back().answer != nullptr) last_matched_ = i;
    }
    while (cursor_ < attempt_.history->size()) PassMessage();
    return std::move(conversation_);
  }

 private:
  // The model's message this element stands for; nullptr when the history has none.
  const Json* TakeAnswer(const Json& element) {
    while (FindNextAnswer()) {
      const Json& answer = (*attempt_.history)[next_];
      const bool same_text = next_text_ == element.StringOr("response");
      const auto later = responses_.find(next_text_);
      if (!same_text && later != responses_.end() && later->second > 0) return nullptr;
      const std::string_view action = Trimmed(element.StringOr("action"));
      const bool same =
          same_text || (!action.empty() && action == Trimmed(answer.StringOr("action")));
      while (cursor_ < next_) PassMessage();
      if (same) {
        ++cursor_;
        return &answer;
      }
      PassMessage();
    }
    return nullptr;
  }

  // Moves next_ to the model's first message at or after the cursor.
  bool FindNextAnswer() {
    const Json::Array& history = *attempt_.history;
    if (next_ >= cursor_ && next_found_) return true;
    next_ = std::max(next_, cursor_);
    while (next_ < history.size() && !IsAnswer(history[next_])) ++next_;
    next_found_ = next_ < history.size();
    if (next_found_) next_text_ = ContentText(history[next_].Find("content"));
    return next_found_;
  }

  // The message at the cursor follows the last turn found in the history.
  void PassMessage() {
    const Json* message = &(*attempt_.history)[cursor_++];
    if (last_matched_.has_value()) {
      conversation_.turns[*last_matched_].after.push_back(message);
    } else {
      conversation_.prompt.push_back(message);
    }
  }

  const Attempt& attempt_;
  Conversation conversation_;
  std::map<std::string_view, size_t, std::less<>> responses_;  // of elements not yet passed
  std::optional<size_t> last_matched_;
  size_t cursor_ = 0;  // history before it is passed
  size_t next_ = 0;
  bool next_found_ = false;
  std::string next_text_;  // of the message at next_, once found
};

Conversation ConversationOfHistory(const Attempt& attempt) {
  Conversation conversation;
  for (size_t i = 0; i < attempt.history->size(); ++i) {
    const Json& message = (*attempt.history)[i];
    if (IsAnswer(message)) {
      Turn turn;
      turn.answer = &message;
      turn.index = i;
      turn.path = ItemPath(attempt.fields.PathOf("history"), i);
      conversation.turns.push_back(std::move(turn));
    } else if (conversation.turns.empty()) {
      conversation.prompt.push_back(&message);
    } else {
      conversation.turns.back().after.push_back(&message);
    }
  }
  return conversation;
}

Conversation ReadConversation(const Attempt& attempt) {
  if (attempt.trajectory->empty()) return ConversationOfHistory(attempt);
  Conversation conversation = Matcher(attempt).Match();
  const Json* query = attempt.trajectory->front().Find("query");
  if (attempt.history->empty() && query != nullptr && query->IsArray()) {
    for (const Json& message : query->array()) conversation.prompt.push_back(&message);
  }
  return conversation;
}

// ---- Steps

// The issue: the first message to the model that is neither a system prompt nor
// a demonstration of another run.
const Json* IssueOf(const Conversation& conversation) {
  for (const Json* message : conversation.prompt) {
    const Json* demo = message->Find("is_demo");
    if (message->StringOr("role") == "user" && (demo == nullptr || demo->IsNull())) return message;
  }
  return nullptr;
}

Json SaidBy(std::string_view role, const Json* content) {
  return Json::MakeObject({{"role", Json::String(std::string(role))},
                           {"content", content == nullptr ? Json() : *content}});
}

bool HasText(const Json* value) { return !Trimmed(ContentText(value)).empty(); }

// The input the element itself records: `query` of 1.1, `messages` of 1.0.
std::string RecordedInput(const Turn& turn) {
  if (turn.element == nullptr) return {};
  for (const std::string_view key : {"query", "messages"}) {
    const Json* input = turn.element->Find(key);
    if (input != nullptr && !input->IsNull()) {
      return Json::MakeObject({{std::string(key), *input}}).Dump();
    }
  }
  return {};
}

Step ModelCall(const Turn& turn, bool acts) {
  Step step;
  step.source_id = fmt::format("turn-{}", turn.index);
  step.type = StepType::llm_call;
  step.input = RecordedInput(turn);
  if (turn.element == nullptr) {
    step.output = turn.answer->Dump();
  } else if (acts) {
    step.output = Without(*turn.element,
                          {"query", "messages", "action", "observation", "state", "execution_time"})
                      .Dump();
  } else {
    step.output = Without(*turn.element, {"query", "messages"}).Dump();
  }
  step.messages.push_back(
      turn.answer != nullptr ? *turn.answer : SaidBy("assistant", turn.element->Find("response")));
  return step;
}

// `state` is an object in 1.x and JSON in a string before.
Json StateOf(const Json& state) {
  if (!state.IsString()) return state;
  absl::StatusOr<Json> parsed = Json::Parse(Trimmed(state.string()), kStateLimits);
  return parsed.ok() ? *std::move(parsed) : state;
}

// The tool's name where the model called one, else the first word of the
// command, else the shell that ran it.
std::string ToolOf(const Turn& turn) {
  const Json* calls = turn.ToolCalls();
  if (calls != nullptr && !calls->array().empty()) {
    const Json* function = calls->array().front().Find("function");
    const std::string_view name = function == nullptr ? "" : function->StringOr("name");
    if (!name.empty()) return ToolName(name);
  }
  constexpr std::string_view kWord =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  const std::string_view action = turn.Action();
  const std::string_view word = action.substr(0, action.find_first_of(" \t\r\n"));
  const bool plain =
      !word.empty() && word.size() <= 64 && word.find_first_not_of(kWord) == std::string_view::npos;
  return plain ? std::string(word) : "bash";
}

absl::Status ReadElementOutcome(const Turn& turn, Step* step) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields element, Fields::Of(*turn.element, turn.path));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> us, element.Duration("execution_time"));
  if (us.has_value()) step->duration_ms = MillisecondsOf(*us);
  Json::Object output;
  for (const std::string_view key : {"observation", "state", "execution_time"}) {
    const Json* value = element.Find(key);
    if (value != nullptr) output.emplace_back(key, key == "state" ? StateOf(*value) : *value);
  }
  step->output = Json::MakeObject(std::move(output)).Dump();
  return absl::OkStatus();
}

// Whether the outcome of the turn's action is all there. The history of a run
// still going on gets the observation of the last action only with the next turn.
bool IsSettled(const Turn& turn, bool last_of_running) {
  if (turn.element == nullptr) return !turn.after.empty();
  const Json* observation = turn.element->Find("observation");
  if (observation == nullptr || observation->IsNull()) return false;
  return !last_of_running || turn.answer == nullptr || !turn.after.empty();
}

absl::Status ReadOutcome(const Turn& turn, Step* step) {
  for (const Json* message : turn.after) step->messages.push_back(*message);
  if (turn.element == nullptr) {
    step->output = turn.after.front()->Dump();
    return absl::OkStatus();
  }
  const Json* observation = turn.element->Find("observation");
  if (turn.answer == nullptr && HasText(observation)) {
    step->messages.push_back(SaidBy("user", observation));
  }
  return ReadElementOutcome(turn, step);
}

absl::StatusOr<Step> ToolCall(const Turn& turn, bool last_of_running) {
  Step step;
  step.source_id = fmt::format("turn-{}-action", turn.index);
  step.type = StepType::tool_call;
  step.tool_name = ToolOf(turn);
  Json::Object input;
  const Json& source = turn.element != nullptr ? *turn.element : *turn.answer;
  if (const Json* action = source.Find("action")) input.emplace_back("action", *action);
  if (const Json* calls = turn.ToolCalls()) input.emplace_back("tool_calls", *calls);
  step.input = Json::MakeObject(std::move(input)).Dump();
  if (IsSettled(turn, last_of_running)) {
    NIMBUS_RETURN_IF_ERROR(ReadOutcome(turn, &step));
  } else {
    step.status = Lifecycle::kRunning;
  }
  return step;
}

Step PromptStep(const Conversation& conversation) {
  Step step;
  step.source_id = "prompt";
  step.type = StepType::user_input;
  const Json* issue = IssueOf(conversation);
  step.input = (issue == nullptr ? conversation.prompt.back() : issue)->Dump();
  for (const Json* message : conversation.prompt) step.messages.push_back(*message);
  return step;
}

// Messages that answer no action are part of what is said to the model next;
// those after the last turn are returned.
absl::StatusOr<Json::Array> ReadSteps(const Conversation& conversation, Operation* operation) {
  if (!conversation.prompt.empty()) operation->steps.push_back(PromptStep(conversation));
  const bool running = operation->status == Lifecycle::kRunning;
  Json::Array unheard;
  for (const Turn& turn : conversation.turns) {
    const bool acts = !turn.Action().empty() || turn.ToolCalls() != nullptr;
    Step call = ModelCall(turn, acts);
    call.messages.insert(call.messages.begin(), std::make_move_iterator(unheard.begin()),
                         std::make_move_iterator(unheard.end()));
    unheard.clear();
    operation->steps.push_back(std::move(call));
    if (acts) {
      const bool last = &turn == &conversation.turns.back();
      NIMBUS_ASSIGN_OR_RETURN(Step action, ToolCall(turn, last && running));
      operation->steps.push_back(std::move(action));
    } else {
      for (const Json* message : turn.after) unheard.push_back(*message);
    }
  }
  return unheard;
}

// ---- Operation

absl::Status ReadUsage(const Fields& info, Usage* usage) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* stats, info.Optional("model_stats", Json::Type::kObject));
  if (stats == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*stats, info.PathOf("model_stats")));
  NIMBUS_ASSIGN_OR_RETURN(usage->input, fields.Count("tokens_sent"));
  NIMBUS_ASSIGN_OR_RETURN(usage->output, fields.Count("tokens_received"));
  usage->total = SumOf(*usage);
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> cost, fields.Picodollars("instance_cost"));
  if (cost.has_value()) usage->cost_microdollars = MicrodollarsOf(*cost);
  return absl::OkStatus();
}

// A run that recorded no exit status is still going on, unless the last thing
// it did was to submit.
Lifecycle LifecycleWithoutExit(const Conversation& conversation) {
  if (conversation.turns.empty()) return Lifecycle::kRunning;
  const std::string_view action = conversation.turns.back().Action();
  const std::string_view command = action.substr(0, action.find_first_of(" \t\r\n"));
  return command == kSubmit ? Lifecycle::kCompleted : Lifecycle::kRunning;
}

// Status, usage and result, as `info` tells them; the result is returned.
absl::StatusOr<Json> ReadInfo(const Attempt& attempt, const Conversation& conversation,
                              Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* recorded,
                          attempt.fields.Optional("info", Json::Type::kObject));
  Json result = recorded == nullptr ? Json::MakeObject() : *recorded;
  NIMBUS_ASSIGN_OR_RETURN(const Fields info, Fields::Of(result, attempt.fields.PathOf("info")));
  NIMBUS_RETURN_IF_ERROR(ReadUsage(info, &operation->usage));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view exit, info.Text("exit_status"));
  operation->status = exit.empty() ? LifecycleWithoutExit(conversation) : LifecycleOfExit(exit);
  // "submitted (exit_cost)": handed in, but because a limit was reached.
  if (!exit.empty() && exit != "submitted") operation->error = exit;
  return result;
}

// The configuration of the run: JSON in a string in 1.x, an object elsewhere.
std::string PlanOf(const Fields& attempt) {
  const Json* config = attempt.Find("replay_config");
  if (config == nullptr) return {};
  const bool is_json = config->IsString() && schema::ValidateJson(config->string()).ok();
  return is_json ? config->string() : config->Dump();
}

absl::StatusOr<Operation> ReadOperation(const Attempt& attempt, const Conversation& conversation) {
  Operation operation;
  operation.type = "generate";
  operation.end_record = 1;
  operation.plan = PlanOf(attempt.fields);
  Json::Object input;
  if (const Json* environment = attempt.fields.Find("environment")) {
    input.emplace_back("environment", *environment);
  }
  if (const Json* issue = IssueOf(conversation)) input.emplace_back("message", *issue);
  operation.input = Json::MakeObject(std::move(input)).Dump();
  NIMBUS_ASSIGN_OR_RETURN(Json result, ReadInfo(attempt, conversation, &operation));
  NIMBUS_ASSIGN_OR_RETURN(Json::Array unheard, ReadSteps(conversation, &operation));
  SettleOpenCalls(&operation);
  if (!unheard.empty()) result.Set("closing_messages", Json::MakeArray(std::move(unheard)));
  if (operation.status != Lifecycle::kRunning) operation.output = result.Dump();
  return operation;
}

// The attempts of the document: `attempts` where there are any, of which the
// top level then repeats the best; else the document itself.
absl::StatusOr<std::vector<Attempt>> ReadAttempts(const Fields& document) {
  std::vector<Attempt> attempts;
  NIMBUS_ASSIGN_OR_RETURN(const Json* list, document.Optional("attempts", Json::Type::kArray));
  for (size_t i = 0; list != nullptr && i < list->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(
        Attempt attempt, ReadAttempt(list->array()[i], ItemPath(document.PathOf("attempts"), i)));
    attempts.push_back(std::move(attempt));
  }
  if (!attempts.empty()) return attempts;
  NIMBUS_ASSIGN_OR_RETURN(Attempt attempt, ReadAttempt(document.json(), document.path()));
  attempts.push_back(std::move(attempt));
  return attempts;
}

absl::StatusOr<Json> ReadContext(const Fields& document) {
  Json context = Json::MakeObject({{"agent", Json::String("SWE-agent")}});
  if (const Json* environment = document.Find("environment")) {
    context.Set("environment", *environment);
  }
  NIMBUS_ASSIGN_OR_RETURN(const Json* info, document.Optional("info", Json::Type::kObject));
  for (const std::string_view key : {"swe_agent_version", "swe_agent_hash", "swe_rex_version",
                                     "swe_rex_hash", "best_attempt_idx", "rloop_model_stats"}) {
    const Json* value = info == nullptr ? nullptr : info->Find(key);
    if (value != nullptr && !value->IsNull()) context.Set(key, *value);
  }
  return context;
}

Json::Array Opening(const Conversation& conversation) {
  Json::Array opening;
  for (const Json* message : conversation.prompt) opening.push_back(*message);
  if (!conversation.turns.empty()) {
    const Turn& first = conversation.turns.front();
    opening.push_back(first.answer != nullptr
                          ? *first.answer
                          : SaidBy("assistant", first.element->Find("response")));
  }
  return opening;
}

// The elements of a history that tell it from those of other programs.
bool IsSweAgentHistory(const Json& history) {
  if (!history.IsArray() || history.array().empty()) return false;
  const Json& first = history.array().front();
  return first.Find("role") != nullptr && first.Find("content") != nullptr &&
         (first.Find("agent") != nullptr || first.Find("message_type") != nullptr);
}

}  // namespace

bool IsSweAgent(const Source& source) {
  const Json* document = DocumentOf(source);
  if (document == nullptr) return false;
  const Json* trajectory = document->Find("trajectory");
  const Json* history = document->Find("history");
  const Json* attempts = document->Find("attempts");
  if (trajectory != nullptr && (history != nullptr || document->Find("info") != nullptr)) {
    return true;
  }
  if (attempts != nullptr && attempts->IsArray() && !attempts->array().empty()) {
    return attempts->array().front().Find("trajectory") != nullptr;
  }
  return history != nullptr && IsSweAgentHistory(*history);
}

absl::StatusOr<Run> ReadSweAgent(const Source& source) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*DocumentOf(source), ""));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Attempt> attempts, ReadAttempts(fields));
  Session session;
  session.name = StemOf(source);
  NIMBUS_ASSIGN_OR_RETURN(session.context, ReadContext(fields));
  for (size_t i = 0; i < attempts.size(); ++i) {
    const Conversation conversation = ReadConversation(attempts[i]);
    NIMBUS_ASSIGN_OR_RETURN(Operation operation, ReadOperation(attempts[i], conversation));
    operation.source_id = fmt::format("attempt-{}", i);
    operation.name = session.name;
    operation.first_record = i == 0 ? 0 : 1;  // the one record tells of all
    if (i == 0) session.source_id = ConversationKey(kFormat, Opening(conversation));
    session.operations.push_back(std::move(operation));
  }
  Run run;
  run.format = kFormat;
  run.key = session.source_id;
  run.sessions.push_back(std::move(session));
  return run;
}

}  // namespace nimbus::tools::import
