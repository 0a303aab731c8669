#include <algorithm>
#include <utility>

#include "nimbus/journal/lifecycle.h"
#include "nimbus/schema/status.h"
#include "tools/import/atif.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Error;
using schema::Json;
using schema::fb::StepType;

constexpr std::pair<std::string_view, std::optional<uint64_t> Usage::*> kCounts[] = {
    {"tokens_used", &Usage::total},
    {"input_tokens", &Usage::input},
    {"output_tokens", &Usage::output},
    {"cache_read_tokens", &Usage::cache_read},
    {"cache_write_tokens", &Usage::cache_write}};

constexpr std::pair<std::string_view, std::optional<int64_t> Step::*> kStepTimes[] = {
    {"started_at_us", &Step::started_at_us}, {"ended_at_us", &Step::ended_at_us}};

constexpr std::pair<std::string_view, std::optional<int64_t> Operation::*> kOperationTimes[] = {
    {"created_at_us", &Operation::created_at_us}, {"ended_at_us", &Operation::ended_at_us}};

constexpr std::pair<std::string_view, std::string Operation::*> kOperationTexts[] = {
    {"input", &Operation::input}, {"output", &Operation::output}, {"plan", &Operation::plan}};

// Nothing that is imported is pending: what is, is told as running.
Json StatusJson(Lifecycle status) {
  if (status == Lifecycle::kPending) status = Lifecycle::kRunning;
  return Json::String(std::string(journal::StatusText(status)));
}

// Whether two texts are the same JSON; none is the same only as none.
bool SameJson(const std::string& a, const std::string& b) {
  if (a == b) return true;
  if (a.empty() || b.empty()) return false;
  const absl::StatusOr<Json> left = Json::Parse(a), right = Json::Parse(b);
  return left.ok() && right.ok() && *left == *right;
}

template <typename T>
Json NumberOrNull(const std::optional<T>& number) {
  if (!number.has_value()) return Json();
  if constexpr (std::is_signed_v<T>) {
    return Json::Int(*number);
  } else {
    return Json::Uint(*number);
  }
}

Json ValueOrNull(const std::string& json) {
  if (json.empty()) return Json();
  absl::StatusOr<Json> value = Json::Parse(json);
  return value.ok() ? *std::move(value) : Json::String(json);
}

Json DifferenceOf(const Step& plain, const Step& recorded) {
  Json difference =
      Json::MakeObject({{"type", Json::String(schema::fb::EnumNameStepType(recorded.type))}});
  const auto set = [&](std::string_view key, bool same, Json value) {
    if (!same) difference.Set(key, std::move(value));
  };
  set("tool_name", plain.tool_name == recorded.tool_name, Json::String(recorded.tool_name));
  set("status", plain.status == recorded.status, StatusJson(recorded.status));
  set("input", SameJson(plain.input, recorded.input), ValueOrNull(recorded.input));
  set("output", SameJson(plain.output, recorded.output), ValueOrNull(recorded.output));
  set("error", plain.error == recorded.error, Json::String(recorded.error));
  set("duration_ms", plain.duration_ms == recorded.duration_ms, NumberOrNull(recorded.duration_ms));
  for (const auto& [key, time] : kStepTimes)
    set(key, plain.*time == recorded.*time, NumberOrNull(recorded.*time));
  for (const auto& [key, count] : kCounts)
    set(key, plain.usage.*count == recorded.usage.*count, NumberOrNull(recorded.usage.*count));
  set("cost_microdollars", plain.usage.cost_microdollars == recorded.usage.cost_microdollars,
      NumberOrNull(recorded.usage.cost_microdollars));
  return difference;
}

// The first step of this type that is not taken yet; a new one when there is none.
Step TakeStep(StepType type, std::vector<Step>* plain) {
  const auto at = std::find_if(plain->begin(), plain->end(),
                               [type](const Step& step) { return step.type == type; });
  Step step;
  step.type = type;
  if (at == plain->end()) {
    step.input = "{}";
    return step;
  }
  step = std::move(*at);
  plain->erase(at);
  return step;
}

absl::StatusOr<StepType> TypeOf(const Fields& difference) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, difference.Text("type"));
  for (const StepType type : schema::fb::EnumValuesStepType()) {
    if (name == schema::fb::EnumNameStepType(type)) return type;
  }
  return Error(absl::StatusCode::kInvalidArgument, "{}: '{}' is no type of step",
               difference.PathOf("type"), name.substr(0, 80));
}

absl::Status ApplyStatus(const Fields& fields, Lifecycle* status) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, fields.Text("status"));
  if (name.empty()) return absl::OkStatus();
  const absl::StatusOr<Lifecycle> known = journal::ParseStatus(name);
  if (known.ok() && *known != Lifecycle::kPending) {
    *status = *known;
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kInvalidArgument, "{}: '{}' is no status", fields.PathOf("status"),
               name.substr(0, 80));
}

// A member that is there, be it null: JSON, or nothing.
void ApplyJson(const Fields& fields, std::string_view key, std::string* text) {
  const Json* value = fields.json().Find(key);
  if (value != nullptr) *text = value->IsNull() ? std::string() : value->Dump();
}

absl::Status ApplyTexts(const Fields& difference, Step* step) {
  if (difference.json().Find("tool_name") != nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(step->tool_name, difference.Name("tool_name"));
  }
  NIMBUS_RETURN_IF_ERROR(ApplyStatus(difference, &step->status));
  ApplyJson(difference, "input", &step->input);
  ApplyJson(difference, "output", &step->output);
  if (difference.json().Find("error") != nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(step->error, difference.Text("error"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<int64_t>> Whole(const Fields& fields, std::string_view key) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* value, fields.Optional(key, Json::Type::kNumber));
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> whole = value->AsInt();
  if (!whole.has_value())
    return Error(absl::StatusCode::kInvalidArgument, "{}: {} is no whole number",
                 fields.PathOf(key), value->number());
  return whole;
}

template <typename Subject, size_t n>
absl::Status ApplyTimes(
    const Fields& fields,
    const std::pair<std::string_view, std::optional<int64_t> Subject::*> (&times)[n],
    Subject* subject) {
  for (const auto& [key, time] : times) {
    if (fields.json().Find(key) == nullptr) continue;
    NIMBUS_ASSIGN_OR_RETURN(subject->*time, Whole(fields, key));
  }
  if (fields.json().Find("duration_ms") == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(subject->duration_ms, fields.Count("duration_ms"));
  return absl::OkStatus();
}

absl::Status ApplyUsage(const Fields& fields, Usage* usage) {
  for (const auto& [key, count] : kCounts) {
    if (fields.json().Find(key) == nullptr) continue;
    NIMBUS_ASSIGN_OR_RETURN(usage->*count, fields.Count(key));
  }
  if (fields.json().Find("cost_microdollars") == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(usage->cost_microdollars, Whole(fields, "cost_microdollars"));
  return absl::OkStatus();
}

}  // namespace

Json StepDifferences(const std::vector<Step>& plain, const std::vector<Step>& recorded) {
  std::vector<Step> left = plain;
  Json::Array list;
  bool different = plain.size() != recorded.size();
  for (size_t i = 0; i < recorded.size(); ++i) {
    different = different || plain[i].type != recorded[i].type;
    list.push_back(DifferenceOf(TakeStep(recorded[i].type, &left), recorded[i]));
    different = different || list.back().object().size() > 1;
  }
  return different ? Json::MakeObject({{"steps", Json::MakeArray(std::move(list))}}) : Json();
}

absl::StatusOr<std::vector<Step>> ApplyDifferences(const Fields& nimbus, std::vector<Step> plain) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* list, nimbus.Optional("steps", Json::Type::kArray));
  if (list == nullptr) return plain;
  std::vector<Step> steps;
  for (size_t i = 0; i < list->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields difference,
                            Fields::Of(list->array()[i], ItemPath(nimbus.PathOf("steps"), i)));
    NIMBUS_ASSIGN_OR_RETURN(const StepType type, TypeOf(difference));
    Step step = TakeStep(type, &plain);
    NIMBUS_RETURN_IF_ERROR(ApplyTexts(difference, &step));
    NIMBUS_RETURN_IF_ERROR(ApplyTimes(difference, kStepTimes, &step));
    NIMBUS_RETURN_IF_ERROR(ApplyUsage(difference, &step.usage));
    if (step.status == Lifecycle::kRunning) {
      step.output.clear();
      step.messages.clear();
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

Json OperationMembers(const Operation& operation) {
  Json members = Json::MakeObject({{"type", Json::String(operation.type)},
                                   {"name", Json::String(operation.name)},
                                   {"status", StatusJson(operation.status)}});
  const auto set = [&](std::string_view key, Json value) {
    if (!value.IsNull()) members.Set(key, std::move(value));
  };
  for (const auto& [key, text] : kOperationTexts) set(key, ValueOrNull(operation.*text));
  if (!operation.error.empty()) members.Set("error", Json::String(operation.error));
  for (const auto& [key, time] : kOperationTimes) set(key, NumberOrNull(operation.*time));
  set("duration_ms", NumberOrNull(operation.duration_ms));
  for (const auto& [key, count] : kCounts) set(key, NumberOrNull(operation.usage.*count));
  set("cost_microdollars", NumberOrNull(operation.usage.cost_microdollars));
  return members;
}

absl::Status ApplyOperation(const Fields& members, Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(operation->type, members.Name("type"));
  if (operation->type.empty())
    return Error(absl::StatusCode::kInvalidArgument, "{}: a type is needed",
                 members.PathOf("type"));
  NIMBUS_ASSIGN_OR_RETURN(operation->name, members.Text("name"));
  NIMBUS_RETURN_IF_ERROR(ApplyStatus(members, &operation->status));
  operation->input = "{}";
  for (const auto& [key, text] : kOperationTexts) ApplyJson(members, key, &(operation->*text));
  if (operation->input.empty()) operation->input = "{}";
  NIMBUS_ASSIGN_OR_RETURN(operation->error, members.Text("error"));
  NIMBUS_RETURN_IF_ERROR(ApplyTimes(members, kOperationTimes, operation));
  NIMBUS_RETURN_IF_ERROR(ApplyUsage(members, &operation->usage));
  if (operation->status == Lifecycle::kRunning) operation->output.clear();
  return absl::OkStatus();
}

}  // namespace nimbus::tools::import
