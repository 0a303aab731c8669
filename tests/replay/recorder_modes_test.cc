// Parallel steps, attempts, values, forks, redaction, and executing again.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "nimbus/journal/prune.h"
#include "nimbus/schema/status.h"
#include "replay/recorder_fixture.h"

namespace nimbus::replay {
namespace {

using ::testing::ElementsAre;
using What = StepDivergence::What;

class RecorderModesTest : public RecorderTest {
 protected:
  static RecorderOptions Again() {
    RecorderOptions options;
    options.mode = RecorderOptions::Mode::kReexecute;
    return options;
  }

  // What a step did: adds its name to the state.
  static StepResult Did(const std::string& name) {
    StepResult result;
    result.output = Json::String(name).Dump();
    result.patch = Json::MakeArray({Json::MakeObject({{"op", Json::String("add")},
                                                      {"path", Json::String("/done/-")},
                                                      {"value", Json::String(name)}})});
    return result;
  }

  // Steps with patches, one by one.
  void Patch(Recorder& recorder, int from, int to) {
    for (int number = from; number <= to; ++number) {
      NIMBUS_ASSERT_OK(recorder.Step(Call(number), [&]() -> absl::StatusOr<StepResult> {
        ++runs_;
        return Did(fmt::format("step {}", number));
      }));
    }
  }

  static std::string Done(const Recorder& recorder) {
    return recorder.state().Find("done")->Dump();
  }

  uint64_t Size() const { return *journal_->Size(); }

  std::vector<std::string> Events() {
    std::vector<std::string> names;
    const auto entity = journal_->FindEntity(schema::fb::EntityKind::operation, operation_);
    journal::Reader reader(*journal_);
    const auto sequences = reader.StreamSequences((*entity)->head_sequence);
    for (const uint64_t sequence : *sequences) {
      names.emplace_back(schema::fb::EnumNameEvent((*reader.Read(sequence))->record->event_type()));
    }
    return names;
  }
};

// Parallel steps.

TEST_F(RecorderModesTest, ParallelStepsEndInAnyOrder) {
  {
    Recorder recorder = Opened();
    for (uint32_t number = 1; number <= 3; ++number) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const BegunStep begun,
                                  recorder.BeginStep(Call(static_cast<int>(number))));
      EXPECT_EQ(begun.number, number);
      EXPECT_FALSE(begun.recorded.has_value());
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep second, recorder.EndStep(2, Did("two")));
    EXPECT_EQ(second.number, 2u);
    EXPECT_EQ(Done(recorder), R"(["two"])");
    NIMBUS_ASSERT_OK(recorder.EndStep(1, Did("one")));
    EXPECT_THAT(recorder.EndStep(2, Did("two")).status(), StatusIs(Code::kNotFound));
    EXPECT_THAT(recorder.EndStep(4, Did("four")).status(), StatusIs(Code::kNotFound));
    EXPECT_THAT(recorder.Complete(), StatusIs(Code::kFailedPrecondition, HasSubstr("step 3")));
  }
  Recorder recorder = Opened();
  ASSERT_EQ(recorder.in_doubt().size(), 1u);
  EXPECT_EQ(recorder.in_doubt()[0].number, 3u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const BegunStep first, recorder.BeginStep(Call(1)));
  ASSERT_TRUE(first.recorded.has_value());
  EXPECT_EQ(first.recorded->output, R"("one")");
  EXPECT_EQ(Done(recorder), "[]");  // as it was when the second was begun
  NIMBUS_ASSERT_OK(recorder.BeginStep(Call(2)));
  EXPECT_THAT(recorder.BeginStep(Call(3)).status(), StatusIs(Code::kFailedPrecondition));
  NIMBUS_ASSERT_OK(recorder.RunAgain(3));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const BegunStep third, recorder.BeginStep(Call(3)));
  EXPECT_FALSE(third.recorded.has_value());
  EXPECT_EQ(Done(recorder), R"(["two","one"])");
  NIMBUS_ASSERT_OK(recorder.EndStep(3, Did("three")));
  NIMBUS_ASSERT_OK(recorder.Complete());
  EXPECT_TRUE(Replayed().holds());
}

TEST_F(RecorderModesTest, AResultThatComesBeforeAllIsServedAppliesToTheEndOfTheJournal) {
  {
    Recorder recorder = Opened();
    for (int number = 1; number <= 3; ++number) NIMBUS_ASSERT_OK(recorder.BeginStep(Call(number)));
    NIMBUS_ASSERT_OK(recorder.EndStep(3, Did("three")));
    NIMBUS_ASSERT_OK(recorder.EndStep(2, Did("two")));
    Patch(recorder, 4, 4);
  }
  Recorder recorder = Opened();
  StepCall again = Call(1);
  again.idempotent = true;
  NIMBUS_ASSERT_OK(recorder.BeginStep(again));
  NIMBUS_ASSERT_OK(recorder.EndStep(1, Did("one")));  // before 2 to 4 are asked for
  EXPECT_EQ(Done(recorder), "[]");
  NIMBUS_ASSERT_OK(recorder.BeginStep(Call(2)));
  NIMBUS_ASSERT_OK(recorder.BeginStep(Call(3)));
  EXPECT_EQ(Done(recorder), R"(["three","two"])");
  Patch(recorder, 4, 4);
  EXPECT_EQ(Done(recorder), R"(["three","two","step 4","one"])");
  Patch(recorder, 5, 5);
  NIMBUS_ASSERT_OK(recorder.Complete());
  EXPECT_TRUE(Replayed().holds());
  EXPECT_EQ(runs_, 2);
}

TEST_F(RecorderModesTest, StepsRunOnThreads) {
  std::atomic<int> ran = 0;
  const auto steps = [&] {
    std::vector<Recorder::ParallelStep> all;
    for (int number = 1; number <= 20; ++number) {
      all.push_back({Call(number), [&ran, number]() -> absl::StatusOr<StepResult> {
                       ++ran;
                       if (number == 7) return absl::UnavailableError("no route to host");
                       return Did(fmt::format("{}", number));
                     }});
    }
    return all;
  };
  std::string state;
  for (int run = 0; run < 2; ++run) {
    Recorder recorder = Opened();
    NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<RecordedStep> ended,
                                recorder.Parallel(steps(), 4));
    ASSERT_EQ(ended.size(), 20u);
    for (uint32_t i = 0; i < 20; ++i) EXPECT_EQ(ended[i].number, i + 1);
    EXPECT_EQ(ended[6].status, journal::Lifecycle::kFailed);
    EXPECT_EQ(ended[7].output, R"("8")");
    EXPECT_EQ(ended[7].recorded, run == 1);
    EXPECT_EQ(recorder.state().Find("done")->array().size(), 19u);
    if (run == 1) {
      EXPECT_EQ(Done(recorder), state);
      NIMBUS_EXPECT_OK(recorder.Complete());
    }
    state = Done(recorder);
  }
  EXPECT_EQ(ran, 20);
  EXPECT_TRUE(Replayed().holds());
}

TEST_F(RecorderModesTest, AResultHasAStateOrAPatch) {
  Recorder recorder = Opened();
  NIMBUS_ASSERT_OK(recorder.BeginStep(Call(1)));
  StepResult both = Did("one");
  both.state = Json::MakeObject();
  EXPECT_THAT(recorder.EndStep(1, both).status(), StatusIs(Code::kInvalidArgument));
  StepResult nowhere = Did("one");
  nowhere.patch = *Json::Parse(R"([{"op":"remove","path":"/nowhere"}])");
  EXPECT_THAT(recorder.EndStep(1, nowhere).status(), StatusIs(Code::kNotFound));
  nowhere.patch = Json::MakeObject();
  EXPECT_THAT(recorder.EndStep(1, nowhere).status(), StatusIs(Code::kInvalidArgument));
  NIMBUS_EXPECT_OK(recorder.EndStep(1, Did("one")));
  EXPECT_EQ(Done(recorder), R"(["one"])");
}

// In doubt.

TEST_F(RecorderModesTest, StepsInDoubtAreKnownAtOnceAndSettledBeforeTheirCalls) {
  {
    Recorder recorder = Opened();
    Patch(recorder, 1, 1);
    for (int number = 2; number <= 4; ++number) NIMBUS_ASSERT_OK(recorder.BeginStep(Call(number)));
    NIMBUS_ASSERT_OK(recorder.EndStep(3, Did("three")));
  }
  Recorder recorder = Opened();
  ASSERT_EQ(recorder.in_doubt().size(), 2u);
  EXPECT_EQ(recorder.in_doubt()[0].number, 2u);
  EXPECT_EQ(recorder.in_doubt()[1].number, 4u);
  EXPECT_THAT(recorder.SettleInDoubt(3, Did("x")).status(), StatusIs(Code::kNotFound));
  EXPECT_THAT(recorder.RunAgain(9), StatusIs(Code::kNotFound));
  NIMBUS_ASSERT_OK(recorder.SettleInDoubt(4, Did("four")));
  Patch(recorder, 1, 1);
  EXPECT_THAT(Take(recorder, 2).status(), StatusIs(Code::kFailedPrecondition));
  NIMBUS_ASSERT_OK(recorder.SettleInDoubt(2, Did("two")));
  Patch(recorder, 2, 5);
  EXPECT_EQ(Done(recorder), R"(["step 1","three","four","two","step 5"])");
  EXPECT_EQ(runs_, 2);  // the first and the last
  NIMBUS_ASSERT_OK(recorder.Complete());
  EXPECT_TRUE(Replayed().holds());
}

// Attempts.

TEST_F(RecorderModesTest, AttemptsThatFailAreRecordedAndFollowed) {
  std::vector<int64_t> waits;
  RecorderOptions options;
  options.sleep = [&](int64_t ms) { waits.push_back(ms); };
  StepCall call = Call(1);
  call.retry.max_attempts = 4;
  for (int run = 0; run < 2; ++run) {
    Recorder recorder = Opened(options);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep step,
                                recorder.Step(call, [&]() -> absl::StatusOr<StepResult> {
                                  StepResult result = Did("one");
                                  result.outcome.tokens_used = 10;
                                  result.outcome.cost_microdollars = 7;
                                  if (++runs_ < 3) result.error = fmt::format("failure {}", runs_);
                                  return result;
                                }));
    EXPECT_EQ(step.attempts, 3u);
    EXPECT_EQ(step.status, journal::Lifecycle::kCompleted);
    EXPECT_EQ(Done(recorder), R"(["one"])");
    if (run == 1) {
      NIMBUS_ASSERT_OK(recorder.Complete());
    }
  }
  EXPECT_EQ(runs_, 3);
  EXPECT_THAT(waits, ElementsAre(100, 200));
  EXPECT_THAT(Events(),
              ElementsAre("OperationCreated", "OperationStarted", "StepAdded", "StepStarted",
                          "StepAttemptFailed", "StepStarted", "StepAttemptFailed", "StepStarted",
                          "StepCompleted", "OperationCompleted"));
  journal::Reader reader(*journal_);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* end, reader.Read(Size() - 1));
  const auto* outcome = end->record->event_as_OperationCompleted()->outcome();
  EXPECT_EQ(outcome->tokens_used(), 30u);
  EXPECT_EQ(outcome->cost_microdollars(), 21);
  EXPECT_FALSE(outcome->input_tokens().has_value());
  EXPECT_TRUE(Replayed().holds());
}

TEST_F(RecorderModesTest, TheLastAttemptsFailureIsTheSteps) {
  Recorder recorder = Opened();
  StepCall call = Call(1);
  call.retry.max_attempts = 2;
  std::vector<uint32_t> failed;
  call.retry.backoff_ms = [&](uint32_t attempts) { return failed.push_back(attempts), 0; };
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep step,
                              recorder.Step(call, [&]() -> absl::StatusOr<StepResult> {
                                return absl::UnavailableError(fmt::format("{}", ++runs_));
                              }));
  EXPECT_EQ(step.status, journal::Lifecycle::kFailed);
  EXPECT_THAT(step.error, HasSubstr("2"));
  EXPECT_EQ(step.attempts, 2u);
  EXPECT_THAT(failed, ElementsAre(1));
}

TEST_F(RecorderModesTest, BetweenTwoAttemptsAStepIsNotInDoubt) {
  {
    Recorder recorder = Opened();
    NIMBUS_ASSERT_OK(recorder.BeginStep(Call(1)));
    EXPECT_THAT(recorder.BeginAttempt(1).status(), StatusIs(Code::kFailedPrecondition));
    EXPECT_THAT(recorder.AttemptFailed(1, {}), StatusIs(Code::kInvalidArgument));
    EXPECT_THAT(recorder.AttemptFailed(2, {.error = "no"}), StatusIs(Code::kNotFound));
    NIMBUS_ASSERT_OK(recorder.AttemptFailed(1, {.error = "no"}));
    EXPECT_THAT(recorder.AttemptFailed(1, {.error = "no"}), StatusIs(Code::kFailedPrecondition));
  }
  Recorder recorder = Opened();
  EXPECT_TRUE(recorder.in_doubt().empty());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const BegunStep begun, recorder.BeginStep(Call(1)));
  EXPECT_EQ(begun.attempt, 2u);
  NIMBUS_ASSERT_OK(recorder.AttemptFailed(1, {.error = "no"}));
  EXPECT_THAT(recorder.BeginAttempt(1), IsOkAndHolds(3u));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep ended, recorder.EndStep(1, Did("one")));
  EXPECT_EQ(ended.attempts, 3u);
}

TEST_F(RecorderModesTest, CancellingEndsTheWaitForAnAttempt) {
  Recorder recorder = Opened();
  StepCall call = Call(1);
  call.retry.max_attempts = 2;
  std::atomic<bool> waiting = false;
  call.retry.backoff_ms = [&](uint32_t) {
    waiting = true;
    waiting.notify_all();
    return int64_t{3'600'000};
  };
  std::jthread canceller([&] {
    waiting.wait(false);
    NIMBUS_EXPECT_OK(recorder.Cancel());
  });
  EXPECT_THAT(recorder
                  .Step(call,
                        []() -> absl::StatusOr<StepResult> {
                          return absl::UnavailableError("no route to host");
                        })
                  .status(),
              StatusIs(Code::kFailedPrecondition));
}

// Tokens and cost.

TEST_F(RecorderModesTest, TokensAndCostAreSummedOverAllRuns) {
  const auto spending = [](uint64_t tokens, int64_t cost) {
    StepResult result;
    result.outcome.tokens_used = tokens;
    result.outcome.output_tokens = tokens;
    result.outcome.cost_microdollars = cost;
    return result;
  };
  {
    Recorder recorder = Opened();
    NIMBUS_ASSERT_OK(recorder.BeginStep(Call(1)));
    NIMBUS_ASSERT_OK(recorder.EndStep(1, spending(UINT64_MAX - 5, 3)));
  }
  Recorder recorder = Opened();
  NIMBUS_ASSERT_OK(recorder.BeginStep(Call(1)));
  NIMBUS_ASSERT_OK(recorder.BeginStep(Call(2)));
  NIMBUS_ASSERT_OK(recorder.EndStep(2, spending(6, 4)));
  schema::fb::OutcomeT given;
  given.output_tokens = 1;
  NIMBUS_ASSERT_OK(recorder.Fail("enough", given));
  journal::Reader reader(*journal_);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* end, reader.Read(Size() - 1));
  const auto* outcome = end->record->event_as_OperationFailed()->outcome();
  EXPECT_EQ(outcome->tokens_used(), UINT64_MAX);
  EXPECT_EQ(outcome->output_tokens(), 1u);
  EXPECT_EQ(outcome->cost_microdollars(), 7);
}

// Values.

TEST_F(RecorderModesTest, ValuesAreRecordedWithWhatFollows) {
  int made = 0;
  const auto make = [&]() -> absl::StatusOr<Json> { return Json::Int(++made); };
  std::string random;
  schema::Uuid id;
  int64_t now = 0;
  {
    Recorder recorder = Opened();
    const uint64_t size = Size();
    EXPECT_THAT(recorder.Value("dice", make), IsOkAndHolds(Json::Int(1)));
    NIMBUS_ASSERT_OK_AND_ASSIGN(random, recorder.Random(16));
    NIMBUS_ASSERT_OK_AND_ASSIGN(id, recorder.NewId());
    NIMBUS_ASSERT_OK_AND_ASSIGN(now, recorder.Now());
    EXPECT_EQ(Size(), size);
    EXPECT_EQ(random.size(), 16u);
    Patch(recorder, 1, 1);
    EXPECT_EQ(Size(), size + 4 + 3);
    EXPECT_THAT(recorder.Value("dice", make), IsOkAndHolds(Json::Int(2)));  // lost
  }
  Recorder recorder = Opened();
  EXPECT_THAT(recorder.Value("dice", make), IsOkAndHolds(Json::Int(1)));
  EXPECT_THAT(recorder.Random(16), IsOkAndHolds(random));
  EXPECT_THAT(recorder.NewId(), IsOkAndHolds(id));
  EXPECT_THAT(recorder.Now(), IsOkAndHolds(now));
  Patch(recorder, 1, 1);
  EXPECT_EQ(runs_, 1);
  EXPECT_THAT(recorder.Value("dice", make), IsOkAndHolds(Json::Int(3)));
  NIMBUS_ASSERT_OK(recorder.Complete());
  Recorder again = Opened(Again());
  EXPECT_THAT(again.Value("dice", make), IsOkAndHolds(Json::Int(1)));
  EXPECT_THAT(again.Value("cards", make).status(),
              StatusIs(Code::kInvalidArgument, HasSubstr("cards")));
  EXPECT_EQ(again.divergence()->what, What::kValue);
  EXPECT_EQ(made, 3);
}

TEST_F(RecorderModesTest, ValuesThatCantBeRecordedAreRefused) {
  Recorder recorder = Opened();
  const auto null = []() -> absl::StatusOr<Json> { return Json(); };
  EXPECT_THAT(recorder.Value("", null).status(), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(recorder.Value(std::string(256, 'x'), null).status(),
              StatusIs(Code::kInvalidArgument));
  NIMBUS_EXPECT_OK(recorder.Value(std::string(255, 'x'), null));
  const auto fails = []() -> absl::StatusOr<Json> { return absl::UnavailableError("no dice"); };
  EXPECT_THAT(recorder.Value("dice", fails).status(), StatusIs(Code::kUnavailable));
  EXPECT_THAT(recorder.Random(Recorder::kRandomBytesMax + 1).status(),
              StatusIs(Code::kInvalidArgument));
  NIMBUS_EXPECT_OK(recorder.Random(Recorder::kRandomBytesMax));
  NIMBUS_EXPECT_OK(recorder.Random(0));
  NIMBUS_EXPECT_OK(recorder.Complete());
  EXPECT_THAT(recorder.Now().status(), StatusIs(Code::kFailedPrecondition));
}

TEST_F(RecorderModesTest, ManyValuesDoNotWaitForever) {
  Recorder recorder = Opened();
  const uint64_t size = Size();
  for (int i = 0; i < 300; ++i) NIMBUS_ASSERT_OK(recorder.NewId());
  EXPECT_EQ(Size(), size + 256);
}

TEST_F(RecorderModesTest, InsideARunNoValueIsRecorded) {
  const auto run_with_value = [&](Recorder& recorder) {
    return recorder.Step(Call(1), [&]() -> absl::StatusOr<StepResult> {
      NIMBUS_EXPECT_OK(recorder.NewId());
      return Did("one");
    });
  };
  {
    Recorder recorder = Opened();
    NIMBUS_ASSERT_OK(run_with_value(recorder));
    NIMBUS_ASSERT_OK(recorder.Complete());
  }
  Recorder again = Opened(Again());
  NIMBUS_ASSERT_OK(run_with_value(again));
  NIMBUS_ASSERT_OK(again.Complete());
  EXPECT_TRUE(again.report().holds());
  EXPECT_EQ(again.report().values, 0u);
}

// Executing again. The agent, and what is changed in it.

struct Change {
  int at = 0;  // the call, from 1
  enum { kNothing, kType, kTool, kInput, kLeaveOut, kTwice, kName } what = kNothing;
};

class ReexecutionTest : public RecorderModesTest {
 protected:
  // value · 1 · 2 · checkpoint · value · 3, a user's input · 4, a verification
  absl::Status Agent(Recorder& recorder, const Change& change = {}, bool complete = true) {
    for (int call = 1; call <= 7; ++call) {
      const bool here = change.at == call;
      if (here && change.what == Change::kLeaveOut) continue;
      const int times = here && change.what == Change::kTwice ? 2 : 1;
      for (int i = 0; i < times; ++i) {
        NIMBUS_RETURN_IF_ERROR(Make(recorder, call, here ? change : Change()));
      }
    }
    return complete ? recorder.Complete(R"({"ok":true})") : absl::OkStatus();
  }

  absl::Status Make(Recorder& recorder, int number, const Change& change) {
    const bool other_name = change.what == Change::kName;
    if (number == 1 || number == 5) {
      return recorder
          .Value(other_name ? "other" : "value",
                 [&]() -> absl::StatusOr<Json> { return Json::Int(++made_); })
          .status();
    }
    if (number == 4) return recorder.Checkpoint(other_name ? "other" : "half");
    StepCall call = Call(number);
    if (number == 6) call.type = schema::fb::StepType::user_input;
    if (number == 7) call.type = schema::fb::StepType::verification;
    if (change.what == Change::kType) call.type = schema::fb::StepType::llm_call;
    if (change.what == Change::kTool) call.tool_name = "python";
    if (change.what == Change::kInput) call.input = R"({"command":"rm -r /"})";
    return recorder
        .Step(call,
              [&]() -> absl::StatusOr<StepResult> {
                ++runs_;
                return Did(fmt::format("{}", number));
              })
        .status();
  }

  void RecordAgent() {
    Recorder recorder = Opened();
    NIMBUS_ASSERT_OK(Agent(recorder));
    size_ = Size();
    recorded_ = Done(recorder);
    ASSERT_EQ(runs_, 4);
  }

  int made_ = 0;
  uint64_t size_ = 0;
  std::string recorded_;
};

TEST_F(ReexecutionTest, TheSameAgentHoldsAndNothingRunsOrIsWritten) {
  RecordAgent();
  Recorder again = Opened(Again());
  NIMBUS_ASSERT_OK(Agent(again));
  const ReexecutionReport report = again.report();
  EXPECT_TRUE(report.holds()) << report.ToJson().Dump();
  EXPECT_EQ(report.steps, 4u);
  EXPECT_EQ(report.values, 2u);
  EXPECT_EQ(Done(again), recorded_);
  EXPECT_EQ(runs_, 4);
  EXPECT_EQ(made_, 2);
  EXPECT_EQ(Size(), size_);
  EXPECT_THAT(again.EndStep(1, {}).status(), StatusIs(Code::kFailedPrecondition));
}

TEST_F(ReexecutionTest, EachPlantedChangeIsFoundWhereItIs) {
  RecordAgent();
  const struct {
    Change change;
    What what;
    uint32_t step;
    std::string expected, actual;
  } cases[] = {
      {{2, Change::kType}, What::kStepType, 1, R"("tool_call")", R"("llm_call")"},
      {{6, Change::kType}, What::kStepType, 3, R"("user_input")", R"("llm_call")"},
      {{3, Change::kTool}, What::kTool, 2, R"("bash")", R"("python")"},
      {{7, Change::kInput}, What::kInput, 4, R"({"command":"echo 7"})", R"({"command":"rm -r /"})"},
      {{1, Change::kName}, What::kValue, 0, R"({"value":"value"})", R"({"value":"other"})"},
      {{5, Change::kName}, What::kValue, 2, R"({"value":"value"})", R"({"value":"other"})"},
      {{1, Change::kLeaveOut},
       What::kValue,
       0,
       R"({"value":"value"})",
       R"({"step":{"type":"tool_call","tool":"bash"}})"},
      {{5, Change::kTwice},
       What::kValue,
       3,
       R"({"step":{"type":"user_input","tool":"bash"}})",
       R"({"value":"value"})"},
      {{2, Change::kLeaveOut},
       What::kInput,
       1,
       R"({"command":"echo 2"})",
       R"({"command":"echo 3"})"},
      {{2, Change::kTwice}, What::kInput, 2, R"({"command":"echo 3"})", R"({"command":"echo 2"})"},
      {{4, Change::kName},
       What::kCheckpoint,
       2,
       R"({"checkpoint":"half"})",
       R"({"checkpoint":"other"})"},
      {{4, Change::kLeaveOut}, What::kValue, 2, R"({"checkpoint":"half"})", R"({"value":"value"})"},
      {{7, Change::kLeaveOut},
       What::kEnd,
       4,
       R"({"step":{"type":"verification","tool":"bash"}})",
       R"({"end":"completed"})"},
      {{7, Change::kTwice},
       What::kStep,
       4,
       R"({"end":"completed"})",
       R"({"step":{"type":"verification","tool":"bash"}})"},
  };
  for (const auto& planted : cases) {
    Recorder again = Opened(Again());
    SCOPED_TRACE(fmt::format("call {}, change {}", planted.change.at,
                             static_cast<int>(planted.change.what)));
    EXPECT_THAT(Agent(again, planted.change), StatusIs(Code::kInvalidArgument));
    const ReexecutionReport report = again.report();
    ASSERT_TRUE(report.divergence.has_value());
    EXPECT_EQ(NameOf(report.divergence->what), NameOf(planted.what));
    EXPECT_EQ(report.divergence->step, planted.step);
    EXPECT_EQ(report.divergence->operation, operation_);
    EXPECT_GT(report.divergence->sequence, 0u);
    EXPECT_EQ(report.divergence->expected.Dump(), planted.expected);
    EXPECT_EQ(report.divergence->actual.Dump(), planted.actual);
    EXPECT_EQ(report.divergence->difference.has_value(), planted.what == What::kInput);
    EXPECT_FALSE(report.holds());
  }
  EXPECT_EQ(runs_, 4);
  EXPECT_EQ(Size(), size_);
}

TEST_F(ReexecutionTest, TheOrderOfStepsMatters) {
  RecordAgent();
  Recorder again = Opened(Again());
  NIMBUS_ASSERT_OK(Make(again, 1, {}));
  EXPECT_THAT(Make(again, 3, {}), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(again.divergence()->step, 1u);
  EXPECT_EQ(again.divergence()->difference->Dump(),
            R"([{"op":"replace","path":"/command","value":"echo 3"}])");
}

TEST_F(ReexecutionTest, AnotherEndIsADivergence) {
  RecordAgent();
  Recorder failing = Opened(Again());
  NIMBUS_ASSERT_OK(Agent(failing, {}, false));
  EXPECT_THAT(failing.Fail("why not"), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(failing.divergence()->ToJson().Find("actual")->Dump(), R"({"end":"failed"})");
  Recorder saying = Opened(Again());
  NIMBUS_ASSERT_OK(Agent(saying, {}, false));
  EXPECT_THAT(saying.Complete(R"({"ok":false})"), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(saying.divergence()->difference->Dump(),
            R"([{"op":"replace","path":"/output/ok","value":false}])");
  Recorder cancelling = Opened(Again());
  EXPECT_THAT(cancelling.Cancel(), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(Size(), size_);
}

TEST_F(ReexecutionTest, BeginsAtACheckpoint) {
  RecordAgent();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Session session, Session::Open(*journal_, operation_));
  RecorderOptions options = Again();
  options.from_checkpoint = session.checkpoints()[0].id;
  Recorder again = Opened(options);
  EXPECT_EQ(again.steps(), 2u);
  EXPECT_EQ(Done(again), R"(["2","3"])");
  for (int call = 5; call <= 7; ++call) NIMBUS_ASSERT_OK(Make(again, call, {}));
  NIMBUS_ASSERT_OK(again.Complete(R"({"ok":true})"));
  const ReexecutionReport report = again.report();
  EXPECT_TRUE(report.holds());
  EXPECT_EQ(report.from_step, 2u);
  EXPECT_EQ(report.steps, 2u);
  options.from_checkpoint = schema::NewUuid();
  EXPECT_THAT(Recorder::Open(journal_.get(), Recording(), options).status(),
              StatusIs(Code::kNotFound));
  options.mode = RecorderOptions::Mode::kRecord;
  EXPECT_THAT(Recorder::Open(journal_.get(), Recording(), options).status(),
              StatusIs(Code::kInvalidArgument));
}

TEST_F(ReexecutionTest, ARecordingThatGoesNoFurtherIsNoDivergence) {
  {
    Recorder recorder = Opened();
    NIMBUS_ASSERT_OK(Agent(recorder, {7, Change::kLeaveOut}, false));
  }
  Recorder again = Opened(Again());
  EXPECT_THAT(Agent(again), StatusIs(Code::kOutOfRange, HasSubstr("step 3")));
  EXPECT_FALSE(again.report().divergence.has_value());
  EXPECT_THAT(again.report().incomplete, HasSubstr("step 3"));
  EXPECT_FALSE(again.report().holds());
  Append(journal::StepAdded(operation_, schema::NewUuid(), Call(7).input));
  Recorder in_doubt = Opened(Again());
  StepCall last = Call(7);
  NIMBUS_ASSERT_OK(Agent(in_doubt, {7, Change::kLeaveOut}, false));
  EXPECT_THAT(in_doubt.BeginStep(last).status(), StatusIs(Code::kOutOfRange, HasSubstr("step 4")));
  EXPECT_TRUE(in_doubt.in_doubt().empty());
}

TEST_F(ReexecutionTest, WhatIsNotThereAnyMoreIsNoDivergence) {
  RecordAgent();
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const journal::PruneReport pruned,
      journal::PruneJournal(journal_.get(), {.before_sequence = UINT64_MAX, .apply = true}));
  {
    Recorder again = Opened(Again());
    NIMBUS_EXPECT_OK(Agent(again));
  }
  Open();
  std::filesystem::remove(pruned.archive);
  std::optional<StepDivergence> divergence;
  EXPECT_THAT(Recorder::Open(journal_.get(), Recording(), Again(), &divergence).status(),
              StatusIs(Code::kOutOfRange, HasSubstr("archive")));
  EXPECT_FALSE(divergence.has_value());
}

TEST_F(ReexecutionTest, NeedsARecordingOfTheSameOperation) {
  EXPECT_THAT(Recorder::Open(journal_.get(), Recording(), Again()).status(),
              StatusIs(Code::kNotFound));
  RecordAgent();
  NewRecording other = Recording();
  other.input = R"({"app":"db","replicas":2})";
  std::optional<StepDivergence> divergence;
  EXPECT_THAT(Recorder::Open(journal_.get(), other, Again(), &divergence).status(),
              StatusIs(Code::kInvalidArgument));
  ASSERT_TRUE(divergence.has_value());
  EXPECT_EQ(divergence->what, What::kOperationInput);
  EXPECT_EQ(divergence->ToJson().Dump(),
            fmt::format(R"({{"what":"operation_input","operation":"{}","step":0,"sequence":{},)"
                        R"("expected":{{"app":"web","replicas":2}},)"
                        R"("actual":{{"app":"db","replicas":2}},)"
                        R"("difference":[{{"op":"replace","path":"/app","value":"db"}}]}})",
                        operation_.ToString(), divergence->sequence));
}

TEST_F(ReexecutionTest, ParallelStepsAreServedAlike) {
  {
    Recorder recorder = Opened();
    for (int number = 1; number <= 3; ++number) NIMBUS_ASSERT_OK(recorder.BeginStep(Call(number)));
    for (const uint32_t number : {2u, 3u, 1u}) {
      NIMBUS_ASSERT_OK(recorder.EndStep(number, Did(fmt::format("{}", number))));
    }
    NIMBUS_ASSERT_OK(recorder.Complete());
  }
  Recorder again = Opened(Again());
  const Recorder::Run never = []() -> absl::StatusOr<StepResult> {
    ADD_FAILURE() << "run";
    return StepResult();
  };
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<RecordedStep> steps,
                              again.Parallel(std::vector<Recorder::ParallelStep>{
                                  {Call(1), never}, {Call(2), never}, {Call(3), never}}));
  EXPECT_EQ(steps[2].output, R"("3")");
  EXPECT_EQ(Done(again), R"(["2","3","1"])");
  NIMBUS_ASSERT_OK(again.Complete());
  EXPECT_TRUE(again.report().holds());
}

// Redaction.

TEST_F(RecorderModesTest, WhatIsRedactedIsNeitherJournaledNorReturned) {
  const auto redact = [](std::string* text) {
    const std::string secret = "hunter\"2";
    for (size_t at = text->find(secret); at != std::string::npos; at = text->find(secret)) {
      text->replace(at, secret.size(), "[secret]");
    }
  };
  StepCall call = Call(1);
  call.input = R"({"password":"hunter\"2","n":1.50,"hunter\u00222":[]})";
  for (const bool again : {false, true}) {
    RecorderOptions options = again ? Again() : RecorderOptions();
    options.redact = redact;
    NewRecording recording = Recording();
    recording.input = R"(["hunter\"2"])";
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder,
                                Recorder::Open(journal_.get(), recording, options));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Json value, recorder.Value("v", []() -> absl::StatusOr<Json> {
      return Json::String("hunter\"2");
    }));
    EXPECT_EQ(value.string(), "[secret]");
    NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep step, recorder.Step(call, [&] {
      StepResult result = Did("hunter\"2");
      result.error = "it is hunter\"2";
      return absl::StatusOr<StepResult>(std::move(result));
    }));
    EXPECT_EQ(step.output, R"("[secret]")");
    EXPECT_EQ(step.error, "it is [secret]");
    NIMBUS_ASSERT_OK(recorder.Step(Call(2), [&]() -> absl::StatusOr<StepResult> {
      StepResult result;
      result.state = Json::MakeObject(
          {{"done", Json::MakeArray({Json::String("hunter\"2"), Json::String("x")})}});
      return result;
    }));
    EXPECT_EQ(Done(recorder), R"(["[secret]","x"])");
    NIMBUS_ASSERT_OK(recorder.Checkpoint("at hunter\"2"));
    NIMBUS_ASSERT_OK(recorder.Complete(R"({"said":"hunter\"2"})"));
    EXPECT_EQ(recorder.report().holds(), again);
  }
  journal::Reader reader(*journal_);
  for (uint64_t sequence = 0; sequence < Size(); ++sequence) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Read(sequence));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const schema::fb::Body* body, reader.Body(*view));
    if (body == nullptr) continue;
    for (const auto* text : {body->input(), body->output(), body->error(), body->patch(),
                             body->state(), body->name()}) {
      EXPECT_TRUE(text == nullptr || text->str().find("hunter") == std::string::npos);
    }
  }
  EXPECT_TRUE(Replayed().holds());
}

// Forks.

class ForkTest : public ReexecutionTest {
 protected:
  // A fork of `parent`, as the command that makes one leaves it.
  schema::Uuid Fork(const schema::Uuid& parent, std::optional<schema::Uuid> checkpoint,
                    uint32_t step = 0, bool started = true) {
    const schema::Uuid id = schema::NewUuid();
    auto created = journal::OperationCreated(id, session_, Recording().input);
    created.payload.AsOperationCreated()->type = Recording().type;
    Append(std::move(created));
    schema::fb::OperationForkedT forked;
    forked.parent = std::make_unique<schema::fb::Id>(parent.ToFb());
    if (checkpoint.has_value()) {
      forked.checkpoint = std::make_unique<schema::fb::Id>(checkpoint->ToFb());
    }
    forked.step_number = step;
    Append(schema::MakeEvent(schema::fb::EntityKind::operation, id, std::move(forked)));
    if (started) Append(journal::OperationEvent<schema::fb::OperationStartedT>(id));
    return id;
  }

  absl::StatusOr<Recorder> OpenFork(const schema::Uuid& id, const RecorderOptions& options = {}) {
    NewRecording recording = Recording();
    recording.id = id;
    return Recorder::Open(journal_.get(), recording, options);
  }

  uint32_t OwnSteps(const schema::Uuid& id) {
    return (*journal_->FindEntity(schema::fb::EntityKind::operation, id))->steps;
  }
};

TEST_F(ForkTest, ServesItsParentAndGoesOnLive) {
  RecordAgent();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Session session, Session::Open(*journal_, operation_));
  const schema::Uuid checkpoint = session.checkpoints()[0].id;
  for (const bool by_checkpoint : {true, false}) {
    runs_ = 0;
    const schema::Uuid fork =
        by_checkpoint ? Fork(operation_, checkpoint) : Fork(operation_, std::nullopt, 2, false);
    for (int run = 0; run < 2; ++run) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(fork));
      // Where the recording ends the agent may do something else.
      NIMBUS_ASSERT_OK(Agent(recorder, {7, Change::kTool}));
      EXPECT_EQ(recorder.steps(), 4u);
      EXPECT_EQ(Done(recorder), recorded_);
      EXPECT_EQ(runs_, 2);
      EXPECT_EQ(OwnSteps(fork), 2u);
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder again, OpenFork(fork, Again()));
    NIMBUS_ASSERT_OK(Agent(again, {7, Change::kTool}));
    EXPECT_TRUE(again.report().holds());
    EXPECT_EQ(again.report().steps, 4u);
  }
}

TEST_F(ForkTest, OfAForkOfAFork) {
  RecordAgent();
  const schema::Uuid first = Fork(operation_, std::nullopt, 1);
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(first));
    NIMBUS_ASSERT_OK(Agent(recorder, {3, Change::kTool}));
  }
  // After its own second step, the third in all.
  const schema::Uuid second = Fork(first, std::nullopt, 2);
  runs_ = 0;
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(second));
    NIMBUS_ASSERT_OK(Agent(recorder, {3, Change::kTool}));
    EXPECT_EQ(Done(recorder), recorded_);
  }
  EXPECT_EQ(runs_, 1);
  EXPECT_EQ(OwnSteps(second), 1u);
  // At the very beginning of a fork is where that was forked.
  const schema::Uuid third = Fork(first, std::nullopt, 0);
  runs_ = 0;
  NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(third));
  NIMBUS_ASSERT_OK(Agent(recorder));
  EXPECT_EQ(runs_, 3);
}

TEST_F(ForkTest, ADivergenceInItsBeginningIsToldOfTheParent) {
  RecordAgent();
  const schema::Uuid fork = Fork(operation_, std::nullopt, 3);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(fork));
  EXPECT_THAT(Agent(recorder, {3, Change::kInput}), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(recorder.divergence()->operation, operation_);
  EXPECT_EQ(recorder.divergence()->step, 2u);
  EXPECT_EQ(OwnSteps(fork), 0u);
}

TEST_F(ForkTest, WhereStepsAreOpenNobodyGoesOn) {
  {
    Recorder recorder = Opened();
    NIMBUS_ASSERT_OK(recorder.BeginStep(Call(1)));
    NIMBUS_ASSERT_OK(recorder.BeginStep(Call(2)));
    NIMBUS_ASSERT_OK(recorder.EndStep(2, Did("two")));
  }
  EXPECT_THAT(OpenFork(Fork(operation_, std::nullopt, 2)).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("step 1")));
  EXPECT_THAT(OpenFork(Fork(operation_, std::nullopt, 1)).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("step 1")));
}

TEST_F(ForkTest, CirclesOfForksEnd) {
  const schema::Uuid one = schema::NewUuid(), two = schema::NewUuid();
  const auto forked = [&](const schema::Uuid& id, const schema::Uuid& parent) {
    schema::fb::OperationForkedT event;
    event.parent = std::make_unique<schema::fb::Id>(parent.ToFb());
    Append(schema::MakeEvent(schema::fb::EntityKind::operation, id, std::move(event)));
  };
  for (const schema::Uuid& id : {one, two}) {
    auto created = journal::OperationCreated(id, session_, Recording().input);
    created.payload.AsOperationCreated()->type = Recording().type;
    Append(std::move(created));
  }
  forked(one, two);
  forked(two, one);
  EXPECT_THAT(OpenFork(one).status(), StatusIs(Code::kFailedPrecondition, HasSubstr("fork of")));
}

// Long recordings: more records than are remembered one by one.
TEST_F(RecorderModesTest, ResumesALongRecording) {
  constexpr int kSteps = 5000;
  {
    Recorder recorder = Opened();
    std::vector<schema::Event> events;
    for (int number = 1; number <= kSteps; ++number) {
      const schema::Uuid step = schema::NewUuid();
      events.push_back(journal::StepAdded(operation_, step, Call(number).input));
      events.push_back(journal::StepEvent<schema::fb::StepStartedT>(operation_, step));
      events.push_back(journal::StepEvent<schema::fb::StepCompletedT>(operation_, step,
                                                                      fmt::format("{}", number)));
      if (number % 1000 != 0) continue;  // in batches, as an importer appends
      ASSERT_THAT(journal_->Append(events), IsOk());
      events.clear();
    }
  }
  Recorder recorder = Opened();
  for (int number = 1; number <= kSteps; ++number) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const BegunStep begun, recorder.BeginStep(Call(number)));
    ASSERT_TRUE(begun.recorded.has_value());
    ASSERT_EQ(begun.recorded->output, fmt::format("{}", number));
  }
  RecordSteps(recorder, kSteps + 1, kSteps + 1);
}

}  // namespace
}  // namespace nimbus::replay
