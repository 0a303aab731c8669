// The scripts are judged by the shells themselves, where these are installed.
#include "tools/cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "testing/program.h"
#include "testing/status_matchers.h"
#include "tools/cli/sample_app.h"

namespace nimbus::tools::cli {
namespace {

using ::nimbus::test::Finished;
using ::nimbus::test::RunProgram;
using ::nimbus::test::TempDir;
using ::nimbus::test::WriteFile;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class CompletionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(WriteFile(directory_ / "run one.jsonl", ""));
    ASSERT_TRUE(std::filesystem::create_directory(directory_ / "runs"));
  }

  std::string Script(Shell shell) {
    std::ostringstream out;
    WriteCompletion(*app_, shell, out);
    return out.str();
  }

  static bool Installed(const std::string& shell) {
    const auto run = RunProgram({.argv = {shell, "--version"}});
    return run.ok() && run->exit_code == 0;
  }

  // What bash offers for a command line of these words, the last one unfinished.
  std::vector<std::string> CompleteInBash(const std::vector<std::string>& words) {
    std::string script = Script(Shell::kBash) + "COMP_WORDS=(";
    for (const std::string& word : words) script += "'" + word + "' ";
    script += ")\nCOMP_CWORD=" + std::to_string(words.size() - 1) +
              "\n_sample\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
    return Lines({"bash", "-u", "-c", script});
  }

  std::vector<std::string> CompleteInFish(const std::string& line) {
    return Lines({"fish", "-c", Script(Shell::kFish) + "complete -C '" + line + "'"});
  }

  // The lines the command prints, without fish's descriptions.
  std::vector<std::string> Lines(const std::vector<std::string>& argv) {
    const absl::StatusOr<Finished> run =
        RunProgram({.argv = argv, .directory = directory_.string()});
    EXPECT_THAT(run, test::IsOk());
    if (!run.ok()) return {};
    EXPECT_EQ(run->err, "");
    std::vector<std::string> lines;
    std::istringstream out(run->out);
    for (std::string line; std::getline(out, line);) {
      if (!line.empty()) lines.push_back(line.substr(0, line.find('\t')));
    }
    return lines;
  }

  TempDir directory_;
  SampleValues values_;
  std::unique_ptr<CLI::App> app_ = MakeSampleApp(&values_);
};

TEST_F(CompletionTest, OffersCommandsInBash) {
  EXPECT_THAT(CompleteInBash({"sample", ""}), UnorderedElementsAre("history", "import"));
  EXPECT_THAT(CompleteInBash({"sample", "history", ""}), UnorderedElementsAre("list", "show"));
  EXPECT_THAT(CompleteInBash({"sample", "history", "s"}), UnorderedElementsAre("show"));
  EXPECT_THAT(CompleteInBash({"sample", "no-such", ""}), UnorderedElementsAre("history", "import"));
}

TEST_F(CompletionTest, OffersOptionsInBash) {
  EXPECT_THAT(CompleteInBash({"sample", "-"}), UnorderedElementsAre("-h", "--help", "--store"));
  EXPECT_THAT(CompleteInBash({"sample", "history", "list", "--s"}),
              UnorderedElementsAre("--status", "--store"));
  EXPECT_THAT(CompleteInBash({"sample", "import", "--s"}), UnorderedElementsAre());
}

TEST_F(CompletionTest, OffersValuesInBash) {
  EXPECT_THAT(CompleteInBash({"sample", "history", "list", "--status", ""}),
              UnorderedElementsAre("pending", "running", "completed"));
  EXPECT_THAT(CompleteInBash({"sample", "--store", ""}), UnorderedElementsAre("runs"));
  EXPECT_THAT(CompleteInBash({"sample", "import", "run"}),
              UnorderedElementsAre("run one.jsonl", "runs"));
  EXPECT_THAT(CompleteInBash({"sample", "history", "list", "-n", ""}), UnorderedElementsAre());
}

TEST_F(CompletionTest, TakesNoValueForACommandInBash) {
  EXPECT_THAT(CompleteInBash({"sample", "--store", "history", ""}),
              UnorderedElementsAre("history", "import"));
}

TEST_F(CompletionTest, OffersAllThatInFish) {
  if (!Installed("fish")) GTEST_SKIP() << "fish is not installed";
  EXPECT_THAT(CompleteInFish("sample "), UnorderedElementsAre("history", "import"));
  EXPECT_THAT(CompleteInFish("sample history s"), UnorderedElementsAre("show"));
  EXPECT_THAT(CompleteInFish("sample history list --sta"), UnorderedElementsAre("--status"));
  EXPECT_THAT(CompleteInFish("sample history list --status "),
              UnorderedElementsAre("pending", "running", "completed"));
  EXPECT_THAT(CompleteInFish("sample --store ru"), UnorderedElementsAre("runs/"));
  EXPECT_THAT(CompleteInFish("sample import run"), UnorderedElementsAre("run one.jsonl", "runs/"));
}

TEST_F(CompletionTest, OffersAllThatInZsh) {
  if (!Installed("zsh")) GTEST_SKIP() << "zsh is not installed";
  ASSERT_TRUE(WriteFile(directory_ / "_sample", Script(Shell::kZsh)));
  // An interactive shell on a terminal of its own, in which Tab is pressed. The
  // marks are written apart so that the echo of a command doesn't hold them.
  const std::string driver = R"(
    zmodload zsh/zpty
    zpty shell zsh -f -i
    zpty -w shell "PS1=; fpath=($PWD \$fpath); autoload -U compinit; compinit -u -D"
    zpty -w shell "bindkey '^I' list-choices; stty columns 200; print READ''Y"
    zpty -r shell seen '*READY*'
    for line in 'sample ' 'sample history list --status ' 'sample history list --st'; do
      zpty -n -w shell "$line"$'\t'
      sleep 0.5
      zpty -w shell $'\x15'"print DON''E"
      zpty -r shell seen '*DONE*'
      print -r -- "$seen"
    done
  )";
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, RunProgram({.argv = {"zsh", "-f", "-c", driver},
                                                              .directory = directory_.string()}));
  EXPECT_THAT(run.out, HasSubstr("Recorded operations"));
  EXPECT_THAT(run.out, HasSubstr("pending"));
  EXPECT_THAT(run.out, HasSubstr("Only of this status"));
  EXPECT_THAT(run.out, Not(HasSubstr("internal")));
}

TEST_F(CompletionTest, IsACleanScript) {
  if (!Installed("shellcheck")) GTEST_SKIP() << "shellcheck is not installed";
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Finished run,
      RunProgram({.argv = {"shellcheck", "-s", "bash", "-"}, .input = Script(Shell::kBash)}));
  EXPECT_EQ(run.exit_code, 0) << run.out;
}

TEST_F(CompletionTest, IsTheSameEveryTime) {
  for (const Shell shell : {Shell::kBash, Shell::kZsh, Shell::kFish}) {
    EXPECT_EQ(Script(shell), Script(shell));
    EXPECT_THAT(Script(shell), HasSubstr("sample history list"));
    EXPECT_THAT(Script(shell), Not(HasSubstr("secret-switch")));
  }
}

TEST_F(CompletionTest, ComesFromTheProgramItself) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished bash,
                              RunProgram({.argv = {NIMBUS_SAMPLE_PROGRAM, "completion", "bash"}}));
  EXPECT_EQ(bash.exit_code, 0) << bash.err;
  EXPECT_EQ(bash.out, Script(Shell::kBash));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished csh,
                              RunProgram({.argv = {NIMBUS_SAMPLE_PROGRAM, "completion", "csh"}}));
  EXPECT_NE(csh.exit_code, 0);
  EXPECT_EQ(csh.out, "");
}

}  // namespace
}  // namespace nimbus::tools::cli
