#include "nimbus/schema/id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "testing/status_matchers.h"

namespace nimbus::schema {
namespace {

using test::StatusIs;

int VersionOf(const Uuid& id) { return id.bytes[6] >> 4; }
int VariantOf(const Uuid& id) { return id.bytes[8] >> 6; }

TEST(UuidTest, TextRoundTripsInEitherCase) {
  const std::string text = "01a206c7-eecf-701e-8be0-5063e5d3a335";
  const Uuid id = *ParseUuid(text);
  EXPECT_EQ(id.ToString(), text);
  EXPECT_EQ(*ParseUuid("01A206C7-EECF-701E-8BE0-5063E5D3A335"), id);
  EXPECT_EQ(Uuid::FromFb(id.ToFb()), id);
}

TEST(UuidTest, RefusesWhatIsNoUuid) {
  for (const char* text :
       {"", "01a206c7", "01a206c7-eecf-701e-8be0-5063e5d3a33",
        "01a206c7-eecf-701e-8be0-5063e5d3a3355", "01a206c7+eecf-701e-8be0-5063e5d3a335",
        "g1a206c7-eecf-701e-8be0-5063e5d3a335", "01a206c7eecf-701e-8be0-5063e5d3a335-"}) {
    EXPECT_THAT(ParseUuid(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
}

// The example of RFC 9562, appendix A.6.
TEST(UuidTest, VersionSevenIsThatOfTheRfc) {
  const Uuid id =
      MakeUuidV7(0x017F22E279B0, {0x0C, 0xC3, 0x18, 0xC4, 0xDC, 0x0C, 0x0C, 0x07, 0x39, 0x8F});
  EXPECT_EQ(id.ToString(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

TEST(UuidTest, NewIdsAreDistinctAndInOrderWithinAThread) {
  constexpr int kThreads = 4, kIds = 20'000;
  std::vector<std::vector<Uuid>> made(kThreads);
  std::vector<std::thread> threads;
  for (std::vector<Uuid>& ids : made) {
    threads.emplace_back([&ids] {
      for (int i = 0; i < kIds; ++i) ids.push_back(NewUuid());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<Uuid> all;
  for (const std::vector<Uuid>& ids : made) {
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
    all.insert(ids.begin(), ids.end());
  }
  EXPECT_EQ(all.size(), size_t{kThreads} * kIds);
  EXPECT_EQ(VersionOf(*all.begin()), 7);
  EXPECT_EQ(VariantOf(*all.begin()), 2);
}

TEST(UuidTest, DerivedIdsDependOnScopeAndNameAlone) {
  const Uuid id = DeriveUuid("claude-code", "session");
  EXPECT_EQ(DeriveUuid("claude-code", "session"), id);
  EXPECT_NE(DeriveUuid("claude-code", "sessions"), id);
  EXPECT_NE(DeriveUuid("claude-codes", "ession"), id);  // the border between them counts
  EXPECT_EQ(VersionOf(id), 8);
  EXPECT_EQ(VariantOf(id), 2);
}

}  // namespace
}  // namespace nimbus::schema
