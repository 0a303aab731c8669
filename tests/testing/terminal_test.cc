#include "testing/terminal.h"

#include <signal.h>

#include "testing/status_matchers.h"

namespace nimbus::test {
namespace {

using ::testing::HasSubstr;

TEST(Terminal, IsOneOfTheSizeAskedFor) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const auto terminal,
      Terminal::Start({.argv = {"sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size"}},
                      {.columns = 20, .rows = 7}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, terminal->Wait());
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.out, "7 20\r\n");
  EXPECT_THAT(terminal->Wait(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(Terminal, ShowsWhatIsTypedAndWhatIsAnswered) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto terminal,
                              Terminal::Start({.argv = {"sh", "-c",
                                                        "while read line; do echo "
                                                        "heard $line; done"}}));
  terminal->Type("one\r");
  EXPECT_TRUE(terminal->Await("heard one"));
  terminal->Type("two\r");
  EXPECT_TRUE(terminal->Await("heard two"));
  terminal->Type(Terminal::kControlD);
  EXPECT_FALSE(terminal->Await("heard"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, terminal->Wait());
  EXPECT_EQ(run.exit_code, 0);
}

TEST(Terminal, InterruptsByControlC) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const auto terminal, Terminal::Start({.argv = {"sh", "-c", "echo ready; exec sleep 1000"}}));
  EXPECT_TRUE(terminal->Await("ready"));
  terminal->Type(Terminal::kControlC);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, terminal->Wait());
  EXPECT_EQ(run.signal, SIGINT);
}

TEST(Terminal, MustHaveAProgram) {
  EXPECT_THAT(Terminal::Start({.argv = {"no-such-program-anywhere"}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no-such-program-anywhere")));
  EXPECT_THAT(Terminal::Start({}), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace nimbus::test
