#include "digest.h"

#include <gtest/gtest.h>

#include "testing/files.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using sqlite::Connection;
using test::IsOk;
using test::IsOkAndHolds;

class DigestTest : public testing::Test {
 protected:
  void SetUp() override {
    for (auto* db : {&a_, &b_}) {
      absl::StatusOr<Connection> opened =
          Connection::Open(directory_ / (db == &a_ ? "a.db" : "b.db"), {});
      ASSERT_THAT(opened, IsOk());
      db->emplace(*std::move(opened));
    }
    Both(
        "CREATE TABLE t (id TEXT PRIMARY KEY, n, x); CREATE INDEX i ON t (n);"
        "INSERT INTO t VALUES ('b', 1, 'one'), ('a', 2, NULL), ('c', 2.5, x'00ff');");
  }

  void Both(const std::string& sql) {
    ASSERT_THAT(a_->Execute(sql), IsOk());
    ASSERT_THAT(b_->Execute(sql), IsOk());
  }

  schema::Digest DigestOf(Connection* db) {
    absl::StatusOr<std::vector<TableDigest>> digests = DigestTables(db);
    EXPECT_THAT(digests, IsOk());
    return digests.ok() && !digests->empty() ? digests->front().digest : schema::Digest{};
  }

  // Changes the second; the comparison says so, and the digest if it is about rows.
  void ExpectDifference(const std::string& sql, const std::string& says, bool rows = true) {
    ASSERT_THAT(b_->Execute("BEGIN;" + sql), IsOk());
    absl::StatusOr<std::optional<TableDifference>> found = CompareTables(&*a_, &*b_);
    ASSERT_THAT(found, IsOk());
    ASSERT_TRUE(found->has_value()) << sql;
    EXPECT_EQ((*found)->ToString(), says);
    if (rows) {
      EXPECT_NE(DigestOf(&*a_), DigestOf(&*b_)) << sql;
    }
    ASSERT_THAT(b_->Execute("ROLLBACK"), IsOk());
  }

  test::TempDir directory_;
  std::optional<Connection> a_, b_;
};

TEST_F(DigestTest, OfEqualTablesAreEqualWhateverTheirFilesLookLike) {
  EXPECT_THAT(CompareTables(&*a_, &*b_), IsOkAndHolds(std::nullopt));
  ASSERT_THAT(b_->Execute("INSERT INTO t VALUES ('z', 1, 1); DELETE FROM t WHERE id = 'z'; VACUUM"),
              IsOk());
  EXPECT_THAT(CompareTables(&*a_, &*b_), IsOkAndHolds(std::nullopt));
  EXPECT_EQ(DigestTables(&*a_).value(), DigestTables(&*b_).value());
  EXPECT_EQ(DigestTables(&*a_)->front().rows, 3u);
}

TEST_F(DigestTest, NameTheFirstRowThatDiffers) {
  ExpectDifference("UPDATE t SET x = 'two' WHERE id > 'a'",
                   "table t, row id 'b': column x differs");
  ExpectDifference("DELETE FROM t WHERE id = 'c'", "table t, row id 'c': is only in the first");
  ExpectDifference("DELETE FROM t WHERE id = 'a'", "table t, row id 'a': is only in the first");
  ExpectDifference("INSERT INTO t VALUES ('aa', 1, 1)",
                   "table t, row id 'aa': is only in the second");
  ExpectDifference("UPDATE t SET id = 'd' WHERE id = 'b'",
                   "table t, row id 'b': is only in the first");
  ExpectDifference("UPDATE t SET rowid = 99 WHERE id = 'b'",
                   "table t, row id 'b': column rowid differs");
}

TEST_F(DigestTest, TellTypesApart) {
  ExpectDifference("UPDATE t SET n = '1' WHERE id = 'b'", "table t, row id 'b': column n differs");
  ExpectDifference("UPDATE t SET n = 1.0 WHERE id = 'b'", "table t, row id 'b': column n differs");
  ExpectDifference("UPDATE t SET x = x'6f6e65' WHERE id = 'b'",
                   "table t, row id 'b': column x differs");
  ExpectDifference("UPDATE t SET x = '' WHERE id = 'a'", "table t, row id 'a': column x differs");
  ExpectDifference("UPDATE t SET x = x'00' WHERE id = 'c'",
                   "table t, row id 'c': column x differs");
}

TEST_F(DigestTest, SeeTablesAndIndexes) {
  ExpectDifference("DROP INDEX i", "i: the index is only in the first", false);
  ExpectDifference("CREATE INDEX j ON t (x)", "j: the index is only in the second", false);
  ExpectDifference("DROP TABLE t", "t: the table is only in the first");
  ExpectDifference("CREATE TABLE s (x)", "s: the table is only in the second");
  ExpectDifference("ALTER TABLE t ADD COLUMN y", "t: the table is defined differently");
}

TEST_F(DigestTest, OfTwoVersionsCompareWhatBothHave) {
  Both("CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT, applied_at DATETIME)");
  ASSERT_THAT(b_->Execute("CREATE TABLE s (x); INSERT INTO migrations VALUES (1, 'm', 'now')"),
              IsOk());
  EXPECT_THAT(CompareTables(&*a_, &*b_, {.common_only = true}), IsOkAndHolds(std::nullopt));
  ASSERT_THAT(b_->Execute("DELETE FROM t WHERE id = 'b'"), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto found,
                              CompareTables(&*a_, &*b_, {.common_only = true, .a_name = "this"}));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->what, "is only in this");
}

TEST_F(DigestTest, LeaveOutWhenMigrationsWereApplied) {
  Both("CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT, applied_at DATETIME)");
  ASSERT_THAT(a_->Execute("INSERT INTO migrations VALUES (1, 'm', 'today')"), IsOk());
  ASSERT_THAT(b_->Execute("INSERT INTO migrations VALUES (1, 'm', 'tomorrow')"), IsOk());
  EXPECT_THAT(CompareTables(&*a_, &*b_), IsOkAndHolds(std::nullopt));
  EXPECT_EQ(DigestTables(&*a_).value(), DigestTables(&*b_).value());
  ASSERT_THAT(b_->Execute("UPDATE migrations SET name = 'n'"), IsOk());
  EXPECT_NE(DigestTables(&*a_).value(), DigestTables(&*b_).value());
}

}  // namespace
}  // namespace nimbus::projections
