// Forks and receipts of replays: rows and queries.
#include "nimbus/projections/lineage.h"

#include <gtest/gtest.h>

#include "fixture.h"
#include "lineage_rows.h"
#include "migrator.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/digest.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using Code = absl::StatusCode;
using schema::MakeEvent;
using schema::NewUuid;
using schema::Uuid;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::ElementsAre;
using testing::IsEmpty;

class LineageTest : public StoreTest {
 protected:
  void SetUp() override {
    ASSERT_THAT(Open(), IsOk());
    session_ = history().CreateSession({})->id;
    parent_ = Operation();
    step_ = history().AddOperationStep({.operation = parent_})->id;
    checkpoint_ =
        history().CreateCheckpoint({.operation = parent_, .step = step_, .state = "{}"})->id;
  }

  Uuid Operation() {
    const auto made = history().CreateOperation({.session = session_, .type = "chat"});
    EXPECT_THAT(made, IsOk());
    return made.ok() ? made->id : Uuid{};
  }

  void Fork(const Uuid& operation, const std::optional<Uuid>& checkpoint, uint32_t step) {
    fb::OperationForkedT forked;
    forked.parent = std::make_unique<fb::Id>(parent_.ToFb());
    if (checkpoint) forked.checkpoint = std::make_unique<fb::Id>(checkpoint->ToFb());
    forked.step_number = step;
    ASSERT_THAT(
        journal().Append(MakeEvent(fb::EntityKind::operation, operation, std::move(forked))),
        IsOk());
  }

  Uuid Replay(fb::ReplayVerdict verdict, const std::string& divergence) {
    fb::OperationReplayedT replayed;
    const Uuid receipt = NewUuid();
    replayed.receipt = std::make_unique<fb::Id>(receipt.ToFb());
    replayed.verdict = verdict;
    replayed.records = 17;
    replayed.root = std::make_unique<fb::Digest>(schema::ToFb(schema::Blake2b256("root")));
    replayed.first = 3;
    replayed.last = 9;
    replayed.steps = 2;
    schema::Event event = MakeEvent(fb::EntityKind::operation, parent_, std::move(replayed));
    event.body.output = divergence;
    event.body.digest = std::make_unique<fb::Digest>(schema::ToFb(schema::Blake2b256("state")));
    EXPECT_THAT(journal().Append(event), IsOk());
    return receipt;
  }

  Uuid session_, parent_, step_, checkpoint_;
};

TEST_F(LineageTest, AForkKnowsWhatItBeganWith) {
  const Uuid first = Operation(), second = Operation(), third = Operation();
  Fork(first, checkpoint_, 0);
  Fork(second, std::nullopt, 1);
  Fork(third, std::nullopt, 0);
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<projections::Fork> forks,
                              database_->lineage().ForksOf(parent_));
  ASSERT_EQ(forks.size(), 3u);
  EXPECT_EQ(forks[0].operation, first);
  EXPECT_EQ(forks[0].checkpoint, checkpoint_);
  EXPECT_EQ(forks[0].step_number, std::nullopt);
  EXPECT_TRUE(forks[0].created_at_us);
  EXPECT_EQ(forks[1].checkpoint, std::nullopt);
  EXPECT_EQ(forks[1].step_number, 1);
  EXPECT_EQ(forks[2].step_number, 0);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto origin, database_->lineage().ForkOrigin(second));
  ASSERT_TRUE(origin);
  EXPECT_EQ(origin->parent, parent_);
  EXPECT_THAT(database_->lineage().ForkOrigin(parent_), IsOkAndHolds(std::nullopt));
  EXPECT_THAT(database_->lineage().ForksOf(second), IsOkAndHolds(IsEmpty()));
}

TEST_F(LineageTest, ReceiptsTellWhatReplaysFound) {
  for (int i = 0; i < 15; ++i) Operation();  // records for the replays to tell of
  const Uuid holds = Replay(fb::ReplayVerdict::holds, "");
  const Uuid diverges = Replay(fb::ReplayVerdict::diverges, R"({"step":2})");
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<ReplayReceipt> receipts,
                              database_->lineage().ReceiptsOf(parent_));
  ASSERT_EQ(receipts.size(), 2u);
  EXPECT_EQ(receipts[0].id, holds);
  EXPECT_EQ(receipts[0].operation, parent_);
  EXPECT_EQ(receipts[0].verdict, fb::ReplayVerdict::holds);
  EXPECT_EQ(receipts[0].records, 17);
  EXPECT_EQ(receipts[0].root, schema::ToHex(schema::Blake2b256("root")));
  EXPECT_EQ(receipts[0].first_sequence, 3);
  EXPECT_EQ(receipts[0].last_sequence, 9);
  EXPECT_EQ(receipts[0].steps, 2);
  EXPECT_EQ(receipts[0].state_digest, schema::ToHex(schema::Blake2b256("state")));
  EXPECT_EQ(receipts[0].divergence, std::nullopt);
  EXPECT_EQ(receipts[1].id, diverges);
  EXPECT_EQ(receipts[1].divergence, R"({"step":2})");
  EXPECT_THAT(database_->lineage().ReceiptsOf(NewUuid()), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(Column(link(), "SELECT verdict FROM replay_receipts ORDER BY rowid"),
              ElementsAre("holds", "diverges"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RebuildReport rebuilt, database_->Rebuild());
  EXPECT_FALSE(rebuilt.difference) << rebuilt.difference->ToString();
  ASSERT_THAT(database_->Migrate(6), IsOk());
  EXPECT_THAT(database_->lineage().ReceiptsOf(parent_),
              StatusIs(Code::kFailedPrecondition, testing::HasSubstr("lineage needs 7")));
}

TEST_F(LineageTest, AnErasedReceiptKeepsItsVerdictAndARowNeedsItsOperation) {
  for (int i = 0; i < 15; ++i) Operation();
  const Uuid fork = Operation();
  Fork(fork, checkpoint_, 0);
  Replay(fb::ReplayVerdict::diverges, R"({"step":2})");
  NIMBUS_ASSERT_OK_AND_ASSIGN(sqlite::Connection db,
                              sqlite::Connection::Open(directory_ / "other.db", {}));
  ASSERT_THAT(projections::Migrate(&db, 7), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto writer, LineageWriter::Create(&db));
  const auto apply_all = [&](const testing::Matcher<absl::Status>& outcome) {
    journal::Reader reader(journal());
    for (;;) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Next());
      if (view == nullptr) break;
      if (view->record->event_type() < fb::Event::OperationForked) continue;
      EXPECT_THAT(writer->Apply({.view = *view, .body = nullptr, .erased = true}), outcome);
    }
  };
  apply_all(StatusIs(Code::kNotFound));
  for (const Uuid& id : {parent_, fork}) {
    ASSERT_THAT(db.Execute(fmt::format("INSERT INTO operations (id, session_id, type, input) "
                                       "VALUES ('{}', 's', 'chat', '{{}}')",
                                       id.ToString())),
                IsOk());
  }
  ASSERT_THAT(db.Execute(fmt::format("INSERT INTO checkpoints (id, operation_id, step_id, state) "
                                     "VALUES ('{}', 'o', 's', '{{}}')",
                                     checkpoint_.ToString())),
              IsOk());
  apply_all(IsOk());
  const std::string path = directory_ / "other.db";
  EXPECT_THAT(Column(path, "SELECT verdict FROM replay_receipts"), ElementsAre("diverges"));
  EXPECT_THAT(Column(path, "SELECT divergence FROM replay_receipts"), ElementsAre("NULL"));
  EXPECT_THAT(Column(path, "SELECT state_digest FROM replay_receipts"), ElementsAre("NULL"));
}

}  // namespace
}  // namespace nimbus::projections
