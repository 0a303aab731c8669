#include "nimbus/replay/session.h"

#include <algorithm>

#include "replay/fixture.h"
#include "testing/random.h"

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
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<Session::Ahead> ahead, session.Peek());
  EXPECT_FALSE(ahead.has_value());
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

// Steps that overlap, change little, much or nothing, fail, beside another operation,
// in appends of one to many events; and the state after each event, as it was made.
class RandomSessionTest : public ReplayTest {
 protected:
  struct Point {
    Moment::Kind kind = Moment::Kind::kStart;
    uint32_t step = 0;
    std::string state;
  };

  void Push(schema::Event event) {
    events_.push_back(std::move(event));
    if (random_.Below(6) == 0) Commit();
  }

  void Commit() {
    if (!events_.empty()) {
      NIMBUS_ASSERT_OK(journal_->Append(events_).status());
    }
    events_.clear();
    if (random_.Below(4) == 0) Append(journal::StepAdded(other_, schema::NewUuid()));
    if (random_.Below(20) == 0) {
      NIMBUS_ASSERT_OK(journal_->ApplyLog());
    }
  }

  void Note(Moment::Kind kind, uint32_t step) { points_.push_back({kind, step, state_->Text()}); }

  void EndStep() {
    const size_t chosen = random_.Below(running_.size());
    const auto [step, number] = running_[chosen];
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(chosen));
    if (random_.Below(4) == 0) {
      Push(journal::StepEvent<schema::fb::StepFailedT>(operation_, step));
      state_->FoldUnchanged();
      Note(Moment::Kind::kStep, number);
      return;
    }
    Push(StepCompleted(step, static_cast<int>(number)));
    Note(Moment::Kind::kStep, number);
    if (!checkpoint_due_ && random_.Below(40) > 0) return;
    Push(Checkpoint(step));
    Note(Moment::Kind::kCheckpoint, number);
  }

  void RecordRandomly(uint32_t steps) {
    StartOperation();
    Append(journal::OperationCreated(other_, session_));
    Note(Moment::Kind::kStart, 0);
    for (uint32_t added = 0; added < steps || !running_.empty();) {
      if (added < steps && random_.Below(running_.size() + 2) < 2) {
        running_.emplace_back(schema::NewUuid(), ++added);
        Push(journal::StepAdded(operation_, running_.back().first));
        if (random_.Below(2) == 0) {
          Push(journal::StepEvent<schema::fb::StepStartedT>(operation_, running_.back().first));
        }
      } else if (!running_.empty()) {
        EndStep();
      }
    }
    Commit();
  }

  // The state right after the end of this step.
  const std::string& StateAfter(uint32_t step) const {
    return std::find_if(points_.begin(), points_.end(),
                        [&](const Point& point) {
                          return point.kind == Moment::Kind::kStep && point.step == step;
                        })
        ->state;
  }

  void ExpectAt(Session& session, const Point& point) {
    ASSERT_EQ(session.state().Text(), point.state);
  }

  test::SeededRandom random_;
  std::vector<schema::Event> events_;
  std::vector<std::pair<schema::Uuid, uint32_t>> running_;
  std::vector<Point> points_;
  const schema::Uuid other_ = schema::NewUuid();
};

TEST_F(RandomSessionTest, GoesForwardBackAndAnywhereAsTheFoldDoes) {
  constexpr uint32_t kSteps = 260;
  RecordRandomly(kSteps);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, operation_));
  ASSERT_EQ(session.StepCount(), kSteps);
  session.Rewind();
  for (const Point& point : points_) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<Moment> moment, session.Next());
    ASSERT_TRUE(moment.has_value());
    ASSERT_EQ(moment->kind, point.kind);
    ASSERT_EQ(moment->step, point.step);
    NIMBUS_ASSERT_OK(moment->fold);
    ExpectAt(session, point);
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<Moment> none, session.Next());
  EXPECT_FALSE(none.has_value());
  for (size_t i = points_.size() - 1; i-- > 0;) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<Moment> moment, session.Previous());
    ASSERT_TRUE(moment.has_value());
    ASSERT_EQ(moment->kind, points_[i].kind);
    ASSERT_EQ(moment->step, points_[i].step);
    ExpectAt(session, points_[i]);
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<Moment> before, session.Previous());
  EXPECT_FALSE(before.has_value());
  EXPECT_TRUE(session.state().document().IsNull());
  for (uint32_t step = 1; step <= kSteps; ++step) {
    NIMBUS_ASSERT_OK(session.SeekToStep(step));
    ASSERT_EQ(session.state().Text(), StateAfter(step));
    ASSERT_EQ(session.step(), step);
  }
  for (uint32_t step = kSteps; step > 0; --step) {
    NIMBUS_ASSERT_OK(session.SeekToStep(step));
    ASSERT_EQ(session.state().Text(), StateAfter(step));
  }
  for (int i = 0; i < 200; ++i) {
    const auto step = static_cast<uint32_t>(1 + random_.Below(kSteps));
    NIMBUS_ASSERT_OK(session.SeekToStep(step));
    ASSERT_EQ(session.state().Text(), StateAfter(step));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const StepInfo info, session.FindStep(step));
    ASSERT_EQ(info.number, step);
  }
  NIMBUS_ASSERT_OK(session.SeekToEnd());
  ExpectAt(session, points_.back());
  EXPECT_TRUE(Replayed().holds());
}

TEST_F(RandomSessionTest, ASeekPutsTheStateOnTheSameAccountAsTheFold) {
  RecordRandomly(120);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session folded, Session::Open(*journal_, operation_));
  for (;;) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<Moment> moment, folded.Next());
    if (!moment.has_value()) break;
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session sought, Session::Open(*journal_, operation_));
  NIMBUS_ASSERT_OK(sought.SeekToEnd());
  // Whoever goes on recording from either makes the same checkpoints.
  State a = folded.state(), b = sought.state(), c = *state_;
  for (int number = 0; number < 100; ++number) {
    const Json patch = AppendPatch("/messages", {Message(number)});
    NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange of_a, a.Record(patch));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange of_b, b.Record(patch));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange of_c, c.Record(patch));
    ASSERT_EQ(of_a.checkpoint_due, of_c.checkpoint_due) << number;
    ASSERT_EQ(of_b.checkpoint_due, of_c.checkpoint_due) << number;
  }
}

TEST_F(SessionTest, TellsOfEveryPointInOrder) {
  Record(70);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, operation_));
  uint32_t steps = 0;
  std::vector<schema::Uuid> checkpoints;
  NIMBUS_ASSERT_OK(session.ForEachPoint(
      [&](const StepInfo& step) {
        EXPECT_EQ(step.number, ++steps);
        EXPECT_EQ(step.ended, ended_[steps - 1]);
        return absl::OkStatus();
      },
      [&](const CheckpointInfo& checkpoint) {
        EXPECT_EQ(checkpoint.step, steps);
        checkpoints.push_back(checkpoint.id);
        return absl::OkStatus();
      }));
  EXPECT_EQ(steps, 70u);
  EXPECT_EQ(checkpoints, checkpoints_);
  const auto stop = [](const auto&) { return absl::CancelledError("enough"); };
  EXPECT_THAT(session.ForEachPoint(stop, stop), StatusIs(Code::kCancelled));
}

TEST_F(SessionTest, SkipsToTheNextStateThatIsWhole) {
  Record(60);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::OpenRewound(*journal_, operation_));
  EXPECT_TRUE(session.state().document().IsNull());
  uint32_t before = 0;
  for (const schema::Uuid& checkpoint : checkpoints_) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const CheckpointInfo info, session.FindCheckpoint(checkpoint));
    // Not over the end of the step before it, when that is too far.
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto none, session.SkipToWhole(ended_[info.step - 1] - 1));
    EXPECT_FALSE(none.has_value());
    EXPECT_EQ(session.step(), before);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto skip, session.SkipToWhole());
    ASSERT_TRUE(skip.has_value());
    EXPECT_EQ(skip->to.sequence, info.sequence);
    EXPECT_EQ(skip->steps, info.step - before);
    EXPECT_EQ(session.step(), info.step);
    EXPECT_EQ(session.state().document(), states_[info.step - 1]);
    before = info.step;
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto none, session.SkipToWhole());
  EXPECT_FALSE(none.has_value());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<Moment> next, session.Next());
  EXPECT_EQ(next.has_value(), before < 60);
}

// Operations that go on from the state of another.
class ForkTest : public ReplayTest {
 protected:
  static std::unique_ptr<schema::fb::Id> IdPtr(const schema::Uuid& id) {
    return std::make_unique<schema::fb::Id>(id.ToFb());
  }

  schema::Uuid Fork(const schema::Uuid& parent, uint32_t step,
                    std::optional<schema::Uuid> checkpoint = std::nullopt) {
    const schema::Uuid fork = schema::NewUuid();
    Append(journal::OperationCreated(fork, session_));
    ForkExisting(fork, parent, step, checkpoint);
    Append(journal::OperationEvent<schema::fb::OperationStartedT>(fork));
    return fork;
  }

  void ForkExisting(const schema::Uuid& fork, const schema::Uuid& parent, uint32_t step,
                    std::optional<schema::Uuid> checkpoint = std::nullopt) {
    schema::fb::OperationForkedT forked;
    forked.parent = IdPtr(parent);
    forked.step_number = step;
    if (checkpoint.has_value()) forked.checkpoint = IdPtr(*checkpoint);
    Append(schema::MakeEvent(schema::fb::EntityKind::operation, fork, std::move(forked)));
  }

  // A step of `fork` that adds to what `state` is before it.
  void StepOf(const schema::Uuid& fork, State* state, int number) {
    const schema::Uuid step = schema::NewUuid();
    Append(journal::StepAdded(fork, step));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange change,
                                state->Record(AppendPatch("/messages", {Message(number)})));
    auto event = journal::StepEvent<schema::fb::StepCompletedT>(fork, step);
    event.body.patch = change.patch;
    if (change.digest.has_value()) event.body.digest = ToPtr(*change.digest);
    Append(std::move(event));
  }

  std::string StartOf(const schema::Uuid& fork) {
    absl::StatusOr<Session> session = Session::Open(*journal_, fork);
    EXPECT_THAT(session, IsOk());
    return session.ok() ? session->state().Text() : "";
  }
};

TEST_F(ForkTest, StartsFromTheStateOfItsParent) {
  Record(40);
  ASSERT_GE(checkpoints_.size(), 1u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session parent, Session::Open(*journal_, operation_));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const CheckpointInfo checkpoint,
                              parent.FindCheckpoint(checkpoints_[0]));
  const schema::Uuid of_checkpoint = Fork(operation_, 0, checkpoints_[0]);
  const schema::Uuid of_step = Fork(operation_, 17), of_start = Fork(operation_, 0);
  RecordStep(41);  // of the parent; they don't see it
  EXPECT_EQ(StartOf(of_checkpoint), states_[checkpoint.step - 1].Dump());
  EXPECT_EQ(StartOf(of_step), states_[16].Dump());
  EXPECT_EQ(StartOf(of_start), R"({"messages":[]})");

  NIMBUS_ASSERT_OK_AND_ASSIGN(State state, State::Make(states_[16]));
  for (int number = 100; number < 130; ++number) StepOf(of_step, &state, number);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, of_step));
  NIMBUS_ASSERT_OK(session.SeekToEnd());
  EXPECT_EQ(session.state().document(), state.document());
  NIMBUS_ASSERT_OK(session.SeekToStep(0));
  EXPECT_EQ(session.state().document(), states_[16]);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ReplayReport report, ReplayOperation(*journal_, of_step, {}));
  EXPECT_TRUE(report.holds()) << report.ToJson().Dump();
  EXPECT_EQ(report.steps, 30u);
  EXPECT_EQ(report.digests_compared, 32u);  // both starts have that of the parent's step
  EXPECT_EQ(report.digest, state.Digest());
}

TEST_F(ForkTest, OfAForkOfAFork) {
  Record(10);
  // None has a step or a state of its own but the last.
  schema::Uuid fork = Fork(operation_, 7);
  for (int i = 0; i < 100; ++i) fork = Fork(fork, 0);
  EXPECT_EQ(StartOf(fork), states_[6].Dump());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ReplayReport start, ReplayOperation(*journal_, fork, {}));
  EXPECT_TRUE(start.holds());
  EXPECT_EQ(start.digests_compared, 2u);  // both starts have that of the step far above
  NIMBUS_ASSERT_OK_AND_ASSIGN(State state, State::Make(states_[6]));
  StepOf(fork, &state, 50);
  const schema::Uuid last = Fork(fork, 1);
  EXPECT_EQ(StartOf(last), state.Text());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ReplayReport report, ReplayOperation(*journal_, last, {}));
  EXPECT_TRUE(report.holds());
  EXPECT_EQ(report.digest, state.Digest());
}

TEST_F(ForkTest, TwoThatNameEachOtherHaveAnEnd) {
  Begin();
  const schema::Uuid other = schema::NewUuid();
  Append(journal::OperationCreated(other, session_));
  ForkExisting(other, operation_, 0);
  ForkExisting(operation_, other, 0);
  EXPECT_EQ(StartOf(operation_), "null");
  EXPECT_EQ(StartOf(other), "null");
}

TEST_F(ForkTest, OfAStepThatHadNotEndedSaysSo) {
  Record(3);
  const schema::Uuid step = AddStep();
  const schema::Uuid fork = Fork(operation_, 4);
  Append(StepCompleted(step, 4));
  EXPECT_THAT(Session::Open(*journal_, fork).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("parent of a fork: step 4 has not")));
}

TEST_F(ForkTest, AParentThatBeliesItsDigestIsADivergenceOfTheStart) {
  Record(3);
  schema::Event wrong = StepCompleted(AddStep(), 4);
  wrong.body.digest = ToPtr(schema::Digest{1});
  Append(std::move(wrong));
  const schema::Uuid fork = Fork(operation_, 4);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ReplayReport report, ReplayOperation(*journal_, fork, {}));
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.divergence->what, Divergence::What::kDigest);
  EXPECT_EQ(report.divergence->step, 0u);
  EXPECT_EQ(report.divergence->expected, schema::Digest{1});
  EXPECT_EQ(report.divergence->actual, state_->Digest());
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
