#include "tools/import/said.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "nimbus/schema/clock.h"

namespace nimbus::tools::import {
namespace {

using schema::Json;

constexpr size_t kDepthMax = 12;

constexpr std::string_view kTextKeys[] = {"text",   "content", "message",  "messages",
                                          "parts",  "choices", "response", "tool_result",
                                          "result", "output",  "stdout",   "aggregated_output"};
constexpr std::string_view kThoughtKeys[] = {"reasoning_content", "thinking", "thought",
                                             "reasoning"};
constexpr std::string_view kThoughtTypes[] = {"thinking", "reasoning", "redacted_thinking"};
// Blocks that call something, and say nothing.
constexpr std::string_view kCallTypes[] = {"tool_use",         "tool_call",
                                           "function_call",    "custom_tool_call",
                                           "local_shell_call", "web_search_call"};

template <size_t n>
bool IsAmong(std::string_view text, const std::string_view (&list)[n]) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

void AppendLine(const std::string& line, std::string* text) {
  if (line.empty()) return;
  if (!text->empty()) *text += '\n';
  *text += line;
}

std::string TextOf(const Json& value, size_t depth) {
  if (value.IsString()) return value.string();
  std::string text;
  if (depth > kDepthMax) return text;
  if (value.IsArray()) {
    for (const Json& item : value.array()) AppendLine(TextOf(item, depth + 1), &text);
  } else if (value.IsObject()) {
    const std::string_view type = value.StringOr("type");
    if (IsAmong(type, kThoughtTypes) || IsAmong(type, kCallTypes)) return text;
    for (const std::string_view key : kTextKeys) {
      if (const Json* member = value.Find(key)) text = TextOf(*member, depth + 1);
      if (!text.empty()) break;
    }
  }
  return text;
}

std::string ReasoningOf(const Json& value, size_t depth) {
  std::string text;
  if (depth > kDepthMax) return text;
  if (value.IsArray()) {
    for (const Json& item : value.array()) AppendLine(ReasoningOf(item, depth + 1), &text);
  }
  if (!value.IsObject()) return text;
  for (const std::string_view key : kThoughtKeys) {
    text = value.StringOr(key);
    if (!text.empty()) return text;
  }
  const bool thought = IsAmong(value.StringOr("type"), kThoughtTypes);
  for (const std::string_view key :
       {"message", "messages", "content", "parts", "choices", "response", "summary"}) {
    const Json* member = value.Find(key);
    if (member == nullptr) continue;
    text = thought ? TextOf(*member, depth + 1) : ReasoningOf(*member, depth + 1);
    if (!text.empty()) return text;
  }
  return text;
}

// The first text under any of the keys, in the value or what it is wrapped in.
std::string_view FindText(const Json& value, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    const std::string_view text = value.StringOr(key);
    if (!text.empty()) return text;
  }
  for (const std::string_view key : {"tool_result", "message", "response", "extra"}) {
    const Json* member = value.Find(key);
    if (member == nullptr || !member->IsObject()) continue;
    const std::string_view text = FindText(*member, keys);
    if (!text.empty()) return text;
  }
  return {};
}

}  // namespace

Json JsonOf(const std::string& json) {
  if (json.empty()) return Json();
  absl::StatusOr<Json> value = Json::Parse(json);
  return value.ok() ? *std::move(value) : Json::String(json);
}

std::string TextOf(const Json& value) { return TextOf(value, 0); }

std::string ReasoningOf(const Json& value) { return ReasoningOf(value, 0); }

std::string ResultText(const Step& step) {
  const Json output = JsonOf(step.output);
  if (output.IsNull()) return step.error;
  std::string text = TextOf(output);
  return text.empty() && !output.IsString() ? output.Dump() : text;
}

std::string CallIdOf(const Step& step) {
  const std::string id(
      FindText(JsonOf(step.output), {"source_call_id", "tool_use_id", "call_id", "tool_call_id"}));
  return id.empty() ? step.source_id : id;
}

std::string StepModel(const Step& step) {
  const Json output = JsonOf(step.output);
  std::string model(FindText(output, {"model"}));
  if (model.empty()) model = FindText(JsonOf(step.input), {"model"});
  return model;
}

std::optional<uint64_t> PromptTokens(const Usage& usage) {
  // Some count cached tokens with the input, some beside it; the total has all.
  if (usage.total.has_value() && usage.output.has_value() && *usage.total >= *usage.output)
    return *usage.total - *usage.output;
  return usage.input;
}

std::string IsoTime(int64_t micros) {
  std::string text = schema::FormatUtc(micros);
  const size_t space = text.find(' ');
  if (space != std::string::npos) text[space] = 'T';
  return text + "Z";
}

}  // namespace nimbus::tools::import
