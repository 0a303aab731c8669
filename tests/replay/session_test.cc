#include "nimbus/replay/session.h"

#include "replay/fixture.h"

namespace nimbus::replay {
namespace {

using SessionTest = ReplayTest;

TEST_F(SessionTest, TellsWhatWasRecorded) {
  Record(40);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, operation_));
  EXPECT_EQ(session.status(), journal::Lifecycle::kRunning);
  ASSERT_EQ(session.StepCount(), 40u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const StepInfo info, session.FindStep(7));
  EXPECT_EQ(info.number, 7u);
  EXPECT_EQ(info.tool_name, "bash");
  EXPECT_EQ(info.ended, ended_[6]);
  EXPECT_GE(checkpoints_.size(), 1u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const CheckpointInfo last,
                              session.FindCheckpoint(checkpoints_.back()));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<CheckpointInfo> of_step,
                              session.CheckpointsOf(last.step));
  ASSERT_EQ(of_step.size(), 1u);
  EXPECT_EQ(of_step[0].id, checkpoints_.back());
  EXPECT_EQ(of_step[0].sequence, last.sequence);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const StepRecord step, session.ReadStep(7));
  EXPECT_EQ(step.input, "{}");
  EXPECT_EQ(step.output, R"({"exit":0})");
  EXPECT_EQ(step.digest, schema::StateDigest(states_[6]));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const OperationRecord operation, session.ReadOperation());
  EXPECT_EQ(operation.session, session_);
  EXPECT_EQ(operation.type, "chat");
  EXPECT_EQ(operation.input, R"({"prompt":"deploy it"})");
}

TEST_F(SessionTest, SeeksToAnyStepInAnyOrder) {
  Record(60);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, operation_));
  for (const uint32_t number : {60u, 1u, 33u, 34u, 59u, 20u, 60u, 2u}) {
    NIMBUS_ASSERT_OK(session.SeekToStep(number));
    EXPECT_EQ(session.state().document(), states_[number - 1]) << number;
    EXPECT_EQ(session.step(), number);
    EXPECT_EQ(session.sequence(), ended_[number - 1]);
  }
  NIMBUS_ASSERT_OK(session.SeekToStep(0));
  EXPECT_EQ(session.state().Text(), R"({"messages":[]})");
  EXPECT_EQ(session.step(), 0u);
  NIMBUS_ASSERT_OK(session.SeekToEnd());
  EXPECT_EQ(session.state().document(), states_.back());
  EXPECT_THAT(session.Peek(), IsOkAndHolds(std::nullopt));
}

TEST_F(SessionTest, SeeksToCheckpointsAndStepsForward) {
  Record(60);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, operation_));
  for (const schema::Uuid& checkpoint : checkpoints_) {
    NIMBUS_ASSERT_OK(session.SeekToCheckpoint(checkpoint));
    uint32_t number = session.step();
    EXPECT_EQ(session.state().document(), states_[number - 1]);
    for (;;) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<Moment> moment, session.Next());
      if (!moment.has_value()) break;
      if (moment->kind == Moment::Kind::kStep) ++number;
      ASSERT_EQ(moment->step, number);
      ASSERT_EQ(session.state().document(), states_[number - 1]);
    }
    EXPECT_EQ(number, 60u);
  }
}

TEST_F(SessionTest, StepsThatOverlapTakeEffectInTheOrderTheyEnd) {
  StartOperation();
  const schema::Uuid first = AddStep(), second = AddStep();
  Append(StepCompleted(second, 2));
  const Json after_second = state_->document();
  Append(StepCompleted(first, 1));
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, operation_));
  NIMBUS_ASSERT_OK(session.SeekToStep(2));
  EXPECT_EQ(session.state().document(), after_second);
  NIMBUS_ASSERT_OK(session.SeekToStep(1));
  EXPECT_EQ(session.state().document(), state_->document());
  EXPECT_TRUE(Replayed().holds());
  EXPECT_EQ(Replayed({.to_step = 2}).steps, 1u);
}

TEST_F(SessionTest, AnOperationWithoutStateHasNull) {
  Begin();
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session pending, Session::Open(*journal_, operation_));
  EXPECT_EQ(pending.status(), journal::Lifecycle::kPending);
  EXPECT_TRUE(pending.state().document().IsNull());
  const schema::Uuid step = AddStep();
  Append(journal::StepEvent<schema::fb::StepFailedT>(operation_, step));
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, operation_));
  NIMBUS_ASSERT_OK(session.SeekToEnd());
  EXPECT_TRUE(session.state().document().IsNull());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const StepInfo failed, session.FindStep(1));
  EXPECT_EQ(failed.status, journal::Lifecycle::kFailed);
}

TEST_F(SessionTest, SaysWhatItCantFind) {
  Record(3);
  AddStep();
  EXPECT_THAT(Session::Open(*journal_, session_).status(),
              StatusIs(Code::kNotFound, HasSubstr(session_.ToString())));
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, operation_));
  EXPECT_THAT(session.SeekToStep(4), StatusIs(Code::kFailedPrecondition, HasSubstr("step 4")));
  EXPECT_THAT(session.SeekToStep(5), StatusIs(Code::kNotFound, HasSubstr("4 steps")));
  EXPECT_THAT(session.SeekToCheckpoint(operation_), StatusIs(Code::kNotFound));
  EXPECT_THAT(session.ReadStep(0), StatusIs(Code::kNotFound));
  EXPECT_THAT(session.ReadStep(5), StatusIs(Code::kNotFound));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const StepRecord open, session.ReadStep(4));
  EXPECT_EQ(open.output, "");
}

}  // namespace
}  // namespace nimbus::replay
