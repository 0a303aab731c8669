// nimbus persona, nimbus config and nimbus session, as a user runs them.
#include <algorithm>

#include "tools/nimbus/fixture.h"

namespace nimbus::tools {
namespace {

using schema::Json;
using test::Finished;
using ::testing::AllOf;
using ::testing::HasSubstr;

class SetupTest : public CommandLineTest {
 protected:
  void SetUp() override { ASSERT_EQ(Nimbus({"init"}).exit_code, 0); }

  Json Run(std::vector<std::string> arguments) const {
    arguments.push_back("--json");
    return Document(Nimbus(std::move(arguments)));
  }
  void Expect(const Finished& run, int exit_code, const std::string& message) const {
    EXPECT_EQ(run.exit_code, exit_code) << run.out << run.err;
    EXPECT_THAT(run.err, HasSubstr(message));
    EXPECT_EQ(run.out, "");
  }
  std::string StartSession(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"session", "start"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::string(Run(arguments).StringOr("id"));
  }
};

TEST_F(SetupTest, ListsAndShowsTheBuiltInPersonas) {
  const Json all = Run({"persona", "list"});
  ASSERT_EQ(all.array().size(), 6u);
  EXPECT_EQ(all.array()[0].StringOr("id"), "persona_professional");
  const Json devops = Run({"persona", "show", "devops"});
  EXPECT_EQ(devops.StringOr("display_name"), "DevOps Expert");
  EXPECT_EQ(devops, Run({"persona", "show", "persona_devops"}));
  EXPECT_EQ(Run({"persona", "default"}).StringOr("name"), "professional");
  EXPECT_THAT(Nimbus({"persona", "list"}).out, HasSubstr("professional\tyes\tyes\tyes\t0.5\t"));
  Expect(Nimbus({"persona", "show", "devopps"}), 66,
         "no persona 'devopps'; did you mean 'devops'?");
  Expect(Nimbus({"persona", "show", "zzzzzz"}), 66, "no persona 'zzzzzz'\n");
}

TEST_F(SetupTest, APersonaIsAddedChangedSwitchedAndRemoved) {
  File("prompt", "You are a pirate.\n");
  const Json made = Run({"persona", "add", "pirate", "--system-prompt", "@prompt", "--temperature",
                         "1.5", "--capabilities", R"({"sail":true})"});
  EXPECT_EQ(made.StringOr("system_prompt"), "You are a pirate.\n");
  EXPECT_EQ(made.StringOr("display_name"), "pirate");
  EXPECT_EQ(made.Find("capabilities")->Dump(), R"({"sail":true})");
  Expect(Nimbus({"persona", "add", "pirate", "--system-prompt", "p"}), 65, "'pirate' is");
  Expect(Nimbus({"persona", "add", "b", "--system-prompt", "@none"}), 66, "none");
  Expect(Nimbus({"persona", "add", "b", "--system-prompt", "p", "--temperature", "3"}), 65,
         "temperature");
  EXPECT_EQ(Nimbus({"persona", "add", "b"}).exit_code, 64);
  EXPECT_EQ(Run({"persona", "update", "pirate", "--model", "m"}).StringOr("model_preference"), "m");
  Expect(Nimbus({"persona", "update", "pirate"}), 65, "nothing to change");
  Expect(Nimbus({"persona", "update", "devops", "--model", "m"}), 65, "built in");
  EXPECT_FALSE(Run({"persona", "deactivate", "pirate"}).Find("is_active")->boolean());
  Expect(Nimbus({"persona", "default", "pirate"}), 65, "not active");
  EXPECT_EQ(Run({"persona", "list", "--active"}).array().size(), 6u);
  EXPECT_TRUE(Run({"persona", "activate", "pirate"}).Find("is_active")->boolean());
  EXPECT_EQ(Run({"persona", "default", "pirate"}).StringOr("name"), "pirate");
  Expect(Nimbus({"persona", "deactivate", "pirate"}), 65, "choose another default first");
  EXPECT_EQ(Nimbus({"persona", "default", "devops"}).exit_code, 0);
  EXPECT_EQ(Nimbus({"persona", "remove", "pirate", "--reason", "enough"}).exit_code, 0);
  Expect(Nimbus({"persona", "remove", "devops"}), 65, "deactivate it instead");
  Expect(Nimbus({"persona", "remove", "pirate"}), 66, "no persona 'pirate'");
  ExpectVerified();
}

TEST_F(SetupTest, ASessionIsStartedRenamedSwitchedAndEnded) {
  const std::string id =
      StartSession({"--name", "deploy", "--context", R"({"a":1})", "--persona", "concise"});
  EXPECT_EQ(Run({"session", "show", id.substr(0, 13)}).StringOr("persona_id"), "persona_concise");
  EXPECT_EQ(Run({"session", "rename", id, "release"}).StringOr("name"), "release");
  EXPECT_EQ(Nimbus({"session", "rename", id, ""}).exit_code, 64);
  EXPECT_EQ(Run({"session", "use-persona", id, "devops"}).StringOr("persona_id"), "persona_devops");
  EXPECT_EQ(Run({"persona", "use", "security", "--session", id}).StringOr("name"), "security");
  Expect(Nimbus({"session", "use-persona", id, "devop"}), 66, "did you mean 'devops'?");
  const Json usage = Run({"persona", "usage", "--session", id});
  ASSERT_EQ(usage.array().size(), 3u);
  EXPECT_EQ(usage.array()[0].Find("uses")->AsInt(), 1);
  EXPECT_EQ(Run({"persona", "usage", "--since", "2100-01-01T00:00:00Z"}).array().size(), 0u);
  EXPECT_EQ(Run({"persona", "usage", "devops"}).array().size(), 1u);
  Expect(Nimbus({"persona", "usage", "--since", "soon"}), 65, "'soon' is no time");
  EXPECT_FALSE(Run({"session", "end", id}).Find("ended_at")->IsNull());
  Expect(Nimbus({"session", "end", id}), 65, "ended");
  Expect(Nimbus({"session", "use-persona", id, "devops"}), 65, "ended");
  Expect(Nimbus({"session", "show", "zz"}), 66, "no session 'zz'");
  Expect(Nimbus({"session", "start", "--context", "{"}), 65, "context");
  EXPECT_EQ(Run({"session", "list"}), Run({"history", "sessions"}));
}

TEST_F(SetupTest, APreferenceIsSetByJsonOrABareText) {
  EXPECT_EQ(Nimbus({"config", "get", "ui.theme"}).out, "\"auto\"\n");
  EXPECT_EQ(Nimbus({"config", "set", "ui.theme", "dark"}).out, "\"dark\"\n");
  EXPECT_EQ(Nimbus({"config", "set", "ui.theme", R"("light")"}).out, "\"light\"\n");
  EXPECT_EQ(Nimbus({"config", "set", "ui.theme", "true"}).out, "\"true\"\n");
  const Json row = Run({"config", "set", "telemetry.enabled", "true"});
  EXPECT_TRUE(row.Find("value")->boolean());
  EXPECT_EQ(row.Find("version")->AsInt(), 2);
  Expect(Nimbus({"config", "set", "telemetry.enabled", "yes"}), 65, "telemetry.enabled");
  Expect(Nimbus({"config", "set", "history.max_entries", "0"}), 65, "positive integer");
  Expect(Nimbus({"config", "set", "agent.default_persona", "nobody"}), 66, "nobody");
  Expect(Nimbus({"config", "set", "ui.theme", "x", "--expect-version", "1"}), 65, "version 4, not");
  EXPECT_EQ(Nimbus({"config", "reset", "ui.theme", "--expect-version", "4"}).out, "\"auto\"\n");
  Expect(Nimbus({"config", "reset", "ui.them"}), 66, "did you mean 'ui.theme'?");
  Expect(Nimbus({"config", "get", "ui.thmee"}), 66, "did you mean 'ui.theme'?");
  EXPECT_EQ(Run({"config", "define", "my.list", "array", "[1]", "--default", "[]"})
                .Find("default_value")
                ->Dump(),
            "[]");
  EXPECT_EQ(Nimbus({"config", "define", "k", "text", "x"}).exit_code, 64);
}

TEST_F(SetupTest, AnyOtherKeyIsAConfigValue) {
  EXPECT_EQ(Nimbus({"config", "set", "aws.region", "eu {west"}).out, "eu {west\n");
  EXPECT_EQ(Nimbus({"config", "set", "aws.region", "eu {west"}).err, "");
  EXPECT_THAT(Nimbus({"config", "set", "ui.theem", "dark"}).err,
              HasSubstr("no preference and was set as a free value; did you mean 'ui.theme'?"));
  EXPECT_EQ(Nimbus({"config", "unset", "ui.theem"}).exit_code, 0);
  EXPECT_EQ(Run({"config", "get", "aws.region"}).StringOr("value"), "eu {west");
  const Json all = Run({"config", "list"});
  EXPECT_EQ(all.Find("preferences")->array().size(), 8u);
  EXPECT_EQ(all.Find("values")->array().size(), 1u);
  EXPECT_THAT(Nimbus({"config", "list"}).out,
              AllOf(HasSubstr("aws.region\t-\t-\t"), HasSubstr("ui.theme\tstring\t1\t")));
  EXPECT_EQ(Nimbus({"config", "unset", "aws.region", "--reason", "moved"}).exit_code, 0);
  Expect(Nimbus({"config", "unset", "aws.region"}), 66, "no config value 'aws.region'");
  Expect(Nimbus({"config", "set", "k", "@none"}), 66, "none");
  File("value", "from a file");
  EXPECT_EQ(Nimbus({"config", "set", "k", "@value"}).out, "from a file\n");
}

TEST_F(SetupTest, AProfileIsSavedSwitchedAndDeleted) {
  EXPECT_EQ(Run({"config", "profile", "list"}).array().size(), 0u);
  File("work.json", R"({"llm":{"default_model":"large"}})");
  EXPECT_TRUE(Run({"config", "profile", "save", "home", "{}"}).Find("is_active")->boolean());
  EXPECT_FALSE(Run({"config", "profile", "save", "work", "@work.json", "--description", "d"})
                   .Find("is_active")
                   ->boolean());
  EXPECT_TRUE(Run({"config", "profile", "activate", "work"}).Find("is_active")->boolean());
  Expect(Nimbus({"config", "profile", "activate", "wrok"}), 66,
         "no config profile 'wrok'; did you mean 'work'?");
  Expect(Nimbus({"config", "profile", "delete", "work"}), 65, "activate another before");
  Expect(Nimbus({"config", "profile", "save", "bad", "[]"}), 65, "JSON object");
  const Json value = Run({"config", "effective", "llm.default_model"});
  ASSERT_EQ(value.array().size(), 1u);
  EXPECT_EQ(value.array()[0].StringOr("value"), "large");
  EXPECT_EQ(value.array()[0].FindPath({"source", "name"})->string(), "work");
  EXPECT_EQ(value.array()[0].Find("shadows")->array().size(), 1u);
  EXPECT_THAT(
      Nimbus({"config", "effective", "llm"}).out,
      HasSubstr("llm.default_model\t\"large\"\tprofile work\tdefault (version 1) \"claude"));
  EXPECT_EQ(Nimbus({"config", "profile", "delete", "home", "--reason", "r"}).exit_code, 0);
  EXPECT_EQ(Run({"config", "profile", "list"}).array().size(), 1u);
  EXPECT_THAT(Nimbus({"config", "profile", "show", "work"}).out, HasSubstr("description  d\n"));
}

TEST_F(SetupTest, AnEnvironmentsConfigIsInEffectWhenAskedFor) {
  EXPECT_EQ(Run({"config", "env", "set", "production", "aws", R"({"ui":{"theme":"red"}})"})
                .StringOr("cloud_provider"),
            "aws");
  EXPECT_EQ(Run({"config", "env", "list"}).array().size(), 1u);
  EXPECT_EQ(Run({"config", "effective", "ui.theme"}).array()[0].StringOr("value"), "auto");
  EXPECT_EQ(
      Run({"config", "effective", "ui.theme", "--environment", "production", "--provider", "aws"})
          .array()[0]
          .StringOr("value"),
      "red");
  EXPECT_EQ(Nimbus({"config", "effective", "--environment", "production"}).exit_code, 64);
  Expect(Nimbus({"config", "effective", "--environment", "prod", "--provider", "aws"}), 66,
         "prod/aws");
  Expect(Nimbus({"config", "effective", "ui.themes"}), 66, "did you mean 'ui.theme'?");
  Expect(Nimbus({"config", "env", "show", "production", "aw"}), 66,
         "no environment config 'production/aw'; did you mean 'production/aws'?");
  EXPECT_EQ(Nimbus({"config", "env", "delete", "production", "aws"}).exit_code, 0);
  Expect(Nimbus({"config", "env", "delete", "production", "aws"}), 66, "no environment config");
}

TEST_F(SetupTest, ListingsAreAsLongAsThePreferenceSays) {
  for (int i = 0; i < 3; ++i) StartSession();
  EXPECT_EQ(Run({"session", "list"}).array().size(), 3u);
  EXPECT_EQ(Nimbus({"config", "set", "history.max_entries", "2"}).out, "2\n");
  EXPECT_EQ(Run({"session", "list"}).array().size(), 2u);
  EXPECT_EQ(Run({"history", "sessions"}).array().size(), 2u);
  EXPECT_EQ(Run({"history", "sessions", "--limit", "3"}).array().size(), 3u);
  EXPECT_EQ(Run({"session", "list", "--offset", "2"}).array().size(), 1u);
}

}  // namespace
}  // namespace nimbus::tools
