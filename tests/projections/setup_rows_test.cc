// Rows of personas and configuration from records whose body was erased, or that no
// command would have appended.
#include <gtest/gtest.h>

#include "config_rows.h"
#include "fixture.h"
#include "migrator.h"
#include "nimbus/schema/entity_id.h"
#include "persona_rows.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using Code = absl::StatusCode;
using schema::Event;
using schema::MakeEvent;
using schema::Uuid;
using test::IsOk;
using test::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;

class SetupRowsTest : public StoreTest {
 protected:
  void SetUp() override {
    ASSERT_THAT(Open({.views = {.project = false}}), IsOk());
    NIMBUS_ASSERT_OK_AND_ASSIGN(sqlite::Connection db, sqlite::Connection::Open(rows(), {}));
    db_.emplace(std::move(db));
    ASSERT_THAT(Migrate(&*db_, LatestMigration()), IsOk());
  }
  std::string rows() const { return directory_ / "rows.db"; }

  // Journals the event and returns its record.
  uint64_t Append(const Event& event) {
    const absl::StatusOr<journal::Appended> appended = journal().Append(event);
    EXPECT_THAT(appended, IsOk());
    return appended.ok() ? appended->first : 0;
  }
  // Applies the record as it is when its body has been erased, or never was.
  template <typename Writer>
  absl::Status ApplyWithoutBody(uint64_t sequence, bool erased) {
    NIMBUS_ASSIGN_OR_RETURN(const auto writer, Writer::Create(&*db_));
    journal::Reader reader(journal());
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, reader.Read(sequence));
    return writer->Apply({.view = *view, .body = nullptr, .erased = erased});
  }
  std::vector<std::string> Sql(std::string_view sql) { return Column(rows(), sql); }

  std::optional<sqlite::Connection> db_;
};

Event Defined(const Uuid& persona) {
  fb::PersonaDefinedT defined;
  defined.name = "pirate";
  return MakeEvent(fb::EntityKind::persona, persona, std::move(defined));
}

Event PreferenceDefined(const std::string& key) {
  fb::PreferenceDefinedT defined;
  defined.key = key;
  return MakeEvent(fb::EntityKind::preference, schema::PreferenceId(key), std::move(defined));
}

template <typename Payload>
Event PreferenceEvent(const std::string& key) {
  return MakeEvent(fb::EntityKind::preference, schema::PreferenceId(key), Payload());
}

TEST_F(SetupRowsTest, AnErasedPersonaKeepsItsRow) {
  const Uuid id = schema::NewUuid();
  const uint64_t at = Append(Defined(id));
  ASSERT_THAT(ApplyWithoutBody<PersonaWriter>(at, true), IsOk());
  const std::string mark = ErasedMark(at);
  EXPECT_THAT(Sql("SELECT display_name FROM personas"), ElementsAre(mark));
  EXPECT_THAT(Sql("SELECT system_prompt FROM personas"), ElementsAre(mark));
  EXPECT_THAT(Sql("SELECT description FROM personas"), ElementsAre("NULL"));
  EXPECT_THAT(Sql("SELECT name || temperature FROM personas"), ElementsAre("pirate0.7"));
  const uint64_t updated = Append(MakeEvent(fb::EntityKind::persona, id, fb::PersonaUpdatedT()));
  ASSERT_THAT(ApplyWithoutBody<PersonaWriter>(updated, true), IsOk());
  EXPECT_THAT(Sql("SELECT display_name FROM personas"), ElementsAre(mark));
  EXPECT_THAT(Sql("SELECT updated_at IS NOT NULL FROM personas"), ElementsAre("1"));
}

TEST_F(SetupRowsTest, APersonaWithoutTextsHasEmptyOnes) {
  ASSERT_THAT(ApplyWithoutBody<PersonaWriter>(Append(Defined(schema::NewUuid())), false), IsOk());
  EXPECT_THAT(Sql("SELECT display_name || system_prompt FROM personas"), ElementsAre(""));
}

TEST_F(SetupRowsTest, AUseNeedsTheRowsItRefersTo) {
  const Uuid persona = schema::NewUuid(), session = schema::NewUuid();
  const uint64_t defined = Append(Defined(persona));
  Append(MakeEvent(fb::EntityKind::session, session, fb::SessionStartedT()));
  fb::PersonaUsedT used;
  used.session = std::make_unique<fb::Id>(session.ToFb());
  const uint64_t at = Append(MakeEvent(fb::EntityKind::persona, persona, std::move(used)));
  EXPECT_THAT(ApplyWithoutBody<PersonaWriter>(at, false), StatusIs(Code::kNotFound));
  ASSERT_THAT(ApplyWithoutBody<PersonaWriter>(defined, false), IsOk());
  EXPECT_THAT(ApplyWithoutBody<PersonaWriter>(at, false),
              StatusIs(Code::kNotFound, HasSubstr(session.ToString())));
  EXPECT_THAT(Sql("SELECT count(*) FROM persona_usage"), ElementsAre("0"));
  const uint64_t alone = Append(MakeEvent(fb::EntityKind::persona, persona, fb::PersonaUsedT()));
  ASSERT_THAT(ApplyWithoutBody<PersonaWriter>(alone, false), IsOk());
  EXPECT_THAT(Sql("SELECT session_id FROM persona_usage"), ElementsAre("NULL"));
}

TEST_F(SetupRowsTest, AnErasedPreferenceSaysSoUntilItIsSetAndWhenItIsReset) {
  const uint64_t defined = Append(PreferenceDefined("k"));
  ASSERT_THAT(ApplyWithoutBody<ConfigWriter>(defined, true), IsOk());
  EXPECT_THAT(Sql("SELECT value FROM preferences"), ElementsAre(ErasedMark(defined)));
  EXPECT_THAT(Sql("SELECT default_value FROM preferences"), ElementsAre("NULL"));
  const uint64_t set = Append(PreferenceEvent<fb::PreferenceSetT>("k"));
  ASSERT_THAT(ApplyWithoutBody<ConfigWriter>(set, true), IsOk());
  EXPECT_THAT(Sql("SELECT value FROM preferences"), ElementsAre(ErasedMark(set)));
  const uint64_t reset = Append(PreferenceEvent<fb::PreferenceResetT>("k"));
  ASSERT_THAT(ApplyWithoutBody<ConfigWriter>(reset, false), IsOk());
  EXPECT_THAT(Sql("SELECT value FROM preferences"), ElementsAre(ErasedMark(defined)));
  EXPECT_THAT(Sql("SELECT version FROM preferences"), ElementsAre("3"));
}

TEST_F(SetupRowsTest, APreferenceRecordedWithoutAValueIsNull) {
  ASSERT_THAT(ApplyWithoutBody<ConfigWriter>(Append(PreferenceDefined("k")), false), IsOk());
  EXPECT_THAT(Sql("SELECT value FROM preferences"), ElementsAre("null"));
  const uint64_t other = Append(PreferenceDefined("other"));
  const uint64_t set = Append(PreferenceEvent<fb::PreferenceSetT>("other"));
  EXPECT_THAT(ApplyWithoutBody<ConfigWriter>(set, false), StatusIs(Code::kNotFound));
  ASSERT_THAT(ApplyWithoutBody<ConfigWriter>(other, false), IsOk());
  EXPECT_THAT(ApplyWithoutBody<ConfigWriter>(set, false), IsOk());
}

TEST_F(SetupRowsTest, ErasedConfigsAndValuesKeepTheirRows) {
  fb::ConfigValueSetT value;
  value.key = "k";
  const uint64_t set =
      Append(MakeEvent(fb::EntityKind::config_value, schema::ConfigValueId("k"), std::move(value)));
  ASSERT_THAT(ApplyWithoutBody<ConfigValueWriter>(set, true), IsOk());
  EXPECT_THAT(Sql("SELECT value FROM config"), ElementsAre(ErasedMark(set)));
  fb::ConfigProfileSavedT profile;
  profile.name = "p";
  const uint64_t saved = Append(
      MakeEvent(fb::EntityKind::config_profile, schema::ConfigProfileId("p"), std::move(profile)));
  ASSERT_THAT(ApplyWithoutBody<ConfigWriter>(saved, true), IsOk());
  EXPECT_THAT(Sql("SELECT config FROM config_profiles"), ElementsAre(ErasedMark(saved)));
  fb::EnvironmentConfigSetT environment;
  environment.environment = "e";
  environment.cloud_provider = "p";
  const uint64_t config =
      Append(MakeEvent(fb::EntityKind::environment_config, schema::EnvironmentConfigId("e", "p"),
                       std::move(environment)));
  ASSERT_THAT(ApplyWithoutBody<ConfigWriter>(config, false), IsOk());
  EXPECT_THAT(Sql("SELECT config FROM environment_configs"), ElementsAre("{}"));
}

TEST_F(SetupRowsTest, ActivatingAProfileWithoutRowLeavesTheOtherActive) {
  const auto saved = [&](const std::string& name) {
    fb::ConfigProfileSavedT payload;
    payload.name = name;
    return Append(MakeEvent(fb::EntityKind::config_profile, schema::ConfigProfileId(name),
                            std::move(payload)));
  };
  const auto activated = [&](const std::string& name, const std::string& previous) {
    fb::ConfigProfileActivatedT payload;
    if (!previous.empty()) {
      payload.previous = std::make_unique<fb::Id>(schema::ConfigProfileId(previous).ToFb());
    }
    return Append(MakeEvent(fb::EntityKind::config_profile, schema::ConfigProfileId(name),
                            std::move(payload)));
  };
  ASSERT_THAT(ApplyWithoutBody<ConfigWriter>(saved("a"), false), IsOk());
  ASSERT_THAT(ApplyWithoutBody<ConfigWriter>(activated("a", ""), false), IsOk());
  const uint64_t other = saved("b");
  const uint64_t switched = activated("b", "a");
  EXPECT_THAT(ApplyWithoutBody<ConfigWriter>(switched, false), StatusIs(Code::kNotFound));
  EXPECT_THAT(Sql("SELECT name FROM config_profiles WHERE is_active"), ElementsAre("a"));
  ASSERT_THAT(ApplyWithoutBody<ConfigWriter>(other, false), IsOk());
  ASSERT_THAT(ApplyWithoutBody<ConfigWriter>(switched, false), IsOk());
  EXPECT_THAT(Sql("SELECT name FROM config_profiles WHERE is_active"), ElementsAre("b"));
}

}  // namespace
}  // namespace nimbus::projections
