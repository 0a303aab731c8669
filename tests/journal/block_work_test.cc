#include "block_work.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace nimbus::journal {
namespace {

// Text that the levels compress differently.
Bytes TextOf(size_t seed) {
  Bytes text;
  uint64_t x = seed;
  while (text.size() < 20'000) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    const std::string word = "word" + std::to_string((x >> 33) % 600) + (x >> 60 == 0 ? "." : " ");
    text.insert(text.end(), word.begin(), word.end());
  }
  text.resize(20'000);
  return text;
}

class BlockWorkTest : public testing::Test {
 protected:
  BlockWorkTest() {
    for (size_t i = 0; i < 40; ++i) texts_.push_back(TextOf(i));
    for (const Bytes& text : texts_) {
      PackedBlock block;
      const std::span<const uint8_t> all(text);
      block.pieces = {all.first(4'096), all.subspan(4'096)};
      blocks_.push_back(std::move(block));
    }
    for (PackedBlock& block : blocks_) pointers_.push_back(&block);
  }

  void ExpectAllCompressed() {
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const BlockEntry& entry = blocks_[i].entry;
      EXPECT_EQ(entry.codec, Codec::kZstd);
      EXPECT_EQ(entry.stored_bytes, entry.stored.size());
      const absl::StatusOr<Bytes> plain =
          DecodeStored(entry.codec, entry.stored, {}, texts_[i].size());
      ASSERT_TRUE(plain.ok()) << i;
      EXPECT_EQ(*plain, texts_[i]) << i;
    }
  }

  std::vector<Bytes> texts_;
  std::vector<PackedBlock> blocks_;
  std::vector<PackedBlock*> pointers_;
};

TEST_F(BlockWorkTest, CompressesThePiecesOfEachBlockAtItsLevel) {
  BlockWork work(9);
  work.Begin();
  work.Compress(pointers_);
  work.End();
  ExpectAllCompressed();
  EXPECT_EQ(blocks_.front().stored, EncodeStored(texts_.front(), {}, 9).bytes);
}

TEST_F(BlockWorkTest, HelpReturnsAtOnceWhenNothingIsUnderWay) {
  BlockWork work(3);
  work.Help();
  work.Begin();
  work.Compress(pointers_);
  work.End();
  work.Help();
  ExpectAllCompressed();
  EXPECT_EQ(blocks_.back().stored, EncodeStored(texts_.back(), {}, 3).bytes);
}

TEST_F(BlockWorkTest, HelpersShareTheBlocksAndWaitForTheEnd) {
  BlockWork work(19);
  for (int round = 0; round < 20; ++round) {
    work.Begin();
    std::atomic<bool> ended = false;
    std::vector<std::thread> helpers;
    for (int i = 0; i < 3; ++i) {
      helpers.emplace_back([&] {
        work.Help();
        EXPECT_TRUE(ended);
      });
    }
    work.Compress(std::span(pointers_).first(15));
    work.Compress(std::span(pointers_).subspan(15));
    ended = true;
    work.End();
    for (std::thread& helper : helpers) helper.join();
    ExpectAllCompressed();
  }
}

TEST_F(BlockWorkTest, WhoKeepsPaceNeitherWaitsNorTakesMoreThanItsShare) {
  BlockWork work(9);
  work.KeepPace(1);  // nothing is under way
  std::atomic<bool> ended = false;
  std::vector<std::thread> pacers;
  for (const double share : {0.0, 0.3, 1.0}) {
    pacers.emplace_back([&work, &ended, share] {
      while (!ended) work.KeepPace(share);
    });
  }
  for (int round = 0; round < 20; ++round) {
    work.Begin();
    work.KeepPace(1);  // returns: there are no blocks yet, and it waits for none
    work.Compress(pointers_);
    work.End();
    ExpectAllCompressed();
    EXPECT_EQ(blocks_.back().stored, EncodeStored(texts_.back(), {}, 9).bytes);
  }
  ended = true;
  for (std::thread& pacer : pacers) pacer.join();
}

}  // namespace
}  // namespace nimbus::journal
