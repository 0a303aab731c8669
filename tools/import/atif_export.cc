// Sessions and operations as ATIF trajectories: the way back from atif_step.cc.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/clock.h"
#include "tools/import/atif.h"
#include "tools/import/said.h"
#include "tools/import/script.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;

constexpr std::string_view kUnknown = "unknown";  // name and version are required
// Beyond these a number is no count or cost to any reader.
constexpr uint64_t kCountMax = uint64_t{1} << 53;
constexpr int64_t kCostMax = 9'000'000'000'000;  // microdollars

// Microdollars as dollars, exactly.
Json Dollars(int64_t micros) {
  std::string text = fmt::format("{}.{:06}", micros / 1'000'000, micros % 1'000'000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text += '0';
  return Json::Number(std::move(text));
}

// Members of `usage` by the names of a step's metrics or, with total_ before
// them, of the trajectory's.
Json Metrics(const Usage& usage, std::string_view prefix) {
  Json metrics = Json::MakeObject();
  const auto set = [&](std::string_view key, const std::optional<uint64_t>& count) {
    if (count.has_value() && *count <= kCountMax)
      metrics.Set(fmt::format("{}{}", prefix, key), Json::Uint(*count));
  };
  set("prompt_tokens", PromptTokens(usage));
  set("completion_tokens", usage.output);
  set("cached_tokens", usage.cache_read);
  const int64_t cost = usage.cost_microdollars.value_or(-1);
  if (cost >= 0 && cost <= kCostMax) metrics.Set(fmt::format("{}cost_usd", prefix), Dollars(cost));
  if (usage.cache_write.has_value())
    metrics.Set("extra", Json::MakeObject(
                             {{"cache_creation_input_tokens", Json::Uint(*usage.cache_write)}}));
  return metrics;
}

// What one ATIF step is made of: at most one step that is no call of a tool, and
// the calls that follow it.
struct Group {
  std::vector<Step> steps;

  const Step* lead() const {
    const Step& first = steps.front();
    return first.type == StepType::tool_call ? nullptr : &first;
  }
  size_t calls_begin() const { return lead() == nullptr ? 0 : 1; }
};

std::vector<Group> GroupSteps(const std::vector<Step>& steps) {
  std::vector<Group> groups;
  for (const Step& step : steps) {
    const bool joins =
        step.type == StepType::tool_call && !groups.empty() &&
        (groups.back().lead() == nullptr || groups.back().lead()->type == StepType::llm_call);
    if (!joins) groups.emplace_back();
    groups.back().steps.push_back(step);
  }
  return groups;
}

Json ArgumentsOf(const Step& call) {
  Json input = JsonOf(call.input);
  if (input.IsObject()) return input;
  return input.IsNull() ? Json::MakeObject() : Json::MakeObject({{"input", std::move(input)}});
}

void AddCalls(const Group& group, Json* step) {
  Json::Array calls, results;
  // Observations that no call of a tool made, as ATIF's own readers keep them.
  if (group.lead() != nullptr) {
    const Json output = JsonOf(group.lead()->output);
    const Json* seen = output.Find("observation");
    if (seen != nullptr && seen->IsArray()) results = seen->array();
    std::erase_if(results, [](const Json& result) {
      const Json* content = result.Find("content");
      return content == nullptr || !content->IsString() || result.Find("source_call_id") != nullptr;
    });
  }
  for (size_t i = group.calls_begin(); i < group.steps.size(); ++i) {
    const Step& call = group.steps[i];
    const std::string id = CallIdOf(call);
    calls.push_back(Json::MakeObject(
        {{"tool_call_id", Json::String(id)},
         {"function_name", Json::String(call.tool_name.empty() ? "tool" : call.tool_name)},
         {"arguments", ArgumentsOf(call)}}));
    if (call.status == Lifecycle::kRunning || (call.output.empty() && call.error.empty())) continue;
    results.push_back(Json::MakeObject(
        {{"source_call_id", Json::String(id)}, {"content", Json::String(ResultText(call))}}));
  }
  if (!calls.empty()) step->Set("tool_calls", Json::MakeArray(std::move(calls)));
  if (!results.empty())
    step->Set("observation", Json::MakeObject({{"results", Json::MakeArray(std::move(results))}}));
}

std::string_view SourceOf(const Group& group) {
  if (group.lead() == nullptr || group.lead()->type == StepType::llm_call) return "agent";
  return group.lead()->type == StepType::user_input ? "user" : "system";
}

std::string MessageOf(const Group& group) {
  const Step* lead = group.lead();
  if (lead == nullptr) return {};
  const Json said = JsonOf(lead->type == StepType::user_input ? lead->input : lead->output);
  std::string text = TextOf(said);
  if (lead->type == StepType::llm_call || !text.empty()) return text;
  return said.IsNull() ? lead->error : said.Dump();  // of a verification, its findings
}

void AddAnswer(const Step& call, std::string_view default_model, Json* step) {
  const std::string reasoning = ReasoningOf(JsonOf(call.output));
  if (!reasoning.empty()) step->Set("reasoning_content", Json::String(reasoning));
  Json metrics = Metrics(call.usage, "");
  if (!metrics.object().empty()) step->Set("metrics", std::move(metrics));
  const std::string model = StepModel(call);
  if (!model.empty() && model != default_model) step->Set("model_name", Json::String(model));
}

Json WriteStep(const Group& group, size_t number, std::string_view default_model) {
  const Step& first = group.steps.front();
  Json step = Json::MakeObject({{"step_id", Json::Uint(number)}});
  const auto time = first.started_at_us.has_value() ? first.started_at_us : first.ended_at_us;
  // A time of no calendar year is in `extra` only.
  if (time.has_value() && schema::ParseUtc(IsoTime(*time)) == time)
    step.Set("timestamp", Json::String(IsoTime(*time)));
  step.Set("source", Json::String(std::string(SourceOf(group))));
  step.Set("message", Json::String(MessageOf(group)));
  if (group.lead() != nullptr && group.lead()->type == StepType::llm_call)
    AddAnswer(*group.lead(), default_model, &step);
  if (SourceOf(group) == "agent") AddCalls(group, &step);

  const absl::StatusOr<Fields> fields = Fields::Of(step, "");
  CostMeter cost;
  const absl::StatusOr<std::vector<Step>> plain = ReadAtifStep(*fields, default_model, &cost);
  NIMBUS_CHECK(plain.ok());  // what is written here is ATIF
  Json ours = StepDifferences(*plain, group.steps);
  if (!ours.IsNull()) step.Set("extra", Json::MakeObject({{"nimbus", std::move(ours)}}));
  return step;
}

// What the system said before the step; a step of its own there.
void AddSystemMessages(const Group& group, Json::Array* steps) {
  for (const Json& message : group.steps.front().messages) {
    if (message.StringOr("role") != "system") continue;
    const Json* content = message.Find("content");
    const std::string text = content == nullptr ? "" : TextOf(*content);
    steps->push_back(Json::MakeObject({{"step_id", Json::Uint(steps->size() + 1)},
                                       {"source", Json::String("system")},
                                       {"message", Json::String(text)}}));
  }
}

std::string DefaultModel(const AtifParts& parts) {
  for (const Operation& operation : parts.operations) {
    for (const Step& step : operation.steps) {
      if (step.type != StepType::llm_call) continue;
      std::string model = StepModel(step);
      if (!model.empty()) return model;
    }
  }
  return std::string(parts.session.context.StringOr("model"));
}

Json AgentOf(const Session& session, const std::string& model) {
  const auto required = [&](std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys) {
      const std::string_view text = session.context.StringOr(key);
      if (!text.empty()) return Json::String(std::string(text));
    }
    return Json::String(std::string(kUnknown));
  };
  Json agent =
      Json::MakeObject({{"name", required({"agent"})},
                        {"version", required({"version", "cli_version", "swe_agent_version"})}});
  if (!model.empty()) agent.Set("model_name", Json::String(model));
  const Json* tools = session.context.Find("tool_definitions");
  if (tools != nullptr && tools->IsArray()) agent.Set("tool_definitions", *tools);
  return agent;
}

Json FinalMetrics(const AtifParts& parts, size_t steps) {
  Run run;
  run.sessions.push_back({});
  run.sessions[0].operations = parts.operations;
  const Usage usage = CountRun(run).usage;
  Json metrics = Metrics(usage, "total_");
  metrics.Set("total_steps", Json::Uint(steps));
  return metrics;
}

// Where the operation is among those exported, if it is.
std::optional<size_t> IndexOf(const AtifParts& parts, std::string_view id, size_t before) {
  for (size_t i = 0; i < before; ++i) {
    if (!id.empty() && parts.operations[i].source_id == id) return i;
  }
  return std::nullopt;
}

}  // namespace

Json WriteAtif(const AtifParts& parts) {
  const std::string model = DefaultModel(parts);
  Json::Array steps, operations;
  for (size_t i = 0; i < parts.operations.size(); ++i) {
    const Operation& operation = parts.operations[i];
    const size_t before = steps.size();
    for (const Group& group : GroupSteps(operation.steps)) {
      AddSystemMessages(group, &steps);
      steps.push_back(WriteStep(group, steps.size() + 1, model));
    }
    Json members = OperationMembers(operation);
    members.Set("id", Json::String(operation.source_id));
    members.Set("atif_steps", Json::Uint(steps.size() - before));
    const std::optional<size_t> parent = IndexOf(parts, operation.parent_source_id, i);
    if (parent.has_value()) members.Set("parent", Json::Uint(*parent));
    operations.push_back(std::move(members));
  }
  const Session& session = parts.session;
  Json described = Json::MakeObject({{"name", Json::String(session.name)},
                                     {"description", Json::String(session.description)},
                                     {"context", session.context}});
  Json totals = FinalMetrics(parts, steps.size());
  return Json::MakeObject(
      {{"schema_version", Json::String(std::string(kAtifVersion))},
       {"session_id", Json::String(parts.session_id)},
       {"agent", AgentOf(session, model)},
       {"steps", Json::MakeArray(std::move(steps))},
       {"final_metrics", std::move(totals)},
       {"extra", Json::MakeObject(
                     {{"nimbus", Json::MakeObject({{"session", std::move(described)},
                                                   {"operations",
                                                    Json::MakeArray(std::move(operations))}})}})}});
}

}  // namespace nimbus::tools::import
