#include "testing/program.h"

#include <signal.h>

#include "testing/status_matchers.h"

namespace nimbus::test {
namespace {

using ::testing::HasSubstr;

TEST(Program, GivesItsExitCodeAndOutputs) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Finished run,
      RunProgram({.argv = {"sh", "-c", "cat; echo wrong >&2; exit 65"}, .input = "some input"}));
  EXPECT_EQ(run.exit_code, 65);
  EXPECT_EQ(run.signal, 0);
  EXPECT_EQ(run.out, "some input");
  EXPECT_EQ(run.err, "wrong\n");
}

TEST(Program, TakesMoreInputAndOutputThanAPipeHolds) {
  const std::string input(4 << 20, 'x');
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run,
                              RunProgram({.argv = {"tee", "/dev/stderr"}, .input = input}));
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.out.size(), input.size());
  EXPECT_EQ(run.err.size(), input.size());
}

TEST(Program, RunsWhereAndWithWhatItIsTold) {
  TempDir directory;
  ASSERT_TRUE(WriteFile(directory / "mark", ""));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run,
                              RunProgram({.argv = {"sh", "-c", "ls; echo $ADDED ${HOME-none}"},
                                          .environment = {"ADDED=a=b", "HOME"},
                                          .directory = directory.string()}));
  EXPECT_EQ(run.out, "mark\na=b none\n");
  EXPECT_EQ(run.exit_code, 0);
}

TEST(Program, CanBeKilledAndSaysBySignal) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Program> program,
                              Program::Start({.argv = {"sleep", "100"}}));
  program->Signal(SIGKILL);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, program->Wait());
  EXPECT_EQ(run.signal, SIGKILL);
  EXPECT_EQ(run.exit_code, -1);
  EXPECT_THAT(program->Wait(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(Program, IsKilledWhenItTakesTooLong) {
  EXPECT_THAT(RunProgram({.argv = {"sh", "-c", "echo begun; exec sleep 100"}, .timeout_ms = 500}),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("begun")));
}

TEST(Program, MustExist) {
  EXPECT_THAT(RunProgram({.argv = {"no-such-program-anywhere"}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no-such-program-anywhere")));
  EXPECT_THAT(RunProgram({}), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace nimbus::test
