#include "tools/agent/call_values.h"

#include <array>
#include <utility>

#include "nimbus/projections/history.h"
#include "nimbus/schema/status.h"
#include "tools/cli/show.h"

namespace nimbus::tools::agent {

using schema::Error;
using schema::Json;
namespace fb = schema::fb;
using Code = absl::StatusCode;

namespace {

absl::StatusOr<fb::StepType> StepTypeOf(const std::string& name) {
  for (const fb::StepType type : fb::EnumValuesStepType()) {
    if (name == fb::EnumNameStepType(type)) return type;
  }
  return Error(Code::kInvalidArgument,
               "type: '{}', not llm_call, tool_call, user_input or verification", name);
}

using Counter = flatbuffers::Optional<uint64_t> fb::OutcomeT::*;
constexpr auto kCounters = std::to_array<std::pair<std::string_view, Counter>>({
    {"duration_ms", &fb::OutcomeT::duration_ms},
    {"tokens_used", &fb::OutcomeT::tokens_used},
    {"input_tokens", &fb::OutcomeT::input_tokens},
    {"output_tokens", &fb::OutcomeT::output_tokens},
    {"cache_read_tokens", &fb::OutcomeT::cache_read_tokens},
    {"cache_write_tokens", &fb::OutcomeT::cache_write_tokens},
});

constexpr std::string_view kCost = "cost_microdollars";

absl::Status TakeCounter(std::string_view name, Params& members,
                         flatbuffers::Optional<uint64_t>* counter) {
  const std::optional<Json> value = members.Take(name);
  if (!value.has_value()) return absl::OkStatus();
  const std::optional<int64_t> number = value->AsInt();
  if (!number.has_value() || *number < 0) {
    return Error(Code::kInvalidArgument, "outcome.{}: no whole number from 0 on", name);
  }
  *counter = static_cast<uint64_t>(*number);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> TakeJsonText(Params& params, std::string_view name,
                                         std::string_view fallback) {
  const std::optional<Json> value = params.Take(name);
  return value.has_value() ? value->Dump() : std::string(fallback);
}

absl::StatusOr<replay::StepCall> TakeStepCall(Params& params) {
  replay::StepCall call;
  NIMBUS_ASSIGN_OR_RETURN(const std::string type, params.Text("type"));
  NIMBUS_ASSIGN_OR_RETURN(call.type, StepTypeOf(type));
  NIMBUS_ASSIGN_OR_RETURN(call.tool_name, params.TextOr("tool", ""));
  NIMBUS_ASSIGN_OR_RETURN(call.input, TakeJsonText(params, "input", "{}"));
  NIMBUS_ASSIGN_OR_RETURN(call.idempotent, params.BoolOr("idempotent", false));
  return call;
}

absl::StatusOr<replay::StepResult> TakeStepResult(Params& params) {
  replay::StepResult result;
  NIMBUS_ASSIGN_OR_RETURN(result.output, TakeJsonText(params, "output", ""));
  NIMBUS_ASSIGN_OR_RETURN(result.error, params.TextOr("error", ""));
  result.state = params.Take("state");
  result.patch = params.Take("patch");
  if (result.state.has_value() && result.patch.has_value()) {
    return Error(Code::kInvalidArgument, "state and patch: one of them");
  }
  NIMBUS_ASSIGN_OR_RETURN(result.outcome, TakeOutcome(params));
  return result;
}

absl::StatusOr<fb::OutcomeT> TakeOutcome(Params& params) {
  fb::OutcomeT outcome;
  std::optional<Json> object = params.Take("outcome");
  if (!object.has_value()) return outcome;
  if (!object->IsObject()) return Error(Code::kInvalidArgument, "outcome: no object");
  Params members(*std::move(object));
  for (const auto& [name, counter] : kCounters) {
    NIMBUS_RETURN_IF_ERROR(TakeCounter(name, members, &(outcome.*counter)));
  }
  if (const std::optional<Json> cost = members.Take(kCost)) {
    const std::optional<int64_t> number = cost->AsInt();
    if (!number.has_value()) {
      return Error(Code::kInvalidArgument, "outcome.{}: no whole number", kCost);
    }
    outcome.cost_microdollars = *number;
  }
  if (const absl::Status left = members.CheckAllTaken(); !left.ok()) {
    return schema::Annotate(left, "outcome");
  }
  return outcome;
}

Json ToJson(const replay::BegunStep& step) {
  Json json = Json::MakeObject({{"number", Json::Uint(step.number)},
                                {"id", Json::String(step.id.ToString())},
                                {"recorded", Json::Bool(step.recorded.has_value())}});
  if (!step.recorded.has_value()) {
    json.Set("attempt", Json::Uint(step.attempt));
    return json;
  }
  const replay::RecordedStep& recorded = *step.recorded;
  json.Set("status", Json::String(std::string(projections::StatusText(recorded.status))));
  if (!recorded.output.empty()) json.Set("output", cli::JsonOrNull(recorded.output));
  if (!recorded.error.empty()) json.Set("error", Json::String(recorded.error));
  return json;
}

Json ToJson(const replay::RecordedStep& step) {
  return Json::MakeObject(
      {{"number", Json::Uint(step.number)},
       {"status", Json::String(std::string(projections::StatusText(step.status)))}});
}

}  // namespace nimbus::tools::agent
