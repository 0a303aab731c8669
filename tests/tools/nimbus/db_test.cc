// nimbus db: the tables looked at, migrated, rebuilt, verified and queried by people.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "tools/nimbus/fixture.h"

namespace nimbus::tools {
namespace {

namespace fs = std::filesystem;
using schema::Json;
using test::Finished;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class DbTest : public CommandLineTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(Nimbus({"init"}).exit_code, 0);
    File("a", SessionLines(0, 40));
    const Finished run = Nimbus({"import", "a"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }

  // With the shell that people have. Skips the test where there is none.
  bool Sqlite(const std::string& sql) {
    const absl::StatusOr<Finished> run =
        test::RunProgram(Options({"sqlite3", Path("store/views.db"), sql}));
    if (absl::IsNotFound(run.status())) return false;
    EXPECT_THAT(run, test::IsOk());
    EXPECT_EQ(run->err, "");
    return true;
  }

  void ExpectError(const Finished& run, int exit_code, const std::string& message) {
    EXPECT_EQ(run.exit_code, exit_code) << run.out << run.err;
    EXPECT_THAT(run.err, HasSubstr(message));
  }

  int64_t Version() {
    return *Document(Nimbus({"db", "status", "--json"})).Find("version")->AsInt();
  }
};

TEST_F(DbTest, ShowsWhatTheTablesHold) {
  const Json first = Document(Nimbus({"db", "status", "--json"}));
  EXPECT_EQ(first.Find("version")->AsInt(), 7);
  EXPECT_EQ(Nimbus({"history", "list"}).exit_code, 0);
  const Json status = Document(Nimbus({"db", "status", "--check", "--json"}));
  EXPECT_EQ(status.Find("lag")->AsInt(), 0);
  EXPECT_EQ(status.Find("quarantined")->AsInt(), 0);
  EXPECT_EQ(status.Find("records")->AsInt(), status.Find("watermark")->AsInt());
  EXPECT_TRUE(status.Find("problems")->array().empty());
  EXPECT_EQ(status.Find("tables")->array().size(), 19u);
  EXPECT_GT(*status.Find("file_bytes")->AsInt(), 0);
  const Finished text = Nimbus({"db", "status"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("version    7 of 7"), HasSubstr(" 0 behind"),
                              HasSubstr("operations\t20\n")));
}

TEST_F(DbTest, SaysHowFarTheTablesLagBehind) {
  ASSERT_EQ(Nimbus({"history", "list"}).exit_code, 0);
  File("b", SessionLines(0, 20, "t"));
  ASSERT_EQ(Nimbus({"import", "b"}).exit_code, 0);
  const Json status = Document(Nimbus({"db", "status", "--json"}));
  EXPECT_GT(*status.Find("lag")->AsInt(), 0) << "looking brings nothing up to date";
}

TEST_F(DbTest, MigratesDownAndUpWithoutLosingAnything) {
  const std::string listed = Nimbus({"history", "list", "--json"}).out;
  const Finished down = Nimbus({"db", "migrate", "--to", "1", "--verify"});
  EXPECT_EQ(down.exit_code, 0) << down.err;
  EXPECT_THAT(down.out, AllOf(StartsWith("migrated the views from version 7 to 1\n"),
                              HasSubstr("3 tables that stay are unchanged")));
  EXPECT_EQ(Version(), 1);
  ExpectError(Nimbus({"history", "list"}), 65, "schema version 1, history needs 2");
  const Json up = Document(Nimbus({"db", "migrate", "--verify", "--json"}));
  EXPECT_EQ(up.Find("from")->AsInt(), 1);
  EXPECT_EQ(up.Find("to")->AsInt(), 7);
  EXPECT_EQ(up.Find("tables")->array().size(), 19u);
  EXPECT_EQ(Nimbus({"history", "list", "--json"}).out, listed);
  EXPECT_THAT(Nimbus({"db", "migrate"}).out, HasSubstr("at version 7 already"));
  ExpectError(Nimbus({"db", "migrate", "--to", "8"}), 65, "no schema version 8");
  ExpectError(Nimbus({"db", "migrate", "--to", "18446744073709551615"}), 65, "no schema version");
  ExpectError(Nimbus({"db", "migrate", "--to", "-1"}), 64, "");
  ExpectVerified();
}

TEST_F(DbTest, PrintsTheSqlOfAMigration) {
  const Finished sql = Nimbus({"db", "migrate", "--to", "5", "--dry-run"});
  EXPECT_EQ(sql.exit_code, 0) << sql.err;
  EXPECT_THAT(sql.out, AllOf(HasSubstr("-- down from version 7: lineage\n"),
                             HasSubstr("DROP TABLE IF EXISTS credential_profiles;"),
                             HasSubstr("DELETE FROM migrations WHERE version = 6;")));
  EXPECT_EQ(Version(), 7);
  ASSERT_EQ(Nimbus({"db", "migrate", "--to", "6"}).exit_code, 0);
  const Finished up = Nimbus({"db", "migrate", "--dry-run"});
  EXPECT_THAT(up.out, AllOf(HasSubstr("CREATE TABLE forks"), HasSubstr("from the journal")));
  EXPECT_EQ(Version(), 6);
}

TEST_F(DbTest, FindsARowThatWasTamperedWith) {
  ASSERT_EQ(Nimbus({"history", "list"}).exit_code, 0);
  const Finished intact = Nimbus({"db", "verify"});
  EXPECT_EQ(intact.exit_code, 0) << intact.err;
  EXPECT_THAT(intact.out, StartsWith("holds: 19 tables"));
  if (!Sqlite("UPDATE operation_steps SET output = '{}' WHERE rowid = (SELECT max(rowid) FROM "
              "operation_steps)")) {
    GTEST_SKIP() << "there is no sqlite3";
  }
  const Finished found = Nimbus({"db", "verify"});
  EXPECT_EQ(found.exit_code, 1) << found.err;
  EXPECT_THAT(found.out, AllOf(StartsWith("proven wrong: table operation_steps, row id '"),
                               HasSubstr("': column output differs")));
  const Finished json = Nimbus({"db", "verify", "--json"});
  EXPECT_EQ(json.exit_code, 1);
  EXPECT_THAT(json.out, HasSubstr(R"("table":"operation_steps")"));
  ExpectError(Nimbus({"db", "migrate", "--to", "0", "--verify"}), 65, "nothing was migrated");
  for (const auto& entry : fs::directory_iterator(Path("store"))) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(!name.starts_with("views-") || name.starts_with("views-1.db")) << name;
  }
  const Finished rebuilt = Nimbus({"db", "rebuild"});
  EXPECT_EQ(rebuilt.exit_code, 0) << rebuilt.err;
  EXPECT_THAT(rebuilt.out, HasSubstr("the old ones differed: table operation_steps"));
  EXPECT_EQ(Nimbus({"db", "verify"}).exit_code, 0);
  EXPECT_THAT(Nimbus({"db", "rebuild"}).out, HasSubstr("digests of all 19 tables equal"));
}

TEST_F(DbTest, AnswersOneQuery) {
  EXPECT_EQ(Nimbus({"db", "sql", "SELECT version, name FROM migrations WHERE version > 5"}).out,
            "6\tsecrets\n7\tlineage\n");
  const Finished json = Nimbus(
      {"db", "sql", "SELECT count(*) AS n, NULL AS none, x'ab' AS b, 0.5 AS half", "--json"});
  EXPECT_EQ(json.out, "{\"n\":1,\"none\":null,\"b\":\"ab\",\"half\":0.5}\n");
  EXPECT_EQ(Nimbus({"db", "sql", "SELECT 1 WHERE 0"}).out, "");
  ExpectError(Nimbus({"db", "sql", "SELECT 1; SELECT 2"}), 65, "one statement");
  ExpectError(Nimbus({"db", "sql", "DELETE FROM sessions"}), 65, "only a query");
  ExpectError(Nimbus({"db", "sql", "ATTACH '" + Path("x") + "' AS x"}), 65, "only a query");
  ExpectError(Nimbus({"db", "sql", "SELECT nowhere"}), 65, "no such column");
  ExpectError(Nimbus({"db", "sql"}), 64, "QUERY");
  EXPECT_FALSE(fs::exists(Path("x")));
  const Finished head = Shell(
      "$NIMBUS db sql 'WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) "
      "SELECT x FROM t' | head -n 1");
  EXPECT_EQ(head.out, "1\n");
}

TEST_F(DbTest, IsInterruptedInAQuery) {
  ASSERT_EQ(Nimbus({"db", "status"}).exit_code, 0);
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      auto program,
      test::Program::Start(Options({NIMBUS_PROGRAM, "db", "sql",
                                    "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM "
                                    "t) SELECT max(x) FROM t"})));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  program->Signal(SIGINT);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished finished, program->Wait());
  EXPECT_EQ(finished.exit_code, 130) << finished.err;
}

// A process that writes to the tables for longer than a projector waits for it.
constexpr char kHolds[] = R"py(
import sqlite3, sys, time
tables = sqlite3.connect(sys.argv[1], isolation_level=None)
tables.execute("BEGIN IMMEDIATE"); print("held", flush=True)
time.sleep(2)
)py";

TEST_F(DbTest, WaitsForAnotherProcessThatHasTheTables) {
  ASSERT_EQ(Nimbus({"history", "list"}).exit_code, 0);
  File("b", SessionLines(0, 40, "another"));
  ASSERT_EQ(Nimbus({"import", "b"}).exit_code, 0);
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const auto holder,
      test::Program::Start(Options({"python3", "-c", kHolds, Path("store/views.db")})));
  while (holder->OutputSoFar().find("held") == std::string::npos) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const Finished listed = Nimbus({"history", "sessions"});
  EXPECT_EQ(listed.exit_code, 0) << listed.err;
  EXPECT_EQ(std::count(listed.out.begin(), listed.out.end(), '\n'), 2) << listed.out;
  EXPECT_THAT(holder->Wait(), test::IsOk());
}

}  // namespace
}  // namespace nimbus::tools
