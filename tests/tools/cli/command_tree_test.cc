#include "tools/cli/command_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/cli/sample_app.h"

namespace nimbus::tools::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CommandTreeTest : public ::testing::Test {
 protected:
  const Command* Find(const std::string& path) const {
    for (const Command& command : tree_) {
      if (command.path == path) return &command;
    }
    return nullptr;
  }

  static const Argument* FindOption(const Command& command, const std::string& name) {
    for (const Argument& option : command.options) {
      if (option.names.back() == name) return &option;
    }
    return nullptr;
  }

  SampleValues values_;
  std::unique_ptr<CLI::App> app_ = MakeSampleApp(&values_);
  std::vector<Command> tree_ = CommandTree(*app_);
};

TEST_F(CommandTreeTest, HoldsEveryShownCommandBeforeItsOwn) {
  std::vector<std::string> paths;
  for (const Command& command : tree_) paths.push_back(command.path);
  EXPECT_THAT(paths, ElementsAre("sample", "sample history", "sample history list",
                                 "sample history show", "sample import"));
  EXPECT_THAT(tree_[0].subcommands, ElementsAre("history", "import"));
  EXPECT_THAT(tree_[1].subcommands, ElementsAre("list", "show"));
  EXPECT_EQ(tree_[0].footer, "See sample-replay(1).");
  EXPECT_EQ(tree_[1].footer, "");
}

TEST_F(CommandTreeTest, TellsWhatAnOptionTakes) {
  const Command* list = Find("sample history list");
  ASSERT_NE(list, nullptr);
  const Argument* status = FindOption(*list, "--status");
  ASSERT_NE(status, nullptr);
  EXPECT_EQ(status->value, ValueKind::kChoice);
  EXPECT_THAT(status->choices, ElementsAre("pending", "running", "completed"));
  const Argument* limit = FindOption(*list, "--limit");
  ASSERT_NE(limit, nullptr);
  EXPECT_THAT(limit->names, ElementsAre("-n", "--limit"));
  EXPECT_EQ(limit->value_name, "N");
  EXPECT_EQ(limit->default_text, "20");
  EXPECT_EQ(limit->value, ValueKind::kText);
  const Argument* json = FindOption(*Find("sample history show"), "--json");
  ASSERT_NE(json, nullptr);
  EXPECT_EQ(json->value, ValueKind::kNone);
  EXPECT_EQ(json->value_name, "");
}

TEST_F(CommandTreeTest, PassesOptionsDownWhereCommandsFallThrough) {
  const Argument* own = FindOption(tree_[0], "--store");
  ASSERT_NE(own, nullptr);
  EXPECT_EQ(own->value, ValueKind::kDirectory);
  EXPECT_FALSE(own->inherited);
  const Argument* passed = FindOption(*Find("sample history list"), "--store");
  ASSERT_NE(passed, nullptr);
  EXPECT_TRUE(passed->inherited);
  EXPECT_EQ(FindOption(*Find("sample import"), "--store"), nullptr);
}

TEST_F(CommandTreeTest, LeavesOutWhatHelpHides) {
  EXPECT_EQ(Find("sample internal"), nullptr);
  EXPECT_EQ(FindOption(tree_[0], "--secret-switch"), nullptr);
  EXPECT_NE(FindOption(tree_[0], "--help"), nullptr);
}

TEST_F(CommandTreeTest, KnowsPositionals) {
  const Command* import = Find("sample import");
  ASSERT_EQ(import->positionals.size(), 1u);
  EXPECT_THAT(import->positionals[0].names, ElementsAre("FILES"));
  EXPECT_EQ(import->positionals[0].value, ValueKind::kFile);
  EXPECT_TRUE(import->positionals[0].repeats);
  EXPECT_TRUE(import->positionals[0].required);
  EXPECT_FALSE(Find("sample history show")->positionals[0].repeats);
  EXPECT_THAT(Find("sample history list")->positionals, IsEmpty());
}

}  // namespace
}  // namespace nimbus::tools::cli
