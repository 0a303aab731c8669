#include "nimbus/replay/forks.h"

#include "journal/stream.h"
#include "nimbus/journal/verify.h"
#include "replay/fixture.h"

namespace nimbus::replay {
namespace {

class ForksTest : public ReplayTest {
 protected:
  // A step that tells what it took.
  void RecordPaidStep(int number, bool fails = false) {
    const schema::Uuid step = AddStep();
    schema::Event event = StepCompleted(step, number);
    auto outcome = std::make_unique<schema::fb::OutcomeT>();
    outcome->duration_ms = 10;
    outcome->tokens_used = 100;
    outcome->cost_microdollars = 7;
    if (fails) {
      schema::fb::StepFailedT failed;
      failed.step = std::make_unique<schema::fb::Id>(step.ToFb());
      failed.outcome = std::move(outcome);
      event.payload.Set(std::move(failed));
    } else {
      event.payload.AsStepCompleted()->outcome = std::move(outcome);
    }
    ended_.push_back(Append(std::move(event)));
    states_.push_back(state_->document());
  }

  ForkPlan Planned(const Point& point) {
    absl::StatusOr<ForkPlan> plan = PlanFork(*journal_, operation_, point);
    EXPECT_THAT(plan, IsOk());
    if (plan.ok()) {
      EXPECT_FALSE(plan->totals.has_value());
      EXPECT_THAT(plan->ToJson().Dump(), HasSubstr(R"("reused":null,"after":null)"));
      EXPECT_THAT(AddTotals(*journal_, &*plan), IsOk());
    }
    return plan.value_or(ForkPlan());
  }
};

TEST_F(ForksTest, APlanSaysWhatIsReused) {
  StartOperation();
  for (int i = 1; i <= 5; ++i) RecordPaidStep(i, i == 4);
  AddStep();
  const uint64_t size = *journal_->Size();
  const ForkPlan plan = Planned({.kind = Point::Kind::kLastFailure});
  EXPECT_EQ(plan.step, 3u);
  EXPECT_EQ(plan.sequence, ended_[2]);
  EXPECT_EQ(plan.digest, schema::StateDigest(states_[2]));
  EXPECT_EQ(plan.totals->reused.steps, 3u);
  EXPECT_EQ(plan.totals->reused.tokens, 300u);
  EXPECT_EQ(plan.totals->reused.cost_microdollars, 21);
  EXPECT_EQ(plan.totals->reused.duration_ms, 30u);
  EXPECT_EQ(plan.totals->after.steps, 2u);
  EXPECT_EQ(plan.totals->after.tokens, 200u);
  EXPECT_EQ(plan.totals->unended, 0u);
  EXPECT_EQ(plan.checkpoint, std::nullopt);
  EXPECT_EQ(plan.operation.type, "chat");
  EXPECT_EQ(*journal_->Size(), size) << "a plan appends nothing";
  EXPECT_EQ(Planned({.kind = Point::Kind::kEnd}).totals->reused.steps, 5u);
  EXPECT_EQ(Planned({.kind = Point::Kind::kStart}).totals->reused.steps, 0u);
  EXPECT_THAT(plan.ToJson().Dump(), HasSubstr(R"("reused":{"steps":3)"));
}

TEST_F(ForksTest, StepsUnderWayAreNotReused) {
  StartOperation();
  const schema::Uuid slow = AddStep();
  RecordPaidStep(2);
  const uint64_t then = ended_.back();
  Append(StepCompleted(slow, 1));
  const ForkPlan plan = Planned({.kind = Point::Kind::kStep, .step = 2});
  EXPECT_EQ(plan.sequence, then);
  EXPECT_EQ(plan.totals->reused.steps, 1u);
  EXPECT_EQ(plan.totals->unended, 1u);
  EXPECT_EQ(plan.totals->after.steps, 1u);
}

TEST_F(ForksTest, CopiesNothing) {
  Record(30);
  ASSERT_FALSE(checkpoints_.empty());
  const ForkPlan plan = Planned({.kind = Point::Kind::kCheckpoint, .checkpoint = checkpoints_[0]});
  EXPECT_EQ(plan.checkpoint, checkpoints_[0]);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Forked forked,
                              ForkOperation(journal_.get(), plan, {.name = "again"}));
  EXPECT_FALSE(forked.new_session);
  EXPECT_EQ(forked.session, session_);
  journal::Reader reader(*journal_);
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const auto entity, journal_->FindEntity(schema::fb::EntityKind::operation, forked.operation));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<uint64_t> stream,
                              journal::StreamSequences(&reader, entity->head_sequence));
  ASSERT_EQ(stream.size(), 3u);
  EXPECT_EQ(stream[2], forked.sequence);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* created, reader.Read(stream[0]));
  const auto* operation = created->record->event_as_OperationCreated();
  EXPECT_EQ(schema::Uuid::FromFb(*operation->parent()), operation_);
  EXPECT_EQ(operation->type()->str(), "chat");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const schema::fb::Body* body, reader.Body(*created));
  EXPECT_EQ(body->name()->str(), "again");
  EXPECT_EQ(body->input()->str(), R"({"prompt":"deploy it"})");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* origin, reader.Read(stream[1]));
  const auto* event = origin->record->event_as_OperationForked();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(schema::Uuid::FromFb(*event->parent()), operation_);
  EXPECT_EQ(schema::Uuid::FromFb(*event->checkpoint()), checkpoints_[0]);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* started, reader.Read(stream[2]));
  EXPECT_EQ(started->record->event_type(), schema::fb::Event::OperationStarted);
  EXPECT_EQ(started->envelope().body_size(), 0u) << "the state is the parent's";
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::VerifyReport verified,
                              journal::VerifyJournal(*journal_, {}));
  EXPECT_TRUE(verified.holds());
}

TEST_F(ForksTest, GoesIntoANewSessionWhenItsParentsHasEnded) {
  Record(3);
  ASSERT_THAT(journal_->Append(journal::SessionEnded(session_)), IsOk());
  const ForkPlan plan = Planned({.kind = Point::Kind::kStep, .step = 2});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Forked forked, ForkOperation(journal_.get(), plan));
  EXPECT_TRUE(forked.new_session);
  EXPECT_NE(forked.session, session_);
  journal::Reader reader(*journal_);
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const auto session, journal_->FindEntity(schema::fb::EntityKind::session, forked.session));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view,
                              reader.Read(session->first_sequence));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const schema::fb::Body* body, reader.Body(*view));
  EXPECT_EQ(body->name()->str(), "a session");
  EXPECT_THAT(ForkOperation(journal_.get(), plan, {.session = session_}).status(),
              StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(ForkOperation(journal_.get(), plan, {.session = operation_}).status(),
              StatusIs(Code::kNotFound));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Forked other,
                              ForkOperation(journal_.get(), plan, {.session = forked.session}));
  EXPECT_EQ(other.session, forked.session);
}

TEST_F(ForksTest, RefusesPointsThatAreNone) {
  Begin();
  EXPECT_THAT(PlanFork(*journal_, operation_, {}).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("not been started")));
  EXPECT_THAT(PlanFork(*journal_, session_, {}).status(), StatusIs(Code::kNotFound));
  Append(journal::OperationEvent<schema::fb::OperationStartedT>(operation_));
  AddStep();
  EXPECT_THAT(PlanFork(*journal_, operation_, {.kind = Point::Kind::kStep, .step = 1}).status(),
              StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(PlanFork(*journal_, operation_, {.kind = Point::Kind::kStep, .step = 2}).status(),
              StatusIs(Code::kNotFound));
  EXPECT_THAT(PlanFork(*journal_, operation_, {.kind = Point::Kind::kLastFailure}).status(),
              StatusIs(Code::kNotFound));
}

}  // namespace
}  // namespace nimbus::replay
