// What a replay says when something is missing or planted, and what it leaves on
// record.
#include <filesystem>

#include "nimbus/journal/prune.h"
#include "nimbus/journal/verify.h"
#include "nimbus/replay/forks.h"
#include "nimbus/replay/receipt.h"
#include "nimbus/replay/verify_all.h"
#include "replay/fixture.h"

namespace nimbus::replay {
namespace {

namespace fs = std::filesystem;
using schema::fb::ReplayVerdict;

class EvidenceTest : public ReplayTest {
 protected:
  void End() { Append(journal::OperationEvent<schema::fb::OperationCompletedT>(operation_)); }

  ReplayReport Strict(const ReplayRange& range = {}) {
    absl::StatusOr<ReplayReport> report =
        ReplayOperation(*journal_, operation_, range, {.strict = true});
    EXPECT_THAT(report, IsOk());
    return report.value_or(ReplayReport());
  }

  // Moves the bodies to an archive, and that away.
  void LoseBodies() {
    NIMBUS_ASSERT_OK(
        journal::PruneJournal(journal_.get(), {.before_sequence = UINT64_MAX, .apply = true}));
    EXPECT_TRUE(Replayed().holds()) << "the archive is there";
    journal_.reset();
    fs::rename(fs::path(store()) / "archives", directory_ / "away");
    Open();
  }

  void FindBodies() {
    journal_.reset();
    fs::rename(directory_ / "away", fs::path(store()) / "archives");
    Open();
  }
};

TEST_F(EvidenceTest, ACompleteRecordingIsStrictlyReproduced) {
  Record(30);
  End();
  const ReplayReport report = Strict();
  EXPECT_EQ(report.verdict(), ReplayVerdict::holds) << report.ToJson().Dump();
  EXPECT_EQ(report.steps, 30u);
  EXPECT_THAT(report.ToJson().Dump(), HasSubstr(R"("verdict":"holds")"));
}

TEST_F(EvidenceTest, WhatHasNotEndedIsMissedByTheStrict) {
  Record(3);
  const ReplayReport running = Strict();
  EXPECT_EQ(running.verdict(), ReplayVerdict::incomplete);
  EXPECT_EQ(running.missing->what, Missing::What::kOperation);
  EXPECT_EQ(running.missing->ToString(), "the operation has not ended");
  EXPECT_TRUE(running.digest.has_value()) << "it was replayed to its end so far";
  EXPECT_TRUE(Strict({.to_step = 3}).holds());
  EXPECT_TRUE(Replayed().holds());

  AddStep();
  const ReplayReport open = Strict();
  EXPECT_EQ(open.missing->what, Missing::What::kStep);
  EXPECT_EQ(open.missing->step, 4u);
  EXPECT_THAT(open.missing->ToString(), HasSubstr("step 4 (record"));
}

TEST_F(EvidenceTest, AStateWithoutDigestIsMissedByTheStrict) {
  Record(3);
  schema::Event bare = StepCompleted(AddStep(), 4);
  bare.body.digest.reset();
  const uint64_t sequence = Append(std::move(bare));
  End();
  EXPECT_TRUE(Replayed().holds());
  const ReplayReport report = Strict();
  EXPECT_EQ(report.verdict(), ReplayVerdict::incomplete);
  EXPECT_EQ(report.missing->what, Missing::What::kDigest);
  EXPECT_EQ(report.missing->operation, operation_);
  EXPECT_EQ(report.missing->sequence, sequence);
  EXPECT_EQ(report.missing->step, 4u);
  // A state over the limit need not have one.
  ReplayOptions options{.strict = true};
  options.session.state.digest_floor_bytes = state_->bytes() - 1;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ReplayReport large,
                              ReplayOperation(*journal_, operation_, {}, options));
  EXPECT_TRUE(large.holds());
  options.session.state.digest_floor_bytes = state_->bytes();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ReplayReport small,
                              ReplayOperation(*journal_, operation_, {}, options));
  EXPECT_FALSE(small.holds());
}

TEST_F(EvidenceTest, ADivergenceIsOneWhateverIsMissing) {
  Record(3);
  schema::Event wrong = StepCompleted(AddStep(), 4);
  wrong.body.digest = ToPtr(schema::Digest{1});
  Append(std::move(wrong));
  AddStep();
  const ReplayReport report = Strict();
  EXPECT_EQ(report.verdict(), ReplayVerdict::diverges);
  EXPECT_EQ(report.divergence->step, 4u);
  EXPECT_EQ(report.divergence->operation, operation_);
  EXPECT_TRUE(report.missing.has_value());
}

TEST_F(EvidenceTest, BodiesThatAreArchivedElsewhereAreNamed) {
  Record(10);
  End();
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, operation_));
  const uint64_t start = session.sequence();
  LoseBodies();
  const ReplayReport report = Replayed();
  EXPECT_EQ(report.verdict(), ReplayVerdict::incomplete);
  ASSERT_TRUE(report.missing.has_value());
  EXPECT_EQ(report.missing->what, Missing::What::kBody);
  EXPECT_EQ(report.missing->sequence, start);
  EXPECT_EQ(report.missing->step, 0u);
  EXPECT_THAT(report.missing->detail, HasSubstr("archive"));
  EXPECT_EQ(report.digest, std::nullopt);
  EXPECT_THAT(report.ToJson().Dump(), HasSubstr(R"("missing":{"what":"body")"));
  EXPECT_EQ(Strict().verdict(), ReplayVerdict::incomplete);
  FindBodies();
  EXPECT_TRUE(Strict().holds());
}

// A fork whose parent's bodies are away, and its own are not.
class ForkWithoutItsPastTest : public EvidenceTest {
 protected:
  void RecordForkAndLoseParent() {
    Record(10);
    End();
    NIMBUS_ASSERT_OK(
        journal::PruneJournal(journal_.get(), {.before_sequence = UINT64_MAX, .apply = true}));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ForkPlan plan, PlanFork(*journal_, operation_, {}));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Forked forked, ForkOperation(journal_.get(), plan));
    operation_of_ = forked.operation;
    for (int number = 11; number <= 50; ++number) RecordForkedStep(number);
    ASSERT_GE(checkpoint_steps_.size(), 1u);
  }

  void RecordForkedStep(int number, bool wrong = false) {
    const schema::Uuid step = schema::NewUuid();
    Append(journal::StepAdded(operation_of_, step));
    schema::Event event = StepCompleted(step, number);
    event.stream = operation_of_;
    if (wrong) event.body.digest = ToPtr(schema::Digest{1});
    ended_.push_back(Append(std::move(event)));
    ++steps_;
    if (!checkpoint_due_) return;
    schema::Event checkpoint = Checkpoint(step);
    checkpoint.stream = operation_of_;
    checkpoint_sequences_.push_back(Append(std::move(checkpoint)));
    checkpoint_steps_.push_back(steps_);
  }

  ReplayReport OfFork(const ReplayRange& range = {}) {
    absl::StatusOr<ReplayReport> report = ReplayOperation(*journal_, operation_of_, range);
    EXPECT_THAT(report, IsOk());
    return report.value_or(ReplayReport());
  }

  schema::Uuid operation_of_;  // the fork
  uint32_t steps_ = 0;         // of the fork
  std::vector<uint32_t> checkpoint_steps_;
  std::vector<uint64_t> checkpoint_sequences_;
};

TEST_F(ForkWithoutItsPastTest, IsReplayedFromItsFirstCheckpoint) {
  RecordForkAndLoseParent();
  EXPECT_TRUE(OfFork().holds());
  EXPECT_EQ(OfFork().resumed_at, std::nullopt);
  LoseBodies();
  const ReplayReport report = OfFork();
  EXPECT_EQ(report.verdict(), ReplayVerdict::incomplete);
  ASSERT_TRUE(report.missing.has_value());
  EXPECT_EQ(report.missing->operation, operation_);
  EXPECT_EQ(report.resumed_at, checkpoint_sequences_[0]);
  EXPECT_EQ(report.steps_skipped, checkpoint_steps_[0]);
  EXPECT_EQ(report.steps, steps_ - checkpoint_steps_[0]);
  EXPECT_EQ(report.to_step, steps_);
  EXPECT_EQ(report.digest, std::nullopt) << "nothing proves the state in the end";
  EXPECT_THAT(report.ToJson().Dump(),
              HasSubstr(fmt::format(R"("resumed_at":{},"steps_skipped":{})",
                                    checkpoint_sequences_[0], checkpoint_steps_[0])));
  // To a step before the first checkpoint there is nothing to go on from.
  const ReplayReport first = OfFork({.to_step = 1});
  EXPECT_EQ(first.verdict(), ReplayVerdict::incomplete);
  EXPECT_EQ(first.resumed_at, std::nullopt);
  EXPECT_EQ(first.steps, 0u);
  const ReplayReport some = OfFork({.to_step = checkpoint_steps_[0] + 2});
  EXPECT_EQ(some.resumed_at, checkpoint_sequences_[0]);
  EXPECT_EQ(some.steps, 2u);
  // From a checkpoint of its own it needs no past.
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::OpenRewound(*journal_, operation_of_));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto of_step, session.CheckpointsOf(checkpoint_steps_[0]));
  EXPECT_TRUE(OfFork({.from_checkpoint = of_step.at(0).id}).holds());
  FindBodies();
  EXPECT_TRUE(OfFork().holds());
}

TEST_F(ForkWithoutItsPastTest, WhatIsWrongBehindItIsFoundAllTheSame) {
  RecordForkAndLoseParent();
  RecordForkedStep(51, /*wrong=*/true);
  const uint32_t wrong = steps_;
  const uint64_t sequence = ended_.back();
  RecordForkedStep(52);
  LoseBodies();
  const ReplayReport report = OfFork();
  EXPECT_EQ(report.verdict(), ReplayVerdict::diverges);
  EXPECT_EQ(report.divergence->step, wrong);
  EXPECT_EQ(report.divergence->sequence, sequence);
  ASSERT_TRUE(report.missing.has_value());
  EXPECT_EQ(report.resumed_at, checkpoint_sequences_[0]);
}

TEST_F(EvidenceTest, OnePlantedByteInAPatchIsFoundAtItsStep) {
  StartOperation();
  for (int number = 1; number <= 20; ++number) {
    schema::Event event = StepCompleted(AddStep(), number);
    if (number == 13) event.body.patch.at(event.body.patch.size() - 10) ^= 1;
    Append(std::move(event));
  }
  const ReplayReport report = Replayed();
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.divergence->step, 13u);
  EXPECT_EQ(report.divergence->what, Divergence::What::kDigest);
  EXPECT_TRUE(Replayed({.to_step = 12}).holds());
}

TEST_F(EvidenceTest, SwappedStepsAreFoundAtTheFirstOfThem) {
  Record(5);
  const schema::Uuid first = AddStep(), second = AddStep();
  schema::Event one = StepCompleted(first, 6), two = StepCompleted(second, 7);
  std::swap(one.body.patch, two.body.patch);
  const uint64_t sequence = Append(std::move(one));
  Append(std::move(two));
  const ReplayReport report = Replayed();
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.divergence->step, 6u);
  EXPECT_EQ(report.divergence->sequence, sequence);
}

TEST_F(EvidenceTest, CanBeInterrupted) {
  Record(3);
  const std::atomic<bool> stop = true;
  EXPECT_THAT(ReplayOperation(*journal_, operation_, {}, {.stop = &stop}).status(),
              StatusIs(Code::kCancelled));
  VerifyOptions options;
  options.replay.stop = &stop;
  EXPECT_THAT(VerifyOperations(*journal_, options).status(), StatusIs(Code::kCancelled));
}

TEST_F(EvidenceTest, AReceiptSaysWhatCameOfItAndOfWhichJournal) {
  Record(12);
  EXPECT_THAT(RecordReceipt(journal_.get(), Replayed()).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("has not ended")));
  End();
  const ReplayReport report = Replayed();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::Stat stat, journal_->GetStat());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Receipt receipt, RecordReceipt(journal_.get(), report));
  EXPECT_EQ(receipt.sequence, stat.records);
  journal::Reader reader(*journal_);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Read(receipt.sequence));
  const auto* event = view->record->event_as_OperationReplayed();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(schema::Uuid::FromFb(*event->receipt()), receipt.id);
  EXPECT_EQ(event->verdict(), ReplayVerdict::holds);
  EXPECT_EQ(event->records(), stat.records);
  EXPECT_EQ(schema::FromFb(*event->root()), stat.root);
  EXPECT_EQ(event->steps(), 12u);
  EXPECT_EQ(event->first(), report.first_sequence);
  EXPECT_EQ(event->last(), report.last_sequence);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const schema::fb::Body* body, reader.Body(*view));
  EXPECT_EQ(schema::FromFb(*body->digest()), report.digest);
  EXPECT_EQ(body->output(), nullptr);
  // It is no part of what is replayed.
  EXPECT_EQ(Strict().steps, 12u);
  EXPECT_TRUE(Strict().holds());
  ReplayReport nobody = report;
  nobody.operation = schema::NewUuid();
  EXPECT_THAT(RecordReceipt(journal_.get(), nobody).status(), StatusIs(Code::kNotFound));
}

TEST_F(EvidenceTest, AReceiptOfADivergenceTellsIt) {
  Record(2);
  schema::Event wrong = StepCompleted(AddStep(), 3);
  wrong.body.digest = ToPtr(schema::Digest{1});
  Append(std::move(wrong));
  End();
  const ReplayReport report = Replayed();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Receipt receipt, RecordReceipt(journal_.get(), report));
  journal::Reader reader(*journal_);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Read(receipt.sequence));
  EXPECT_EQ(view->record->event_as_OperationReplayed()->verdict(), ReplayVerdict::diverges);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const schema::fb::Body* body, reader.Body(*view));
  EXPECT_EQ(body->output()->str(), report.divergence->ToJson().Dump());
  EXPECT_EQ(body->digest(), nullptr);
}

class VerifyAllTest : public EvidenceTest {
 protected:
  // Operation `i` of them: every third diverges, every fifth has not ended.
  void RecordMany(int operations) {
    ASSERT_THAT(journal_->Append(journal::SessionStarted(session_)), IsOk());
    for (int i = 0; i < operations; ++i) {
      const schema::Uuid operation = schema::NewUuid(), step = schema::NewUuid();
      all_.push_back(operation);
      std::vector<schema::Event> events;
      events.push_back(journal::OperationCreated(operation, session_));
      events.push_back(journal::OperationEvent<schema::fb::OperationStartedT>(operation));
      events.back().body.state = "{}";
      events.back().body.digest = ToPtr(schema::StateDigest(Json::MakeObject()));
      events.push_back(journal::StepAdded(operation, step));
      events.push_back(journal::StepEvent<schema::fb::StepCompletedT>(operation, step));
      events.back().body.digest =
          ToPtr(i % 3 == 2 ? schema::Digest{1} : schema::StateDigest(Json::MakeObject()));
      if (i % 5 != 4) {
        events.push_back(journal::OperationEvent<schema::fb::OperationCompletedT>(operation));
      }
      ASSERT_THAT(journal_->Append(events), IsOk());
    }
  }

  std::vector<schema::Uuid> all_;
};

TEST_F(VerifyAllTest, SumsUpAllOperationsWhateverTheThreads) {
  RecordMany(30);
  std::string first;
  for (const unsigned jobs : {1u, 2u, 7u}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifySummary summary,
                                VerifyOperations(*journal_, {.jobs = jobs}));
    EXPECT_EQ(summary.operations, 30u);
    EXPECT_EQ(summary.diverges, 10u);
    EXPECT_EQ(summary.holds, 20u);
    EXPECT_EQ(summary.incomplete, 0u);
    EXPECT_EQ(summary.steps, 30u);
    ASSERT_EQ(summary.findings.size(), 10u);
    for (size_t i = 0; i < 10; ++i) EXPECT_EQ(summary.findings[i].index, 3 * i + 2);
    EXPECT_EQ(summary.findings[0].report.operation, all_[2]);
    if (first.empty()) first = summary.ToJson().Dump();
    EXPECT_EQ(summary.ToJson().Dump(), first);
  }
  VerifyOptions strict{.jobs = 3, .findings_max = 4};
  strict.replay.strict = true;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifySummary summary, VerifyOperations(*journal_, strict));
  EXPECT_EQ(summary.diverges, 10u);
  EXPECT_EQ(summary.incomplete, 4u);  // 4, 9, 19 and 24; 14 and 29 diverge
  ASSERT_EQ(summary.findings.size(), 4u);
  EXPECT_EQ(summary.findings[3].index, 8u) << "2, 4, 5, 8";
}

TEST_F(VerifyAllTest, TakesTheOperationsThatAreNamed) {
  RecordMany(6);
  uint64_t last_done = 0, total = 0;
  VerifyOptions options{.operations = {all_[2], all_[0]}, .jobs = 2};
  options.progress = [&](uint64_t done, uint64_t of) {
    last_done = std::max(last_done, done);
    total = of;
  };
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifySummary summary, VerifyOperations(*journal_, options));
  EXPECT_EQ(summary.operations, 2u);
  EXPECT_EQ(summary.diverges, 1u);
  EXPECT_EQ(summary.findings.at(0).index, 0u);
  EXPECT_EQ(last_done, 2u);
  EXPECT_EQ(total, 2u);
  EXPECT_THAT(VerifyOperations(*journal_, {.operations = {schema::NewUuid()}}).status(),
              StatusIs(Code::kNotFound));
}

TEST_F(VerifyAllTest, PutsReceiptsOfWhatHasEnded) {
  RecordMany(10);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifySummary summary,
                              VerifyOperations(*journal_, {.jobs = 3, .receipts = journal_.get()}));
  EXPECT_EQ(summary.receipts, 8u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::VerifyReport verified,
                              journal::VerifyJournal(*journal_, {}));
  EXPECT_TRUE(verified.holds());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifySummary again, VerifyOperations(*journal_, {}));
  EXPECT_EQ(again.operations, 10u);
}

TEST_F(VerifyAllTest, AnEmptyJournalHolds) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifySummary summary, VerifyOperations(*journal_, {}));
  EXPECT_EQ(summary.operations, 0u);
  EXPECT_THAT(summary.ToJson().Dump(), HasSubstr(R"("findings":[])"));
}

}  // namespace
}  // namespace nimbus::replay
