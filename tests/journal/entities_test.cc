// The rules of entities.h: what each event needs, and what it leaves.
#include "entities.h"

#include <string>

#include "fixture.h"
#include "journal/stream.h"

namespace nimbus::journal {
namespace {

using schema::NewUuid;
using schema::fb::Id;
using schema::fb::ImportFinishedT;
using schema::fb::ImportStartedT;
using schema::fb::JournalCreatedT;
using schema::fb::OperationCancelledT;
using schema::fb::OperationCompletedT;
using schema::fb::OperationCreatedT;
using schema::fb::OperationFailedT;
using schema::fb::OperationPlannedT;
using schema::fb::OperationStartedT;
using schema::fb::SessionStartedT;
using schema::fb::SourceStoredT;
using schema::fb::StepAttemptFailedT;
using schema::fb::StepCancelledT;
using schema::fb::StepCompletedT;
using schema::fb::StepFailedT;
using schema::fb::StepStartedT;
using schema::fb::ValueRecordedT;
using ::testing::AllOf;
using ::testing::HasSubstr;

Event SourceEvent(const Uuid& source, uint64_t first, uint32_t count) {
  SourceStoredT stored;
  stored.first = first;
  stored.count = count;
  return MakeEvent(EntityKind::source, source, std::move(stored));
}

Event ImportBegun(const Uuid& source, std::string format = "codex", std::string key = "run-1") {
  ImportStartedT started;
  started.format = std::move(format);
  started.key = std::move(key);
  return MakeEvent(EntityKind::source, source, std::move(started));
}

class EntitiesTest : public JournalTest {
 protected:
  void SetUp() override {
    JournalTest::SetUp();
    Begin();
    ASSERT_THAT(journal_->Append(StepAdded(operation_, step_)), IsOk());
    size_ = *journal_->Size();
  }

  void Accept(const schema::Event& event) {
    ASSERT_THAT(journal_->Append(event), IsOk());
    EXPECT_THAT(journal_->Size(), IsOkAndHolds(++size_));
  }
  // Refuses with this code, names the entity, writes nothing.
  void Refuse(const schema::Event& event, Code code, const Uuid& culprit,
              const std::string& saying = "") {
    EXPECT_THAT(journal_->Append(event),
                StatusIs(code, AllOf(HasSubstr(culprit.ToString()), HasSubstr(saying))));
    EXPECT_THAT(journal_->Size(), IsOkAndHolds(size_));
  }
  Lifecycle StateOf(EntityKind kind, const Uuid& id) const {
    return static_cast<Lifecycle>((*journal_->FindEntity(kind, id))->state);
  }
  // Another operation of the session, with a step.
  std::pair<Uuid, Uuid> OtherOperation() {
    const Uuid operation = NewUuid(), step = NewUuid();
    Accept(OperationCreated(operation, session_));
    Accept(StepAdded(operation, step));
    return {operation, step};
  }
  template <typename Payload>
  void FinishOperation() {
    Accept(OperationEvent<Payload>(operation_));
  }

  const Uuid step_ = NewUuid(), nobody_ = NewUuid();
  uint64_t size_ = 0;
};

TEST_F(EntitiesTest, ASessionStartsOnceAndEndsOnce) {
  Refuse(SessionStarted(session_), Code::kAlreadyExists, session_, "session");
  Refuse(SessionUpdated(nobody_, 1), Code::kNotFound, nobody_, "session");
  Refuse(SessionEnded(nobody_), Code::kNotFound, nobody_);
  Accept(SessionUpdated(session_, 1));
  EXPECT_EQ(StateOf(EntityKind::session, session_), Lifecycle::kRunning);
  Accept(SessionEnded(session_));
  EXPECT_EQ(StateOf(EntityKind::session, session_), Lifecycle::kCompleted);
  Refuse(SessionEnded(session_), Code::kFailedPrecondition, session_, "ended");
  Refuse(SessionStarted(session_), Code::kAlreadyExists, session_);
  Accept(SessionUpdated(session_, 2));  // a name may be found for it later
  EXPECT_EQ(StateOf(EntityKind::session, session_), Lifecycle::kCompleted);
}

TEST_F(EntitiesTest, AnOperationNeedsARunningSession) {
  Refuse(OperationCreated(NewUuid(), nobody_), Code::kNotFound, nobody_, "session");
  Refuse(OperationCreated(operation_, session_), Code::kAlreadyExists, operation_, "operation");
  Accept(SessionEnded(session_));
  Refuse(OperationCreated(NewUuid(), session_), Code::kFailedPrecondition, session_, "ended");
  Accept(OperationEvent<OperationCompletedT>(operation_));  // what began may end
}

TEST_F(EntitiesTest, AnOperationsParentExists) {
  const auto child = [&](const Uuid& id, const Uuid& parent) {
    OperationCreatedT created;
    created.session = std::make_unique<Id>(session_.ToFb());
    created.parent = std::make_unique<Id>(parent.ToFb());
    created.type = "chat";
    return MakeEvent(EntityKind::operation, id, std::move(created));
  };
  Refuse(child(NewUuid(), nobody_), Code::kNotFound, nobody_, "operation");
  const Uuid id = NewUuid();
  Refuse(child(id, id), Code::kNotFound, id);
  Accept(child(id, operation_));
  EXPECT_EQ((*journal_->FindEntity(EntityKind::operation, id))->parent, session_);
}

TEST_F(EntitiesTest, AnOperationStartsOnce) {
  EXPECT_EQ(StateOf(EntityKind::operation, operation_), Lifecycle::kPending);
  Refuse(OperationEvent<OperationStartedT>(nobody_), Code::kNotFound, nobody_, "operation");
  Accept(OperationEvent<OperationPlannedT>(operation_));
  Accept(OperationEvent<OperationStartedT>(operation_));
  EXPECT_EQ(StateOf(EntityKind::operation, operation_), Lifecycle::kRunning);
  Refuse(OperationEvent<OperationStartedT>(operation_), Code::kFailedPrecondition, operation_,
         "running");
  Accept(OperationEvent<OperationPlannedT>(operation_));
}

TEST_F(EntitiesTest, AnOperationEndsFromPendingTooAndIsFinalThen) {
  FinishOperation<OperationCancelledT>();
  EXPECT_EQ(StateOf(EntityKind::operation, operation_), Lifecycle::kCancelled);
  const schema::Event refused[] = {
      OperationEvent<OperationStartedT>(operation_),
      OperationEvent<OperationPlannedT>(operation_),
      OperationEvent<OperationCompletedT>(operation_),
      OperationEvent<OperationFailedT>(operation_),
      OperationEvent<OperationCancelledT>(operation_),
      StepAdded(operation_, NewUuid()),
      StepEvent<StepStartedT>(operation_, step_),
      StepEvent<StepCompletedT>(operation_, step_),
      StepEvent<StepFailedT>(operation_, step_),
      StepEvent<StepCancelledT>(operation_, step_),
  };
  for (const schema::Event& event : refused) {
    Refuse(event, Code::kFailedPrecondition, operation_, "cancelled");
  }
  Accept(CheckpointCreated(operation_, NewUuid(), step_));  // the state it ended in
}

TEST_F(EntitiesTest, EachWayToEndAnOperationIsKept) {
  FinishOperation<OperationFailedT>();
  EXPECT_EQ(StateOf(EntityKind::operation, operation_), Lifecycle::kFailed);
  const auto [other, step] = OtherOperation();
  Accept(OperationEvent<OperationStartedT>(other));
  Accept(OperationEvent<OperationCompletedT>(other));
  EXPECT_EQ(StateOf(EntityKind::operation, other), Lifecycle::kCompleted);
  Refuse(OperationEvent<OperationCompletedT>(nobody_), Code::kNotFound, nobody_);
}

TEST_F(EntitiesTest, StepsAreAddedOnceAndNumberedByTheirOperation) {
  const auto [other, other_step] = OtherOperation();
  Refuse(StepAdded(nobody_, NewUuid()), Code::kNotFound, nobody_, "operation");
  Refuse(StepAdded(operation_, step_), Code::kAlreadyExists, step_, "step");
  Refuse(StepAdded(operation_, other_step), Code::kAlreadyExists, other_step, "step");
  Accept(StepAdded(operation_, NewUuid()));
  Reader reader(*journal_);
  EXPECT_EQ((*reader.Read(size_ - 1))->envelope().ordinal(), 2u);
  EXPECT_EQ((*reader.Read(size_ - 2))->envelope().ordinal(), 1u);  // the other's first
  const EntityState state = **journal_->FindEntity(EntityKind::step, step_);
  EXPECT_EQ(state.parent, operation_);
  EXPECT_EQ(state.version, 0u);
  EXPECT_EQ((*journal_->FindEntity(EntityKind::operation, operation_))->steps, 2u);
}

TEST_F(EntitiesTest, AStepStartsOnceAndEndsOnce) {
  Refuse(StepEvent<StepStartedT>(operation_, nobody_), Code::kNotFound, nobody_, "step");
  Refuse(StepEvent<StepStartedT>(nobody_, step_), Code::kNotFound, nobody_, "operation");
  Accept(StepEvent<StepStartedT>(operation_, step_));
  EXPECT_EQ(StateOf(EntityKind::step, step_), Lifecycle::kRunning);
  Refuse(StepEvent<StepStartedT>(operation_, step_), Code::kFailedPrecondition, step_, "running");
  Accept(StepEvent<StepFailedT>(operation_, step_));
  EXPECT_EQ(StateOf(EntityKind::step, step_), Lifecycle::kFailed);
  EXPECT_EQ((*journal_->FindEntity(EntityKind::step, step_))->head_sequence, size_ - 1);
  const schema::Event refused[] = {
      StepEvent<StepStartedT>(operation_, step_), StepEvent<StepCompletedT>(operation_, step_),
      StepEvent<StepFailedT>(operation_, step_), StepEvent<StepCancelledT>(operation_, step_)};
  for (const schema::Event& event : refused) {
    Refuse(event, Code::kFailedPrecondition, step_, "failed");
  }
  const Uuid direct = NewUuid(), cancelled = NewUuid();
  Accept(StepAdded(operation_, direct));
  Accept(StepEvent<StepCompletedT>(operation_, direct));  // never said to have started
  EXPECT_EQ(StateOf(EntityKind::step, direct), Lifecycle::kCompleted);
  Accept(StepAdded(operation_, cancelled));
  Accept(StepEvent<StepCancelledT>(operation_, cancelled));
  EXPECT_EQ(StateOf(EntityKind::step, cancelled), Lifecycle::kCancelled);
}

TEST_F(EntitiesTest, AnAttemptFollowsOneThatFailed) {
  const auto started = [&](uint32_t attempt) {
    StepStartedT payload;
    payload.step = std::make_unique<Id>(step_.ToFb());
    payload.attempt = attempt;
    return MakeEvent(EntityKind::operation, operation_, std::move(payload));
  };
  const auto failed = [&](uint32_t attempt) {
    StepAttemptFailedT payload;
    payload.step = std::make_unique<Id>(step_.ToFb());
    payload.attempt = attempt;
    return MakeEvent(EntityKind::operation, operation_, std::move(payload));
  };
  Refuse(failed(1), Code::kFailedPrecondition, step_, "no attempt is under way");
  Refuse(started(0), Code::kFailedPrecondition, step_, "attempt 1");
  Refuse(started(2), Code::kFailedPrecondition, step_, "attempt 1");
  Accept(started(1));
  Refuse(failed(2), Code::kFailedPrecondition, step_, "attempt 1");
  Accept(failed(1));
  EXPECT_EQ(StateOf(EntityKind::step, step_), Lifecycle::kPending);
  EXPECT_EQ((*journal_->FindEntity(EntityKind::step, step_))->steps, 1u);
  Refuse(failed(2), Code::kFailedPrecondition, step_, "no attempt is under way");
  Refuse(started(1), Code::kFailedPrecondition, step_, "attempt 2");
  Accept(started(2));
  Accept(StepEvent<StepCompletedT>(operation_, step_));
  Refuse(failed(2), Code::kFailedPrecondition, step_, "no attempt is under way");
  Refuse(StepEvent<StepAttemptFailedT>(operation_, nobody_), Code::kNotFound, nobody_, "step");
}

TEST_F(EntitiesTest, AValueIsOfAnOperationThatHasNotEnded) {
  ValueRecordedT value;
  value.name = "now";
  Refuse(MakeEvent(EntityKind::operation, nobody_, ValueRecordedT(value)), Code::kNotFound, nobody_,
         "operation");
  Accept(MakeEvent(EntityKind::operation, operation_, ValueRecordedT(value)));
  Accept(OperationEvent<OperationFailedT>(operation_));
  Refuse(MakeEvent(EntityKind::operation, operation_, ValueRecordedT(value)),
         Code::kFailedPrecondition, operation_, "no value");
}

TEST_F(EntitiesTest, AStepOfAnotherOperationIsRefused) {
  const auto [other, other_step] = OtherOperation();
  const schema::Event refused[] = {StepEvent<StepStartedT>(operation_, other_step),
                                   StepEvent<StepCompletedT>(operation_, other_step),
                                   StepEvent<StepFailedT>(operation_, other_step),
                                   StepEvent<StepCancelledT>(operation_, other_step),
                                   CheckpointCreated(operation_, NewUuid(), other_step)};
  for (const schema::Event& event : refused) {
    Refuse(event, Code::kFailedPrecondition, other_step, operation_.ToString());
  }
}

TEST_F(EntitiesTest, ACheckpointIsMadeOnceOfAStepOfItsOperation) {
  const Uuid checkpoint = NewUuid();
  Refuse(CheckpointCreated(nobody_, checkpoint, step_), Code::kNotFound, nobody_, "operation");
  Refuse(CheckpointCreated(operation_, checkpoint, nobody_), Code::kNotFound, nobody_, "step");
  Accept(CheckpointCreated(operation_, checkpoint, step_));
  EXPECT_EQ((*journal_->FindEntity(EntityKind::checkpoint, checkpoint))->parent, operation_);
  Refuse(CheckpointCreated(operation_, checkpoint, step_), Code::kAlreadyExists, checkpoint,
         "checkpoint");
}

TEST_F(EntitiesTest, ASourceTakesItsNameAndCountsItsRecords) {
  const Uuid source = NewUuid(), rival = NewUuid();
  Refuse(SourceEvent(source, 0, 1), Code::kNotFound, source, "source");
  Accept(ImportBegun(source));
  Refuse(ImportBegun(rival), Code::kAlreadyExists, source, "run-1");
  Accept(ImportBegun(rival, "codex", "run-2"));
  Accept(ImportBegun(NewUuid(), "sregym", "run-1"));
  EXPECT_THAT(journal_->FindName(EntityKind::source, "codex", "run-2"),
              IsOkAndHolds(std::optional(rival)));
  EXPECT_THAT(journal_->FindName(EntityKind::source, "codex", "run-3"),
              IsOkAndHolds(std::optional<Uuid>()));
  Accept(SourceEvent(source, 0, 10));
  Refuse(SourceEvent(source, 9, 1), Code::kAborted, source, "10 records");
  Refuse(SourceEvent(source, 11, 1), Code::kAborted, source, "10 records");
  Accept(SourceEvent(source, 10, 1));
  EXPECT_EQ((*journal_->FindEntity(EntityKind::source, source))->steps, 11u);
}

TEST_F(EntitiesTest, ASourceIsImportedAgainWhereItEnded) {
  const Uuid source = NewUuid();
  const auto finished = [&] { return MakeEvent(EntityKind::source, source, ImportFinishedT()); };
  Refuse(finished(), Code::kNotFound, source);
  Accept(ImportBegun(source));
  Accept(SourceEvent(source, 0, 3));
  Accept(finished());
  EXPECT_EQ(StateOf(EntityKind::source, source), Lifecycle::kCompleted);
  Refuse(finished(), Code::kFailedPrecondition, source, "under way");
  Refuse(SourceEvent(source, 3, 1), Code::kFailedPrecondition, source, "under way");
  Accept(ImportBegun(source));
  EXPECT_EQ(StateOf(EntityKind::source, source), Lifecycle::kRunning);
  Accept(SourceEvent(source, 3, 1));
}

TEST_F(EntitiesTest, TheNumberOfASourcesRecordsDoesNotWrapAround) {
  const Uuid source = NewUuid();
  Accept(ImportBegun(source));
  Accept(SourceEvent(source, 0, UINT32_MAX));
  Refuse(SourceEvent(source, UINT32_MAX, 1), Code::kInvalidArgument, source);
  EXPECT_EQ((*journal_->FindEntity(EntityKind::source, source))->steps, UINT32_MAX);
}

TEST_F(EntitiesTest, NamesMayBeAsLongAsTheirLimits) {
  const std::string longest(schema::kNameBytesMax, 'k');
  const Uuid source = NewUuid();
  Accept(ImportBegun(source, longest, longest));
  EXPECT_THAT(journal_->FindName(EntityKind::source, longest, longest),
              IsOkAndHolds(std::optional(source)));
  const std::string other = longest.substr(1) + "l";
  EXPECT_THAT(journal_->FindName(EntityKind::source, longest, other),
              IsOkAndHolds(std::optional<Uuid>()));
  Refuse(ImportBegun(NewUuid(), longest, longest), Code::kAlreadyExists, source);
  EXPECT_THAT(journal_->Append(ImportBegun(NewUuid(), longest + "k", "x")),
              StatusIs(Code::kInvalidArgument));
}

TEST_F(EntitiesTest, AnEventBelongsToAStreamOfItsKind) {
  const auto of = [](EntityKind kind, const Uuid& id, auto payload) {
    return MakeEvent(kind, id, std::move(payload));
  };
  EXPECT_THAT(journal_->Append(of(EntityKind::operation, NewUuid(), SessionStartedT())),
              StatusIs(Code::kInvalidArgument, HasSubstr("SessionStarted")));
  EXPECT_THAT(journal_->Append(of(EntityKind::step, operation_, OperationStartedT())),
              StatusIs(Code::kInvalidArgument, HasSubstr("OperationStarted")));
  EXPECT_THAT(journal_->Append(of(EntityKind::none, NewUuid(), SessionStartedT())),
              StatusIs(Code::kInvalidArgument, HasSubstr("stream")));
  EXPECT_THAT(journal_->Append(of(EntityKind::session, Uuid{}, SessionStartedT())),
              StatusIs(Code::kInvalidArgument, HasSubstr("stream")));
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(size_));
}

TEST_F(EntitiesTest, AJournalIsCreatedOnce) {
  JournalCreatedT created;
  created.journal = std::make_unique<Id>(nobody_.ToFb());
  created.software = "test";
  EXPECT_THAT(journal_->Append(MakeEvent(EntityKind::journal, nobody_, std::move(created))),
              StatusIs(Code::kFailedPrecondition, HasSubstr("journal exists")));
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(size_));
}

TEST_F(EntitiesTest, EventsOfOneAppendSeeEachOther) {
  const Uuid session = NewUuid(), operation = NewUuid(), step = NewUuid();
  const Event entries[] = {SessionStarted(session),
                           OperationCreated(operation, session),
                           StepAdded(operation, step),
                           StepEvent<StepCompletedT>(operation, step),
                           OperationEvent<OperationCompletedT>(operation),
                           SessionEnded(session)};
  EXPECT_THAT(journal_->Append(entries), IsOk());
  EXPECT_EQ(StateOf(EntityKind::step, step), Lifecycle::kCompleted);
  EXPECT_EQ((*journal_->FindEntity(EntityKind::session, session))->version, 2u);
  Reader reader(*journal_);
  EXPECT_THAT(StreamSequences(&reader, size_ + 4),
              IsOkAndHolds(std::vector<uint64_t>{size_ + 1, size_ + 2, size_ + 3, size_ + 4}));
}

TEST(EntityCodecTest, GivesBackWhatWasEncodedAndRefusesAnythingElse) {
  Entity entity;
  entity.state = {.kind = EntityKind::operation,
                  .id = NewUuid(),
                  .state = 4,
                  .parent = NewUuid(),
                  .version = 300,
                  .first_sequence = 1ull << 40,
                  .head_sequence = 1ull << 41,
                  .steps = UINT32_MAX};
  entity.last_append = LastAppend{.id = {1, 2}, .result = {.first = 9, .count = 2, .version = 7}};
  const EntityKey key = MakeEntityKey(entity.state.kind, entity.state.id);
  const Bytes value = EncodeEntity(entity);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Entity decoded, DecodeEntity(key, value));
  EXPECT_EQ(EncodeEntity(decoded), value);
  EXPECT_EQ(decoded.state.id, entity.state.id);
  EXPECT_EQ(decoded.state.head_sequence, 1ull << 41);
  EXPECT_EQ(decoded.last_append->result.version, 7u);
  for (size_t size = 0; size < value.size(); ++size) {
    EXPECT_THAT(DecodeEntity(key, std::span(value).first(size)), StatusIs(Code::kDataLoss));
  }
  Bytes longer = value;
  longer.push_back(0);
  EXPECT_THAT(DecodeEntity(key, longer), StatusIs(Code::kDataLoss));
  Bytes impossible = value;
  impossible[0] = 0x85;  // no such state
  EXPECT_THAT(DecodeEntity(key, impossible), StatusIs(Code::kDataLoss));
  EXPECT_THAT(DecodeEntity(std::span(key).first(16), value), StatusIs(Code::kDataLoss));
}

}  // namespace
}  // namespace nimbus::journal
