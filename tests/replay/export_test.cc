#include "nimbus/replay/export.h"

#include <sstream>

#include "replay/fixture.h"

namespace nimbus::replay {
namespace {

class ExportTest : public ReplayTest {
 protected:
  std::string Exported(const ExportOptions& options) {
    std::string text;
    const auto sink = [&](std::string_view part) {
      text += part;
      return absl::OkStatus();
    };
    EXPECT_THAT(ExportOperation(*journal_, operation_, options, sink), IsOk());
    return text;
  }

  absl::Status Refusal(const ExportOptions& options) {
    return ExportOperation(*journal_, operation_, options,
                           [](std::string_view) { return absl::OkStatus(); });
  }

  Json Document(const ExportOptions& options = {}) {
    const absl::StatusOr<Json> document = Json::Parse(Exported(options));
    EXPECT_THAT(document, IsOk());
    return document.value_or(Json());
  }
};

TEST_F(ExportTest, ADocumentHoldsWhatIsNeededToReplayIt) {
  Record(30);
  auto end = journal::OperationEvent<schema::fb::OperationCompletedT>(operation_, R"({"n":1.50})");
  Append(std::move(end));
  const Json document = Document();
  const Json& operation = *document.Find("operation");
  EXPECT_EQ(operation.StringOr("id"), operation_.ToString());
  EXPECT_EQ(operation.StringOr("status"), "completed");
  EXPECT_EQ(operation.Find("output")->Dump(), R"({"n":1.50})");
  EXPECT_EQ(operation.Find("input")->Dump(), R"({"prompt":"deploy it"})");
  const Json::Array& steps = document.Find("steps")->array();
  ASSERT_EQ(steps.size(), 30u);
  Json state = *operation.Find("state");
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].Find("step_number")->AsInt(), static_cast<int64_t>(i + 1));
    ASSERT_THAT(ApplyPatch(*steps[i].Find("patch"), &state), IsOk());
    EXPECT_EQ(state, states_[i]);
    EXPECT_EQ(steps[i].StringOr("digest"), schema::ToHex(schema::StateDigest(state)));
    EXPECT_EQ(steps[i].StringOr("status"), "completed");
  }
  const Json::Array& checkpoints = document.Find("checkpoints")->array();
  ASSERT_EQ(checkpoints.size(), checkpoints_.size());
  const auto step = static_cast<size_t>(*checkpoints[0].Find("step_number")->AsInt());
  EXPECT_EQ(*checkpoints[0].Find("state"), states_[step - 1]);
}

TEST_F(ExportTest, LinesAreTheSameInTheOrderOfTheJournal) {
  Record(30);
  const Json document = Document();
  std::stringstream lines(Exported({.lines = true}));
  std::vector<Json> steps, checkpoints;
  int64_t last = 0;
  for (std::string line; std::getline(lines, line);) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Json json, Json::Parse(line));
    const std::string kind(json.StringOr("record"));
    json.Erase("record");
    const Json* sequence = json.Find(kind == "checkpoint" ? "sequence" : "added");
    if (sequence != nullptr) {
      EXPECT_GT(*sequence->AsInt(), last);
      last = *sequence->AsInt();
    }
    if (kind == "operation") {
      EXPECT_EQ(json, *document.Find("operation"));
    }
    if (kind == "step") steps.push_back(std::move(json));
    if (kind == "checkpoint") checkpoints.push_back(std::move(json));
  }
  EXPECT_EQ(Json::MakeArray(std::move(steps)), *document.Find("steps"));
  EXPECT_EQ(Json::MakeArray(std::move(checkpoints)), *document.Find("checkpoints"));
}

TEST_F(ExportTest, TakesARangeOfSteps) {
  Record(30);
  const Json document = Document({.from_step = 5, .to_step = 9});
  const Json::Array& steps = document.Find("steps")->array();
  ASSERT_EQ(steps.size(), 5u);
  EXPECT_EQ(steps[0].Find("step_number")->AsInt(), 5);
  EXPECT_EQ(Document({.from_step = 30}).Find("steps")->array().size(), 1u);
  EXPECT_THAT(Refusal({.from_step = 31}), StatusIs(Code::kNotFound, HasSubstr("30 steps")));
  EXPECT_THAT(Refusal({.to_step = 31}), StatusIs(Code::kNotFound));
  EXPECT_THAT(Refusal({.from_step = 9, .to_step = 5}), StatusIs(Code::kInvalidArgument));
}

TEST_F(ExportTest, ExportsWhatIsUnderWayOrEmpty) {
  Begin();
  EXPECT_EQ(Document().Find("operation")->StringOr("status"), "pending");
  EXPECT_TRUE(Document().Find("steps")->array().empty());
  AddStep();
  const Json document = Document();
  EXPECT_EQ(document.Find("steps")->array()[0].StringOr("status"), "running");
  EXPECT_TRUE(document.Find("steps")->array()[0].Find("ended")->IsNull());
}

TEST_F(ExportTest, EndsWithTheErrorOfItsSink) {
  Record(3);
  int parts = 0;
  const auto full = [&](std::string_view) {
    return ++parts < 3 ? absl::OkStatus() : absl::UnavailableError("full");
  };
  EXPECT_THAT(ExportOperation(*journal_, operation_, {}, full), StatusIs(Code::kUnavailable));
  EXPECT_EQ(parts, 3);
  EXPECT_THAT(ExportOperation(*journal_, session_, {}, full), StatusIs(Code::kNotFound));
}

}  // namespace
}  // namespace nimbus::replay
