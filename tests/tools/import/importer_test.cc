// The importer's promises beyond the recorded runs: what it refuses, what it
// leaves out, how it goes on after it was killed, stopped or overtaken.
#include "tools/import/importer.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <atomic>
#include <random>

#include "testing/program.h"
#include "tools/import/recorded.h"

namespace nimbus::tools::import {
namespace {

using absl::StatusCode;
using test::Content;
using test::IsOk;
using test::JoinLines;
using test::ReadContent;
using test::StatusIs;
using test::TempDir;
using test::TestJournal;
using test::WriteFile;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Lines of a session as Claude Code writes them.
std::string Line(int n, const std::string& type, const std::string& message) {
  return fmt::format(
      R"({{"type":"{0}","uuid":"{0}-{1}","parentUuid":null,"sessionId":"s",)"
      R"("timestamp":"2026-01-01T00:00:{2:02}.000Z","message":{{"role":"{0}",{3}}}}})",
      type, n, n % 60, message);
}

std::string Prompt(int n) { return Line(n, "user", R"("content":"do it")"); }

std::string Answer(int n, const std::string& text = "done", const std::string& stop = "null") {
  return Line(n, "assistant",
              fmt::format(R"("id":"m{0}","content":[{{"type":"text","text":"{1}"}}],)"
                          R"("stop_reason":{2},"usage":{{"input_tokens":1,"output_tokens":{0}}})",
                          n, text, stop));
}

std::vector<std::string> Session(int turns) {
  std::vector<std::string> lines;
  for (int i = 0; i < turns; ++i) {
    lines.push_back(Prompt(2 * i));
    lines.push_back(Answer(2 * i + 1));
  }
  return lines;
}

absl::StatusOr<ImportReport> ImportText(TestJournal& journal, std::string text,
                                        const ImportOptions& options = {}) {
  auto source = ParseSource("test.jsonl", std::move(text), options.source);
  if (!source.ok()) return source.status();
  return ImportSource(*journal, *source, options);
}

class Importer : public ::testing::Test {
 protected:
  std::string File(const std::string& text, const std::string& name = "test.jsonl") {
    EXPECT_TRUE(WriteFile(directory_ / name, text));
    return (directory_ / name).string();
  }

  void ExpectRefused(const std::string& path, StatusCode code, const std::string& message) {
    const uint64_t size = *journal_->Size();
    const auto report = ImportFile(*journal_, path, {});
    EXPECT_THAT(report.status(), StatusIs(code, HasSubstr(message)));
    EXPECT_EQ(*journal_->Size(), size) << "something was appended";
  }

  TempDir directory_;
  TestJournal journal_;
};

TEST_F(Importer, RefusesWhatIsNoRecording) {
  const auto invalid = StatusCode::kInvalidArgument;
  ExpectRefused(directory_.string(), invalid, "is a directory");
  ExpectRefused((directory_ / "absent").string(), StatusCode::kNotFound, "absent");
  ExpectRefused(File(""), invalid, "test.jsonl: the file is empty");
  ExpectRefused(File(" \n\n"), invalid, "the file is empty");
  ExpectRefused(File("\xEF\xBB\xBF"), invalid, "the file is empty");
  ExpectRefused(File("hello\nworld\n"), invalid, "not JSON, from line 1 on");
  ExpectRefused(File("{\"a\":"), invalid, "not JSON, from line 1 on");
  ExpectRefused(File("{\"a\":1}\n{\"b\":2}\n"), invalid,
                "of no known format; known are claude-code, codex-rollout");
  ExpectRefused(File("[1,2]"), invalid, "of no known format");
}

TEST_F(Importer, NamesTheLineThatIsBad) {
  const auto invalid = StatusCode::kInvalidArgument;
  const std::vector<std::string> lines = Session(3);
  const std::string text = JoinLines(lines, lines.size());
  ExpectRefused(File(lines[0] + "\n\nnot json\n" + lines[1]), invalid, "test.jsonl: line 3: ");
  ExpectRefused(File(text.substr(0, text.size() - 10)), invalid, "test.jsonl: line 6: ");
  std::string broken = lines[1];
  broken[broken.find("done")] = '\xFF';
  ExpectRefused(File(lines[0] + "\n" + broken + "\n"), invalid,
                "line 2: malformed JSON: invalid UTF-8");
  ExpectRefused(File("garbage\n" + text), invalid, "line 1: ");
}

TEST_F(Importer, SaysWhenAFileCannotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const std::string path = File(JoinLines(Session(1), 2));
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  ExpectRefused(path, StatusCode::kPermissionDenied, "test.jsonl");
}

TEST_F(Importer, TakesFilesUpToTheirLimit) {
  const std::string text = JoinLines(Session(2), 4);
  const std::string path = File(text);
  ImportOptions options;
  options.source.bytes_max = text.size() - 1;
  EXPECT_THAT(ImportFile(*journal_, path, options),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("limit of")));
  options.source.bytes_max = text.size();
  EXPECT_THAT(ImportFile(*journal_, path, options), IsOk());
  options.source.bytes_max = text.size() + 1;
  EXPECT_THAT(ImportFile(*journal_, path, options), IsOk());
}

TEST_F(Importer, ReadsCompressedFilesAndRefusesDamagedOnes) {
  const std::string text = JoinLines(Session(5), 10);
  std::string compressed(ZSTD_compressBound(text.size()), '\0');
  compressed.resize(
      ZSTD_compress(compressed.data(), compressed.size(), text.data(), text.size(), 3));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report,
                              ImportFile(*journal_, File(compressed, "a.jsonl.zst"), {}));
  EXPECT_EQ(report.records, 10u);
  // The same recording, whether compressed or not.
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport plain, ImportFile(*journal_, File(text), {}));
  EXPECT_EQ(plain.events, 0u);
  const auto invalid = StatusCode::kInvalidArgument;
  ExpectRefused(File(compressed.substr(0, compressed.size() / 2)), invalid, "inside a frame");
  ImportOptions options;
  options.source.bytes_max = text.size() - 1;
  EXPECT_THAT(ImportFile(*journal_, (directory_ / "a.jsonl.zst").string(), options),
              StatusIs(StatusCode::kResourceExhausted));
}

TEST_F(Importer, KeepsGoingAndRecordsWhatItLeftOut) {
  const std::vector<std::string> lines = Session(2);
  const std::string text =
      lines[0] + "\n{\"bad\xFF\n" + JoinLines({lines[1], lines[2]}, 2) + "{\"x\":";
  ImportOptions options;
  options.source.keep_going = true;
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportText(journal_, text, options));
  ASSERT_THAT(report.gaps, SizeIs(2));
  EXPECT_EQ(report.gaps[0].line, 2u);
  EXPECT_EQ(report.gaps[1].line, 5u);
  EXPECT_EQ(report.records, 3u);
  const Content content = journal_.ReadAll();
  const test::SourceContent& source = content.sources.begin()->second;
  EXPECT_EQ(source.records, (std::vector<std::string>{lines[0], lines[1], lines[2]}));
  EXPECT_THAT(source.gaps, HasSubstr(R"("line":2,"before_record":1)"));
  EXPECT_THAT(source.gaps, HasSubstr("eyJiYWT/"));  // {"bad\xFF in base64
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport again, ImportText(journal_, text, options));
  EXPECT_EQ(again.events, 0u);

  // The last line was cut off because it was still being written.
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const ImportReport whole,
      ImportText(journal_, text.substr(0, text.rfind('\n') + 1) + lines[3], options));
  EXPECT_EQ(whole.records_before, 3u);
  EXPECT_EQ(whole.records, 4u);
  EXPECT_THAT(whole.gaps, SizeIs(1));
}

TEST_F(Importer, RefusesAnotherBeginningOfTheSameRecording) {
  std::vector<std::string> lines = Session(3);
  NIMBUS_ASSERT_OK(ImportText(journal_, JoinLines(lines, 6)));
  const Content before = journal_.ReadAll();
  lines[3] = Answer(3, "something else");
  EXPECT_THAT(ImportText(journal_, JoinLines(lines, 6)),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("line 4 differs")));
  EXPECT_EQ(journal_.ReadAll(), before);
}

TEST_F(Importer, AddsNothingForAShorterSnapshot) {
  const std::vector<std::string> lines = Session(4);
  NIMBUS_ASSERT_OK(ImportText(journal_, JoinLines(lines, 8)));
  for (const size_t count : {7u, 4u, 1u}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report,
                                ImportText(journal_, JoinLines(lines, count)));
    EXPECT_EQ(report.events, 0u);
    EXPECT_EQ(report.records_before, count);
  }
}

TEST_F(Importer, LeavesOpenWhatTheSourceMayStillChange) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report,
                              ImportText(journal_, Prompt(0) + "\n" + Answer(1)));
  EXPECT_EQ(report.counts.llm_calls, 1u);
  EXPECT_EQ(report.counts.usage.total, 2u);
  std::string id = report.operations.at(0).ToString();
  Content content = journal_.ReadAll();
  EXPECT_EQ(content.operations.at(id).status, "running");
  EXPECT_EQ(content.operations.at(id).state, R"({"messages":[{"role":"user","content":"do it"}]})");

  // The next prompt shows that the answer was whole.
  NIMBUS_ASSERT_OK(ImportText(journal_, Prompt(0) + "\n" + Answer(1) + "\n" + Prompt(2)));
  content = journal_.ReadAll();
  EXPECT_EQ(content.operations.at(id).status, "completed");
  EXPECT_EQ(content.operations.at(id).output, R"("done")");
  EXPECT_THAT(content.operations.at(id).state, HasSubstr(R"({"type":"text","text":"done"})"));
  EXPECT_EQ(content.operations.size(), 2u);
}

TEST_F(Importer, TakesAMessageThatEndsTheTurnAtOnce) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const ImportReport report,
      ImportText(journal_, Prompt(0) + "\n" + Answer(1, "that is all", "\"end_turn\"")));
  const test::OperationContent operation =
      journal_.ReadAll().operations.at(report.operations.at(0).ToString());
  EXPECT_EQ(operation.status, "running");
  EXPECT_THAT(operation.state, HasSubstr("that is all"));
}

// A record larger than any part is stored in pieces, and comes back as one.
TEST_F(Importer, StoresLargeRecordsInPieces) {
  std::string large(2'500'000, 'x');
  std::mt19937 random(7);
  for (char& c : large) c = static_cast<char>('a' + random() % 26);
  const std::vector<std::string> lines = {Prompt(0), Answer(1, large), Prompt(2), Answer(3)};
  NIMBUS_ASSERT_OK_AND_ASSIGN(const ImportReport report, ImportText(journal_, JoinLines(lines, 4)));
  std::vector<std::string> exported;
  NIMBUS_ASSERT_OK(ExportOriginal(*journal_, report.source, [&](uint64_t, std::string_view text) {
    exported.emplace_back(text);
    return absl::OkStatus();
  }));
  EXPECT_EQ(exported, lines);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::Stat stat, journal_->GetStat());
  EXPECT_LT(stat.frame_bytes, 5 * large.size());
}

TEST_F(Importer, StopsBetweenAppendsAndGoesOnLater) {
  const std::vector<std::string> lines = Session(400);
  std::atomic<bool> stop = false;
  ImportOptions options;
  options.stop = &stop;
  uint64_t calls = 0, done_last = 0;
  options.progress = [&](uint64_t done, uint64_t total) {
    EXPECT_EQ(total, 800u);
    EXPECT_GE(done, done_last);
    done_last = done;
    stop = ++calls == 2;
  };
  EXPECT_THAT(ImportText(journal_, JoinLines(lines, 800), options),
              StatusIs(StatusCode::kCancelled));
  NIMBUS_ASSERT_OK_AND_ASSIGN(std::vector<SourceInfo> sources, ListSources(*journal_));
  ASSERT_THAT(sources, SizeIs(1));
  EXPECT_FALSE(sources[0].finished);

  NIMBUS_ASSERT_OK(ImportText(journal_, JoinLines(lines, 800)));
  TestJournal uninterrupted;
  NIMBUS_ASSERT_OK(ImportText(uninterrupted, JoinLines(lines, 800)));
  const Content expected = uninterrupted.ReadAll();
  EXPECT_EQ(journal_.ReadAll(), expected);
  EXPECT_TRUE(expected.sources.begin()->second.finished);
}

TEST_F(Importer, ExportsNothingForAnUnknownSource) {
  EXPECT_THAT(ExportOriginal(*journal_, schema::NewUuid(), nullptr),
              StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(ListSources(*journal_), test::IsOkAndHolds(SizeIs(0)));
}

// ---- other processes

class ImportProcess : public ::testing::Test {
 protected:
  void SetUp() override {
    NIMBUS_ASSERT_OK(ImportText(expected_, text_));
    ASSERT_TRUE(WriteFile(file_, text_));
  }

  test::ProgramOptions Program() const {
    return {.argv = {NIMBUS_IMPORT_PROGRAM, store_.string(), file_.string()}};
  }

  void ExpectSameAsUninterrupted() {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto journal, journal::Journal::Open(store_.string(), {}));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Content content, ReadContent(*journal));
    const Content expected = expected_.ReadAll();
    EXPECT_EQ(content, expected) << Differences(expected, content);
  }

  const std::string text_ = JoinLines(Session(1500), 3000);
  TempDir directory_;
  const std::filesystem::path store_ = directory_ / "store", file_ = directory_ / "session.jsonl";
  TestJournal expected_;
};

TEST_F(ImportProcess, GoesOnAfterBeingKilledAtAnyMoment) {
  std::random_device device;
  const unsigned seed = device();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  int killed = 0;
  for (int i = 0; i < 12; ++i) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(auto program, test::Program::Start(Program()));
    usleep(5'000 + random() % 60'000);
    program->Signal(SIGKILL);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, program->Wait());
    killed += run.signal == SIGKILL;
  }
  EXPECT_GT(killed, 0);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished last, test::RunProgram(Program()));
  EXPECT_EQ(last.exit_code, 0) << last.err;
  ExpectSameAsUninterrupted();
}

TEST_F(ImportProcess, SharesTheWorkWithOthersOnTheSameFile) {
  std::vector<std::unique_ptr<test::Program>> programs;
  for (int i = 0; i < 4; ++i) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(auto program, test::Program::Start(Program()));
    programs.push_back(std::move(program));
  }
  for (const auto& program : programs) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, program->Wait());
    EXPECT_EQ(run.exit_code, 0) << run.err;
  }
  ExpectSameAsUninterrupted();
}

}  // namespace
}  // namespace nimbus::tools::import
