// Parallel steps, attempts, values and redaction.
#include <algorithm>
#include <atomic>
#include <thread>

#include "replay/recorder_fixture.h"

namespace nimbus::replay {
namespace {

using ::testing::ElementsAre;

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

// An end may come before all that is recorded has been served, and after a result that
// was journaled meanwhile.
TEST_F(RecorderModesTest, WhatWasNotServedIsSummedToo) {
  const auto spending = [](uint64_t tokens) {
    StepResult result;
    result.outcome.tokens_used = tokens;
    return result;
  };
  for (const int served : {0, 1, 3, 4}) {
    NewRecording recording = Recording();
    recording.id = schema::NewUuid();
    {
      NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, Recorder::Open(journal_.get(), recording));
      for (const uint32_t number : {1u, 2u, 3u, 4u}) {
        NIMBUS_ASSERT_OK(recorder.BeginStep(Call(static_cast<int>(number))));
        if (number == 4) break;
        NIMBUS_ASSERT_OK(recorder.AttemptFailed(
            number, {.error = "not yet", .outcome = spending(100 * number).outcome}));
        NIMBUS_ASSERT_OK(recorder.BeginAttempt(number));
        NIMBUS_ASSERT_OK(recorder.EndStep(number, spending(number)));
      }
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, Recorder::Open(journal_.get(), recording));
    ASSERT_EQ(recorder.in_doubt().size(), 1u);
    NIMBUS_ASSERT_OK(recorder.SettleInDoubt(4, spending(1000)));
    for (int number = 1; number <= served; ++number) {
      NIMBUS_ASSERT_OK(recorder.BeginStep(Call(number)));
    }
    NIMBUS_ASSERT_OK(recorder.Fail("enough"));
    journal::Reader reader(*journal_);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* end, reader.Read(Size() - 1));
    EXPECT_EQ(end->record->event_as_OperationFailed()->outcome()->tokens_used(), 1606u) << served;
    // What has ended is known to have nothing in doubt, and serves what it can.
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder ended, Recorder::Open(journal_.get(), recording));
    EXPECT_TRUE(ended.in_doubt().empty());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const BegunStep first, ended.BeginStep(Call(1)));
    EXPECT_TRUE(first.recorded.has_value());
  }
}

TEST_F(RecorderModesTest, AStepLeftOpenByAnEndedOperationIsNotRun) {
  {
    Recorder recorder = Opened();
    NIMBUS_ASSERT_OK(recorder.BeginStep(Call(1)));
    NIMBUS_ASSERT_OK(recorder.Cancel());
  }
  Recorder recorder = Opened();
  EXPECT_TRUE(recorder.in_doubt().empty());
  StepCall call = Call(1);
  call.idempotent = true;
  EXPECT_THAT(recorder.BeginStep(call).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("has ended")));
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
  EXPECT_EQ(again.divergence()->what, StepDivergence::What::kValue);
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

TEST_F(RecorderModesTest, NumbersAndPathsOfPatchesAreRedacted) {
  RecorderOptions options;
  options.redact = [](std::string* text) {
    for (const std::string secret : {"49112233", "a/b~c"}) {
      const size_t at = text->find(secret);
      if (at != std::string::npos) text->replace(at, secret.size(), "[secret]");
    }
  };
  NewRecording recording = Recording();
  recording.state = *Json::Parse(R"({"a/b~c":{"n":49112233}})");
  NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder,
                              Recorder::Open(journal_.get(), recording, options));
  EXPECT_EQ(recorder.state().Dump(), R"({"[secret]":{"n":"[secret]"}})");
  NIMBUS_ASSERT_OK(recorder.Step(Call(1), [&]() -> absl::StatusOr<StepResult> {
    StepResult result;
    result.patch = *Json::Parse(R"([{"op":"replace","path":"/a~1b~0c/n","value":491122330},
                                    {"op":"move","from":"/a~1b~0c/n","path":"/a~1b~0c/m"}])");
    return result;
  }));
  EXPECT_EQ(recorder.state().Dump(), R"({"[secret]":{"m":"[secret]0"}})");
  NIMBUS_ASSERT_OK(recorder.Step(Call(2), [&]() -> absl::StatusOr<StepResult> {
    StepResult result;  // two names become one: the last one counts, where the first was
    result.state = *Json::Parse(R"({"x a/b~c":1,"y":2,"x [secret]":3})");
    return result;
  }));
  EXPECT_EQ(recorder.state().Dump(), R"({"x [secret]":3,"y":2})");
  NIMBUS_ASSERT_OK(recorder.Complete());
  EXPECT_TRUE(Replayed().holds());
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
