#include "tools/import/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "testing/status_matchers.h"
#include "tools/import/source.h"
#include "tools/import/zip_writer.h"

namespace nimbus::tools::import {
namespace {

using schema::Json;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using test::WriteZip;
using test::ZipMember;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Method = ZipMember::Method;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;

// The members one after the other, or the first error.
absl::StatusOr<std::string> ReadAll(const std::string& bytes, const ArchiveLimits& limits = {}) {
  auto archive = Archive::Open(bytes, limits);
  if (!archive.ok()) return archive.status();
  std::string all;
  while (const std::optional<std::string> name = archive->NextName()) {
    const auto content = archive->Read();
    if (!content.ok()) return content.status();
    all += *name + "=" + *content + ";";
  }
  return all;
}

absl::StatusOr<Source> Parse(const std::string& bytes, const SourceOptions& options = {}) {
  return ParseSource("log.eval", bytes, options);
}

TEST(ArchiveTest, ReadsStoredDeflatedAndZstdMembersInOrder) {
  const std::string text(1000, 'x');
  const std::string bytes = WriteZip(
      {{"b", "1"}, {"dir/a", text, Method::kDeflate}, {"c", text, Method::kZstd}, {"empty", ""}});
  EXPECT_TRUE(IsArchive(bytes));
  EXPECT_THAT(ReadAll(bytes), IsOkAndHolds("b=1;dir/a=" + text + ";c=" + text + ";empty=;"));
}

TEST(ArchiveTest, AnArchiveMayBeEmpty) {
  EXPECT_TRUE(IsArchive(WriteZip({})));
  EXPECT_THAT(ReadAll(WriteZip({})), IsOkAndHolds(""));
  EXPECT_FALSE(IsArchive("{\"a\":1}"));
}

TEST(ArchiveTest, RefusesWhatIsCutOffAnywhere) {
  const std::string bytes = WriteZip({{"a", std::string(100, 'a'), Method::kDeflate},
                                      {"b", std::string(100, 'b'), Method::kZstd}});
  for (size_t size = 4; size < bytes.size(); ++size) {
    EXPECT_THAT(ReadAll(bytes.substr(0, size)), StatusIs(kInvalid, HasSubstr("zip: "))) << size;
  }
}

TEST(ArchiveTest, RefusesTwoMembersOfOneName) {
  EXPECT_THAT(ReadAll(WriteZip({{"a", "1"}, {"b", "2"}, {"a", "1"}})),
              StatusIs(kInvalid, HasSubstr("two members are named 'a'")));
}

TEST(ArchiveTest, RefusesWhatAChecksumDoesNotHold) {
  for (const Method method : {Method::kStored, Method::kDeflate, Method::kZstd}) {
    EXPECT_THAT(ReadAll(WriteZip({{"name", "content", method, false, 7u}})),
                StatusIs(kInvalid, AllOf(HasSubstr("name: "), HasSubstr("CRC"))));
  }
}

TEST(ArchiveTest, RefusesOtherCompressionsAndEncryption) {
  EXPECT_THAT(ReadAll(WriteZip({{"name", "content", Method::kBzip2}})),
              StatusIs(kInvalid, HasSubstr("name: zip: ")));
  for (const Method method : {Method::kDeflate, Method::kZstd}) {
    EXPECT_THAT(ReadAll(WriteZip({{"name", "content", method, true}})),
                StatusIs(kInvalid, HasSubstr("name: zip: ")));
  }
}

TEST(ArchiveTest, CountsWhatAMemberBecomesAndNotWhatItSays) {
  for (const Method method : {Method::kDeflate, Method::kZstd}) {
    const std::string bomb =
        WriteZip({{"bomb", std::string(1 << 20, 'x'), method, false, std::nullopt, 5u}});
    EXPECT_LT(bomb.size(), 10'000u);
    EXPECT_THAT(ReadAll(bomb, {.member_bytes_max = 1000}),
                StatusIs(kExhausted, HasSubstr("bomb: larger than the limit of 1000")));
  }
}

TEST(ArchiveTest, HasLimitsThatCanBeReached) {
  for (const Method method : {Method::kStored, Method::kDeflate, Method::kZstd}) {
    const std::string bytes =
        WriteZip({{"a", std::string(100, 'a'), method}, {"b", std::string(50, 'b'), method}});
    const ArchiveLimits limits{.members_max = 2, .member_bytes_max = 100, .total_bytes_max = 150};
    EXPECT_THAT(ReadAll(bytes, limits), IsOk());
    ArchiveLimits less = limits;
    less.members_max = 1;
    EXPECT_THAT(ReadAll(bytes, less), StatusIs(kExhausted, HasSubstr("2 members, 1 are allowed")));
    less = limits;
    less.member_bytes_max = 99;
    EXPECT_THAT(ReadAll(bytes, less), StatusIs(kExhausted, HasSubstr("a: ")));
    less = limits;
    less.total_bytes_max = 149;
    EXPECT_THAT(ReadAll(bytes, less), StatusIs(kExhausted, HasSubstr("b: ")));
  }
}

TEST(ArchiveTest, DamagedIsReadOrRefused) {
  const std::string bytes = WriteZip({{"a.json", std::string(300, '1'), Method::kDeflate},
                                      {"b.json", std::string(300, '2'), Method::kZstd},
                                      {"c.json", std::string(300, '3')}});
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = bytes;
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    refused += ReadAll(damaged, {.total_bytes_max = 10'000}).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 1000);
}

TEST(ArchiveSourceTest, IsOneRecordOfItsOwnBytesWithTheMembersThatAreJson) {
  const std::string bytes = WriteZip({{"b.json", "{\"x\":[1]}", Method::kDeflate},
                                      {"notes.txt", "hello"},
                                      {"dir/a.json", "2", Method::kZstd}});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Source source, Parse(bytes));
  EXPECT_TRUE(source.archive);
  EXPECT_EQ(source.shape, Source::Shape::kDocument);
  ASSERT_EQ(source.records.size(), 1u);
  EXPECT_EQ(source.records[0].text, bytes);
  EXPECT_EQ(source.records[0].value.Dump(), R"({"b.json":{"x":[1]},"dir/a.json":2})");
}

TEST(ArchiveSourceTest, NamesAMemberSoThatATerminalIsNotFooled) {
  EXPECT_THAT(
      Parse(WriteZip({{"\x1b[31m.json", "{"}})),
      StatusIs(kInvalid, AllOf(HasSubstr("[31m.json: malformed JSON"), Not(HasSubstr("\x1b")))));
}

TEST(ArchiveSourceTest, NamesTheMemberThatIsNoJson) {
  EXPECT_THAT(Parse(WriteZip({{"a.json", "{}"}, {"b.json", "{\"x\":"}})),
              StatusIs(kInvalid, HasSubstr("b.json: malformed JSON")));
  SourceOptions options;
  options.archive_members_max = 1;
  EXPECT_THAT(Parse(WriteZip({{"a.json", "{}"}}), options), IsOk());
  EXPECT_THAT(Parse(WriteZip({{"a.json", "{}"}, {"b", ""}}), options), StatusIs(kExhausted));
}

}  // namespace
}  // namespace nimbus::tools::import
