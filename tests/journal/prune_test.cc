// Pruning moves bodies to an archive: they are read as before while it is there,
// and missed by name when it is not.
#include "nimbus/journal/prune.h"

#include <filesystem>

#include "fixture.h"
#include "journal/stream.h"
#include "nimbus/journal/backup.h"
#include "nimbus/journal/compact.h"
#include "nimbus/journal/usage.h"
#include "nimbus/journal/verify.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class PruneTest : public JournalTest {
 protected:
  // An operation with a step and a checkpoint.
  Uuid Operation(bool ended, const Uuid* parent = nullptr) {
    const Uuid operation = schema::NewUuid(), step = schema::NewUuid();
    Event created = OperationCreated(operation, session_, Text());
    if (parent != nullptr) {
      created.payload.AsOperationCreated()->parent =
          std::make_unique<schema::fb::Id>(parent->ToFb());
    }
    std::vector<Event> events;
    events.push_back(std::move(created));
    events.push_back(StepAdded(operation, step, Text()));
    events.push_back(StepEvent<schema::fb::StepCompletedT>(operation, step, Text()));
    events.push_back(CheckpointCreated(operation, schema::NewUuid(), step, Text()));
    if (ended) {
      events.push_back(OperationEvent<schema::fb::OperationCompletedT>(operation, Text()));
    }
    EXPECT_THAT(journal_->Append(events), IsOk());
    return operation;
  }

  std::string Text() {
    std::string text;
    while (text.size() < 2000) text += fmt::format("{} ", next_++ * 7919);
    return fmt::format(R"({{"text":"{}"}})", text);
  }

  void Fill(int operations) {
    ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
    for (int i = 0; i < operations; ++i) Operation(/*ended=*/true);
  }

  PruneReport Prune(bool apply, uint64_t before = UINT64_MAX) {
    absl::StatusOr<PruneReport> report =
        PruneJournal(journal_.get(), {.before_sequence = before, .apply = apply});
    EXPECT_THAT(report, IsOk());
    return report.value_or(PruneReport{});
  }

  VerifyReport Verify(const Journal& journal) {
    absl::StatusOr<VerifyReport> report = VerifyJournal(journal, {});
    EXPECT_THAT(report, IsOk());
    if (!report.ok()) return {};
    for (const Finding& finding : report->findings) {
      ADD_FAILURE() << "record " << finding.sequence << ": " << finding.what;
    }
    return *report;
  }

  uint64_t next_ = 1;
};

TEST_F(PruneTest, ChangesNothingUnlessItIsToldTo) {
  Fill(10);
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  const Stat before = *journal_->GetStat();
  const PruneReport report = Prune(/*apply=*/false);
  EXPECT_EQ(report.operations, 10u);
  EXPECT_EQ(report.bodies, 50u);
  EXPECT_GT(report.plain_bytes, 50 * 2000u);
  EXPECT_EQ(report.archive, "");
  EXPECT_EQ(journal_->GetStat()->file_bytes, before.file_bytes);
  EXPECT_FALSE(fs::exists(store() + "/archives"));
  EXPECT_THAT(PruneJournal(journal_.get(), {}), StatusIs(Code::kInvalidArgument));
}

TEST_F(PruneTest, LeavesAllReadableAndProven) {
  Fill(100);
  const schema::Digest root = journal_->GetStat()->root;
  Reader held(*journal_);  // opened before, used after
  const RecordView* record = *held.Read(3);
  ASSERT_THAT(held.Body(*record), IsOk());

  const PruneReport report = Prune(/*apply=*/true);
  EXPECT_EQ(report.bodies, 500u);
  EXPECT_EQ(report.archive_bytes, fs::file_size(report.archive));
  EXPECT_LT(report.bytes_after, report.bytes_before / 2);
  EXPECT_EQ(journal_->GetStat()->root, root);
  EXPECT_EQ(Verify(*journal_).bodies, 501u);
  for (uint64_t sequence = 2; sequence < 502; ++sequence) {
    record = *held.Read(sequence);
    ASSERT_THAT(held.Body(*record), IsOk());
  }
  EXPECT_EQ(Prune(/*apply=*/false).bodies, 0u) << "they have gone";
}

TEST_F(PruneTest, LeavesWhatIsNotOverOrIsReferredTo) {
  Fill(2);
  const Uuid grandparent = Operation(/*ended=*/true);
  const Uuid parent = Operation(/*ended=*/true, &grandparent);
  const Uuid running = Operation(/*ended=*/false, &parent);
  const uint64_t size = *journal_->Size();
  const Uuid late = Operation(/*ended=*/true);
  const PruneReport report = Prune(/*apply=*/true, size);
  EXPECT_EQ(report.operations, 2u);
  EXPECT_EQ(report.bodies, 10u);
  EXPECT_EQ(report.running, 1u);
  EXPECT_EQ(report.referred, 2u);
  fs::remove(report.archive);
  EXPECT_EQ(Verify(*journal_).absent, 10u);
  Reader reader(*journal_);
  for (const Uuid& id : {grandparent, parent, running, late}) {
    const auto state = *journal_->FindEntity(EntityKind::operation, id);
    const std::vector<uint64_t> sequences = *StreamSequences(&reader, state->head_sequence);
    EXPECT_GE(sequences.size(), 4u);
    for (const uint64_t sequence : sequences) {
      const RecordView* record = *reader.Read(sequence);
      EXPECT_THAT(reader.Body(*record), IsOk());
    }
  }
}

TEST_F(PruneTest, NamesTheArchiveThatIsNotThere) {
  Fill(3);
  const PruneReport report = Prune(/*apply=*/true);
  fs::rename(report.archive, report.archive + ".away");
  Open({.create = false});
  Reader reader(*journal_);
  const RecordView* record = *reader.Read(4);
  const absl::Status status = reader.Body(*record).status();
  EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition, HasSubstr("bodies-2.nmar")));
  EXPECT_TRUE(IsArchiveAbsent(status));
  const VerifyReport verified = Verify(*journal_);
  EXPECT_EQ(verified.absent, 15u);
  EXPECT_THAT(MeasureUsage(*journal_, {}), IsOk()) << "it needs no archive";
  EXPECT_TRUE(IsArchiveAbsent(BackupJournal(*journal_, (directory_ / "b").string(), {}).status()));
  fs::rename(report.archive + ".away", report.archive);
  EXPECT_THAT(reader.Body(*record), IsOk()) << "found again without being opened anew";
  EXPECT_EQ(Verify(*journal_).absent, 0u);
}

TEST_F(PruneTest, SurvivesCompactionAndMorePruning) {
  Fill(20);
  const uint64_t half = *journal_->Size();
  for (int i = 0; i < 20; ++i) Operation(/*ended=*/true);
  const PruneReport first = Prune(/*apply=*/true, half);
  EXPECT_EQ(first.bodies, 100u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const CompactReport compacted, CompactJournal(journal_.get(), {}));
  EXPECT_EQ(compacted.generation, 3u);
  EXPECT_EQ(Verify(*journal_).bodies, 201u);
  const PruneReport second = Prune(/*apply=*/true);
  EXPECT_EQ(second.bodies, 100u);
  EXPECT_NE(second.archive, first.archive);
  Operation(/*ended=*/true);
  EXPECT_EQ(Verify(*journal_).bodies, 206u);
  fs::remove(first.archive);
  Open({.create = false});
  EXPECT_EQ(Verify(*journal_).absent, 100u);
}

TEST_F(PruneTest, ABackupHoldsTheBodiesItself) {
  Fill(20);
  const PruneReport report = Prune(/*apply=*/true);
  const std::string path = (directory_ / "copy").string();
  ASSERT_THAT(BackupJournal(*journal_, path, {}), IsOk());
  fs::remove(report.archive);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto copy, Journal::Open(path, {.create = false}));
  const VerifyReport verified = Verify(*copy);
  EXPECT_EQ(verified.bodies, 101u);
  EXPECT_EQ(verified.absent, 0u);
}

TEST_F(PruneTest, MovesNothingWhenItIsCutOff) {
  Fill(200);
  const PruneOptions stopped{.before_sequence = UINT64_MAX,
                             .apply = true,
                             .progress = [](uint64_t done, uint64_t) { return done < 512; }};
  EXPECT_THAT(PruneJournal(journal_.get(), stopped), StatusIs(Code::kCancelled));
  EXPECT_EQ(Verify(*journal_).bodies, 1001u);
  EXPECT_EQ(Prune(/*apply=*/true).bodies, 1000u);
  EXPECT_EQ(Verify(*journal_).bodies, 1001u);
}

}  // namespace
}  // namespace nimbus::journal
