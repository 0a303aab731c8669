// The built-in personas and preferences: once in every journal, whoever opens it.
#include "nimbus/projections/builtins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "fixture.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using test::IsOk;
using test::IsOkAndHolds;

constexpr uint64_t kBuiltins = 6 + 8;

TEST(BuiltinsTest, AreAppendedOnce) {
  const test::TempDir directory;
  for (int i = 0; i < 3; ++i) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(auto journal, journal::Journal::Open(directory.string(), {}));
    ASSERT_THAT(AppendBuiltins(journal.get()), IsOk());
    ASSERT_THAT(AppendBuiltins(journal.get()), IsOk());
    EXPECT_THAT(journal->Size(), IsOkAndHolds(1 + kBuiltins));
  }
}

TEST(BuiltinsTest, AreAppendedOnceByManyAtOnce) {
  const test::TempDir directory;
  NIMBUS_ASSERT_OK_AND_ASSIGN(auto journal, journal::Journal::Open(directory.string(), {}));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { EXPECT_THAT(AppendBuiltins(journal.get()), IsOk()); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(journal->Size(), IsOkAndHolds(1 + kBuiltins));
}

TEST(BuiltinsTest, AReaderOfAJournalWithoutThemAppendsNone) {
  const test::TempDir directory;
  ASSERT_THAT(journal::Journal::Open(directory.string(), {}), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      auto database,
      Database::Open(directory.string(), {.journal = {.create = false, .read_only = true}}));
  EXPECT_THAT(database->journal().Size(), IsOkAndHolds(1u));
}

}  // namespace
}  // namespace nimbus::projections
