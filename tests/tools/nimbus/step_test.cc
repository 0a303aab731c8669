// nimbus-replay step on a terminal, as a person uses it.
#include "testing/terminal.h"

#include <signal.h>

#include <algorithm>
#include <sstream>

#include "tools/nimbus/fixture.h"

namespace nimbus::tools {
namespace {

using test::Finished;
using test::Terminal;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kPrompt = "step> ";

class StepTerminalTest : public CommandLineTest {
 protected:
  void SetUp() override { ASSERT_EQ(Nimbus({"init"}).exit_code, 0); }

  // Imports a conversation whose answers end with `more`.
  void Import(const std::string& more = "") {
    const Finished run = Nimbus({"import", File("s.jsonl", SessionLines(0, 6, "s", more))});
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }

  // At its first prompt; null when it does not come so far.
  std::unique_ptr<Terminal> Step(const std::vector<std::string>& environment = {},
                                 unsigned short columns = 80) {
    test::ProgramOptions options = Options({NIMBUS_REPLAY_PROGRAM, "step", "@"});
    options.timeout_ms = 30'000;
    for (const std::string& variable : environment) options.environment.push_back(variable);
    // What is given first counts.
    for (const char* variable : {"TERM=xterm", "NO_COLOR"}) options.environment.push_back(variable);
    auto terminal = Terminal::Start(options, {.columns = columns});
    EXPECT_THAT(terminal, test::IsOk());
    if (!terminal.ok()) return nullptr;
    EXPECT_TRUE((*terminal)->Await(kPrompt)) << (*terminal)->screen();
    return *std::move(terminal);
  }

  static int ExitCode(Terminal* terminal) {
    const absl::StatusOr<Finished> run = terminal->Wait();
    EXPECT_THAT(run, test::IsOk());
    return run.ok() ? run->exit_code : -1;
  }
};

TEST_F(StepTerminalTest, AnswersAtAPromptUntilControlD) {
  Import();
  const auto terminal = Step();
  ASSERT_NE(terminal, nullptr);
  EXPECT_THAT(terminal->screen(), HasSubstr("at the start of 2 steps"));
  terminal->Type("next\r");
  EXPECT_TRUE(terminal->Await("of 2  "));
  EXPECT_TRUE(terminal->Await(kPrompt));
  terminal->Type("nonsense\r");
  EXPECT_TRUE(terminal->Await("no command 'nonsense'")) << "a person may try again";
  EXPECT_TRUE(terminal->Await(kPrompt));
  terminal->Type(Terminal::kControlD);
  EXPECT_EQ(ExitCode(terminal.get()), 0);
  EXPECT_TRUE(terminal->screen().ends_with("\n")) << "the shell's prompt begins a line";
}

TEST_F(StepTerminalTest, RemembersWhatWasTyped) {
  Import();
  const auto terminal = Step();
  ASSERT_NE(terminal, nullptr);
  terminal->Type("next\r");
  EXPECT_TRUE(terminal->Await("step 1"));
  EXPECT_TRUE(terminal->Await(kPrompt));
  terminal->Type(Terminal::kUp);
  terminal->Type("\r");
  EXPECT_TRUE(terminal->Await("step 2")) << terminal->screen();
  EXPECT_TRUE(terminal->Await(kPrompt));
  terminal->Type("quit\r");
  EXPECT_EQ(ExitCode(terminal.get()), 0);
}

TEST_F(StepTerminalTest, ControlCGivesUpTheLine) {
  Import();
  const auto terminal = Step();
  ASSERT_NE(terminal, nullptr);
  for (int time = 0; time < 3; ++time) {
    terminal->Type("goto 5");
    EXPECT_TRUE(terminal->Await("goto 5"));
    terminal->Type(Terminal::kControlC);
    EXPECT_TRUE(terminal->Await(kPrompt)) << terminal->screen();
  }
  terminal->Type("where\r");
  EXPECT_TRUE(terminal->Await("at the start of 2 steps")) << terminal->screen();
  EXPECT_TRUE(terminal->Await(kPrompt));
  terminal->Type("q\r");
  EXPECT_EQ(ExitCode(terminal.get()), 0);
}

TEST_F(StepTerminalTest, ControlCEndsALongStateAndNothingElse) {
  Import(std::string(1 << 20, 'x'));
  const auto terminal = Step();
  ASSERT_NE(terminal, nullptr);
  terminal->Type("goto end\r");
  EXPECT_TRUE(terminal->Await(kPrompt));
  terminal->Type("state\r");
  EXPECT_TRUE(terminal->Await("xxxxxxxx"));
  terminal->Type(Terminal::kControlC);
  EXPECT_TRUE(terminal->Await(kPrompt));
  EXPECT_LT(terminal->screen().size(), size_t{1} << 20);
  terminal->Type("state /messages/0/role\r");
  EXPECT_TRUE(terminal->Await("\"user\"")) << "what comes next comes whole";
  EXPECT_TRUE(terminal->Await(kPrompt));
  terminal->Type("q\r");
  EXPECT_EQ(ExitCode(terminal.get()), 0);
}

TEST_F(StepTerminalTest, ControlCEndsASearchAndNothingElse) {
  // One operation of many steps: a search through them takes a moment.
  std::string lines = SessionLines(0, 1);
  for (int n = 1; n < 20'000; n += 2) lines += SessionLines(n, n + 1);
  ASSERT_EQ(Nimbus({"import", File("s.jsonl", lines)}).exit_code, 0);
  const auto terminal = Step();
  ASSERT_NE(terminal, nullptr);
  // One that was over sooner says so.
  const auto over = [&] {
    int count = 0;
    for (size_t at = 0; (at = terminal->screen().find("no step holds", at)) != std::string::npos;
         ++at) {
      ++count;
    }
    return count;
  };
  int searches = 0;
  while (over() == searches && searches < 50) {
    ++searches;
    terminal->Type("search nowhere\r");
    ASSERT_TRUE(terminal->Await("nowhere"));
    ASSERT_TRUE(terminal->Await("\n"));
    terminal->Type(Terminal::kControlC);
    ASSERT_TRUE(terminal->Await(kPrompt));
  }
  EXPECT_LT(over(), searches);
  EXPECT_THAT(terminal->screen(), Not(HasSubstr("interrupted"))) << "who pressed it knows";
  terminal->Type("search answer 5\r");
  EXPECT_TRUE(terminal->Await("in its output")) << "what comes next goes its way";
  EXPECT_TRUE(terminal->Await(kPrompt));
  terminal->Type("q\r");
  EXPECT_EQ(ExitCode(terminal.get()), 0);
}

TEST_F(StepTerminalTest, ATerminationSignalEndsIt) {
  Import();
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const auto terminal,
      Terminal::Start(Options({"sh", "-c", "echo $$; exec $NIMBUS_REPLAY step @"})));
  EXPECT_TRUE(terminal->Await(kPrompt));
  kill(std::stoi(terminal->screen()), SIGTERM);
  EXPECT_EQ(ExitCode(terminal.get()), 130);
}

TEST_F(StepTerminalTest, FitsTextsIntoANarrowWindow) {
  Import(" and much more than there is room for");
  constexpr size_t kColumns = 20;
  const auto terminal = Step({"TERM=dumb"}, kColumns);
  ASSERT_NE(terminal, nullptr);
  terminal->Type("n\rn\r");
  EXPECT_TRUE(terminal->Await("step 2 of 2"));
  EXPECT_TRUE(terminal->Await("output"));
  EXPECT_TRUE(terminal->Await("\n"));
  std::stringstream lines(terminal->screen());
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("  ")) continue;
    const auto characters = std::count_if(line.begin(), line.end(),
                                          [](char c) { return (c & 0xc0) != 0x80 && c != '\r'; });
    EXPECT_LE(characters, kColumns) << line;
  }
  // A line longer than the window can be typed.
  EXPECT_TRUE(terminal->Await(kPrompt));
  terminal->Type("search question 4 no what is that\r");
  EXPECT_TRUE(terminal->Await("no step holds")) << terminal->screen();
  EXPECT_TRUE(terminal->Await(kPrompt));
  terminal->Type("q\r");
  EXPECT_EQ(ExitCode(terminal.get()), 0);
}

TEST_F(StepTerminalTest, TakesWhatIsTypedInUtf8) {
  Import(" café €");
  const auto terminal = Step({"LC_ALL=C"});
  ASSERT_NE(terminal, nullptr);
  terminal->Type("search café €\r");
  EXPECT_TRUE(terminal->Await("in its ")) << terminal->screen();
  terminal->Type("q\r");
  EXPECT_EQ(ExitCode(terminal.get()), 0);
}

TEST_F(StepTerminalTest, ShowsColourWhereItIsWanted) {
  Import();
  struct Case {
    std::vector<std::string> environment;
    bool color;
  };
  for (const Case& c : std::vector<Case>{
           {{}, true}, {{"NO_COLOR=1"}, false}, {{"NO_COLOR="}, true}, {{"TERM=dumb"}, false}}) {
    const auto terminal = Step(c.environment);
    ASSERT_NE(terminal, nullptr);
    terminal->Type("n\r");
    EXPECT_TRUE(terminal->Await("step 1"));
    EXPECT_TRUE(terminal->Await(kPrompt));
    const bool bold = terminal->screen().find("\x1b[1m") != std::string::npos;
    EXPECT_EQ(bold, c.color) << ::testing::PrintToString(c.environment);
    terminal->Type("q\r");
    EXPECT_EQ(ExitCode(terminal.get()), 0);
  }
}

// Neither prompt nor escapes, whatever the terminal on the other side is.
TEST_F(StepTerminalTest, IsAScriptWhereItsInputOrOutputIsNoTerminal) {
  Import();
  for (const char* command :
       {"printf 'n\\nq\\n' | $NIMBUS_REPLAY step @", "$NIMBUS_REPLAY step @ | cat"}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto terminal,
                                Terminal::Start(Options({"sh", "-c", command})));
    terminal->Type("n\rq\r");
    EXPECT_TRUE(terminal->Await("step 1")) << command;
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, terminal->Wait());
    EXPECT_EQ(run.exit_code, 0);
    EXPECT_THAT(run.out, Not(HasSubstr(std::string(kPrompt)))) << command;
  }
}

}  // namespace
}  // namespace nimbus::tools
