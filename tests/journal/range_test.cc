// A range of records in a file: proves itself, goes into another store whole or
// not at all, and no change to it passes.
#include "nimbus/journal/range.h"

#include <filesystem>
#include <functional>
#include <random>

#include "fixture.h"
#include "format.h"
#include "frame.h"
#include "nimbus/journal/verify.h"
#include "range_file.h"
#include "testing/workload.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class RangeTest : public JournalTest {
 protected:
  std::string Path(std::string_view name) const { return (directory_ / name).string(); }

  // Operations of the canonical workload, one append an event.
  void Fill(uint64_t operations, uint64_t first = 0) {
    const test::Workload workload(/*seed=*/7);
    const Uuid session = workload.SessionId(0);
    if (first == 0) {
      ASSERT_THAT(journal_->Append(test::SessionStarted(session)), IsOk());
    }
    for (uint64_t n = first; n < first + operations; ++n) {
      for (const Event& event : workload.Operation(n).Events(session)) {
        ASSERT_THAT(journal_->Append(event), IsOk());
      }
    }
  }

  absl::StatusOr<RangeInfo> Export(const std::string& name, uint64_t from = 0,
                                   std::optional<uint64_t> to = std::nullopt) {
    std::string bytes;
    absl::StatusOr<RangeInfo> info =
        ExportRange(*journal_, {.from = from, .to = to}, [&](std::span<const uint8_t> piece) {
          bytes.append(piece.begin(), piece.end());
          return absl::OkStatus();
        });
    EXPECT_TRUE(test::WriteFile(Path(name), bytes));
    return info;
  }

  absl::StatusOr<ImportedRange> Import(const std::string& name,
                                       const std::string& store = "other") {
    return ImportRange(Path(name), Path(store), {});
  }

  // Makes the last 32 bytes the digest of the others, as a forger would.
  static std::string Sealed(std::string bytes) {
    bytes.resize(bytes.size() - sizeof(schema::Digest));
    const schema::Digest digest = schema::Blake2b256(bytes);
    bytes.append(digest.begin(), digest.end());
    return bytes;
  }

  // That the store holds these records of the fixture's journal, and verifies.
  void ExpectHolds(const std::string& store, uint64_t size) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto other, Journal::Open(Path(store), {.create = false}));
    EXPECT_EQ(other->id(), journal_->id());
    EXPECT_THAT(other->Size(), IsOkAndHolds(size));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyReport report, VerifyJournal(*other, {}));
    for (const Finding& finding : report.findings) {
      ADD_FAILURE() << "record " << finding.sequence << ": " << finding.what;
    }
    Reader ours(*journal_), theirs(*other);
    for (uint64_t sequence = 0; sequence < size; ++sequence) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* a, ours.Read(sequence));
      NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* b, theirs.Read(sequence));
      ASSERT_TRUE(std::equal(a->bytes.begin(), a->bytes.end(), b->bytes.begin(), b->bytes.end()));
      ASSERT_THAT(theirs.Body(*b), IsOk());
    }
  }
};

TEST_F(RangeTest, GoesIntoANewStoreWhole) {
  Fill(30);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RangeInfo info, Export("range"));
  EXPECT_EQ(info.to, 722u);
  EXPECT_EQ(info.root_to, journal_->GetStat()->root);
  EXPECT_EQ(info.file_bytes, fs::file_size(Path("range")));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RangeInfo checked, CheckRange(Path("range"), {}));
  EXPECT_EQ(checked.root_to, info.root_to);
  EXPECT_EQ(checked.bodies, info.bodies);

  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportedRange imported, Import("range"));
  EXPECT_TRUE(imported.created);
  EXPECT_EQ(imported.imported, 722u);
  ExpectHolds("other", 722);
}

TEST_F(RangeTest, FollowsTheOneBeforeIt) {
  Fill(20);
  ASSERT_THAT(Export("first", 0, 300), IsOk());
  ASSERT_THAT(Export("second", 300), IsOk());
  Fill(5, 20);
  ASSERT_THAT(Export("third", 482), IsOk());
  EXPECT_THAT(CheckRange(Path("second"), {}), IsOk());
  EXPECT_THAT(Import("second"), StatusIs(Code::kFailedPrecondition, HasSubstr("not at 0")));
  EXPECT_FALSE(fs::exists(Path("other")));

  ASSERT_THAT(Import("first"), IsOk());
  EXPECT_THAT(Import("third"),
              StatusIs(Code::kFailedPrecondition, HasSubstr("ends at record 300")));
  ExpectHolds("other", 300);
  ASSERT_THAT(Import("second"), IsOk());
  ASSERT_THAT(Import("third"), IsOk());
  ExpectHolds("other", 602);
}

TEST_F(RangeTest, ThatIsHeldAlreadyIsComparedAndLeft) {
  Fill(10);
  ASSERT_THAT(Export("part", 0, 100), IsOk());
  ASSERT_THAT(Export("all"), IsOk());
  ASSERT_THAT(Import("part"), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportedRange grown, Import("all"));
  EXPECT_EQ(grown.held, 100u);
  EXPECT_EQ(grown.imported, 142u);
  for (const std::string again : {"all", "part"}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportedRange nothing, Import(again));
    EXPECT_EQ(nothing.imported, 0u);
    EXPECT_FALSE(nothing.created);
  }
  ExpectHolds("other", 242);
}

TEST_F(RangeTest, OfAnotherHistoryIsRefused) {
  Fill(2);
  ASSERT_THAT(Export("base", 0, 40), IsOk());
  ASSERT_THAT(Export("whole"), IsOk());
  ASSERT_THAT(Export("rest", 45), IsOk());
  ASSERT_THAT(Import("base"), IsOk());
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto other, Journal::Open(Path("other"), {}));
    for (int i = 0; i < 10; ++i) {
      ASSERT_THAT(other->Append(SessionStarted(schema::NewUuid())), IsOk());
    }
  }
  EXPECT_THAT(Import("whole"), StatusIs(Code::kAborted, HasSubstr("first 50 records are not")));
  EXPECT_THAT(Import("rest"), StatusIs(Code::kAborted, HasSubstr("first 45 records are not")));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto stranger, Journal::Open(Path("stranger"), {}));
  EXPECT_THAT(ImportRange(Path("whole"), Path("stranger"), {}), testing::Not(IsOk()))
      << "open in this process";
}

TEST_F(RangeTest, OfAnotherJournalIsRefused) {
  Fill(1);
  ASSERT_THAT(Export("range"), IsOk());
  ASSERT_THAT(Journal::Open(Path("stranger"), {}), IsOk());
  EXPECT_THAT(Import("range", "stranger"),
              StatusIs(Code::kFailedPrecondition, HasSubstr("holds journal")));
}

TEST_F(RangeTest, HoldsTheRootsKnownFromElsewhere) {
  Fill(3);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RangeInfo info, Export("range", 20, 70));
  EXPECT_THAT(CheckRange(Path("range"), {.root_from = info.root_from, .root_to = info.root_to}),
              IsOk());
  EXPECT_THAT(CheckRange(Path("range"), {.root_to = info.root_from}),
              StatusIs(Code::kAborted, HasSubstr("not the one given")));
  EXPECT_THAT(CheckRange(Path("range"), {.root_from = info.root_to}),
              StatusIs(Code::kAborted, HasSubstr("not the one given")));
}

TEST_F(RangeTest, MayBeEmptyAtItsEndAndMustBeWithinTheJournal) {
  Fill(1);
  ASSERT_THAT(Export("empty", 26), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RangeInfo info, CheckRange(Path("empty"), {}));
  EXPECT_EQ(info.root_from, info.root_to);
  EXPECT_THAT(Export("x", 27), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(Export("x", 0, 27), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(Export("x", 5, 4), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(Export("x", 0, 0), StatusIs(Code::kOutOfRange));
}

TEST_F(RangeTest, ChangedAtAnyByteIsRefusedAndLeavesNothing) {
  Fill(1);
  ASSERT_THAT(Export("range", 0, 12), IsOk());
  const std::string whole = *test::ReadFile(Path("range"));
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    ASSERT_TRUE(test::WriteFile(Path("changed"), changed));
    const absl::Status status = Import("changed").status();
    ASSERT_FALSE(status.ok()) << "byte " << at;
    ASSERT_TRUE(absl::IsDataLoss(status) || absl::IsInvalidArgument(status) ||
                absl::IsUnimplemented(status))
        << "byte " << at << ": " << status.ToString();
    ASSERT_FALSE(fs::exists(Path("other"))) << "byte " << at;
  }
}

// The forger makes the digest right again: now the proof has to find it.
TEST_F(RangeTest, ChangedUnderARightDigestIsRefusedOrWithoutEffect) {
  Fill(1);
  ASSERT_THAT(Export("range", 0, 12), IsOk());
  const std::string whole = *test::ReadFile(Path("range"));
  const size_t end = whole.size() - sizeof(schema::Digest);
  int without_effect = 0;
  for (size_t at = 0; at < end; ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    ASSERT_TRUE(test::WriteFile(Path("changed"), Sealed(changed)));
    const absl::StatusOr<RangeInfo> checked = CheckRange(Path("changed"), {});
    if (!checked.ok()) continue;
    ++without_effect;  // of two encodings of the same thing
    ASSERT_THAT(Import("changed"), IsOk()) << "byte " << at;
    ExpectHolds("other", 12);
    fs::remove_all(Path("other"));
  }
  EXPECT_LT(without_effect, 16);
}

TEST_F(RangeTest, CutOffOrContinuedIsRefused) {
  Fill(4);
  ASSERT_THAT(Export("range"), IsOk());
  const std::string whole = *test::ReadFile(Path("range"));
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    const size_t size = round < 150 ? random() % whole.size() : static_cast<size_t>(round - 150);
    ASSERT_TRUE(test::WriteFile(Path("cut"), whole.substr(0, size)));
    ASSERT_FALSE(Import("cut").ok()) << size;
    if (size < 140) continue;
    ASSERT_TRUE(test::WriteFile(Path("cut"), Sealed(whole.substr(0, size))));
    ASSERT_FALSE(Import("cut").ok()) << size;
  }
  ASSERT_TRUE(test::WriteFile(Path("long"), whole + "x"));
  EXPECT_THAT(Import("long"), StatusIs(Code::kDataLoss));
  ASSERT_TRUE(test::WriteFile(Path("long"), Sealed(whole + std::string(40, '\0'))));
  EXPECT_THAT(Import("long"), StatusIs(Code::kAborted));
  EXPECT_FALSE(fs::exists(Path("other")));
  EXPECT_THAT(Import("missing"), StatusIs(Code::kNotFound));
  EXPECT_THAT(ImportRange(directory_.string(), Path("other"), {}),
              StatusIs(Code::kInvalidArgument));
}

// Records that lead to their root, and that no journal would have taken.
class ForgedRangeTest : public RangeTest {
 protected:
  struct Forged {
    Bytes record;
    Bytes body;
    Nonce nonce{};
  };

  // A record of the event, as the writer would have placed it.
  static Forged Record(const Event& event, uint64_t sequence, uint64_t version, uint64_t previous) {
    Forged made{.record = schema::EncodeRecord(event), .body = schema::EncodeBody(event)};
    schema::fb::Envelope* envelope = schema::MutableEnvelope(made.record);
    envelope->mutate_sequence(sequence);
    envelope->mutate_version(version);
    envelope->mutate_previous(previous);
    if (!made.body.empty()) {
      made.nonce = NewNonce();
      envelope->mutate_body_size(static_cast<uint32_t>(made.body.size()));
      envelope->mutable_body_commitment() = schema::ToFb(BodyCommitment(made.body, made.nonce));
    }
    return made;
  }

  Forged Genesis(const Uuid& named) const {
    schema::fb::JournalCreatedT created;
    created.journal = std::make_unique<schema::fb::Id>(named.ToFb());
    created.software = "forger";
    return Record(MakeEvent(EntityKind::journal, journal_->id(), std::move(created)), 0, 1, 0);
  }

  absl::Status Import(const std::vector<Forged>& records) {
    Frontier frontier;
    for (const Forged& record : records) frontier.Append(LeafHashOf(record.record));
    std::string bytes;
    RangeWriter writer(
        [&](std::span<const uint8_t> piece) {
          bytes.append(piece.begin(), piece.end());
          return absl::OkStatus();
        },
        /*compression_level=*/1);
    EXPECT_THAT(writer.Begin({.journal = journal_->id(),
                              .to = records.size(),
                              .root_from = Frontier().Root(),
                              .root_to = frontier.Root()}),
                IsOk());
    for (uint64_t sequence = 0; sequence < records.size(); ++sequence) {
      const Forged& made = records[sequence];
      Entry entry{.sequence = sequence, .record = made.record};
      if (!made.body.empty()) entry.body = EntryBody{.bytes = made.body, .nonce = made.nonce};
      EXPECT_THAT(writer.Add(*schema::fb::GetRecord(made.record.data())->envelope(), entry),
                  IsOk());
    }
    EXPECT_THAT(writer.Finish(), IsOk());
    EXPECT_TRUE(test::WriteFile(Path("forged"), bytes));
    const absl::Status status = ImportRange(Path("forged"), Path("other"), {}).status();
    EXPECT_EQ(fs::exists(Path("other")), status.ok());
    fs::remove_all(Path("other"));
    return status;
  }
};

TEST_F(ForgedRangeTest, IsTakenWhenItFollowsTheRules) {
  EXPECT_THAT(Import({Genesis(journal_->id()), Record(SessionStarted(session_), 1, 1, 1),
                      Record(SessionUpdated(session_, 0), 2, 2, 1)}),
              IsOk());
}

TEST_F(ForgedRangeTest, IsRefusedWhenTheRulesWouldHave) {
  const Forged genesis = Genesis(journal_->id());
  EXPECT_THAT(Import({genesis, Record(SessionUpdated(session_, 0), 1, 1, 1)}),
              StatusIs(Code::kAborted, HasSubstr("record 1: the rules refuse it")));
  EXPECT_THAT(Import({genesis, Record(SessionStarted(session_), 1, 2, 1)}),
              StatusIs(Code::kAborted, HasSubstr("record 1: version 2")));
  EXPECT_THAT(Import({genesis, Record(SessionStarted(session_), 1, 1, 0)}),
              StatusIs(Code::kAborted, HasSubstr("record 1: version 1, back-link 0")));
  EXPECT_THAT(Import({genesis, Record(SessionStarted(session_), 7, 1, 1)}),
              StatusIs(Code::kAborted, HasSubstr("it says it is record 7")));
}

TEST_F(ForgedRangeTest, IsRefusedWithoutTheCreationOfItsJournal) {
  EXPECT_THAT(Import({Genesis(session_)}), StatusIs(Code::kAborted, HasSubstr("record 0")));
  EXPECT_THAT(Import({Record(SessionStarted(session_), 0, 1, 0)}),
              StatusIs(Code::kAborted, HasSubstr("record 0")));
}

TEST_F(ForgedRangeTest, IsRefusedWhenABodyIsNotTheOneCommittedTo) {
  const Forged genesis = Genesis(journal_->id());
  const Forged good = Record(SessionStarted(session_), 1, 1, 1);
  Forged other = good;
  other.body.back() ^= 1;
  EXPECT_THAT(Import({genesis, other}), StatusIs(Code::kAborted, HasSubstr("record 1: its body")));
  Forged none = good;
  none.body.clear();
  EXPECT_THAT(Import({genesis, none}), StatusIs(Code::kAborted, HasSubstr("body is missing")));
  Forged garbage = good;
  garbage.body = Bytes(64, 'x');
  schema::fb::Envelope* envelope = schema::MutableEnvelope(garbage.record);
  envelope->mutate_body_size(64);
  envelope->mutable_body_commitment() = schema::ToFb(BodyCommitment(garbage.body, garbage.nonce));
  EXPECT_THAT(Import({genesis, garbage}), StatusIs(Code::kAborted, HasSubstr("record 1")));
}

// Bodies of every size around the limits of blocks and chunks, some of them
// repeated later, when the window has moved on.
TEST_F(RangeTest, CarriesLargeBodiesAndLongChains) {
  ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
  std::string random_text;
  for (uint64_t x = 1; random_text.size() < 3'000'000;) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    random_text += fmt::format("{:016x}", x);
  }
  for (const size_t bytes : {1'000'000, 100, 2'999'999, 5, 262'144, 3'000'000, 524'288}) {
    Event event = SessionUpdated(session_, bytes);
    event.body.description = random_text.substr(0, bytes);
    ASSERT_THAT(journal_->Append(event), IsOk());
  }
  std::string context = "{}";
  for (int n = 0; n < 300; ++n) {
    context += fmt::format("line {} of a context that grows with every step\n", n * 7919);
    Event event = SessionUpdated(session_, 0);
    event.body.description = context;
    ASSERT_THAT(journal_->Append(event), IsOk());
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RangeInfo info, Export("range"));
  EXPECT_EQ(info.bodies, 308u);
  ASSERT_THAT(Import("range"), IsOk());
  ExpectHolds("other", 309);
}

}  // namespace
}  // namespace nimbus::journal
