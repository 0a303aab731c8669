#include "tools/import/chat.h"

#include <utility>

#include "tools/import/text.h"

namespace nimbus::tools::import {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;

Step& ChatSteps::Add(StepType type, std::string source_id) {
  Step step;
  step.source_id = std::move(source_id);
  step.type = type;
  step.input = "{}";
  step.added_record = step.ended_record = record_;
  operation_.steps.push_back(std::move(step));
  return operation_.steps.back();
}

void ChatSteps::Prompt(std::string source_id, Json message) {
  Step& step = Add(StepType::user_input, std::move(source_id));
  step.input = message.Dump();
  step.messages = std::exchange(heard_, {});
  step.messages.push_back(std::move(message));
}

Step& ChatSteps::Answer(std::string source_id, Json message) {
  Step& step = Add(StepType::llm_call, std::move(source_id));
  step.output = message.Dump();
  step.messages = std::exchange(heard_, {});
  step.messages.push_back(std::move(message));
  answered_ = true;
  waiting_.clear();
  return step;
}

void ChatSteps::Call(std::string source_id, ChatCall call) {
  Step& step = Add(StepType::tool_call, std::move(source_id));
  step.tool_name = ToolName(call.tool);
  if (step.tool_name.empty()) step.tool_name = "tool";
  if (!call.input.IsNull()) step.input = call.input.Dump();
  step.status = Lifecycle::kRunning;
  waiting_.push_back({operation_.steps.size() - 1, std::move(call.id)});
}

Step* ChatSteps::Result(std::string_view call_id, const Json& message) {
  for (auto call = waiting_.begin(); call != waiting_.end(); ++call) {
    if (!call_id.empty() && call->id != call_id) continue;
    Step& step = operation_.steps[call->step];
    waiting_.erase(call);
    step.status = Lifecycle::kCompleted;
    step.ended_record = record_;
    step.output = message.Dump();
    step.messages = std::exchange(heard_, {});
    step.messages.push_back(message);
    return &step;
  }
  return nullptr;
}

}  // namespace nimbus::tools::import
