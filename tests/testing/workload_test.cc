#include "testing/workload.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <set>
#include <string>
#include <vector>

#include "nimbus/schema/digest.h"
#include "nimbus/schema/event.h"

namespace nimbus::test {
namespace {

namespace fb = schema::fb;

size_t CompressedSize(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  return ZSTD_compress(out.data(), out.size(), text.data(), text.size(), /*compressionLevel=*/1);
}

std::string AllText(const WorkloadOperation& operation) {
  std::string text = operation.id.ToString() + operation.input + operation.output;
  for (const WorkloadStep& step : operation.steps) {
    text += step.id.ToString() + step.tool_name + step.input + step.output;
  }
  for (const WorkloadCheckpoint& checkpoint : operation.checkpoints) text += checkpoint.state;
  return text;
}

TEST(WorkloadTest, AnOperationIsTwentyFourValidEventsInOrder) {
  const Workload workload(1);
  const std::vector<schema::Event> events = workload.Operation(7).Events(workload.SessionId(0));
  ASSERT_EQ(events.size(), 24u);
  size_t added = 0, completed = 0, checkpoints = 0;
  for (const schema::Event& event : events) {
    EXPECT_TRUE(schema::ValidateEvent(event).ok()) << schema::ValidateEvent(event).ToString();
    EXPECT_EQ(event.stream, events[0].stream);
    added += event.payload.type == fb::Event::StepAdded;
    completed += event.payload.type == fb::Event::StepCompleted;
    checkpoints += event.payload.type == fb::Event::CheckpointCreated;
    EXPECT_LE(completed, added);
    if (event.payload.type == fb::Event::CheckpointCreated) {
      EXPECT_EQ(completed, checkpoints * 5);
    }
  }
  EXPECT_EQ(events.front().payload.type, fb::Event::OperationCreated);
  EXPECT_EQ(events.back().payload.type, fb::Event::OperationCompleted);
  EXPECT_EQ(added, 10u);
  EXPECT_EQ(completed, 10u);
  EXPECT_EQ(checkpoints, 2u);
}

TEST(WorkloadTest, TextsHaveTheCanonicalSizes) {
  for (uint64_t number = 0; number < 200; ++number) {
    const WorkloadOperation operation = Workload(number).Operation(number);
    EXPECT_EQ(operation.input.size(), 300u);
    for (const WorkloadStep& step : operation.steps) {
      EXPECT_EQ(step.input.size(), 400u);
      EXPECT_EQ(step.output.size(), 1500u);
      EXPECT_TRUE(schema::ValidateJson(step.output).ok()) << step.output;
    }
    for (const WorkloadCheckpoint& checkpoint : operation.checkpoints) {
      EXPECT_EQ(checkpoint.state.size(), 4096u);
      EXPECT_TRUE(schema::ValidateJson(checkpoint.state).ok()) << checkpoint.state;
    }
  }
}

TEST(WorkloadTest, ASingleEventHasOneKilobyteOfJson) {
  const Workload workload(1);
  const WorkloadOperation operation = workload.SingleEvent(7);
  EXPECT_EQ(operation.input.size(), 1024u);
  EXPECT_EQ(operation.id, workload.Operation(7).id);
  EXPECT_TRUE(schema::ValidateEvent(operation.Event(0, workload.SessionId(0))).ok());
  EXPECT_NE(operation.input, workload.SingleEvent(8).input);
}

TEST(WorkloadTest, SameSeedGivesTheSameBytesOnEveryMachine) {
  const std::string text = AllText(Workload(1).Operation(3));
  EXPECT_EQ(text, AllText(Workload(1).Operation(3)));
  EXPECT_NE(text, AllText(Workload(2).Operation(3)));
  EXPECT_NE(text, AllText(Workload(1).Operation(4)));
  // What g++ 12 and clang 14 on x86-64 made when this was written.
  EXPECT_EQ(schema::ToHex(schema::Blake2b256(text)),
            "c2ca0350b491e1acfb2679d2ece7be6ceda9fde526eef1b538b91ab836108701");
}

TEST(WorkloadTest, RenumberedOperationsShareTextsButNoIds) {
  const Workload workload(1);
  std::set<schema::Uuid> ids;
  WorkloadOperation operation = workload.Operation(0);
  const std::string input = operation.input;
  for (uint64_t number = 0; number < 1000; ++number) {
    workload.Renumber(number, &operation);
    ids.insert(operation.id);
    for (const WorkloadStep& step : operation.steps) ids.insert(step.id);
    for (const WorkloadCheckpoint& checkpoint : operation.checkpoints) ids.insert(checkpoint.id);
    ids.insert(workload.SessionId(number));
  }
  EXPECT_EQ(ids.size(), 1000 * (1 + kWorkloadSteps + kWorkloadCheckpoints + 1));
  EXPECT_EQ(operation.input, input);
  EXPECT_EQ(operation.id, workload.Operation(999).id);
}

// The workload would flatter a journal that compresses if its text were simpler
// than what agents write, and insult it if it were noise.
TEST(WorkloadTest, TextCompressesLikeRecordedRuns) {
  size_t raw = 0, alone = 0;
  std::string together;
  for (uint64_t number = 0; number < 50; ++number) {
    for (const WorkloadStep& step : Workload(1).Operation(number).steps) {
      raw += step.output.size();
      alone += CompressedSize(step.output);
      if (together.size() < 64 * kStepOutputBytes) together += step.output;
    }
  }
  const double ratio_alone = static_cast<double>(raw) / static_cast<double>(alone);
  const double ratio_together =
      static_cast<double>(together.size()) / static_cast<double>(CompressedSize(together));
  EXPECT_GT(ratio_alone, 1.7);
  EXPECT_LT(ratio_alone, 2.2);
  EXPECT_GT(ratio_together, 2.6);
  EXPECT_LT(ratio_together, 3.4);
}

}  // namespace
}  // namespace nimbus::test
