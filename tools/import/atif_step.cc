#include <utility>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/status.h"
#include "tools/import/atif.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Error;
using schema::Json;
using schema::fb::StepType;

// Of an absent time, nothing; of one that is none, an error.
absl::StatusOr<std::optional<int64_t>> TimestampOf(const Fields& step) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view text, step.Text("timestamp"));
  if (text.empty()) return std::nullopt;
  const std::optional<int64_t> time = schema::ParseUtc(text);
  if (!time.has_value())
    return Error(absl::StatusCode::kInvalidArgument, "{}: '{}' is no ISO 8601 time",
                 step.PathOf("timestamp"), text.substr(0, 80));
  return time;
}

absl::Status ReadMetrics(const Fields& step, CostMeter* cost, Usage* usage) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* json, step.Optional("metrics", Json::Type::kObject));
  if (json == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields metrics, Fields::Of(*json, step.PathOf("metrics")));
  NIMBUS_ASSIGN_OR_RETURN(usage->input, metrics.Count("prompt_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(usage->output, metrics.Count("completion_tokens"));
  usage->total = SumOf(*usage);  // cached tokens are among those of the prompt
  NIMBUS_ASSIGN_OR_RETURN(usage->cache_read, metrics.Count("cached_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> picos, metrics.Picodollars("cost_usd"));
  if (picos.has_value()) usage->cost_microdollars = cost->Add(*picos);
  return absl::OkStatus();
}

// The results of an observation, each taken once, by the call they name.
class Results {
 public:
  static absl::StatusOr<Results> Of(const Fields& step) {
    Results results;
    NIMBUS_ASSIGN_OR_RETURN(const Json* json, step.Optional("observation", Json::Type::kObject));
    if (json == nullptr) return results;
    NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*json, step.PathOf("observation")));
    NIMBUS_ASSIGN_OR_RETURN(const Json* list, fields.Required("results", Json::Type::kArray));
    for (size_t i = 0; i < list->array().size(); ++i) {
      NIMBUS_ASSIGN_OR_RETURN(const Fields result,
                              Fields::Of(list->array()[i], ItemPath(fields.PathOf("results"), i)));
      NIMBUS_RETURN_IF_ERROR(result.Text("source_call_id").status());
      results.left_.push_back(list->array()[i]);
    }
    return results;
  }

  // Null when the call has no result; an array when it has several.
  Json Take(std::string_view call) {
    Json::Array taken;
    std::erase_if(left_, [&](const Json& result) {
      if (result.StringOr("source_call_id") != call) return false;
      taken.push_back(result);
      return true;
    });
    if (taken.empty()) return Json();
    return taken.size() == 1 ? std::move(taken.front()) : Json::MakeArray(std::move(taken));
  }

  Json::Array TakeRest() { return std::exchange(left_, {}); }

 private:
  Json::Array left_;
};

absl::StatusOr<Step> ReadCall(const Fields& call, Results* results) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view id, call.Text("tool_call_id"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, call.Text("function_name"));
  const Json* arguments = call.Find("arguments");
  Step step;
  step.type = StepType::tool_call;
  step.tool_name = ToolName(name);
  if (step.tool_name.empty())
    return Error(absl::StatusCode::kInvalidArgument, "{}: a name is needed",
                 call.PathOf("function_name"));
  step.input = arguments == nullptr ? "{}" : arguments->Dump();
  step.status = Lifecycle::kRunning;
  const Json result = results->Take(id);
  if (result.IsNull()) return step;
  step.status = Lifecycle::kCompleted;
  step.output = result.Dump();
  const Json* content = result.Find("content");
  step.messages.push_back(Json::MakeObject({{"role", Json::String("tool")},
                                            {"tool_call_id", Json::String(std::string(id))},
                                            {"content", content == nullptr ? result : *content}}));
  return step;
}

absl::StatusOr<std::vector<Step>> ReadCalls(const Fields& step, Results* results) {
  std::vector<Step> calls;
  NIMBUS_ASSIGN_OR_RETURN(const Json* list, step.Optional("tool_calls", Json::Type::kArray));
  for (size_t i = 0; list != nullptr && i < list->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields call,
                            Fields::Of(list->array()[i], ItemPath(step.PathOf("tool_calls"), i)));
    NIMBUS_ASSIGN_OR_RETURN(Step made, ReadCall(call, results));
    calls.push_back(std::move(made));
  }
  return calls;
}

Json SaidBy(std::string_view role, const Fields& step) {
  const Json* message = step.Find("message");
  Json said = Json::MakeObject({{"role", Json::String(std::string(role))},
                                {"content", message == nullptr ? Json::String("") : *message}});
  for (const std::string_view key : {"reasoning_content", "tool_calls"}) {
    if (const Json* value = step.Find(key)) said.Set(key, *value);
  }
  return said;
}

absl::StatusOr<Step> ReadModelCall(const Fields& step, std::string_view default_model,
                                   Json::Array unclaimed, CostMeter* cost) {
  Step call;
  call.type = StepType::llm_call;
  NIMBUS_ASSIGN_OR_RETURN(std::string_view model, step.Text("model_name"));
  if (model.empty()) model = default_model;
  call.input =
      model.empty() ? "{}" : Json::MakeObject({{"model", Json::String(std::string(model))}}).Dump();
  NIMBUS_RETURN_IF_ERROR(ReadMetrics(step, cost, &call.usage));
  Json output = Without(step.json(), {"step_id", "timestamp", "source", "model_name", "observation",
                                      "metrics", "extra"});
  call.messages.push_back(SaidBy("assistant", step));
  // What the agent saw without having called a tool by the format's means.
  for (const Json& result : unclaimed) {
    const Json* content = result.Find("content");
    call.messages.push_back(Json::MakeObject(
        {{"role", Json::String("user")}, {"content", content == nullptr ? result : *content}}));
  }
  if (!unclaimed.empty()) output.Set("observation", Json::MakeArray(std::move(unclaimed)));
  call.output = output.Dump();
  return call;
}

}  // namespace

absl::StatusOr<std::vector<Step>> ReadAtifStep(const Fields& step, std::string_view default_model,
                                               CostMeter* cost) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view source, step.Text("source"));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> time, TimestampOf(step));
  NIMBUS_ASSIGN_OR_RETURN(Results results, Results::Of(step));
  std::vector<Step> steps;
  if (source == "user") {
    Step prompt;
    prompt.type = StepType::user_input;
    const Json* message = step.Find("message");
    prompt.input =
        Json::MakeObject({{"message", message == nullptr ? Json::String("") : *message}}).Dump();
    prompt.started_at_us = prompt.ended_at_us = time;
    prompt.messages.push_back(SaidBy("user", step));
    steps.push_back(std::move(prompt));
  } else if (source == "agent") {
    NIMBUS_ASSIGN_OR_RETURN(std::vector<Step> calls, ReadCalls(step, &results));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> model_calls,
                            step.Count("llm_call_count"));
    if (model_calls != 0u) {
      NIMBUS_ASSIGN_OR_RETURN(Step call,
                              ReadModelCall(step, default_model, results.TakeRest(), cost));
      call.started_at_us = time;
      steps.push_back(std::move(call));
    }
    for (Step& call : calls) steps.push_back(std::move(call));
  } else if (source != "system") {
    return Error(absl::StatusCode::kInvalidArgument, "{}: '{}' is not system, user or agent",
                 step.PathOf("source"), source.substr(0, 80));
  }
  return steps;
}

}  // namespace nimbus::tools::import
