#include "nimbus/replay/verify.h"

#include "replay/fixture.h"

namespace nimbus::replay {
namespace {

using VerifyTest = ReplayTest;

TEST_F(VerifyTest, ReproducesEveryDigestFromTheStart) {
  Record(50);
  const ReplayReport report = Replayed();
  EXPECT_TRUE(report.holds()) << report.ToJson().Dump();
  EXPECT_EQ(report.steps, 50u);
  EXPECT_EQ(report.patches, 50u);
  EXPECT_EQ(report.to_step, 50u);
  EXPECT_EQ(report.checkpoints_compared, checkpoints_.size());
  EXPECT_EQ(report.digests_compared, 1 + 50 + checkpoints_.size());
  EXPECT_EQ(report.digest, schema::StateDigest(states_.back()));
}

TEST_F(VerifyTest, ReproducesTheSameFromEveryCheckpointAndStep) {
  Record(50);
  ASSERT_GE(checkpoints_.size(), 2u);
  for (const schema::Uuid& checkpoint : checkpoints_) {
    const ReplayReport report = Replayed({.from_checkpoint = checkpoint});
    EXPECT_TRUE(report.holds());
    EXPECT_EQ(report.from_step + report.steps, 50u);
    EXPECT_EQ(report.digest, schema::StateDigest(states_.back()));
  }
  for (uint32_t from = 0; from <= 50; ++from) {
    const ReplayReport report = Replayed({.from_step = from});
    EXPECT_TRUE(report.holds()) << from;
    EXPECT_EQ(report.steps, 50 - from);
    EXPECT_EQ(report.digest, schema::StateDigest(states_.back()));
  }
}

TEST_F(VerifyTest, StopsAfterTheStepAskedFor) {
  Record(50);
  for (uint32_t to = 1; to <= 50; ++to) {
    const ReplayReport report = Replayed({.to_step = to});
    EXPECT_EQ(report.to_step, to);
    EXPECT_EQ(report.digest, schema::StateDigest(states_[to - 1]));
  }
  const ReplayReport start = Replayed({.to_step = 0});
  EXPECT_EQ(start.steps, 0u);
  EXPECT_EQ(start.digests_compared, 1u);
  EXPECT_EQ(start.digest, schema::StateDigest(Json::MakeObject({{"messages", Json::MakeArray()}})));
  EXPECT_EQ(Replayed({.from_step = 20, .to_step = 20}).steps, 0u);
}

TEST_F(VerifyTest, TheSameJournalGivesTheSameBytes) {
  Record(30);
  const std::string first = Replayed().ToJson().Dump();
  Open();
  EXPECT_EQ(Replayed().ToJson().Dump(), first);
  EXPECT_THAT(Json::Parse(first), IsOk());
}

TEST_F(VerifyTest, AWrongStepDigestIsNamedAndShownAtTheNextCheckpoint) {
  Record(10);
  const schema::Uuid step = AddStep();
  schema::Event wrong = StepCompleted(step, 11);
  const schema::Digest honest = state_->Digest();
  // The digest recorded is of a state that also has a verdict; so is the checkpoint.
  Json other = state_->document();
  other.Set("verdict", Json::String("ok"));
  wrong.body.digest = ToPtr(schema::StateDigest(other));
  const uint64_t sequence = Append(std::move(wrong));
  NIMBUS_ASSERT_OK(state_->Restore(other));
  const uint64_t checkpoint = Append(Checkpoint(step));

  const ReplayReport report = Replayed();
  ASSERT_FALSE(report.holds());
  const Divergence& divergence = *report.divergence;
  EXPECT_EQ(divergence.what, Divergence::What::kDigest);
  EXPECT_EQ(divergence.step, 11u);
  EXPECT_EQ(divergence.sequence, sequence);
  EXPECT_EQ(divergence.expected, schema::StateDigest(other));
  EXPECT_EQ(divergence.actual, honest);
  ASSERT_TRUE(divergence.difference.has_value());
  EXPECT_EQ(divergence.difference->Dump(), R"([{"op":"remove","path":"/verdict"}])");
  EXPECT_EQ(divergence.difference_sequence, checkpoint);
  EXPECT_EQ(report.digest, std::nullopt);
  EXPECT_THAT(divergence.ToString(), HasSubstr(fmt::format("step 11 (record {})", sequence)));
  EXPECT_THAT(report.ToJson().Dump(), HasSubstr(schema::ToHex(honest)));
  EXPECT_TRUE(Replayed({.to_step = 10}).holds());
}

TEST_F(VerifyTest, AWrongDigestWithoutALaterCheckpointHasNoDifference) {
  Record(2);
  schema::Event wrong = StepCompleted(AddStep(), 3);
  wrong.body.digest = ToPtr(schema::Digest{1});
  Append(std::move(wrong));
  const ReplayReport report = Replayed();
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.divergence->step, 3u);
  EXPECT_EQ(report.divergence->difference, std::nullopt);
  EXPECT_EQ(report.divergence->ToJson().Find("difference"), nullptr);
}

class ForgedCheckpointTest : public VerifyTest, public ::testing::WithParamInterface<bool> {};

TEST_P(ForgedCheckpointTest, IsADivergenceWithItsDifference) {
  const bool with_digest = GetParam();
  Record(5);
  const schema::Uuid step = AddStep();
  Append(StepCompleted(step, 6));
  Json other = state_->document();
  other.Find("messages")->array()[2].Set("content", Json::String("forged"));
  schema::Event forged =
      journal::CheckpointCreated(operation_, schema::NewUuid(), step, other.Dump());
  if (with_digest) forged.body.digest = ToPtr(schema::StateDigest(other));
  const uint64_t sequence = Append(std::move(forged));

  const ReplayReport report = Replayed();
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.divergence->what,
            with_digest ? Divergence::What::kCheckpointDigest : Divergence::What::kCheckpointState);
  EXPECT_EQ(report.divergence->sequence, sequence);
  EXPECT_EQ(report.divergence->step, 6u);
  EXPECT_EQ(report.divergence->expected, schema::StateDigest(other));
  EXPECT_EQ(report.divergence->actual, state_->Digest());
  ASSERT_TRUE(report.divergence->difference.has_value());
  EXPECT_EQ(report.divergence->difference->array()[0].StringOr("path"), "/messages/2/content");
  Json applied = other;
  ASSERT_THAT(ApplyPatch(*report.divergence->difference, &applied), IsOk());
  EXPECT_EQ(applied, state_->document());
  EXPECT_EQ(report.divergence->difference_sequence, sequence);
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutDigest, ForgedCheckpointTest, ::testing::Bool());

TEST_F(VerifyTest, ACheckpointThatBeliesItsOwnDigestIsADivergenceEvenToStartFrom) {
  Record(3);
  const schema::Uuid step = AddStep();
  Append(StepCompleted(step, 4));
  schema::Event forged = Checkpoint(step);
  forged.body.state = R"({"messages":["forged"]})";
  const uint64_t sequence = Append(std::move(forged));
  const ReplayReport report = Replayed({.from_checkpoint = checkpoints_.back()});
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.divergence->what, Divergence::What::kCheckpointDigest);
  EXPECT_EQ(report.divergence->sequence, sequence);
  EXPECT_EQ(report.divergence->expected, state_->Digest());
  EXPECT_FALSE(Replayed().holds());
}

TEST_F(VerifyTest, APatchThatDoesNotApplyIsADivergence) {
  Record(3);
  schema::Event event = StepCompleted(AddStep(), 4);
  event.body.patch = R"([{"op":"replace","path":"/messages/7","value":1}])";
  const uint64_t sequence = Append(std::move(event));
  const ReplayReport report = Replayed();
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.divergence->what, Divergence::What::kPatch);
  EXPECT_EQ(report.divergence->sequence, sequence);
  EXPECT_THAT(report.divergence->ToString(), HasSubstr("replace /messages/7"));
  EXPECT_EQ(report.patches, 3u);
  EXPECT_THAT(ReplayOperation(*journal_, operation_, {.from_step = 4}).status(),
              StatusIs(Code::kDataLoss, HasSubstr("step 4")));
}

TEST_F(VerifyTest, AWrongDigestOfTheStartIsADivergence) {
  Begin();
  schema::Event event = journal::OperationEvent<schema::fb::OperationStartedT>(operation_);
  event.body.state = "{}";
  event.body.digest = ToPtr(schema::StateDigest(Json()));
  const uint64_t sequence = Append(std::move(event));
  const ReplayReport report = Replayed();
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.divergence->step, 0u);
  EXPECT_EQ(report.divergence->sequence, sequence);
  EXPECT_THAT(report.divergence->ToString(), HasSubstr("start"));
}

TEST_F(VerifyTest, RefusesImpossibleRanges) {
  Record(5);
  AddStep();
  const auto refusal = [&](const ReplayRange& range) {
    return ReplayOperation(*journal_, operation_, range).status();
  };
  EXPECT_THAT(refusal({.from_checkpoint = operation_}), StatusIs(Code::kNotFound));
  EXPECT_THAT(refusal({.from_checkpoint = operation_, .from_step = 1}),
              StatusIs(Code::kInvalidArgument, HasSubstr("not both")));
  EXPECT_THAT(refusal({.to_step = 7}), StatusIs(Code::kNotFound, HasSubstr("none numbered 7")));
  EXPECT_THAT(refusal({.to_step = 6}), StatusIs(Code::kFailedPrecondition, HasSubstr("step 6")));
  EXPECT_THAT(refusal({.from_step = 3, .to_step = 2}), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ReplayOperation(*journal_, session_, {}).status(), StatusIs(Code::kNotFound));
  EXPECT_EQ(Replayed().steps, 5u);
}

}  // namespace
}  // namespace nimbus::replay
