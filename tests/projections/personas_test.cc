// Commands of Personas, and the rows and structs that come of them.
#include "nimbus/projections/personas.h"

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>

#include "fixture.h"
#include "nimbus/journal/reader.h"
#include "nimbus/projections/builtins.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using Code = absl::StatusCode;
using schema::Uuid;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class PersonasTest : public StoreTest {
 protected:
  void SetUp() override { ASSERT_THAT(Open(), IsOk()); }

  Personas& personas() { return database_->personas(); }

  // The row id of a new persona.
  std::string Make(std::string name) {
    absl::StatusOr<Written> made = personas().Define(
        {.name = std::move(name), .display_name = "P", .system_prompt = "You are P."});
    EXPECT_THAT(made, IsOk());
    return made.ok() ? made->id.ToString() : "";
  }
  Uuid MakeSession(const std::string& persona = "") {
    absl::StatusOr<Written> made = history().CreateSession({.name = "s", .persona = persona});
    EXPECT_THAT(made, IsOk());
    return made.ok() ? made->id : Uuid{};
  }
  Persona Row(const std::string& id) {
    EXPECT_THAT(CatchUp(), IsOk());
    absl::StatusOr<std::optional<Persona>> row = personas().Get(id);
    EXPECT_THAT(row, IsOk());
    EXPECT_TRUE(row.ok() && row->has_value()) << id;
    return row.ok() ? row->value_or(Persona{}) : Persona{};
  }
  std::string DefaultName() {
    absl::StatusOr<std::optional<Persona>> persona = personas().GetDefault();
    EXPECT_THAT(persona, IsOk());
    return persona.ok() && *persona ? (*persona)->name : "";
  }
};

TEST_F(PersonasTest, TheSixBuiltInOnesAreRowsAsSpecified) {
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<Persona> all, personas().List());
  ASSERT_THAT(all, SizeIs(6));
  EXPECT_THAT(Sql("SELECT id FROM personas ORDER BY rowid"),
              ElementsAre("persona_professional", "persona_concise", "persona_educational",
                          "persona_cautious", "persona_devops", "persona_security"));
  EXPECT_THAT(Sql("SELECT temperature FROM personas ORDER BY rowid"),
              ElementsAre("0.5", "0.3", "0.7", "0.3", "0.5", "0.4"));
  EXPECT_THAT(Sql("SELECT count(*) FROM personas WHERE is_builtin = true AND is_active = true AND "
                  "model_preference IS NULL AND updated_at IS NULL"),
              ElementsAre("6"));
  const Persona& devops = all[4];
  EXPECT_EQ(devops.id, "persona_devops");
  EXPECT_EQ(devops.name, "devops");
  EXPECT_EQ(devops.display_name, "DevOps Expert");
  EXPECT_EQ(devops.description, "CI/CD and automation focused");
  EXPECT_THAT(devops.system_prompt, testing::StartsWith("You are a DevOps automation expert."));
  EXPECT_EQ(devops.temperature, 0.5);
  EXPECT_TRUE(devops.is_builtin);
  EXPECT_TRUE(devops.created_at_us);
}

TEST_F(PersonasTest, OneOfOnesOwnHasAllThatWasGiven) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written made,
                              personas().Define({.name = "pirate",
                                                 .display_name = "Pirate",
                                                 .description = "for the seas",
                                                 .system_prompt = "You are a pirate.",
                                                 .temperature = 2.0,
                                                 .model = "claude",
                                                 .response_style = R"({"tone":"rough"})",
                                                 .capabilities = R"(["sail"])"}));
  const Persona row = Row(made.id.ToString());
  EXPECT_EQ(row.name, "pirate");
  EXPECT_EQ(row.display_name, "Pirate");
  EXPECT_EQ(row.description, "for the seas");
  EXPECT_EQ(row.system_prompt, "You are a pirate.");
  EXPECT_EQ(row.temperature, 2.0);
  EXPECT_EQ(row.model_preference, "claude");
  EXPECT_EQ(row.response_style, R"({"tone":"rough"})");
  EXPECT_EQ(row.capabilities, R"(["sail"])");
  EXPECT_FALSE(row.is_builtin);
  EXPECT_TRUE(row.is_active);
  EXPECT_EQ(row.sequence, made.sequence);
  EXPECT_EQ(row.updated_at_us, std::nullopt);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto by_name, personas().GetByName("pirate"));
  ASSERT_TRUE(by_name);
  EXPECT_EQ(by_name->id, row.id);
  EXPECT_THAT(personas().FindRowId("pirate"), IsOkAndHolds(row.id));
  EXPECT_THAT(personas().FindRowId("persona_devops"), IsOkAndHolds("persona_devops"));
  EXPECT_THAT(personas().FindRowId("parrot"), StatusIs(Code::kNotFound, HasSubstr("parrot")));
}

TEST_F(PersonasTest, UpdatingChangesWhatIsGivenAndNothingElse) {
  const std::string id = Make("pirate");
  ASSERT_THAT(personas().Update(id, {.temperature = 0.0}), IsOk());
  EXPECT_EQ(Row(id).temperature, 0.0);
  EXPECT_EQ(Row(id).system_prompt, "You are P.");
  ASSERT_THAT(personas().Update(id, {.display_name = "Captain",
                                     .description = "d",
                                     .system_prompt = "You command.",
                                     .model = "m",
                                     .response_style = "{}",
                                     .capabilities = "[]"}),
              IsOk());
  const Persona row = Row(id);
  EXPECT_EQ(row.temperature, 0.0);
  EXPECT_EQ(row.display_name, "Captain");
  EXPECT_EQ(row.description, "d");
  EXPECT_EQ(row.system_prompt, "You command.");
  EXPECT_EQ(row.model_preference, "m");
  EXPECT_EQ(row.response_style, "{}");
  EXPECT_EQ(row.capabilities, "[]");
  EXPECT_GT(row.updated_at_us.value_or(0), row.created_at_us.value_or(0));
}

TEST_F(PersonasTest, RefusesWhatIsNotAllowedAndWritesNothing) {
  const std::string id = Make("pirate");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t before, journal().Size());
  const NewPersona good{.name = "n", .display_name = "N", .system_prompt = "p"};
  const auto with = [&](auto change) {
    NewPersona persona = good;
    change(persona);
    return personas().Define(persona);
  };
  const auto expect = [](const absl::StatusOr<Written>& result, const std::string& field) {
    EXPECT_THAT(result, StatusIs(Code::kInvalidArgument, HasSubstr(field)));
  };
  expect(with([](NewPersona& p) { p.name = ""; }), "name");
  expect(with([](NewPersona& p) { p.name = "a\nb"; }), "name");
  expect(with([](NewPersona& p) { p.name = "\xff"; }), "name");
  expect(with([](NewPersona& p) { p.name = std::string(256, 'n'); }), "name");
  expect(with([](NewPersona& p) { p.display_name = ""; }), "display_name");
  expect(with([](NewPersona& p) { p.system_prompt = ""; }), "system_prompt");
  expect(with([](NewPersona& p) { p.system_prompt = "\xc3"; }), "system_prompt");
  expect(with([](NewPersona& p) { p.temperature = 2.01; }), "temperature");
  expect(with([](NewPersona& p) { p.temperature = -0.1; }), "temperature");
  expect(with([](NewPersona& p) { p.temperature = std::nan(""); }), "temperature");
  expect(with([](NewPersona& p) { p.response_style = "{"; }), "response_style");
  expect(with([](NewPersona& p) { p.capabilities = "nope"; }), "capabilities");
  EXPECT_THAT(with([](NewPersona& p) { p.name = "pirate"; }), StatusIs(Code::kAlreadyExists));
  EXPECT_THAT(with([](NewPersona& p) { p.name = "devops"; }), StatusIs(Code::kAlreadyExists));
  expect(personas().Update(id, {}), "nothing to change");
  expect(personas().Update(id, {.temperature = 3}), "temperature");
  expect(personas().Update(id, {.capabilities = "["}), "capabilities");
  const std::string nobody = schema::NewUuid().ToString();
  for (const std::string& unknown : {nobody, std::string("persona_x"), std::string()}) {
    EXPECT_THAT(personas().Update(unknown, {.model = "m"}), StatusIs(Code::kNotFound));
    EXPECT_THAT(personas().Activate(unknown), StatusIs(Code::kNotFound));
    EXPECT_THAT(personas().Deactivate(unknown), StatusIs(Code::kNotFound));
    EXPECT_THAT(personas().Remove(unknown), StatusIs(Code::kNotFound));
    EXPECT_THAT(personas().SetDefault(unknown), StatusIs(Code::kNotFound));
    EXPECT_THAT(personas().UseInSession(schema::NewUuid(), unknown), StatusIs(Code::kNotFound));
  }
  EXPECT_THAT(journal().Size(), IsOkAndHolds(before));
}

TEST_F(PersonasTest, ABuiltInOneIsNeitherChangedNorRemoved) {
  EXPECT_THAT(personas().Update("persona_devops", {.model = "m"}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("built in")));
  EXPECT_THAT(personas().Remove("persona_devops"),
              StatusIs(Code::kFailedPrecondition, HasSubstr("deactivate")));
  EXPECT_THAT(personas().Deactivate("persona_devops"), IsOk());
  EXPECT_FALSE(Row("persona_devops").is_active);
}

TEST_F(PersonasTest, IsSwitchedOffAndOnAndOnlyUsedWhileOn) {
  const std::string id = Make("pirate");
  const Uuid session = MakeSession();
  ASSERT_THAT(personas().Deactivate(id), IsOk());
  EXPECT_FALSE(Row(id).is_active);
  EXPECT_TRUE(Row(id).updated_at_us);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<Persona> active, personas().List(true));
  EXPECT_THAT(active, SizeIs(6));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t before, journal().Size());
  EXPECT_THAT(personas().Deactivate(id), IsOk()) << "it is so already";
  EXPECT_THAT(personas().UseInSession(session, id),
              StatusIs(Code::kFailedPrecondition, HasSubstr("'pirate' is not active")));
  EXPECT_THAT(history().CreateSession({.persona = id}), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(history().UpdateSession(session, {.persona = id}),
              StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(personas().SetDefault(id), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(journal().Size(), IsOkAndHolds(before));
  ASSERT_THAT(personas().Activate(id), IsOk());
  EXPECT_THAT(personas().Activate(id), IsOk());
  EXPECT_THAT(journal().Size(), IsOkAndHolds(before + 1));
  EXPECT_TRUE(Row(id).is_active);
  EXPECT_THAT(personas().UseInSession(session, id), IsOk());
}

TEST_F(PersonasTest, ASessionSwitchesFromOneToAnother) {
  const std::string id = Make("pirate");
  const Uuid session = MakeSession("persona_concise");
  EXPECT_THAT(Sql("SELECT persona_id FROM sessions"), ElementsAre("persona_concise"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written used, personas().UseInSession(session, id));
  EXPECT_EQ(used.id, session);
  EXPECT_THAT(Sql("SELECT persona_id FROM sessions"), ElementsAre(id));
  EXPECT_THAT(Sql("SELECT persona_id FROM persona_usage ORDER BY rowid"),
              ElementsAre("persona_concise", id));
  ASSERT_THAT(history().UpdateSession(session, {.persona = "persona_devops"}), IsOk());
  EXPECT_THAT(Sql("SELECT persona_id FROM sessions"), ElementsAre("persona_devops"));
  EXPECT_THAT(Sql("SELECT count(*) FROM persona_usage WHERE session_id IS NOT NULL"),
              ElementsAre("3"));
  ASSERT_THAT(history().EndSession(session), IsOk());
  EXPECT_THAT(personas().UseInSession(session, id),
              StatusIs(Code::kFailedPrecondition, HasSubstr("ended")));
  EXPECT_THAT(personas().UseInSession(schema::NewUuid(), id), StatusIs(Code::kNotFound));
}

// However it is spelled, the row refers to the persona's row.
TEST_F(PersonasTest, ASessionRefersToTheRowOfItsPersona) {
  const std::string id = Make("pirate");
  std::string upper = id;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  MakeSession(upper);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto devops,
                              journal().FindName(fb::EntityKind::persona, "", "devops"));
  MakeSession(devops->ToString());
  EXPECT_THAT(Sql("SELECT persona_id FROM sessions ORDER BY rowid"),
              ElementsAre(id, "persona_devops"));
  EXPECT_THAT(history().CreateSession({.persona = "persona_none"}),
              StatusIs(Code::kNotFound, HasSubstr("persona_none")));
}

TEST_F(PersonasTest, UsesAreCountedPerPersonaAndSessionAndTime) {
  const std::string id = Make("pirate");
  const Uuid first = MakeSession("persona_devops"), second = MakeSession(id);
  ASSERT_THAT(personas().UseInSession(first, id), IsOk());
  ASSERT_THAT(personas().UseInSession(second, id), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  const auto usage = [&](const PersonaUsageFilter& filter) {
    absl::StatusOr<std::vector<PersonaUsage>> rows = personas().GetUsage(filter);
    EXPECT_THAT(rows, IsOk());
    std::vector<std::string> texts;
    for (const PersonaUsage& row : *rows) texts.push_back(fmt::format("{} {}", row.name, row.uses));
    return texts;
  };
  EXPECT_THAT(usage({}), ElementsAre("pirate 3", "devops 1"));
  EXPECT_THAT(usage({.persona = id}), ElementsAre("pirate 3"));
  EXPECT_THAT(usage({.session = first}), ElementsAre("devops 1", "pirate 1"));
  EXPECT_THAT(usage({.persona = "persona_devops", .session = second}), IsEmpty());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto all, personas().GetUsage());
  const int64_t last = all[0].last_used_at_us.value_or(0);
  EXPECT_EQ(all[0].persona_id, id);
  EXPECT_THAT(usage({.since_us = last}), ElementsAre("pirate 1"));
  EXPECT_THAT(usage({.since_us = last + 1}), IsEmpty());
}

TEST_F(PersonasTest, AUseIsARowWithAnIdOfItsOwn) {
  const Uuid session = MakeSession("persona_devops");
  ASSERT_THAT(personas().UseInSession(session, "persona_devops"), IsOk());
  EXPECT_THAT(Sql("SELECT count(DISTINCT id) FROM persona_usage WHERE length(id) = 36"),
              ElementsAre("2"));
  EXPECT_THAT(Sql("SELECT DISTINCT session_id FROM persona_usage"),
              ElementsAre(session.ToString()));
  EXPECT_THAT(Sql("SELECT count(*) FROM persona_usage WHERE used_at LIKE '2026-01-10 21:39:%'"),
              ElementsAre("2"));
}

TEST_F(PersonasTest, AnUnusedOneIsRemovedAndItsNameIsFreeAgain) {
  const std::string id = Make("pirate");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written removed, personas().Remove(id, "a joke"));
  EXPECT_THAT(Sql("SELECT count(*) FROM personas WHERE name = 'pirate'"), ElementsAre("0"));
  EXPECT_THAT(personas().Get(id), IsOkAndHolds(Eq(std::nullopt)));
  EXPECT_THAT(personas().Activate(id), StatusIs(Code::kNotFound));
  journal::Reader reader(journal());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* record, reader.Read(removed.sequence));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const fb::Body* body, reader.Body(*record));
  EXPECT_EQ(body->description()->str(), "a joke");
  const std::string next = Make("pirate");
  MakeSession(next);
  EXPECT_THAT(personas().Remove(next),
              StatusIs(Code::kFailedPrecondition, HasSubstr("'pirate' has been used")));
  EXPECT_EQ(Row(next).name, "pirate");
}

TEST_F(PersonasTest, TheDefaultOneIsThePreferenceAndStaysActive) {
  EXPECT_EQ(DefaultName(), "professional");
  const std::string id = Make("pirate");
  EXPECT_THAT(personas().Deactivate("persona_professional"),
              StatusIs(Code::kFailedPrecondition, HasSubstr("choose another default first")));
  ASSERT_THAT(personas().SetDefault(id), IsOk());
  EXPECT_EQ(DefaultName(), "pirate");
  EXPECT_THAT(Sql("SELECT value || version FROM preferences WHERE key = 'agent.default_persona'"),
              ElementsAre("\"pirate\"2"));
  EXPECT_THAT(personas().Deactivate(id), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(personas().Remove(id), StatusIs(Code::kFailedPrecondition, HasSubstr("default")));
  ASSERT_THAT(personas().Deactivate("persona_professional"), IsOk());
  EXPECT_THAT(database_->config().ResetPreference(std::string(kDefaultPersonaKey)),
              StatusIs(Code::kFailedPrecondition, HasSubstr("'professional' is not active")));
  ASSERT_THAT(database_->config().SetPreference(std::string(kDefaultPersonaKey), R"("devops")"),
              IsOk());
  EXPECT_EQ(DefaultName(), "devops");
  EXPECT_THAT(personas().Remove(id), IsOk());
}

TEST_F(PersonasTest, TheDefaultOneIsWaitedForNoLongerThanTold) {
  DatabaseOptions options;
  options.views.project = false;
  options.views.command_wait_ms = 20;
  ASSERT_THAT(CatchUp(), IsOk());
  ASSERT_THAT(Open(options), IsOk());
  EXPECT_EQ(DefaultName(), "professional") << "the views hold that one";
  ASSERT_THAT(personas().SetDefault(Make("pirate")), IsOk());
  EXPECT_THAT(personas().GetDefault(), StatusIs(Code::kDeadlineExceeded, HasSubstr("after 20 ms")));
}

TEST_F(PersonasTest, ARebuildGivesTheSameRows) {
  const std::string id = Make("pirate"), gone = Make("gone");
  ASSERT_THAT(personas().Update(id, {.model = "m", .response_style = R"({"a":1})"}), IsOk());
  ASSERT_THAT(personas().Remove(gone), IsOk());
  ASSERT_THAT(personas().UseInSession(MakeSession("persona_devops"), id), IsOk());
  ASSERT_THAT(personas().Deactivate("persona_security"), IsOk());
  ASSERT_THAT(personas().SetDefault(id), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::string grown, DumpTables(link()));
  ASSERT_THAT(database_->Rebuild(), IsOk());
  EXPECT_THAT(DumpTables(link()), IsOkAndHolds(grown));
  ASSERT_THAT(database_->Migrate(3), IsOk());
  EXPECT_THAT(personas().List(), StatusIs(Code::kFailedPrecondition, HasSubstr("version 3")));
  ASSERT_THAT(database_->Migrate(Database::LatestSchemaVersion()), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const VerifyViewsReport verified, database_->Verify());
  EXPECT_TRUE(verified.holds());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ViewsStatus status, database_->GetViewsStatus());
  EXPECT_EQ(status.quarantined, 0u);
}

// The map from personas to rows is filled anew by a projector that comes later.
TEST_F(PersonasTest, RowsAreFoundAfterReopening) {
  const std::string id = Make("pirate");
  ASSERT_THAT(CatchUp(), IsOk());
  ASSERT_THAT(Open(), IsOk());
  ASSERT_THAT(personas().Update(id, {.model = "m"}), IsOk());
  ASSERT_THAT(personas().Deactivate("persona_devops"), IsOk());
  EXPECT_EQ(Row(id).model_preference, "m");
  EXPECT_FALSE(Row("persona_devops").is_active);
  EXPECT_THAT(Open({.journal = {.read_only = true}}), IsOk());
  EXPECT_THAT(personas().Activate("persona_devops"), StatusIs(Code::kFailedPrecondition));
  EXPECT_EQ(DefaultName(), "professional");
}

}  // namespace
}  // namespace nimbus::projections
