// Every recorded Inspect log, Temporal history, OpenHands stream, Gemini CLI session
// and tau-bench result: claimed by its format, with the counts of an independent
// script, into a journal and back, replayed, grown and damaged.
#include <cmath>
#include <filesystem>
#include <random>

#include "nimbus/replay/verify.h"
#include "nimbus/schema/clock.h"
#include "testing/random.h"
#include "tools/import/damage.h"
#include "tools/import/document_source.h"
#include "tools/import/format.h"
#include "tools/import/recorded.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;
using test::Content;
using test::Facts;
using test::IsOk;
using test::RecordedPath;
using test::TestJournal;

struct RecordedFormat {
  std::string_view directory;
  std::string_view format;
};

constexpr RecordedFormat kFormats[] = {{"inspect-ai", "inspect"},
                                       {"temporal-history", "temporal-history"},
                                       {"openhands-events", "openhands"},
                                       {"gemini-cli-session", "gemini-cli"},
                                       {"tau-bench", "tau-bench"}};

std::vector<std::string> FilesOf(std::string_view directory) {
  std::vector<std::string> files;
  const auto runs = test::FindShared("data/runs");
  if (!runs.has_value()) return files;
  for (const auto& entry : std::filesystem::directory_iterator(*runs / directory))
    files.push_back(std::filesystem::relative(entry.path(), *runs));
  std::sort(files.begin(), files.end());
  return files;
}

// Of all directories, or of one.
std::vector<std::string> RecordedFiles(std::string_view directory = "") {
  std::vector<std::string> files;
  for (const RecordedFormat& format : kFormats) {
    if (!directory.empty() && format.directory != directory) continue;
    for (const std::string& file : FilesOf(format.directory)) {
      if (test::IsRecording(file)) files.push_back(file);
    }
  }
  return files;
}

class RecordedFormatTest : public ::testing::TestWithParam<std::string> {
 protected:
  std::string path() const { return RecordedPath(GetParam()); }

  std::string_view format() const {
    if (GetParam().ends_with("output.jsonl")) return "openhands-output";
    for (const RecordedFormat& format : kFormats) {
      if (GetParam().starts_with(format.directory)) return format.format;
    }
    return "";
  }

  Source ReadRecorded() const {
    absl::StatusOr<Source> source = ReadSource(path(), {});
    EXPECT_THAT(source, IsOk());
    return source.ok() ? *std::move(source) : Source();
  }

  Recording ReadRun(const Source& source) const {
    absl::StatusOr<Recording> run = DetectFormat(source)->read(source);
    EXPECT_THAT(run, IsOk());
    return run.ok() ? *std::move(run) : Recording();
  }

  Facts facts() const {
    const auto rows = test::ReadFacts({GetParam()});
    const auto at = rows.find(GetParam());
    return at == rows.end() ? Facts() : at->second;
  }
};

class RecordedInspectTest : public RecordedFormatTest {};
class RecordedTemporalTest : public RecordedFormatTest {};

INSTANTIATE_TEST_SUITE_P(All, RecordedFormatTest, ::testing::ValuesIn(RecordedFiles()),
                         test::FileTestName);
INSTANTIATE_TEST_SUITE_P(All, RecordedInspectTest, ::testing::ValuesIn(RecordedFiles("inspect-ai")),
                         test::FileTestName);
INSTANTIATE_TEST_SUITE_P(All, RecordedTemporalTest,
                         ::testing::ValuesIn(RecordedFiles("temporal-history")),
                         test::FileTestName);
// Without the shared data there are no files.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RecordedFormatTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RecordedInspectTest);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RecordedTemporalTest);

TEST_P(RecordedFormatTest, IsClaimedByItsOwnFormatOnly) {
  const Source source = ReadRecorded();
  for (const Format& other : Formats())
    EXPECT_EQ(other.detect(source), other.name == format()) << other.name;
  const Recording run = ReadRun(source);
  EXPECT_EQ(run.format, format());
  ExpectSound(run);
  EXPECT_THAT(ValidateRun(run, source.records.size()), IsOk());
}

// ---- Counts

void ExpectFact(const Facts& facts, const std::string& column, uint64_t count) {
  const auto at = facts.find(column);
  if (at == facts.end() || at->second.empty()) return;  // not counted for this format
  EXPECT_EQ(std::to_string(count), at->second) << column;
}

// The script counts the events of `events`; logs of before November 2024 have
// theirs in `transcript.events`, which are steps as well.
bool HasTranscript(const Source& source) {
  const Json* samples = source.records[0].value.Find("samples");
  return samples != nullptr && samples->array()[0].Find("transcript") != nullptr;
}

TEST_P(RecordedFormatTest, HasTheCountsOfItsFacts) {
  const Source source = ReadRecorded();
  const Recording run = ReadRun(source);
  const Facts expected = facts();
  const Counts counts = CountRun(run);
  ExpectFact(expected, "runs", counts.operations);
  ExpectFact(expected, "user_inputs", counts.user_inputs);
  ExpectFact(expected, "input_tokens", counts.usage.input.value_or(0));
  ExpectFact(expected, "output_tokens", counts.usage.output.value_or(0));
  if (format() == "temporal-history") return;  // below
  if (format() == "inspect" && HasTranscript(source)) {
    EXPECT_EQ(expected.at("llm_calls"), "0");
    EXPECT_EQ(counts.llm_calls, 1u);
    EXPECT_EQ(counts.verifications, 1u);
    return;
  }
  ExpectFact(expected, "llm_calls", counts.llm_calls);
  ExpectFact(expected, "tool_calls", counts.tool_calls);
  ExpectFact(expected, "tool_results", counts.tool_results);
  ExpectFact(expected, "verifications", counts.verifications);
}

// The script counts activities whether they call the model or not, and as errors
// only ActivityTaskFailed, not what timed out or got no result.
TEST_P(RecordedTemporalTest, HasTheActivitiesAndTheEndOfItsFacts) {
  const Source source = ReadRecorded();
  const Recording run = ReadRun(source);
  const Facts expected = facts();
  const Counts counts = CountRun(run);
  const Operation& operation = run.sessions.at(0).operations.at(0);
  ExpectFact(expected, "tool_calls", counts.llm_calls + counts.tool_calls);
  uint64_t results = 0, failed = 0;
  for (const Step& step : operation.steps) {
    if (step.type == StepType::user_input) continue;
    results += step.status == Lifecycle::kCompleted;
    failed += step.status == Lifecycle::kFailed && step.error != "activity timeout";
  }
  ExpectFact(expected, "tool_results", results);
  ExpectFact(expected, "tool_errors", failed);
  const std::map<std::string, Lifecycle> ends = {
      {"workflowexecutioncompleted", Lifecycle::kCompleted},
      {"workflowexecutionfailed", Lifecycle::kFailed},
      {"workflowexecutioncanceled", Lifecycle::kCancelled},
      {"open", Lifecycle::kRunning}};
  EXPECT_EQ(operation.status, ends.at(expected.at("status")));
  EXPECT_EQ(operation.created_at_us, schema::ParseUtc(expected.at("first")));
  if (operation.status == Lifecycle::kRunning) return;
  EXPECT_EQ(operation.ended_at_us, schema::ParseUtc(expected.at("last")));
  const Json* markers = nullptr;
  const Json output = *Json::Parse(operation.output);
  if ((markers = output.Find("markers")) != nullptr)
    ExpectFact(expected, "state_changes", markers->array().size());
}

// The kinds of a history's events, each with the earlier ones that it names.
std::vector<std::string> Skeleton(const std::string& name) {
  std::vector<std::string> skeleton;
  const auto source = ReadSource(RecordedPath("temporal-history/" + name), {});
  EXPECT_THAT(source, IsOk());
  if (!source.ok()) return skeleton;
  for (const Json& event : source->records[0].value.Find("events")->array()) {
    std::string line;
    for (const auto& [member, attributes] : event.object()) {
      if (!member.ends_with("EventAttributes")) continue;
      line = member;
      for (const auto& [key, value] : attributes.object()) {
        if (key.ends_with("EventId")) line += " " + key + "=" + value.string();
      }
    }
    skeleton.push_back(std::move(line));
  }
  return skeleton;
}

// Two of the histories that their SDK's replayer refuses have event for event what one
// has that it accepts: no rule about histories tells them apart (docs/traces.md).
TEST(RecordedTemporal, TheBadDifferFromTheGoodByTheirCodeAlone) {
  NIMBUS_SHARED_OR_SKIP(runs, "data/runs/temporal-history");
  const auto good = Skeleton("sdk-go-selector-blocking-default.json");
  EXPECT_EQ(good.size(), 5u);
  EXPECT_EQ(Skeleton("sdk-go-bad-local-activity.json"), good);
  EXPECT_EQ(Skeleton("sdk-go-bad-continue-as-new-2.json"), good);
  EXPECT_EQ(Skeleton("sdk-go-bad-empty-workflow.json"), Skeleton("sdk-go-bad-history-2.json"));
}

TEST_P(RecordedInspectTest, HasTheTimesOfItsFacts) {
  const Recording run = ReadRun(ReadRecorded());
  const Facts expected = facts();
  EXPECT_EQ(run.sessions.at(0).started_at_us, schema::ParseUtc(expected.at("first")));
  EXPECT_EQ(run.sessions.at(0).context.StringOr("completed_at"), expected.at("last"));
  EXPECT_EQ(run.sessions.at(0).context.StringOr("status"), expected.at("status"));
}

// ---- Journal

TEST_P(RecordedFormatTest, ComesBackByteForByteAndOnlyOnce) {
  TestJournal journal;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportFile(*journal, path(), {}));
  const Source source = ReadRecorded();
  std::vector<std::string> expected, exported;
  for (const SourceRecord& record : source.records) expected.emplace_back(record.text);
  const auto sink = [&](uint64_t, std::string_view text) {
    exported.emplace_back(text);
    return absl::OkStatus();
  };
  EXPECT_THAT(ExportOriginal(*journal, report.source, sink), test::IsOkAndHolds(expected.size()));
  EXPECT_EQ(exported, expected);
  if (source.archive) {
    EXPECT_EQ(exported.at(0), *test::ReadFile(path()));
  }
  const Content content = journal.ReadAll();
  EXPECT_EQ(content.operations.size(), report.counts.operations);
  const auto size = journal->Size();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport again, ImportFile(*journal, path(), {}));
  EXPECT_EQ(again.events, 0u);
  EXPECT_EQ(journal->Size(), size);
}

TEST_P(RecordedFormatTest, ReplaysFromItsStartAndEveryCheckpoint) {
  TestJournal journal;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportFile(*journal, path(), {}));
  for (const schema::Uuid& id : report.operations) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(replay::Session session, replay::Session::Open(*journal, id));
    std::vector<std::optional<schema::Uuid>> starts = {std::nullopt};
    NIMBUS_ASSERT_OK(session.ForEachPoint([](const replay::StepInfo&) { return absl::OkStatus(); },
                                          [&](const replay::CheckpointInfo& checkpoint) {
                                            starts.emplace_back(checkpoint.id);
                                            return absl::OkStatus();
                                          }));
    std::optional<schema::Digest> digest;
    for (const auto& start : starts) {
      // A step that runs has no state after it.
      const bool open = session.status() == Lifecycle::kRunning;
      replay::ReplayRange range{.from_checkpoint = start};
      if (open) range.to_step = 0;
      if (open && start) continue;
      NIMBUS_ASSERT_OK_AND_ASSIGN(const replay::ReplayReport replayed,
                                  replay::ReplayOperation(*journal, id, range));
      EXPECT_TRUE(replayed.holds()) << replayed.divergence->ToString();
      EXPECT_GT(replayed.digests_compared, 0u);
      if (!digest) digest = replayed.digest;
      EXPECT_EQ(replayed.digest, digest);
    }
  }
}

// The state after the last step is the one that the sample ends with.
TEST_P(RecordedInspectTest, EndsInTheStateThatALogRecords) {
  TestJournal journal;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportFile(*journal, path(), {}));
  const bool edited = GetParam().find("T20-28-13") != std::string::npos;
  EXPECT_EQ(report.notes.empty(), !edited) << ::testing::PrintToString(report.notes);
  if (edited) {
    EXPECT_THAT(report.notes.at(0), ::testing::HasSubstr("samples[0].metadata/nested"));
  }
  const Source source = ReadRecorded();
  std::vector<const Json*> samples;
  if (source.archive) {
    for (const auto& [name, value] : source.records[0].value.object()) {
      if (name.starts_with("samples/")) samples.push_back(&value);
    }
  } else {
    for (const Json& sample : source.records[0].value.Find("samples")->array())
      samples.push_back(&sample);
  }
  const Content content = journal.ReadAll();
  ASSERT_EQ(samples.size(), report.operations.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto& operation = content.operations.at(report.operations[i].ToString());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Json state, Json::Parse(operation.state));
    for (const std::string_view key : {"messages", "output", "store"}) {
      const Json* recorded = samples[i]->Find(key);
      if (recorded == nullptr || recorded->Dump().find("attachment://") != std::string::npos)
        continue;
      ASSERT_NE(state.Find(key), nullptr) << key;
      EXPECT_EQ(*state.Find(key), *recorded) << key;
    }
  }
}

// ---- Growth

// The first `count` of what the source is a list of; nullopt when it has fewer.
std::optional<Source> Beginning(const Source& source, std::string_view format, size_t count) {
  Json value = source.records[0].value;
  Json* list = &value;
  if (format == "inspect") list = source.archive ? nullptr : value.Find("samples");
  if (format == "temporal-history") list = value.Find("events");
  if (format == "gemini-cli") list = value.Find("messages");
  if (list == nullptr || !list->IsArray() || count >= list->array().size()) return std::nullopt;
  list->array().resize(count);
  auto beginning = ParseSource(source.name, value.Dump(), {});
  EXPECT_THAT(beginning, IsOk());
  if (!beginning.ok()) return std::nullopt;
  return *std::move(beginning);
}

TEST_P(RecordedFormatTest, GrowsToTheSameContent) {
  const Source source = ReadRecorded();
  TestJournal whole;
  NIMBUS_ASSERT_OK(ImportSource(*whole, source, {}));
  const Content expected = whole.ReadAll();
  for (size_t count = 1;; count += 1 + count / 3) {
    const std::optional<Source> beginning = Beginning(source, format(), count);
    if (!beginning) break;
    const Format* detected = DetectFormat(*beginning);
    ASSERT_NE(detected, nullptr) << count;
    // A stream without an action of the agent has no key yet that stays; a history
    // up to where it was reset is that of the run before.
    if (ReadRun(*beginning).key != ReadRun(source).key) continue;
    TestJournal grown;
    NIMBUS_ASSERT_OK(ImportSource(*grown, *beginning, {}));
    NIMBUS_ASSERT_OK(ImportSource(*grown, source, {}));
    const Content content = grown.ReadAll();
    EXPECT_EQ(content.operations, expected.operations) << count << "\n"
                                                       << Differences(expected, content);
  }
}

// ---- Damage

TEST_P(RecordedFormatTest, DamagedIsReadSoundlyOrRefusedByName) {
  constexpr int kRounds = 60;
  int read = 0, refused = 0;
  const auto seed = static_cast<unsigned>(test::MakeSeed());
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round);
    std::mt19937_64 random(seed + static_cast<unsigned>(round));
    Source source = ReadRecorded();
    for (uint64_t i = 0; i <= random() % 3; ++i) {
      Damage(&source.records[random() % source.records.size()].value, &random);
    }
    const Format* detected = DetectFormat(source);
    if (detected == nullptr) {
      ++refused;
      continue;
    }
    EXPECT_EQ(detected->name, format());
    const absl::StatusOr<Recording> run = detected->read(source);
    const absl::Status status = run.ok() ? ValidateRun(*run, source.records.size()) : run.status();
    if (status.ok()) {
      ++read;
      ExpectSound(*run);
      TestJournal journal;
      EXPECT_THAT(ImportSource(*journal, source, {}), IsOk());
    } else {
      ++refused;
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(status.message()), ::testing::Not(::testing::IsEmpty()));
    }
  }
  EXPECT_GT(read + refused, 0);
}

TEST(RecordedFormats, RefuseWhatIsNoRecording) {
  NIMBUS_SHARED_OR_SKIP(runs, "data/runs");
  for (const std::string_view file : test::kNoRecordings) {
    TestJournal journal;
    EXPECT_THAT(ImportFile(*journal, (runs / file).string(), {}),
                test::StatusIs(absl::StatusCode::kInvalidArgument,
                               ::testing::HasSubstr("of no known format")))
        << file;
  }
}

TEST(RecordedFormats, AreAtMostOneForAnyFile) {
  NIMBUS_SHARED_OR_SKIP(runs, "data/runs");
  size_t claimed = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(runs)) {
    if (!entry.is_regular_file()) continue;
    const auto source = ReadSource(entry.path().string(), {.keep_going = true});
    if (!source.ok()) continue;
    size_t formats = 0;
    for (const Format& format : Formats()) formats += format.detect(*source);
    EXPECT_LE(formats, 1u) << entry.path();
    claimed += formats;
  }
  EXPECT_GT(claimed, 140u);
}

}  // namespace
}  // namespace nimbus::tools::import
