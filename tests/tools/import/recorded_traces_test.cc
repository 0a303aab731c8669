// Recorded traces in all their dialects, against FACTS.tsv where that counts
// calls, and against what the mapping says where it counts spans.
#include <random>

#include "tools/import/damage.h"
#include "tools/import/format.h"
#include "tools/import/recorded.h"

namespace nimbus::tools::import {
namespace {

using test::Facts;
using test::RecordedPath;
using test::StatusIs;

// The facts were counted span by span, by gen_ai.operation.name and
// gen_ai.usage.*. The mapping counts calls: nested spans of one call once, calls
// without an operation name as well, and OpenInference's words.
struct Correction {
  std::string_view file, column, value;
};
constexpr Correction kCorrections[] = {
    // call_llm, which names no operation, is a call; openai.chat inside is the same.
    {"kagent-helm.jaeger.json", "llm_calls", "2"},
    {"kagent-helm_2.jaeger.json", "llm_calls", "1"},
    // Each call is seen three times: call_llm, generate_content, openai.chat.
    {"kagent-helm.tempo.json", "input_tokens", "4648"},
    {"kagent-helm.tempo.json", "output_tokens", "129"},
    // Twice: call_llm and generate_content.
    {"strands-adk_live_spans.json", "input_tokens", "379"},
    {"strands-adk_live_spans.json", "output_tokens", "84"},
    // OpenInference: six spans of kind TOOL, the tokens with the agent.
    {"strands-claude_live_spans.json", "tool_calls", "6"},
    {"strands-claude_live_spans.json", "input_tokens", "132"},
    {"strands-claude_live_spans.json", "output_tokens", "850"},
};

std::string Expected(const std::string& file, const std::string& column, const Facts& facts) {
  for (const Correction& correction : kCorrections) {
    if (file.ends_with("/" + std::string(correction.file)) && column == correction.column)
      return std::string(correction.value);
  }
  return facts.at(column);
}

class RecordedTraces : public ::testing::TestWithParam<std::string> {
 protected:
  absl::StatusOr<Source> ReadFile() const { return ReadSource(RecordedPath(GetParam()), {}); }
};

INSTANTIATE_TEST_SUITE_P(All, RecordedTraces,
                         ::testing::ValuesIn(test::RecordedNames({"otel-genai/"})),
                         test::FileTestName);
// Without the shared data there are no files.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RecordedTraces);

TEST_P(RecordedTraces, HaveTheCountsOfTheirFacts) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Source source, ReadFile());
  const Format* format = DetectFormat(source);
  ASSERT_NE(format, nullptr);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto run, format->read(source));
  const Facts facts = test::ReadFacts({GetParam()}).at(GetParam());
  const Counts counts = CountRun(run);
  const auto expect = [&](const std::string& column, uint64_t count) {
    EXPECT_EQ(std::to_string(count), Expected(GetParam(), column, facts)) << column;
  };
  expect("runs", counts.sessions);
  expect("llm_calls", counts.llm_calls);
  expect("tool_calls", counts.tool_calls);
  expect("input_tokens", counts.usage.input.value_or(0));
  expect("output_tokens", counts.usage.output.value_or(0));
}

TEST_P(RecordedTraces, HaveAllTheirTimes) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Source source, ReadFile());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto run, DetectFormat(source)->read(source));
  for (const Session& session : run.sessions) {
    for (const Operation& operation : session.operations) {
      EXPECT_TRUE(journal::IsFinal(operation.status)) << operation.source_id;
      EXPECT_TRUE(operation.created_at_us && operation.ended_at_us && operation.duration_ms);
      for (const Step& step : operation.steps) {
        ASSERT_TRUE(step.started_at_us && step.ended_at_us && step.duration_ms) << step.source_id;
        EXPECT_LE(*operation.created_at_us, *step.started_at_us);
        EXPECT_FALSE(step.input.empty());
        EXPECT_NE(step.source_id.find_first_not_of('0'), std::string::npos);
      }
    }
  }
}

// The document's spans, one a line; none of a Jaeger document, which has no such
// form.
std::vector<std::string> SpanLines(const schema::Json& document) {
  std::vector<std::string> lines;
  const schema::Json* flat = document.IsArray() ? &document : document.Find("spans");
  if (flat != nullptr) {
    for (const schema::Json& span : flat->array()) lines.push_back(span.Dump());
    return lines;
  }
  const schema::Json* batches = document.Find("batches");
  if (batches == nullptr) return lines;
  for (const schema::Json& batch : batches->array()) {
    for (const schema::Json& scope : batch.Find("instrumentationLibrarySpans")->array()) {
      for (const schema::Json& span : scope.Find("spans")->array())
        lines.push_back(R"({"resourceSpans":[{"scopeSpans":[{"spans":[)" + span.Dump() + "]}]}]}");
    }
  }
  return lines;
}

// One span a line, in the order of the file or any other, grows to the same
// content wherever it is cut.
TEST_P(RecordedTraces, GrowToTheSameContentLineByLine) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Source source, ReadFile());
  for (unsigned seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    std::vector<std::string> lines = SpanLines(source.records.front().value);
    EXPECT_EQ(lines.empty(), GetParam().find("jaeger") != std::string::npos ||
                                 GetParam().find("otlp-proto") != std::string::npos);
    if (lines.empty()) return;
    if (seed > 1) std::shuffle(lines.begin(), lines.end(), random);
    test::TestJournal whole, grown;
    for (const auto& [journal, cuts] : {std::pair(&whole, 1u), {&grown, 4u}}) {
      for (unsigned cut = 1; cut <= cuts; ++cut) {
        const size_t count = cut == cuts ? lines.size() : 2 + random() % (lines.size() - 1);
        NIMBUS_ASSERT_OK_AND_ASSIGN(const Source part,
                                    ParseSource("part", test::JoinLines(lines, count), {}));
        NIMBUS_ASSERT_OK(ImportSource(**journal, part, {}));
      }
    }
    const test::Content expected = whole.ReadAll(), content = grown.ReadAll();
    EXPECT_EQ(content, expected) << test::Differences(expected, content);
  }
}

TEST_P(RecordedTraces, DamagedAreImportedOrRefusedByName) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Source source, ReadFile());
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    schema::Json document = source.records.front().value;
    for (int i = 0; i < 3; ++i) Damage(&document, &random);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Source damaged, ParseSource("d", document.Dump(), {}));
    const Format* format = DetectFormat(damaged);
    if (format == nullptr) continue;
    const auto run = format->read(damaged);
    if (run.ok()) {
      NIMBUS_EXPECT_OK(ValidateRun(*run, damaged.records.size()));
    } else {
      EXPECT_THAT(run, StatusIs(absl::StatusCode::kInvalidArgument));
      EXPECT_NE(run.status().message().find(": "), std::string::npos) << run.status().ToString();
    }
  }
}

TEST(RecordedFiles, AreClaimedByOneFormatAtMost) {
  NIMBUS_SHARED_OR_SKIP(runs, "data/runs");
  const std::map<std::string, std::string> formats = {
      {"otel-genai/any-agent", "span-list"}, {"otel-genai/strands", "span-list"},
      {"otel-genai/otlp", "otlp-json"},      {"atif/", "atif"},
      {"holmesgpt-history/", "holmesgpt"},   {"sregym-stratus/", "sregym-stratus"},
      {"aiopslab-session/", "aiopslab"}};
  size_t claimed = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(runs)) {
    if (!entry.is_regular_file()) continue;
    const auto source = ReadSource(entry.path().string(), {.keep_going = true});
    if (!source.ok()) continue;  // an archive, a table
    std::string claims;
    for (const Format& format : Formats()) {
      if (format.detect(*source)) claims += (claims.empty() ? "" : " ") + std::string(format.name);
    }
    EXPECT_EQ(claims.find(' '), std::string::npos) << entry.path() << ": " << claims;
    const std::string file = std::filesystem::relative(entry.path(), runs).string();
    for (const auto& [prefix, format] : formats) {
      if (!file.starts_with(prefix)) continue;
      EXPECT_EQ(claims, format) << file;
      ++claimed;
    }
  }
  EXPECT_EQ(claimed, 15u);
}

TEST(RecordedStratus, HasItsStagesAndGrowsToTheSameContent) {
  NIMBUS_SHARED_OR_SKIP(directory, "data/runs/sregym-stratus");
  const std::string path = std::filesystem::directory_iterator(directory)->path().string();
  test::TestJournal whole;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportFile(*whole, path, {}));
  EXPECT_EQ(report.counts.operations, 3u);
  EXPECT_EQ(report.counts.user_inputs, 3u);
  EXPECT_EQ(report.counts.tool_calls, report.counts.tool_results);
  EXPECT_GT(report.counts.llm_calls, 20u);
  const test::Content expected = whole.ReadAll();
  const std::vector<std::string> lines = test::ReadLines(path);
  test::TestJournal grown;
  for (size_t count = 1; count <= lines.size(); ++count) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Source part,
                                ParseSource("part", test::JoinLines(lines, count), {}));
    NIMBUS_ASSERT_OK(ImportSource(*grown, part, {}));
  }
  const test::Content content = grown.ReadAll();
  EXPECT_EQ(content, expected) << test::Differences(expected, content);
}

// Printed by the very run that claude-code/sregym-k8s-74bfdd52.jsonl is of.
TEST(RecordedClaudeStream, AgreesWithTheSessionFileAndHasItsCost) {
  NIMBUS_SHARED_OR_SKIP(runs, "data/runs");
  const std::string path =
      (runs / "claude-code-stream-json/sregym-k8s-claude-code.stream.jsonl").string();
  test::TestJournal whole, session_file;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport stream, ImportFile(*whole, path, {}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const ImportReport session,
      ImportFile(*session_file, (runs / "claude-code/sregym-k8s-74bfdd52.jsonl").string(), {}));
  EXPECT_EQ(stream.format, "claude-code-stream");
  EXPECT_EQ(stream.counts.operations, 1u);
  EXPECT_EQ(stream.counts.llm_calls, session.counts.llm_calls);
  EXPECT_EQ(stream.counts.tool_calls, session.counts.tool_calls);
  EXPECT_EQ(stream.counts.tool_results, session.counts.tool_results);
  EXPECT_EQ(stream.counts.tool_errors, session.counts.tool_errors);
  EXPECT_EQ(stream.counts.usage.cost_microdollars, 228243);
  EXPECT_EQ(stream.counts.usage.output, 2871u);
  EXPECT_EQ(stream.counts.usage.cache_read, session.counts.usage.cache_read);
  const test::Content expected = whole.ReadAll();
  const std::vector<std::string> lines = test::ReadLines(path);
  test::TestJournal grown;
  for (size_t count = 1; count <= lines.size(); count += 1 + count % 5) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Source part,
                                ParseSource("part", test::JoinLines(lines, count), {}));
    NIMBUS_ASSERT_OK(ImportSource(*grown, part, {}));
  }
  NIMBUS_ASSERT_OK(ImportFile(*grown, path, {}));
  const test::Content content = grown.ReadAll();
  EXPECT_EQ(content, expected) << test::Differences(expected, content);
}

TEST(RecordedStreams, ComeBackLineByLine) {
  for (const std::string& file :
       test::RecordedFiles({"sregym-stratus", "claude-code-stream-json"})) {
    test::TestJournal journal;
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report,
                                ImportFile(*journal, RecordedPath(file), {}));
    std::vector<std::string> exported;
    const auto sink = [&](uint64_t, std::string_view text) {
      exported.emplace_back(text);
      return absl::OkStatus();
    };
    EXPECT_THAT(ExportOriginal(*journal, report.source, sink), test::IsOkAndHolds(report.records));
    EXPECT_EQ(exported, test::ReadLines(RecordedPath(file)));
    EXPECT_GT(journal.ReadAll().digests, report.counts.operations);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport again,
                                ImportFile(*journal, RecordedPath(file), {}));
    EXPECT_EQ(again.events, 0u);
  }
}

TEST(RecordedHolmesGpt, HasAnOperationForEachPrompt) {
  NIMBUS_SHARED_OR_SKIP(directory, "data/runs/holmesgpt-history");
  test::TestJournal journal;
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const ImportReport report,
      ImportFile(*journal, (directory / "001_compaction.json").string(), {}));
  EXPECT_EQ(report.counts.operations, 8u);
  EXPECT_EQ(report.counts.user_inputs, 8u);
  EXPECT_EQ(report.counts.llm_calls, 38u);
  EXPECT_EQ(report.counts.tool_calls, 41u);
  EXPECT_EQ(report.counts.tool_results, 41u);
  EXPECT_FALSE(report.counts.usage.input.has_value());
}

TEST(RecordedAiOpsLab, HasAStepForEachTurn) {
  for (const std::string& file : test::RecordedFiles({"aiopslab-session"})) {
    test::TestJournal journal;
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report,
                                ImportFile(*journal, RecordedPath(file), {}));
    const bool first = file.find("69a5a26c") != std::string::npos;
    EXPECT_EQ(report.counts.llm_calls, first ? 30u : 26u);
    EXPECT_EQ(report.counts.tool_results, first ? 30u : 26u);
    EXPECT_EQ(report.counts.verifications, 1u);
    EXPECT_EQ(report.counts.usage.input, first ? 10954u : 377u);
  }
}

}  // namespace
}  // namespace nimbus::tools::import
