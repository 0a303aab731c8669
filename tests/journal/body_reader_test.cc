// Chains of bodies: as long as they may be and no longer, and never poisoned.
#include "body_reader.h"

#include <bit>
#include <string>

#include "base_cache.h"
#include "fixture.h"

namespace nimbus::journal {
namespace {

// Text that does not compress alone, and repeats all that came before it. Too
// long from the start to be packed with its neighbours.
class GrowingText {
 public:
  std::string Next() {
    for (int i = 0; i < 8 || text_.size() < kPackableBytesMax; ++i) {
      x_ = x_ * 6364136223846793005u + 1442695040888963407u;
      text_ += fmt::format("{:016x}", x_);
    }
    return "\"" + text_ + "\"";
  }

 private:
  uint64_t x_ = 1;
  std::string text_;
};

class BodyReaderTest : public JournalTest {
 protected:
  uint64_t AppendStep(const std::string& input) {
    absl::StatusOr<Appended> appended =
        journal_->Append(StepAdded(operation_, schema::NewUuid(), input));
    EXPECT_THAT(appended, IsOk());
    return appended.ok() ? appended->first : 0;
  }

  std::string ReadInput(uint64_t sequence) {
    Reader reader(*journal_, {.body_cache_bytes_max = 0});
    absl::StatusOr<const RecordView*> record = reader.Read(sequence);
    EXPECT_THAT(record, IsOk());
    absl::StatusOr<const schema::fb::Body*> body = reader.Body(**record);
    EXPECT_THAT(body, IsOk()) << "record " << sequence;
    return body.ok() ? (*body)->input()->str() : "";
  }

  // A step's input whose body takes so many bytes in a block.
  std::string InputOf(size_t plain_bytes) const {
    for (size_t size = plain_bytes; size > 0; --size) {
      std::string input = "\"" + std::string(size, 'a') + "\"";
      const Bytes body = schema::EncodeBody(StepAdded(operation_, schema::NewUuid(), input));
      const BodyExtent extent{.bytes = body.size()};
      if (BlockBytes({&extent, 1}) == plain_bytes) return input;
    }
    return "";
  }

  // All blocks as they are stored, by the sequences of their bodies. Closes the journal.
  std::map<uint64_t, BlockEntry> StoredEntries() {
    const uint64_t size = *journal_->Size();
    journal_.reset();
    std::map<uint64_t, BlockEntry> entries;
    absl::StatusOr<std::unique_ptr<Environment>> environment = Environment::Open(store(), {});
    EXPECT_THAT(environment, IsOk());
    Bytes bytes;
    for (uint64_t sequence = 0; sequence < size; ++sequence) {
      absl::StatusOr<std::optional<BlockEntry>> entry = (*environment)->ReadBlock(sequence, &bytes);
      EXPECT_THAT(entry, IsOk());
      if (!entry->has_value()) continue;
      (*entry)->stored = {};
      entries.emplace(sequence, **entry);
    }
    return entries;
  }

  // Bases decoded before this body, found by following them.
  static int DepthOf(const std::map<uint64_t, BlockEntry>& entries, uint64_t sequence) {
    int depth = 0;
    for (auto base = entries.at(sequence).base; base.has_value(); base = entries.at(*base).base) {
      ++depth;
    }
    return depth;
  }
};

TEST_F(BodyReaderTest, ChainsAreAsDeepAsTheirNumberHasBits) {
  Begin();
  GrowingText text;
  std::vector<std::pair<uint64_t, std::string>> written;
  for (int i = 0; i < 130; ++i) {
    const std::string input = text.Next();
    written.emplace_back(AppendStep(input), input);
  }
  for (const auto& [sequence, input] : written) EXPECT_EQ(ReadInput(sequence), input);
  const std::map<uint64_t, BlockEntry> entries = StoredEntries();
  for (uint64_t n = 0; n < written.size(); ++n) {
    const BlockEntry& entry = entries.at(written[n].first);
    EXPECT_EQ(DepthOf(entries, entry.first()), std::popcount(n)) << "body " << n;
    EXPECT_EQ(entry.depth, std::popcount(n)) << "body " << n;
    if (n > 0) {
      EXPECT_EQ(entry.base, written[n & (n - 1)].first);
    }
  }
}

TEST_F(BodyReaderTest, LeavesWhatIsBelowALimitToBePackedAndChainsTheRest) {
  Begin();
  const std::string below = InputOf(kPackableBytesMax - 8), at = InputOf(kPackableBytesMax);
  const uint64_t sequences[] = {AppendStep(below), AppendStep(below), AppendStep(at),
                                AppendStep(at)};
  EXPECT_EQ(ReadInput(sequences[1]), below);
  EXPECT_EQ(ReadInput(sequences[3]), at);
  const std::map<uint64_t, BlockEntry> entries = StoredEntries();
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(entries.at(sequences[i]).codec, Codec::kZstd);
    EXPECT_EQ(entries.at(sequences[i]).base, std::nullopt) << i;
  }
  EXPECT_EQ(entries.at(sequences[3]).base, sequences[2]);
}

TEST_F(BodyReaderTest, ChainsOfOneAppendAndOfManyStayWithinTheLimit) {
  Begin();
  GrowingText text;
  for (int round = 0; round < 60; ++round) {
    std::vector<Event> events(1 + static_cast<size_t>(round * 7 % 5));
    for (Event& event : events) event = StepAdded(operation_, schema::NewUuid(), text.Next());
    ASSERT_THAT(journal_->Append(events), IsOk());
  }
  const std::map<uint64_t, BlockEntry> entries = StoredEntries();
  for (const auto& [sequence, entry] : entries) {
    EXPECT_LE(DepthOf(entries, sequence), kBlockDepthMax);
    EXPECT_EQ(DepthOf(entries, sequence), entry.depth) << sequence;
  }
}

// The blocks of one append are each other's bases, one after the other.
TEST_F(BodyReaderTest, ABaseAtTheDepthLimitIsNotUsed) {
  Begin();
  const std::string text(kBlockBytesMax - 1000, 'a');  // one body a block
  std::vector<Event> events(kBlockDepthMax + 3);
  for (Event& event : events) event = StepAdded(operation_, schema::NewUuid(), "\"" + text + "\"");
  absl::StatusOr<Appended> appended = journal_->Append(events);
  ASSERT_THAT(appended, IsOk());
  EXPECT_EQ(ReadInput(appended->first + kBlockDepthMax), "\"" + text + "\"");
  const std::map<uint64_t, BlockEntry> entries = StoredEntries();
  EXPECT_EQ(DepthOf(entries, appended->first + kBlockDepthMax - 1), kBlockDepthMax - 1);
  EXPECT_EQ(DepthOf(entries, appended->first + kBlockDepthMax), kBlockDepthMax);
  EXPECT_EQ(DepthOf(entries, appended->first + kBlockDepthMax + 1), 0);
  EXPECT_EQ(DepthOf(entries, appended->first + kBlockDepthMax + 2), 1);
}

TEST_F(BodyReaderTest, ReadsBackWhatWasWrittenAcrossReopeningAndByAnotherChain) {
  Begin();
  GrowingText text;
  std::vector<std::pair<uint64_t, std::string>> written;
  for (int i = 0; i < 30; ++i) {
    if (i % 7 == 6) Open();  // a cold cache begins a new chain
    const std::string input = text.Next();
    written.emplace_back(AppendStep(input), input);
  }
  Open();
  for (const auto& [sequence, input] : written) EXPECT_EQ(ReadInput(sequence), input);
}

// The text of a retry is not what the journal holds under the sequence it
// answers with; nothing may be compressed against it.
TEST_F(BodyReaderTest, ARetryDoesNotBecomeABase) {
  Begin();
  GrowingText text, other;
  const std::string first = text.Next();
  for (int i = 0; i < 10; ++i) other.Next();
  const AppendId id{7};
  const Event original = StepAdded(operation_, schema::NewUuid(), first);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended appended,
                              journal_->Append(original, {.append_id = id}));
  Open();
  const Event retry = StepAdded(operation_, schema::NewUuid(), other.Next());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended again, journal_->Append(retry, {.append_id = id}));
  EXPECT_EQ(again.first, appended.first);
  const std::string later = other.Next();
  const uint64_t sequence = AppendStep(later);
  EXPECT_EQ(ReadInput(sequence), later);
  EXPECT_EQ(ReadInput(appended.first), first);
}

TEST_F(BodyReaderTest, ARefusedAppendDoesNotBecomeABase) {
  Begin();
  GrowingText text;
  const Uuid step = schema::NewUuid();
  ASSERT_THAT(journal_->Append(StepAdded(operation_, step, text.Next())), IsOk());
  const std::string refused = text.Next();
  EXPECT_THAT(journal_->Append(StepAdded(operation_, step, refused)),
              StatusIs(Code::kAlreadyExists));
  const std::string later = text.Next();
  EXPECT_EQ(ReadInput(AppendStep(later)), later);
}

TEST_F(BodyReaderTest, KeepsBodiesAtTheEdgesOfAPiece) {
  Begin();
  std::vector<std::pair<uint64_t, std::string>> written;
  for (const size_t size : {kChunkBytes - 100, kChunkBytes, 3 * kChunkBytes + 1}) {
    Event event = MakeEvent(EntityKind::session, session_, schema::fb::SessionUpdatedT());
    event.body.description.reserve(size);
    for (uint64_t x = size; event.body.description.size() < size;) {
      x = x * 6364136223846793005u + 1442695040888963407u;
      event.body.description += static_cast<char>(' ' + (x >> 58));
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Appended appended, journal_->Append(event));
    written.emplace_back(appended.first, event.body.description);
  }
  Reader reader(*journal_);
  for (const auto& [sequence, text] : written) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* record, reader.Read(sequence));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const schema::fb::Body* body, reader.Body(*record));
    EXPECT_TRUE(body->description()->string_view() == text);
  }
}

PlainBlock Plain(uint64_t sequence, size_t size) {
  return {.bytes = std::make_shared<const Bytes>(size), .bodies = {{.sequence = sequence}}};
}

TEST(BlockCacheTest, EvictsTheLeastRecentlyUsedToStayWithinItsBytes) {
  BlockCache cache(100);
  cache.Insert(Plain(1, 40));
  cache.Insert(Plain(2, 40));
  ASSERT_NE(cache.Find(1), nullptr);
  cache.Insert(Plain(3, 20));  // exactly full
  EXPECT_NE(cache.Find(2), nullptr);
  EXPECT_NE(cache.Find(1), nullptr);
  cache.Insert(Plain(4, 1));
  EXPECT_EQ(cache.Find(3), nullptr);  // used least recently
  EXPECT_NE(cache.Find(2), nullptr);
  EXPECT_NE(cache.Find(1), nullptr);
}

TEST(BlockCacheTest, DoesNotKeepABodyLargerThanAllItMayKeep) {
  BlockCache cache(100);
  cache.Insert(Plain(1, 50));
  cache.Insert(Plain(2, 101));
  EXPECT_EQ(cache.Find(2), nullptr);
  cache.Insert(Plain(3, 100));
  EXPECT_NE(cache.Find(3), nullptr);
  EXPECT_EQ(cache.Find(1), nullptr);
}

class BaseCacheTest : public ::testing::Test {
 protected:
  static Base BaseOf(uint64_t sequence, size_t size) {
    return {.sequence = sequence, .depth = 0, .bytes = std::make_shared<const Bytes>(size)};
  }
  static ChainKey NewKey() { return {schema::NewUuid(), schema::fb::Event::StepAdded}; }
};

TEST_F(BaseCacheTest, OffersTheBodyWithoutItsLowestBit) {
  BaseCache cache(1 << 20);
  const ChainKey key = NewKey();
  for (uint64_t n = 0; n < 200; ++n) {
    const std::optional<Base> base = cache.ForNext(key);
    ASSERT_EQ(base.has_value(), n > 0);
    if (n > 0) {
      EXPECT_EQ(base->sequence, 1000 + (n & (n - 1)));
    }
    cache.Add(key, BaseOf(1000 + n, 10));
  }
  EXPECT_FALSE(cache.ForNext(NewKey()).has_value());
  EXPECT_FALSE(cache.ForNext({key.first, schema::fb::Event::StepCompleted}).has_value());
}

TEST_F(BaseCacheTest, ForgetsTheStreamsUsedLeastRecentlyToStayWithinItsBytes) {
  BaseCache cache(1000);
  std::vector<ChainKey> keys(11);
  for (ChainKey& key : keys) key = NewKey();
  for (size_t i = 0; i < 10; ++i) cache.Add(keys[i], BaseOf(i, 100));
  EXPECT_TRUE(cache.ForNext(keys[0]).has_value());
  cache.Add(keys[0], BaseOf(50, 0));
  cache.Add(keys[10], BaseOf(10, 100));
  EXPECT_FALSE(cache.ForNext(keys[1]).has_value());
  for (const size_t kept : {0, 2, 9, 10}) EXPECT_TRUE(cache.ForNext(keys[kept]).has_value());
  cache.Add(keys[2], BaseOf(99, 1001));  // too large to be kept at all
  EXPECT_FALSE(cache.ForNext(keys[2]).has_value());
}

}  // namespace
}  // namespace nimbus::journal
