#include "tools/import/turn.h"

#include <iterator>
#include <utility>

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;

std::optional<uint64_t> Milliseconds(std::optional<int64_t> from_us, std::optional<int64_t> to_us) {
  if (!from_us || !to_us || *to_us < *from_us) return std::nullopt;
  return static_cast<uint64_t>(*to_us - *from_us) / 1000;
}

}  // namespace

void Turn::Begin(std::string source_id, uint64_t record, std::optional<int64_t> time_us) {
  operation.source_id = std::move(source_id);
  operation.type = "chat";
  operation.input = "{}";
  operation.status = Lifecycle::kRunning;
  operation.created_at_us = last_us = time_us;
  operation.first_record = operation.added_record = record;
  operation.end_record = record;
}

void Turn::Touch(uint64_t record, std::optional<int64_t> time_us) {
  if (time_us) last_us = time_us;
  if (!left) operation.end_record = record + 1;
}

size_t Turn::AddStep(StepType type, std::string source_id, uint64_t record,
                     std::optional<int64_t> time_us) {
  Touch(record, time_us);
  Step step;
  step.source_id = std::move(source_id);
  if (step.source_id.empty()) step.source_id = "record " + std::to_string(record);
  step.type = type;
  step.input = "{}";
  step.status = Lifecycle::kRunning;
  step.started_at_us = time_us;
  step.added_record = step.ended_record = record;
  operation.steps.push_back(std::move(step));
  return operation.steps.size() - 1;
}

size_t Turn::AddCall(std::string tool_name, std::string source_id, uint64_t record,
                     std::optional<int64_t> time_us) {
  const size_t index = AddStep(StepType::tool_call, std::move(source_id), record, time_us);
  operation.steps[index].tool_name = std::move(tool_name);
  ++unanswered;
  return index;
}

void Turn::EndStep(size_t index, Lifecycle status, uint64_t record,
                   std::optional<int64_t> time_us) {
  Step& step = operation.steps[index];
  step.status = status;
  step.ended_record = record;
  if (time_us) step.ended_at_us = time_us;
  step.messages.insert(step.messages.begin(), std::make_move_iterator(pending.begin()),
                       std::make_move_iterator(pending.end()));
  pending.clear();
}

void Turn::Answer(size_t index, Lifecycle status, uint64_t record, std::optional<int64_t> time_us) {
  Touch(record, time_us);
  Step& step = operation.steps[index];
  step.ended_at_us = time_us;
  if (!step.duration_ms) step.duration_ms = Milliseconds(step.started_at_us, time_us);
  --unanswered;
  if (open_message) {
    held.push_back({index, status});
    return;
  }
  EndStep(index, status, record, time_us);
  if (left && unanswered == 0 && !ended) End(Lifecycle::kCompleted, record);
}

void Turn::OpenMessage(size_t index, Json message) {
  Step& step = operation.steps[index];
  step.messages = std::exchange(pending, {});
  step.messages.push_back(std::move(message));
  open_message = index;
}

void Turn::CloseMessage(uint64_t record) {
  if (!open_message) return;
  const size_t index = *std::exchange(open_message, std::nullopt);
  // What came after the message began belongs behind it.
  std::vector<Json> later = std::exchange(pending, {});
  EndStep(index, Lifecycle::kCompleted, record, std::nullopt);
  pending = std::move(later);
  for (const Held& call : std::exchange(held, {}))
    EndStep(call.step, call.status, record, std::nullopt);
}

void Turn::CancelRunning(uint64_t record, std::optional<int64_t> time_us) {
  for (size_t i = 0; i < operation.steps.size(); ++i) {
    if (operation.steps[i].status == Lifecycle::kRunning)
      EndStep(i, Lifecycle::kCancelled, record, time_us);
  }
  unanswered = 0;
}

void Turn::SetPlan(std::string plan, uint64_t record) {
  if (!operation.plan.empty()) return;
  operation.plan = std::move(plan);
  operation.planned_record = record;
}

void Turn::Leave(uint64_t record) {
  if (ended) return;
  CloseMessage(record);
  left = true;
  if (unanswered == 0) End(Lifecycle::kCompleted, record);
}

void Turn::End(Lifecycle status, uint64_t record) {
  CloseMessage(record);
  left = ended = true;
  operation.ended_record = record;
  operation.ended_at_us = last_us;
  const bool failed = status == Lifecycle::kCompleted && !operation.error.empty();
  operation.status = failed ? Lifecycle::kFailed : status;
  if (!operation.duration_ms)
    operation.duration_ms = Milliseconds(operation.created_at_us, operation.ended_at_us);
}

}  // namespace nimbus::tools::import
