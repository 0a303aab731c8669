// What the tests of the importer share: the recorded runs and what is known of
// them, and journals to import them into.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "testing/files.h"
#include "testing/status_matchers.h"
#include "tools/import/content.h"
#include "tools/import/export.h"
#include "tools/import/importer.h"

namespace nimbus::test {

using Facts = std::map<std::string, std::string>;  // column -> value, empty when not counted

// The rows of FACTS.tsv whose file begins with one of `prefixes`, by file.
inline std::map<std::string, Facts> ReadFacts(const std::vector<std::string>& prefixes) {
  std::map<std::string, Facts> rows;
  const auto runs = FindShared("data/runs");
  if (!runs) return rows;
  std::stringstream text(ReadFile(*runs / "FACTS.tsv").value_or(""));
  const auto split = [](const std::string& line) {
    std::vector<std::string> cells;
    std::stringstream stream(line);
    for (std::string cell; std::getline(stream, cell, '\t');) cells.push_back(cell);
    return cells;
  };
  std::string line;
  std::getline(text, line);
  const std::vector<std::string> columns = split(line);
  while (std::getline(text, line)) {
    const std::vector<std::string> cells = split(line);
    for (const std::string& prefix : prefixes) {
      if (!cells.at(0).starts_with(prefix)) continue;
      for (size_t i = 1; i < columns.size(); ++i)
        rows[cells[0]][columns[i]] = i < cells.size() ? cells[i] : "";
    }
  }
  return rows;
}

inline std::vector<std::string> RecordedNames(const std::vector<std::string>& prefixes) {
  std::vector<std::string> names;
  for (const auto& [file, facts] : ReadFacts(prefixes)) names.push_back(file);
  return names;
}

// The files in these directories, whether FACTS.tsv tells of them or not.
inline std::vector<std::string> RecordedFiles(const std::vector<std::string>& directories) {
  std::vector<std::string> names;
  const auto runs = FindShared("data/runs");
  if (!runs) return names;
  for (const std::string& directory : directories) {
    for (const auto& entry : std::filesystem::directory_iterator(*runs / directory))
      names.push_back(directory + "/" + entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// What no recording is: fixtures of a test, which hold events only, and a request to a
// model.
inline constexpr std::string_view kNoRecordings[] = {
    "inspect-ai/leaf_tool_exclusion.json", "inspect-ai/legacy_steps.json",
    "inspect-ai/parallel_spans.json",
    "inspect-ai/live_localharness_functionresponse_model_turn.json"};

inline bool IsRecording(const std::string& file) {
  return std::find(std::begin(kNoRecordings), std::end(kNoRecordings), file) ==
         std::end(kNoRecordings);
}

// Every recording of every format.
inline std::vector<std::string> AllRecordings() {
  std::vector<std::string> directories;
  const auto runs = FindShared("data/runs");
  if (!runs) return {};
  for (const auto& entry : std::filesystem::directory_iterator(*runs)) {
    if (entry.is_directory()) directories.push_back(entry.path().filename().string());
  }
  std::vector<std::string> names = RecordedFiles(directories);
  std::erase_if(names, [](const std::string& file) { return !IsRecording(file); });
  return names;
}

inline std::string RecordedPath(const std::string& file) {
  return (*FindShared("data/runs") / file).string();
}

inline std::string FileTestName(const ::testing::TestParamInfo<std::string>& file) {
  std::string name;
  for (const char c : file.param) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

// The lines of a file that hold anything.
inline std::vector<std::string> ReadLines(const std::string& path) {
  std::vector<std::string> lines;
  std::stringstream text(ReadFile(path).value_or(""));
  for (std::string line; std::getline(text, line);) {
    if (line.find_first_not_of(" \r\t") != std::string::npos) lines.push_back(line);
  }
  return lines;
}

inline std::string JoinLines(const std::vector<std::string>& lines, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += lines[i] + "\n";
  return text;
}

// A journal in a directory of its own.
class TestJournal {
 public:
  TestJournal() {
    auto journal = journal::Journal::Open(store(), {});
    EXPECT_THAT(journal, IsOk());
    if (journal.ok()) journal_ = *std::move(journal);
  }
  std::string store() const { return directory_.string(); }
  journal::Journal& operator*() { return *journal_; }
  journal::Journal* operator->() { return journal_.get(); }
  void Close() { journal_.reset(); }

  Content ReadAll() {
    auto content = ReadContent(*journal_);
    EXPECT_THAT(content, IsOk());
    return content.ok() ? *std::move(content) : Content();
  }

 private:
  TempDir directory_;
  std::unique_ptr<journal::Journal> journal_;
};

}  // namespace nimbus::test
