// Two processes that want different things at the same time: one of them gets it, the
// other learns of it, and the rows say what happened.
#include <gtest/gtest.h>

#include <cstdio>

#include "configuring_child.h"
#include "fixture.h"
#include "migrator.h"
#include "nimbus/journal/reader.h"
#include "nimbus/journal/verify.h"
#include "nimbus/schema/entity_id.h"
#include "start_gate.h"
#include "testing/program.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using test::IsOk;
using test::IsOkAndHolds;
using testing::ElementsAre;

constexpr int kRounds = 150;

struct Counts {
  int done = 0, late = 0;
};

class SetupRaceTest : public StoreTest {
 protected:
  void SetUp() override { ASSERT_THAT(Open(), IsOk()); }

  // Runs `what` in two processes at once, with a name each.
  std::vector<Counts> Race(const std::string& what, const std::vector<std::string>& names,
                           const std::string& other = "") {
    StartGate gate(store() + "/gate");
    std::vector<std::unique_ptr<test::Program>> children;
    for (size_t i = 0; i < names.size(); ++i) {
      auto child = test::Program::Start(
          {.argv = {NIMBUS_CONFIGURING_CHILD, store(), i > 0 && !other.empty() ? other : what,
                    names[i], fmt::format("{}", kRounds)}});
      EXPECT_THAT(child, IsOk());
      if (child.ok()) children.push_back(*std::move(child));
    }
    std::vector<const test::Program*> ready;
    for (const auto& child : children) ready.push_back(child.get());
    EXPECT_THAT(gate.Open(ready), IsOk());
    std::vector<Counts> counts;
    for (const auto& child : children) {
      const absl::StatusOr<test::Finished> run = child->Wait();
      EXPECT_THAT(run, IsOk());
      if (!run.ok()) continue;
      EXPECT_EQ(run->exit_code, 0) << run->err;
      Counts count;
      EXPECT_EQ(std::sscanf(run->out.c_str(), "ready %d %d", &count.done, &count.late), 2)
          << run->out;
      counts.push_back(count);
    }
    return counts;
  }

  // What the projector made meanwhile is what the journal says, and that verifies.
  void ExpectConsistent() {
    ExpectRowsAsRebuilt();
    NIMBUS_ASSERT_OK_AND_ASSIGN(sqlite::Connection db, sqlite::Connection::Open(link(), {}));
    EXPECT_THAT(CheckForeignKeys(&db), IsOk());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::VerifyReport report, VerifyJournal(journal(), {}));
    for (const journal::Finding& finding : report.findings) ADD_FAILURE() << finding.what;
  }
};

TEST_F(SetupRaceTest, OfTwoThatActivateAProfileOneDoes) {
  for (const char* name : {"home", "a", "b"}) {
    ASSERT_THAT(database_->config().SaveProfile({.name = name, .config = "{}"}), IsOk());
  }
  const std::vector<Counts> counts = Race("profile", {"a", "b"});
  ASSERT_EQ(counts.size(), 2u);
  std::printf("late: %d, %d of %d\n", counts[0].late, counts[1].late, kRounds);
  ExpectConsistent();
  EXPECT_THAT(Sql("SELECT count(*) FROM config_profiles WHERE is_active"), ElementsAre("1"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto active, database_->config().GetActiveProfile());
  ASSERT_TRUE(active);
  EXPECT_THAT(journal().FindName(fb::EntityKind::config_profile, "role", "active"),
              IsOkAndHolds(std::optional(active->id)));
}

TEST_F(SetupRaceTest, OfTwoThatSetAPreferenceAtOneVersionOneDoes) {
  const std::vector<Counts> counts = Race("preference", {"dark", "light"});
  ASSERT_EQ(counts.size(), 2u);
  std::printf("late: %d, %d of %d\n", counts[0].late, counts[1].late, kRounds);
  ExpectConsistent();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto row, database_->config().GetPreference("ui.theme"));
  ASSERT_TRUE(row);
  EXPECT_EQ(row->version, 1 + counts[0].done + counts[1].done) << "each success is a version";
  EXPECT_EQ(counts[0].done + counts[0].late, kRounds);
}

TEST_F(SetupRaceTest, TheFirstProfileOfTwoProcessesIsActive) {
  const std::vector<Counts> counts = Race("save", {"a", "b"});
  ASSERT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts[0].done + counts[1].done, 2 * kRounds) << "saving never fails";
  ExpectConsistent();
  EXPECT_THAT(Sql("SELECT count(*) FROM config_profiles"), ElementsAre("2"));
  EXPECT_THAT(Sql("SELECT count(*) FROM config_profiles WHERE is_active"), ElementsAre("1"));
}

TEST_F(SetupRaceTest, TheDefaultPersonaIsActiveWhoeverSwitchesItOff) {
  const std::string name = "persona_concise";
  const std::vector<Counts> counts = Race("default", {name, name}, "deactivate");
  ASSERT_EQ(counts.size(), 2u);
  std::printf("refused: %d, %d of %d\n", counts[0].late, counts[1].late, kRounds);
  ExpectConsistent();
  // At no record was the default persona switched off.
  journal::Reader reader(journal());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t size, journal().Size());
  const schema::Uuid concise = schema::RowEntityId(fb::EntityKind::persona, name);
  bool is_default = false, active = true;
  for (uint64_t i = 0; i < size; ++i) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Read(i));
    const bool of_it = schema::Uuid::FromFb(view->envelope().stream()) == concise;
    if (const auto* set = view->record->event_as_PreferenceSet()) {
      is_default = schema::Uuid::FromFb(*set->persona()) == concise;
    }
    if (of_it && view->record->event_as_PersonaDeactivated()) active = false;
    if (of_it && view->record->event_as_PersonaActivated()) active = true;
    ASSERT_TRUE(active || !is_default) << "record " << i;
  }
}

TEST_F(SetupRaceTest, OfTwoThatCompleteAStepOneDoes) {
  const schema::Uuid session = history().CreateSession({})->id;
  const schema::Uuid operation =
      history().CreateOperation({.session = session, .type = "chat"})->id;
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_THAT(history().AddOperationStep({.operation = operation, .id = RoundId(round)}), IsOk());
  }
  const std::vector<Counts> counts = Race("step", {"a", "b"});
  ASSERT_EQ(counts.size(), 2u);
  std::printf("late: %d, %d of %d\n", counts[0].late, counts[1].late, kRounds);
  EXPECT_EQ(counts[0].done + counts[1].done, kRounds) << "each step was completed once";
  ExpectConsistent();
  const std::string of = "SELECT count(*) FROM operation_steps WHERE status = 'completed' ";
  EXPECT_THAT(Sql(of + "AND output = '\"a\"'"), ElementsAre(fmt::format("{}", counts[0].done)));
  EXPECT_THAT(Sql(of + "AND output = '\"b\"'"), ElementsAre(fmt::format("{}", counts[1].done)));
}

TEST_F(SetupRaceTest, OfTwoThatStoreACredentialOfOneNameOneDoes) {
  const std::vector<Counts> counts = Race("store", {"a", "b"});
  ASSERT_EQ(counts.size(), 2u);
  std::printf("late: %d, %d of %d\n", counts[0].late, counts[1].late, kRounds);
  EXPECT_EQ(counts[0].done + counts[1].done, kRounds) << "each name was taken once";
  EXPECT_EQ(counts[0].late + counts[1].late, kRounds);
  ExpectConsistent();
  EXPECT_THAT(Sql("SELECT count(*) || ' ' || count(DISTINCT name) FROM credentials"),
              ElementsAre(fmt::format("{0} {0}", kRounds)));
}

TEST_F(SetupRaceTest, ACredentialIsNotRotatedOnceItIsRemoved) {
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_THAT(database_->credentials().Store({.name = fmt::format("credential {}", round),
                                                .provider = "aws",
                                                .type = "api_key",
                                                .sealed = "first",
                                                .id = RoundId(round)}),
                IsOk());
  }
  const std::vector<Counts> counts = Race("rotate", {"a", "b"}, "remove");
  ASSERT_EQ(counts.size(), 2u);
  std::printf("late: %d of %d\n", counts[0].late, kRounds);
  EXPECT_EQ(counts[0].done + counts[0].late, kRounds);
  EXPECT_EQ(counts[1].done, kRounds) << "a rotation is no reason not to remove it";
  ExpectConsistent();
  EXPECT_THAT(Sql("SELECT count(*) FROM credentials"), ElementsAre("0"));
  for (int round = 0; round < kRounds; ++round) {
    const std::string name = fmt::format("credential {}", round);
    EXPECT_THAT(journal().FindName(fb::EntityKind::credential, "", name),
                IsOkAndHolds(std::nullopt));
  }
}

TEST_F(SetupRaceTest, OfTwoThatMakeACredentialProfileTheDefaultOneDoes) {
  for (const char* name : {"home", "a", "b"}) {
    ASSERT_THAT(database_->credentials().SaveProfile({.name = name}), IsOk());
  }
  const std::vector<Counts> counts = Race("credentials", {"a", "b"});
  ASSERT_EQ(counts.size(), 2u);
  std::printf("late: %d, %d of %d\n", counts[0].late, counts[1].late, kRounds);
  ExpectConsistent();
  EXPECT_THAT(Sql("SELECT count(*) FROM credential_profiles WHERE is_default"), ElementsAre("1"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto profile, database_->credentials().GetDefaultProfile());
  ASSERT_TRUE(profile);
  EXPECT_THAT(journal().FindName(fb::EntityKind::credential_profile, "role", "default"),
              IsOkAndHolds(std::optional(profile->id)));
}

TEST_F(SetupRaceTest, OfTwoThatMakeAPersonaTheDefaultOneDoes) {
  const std::vector<Counts> counts = Race("default", {"persona_concise", "persona_cautious"});
  ASSERT_EQ(counts.size(), 2u);
  std::printf("late: %d, %d of %d\n", counts[0].late, counts[1].late, kRounds);
  ExpectConsistent();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto persona, database_->personas().GetDefault());
  ASSERT_TRUE(persona);
  const schema::Uuid id = schema::RowEntityId(fb::EntityKind::persona, persona->id);
  EXPECT_THAT(journal().FindName(fb::EntityKind::persona, "role", "default"),
              IsOkAndHolds(std::optional(id)));
}

}  // namespace
}  // namespace nimbus::projections
