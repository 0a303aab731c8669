// Codex rollouts: {timestamp, type, payload} a line; before 0.3x bare response
// items after a header. A turn is what lies between task_started and
// task_complete or, in versions without these, what follows a user_message. The
// response items up to the next new token_count are one llm_call; calls among
// them are answered by items of their own, often before that token_count.
#include <charconv>
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

Usage ReadUsage(const Json& usage) {
  Usage result;
  result.total = UintMember(usage, "total_tokens");
  result.input = UintMember(usage, "input_tokens");
  result.output = UintMember(usage, "output_tokens");
  result.cache_read = UintMember(usage, "cached_input_tokens");
  return result;
}

std::optional<uint64_t> Less(std::optional<uint64_t> now, std::optional<uint64_t> then) {
  if (!now) return std::nullopt;
  const uint64_t before = then.value_or(0);
  return *now >= before ? *now - before : *now;  // the counter began anew
}

std::string ContentText(const Json* content) {
  if (content == nullptr) return {};
  if (content->IsString()) return content->string();
  std::string text;
  if (!content->IsArray()) return text;
  for (const Json& part : content->array()) text += part.StringOr("text");
  return text;
}

// A JSON document in a string, as a document where it is one.
std::string JsonOfText(const Json* text) {
  if (text == nullptr) return "{}";
  if (text->IsString() && schema::ValidateJson(text->string()).ok()) return text->string();
  return text->Dump();
}

struct Outcome {
  std::optional<int64_t> exit_code;
  std::optional<uint64_t> duration_ms;
  bool failed = false;
};

std::optional<uint64_t> SecondsToMs(const Json* seconds) {
  const std::optional<double> value = seconds == nullptr ? std::nullopt : seconds->AsDouble();
  if (!value || *value < 0 || *value > 1e12) return std::nullopt;
  return static_cast<uint64_t>(*value * 1000 + 0.5);
}

// The number behind `label` where it begins a line of the output's heading.
std::optional<double> HeadingNumber(std::string_view text, std::string_view label) {
  const std::string_view heading = text.substr(0, std::min(text.find("Output:"), text.size()));
  const size_t at = heading.find(label);
  if (at == std::string_view::npos || (at != 0 && heading[at - 1] != '\n')) return std::nullopt;
  double value = 0;
  const char* begin = heading.data() + at + label.size();
  const auto [end, error] = std::from_chars(begin, heading.data() + heading.size(), value);
  if (error != std::errc() || end == begin) return std::nullopt;
  return value;
}

Outcome OutcomeOfText(const std::string& text) {
  Outcome outcome;
  if (text.starts_with('{')) {
    const absl::StatusOr<Json> json = Json::Parse(text);
    if (json.ok()) {
      if (const Json* code = json->FindPath({"metadata", "exit_code"}))
        outcome.exit_code = code->AsInt();
      outcome.duration_ms = SecondsToMs(json->FindPath({"metadata", "duration_seconds"}));
    }
  } else {
    for (const std::string_view label : {"Process exited with code ", "Exit code: "}) {
      if (const std::optional<double> code = HeadingNumber(text, label))
        outcome.exit_code = static_cast<int64_t>(*code);
    }
    if (const std::optional<double> wall = HeadingNumber(text, "Wall time: ");
        wall && *wall >= 0 && *wall < 1e12)
      outcome.duration_ms = static_cast<uint64_t>(*wall * 1000 + 0.5);
  }
  outcome.failed = outcome.exit_code.value_or(0) != 0;
  return outcome;
}

class Reader {
 public:
  explicit Reader(const Source& source) : source_(source) {}

  absl::StatusOr<Run> Read() {
    for (index_ = 0; index_ < source_.records.size(); ++index_) {
      const Json& line = source_.records[index_].value;
      if (const std::optional<int64_t> time = schema::ParseUtc(line.StringOr("timestamp")))
        now_us_ = time;
      ReadLine(line);
    }
    return Finish();
  }

 private:
  struct Task : Turn {
    size_t llm_calls = 0;
    Usage before;  // counters when it began
  };
  struct Call {
    size_t turn, step;
  };

  void ReadLine(const Json& line);
  void ReadMeta(const Json& meta);
  void ReadItem(const Json& item);
  void ReadEvent(const Json& event);
  void UserMessage(const Json& event);
  void ModelItem(const Json& item);
  void CallItem(const Json& item, std::string_view type);
  void CallOutput(const Json& item);
  void TokenCount(const Json& event);
  void CommandEnd(const Json& event, std::string_view type);
  void EndTask(const Json& event, Lifecycle status);
  void Verification(const Json& event);
  Task& Current();
  Task& NewTask(std::string name, std::string input);
  absl::StatusOr<Run> Finish();

  const Source& source_;
  uint64_t index_ = 0;
  std::optional<int64_t> now_us_;
  Session session_;
  bool bare_ = false;  // items without an envelope
  std::vector<Task> tasks_;
  std::map<std::string, Call, std::less<>> calls_;        // by call_id
  std::map<std::string, Outcome, std::less<>> outcomes_;  // told before the output
  std::vector<Json> pending_;                             // messages before the task is known
  std::optional<uint64_t> task_record_;                   // of a task_started not yet taken
  std::string task_id_;
  std::set<std::string, std::less<>> task_ids_;  // taken
  std::string model_;
  Usage total_;
  std::string counted_;  // the last token_count
};

void Reader::ReadLine(const Json& line) {
  const std::string_view type = line.StringOr("type");
  const Json* payload = line.Find("payload");
  if (payload == nullptr) {
    if (session_.source_id.empty() && !line.StringOr("id").empty()) {
      bare_ = true;
      ReadMeta(line);
    } else if (bare_ && !type.empty()) {
      ReadItem(line);
    }
    return;
  }
  if (type == "session_meta") ReadMeta(*payload);
  if (type == "response_item") ReadItem(*payload);
  if (type == "event_msg") ReadEvent(*payload);
  if (type == "compacted" && !tasks_.empty()) tasks_.back().CloseMessage(index_);
  if (type == "turn_context") {
    model_ = std::string(payload->StringOr("model", model_));
    if (session_.context.IsObject() && !model_.empty() && session_.context.Find("model") == nullptr)
      session_.context.Set("model", Json::String(model_));
  }
}

// A rollout that was resumed or forked holds further ones; the first is its own.
void Reader::ReadMeta(const Json& meta) {
  if (!session_.source_id.empty()) return;
  session_.source_id = std::string(meta.StringOr("id", meta.StringOr("session_id")));
  session_.started_at_us = schema::ParseUtc(meta.StringOr("timestamp"));
  session_.context = Json::MakeObject({{"agent", Json::String("codex")}});
  for (const std::string_view key :
       {"cli_version", "originator", "source", "model_provider", "cwd", "git", "forked_from_id",
        "instructions", "base_instructions"}) {
    if (const Json* value = meta.Find(key); value != nullptr && !value->IsNull())
      session_.context.Set(key, *value);
  }
}

Reader::Task& Reader::Current() {
  if (tasks_.empty() || tasks_.back().ended) return NewTask("(continued)", "{}");
  return tasks_.back();
}

Reader::Task& Reader::NewTask(std::string name, std::string input) {
  if (!tasks_.empty()) tasks_.back().Leave(index_);
  Task task;
  const uint64_t first = task_record_.value_or(index_);
  std::string id = std::exchange(task_id_, {});
  if (id.empty() || !task_ids_.insert(id).second) id += fmt::format("record {}", first);
  task.Begin(std::move(id), index_, now_us_);
  task.operation.first_record = first;
  task.operation.name = std::move(name);
  task.operation.input = std::move(input);
  task.pending = std::exchange(pending_, {});
  task.before = total_;
  task_record_.reset();
  tasks_.push_back(std::move(task));
  return tasks_.back();
}

void Reader::ReadEvent(const Json& event) {
  const std::string_view type = event.StringOr("type");
  if (type == "user_message") UserMessage(event);
  if (type == "token_count") TokenCount(event);
  if (type == "task_started" || type == "turn_started") {
    if (!tasks_.empty()) tasks_.back().Leave(index_);
    task_record_ = index_;
    task_id_ = std::string(event.StringOr("turn_id"));
  }
  if (type == "task_complete" || type == "turn_complete") EndTask(event, Lifecycle::kCompleted);
  if (type == "turn_aborted") EndTask(event, Lifecycle::kCancelled);
  if (type == "error" && !tasks_.empty() && !tasks_.back().ended)
    tasks_.back().operation.error = std::string(event.StringOr("message", "error"));
  if (type.ends_with("_end")) CommandEnd(event, type);
  if (type == "guardian_assessment" || type == "exited_review_mode") Verification(event);
  if (type == "thread_name_updated")
    session_.name =
        std::string(event.StringOr("thread_name", event.StringOr("name", session_.name)));
}

void Reader::UserMessage(const Json& event) {
  const std::string text(event.StringOr("message"));
  const bool open = !tasks_.empty() && !tasks_.back().ended && !task_record_;
  // Within a turn that began with task_started, a further message steers it.
  const bool steers =
      open && tasks_.back().operation.first_record != tasks_.back().operation.added_record;
  Task& task = steers ? tasks_.back() : NewTask(Headline(text), event.Dump());
  task.CloseMessage(index_);
  const size_t step = task.AddStep(StepType::user_input, {}, index_, now_us_);
  task.operation.steps[step].input = event.Dump();
  const bool repeated = !task.pending.empty() && task.pending.back().StringOr("role") == "user" &&
                        ContentText(task.pending.back().Find("content")) == text;
  if (!repeated) {
    task.operation.steps[step].messages.push_back(
        Json::MakeObject({{"role", Json::String("user")}, {"content", Json::String(text)}}));
  }
  task.EndStep(step, Lifecycle::kCompleted, index_, now_us_);
}

void Reader::ReadItem(const Json& item) {
  const std::string_view type = item.StringOr("type");
  if (type == "message" && item.StringOr("role") != "assistant") {
    const std::string text = ContentText(item.Find("content"));
    const bool open = !tasks_.empty() && !tasks_.back().ended && !task_record_;
    (open && !tasks_.back().left ? tasks_.back().pending : pending_).push_back(item);
    // Without events, what a person said is what is no injected <context>.
    if (bare_ && item.StringOr("role") == "user" && !text.starts_with('<')) {
      if (open) pending_ = std::exchange(tasks_.back().pending, {});
      UserMessage(Json::MakeObject({{"message", Json::String(text)}}));
    }
    return;
  }
  if (type.ends_with("_output")) return CallOutput(item);
  if (type == "ghost_snapshot" || type == "compaction" || type.empty()) return;
  ModelItem(item);
  if (type.ends_with("_call")) CallItem(item, type);
}

// Something the model made: part of the open llm_call, or the first of the next.
void Reader::ModelItem(const Json& item) {
  Task& task = Current();
  if (!task.held.empty()) task.CloseMessage(index_);  // it was answered: this is the next
  if (!task.open_message) {
    const size_t step = task.AddStep(StepType::llm_call,
                                     fmt::format("llm_call {}", ++task.llm_calls), index_, now_us_);
    Json input = Json::MakeObject();
    if (!model_.empty()) input.Set("model", Json::String(model_));
    task.operation.steps[step].input = input.Dump();
    task.OpenMessage(step, item);
  } else {
    task.operation.steps[*task.open_message].messages.push_back(item);
  }
  task.Touch(index_, now_us_);
  Step& step = task.operation.steps[*task.open_message];
  step.ended_at_us = now_us_;
  // The output is the items, as text, one after the other.
  const std::string text = item.Dump();
  if (step.output.empty()) {
    step.output = "[" + text + "]";
  } else {
    step.output.back() = ',';
    step.output += text + "]";
  }
  if (item.StringOr("type") == "message")
    task.operation.output = Json::String(ContentText(item.Find("content"))).Dump();
}

void Reader::CallItem(const Json& item, std::string_view type) {
  Task& task = tasks_.back();
  std::string id(item.StringOr("call_id", item.StringOr("id")));
  if (id.empty()) id = fmt::format("record {}", index_);
  if (calls_.contains(id)) return;
  const std::string_view name = item.StringOr("name", type.substr(0, type.rfind("_call")));
  const size_t index = task.AddCall(ToolName(name), id, index_, now_us_);
  calls_[id] = {tasks_.size() - 1, index};
  Step& step = task.operation.steps[index];
  const Json* input = item.Find("arguments");
  if (input == nullptr) input = item.Find("input");
  if (input == nullptr) input = item.Find("action");
  step.input = JsonOfText(input);
  // Calls that the provider runs itself have no output item.
  if (type == "web_search_call" || type == "image_generation_call") {
    step.output = item.Dump();
    const bool failed = item.StringOr("status") == "failed";
    if (failed) step.error = "failed";
    task.Answer(index, failed ? Lifecycle::kFailed : Lifecycle::kCompleted, index_, now_us_);
  }
}

void Reader::CallOutput(const Json& item) {
  const auto call = calls_.find(item.StringOr("call_id"));
  if (call == calls_.end()) {
    Current().pending.push_back(item);
    return;
  }
  Task& task = tasks_[call->second.turn];
  Step& step = task.operation.steps[call->second.step];
  if (step.status != Lifecycle::kRunning || !step.output.empty()) return;
  step.messages.push_back(item);
  const Json* output = item.Find("output");
  step.output = output == nullptr ? item.Dump() : JsonOfText(output);
  const std::string text = output == nullptr ? "" : ContentText(output);
  Outcome outcome = OutcomeOfText(text);
  if (const auto told = outcomes_.find(call->first); told != outcomes_.end())
    outcome = told->second;
  const Json* success = output == nullptr ? nullptr : output->Find("success");
  if (success != nullptr && success->IsBool()) outcome.failed = !success->boolean();
  if (outcome.failed) {
    step.error = outcome.exit_code ? fmt::format("exit code {}", *outcome.exit_code)
                                   : Headline(text.empty() ? "failed" : text);
  }
  step.duration_ms = outcome.duration_ms;
  task.Answer(call->second.step, outcome.failed ? Lifecycle::kFailed : Lifecycle::kCompleted,
              index_, now_us_);
}

// exec_command_end, patch_apply_end, mcp_tool_call_end: what the output itself may not say.
void Reader::CommandEnd(const Json& event, std::string_view type) {
  Outcome outcome;
  if (const Json* code = event.Find("exit_code")) outcome.exit_code = code->AsInt();
  outcome.failed = outcome.exit_code.value_or(0) != 0;
  if (const Json* success = event.Find("success"); success != nullptr && success->IsBool())
    outcome.failed = !success->boolean();
  if (const Json* result = event.Find("result"); result != nullptr && type == "mcp_tool_call_end")
    outcome.failed = result->Find("Err") != nullptr;
  if (const Json* duration = event.Find("duration")) {
    const std::optional<uint64_t> seconds = UintMember(*duration, "secs");
    if (seconds && *seconds < 1'000'000'000)
      outcome.duration_ms =
          *seconds * 1000 + UintMember(*duration, "nanos").value_or(0) / 1'000'000;
  }
  outcomes_[std::string(event.StringOr("call_id"))] = outcome;
}

void Reader::TokenCount(const Json& event) {
  const Json* info = event.Find("info");
  const Json* total = info == nullptr ? nullptr : info->Find("total_token_usage");
  const Json* last = info == nullptr ? nullptr : info->Find("last_token_usage");
  if (total == nullptr || last == nullptr) return;
  std::string counted = total->Dump() + last->Dump();
  if (counted == counted_) return;  // repeated
  counted_ = std::move(counted);
  total_ = ReadUsage(*total);
  if (tasks_.empty() || tasks_.back().ended) return;
  Task& task = tasks_.back();
  task.Touch(index_, now_us_);
  task.operation.usage = {.total = Less(total_.total, task.before.total),
                          .input = Less(total_.input, task.before.input),
                          .output = Less(total_.output, task.before.output),
                          .cache_read = Less(total_.cache_read, task.before.cache_read)};
  if (!task.open_message) return;
  task.operation.steps[*task.open_message].usage = ReadUsage(*last);
  task.CloseMessage(index_);
}

void Reader::EndTask(const Json& event, Lifecycle status) {
  if (tasks_.empty() || tasks_.back().ended || task_record_) return;
  Task& task = tasks_.back();
  task.CloseMessage(index_);
  task.Touch(index_, now_us_);
  if (const std::optional<uint64_t> duration = UintMember(event, "duration_ms"))
    task.operation.duration_ms = duration;
  if (const Json* text = event.Find("last_agent_message"); text != nullptr && text->IsString())
    task.operation.output = text->Dump();
  if (status == Lifecycle::kCancelled) {
    task.CancelRunning(index_, now_us_);
    task.operation.error = std::string(event.StringOr("reason", "aborted"));
    task.End(status, index_);
  } else {
    task.Leave(index_);
  }
}

void Reader::Verification(const Json& event) {
  Task& task = Current();
  task.CloseMessage(index_);
  const size_t step = task.AddStep(StepType::verification, {}, index_, now_us_);
  task.operation.steps[step].tool_name = std::string(event.StringOr("type"));
  task.operation.steps[step].output = event.Dump();
  task.EndStep(step, Lifecycle::kCompleted, index_, now_us_);
}

absl::StatusOr<Run> Reader::Finish() {
  if (session_.source_id.empty())
    return schema::Error(absl::StatusCode::kInvalidArgument, "no session_meta with an id");
  for (Task& task : tasks_) {
    if (session_.name.empty()) session_.name = task.operation.name;
    session_.operations.push_back(std::move(task.operation));
  }
  Run run;
  run.format = "codex-rollout";
  run.key = session_.source_id;
  run.sessions.push_back(std::move(session_));
  return run;
}

}  // namespace

bool IsCodexRollout(const Source& source) {
  const Json& first = source.records.front().value;
  const Json* payload = first.Find("payload");
  if (payload != nullptr) return first.StringOr("type") == "session_meta" && payload->IsObject();
  // The header of the first versions, before bare response items.
  if (first.StringOr("id").empty() || first.StringOr("timestamp").empty() ||
      first.Find("type") != nullptr || source.records.size() < 2)
    return false;
  const Json& second = source.records[1].value;
  return second.StringOr("record_type") == "state" ||
         (second.StringOr("type") == "message" && second.Find("role") != nullptr);
}

absl::StatusOr<Run> ReadCodexRollout(const Source& source) { return Reader(source).Read(); }

}  // namespace nimbus::tools::import
