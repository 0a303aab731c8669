// Where the bytes are: every body is counted once, with what it takes.
#include "nimbus/journal/usage.h"

#include <filesystem>
#include <random>

#include "fixture.h"
#include "heavy_streams.h"
#include "testing/workload.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;

class UsageTest : public JournalTest {
 protected:
  void Fill(uint64_t operations) {
    const test::Workload workload(/*seed=*/11);
    const Uuid session = workload.SessionId(0);
    ASSERT_THAT(journal_->Append(test::SessionStarted(session)), IsOk());
    for (uint64_t n = 0; n < operations; ++n) {
      ASSERT_THAT(journal_->Append(workload.Operation(n).Events(session)), IsOk());
    }
  }
};

TEST_F(UsageTest, CountsEveryBodyOnce) {
  Fill(50);
  Event large = SessionStarted(schema::NewUuid());
  for (uint64_t x = 1; large.body.description.size() < 2'500'000;) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    large.body.description += fmt::format("{:016x}", x);
  }
  ASSERT_THAT(journal_->Append(large), IsOk());
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Usage usage, MeasureUsage(*journal_, {}));
  EXPECT_EQ(usage.records, 2u + 50 * test::kWorkloadEvents + 1);
  uint64_t bodies = 0, plain = 0, stored = 0;
  for (const BodyUsage& event : usage.events) {
    bodies += event.bodies;
    plain += event.plain_bytes;
    stored += event.stored_bytes;
  }
  EXPECT_EQ(bodies, usage.bodies);
  EXPECT_EQ(plain, usage.body_bytes);
  EXPECT_LE(stored, usage.stored_body_bytes);
  EXPECT_GT(stored, usage.stored_body_bytes * 9 / 10);
  EXPECT_EQ(usage.events.front().event, schema::fb::Event::SessionStarted);
  EXPECT_GT(usage.chunk_page_bytes, 1'000'000u);
  EXPECT_EQ(usage.file_bytes, fs::file_size(store() + "/journal-1/data.mdb"));
}

TEST_F(UsageTest, FindsTheLargestOperationsAndTheirSessions) {
  Fill(30);
  Begin();
  for (int i = 0; i < 20; ++i) {
    const std::string input = fmt::format(R"({{"text":"{}"}})", std::string(4000, 'a' + i));
    ASSERT_THAT(journal_->Append(StepAdded(operation_, schema::NewUuid(), input)), IsOk());
  }
  Event noise = StepAdded(operation_, schema::NewUuid());
  std::mt19937_64 random(1);
  while (noise.body.error.size() < 200'000) noise.body.error += fmt::format("{:x}", random());
  ASSERT_THAT(journal_->Append(noise), IsOk());
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Usage usage, MeasureUsage(*journal_, {.top = 3}));
  ASSERT_EQ(usage.operations.size(), 3u);
  EXPECT_EQ(usage.operations[0].id, operation_);
  EXPECT_EQ(usage.operations[0].bodies, 22u);
  EXPECT_EQ(usage.operations[0].excess_max, 0u);
  EXPECT_GT(usage.operations[0].plain_bytes, 280'000u);
  ASSERT_EQ(usage.sessions.size(), 2u);
}

TEST_F(UsageTest, ExpectsNoMoreOfCompactionThanThereIs) {
  for (int i = 0; i < 500; ++i) {
    ASSERT_THAT(journal_->Append(SessionStarted(schema::NewUuid())), IsOk());
  }
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Usage loose, MeasureUsage(*journal_, {}));
  EXPECT_GT(loose.reclaimable_bytes, 0u) << "the log was applied in pieces";
  EXPECT_LT(loose.reclaimable_bytes, loose.file_bytes);
}

TEST_F(UsageTest, IsBoundedInMemoryAndNeverCountsTooLittle) {
  HeavyStreams heavy(16);
  std::mt19937_64 random(2);
  std::map<Uuid, uint64_t> exact;
  std::vector<Uuid> ids(500);
  for (Uuid& id : ids) id = schema::NewUuid();
  for (int i = 0; i < 20'000; ++i) {
    // Three streams have half of all.
    const Uuid& id = random() % 2 == 0 ? ids[random() % 3] : ids[random() % ids.size()];
    const uint64_t bytes = random() % 100;
    exact[id] += bytes;
    heavy.Add(id, bytes, bytes);
  }
  const std::vector<StreamUsage> largest = heavy.Largest(3);
  ASSERT_EQ(largest.size(), 3u);
  for (const StreamUsage& usage : largest) {
    EXPECT_NE(std::find(ids.begin(), ids.begin() + 3, usage.id), ids.begin() + 3);
    EXPECT_GE(usage.stored_bytes, exact[usage.id]);
    EXPECT_LE(usage.stored_bytes - usage.excess_max, exact[usage.id]);
  }
  EXPECT_EQ(heavy.Largest(1000).size(), 16u);
}

}  // namespace
}  // namespace nimbus::journal
