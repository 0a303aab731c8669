// The cached registry.
#include "nimbus/projections/plugin_registry.h"

#include <cmath>

#include "plugins_fixture.h"

namespace nimbus::projections {
namespace {

using Code = absl::StatusCode;
using test::IsOk;
using test::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PluginRegistryTest : public PluginStoreTest {
 protected:
  void CacheThree() {
    ASSERT_THAT(registry().Cache({{.name = "aws",
                                   .latest_version = "1.3.0",
                                   .description = "Amazon's clouds",
                                   .author = "Nimbus",
                                   .downloads = 500,
                                   .rating = 4.5,
                                   .categories = {"cloud", "provider"},
                                   .metadata = R"({"license":"MIT"})"},
                                  {.name = "k8s",
                                   .latest_version = "2.0.0",
                                   .description = "100% clusters_",
                                   .downloads = 900,
                                   .categories = {"cluster"}},
                                  {.name = "plain", .latest_version = "0.1.0"}}),
                IsOk());
  }
  std::vector<std::string> Found(const RegistryFilter& filter) {
    EXPECT_THAT(CatchUp(), IsOk());
    absl::StatusOr<std::vector<RegistryEntry>> entries = registry().Search(filter);
    EXPECT_THAT(entries, IsOk());
    std::vector<std::string> names;
    if (entries.ok()) {
      for (const RegistryEntry& entry : *entries) names.push_back(entry.name);
    }
    return names;
  }
};

TEST_F(PluginRegistryTest, KeepsWhatTheMarketplaceSays) {
  CacheThree();
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<RegistryEntry> aws, registry().Get("aws"));
  ASSERT_TRUE(aws);
  EXPECT_EQ(aws->latest_version, "1.3.0");
  EXPECT_EQ(aws->description, "Amazon's clouds");
  EXPECT_EQ(aws->author, "Nimbus");
  EXPECT_EQ(aws->downloads, 500);
  EXPECT_EQ(aws->rating, 4.5);
  EXPECT_THAT(aws->categories, ElementsAre("cloud", "provider"));
  EXPECT_EQ(aws->metadata, R"({"license":"MIT"})");
  EXPECT_TRUE(aws->fetched_at_us);
  EXPECT_THAT(Sql("SELECT count(*) FROM plugin_registry WHERE name = 'plain' AND description IS "
                  "NULL AND author IS NULL AND downloads = 0 AND rating IS NULL AND categories IS "
                  "NULL AND metadata IS NULL"),
              ElementsAre("1"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto none, registry().Get("nobody"));
  EXPECT_FALSE(none);
  ExpectRowsAsRebuilt();
}

TEST_F(PluginRegistryTest, IsSearchedByTextAndCategory) {
  CacheThree();
  EXPECT_THAT(Found({}), ElementsAre("k8s", "aws", "plain")) << "the most downloaded first";
  EXPECT_THAT(Found({.text = "AMAZON"}), ElementsAre("aws"));
  EXPECT_THAT(Found({.text = "nimbus"}), ElementsAre("aws"));
  EXPECT_THAT(Found({.text = "8"}), ElementsAre("k8s"));
  EXPECT_THAT(Found({.text = "0% c"}), ElementsAre("k8s"));
  EXPECT_THAT(Found({.text = "%"}), ElementsAre("k8s")) << "no wildcards";
  EXPECT_THAT(Found({.text = "_"}), ElementsAre("k8s"));
  EXPECT_THAT(Found({.text = "'; DROP TABLE plugins"}), IsEmpty());
  EXPECT_THAT(Found({.category = "cloud"}), ElementsAre("aws"));
  EXPECT_THAT(Found({.category = "clou"}), IsEmpty());
  EXPECT_THAT(Found({.text = "k8s", .category = "cloud"}), IsEmpty());
  EXPECT_THAT(Found({.limit = 1}), ElementsAre("k8s"));
  EXPECT_THAT(Found({.limit = 0}), IsEmpty());
  EXPECT_THAT(Found({.limit = UINT64_MAX}).size(), testing::Eq(3u));
}

TEST_F(PluginRegistryTest, EntriesAreReplacedAndGrowOld) {
  CacheThree();
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto before, registry().Get("aws"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written again,
                              registry().Cache({{.name = "aws", .latest_version = "1.4.0"}}));
  EXPECT_EQ(again.id, before->id);
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto after, registry().Get("aws"));
  EXPECT_EQ(after->latest_version, "1.4.0");
  EXPECT_EQ(after->description, std::nullopt) << "all of it is replaced";
  EXPECT_EQ(after->rating, std::nullopt);
  EXPECT_EQ(after->sequence, before->sequence);
  const int64_t now = *after->fetched_at_us;
  EXPECT_GT(now, *before->fetched_at_us);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto last, registry().Get("plain"));
  const int64_t age = now - *last->fetched_at_us;
  EXPECT_THAT(Found({.max_age_us = 0, .now_us = now}), ElementsAre("aws"));
  EXPECT_THAT(Found({.max_age_us = age - 1, .now_us = now}), ElementsAre("aws"));
  EXPECT_THAT(Found({.max_age_us = age, .now_us = now}), testing::Contains("plain"))
      << "fetched then, or later";
  EXPECT_EQ(Found({.max_age_us = INT64_MAX, .now_us = INT64_MIN + 5}).size(), 3u);
  EXPECT_THAT(Found({.max_age_us = 1}), IsEmpty()) << "by the system's clock";
  ExpectRowsAsRebuilt();
}

TEST_F(PluginRegistryTest, EntriesGoAndComeBack) {
  CacheThree();
  ASSERT_THAT(registry().Remove("aws", "withdrawn"), IsOk());
  EXPECT_THAT(Found({}), ElementsAre("k8s", "plain"));
  EXPECT_THAT(registry().Remove("aws"), StatusIs(Code::kNotFound, HasSubstr("no 'aws'")));
  EXPECT_THAT(registry().Remove("nobody"), StatusIs(Code::kNotFound));
  ASSERT_THAT(registry().Cache({{.name = "aws", .latest_version = "2"}}), IsOk());
  EXPECT_THAT(Found({}), ElementsAre("k8s", "aws", "plain"));
  ExpectRowsAsRebuilt();
}

TEST_F(PluginRegistryTest, CachesAllOrNothing) {
  const uint64_t before = Size();
  const NewRegistryEntry good{.name = "good", .latest_version = "1"};
  const auto refuses = [&](NewRegistryEntry bad, const std::string& saying) {
    EXPECT_THAT(registry().Cache({good, std::move(bad)}),
                StatusIs(Code::kInvalidArgument, HasSubstr(saying)));
  };
  refuses({.name = "", .latest_version = "1"}, "entry '': name");
  refuses({.name = "x", .latest_version = ""}, "entry 'x': latest_version");
  refuses({.name = "good", .latest_version = "2"}, "'good' is there twice");
  refuses({.name = "x", .latest_version = "1", .metadata = "{"}, "metadata");
  refuses({.name = "x", .latest_version = "1", .categories = {"\xff"}}, "categories");
  refuses({.name = "x", .latest_version = "1", .downloads = UINT64_MAX}, "downloads");
  refuses({.name = "x", .latest_version = "1", .rating = std::nan("")}, "rating");
  EXPECT_THAT(registry().Cache({}), StatusIs(Code::kInvalidArgument, HasSubstr("0 entries")));
  EXPECT_EQ(Size(), before);
  std::vector<NewRegistryEntry> many;
  for (size_t i = 0; i < kRegistryEntriesMax; ++i) {
    many.push_back({.name = fmt::format("p{}", i), .latest_version = "1"});
  }
  ASSERT_THAT(registry().Cache(many), IsOk());
  EXPECT_EQ(Size(), before + kRegistryEntriesMax);
  many.push_back(good);
  EXPECT_THAT(registry().Cache(many), StatusIs(Code::kInvalidArgument, HasSubstr("4097 entries")));
  EXPECT_EQ(Found({}).size(), kListingLimitDefault);
}

}  // namespace
}  // namespace nimbus::projections
