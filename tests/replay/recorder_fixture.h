// An agent that deploys: each step notes itself in the state.
#pragma once

#include <string>
#include <vector>

#include "nimbus/replay/recorder.h"
#include "replay/fixture.h"

namespace nimbus::replay {

// A clock that a test sets.
class ManualClock final : public schema::Clock {
 public:
  int64_t NowMicros() override { return now_us; }
  int64_t now_us = 1'000'000'000;
};

class RecorderTest : public ReplayTest {
 protected:
  void SetUp() override {
    ReplayTest::SetUp();
    Append(journal::SessionStarted(session_));
  }

  NewRecording Recording() const {
    return {.id = operation_,
            .session = session_,
            .type = "deploy",
            .name = "a deployment",
            .input = R"({"app":"web","replicas":2})",
            .parent = std::nullopt,
            .state = Json::MakeObject({{"done", Json::MakeArray()}})};
  }

  Recorder Opened(const RecorderOptions& options = {}) {
    absl::StatusOr<Recorder> recorder = Recorder::Open(journal_.get(), Recording(), options);
    EXPECT_THAT(recorder, IsOk());
    return *std::move(recorder);
  }

  static StepCall Call(int number) {
    return {.type = schema::fb::StepType::tool_call,
            .tool_name = "bash",
            .input = fmt::format(R"({{"command":"echo {}"}})", number),
            .idempotent = false,
            .retry = {}};
  }

  // What step `number` does: notes itself in the state. Counts its runs.
  Recorder::Run Doing(const Recorder& recorder, int number) {
    return [this, &recorder, number]() -> absl::StatusOr<StepResult> {
      ++runs_;
      Json state = recorder.state();
      state.Find("done")->array().push_back(Message(number));
      return StepResult{.output = fmt::format(R"({{"said":{}}})", number),
                        .error = {},
                        .state = std::move(state),
                        .patch = std::nullopt,
                        .outcome = {}};
    };
  }

  absl::StatusOr<RecordedStep> Take(Recorder& recorder, int number) {
    return recorder.Step(Call(number), Doing(recorder, number));
  }

  void RecordSteps(Recorder& recorder, int from, int to) {
    for (int number = from; number <= to; ++number) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordedStep step, Take(recorder, number));
      EXPECT_EQ(step.number, static_cast<uint32_t>(number));
      EXPECT_EQ(step.output, fmt::format(R"({{"said":{}}})", number));
    }
  }

  // A step whose agent died while it ran.
  schema::Uuid DieInStep(int number) {
    const schema::Uuid step = schema::NewUuid();
    Append(journal::StepAdded(operation_, step, Call(number).input));
    Append(journal::StepEvent<schema::fb::StepStartedT>(operation_, step));
    return step;
  }

  int runs_ = 0;
};

}  // namespace nimbus::replay
