// An archive gives back the bodies that were put in, or says that it is damaged.
#include "archive.h"

#include <filesystem>
#include <map>
#include <random>

#include "body_reader.h"
#include "fixture.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;

class ArchiveTest : public ::testing::Test {
 protected:
  std::string Path() const { return (directory_ / "bodies.nmar").string(); }

  // `count` bodies at growing distances, some repeating what came before.
  void Fill(int count) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto writer, ArchiveWriter::Create(Path(), journal_, {}));
    std::string context;
    uint64_t sequence = 3;
    for (int n = 0; n < count; ++n) {
      context += fmt::format("line {} of a context that grows\n", random_());
      const std::string text = n % 3 == 0 ? context : fmt::format("body {}", n);
      const EntryBody body{.bytes = {reinterpret_cast<const uint8_t*>(text.data()), text.size()},
                           .nonce = NewNonce()};
      ASSERT_THAT(writer->Add(stream_, sequence, body), IsOk());
      bodies_[sequence] = text;
      sequence += 1 + random_() % 100;
    }
    EXPECT_FALSE(fs::exists(Path())) << "not before it is sealed";
    ASSERT_THAT(writer->Seal(), IsOk());
    EXPECT_EQ(writer->bytes(), fs::file_size(Path()));
    EXPECT_EQ(writer->bodies(), static_cast<uint64_t>(count));
  }

  test::TempDir directory_;
  const Uuid journal_ = schema::NewUuid();
  const Uuid stream_ = schema::NewUuid();
  std::map<uint64_t, std::string> bodies_;
  std::mt19937_64 random_{17};
};

TEST_F(ArchiveTest, GivesBackEveryBodyAndNoOther) {
  Fill(2000);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto archive, Archive::Open(Path(), journal_));
  EXPECT_THAT(archive->CheckDigest(), IsOk());
  BodyReader reader([&](uint64_t s, Bytes* bytes) { return archive->ReadBlock(s, bytes); },
                    1 << 20);
  for (uint64_t sequence = 0; sequence <= bodies_.rbegin()->first + 2; ++sequence) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<PlainBody> body, reader.Read(sequence));
    const auto expected = bodies_.find(sequence);
    ASSERT_EQ(body.has_value(), expected != bodies_.end()) << sequence;
    if (!body.has_value()) continue;
    EXPECT_EQ(std::string(body->bytes.begin(), body->bytes.end()), expected->second);
  }
}

TEST_F(ArchiveTest, TakesBodiesOfAnySize) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto writer, ArchiveWriter::Create(Path(), journal_, {}));
  Bytes noise(3'000'000);
  for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random_());
  const size_t sizes[] = {1, 3'000'000, 7, 262'144, 1'048'576, 1'048'577};
  uint64_t sequence = 0;
  for (const size_t size : sizes) {
    ASSERT_THAT(writer->Add(stream_, sequence++, {.bytes = std::span(noise).first(size)}), IsOk());
  }
  ASSERT_THAT(writer->Seal(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto archive, Archive::Open(Path(), journal_));
  BodyReader reader([&](uint64_t s, Bytes* bytes) { return archive->ReadBlock(s, bytes); }, 0);
  for (sequence = 0; sequence < std::size(sizes); ++sequence) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<PlainBody> body, reader.Read(sequence));
    ASSERT_TRUE(body.has_value());
    EXPECT_TRUE(std::equal(body->bytes.begin(), body->bytes.end(), noise.begin(),
                           noise.begin() + static_cast<long>(sizes[sequence])));
  }
}

TEST_F(ArchiveTest, IsNoneWhenItIsNotSealed) {
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto writer, ArchiveWriter::Create(Path(), journal_, {}));
    ASSERT_THAT(writer->Add(stream_, 1, {.bytes = journal_.bytes}), IsOk());
  }
  EXPECT_TRUE(fs::is_empty(directory_.path()));
  EXPECT_THAT(Archive::Open(Path(), journal_), StatusIs(Code::kNotFound));
}

TEST_F(ArchiveTest, OfAnotherJournalIsRefused) {
  Fill(5);
  EXPECT_THAT(Archive::Open(Path(), stream_), StatusIs(Code::kDataLoss));
}

TEST_F(ArchiveTest, SaysWhereverItIsChangedOrCutOff) {
  Fill(12);
  const std::string whole = *test::ReadFile(Path());
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    ASSERT_TRUE(test::WriteFile(Path(), changed));
    const auto archive = Archive::Open(Path(), journal_);
    ASSERT_FALSE(archive.ok() && (*archive)->CheckDigest().ok()) << "byte " << at;
    if (!archive.ok()) continue;
    // Reading it anyway is an error or some bytes, which a commitment would refuse.
    Bytes bytes;
    for (const auto& [sequence, text] : bodies_) {
      const auto block = (*archive)->ReadBlock(sequence, &bytes);
      ASSERT_TRUE(block.ok() || absl::IsDataLoss(block.status())) << block.status().ToString();
    }
  }
  for (size_t size = 0; size < whole.size(); ++size) {
    ASSERT_TRUE(test::WriteFile(Path(), whole.substr(0, size)));
    const auto archive = Archive::Open(Path(), journal_);
    ASSERT_FALSE(archive.ok() && (*archive)->CheckDigest().ok()) << "cut at " << size;
  }
}

}  // namespace
}  // namespace nimbus::journal
