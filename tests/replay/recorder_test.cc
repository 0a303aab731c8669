#include "nimbus/replay/recorder.h"

#include <stdexcept>

#include "replay/recorder_fixture.h"

namespace nimbus::replay {
namespace {

TEST_F(RecorderTest, WhatItRecordsReplays) {
  Recorder recorder = Opened();
  EXPECT_FALSE(recorder.resumed());
  RecordSteps(recorder, 1, 40);
  NIMBUS_ASSERT_OK(recorder.Complete(R"({"url":"http://web"})"));
  const ReplayReport report = Replayed();
  EXPECT_TRUE(report.holds()) << report.ToJson().Dump();
  EXPECT_EQ(report.steps, 40u);
  EXPECT_EQ(report.digests_compared, 41 + report.checkpoints_compared);
  EXPECT_GE(report.checkpoints_compared, 1u);
  EXPECT_EQ(report.digest, schema::StateDigest(recorder.state()));
  EXPECT_EQ(runs_, 40);
}

TEST_F(RecorderTest, ResumingServesWhatEndedAndRunsTheRest) {
  std::string uninterrupted;
  {
    Recorder recorder = Opened();
    RecordSteps(recorder, 1, 25);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep failed,
                                recorder.Step(Call(26), []() -> absl::StatusOr<StepResult> {
                                  return absl::UnavailableError("no route to host");
                                }));
    EXPECT_EQ(failed.status, journal::Lifecycle::kFailed);
    uninterrupted = recorder.state().Dump();
  }
  Open();
  Recorder recorder = Opened();
  EXPECT_TRUE(recorder.resumed());
  EXPECT_EQ(recorder.state().Dump(), R"({"done":[]})");
  const uint64_t size = *journal_->Size();
  RecordSteps(recorder, 1, 25);
  EXPECT_EQ(runs_, 25);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep failed, Take(recorder, 26));
  EXPECT_TRUE(failed.recorded);
  EXPECT_EQ(failed.status, journal::Lifecycle::kFailed);
  EXPECT_THAT(failed.error, HasSubstr("no route to host"));
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(size));
  EXPECT_EQ(recorder.state().Dump(), uninterrupted);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep next, Take(recorder, 27));
  EXPECT_FALSE(next.recorded);
  EXPECT_EQ(next.number, 27u);
  EXPECT_EQ(runs_, 26);
  EXPECT_TRUE(Replayed().holds());
}

TEST_F(RecorderTest, AStepInDoubtIsReportedAndNotRun) {
  {
    Recorder recorder = Opened();
    RecordSteps(recorder, 1, 2);
  }
  const schema::Uuid step = DieInStep(3);
  Recorder recorder = Opened();
  RecordSteps(recorder, 1, 2);
  for (int attempt = 0; attempt < 2; ++attempt) {
    EXPECT_THAT(Take(recorder, 3).status(),
                StatusIs(Code::kFailedPrecondition, HasSubstr("step 3 (" + step.ToString())));
  }
  ASSERT_EQ(recorder.in_doubt().size(), 1u);
  EXPECT_EQ(recorder.in_doubt()[0].id, step);
  EXPECT_EQ(recorder.in_doubt()[0].tool_name, "bash");
  EXPECT_EQ(runs_, 2);
  EXPECT_THAT(recorder.Complete(), StatusIs(Code::kFailedPrecondition, HasSubstr("step 3")));

  NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep settled,
                              recorder.SettleInDoubt(3, {.output = R"({"said":3})"}));
  EXPECT_EQ(settled.number, 3u);
  EXPECT_TRUE(recorder.in_doubt().empty());
  RecordSteps(recorder, 3, 3);
  EXPECT_EQ(runs_, 2);
  RecordSteps(recorder, 4, 5);
  NIMBUS_EXPECT_OK(recorder.Complete());
  EXPECT_TRUE(Replayed().holds());
  EXPECT_THAT(recorder.SettleInDoubt(3, {}).status(), StatusIs(Code::kNotFound));
}

TEST_F(RecorderTest, AnIdempotentStepInDoubtRunsAgain) {
  {
    Recorder recorder = Opened();
    RecordSteps(recorder, 1, 1);
  }
  const schema::Uuid step = DieInStep(2);
  Recorder recorder = Opened();
  RecordSteps(recorder, 1, 1);
  StepCall call = Call(2);
  call.idempotent = true;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep again, recorder.Step(call, Doing(recorder, 2)));
  EXPECT_EQ(again.id, step);
  EXPECT_FALSE(again.recorded);
  EXPECT_EQ(runs_, 2);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Session session, Session::Open(*journal_, operation_));
  EXPECT_EQ(session.steps().size(), 2u);
}

TEST_F(RecorderTest, AStepAddedButNotBegunRuns) {
  { Opened(); }
  Append(journal::StepAdded(operation_, schema::NewUuid(), Call(1).input));
  Recorder recorder = Opened();
  RecordSteps(recorder, 1, 2);
  EXPECT_EQ(runs_, 2);
  EXPECT_TRUE(Replayed().holds());
}

// What the second call was taken for, when it was this one.
TEST_F(RecorderTest, AnotherCallThanTheRecordedOneIsADivergence) {
  {
    Recorder recorder = Opened();
    RecordSteps(recorder, 1, 2);
  }
  const uint64_t size = *journal_->Size();
  StepCall another_type = Call(2), another_tool = Call(2);
  another_type.type = schema::fb::StepType::llm_call;
  another_tool.tool_name = "sh";
  const struct {
    StepCall call;
    StepDivergence::What what;
    std::string expected, actual, difference;
  } cases[] = {
      {another_type, StepDivergence::What::kStepType, R"("tool_call")", R"("llm_call")", ""},
      {another_tool, StepDivergence::What::kTool, R"("bash")", R"("sh")", ""},
      {Call(3), StepDivergence::What::kInput, R"({"command":"echo 2"})", R"({"command":"echo 3"})",
       R"([{"op":"replace","path":"/command","value":"echo 3"}])"}};
  for (const auto& wrong : cases) {
    Recorder recorder = Opened();
    RecordSteps(recorder, 1, 1);
    EXPECT_THAT(recorder.Step(wrong.call, Doing(recorder, 2)).status(),
                StatusIs(Code::kInvalidArgument, HasSubstr("step 2 diverges")));
    ASSERT_TRUE(recorder.divergence().has_value());
    const StepDivergence divergence = *recorder.divergence();
    EXPECT_EQ(divergence.what, wrong.what);
    EXPECT_EQ(divergence.step, 2u);
    EXPECT_EQ(divergence.operation, operation_);
    EXPECT_EQ(divergence.expected.Dump(), wrong.expected);
    EXPECT_EQ(divergence.actual.Dump(), wrong.actual);
    EXPECT_EQ(divergence.difference.has_value() ? divergence.difference->Dump() : "",
              wrong.difference);
    // It is not this agent's recording any more.
    EXPECT_THAT(Take(recorder, 2).status(), StatusIs(Code::kInvalidArgument));
  }
  Recorder recorder = Opened();
  RecordSteps(recorder, 1, 1);
  EXPECT_THAT(recorder.Complete(), StatusIs(Code::kInvalidArgument, HasSubstr("end")));
  EXPECT_EQ(recorder.divergence()->step, 2u);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(size));
  EXPECT_EQ(runs_, 2);
}

TEST_F(RecorderTest, InputsAreComparedAsValues) {
  {
    Recorder recorder = Opened();
    StepCall call = Call(1);
    call.input = R"({"b":1.0,"a":"\u0041"})";
    NIMBUS_ASSERT_OK(recorder.Step(call, Doing(recorder, 1)).status());
  }
  Recorder recorder = Opened();
  StepCall call = Call(1);
  call.input = R"({ "a": "A", "b": 1 })";
  NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep step, recorder.Step(call, Doing(recorder, 1)));
  EXPECT_TRUE(step.recorded);
  EXPECT_EQ(runs_, 1);
}

TEST_F(RecorderTest, AnotherOperationThanTheRecordedOneIsADivergence) {
  { Opened(); }
  NewRecording recording = Recording();
  recording.input = R"({"app":"db"})";
  EXPECT_THAT(Recorder::Open(journal_.get(), recording).status(),
              StatusIs(Code::kInvalidArgument, HasSubstr("the operation diverges")));
  recording = Recording();
  recording.type = "query";
  EXPECT_THAT(Recorder::Open(journal_.get(), recording).status(),
              StatusIs(Code::kInvalidArgument, HasSubstr(R"(type was "deploy", now "query")")));
}

TEST_F(RecorderTest, ASecondRecorderStopsTheFirst) {
  Recorder first = Opened();
  RecordSteps(first, 1, 1);
  Recorder second = Opened();
  RecordSteps(second, 1, 2);
  EXPECT_THAT(Take(first, 2).status(), StatusIs(Code::kAborted));
  EXPECT_EQ(runs_, 2);
  RecordSteps(second, 3, 3);
  EXPECT_TRUE(Replayed().holds());
}

TEST_F(RecorderTest, CheckpointsByNameAreMadeOnce) {
  for (int run = 0; run < 2; ++run) {
    Recorder recorder = Opened();
    EXPECT_THAT(recorder.Checkpoint("early"), StatusIs(Code::kFailedPrecondition));
    RecordSteps(recorder, 1, 1);
    NIMBUS_EXPECT_OK(recorder.Checkpoint("planned"));
    RecordSteps(recorder, 2, 2);
    NIMBUS_EXPECT_OK(recorder.Checkpoint("deployed"));
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, operation_));
  ASSERT_EQ(session.checkpoints().size(), 2u);
  EXPECT_THAT(session.ReadCheckpointName(session.checkpoints()[0]), IsOkAndHolds("planned"));
  EXPECT_EQ(session.checkpoints()[1].step, 2u);
  EXPECT_EQ(Replayed().checkpoints_compared, 2u);
  EXPECT_EQ(runs_, 2);

  Recorder recorder = Opened();
  RecordSteps(recorder, 1, 1);
  EXPECT_THAT(recorder.Checkpoint("another"), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(recorder.divergence()->what, StepDivergence::What::kCheckpoint);
  EXPECT_EQ(recorder.divergence()->expected.Dump(), R"({"checkpoint":"planned"})");
}

TEST_F(RecorderTest, AResultThatCantBeJournaledLeavesTheStepInDoubt) {
  Recorder recorder = Opened();
  const auto malformed = []() -> absl::StatusOr<StepResult> {
    StepResult result;
    result.output = "{not json";
    return result;
  };
  EXPECT_THAT(recorder.Step(Call(1), malformed).status(), StatusIs(Code::kInvalidArgument));
  ASSERT_EQ(recorder.in_doubt().size(), 1u);
  EXPECT_EQ(recorder.in_doubt()[0].number, 1u);
  EXPECT_EQ(recorder.state().Dump(), R"({"done":[]})");
  EXPECT_THAT(Take(recorder, 1).status(), StatusIs(Code::kFailedPrecondition));
  NIMBUS_ASSERT_OK(recorder.SettleInDoubt(1, {.error = "the tool answered nonsense"}).status());
  RecordSteps(recorder, 2, 3);
  EXPECT_TRUE(Replayed().holds());

  StepCall call = Call(4);
  call.input = "[1,";
  EXPECT_THAT(recorder.Step(call, Doing(recorder, 4)).status(), StatusIs(Code::kInvalidArgument));
  EXPECT_TRUE(recorder.in_doubt().empty());
  RecordSteps(recorder, 4, 4);
}

TEST_F(RecorderTest, AStepThatThrowsIsInDoubt) {
  Recorder recorder = Opened();
  const auto throwing = []() -> absl::StatusOr<StepResult> { throw std::runtime_error("boom"); };
  EXPECT_THROW(NIMBUS_EXPECT_OK(recorder.Step(Call(1), throwing)), std::runtime_error);
  ASSERT_EQ(recorder.in_doubt().size(), 1u);
  EXPECT_EQ(recorder.in_doubt()[0].number, 1u);
  EXPECT_THAT(Take(recorder, 1).status(), StatusIs(Code::kFailedPrecondition));
  EXPECT_EQ(runs_, 0);
  Recorder resumed = Opened();
  EXPECT_THAT(Take(resumed, 1).status(), StatusIs(Code::kFailedPrecondition, HasSubstr("step 1")));
}

TEST_F(RecorderTest, EndsOnceAndOneWay) {
  for (int run = 0; run < 2; ++run) {
    Recorder recorder = Opened();
    RecordSteps(recorder, 1, 1);
    NIMBUS_EXPECT_OK(recorder.Fail("no quota"));
    NIMBUS_EXPECT_OK(recorder.Fail("no quota"));
    EXPECT_THAT(recorder.Complete(), StatusIs(Code::kFailedPrecondition));
    EXPECT_THAT(recorder.Cancel(), StatusIs(Code::kFailedPrecondition));
    EXPECT_THAT(Take(recorder, 2).status(), StatusIs(Code::kFailedPrecondition));
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Session session, Session::Open(*journal_, operation_));
  EXPECT_EQ(session.status(), journal::Lifecycle::kFailed);
  EXPECT_EQ(session.steps().size(), 1u);
}

TEST_F(RecorderTest, AnOperationLastsFromItsCreationToItsEndCrashesIncluded) {
  ManualClock clock;
  journal::Options options;
  options.clock = &clock;
  Open(options);
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder,
                                Recorder::Open(journal_.get(), Recording(), {.clock = &clock}));
    RecordSteps(recorder, 1, 1);
  }
  clock.now_us += 7'250'000;
  NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder resumed,
                              Recorder::Open(journal_.get(), Recording(), {.clock = &clock}));
  RecordSteps(resumed, 1, 1);
  NIMBUS_EXPECT_OK(resumed.Complete());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t size, journal_->Size());
  journal::Reader reader(*journal_);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* last, reader.Read(size - 1));
  const auto* completed = last->record->event_as_OperationCompleted();
  ASSERT_NE(completed, nullptr);
  EXPECT_EQ(completed->outcome()->duration_ms(), 7250u);
}

TEST_F(RecorderTest, NeedsASession) {
  NewRecording recording = Recording();
  recording.session = schema::NewUuid();
  EXPECT_THAT(Recorder::Open(journal_.get(), recording).status(), StatusIs(Code::kNotFound));
  EXPECT_THAT(journal_->FindEntity(schema::fb::EntityKind::operation, operation_),
              IsOkAndHolds(::testing::Eq(std::nullopt)));
}

}  // namespace
}  // namespace nimbus::replay
