// VerifyJournal finds what somebody with write access to the files changed, even
// when they kept checksums right.
#include "nimbus/journal/verify.h"

#include <fmt/format.h>

#include <filesystem>
#include <functional>

#include "body.h"
#include "environment.h"
#include "fixture.h"
#include "frame.h"
#include "lmdb_env.h"
#include "wal_entry.h"

namespace nimbus::journal {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class VerifyTest : public JournalTest {
 protected:
  void Fill(int steps) {
    ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
    ASSERT_THAT(journal_->ApplyLog(), IsOk());
    ASSERT_THAT(journal_->Append(OperationCreated(operation_, session_)), IsOk());
    ASSERT_THAT(journal_->ApplyLog(), IsOk());
    for (int i = 0; i < steps; ++i) {
      const std::string input = fmt::format(R"({{"command":"echo {}","why":"because"}})", i);
      ASSERT_THAT(journal_->Append(StepAdded(operation_, schema::NewUuid(), input)), IsOk());
      ASSERT_THAT(journal_->ApplyLog(), IsOk());  // a frame for each record
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

  static Bytes WithBodies(lmdb::View records, uint64_t first, const Block& block) {
    BodyFrameBuilder builder(first);
    builder.Add(PlaceBlock(block, first, std::nullopt));
    const Bytes bodies = builder.Finish();
    Bytes value(records.begin(), records.end());
    value.insert(value.end(), bodies.begin(), bodies.end());
    return value;
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
    const lmdb::Table records = *txn->OpenTable("frames", true, false);
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
    const lmdb::Table frames = *txn->OpenTable("frames", true, false);
    const lmdb::View stored = **txn->Get(frames, Key(changed));
    const size_t records = *FrameBytes(stored);
    absl::StatusOr<std::vector<BlockEntry>> blocks =
        ParseBodyFrame(stored.subspan(records), changed);
    ASSERT_THAT(blocks, IsOk());
    const Bytes body = schema::EncodeBody(
        StepAdded(operation_, schema::NewUuid(), R"({"command":"echo forged"})"));
    Block forged{.bodies = {{.bytes = body.size(), .nonce = blocks->at(0).bodies[0].nonce}}};
    forged.stored = body;
    forged.stored.resize(Padded(body.size()));
    ASSERT_THAT(txn->Put(frames, Key(changed), WithBodies(stored.first(records), changed, forged)),
                IsOk());
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
    const lmdb::Table frames = *txn->OpenTable("frames", true, false);
    const lmdb::View stored = **txn->Get(frames, Key(5));
    const Bytes without(stored.begin(), stored.begin() + static_cast<long>(*FrameBytes(stored)));
    ASSERT_THAT(txn->Put(frames, Key(5), without), IsOk());
    ASSERT_THAT(txn->Put(frames, Key(9), Bytes{1, 2, 3}), IsOk());
  });
  const VerifyReport report = Verify();
  EXPECT_THAT(report.findings, Contains(Field(&Finding::sequence, 5u)));
  EXPECT_THAT(report.findings, Contains(Field(&Finding::sequence, 9u)));
}

TEST_F(VerifyTest, FindsAHeadThatCountsFewerRecords) {
  Begin();
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  const Event events[] = {StepAdded(operation_, schema::NewUuid()),
                          StepAdded(operation_, schema::NewUuid())};
  ASSERT_THAT(journal_->Append(events), IsOk());  // one frame, records 3 and 4
  Tamper([&](lmdb::Transaction* txn) {
    // It says that record 4 was durable: with it, the journal would not open.
    std::filesystem::remove(store() + "/journal-1/wal.state");
    const lmdb::Table meta = *txn->OpenTable("meta", false, false);
    Head head;
    for (int i = 0; i < 4; ++i) head.frontier.Append(Hash{});
    const std::string_view key = "head";
    ASSERT_THAT(txn->Put(meta, lmdb::MakeView(key.data(), key.size()), EncodeHead(head)), IsOk());
  });
  EXPECT_FALSE(Verify().holds());
}

TEST_F(VerifyTest, FindsFramesThatReadersWouldBeServed) {
  Begin();
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  std::vector<Event> events;
  for (int i = 0; i < 6; ++i) events.push_back(StepAdded(operation_, schema::NewUuid()));
  ASSERT_THAT(journal_->Append(events), IsOk());  // records 3 to 8
  const auto put_forged_at = [&](uint64_t key) {
    Tamper([&](lmdb::Transaction* txn) {
      const lmdb::Table frames = *txn->OpenTable("frames", true, false);
      const Frame frame = *Frame::Decode(**txn->Get(frames, Key(3)));
      Uuid journal;
      journal.bytes = frame.header().journal;
      FrameBuilder builder(journal, key, 0);
      builder.Add(frame.record(2));
      ASSERT_THAT(txn->Put(frames, Key(key), builder.Finish().bytes), IsOk());
    });
  };
  put_forged_at(9);  // beyond the end
  EXPECT_THAT(Verify().findings, Contains(Field(&Finding::what, HasSubstr("beyond the end"))));
  Reader reader(*journal_);
  EXPECT_THAT(reader.Read(9), StatusIs(Code::kOutOfRange));
  put_forged_at(5);  // within the frame of record 3
  EXPECT_THAT(Verify().findings, Contains(Field(&Finding::what, HasSubstr("within that"))));
}

// The tree, the frame and the head are right.
TEST_F(VerifyTest, FindsAGenesisRecordThatNamesAnotherJournal) {
  Tamper([&](lmdb::Transaction* txn) {
    const lmdb::Table frames = *txn->OpenTable("frames", true, false);
    const lmdb::Table meta = *txn->OpenTable("meta", false, false);
    Head head;
    const Bytes forged = Reframe(**txn->Get(frames, Key(0)), [&](uint64_t, Bytes* record) {
      const auto* created = schema::fb::GetRecord(record->data())->event_as_JournalCreated();
      *const_cast<schema::fb::Id*>(created->journal()) = schema::NewUuid().ToFb();
      head.frontier.Append(LeafHashOf(*record));
    });
    head.frame_checksum = Frame::Decode(forged)->header().checksum;
    ASSERT_THAT(txn->Put(frames, Key(0), forged), IsOk());
    const std::string_view key = "head";
    ASSERT_THAT(txn->Put(meta, lmdb::MakeView(key.data(), key.size()), EncodeHead(head)), IsOk());
  });
  const VerifyReport report = Verify();
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].sequence, 0u);
  EXPECT_THAT(report.findings[0].what, HasSubstr(journal_->id().ToString()));
}

TEST_F(VerifyTest, FindsAFrameOfAnotherJournalInTheLog) {
  ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
  const std::string copy = (directory_ / "copy").string();
  std::filesystem::copy(store(), copy, std::filesystem::copy_options::recursive);
  const std::filesystem::path path = copy + "/journal-1/wal";
  std::string log = *test::ReadFile(path);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<const WalEntry> entry,
                              WalEntry::Decode(Bytes(log.begin(), log.end())));
  const std::span<const uint8_t> value = entry->frames().at(0).value;
  FrameBuilder builder(schema::NewUuid(), entry->first_sequence(), 0);
  builder.Add(Frame::Decode(value)->record(0));
  Bytes forged = builder.FinishRaw().bytes;
  forged.insert(forged.end(), value.begin() + static_cast<long>(*FrameBytes(value)), value.end());
  const WalFrame frames[] = {{.value = forged}};
  const std::unique_ptr<const WalEntry> other =
      WalEntry::Make({.journal = journal_->id(),
                      .first_sequence = entry->first_sequence(),
                      .records = 1,
                      .previous = entry->header().previous,
                      .frames = frames,
                      .changes = entry->changes()});
  log.replace(0, other->bytes().size(), std::string(other->bytes().begin(), other->bytes().end()));
  ASSERT_TRUE(test::WriteFile(path, log));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto journal, Journal::Open(copy, {.read_only = true}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyReport report, VerifyJournal(*journal, {}));
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].sequence, 1u);
  EXPECT_THAT(report.findings[0].what, HasSubstr("belongs elsewhere"));
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
    const lmdb::View stored = **txn->Get(tiles, MakeTileKey(1, 0));
    Bytes tile(stored.begin(), stored.end());
    tile[7] ^= 1;
    ASSERT_THAT(txn->Put(tiles, MakeTileKey(1, 0), tile), IsOk());
  });
  EXPECT_THAT(Verify().findings, Contains(Field(&Finding::what, HasSubstr("tile 1/0"))));
}

}  // namespace
}  // namespace nimbus::journal
