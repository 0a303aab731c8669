// What all repositories have in common, tried with every method of each: a store that is
// read-only, has no views, lacks the tables, or holds rows that say nonsense.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "fixture.h"
#include "nimbus/projections/search.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using Code = absl::StatusCode;
using schema::NewUuid;
using schema::Uuid;
using sqlite::Connection;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::AnyOf;
using testing::HasSubstr;

struct Method {
  std::string name;
  std::function<absl::Status()> call;
};

struct Query {
  std::string name;
  int schema_version = 0;  // whose tables it reads
  std::function<absl::Status()> call;
};

class RepositoriesTest : public StoreTest {
 protected:
  // One of each thing that commands can change, and that rows are made of.
  struct Things {
    Uuid session, operation, step, credential, plugin, hook;
    std::string persona;
  };

  void SetUp() override {
    ASSERT_THAT(Open(), IsOk());
    things_.session = history().CreateSession({.name = "s"})->id;
    things_.operation = history().CreateOperation({.session = things_.session, .type = "chat"})->id;
    things_.step = history().AddOperationStep({.operation = things_.operation})->id;
    ASSERT_THAT(history().CreateCheckpoint(
                    {.operation = things_.operation, .step = things_.step, .state = "1"}),
                IsOk());
    things_.persona =
        personas().Define({.name = "n", .display_name = "N", .system_prompt = "p"})->id.ToString();
    ASSERT_THAT(config().SetValue("key", "value"), IsOk());
    ASSERT_THAT(config().SaveProfile({.name = "p", .config = "{}"}), IsOk());
    ASSERT_THAT(
        config().SetEnvironment({.environment = "e", .cloud_provider = "aws", .config = "{}"}),
        IsOk());
    things_.credential = credentials()
                             .Store({.name = "c",
                                     .provider = "aws",
                                     .type = "api_key",
                                     .sealed = "x",
                                     .expires_at_us = 1})
                             ->id;
    ASSERT_THAT(credentials().SaveProfile({.name = "p", .credentials = Mapping()}), IsOk());
    ASSERT_THAT(credentials().SetDefaultProfile("p"), IsOk());
    things_.plugin = plugins().Install({.name = "a", .version = "1", .entry_point = "m"})->id;
    ASSERT_THAT(plugins().Configure(things_.plugin, "{}"), IsOk());
    things_.hook = plugins().RegisterHook(things_.plugin, {.name = "h"})->id;
    ASSERT_THAT(registry().Cache({{.name = "a", .latest_version = "1"}}), IsOk());
    ASSERT_THAT(CatchUp(), IsOk());
  }

  std::string Mapping() { return R"({"aws":")" + things_.credential.ToString() + R"("})"; }
  Personas& personas() { return database_->personas(); }
  Config& config() { return database_->config(); }
  Credentials& credentials() { return database_->credentials(); }
  Plugins& plugins() { return database_->plugins(); }
  PluginRegistry& registry() { return database_->plugin_registry(); }

  // Every command, such that it would append.
  std::vector<Method> Commands() {
    const Things& t = things_;
    std::vector<Method> all = HistoryCommands();
    const auto add = [&](std::string name, auto call) {
      all.push_back({std::move(name), [call] { return call().status(); }});
    };
    add("Personas::Define", [this] {
      return personas().Define({.name = "x", .display_name = "X", .system_prompt = "p"});
    });
    add("Personas::Update", [&] { return personas().Update(t.persona, {.model = "m"}); });
    add("Personas::Deactivate", [&] { return personas().Deactivate(t.persona); });
    add("Personas::Remove", [&] { return personas().Remove(t.persona); });
    add("Personas::UseInSession", [&] { return personas().UseInSession(t.session, t.persona); });
    add("Personas::SetDefault", [&] { return personas().SetDefault(t.persona); });
    add("Config::SetValue", [this] { return config().SetValue("k", "v"); });
    add("Config::UnsetValue", [this] { return config().UnsetValue("key"); });
    add("Config::DefinePreference",
        [this] { return config().DefinePreference({.key = "my.key", .value = R"("v")"}); });
    add("Config::SetPreference", [this] { return config().SetPreference("ui.theme", R"("x")"); });
    add("Config::ResetPreference", [this] { return config().ResetPreference("ui.theme"); });
    add("Config::SaveProfile",
        [this] { return config().SaveProfile({.name = "q", .config = "{}"}); });
    add("Config::SetEnvironment", [this] {
      return config().SetEnvironment({.environment = "f", .cloud_provider = "aws", .config = "{}"});
    });
    add("Config::DeleteEnvironment", [this] { return config().DeleteEnvironment("e", "aws"); });
    add("Credentials::Store", [this] {
      return credentials().Store(
          {.name = "d", .provider = "aws", .type = "api_key", .sealed = "x"});
    });
    add("Credentials::Rotate", [&] { return credentials().Rotate(t.credential, {.sealed = "y"}); });
    add("Credentials::RecordUse", [&] { return credentials().RecordUse(t.credential); });
    add("Credentials::Remove", [&] { return credentials().Remove(t.credential, "why"); });
    add("Credentials::SaveProfile", [this] { return credentials().SaveProfile({.name = "q"}); });
    add("Credentials::DeleteProfile", [this] { return credentials().DeleteProfile("p", "why"); });
    add("Plugins::Install",
        [this] { return plugins().Install({.name = "b", .version = "1", .entry_point = "m"}); });
    add("Plugins::Update", [&] { return plugins().Update(t.plugin, {.description = "d"}); });
    add("Plugins::Configure", [&] { return plugins().Configure(t.plugin, "{}"); });
    add("Plugins::Disable", [&] { return plugins().Disable(t.plugin); });
    add("Plugins::Enable", [&] { return plugins().Enable(t.plugin); });
    add("Plugins::Uninstall", [&] { return plugins().Uninstall(t.plugin); });
    add("Plugins::RegisterHook", [&] { return plugins().RegisterHook(t.plugin, {.name = "i"}); });
    add("Plugins::ChangeHook", [&] { return plugins().ChangeHook(t.hook, {.priority = 1}); });
    add("Plugins::RemoveHook", [&] { return plugins().RemoveHook(t.hook); });
    add("PluginRegistry::Cache",
        [this] { return registry().Cache({{.name = "b", .latest_version = "1"}}); });
    add("PluginRegistry::Remove", [this] { return registry().Remove("a"); });
    return all;
  }

  std::vector<Method> HistoryCommands() {
    using journal::Lifecycle;
    const Things& t = things_;
    std::vector<Method> all;
    const auto add = [&](std::string name, auto call) {
      all.push_back({std::move(name), [call] { return call().status(); }});
    };
    add("History::CreateSession", [this] { return history().CreateSession({}); });
    add("History::UpdateSession",
        [&] { return history().UpdateSession(t.session, {.name = "x"}); });
    add("History::EndSession", [&] { return history().EndSession(t.session); });
    add("History::CreateOperation",
        [&] { return history().CreateOperation({.session = t.session, .type = "chat"}); });
    add("History::PlanOperation", [&] { return history().PlanOperation(t.operation, "[]"); });
    add("History::StartOperation", [&] { return history().StartOperation(t.operation); });
    add("History::UpdateOperationStatus",
        [&] { return history().UpdateOperationStatus(t.operation, Lifecycle::kCompleted); });
    add("History::AddOperationStep",
        [&] { return history().AddOperationStep({.operation = t.operation}); });
    add("History::StartOperationStep", [&] { return history().StartOperationStep(t.step); });
    add("History::CompleteOperationStep",
        [&] { return history().CompleteOperationStep(t.step, {}); });
    add("History::FailOperationStep", [&] { return history().FailOperationStep(t.step, {}); });
    add("History::CancelOperationStep", [&] { return history().CancelOperationStep(t.step); });
    add("History::CreateCheckpoint", [&] {
      return history().CreateCheckpoint({.operation = t.operation, .step = t.step, .state = "1"});
    });
    return all;
  }

  // Every query of rows. Each finds something.
  std::vector<Query> Queries() {
    const Things& t = things_;
    std::vector<Query> all;
    const auto add = [&](std::string name, int version, auto call) {
      all.push_back({std::move(name), version, [call] { return call().status(); }});
    };
    add("History::GetSession", 2, [&] { return history().GetSession(t.session); });
    add("History::GetSessions", 2, [this] { return history().GetSessions(); });
    add("History::GetOperation", 2, [&] { return history().GetOperation(t.operation); });
    add("History::GetOperationHistory", 2, [this] { return history().GetOperationHistory(); });
    add("History::GetOperationWithSteps", 2,
        [&] { return history().GetOperationWithSteps(t.operation); });
    add("Personas::GetDefault", 4, [this] { return personas().GetDefault(); });
    add("Personas::Get", 4, [&] { return personas().Get(t.persona); });
    add("Personas::GetByName", 4, [this] { return personas().GetByName("n"); });
    add("Personas::List", 4, [this] { return personas().List(); });
    add("Personas::GetUsage", 4, [this] { return personas().GetUsage(); });
    add("Config::GetValue", 1, [this] { return config().GetValue("key"); });
    add("Config::GetValues", 1, [this] { return config().GetValues(); });
    add("Config::GetPreference", 5, [this] { return config().GetPreference("ui.theme"); });
    add("Config::GetPreferences", 5, [this] { return config().GetPreferences(); });
    add("Config::GetProfile", 5, [this] { return config().GetProfile("p"); });
    add("Config::GetActiveProfile", 5, [this] { return config().GetActiveProfile(); });
    add("Config::GetProfiles", 5, [this] { return config().GetProfiles(); });
    add("Config::GetEnvironment", 5, [this] { return config().GetEnvironment("e", "aws"); });
    add("Config::GetEnvironments", 5, [this] { return config().GetEnvironments(); });
    add("Config::GetEffective", 5, [this] { return config().GetEffective(); });
    add("Credentials::List", 1, [this] { return credentials().List(); });
    add("Credentials::ListExpiring", 1, [this] { return credentials().ListExpiring(INT64_MAX); });
    add("Credentials::Get", 1, [&] { return credentials().Get(t.credential); });
    add("Credentials::GetByName", 1, [this] { return credentials().GetByName("c"); });
    add("Credentials::GetSealed", 1, [&] { return credentials().GetSealed(t.credential); });
    add("Credentials::ListProfiles", 6, [this] { return credentials().ListProfiles(); });
    add("Credentials::GetProfile", 6, [this] { return credentials().GetProfile("p"); });
    add("Credentials::GetDefaultProfile", 6, [this] { return credentials().GetDefaultProfile(); });
    add("Credentials::Resolve", 6, [this] { return credentials().Resolve("aws"); });
    add("Lineage::ForksOf", 7, [&] { return database_->lineage().ForksOf(t.operation); });
    add("Lineage::ForkOrigin", 7, [&] { return database_->lineage().ForkOrigin(t.operation); });
    add("Lineage::ReceiptsOf", 7, [&] { return database_->lineage().ReceiptsOf(t.operation); });
    add("Plugins::List", 3, [this] { return plugins().List(); });
    add("Plugins::Get", 3, [&] { return plugins().Get(t.plugin); });
    add("Plugins::GetByName", 3, [this] { return plugins().GetByName("a"); });
    add("Plugins::GetConfig", 3, [&] { return plugins().GetConfig(t.plugin); });
    add("Plugins::ListConfigs", 3, [&] { return plugins().ListConfigs(t.plugin); });
    add("Plugins::GetHooks", 3, [this] { return plugins().GetHooks("h"); });
    add("Plugins::ListHooks", 3, [this] { return plugins().ListHooks(); });
    add("PluginRegistry::Get", 3, [this] { return registry().Get("a"); });
    add("PluginRegistry::Search", 3, [this] { return registry().Search(); });
    return all;
  }

  static DatabaseOptions NotProjecting() {
    DatabaseOptions options;
    options.views.project = false;
    return options;
  }

  Things things_;
};

TEST_F(RepositoriesTest, NoCommandAppendsToAReadOnlyJournal) {
  // What commands that do nothing when it is so already have something to do with.
  ASSERT_THAT(personas().Deactivate("persona_security"), IsOk());
  ASSERT_THAT(config().SaveProfile({.name = "second", .config = "{}"}), IsOk());
  ASSERT_THAT(credentials().SaveProfile({.name = "second"}), IsOk());
  ASSERT_THAT(Open({.journal = {.read_only = true}}), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t before, journal().Size());
  for (const Method& command : Commands()) {
    EXPECT_THAT(command.call(), StatusIs(Code::kFailedPrecondition)) << command.name;
  }
  const auto refused = StatusIs(Code::kFailedPrecondition, HasSubstr("read-only"));
  EXPECT_THAT(personas().Activate("persona_security"), refused);
  EXPECT_THAT(config().ActivateProfile("second"), refused);
  EXPECT_THAT(config().DeleteProfile("second"), refused);
  EXPECT_THAT(credentials().SetDefaultProfile("second"), refused);
  EXPECT_THAT(journal().Size(), IsOkAndHolds(before));
}

TEST_F(RepositoriesTest, EveryQueryAnswers) {
  for (const Query& query : Queries()) EXPECT_THAT(query.call(), IsOk()) << query.name;
}

TEST_F(RepositoriesTest, EveryQueryWithoutItsTablesSaysWhichVersionHasThem) {
  for (int version = Database::LatestSchemaVersion(); version-- > 0;) {
    ASSERT_THAT(database_->Migrate(version), IsOk());
    for (const Query& query : Queries()) {
      SCOPED_TRACE(fmt::format("{} at version {}", query.name, version));
      if (query.schema_version <= version) {
        EXPECT_THAT(query.call(), IsOk());
      } else {
        EXPECT_THAT(query.call(),
                    StatusIs(Code::kFailedPrecondition,
                             HasSubstr(fmt::format("needs {}", query.schema_version))));
      }
    }
  }
}

TEST_F(RepositoriesTest, EveryQueryWithoutViewsSaysThatThereAreNone) {
  Close();
  DeleteViews();
  ASSERT_THAT(Open(NotProjecting()), IsOk());
  for (const Query& query : Queries()) {
    if (query.name == "Personas::GetDefault") continue;  // waits for them first
    EXPECT_THAT(query.call(), StatusIs(Code::kNotFound, HasSubstr("views.db"))) << query.name;
  }
  const auto none = StatusIs(Code::kNotFound, HasSubstr("views.db"));
  EXPECT_THAT(database_->WaitFor(0, 20), none);
  EXPECT_THAT(database_->CatchUp(20), none);
  EXPECT_THAT(database_->GetViewsStatus(), none);
  EXPECT_THAT(database_->GetQuarantine(), none);
  EXPECT_THAT(database_->Inspect(), none);
  EXPECT_THAT(database_->Query("SELECT 1", [](const QueryRow&) { return absl::OkStatus(); }), none);
}

// In every table, an id or a time that is none; where there is neither, a word.
TEST_F(RepositoriesTest, RowsThatSayNonsenseAreDataLossNotAnAnswer) {
  ASSERT_THAT(personas().UseInSession(things_.session, things_.persona), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  Close();
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(link(), {}));
  ASSERT_THAT(
      db.Execute("UPDATE sessions SET started_at = 'soon'; UPDATE operations SET status = 'odd'; "
                 "UPDATE operation_steps SET type = 'odd'; UPDATE checkpoints SET created_at = 'x';"
                 "UPDATE personas SET created_at = 'x'; UPDATE persona_usage SET used_at = 'x';"
                 "UPDATE config SET updated_at = 'x'; UPDATE preferences SET type = 'odd'; "
                 "UPDATE config_profiles SET created_at = 'x'; "
                 "UPDATE environment_configs SET created_at = 'x'; "
                 "UPDATE credentials SET created_at = 'x'; "
                 "UPDATE credential_profiles SET created_at = 'x'; "
                 "UPDATE plugins SET type = 'odd'; UPDATE plugin_configs SET created_at = 'x'; "
                 "UPDATE plugin_hooks SET id = 'x' WHERE hook_name = 'h'; "
                 "UPDATE plugin_registry SET fetched_at = 'x'"),
      IsOk());
  ASSERT_THAT(Open(NotProjecting()), IsOk());
  const std::vector<std::string> fine = {"Credentials::GetSealed", "Lineage::ForksOf",
                                         "Lineage::ForkOrigin", "Lineage::ReceiptsOf"};
  for (const Query& query : Queries()) {
    const bool is_fine = std::count(fine.begin(), fine.end(), query.name) > 0;
    EXPECT_THAT(query.call(), StatusIs(is_fine ? Code::kOk : Code::kDataLoss)) << query.name;
  }
}

TEST_F(RepositoriesTest, AQueryOfALockedFileIsUnavailable) {
  ASSERT_THAT(Open(NotProjecting()), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(link(), {}));
  ASSERT_THAT(db.Execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE"), IsOk());
  EXPECT_THAT(history().GetSessions(), StatusIs(Code::kUnavailable));
  EXPECT_THAT(config().GetPreferences(), StatusIs(Code::kUnavailable));
}

TEST_F(RepositoriesTest, WhatHasEndedIsChangedNoMore) {
  const Things& t = things_;
  ASSERT_THAT(history().CompleteOperationStep(t.step, {}), IsOk());
  for (const Method& command : HistoryCommands()) {
    if (!command.name.ends_with("OperationStep") || command.name == "History::AddOperationStep") {
      continue;
    }
    EXPECT_THAT(command.call(), StatusIs(Code::kFailedPrecondition)) << command.name;
  }
  ASSERT_THAT(history().UpdateOperationStatus(t.operation, journal::Lifecycle::kCompleted), IsOk());
  EXPECT_THAT(history().PlanOperation(t.operation, "[]"), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(history().StartOperation(t.operation), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(history().UpdateOperationStatus(t.operation, journal::Lifecycle::kFailed),
              StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(history().AddOperationStep({.operation = t.operation}),
              StatusIs(Code::kFailedPrecondition));
  ASSERT_THAT(history().EndSession(t.session), IsOk());
  EXPECT_THAT(history().EndSession(t.session), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(history().CreateOperation({.session = t.session, .type = "chat"}),
              StatusIs(Code::kFailedPrecondition));
}

TEST_F(RepositoriesTest, WhatDoesNotExistIsNotFound) {
  things_ = {.session = NewUuid(),
             .operation = NewUuid(),
             .step = NewUuid(),
             .credential = NewUuid(),
             .plugin = NewUuid(),
             .hook = NewUuid(),
             .persona = NewUuid().ToString()};
  const std::vector<std::string> makes = {
      "CreateSession", "Define",  "SetValue", "DefinePreference", "SaveProfile", "SetEnvironment",
      "Store",         "Install", "Cache"};
  // These are named by name, of what is there.
  const std::vector<std::string> names = {"UnsetValue",      "SetPreference",
                                          "ResetPreference", "DeleteEnvironment",
                                          "DeleteProfile",   "PluginRegistry::Remove"};
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t before, journal().Size());
  for (const Method& command : Commands()) {
    const auto is_of = [&](const std::vector<std::string>& list) {
      return std::any_of(list.begin(), list.end(),
                         [&](const std::string& end) { return command.name.ends_with(end); });
    };
    if (is_of(makes) || is_of(names)) continue;
    EXPECT_THAT(command.call(), StatusIs(Code::kNotFound)) << command.name;
  }
  EXPECT_THAT(journal().Size(), IsOkAndHolds(before));
}

TEST_F(RepositoriesTest, AnIdThatIsTakenIsRefused) {
  const Things& t = things_;
  const auto taken = StatusIs(Code::kAlreadyExists);
  EXPECT_THAT(history().CreateSession({.id = t.session}), taken);
  EXPECT_THAT(history().CreateOperation({.session = t.session, .type = "chat", .id = t.operation}),
              taken);
  EXPECT_THAT(history().AddOperationStep({.operation = t.operation, .id = t.step}), taken);
  const NewCheckpoint checkpoint{
      .operation = t.operation, .step = t.step, .state = "1", .id = NewUuid()};
  ASSERT_THAT(history().CreateCheckpoint(checkpoint), IsOk());
  EXPECT_THAT(history().CreateCheckpoint(checkpoint), taken);
  EXPECT_THAT(credentials().Store({.name = "other",
                                   .provider = "aws",
                                   .type = "api_key",
                                   .sealed = "x",
                                   .id = t.credential}),
              taken);
  EXPECT_THAT(
      plugins().Install({.name = "other", .version = "1", .entry_point = "m", .id = t.plugin}),
      taken);
}

TEST_F(RepositoriesTest, ABodyHasALimit) {
  ASSERT_THAT(Open({.journal = {.body_bytes_max = 1000}}), IsOk());
  const auto json = [](size_t bytes) { return '"' + std::string(bytes - 2, 'x') + '"'; };
  const Uuid session = things_.session;
  EXPECT_THAT(history().CreateOperation({.session = session, .type = "chat", .input = json(2000)}),
              StatusIs(Code::kInvalidArgument, HasSubstr("1000 are allowed")));
  EXPECT_THAT(history().CreateOperation({.session = session, .type = "chat", .input = json(900)}),
              IsOk());
}

TEST_F(RepositoriesTest, ANameHasALimit) {
  const Things& t = things_;
  for (const size_t bytes : {schema::kNameBytesMax, schema::kNameBytesMax + 1}) {
    const std::string name(bytes, 'n');
    for (const absl::Status& status :
         {history().CreateOperation({.session = t.session, .type = name}).status(),
          history().AddOperationStep({.operation = t.operation, .tool_name = name}).status(),
          personas().Define({.name = name, .display_name = "N", .system_prompt = "p"}).status(),
          config().SetValue(name, "v").status(),
          config().DefinePreference({.key = "k" + name.substr(1), .value = R"("v")"}).status(),
          config().SaveProfile({.name = name, .config = "{}"}).status(),
          config().SetEnvironment({name, "aws", "{}"}).status(),
          config().SetEnvironment({"e", name, "{}"}).status(),
          credentials()
              .Store({.name = name, .provider = "aws", .type = "oauth", .sealed = "s"})
              .status(),
          credentials()
              .Store({.name = "o", .provider = name, .type = "oauth", .sealed = "s"})
              .status(),
          credentials().SaveProfile({.name = name}).status(),
          plugins().Install({.name = name, .version = "1", .entry_point = "m"}).status(),
          plugins().Install({.name = "v", .version = name, .entry_point = "m"}).status(),
          plugins().Configure(t.plugin, "{}", name).status(),
          plugins().RegisterHook(t.plugin, {.name = name}).status(),
          registry().Cache({{.name = name, .latest_version = "1"}}).status(),
          registry().Cache({{.name = "v", .latest_version = name}}).status()}) {
      if (bytes <= schema::kNameBytesMax) {
        EXPECT_THAT(status, IsOk());
      } else {
        EXPECT_THAT(status, StatusIs(Code::kInvalidArgument, HasSubstr("255 are allowed")));
      }
    }
  }
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(database_->GetQuarantine(), IsOkAndHolds(testing::IsEmpty()));
}

TEST_F(RepositoriesTest, AListOfAPluginHasALimit) {
  const auto of = [](size_t count) { return std::vector<std::string>(count, "p"); };
  const std::vector<NewHook> hooks(kPluginListMax + 1, {.name = "h"});
  const auto refused = StatusIs(Code::kInvalidArgument, HasSubstr("256 are allowed"));
  EXPECT_THAT(plugins().Update(things_.plugin, {.permissions = of(kPluginListMax)}), IsOk());
  EXPECT_THAT(plugins().Update(things_.plugin, {.permissions = of(kPluginListMax + 1)}), refused);
  EXPECT_THAT(plugins().Update(things_.plugin, {.dependencies = of(kPluginListMax + 1)}), refused);
  EXPECT_THAT(plugins().Update(things_.plugin, {.hooks = hooks}), refused);
}

TEST_F(RepositoriesTest, AStoreThatIsNotThereIsNotMadeUnlessAsked) {
  Close();
  EXPECT_THAT(Database::Open((directory_ / "none"), {.journal = {.create = false}}),
              StatusIs(Code::kNotFound));
}

TEST_F(RepositoriesTest, AnIndexOfANewerNimbusIsRefusedAndALateOneIsSaid) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto search, Search::Open(&journal(), {}));
  ASSERT_THAT(search->CatchUp(30'000), IsOk());
  search.reset();
  ASSERT_THAT(history().CreateSession({}), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(search, Search::Open(&journal(), {.project = false}));
  EXPECT_THAT(search->CatchUp(20),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("does not project")));
  search.reset();
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection db, Connection::Open(directory_ / "search.db", {}));
  ASSERT_THAT(db.Execute("INSERT INTO migrations (version, name) VALUES (9, 'tomorrow')"), IsOk());
  EXPECT_THAT(Search::Open(&journal(), {}), StatusIs(Code::kFailedPrecondition));
}

}  // namespace
}  // namespace nimbus::projections
