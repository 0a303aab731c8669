// Every recorded Claude Code session and Codex rollout, into a journal and back.
#include <random>

#include "tools/import/recorded.h"

namespace nimbus::tools::import {
namespace {

using test::Content;
using test::Facts;
using test::ReadFacts;
using test::RecordedPath;
using test::TestJournal;
using ::testing::Gt;
using ::testing::IsEmpty;

const std::vector<std::string> kLineFormats = {"claude-code/", "codex-rollout/"};

class RecordedLines : public ::testing::TestWithParam<std::string> {
 protected:
  std::string path() const { return RecordedPath(GetParam()); }
  ImportOptions options() const { return {.source = {.keep_going = true}}; }
};

INSTANTIATE_TEST_SUITE_P(All, RecordedLines, ::testing::ValuesIn(test::RecordedNames(kLineFormats)),
                         test::FileTestName);
// Without the shared data there are no files.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RecordedLines);

void ExpectFact(const Facts& facts, const std::string& column, uint64_t count) {
  const std::string& expected = facts.at(column);
  if (expected.empty()) return;  // not counted for this format
  EXPECT_EQ(std::to_string(count), expected) << column;
}

TEST_P(RecordedLines, HaveTheCountsOfTheirFacts) {
  TestJournal journal;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportFile(*journal, path(), options()));
  const Facts facts = ReadFacts({GetParam()}).at(GetParam());
  const Counts& counts = report.counts;
  ExpectFact(facts, "runs", counts.sessions);
  ExpectFact(facts, "llm_calls", counts.llm_calls);
  ExpectFact(facts, "tool_calls", counts.tool_calls);
  ExpectFact(facts, "tool_results", counts.tool_results);
  ExpectFact(facts, "tool_errors", counts.tool_errors);
  ExpectFact(facts, "user_inputs", counts.user_inputs);
  ExpectFact(facts, "input_tokens", counts.usage.input.value_or(0));
  ExpectFact(facts, "output_tokens", counts.usage.output.value_or(0));
  ExpectFact(facts, "cache_read", counts.usage.cache_read.value_or(0));
  ExpectFact(facts, "cache_write", counts.usage.cache_write.value_or(0));
  ExpectFact(facts, "bad", report.gaps.size());

  // What is journaled is what was counted.
  const Content content = journal.ReadAll();
  EXPECT_EQ(content.sessions.size(), counts.sessions);
  EXPECT_EQ(content.operations.size(), counts.operations);
  uint64_t steps = 0;
  for (const auto& [id, operation] : content.operations) steps += operation.steps.size();
  EXPECT_EQ(steps, counts.steps);
  EXPECT_GT(content.digests, counts.operations);
}

TEST_P(RecordedLines, ComeBackByteForByte) {
  TestJournal journal;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportFile(*journal, path(), options()));
  std::vector<std::string> expected = test::ReadLines(path());
  std::erase_if(expected, [](const std::string& line) { return !schema::ValidateJson(line).ok(); });
  std::vector<std::string> exported;
  const auto sink = [&](uint64_t index, std::string_view text) {
    EXPECT_EQ(index, exported.size());
    exported.emplace_back(text);
    return absl::OkStatus();
  };
  EXPECT_THAT(ExportOriginal(*journal, report.source, sink), test::IsOkAndHolds(report.records));
  EXPECT_EQ(exported, expected);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<SourceInfo> sources, ListSources(*journal));
  ASSERT_EQ(sources.size(), 1u);
  EXPECT_TRUE(sources[0].finished);
  EXPECT_EQ(sources[0].records, report.records);
}

TEST_P(RecordedLines, AddNothingWhenImportedAgain) {
  TestJournal journal;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport first, ImportFile(*journal, path(), options()));
  EXPECT_THAT(first.events, Gt(0u));
  const auto size = journal->Size();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport again, ImportFile(*journal, path(), options()));
  EXPECT_EQ(again.events, 0u);
  EXPECT_EQ(again.records_before, first.records);
  EXPECT_EQ(again.operations, first.operations);
  EXPECT_EQ(journal->Size(), size);
}

// Wherever the file is cut, importing the beginning and then all of it leaves
// what importing all of it leaves.
TEST_P(RecordedLines, GrowToTheSameContent) {
  const std::vector<std::string> lines = test::ReadLines(path());
  TestJournal whole;
  NIMBUS_ASSERT_OK(ImportFile(*whole, path(), options()));
  const Content expected = whole.ReadAll();
  std::mt19937 random(20260106);
  for (int round = 0; round < 4; ++round) {
    TestJournal grown;
    std::string cuts;
    for (size_t count = 0; count < lines.size();) {
      count += 1 + random() % lines.size();
      count = std::min(count, lines.size());
      cuts += " " + std::to_string(count);
      auto source = ParseSource("part.jsonl", test::JoinLines(lines, count), options().source);
      NIMBUS_ASSERT_OK(source);
      // A beginning without a session of its own is not recognised yet.
      const auto report = ImportSource(*grown, *source, options());
      if (report.ok()) continue;
      EXPECT_THAT(report, test::StatusIs(absl::StatusCode::kInvalidArgument));
    }
    const Content content = grown.ReadAll();
    EXPECT_EQ(content, expected) << "cut at" << cuts << "\n" << Differences(expected, content);
  }
}

class RecordedDocuments : public ::testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(All, RecordedDocuments,
                         ::testing::ValuesIn(test::RecordedFiles(
                             {"sregym-trace", "swe-agent-traj", "mini-swe-agent", "otel-genai",
                              "atif", "holmesgpt-history", "aiopslab-session"})),
                         test::FileTestName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RecordedDocuments);

TEST_P(RecordedDocuments, ComeBackByteForByteAndOnlyOnce) {
  TestJournal journal;
  const std::string path = RecordedPath(GetParam());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportFile(*journal, path, {}));
  std::string exported;
  const auto sink = [&](uint64_t, std::string_view text) {
    exported += text;
    return absl::OkStatus();
  };
  EXPECT_THAT(ExportOriginal(*journal, report.source, sink), test::IsOkAndHolds(1u));
  std::string original = *test::ReadFile(path);
  original.erase(original.find_last_not_of(" \n\r\t") + 1);
  EXPECT_EQ(exported, original);
  const Content content = journal.ReadAll();
  EXPECT_EQ(content.operations.size(), report.counts.operations);
  EXPECT_GE(content.digests, report.counts.operations);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport again, ImportFile(*journal, path, {}));
  EXPECT_EQ(again.events, 0u);
}

// A run that is written anew with every message is several documents, and one
// operation.
TEST(GrowingDocument, IsSeveralSourcesOfOneOperation) {
  NIMBUS_SHARED_OR_SKIP(runs, "data/runs/mini-swe-agent");
  uint64_t grown_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(runs)) {
    auto document = schema::Json::Parse(*test::ReadFile(entry.path()));
    ASSERT_THAT(document, test::IsOk());
    schema::Json* messages = document->Find("messages");
    if (messages == nullptr || messages->array().size() < 6) continue;
    ++grown_files;
    const std::string name = entry.path().filename().string();
    TestJournal whole, grown;
    NIMBUS_ASSERT_OK(ImportFile(*whole, entry.path().string(), {}));
    const std::string text = *test::ReadFile(entry.path());
    messages->array().resize(messages->array().size() / 2);
    if (schema::Json* info = document->Find("info")) {
      info->Erase("exit_status");
      info->Erase("submission");
    }
    for (const std::string& snapshot : {document->Dump(), text}) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const Source source, ParseSource(name, snapshot, {}));
      NIMBUS_ASSERT_OK(ImportSource(*grown, source, {}));
    }
    const Content expected = whole.ReadAll(), content = grown.ReadAll();
    EXPECT_EQ(content.sources.size(), 2u) << name;
    EXPECT_EQ(content.operations, expected.operations) << name << "\n"
                                                       << Differences(expected, content);
  }
  EXPECT_GT(grown_files, 2u);
}

TEST(RecordedStore, HoldsAllRunsInHalfOfTheirFiles) {
  NIMBUS_SHARED_OR_SKIP(runs, "data/runs");
  TestJournal journal;
  uint64_t raw_bytes = 0;
  for (const std::string& file :
       test::RecordedNames({"claude-code/", "codex-rollout/", "sregym-trace/", "swe-agent-traj/",
                            "mini-swe-agent/"})) {
    const auto report = ImportFile(*journal, RecordedPath(file), {.source = {.keep_going = true}});
    ASSERT_THAT(report, test::IsOk()) << file;
    raw_bytes += std::filesystem::file_size(RecordedPath(file));
  }
  const Content content = journal.ReadAll();
  EXPECT_GT(content.sources.size(), 90u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::Stat stat, journal->GetStat());
  RecordProperty("file_bytes", std::to_string(raw_bytes));
  RecordProperty("journal_bytes", std::to_string(stat.bytes_used));
  EXPECT_LT(stat.bytes_used, raw_bytes / 2);
}

}  // namespace
}  // namespace nimbus::tools::import
