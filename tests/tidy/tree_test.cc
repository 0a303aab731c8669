// The project itself keeps the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "testing/program.h"
#include "testing/status_matchers.h"
#include "tidy/rules.h"

namespace nimbus::tidy {
namespace {

using ::nimbus::test::Finished;
using ::nimbus::test::RunProgram;
using ::testing::Contains;

class TreeTest : public ::testing::Test {
 protected:
  // Runs a checker over `paths`, whose complaints are the failure.
  void ExpectClean(std::vector<std::string> argv, const std::vector<std::string>& paths) {
    const std::string name = argv.front();
    if (!RunProgram({.argv = {name, "--version"}}).ok())
      GTEST_SKIP() << name << " is not installed";
    argv.insert(argv.end(), paths.begin(), paths.end());
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run,
                                RunProgram({.argv = argv, .directory = NIMBUS_SOURCE_DIR}));
    EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  }

  std::vector<SourceFile> files_ = ReadTree(NIMBUS_SOURCE_DIR);
};

TEST_F(TreeTest, KeepsTheRules) {
  std::vector<std::string> paths;
  for (const SourceFile& file : files_) paths.push_back(file.path);
  ASSERT_THAT(paths, Contains("tests/tidy/tree_test.cc"));
  for (const Problem& problem : CheckAll(files_)) {
    ADD_FAILURE() << problem.path << ":" << problem.line << ": " << problem.what;
  }
}

TEST_F(TreeTest, IsFormatted) {
  std::vector<std::string> paths;
  for (const SourceFile& file : files_) {
    if (IsCpp(file)) paths.push_back(file.path);
  }
  ExpectClean({"clang-format", "--dry-run", "--Werror", "--ferror-limit=3"}, paths);
}

TEST_F(TreeTest, HasCleanScripts) {
  std::vector<std::string> paths;
  for (const SourceFile& file : files_) {
    if (file.text.starts_with("#!/usr/bin/env bash")) paths.push_back(file.path);
  }
  EXPECT_THAT(paths, Contains("tools/test"));
  ExpectClean({"shellcheck"}, paths);
}

}  // namespace
}  // namespace nimbus::tidy
