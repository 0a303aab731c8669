// The readers of one-document formats against recorded runs: counts as an
// independent script found them (FACTS.tsv), snapshots of growing runs, and
// documents damaged in every way a seed can think of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <sstream>

#include "testing/files.h"
#include "testing/status_matchers.h"
#include "tools/import/damage.h"
#include "tools/import/document_source.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;
using test::StatusIs;
using ::testing::IsEmpty;
using ::testing::Not;

struct Reader {
  std::string_view directory;
  bool (*detect)(const Source&);
  absl::StatusOr<Recording> (*read)(const Source&);
};

constexpr Reader kReaders[] = {
    {"sregym-trace", IsSregymTrace, ReadSregymTrace},
    {"swe-agent-traj", IsSweAgent, ReadSweAgent},
    {"mini-swe-agent", IsMiniSweAgent, ReadMiniSweAgent},
    {"atif", IsAtif, ReadAtif},
};

using Facts = std::map<std::string, std::string>;  // column -> value, empty when not counted

std::vector<std::string> SplitTabs(const std::string& line) {
  std::vector<std::string> cells;
  std::stringstream stream(line);
  for (std::string cell; std::getline(stream, cell, '\t');) cells.push_back(cell);
  return cells;
}

// The rows of FACTS.tsv, by file.
std::map<std::string, Facts> ReadFacts(const std::filesystem::path& runs) {
  std::map<std::string, Facts> rows;
  std::stringstream text(test::ReadFile(runs / "FACTS.tsv").value_or(""));
  std::string line;
  std::getline(text, line);
  const std::vector<std::string> columns = SplitTabs(line);
  while (std::getline(text, line)) {
    const std::vector<std::string> cells = SplitTabs(line);
    Facts& facts = rows[cells.at(0)];
    for (size_t i = 1; i < columns.size(); ++i)
      facts[columns[i]] = i < cells.size() ? cells[i] : "";
  }
  return rows;
}

const Reader* ReaderOf(const std::string& file) {
  for (const Reader& reader : kReaders) {
    if (file.starts_with(std::string(reader.directory) + "/")) return &reader;
  }
  return nullptr;
}

// Every recorded file of these formats, with its reader.
std::map<std::string, const Reader*> RecordedFiles() {
  std::map<std::string, const Reader*> files;
  const auto runs = test::FindShared("data/runs");
  if (!runs.has_value()) return files;
  for (const auto& [file, facts] : ReadFacts(*runs)) {
    if (const Reader* reader = ReaderOf(file)) files[file] = reader;
  }
  return files;
}

std::vector<std::string> RecordedNames() {
  std::vector<std::string> names;
  for (const auto& [file, reader] : RecordedFiles()) names.push_back(file);
  return names;
}

Json ParseRecorded(const std::string& file) {
  const auto runs = test::FindShared("data/runs");
  absl::StatusOr<Json> document = Json::Parse(test::ReadFile(*runs / file).value_or(""));
  EXPECT_TRUE(document.ok()) << document.status().ToString();
  return document.ok() ? *std::move(document) : Json();
}

class RecordedRun : public ::testing::TestWithParam<std::string> {
 protected:
  const Reader& reader() const { return *ReaderOf(GetParam()); }

  Recording ReadRun() const {
    const Source source = SourceOf(GetParam(), ParseRecorded(GetParam()));
    EXPECT_TRUE(reader().detect(source));
    absl::StatusOr<Recording> run = reader().read(source);
    EXPECT_TRUE(run.ok()) << run.status().ToString();
    return run.ok() ? *std::move(run) : Recording();
  }

  Facts facts() const { return ReadFacts(*test::FindShared("data/runs"))[GetParam()]; }
};

std::string TestName(const ::testing::TestParamInfo<std::string>& file) {
  std::string name;
  for (const char c : file.param) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, RecordedRun, ::testing::ValuesIn(RecordedNames()), TestName);
// Without the shared data there are no files.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RecordedRun);

void ExpectCount(const Facts& facts, const std::string& column, uint64_t count) {
  const std::string& expected = facts.at(column);
  if (expected.empty()) return;  // not counted for this format
  EXPECT_EQ(std::to_string(count), expected) << column;
}

size_t CountFailedTools(const Recording& run) {
  size_t count = 0;
  for (const Step& step : run.sessions.at(0).operations.at(0).steps) {
    count += step.type == StepType::tool_call && step.status == Lifecycle::kFailed;
  }
  return count;
}

TEST_P(RecordedRun, HasTheCountsOfItsFacts) {
  const Recording run = ReadRun();
  ExpectSound(run);
  const Facts expected = facts();
  ASSERT_EQ(run.sessions.size(), 1u);
  ExpectCount(expected, "runs", run.sessions[0].operations.size());
  ExpectCount(expected, "llm_calls", CountSteps(run, StepType::llm_call));
  ExpectCount(expected, "tool_calls", CountSteps(run, StepType::tool_call));
  ExpectCount(expected, "verifications", CountSteps(run, StepType::verification));
  ExpectCount(expected, "tool_errors", CountFailedTools(run));
}

TEST_P(RecordedRun, HasTheTokensAndTheCostOfItsFacts) {
  const Recording run = ReadRun();
  const Facts expected = facts();
  const Usage& usage = run.sessions.at(0).operations.at(0).usage;
  EXPECT_EQ(usage.input.has_value(), !expected.at("input_tokens").empty());
  EXPECT_EQ(usage.cost_microdollars.has_value(), !expected.at("cost_usd").empty());
  ExpectCount(expected, "input_tokens", usage.input.value_or(0));
  ExpectCount(expected, "output_tokens", usage.output.value_or(0));
  if (!usage.cost_microdollars.has_value()) return;
  EXPECT_EQ(*usage.cost_microdollars, std::llround(std::stod(expected.at("cost_usd")) * 1e6));
  int64_t steps = 0;
  bool any = false;
  for (const Step& step : run.sessions[0].operations[0].steps) {
    steps += step.usage.cost_microdollars.value_or(0);
    any = any || step.usage.cost_microdollars.has_value();
  }
  if (any) {
    EXPECT_EQ(steps, *usage.cost_microdollars);
  }
}

TEST_P(RecordedRun, HasTheStatusAndTheTimesOfItsFacts) {
  const Recording run = ReadRun();
  const Facts expected = facts();
  const Operation& operation = run.sessions.at(0).operations.at(0);
  const bool failed = expected.at("status") == "failed";
  EXPECT_EQ(operation.status, failed ? Lifecycle::kFailed : Lifecycle::kCompleted);
  EXPECT_FALSE(operation.output.empty());
  if (expected.at("first").empty()) return;
  // A double holds these times to a quarter of a microsecond.
  const auto micros = [](const std::string& seconds) { return std::stod(seconds) * 1e6; };
  ASSERT_TRUE(operation.created_at_us.has_value() && operation.ended_at_us.has_value());
  EXPECT_NEAR(static_cast<double>(*operation.created_at_us), micros(expected.at("first")), 1.5);
  EXPECT_NEAR(static_cast<double>(*operation.ended_at_us), micros(expected.at("last")), 1.5);
}

TEST_P(RecordedRun, IsClaimedByItsOwnFormatOnly) {
  const Source source = SourceOf(GetParam(), ParseRecorded(GetParam()));
  for (const Reader& other : kReaders) {
    EXPECT_EQ(other.detect(source), &other == &reader()) << other.directory;
  }
  const Format* format = DetectFormat(source);
  ASSERT_NE(format, nullptr);
  EXPECT_EQ(ReadRun().format, format->name);
  EXPECT_EQ(format->shape, Source::Shape::kDocument);
}

TEST_P(RecordedRun, ReadsTheSameTwice) {
  const Recording a = ReadRun(), b = ReadRun();
  EXPECT_EQ(a.key, b.key);
  ASSERT_EQ(a.sessions[0].operations[0].steps.size(), b.sessions[0].operations[0].steps.size());
  EXPECT_EQ(MessagesOf(a.sessions[0].operations[0]), MessagesOf(b.sessions[0].operations[0]));
  EXPECT_EQ(a.sessions[0].context, b.sessions[0].context);
}

TEST(RecordedRuns, HaveKeysOfTheirOwn) {
  std::map<std::string, std::string> keys;
  for (const auto& [file, reader] : RecordedFiles()) {
    const absl::StatusOr<Recording> run = reader->read(SourceOf(file, ParseRecorded(file)));
    ASSERT_THAT(run, test::IsOk()) << file;
    const auto [other, is_new] = keys.emplace(run->format + run->key, file);
    EXPECT_TRUE(is_new) << file << " has the key of " << other->second;
  }
  if (keys.empty()) GTEST_SKIP() << "no data/runs in the shared directory; set NIMBUS_SHARED";
}

TEST(RecordedRuns, OfOtherFormatsAreNotClaimed) {
  NIMBUS_SHARED_OR_SKIP(runs, "data/runs");
  size_t documents = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(runs)) {
    const std::string file = std::filesystem::relative(entry.path(), runs);
    if (!entry.is_regular_file() || ReaderOf(file) != nullptr) continue;
    absl::StatusOr<Json> document = Json::Parse(test::ReadFile(entry.path()).value_or(""));
    if (!document.ok()) continue;  // lines, or an archive
    ++documents;
    const Source source = SourceOf(file, *std::move(document));
    for (const Reader& reader : kReaders) {
      EXPECT_FALSE(reader.detect(source)) << file << " claimed as " << reader.directory;
    }
  }
  EXPECT_GT(documents, 50u);
}

TEST(RecordedRuns, CutOffAnywhereAreNoJson) {
  std::mt19937_64 random(1);
  size_t cuts = 0;
  for (const auto& [file, reader] : RecordedFiles()) {
    const auto runs = test::FindShared("data/runs");
    const std::string text = test::ReadFile(*runs / file).value_or("");
    const size_t end = text.find_last_not_of(" \n");
    for (int i = 0; i < 5; ++i, ++cuts) {
      const size_t size = random() % end;
      const absl::StatusOr<Json> parsed = Json::Parse(std::string_view(text).substr(0, size));
      EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kInvalidArgument)) << file << " at " << size;
    }
  }
  if (cuts == 0) GTEST_SKIP() << "no data/runs in the shared directory; set NIMBUS_SHARED";
}

TEST_P(RecordedRun, DamagedIsReadSoundlyOrRefusedByName) {
  const Json original = ParseRecorded(GetParam());
  constexpr int kRounds = 80;
  int read = 0, refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << round);
    std::mt19937_64 random(static_cast<uint64_t>(round));
    Json damaged = original;
    const uint64_t times = 1 + random() % 3;
    for (uint64_t i = 0; i < times; ++i) Damage(&damaged, &random);
    const Source source = SourceOf(GetParam(), std::move(damaged));
    if (!reader().detect(source)) {
      ++refused;
      continue;
    }
    const absl::StatusOr<Recording> run = reader().read(source);
    if (run.ok()) {
      ++read;
      ExpectSound(*run);
    } else {
      ++refused;
      EXPECT_EQ(run.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(run.status().message()), Not(IsEmpty()));
    }
  }
  EXPECT_GT(read, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace nimbus::tools::import
