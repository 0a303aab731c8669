#include "nimbus/replay/stepper.h"

#include "replay/fixture.h"

namespace nimbus::replay {
namespace {

class StepperTest : public ReplayTest {
 protected:
  Stepper Opened() {
    absl::StatusOr<Stepper> stepper = Stepper::Open(*journal_, operation_);
    EXPECT_THAT(stepper, IsOk());
    return *std::move(stepper);
  }
};

TEST_F(StepperTest, GoesForwardAndBackThroughTheSameStates) {
  Record(40);
  Stepper stepper = Opened();
  EXPECT_EQ(stepper.step(), 0u);
  EXPECT_EQ(stepper.steps(), 40u);
  EXPECT_THAT(stepper.Previous(), IsOkAndHolds(false));
  for (uint32_t number = 1; number <= 40; ++number) {
    ASSERT_THAT(stepper.Next(), IsOkAndHolds(true));
    EXPECT_EQ(stepper.step(), number);
    EXPECT_EQ(stepper.state().document(), states_[number - 1]);
  }
  EXPECT_THAT(stepper.Next(), IsOkAndHolds(false));
  EXPECT_EQ(stepper.step(), 40u);
  for (uint32_t number = 39; number >= 1; --number) {
    ASSERT_THAT(stepper.Previous(), IsOkAndHolds(true));
    EXPECT_EQ(stepper.step(), number);
    EXPECT_EQ(stepper.state().document(), states_[number - 1]);
  }
  ASSERT_THAT(stepper.Previous(), IsOkAndHolds(true));
  EXPECT_EQ(stepper.step(), 0u);
}

TEST_F(StepperTest, TellsWhatAStepChanged) {
  Record(5);
  Stepper stepper = Opened();
  EXPECT_EQ(stepper.Change()->Dump(), "[]");
  NIMBUS_ASSERT_OK(stepper.GoTo({.kind = Point::Kind::kStep, .step = 3}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Json change, stepper.Change());
  EXPECT_EQ(change, Diff(states_[1], states_[2]));
  EXPECT_EQ(stepper.step(), 3u);
  EXPECT_EQ(stepper.state().document(), states_[2]);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto info, stepper.Info());
  EXPECT_EQ(info->number, 3u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const StepRecord record, stepper.Read());
  EXPECT_EQ(record.output, R"({"exit":0})");
}

TEST_F(StepperTest, StaysWhereItIsWhenItCannotGoThere) {
  Record(5);
  AddStep();
  Stepper stepper = Opened();
  NIMBUS_ASSERT_OK(stepper.GoTo({.kind = Point::Kind::kStep, .step = 4}));
  EXPECT_THAT(stepper.GoTo({.kind = Point::Kind::kStep, .step = 6}),
              StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(stepper.GoTo({.kind = Point::Kind::kStep, .step = 9}), StatusIs(Code::kNotFound));
  EXPECT_THAT(stepper.GoTo({.kind = Point::Kind::kLastFailure}), StatusIs(Code::kNotFound));
  EXPECT_EQ(stepper.step(), 4u);
  EXPECT_EQ(stepper.state().document(), states_[3]);

  schema::Event bad = journal::StepEvent<schema::fb::StepCompletedT>(operation_, AddStep());
  bad.body.patch = R"([{"op":"remove","path":"/nowhere"}])";
  Append(std::move(bad));
  Stepper later = Opened();
  NIMBUS_ASSERT_OK(later.GoTo({.kind = Point::Kind::kStep, .step = 5}));
  EXPECT_THAT(later.Next(), StatusIs(Code::kDataLoss));
  EXPECT_EQ(later.step(), 5u);
  EXPECT_EQ(later.state().document(), states_[4]);
}

TEST_F(StepperTest, FindsTextInStepsAroundTheEnd) {
  Record(12);
  Stepper stepper = Opened();
  EXPECT_THAT(stepper.Search("message 7 "), IsOkAndHolds(std::optional<std::string>("patch")));
  EXPECT_EQ(stepper.step(), 7u);
  EXPECT_THAT(stepper.Search("message 3 "), IsOkAndHolds(std::optional<std::string>("patch")));
  EXPECT_EQ(stepper.step(), 3u) << "on from the start";
  EXPECT_THAT(stepper.Search("message 3 "), IsOkAndHolds(std::optional<std::string>("patch")));
  EXPECT_EQ(stepper.step(), 3u) << "the only one";
  EXPECT_THAT(stepper.Search("nowhere"), IsOkAndHolds(std::optional<std::string>()));
  const uint32_t before = stepper.step();
  const std::atomic<bool> stop = true;
  EXPECT_THAT(stepper.Search("message 7 ", &stop).status(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(stepper.step(), before);
  EXPECT_EQ(stepper.step(), 3u);
  EXPECT_THAT(stepper.Search("bash"), IsOkAndHolds(std::optional<std::string>("tool")));
  EXPECT_EQ(stepper.step(), 4u);
}

TEST_F(StepperTest, AnOperationWithoutStepsIsOnlyItsStart) {
  StartOperation();
  Stepper stepper = Opened();
  EXPECT_THAT(stepper.Next(), IsOkAndHolds(false));
  EXPECT_THAT(stepper.Search("x"), IsOkAndHolds(std::optional<std::string>()));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto info, stepper.Info());
  EXPECT_FALSE(info.has_value());
}

TEST_F(StepperTest, TakesOverlappingStepsInTheOrderTheyEnd) {
  StartOperation();
  const schema::Uuid first = AddStep(), second = AddStep();
  Append(StepCompleted(second, 2));
  Append(StepCompleted(first, 1));
  Stepper stepper = Opened();
  std::vector<uint32_t> order;
  while (*stepper.Next()) order.push_back(stepper.step());
  EXPECT_EQ(order, (std::vector<uint32_t>{2, 1}));
  EXPECT_THAT(stepper.Previous(), IsOkAndHolds(true));
  EXPECT_EQ(stepper.step(), 2u);
}

}  // namespace
}  // namespace nimbus::replay
