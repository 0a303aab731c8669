#include "migrator.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "testing/files.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using sqlite::Connection;
using sqlite::Statement;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class MigratorTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<Connection> db = Connection::Open(directory_ / "views.db", {});
    ASSERT_THAT(db, IsOk());
    db_.emplace(*std::move(db));
  }

  // Names of what the schema holds, of kind 'table' or 'index', without SQLite's own.
  std::set<std::string> Names(std::string_view kind) {
    absl::StatusOr<Statement> select =
        db_->Prepare("SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite_%'");
    std::set<std::string> names;
    if (!select.ok()) return {select.status().ToString()};
    for (absl::StatusOr<bool> row = select->First(kind); row.ok() && *row; row = select->Next()) {
      names.insert(std::string(select->Text(0)));
    }
    return names;
  }

  std::string SchemaText() {
    absl::StatusOr<Statement> select =
        db_->Prepare("SELECT coalesce(sql, '') FROM sqlite_master ORDER BY name");
    std::string all;
    if (!select.ok()) return select.status().ToString();
    for (absl::StatusOr<bool> row = select->First(); row.ok() && *row; row = select->Next()) {
      all += fmt::format("{}\n", select->Text(0));
    }
    return all;
  }

  test::TempDir directory_;
  std::optional<Connection> db_;
};

TEST_F(MigratorTest, AnEmptyDatabaseIsAtVersionZero) {
  EXPECT_THAT(CurrentVersion(&*db_), IsOkAndHolds(0));
  ASSERT_THAT(Migrate(&*db_, 0), IsOk());
  EXPECT_THAT(Names("table"), ElementsAre("migrations"));
  EXPECT_THAT(CurrentVersion(&*db_), IsOkAndHolds(0));
}

TEST_F(MigratorTest, GoesUpToTheSpecifiedTablesAndIndexes) {
  ASSERT_THAT(Migrate(&*db_, 2), IsOk());
  EXPECT_THAT(CurrentVersion(&*db_), IsOkAndHolds(2));
  EXPECT_THAT(Names("table"), ElementsAre("checkpoints", "config", "credentials", "migrations",
                                          "operation_steps", "operations", "sessions"));
  EXPECT_THAT(Names("index"), ElementsAre("idx_checkpoints_operation", "idx_operations_created",
                                          "idx_operations_session", "idx_operations_status",
                                          "idx_steps_operation"));
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      Statement recorded,
      db_->Prepare("SELECT version, name, applied_at FROM migrations ORDER BY version"));
  ASSERT_THAT(recorded.First(), IsOkAndHolds(true));
  EXPECT_EQ(recorded.Text(1), "initial_schema");
  ASSERT_THAT(recorded.Next(), IsOkAndHolds(true));
  EXPECT_EQ(recorded.Int(0), 2);
  EXPECT_EQ(recorded.Text(1), "add_operations_history");
  EXPECT_FALSE(recorded.IsNull(2));
}

TEST_F(MigratorTest, HoldsTheSqlOfTheSpecificationWordForWord) {
  NIMBUS_SHARED_OR_SKIP(spec, "spec/infrastructure-release-2.md");
  const std::string text = test::ReadFile(spec).value_or("");
  const std::string_view operations = Migrations()[1].up;
  EXPECT_NE(text.find(operations), std::string::npos);
  EXPECT_THAT(std::string(operations), HasSubstr("CREATE TABLE operations ("));
  EXPECT_THAT(std::string(operations), HasSubstr("CREATE INDEX idx_checkpoints_operation"));
  const std::string_view initial = Migrations()[0].up;
  const std::string_view credentials = initial.substr(initial.find("-- Encrypted credentials"));
  EXPECT_NE(text.find(credentials), std::string::npos);
}

TEST_F(MigratorTest, EachVersionGoesDownToExactlyTheOneBefore) {
  std::vector<std::string> schemas;
  for (int version = 0; version <= LatestMigration(); ++version) {
    ASSERT_THAT(Migrate(&*db_, version), IsOk()) << version;
    schemas.push_back(SchemaText());
  }
  for (int version = LatestMigration(); version >= 0; --version) {
    ASSERT_THAT(Migrate(&*db_, version), IsOk()) << version;
    EXPECT_EQ(SchemaText(), schemas[static_cast<size_t>(version)]) << version;
    EXPECT_THAT(CurrentVersion(&*db_), IsOkAndHolds(version));
  }
  ASSERT_THAT(Migrate(&*db_, LatestMigration()), IsOk());
  EXPECT_EQ(SchemaText(), schemas.back());
}

TEST_F(MigratorTest, RefusesVersionsThatDoNotExist) {
  EXPECT_THAT(Migrate(&*db_, LatestMigration() + 1),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(fmt::format("no schema version {}", LatestMigration() + 1))));
  EXPECT_THAT(Migrate(&*db_, -1), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Names("table"), IsEmpty());
}

TEST_F(MigratorTest, RefusesADatabaseOfANewerVersionNamingBoth) {
  ASSERT_THAT(Migrate(&*db_, 2), IsOk());
  ASSERT_THAT(db_->Execute("INSERT INTO migrations (version, name) VALUES (99, 'from_tomorrow')"),
              IsOk());
  const auto refused =
      StatusIs(absl::StatusCode::kFailedPrecondition,
               testing::AllOf(HasSubstr("99"), HasSubstr(fmt::format("{}", LatestMigration()))));
  EXPECT_THAT(CurrentVersion(&*db_), refused);
  EXPECT_THAT(Migrate(&*db_, 0), refused);
  EXPECT_TRUE(Names("table").contains("operations")) << "nothing may be dropped";
}

TEST_F(MigratorTest, AVersionThatFailsLeavesTheOneBefore) {
  // Something else holds the name that version 2 is about to create last.
  ASSERT_THAT(db_->Execute("CREATE TABLE checkpoints (x INTEGER)"), IsOk());
  EXPECT_THAT(Migrate(&*db_, 2), StatusIs(absl::StatusCode::kInternal,
                                          testing::AllOf(HasSubstr("add_operations_history"),
                                                         HasSubstr("checkpoints"))));
  EXPECT_THAT(CurrentVersion(&*db_), IsOkAndHolds(1));
  EXPECT_FALSE(Names("table").contains("operations"));
  ASSERT_THAT(db_->Execute("DROP TABLE checkpoints"), IsOk());
  EXPECT_THAT(Migrate(&*db_, 2), IsOk());
}

TEST_F(MigratorTest, ChecksForeignKeysAmongTheTablesThatExist) {
  ASSERT_THAT(Migrate(&*db_, 2), IsOk());
  // The table personas comes with version 4.
  ASSERT_THAT(db_->Execute("INSERT INTO sessions (id, persona_id) VALUES ('s', 'persona_x')"),
              IsOk());
  EXPECT_THAT(CheckForeignKeys(&*db_), IsOk());
  ASSERT_THAT(db_->Execute("INSERT INTO operations (id, session_id, type, input) "
                           "VALUES ('o', 'nobody', 'chat', '{}')"),
              IsOk());
  EXPECT_THAT(CheckForeignKeys(&*db_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       testing::AllOf(HasSubstr("operations"), HasSubstr("sessions"))));
}

TEST_F(MigratorTest, TwoProcessesMayMigrateOneFile) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(Connection other, Connection::Open(directory_ / "views.db", {}));
  ASSERT_THAT(Migrate(&other, 2), IsOk());
  EXPECT_THAT(Migrate(&*db_, 2), IsOk());
  EXPECT_THAT(db_->QueryInt("SELECT count(*) FROM migrations"), IsOkAndHolds(2));
}

}  // namespace
}  // namespace nimbus::projections
