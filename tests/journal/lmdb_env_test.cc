// The LMDB wrapper, where LMDB itself needs care.
#include "lmdb_env.h"

#include <csignal>

#include "fixture.h"
#include "format.h"
#include "journal/child.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using lmdb::Transaction;

constexpr unsigned kReadersMax = 126;  // LMDB's default

Bytes KeyOf(uint64_t n) {
  Bytes key;
  PutFixed(n, &key);
  return key;
}

class LmdbEnvTest : public ::testing::Test {
 protected:
  void Open(size_t map_bytes) {
    env_.reset();
    absl::StatusOr<std::unique_ptr<lmdb::Env>> env =
        lmdb::Env::Open(directory_.string(), {.map_bytes = map_bytes});
    ASSERT_THAT(env, IsOk());
    env_ = *std::move(env);
  }
  // Puts `count` values of 4000 bytes; the first error.
  absl::Status Fill(uint64_t from, uint64_t count) {
    NIMBUS_ASSIGN_OR_RETURN(Transaction txn, Transaction::Begin(*env_, Transaction::Mode::kWrite));
    NIMBUS_ASSIGN_OR_RETURN(const lmdb::Table table, txn.OpenTable("t", true, true));
    for (uint64_t n = from; n < from + count; ++n) {
      NIMBUS_RETURN_IF_ERROR(txn.Put(table, KeyOf(n), Bytes(4000, static_cast<uint8_t>(n))));
    }
    return txn.Commit();
  }

  test::TempDir directory_;
  std::unique_ptr<lmdb::Env> env_;
};

TEST_F(LmdbEnvTest, AFullMapIsResourceExhaustedAndNotTheEnd) {
  Open(1 << 20);
  ASSERT_THAT(Fill(0, 10), IsOk());
  EXPECT_THAT(Fill(10, 1000), StatusIs(Code::kResourceExhausted));
  ASSERT_THAT(Fill(10, 1), IsOk());
  Open(16 << 20);
  EXPECT_THAT(Fill(20, 1000), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(Transaction txn, Transaction::Begin(*env_, Transaction::Mode::kRead));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const lmdb::Table table, txn.OpenTable("t", true, false));
  EXPECT_EQ(txn.Stat(table)->entries, 1011u);
}

// A smaller map is enough to read what a larger one wrote.
TEST_F(LmdbEnvTest, ReadsWhatALargerMapWrote) {
  Open(16 << 20);
  ASSERT_THAT(Fill(0, 1000), IsOk());
  Open(1 << 20);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Transaction txn, Transaction::Begin(*env_, Transaction::Mode::kRead));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const lmdb::Table table, txn.OpenTable("t", true, false));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto value, txn.Get(table, KeyOf(999)));
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(value->size(), 4000u);
}

TEST_F(LmdbEnvTest, AnAbsentTableIsNotFound) {
  Open(1 << 20);
  NIMBUS_ASSERT_OK_AND_ASSIGN(Transaction txn, Transaction::Begin(*env_, Transaction::Mode::kRead));
  EXPECT_THAT(txn.OpenTable("nothing", false, false), StatusIs(Code::kNotFound));
}

TEST_F(LmdbEnvTest, SaysWhenThereAreTooManyReaders) {
  Open(1 << 20);
  ASSERT_THAT(Fill(0, 1), IsOk());
  std::vector<Transaction> readers;
  for (unsigned i = 0; i < kReadersMax; ++i) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Transaction txn,
                                Transaction::Begin(*env_, Transaction::Mode::kRead));
    readers.push_back(std::move(txn));
  }
  EXPECT_THAT(Transaction::Begin(*env_, Transaction::Mode::kRead),
              StatusIs(Code::kResourceExhausted));
  readers.pop_back();
  EXPECT_THAT(Transaction::Begin(*env_, Transaction::Mode::kRead), IsOk());
}

TEST_F(LmdbEnvTest, TheSlotsOfKilledReadersAreTakenBack) {
  Open(1 << 20);
  ASSERT_THAT(Fill(0, 1), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<test::Program> child,
      StartChild({"readers", directory_.string(), std::to_string(kReadersMax)}));
  ASSERT_TRUE(WaitForLines(*child, 1));
  EXPECT_EQ(child->OutputSoFar(), "held\n");
  EXPECT_THAT(Transaction::Begin(*env_, Transaction::Mode::kRead),
              StatusIs(Code::kResourceExhausted));
  child->Signal(SIGKILL);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, child->Wait());
  EXPECT_EQ(run.signal, SIGKILL);
  EXPECT_THAT(Transaction::Begin(*env_, Transaction::Mode::kRead), IsOk());
}

}  // namespace
}  // namespace nimbus::journal
