// What the Recorder says where calls leave a recording.
#include <algorithm>

#include "nimbus/replay/recorder.h"
#include "nimbus/schema/status.h"

namespace nimbus::replay {

using schema::Json;

namespace {

// Of a JSON value, for a message.
std::string Shortened(const Json& value) {
  constexpr size_t kShownMax = 200;
  std::string text = value.IsNull() ? "nothing" : CanonicalJson(value);
  if (text.size() <= kShownMax) return text;
  size_t end = kShownMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

}  // namespace

std::string_view NameOf(StepDivergence::What what) {
  switch (what) {
    case StepDivergence::What::kOperationType:
      return "operation_type";
    case StepDivergence::What::kOperationInput:
      return "operation_input";
    case StepDivergence::What::kStepType:
      return "type";
    case StepDivergence::What::kTool:
      return "tool";
    case StepDivergence::What::kInput:
      return "input";
    case StepDivergence::What::kValue:
      return "value";
    case StepDivergence::What::kStep:
      return "step";
    case StepDivergence::What::kCheckpoint:
      return "checkpoint";
    case StepDivergence::What::kEnd:
      return "end";
  }
  return "unknown";
}

Json StepDivergence::ToJson() const {
  Json json = Json::MakeObject({{"what", Json::String(std::string(NameOf(what)))},
                                {"operation", Json::String(operation.ToString())},
                                {"step", Json::Uint(step)},
                                {"sequence", Json::Uint(sequence)},
                                {"expected", expected},
                                {"actual", actual}});
  if (difference.has_value()) json.Set("difference", *difference);
  return json;
}

std::string StepDivergence::ToString() const {
  const bool of_operation = what == What::kOperationType || what == What::kOperationInput;
  const std::string where = of_operation ? "the operation"
                            : step == 0  ? "before step 1"
                                         : fmt::format("step {}", step);
  std::string_view name = NameOf(what);
  if (of_operation) name.remove_prefix(std::string_view("operation_").size());
  return fmt::format("{} diverges from its recording (record {}): {} was {}, now {}", where,
                     sequence, name, Shortened(expected), Shortened(actual));
}

Json ReexecutionReport::ToJson() const {
  Json json = Json::MakeObject({{"operation", Json::String(operation.ToString())}});
  if (from_checkpoint.has_value()) {
    json.Set("from_checkpoint", Json::String(from_checkpoint->ToString()));
  }
  json.Set("from_step", Json::Uint(from_step));
  json.Set("steps", Json::Uint(steps));
  json.Set("values", Json::Uint(values));
  json.Set("ended", Json::Bool(ended));
  json.Set("holds", Json::Bool(holds()));
  json.Set("divergence", divergence.has_value() ? divergence->ToJson() : Json());
  json.Set("incomplete", incomplete.empty() ? Json() : Json::String(incomplete));
  return json;
}

}  // namespace nimbus::replay
