#include "testing/workload.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include "nimbus/schema/check.h"
#include "testing/workload_text.h"

namespace nimbus::test {
namespace {

namespace fb = schema::fb;
using Filler = void (*)(Random&, size_t, std::string*);

// 2026-01-01T00:00:00Z: what the ids of the workload count their time from.
constexpr int64_t kEpochMs = 1'767'225'600'000;

// Parts of an operation that have ids of their own.
constexpr uint64_t kOperationPart = 0;
constexpr uint64_t kFirstStepPart = 1;
constexpr uint64_t kFirstCheckpointPart = kFirstStepPart + kWorkloadSteps;
constexpr uint64_t kSessionPart = kFirstCheckpointPart + kWorkloadCheckpoints;

// The pattern, then as much text as makes the whole `bytes` long, then the tail.
std::string Filled(Random& random, size_t bytes, std::string_view pattern, Filler fill,
                   std::string_view tail) {
  std::string head = Pattern(random, pattern);
  NIMBUS_CHECK(head.size() + tail.size() < bytes);
  fill(random, bytes - head.size() - tail.size(), &head);
  head += tail;
  NIMBUS_CHECK(head.size() == bytes);
  return head;
}

std::string OperationInput(Random& random, size_t bytes) {
  return Filled(random, bytes, R"({"cwd":"/srv/app/%w","branch":"%w","mode":"auto","prompt":")",
                AppendProse, R"("})");
}

std::string OperationOutput(Random& random) {
  return Filled(random, kOperationInputBytes, R"({"stop_reason":"end_turn","text":")", AppendProse,
                R"("})");
}

WorkloadStep ModelCall(Random& random) {
  WorkloadStep step;
  step.type = fb::StepType::llm_call;
  step.input = Filled(random, kStepInputBytes,
                      R"({"model":"agent-large-4","max_tokens":8192,"temperature":0.%2,)"
                      R"("messages_before":%n,"content":")",
                      AppendProse, R"("})");
  step.output = Filled(random, kStepOutputBytes,
                       R"({"id":"msg_%h","role":"assistant","usage":{"input_tokens":1%n,)"
                       R"("output_tokens":%n,"cache_read_input_tokens":41%n},"content":[{)"
                       R"("type":"tool_use","name":"bash","input":{"command":"%c"}},{)"
                       R"("type":"text","text":")",
                       AppendProse, R"("}]})");
  return step;
}

WorkloadStep ToolCall(Random& random) {
  static constexpr std::array<std::string_view, 4> kTools = {"bash", "read_file", "grep", "edit"};
  WorkloadStep step;
  step.type = fb::StepType::tool_call;
  step.tool_name = kTools[random.Below(kTools.size())];
  step.input = Filled(random, kStepInputBytes,
                      R"({"tool_use_id":"toolu_%h","command":"%c","path":"%p",)"
                      R"("timeout_ms":%n,"description":")",
                      AppendProse, R"("})");
  step.output = Filled(random, kStepOutputBytes,
                       R"({"exit_code":0,"interrupted":false,"stderr":"%w","stdout":")",
                       AppendToolOutput, R"("})");
  return step;
}

// The state after step `last`: what was asked, what that step gave, and prose
// that stands for the summary of everything between.
std::string CheckpointState(Random& random, const WorkloadOperation& operation, size_t last) {
  std::string state = R"({"messages":[{"role":"user","content":)" + operation.input +
                      R"(},{"role":"tool","content":)" + operation.steps[last].output +
                      R"(}],"summary":")";
  constexpr std::string_view kTail = R"("})";
  AppendProse(random, kCheckpointStateBytes - state.size() - kTail.size(), &state);
  state += kTail;
  return state;
}

}  // namespace

WorkloadPosition PositionOf(size_t index) {
  using Kind = WorkloadPosition::Kind;
  NIMBUS_CHECK(index < kWorkloadEvents);
  if (index == 0) return {Kind::kCreate, 0};
  if (index == kWorkloadEvents - 1) return {Kind::kComplete, 0};
  // Half an operation: five steps of two events each, then a checkpoint.
  constexpr size_t kHalf = kWorkloadSteps + 1;
  const size_t half = (index - 1) / kHalf;
  const size_t within = (index - 1) % kHalf;
  if (within == kHalf - 1) return {Kind::kCheckpoint, half};
  const size_t step = half * (kWorkloadSteps / 2) + within / 2;
  return {within % 2 == 0 ? Kind::kAddStep : Kind::kCompleteStep, step};
}

schema::Event WorkloadOperation::Event(size_t index, const schema::Uuid& session) const {
  using Kind = WorkloadPosition::Kind;
  const WorkloadPosition position = PositionOf(index);
  const auto make = [this](auto payload) {
    return schema::MakeEvent(fb::EntityKind::operation, id, std::move(payload));
  };
  schema::Event event;
  switch (position.kind) {
    case Kind::kCreate: {
      fb::OperationCreatedT payload;
      payload.session = std::make_unique<fb::Id>(session.ToFb());
      payload.type = type;
      event = make(std::move(payload));
      event.body.input = input;
      return event;
    }
    case Kind::kAddStep: {
      const WorkloadStep& step = steps[position.item];
      fb::StepAddedT payload;
      payload.step = std::make_unique<fb::Id>(step.id.ToFb());
      payload.type = step.type;
      payload.tool_name = step.tool_name;
      event = make(std::move(payload));
      event.body.input = step.input;
      return event;
    }
    case Kind::kCompleteStep: {
      const WorkloadStep& step = steps[position.item];
      fb::StepCompletedT payload;
      payload.step = std::make_unique<fb::Id>(step.id.ToFb());
      payload.outcome = std::make_unique<fb::OutcomeT>();
      payload.outcome->duration_ms = step.duration_ms;
      event = make(std::move(payload));
      event.body.output = step.output;
      return event;
    }
    case Kind::kCheckpoint: {
      const WorkloadCheckpoint& checkpoint = checkpoints[position.item];
      fb::CheckpointCreatedT payload;
      payload.checkpoint = std::make_unique<fb::Id>(checkpoint.id.ToFb());
      payload.step = std::make_unique<fb::Id>(steps[checkpoint.step].id.ToFb());
      event = make(std::move(payload));
      event.body.name = checkpoint.name;
      event.body.state = checkpoint.state;
      return event;
    }
    case Kind::kComplete:
      break;
  }
  event = make(fb::OperationCompletedT{});
  event.body.output = output;
  return event;
}

std::vector<schema::Event> WorkloadOperation::Events(const schema::Uuid& session) const {
  std::vector<schema::Event> events;
  events.reserve(kWorkloadEvents);
  for (size_t index = 0; index < kWorkloadEvents; ++index) {
    events.push_back(Event(index, session));
  }
  return events;
}

schema::Event SessionStarted(const schema::Uuid& session) {
  schema::Event event = schema::MakeEvent(fb::EntityKind::session, session, fb::SessionStartedT{});
  event.body.name = "workload";
  event.body.context = R"({"cwd":"/srv/app"})";
  return event;
}

WorkloadOperation Workload::Operation(uint64_t number) const {
  Random random(seed_ * 0x2545f4914f6cdd1du + number);
  WorkloadOperation operation;
  operation.type = "chat";
  operation.input = OperationInput(random, kOperationInputBytes);
  operation.output = OperationOutput(random);
  for (size_t step = 0; step < kWorkloadSteps; ++step) {
    operation.steps.push_back(step % 2 == 0 ? ModelCall(random) : ToolCall(random));
    operation.steps.back().duration_ms = 20 + random.Below(5000);
  }
  constexpr size_t kStepsBetween = kWorkloadSteps / kWorkloadCheckpoints;
  for (size_t item = 0; item < kWorkloadCheckpoints; ++item) {
    WorkloadCheckpoint checkpoint;
    checkpoint.step = (item + 1) * kStepsBetween - 1;
    checkpoint.name = fmt::format("after step {}", checkpoint.step + 1);
    checkpoint.state = CheckpointState(random, operation, checkpoint.step);
    operation.checkpoints.push_back(std::move(checkpoint));
  }
  Renumber(number, &operation);
  return operation;
}

WorkloadOperation Workload::SingleEvent(uint64_t number) const {
  Random random(seed_ * 0x2545f4914f6cdd1du + number);
  WorkloadOperation operation;
  operation.type = "chat";
  operation.input = OperationInput(random, kSingleEventBytes);
  Renumber(number, &operation);
  return operation;
}

void Workload::Renumber(uint64_t number, WorkloadOperation* operation) const {
  operation->id = Id(number, kOperationPart);
  for (size_t step = 0; step < operation->steps.size(); ++step) {
    operation->steps[step].id = Id(number, kFirstStepPart + step);
  }
  for (size_t item = 0; item < operation->checkpoints.size(); ++item) {
    operation->checkpoints[item].id = Id(number, kFirstCheckpointPart + item);
  }
}

schema::Uuid Workload::SessionId(uint64_t number) const { return Id(number, kSessionPart); }

schema::Uuid Workload::Id(uint64_t number, uint64_t part) const {
  Random random(seed_ ^ (number << 8 | part) * 0x9e3779b97f4a7c15u);
  const std::array<uint64_t, 2> words = {random.Next(), random.Next()};
  std::array<uint8_t, 10> bytes;
  for (size_t byte = 0; byte < bytes.size(); ++byte) {
    bytes[byte] = static_cast<uint8_t>(words[byte / 8] >> (byte % 8 * 8));
  }
  return schema::MakeUuidV7(kEpochMs + static_cast<int64_t>(number), bytes);
}

}  // namespace nimbus::test
