// The programs as a user runs them: in a directory of their own, on a store in it.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "nimbus/schema/json.h"
#include "testing/program.h"
#include "testing/status_matchers.h"

namespace nimbus::tools {

// Lines [from, to) of a session as Claude Code writes them: prompt and answer in
// turn, the answers ending with `more`.
inline std::string SessionLines(int from, int to, const std::string& session = "s",
                                const std::string& more = "") {
  std::string text;
  for (int n = from; n < to; ++n) {
    const std::string role = n % 2 == 0 ? "user" : "assistant";
    const std::string message =
        n % 2 == 0
            ? fmt::format(R"("content":"question {}")", n)
            : fmt::format(R"("id":"m{0}","content":[{{"type":"text","text":"answer {0}{1}"}}],)"
                          R"("stop_reason":"end_turn",)"
                          R"("usage":{{"input_tokens":1,"output_tokens":{0}}})",
                          n, more);
    text += fmt::format(R"({{"type":"{0}","uuid":"{0}-{1}","parentUuid":null,"sessionId":"{2}",)"
                        R"("timestamp":"2026-01-01T00:00:{3:02}.000Z",)"
                        R"("message":{{"role":"{0}",{4}}}}})",
                        role, n, session, n % 60, message) +
            "\n";
  }
  return text;
}

class CommandLineTest : public ::testing::Test {
 protected:
  std::string Path(std::string_view name) const { return (directory_ / name).string(); }

  std::string File(std::string_view name, std::string_view bytes) const {
    EXPECT_TRUE(test::WriteFile(directory_ / name, bytes));
    return Path(name);
  }

  test::ProgramOptions Options(std::vector<std::string> argv) const {
    return {.argv = std::move(argv),
            .environment = {"NIMBUS_STORE=" + Path("store"), "NIMBUS=" NIMBUS_PROGRAM,
                            "NIMBUS_REPLAY=" NIMBUS_REPLAY_PROGRAM},
            .directory = directory_.string()};
  }

  test::Finished Run(std::vector<std::string> argv) const {
    const absl::StatusOr<test::Finished> run = test::RunProgram(Options(std::move(argv)));
    EXPECT_THAT(run, test::IsOk());
    return run.value_or(test::Finished{.exit_code = -1});
  }

  test::Finished Nimbus(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), NIMBUS_PROGRAM);
    return Run(std::move(arguments));
  }

  test::Finished Replay(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), NIMBUS_REPLAY_PROGRAM);
    return Run(std::move(arguments));
  }

  // A line for sh, with $NIMBUS and $NIMBUS_REPLAY in it.
  test::Finished Shell(const std::string& script) const { return Run({"sh", "-c", script}); }

  // The document a command printed with --json.
  schema::Json Document(const test::Finished& run) const {
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const absl::StatusOr<schema::Json> json = schema::Json::Parse(run.out);
    EXPECT_THAT(json, test::IsOk()) << run.out;
    return json.value_or(schema::Json());
  }

  // The root commits to every record: an equal root is an equal journal.
  std::string Root() const {
    return std::string(Document(Nimbus({"journal", "stat", "--json"})).StringOr("root"));
  }

  void ExpectVerified() const {
    const test::Finished run = Nimbus({"journal", "verify"});
    EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
    EXPECT_THAT(run.out, ::testing::StartsWith("holds: "));
  }

  test::TempDir directory_;
};

}  // namespace nimbus::tools
