// The Merkle tree: RFC 6962's known answers, and the tiles the journal keeps.
#include "merkle.h"

#include <map>
#include <string>

#include "environment.h"
#include "fixture.h"
#include "journal/child.h"
#include "nimbus/schema/digest.h"

namespace nimbus::journal {
namespace {

// RFC 6962, 2.1, as it is written there: MTH of leaf hashes.
Hash TreeHash(std::span<const Hash> leaves) {
  if (leaves.size() == 1) return leaves[0];
  const size_t left = std::bit_ceil(leaves.size()) / 2;
  return NodeHashOf(TreeHash(leaves.first(left)), TreeHash(leaves.subspan(left)));
}

TEST(MerkleTest, GivesTheKnownAnswersOfRfc6962) {
  const std::vector<Bytes> leaves = {
      {},
      {0x00},
      {0x10},
      {0x20, 0x21},
      {0x30, 0x31},
      {0x40, 0x41, 0x42, 0x43},
      {0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57},
      {0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e,
       0x6f},
  };
  const std::string roots[] = {
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
      "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
      "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
      "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
      "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  };
  Frontier frontier;
  EXPECT_EQ(schema::ToHex(frontier.Root()), roots[0]);
  for (size_t i = 0; i < leaves.size(); ++i) {
    frontier.Append(LeafHashOf(leaves[i]));
    EXPECT_EQ(schema::ToHex(frontier.Root()), roots[i + 1]) << i + 1;
    EXPECT_EQ(frontier.size(), i + 1);
  }
}

TEST(MerkleTest, TheFrontierAgreesWithTheDefinitionAtEverySize) {
  std::vector<Hash> leaves;
  Frontier frontier;
  for (uint32_t i = 0; i < 600; ++i) {
    const auto bytes = std::bit_cast<std::array<uint8_t, 4>>(i);
    leaves.push_back(LeafHashOf(bytes));
    frontier.Append(leaves.back());
    ASSERT_EQ(frontier.Root(), TreeHash(leaves)) << i + 1;
    const Frontier restored(frontier.size(), frontier.subtrees());
    ASSERT_EQ(restored.Root(), frontier.Root());
  }
  EXPECT_EQ(CompleteRoot(std::span(leaves).first(256)), TreeHash(std::span(leaves).first(256)));
  EXPECT_DEATH(CompleteRoot(std::span(leaves).first(255)), "has_single_bit");
  EXPECT_DEATH(Frontier(3, {leaves[0]}), "popcount");
}

// Compares all tiles the store has with those its records should give.
void ExpectTilesAgree(const std::string& store) {
  absl::StatusOr<std::unique_ptr<Environment>> environment = Environment::Open(store, {});
  ASSERT_THAT(environment, IsOk());
  absl::StatusOr<Snapshot> snapshot = (*environment)->TakeSnapshot();
  ASSERT_THAT(snapshot, IsOk());
  const lmdb::Transaction* txn = &snapshot->txn();
  const Head& head = snapshot->head();
  std::vector<Hash> leaves;
  while (leaves.size() < head.size()) {
    absl::StatusOr<Frame> frame = (*environment)->ReadFrame(*snapshot, leaves.size());
    ASSERT_THAT(frame, IsOk());
    for (uint64_t i = 0; i < frame->end_sequence() - frame->first_sequence(); ++i) {
      leaves.push_back(LeafHashOf(frame->record(i)));
    }
  }
  ASSERT_EQ(leaves.size(), head.size());
  EXPECT_EQ(head.frontier.Root(), TreeHash(leaves));

  std::map<Bytes, Bytes> expected;
  uint64_t span = 1;  // leaves below one hash of the level
  for (uint8_t level = 0; leaves.size() / span > 0; ++level, span *= kTileHashes) {
    for (uint64_t i = 0; i < leaves.size() / span; ++i) {
      PutFixed(TreeHash(std::span(leaves).subspan(i * span, span)),
               &expected[MakeTileKey(level, i / kTileHashes)]);
    }
  }
  // Level 0 is the records themselves.
  std::erase_if(expected, [](const auto& tile) { return tile.first[0] == 0; });
  lmdb::Cursor cursor = *txn->OpenCursor((*environment)->tables().tiles);
  std::map<Bytes, Bytes> found;
  for (auto entry = cursor.First(); entry.ok() && entry->has_value(); entry = cursor.Next()) {
    found.emplace(Bytes((*entry)->key.begin(), (*entry)->key.end()),
                  Bytes((*entry)->value.begin(), (*entry)->value.end()));
  }
  EXPECT_EQ(found.size(), expected.size());
  EXPECT_TRUE(found == expected) << "of " << leaves.size() << " records";
}

class TilesTest : public JournalTest {
 protected:
  // Appends until the journal holds `size` records.
  void GrowTo(uint64_t size) {
    uint64_t have = *journal_->Size();
    if (have == 1) {
      ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
      ++have;
    }
    while (have < size) {
      std::vector<Event> entries(std::min<uint64_t>(size - have, 500));
      for (Event& entry : entries) entry = SessionUpdated(session_, have++);
      ASSERT_THAT(journal_->Append(entries), IsOk());
    }
  }
};

TEST_F(TilesTest, HoldTheHashesOfTheRecordsAtTheEdgesOfATile) {
  for (const uint64_t size : {2, 255, 256, 257, 511, 512, 513, 1024}) {
    GrowTo(size);
    journal_.reset();
    ExpectTilesAgree(store());
    Open();
  }
}

TEST_F(TilesTest, HaveThreeLevelsAfterSeventyThousandRecords) {
  GrowTo(65'535);
  journal_.reset();
  ExpectTilesAgree(store());
  Open();
  GrowTo(65'536);
  journal_.reset();
  ExpectTilesAgree(store());
  Open();
  GrowTo(70'000);
  EXPECT_EQ(journal_->GetStat()->records, 70'000u);
  journal_.reset();
  ExpectTilesAgree(store());
}

TEST_F(TilesTest, StayRightWhenTwoProcessesTakeTurns) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<test::Program> child,
                              StartChild({"append", store(), "300", "1"}));
  ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
  for (uint64_t n = 0; n < 300; ++n) {
    ASSERT_THAT(journal_->Append(SessionUpdated(session_, n)), IsOk());
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, child->Wait());
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(1u + 2 * 301u));
  journal_.reset();
  ExpectTilesAgree(store());
}

// What a group left behind that was refused by the disk must not be taken for
// part of the tree.
TEST_F(TilesTest, StayRightAfterAGroupThatFailed) {
  Options options;
  options.map_bytes = 1 << 20;
  Open(options);
  GrowTo(250);
  Event large = SessionUpdated(session_, 0);
  for (uint64_t x = 1; large.body.description.size() < 4'000'000;) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    large.body.description += fmt::format("{:016x}", x);
  }
  std::vector<Event> entries(20);
  for (Event& entry : entries) entry = SessionUpdated(session_, 1);
  entries.push_back(large);
  EXPECT_THAT(journal_->Append(entries), StatusIs(Code::kResourceExhausted));
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(250u));
  GrowTo(300);
  journal_.reset();
  ExpectTilesAgree(store());
}

}  // namespace
}  // namespace nimbus::journal
