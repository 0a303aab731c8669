// Stores and ids that are not what the command line says, and stores that were
// damaged: what the commands answer, and that nothing is lost.
#include <filesystem>
#include <set>

#include "tools/nimbus/fixture.h"

namespace nimbus::tools {
namespace {

namespace fs = std::filesystem;
using schema::Json;
using test::Finished;
using ::testing::AllOf;
using ::testing::HasSubstr;

class StoreTest : public CommandLineTest {
 protected:
  void Fill() {
    ASSERT_EQ(Nimbus({"init"}).exit_code, 0);
    File("a", SessionLines(0, 60));
    const Finished run = Nimbus({"import", "a"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }

  void ExpectError(const Finished& run, int exit_code, const std::string& message) {
    EXPECT_EQ(run.exit_code, exit_code) << run.err;
    EXPECT_THAT(run.err, HasSubstr(message));
    EXPECT_EQ(run.out, "");
  }
};

TEST_F(StoreTest, MustBeThere) {
  ExpectError(Nimbus({"history", "list"}), 66, "make one with 'nimbus init'");
  ExpectError(Replay({"list"}), 66, "make one with 'nimbus init'");
  ExpectError(Nimbus({"import", File("a", SessionLines(0, 2))}), 66, "make one with 'nimbus init'");
  EXPECT_FALSE(fs::exists(Path("store"))) << "reading makes no store";
}

TEST_F(StoreTest, MustBeAStore) {
  File("file", "text");
  ExpectError(Nimbus({"--store", "file", "history", "list"}), 65, "file: a file, not a Nimbus");
  ExpectError(Nimbus({"--store", "file", "init"}), 65, "file: a file, not a Nimbus store");
  ASSERT_TRUE(fs::create_directory(Path("other")));
  File("other/mine", "text");
  ExpectError(Nimbus({"--store", "other", "history", "list"}), 66, "no store at other");
  ExpectError(Nimbus({"--store", "other", "init"}), 65, "not empty and not a Nimbus store");
  ExpectError(Nimbus({"--store", "other", "import", "file"}), 66, "no store at other");
  EXPECT_EQ(test::ReadFile(directory_ / "other/mine"), "text");
  EXPECT_EQ(std::distance(fs::directory_iterator(Path("other")), {}), 1);
}

TEST_F(StoreTest, IsRefusedWhenItsFormatIsNewer) {
  Fill();
  const std::string current = test::ReadFile(directory_ / "store/CURRENT").value_or("");
  File("store/CURRENT", "nimbus 999\njournal-1\n");
  ExpectError(Nimbus({"history", "list"}), 65, "format 999 is newer than this program's");
  ExpectError(Nimbus({"import", "a"}), 65, "format 999 is newer than this program's");
  ExpectError(Nimbus({"init"}), 65, "format 999 is newer than this program's");
  File("store/CURRENT", current);
  ExpectVerified();
}

TEST_F(StoreTest, AnswersIdsThatNameNothingOrTooMuch) {
  Fill();
  ExpectError(Nimbus({"history", "show", "zzzz"}), 66, "no operation 'zzzz'");
  ExpectError(Nimbus({"history", "show", ""}), 66, "no operation ''");
  ExpectError(Nimbus({"history", "show", std::string(1000, 'f')}), 66, "no operation 'fff");
  ExpectError(Nimbus({"history", "show", "@x"}), 66, "'@x' names nothing");
  ExpectError(Nimbus({"history", "show", "@" + std::string(40, '-')}), 66, "30 operations");
  ExpectError(Nimbus({"history", "list", "--session", "zz"}), 66, "no session 'zz'");
  ExpectError(Nimbus({"export", "zz"}), 66, "no source and no operation 'zz'");
  ExpectError(Replay({"run", "zz"}), 66, "no operation 'zz'");
  ExpectError(Replay({"run", "@", "--from-step", "99"}), 66, "none numbered 99");
  ExpectError(Replay({"run", "@", "--from-checkpoint", "zz"}), 66, "no checkpoint 'zz'");

  // Of 30 operations, two begin with the same digit.
  std::set<std::string> seen;
  std::string shared;
  const Json operations = Document(Replay({"list", "--json"}));
  for (const Json& operation : operations.array()) {
    const std::string digit(operation.StringOr("id").substr(0, 1));
    if (!seen.insert(digit).second) shared = digit;
  }
  ASSERT_NE(shared, "");
  ExpectError(Nimbus({"history", "show", shared}), 66,
              "'" + shared + "' is ambiguous:\n  " + shared);
}

TEST_F(StoreTest, NamesTheNewestOperationsByTheirSigns) {
  Fill();
  const Json all = Document(Replay({"list", "--json"}));
  const size_t count = all.array().size();
  const auto shown = [&](const std::string& id) {
    return std::string(Document(Nimbus({"history", "show", id, "--json"})).StringOr("id"));
  };
  const std::string newest(all.array()[count - 1].StringOr("id"));
  EXPECT_EQ(shown("@"), newest);
  EXPECT_EQ(shown("@-"), all.array()[count - 2].StringOr("id"));
  EXPECT_EQ(shown("@--"), all.array()[count - 3].StringOr("id"));
  EXPECT_EQ(shown(newest.substr(0, 12)), newest);
}

TEST_F(StoreTest, LosesNothingWithItsViews) {
  Fill();
  const std::string listed = Nimbus({"history", "list", "--json"}).out;
  const std::string shown = Nimbus({"history", "show", "@-", "--json"}).out;
  int removed = 0;
  for (const auto& entry : fs::directory_iterator(Path("store"))) {
    if (!entry.path().filename().string().starts_with("views")) continue;
    fs::remove(entry.path());
    ++removed;
  }
  EXPECT_GE(removed, 2);
  EXPECT_EQ(Nimbus({"history", "list", "--json"}).out, listed);
  EXPECT_EQ(Nimbus({"history", "show", "@-", "--json"}).out, shown);
}

TEST_F(StoreTest, IsProvenWrongWhenItsBytesWereChanged) {
  Fill();
  const fs::path data = directory_ / "store/journal-1/data.mdb";
  const std::string intact = test::ReadFile(data).value_or("");
  const size_t at = intact.find("claude-code");  // in the record of the import
  ASSERT_NE(at, std::string::npos);
  std::string changed = intact;
  changed[at] = static_cast<char>(changed[at] ^ 1);
  ASSERT_TRUE(test::WriteFile(data, changed));
  const Finished run = Nimbus({"journal", "verify"});
  EXPECT_EQ(run.exit_code, 1) << run.out << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("proven wrong"), HasSubstr("record ")));
  const Finished json = Nimbus({"journal", "verify", "--json"});
  EXPECT_EQ(json.exit_code, 1);
  EXPECT_THAT(json.out, HasSubstr("\"holds\":false"));

  ASSERT_TRUE(test::WriteFile(data, intact.substr(0, 5000)));
  ExpectError(Nimbus({"journal", "verify"}), 65, "cut off, 5000 bytes are left");
  ASSERT_TRUE(test::WriteFile(data, intact));
  ExpectVerified();
}

TEST_F(StoreTest, ReplaysFromTheStartAndFromEveryCheckpoint) {
  ASSERT_EQ(Nimbus({"init"}).exit_code, 0);
  std::string text = SessionLines(0, 3);
  for (int n = 3; n < 60; n += 2) {  // many long answers to one question
    text += SessionLines(n, n + 1, "s", std::string(5000, 'x'));
  }
  File("a", text);
  ASSERT_EQ(Nimbus({"import", "a"}).exit_code, 0);
  int checkpoints = 0;
  const Json operations = Document(Replay({"list", "--json"}));
  for (const Json& operation : operations.array()) {
    const std::string id(operation.StringOr("id"));
    EXPECT_EQ(Replay({"run", id}).exit_code, 0);
    const Json points = Document(Replay({"list", id, "--json"}));
    const Json shown = Document(Nimbus({"history", "show", id, "--json"}));
    EXPECT_EQ(points.Find("steps")->array().size(), shown.Find("steps")->array().size());
    for (const Json& checkpoint : points.Find("checkpoints")->array()) {
      const std::string at(checkpoint.StringOr("id"));
      const Finished run = Replay({"run", id, "--from-checkpoint", at});
      EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
      EXPECT_TRUE(Document(Replay({"state", id, "--at", at})).IsObject());
      ++checkpoints;
    }
  }
  EXPECT_GT(checkpoints, 0);
}

}  // namespace
}  // namespace nimbus::tools
