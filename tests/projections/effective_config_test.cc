// Which value is in effect, and what it hides.
#include "effective_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using Code = absl::StatusCode;
using test::IsOk;
using test::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Preference Pref(std::string key, std::string value, std::optional<std::string> def) {
  return {.id = "pref_" + key,
          .key = std::move(key),
          .value = std::move(value),
          .default_value = std::move(def)};
}

// "key=value layer (key=value layer …)" of each.
std::vector<std::string> Merged(const ConfigRows& rows, std::string_view key = "") {
  const auto values = MergeConfig(rows, key);
  EXPECT_THAT(values, IsOk());
  std::vector<std::string> texts;
  for (const EffectiveValue& value : values.value_or(std::vector<EffectiveValue>())) {
    std::string text =
        fmt::format("{}={} {}", value.key, value.value, LayerText(value.source.layer));
    for (const ShadowedValue& below : value.shadows) {
      text += fmt::format(" ({}={} {})", below.key, below.value, LayerText(below.source.layer));
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

ConfigRows Rows(std::vector<Preference> preferences, std::string environment = "",
                std::string profile = "") {
  ConfigRows rows{.preferences = std::move(preferences), .environment = {}, .profile = {}};
  if (!environment.empty()) {
    rows.environment.emplace();
    rows.environment->config = std::move(environment);
  }
  if (!profile.empty()) {
    rows.profile.emplace();
    rows.profile->config = std::move(profile);
  }
  return rows;
}

TEST(EffectiveConfigTest, APreferenceHidesItsDefaultWhenItIsAnother) {
  EXPECT_THAT(Merged(Rows({Pref("a", "1", "1.0")})), ElementsAre("a=1.0 default"));
  EXPECT_THAT(Merged(Rows({Pref("a", "2", "1")})), ElementsAre("a=2 preference (a=1 default)"));
  EXPECT_THAT(Merged(Rows({Pref("a", "2", std::nullopt)})), ElementsAre("a=2 preference"));
  EXPECT_THAT(Merged(Rows({})), IsEmpty());
}

TEST(EffectiveConfigTest, ObjectsAreMergedMemberByMember) {
  EXPECT_THAT(Merged(Rows({Pref("o", R"({"x":1,"y":{"z":[1]}})", R"({"x":0})")},
                          R"({"o":{"y":{"w":null}}})", R"({"o.y":{"z":[]},"p":{}})")),
              ElementsAre("o.x=1 preference (o.x=0 default)", "o.y.w=null environment",
                          "o.y.z=[] profile (o.y.z=[1] preference)", "p={} profile"));
}

TEST(EffectiveConfigTest, AValueTakesThePlaceOfThoseBelowAndAboveItsKey) {
  const std::vector<Preference> preferences = {Pref("ui.theme", "1", "0"), Pref("ui.font", "2", {}),
                                               Pref("ui-x", "3", {}), Pref("uix", "4", {})};
  EXPECT_THAT(Merged(Rows(preferences, R"({"ui":"plain"})")),
              ElementsAre("ui=\"plain\" environment (ui.font=2 preference) (ui.theme=1 preference) "
                          "(ui.theme=0 default)",
                          "ui-x=3 preference", "uix=4 preference"));
  EXPECT_THAT(Merged(Rows(preferences, R"({"ui":"plain"})", R"({"ui":{"a":5}})"), "ui"),
              ElementsAre("ui.a=5 profile (ui=\"plain\" environment) (ui.font=2 preference) "
                          "(ui.theme=1 preference) (ui.theme=0 default)"));
}

TEST(EffectiveConfigTest, OneKeyIsThatValueOrThoseBelowIt) {
  const ConfigRows rows = Rows({Pref("a.b", "1", {}), Pref("a.c.d", "2", {}), Pref("ab", "3", {})});
  EXPECT_THAT(Merged(rows, "a"), ElementsAre("a.b=1 preference", "a.c.d=2 preference"));
  EXPECT_THAT(Merged(rows, "a.c.d"), ElementsAre("a.c.d=2 preference"));
  EXPECT_THAT(Merged(rows, "a."), IsEmpty());
  EXPECT_THAT(Merged(rows, "a.c.d.e"), IsEmpty());
}

TEST(EffectiveConfigTest, WhatWasErasedOrIsEmptyCountsForNothing) {
  EXPECT_THAT(Merged(Rows({Pref("a", R"({"$erased":7})", "1"), Pref("b", R"({"$erased":8})", {})},
                          R"({"$erased":9})", "{}")),
              ElementsAre("a=1 default"));
}

TEST(EffectiveConfigTest, RowsThatHoldNoJsonAreDamaged) {
  EXPECT_THAT(MergeConfig(Rows({Pref("a", "{", {})}), ""),
              StatusIs(Code::kDataLoss, HasSubstr("a")));
  EXPECT_THAT(MergeConfig(Rows({Pref("a", "1", "nope")}), ""),
              StatusIs(Code::kDataLoss, HasSubstr("default value of 'a'")));
  EXPECT_THAT(MergeConfig(Rows({}, "", "{"), ""), StatusIs(Code::kDataLoss));
}

TEST(EffectiveConfigTest, DeepAndWideConfigsAreMergedWhole) {
  std::string deep, wide = "{";
  for (int i = 0; i < 400; ++i) deep += R"({"k":)";
  deep += "1" + std::string(400, '}');
  for (int i = 0; i < 5000; ++i) wide += fmt::format(R"({}"key {}":{})", i == 0 ? "" : ",", i, i);
  wide += "}";
  const auto values = MergeConfig(Rows({}, deep, wide), "");
  ASSERT_THAT(values, IsOk());
  EXPECT_EQ(values->size(), 5001u);
}

}  // namespace
}  // namespace nimbus::projections
