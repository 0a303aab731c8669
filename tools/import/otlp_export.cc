#include "tools/import/otlp_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "tools/import/said.h"
#include "tools/import/script.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;

constexpr int kInternalSpan = 1, kClientSpan = 3;
constexpr int kErrorStatus = 2;

// The attributes of a span or an event, as OTLP lists them.
class Attributes {
 public:
  void Text(std::string_view key, std::string_view text) {
    if (!text.empty()) Add(key, "stringValue", Json::String(std::string(text)));
  }
  // 64-bit integers are decimal strings.
  template <typename T>
  void Number(std::string_view key, const std::optional<T>& number) {
    if (number.has_value()) Add(key, "intValue", Json::String(fmt::format("{}", *number)));
  }
  void JsonText(std::string_view key, const Json& value) {
    if (!value.IsNull()) Add(key, "stringValue", Json::String(value.Dump()));
  }
  // Strings only.
  void Texts(std::string_view key, const Json* list) {
    if (list == nullptr || !list->IsArray() || list->array().empty()) return;
    Json::Array values;
    for (const Json& item : list->array()) {
      if (item.IsString()) values.push_back(Json::MakeObject({{"stringValue", item}}));
    }
    Add(key, "arrayValue", Json::MakeObject({{"values", Json::MakeArray(std::move(values))}}));
  }
  Json Take() { return Json::MakeArray(std::move(list_)); }

 private:
  void Add(std::string_view key, std::string type, Json value) {
    list_.push_back(
        Json::MakeObject({{"key", Json::String(std::string(key))},
                          {"value", Json::MakeObject({{std::move(type), std::move(value)}})}}));
  }

  Json::Array list_;
};

// The digits of a UUID, without hyphens.
std::string Digits(std::string_view uuid) {
  std::string digits(uuid);
  std::erase(digits, '-');
  return digits;
}

// The half of an id that is random: what is made together shares the other one.
std::string SpanId(std::string_view uuid) { return Digits(uuid).substr(16); }

void SetTime(std::string_view key, std::optional<int64_t> micros, Json* object) {
  if (!micros.has_value() || *micros <= 0) return;
  object->Set(key, Json::String(fmt::format("{}000", *micros)));
}

Json NewSpan(const std::string& trace, const std::string& id, const std::string& parent,
             std::string name, int kind) {
  Json span = Json::MakeObject({{"traceId", Json::String(trace)}, {"spanId", Json::String(id)}});
  if (!parent.empty()) span.Set("parentSpanId", Json::String(parent));
  span.Set("name", Json::String(std::move(name)));
  span.Set("kind", Json::Int(kind));
  return span;
}

// An instrumentation leaves the status of what went well unset. Errors of tools
// are their output, as a rule: content.
void SetStatus(Lifecycle status, const std::string& error, Json* span, Attributes* attributes) {
  if (status != Lifecycle::kFailed && status != Lifecycle::kCancelled) {
    span->Set("status", Json::MakeObject());
    return;
  }
  Json value = Json::MakeObject({{"code", Json::Int(kErrorStatus)}});
  if (!error.empty()) value.Set("message", Json::String(error));
  span->Set("status", std::move(value));
  attributes->Text("error.type", status == Lifecycle::kCancelled ? "cancelled" : "_OTHER");
}

void AddUsage(const Usage& usage, Attributes* attributes) {
  attributes->Number("gen_ai.usage.input_tokens", PromptTokens(usage));
  attributes->Number("gen_ai.usage.output_tokens", usage.output);
  attributes->Number("gen_ai.usage.cache_read.input_tokens", usage.cache_read);
  attributes->Number("gen_ai.usage.cache_creation.input_tokens", usage.cache_write);
  attributes->Number("nimbus.usage.cost_microdollars", usage.cost_microdollars);
}

Json TextPart(std::string_view type, const std::string& text) {
  return Json::MakeObject(
      {{"type", Json::String(std::string(type))}, {"content", Json::String(text)}});
}

Json MessageOf(std::string_view role, Json::Array parts) {
  return Json::MakeObject(
      {{"role", Json::String(std::string(role))}, {"parts", Json::MakeArray(std::move(parts))}});
}

// Writes the spans of one operation.
class OperationWriter {
 public:
  OperationWriter(const Session& session, const Operation& operation, std::string trace,
                  std::string parent, const OtlpOptions& options, Json::Array* spans)
      : session_(session),
        operation_(operation),
        trace_(std::move(trace)),
        id_(SpanId(operation.source_id)),
        parent_(std::move(parent)),
        options_(options),
        spans_(*spans) {}

  void Write() {
    const size_t own = spans_.size();
    spans_.emplace_back();
    for (size_t i = 0; i < operation_.steps.size(); ++i) {
      const Step& step = operation_.steps[i];
      HearSystem(step);
      if (step.type == StepType::llm_call) {
        WriteModelCall(step, i);
      } else if (step.type == StepType::tool_call) {
        WriteToolCall(step);
      } else {
        AddEvent(step);
      }
    }
    spans_[own] = OperationSpan();
  }

 private:
  Json OperationSpan() {
    const std::string agent(session_.context.StringOr("agent"));
    Json span = NewSpan(trace_, id_, parent_,
                        agent.empty() ? "invoke_agent" : "invoke_agent " + agent, kInternalSpan);
    SetTime("startTimeUnixNano", operation_.created_at_us, &span);
    SetTime("endTimeUnixNano", operation_.ended_at_us, &span);
    Attributes attributes;
    attributes.Text("gen_ai.operation.name", "invoke_agent");
    attributes.Text("gen_ai.provider.name", Provider());
    attributes.Text("gen_ai.agent.name", agent);
    attributes.Text("gen_ai.agent.version", session_.context.StringOr("version"));
    attributes.Text("gen_ai.request.model", session_.context.StringOr("model"));
    attributes.Text("gen_ai.conversation.id", session_.source_id);
    attributes.Text("nimbus.operation.id", operation_.source_id);
    attributes.Text("nimbus.operation.type", operation_.type);
    Run run;
    run.sessions.push_back({});
    run.sessions[0].operations.push_back(operation_);
    AddUsage(CountRun(run).usage, &attributes);
    if (options_.content) {
      AddMessage("gen_ai.input.messages", "user", operation_.input, &attributes);
      AddMessage("gen_ai.output.messages", "assistant", operation_.output, &attributes);
    }
    SetStatus(operation_.status, options_.content ? operation_.error : "", &span, &attributes);
    span.Set("attributes", attributes.Take());
    if (!events_.empty()) span.Set("events", Json::MakeArray(std::move(events_)));
    return span;
  }

  std::string_view Provider() const {
    const std::string_view provider = session_.context.StringOr("provider");
    return provider.empty() ? session_.context.StringOr("model_provider") : provider;
  }

  static void AddMessage(std::string_view key, std::string_view role, const std::string& json,
                         Attributes* attributes) {
    const Json value = JsonOf(json);
    if (value.IsNull() || json == "{}") return;
    const std::string text = TextOf(value);
    attributes->JsonText(
        key,
        Json::MakeArray({MessageOf(role, {TextPart("text", text.empty() ? value.Dump() : text)})}));
  }

  Json StepSpan(const Step& step, std::string name, int kind) const {
    Json span = NewSpan(trace_, SpanId(step.source_id), id_, std::move(name), kind);
    SetTime("startTimeUnixNano",
            step.started_at_us.has_value() ? step.started_at_us : step.ended_at_us, &span);
    SetTime("endTimeUnixNano", step.status == Lifecycle::kRunning ? std::nullopt : step.ended_at_us,
            &span);
    return span;
  }

  void WriteModelCall(const Step& step, size_t index) {
    const std::string model = StepModel(step);
    Json span = StepSpan(step, model.empty() ? "chat" : "chat " + model, kClientSpan);
    Attributes attributes;
    attributes.Text("gen_ai.operation.name", "chat");
    const Json input = JsonOf(step.input), output = JsonOf(step.output);
    const std::string_view provider = input.StringOr("provider");
    attributes.Text("gen_ai.provider.name", provider.empty() ? Provider() : provider);
    attributes.Text("gen_ai.request.model", model);
    attributes.Text("gen_ai.response.id", output.StringOr("id"));
    attributes.Texts("gen_ai.response.finish_reasons", output.Find("finish_reasons"));
    attributes.Text("gen_ai.conversation.id", session_.source_id);
    attributes.Text("nimbus.step.id", step.source_id);
    AddUsage(step.usage, &attributes);
    if (options_.content) {
      if (!heard_.empty())
        attributes.JsonText("gen_ai.input.messages", Json::MakeArray(std::exchange(heard_, {})));
      attributes.JsonText("gen_ai.output.messages", AnswerOf(output, index));
    }
    SetStatus(step.status, options_.content ? step.error : "", &span, &attributes);
    span.Set("attributes", attributes.Take());
    spans_.push_back(std::move(span));
  }

  // What was thought, said and called; null when nothing was.
  Json AnswerOf(const Json& output, size_t index) const {
    Json::Array parts;
    const std::string reasoning = ReasoningOf(output), text = TextOf(output);
    if (!reasoning.empty()) parts.push_back(TextPart("reasoning", reasoning));
    if (!text.empty()) parts.push_back(TextPart("text", text));
    bool calls = false;
    for (size_t i = index + 1; i < operation_.steps.size(); ++i) {
      const Step& call = operation_.steps[i];
      if (call.type != StepType::tool_call) break;
      calls = true;
      parts.push_back(Json::MakeObject({{"type", Json::String("tool_call")},
                                        {"id", Json::String(CallIdOf(call))},
                                        {"name", Json::String(call.tool_name)},
                                        {"arguments", JsonOf(call.input)}}));
    }
    if (parts.empty()) return Json();
    Json message = MessageOf("assistant", std::move(parts));
    message.Set("finish_reason", Json::String(calls ? "tool_call" : "stop"));
    return Json::MakeArray({std::move(message)});
  }

  void WriteToolCall(const Step& step) {
    Json span = StepSpan(step, "execute_tool " + step.tool_name, kInternalSpan);
    Attributes attributes;
    attributes.Text("gen_ai.operation.name", "execute_tool");
    attributes.Text("gen_ai.tool.name", step.tool_name);
    attributes.Text("gen_ai.tool.type", "function");
    attributes.Text("gen_ai.tool.call.id", CallIdOf(step));
    attributes.Text("gen_ai.conversation.id", session_.source_id);
    attributes.Text("nimbus.step.id", step.source_id);
    if (options_.content) {
      attributes.JsonText("gen_ai.tool.call.arguments", JsonOf(step.input));
      if (!step.output.empty()) attributes.Text("gen_ai.tool.call.result", ResultText(step));
      heard_.push_back(
          MessageOf("tool", {Json::MakeObject({{"type", Json::String("tool_call_response")},
                                               {"id", Json::String(CallIdOf(step))},
                                               {"response", Json::String(ResultText(step))}})}));
    }
    SetStatus(step.status, options_.content ? step.error : "", &span, &attributes);
    span.Set("attributes", attributes.Take());
    spans_.push_back(std::move(span));
  }

  void HearSystem(const Step& step) {
    if (!options_.content) return;
    for (const Json& message : step.messages) {
      if (message.StringOr("role") == "system")
        heard_.push_back(MessageOf("system", {TextPart("text", TextOf(message))}));
    }
  }

  void AddEvent(const Step& step) {
    const bool input = step.type == StepType::user_input;
    Json event = Json::MakeObject(
        {{"name", Json::String(input ? "nimbus.user_input" : "gen_ai.evaluation.result")}});
    SetTime("timeUnixNano", step.ended_at_us.has_value() ? step.ended_at_us : step.started_at_us,
            &event);
    Attributes attributes;
    attributes.Text("nimbus.step.id", step.source_id);
    const std::string text = TextOf(JsonOf(step.input));
    if (input && options_.content) {
      attributes.Text("nimbus.user_input.content", text);
      heard_.push_back(MessageOf("user", {TextPart("text", text)}));
    }
    if (!input) AddEvaluation(step, &attributes);
    event.Set("attributes", attributes.Take());
    events_.push_back(std::move(event));
  }

  void AddEvaluation(const Step& step, Attributes* attributes) const {
    const Json input = JsonOf(step.input);
    std::string_view name;
    for (const std::string_view key : {"evaluation", "oracle", "name"}) {
      if (name.empty()) name = input.StringOr(key);
    }
    attributes->Text("gen_ai.evaluation.name", name.empty() ? "verification" : name);
    const bool failed = step.status == Lifecycle::kFailed;
    attributes->Text("gen_ai.evaluation.score.label", failed ? "fail" : "pass");
    if (options_.content) attributes->Text("gen_ai.evaluation.explanation", ResultText(step));
  }

  const Session& session_;
  const Operation& operation_;
  const std::string trace_, id_, parent_;
  const OtlpOptions& options_;
  Json::Array& spans_;
  Json::Array heard_;  // by the model, since it last answered
  Json::Array events_;
};

}  // namespace

Json WriteOtlp(const Session& session, const OtlpOptions& options) {
  Json::Array spans;
  std::map<std::string_view, std::string> traces;  // of operations written before
  for (const Operation& operation : session.operations) {
    const auto parent = traces.find(operation.parent_source_id);
    const bool known = parent != traces.end();
    const std::string trace = known ? parent->second : Digits(operation.source_id);
    traces[operation.source_id] = trace;
    OperationWriter(session, operation, trace, known ? SpanId(operation.parent_source_id) : "",
                    options, &spans)
        .Write();
  }
  Attributes resource;
  const std::string_view agent = session.context.StringOr("agent");
  resource.Text("service.name", agent.empty() ? "unknown_service" : agent);
  Json scope = Json::MakeObject({{"scope", Json::MakeObject({{"name", Json::String("nimbus")}})},
                                 {"spans", Json::MakeArray(std::move(spans))}});
  return Json::MakeObject(
      {{"resourceSpans", Json::MakeArray({Json::MakeObject(
                             {{"resource", Json::MakeObject({{"attributes", resource.Take()}})},
                              {"scopeSpans", Json::MakeArray({std::move(scope)})}})})}});
}

}  // namespace nimbus::tools::import
