#include "tools/cli/man.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "testing/program.h"
#include "testing/status_matchers.h"
#include "tools/cli/sample_app.h"

namespace nimbus::tools::cli {
namespace {

using ::nimbus::test::Finished;
using ::nimbus::test::RunProgram;
using ::testing::HasSubstr;
using ::testing::Not;

std::string SamplePage() {
  SampleValues values;
  const std::unique_ptr<CLI::App> app = MakeSampleApp(&values);
  std::ostringstream out;
  WriteManPage(*app, "1.2.3", {{"EXIT STATUS", ".so it begins\n\n  0   holds\n  1   doesn't\n"}},
               out);
  return out.str();
}

TEST(ManPage, DocumentsEveryShownCommand) {
  const std::string page = SamplePage();
  EXPECT_THAT(page, HasSubstr(".TH \"SAMPLE\" 1 \"\" \"sample 1.2.3\""));
  EXPECT_THAT(page, HasSubstr(".SS \"sample history list [OPTIONS]\""));
  EXPECT_THAT(page, HasSubstr(".SS \"sample history show [OPTIONS] ID\""));
  EXPECT_THAT(page, HasSubstr(".SS \"sample import [OPTIONS] FILES...\""));
  EXPECT_THAT(page, HasSubstr(".B \"\\-n, \\-\\-limit N\"\nAt most N.\nDefault: 20."));
  EXPECT_THAT(page, HasSubstr("One of pending, running, completed."));
  const size_t help = page.find("\\-\\-help");
  EXPECT_NE(help, std::string::npos);
  EXPECT_EQ(page.find("\\-\\-help", help + 1), std::string::npos);
  EXPECT_THAT(page, Not(HasSubstr("internal")));
  EXPECT_THAT(page, Not(HasSubstr("secret")));
}

TEST(ManPage, KeepsTextFromBeingTakenForRequests) {
  const std::string page = SamplePage();
  EXPECT_THAT(page, HasSubstr("\n\\&.so it begins\n"));
  EXPECT_THAT(page, HasSubstr("It isn't\\eever lost."));
  EXPECT_THAT(page, HasSubstr("\nImport runs \\[u2192] [any] format\n"));
  EXPECT_THAT(page, HasSubstr(".nf\n  0   holds\n  1   doesn't\n.fi\n"));
}

TEST(ManPage, FormatsWithoutWarnings) {
  const auto groff =
      RunProgram({.argv = {"groff", "-man", "-Tascii", "-ww"}, .input = SamplePage()});
  if (!groff.ok()) GTEST_SKIP() << "groff is not installed";
  EXPECT_EQ(groff->exit_code, 0);
  EXPECT_EQ(groff->err, "");
  EXPECT_THAT(groff->out, HasSubstr("Recorded operations"));
}

TEST(ManPage, ComesFromTheProgramItself) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run,
                              RunProgram({.argv = {NIMBUS_SAMPLE_PROGRAM, "man"}}));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("sample 1.2.3"));
  EXPECT_THAT(run.out, HasSubstr("0 if all went well."));
}

}  // namespace
}  // namespace nimbus::tools::cli
