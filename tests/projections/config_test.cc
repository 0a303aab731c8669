// Commands of Config, and the rows and structs that come of them.
#include "nimbus/projections/config.h"

#include <gtest/gtest.h>

#include "config_rows.h"
#include "fixture.h"
#include "migrator.h"
#include "nimbus/journal/reader.h"
#include "nimbus/projections/builtins.h"
#include "nimbus/schema/entity_id.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using Code = absl::StatusCode;
using fb::ValueType;
using schema::Uuid;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ConfigTest : public StoreTest {
 protected:
  void SetUp() override { ASSERT_THAT(Open(), IsOk()); }

  Config& config() { return database_->config(); }

  Preference Pref(const std::string& key) {
    EXPECT_THAT(CatchUp(), IsOk());
    absl::StatusOr<std::optional<Preference>> row = config().GetPreference(key);
    EXPECT_THAT(row, IsOk());
    EXPECT_TRUE(row.ok() && row->has_value()) << key;
    return row.ok() ? row->value_or(Preference{}) : Preference{};
  }
  void Save(const std::string& name, const std::string& json = "{}") {
    EXPECT_THAT(config().SaveProfile({.name = name, .config = json}), IsOk());
  }
  std::string ActiveName() {
    EXPECT_THAT(CatchUp(), IsOk());
    absl::StatusOr<std::optional<ConfigProfile>> active = config().GetActiveProfile();
    EXPECT_THAT(active, IsOk());
    return active.ok() && *active ? (*active)->name : "";
  }
  std::string ReasonOf(uint64_t sequence) {
    journal::Reader reader(journal());
    const journal::RecordView* record = reader.Read(sequence).value();
    const fb::Body* body = reader.Body(*record).value();
    return body == nullptr || body->description() == nullptr ? "" : body->description()->str();
  }
};

TEST_F(ConfigTest, TheEightPreferencesAreRowsAsSpecified) {
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<Preference> all, config().GetPreferences());
  ASSERT_THAT(all, SizeIs(8));
  EXPECT_THAT(
      Sql("SELECT id || ' ' || key || ' ' || value || ' ' || type FROM preferences "
          "WHERE version = 1 AND value = default_value ORDER BY rowid"),
      ElementsAre("pref_theme ui.theme \"auto\" string",
                  "pref_confirm safety.require_confirmation true boolean",
                  "pref_dry_run safety.default_dry_run false boolean",
                  "pref_telemetry telemetry.enabled false boolean",
                  "pref_model llm.default_model \"claude-sonnet-4-20250514\" string",
                  "pref_persona agent.default_persona \"professional\" string",
                  "pref_history_limit history.max_entries 1000 number",
                  "pref_output_dir generator.output_directory \"./infrastructure\" string"));
  EXPECT_EQ(Pref("ui.theme").description, "Color theme");
  EXPECT_TRUE(Pref("ui.theme").updated_at_us);
}

TEST_F(ConfigTest, APreferenceIsSetWithAVersionAndResetToItsDefault) {
  const int64_t before = Pref("ui.theme").updated_at_us.value_or(0);
  ASSERT_THAT(config().SetPreference("ui.theme", R"("dark")"), IsOk());
  Preference row = Pref("ui.theme");
  EXPECT_EQ(row.id, "pref_theme");
  EXPECT_EQ(row.value, R"("dark")");
  EXPECT_EQ(row.default_value, R"("auto")");
  EXPECT_EQ(row.version, 2);
  EXPECT_GT(row.updated_at_us.value_or(0), before);
  ASSERT_THAT(config().SetPreference("ui.theme", R"("light")", 2), IsOk());
  EXPECT_THAT(config().SetPreference("ui.theme", R"("dark")", 2),
              StatusIs(Code::kAborted, HasSubstr("version 3, not 2")));
  EXPECT_THAT(config().ResetPreference("ui.theme", 1), StatusIs(Code::kAborted));
  ASSERT_THAT(config().ResetPreference("ui.theme", 3), IsOk());
  row = Pref("ui.theme");
  EXPECT_EQ(row.value, R"("auto")");
  EXPECT_EQ(row.version, 4);
}

TEST_F(ConfigTest, APreferencesValueIsJsonOfItsType) {
  const std::pair<ValueType, const char*> examples[] = {{ValueType::string, R"("text")"},
                                                        {ValueType::number, "1.5e3"},
                                                        {ValueType::boolean, "true"},
                                                        {ValueType::object, R"({"a":null})"},
                                                        {ValueType::array, "[1,[]]"}};
  for (const auto& [type, own] : examples) {
    const std::string key = fmt::format("my.{}", fb::EnumNameValueType(type));
    ASSERT_THAT(config().DefinePreference({.key = key, .type = type, .value = own}), IsOk());
    EXPECT_EQ(Pref(key).type, type);
    EXPECT_THAT(ParseValueType(fb::EnumNameValueType(type)), IsOkAndHolds(type));
    for (const auto& [other, value] : examples) {
      const absl::StatusOr<Written> set = config().SetPreference(key, value);
      if (other == type) {
        EXPECT_THAT(set, IsOk());
      } else {
        EXPECT_THAT(set, StatusIs(Code::kInvalidArgument, HasSubstr(key)));
      }
    }
    EXPECT_THAT(config().SetPreference(key, "null"), StatusIs(Code::kInvalidArgument));
    EXPECT_THAT(config().SetPreference(key, ""), StatusIs(Code::kInvalidArgument));
    EXPECT_THAT(config().SetPreference(key, "{\"a\":1"), StatusIs(Code::kInvalidArgument));
    EXPECT_THAT(config().SetPreference(key, "\"\xff\""), StatusIs(Code::kInvalidArgument));
  }
  EXPECT_THAT(ParseValueType("text"), StatusIs(Code::kInvalidArgument, HasSubstr("text")));
}

TEST_F(ConfigTest, KnownPreferencesTakeWhatNimbusCanObey) {
  const std::string limit(kListingLimitKey), persona(kDefaultPersonaKey);
  for (const char* bad : {"0", "-1", "1.5", "1e30", "\"5\""}) {
    EXPECT_THAT(config().SetPreference(limit, bad), StatusIs(Code::kInvalidArgument)) << bad;
  }
  EXPECT_THAT(config().SetPreference(limit, "1"), IsOk());
  EXPECT_THAT(config().SetPreference(limit, "2.0e1"), IsOk());
  EXPECT_THAT(config().SetPreference(persona, R"("devops")"), IsOk());
  EXPECT_THAT(config().SetPreference(persona, R"("nobody")"),
              StatusIs(Code::kNotFound, HasSubstr("nobody")));
  EXPECT_THAT(config().SetPreference(persona, R"("persona_devops")"), StatusIs(Code::kNotFound));
  EXPECT_THAT(config().SetPreference(persona, R"("")"), StatusIs(Code::kInvalidArgument));
  ASSERT_THAT(database_->personas().Deactivate("persona_security"), IsOk());
  EXPECT_THAT(config().SetPreference(persona, R"("security")"),
              StatusIs(Code::kFailedPrecondition, HasSubstr("not active")));
  EXPECT_THAT(config().SetPreference("llm.default_model", R"("")"),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(config().SetPreference("no.such", "1"),
              StatusIs(Code::kNotFound, HasSubstr("no.such")));
  EXPECT_THAT(config().ResetPreference("no.such"), StatusIs(Code::kNotFound));
}

TEST_F(ConfigTest, APreferenceOfOnesOwnHasADefaultOnlyIfGiven) {
  ASSERT_THAT(config().DefinePreference({.key = "my.region",
                                         .type = ValueType::string,
                                         .default_value = R"("eu")",
                                         .description = "where"}),
              IsOk());
  EXPECT_EQ(Pref("my.region").value, R"("eu")");
  EXPECT_EQ(Pref("my.region").id, schema::PreferenceId("my.region").ToString());
  EXPECT_EQ(Pref("my.region").description, "where");
  EXPECT_THAT(config().DefinePreference({.key = "my.region", .value = R"("us")"}),
              StatusIs(Code::kAlreadyExists, HasSubstr("my.region")));
  ASSERT_THAT(
      config().DefinePreference({.key = "my.count", .type = ValueType::number, .value = "3"}),
      IsOk());
  EXPECT_EQ(Pref("my.count").default_value, std::nullopt);
  EXPECT_THAT(config().ResetPreference("my.count"),
              StatusIs(Code::kFailedPrecondition, HasSubstr("no default")));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t before, journal().Size());
  EXPECT_THAT(config().DefinePreference({.key = "k"}), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(config().DefinePreference({.key = "k", .value = "1"}),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(config().DefinePreference({.key = "k", .value = R"("a")", .default_value = "1"}),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(config().DefinePreference({.key = "", .value = R"("a")"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("key")));
  EXPECT_THAT(config().DefinePreference({.key = "a\tb", .value = R"("a")"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("key")));
  EXPECT_THAT(journal().Size(), IsOkAndHolds(before));
}

TEST_F(ConfigTest, ValuesAreAnyTextUnderAnyOtherKey) {
  ASSERT_THAT(config().SetValue("aws.region", "eu-west-1"), IsOk());
  ASSERT_THAT(config().SetValue("notes", "not {json\n"), IsOk());
  ASSERT_THAT(config().SetValue("empty", ""), IsOk());
  ASSERT_THAT(config().SetValue("aws.region", "us-east-1"), IsOk());
  EXPECT_THAT(Sql("SELECT key || '=' || value FROM config ORDER BY key"),
              ElementsAre("aws.region=us-east-1", "empty=", "notes=not {json\n"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto value, config().GetValue("aws.region"));
  ASSERT_TRUE(value);
  EXPECT_EQ(value->value, "us-east-1");
  EXPECT_TRUE(value->updated_at_us);
  EXPECT_THAT(config().SetValue("ui.theme", "dark"),
              StatusIs(Code::kFailedPrecondition, HasSubstr("is a preference")));
  EXPECT_THAT(config().DefinePreference({.key = "notes", .value = R"("a")"}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("unset it before")));
  EXPECT_THAT(config().SetValue("", "x"), StatusIs(Code::kInvalidArgument, HasSubstr("key")));
  EXPECT_THAT(config().SetValue(std::string(256, 'k'), "x"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(config().SetValue("k", "\xff"), StatusIs(Code::kInvalidArgument, HasSubstr("text")));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written unset, config().UnsetValue("notes", "old"));
  EXPECT_EQ(ReasonOf(unset.sequence), "old");
  EXPECT_THAT(config().UnsetValue("notes"), StatusIs(Code::kNotFound, HasSubstr("notes")));
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto gone, config().GetValue("notes"));
  EXPECT_FALSE(gone);
  ASSERT_THAT(config().SetValue("notes", "new"), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto listed, config().GetValues(1, 2));
  ASSERT_THAT(listed, SizeIs(1));
  EXPECT_EQ(listed[0].value, "new");
}

TEST_F(ConfigTest, TheFirstProfileSavedIsActiveAndOneAlwaysIs) {
  EXPECT_EQ(ActiveName(), "");
  Save("home", R"({"ui":{"theme":"dark"}})");
  EXPECT_EQ(ActiveName(), "home");
  Save("work");
  EXPECT_EQ(ActiveName(), "home");
  ASSERT_THAT(config().ActivateProfile("work"), IsOk());
  EXPECT_EQ(ActiveName(), "work");
  EXPECT_THAT(Sql("SELECT name FROM config_profiles WHERE is_active = true"), ElementsAre("work"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t before, journal().Size());
  EXPECT_THAT(config().ActivateProfile("work"), IsOk()) << "it is so already";
  EXPECT_THAT(config().DeleteProfile("work"),
              StatusIs(Code::kFailedPrecondition, HasSubstr("'work' is the active one")));
  EXPECT_THAT(config().ActivateProfile("none"), StatusIs(Code::kNotFound, HasSubstr("none")));
  EXPECT_THAT(config().DeleteProfile("none"), StatusIs(Code::kNotFound));
  EXPECT_THAT(journal().Size(), IsOkAndHolds(before));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written deleted, config().DeleteProfile("home", "moved out"));
  EXPECT_EQ(ReasonOf(deleted.sequence), "moved out");
  EXPECT_THAT(config().ActivateProfile("home"), StatusIs(Code::kNotFound));
  Save("home", R"({"again":1})");
  EXPECT_EQ(ActiveName(), "work");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto profiles, config().GetProfiles());
  ASSERT_THAT(profiles, SizeIs(2));
  EXPECT_EQ(profiles[0].name, "home");
  EXPECT_EQ(profiles[0].config, R"({"again":1})");
}

TEST_F(ConfigTest, SavingAProfileAgainReplacesIt) {
  ASSERT_THAT(config().SaveProfile({.name = "home", .description = "d", .config = R"({"a":1})"}),
              IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto row, config().GetProfile("home"));
  ASSERT_TRUE(row);
  EXPECT_EQ(row->description, "d");
  EXPECT_EQ(row->updated_at_us, std::nullopt);
  Save("home", R"({"b":2})");
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(row, config().GetProfile("home"));
  EXPECT_EQ(row->id, schema::ConfigProfileId("home"));
  EXPECT_EQ(row->description, std::nullopt);
  EXPECT_EQ(row->config, R"({"b":2})");
  EXPECT_TRUE(row->is_active);
  EXPECT_GT(row->updated_at_us.value_or(0), row->created_at_us.value_or(0));
  for (const char* bad : {"", "[]", "1", "{", "{\"a\":\"\xff\"}"}) {
    EXPECT_THAT(config().SaveProfile({.name = "home", .config = bad}),
                StatusIs(Code::kInvalidArgument, HasSubstr("config")))
        << bad;
  }
  EXPECT_THAT(config().SaveProfile({.name = "", .config = "{}"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("name")));
}

TEST_F(ConfigTest, AnEnvironmentHasOneConfigPerProvider) {
  ASSERT_THAT(config().SetEnvironment({"production", "aws", R"({"a":1})"}), IsOk());
  ASSERT_THAT(config().SetEnvironment({"production", "gcp", R"({"b":1})"}), IsOk());
  ASSERT_THAT(config().SetEnvironment({"production", "aws", R"({"a":2})"}), IsOk());
  EXPECT_THAT(Sql("SELECT cloud_provider || config FROM environment_configs ORDER BY rowid"),
              ElementsAre(R"(aws{"a":2})", R"(gcp{"b":1})"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto row, config().GetEnvironment("production", "aws"));
  ASSERT_TRUE(row);
  EXPECT_EQ(row->config, R"({"a":2})");
  EXPECT_TRUE(row->updated_at_us);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written deleted,
                              config().DeleteEnvironment("production", "gcp", "closed"));
  EXPECT_EQ(ReasonOf(deleted.sequence), "closed");
  EXPECT_THAT(config().DeleteEnvironment("production", "gcp"),
              StatusIs(Code::kNotFound, HasSubstr("production/gcp")));
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto all, config().GetEnvironments());
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].environment, "production");
  EXPECT_THAT(config().SetEnvironment({"", "aws", "{}"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("environment")));
  EXPECT_THAT(config().SetEnvironment({"e", "", "{}"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("cloud_provider")));
  EXPECT_THAT(config().SetEnvironment({"e", "p", "[]"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("object")));
}

TEST_F(ConfigTest, TheEffectiveValueIsThatOfTheHighestLayer) {
  ASSERT_THAT(config().SetPreference("ui.theme", R"("light")"), IsOk());
  ASSERT_THAT(config().SetEnvironment({"production", "aws", R"({"ui":{"theme":"dark"}})"}), IsOk());
  Save("work", R"({"ui":{"theme":"blue","font":"mono"}})");
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const auto values,
      config().GetEffective({.environment = "production", .cloud_provider = "aws", .key = "ui"}));
  ASSERT_THAT(values, SizeIs(2));
  EXPECT_EQ(values[0].key, "ui.font");
  EXPECT_THAT(values[0].shadows, IsEmpty());
  const EffectiveValue& theme = values[1];
  EXPECT_EQ(theme.value, R"("blue")");
  EXPECT_EQ(theme.source.layer, ConfigLayer::kProfile);
  EXPECT_EQ(theme.source.name, "work");
  EXPECT_EQ(theme.source.row_id, schema::ConfigProfileId("work").ToString());
  EXPECT_TRUE(theme.source.updated_at_us);
  ASSERT_THAT(theme.shadows, SizeIs(3));
  EXPECT_EQ(theme.shadows[0].source.layer, ConfigLayer::kEnvironment);
  EXPECT_EQ(theme.shadows[0].source.name, "production/aws");
  EXPECT_EQ(theme.shadows[1].value, R"("light")");
  EXPECT_EQ(theme.shadows[1].source.row_id, "pref_theme");
  EXPECT_EQ(theme.shadows[1].source.version, 2);
  EXPECT_EQ(theme.shadows[2].value, R"("auto")");
  EXPECT_EQ(LayerText(theme.shadows[2].source.layer), "default");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto all, config().GetEffective());
  EXPECT_THAT(all, SizeIs(9)) << "the eight preferences and ui.font";
  EXPECT_THAT(config().GetEffective({.key = "u"}), IsOkAndHolds(SizeIs(0)));
  EXPECT_THAT(config().GetEffective({.environment = "production"}),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(config().GetEffective({.cloud_provider = "aws"}), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(config().GetEffective({.environment = "staging", .cloud_provider = "aws"}),
              StatusIs(Code::kNotFound, HasSubstr("staging/aws")));
}

TEST_F(ConfigTest, SwitchingTheProfileSwitchesWhatIsInEffect) {
  Save("home", R"({"llm":{"default_model":"small"}})");
  Save("work", R"({"llm":{"default_model":"large"}})");
  const auto model = [&] {
    EXPECT_THAT(CatchUp(), IsOk());
    const auto values = config().GetEffective({.key = "llm.default_model"});
    EXPECT_THAT(values, IsOk());
    return values.ok() && values->size() == 1 ? values->front().value : "";
  };
  EXPECT_EQ(model(), R"("small")");
  ASSERT_THAT(config().ActivateProfile("work"), IsOk());
  EXPECT_EQ(model(), R"("large")");
  Save("work");
  EXPECT_EQ(model(), R"("claude-sonnet-4-20250514")");
}

TEST_F(ConfigTest, ARebuildGivesTheSameRows) {
  ASSERT_THAT(config().SetValue("a", "1"), IsOk());
  ASSERT_THAT(config().SetValue("b", "1"), IsOk());
  ASSERT_THAT(config().SetValue("a", "2"), IsOk());
  ASSERT_THAT(config().UnsetValue("b"), IsOk());
  ASSERT_THAT(config().SetPreference("ui.theme", R"("dark")"), IsOk());
  ASSERT_THAT(config().ResetPreference("telemetry.enabled"), IsOk());
  ASSERT_THAT(config().DefinePreference({.key = "my.own", .value = R"("x")"}), IsOk());
  ASSERT_THAT(config().SetPreference("my.own", R"("y")"), IsOk());
  Save("home");
  Save("work", R"({"a":1})");
  ASSERT_THAT(config().ActivateProfile("work"), IsOk());
  ASSERT_THAT(config().DeleteProfile("home"), IsOk());
  Save("home");
  ASSERT_THAT(config().SetEnvironment({"e", "p", "{}"}), IsOk());
  ASSERT_THAT(config().DeleteEnvironment("e", "p"), IsOk());
  ASSERT_THAT(config().SetEnvironment({"e", "p", "{}"}), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::string grown, DumpTables(link()));
  ASSERT_THAT(database_->Rebuild(), IsOk());
  EXPECT_THAT(DumpTables(link()), IsOkAndHolds(grown));
  ASSERT_THAT(database_->Migrate(4), IsOk());
  EXPECT_THAT(config().GetPreferences(), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(config().GetValues(), IsOkAndHolds(SizeIs(1))) << "the table of version 1 is there";
  ASSERT_THAT(database_->Migrate(0), IsOk());
  EXPECT_THAT(config().GetValues(), StatusIs(Code::kFailedPrecondition));
  ASSERT_THAT(database_->Migrate(Database::LatestSchemaVersion()), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyViewsReport verified, database_->Verify());
  EXPECT_TRUE(verified.holds());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
  EXPECT_EQ(status.quarantined, 0u);
}

TEST_F(ConfigTest, ListingsAreAsLongAsThePreferenceSaysNow) {
  for (int i = 0; i < 4; ++i) {
    ASSERT_THAT(history().CreateSession({}), IsOk());
    ASSERT_THAT(config().SetValue(fmt::format("key {}", i), "v"), IsOk());
  }
  const auto lengths = [&] {
    EXPECT_THAT(CatchUp(), IsOk());
    const auto sessions = history().GetSessions();
    const auto values = config().GetValues();
    EXPECT_THAT(sessions, IsOk());
    EXPECT_THAT(values, IsOk());
    return std::pair(sessions->size(), values->size());
  };
  const std::string key(kListingLimitKey);
  EXPECT_EQ(lengths(), std::pair(size_t{4}, size_t{4}));
  ASSERT_THAT(config().SetPreference(key, "3"), IsOk());
  EXPECT_EQ(lengths(), std::pair(size_t{3}, size_t{3}));
  EXPECT_THAT(history().GetSessions(4), IsOkAndHolds(SizeIs(4)));
  ASSERT_THAT(config().SetPreference(key, "2"), IsOk());
  EXPECT_EQ(lengths(), std::pair(size_t{2}, size_t{2}));
  // Without the table, the number the specification has.
  ASSERT_THAT(database_->Migrate(4), IsOk());
  EXPECT_EQ(lengths(), std::pair(size_t{4}, size_t{4}));
  ASSERT_THAT(database_->Migrate(Database::LatestSchemaVersion()), IsOk());
  EXPECT_EQ(lengths(), std::pair(size_t{2}, size_t{2}));
  // What no command would have set.
  fb::PreferenceSetT set;
  schema::Event event =
      schema::MakeEvent(fb::EntityKind::preference, schema::PreferenceId(key), std::move(set));
  event.body.details = std::make_unique<fb::DetailsT>();
  event.body.details->value = R"("many")";
  ASSERT_THAT(journal().Append(event), IsOk());
  EXPECT_EQ(lengths(), std::pair(size_t{4}, size_t{4}));
}

TEST_F(ConfigTest, ReadOnlyNothingIsWritten) {
  ASSERT_THAT(Open({.journal = {.read_only = true}}), IsOk());
  EXPECT_THAT(config().SetValue("k", "v"), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(config().SetPreference("ui.theme", R"("x")"), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(config().SaveProfile({.name = "p", .config = "{}"}),
              StatusIs(Code::kFailedPrecondition));
  EXPECT_EQ(Pref("ui.theme").version, 1);
}

}  // namespace
}  // namespace nimbus::projections
