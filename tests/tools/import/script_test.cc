// What is refused before anything of it is imported.
#include "tools/import/script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "testing/status_matchers.h"

namespace nimbus::tools::import {
namespace {

using schema::Json;
using test::IsOk;
using test::StatusIs;
using ::testing::HasSubstr;

constexpr size_t kMebibyte = 1 << 20;

// A run of one operation whose steps add a message of `bytes` each.
Run RunOf(size_t steps, size_t bytes) {
  Run run{.format = "test", .key = "key", .sessions = {{.source_id = "session"}}};
  Operation operation{.source_id = "operation", .type = "chat", .end_record = 1};
  for (size_t i = 0; i < steps; ++i) {
    Step step{.source_id = std::to_string(i)};
    step.messages.push_back(Json::String(std::string(bytes, 'm')));
    operation.steps.push_back(std::move(step));
  }
  run.sessions[0].operations.push_back(std::move(operation));
  return run;
}

TEST(ValidateRunTest, TakesAConversationUpToItsLimit) {
  EXPECT_THAT(ValidateRun(RunOf(4, 12 * kMebibyte - 2), 1), IsOk());
  EXPECT_THAT(ValidateRun(RunOf(4, 12 * kMebibyte), 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("conversation")));
}

TEST(ValidateRunTest, TakesTheTextsOfAStepUpToTheirLimit) {
  EXPECT_THAT(ValidateRun(RunOf(1, 24 * kMebibyte - 2), 1), IsOk());
  EXPECT_THAT(ValidateRun(RunOf(1, 24 * kMebibyte), 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("messages")));
  import::Run run = RunOf(1, 1);
  run.sessions[0].operations[0].steps[0].output = std::string(24 * kMebibyte + 1, ' ');
  EXPECT_THAT(ValidateRun(run, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("step '0'")));
}

TEST(ValidateRunTest, TakesAStateAndPatchesUpToTheirLimits) {
  import::Run run = RunOf(1, 1);
  Operation& operation = run.sessions[0].operations[0];
  operation.steps[0].messages.clear();
  operation.state = Json::String(std::string(kStateBytesMax - 2, 's'));
  operation.steps[0].patch = Json::String(std::string(24 * kMebibyte - 2, 'p'));
  EXPECT_THAT(ValidateRun(run, 1), IsOk());
  operation.steps[0].patch = Json::String(std::string(24 * kMebibyte - 1, 'p'));
  EXPECT_THAT(ValidateRun(run, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("patch of a step")));
  operation.steps[0].patch = Json();
  operation.state = Json::String(std::string(kStateBytesMax - 1, 's'));
  EXPECT_THAT(ValidateRun(run, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("state")));
}

TEST(ValidateRunTest, RefusesAStepOrOperationThatOccursTwice) {
  import::Run run = RunOf(2, 1);
  run.sessions[0].operations[0].steps[1].source_id = "0";
  EXPECT_THAT(ValidateRun(run, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
  run = RunOf(1, 1);
  run.sessions[0].operations.push_back(run.sessions[0].operations[0]);
  EXPECT_THAT(ValidateRun(run, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
}

}  // namespace
}  // namespace nimbus::tools::import
