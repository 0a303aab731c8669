#include "nimbus/replay/bisect.h"

#include "replay/fixture.h"

namespace nimbus::replay {
namespace {

using Outcome = BisectReport::Outcome;
using ::testing::ElementsAre;

class BisectTest : public ReplayTest {
 protected:
  // Bad from step `first_bad` on; some can't be judged.
  Judge BadFrom(uint32_t first_bad, std::vector<uint32_t> skipped = {}) {
    return [=](const Trial& trial) -> absl::StatusOr<Judgement> {
      for (const uint32_t step : skipped) {
        if (trial.step == step) return Judgement::kSkip;
      }
      return trial.step >= first_bad ? Judgement::kBad : Judgement::kGood;
    };
  }

  BisectReport Bisected(const Judge& judge, const BisectOptions& options = {}) {
    absl::StatusOr<BisectReport> report = BisectOperation(*journal_, operation_, judge, options);
    EXPECT_THAT(report, IsOk());
    return report.value_or(BisectReport());
  }
};

TEST_F(BisectTest, FindsTheFirstBadStepWhicheverItIs) {
  Record(40);
  for (uint32_t bad = 1; bad <= 40; ++bad) {
    const BisectReport report = Bisected(BadFrom(bad));
    EXPECT_EQ(report.outcome, Outcome::kFound) << bad;
    EXPECT_EQ(report.first_bad, bad);
    EXPECT_EQ(report.last_good, bad - 1);
    EXPECT_LE(report.tried.size(), 2 + 6u) << "more than halving takes";
    EXPECT_EQ(report.tried[0].step, 0u);
    EXPECT_EQ(report.tried[1].step, 40u);
  }
}

// Halving versions takes no more trials than halving steps, give or take one.
TEST_F(BisectTest, HalvesALongRun) {
  constexpr uint32_t kSteps = 4096;
  StartOperation();
  std::vector<schema::Event> events;
  for (uint32_t number = 1; number <= kSteps; ++number) {
    const schema::Uuid step = schema::NewUuid();
    events.push_back(journal::StepAdded(operation_, step));
    // A third of the run has more events a step than the rest.
    if (number % 3 == 0 || number > kSteps / 3 * 2) {
      events.push_back(journal::StepEvent<schema::fb::StepStartedT>(operation_, step));
    }
    events.push_back(journal::StepEvent<schema::fb::StepCompletedT>(operation_, step));
    if (events.size() < 4000 && number < kSteps) continue;
    ASSERT_THAT(journal_->Append(events), IsOk());
    events.clear();
  }
  for (const uint32_t bad : {1u, 2u, 1000u, 2731u, 4000u, kSteps}) {
    const BisectReport report = Bisected(BadFrom(bad));
    EXPECT_EQ(report.first_bad, bad);
    EXPECT_LE(report.tried.size(), 2 + 13u) << bad;
  }
}

TEST_F(BisectTest, ShowsTheStateAfterEachStep) {
  Record(20);
  int seen = 0;
  const BisectReport report = Bisected([&](const Trial& trial) -> absl::StatusOr<Judgement> {
    EXPECT_EQ(trial.operation, operation_);
    if (trial.step > 0) {
      EXPECT_EQ(trial.state, states_[trial.step - 1]);
    }
    ++seen;
    const size_t messages = trial.state.Find("messages")->array().size();
    return messages >= 13 ? Judgement::kBad : Judgement::kGood;
  });
  EXPECT_EQ(report.first_bad, 13u);
  EXPECT_EQ(static_cast<size_t>(seen), report.tried.size());
}

TEST_F(BisectTest, GoesAroundWhatCannotBeJudged) {
  Record(20);
  const BisectReport found = Bisected(BadFrom(9, {10, 11, 12}));
  EXPECT_EQ(found.outcome, Outcome::kFound);
  EXPECT_EQ(found.first_bad, 9u);
  const BisectReport among = Bisected(BadFrom(11, {9, 10}));
  EXPECT_EQ(among.outcome, Outcome::kOneOf);
  EXPECT_EQ(among.first_bad, std::nullopt);
  EXPECT_EQ(among.last_good, 8u);
  EXPECT_THAT(among.candidates, ElementsAre(9, 10, 11));
  EXPECT_THAT(among.ToJson().Dump(), HasSubstr(R"("candidates":[9,10,11])"));
}

TEST_F(BisectTest, LooksAtTheEndsFirst) {
  Record(20);
  const BisectReport bad = Bisected(BadFrom(0));
  EXPECT_EQ(bad.outcome, Outcome::kGoodIsBad);
  EXPECT_EQ(bad.tried.size(), 1u);
  EXPECT_EQ(bad.first_bad, std::nullopt);
  const BisectReport good = Bisected(BadFrom(21));
  EXPECT_EQ(good.outcome, Outcome::kBadIsGood);
  EXPECT_EQ(good.tried.size(), 2u);
  EXPECT_EQ(Bisected(BadFrom(9), {.good = 10}).outcome, Outcome::kGoodIsBad);
  EXPECT_EQ(Bisected(BadFrom(9), {.bad = 5}).outcome, Outcome::kBadIsGood);
  EXPECT_EQ(Bisected(BadFrom(9), {.good = 8, .bad = 9}).first_bad, 9u);
}

TEST_F(BisectTest, SaysWhyItCannotSearch) {
  Record(5);
  AddStep();
  const auto refusal = [&](const BisectOptions& options) {
    return BisectOperation(*journal_, operation_, BadFrom(1), options).status();
  };
  EXPECT_THAT(refusal({.good = 3, .bad = 3}), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(refusal({.good = 4, .bad = 2}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("does not come before")));
  EXPECT_THAT(refusal({.good = 0, .bad = 6}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("step 6 has not ended")));
  EXPECT_THAT(refusal({.good = 0, .bad = 7}), StatusIs(Code::kNotFound));
  EXPECT_THAT(BisectOperation(*journal_, session_, BadFrom(1), {}).status(),
              StatusIs(Code::kNotFound));
  const auto failing = [](const Trial&) -> absl::StatusOr<Judgement> {
    return absl::CancelledError("stop");
  };
  EXPECT_THAT(BisectOperation(*journal_, operation_, failing, {}).status(),
              StatusIs(Code::kCancelled));
}

TEST_F(BisectTest, NeedsAStep) {
  StartOperation();
  EXPECT_THAT(BisectOperation(*journal_, operation_, BadFrom(1), {}).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("no step")));
}

TEST_F(BisectTest, TakesOverlappingStepsInTheOrderTheyEnd) {
  StartOperation();
  const schema::Uuid first = AddStep(), second = AddStep(), third = AddStep();
  Append(StepCompleted(second, 2));
  Append(StepCompleted(first, 1));
  Append(StepCompleted(third, 3));
  // After step 1, which ended second, there are two messages.
  const BisectReport report = Bisected([](const Trial& trial) -> absl::StatusOr<Judgement> {
    return trial.state.Find("messages")->array().size() >= 2 ? Judgement::kBad : Judgement::kGood;
  });
  EXPECT_EQ(report.first_bad, 1u);
  EXPECT_EQ(report.last_good, 2u);
}

}  // namespace
}  // namespace nimbus::replay
