// Claude Code session JSONL, of the main agent (<sessionId>.jsonl) and of
// sub-agents (agent-<id>.jsonl). There is no published specification; this
// follows what versions 1.0.51 to 2.1.195 wrote.
//
// A prompt begins an operation. One API message is several records with one
// message.id, whose usage grows: together they are one llm_call, known to be
// whole once something else follows. Tools may answer before that; their
// results wait for it, so that the conversation has the call before its result.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/status.h"
#include "tools/import/format.h"
#include "tools/import/text.h"
#include "tools/import/turn.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;

constexpr std::string_view kInterrupted = "[Request interrupted by user";
constexpr std::string_view kSynthetic = "<synthetic>";  // model of what the client itself wrote

bool Flag(const Json& value, std::string_view key) {
  const Json* flag = value.Find(key);
  return flag != nullptr && flag->IsBool() && flag->boolean();
}

std::optional<int64_t> Time(const Json& record) {
  return schema::ParseUtc(record.StringOr("timestamp"));
}

// The text of a content that is a string or an array of blocks.
std::string ContentText(const Json& content) {
  if (content.IsString()) return content.string();
  std::string text;
  if (!content.IsArray()) return text;
  for (const Json& block : content.array()) {
    if (block.StringOr("type") != "text") continue;
    if (!text.empty()) text += "\n";
    text += block.StringOr("text");
  }
  return text;
}

bool HasBlock(const Json& content, std::string_view type) {
  if (!content.IsArray()) return false;
  for (const Json& block : content.array()) {
    if (block.StringOr("type") == type) return true;
  }
  return false;
}

Json Message(std::string_view role, Json content) {
  return Json::MakeObject(
      {{"role", Json::String(std::string(role))}, {"content", std::move(content)}});
}

// Members of two objects, those that are there.
Json Pick(const Json& first, const Json& second, std::initializer_list<std::string_view> keys) {
  Json picked = Json::MakeObject();
  for (const std::string_view key : keys) {
    const Json* value = first.Find(key);
    if (value == nullptr) value = second.Find(key);
    if (value != nullptr) picked.Set(key, *value);
  }
  return picked;
}

Usage ReadUsage(const Json* usage) {
  Usage result;
  if (usage == nullptr || !usage->IsObject()) return result;
  result.input = UintMember(*usage, "input_tokens");
  result.output = UintMember(*usage, "output_tokens");
  result.cache_read = UintMember(*usage, "cache_read_input_tokens");
  result.cache_write = UintMember(*usage, "cache_creation_input_tokens");
  result.total = SumOf(result);
  return result;
}

bool WasRejected(std::string_view text) {
  return text.starts_with("The user doesn't want to") ||
         text.starts_with("Permission prompt was") || text.starts_with(kInterrupted);
}

class Reader {
 public:
  explicit Reader(const Source& source) : source_(source) {}

  Run Read() {
    run_.format = "claude-code";
    for (index_ = 0; index_ < source_.records.size(); ++index_)
      ReadRecord(source_.records[index_].value);
    return Finish();
  }

 private:
  struct Chat : Turn {
    size_t session = 0;
    std::optional<size_t> parent;  // of a sidechain: the turn that started it
    std::string prompt_id;
    std::string last_text;  // of the last assistant message with any
  };
  struct Call {
    size_t turn, step;
  };

  void ReadRecord(const Json& record);
  void ReadUser(const Json& record);
  void ReadAssistant(const Json& record);
  void ReadSystem(const Json& record);
  void ReadProgress(const Json& record);
  void Prompt(const Json& record, const Json& content);
  void Interrupt(const Json& record, const Json& content);
  void Synthetic(const Json& record, const Json& message);
  void GrowMessage(Chat& turn, const Json& record, const Json& message);
  void ToolCall(const Json& record, const Json& block, size_t turn);
  void ToolResult(const Json& record, const Json& block);

  size_t SessionOf(const Json& record);
  std::optional<size_t> OpenTurnOf(const Json& record);
  size_t TurnOf(const Json& record);
  size_t NewTurn(const Json& record, std::string name, std::string input);
  void AddInput(Chat& turn, const Json& record, const Json& content);
  void EndChildren(size_t turn);
  Run Finish();

  const Source& source_;
  uint64_t index_ = 0;
  Run run_;
  std::string name_;  // the last title seen
  std::vector<Chat> turns_;
  std::map<std::string, size_t, std::less<>> sessions_;
  std::map<std::string, size_t, std::less<>> turn_of_record_;  // by uuid, of sidechains
  std::map<std::string, Call, std::less<>> calls_;             // by tool_use id
  std::map<std::string, Call, std::less<>> messages_;          // by message.id
  std::optional<size_t> main_;                                 // the turn of the main agent
  std::vector<Json> pending_;                                  // messages before the first turn
  std::set<std::string, std::less<>> seen_;                    // uuids of records
};

void Reader::ReadRecord(const Json& record) {
  const std::string_view type = record.StringOr("type");
  if (type == "summary") name_ = std::string(record.StringOr("summary", name_));
  if (type == "ai-title") name_ = std::string(record.StringOr("aiTitle", name_));
  if (record.StringOr("sessionId").empty()) return;
  const std::string_view uuid = record.StringOr("uuid");
  if (!uuid.empty() && !seen_.emplace(uuid).second) return;  // written again
  if (Flag(record, "isSidechain")) {
    const auto parent = turn_of_record_.find(record.StringOr("parentUuid"));
    if (parent != turn_of_record_.end())
      turn_of_record_[std::string(record.StringOr("uuid"))] = parent->second;
  }
  const size_t session = SessionOf(record);
  if (!run_.sessions[session].started_at_us) run_.sessions[session].started_at_us = Time(record);
  if (type == "user") return ReadUser(record);
  if (type == "assistant") return ReadAssistant(record);
  if (type == "system") ReadSystem(record);
  if (type == "progress") ReadProgress(record);
}

size_t Reader::SessionOf(const Json& record) {
  const std::string_view id = record.StringOr("sessionId");
  const auto [at, added] = sessions_.emplace(id, run_.sessions.size());
  if (added) {
    Session session;
    session.source_id = id;
    session.context = Json::MakeObject({{"agent", Json::String("claude-code")}});
    run_.sessions.push_back(std::move(session));
  }
  Json& context = run_.sessions[at->second].context;
  for (const std::string_view key : {"version", "cwd", "gitBranch", "entrypoint", "slug"}) {
    const Json* value = record.Find(key);
    if (value != nullptr && value->IsString() && context.Find(key) == nullptr)
      context.Set(key, *value);
  }
  return at->second;
}

// The turn a record that is no prompt belongs to.
std::optional<size_t> Reader::OpenTurnOf(const Json& record) {
  if (Flag(record, "isSidechain")) {
    const auto parent = turn_of_record_.find(record.StringOr("parentUuid"));
    if (parent != turn_of_record_.end() && !turns_[parent->second].ended) return parent->second;
  } else if (main_ && !turns_[*main_].ended && turns_[*main_].session == SessionOf(record)) {
    return main_;
  }
  return std::nullopt;
}

// The same, a new one if there is none: what began it is not in this file.
size_t Reader::TurnOf(const Json& record) {
  const std::optional<size_t> open = OpenTurnOf(record);
  return open ? *open : NewTurn(record, "(continued)", "{}");
}

size_t Reader::NewTurn(const Json& record, std::string name, std::string input) {
  Chat turn;
  turn.session = SessionOf(record);
  turn.prompt_id = record.StringOr("promptId");
  turn.pending = std::exchange(pending_, {});
  std::string id(record.StringOr("uuid"));
  if (id.empty()) id = fmt::format("record {}", index_);
  turn.Begin(std::move(id), index_, Time(record));
  turn.operation.name = std::move(name);
  turn.operation.input = std::move(input);
  if (!Flag(record, "isSidechain")) {
    if (main_) {
      turns_[*main_].Leave(index_);
      EndChildren(*main_);
    }
    main_ = turns_.size();
  } else if (main_ && turns_[*main_].session == turn.session) {
    turn.parent = main_;
    turn.operation.parent_source_id = turns_[*main_].operation.source_id;
  }
  turns_.push_back(std::move(turn));
  return turns_.size() - 1;
}

// Sub-agents end with the turn that started them.
void Reader::EndChildren(size_t parent) {
  for (Chat& turn : turns_) {
    if (turn.parent == parent) turn.Leave(index_);
  }
}

// What a person said, as a step of its own.
void Reader::AddInput(Chat& turn, const Json& record, const Json& content) {
  const size_t index = turn.AddStep(StepType::user_input, std::string(record.StringOr("uuid")),
                                    index_, Time(record));
  Step& step = turn.operation.steps[index];
  step.input = Message("user", content).Dump();
  step.messages.push_back(Message("user", content));
  turn.EndStep(index, Lifecycle::kCompleted, index_, Time(record));
}

void Reader::ReadUser(const Json& record) {
  const Json* content = record.FindPath({"message", "content"});
  if (content == nullptr) return;  // no shape we know: kept as it is
  if (HasBlock(*content, "tool_result")) {
    for (const Json& block : content->array()) {
      if (block.StringOr("type") == "tool_result") {
        ToolResult(record, block);
      } else {
        turns_[TurnOf(record)].pending.push_back(Message("user", Json::MakeArray({block})));
      }
    }
    return;
  }
  if (Flag(record, "isMeta")) {
    const bool open = main_ && !turns_[*main_].ended && !Flag(record, "isSidechain");
    (open ? turns_[*main_].pending : pending_).push_back(Message("user", *content));
    return;
  }
  if (ContentText(*content).starts_with(kInterrupted)) {
    Interrupt(record, *content);
  } else {
    Prompt(record, *content);
  }
}

// A prompt begins a turn, unless it is part of the same one: what the client
// made of one prompt, or the summary that takes a long conversation's place.
void Reader::Prompt(const Json& record, const Json& content) {
  const std::string_view prompt_id = record.StringOr("promptId");
  const bool same = main_ && !turns_[*main_].ended && !Flag(record, "isSidechain") &&
                    turns_[*main_].session == SessionOf(record) &&
                    ((!prompt_id.empty() && prompt_id == turns_[*main_].prompt_id) ||
                     Flag(record, "isCompactSummary"));
  Json input = Json::MakeObject({{"prompt", content}});
  for (const std::string_view key : {"permissionMode", "thinkingMetadata", "todos"}) {
    if (const Json* value = record.Find(key)) input.Set(key, *value);
  }
  const size_t index =
      same ? *main_ : NewTurn(record, Headline(ContentText(content)), input.Dump());
  Chat& turn = turns_[index];
  turn.CloseMessage(index_);
  turn_of_record_[std::string(record.StringOr("uuid"))] = index;
  if (const Json* plan = record.Find("planContent")) turn.SetPlan(plan->Dump(), index_);
  AddInput(turn, record, content);
}

void Reader::Interrupt(const Json& record, const Json& content) {
  const size_t index = TurnOf(record);
  Chat& turn = turns_[index];
  turn.CloseMessage(index_);
  turn.CancelRunning(index_, Time(record));
  AddInput(turn, record, content);
  turn.operation.error = ContentText(content);
  turn.End(Lifecycle::kCancelled, index_);
  EndChildren(index);
}

// What the client wrote in the model's name: an API error, or a placeholder.
void Reader::Synthetic(const Json& record, const Json& message) {
  Turn& turn = turns_[TurnOf(record)];
  turn.CloseMessage(index_);
  turn.Touch(index_, Time(record));
  const Json* content = message.Find("content");
  if (content == nullptr) return;
  if (Flag(record, "isApiErrorMessage")) turn.operation.error = ContentText(*content);
  turn.pending.push_back(Message("assistant", *content));
}

void Reader::ReadAssistant(const Json& record) {
  const Json* message = record.Find("message");
  const Json* content = message == nullptr ? nullptr : message->Find("content");
  const std::string id(message == nullptr ? "" : message->StringOr("id"));
  if (content == nullptr || !content->IsArray() || id.empty())
    return;  // no shape we know: kept as it is
  if (message->StringOr("model") == kSynthetic) {
    Synthetic(record, *message);
    return;
  }
  auto known = messages_.find(id);
  const bool open =
      known != messages_.end() && turns_[known->second.turn].open_message == known->second.step;
  if (known != messages_.end() && !open) return;  // written again, later
  const size_t index = open ? known->second.turn : TurnOf(record);
  Chat& turn = turns_[index];
  turn_of_record_[std::string(record.StringOr("uuid"))] = index;
  turn.operation.error.clear();
  turn.Touch(index_, Time(record));
  if (!open) {
    turn.CloseMessage(index_);
    const size_t step = turn.AddStep(StepType::llm_call, id, index_, Time(record));
    turn.operation.steps[step].input = Pick(record, *message, {"parentUuid", "model"}).Dump();
    turn.OpenMessage(step, Message("assistant", Json::MakeArray()));
    messages_[id] = {index, step};
  }
  GrowMessage(turn, record, *message);
  // A message that ends the turn, or for want of room, gets no further records;
  // one that stops for a tool may.
  const std::string_view stop = message->StringOr("stop_reason", "tool_use");
  if (stop != "tool_use" && stop != "pause_turn") turn.CloseMessage(index_);
  for (const Json& block : content->array()) {
    if (block.StringOr("type") == "tool_use") ToolCall(record, block, index);
  }
}

// Takes the blocks of one more record into the open message.
void Reader::GrowMessage(Chat& turn, const Json& record, const Json& message) {
  Step& step = turn.operation.steps[*turn.open_message];
  Json& blocks = *step.messages.back().Find("content");
  for (const Json& block : message.Find("content")->array()) {
    // Sessions that were resumed hold records twice.
    if (std::find(blocks.array().begin(), blocks.array().end(), block) == blocks.array().end())
      blocks.array().push_back(block);
  }
  Json output = message;
  output.Set("content", blocks);
  if (const Json* request = record.Find("requestId")) output.Set("requestId", *request);
  step.output = output.Dump();
  step.ended_at_us = Time(record);
  step.usage = ReadUsage(message.Find("usage"));
  if (std::string text = ContentText(blocks); !text.empty()) turn.last_text = std::move(text);
}

void Reader::ToolCall(const Json& record, const Json& block, size_t turn_index) {
  const std::string id(block.StringOr("id"));
  if (id.empty() || calls_.contains(id)) return;
  Turn& turn = turns_[turn_index];
  const size_t index = turn.AddCall(ToolName(block.StringOr("name")), id, index_, Time(record));
  Step& step = turn.operation.steps[index];
  if (const Json* input = block.Find("input")) step.input = input->Dump();
  if (block.StringOr("name") == "ExitPlanMode") turn.SetPlan(step.input, index_);
  calls_[id] = {turn_index, index};
}

void Reader::ToolResult(const Json& record, const Json& block) {
  const auto call = calls_.find(block.StringOr("tool_use_id"));
  if (call == calls_.end()) {
    // The call is in an earlier file: the conversation has its result at least.
    turns_[TurnOf(record)].pending.push_back(Message("user", Json::MakeArray({block})));
    return;
  }
  Turn& turn = turns_[call->second.turn];
  Step& step = turn.operation.steps[call->second.step];
  if (step.status != Lifecycle::kRunning || !step.output.empty()) return;  // answered before
  turn_of_record_[std::string(record.StringOr("uuid"))] = call->second.turn;

  Json output = Json::MakeObject({{"tool_result", block}});
  if (const Json* result = record.Find("toolUseResult")) output.Set("toolUseResult", *result);
  step.output = output.Dump();
  step.messages.push_back(Message("user", Json::MakeArray({block})));
  Lifecycle status = Lifecycle::kCompleted;
  if (Flag(block, "is_error")) {
    const Json* content = block.Find("content");
    step.error = content == nullptr ? "" : ContentText(*content);
    if (step.error.empty()) step.error = "is_error";
    status = WasRejected(step.error) ? Lifecycle::kCancelled : Lifecycle::kFailed;
  }
  turn.Answer(call->second.step, status, index_, Time(record));
}

void Reader::ReadSystem(const Json& record) {
  const std::string_view subtype = record.StringOr("subtype");
  if (subtype == "stop_hook_summary") {
    Turn& turn = turns_[TurnOf(record)];
    turn.CloseMessage(index_);
    const size_t index = turn.AddStep(StepType::verification, std::string(record.StringOr("uuid")),
                                      index_, Time(record));
    Step& step = turn.operation.steps[index];
    step.tool_name = "stop_hook_summary";
    step.input = Pick(record, record, {"hookCount", "hookInfos"}).Dump();
    step.output =
        Pick(record, record, {"hookErrors", "preventedContinuation", "stopReason", "hasOutput"})
            .Dump();
    const Json* errors = record.Find("hookErrors");
    const bool failed = errors != nullptr && errors->IsArray() && !errors->array().empty();
    if (failed) step.error = errors->Dump();
    turn.EndStep(index, failed ? Lifecycle::kFailed : Lifecycle::kCompleted, index_, Time(record));
  } else if (subtype == "turn_duration") {
    const size_t index = TurnOf(record);
    Turn& turn = turns_[index];
    turn.Touch(index_, Time(record));
    if (const std::optional<uint64_t> duration = UintMember(record, "durationMs"))
      turn.operation.duration_ms = duration;
    turn.Leave(index_);
    EndChildren(index);
  }
}

void Reader::ReadProgress(const Json& record) {
  const Json* data = record.Find("data");
  if (data == nullptr || data->StringOr("type") != "hook_progress") return;
  const std::optional<size_t> open = OpenTurnOf(record);
  if (!open) return;  // a hook of the session, not of what an agent did
  Turn& turn = turns_[*open];
  const size_t index = turn.AddStep(StepType::verification, std::string(record.StringOr("uuid")),
                                    index_, Time(record));
  Step& step = turn.operation.steps[index];
  step.tool_name = ToolName(data->StringOr("hookName"));
  step.input = data->Dump();
  step.status = Lifecycle::kCompleted;  // it adds nothing to the conversation
  step.ended_at_us = step.started_at_us;
}

Run Reader::Finish() {
  for (Chat& turn : turns_) {
    for (const Step& step : turn.operation.steps) AddUsage(step.usage, &turn.operation.usage);
    if (!turn.last_text.empty()) turn.operation.output = Json::String(turn.last_text).Dump();
    Session& session = run_.sessions[turn.session];
    if (session.name.empty()) session.name = turn.operation.name;
    session.operations.push_back(std::move(turn.operation));
  }
  // The title is of the session the file ends in.
  if (!name_.empty() && !run_.sessions.empty()) run_.sessions.back().name = name_;
  const SourceRecord& first = source_.records.front();
  run_.key = run_.sessions.empty() ? "" : run_.sessions.front().source_id;
  for (const SourceRecord& record : source_.records) {
    if (record.value.StringOr("sessionId").empty()) continue;
    if (Flag(record.value, "isSidechain") && !record.value.StringOr("agentId").empty())
      run_.key += fmt::format("/agent-{}", record.value.StringOr("agentId"));
    break;
  }
  // Parts of one session that begin elsewhere are recordings of their own.
  run_.key += fmt::format("@{}", ShortDigest(first.text));
  return std::move(run_);
}

}  // namespace

bool IsClaudeCode(const Source& source) {
  for (const SourceRecord& record : source.records) {
    const Json& value = record.value;
    if (value.StringOr("sessionId").empty() || value.StringOr("type").empty()) continue;
    if (value.Find("parentUuid") != nullptr && !value.StringOr("uuid").empty()) return true;
    if (value.StringOr("type") == "queue-operation") return true;
  }
  return false;
}

absl::StatusOr<Run> ReadClaudeCode(const Source& source) { return Reader(source).Read(); }

}  // namespace nimbus::tools::import
