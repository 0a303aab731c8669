#include "tools/import/genai.h"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/import/document.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using schema::Error;
using schema::Json;

using Keys = std::initializer_list<std::string_view>;

constexpr std::string_view kEvaluation = "gen_ai.evaluation.result";
// Of JSON inside strings: with what is around it, it stays within what a body may hold.
constexpr schema::JsonLimits kInnerJson{.depth_max = 300};
// Components of an attribute's name that mean nesting; more are part of the last.
constexpr size_t kNestingMax = 12;

const Json* FirstOf(const Json& object, Keys keys) {
  for (const std::string_view key : keys) {
    const Json* value = object.Find(key);
    if (value != nullptr && !value->IsNull()) return value;
  }
  return nullptr;
}

std::string_view TextOf(const Span& span, Keys keys) {
  const Json* value = FirstOf(span.attributes, keys);
  return value != nullptr && value->IsString() ? std::string_view(value->string())
                                               : std::string_view();
}

// The JSON object or array that a string holds; anything else as it is.
Json Unquoted(const Json& value) {
  if (!value.IsString()) return value;
  const size_t first = value.string().find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return value;
  if (value.string()[first] != '{' && value.string()[first] != '[') return value;
  absl::StatusOr<Json> parsed = Json::Parse(value.string(), kInnerJson);
  return parsed.ok() ? *std::move(parsed) : value;
}

Json UnquotedOf(const Json& object, Keys keys) {
  const Json* value = FirstOf(object, keys);
  return value == nullptr ? Json() : Unquoted(*value);
}

// ---- Names with indices: gen_ai.prompt.0.role

using Leaf = std::pair<std::string_view, const Json*>;  // rest of the name, value

bool IsIndex(std::string_view text) {
  return !text.empty() && text.size() <= 9 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The value that the leaves spell: an array where all names are indices, in
// their order, however far apart.
Json Nested(const std::vector<Leaf>& leaves, size_t depth) {
  const bool last = leaves.size() == 1 || depth > kNestingMax;
  if (last && leaves.front().first.empty()) return *leaves.front().second;
  std::vector<std::pair<std::string_view, std::vector<Leaf>>> groups;
  std::map<std::string_view, size_t> index;
  bool array = true;
  for (const auto& [name, value] : leaves) {
    const size_t end = depth < kNestingMax ? std::min(name.find('.'), name.size()) : name.size();
    const std::string_view head = name.substr(0, end);
    array = array && IsIndex(head);
    const auto [at, added] = index.try_emplace(head, groups.size());
    if (added) groups.push_back({head, {}});
    groups[at->second].second.emplace_back(name.substr(std::min(end + 1, name.size())), value);
  }
  if (array) {
    std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) {
      return a.first.size() != b.first.size() ? a.first.size() < b.first.size() : a.first < b.first;
    });
  }
  Json::Array items;
  Json::Object members;
  for (const auto& [head, group] : groups) {
    Json value = Nested(group, depth + 1);
    if (array) {
      items.push_back(std::move(value));
    } else {
      members.emplace_back(std::string(head), std::move(value));
    }
  }
  return array ? Json::MakeArray(std::move(items)) : Json::MakeObject(std::move(members));
}

// The attributes whose names begin with `prefix`, put together; null when none do.
Json Gathered(const Json& attributes, std::string_view prefix) {
  std::vector<Leaf> leaves;
  for (const Json::Member& member : attributes.object()) {
    if (member.first.size() > prefix.size() && member.first.starts_with(prefix))
      leaves.emplace_back(std::string_view(member.first).substr(prefix.size()), &member.second);
  }
  return leaves.empty() ? Json() : Nested(leaves, 0);
}

// OpenInference wraps each message: {"message":{"role":…}}.
Json UnwrapMessages(Json list) {
  if (!list.IsArray()) return list;
  for (Json& item : list.array()) {
    const Json* message = item.Find("message");
    if (message == nullptr) continue;
    Json inner = *message;
    item = std::move(inner);
  }
  return list;
}

// ---- Messages as events, as instrumentations wrote them before 1.37

Json MessagesOfEvents(const Span& span, bool input) {
  Json::Array messages;
  for (const SpanEvent& event : span.events) {
    constexpr std::string_view kPrefix = "gen_ai.", kSuffix = ".message";
    std::string_view role = event.name;
    if (event.name == "gen_ai.choice") {
      if (!input) messages.push_back(event.attributes);
    } else if (input && role.starts_with(kPrefix) && role.ends_with(kSuffix) &&
               role.size() > kPrefix.size() + kSuffix.size()) {
      role.remove_prefix(kPrefix.size());
      role.remove_suffix(kSuffix.size());
      Json message = event.attributes;
      if (message.Find("role") == nullptr) message.Set("role", Json::String(std::string(role)));
      messages.push_back(std::move(message));
    }
  }
  return messages.empty() ? Json() : Json::MakeArray(std::move(messages));
}

// Under any of the keys, in the span's attributes or those of an event.
Json FindContent(const Span& span, Keys keys) {
  Json content = UnquotedOf(span.attributes, keys);
  for (const SpanEvent& event : span.events) {
    if (!content.IsNull()) break;
    content = UnquotedOf(event.attributes, keys);
  }
  return content;
}

// ---- Numbers

// A count that may stand as a string of digits.
absl::StatusOr<std::optional<uint64_t>> CountOf(const Span& span, Keys keys) {
  const Json* value = FirstOf(span.attributes, keys);
  if (value == nullptr) return std::nullopt;
  std::optional<int64_t> count = value->AsInt();
  if (value->IsString() && IsIndex(value->string()))
    count = ScaledDecimal(value->string(), 0, Rounding::kDown);
  if (count.has_value() && *count >= 0) return static_cast<uint64_t>(*count);
  return Error(
      absl::StatusCode::kInvalidArgument, "span {}, {}: {} is no count", span.id,
      *std::find_if(keys.begin(), keys.end(),
                    [&](std::string_view key) { return span.attributes.Find(key) == value; }),
      value->Dump().substr(0, 80));
}

absl::Status AddCost(const Span& span, std::string_view key, std::optional<int64_t>* sum) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields,
                          Fields::Of(span.attributes, fmt::format("span {}, ", span.id)));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> cost, fields.Picodollars(key));
  int64_t total;
  if (!cost.has_value()) return absl::OkStatus();
  if (__builtin_add_overflow(sum->value_or(0), *cost, &total))
    return Error(absl::StatusCode::kInvalidArgument, "{}: too large", fields.PathOf(key));
  *sum = total;
  return absl::OkStatus();
}

}  // namespace

SpanRole RoleOf(const Span& span) {
  const std::string_view operation = span.attributes.StringOr("gen_ai.operation.name");
  if (operation == "chat" || operation == "generate_content" || operation == "text_completion" ||
      operation == "call_llm")
    return SpanRole::kModel;
  if (operation == "execute_tool") return SpanRole::kTool;
  if (operation == "invoke_agent" || operation == "invoke_workflow") return SpanRole::kAgent;
  if (!operation.empty()) return SpanRole::kOther;  // embeddings, create_agent, …
  const std::string_view inference = span.attributes.StringOr("openinference.span.kind");
  if (inference == "LLM") return SpanRole::kModel;
  if (inference == "TOOL") return SpanRole::kTool;
  if (inference == "AGENT") return SpanRole::kAgent;
  if (!inference.empty()) return SpanRole::kOther;
  const std::string_view traceloop = span.attributes.StringOr("traceloop.span.kind");
  if (traceloop == "tool") return SpanRole::kTool;
  if (traceloop == "agent" || traceloop == "workflow") return SpanRole::kAgent;
  if (!traceloop.empty()) return SpanRole::kOther;
  const std::string_view request = span.attributes.StringOr("llm.request.type");
  if (request == "chat" || request == "completion") return SpanRole::kModel;
  if (!request.empty()) return SpanRole::kOther;
  return span.attributes.Find("gen_ai.request.model") != nullptr ? SpanRole::kModel
                                                                 : SpanRole::kOther;
}

absl::StatusOr<SpanUsage> ReadSpanUsage(const Span& span) {
  SpanUsage result;
  Usage& usage = result.usage;
  NIMBUS_ASSIGN_OR_RETURN(usage.input,
                          CountOf(span, {"gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens",
                                         "llm.token_count.prompt", "llm.usage.prompt_tokens"}));
  NIMBUS_ASSIGN_OR_RETURN(
      usage.output, CountOf(span, {"gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens",
                                   "llm.token_count.completion", "llm.usage.completion_tokens"}));
  NIMBUS_ASSIGN_OR_RETURN(
      usage.cache_read,
      CountOf(span, {"gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
                     "llm.token_count.prompt_details.cache_read"}));
  NIMBUS_ASSIGN_OR_RETURN(usage.cache_write,
                          CountOf(span, {"gen_ai.usage.cache_creation.input_tokens",
                                         "gen_ai.usage.cache_creation_input_tokens",
                                         "llm.token_count.prompt_details.cache_write"}));
  NIMBUS_ASSIGN_OR_RETURN(usage.total,
                          CountOf(span, {"gen_ai.usage.total_tokens", "llm.usage.total_tokens",
                                         "llm.token_count.total"}));
  // Cached tokens are among those of the input.
  if (!usage.total.has_value()) usage.total = SumOf({.input = usage.input, .output = usage.output});
  for (const std::string_view key :
       {"gen_ai.usage.input_cost", "gen_ai.usage.output_cost", "gen_ai.usage.cost"}) {
    if (key == "gen_ai.usage.cost" && result.picodollars.has_value()) break;
    NIMBUS_RETURN_IF_ERROR(AddCost(span, key, &result.picodollars));
  }
  if (!result.picodollars.has_value())
    NIMBUS_RETURN_IF_ERROR(AddCost(span, "llm.cost.total", &result.picodollars));
  return result;
}

Json InputMessages(const Span& span) {
  Json messages = FindContent(span, {"gen_ai.input.messages"});
  if (messages.IsNull()) messages = MessagesOfEvents(span, true);
  if (messages.IsNull()) messages = Gathered(span.attributes, "gen_ai.prompt.");
  if (messages.IsNull())
    messages = UnwrapMessages(Gathered(span.attributes, "llm.input_messages."));
  if (messages.IsNull()) {
    const Json request = UnquotedOf(span.attributes, {"gcp.vertex.agent.llm_request"});
    if (const Json* contents = request.Find("contents")) messages = *contents;
  }
  if (messages.IsNull())
    messages =
        UnquotedOf(span.attributes, {"gen_ai.prompt", "input.value", "traceloop.entity.input"});
  return messages;
}

Json OutputMessages(const Span& span) {
  Json messages = FindContent(span, {"gen_ai.output.messages"});
  if (messages.IsNull()) messages = MessagesOfEvents(span, false);
  if (messages.IsNull()) messages = Gathered(span.attributes, "gen_ai.completion.");
  if (messages.IsNull())
    messages = UnwrapMessages(Gathered(span.attributes, "llm.output_messages."));
  if (messages.IsNull()) {
    const Json response = UnquotedOf(span.attributes, {"gcp.vertex.agent.llm_response"});
    if (const Json* content = response.Find("content")) messages = Json::MakeArray({*content});
  }
  if (messages.IsNull())
    messages = UnquotedOf(span.attributes, {"gen_ai.completion", "gen_ai.output", "output.value",
                                            "traceloop.entity.output"});
  return messages;
}

Json ToolArguments(const Span& span) {
  return UnquotedOf(
      span.attributes,
      {"gen_ai.tool.call.arguments", "gen_ai.tool.args", "gcp.vertex.agent.tool_call_args",
       "tool.parameters", "tool_call.function.arguments", "input.value", "traceloop.entity.input"});
}

Json ToolResult(const Span& span) {
  return UnquotedOf(span.attributes, {"gen_ai.tool.call.result", "gcp.vertex.agent.tool_response",
                                      "gen_ai.output", "output.value", "traceloop.entity.output"});
}

std::string_view ToolNameOf(const Span& span) {
  const std::string_view name =
      TextOf(span, {"gen_ai.tool.name", "tool.name", "traceloop.entity.name"});
  return name.empty() ? std::string_view(span.name) : name;
}

std::string_view ToolCallIdOf(const Span& span) {
  return TextOf(span, {"gen_ai.tool.call.id", "tool.id", "tool_call.id"});
}

std::string_view AgentNameOf(const Span& span) {
  return TextOf(span, {"gen_ai.agent.name", "agent.name", "gen_ai.workflow.name",
                       "traceloop.workflow.name", "traceloop.entity.name"});
}

std::string_view ModelOf(const Span& span) {
  return TextOf(span, {"gen_ai.request.model", "gen_ai.response.model", "llm.model_name"});
}

std::string_view ProviderOf(const Span& span) {
  return TextOf(span, {"gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"});
}

std::string_view ConversationOf(const Span& span) {
  return TextOf(span, {"gen_ai.conversation.id", "gcp.vertex.agent.session_id", "session.id",
                       "traceloop.association.properties.session_id"});
}

Json ModelInput(const Span& span) {
  Json input = Json::MakeObject();
  const auto text = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) input.Set(key, Json::String(std::string(value)));
  };
  const auto json = [&](std::string_view key, Json value) {
    if (!value.IsNull()) input.Set(key, std::move(value));
  };
  text("model", ModelOf(span));
  text("provider", ProviderOf(span));
  json("system_instructions", FindContent(span, {"gen_ai.system_instructions"}));
  json("messages", InputMessages(span));
  json("tools", FindContent(span, {"gen_ai.tool.definitions"}));
  if (input.Find("tools") == nullptr)
    json("tools", Gathered(span.attributes, "llm.request.functions."));
  constexpr std::string_view kParameter = "gen_ai.request.";
  Json parameters = Json::MakeObject();
  for (const Json::Member& member : span.attributes.object()) {
    if (member.first.starts_with(kParameter) && member.first != "gen_ai.request.model")
      parameters.Set(member.first.substr(kParameter.size()), member.second);
  }
  if (!parameters.object().empty()) input.Set("parameters", std::move(parameters));
  return input.object().empty() ? Json() : input;
}

Json ModelOutput(const Span& span) {
  Json output = Json::MakeObject();
  const auto json = [&](std::string_view key, Json value) {
    if (!value.IsNull()) output.Set(key, std::move(value));
  };
  json("id", UnquotedOf(span.attributes, {"gen_ai.response.id"}));
  json("model", UnquotedOf(span.attributes, {"gen_ai.response.model"}));
  json("messages", OutputMessages(span));
  json("finish_reasons", UnquotedOf(span.attributes, {"gen_ai.response.finish_reasons"}));
  return output.object().empty() ? Json() : output;
}

std::string ErrorOf(const Span& span) {
  const std::string_view type = TextOf(span, {"error.type"});
  if (!span.failed && type.empty()) return {};
  if (!span.message.empty()) return span.message;
  for (const SpanEvent& event : span.events) {
    if (event.name != "exception") continue;
    const std::string_view message = event.attributes.StringOr("exception.message");
    if (!message.empty()) return std::string(message);
  }
  return type.empty() ? "failed" : std::string(type);
}

std::vector<size_t> EvaluationsOf(const Span& span) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < span.events.size(); ++i) {
    if (span.events[i].name == kEvaluation) indices.push_back(i);
  }
  return indices;
}

}  // namespace nimbus::tools::import
