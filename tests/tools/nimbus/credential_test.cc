// nimbus credential: names for secrets that are sealed before they come here.
#include "tools/nimbus/fixture.h"

namespace nimbus::tools {
namespace {

using schema::Json;
using test::Finished;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSealed[] = "v1.c2VhbGVk";

class CredentialTest : public CommandLineTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(Nimbus({"init"}).exit_code, 0);
    File("sealed", std::string(kSealed) + "\n");
  }

  void Store(const std::string& name, const std::string& provider = "aws") {
    const Finished run = Nimbus({"credential", "store", name, "--provider", provider, "--type",
                                 "api_key", "--file", "sealed", "--metadata", R"({"a":1})"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_THAT(run.out, HasSubstr("stored credential '" + name + "'"));
  }

  std::string Sealed() {
    return Nimbus({"db", "sql", "SELECT encrypted_data FROM credentials ORDER BY name"}).out;
  }

  void ExpectError(const Finished& run, int exit_code, const std::string& message) {
    EXPECT_EQ(run.exit_code, exit_code) << run.out << run.err;
    EXPECT_THAT(run.err, HasSubstr(message));
    EXPECT_EQ(run.out, "");
  }
};

TEST_F(CredentialTest, IsStoredFromAFileOrStandardInput) {
  Store("deploy");
  const Finished piped = Shell(
      "printf 'v2.other' | $NIMBUS credential store other --provider gcp --type oauth "
      "--expires 2027-01-01");
  EXPECT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_EQ(Sealed(), "v1.c2VhbGVk\nv2.other\n") << "without the editor's newline";
  ExpectError(Nimbus({"credential", "store", "x", "--provider", "aws", "--type", "oauth", "--file",
                      "none"}),
              66, "none: can't be read");
  ExpectError(Shell("$NIMBUS credential store x --provider a --type oauth </dev/null"), 65,
              "sealed: is required");
  ExpectError(Shell("head -c 2000000 /dev/zero | tr '\\0' s | $NIMBUS credential store x "
                    "--provider a --type oauth"),
              65, "1048576 are allowed");
  ExpectError(Nimbus({"credential", "store", "deploy", "--provider", "aws", "--type", "oauth",
                      "--file", "sealed"}),
              65, "credential 'deploy' is");
  EXPECT_EQ(Nimbus({"credential", "store", "x", "--provider", "a", "--type", "password"}).exit_code,
            64);
  EXPECT_EQ(Nimbus({"credential", "store", "x", "--provider", "a", "--type", "oauth", "--expires",
                    "soon"})
                .exit_code,
            64);
}

TEST_F(CredentialTest, IsListedAndShownWithoutItsSecret) {
  Store("deploy");
  Store("storage", "gcp");
  const Json all = Document(Nimbus({"credential", "list", "--json"}));
  ASSERT_EQ(all.array().size(), 2u);
  EXPECT_EQ(all.array()[0].StringOr("name"), "deploy");
  const std::string id(all.array()[0].StringOr("id"));
  EXPECT_EQ(Document(Nimbus({"credential", "list", "--provider", "gcp", "--json"})).array().size(),
            1u);
  EXPECT_EQ(Document(Nimbus({"credential", "list", "--expiring-before", "2030-01-01", "--json"}))
                .array()
                .size(),
            0u);
  for (const std::string& name : {std::string("deploy"), id, id.substr(0, 35)}) {
    const Json one = Document(Nimbus({"credential", "show", name, "--json"}));
    EXPECT_EQ(one.StringOr("id"), id) << name;
    EXPECT_TRUE(one.Find("metadata")->IsObject());
  }
  for (const std::vector<std::string>& command : {std::vector<std::string>{"credential", "list"},
                                                  {"credential", "list", "--json"},
                                                  {"credential", "show", "deploy"},
                                                  {"credential", "show", "deploy", "--json"}}) {
    const Finished run = Nimbus(command);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_THAT(run.out, AllOf(HasSubstr("deploy"), Not(HasSubstr("c2VhbGVk"))));
  }
  // Ids made in one year begin alike.
  ExpectError(Nimbus({"credential", "show", id.substr(0, 3)}), 66,
              "'" + id.substr(0, 3) + "' is ambiguous:\n  ");
  ExpectError(Nimbus({"credential", "show", "depoly"}), 66,
              "no credential 'depoly'; did you mean 'deploy'?");
  ExpectError(Nimbus({"credential", "show", "nothing like it"}), 66,
              "no credential 'nothing like it'\n");
}

TEST_F(CredentialTest, IsRotatedUsedAndRemoved) {
  Store("deploy");
  EXPECT_EQ(Shell("echo v3.new | $NIMBUS credential rotate deploy").exit_code, 0);
  EXPECT_EQ(Sealed(), "v3.new\n");
  EXPECT_EQ(Nimbus({"credential", "use", "deploy"}).exit_code, 0);
  const Json shown = Document(Nimbus({"credential", "show", "deploy", "--json"}));
  EXPECT_TRUE(shown.Find("last_used_at")->IsString());
  EXPECT_EQ(Nimbus({"credential", "remove", "deploy"}).exit_code, 64) << "without a reason";
  const Finished removed = Nimbus({"credential", "remove", "deploy", "--reason", "leaked"});
  EXPECT_EQ(removed.exit_code, 0) << removed.err;
  ExpectError(Nimbus({"credential", "use", "deploy"}), 66, "no credential 'deploy'");
  ExpectError(Nimbus({"credential", "use", std::string(shown.StringOr("id"))}), 66, "removed");
  Store("deploy");
  ExpectVerified();
}

TEST_F(CredentialTest, ProfilesSayWhichToTake) {
  Store("deploy");
  Store("deploy2");
  Store("storage", "gcp");
  const auto profile = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"credential", "profile"});
    return Nimbus(std::move(arguments));
  };
  EXPECT_EQ(profile({"save", "prod", "deploy", "storage", "--description", "live"}).exit_code, 0);
  EXPECT_EQ(profile({"save", "test", "deploy2"}).exit_code, 0);
  ExpectError(profile({"save", "bad", "deploy", "deploy2"}), 65, "two credentials of provider");
  ExpectError(profile({"save", "bad", "depoly"}), 66, "did you mean 'deploy'?");
  EXPECT_EQ(profile({"default", "prod"}).exit_code, 0);
  EXPECT_EQ(profile({"default", "test"}).exit_code, 0);
  ExpectError(profile({"default", "tset"}), 66, "did you mean 'test'?");
  const Json all = Document(profile({"list", "--json"}));
  ASSERT_EQ(all.array().size(), 2u);
  EXPECT_FALSE(all.array()[0].Find("is_default")->boolean());
  EXPECT_TRUE(all.array()[1].Find("is_default")->boolean());
  const Finished shown = profile({"show", "prod"});
  EXPECT_THAT(shown.out, AllOf(HasSubstr("aws\tdeploy\n"), HasSubstr("gcp\tstorage\n"),
                               HasSubstr("description live")));
  ASSERT_EQ(Nimbus({"credential", "remove", "deploy", "--reason", "old"}).exit_code, 0);
  EXPECT_THAT(profile({"show", "prod"}).out, HasSubstr("aws\t(removed)\n"));
  EXPECT_EQ(profile({"delete", "test"}).exit_code, 64) << "without a reason";
  EXPECT_EQ(profile({"delete", "test", "--reason", "done"}).exit_code, 0);
  ExpectError(profile({"show", "test"}), 66, "no credential profile 'test'");
}

}  // namespace
}  // namespace nimbus::tools
