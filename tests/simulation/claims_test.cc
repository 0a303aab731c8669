// What is needed after a cut, and that a journal which lacks it is found bad.
#include "simulation/claims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "journal/events.h"
#include "simulation/check.h"
#include "simulation/script.h"
#include "testing/files.h"
#include "testing/status_matchers.h"

namespace nimbus::simulation {
namespace {

using ::nimbus::test::IsOk;
using ::nimbus::test::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;
constexpr auto kLost = absl::StatusCode::kDataLoss;

class ClaimsTest : public ::testing::Test {
 protected:
  uint64_t RecordsNeededAfter(size_t cut) {
    absl::StatusOr<Claims> claims = ParseClaims(script_.trace());
    EXPECT_THAT(claims, IsOk());
    return NeededAt(script_.trace(), *claims, cut).records;
  }
  Script script_;
};

TEST_F(ClaimsTest, NeedsNothingBeforeTheStoreWasOpened) {
  script_.Create("f", 1).Mark("opened 1");
  EXPECT_EQ(RecordsNeededAfter(0), 0u);
  EXPECT_EQ(RecordsNeededAfter(2), 0u);
  EXPECT_EQ(RecordsNeededAfter(3), 1u);
}

TEST_F(ClaimsTest, NeedsWhatWasAcknowledgedBeforeTheCut) {
  script_.Mark("opened 1").Mark("ack 1 1 durable").Mark("ack 5 3 durable").Mark("ack 2 1 durable");
  EXPECT_EQ(RecordsNeededAfter(1), 1u);
  EXPECT_EQ(RecordsNeededAfter(2), 2u);
  EXPECT_EQ(RecordsNeededAfter(3), 8u);
  EXPECT_EQ(RecordsNeededAfter(4), 8u);
}

TEST_F(ClaimsTest, NeedsARelaxedAppendAfterItsTimeOrWithALaterDurableOne) {
  script_.Mark("opened 1").Mark("ack 1 1 relaxed").Mark("idle", kRelaxedMicros + kSlackMicros);
  script_.Mark("idle", 1).Mark("ack 2 1 relaxed").Mark("ack 3 1 durable");
  EXPECT_EQ(RecordsNeededAfter(2), 1u);
  EXPECT_EQ(RecordsNeededAfter(3), 2u);
  EXPECT_EQ(RecordsNeededAfter(5), 2u);
  EXPECT_EQ(RecordsNeededAfter(6), 4u);
}

TEST_F(ClaimsTest, NeedsWhatAReaderHasSeen) {
  script_.Mark("opened 1").Mark("ack 5 1 relaxed").Mark("seen 4").Mark("opened 6").Mark("seen 2");
  EXPECT_EQ(RecordsNeededAfter(2), 1u);
  EXPECT_EQ(RecordsNeededAfter(3), 4u);
  EXPECT_EQ(RecordsNeededAfter(5), 6u);
}

TEST_F(ClaimsTest, KnowsUpdates) {
  const schema::Uuid session = schema::NewUuid();
  script_.Mark("opened 1").Mark("ack 7 2 durable " + session.ToString() + " 3");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Claims claims, ParseClaims(script_.trace()));
  ASSERT_THAT(claims.acknowledgements, SizeIs(1));
  EXPECT_EQ(claims.acknowledgements[0].session, session);
  EXPECT_EQ(claims.acknowledgements[0].n, 3u);
}

TEST_F(ClaimsTest, RefusesWhatItDoesNotUnderstand) {
  for (const char* mark :
       {"ack", "ack 1", "ack 1 1 soon", "seen", "ack 1 1 durable 1234", "ack x 1 durable"}) {
    Script script;
    script.Mark(mark);
    EXPECT_FALSE(ParseClaims(script.trace()).ok()) << mark;
  }
}

// A whole store of five records, and what was said of it.
class CheckTest : public ::testing::Test {
 protected:
  void SetUp() override {
    {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const auto journal, journal::Journal::Open(store(), {}));
      ASSERT_THAT(journal->Append(journal::SessionStarted(session_)), IsOk());
      ASSERT_THAT(journal->ApplyLog(), IsOk());  // a block of its own
      for (uint64_t n = 0; n < 3; ++n) {
        ASSERT_THAT(journal->Append(journal::SessionUpdated(session_, n)), IsOk());
        claims_.acknowledgements.push_back(
            {.first = n + 2, .count = 1, .session = session_, .n = n});
      }
    }
    NIMBUS_ASSERT_OK_AND_ASSIGN(written_, ReadRecords(store(), claims_));
    ASSERT_THAT(written_, SizeIs(5));
  }
  std::string store() const { return directory_ / "store"; }

  test::TempDir directory_;
  const schema::Uuid session_ = schema::NewUuid();
  Claims claims_;
  Records written_;
};

TEST_F(CheckTest, FindsAWholeStoreGood) {
  EXPECT_THAT(CheckStore(store(), {.store = true, .records = 5}, written_), IsOk());
}

TEST_F(CheckTest, FindsNoStoreGoodWhereNoneIsNeeded) {
  std::filesystem::remove_all(store());
  EXPECT_THAT(CheckStore(store(), {.store = true, .records = 1}, written_),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(CheckStore(store(), {}, written_), IsOk());
}

TEST_F(CheckTest, FindsAMissingRecord) {
  EXPECT_THAT(CheckStore(store(), {.store = true, .records = 6}, written_),
              StatusIs(kLost, HasSubstr("5 records, 6 were acknowledged")));
}

TEST_F(CheckTest, FindsARecordThatWasNeverWritten) {
  written_.pop_back();
  EXPECT_THAT(CheckStore(store(), {.store = true, .records = 1}, written_),
              StatusIs(kLost, HasSubstr("5 records, 4 were ever written")));
}

TEST_F(CheckTest, FindsAnotherRecordInTheSamePlace) {
  std::swap(written_[2], written_[3]);
  EXPECT_THAT(CheckStore(store(), {.store = true, .records = 1}, written_),
              StatusIs(kLost, HasSubstr("record 2 is not the one")));
}

TEST_F(CheckTest, FindsAnUpdateThatIsNotWhereItWasSaidToBe) {
  for (Acknowledgement* ack : {&claims_.acknowledgements[0], &claims_.acknowledgements[2]}) {
    const Acknowledgement kept = *ack;
    ++ack->n;
    EXPECT_THAT(ReadRecords(store(), claims_), StatusIs(kLost, HasSubstr("is not update")));
    *ack = kept;
    ++ack->first;
    EXPECT_FALSE(ReadRecords(store(), claims_).ok());
    *ack = kept;
  }
  EXPECT_THAT(ReadRecords(store(), claims_), IsOk());
}

TEST_F(CheckTest, FindsAChangedText) {
  const std::string data = store() + "/journal-1/data.mdb";
  std::string bytes = *test::ReadFile(data);
  const std::string_view text = "a session";  // too short to be compressed
  size_t found = 0;                           // LMDB keeps older copies of a page
  for (size_t at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1)) {
    bytes[at] = 'b';
    ++found;
  }
  ASSERT_GT(found, 0u);
  ASSERT_TRUE(test::WriteFile(data, bytes));
  EXPECT_THAT(CheckStore(store(), {.store = true, .records = 1}, written_), StatusIs(kLost));
}

}  // namespace
}  // namespace nimbus::simulation
