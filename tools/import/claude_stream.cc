// What `claude -p --output-format stream-json` prints: the messages of a run as
// they come, and a result at its end, with the cost that session files lack.
//
// From `init` (or the first message) to `result` is an operation; the prompt is
// not printed unless it was streamed in. Records of one message.id are one
// llm_call. What a sub-agent does is an operation of its own, a child of the one
// whose call it answers. No times are printed. Usage of messages is that of
// their beginning; the result's is the operation's.
//
// A session's file tells the same run with more detail: as another format it is
// another operation.
#include <algorithm>
#include <map>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/import/document.h"
#include "tools/import/format.h"
#include "tools/import/text.h"
#include "tools/import/turn.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;

constexpr std::string_view kFormat = "claude-code-stream";
constexpr size_t kRecordsTried = 16;  // until one shows the format

bool IsInit(const Json& record) {
  return record.StringOr("type") == "system" && record.StringOr("subtype") == "init" &&
         !record.StringOr("session_id").empty() && record.Find("tools") != nullptr;
}

Json Message(std::string_view role, Json content) {
  return Json::MakeObject(
      {{"role", Json::String(std::string(role))}, {"content", std::move(content)}});
}

absl::StatusOr<Usage> ReadUsage(const Fields& holder) {
  Usage usage;
  NIMBUS_ASSIGN_OR_RETURN(const Json* json, holder.Optional("usage", Json::Type::kObject));
  if (json == nullptr) return usage;
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*json, holder.PathOf("usage")));
  NIMBUS_ASSIGN_OR_RETURN(usage.input, fields.Count("input_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(usage.output, fields.Count("output_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(usage.cache_read, fields.Count("cache_read_input_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(usage.cache_write, fields.Count("cache_creation_input_tokens"));
  usage.total = SumOf(usage);
  return usage;
}

class Reader {
 public:
  explicit Reader(const Source& source) : source_(source) {
    turns_.reserve(source.records.size());  // references to turns last
  }

  absl::StatusOr<Run> Read() {
    for (index_ = 0; index_ < source_.records.size(); ++index_) {
      const SourceRecord& record = source_.records[index_];
      const absl::Status status = Take(record.value);
      if (!status.ok()) return schema::Annotate(status, fmt::format("line {}", record.line));
    }
    return Finish();
  }

 private:
  struct Call {
    size_t turn, step;
  };

  absl::Status Take(const Json& value) {
    if (!value.IsObject()) return absl::OkStatus();
    NIMBUS_ASSIGN_OR_RETURN(const Fields record, Fields::Of(value, ""));
    if (session_id_.empty()) session_id_ = value.StringOr("session_id");
    const std::string_view type = value.StringOr("type");
    if (IsInit(value)) return TakeInit(value);
    if (type == "result") return TakeResult(record);
    if (type != "assistant" && type != "user") return absl::OkStatus();
    NIMBUS_ASSIGN_OR_RETURN(const Json* json, record.Required("message", Json::Type::kObject));
    NIMBUS_ASSIGN_OR_RETURN(const Fields message, Fields::Of(*json, record.PathOf("message")));
    const size_t turn = TurnOf(value.StringOr("parent_tool_use_id"));
    turns_[turn].Touch(index_, std::nullopt);
    return type == "assistant" ? TakeAnswer(message, turn) : TakeUser(message, turn);
  }

  absl::Status TakeInit(const Json& init) {
    const std::pair<std::string_view, std::string_view> kKept[] = {
        {"cwd", "cwd"},
        {"model", "model"},
        {"claude_code_version", "version"},
        {"permissionMode", "permissionMode"}};
    for (const auto& [key, name] : kKept) {
      const Json* value = init.Find(key);
      if (value != nullptr && context_.Find(name) == nullptr) context_.Set(name, *value);
    }
    // Streamed prompts have an init each; it may come after the prompt.
    if (main_.has_value() && !turns_[*main_].ended && turns_[*main_].operation.steps.size() < 2)
      return absl::OkStatus();
    EndMain(index_);
    TurnOf("");
    return absl::OkStatus();
  }

  void EndMain(uint64_t record) {
    if (!main_.has_value()) return;
    for (const auto& [call, turn] : children_) turns_[turn].Leave(record);
    turns_[*main_].Leave(record);
  }

  // The open turn of the main agent, or of the sub-agent that a call started.
  size_t TurnOf(std::string_view call) {
    if (call.empty()) {
      if (!main_.has_value() || turns_[*main_].ended || turns_[*main_].left) main_ = NewTurn("");
      return *main_;
    }
    if (!main_.has_value() || turns_[*main_].ended) main_ = NewTurn("");
    const auto child = children_.find(call);
    if (child != children_.end() && !turns_[child->second].ended) return child->second;
    const size_t turn = NewTurn(turns_[*main_].operation.source_id);
    children_[std::string(call)] = turn;
    return turn;
  }

  size_t NewTurn(std::string parent) {
    Turn turn;
    turn.Begin(fmt::format("turn-{}", turns_.size()), index_, std::nullopt);
    turn.operation.name = parent.empty() ? "claude -p" : "sub-agent";
    turn.operation.parent_source_id = std::move(parent);
    turns_.push_back(std::move(turn));
    return turns_.size() - 1;
  }

  absl::Status TakeAnswer(const Fields& message, size_t index) {
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view id, message.Text("id"));
    NIMBUS_ASSIGN_OR_RETURN(const Json* blocks, message.Required("content", Json::Type::kArray));
    Turn& turn = turns_[index];
    const auto known = messages_.find(id);
    const bool open = known != messages_.end() && known->second.turn == index &&
                      turn.open_message == known->second.step;
    if (known != messages_.end() && !open) return absl::OkStatus();  // printed again, later
    if (!open) {
      turn.CloseMessage(index_);
      const size_t step = turn.AddStep(StepType::llm_call, std::string(id), index_, std::nullopt);
      Json input = Json::MakeObject();
      if (const Json* model = message.Find("model")) input.Set("model", *model);
      turn.operation.steps[step].input = input.Dump();
      turn.OpenMessage(step, Message("assistant", Json::MakeArray()));
      messages_[std::string(id)] = {index, step};
    }
    Step& step = turn.operation.steps[*turn.open_message];
    Json& said = *step.messages.back().Find("content");
    said.array().insert(said.array().end(), blocks->array().begin(), blocks->array().end());
    Json output = message.json();
    output.Set("content", said);
    step.output = output.Dump();
    NIMBUS_ASSIGN_OR_RETURN(step.usage, ReadUsage(message));
    for (const Json& block : blocks->array()) AddCall(block, index);
    return absl::OkStatus();
  }

  void AddCall(const Json& block, size_t index) {
    const std::string id(block.StringOr("id"));
    if (block.StringOr("type") != "tool_use" || id.empty() || calls_.contains(id)) return;
    Turn& turn = turns_[index];
    const size_t step = turn.AddCall(ToolName(block.StringOr("name")), id, index_, std::nullopt);
    if (const Json* input = block.Find("input")) turn.operation.steps[step].input = input->Dump();
    calls_[id] = {index, step};
  }

  absl::Status TakeUser(const Fields& message, size_t index) {
    const Json* content = message.Find("content");
    if (content == nullptr) return absl::OkStatus();
    Json::Array said;
    const Json::Array text = {*content};
    for (const Json& block : content->IsArray() ? content->array() : text) {
      if (block.StringOr("type") == "tool_result") {
        TakeToolResult(block);
      } else {
        said.push_back(block);
      }
    }
    if (said.empty()) return absl::OkStatus();
    Turn& turn = turns_[index];
    turn.CloseMessage(index_);
    const size_t step = turn.AddStep(StepType::user_input, "", index_, std::nullopt);
    turn.operation.steps[step].input = message.json().Dump();
    turn.operation.steps[step].messages.push_back(Message("user", *content));
    turn.EndStep(step, Lifecycle::kCompleted, index_, std::nullopt);
    return absl::OkStatus();
  }

  void TakeToolResult(const Json& block) {
    const std::string_view id = block.StringOr("tool_use_id");
    const auto call = calls_.find(id);
    if (call == calls_.end()) return;  // of a run that this one goes on with
    Turn& turn = turns_[call->second.turn];
    Step& step = turn.operation.steps[call->second.step];
    if (step.status != Lifecycle::kRunning || !step.output.empty() || turn.ended) return;
    step.output = Json::MakeObject({{"tool_result", block}}).Dump();
    step.messages.push_back(Message("user", Json::MakeArray({block})));
    const Json* error = block.Find("is_error");
    const bool failed = error != nullptr && error->IsBool() && error->boolean();
    if (failed) step.error = ContentText(block.Find("content"));
    if (failed && step.error.empty()) step.error = "is_error";
    turn.Answer(call->second.step, failed ? Lifecycle::kFailed : Lifecycle::kCompleted, index_,
                std::nullopt);
    const auto child = children_.find(id);
    if (child != children_.end()) turns_[child->second].Leave(index_);
  }

  absl::Status TakeResult(const Fields& result) {
    Turn& turn = turns_[TurnOf("")];
    Operation& operation = turn.operation;
    NIMBUS_ASSIGN_OR_RETURN(operation.usage, ReadUsage(result));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> cost,
                            result.Picodollars("total_cost_usd"));
    // The cost is the session's so far, of which earlier results had a part.
    if (cost.has_value()) {
      operation.usage.cost_microdollars = MicrodollarsOf(std::max<int64_t>(0, *cost - cost_));
      cost_ = *cost;
    }
    NIMBUS_ASSIGN_OR_RETURN(operation.duration_ms, result.Count("duration_ms"));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<bool> failed, result.Bool("is_error"));
    operation.output = Without(result.json(), {"type", "session_id", "uuid"}).Dump();
    if (failed.value_or(false)) {
      operation.error = ContentText(result.Find("result"));
      if (operation.error.empty()) operation.error = result.json().StringOr("subtype", "error");
    }
    turn.Touch(index_, std::nullopt);
    turn.CloseMessage(index_);
    for (const auto& [call, child] : children_) {
      turns_[child].CancelRunning(index_, std::nullopt);
      turns_[child].Leave(index_);
    }
    turn.CancelRunning(index_, std::nullopt);
    turn.End(Lifecycle::kCompleted, index_);
    children_.clear();
    return absl::OkStatus();
  }

  Run Finish() {
    Session session;
    session.source_id = session_id_;
    session.name = "claude -p";
    session.context = std::move(context_);
    for (Turn& turn : turns_) session.operations.push_back(std::move(turn.operation));
    ClaimRecords(&session);
    Run run;
    run.format = kFormat;
    run.key = fmt::format("{}@{}", session_id_, ShortDigest(source_.records.front().text));
    run.sessions.push_back(std::move(session));
    return run;
  }

  // A child is inside its parent's records and has none of its own.
  static void ClaimRecords(Session* session) {
    for (Operation& operation : session->operations) {
      if (!operation.parent_source_id.empty()) operation.end_record = operation.first_record;
    }
  }

  const Source& source_;
  uint64_t index_ = 0;
  std::string session_id_;
  Json context_ = Json::MakeObject({{"agent", Json::String("claude-code")}});
  std::vector<Turn> turns_;
  std::optional<size_t> main_;                           // the turn of the main agent
  std::map<std::string, size_t, std::less<>> children_;  // by the call that started them
  std::map<std::string, Call, std::less<>> calls_;       // by tool_use id
  std::map<std::string, Call, std::less<>> messages_;    // by message.id
  int64_t cost_ = 0;                                     // picodollars, of results before
};

}  // namespace

bool IsClaudeStream(const Source& source) {
  for (size_t i = 0; i < std::min(source.records.size(), kRecordsTried); ++i) {
    if (IsInit(source.records[i].value)) return true;
  }
  return false;
}

absl::StatusOr<Run> ReadClaudeStream(const Source& source) { return Reader(source).Read(); }

}  // namespace nimbus::tools::import
