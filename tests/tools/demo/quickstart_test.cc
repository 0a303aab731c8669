// tools/quickstart, with what this build has built.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "testing/program.h"
#include "testing/status_matchers.h"

namespace nimbus::tools::demo {
namespace {

using test::Finished;
using test::RunProgram;
using ::testing::HasSubstr;
using ::testing::Not;

class QuickstartTest : public ::testing::Test {
 protected:
  // From a directory that is neither the project nor its build.
  Finished Run(const std::vector<std::string>& files) {
    std::vector<std::string> argv = {NIMBUS_SOURCE_DIR "/tools/quickstart"};
    argv.insert(argv.end(), files.begin(), files.end());
    const absl::StatusOr<Finished> run =
        RunProgram({.argv = argv,
                    .environment = {"NIMBUS_QUICKSTART_BUILD=" NIMBUS_BUILD_DIR,
                                    "NIMBUS_QUICKSTART_STORE=" + (directory_ / "store").string()},
                    .directory = directory_.string()});
    EXPECT_THAT(run, test::IsOk());
    return run.value_or(Finished{.exit_code = -1});
  }

  test::TempDir directory_;
};

TEST_F(QuickstartTest, RecordsResumesReplaysAndVerifiesTwice) {
  for (int time = 0; time < 2; ++time) {
    const Finished run = Run({});
    EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
    EXPECT_EQ(run.err, "");
    EXPECT_THAT(run.out, HasSubstr("recorded before, not run again"));
    EXPECT_THAT(run.out, HasSubstr("reproduced operation"));
    EXPECT_THAT(run.out, HasSubstr("--from-checkpoint"));
    EXPECT_THAT(run.out, HasSubstr("completed"));
  }
}

TEST_F(QuickstartTest, ImportsTheFilesGiven) {
  NIMBUS_SHARED_OR_SKIP(file, "data/runs/mini-swe-agent/local.traj.json");
  const Finished run = Run({file.string()});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("nimbus import"));
  EXPECT_THAT(run.out, HasSubstr("reproduced operation"));
  EXPECT_THAT(run.out, Not(HasSubstr("demo-agent")));
}

TEST_F(QuickstartTest, ShowsTheOtherFilesWhenOneIsRefused) {
  NIMBUS_SHARED_OR_SKIP(file, "data/runs/mini-swe-agent/local.traj.json");
  ASSERT_TRUE(test::WriteFile(directory_ / "bad.jsonl", "not JSON\n"));
  const Finished run = Run({"bad.jsonl", file.string()});
  EXPECT_EQ(run.exit_code, 65) << run.out << run.err;
  EXPECT_THAT(run.err, HasSubstr("bad.jsonl"));
  EXPECT_THAT(run.out, HasSubstr("reproduced operation"));

  const Finished alone = Run({"bad.jsonl"});
  EXPECT_EQ(alone.exit_code, 65);
}

TEST_F(QuickstartTest, RefusesWhatItCannotRead) {
  const Finished run = Run({"no-such-file.jsonl"});
  EXPECT_EQ(run.exit_code, 66);
  EXPECT_THAT(run.err, HasSubstr("no-such-file.jsonl"));
  EXPECT_EQ(run.out, "");
}

}  // namespace
}  // namespace nimbus::tools::demo
