// Every recorded run, replayed: from its start, every checkpoint and every step,
// forward and back, the states are the same ones.
#include <algorithm>

#include "nimbus/replay/compare.h"
#include "nimbus/replay/export.h"
#include "nimbus/replay/patch.h"
#include "nimbus/replay/stepper.h"
#include "nimbus/replay/verify.h"
#include "tools/import/recorded.h"

namespace nimbus::tools::import {
namespace {

using replay::Point;
using schema::Digest;
using schema::Json;
using schema::Uuid;

// A replay to the end from every step would take the square of a long run.
constexpr uint32_t kStepsOn = 4;

class RecordedReplay : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    NIMBUS_ASSERT_OK_AND_ASSIGN(
        const ImportReport report,
        ImportFile(*journal_, test::RecordedPath(GetParam()), {.source = {.keep_going = true}}));
    operations_ = report.operations;
  }

  test::TestJournal journal_;
  std::vector<Uuid> operations_;
};

INSTANTIATE_TEST_SUITE_P(
    All, RecordedReplay,
    ::testing::ValuesIn(test::RecordedNames({"claude-code/", "codex-rollout/", "sregym-trace/",
                                             "swe-agent-traj/", "mini-swe-agent/"})),
    test::FileTestName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RecordedReplay);

TEST_P(RecordedReplay, GivesTheSameStatesForwardAndBack) {
  for (const Uuid& operation : operations_) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(replay::Stepper stepper,
                                replay::Stepper::Open(*journal_, operation));
    std::vector<Digest> digests = {stepper.state().Digest()};
    std::vector<uint32_t> order = {0};
    for (;;) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const bool moved, stepper.Next());
      if (!moved) break;
      digests.push_back(stepper.state().Digest());
      order.push_back(stepper.step());
      NIMBUS_ASSERT_OK_AND_ASSIGN(const replay::StepRecord record, stepper.Read());
      if (record.digest.has_value()) {
        EXPECT_EQ(*record.digest, digests.back()) << order.back();
      }
    }
    for (size_t i = digests.size(); i-- > 1;) {
      ASSERT_EQ(stepper.step(), order[i]);
      ASSERT_EQ(stepper.state().Digest(), digests[i]) << "back at step " << order[i];
      ASSERT_THAT(stepper.Previous(), test::IsOkAndHolds(true));
    }
    EXPECT_EQ(stepper.state().Digest(), digests[0]);
    for (size_t i = 0; i < order.size(); i += 1 + i / 3) {
      NIMBUS_ASSERT_OK(stepper.GoTo({.kind = Point::Kind::kStep, .step = order[i]}));
      EXPECT_EQ(stepper.state().Digest(), digests[i]);
    }
  }
}

TEST_P(RecordedReplay, HoldsFromTheStartEveryCheckpointAndEveryStep) {
  for (const Uuid& operation : operations_) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const replay::ReplayReport whole,
                                replay::ReplayOperation(*journal_, operation, {}));
    ASSERT_TRUE(whole.holds()) << whole.ToJson().Dump();
    NIMBUS_ASSERT_OK_AND_ASSIGN(replay::Session session,
                                replay::Session::Open(*journal_, operation));
    std::vector<Uuid> checkpoints;
    std::vector<uint32_t> ended;
    NIMBUS_ASSERT_OK(session.ForEachPoint(
        [&](const replay::StepInfo& step) {
          if (step.ended.has_value()) ended.push_back(step.number);
          return absl::OkStatus();
        },
        [&](const replay::CheckpointInfo& checkpoint) {
          checkpoints.push_back(checkpoint.id);
          return absl::OkStatus();
        }));
    for (const Uuid& checkpoint : checkpoints) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(
          const replay::ReplayReport report,
          replay::ReplayOperation(*journal_, operation, {.from_checkpoint = checkpoint}));
      EXPECT_TRUE(report.holds()) << report.ToJson().Dump();
      EXPECT_EQ(report.digest, whole.digest);
    }
    for (size_t i = 0; i < ended.size(); ++i) {
      const uint32_t to = ended[std::min(i + kStepsOn, ended.size() - 1)];
      const absl::StatusOr<replay::ReplayReport> report =
          replay::ReplayOperation(*journal_, operation, {.from_step = ended[i], .to_step = to});
      // Overlapping steps may end in another order than they are numbered.
      if (absl::IsInvalidArgument(report.status())) continue;
      ASSERT_THAT(report, test::IsOk()) << ended[i];
      EXPECT_TRUE(report->holds()) << ended[i] << report->ToJson().Dump();
    }
  }
}

TEST_P(RecordedReplay, ExportsWhatReplaysElsewhere) {
  for (const Uuid& operation : operations_) {
    std::string text;
    const auto sink = [&](std::string_view part) {
      text += part;
      return absl::OkStatus();
    };
    NIMBUS_ASSERT_OK(replay::ExportOperation(*journal_, operation, {}, sink));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Json document, Json::Parse(text));
    std::vector<const Json*> steps;
    for (const Json& step : document.Find("steps")->array()) {
      if (!step.Find("ended")->IsNull()) steps.push_back(&step);
    }
    std::sort(steps.begin(), steps.end(), [](const Json* a, const Json* b) {
      return a->Find("ended")->AsInt() < b->Find("ended")->AsInt();
    });
    Json state = *document.Find("operation")->Find("state");
    for (const Json* step : steps) {
      if (!step->Find("patch")->IsNull()) {
        ASSERT_THAT(replay::ApplyPatch(*step->Find("patch"), &state), test::IsOk());
      }
      const std::string_view digest = step->StringOr("digest");
      if (!digest.empty()) {
        ASSERT_EQ(schema::ToHex(schema::StateDigest(state)), digest);
      }
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(const replay::Comparison found,
                                replay::CompareOperations(*journal_, operation, operation, {}));
    EXPECT_TRUE(found.same());
  }
}

}  // namespace
}  // namespace nimbus::tools::import
