// Faults planted at random places of operations that a Recorder recorded: each is found
// at exactly that step.
#include "replay/planted.h"

#include "replay/recorder_fixture.h"

namespace nimbus::replay {
namespace {

constexpr int kRounds = 20;
constexpr int kSteps = 50;

class PlantedTest : public RecorderTest {
 protected:
  void SetUp() override {
    RecorderTest::SetUp();
    Recorder recorder = Opened();
    for (int number = 1; number <= kSteps; number += 2) {
      NIMBUS_ASSERT_OK(Take(recorder, number));
      TakeTwoAtOnce(recorder, number + 1);
    }
    NIMBUS_ASSERT_OK(recorder.Complete());
  }

  // Begun in one order, ended in the other; the second one changes nothing.
  void TakeTwoAtOnce(Recorder& recorder, int number) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const BegunStep slow, recorder.BeginStep(Call(number)));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const BegunStep quick, recorder.BeginStep(Call(number)));
    StepResult result;
    result.output = fmt::format(R"({{"quick":{}}})", number);
    NIMBUS_ASSERT_OK(recorder.EndStep(quick.number, std::move(result)));
    StepResult changed;
    changed.output = fmt::format(R"({{"slow":{}}})", number);
    changed.patch = AppendPatch("/done", {Message(number)});
    NIMBUS_ASSERT_OK(recorder.EndStep(slow.number, std::move(changed)));
  }

  test::SeededRandom random_;
};

TEST_F(PlantedTest, AChangedByteOfAPatchIsFoundAtItsStep) {
  Planter planter(*journal_, operation_, &random_);
  for (int round = 0; round < kRounds; ++round) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(std::optional<Planter::Fault> fault, planter.Patch());
    ASSERT_TRUE(fault.has_value());
    ExpectFoundByReplay(journal_.get(), *std::move(fault));
  }
}

TEST_F(PlantedTest, SwappedStepsAreFoundAtTheFirst) {
  Planter planter(*journal_, operation_, &random_);
  for (int round = 0; round < kRounds; ++round) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(std::optional<Planter::Fault> fault, planter.Swap());
    ASSERT_TRUE(fault.has_value());
    ExpectFoundByReplay(journal_.get(), *std::move(fault));
  }
}

TEST_F(PlantedTest, AnAlteredCheckpointIsFoundWithOrWithoutItsDigest) {
  Planter planter(*journal_, operation_, &random_);
  for (int round = 0; round < kRounds; ++round) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(std::optional<Planter::Fault> fault,
                                planter.Checkpoint(round % 2 == 0));
    ASSERT_TRUE(fault.has_value());
    ExpectFoundByReplay(journal_.get(), *std::move(fault));
  }
}

TEST_F(PlantedTest, AnotherOutputIsFoundByComparison) {
  Planter planter(*journal_, operation_, &random_);
  for (int round = 0; round < kRounds; ++round) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(std::optional<Planter::Fault> fault, planter.Output());
    ASSERT_TRUE(fault.has_value());
    ExpectFoundByComparison(journal_.get(), operation_, *std::move(fault));
  }
}

// Each step's input is made of the output before it, as a model is told what a tool said.
class PlantedOutputTest : public RecorderTest {
 protected:
  static constexpr uint32_t kCalls = 12;

  absl::Status Agent(Recorder& recorder) {
    std::string said = "0";
    for (uint32_t number = 1; number <= kCalls; ++number) {
      StepCall call = Call(static_cast<int>(number));
      call.input = fmt::format(R"({{"number":{},"after":{}}})", number, said);
      const auto run = [&]() -> absl::StatusOr<StepResult> {
        StepResult result;
        result.output = fmt::format("[{}]", number);
        return result;
      };
      NIMBUS_ASSIGN_OR_RETURN(const RecordedStep step, recorder.Step(call, run));
      said = step.output;
    }
    return recorder.Complete(said);
  }
};

TEST_F(PlantedOutputTest, IsFoundWhereTheAgentUsesIt) {
  {
    Recorder recorder = Opened();
    NIMBUS_ASSERT_OK(Agent(recorder));
  }
  test::SeededRandom random;
  Planter planter(*journal_, operation_, &random);
  for (int round = 0; round < kRounds; ++round) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(std::optional<Planter::Fault> fault, planter.Output());
    ASSERT_TRUE(fault.has_value());
    const uint32_t step = fault->step;
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Copy copy,
                                AppendCopy(journal_.get(), std::move(fault->events)));
    NewRecording recording = Recording();
    recording.id = copy.operation;
    RecorderOptions options;
    options.mode = RecorderOptions::Mode::kReexecute;
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder again, Recorder::Open(journal_.get(), recording, options));
    EXPECT_THAT(Agent(again), StatusIs(Code::kInvalidArgument));
    ASSERT_TRUE(again.divergence().has_value());
    EXPECT_EQ(again.divergence()->step, std::min(step + 1, kCalls)) << step;
    EXPECT_EQ(again.divergence()->what,
              step == kCalls ? StepDivergence::What::kEnd : StepDivergence::What::kInput);
  }
}

}  // namespace
}  // namespace nimbus::replay
