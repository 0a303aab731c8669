// Executing again, and forks.
#include <filesystem>

#include "nimbus/journal/prune.h"
#include "nimbus/schema/status.h"
#include "replay/recorder_fixture.h"

namespace nimbus::replay {
namespace {

using What = StepDivergence::What;

// What is changed in the agent.

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
  RecorderOptions options = Again();
  options.from_checkpoint = LastCheckpoint();
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

TEST_F(ReexecutionTest, AnAgentThatIsOverEarlyDivergesFromWhatComesNext) {
  RecordAgent();
  for (int left_out = 5; left_out <= 8; ++left_out) {
    Recorder again = Opened(Again());
    for (int call = 1; call < left_out; ++call) NIMBUS_ASSERT_OK(Make(again, call, {}));
    EXPECT_THAT(again.EndHere(), StatusIs(Code::kInvalidArgument)) << left_out;
    ASSERT_TRUE(again.divergence().has_value());
    EXPECT_EQ(again.divergence()->what, What::kEnd);
    EXPECT_EQ(again.divergence()->step, std::vector<uint32_t>({2, 3, 4, 4})[left_out - 5]);
    const std::string expected = again.divergence()->expected.Dump();
    EXPECT_THAT(expected, HasSubstr(std::vector<std::string>(
                              {"value", "user_input", "verification", "end"})[left_out - 5]));
    EXPECT_EQ(again.divergence()->actual.Dump(), "null");
  }
  Recorder whole = Opened(Again());
  NIMBUS_ASSERT_OK(Agent(whole));
  EXPECT_THAT(whole.EndHere(), IsOk());
}

TEST_F(ReexecutionTest, ARecordingThatGoesNoFurtherIsNoDivergence) {
  {
    Recorder recorder = Opened();
    NIMBUS_ASSERT_OK(Agent(recorder, {7, Change::kLeaveOut}, false));
  }
  Recorder again = Opened(Again());
  EXPECT_THAT(Agent(again), StatusIs(Code::kOutOfRange, HasSubstr("step 3")));
  EXPECT_THAT(again.EndHere(), StatusIs(Code::kOutOfRange, HasSubstr("step 3")));
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

// Forks.

class RecordedForkTest : public ReexecutionTest {
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

TEST_F(RecordedForkTest, ServesItsParentAndGoesOnLive) {
  RecordAgent();
  const schema::Uuid checkpoint = LastCheckpoint();
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

TEST_F(RecordedForkTest, OfAForkOfAFork) {
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

TEST_F(RecordedForkTest, ACheckpointAtTheForkIsNotRecordedWhoeverGoesOn) {
  RecordAgent();
  // Before the call of the checkpoint, which the first fork finds to be its beginning.
  const schema::Uuid first = Fork(operation_, std::nullopt, 2);
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(first));
    NIMBUS_ASSERT_OK(Agent(recorder));
  }
  const schema::Uuid second = Fork(first, std::nullopt, 1);
  for (int run = 0; run < 2; ++run) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(second));
    NIMBUS_ASSERT_OK(Agent(recorder));
    EXPECT_EQ(Done(recorder), recorded_);
  }
  EXPECT_EQ(OwnSteps(second), 1u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder again, OpenFork(second, Again()));
  NIMBUS_ASSERT_OK(Agent(again));
  EXPECT_TRUE(again.report().holds());
}

TEST_F(RecordedForkTest, ADivergenceInItsBeginningIsToldOfTheParent) {
  RecordAgent();
  const schema::Uuid fork = Fork(operation_, std::nullopt, 3);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(fork));
  EXPECT_THAT(Agent(recorder, {3, Change::kInput}), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(recorder.divergence()->operation, operation_);
  EXPECT_EQ(recorder.divergence()->step, 2u);
  EXPECT_EQ(OwnSteps(fork), 0u);
}

// Forks at a step that ended while others were under way.
class ForkAmongParallelStepsTest : public RecordedForkTest {
 protected:
  // Steps 1 to 4 begin, 2 and then 3 end; later so do the others.
  void RecordParallel() {
    Recorder recorder = Opened();
    for (int number = 1; number <= 4; ++number) NIMBUS_ASSERT_OK(recorder.BeginStep(Call(number)));
    for (const uint32_t number : {2u, 3u, 1u, 4u}) {
      NIMBUS_ASSERT_OK(recorder.EndStep(number, Did(fmt::format("parent {}", number))));
    }
  }

  // Calls of `recorder` that begin 1 to 4, and which of them it was given to run.
  static std::vector<uint32_t> BegunToRun(Recorder& recorder, bool idempotent = false) {
    std::vector<uint32_t> live;
    for (int number = 1; number <= 4; ++number) {
      StepCall call = Call(number);
      call.idempotent = idempotent;
      const absl::StatusOr<BegunStep> begun = recorder.BeginStep(call);
      EXPECT_THAT(begun, IsOk());
      if (!begun.ok()) return live;
      EXPECT_EQ(begun->number, static_cast<uint32_t>(number)) << "that of its call";
      if (!begun->recorded.has_value()) live.push_back(begun->number);
    }
    return live;
  }
};

TEST_F(ForkAmongParallelStepsTest, WhatWasUnderWayIsBegunAnew) {
  RecordParallel();
  const schema::Uuid fork = Fork(operation_, std::nullopt, 2);
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(fork));
    EXPECT_TRUE(recorder.in_doubt().empty()) << "they are the parent's";
    EXPECT_EQ(BegunToRun(recorder), (std::vector<uint32_t>{1, 3, 4}));
    EXPECT_EQ(OwnSteps(fork), 3u);
    EXPECT_EQ(Done(recorder), R"(["parent 2"])");
    NIMBUS_ASSERT_OK(recorder.EndStep(4, Did("fork 4")));
    NIMBUS_ASSERT_OK(recorder.EndStep(1, Did("fork 1")));
  }
  {  // It died while it ran step 3, which is in doubt.
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(fork));
    ASSERT_EQ(recorder.in_doubt().size(), 1u);
    EXPECT_EQ(recorder.in_doubt()[0].number, 3u);
    NIMBUS_ASSERT_OK(recorder.BeginStep(Call(1)));
    NIMBUS_ASSERT_OK(recorder.BeginStep(Call(2)));
    EXPECT_THAT(recorder.BeginStep(Call(3)).status(), StatusIs(Code::kFailedPrecondition));
    NIMBUS_ASSERT_OK(recorder.RunAgain(3));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const BegunStep again, recorder.BeginStep(Call(3)));
    EXPECT_FALSE(again.recorded.has_value());
    NIMBUS_ASSERT_OK(recorder.EndStep(3, Did("fork 3")));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const BegunStep last, recorder.BeginStep(Call(4)));
    EXPECT_EQ(last.recorded->output, R"("fork 4")");
    Patch(recorder, 5, 5);
    EXPECT_EQ(recorder.steps(), 5u);
    NIMBUS_ASSERT_OK(recorder.Checkpoint("after five"));
    NIMBUS_ASSERT_OK(recorder.Complete());
  }
  EXPECT_EQ(OwnSteps(fork), 4u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder again, OpenFork(fork, Again()));
  EXPECT_TRUE(BegunToRun(again).empty());
  Patch(again, 5, 5);
  NIMBUS_ASSERT_OK(again.Checkpoint("after five"));
  NIMBUS_ASSERT_OK(again.Complete());
  EXPECT_EQ(Done(again), R"(["parent 2","fork 4","fork 1","fork 3","step 5"])");
  EXPECT_TRUE(again.report().holds());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ReplayReport report,
                              ReplayOperation(*journal_, fork, {}, {.strict = true}));
  EXPECT_TRUE(report.holds()) << report.ToJson().Dump();
}

TEST_F(ForkAmongParallelStepsTest, ACheckpointBeforeAnyOfThemIsDoneIsNotRecorded) {
  RecordParallel();
  const schema::Uuid fork = Fork(operation_, std::nullopt, 2);
  for (int run = 0; run < 2; ++run) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(fork));
    BegunToRun(recorder, /*idempotent=*/true);
    NIMBUS_ASSERT_OK(recorder.Checkpoint("all begun"));
    const std::vector<uint32_t> ends =
        run == 0 ? std::vector<uint32_t>{4, 3, 1} : std::vector<uint32_t>();
    for (const uint32_t number : ends) NIMBUS_ASSERT_OK(recorder.EndStep(number, Did("fork")));
    NIMBUS_ASSERT_OK(recorder.Checkpoint("all ended"));
    Patch(recorder, 5, 5);
  }
  EXPECT_EQ((*journal_->FindEntity(schema::fb::EntityKind::operation, fork))->steps, 4u);
}

TEST_F(ForkAmongParallelStepsTest, OfAForkOfAFork) {
  RecordParallel();
  const schema::Uuid first = Fork(operation_, std::nullopt, 2);
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(first));
    EXPECT_EQ(BegunToRun(recorder), (std::vector<uint32_t>{1, 3, 4}));
    NIMBUS_ASSERT_OK(recorder.EndStep(3, Did("first 3")));
    NIMBUS_ASSERT_OK(recorder.EndStep(1, Did("first 1")));
  }
  // The second step that the first fork has added is step 3. At its start none has been.
  for (const auto& [own_step, anew] : std::vector<std::pair<uint32_t, std::vector<uint32_t>>>{
           {2, {1, 4}}, {1, {4}}, {0, {1, 3, 4}}}) {
    const schema::Uuid second = Fork(first, std::nullopt, own_step);
    {
      NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(second));
      EXPECT_EQ(BegunToRun(recorder), anew);
      for (const uint32_t number : anew) NIMBUS_ASSERT_OK(recorder.EndStep(number, Did("second")));
      Patch(recorder, 5, 6);
    }
    EXPECT_EQ(OwnSteps(second), anew.size() + 2);
    // Its own last step is the sixth.
    NIMBUS_ASSERT_OK_AND_ASSIGN(
        Recorder third,
        OpenFork(Fork(second, std::nullopt, static_cast<uint32_t>(anew.size()) + 2)));
    EXPECT_TRUE(BegunToRun(third).empty());
    runs_ = 0;
    Patch(third, 5, 7);
    EXPECT_EQ(runs_, 1);
    EXPECT_EQ(third.steps(), 7u);
  }
}

TEST_F(ForkAmongParallelStepsTest, ACheckpointWhereNotAllAreDoneIsNoBeginning) {
  RecordParallel();
  const schema::Uuid fork = Fork(operation_, std::nullopt, 2);
  {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, OpenFork(fork));
    EXPECT_EQ(BegunToRun(recorder), (std::vector<uint32_t>{1, 3, 4}));
    NIMBUS_ASSERT_OK(recorder.EndStep(3, Did("fork 3")));
    NIMBUS_ASSERT_OK(recorder.Checkpoint("among them"));
    NIMBUS_ASSERT_OK(recorder.EndStep(1, Did("fork 1")));
  }
  schema::Uuid checkpoint;
  journal::Reader reader(*journal_);
  for (uint64_t sequence = 0; sequence < Size(); ++sequence) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* view, reader.Read(sequence));
    const auto* created = view->record->event_as_CheckpointCreated();
    if (created != nullptr) checkpoint = schema::Uuid::FromFb(*created->checkpoint());
  }
  RecorderOptions options = Again();
  options.from_checkpoint = checkpoint;
  EXPECT_THAT(OpenFork(fork, options).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("step 1 has not ended at checkpoint")));
}

TEST_F(RecordedForkTest, AfterAStepThatHasNotEndedThereIsNone) {
  {
    Recorder recorder = Opened();
    NIMBUS_ASSERT_OK(recorder.BeginStep(Call(1)));
  }
  EXPECT_THAT(OpenFork(Fork(operation_, std::nullopt, 1)).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("step 1")));
}

TEST_F(RecordedForkTest, CirclesOfForksEnd) {
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
  EXPECT_THAT(OpenFork(one).status(),
              StatusIs(Code::kFailedPrecondition, HasSubstr("forked from more than")));
}

}  // namespace
}  // namespace nimbus::replay
