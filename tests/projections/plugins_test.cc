// Commands of Plugins, and the rows and structs that come of them.
#include "nimbus/projections/plugins.h"

#include "nimbus/journal/reader.h"
#include "plugin_rows.h"
#include "plugins_fixture.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using Code = absl::StatusCode;
using schema::Uuid;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSchema[] = R"({"type":"object","required":["region"],
    "properties":{"region":{"type":"string"},"retries":{"type":"integer","minimum":0}},
    "additionalProperties":false})";

class PluginsTest : public PluginStoreTest {
 protected:
  Uuid InstallAws() {
    return Install({.name = "aws",
                    .version = "1.2.0",
                    .description = "Amazon's clouds",
                    .author = "Nimbus",
                    .homepage = "https://example.com",
                    .repository = "https://example.com/aws.git",
                    .type = PluginType::provider,
                    .entry_point = "dist/index.js",
                    .config_schema = kSchema,
                    .permissions = {"network", "fs:read"},
                    .hooks = {{.name = "pre_execute", .priority = 10}, {.name = "on_error"}}});
  }
  std::vector<std::string> Names(std::optional<PluginType> type = std::nullopt) {
    EXPECT_THAT(CatchUp(), IsOk());
    absl::StatusOr<std::vector<Plugin>> rows = plugins().List(type);
    EXPECT_THAT(rows, IsOk());
    std::vector<std::string> names;
    if (rows.ok()) {
      for (const Plugin& row : *rows) names.push_back(row.name);
    }
    return names;
  }
};

TEST_F(PluginsTest, AnInstalledPluginIsARowWithItsHooks) {
  const uint64_t before = Size();
  const Uuid id = InstallAws();
  EXPECT_EQ(Size(), before + 3) << "one event, and one for each hook";
  const Plugin row = RowOf(id);
  EXPECT_EQ(row.id, id);
  EXPECT_EQ(row.name, "aws");
  EXPECT_EQ(row.version, "1.2.0");
  EXPECT_EQ(row.description, "Amazon's clouds");
  EXPECT_EQ(row.author, "Nimbus");
  EXPECT_EQ(row.homepage, "https://example.com");
  EXPECT_EQ(row.repository, "https://example.com/aws.git");
  EXPECT_EQ(row.type, PluginType::provider);
  EXPECT_EQ(row.entry_point, "dist/index.js");
  EXPECT_EQ(row.config_schema, kSchema) << "byte for byte";
  EXPECT_THAT(row.dependencies, IsEmpty());
  EXPECT_THAT(row.permissions, ElementsAre("network", "fs:read"));
  EXPECT_TRUE(row.enabled);
  EXPECT_TRUE(row.installed_at_us);
  EXPECT_EQ(row.updated_at_us, std::nullopt);
  EXPECT_EQ(row.sequence, before);
  EXPECT_THAT(Sql("SELECT hook_name || priority || enabled FROM plugin_hooks ORDER BY rowid"),
              ElementsAre("pre_execute101", "on_error1001"));
  EXPECT_THAT(Sql("SELECT type FROM plugins"), ElementsAre("provider"));
  ExpectRowsAsRebuilt();
}

TEST_F(PluginsTest, WhatIsLeftOutIsNull) {
  Install(ManifestOf("plain"));
  EXPECT_THAT(Sql("SELECT count(*) FROM plugins WHERE description IS NULL AND author IS NULL AND "
                  "homepage IS NULL AND repository IS NULL AND config_schema IS NULL AND "
                  "dependencies IS NULL AND permissions IS NULL AND updated_at IS NULL"),
              ElementsAre("1"));
  EXPECT_THAT(Sql("SELECT installed_at FROM plugins"),
              ElementsAre(testing::StartsWith("2026-01-10 21:39:")))
      << "times come from the journal, never from SQLite";
}

TEST_F(PluginsTest, AreListedByNameAndFoundByIt) {
  Install(ManifestOf("zeta"));
  InstallAws();
  Install(ManifestOf("mid"));
  EXPECT_THAT(Names(), ElementsAre("aws", "mid", "zeta"));
  EXPECT_THAT(Names(PluginType::tool), ElementsAre("mid", "zeta"));
  EXPECT_THAT(Names(PluginType::ui), IsEmpty());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<Plugin> found, plugins().GetByName("mid"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->version, "1.0.0");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<Plugin> none, plugins().GetByName("nobody"));
  EXPECT_FALSE(none);
  EXPECT_THAT(plugins().FindByName("mid"), IsOkAndHolds(testing::Optional(found->id)));
  EXPECT_THAT(plugins().FindByName("nobody"), IsOkAndHolds(testing::Eq(std::nullopt)));
}

TEST_F(PluginsTest, ANameIsUniqueUntilItsPluginGoes) {
  const Uuid first = Install(ManifestOf("aws"));
  EXPECT_THAT(plugins().Install(ManifestOf("aws", "2.0.0")),
              StatusIs(Code::kAlreadyExists, HasSubstr("aws")));
  ASSERT_THAT(plugins().Uninstall(first), IsOk());
  PluginManifest again = ManifestOf("aws", "2.0.0");
  again.id = first;
  EXPECT_THAT(plugins().Install(again), StatusIs(Code::kAlreadyExists))
      << "ids are not given twice";
  const Uuid second = Install(ManifestOf("aws", "2.0.0"));
  EXPECT_NE(second, first);
  EXPECT_EQ(RowOf(second).version, "2.0.0");
  EXPECT_THAT(Sql("SELECT count(*) FROM plugins"), ElementsAre("1"));
  ExpectRowsAsRebuilt();
}

TEST_F(PluginsTest, ConfigurationsAreByProfile) {
  const Uuid id = InstallAws();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written written,
                              plugins().Configure(id, R"({"region": "eu-1"})"));
  ASSERT_THAT(plugins().Configure(id, R"({"region":"us-2"})", "prod"), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(std::optional<PluginConfig> config, plugins().GetConfig(id));
  ASSERT_TRUE(config);
  EXPECT_EQ(config->config, R"({"region": "eu-1"})") << "byte for byte";
  EXPECT_EQ(config->profile, "default");
  EXPECT_EQ(config->plugin_id, id);
  EXPECT_EQ(config->sequence, written.sequence);
  EXPECT_EQ(config->created_at_us, config->updated_at_us);
  const Uuid row = config->id;
  ASSERT_THAT(plugins().Configure(id, R"({"region":"eu-2","retries":3})"), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(config, plugins().GetConfig(id));
  EXPECT_EQ(config->config, R"({"region":"eu-2","retries":3})");
  EXPECT_EQ(config->id, row);
  EXPECT_GT(config->updated_at_us.value_or(0), config->created_at_us.value_or(0));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto all, plugins().ListConfigs(id));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].profile, "default");
  EXPECT_EQ(all[1].profile, "prod");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto none, plugins().GetConfig(id, "nowhere"));
  EXPECT_FALSE(none);
  ExpectRowsAsRebuilt();
}

TEST_F(PluginsTest, AConfigurationMustFitTheSchema) {
  const Uuid id = InstallAws();
  const uint64_t before = Size();
  const auto refuses = [&](const std::string& config, const std::string& saying) {
    EXPECT_THAT(plugins().Configure(id, config),
                StatusIs(Code::kInvalidArgument, HasSubstr(saying)))
        << config.substr(0, 100);
  };
  refuses("{}",
          "config of plugin 'aws', profile 'default': at the top: Missing required property "
          "'region'");
  refuses(R"({"region":7})", "/region: Value type");
  refuses(R"({"region":"x","retries":-1})", "/retries: Expected number greater than or equal");
  refuses(R"({"region":"x","other":1})", "'other'");
  refuses("[1]", "no JSON object");
  refuses("{\"region\":", "config: ");
  refuses("", "config: ");
  refuses("{\"region\":\"\xff\"}", "config: ");
  refuses("{\"region\":\"a\nb\"}", "config: ");
  refuses("{\"region\":\"" + std::string(kPluginConfigBytesMax, 'x') + "\"}", "are allowed");
  EXPECT_THAT(plugins().Configure(id, R"({"region":"x"})", ""),
              StatusIs(Code::kInvalidArgument, HasSubstr("profile")));
  EXPECT_THAT(plugins().Configure(id, R"({"region":"x"})", std::string(256, 'p')),
              StatusIs(Code::kInvalidArgument, HasSubstr("profile")));
  EXPECT_THAT(plugins().Configure(schema::NewUuid(), "{}"), StatusIs(Code::kNotFound));
  EXPECT_EQ(Size(), before) << "nothing was written";

  const Uuid plain = Install(ManifestOf("plain"));
  std::string largest(kPluginConfigBytesMax, ' ');
  largest.replace(0, 1, "{");
  largest.back() = '}';
  EXPECT_THAT(plugins().Configure(plain, largest), IsOk());
  EXPECT_THAT(plugins().Configure(plain, " " + largest), StatusIs(Code::kInvalidArgument));
}

TEST_F(PluginsTest, AManifestIsCheckedBeforeAnythingIsWritten) {
  const uint64_t before = Size();
  const auto refuses = [&](const PluginManifest& manifest, const std::string& saying) {
    EXPECT_THAT(plugins().Install(manifest), StatusIs(Code::kInvalidArgument, HasSubstr(saying)));
  };
  refuses(ManifestOf(""), "name");
  refuses(ManifestOf("a b"), "name");
  refuses(ManifestOf("a>=1"), "name");
  refuses(ManifestOf("a\nb"), "name");
  refuses(ManifestOf("\xff"), "name");
  refuses(ManifestOf(std::string(256, 'n')), "name");
  refuses(ManifestOf("a", ""), "version");
  refuses({.name = "a", .version = "1"}, "entry_point");
  refuses(ManifestOf("a", "1", {"b", "b >=1"}), "'b' is there twice");
  refuses(ManifestOf("a", "1", {"b 1.2"}), "no constraint");
  refuses(ManifestOf("a", "1", {""}), "dependencies: an empty text");
  refuses(ManifestOf("a", "1", std::vector<std::string>(257, "x")), "256 are allowed");
  PluginManifest manifest = ManifestOf("a");
  manifest.config_schema = R"({"type":"strnig"})";
  refuses(manifest, "config_schema: /type: \"strnig\" is no type of JSON");
  manifest.config_schema = R"({"$ref":"#"})";
  refuses(manifest, "config_schema: at the top: $ref leads in a circle");
  manifest = ManifestOf("a");
  manifest.permissions = {"ok", "\xff"};
  refuses(manifest, "permissions");
  manifest = ManifestOf("a");
  manifest.hooks = {{.name = ""}};
  refuses(manifest, "hooks");
  manifest.hooks = std::vector<NewHook>(kPluginListMax + 1, {.name = "h"});
  refuses(manifest, "256 are allowed");
  manifest = ManifestOf("a");
  manifest.description = "\xff";
  refuses(manifest, "description");
  EXPECT_EQ(Size(), before);
  manifest = ManifestOf("a");
  manifest.hooks = std::vector<NewHook>(kPluginListMax, {.name = "h"});
  EXPECT_THAT(plugins().Install(manifest), IsOk());
}

TEST_F(PluginsTest, IsSwitchedOffAndOn) {
  const Uuid id = InstallAws();
  ASSERT_THAT(plugins().Disable(id), IsOk());
  EXPECT_FALSE(RowOf(id).enabled);
  ASSERT_THAT(plugins().Disable(id), IsOk());
  ASSERT_THAT(plugins().Enable(id), IsOk());
  EXPECT_TRUE(RowOf(id).enabled);
  EXPECT_EQ(RowOf(id).updated_at_us, std::nullopt);
  EXPECT_THAT(plugins().Enable(schema::NewUuid()), StatusIs(Code::kNotFound));
  EXPECT_THAT(plugins().Disable(schema::NewUuid()), StatusIs(Code::kNotFound));
  ExpectRowsAsRebuilt();
}

TEST_F(PluginsTest, UninstallingTakesHooksAndConfigurationsInOneEvent) {
  const Uuid id = InstallAws(), other = Install(ManifestOf("other"));
  ASSERT_THAT(plugins().Configure(id, R"({"region":"x"})"), IsOk());
  ASSERT_THAT(plugins().Configure(other, "{}"), IsOk());
  ASSERT_THAT(plugins().RegisterHook(other, {.name = "pre_execute"}), IsOk());
  const uint64_t before = Size();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written gone, plugins().Uninstall(id, "not paid for"));
  EXPECT_EQ(Size(), before + 1);
  EXPECT_THAT(Sql("SELECT name FROM plugins"), ElementsAre("other"));
  EXPECT_THAT(Sql("SELECT count(*) FROM plugin_hooks"), ElementsAre("1"));
  EXPECT_THAT(Sql("SELECT config FROM plugin_configs"), ElementsAre("{}"));
  journal::Reader reader(journal());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* record, reader.Read(gone.sequence));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const fb::Body* body, reader.Body(*record));
  EXPECT_EQ(body->error()->str(), "not paid for");
  for (const absl::Status& status :
       {plugins().Uninstall(id).status(), plugins().Enable(id).status(),
        plugins().Configure(id, "{}").status(), plugins().Update(id, {.version = "2"}).status(),
        plugins().RegisterHook(id, {.name = "h"}).status()}) {
    EXPECT_EQ(status.code(), Code::kNotFound) << status.ToString();
  }
  ExpectRowsAsRebuilt();
}

TEST_F(PluginsTest, WhatIsNeededMustBeThereInItsVersion) {
  Install(ManifestOf("core", "1.4.0"));
  Install(ManifestOf("odd", "2024a"));
  const auto refuses = [&](std::vector<std::string> dependencies, const std::string& saying) {
    EXPECT_THAT(plugins().Install(ManifestOf("x", "1.0.0", std::move(dependencies))),
                StatusIs(Code::kFailedPrecondition, HasSubstr(saying)));
  };
  const uint64_t before = Size();
  refuses({"nothing"}, "plugin 'x': it needs nothing (not installed)");
  refuses({"core ^2.0"}, "it needs core ^2.0 (installed: 1.4.0)");
  refuses({"core", "a >=1", "core2", "odd >=1"},
          "it needs a >=1 (not installed), core2 (not installed), odd >=1 (installed: 2024a, which "
          "is no semantic version)");
  refuses({"x"}, "x (not installed)");
  EXPECT_EQ(Size(), before);
  const Uuid id = Install(ManifestOf("x", "1.0.0", {"core >=1.2 <2", "odd"}));
  EXPECT_THAT(RowOf(id).dependencies, ElementsAre("core >=1.2 <2", "odd"));
  EXPECT_THAT(Sql("SELECT dependencies FROM plugins WHERE name = 'x'"),
              ElementsAre(R"(["core >=1.2 <2","odd"])"));
}

TEST_F(PluginsTest, WhatIsNeededStays) {
  const Uuid core = Install(ManifestOf("core")), a = Install(ManifestOf("a", "1.0.0", {"core"})),
             b = Install(ManifestOf("b", "1.0.0", {"core ^1", "a"}));
  EXPECT_THAT(plugins().Uninstall(core),
              StatusIs(Code::kFailedPrecondition, "plugin 'core' is needed by 'a', 'b'"));
  EXPECT_THAT(plugins().Uninstall(a), StatusIs(Code::kFailedPrecondition, HasSubstr("'b'")));
  ASSERT_THAT(plugins().Uninstall(b), IsOk());
  ASSERT_THAT(plugins().Uninstall(a), IsOk());
  ASSERT_THAT(plugins().Uninstall(core), IsOk());
  EXPECT_THAT(Names(), IsEmpty());
  ExpectRowsAsRebuilt();
}

TEST_F(PluginsTest, AnUpdateChangesWhatIsGiven) {
  Install(ManifestOf("core", "2.1.0"));
  const Uuid id = InstallAws();
  ASSERT_THAT(plugins().Configure(id, R"({"region":"x"})"), IsOk());
  ASSERT_THAT(plugins().Update(id, {.version = "1.3.0",
                                    .author = "Others",
                                    .type = PluginType::integration,
                                    .config_schema = "true",
                                    .dependencies = {{"core ^2"}},
                                    .permissions = std::vector<std::string>(),
                                    .hooks = {{{.name = "pre_execute", .priority = 20},
                                               {.name = "pre_execute", .priority = 1},
                                               {.name = "post_execute"}}}}),
              IsOk());
  const Plugin row = RowOf(id);
  EXPECT_EQ(row.version, "1.3.0");
  EXPECT_EQ(row.author, "Others");
  EXPECT_EQ(row.description, "Amazon's clouds") << "what was not given stays";
  EXPECT_EQ(row.type, PluginType::integration);
  EXPECT_EQ(row.config_schema, "true");
  EXPECT_THAT(row.dependencies, ElementsAre("core ^2"));
  EXPECT_THAT(row.permissions, IsEmpty());
  EXPECT_GT(row.updated_at_us.value_or(0), row.installed_at_us.value_or(0));
  EXPECT_THAT(Sql("SELECT hook_name || priority FROM plugin_hooks ORDER BY rowid"),
              ElementsAre("pre_execute20", "pre_execute1", "post_execute100"))
      << "the first is the one that was there, on_error is gone";
  EXPECT_THAT(Sql("SELECT config FROM plugin_configs"), ElementsAre(R"({"region":"x"})"));
  EXPECT_THAT(plugins().Configure(id, R"({"anything":[]})"), IsOk()) << "by the new schema";
  ExpectRowsAsRebuilt();
}

TEST_F(PluginsTest, AnUpdateOfHooksAloneLeavesTheRow) {
  const Uuid id = InstallAws();
  ASSERT_THAT(plugins().Update(id, {.hooks = std::vector<NewHook>()}), IsOk());
  EXPECT_THAT(Sql("SELECT count(*) FROM plugin_hooks"), ElementsAre("0"));
  EXPECT_EQ(RowOf(id).updated_at_us, std::nullopt);
  const uint64_t before = Size();
  EXPECT_THAT(plugins().Update(id, {}), StatusIs(Code::kInvalidArgument, HasSubstr("nothing")));
  EXPECT_EQ(Size(), before);
}

TEST_F(PluginsTest, AnUpdateKeepsWhatOthersNeed) {
  const Uuid core = Install(ManifestOf("core", "1.4.0"));
  Install(ManifestOf("a", "1.0.0", {"core ^1.2"}));
  Install(ManifestOf("b", "1.0.0", {"core"}));
  EXPECT_THAT(plugins().Update(core, {.version = "2.0.0"}),
              StatusIs(Code::kFailedPrecondition,
                       "plugin 'core': plugin 'core' can't become 2.0.0: 'a' needs core ^1.2"));
  EXPECT_THAT(plugins().Update(core, {.version = "nightly"}), StatusIs(Code::kFailedPrecondition));
  EXPECT_EQ(RowOf(core).version, "1.4.0");
  EXPECT_THAT(plugins().Update(core, {.version = "1.9.0"}), IsOk());
}

TEST_F(PluginsTest, AnUpdateMovesWhatIsNeeded) {
  const Uuid core = Install(ManifestOf("core")), net = Install(ManifestOf("net")),
             a = Install(ManifestOf("a", "1.0.0", {"core"}));
  EXPECT_THAT(plugins().Update(a, {.dependencies = {{"core", "gone"}}}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("gone (not installed)")));
  ASSERT_THAT(plugins().Update(a, {.dependencies = {{"net"}}}), IsOk());
  EXPECT_THAT(plugins().Uninstall(net), StatusIs(Code::kFailedPrecondition));
  ASSERT_THAT(plugins().Uninstall(core), IsOk());
  ASSERT_THAT(plugins().Uninstall(a), IsOk()) << "it gives up what it needs now";
  ASSERT_THAT(plugins().Uninstall(net), IsOk());
  ExpectRowsAsRebuilt();
}

TEST_F(PluginsTest, NothingComesToNeedItself) {
  const Uuid a = Install(ManifestOf("a"));
  Install(ManifestOf("b", "1.0.0", {"a"}));
  Install(ManifestOf("c", "1.0.0", {"b"}));
  EXPECT_THAT(plugins().Update(a, {.dependencies = {{"c"}}}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("would need itself: a → c → b → a")));
  EXPECT_THAT(plugins().Update(a, {.dependencies = {{"a"}}}),
              StatusIs(Code::kFailedPrecondition, HasSubstr("a → a")));
}

TEST_F(PluginsTest, ACommandWaitsForTheTablesNoLongerThanItIsTold) {
  const Uuid core = Install(ManifestOf("core")), a = Install(ManifestOf("a", "1.0.0", {"core"}));
  ASSERT_THAT(CatchUp(), IsOk());
  DatabaseOptions options;
  options.views.project = false;
  options.views.command_wait_ms = 20;
  ASSERT_THAT(Open(options), IsOk());
  ASSERT_THAT(plugins().Disable(core), IsOk()) << "decides nothing by the tables";
  const uint64_t before = Size();
  const auto late = StatusIs(Code::kDeadlineExceeded, HasSubstr("after 20 ms"));
  EXPECT_THAT(plugins().Configure(core, "{}"), late);
  EXPECT_THAT(plugins().Update(core, {.author = "x"}), late);
  EXPECT_THAT(plugins().Uninstall(core), late);
  EXPECT_THAT(plugins().Install(ManifestOf("b", "1.0.0", {"core"})), late);
  EXPECT_THAT(plugins().Update(a, {.version = "2.0.0"}), late) << "who needs it may have changed";
  EXPECT_EQ(Size(), before);
  EXPECT_THAT(plugins().Configure(a, "{}"), IsOk()) << "the tables hold all of this one";
}

TEST_F(PluginsTest, TypesAreSpelledAsSpecified) {
  for (const std::string text : {"tool", "provider", "generator", "ui", "integration"}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const PluginType type, ParsePluginType(text));
    EXPECT_EQ(PluginTypeText(type), text);
  }
  EXPECT_THAT(ParsePluginType("Tool"), StatusIs(Code::kInvalidArgument, HasSubstr("'Tool'")));
}

TEST_F(PluginsTest, AReadOnlyStoreTakesNoCommand) {
  const Uuid id = InstallAws();
  DatabaseOptions options;
  options.journal.read_only = true;
  ASSERT_THAT(Open(options), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  EXPECT_THAT(plugins().Install(ManifestOf("x")), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(plugins().Disable(id), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(plugins().Configure(id, R"({"region":"x"})"), StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(Names(), ElementsAre("aws"));
}

TEST_F(PluginsTest, WithoutItsTablesItSaysSo) {
  InstallAws();
  ASSERT_THAT(database_->Migrate(2), IsOk());
  EXPECT_THAT(plugins().List(), StatusIs(Code::kFailedPrecondition, HasSubstr("plugins needs 3")));
  EXPECT_THAT(registry().Search(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("plugin_registry needs 3")));
  ASSERT_THAT(database_->Migrate(3), IsOk());
  EXPECT_THAT(Names(), ElementsAre("aws"));
}

// Reads each record of the journal, and applies it as if its body had been erased.
TEST_F(PluginsTest, ErasedTextsLeaveTheirMark) {
  const Uuid id = InstallAws();
  ASSERT_THAT(plugins().Configure(id, R"({"region":"x"})"), IsOk());
  ASSERT_THAT(plugins().Update(id, {.version = "2.0.0", .description = "new"}), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(sqlite::Connection db,
                              sqlite::Connection::Open(directory_ / "copy.db", {}));
  for (const std::string& table : Sql("SELECT sql FROM sqlite_master WHERE name LIKE 'plugin%' "
                                      "AND type = 'table'")) {
    ASSERT_THAT(db.Execute(table), IsOk());
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<RowWriter> writer, PluginsWriter::Create(&db));
  journal::Reader reader(journal());
  for (uint64_t sequence = 0; sequence < Size(); ++sequence) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Read(sequence));
    const fb::Event type = view->record->event_type();
    if (type < fb::Event::PluginInstalled || type > fb::Event::HookRemoved) continue;
    const AppliedRecord record{.view = *view, .erased = view->envelope().body_size() > 0};
    ASSERT_THAT(writer->Apply(record), IsOk());
  }
  const std::string copy = directory_ / "copy.db";
  EXPECT_THAT(Column(copy, "SELECT entry_point FROM plugins"),
              ElementsAre(testing::MatchesRegex(R"(\{"\$erased":[0-9]+\})")));
  EXPECT_THAT(Column(copy, "SELECT config FROM plugin_configs"),
              ElementsAre(testing::MatchesRegex(R"(\{"\$erased":[0-9]+\})")));
  EXPECT_THAT(Column(copy,
                     "SELECT name || version FROM plugins WHERE description IS NULL AND "
                     "config_schema IS NULL AND permissions IS NULL"),
              ElementsAre("aws2.0.0"));
  EXPECT_THAT(Column(copy, "SELECT count(*) FROM plugin_hooks"), ElementsAre("2"));
}

}  // namespace
}  // namespace nimbus::projections
