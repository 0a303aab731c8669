// The rules of entities.h for personas, preferences and configuration.
#include <string>

#include "entities.h"
#include "fixture.h"
#include "nimbus/journal/verify.h"
#include "nimbus/schema/entity_id.h"

namespace nimbus::journal {
namespace {

namespace fb = schema::fb;
using schema::NewUuid;
using ::testing::AllOf;
using ::testing::HasSubstr;

class SetupRulesTest : public JournalTest {
 protected:
  void SetUp() override {
    JournalTest::SetUp();
    Begin();
    size_ = *journal_->Size();
  }

  void Accept(const Event& event) {
    ASSERT_THAT(journal_->Append(event), IsOk());
    EXPECT_THAT(journal_->Size(), IsOkAndHolds(++size_));
  }
  // Refuses with this code, names the culprit, writes nothing.
  void Refuse(const Event& event, Code code, const std::string& culprit,
              const std::string& saying = "") {
    EXPECT_THAT(journal_->Append(event),
                StatusIs(code, AllOf(HasSubstr(culprit), HasSubstr(saying))));
    EXPECT_THAT(journal_->Size(), IsOkAndHolds(size_));
  }
  Standing StateOf(EntityKind kind, const Uuid& id) const {
    return static_cast<Standing>((*journal_->FindEntity(kind, id))->state);
  }
  uint32_t CountOf(EntityKind kind, const Uuid& id) const {
    return (*journal_->FindEntity(kind, id))->steps;
  }
  std::optional<Uuid> HolderOf(EntityKind kind, std::string_view role) const {
    return journal_->FindName(kind, "role", role).value_or(std::nullopt);
  }
  // The tables follow from the records alone.
  void ExpectVerifies() {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyReport report, VerifyJournal(*journal_, {}));
    for (const Finding& finding : report.findings) ADD_FAILURE() << finding.what;
  }

  uint64_t size_ = 0;
};

Event Defined(const Uuid& persona, std::string name, bool builtin = false) {
  fb::PersonaDefinedT defined;
  defined.name = std::move(name);
  defined.builtin = builtin;
  return MakeEvent(EntityKind::persona, persona, std::move(defined));
}

template <typename Payload>
Event PersonaEvent(const Uuid& persona) {
  return MakeEvent(EntityKind::persona, persona, Payload());
}

Event Removed(const Uuid& persona, std::string name) {
  fb::PersonaRemovedT removed;
  removed.name = std::move(name);
  return MakeEvent(EntityKind::persona, persona, std::move(removed));
}

Event Used(const Uuid& persona, const Uuid& session) {
  fb::PersonaUsedT used;
  used.session = std::make_unique<fb::Id>(session.ToFb());
  return MakeEvent(EntityKind::persona, persona, std::move(used));
}

Event SwitchedTo(const Uuid& session, const Uuid& persona) {
  fb::SessionUpdatedT updated;
  updated.persona = persona.ToString();
  return MakeEvent(EntityKind::session, session, std::move(updated));
}

Event PreferenceDefined(const std::string& key, std::string row_id = "") {
  fb::PreferenceDefinedT defined;
  defined.key = key;
  defined.row_id = std::move(row_id);
  return MakeEvent(EntityKind::preference, schema::PreferenceId(key), std::move(defined));
}

template <typename Payload>
Event PreferenceEvent(const std::string& key, const Uuid& persona = {}) {
  Payload payload;
  if (!persona.IsNil()) payload.persona = std::make_unique<fb::Id>(persona.ToFb());
  return MakeEvent(EntityKind::preference, schema::PreferenceId(key), std::move(payload));
}

Event ProfileSaved(const std::string& name) {
  fb::ConfigProfileSavedT saved;
  saved.name = name;
  return MakeEvent(EntityKind::config_profile, schema::ConfigProfileId(name), std::move(saved));
}

Event ProfileActivated(const std::string& name, const std::string& previous) {
  fb::ConfigProfileActivatedT activated;
  if (!previous.empty()) {
    activated.previous = std::make_unique<fb::Id>(schema::ConfigProfileId(previous).ToFb());
  }
  return MakeEvent(EntityKind::config_profile, schema::ConfigProfileId(name), std::move(activated));
}

Event ProfileDeleted(const std::string& name) {
  return MakeEvent(EntityKind::config_profile, schema::ConfigProfileId(name),
                   fb::ConfigProfileDeletedT());
}

TEST_F(SetupRulesTest, APersonasNameIsItsOwnUntilItIsRemoved) {
  const Uuid first = NewUuid(), second = NewUuid();
  Accept(Defined(first, "pirate"));
  Refuse(Defined(second, "pirate"), Code::kAlreadyExists, first.ToString(), "pirate");
  Refuse(Defined(first, "other"), Code::kAlreadyExists, first.ToString());
  Refuse(Removed(first, "other"), Code::kInvalidArgument, first.ToString());
  Accept(Removed(first, "pirate"));
  Refuse(PersonaEvent<fb::PersonaUpdatedT>(first), Code::kNotFound, first.ToString(), "removed");
  Refuse(Removed(first, "pirate"), Code::kNotFound, first.ToString(), "removed");
  Accept(Defined(second, "pirate"));
  EXPECT_EQ(StateOf(EntityKind::persona, first), Standing::kRemoved);
  EXPECT_THAT(journal_->FindName(EntityKind::persona, "", "pirate"),
              IsOkAndHolds(std::optional(second)));
  ExpectVerifies();
}

TEST_F(SetupRulesTest, ABuiltInPersonaHasTheIdOfItsRowAndStays) {
  fb::PersonaDefinedT defined;
  defined.name = "devops";
  defined.row_id = "persona_devops";
  defined.builtin = true;
  const Uuid id = schema::RowEntityId(EntityKind::persona, "persona_devops");
  Refuse(MakeEvent(EntityKind::persona, session_, defined), Code::kInvalidArgument,
         "persona_devops");
  Accept(MakeEvent(EntityKind::persona, id, defined));
  Refuse(Removed(id, "devops"), Code::kFailedPrecondition, id.ToString(), "deactivate");
}

TEST_F(SetupRulesTest, OnlyAnActivePersonaIsUsedAndAUsedOneStays) {
  const Uuid persona = NewUuid();
  Refuse(Used(persona, session_), Code::kNotFound, persona.ToString());
  Accept(Defined(persona, "pirate"));
  Refuse(Used(persona, persona), Code::kNotFound, persona.ToString(), "session");
  Accept(PersonaEvent<fb::PersonaDeactivatedT>(persona));
  Refuse(Used(persona, session_), Code::kFailedPrecondition, persona.ToString(), "not active");
  Refuse(SwitchedTo(session_, persona), Code::kFailedPrecondition, persona.ToString());
  EXPECT_EQ(CountOf(EntityKind::persona, persona), 0u);
  Accept(PersonaEvent<fb::PersonaActivatedT>(persona));
  Accept(Used(persona, session_));
  EXPECT_EQ(CountOf(EntityKind::persona, persona), 1u);
  Refuse(Removed(persona, "pirate"), Code::kFailedPrecondition, persona.ToString(), "deactivate");
  ExpectVerifies();
}

TEST_F(SetupRulesTest, ARunningSessionSwitchesItsPersonaAnEndedOneDoesNot) {
  const Uuid persona = NewUuid();
  Accept(Defined(persona, "pirate"));
  Accept(SwitchedTo(session_, persona));
  EXPECT_EQ(CountOf(EntityKind::persona, persona), 1u);
  Accept(SessionEnded(session_));
  Refuse(SwitchedTo(session_, persona), Code::kFailedPrecondition, session_.ToString(), "ended");
  Accept(SessionUpdated(session_, 1));
  EXPECT_EQ(CountOf(EntityKind::persona, persona), 1u);
}

TEST_F(SetupRulesTest, TheDefaultPersonaStaysActiveUntilAnotherIs) {
  const Uuid first = NewUuid(), second = NewUuid();
  const std::string key = "agent.default_persona";
  Accept(Defined(first, "first"));
  Accept(Defined(second, "second"));
  Accept(PreferenceDefined(key));
  EXPECT_EQ(HolderOf(EntityKind::persona, "default"), std::nullopt);
  Accept(PreferenceEvent<fb::PreferenceSetT>(key, first));
  EXPECT_EQ(HolderOf(EntityKind::persona, "default"), first);
  Refuse(PersonaEvent<fb::PersonaDeactivatedT>(first), Code::kFailedPrecondition, first.ToString(),
         "default");
  Refuse(Removed(first, "first"), Code::kFailedPrecondition, first.ToString(), "default");
  Accept(PersonaEvent<fb::PersonaDeactivatedT>(second));
  Refuse(PreferenceEvent<fb::PreferenceSetT>(key, second), Code::kFailedPrecondition,
         second.ToString(), "not active");
  Accept(PersonaEvent<fb::PersonaActivatedT>(second));
  Accept(PreferenceEvent<fb::PreferenceResetT>(key, second));
  EXPECT_EQ(HolderOf(EntityKind::persona, "default"), second);
  Accept(Removed(first, "first"));
  Refuse(PreferenceEvent<fb::PreferenceSetT>(key, first), Code::kNotFound, first.ToString());
  ExpectVerifies();
}

TEST_F(SetupRulesTest, APreferencesVersionCountsItsSettings) {
  const std::string key = "ui.theme";
  const Uuid id = schema::PreferenceId(key);
  Refuse(PreferenceEvent<fb::PreferenceSetT>(key), Code::kNotFound, id.ToString());
  Accept(PreferenceDefined(key, "pref_theme"));
  Refuse(PreferenceDefined(key), Code::kAlreadyExists, key);
  Refuse(PreferenceDefined("other", "pref_theme"), Code::kAlreadyExists, "pref_theme");
  Event misplaced = PreferenceDefined("other");
  misplaced.stream = session_;
  Refuse(misplaced, Code::kInvalidArgument, session_.ToString());
  Accept(PreferenceEvent<fb::PreferenceSetT>(key));
  Accept(PreferenceEvent<fb::PreferenceResetT>(key));
  EXPECT_EQ(CountOf(EntityKind::preference, id), 3u);
  Reader reader(*journal_);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* last, reader.Read(size_ - 1));
  EXPECT_EQ(last->envelope().ordinal(), 3u);
}

TEST_F(SetupRulesTest, AConfigValueIsSetAndUnsetUnderItsKey) {
  const Uuid id = schema::ConfigValueId("region");
  const auto unset = [&](std::string key) {
    fb::ConfigValueUnsetT payload;
    payload.key = std::move(key);
    return MakeEvent(EntityKind::config_value, id, std::move(payload));
  };
  fb::ConfigValueSetT payload;
  payload.key = "region";
  const Event set = MakeEvent(EntityKind::config_value, id, payload);
  Refuse(unset("region"), Code::kNotFound, id.ToString());
  Accept(set);
  Accept(set);
  Refuse(unset("regions"), Code::kInvalidArgument, id.ToString(), "regions");
  Refuse(unset(""), Code::kInvalidArgument, "key");
  Accept(unset("region"));
  Refuse(unset("region"), Code::kNotFound, id.ToString(), "removed");
  Accept(set);
  EXPECT_EQ(StateOf(EntityKind::config_value, id), Standing::kOn);
}

TEST_F(SetupRulesTest, OneConfigProfileIsActiveAndGivesWayToAnotherOnly) {
  const Uuid home = schema::ConfigProfileId("home"), work = schema::ConfigProfileId("work");
  Refuse(ProfileActivated("home", ""), Code::kNotFound, home.ToString());
  Accept(ProfileSaved("home"));
  Accept(ProfileSaved("work"));
  EXPECT_EQ(HolderOf(EntityKind::config_profile, "active"), std::nullopt);
  Accept(ProfileActivated("home", ""));
  Refuse(ProfileActivated("work", ""), Code::kFailedPrecondition, home.ToString(), "active");
  Refuse(ProfileActivated("work", "work"), Code::kFailedPrecondition, home.ToString());
  Refuse(ProfileDeleted("home"), Code::kFailedPrecondition, home.ToString(), "activate another");
  Accept(ProfileActivated("work", "home"));
  EXPECT_EQ(HolderOf(EntityKind::config_profile, "active"), work);
  Accept(ProfileDeleted("home"));
  Refuse(ProfileActivated("home", "work"), Code::kNotFound, home.ToString(), "removed");
  Accept(ProfileSaved("home"));
  Event misplaced = ProfileSaved("third");
  misplaced.stream = home;
  Refuse(misplaced, Code::kInvalidArgument, home.ToString());
  ExpectVerifies();
}

TEST_F(SetupRulesTest, AnEnvironmentConfigIsThePairsOwn) {
  fb::EnvironmentConfigSetT payload;
  payload.environment = "production";
  payload.cloud_provider = "aws";
  const Uuid id = schema::EnvironmentConfigId("production", "aws");
  const Event set = MakeEvent(EntityKind::environment_config, id, payload);
  const Event deleted =
      MakeEvent(EntityKind::environment_config, id, fb::EnvironmentConfigDeletedT());
  Refuse(deleted, Code::kNotFound, id.ToString());
  Accept(set);
  Accept(set);
  Accept(deleted);
  Refuse(deleted, Code::kNotFound, id.ToString(), "removed");
  Accept(set);
  Event misplaced = set;
  misplaced.stream = schema::EnvironmentConfigId("productiona", "ws");
  Refuse(misplaced, Code::kInvalidArgument, misplaced.stream.ToString());
}

}  // namespace
}  // namespace nimbus::journal
