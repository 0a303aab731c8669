// VerifyJournal finds what somebody with write access to the files changed, even
// when they kept checksums right.
#include "nimbus/journal/verify.h"

#include <fmt/format.h>

#include <functional>

#include "body.h"
#include "environment.h"
#include "fixture.h"
#include "frame.h"
#include "lmdb_env.h"

namespace nimbus::journal {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class VerifyTest : public JournalTest {
 protected:
  void Fill(int steps) {
    Begin();
    for (int i = 0; i < steps; ++i) {
      const std::string input = fmt::format(R"({{"command":"echo {}","why":"because"}})", i);
      ASSERT_THAT(journal_->Append(StepAdded(operation_, schema::NewUuid(), input)), IsOk());
    }
  }

  VerifyReport Verify() {
    absl::StatusOr<VerifyReport> report = VerifyJournal(*journal_, {});
    EXPECT_THAT(report, IsOk());
    return report.ok() ? *report : VerifyReport{};
  }

  // Changes the closed journal's tables directly, as an attacker would.
  void Tamper(const std::function<void(lmdb::Transaction*)>& change) {
    journal_.reset();
    absl::StatusOr<std::unique_ptr<lmdb::Env>> env =
        lmdb::Env::Open(store() + "/journal-1", {.map_bytes = size_t{1} << 30});
    ASSERT_THAT(env, IsOk());
    absl::StatusOr<lmdb::Transaction> txn =
        lmdb::Transaction::Begin(**env, lmdb::Transaction::Mode::kWrite);
    ASSERT_THAT(txn, IsOk());
    change(&*txn);
    ASSERT_THAT(txn->Commit(), IsOk());
    env->reset();
    Open();
  }

  // A frame's records, and the same frame with other records and right checksums.
  static Bytes Reframe(lmdb::View stored, const std::function<void(uint64_t, Bytes*)>& change) {
    absl::StatusOr<Frame> frame = Frame::Decode(stored);
    EXPECT_THAT(frame, IsOk());
    Uuid journal;
    journal.bytes = frame->header().journal;
    FrameBuilder builder(journal, frame->first_sequence(), frame->header().previous_checksum);
    for (uint64_t s = frame->first_sequence(); s < frame->end_sequence(); ++s) {
      const std::span<const uint8_t> record = frame->record(s - frame->first_sequence());
      Bytes bytes(record.begin(), record.end());
      change(s, &bytes);
      builder.Add(bytes);
    }
    return builder.Finish().bytes;
  }

  static lmdb::View Key(const uint64_t& sequence) {
    return lmdb::MakeView(&sequence, sizeof(sequence));
  }
};

TEST_F(VerifyTest, HoldsForAJournalOfSeveralTilesAndReportsItsRoot) {
  Fill(700);
  const VerifyReport report = Verify();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.records, 703u);
  EXPECT_EQ(report.bodies, 702u);
  EXPECT_EQ(report.root, journal_->GetStat()->root);
}

TEST_F(VerifyTest, HoldsWhileTheJournalIsWritten) {
  Fill(50);
  uint64_t appended = 0;
  VerifyOptions options;
  options.progress = [&](uint64_t, uint64_t) {
    if (appended++ < 20) {
      ASSERT_THAT(journal_->Append(StepAdded(operation_, schema::NewUuid())), IsOk());
    }
  };
  absl::StatusOr<VerifyReport> report = VerifyJournal(*journal_, options);
  ASSERT_THAT(report, IsOk());
  EXPECT_TRUE(report->holds());
  EXPECT_EQ(report->records, 73u);
}

TEST_F(VerifyTest, FindsAChangedRecordUnderARightChecksum) {
  Fill(20);
  const uint64_t changed = 10;
  Tamper([&](lmdb::Transaction* txn) {
    const lmdb::Table records = *txn->OpenTable("records", true, false);
    const Bytes frame = Reframe(**txn->Get(records, Key(changed)), [](uint64_t, Bytes* record) {
      schema::MutableEnvelope(*record)->mutate_time_us(1);
    });
    ASSERT_THAT(txn->Put(records, Key(changed), frame), IsOk());
  });
  const VerifyReport report = Verify();
  EXPECT_FALSE(report.holds());
  EXPECT_THAT(report.findings, Contains(Field(&Finding::what, HasSubstr("root"))));
}

TEST_F(VerifyTest, FindsABodyThatWasReplaced) {
  Fill(20);
  const uint64_t changed = 12;
  Tamper([&](lmdb::Transaction* txn) {
    const lmdb::Table bodies = *txn->OpenTable("bodies", true, false);
    absl::StatusOr<std::vector<BodyEntry>> entries =
        ParseBodyFrame(**txn->Get(bodies, Key(changed)), changed);
    ASSERT_THAT(entries, IsOk());
    Event event = StepAdded(operation_, schema::NewUuid(), R"({"command":"echo forged"})");
    StoredBody forged{.nonce = entries->at(0).nonce, .bytes = schema::EncodeBody(event)};
    BodyFrameBuilder builder(changed);
    builder.Add(changed, std::nullopt, forged);
    ASSERT_THAT(txn->Put(bodies, Key(changed), builder.Finish()), IsOk());
  });
  const VerifyReport report = Verify();
  ASSERT_FALSE(report.holds());
  EXPECT_EQ(report.findings[0].sequence, changed);
  EXPECT_THAT(report.findings[0].what, HasSubstr("commits to"));
  Reader reader(*journal_);
  const RecordView* record = *reader.Read(changed);
  EXPECT_THAT(reader.Body(*record), StatusIs(Code::kDataLoss));
}

TEST_F(VerifyTest, FindsAMissingFrameAndAMissingBody) {
  Fill(20);
  Tamper([&](lmdb::Transaction* txn) {
    const lmdb::Table bodies = *txn->OpenTable("bodies", true, false);
    ASSERT_THAT(txn->Put(bodies, Key(5), BodyFrameBuilder(5).Finish()), IsOk());
    const lmdb::Table records = *txn->OpenTable("records", true, false);
    ASSERT_THAT(txn->Put(records, Key(9), Bytes{1, 2, 3}), IsOk());
  });
  const VerifyReport report = Verify();
  EXPECT_THAT(report.findings, Contains(Field(&Finding::sequence, 5u)));
  EXPECT_THAT(report.findings, Contains(Field(&Finding::sequence, 9u)));
}

TEST_F(VerifyTest, FindsAnEntityTableThatSaysOtherwise) {
  Fill(3);
  Tamper([&](lmdb::Transaction* txn) {
    const lmdb::Table entities = *txn->OpenTable("entities", false, false);
    const EntityKey key = MakeEntityKey(EntityKind::operation, operation_);
    Entity entity = *DecodeEntity(key, **txn->Get(entities, key));
    entity.state.state = static_cast<uint8_t>(Lifecycle::kCompleted);
    ASSERT_THAT(txn->Put(entities, key, EncodeEntity(entity)), IsOk());
  });
  EXPECT_THAT(Verify().findings, Contains(Field(&Finding::what, HasSubstr("entity table"))));
}

TEST_F(VerifyTest, FindsAChangedTile) {
  Fill(300);
  Tamper([&](lmdb::Transaction* txn) {
    const lmdb::Table tiles = *txn->OpenTable("tiles", false, false);
    const lmdb::View stored = **txn->Get(tiles, MakeTileKey(0, 0));
    Bytes tile(stored.begin(), stored.end());
    tile[77] ^= 1;
    ASSERT_THAT(txn->Put(tiles, MakeTileKey(0, 0), tile), IsOk());
  });
  EXPECT_THAT(Verify().findings, Contains(Field(&Finding::what, HasSubstr("tile 0/0"))));
}

}  // namespace
}  // namespace nimbus::journal
