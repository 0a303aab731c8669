// Every recorded run, replayed: from its start, every checkpoint and every step,
// forward and back, the states are the same ones.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>

#include "nimbus/journal/range.h"
#include "nimbus/replay/compare.h"
#include "nimbus/replay/export.h"
#include "nimbus/replay/patch.h"
#include "nimbus/replay/stepper.h"
#include "nimbus/replay/verify.h"
#include "replay/digests.h"
#include "replay/planted.h"
#include "testing/random.h"
#include "tools/import/recorded.h"

namespace nimbus::tools::import {
namespace {

using replay::Point;
using schema::Digest;
using schema::Json;
using schema::Uuid;

// A replay to the end from every step would take the square of a long run: of one of
// more steps than these it goes on for a few.
constexpr size_t kStepsToTheEnd = NIMBUS_LONG_TESTS ? SIZE_MAX : 500;
constexpr size_t kStepsOn = 4;

class RecordedReplay : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    NIMBUS_ASSERT_OK_AND_ASSIGN(
        const ImportReport report,
        ImportFile(*journal_, test::RecordedPath(GetParam()), {.source = {.keep_going = true}}));
    operations_ = report.operations;
  }

  // The journal in another store.
  std::unique_ptr<journal::Journal> Carried() {
    std::string bytes;
    const auto write = [&](std::span<const uint8_t> part) {
      bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
      return absl::OkStatus();
    };
    EXPECT_THAT(journal::ExportRange(*journal_, {}, write), test::IsOk());
    EXPECT_TRUE(test::WriteFile(elsewhere_ / "range", bytes));
    const std::string store = (elsewhere_ / "store").string();
    EXPECT_THAT(journal::ImportRange((elsewhere_ / "range").string(), store, {}), test::IsOk());
    auto journal = journal::Journal::Open(store, {.create = false, .read_only = true});
    EXPECT_THAT(journal, test::IsOk());
    return journal.ok() ? *std::move(journal) : nullptr;
  }

  test::TestJournal journal_;
  test::TempDir elsewhere_;
  std::vector<Uuid> operations_;
  test::SeededRandom random_;
};

INSTANTIATE_TEST_SUITE_P(All, RecordedReplay, ::testing::ValuesIn(test::AllRecordings()),
                         test::FileTestName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RecordedReplay);

// tests/golden/replay-digests.tsv says how it is made.
std::string RowOnRecord(const std::string& file) {
  std::istringstream lines(
      test::ReadFile(std::filesystem::path(NIMBUS_GOLDEN_DIR) / "replay-digests.tsv").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(file + "\t")) return line;
  }
  return "";
}

TEST_P(RecordedReplay, HasTheDigestsOnRecordHereAndInAnotherStore) {
  const std::unique_ptr<journal::Journal> other = Carried();
  ASSERT_NE(other, nullptr);
  replay::DigestRow row;
  for (const Uuid& operation : operations_) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto points, replay::ReadDigests(*journal_, operation));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto carried, replay::ReadDigests(*other, operation));
    EXPECT_EQ(carried, points);
    row.Add(points);
  }
  const std::string line = fmt::format("{}\t{}\t{}", GetParam(), operations_.size(), row.Text());
  if (std::getenv("NIMBUS_PRINT_DIGESTS") != nullptr) {
    std::printf("%s\n", line.c_str());
    return;
  }
  EXPECT_EQ(line, RowOnRecord(GetParam()));
}

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
    // To every one of them, in any order, and back by one.
    std::vector<size_t> places(order.size());
    std::iota(places.begin(), places.end(), size_t{0});
    std::shuffle(places.begin(), places.end(), std::mt19937_64(random_.seed()));
    for (const size_t i : places) {
      NIMBUS_ASSERT_OK(stepper.GoTo({.kind = Point::Kind::kStep, .step = order[i]}));
      ASSERT_EQ(stepper.state().Digest(), digests[i]) << order[i];
      if (i == 0 || i % 8 != 0) continue;
      ASSERT_THAT(stepper.Previous(), test::IsOkAndHolds(true));
      ASSERT_EQ(stepper.state().Digest(), digests[i - 1]) << "back from " << order[i];
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
      const size_t on = ended.size() <= kStepsToTheEnd ? ended.size() : kStepsOn;
      const uint32_t to = ended[std::min(i + on, ended.size() - 1)];
      const absl::StatusOr<replay::ReplayReport> report =
          replay::ReplayOperation(*journal_, operation, {.from_step = ended[i], .to_step = to});
      // Overlapping steps may end in another order than they are numbered.
      if (absl::IsInvalidArgument(report.status())) continue;
      ASSERT_THAT(report, test::IsOk()) << ended[i];
      EXPECT_TRUE(report->holds()) << ended[i] << report->ToJson().Dump();
    }
  }
}

// A fault of each kind at a random place of a random operation.
TEST_P(RecordedReplay, FindsWhatIsPlantedAtExactlyThatStep) {
  if (operations_.empty()) return;
  const Uuid operation = operations_[random_.Below(operations_.size())];
  replay::Planter planter(*journal_, operation, &random_);
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto patch, planter.Patch());
  if (patch.has_value()) ExpectFoundByReplay(&*journal_, *std::move(patch));
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto swap, planter.Swap());
  if (swap.has_value()) ExpectFoundByReplay(&*journal_, *std::move(swap));
  for (const bool with_digest : {false, true}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(auto checkpoint, planter.Checkpoint(with_digest));
    if (checkpoint.has_value()) ExpectFoundByReplay(&*journal_, *std::move(checkpoint));
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto output, planter.Output());
  if (output.has_value()) ExpectFoundByComparison(&*journal_, operation, *std::move(output));
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
