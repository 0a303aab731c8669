// nimbus export: which formats, of what, and where to.
#include "tools/nimbus/fixture.h"

namespace nimbus::tools {
namespace {

using schema::Json;
using test::Finished;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ExportCommandTest : public CommandLineTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(Nimbus({"init"}).exit_code, 0);
    File("a", SessionLines(0, 6));
    const Json reports = Document(Nimbus({"import", "a", "--json"}));
    session_ = reports.array().at(0).Find("sessions")->array().at(0).string();
  }

  Json Exported(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "export");
    return Document(Nimbus(std::move(arguments)));
  }

  std::string session_;
};

TEST_F(ExportCommandTest, WritesAnOperationOrASessionAsAtif) {
  const Json operation = Exported({"@", "--format", "atif"});
  EXPECT_EQ(operation.StringOr("schema_version"), "ATIF-v1.5");
  EXPECT_EQ(operation.Find("steps")->array().size(), 2u);
  EXPECT_EQ(operation.Find("steps")->array()[0].StringOr("message"), "question 4");
  EXPECT_EQ(operation.Find("steps")->array()[1].StringOr("message"), "answer 5");
  EXPECT_EQ(operation.FindPath({"agent", "name"})->string(), "claude-code");
  const Json session = Exported({session_, "--format", "atif"});
  EXPECT_EQ(session.Find("steps")->array().size(), 6u);
  EXPECT_EQ(session.StringOr("session_id"), session_);
  EXPECT_EQ(session.FindPath({"final_metrics", "total_completion_tokens"})->AsInt(), 1 + 3 + 5);
}

TEST_F(ExportCommandTest, BringsBackWhatItWroteAsAtif) {
  ASSERT_EQ(Nimbus({"export", session_, "--format", "atif", "-o", "t.json"}).exit_code, 0);
  ASSERT_EQ(Nimbus({"--store", "other", "init"}).exit_code, 0);
  const Json report = Document(Nimbus({"--store", "other", "import", "t.json", "--json"}));
  EXPECT_EQ(report.array().at(0).StringOr("format"), "atif");
  EXPECT_EQ(report.array()[0].Find("operations")->array().size(), 3u);
  EXPECT_EQ(report.array()[0].Find("user_inputs")->AsInt(), 3);
  EXPECT_EQ(report.array()[0].Find("llm_calls")->AsInt(), 3);
  EXPECT_EQ(report.array()[0].Find("output_tokens")->AsInt(), 9);
  EXPECT_THAT(Nimbus({"--store", "other", "import", "t.json"}).out, HasSubstr("all there already"));
}

TEST_F(ExportCommandTest, WritesOtlpWithContentOnlyWhenAsked) {
  const Finished closed = Nimbus({"export", session_, "--format", "otlp"});
  EXPECT_EQ(closed.exit_code, 0) << closed.err;
  EXPECT_THAT(closed.out, AllOf(HasSubstr(R"({"resourceSpans":[)"), Not(HasSubstr("question"))));
  EXPECT_EQ(closed.out.find('\n'), closed.out.size() - 1) << "one object a line";
  const Finished open = Nimbus({"export", session_, "--format", "otlp", "--content"});
  EXPECT_THAT(open.out, AllOf(HasSubstr("question 2"), HasSubstr("answer 3")));
  File("t.json", open.out);
  ASSERT_EQ(Nimbus({"--store", "other", "init"}).exit_code, 0);
  const Json report = Document(Nimbus({"--store", "other", "import", "t.json", "--json"}));
  EXPECT_EQ(report.array().at(0).StringOr("format"), "otlp-json");
  EXPECT_EQ(report.array()[0].Find("llm_calls")->AsInt(), 3);
}

TEST_F(ExportCommandTest, FindsTheDocumentThatTellsOfSeveralOperations) {
  const std::string text =
      R"([{"role":"user","content":"a","token_count":1},{"role":"assistant","content":"b",)"
      R"("token_count":1},{"role":"user","content":"c","token_count":1}])";
  File("chat.json", text);
  ASSERT_EQ(Nimbus({"import", "chat.json"}).exit_code, 0);
  EXPECT_EQ(Nimbus({"export", "@"}).out, text + "\n");
  EXPECT_EQ(Nimbus({"export", "@-"}).out, text + "\n");
  EXPECT_EQ(Nimbus({"export", "@--"}).out, SessionLines(0, 6));
}

TEST_F(ExportCommandTest, RefusesWhatItCanNotWrite) {
  EXPECT_EQ(Nimbus({"export", "@", "--format", "xml"}).exit_code, 64);
  EXPECT_EQ(Nimbus({"export", "@", "--content"}).exit_code, 64);
  EXPECT_EQ(Nimbus({"export", "--format", "atif"}).exit_code, 64);
  const Finished absent = Nimbus({"export", "ffffffff", "--format", "atif"});
  EXPECT_EQ(absent.exit_code, 66);
  EXPECT_THAT(absent.err, HasSubstr("no operation and no session 'ffffffff'"));
  EXPECT_EQ(Nimbus({"export", "@", "--format", "otlp", "-o", "/dev/full"}).exit_code, 74);
  EXPECT_EQ(Nimbus({"export", "@", "--format", "atif", "-o", "absent/t"}).exit_code, 74);
}

}  // namespace
}  // namespace nimbus::tools
