// The rules of forks and receipts (entities.h).
#include <string>

#include "fixture.h"

namespace nimbus::journal {
namespace {

using schema::NewUuid;
using schema::fb::Id;
using schema::fb::OperationForkedT;
using schema::fb::OperationReplayedT;
using ::testing::HasSubstr;

class LineageRulesTest : public JournalTest {
 protected:
  void SetUp() override {
    JournalTest::SetUp();
    Begin();
    ASSERT_THAT(journal_->Append(StepAdded(operation_, step_)), IsOk());
    ASSERT_THAT(journal_->Append(CheckpointCreated(operation_, checkpoint_, step_)), IsOk());
    ASSERT_THAT(journal_->Append(OperationCreated(fork_, session_)), IsOk());
  }

  static Event Forked(const Uuid& operation, const Uuid& parent, uint32_t step = 0) {
    OperationForkedT forked;
    forked.parent = std::make_unique<Id>(parent.ToFb());
    forked.step_number = step;
    return MakeEvent(EntityKind::operation, operation, std::move(forked));
  }

  static Event ForkedAt(const Uuid& operation, const Uuid& parent, const Uuid& checkpoint) {
    OperationForkedT forked;
    forked.parent = std::make_unique<Id>(parent.ToFb());
    forked.checkpoint = std::make_unique<Id>(checkpoint.ToFb());
    return MakeEvent(EntityKind::operation, operation, std::move(forked));
  }

  static Event Replayed(const Uuid& operation, const Uuid& receipt, uint64_t records,
                        uint64_t first, uint64_t last) {
    OperationReplayedT replayed;
    replayed.receipt = std::make_unique<Id>(receipt.ToFb());
    replayed.records = records;
    replayed.first = first;
    replayed.last = last;
    return MakeEvent(EntityKind::operation, operation, std::move(replayed));
  }

  const Uuid step_ = NewUuid(), checkpoint_ = NewUuid(), fork_ = NewUuid();
};

TEST_F(LineageRulesTest, AForkBeginsOnceWithAStateOfAnotherOperation) {
  EXPECT_THAT(journal_->Append(Forked(fork_, fork_)),
              StatusIs(Code::kInvalidArgument, HasSubstr("fork of itself")));
  EXPECT_THAT(journal_->Append(Forked(fork_, NewUuid())), StatusIs(Code::kNotFound));
  EXPECT_THAT(journal_->Append(Forked(fork_, operation_, 2)), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(journal_->Append(ForkedAt(fork_, operation_, NewUuid())), StatusIs(Code::kNotFound));
  EXPECT_THAT(journal_->Append(ForkedAt(fork_, operation_, checkpoint_)), IsOk());
  EXPECT_THAT(journal_->Append(Forked(fork_, operation_, 1)),
              StatusIs(Code::kAlreadyExists, HasSubstr(fork_.ToString())));
}

TEST_F(LineageRulesTest, AForkHasNoStepsOfItsOwnYet) {
  ASSERT_THAT(journal_->Append(StepAdded(fork_, NewUuid())), IsOk());
  EXPECT_THAT(journal_->Append(Forked(fork_, operation_, 1)), StatusIs(Code::kFailedPrecondition));
}

TEST_F(LineageRulesTest, ACheckpointIsOfTheParent) {
  const Uuid other = NewUuid();
  ASSERT_THAT(journal_->Append(OperationCreated(other, session_)), IsOk());
  EXPECT_THAT(journal_->Append(ForkedAt(fork_, other, checkpoint_)),
              StatusIs(Code::kFailedPrecondition, HasSubstr(operation_.ToString())));
}

TEST_F(LineageRulesTest, AReceiptIsGivenOnceWhoeverGivesIt) {
  const Uuid receipt = NewUuid();
  ASSERT_THAT(journal_->Append(Replayed(operation_, receipt, 4, 2, 3)), IsOk());
  EXPECT_THAT(journal_->Append(Replayed(operation_, receipt, 4, 2, 3)),
              StatusIs(Code::kAlreadyExists, HasSubstr(receipt.ToString())));
  EXPECT_THAT(journal_->Append(Replayed(fork_, receipt, 4, 2, 3)), StatusIs(Code::kAlreadyExists));
  EXPECT_THAT(journal_->Append(Replayed(operation_, NewUuid(), 4, 2, 3)), IsOk());
  EXPECT_THAT(journal_->Append(Replayed(NewUuid(), NewUuid(), 4, 2, 3)), StatusIs(Code::kNotFound));
}

TEST_F(LineageRulesTest, AReceiptTellsOfRecordsThatAreThere) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t size, journal_->Size());
  const auto refused = StatusIs(Code::kOutOfRange, HasSubstr(operation_.ToString()));
  EXPECT_THAT(journal_->Append(Replayed(operation_, NewUuid(), size + 1, 0, 0)), refused);
  EXPECT_THAT(journal_->Append(Replayed(operation_, NewUuid(), size, 0, size)), refused);
  EXPECT_THAT(journal_->Append(Replayed(operation_, NewUuid(), size, 3, 2)), refused);
  EXPECT_THAT(journal_->Append(Replayed(operation_, NewUuid(), size, 0, size - 1)), IsOk());
  EXPECT_THAT(journal_->Append(Replayed(operation_, NewUuid(), 0, 0, 0)), IsOk());
}

TEST_F(LineageRulesTest, ViewsAreMigratedInTheJournalsOwnStream) {
  const auto migrated = [](const Uuid& stream) {
    schema::fb::ViewsMigratedT event;
    event.from = 7;
    event.to = 2;
    return MakeEvent(EntityKind::journal, stream, std::move(event));
  };
  EXPECT_THAT(journal_->Append(migrated(journal_->id())), IsOk());
  EXPECT_THAT(journal_->Append(migrated(NewUuid())), StatusIs(Code::kNotFound));
}

}  // namespace
}  // namespace nimbus::journal
