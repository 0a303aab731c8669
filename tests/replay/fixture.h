// A journal with a recorded operation: a conversation that grows with every step.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "journal/fixture.h"
#include "nimbus/replay/patch.h"
#include "nimbus/replay/session.h"
#include "nimbus/replay/state.h"
#include "nimbus/replay/verify.h"

namespace nimbus::replay {

using journal::Code;
using schema::Json;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using ::testing::HasSubstr;

class ReplayTest : public journal::JournalTest {
 protected:
  static std::unique_ptr<schema::fb::Digest> ToPtr(const schema::Digest& digest) {
    return std::make_unique<schema::fb::Digest>(schema::ToFb(digest));
  }

  static Json Message(int number) {
    return Json::MakeObject(
        {{"role", Json::String(number % 2 == 0 ? "tool" : "assistant")},
         {"content", Json::String(fmt::format("message {} {}", number, std::string(200, 'x')))}});
  }

  uint64_t Append(schema::Event event) {
    const absl::StatusOr<journal::Appended> appended = journal_->Append(event);
    EXPECT_THAT(appended, IsOk());
    return appended.ok() ? appended->first : 0;
  }

  // Creates the operation and starts it with an empty conversation.
  void StartOperation() {
    Begin();
    NIMBUS_ASSERT_OK_AND_ASSIGN(State state,
                                State::Make(Json::MakeObject({{"messages", Json::MakeArray()}})));
    state_.emplace(std::move(state));
    schema::Event event = journal::OperationEvent<schema::fb::OperationStartedT>(operation_);
    event.body.state = state_->Text();
    event.body.digest = ToPtr(state_->Digest());
    Append(std::move(event));
  }

  // Step `number`, ended: appends one message to the state.
  schema::Event StepCompleted(const schema::Uuid& step, int number) {
    auto event = journal::StepEvent<schema::fb::StepCompletedT>(operation_, step, R"({"exit":0})");
    absl::StatusOr<StateChange> change =
        state_->Record(AppendPatch("/messages", {Message(number)}));
    EXPECT_THAT(change, IsOk());
    event.body.patch = change->patch;
    if (change->digest.has_value()) event.body.digest = ToPtr(*change->digest);
    checkpoint_due_ = change->checkpoint_due;
    return event;
  }

  schema::Event Checkpoint(const schema::Uuid& step) {
    checkpoints_.push_back(schema::NewUuid());
    schema::Event event =
        journal::CheckpointCreated(operation_, checkpoints_.back(), step, state_->Text());
    event.body.digest = ToPtr(state_->Digest());
    state_->MarkCheckpoint();
    return event;
  }

  schema::Uuid AddStep() {
    const schema::Uuid step = schema::NewUuid();
    Append(journal::StepAdded(operation_, step));
    Append(journal::StepEvent<schema::fb::StepStartedT>(operation_, step));
    return step;
  }

  // An operation of so many steps, with the checkpoints the rule asks for.
  void Record(int steps) {
    StartOperation();
    for (int number = 1; number <= steps; ++number) RecordStep(number);
  }

  void RecordStep(int number) {
    const schema::Uuid step = AddStep();
    ended_.push_back(Append(StepCompleted(step, number)));
    if (checkpoint_due_) Append(Checkpoint(step));
    states_.push_back(state_->document());
  }

  ReplayReport Replayed(const ReplayRange& range = {}) {
    absl::StatusOr<ReplayReport> report = ReplayOperation(*journal_, operation_, range);
    EXPECT_THAT(report, IsOk());
    return report.ok() ? *std::move(report) : ReplayReport();
  }

  std::optional<State> state_;
  bool checkpoint_due_ = false;
  std::vector<schema::Uuid> checkpoints_;
  std::vector<uint64_t> ended_;  // sequence, of step i + 1
  std::vector<Json> states_;     // after step i + 1
};

}  // namespace nimbus::replay
