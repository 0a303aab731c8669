// nimbus plugin, as a user runs it.
#include "tools/nimbus/fixture.h"

namespace nimbus::tools {
namespace {

using schema::Json;
using test::Finished;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kAws[] = R"({
  "name": "aws", "version": "1.2.0", "type": "provider", "entry_point": "dist/index.js",
  "description": "Amazon's clouds", "permissions": ["network", "fs:read"],
  "config_schema": {"type": "object", "required": ["region"],
                    "properties": {"region": {"type": "string"}}},
  "hooks": [{"name": "pre_execute", "priority": 10}, "on_error"]
})";

class PluginCommandTest : public CommandLineTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(Nimbus({"init"}).exit_code, 0);
    File("aws.json", kAws);
  }
  // Of what succeeds, with --json.
  Json Plugin(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "plugin");
    arguments.emplace_back("--json");
    return Document(Nimbus(std::move(arguments)));
  }
  void Fails(std::vector<std::string> arguments, int exit_code, const std::string& saying) const {
    arguments.insert(arguments.begin(), "plugin");
    const Finished run = Nimbus(std::move(arguments));
    EXPECT_EQ(run.exit_code, exit_code) << run.err;
    EXPECT_THAT(run.err, HasSubstr(saying));
    EXPECT_EQ(run.out, "");
  }
  std::string Names(const Json& rows, std::string_view member = "name") const {
    std::string names;
    for (const Json& row : rows.array()) names += std::string(row.StringOr(member)) + " ";
    return names;
  }
};

TEST_F(PluginCommandTest, LivesFromInstallToUninstall) {
  const Json installed = Plugin({"install", "aws.json"});
  EXPECT_EQ(installed.StringOr("name"), "aws");
  EXPECT_EQ(installed.StringOr("type"), "provider");
  EXPECT_TRUE(installed.Find("enabled")->boolean());
  EXPECT_THAT(installed.StringOr("installed_at"), ::testing::EndsWith("Z"));
  EXPECT_EQ(Names(Plugin({"list"})), "aws ");
  EXPECT_EQ(Names(Plugin({"list", "--type", "tool"})), "");

  const Json config = Plugin({"configure", "aws", "--set", R"({"region":"eu-1"})"});
  EXPECT_EQ(config.Find("config")->StringOr("region"), "eu-1");
  File("prod.json", R"({"region":"us-2"})");
  EXPECT_EQ(Nimbus({"plugin", "configure", "aws", "--file", "prod.json", "--profile", "prod"}).out,
            "configured aws 1.2.0\n");
  EXPECT_EQ(Nimbus({"plugin", "disable", "aws"}).out, "disabled aws 1.2.0\n");
  const Json shown = Plugin({"show", "aws"});
  EXPECT_FALSE(shown.Find("enabled")->boolean());
  EXPECT_EQ(Names(*shown.Find("configs"), "profile"), "default prod ");
  EXPECT_EQ(Names(*shown.Find("hooks"), "hook_name"), "on_error pre_execute ");
  EXPECT_EQ(shown.Find("config_schema")->StringOr("type"), "object");
  EXPECT_EQ(Nimbus({"plugin", "enable", "aws"}).out, "enabled aws 1.2.0\n");
  const Finished text = Nimbus({"plugin", "show", "aws"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("version      1.2.0\n"), HasSubstr("config       prod {"),
                              HasSubstr("permissions  network, fs:read\n")));
  EXPECT_THAT(Nimbus({"plugin", "list"}).out, HasSubstr("aws\t1.2.0\tprovider\tenabled\t"));

  const Json gone = Plugin({"uninstall", "aws", "--reason", "not paid for"});
  EXPECT_TRUE(gone.Find("uninstalled")->boolean());
  EXPECT_EQ(Names(Plugin({"list"})), "");
  Fails({"show", "aws"}, 66, "no plugin 'aws'");
  ExpectVerified();
}

TEST_F(PluginCommandTest, IsUpdatedFromANewManifest) {
  ASSERT_EQ(Nimbus({"plugin", "install", "aws.json"}).exit_code, 0);
  File("new.json", R"({"name":"aws","version":"1.3.0","hooks":["pre_execute"]})");
  EXPECT_EQ(Nimbus({"plugin", "update", "new.json"}).out, "updated aws 1.3.0\n");
  const Json shown = Plugin({"show", "aws"});
  EXPECT_EQ(shown.StringOr("description"), "Amazon's clouds") << "what is left out stays";
  EXPECT_EQ(Names(*shown.Find("hooks"), "hook_name"), "pre_execute ");
  EXPECT_EQ(shown.Find("hooks")->array()[0].Find("priority")->AsInt(), 100);
  File("other.json", R"({"name":"awz","version":"1.3.0"})");
  Fails({"update", "other.json"}, 66, "no plugin 'awz'; did you mean 'aws'?");
}

TEST_F(PluginCommandTest, ReadsAManifestFromStandardInput) {
  const Finished run = Shell("$NIMBUS plugin install - < aws.json");
  EXPECT_EQ(run.out, "installed aws 1.2.0\n") << run.err;
  const Finished camel =
      Shell(R"(echo '{"name":"b","version":"1","entryPoint":"x","configSchema":true}' |)"
            " $NIMBUS plugin install -");
  EXPECT_EQ(camel.out, "installed b 1\n") << camel.err;
  EXPECT_TRUE(Plugin({"show", "b"}).Find("config_schema")->boolean());
}

TEST_F(PluginCommandTest, SaysWhatIsWrongWithAManifest) {
  const auto refuses = [&](const std::string& manifest, const std::string& saying) {
    File("bad.json", manifest);
    Fails({"install", "bad.json"}, 65, saying);
  };
  refuses("{", "bad.json: ");
  refuses("[]", "bad.json: a manifest is a JSON object");
  refuses(R"({"name":"a","version":"1"})", "entry_point: is required");
  refuses(R"({"version":"1","entry_point":"x"})", "name: is required");
  refuses(R"({"name":"a","verson":"1"})",
          "a manifest has no member 'verson'; did you mean 'version'?");
  refuses(R"({"name":5})", "name: a text");
  refuses(R"({"type":"plugin"})", "'plugin' is no plugin type");
  refuses(R"({"dependencies":"core"})", "dependencies: a list of texts");
  refuses(R"({"permissions":[1]})", "permissions: a text");
  refuses(R"({"hooks":{}})", "hooks: a list");
  refuses(R"({"hooks":[5]})", "hooks: each a name");
  refuses(R"({"hooks":[{"name":"h","prio":5}]})", "hooks: no member 'prio'");
  refuses(R"({"hooks":[{"name":"h","priority":1.5}]})", "hooks: priority: a whole number");
  refuses(R"({"name":"a","version":"1","entry_point":"x","config_schema":{"type":"x"}})",
          "config_schema: /type: \"x\" is no type of JSON");
  refuses(R"({"name":"a","version":"1","entry_point":"x","dependencies":["core ^2"]})",
          "plugin 'a': it needs core ^2 (not installed)");
  refuses(std::string(1'100'000, ' '), "more than 1048576 bytes");
  Fails({"install", "missing.json"}, 66, "missing.json: No such file");
  Fails({"install"}, 64, "MANIFEST");
  EXPECT_EQ(Names(Plugin({"list"})), "");
}

TEST_F(PluginCommandTest, KeepsWhatOthersNeed) {
  ASSERT_EQ(Nimbus({"plugin", "install", "aws.json"}).exit_code, 0);
  Fails({"install", "aws.json"}, 65, "plugin 'aws'");
  File("dep.json", R"({"name":"dep","version":"1","entry_point":"x","dependencies":["aws ~1.2"]})");
  ASSERT_EQ(Nimbus({"plugin", "install", "dep.json"}).exit_code, 0);
  Fails({"uninstall", "aws"}, 65, "plugin 'aws' is needed by 'dep'");
  File("new.json", R"({"name":"aws","version":"1.3.0"})");
  Fails({"update", "new.json"}, 65, "'dep' needs aws ~1.2");
  EXPECT_EQ(Nimbus({"plugin", "uninstall", "dep"}).out, "uninstalled dep\n");
  EXPECT_EQ(Nimbus({"plugin", "uninstall", "aws"}).out, "uninstalled aws\n");
}

TEST_F(PluginCommandTest, TakesOneConfigurationThatFits) {
  ASSERT_EQ(Nimbus({"plugin", "install", "aws.json"}).exit_code, 0);
  Fails({"configure", "aws"}, 64, "--set or --file");
  Fails({"configure", "aws", "--set", "{}", "--file", "aws.json"}, 64, "excludes");
  Fails({"configure", "aws", "--set", "{}"}, 65, "Missing required property 'region'");
  Fails({"configure", "aws", "--set", R"({"region":5})"}, 65, "/region: ");
  Fails({"configure", "aws", "--set", "{"}, 65, "config: ");
  Fails({"configure", "aws", "--file", "missing"}, 66, "missing: No such file");
  Fails({"configure", "awss", "--set", "{}"}, 66, "no plugin 'awss'; did you mean 'aws'?");
  EXPECT_EQ(Plugin({"show", "aws"}).Find("configs")->array().size(), 0u);
}

TEST_F(PluginCommandTest, ListsAndChangesHooks) {
  ASSERT_EQ(Nimbus({"plugin", "install", "aws.json"}).exit_code, 0);
  File("b.json", R"({"name":"b","version":"1","entry_point":"x"})");
  ASSERT_EQ(Nimbus({"plugin", "install", "b.json"}).exit_code, 0);
  const std::string id(
      Plugin({"hooks", "add", "b", "pre_execute", "--priority", "-1"}).StringOr("id"));
  EXPECT_EQ(Names(Plugin({"hooks", "--name", "pre_execute"}), "plugin"), "b aws ");
  EXPECT_EQ(Names(Plugin({"hooks", "--plugin", "b"}), "hook_name"), "pre_execute ");
  EXPECT_EQ(Plugin({"hooks"}).array().size(), 3u);
  EXPECT_THAT(Nimbus({"plugin", "hooks"}).out, HasSubstr("pre_execute\t-1\tb\tenabled\t" + id));
  EXPECT_EQ(Nimbus({"plugin", "hooks", "change", id, "--priority", "50"}).out,
            "changed hook " + id + "\n");
  EXPECT_EQ(Names(Plugin({"hooks", "--name", "pre_execute"}), "plugin"), "aws b ");
  ASSERT_EQ(Nimbus({"plugin", "hooks", "change", id, "--disable"}).exit_code, 0);
  EXPECT_EQ(Names(Plugin({"hooks", "--name", "pre_execute"}), "plugin"), "aws ");
  ASSERT_EQ(Nimbus({"plugin", "hooks", "change", id, "--enable"}).exit_code, 0);
  ASSERT_EQ(Nimbus({"plugin", "disable", "aws"}).exit_code, 0);
  EXPECT_EQ(Names(Plugin({"hooks", "--name", "pre_execute"}), "plugin"), "b ");
  EXPECT_THAT(Nimbus({"plugin", "hooks"}).out, HasSubstr("aws\tplugin disabled"));
  EXPECT_EQ(Nimbus({"plugin", "hooks", "remove", id}).exit_code, 0);
  Fails({"hooks", "remove", id}, 66, "no hook");
  Fails({"hooks", "change", id, "--enable"}, 66, "no hook");
  Fails({"hooks", "remove", "zz"}, 66, "'zz'");
  Fails({"hooks", "add", "c", "h"}, 66, "no plugin 'c'");
  Fails({"hooks", "change", id}, 65, "nothing of the hook");
}

TEST_F(PluginCommandTest, ListsPermissions) {
  ASSERT_EQ(Nimbus({"plugin", "install", "aws.json"}).exit_code, 0);
  EXPECT_EQ(Nimbus({"plugin", "permissions"}).out,
            "aws\tenabled\tnetwork\naws\tenabled\tfs:read\n");
  const Json one = Plugin({"permissions", "aws"});
  ASSERT_EQ(one.array().size(), 1u);
  EXPECT_EQ(one.array()[0].Find("permissions")->array().size(), 2u);
  Fails({"permissions", "aw"}, 66, "no plugin 'aw'; did you mean 'aws'?");
}

TEST_F(PluginCommandTest, KeepsARegistry) {
  File("entries.json", R"([
      {"name":"aws","latest_version":"1.3.0","description":"Amazon","downloads":5,"rating":4.5,
       "categories":["cloud"],"metadata":{"license":"MIT"}},
      {"name":"k8s","latest_version":"2.0.0","downloads":9}])");
  EXPECT_EQ(Nimbus({"plugin", "registry", "cache", "entries.json"}).out, "cached 2\n");
  const Json all = Plugin({"registry", "list"});
  EXPECT_EQ(Names(all), "k8s aws ");
  EXPECT_EQ(all.array()[1].Find("rating")->AsDouble(), 4.5);
  EXPECT_EQ(Names(Plugin({"registry", "search", "amaz"})), "aws ");
  EXPECT_EQ(Names(Plugin({"registry", "list", "--category", "cloud"})), "aws ");
  EXPECT_EQ(Names(Plugin({"registry", "list", "--limit", "1"})), "k8s ");
  EXPECT_EQ(Names(Plugin({"registry", "list", "--max-age", "1d"})), "k8s aws ");
  EXPECT_EQ(Names(Plugin({"registry", "list", "--max-age", "0s"})), "");
  Fails({"registry", "list", "--max-age", "1w"}, 64, "'1w' is no age");
  Fails({"registry", "list", "--max-age", "-1d"}, 64, "no age");
  EXPECT_THAT(Nimbus({"plugin", "registry", "list"}).out, HasSubstr("aws\t1.3.0\t5\t4.5\t"));
  const Finished again =
      Shell("$NIMBUS plugin registry list --json | $NIMBUS plugin registry cache -");
  EXPECT_EQ(again.out, "cached 2\n") << again.err;
  EXPECT_EQ(Names(Plugin({"registry", "list"})), "k8s aws ");
  Fails({"registry", "remove", "asw"}, 66, "holds no 'asw'; did you mean 'aws'?");
  EXPECT_EQ(Nimbus({"plugin", "registry", "remove", "aws", "--reason", "old"}).out,
            "removed aws\n");
  EXPECT_EQ(Names(Plugin({"registry", "list"})), "k8s ");
  File("bad.json", R"([{"name":"x","latest_version":"1","downlods":1}])");
  Fails({"registry", "cache", "bad.json"}, 65, "no member 'downlods'; did you mean 'downloads'?");
  File("bad.json", R"([{"name":"x","latest_version":"1","downloads":-1}])");
  Fails({"registry", "cache", "bad.json"}, 65, "downloads: a count");
  File("bad.json", "[]");
  Fails({"registry", "cache", "bad.json"}, 65, "0 entries");
}

TEST_F(PluginCommandTest, HasItsManual) {
  const Finished man = Nimbus({"man"});
  EXPECT_THAT(man.out, AllOf(HasSubstr("A manifest is a JSON object"), HasSubstr("plugin registry"),
                             HasSubstr("latest_version")));
  EXPECT_THAT(Nimbus({"plugin", "install", "--help"}).out, HasSubstr("entryPoint"));
  EXPECT_EQ(Nimbus({"plugin"}).exit_code, 64);
  EXPECT_EQ(Nimbus({"plugin", "instal"}).exit_code, 64);
}

}  // namespace
}  // namespace nimbus::tools
