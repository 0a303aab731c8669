// The canonical workload: what one agent operation writes, in the sizes the
// benchmarks are judged by. Tests use the same operations, so that what is
// measured is also what is checked.
//
//   Workload workload(/*seed=*/1);
//   WorkloadOperation operation = workload.Operation(0);
//   for (schema::Event& event : operation.Events(session)) journal->Append(event);
//
// One operation is 24 events: its creation with 300 B of JSON, ten steps each
// added with 400 B and completed with 1,500 B, a checkpoint of 4,096 B after the
// fifth and the tenth step, its completion. The sizes are exact, in bytes of
// JSON text.
//
// The text is made from a vocabulary, and compresses as recorded agent runs do
// (zstd level 1: about 1.9 to 1 for a step's output by itself, about 3 to 1 for
// 64 of them together); it is neither random bytes nor one string repeated.
// The same seed and number give the same operation on every machine, ids
// included. Thread-compatible: a const Workload may be used by any number of
// threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "nimbus/schema/event.h"
#include "nimbus/schema/id.h"

namespace nimbus::test {

inline constexpr size_t kWorkloadSteps = 10;
inline constexpr size_t kWorkloadCheckpoints = 2;
inline constexpr size_t kWorkloadEvents = 1 + 2 * kWorkloadSteps + kWorkloadCheckpoints + 1;
inline constexpr size_t kOperationInputBytes = 300;
inline constexpr size_t kStepInputBytes = 400;
inline constexpr size_t kStepOutputBytes = 1500;
inline constexpr size_t kCheckpointStateBytes = 4096;
inline constexpr size_t kSingleEventBytes = 1024;
static_assert(kWorkloadEvents == 24);

struct WorkloadStep {
  schema::Uuid id;
  schema::fb::StepType type = schema::fb::StepType::llm_call;
  std::string tool_name;  // of a tool_call
  std::string input;      // JSON
  std::string output;     // JSON
  uint64_t duration_ms = 0;
};

struct WorkloadCheckpoint {
  schema::Uuid id;
  size_t step = 0;  // index of the step it follows
  std::string name;
  std::string state;  // JSON: the newest part of the conversation
};

struct WorkloadOperation {
  schema::Uuid id;
  std::string type;
  std::string input;   // JSON
  std::string output;  // JSON
  std::vector<WorkloadStep> steps;
  std::vector<WorkloadCheckpoint> checkpoints;

  // The event at `index` of [0, kWorkloadEvents), in the order they happen.
  schema::Event Event(size_t index, const schema::Uuid& session) const;
  std::vector<schema::Event> Events(const schema::Uuid& session) const;
};

// What event `index` of an operation is, for those who store it another way.
struct WorkloadPosition {
  enum class Kind { kCreate, kAddStep, kCompleteStep, kCheckpoint, kComplete };
  Kind kind = Kind::kCreate;
  size_t item = 0;  // which step, or which checkpoint
};
WorkloadPosition PositionOf(size_t index);

// The session that operations are put under, before any of them.
schema::Event SessionStarted(const schema::Uuid& session);

class Workload {
 public:
  explicit Workload(uint64_t seed) : seed_(seed) {}

  WorkloadOperation Operation(uint64_t number) const;

  // Not of the canonical workload: an operation of which only the first event is
  // there to be appended, with kSingleEventBytes of JSON.
  WorkloadOperation SingleEvent(uint64_t number) const;

  // The same operation with the ids of another, so that a few texts serve many
  // operations while a clock runs.
  void Renumber(uint64_t number, WorkloadOperation* operation) const;

  schema::Uuid SessionId(uint64_t number) const;

 private:
  schema::Uuid Id(uint64_t number, uint64_t part) const;

  uint64_t seed_;
};

}  // namespace nimbus::test
