// An agent that dies by SIGKILL while it records, and is started again.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <sstream>
#include <thread>

#include "replay/fixture.h"
#include "testing/program.h"

namespace nimbus::replay {
namespace {

constexpr int kSteps = 60;

class RecorderCrashTest : public ReplayTest {
 protected:
  void SetUp() override {
    ReplayTest::SetUp();
    Append(journal::SessionStarted(session_));
    journal_.reset();  // the agent's from here on
  }

  test::ProgramOptions Agent(const schema::Uuid& operation, const std::string& mode,
                             const std::vector<std::string>& death = {}) {
    test::ProgramOptions options;
    options.argv = {NIMBUS_CRASHING_AGENT,
                    store(),
                    session_.ToString(),
                    operation.ToString(),
                    std::to_string(kSteps),
                    Ledger(operation),
                    mode};
    options.argv.insert(options.argv.end(), death.begin(), death.end());
    return options;
  }

  std::string Ledger(const schema::Uuid& operation) const {
    return (directory_ / operation.ToString()).string();
  }

  // The steps that really ran, in order.
  std::vector<int> Ran(const schema::Uuid& operation) const {
    std::istringstream lines(test::ReadFile(Ledger(operation)).value_or(""));
    std::vector<int> ran;
    for (int number = 0; lines >> number;) ran.push_back(number);
    return ran;
  }

  static std::vector<int> AllSteps() {
    std::vector<int> all(kSteps);
    for (int i = 0; i < kSteps; ++i) all[static_cast<size_t>(i)] = i + 1;
    return all;
  }

  // The digest an agent that nobody kills ends with.
  std::string Uninterrupted() {
    const absl::StatusOr<test::Finished> run = test::RunProgram(Agent(schema::NewUuid(), "once"));
    EXPECT_THAT(run, IsOk());
    EXPECT_EQ(run->exit_code, 0) << run->err;
    return run->out;
  }

  void ExpectReplays(const schema::Uuid& operation, const std::string& digest, int steps = kSteps) {
    Open();
    absl::StatusOr<ReplayReport> report = ReplayOperation(*journal_, operation, {});
    ASSERT_THAT(report, IsOk());
    EXPECT_TRUE(report->holds()) << report->ToJson().Dump();
    EXPECT_EQ(report->steps, static_cast<uint64_t>(steps));
    EXPECT_EQ(schema::ToHex(*report->digest) + "\n", digest);
    EXPECT_GE(report->checkpoints_compared, 2u);
    journal_.reset();
  }
};

TEST_F(RecorderCrashTest, ResumesAfterAnyStepAndRunsNoneTwice) {
  const std::string digest = Uninterrupted();
  NIMBUS_ASSERT_OK_AND_ASSIGN(test::Finished run,
                              test::RunProgram(Agent(operation_, "once", {"after", "1"})));
  EXPECT_EQ(run.signal, SIGKILL);
  for (const int step : {2, 17, 18, 41, kSteps}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(
        run, test::RunProgram(Agent(operation_, "once", {"after", std::to_string(step)})));
    EXPECT_EQ(run.signal, SIGKILL) << run.err;
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(run, test::RunProgram(Agent(operation_, "once")));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, digest);
  EXPECT_EQ(Ran(operation_), AllSteps());
  ExpectReplays(operation_, digest);
}

TEST_F(RecorderCrashTest, ReportsTheStepItDiedInUntilItIsDeclaredIdempotent) {
  const std::string digest = Uninterrupted();
  NIMBUS_ASSERT_OK_AND_ASSIGN(test::Finished run,
                              test::RunProgram(Agent(operation_, "once", {"in", "23"})));
  EXPECT_EQ(run.signal, SIGKILL);
  for (int attempt = 0; attempt < 2; ++attempt) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(run, test::RunProgram(Agent(operation_, "once")));
    EXPECT_EQ(run.exit_code, 3);
    EXPECT_THAT(run.err, HasSubstr("step 23"));
    EXPECT_EQ(Ran(operation_).size(), 23u);
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(run, test::RunProgram(Agent(operation_, "idempotent")));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, digest);
  EXPECT_EQ(std::ranges::count(Ran(operation_), 23), 2);
  EXPECT_EQ(Ran(operation_).size(), static_cast<size_t>(kSteps) + 1);
  ExpectReplays(operation_, digest);
}

TEST_F(RecorderCrashTest, ResumesAfterKillsAtRandomMoments) {
  constexpr unsigned kSeed = 41;
  std::mt19937 random(kSeed);
  const std::string digest = Uninterrupted();
  int kills = 0;
  test::Finished run;
  for (run.exit_code = -1; run.exit_code != 0;) {
    ASSERT_LT(kills, 1000) << "seed " << kSeed;
    NIMBUS_ASSERT_OK_AND_ASSIGN(std::unique_ptr<test::Program> agent,
                                test::Program::Start(Agent(operation_, "idempotent")));
    // The moment matters, not how long it takes to come; later ones let it end.
    const unsigned window_us = 20'000 + 5'000 * static_cast<unsigned>(kills);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % window_us));
    agent->Signal(SIGKILL);
    NIMBUS_ASSERT_OK_AND_ASSIGN(run, agent->Wait());
    if (run.signal == SIGKILL) ++kills;
    ASSERT_TRUE(run.signal == SIGKILL || run.exit_code == 0) << run.err << " seed " << kSeed;
  }
  EXPECT_EQ(run.out, digest);
  EXPECT_GE(kills, 1);
  // A step that was killed in its middle ran twice, right after itself; none is missing.
  std::vector<int> ran = Ran(operation_);
  EXPECT_TRUE(std::ranges::is_sorted(ran)) << "seed " << kSeed;
  ran.erase(std::unique(ran.begin(), ran.end()), ran.end());
  EXPECT_EQ(ran, AllSteps());
  ExpectReplays(operation_, digest);
}

// Something of each kind (crashing_agent's `everything`), and whatever is in it.
constexpr int kStepsOfEverything = 7;
// An append has so many events at most: values, an intent or a result, a checkpoint.
constexpr int kEventsOfAnAppendMax = 4;
// Three steps are open at once.
constexpr size_t kOpenMax = 3;

class EveryEventTest : public RecorderCrashTest {
 protected:
  absl::StatusOr<test::Finished> Record(const schema::Uuid& operation, int die_at) {
    return test::RunProgram(Agent(operation, "everything", {"at", std::to_string(die_at)}));
  }

  // Of the operation's stream.
  uint64_t EventsOf(const schema::Uuid& operation) {
    Open();
    const auto entity = journal_->FindEntity(schema::fb::EntityKind::operation, operation);
    EXPECT_THAT(entity, IsOk());
    journal_.reset();
    return entity.ok() && entity->has_value() ? (*entity)->version : 0;
  }

  // Whole, each step once, and what the same agent does again.
  void ExpectRecorded(const schema::Uuid& operation, const std::string& digest) {
    ExpectReplays(operation, digest, kStepsOfEverything);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished again,
                                test::RunProgram(Agent(operation, "reexecute")));
    EXPECT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(again.out, digest);
    Open();
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto entity,
                                journal_->FindEntity(schema::fb::EntityKind::operation, operation));
    ASSERT_TRUE(entity.has_value());
    EXPECT_EQ(entity->steps, static_cast<uint32_t>(kStepsOfEverything));
    EXPECT_EQ(static_cast<journal::Lifecycle>(entity->state), journal::Lifecycle::kCompleted);
    journal::Reader reader(*journal_);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* end, reader.Read(entity->head_sequence));
    ASSERT_NE(end->record->event_as_OperationCompleted(), nullptr);
    EXPECT_EQ(end->record->event_as_OperationCompleted()->outcome()->tokens_used(), 28u);
    journal_.reset();
  }
};

TEST_F(EveryEventTest, KilledAtAnyOneOfThemItGoesOnAsIfItHadNotBeen) {
  std::string digest;
  const schema::Uuid whole = schema::NewUuid();
  NIMBUS_ASSERT_OK_AND_ASSIGN(test::Finished run, Record(whole, 0));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  digest = run.out;
  const uint64_t events = EventsOf(whole);
  int die_at = 1;
  for (;; ++die_at) {
    const schema::Uuid operation = schema::NewUuid();
    NIMBUS_ASSERT_OK_AND_ASSIGN(run, Record(operation, die_at));
    const bool killed = run.signal == SIGKILL;
    if (killed) {
      // It died while this event was written: what is left ends where the append before
      // did, and at the first event of each append that is right before it.
      const auto left = static_cast<int>(EventsOf(operation));
      EXPECT_LT(left, die_at);
      EXPECT_GE(left, die_at - kEventsOfAnAppendMax);
      NIMBUS_ASSERT_OK_AND_ASSIGN(run, Record(operation, 0));
    }
    EXPECT_EQ(run.exit_code, 0) << "killed at event " << die_at << ": " << run.err;
    EXPECT_EQ(run.out, digest);
    EXPECT_LE(Ran(operation).size(), kStepsOfEverything + kOpenMax);
    ExpectRecorded(operation, digest);
    ASSERT_FALSE(HasFailure()) << "killed at event " << die_at;
    if (!killed) break;
  }
  EXPECT_GT(die_at, static_cast<int>(events)) << "some event was not died at";
}

TEST_F(EveryEventTest, KilledAgainAndAgainItComesToTheSameEnd) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(test::Finished run, Record(schema::NewUuid(), 0));
  const std::string digest = run.out;
  int kills = 0;
  // Each run appends once or twice.
  for (run.exit_code = -1; run.exit_code != 0; ++kills) {
    ASSERT_LT(kills, 100);
    NIMBUS_ASSERT_OK_AND_ASSIGN(run, Record(operation_, kEventsOfAnAppendMax + 1));
    ASSERT_TRUE(run.signal == SIGKILL || run.exit_code == 0) << run.err;
  }
  EXPECT_GT(kills, 8);
  EXPECT_EQ(run.out, digest);
  ExpectRecorded(operation_, digest);
}

}  // namespace
}  // namespace nimbus::replay
