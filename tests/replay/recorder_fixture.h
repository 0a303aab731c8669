// An agent that deploys: each step notes itself in the state.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "journal/stream.h"
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

// One that hands in patches, and is executed again.
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

  void ForEachRecord(const std::function<void(const schema::fb::Record&)>& use) {
    const auto entity = journal_->FindEntity(schema::fb::EntityKind::operation, operation_);
    journal::Reader reader(*journal_);
    const auto sequences = journal::StreamSequences(&reader, (*entity)->head_sequence);
    for (const uint64_t sequence : *sequences) use(*(*reader.Read(sequence))->record);
  }

  std::vector<std::string> Events() {
    std::vector<std::string> names;
    ForEachRecord([&](const schema::fb::Record& record) {
      names.emplace_back(schema::fb::EnumNameEvent(record.event_type()));
    });
    return names;
  }

  schema::Uuid LastCheckpoint() {
    schema::Uuid id;
    ForEachRecord([&](const schema::fb::Record& record) {
      const auto* created = record.event_as_CheckpointCreated();
      if (created != nullptr) id = schema::Uuid::FromFb(*created->checkpoint());
    });
    return id;
  }
};

}  // namespace nimbus::replay
