// The agent of tools/quickstart, killed and resumed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <vector>

#include "nimbus/journal/verify.h"
#include "nimbus/replay/session.h"
#include "testing/program.h"
#include "testing/status_matchers.h"

namespace nimbus::tools::demo {
namespace {

using journal::Journal;
using test::Finished;
using test::RunProgram;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr size_t kIdLength = 36;

class DemoAgentTest : public ::testing::Test {
 protected:
  Finished Run(const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {NIMBUS_DEMO_AGENT, "--store", store_};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const absl::StatusOr<Finished> run = RunProgram({.argv = argv});
    EXPECT_THAT(run, test::IsOk());
    return run.value_or(Finished{.exit_code = -1});
  }

  static std::string OperationOf(const Finished& run) {
    return run.out.substr(run.out.find(' ') + 1, kIdLength);
  }

  // What the journal says of the operation.
  void ExpectRecorded(const std::string& operation, journal::Lifecycle status, size_t steps) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto journal,
                                Journal::Open(store_, {.create = false, .read_only = true}));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const schema::Uuid id, schema::ParseUuid(operation));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const replay::Session session, replay::Session::Open(*journal, id));
    EXPECT_EQ(session.status(), status);
    EXPECT_EQ(session.StepCount(), steps);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::VerifyReport report, VerifyJournal(*journal, {}));
    EXPECT_TRUE(report.holds());
  }

  test::TempDir directory_;
  std::string store_ = (directory_ / "store").string();
};

TEST_F(DemoAgentTest, SurveysThisMachine) {
  const Finished run = Run({});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("step 8 date"));
  EXPECT_THAT(run.out, Not(HasSubstr("not run again")));
  ExpectRecorded(OperationOf(run), journal::Lifecycle::kCompleted, 8);
}

TEST_F(DemoAgentTest, GoesOnWhereItWasKilled) {
  const Finished killed = Run({"--crash-after", "5"});
  EXPECT_EQ(killed.signal, SIGKILL);
  EXPECT_THAT(killed.out, HasSubstr("step 5"));
  EXPECT_THAT(killed.out, Not(HasSubstr("step 6")));
  const std::string operation = OperationOf(killed);
  ExpectRecorded(operation, journal::Lifecycle::kRunning, 6);

  const Finished resumed = Run({"--resume", operation});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("step 5 df     disk        recorded before, not run again"));
  EXPECT_THAT(resumed.out, HasSubstr("step 6 ls     root        ran"));
  ExpectRecorded(operation, journal::Lifecycle::kCompleted, 8);
}

TEST_F(DemoAgentTest, RunsNothingOfACompletedSurvey) {
  const std::string operation = OperationOf(Run({}));
  const Finished again = Run({"--resume", operation});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.out, Not(HasSubstr(" ran\n")));
  ExpectRecorded(operation, journal::Lifecycle::kCompleted, 8);
}

TEST_F(DemoAgentTest, ResumesOnlyWhatIsThere) {
  EXPECT_EQ(Run({}).exit_code, 0);
  const Finished unknown = Run({"--resume", "01900000-0000-7000-8000-000000000000"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("no operation"));
  EXPECT_EQ(Run({"--resume", "x"}).exit_code, 1);
}

}  // namespace
}  // namespace nimbus::tools::demo
