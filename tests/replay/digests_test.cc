// The states of recordings made here are facts: the same on every machine, with every
// compiler, and in every store that the journal is carried to.
#include "replay/digests.h"

#include "nimbus/journal/range.h"
#include "nimbus/journal/verify.h"
#include "replay/recorder_fixture.h"
#include "testing/random.h"
#include "testing/workload.h"

namespace nimbus::replay {
namespace {

class DigestsTest : public RecorderTest {
 protected:
  // The journal as it is now, in another store: all at once, and range after range.
  std::unique_ptr<journal::Journal> Carried(uint64_t pieces) {
    const std::string other = (directory_ / fmt::format("other{}", pieces)).string();
    const uint64_t size = *journal_->Size();
    for (uint64_t piece = 0; piece < pieces; ++piece) {
      const std::string path = (directory_ / "range").string();
      std::string bytes;
      EXPECT_THAT(journal::ExportRange(
                      *journal_, {.from = size * piece / pieces, .to = size * (piece + 1) / pieces},
                      [&](std::span<const uint8_t> part) {
                        bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
                        return absl::OkStatus();
                      }),
                  IsOk());
      EXPECT_TRUE(test::WriteFile(path, bytes));
      EXPECT_THAT(journal::ImportRange(path, other, {}), IsOk());
    }
    auto journal = journal::Journal::Open(other, {.create = false, .read_only = true});
    EXPECT_THAT(journal, IsOk());
    return journal.ok() ? *std::move(journal) : nullptr;
  }

  std::vector<PointDigest> Digests(const journal::Journal& journal, const schema::Uuid& id) {
    absl::StatusOr<std::vector<PointDigest>> points = ReadDigests(journal, id);
    EXPECT_THAT(points, IsOk());
    return points.ok() ? *std::move(points) : std::vector<PointDigest>();
  }

  std::string Row(const schema::Uuid& operation) {
    DigestRow row;
    row.Add(Digests(*journal_, operation));
    return row.Text();
  }

  void ExpectTheSameElsewhere(const std::vector<schema::Uuid>& operations) {
    for (const uint64_t pieces : {1u, 3u}) {
      const auto other = Carried(pieces);
      ASSERT_NE(other, nullptr);
      for (const schema::Uuid& operation : operations) {
        EXPECT_EQ(Digests(*other, operation), Digests(*journal_, operation));
        NIMBUS_ASSERT_OK_AND_ASSIGN(const ReplayReport here,
                                    ReplayOperation(*journal_, operation, {}));
        NIMBUS_ASSERT_OK_AND_ASSIGN(const ReplayReport there,
                                    ReplayOperation(*other, operation, {}));
        EXPECT_EQ(there.ToJson().Dump(), here.ToJson().Dump());
      }
    }
  }
};

// A state of every type of value, changed by every operation of RFC 6902, with numbers
// and texts that are spelled in more than one way.
TEST_F(DigestsTest, OfARecordingOfAllKindsOfValues) {
  NewRecording recording = Recording();
  recording.state = *Json::Parse(
      R"({"n":-0.0,"e":1E2,"big":12345678901234567890123,"tiny":5e-324,"s":"\u00e9\u2028\"\\/",)"
      R"("none":null,"yes":true,"list":[1,2.50,[],{}],"\ud83d\ude00":"\u0000\u001f"})");
  NIMBUS_ASSERT_OK_AND_ASSIGN(Recorder recorder, Recorder::Open(journal_.get(), recording, {}));
  const char* const patches[] = {
      R"([{"op":"add","path":"/list/0","value":0.1}])",
      R"([{"op":"replace","path":"/e","value":100.00}])",
      R"([{"op":"move","from":"/big","path":"/list/-"}])",
      R"([{"op":"copy","from":"/list","path":"/again"},{"op":"remove","path":"/list/1"}])",
      R"([{"op":"test","path":"/yes","value":true},{"op":"remove","path":"/none"}])",
      R"([{"op":"add","path":"/a~1b~0c","value":"1.7976931348623157e308"}])",
      R"([{"op":"replace","path":"/tiny","value":1.7976931348623157e308}])"};
  for (const char* const patch : patches) {
    StepResult result;
    result.patch = *Json::Parse(patch);
    NIMBUS_ASSERT_OK(recorder.Step(Call(1), [&] { return absl::StatusOr<StepResult>(result); }));
  }
  NIMBUS_ASSERT_OK(recorder.Checkpoint("end"));
  EXPECT_EQ(Row(operation_), "9\t635db80464abfbd5\t0b5dc3bee20b2eb8");
  ExpectTheSameElsewhere({operation_});
}

TEST_F(DigestsTest, OfALongConversationAndItsFork) {
  Recorder recorder = Opened();
  RecordSteps(recorder, 1, 150);
  schema::fb::OperationForkedT forked;
  forked.parent = std::make_unique<schema::fb::Id>(operation_.ToFb());
  forked.step_number = 77;
  const schema::Uuid fork = schema::NewUuid();
  Append(journal::OperationCreated(fork, session_));
  Append(schema::MakeEvent(schema::fb::EntityKind::operation, fork, std::move(forked)));
  Append(journal::OperationEvent<schema::fb::OperationStartedT>(fork));
  EXPECT_EQ(Row(operation_), "155\tb97b14f9e749b82a\tc8a8014897d2a865");
  EXPECT_EQ(Row(fork), "2\t51ad9132113c9513\t59fa5d6a853bdcea");
  ExpectTheSameElsewhere({operation_, fork});
}

// Its checkpoints tell another state than no patches give: that is the same, too.
TEST_F(DigestsTest, OfTheCanonicalWorkload) {
  const test::Workload workload(/*seed=*/7);
  std::vector<schema::Uuid> operations;
  for (uint64_t number = 0; number < 20; ++number) {
    const test::WorkloadOperation operation = workload.Operation(number);
    NIMBUS_ASSERT_OK(journal_->Append(operation.Events(session_)));
    operations.push_back(operation.id);
  }
  DigestRow row;
  for (const schema::Uuid& operation : operations) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, operation));
    NIMBUS_ASSERT_OK(session.SeekToEnd());
    row.Add({{.step = session.step(), .digest = session.state().Digest()}});
  }
  EXPECT_EQ(row.Text(), "20\t1d94a0117623d9de\t1d94a0117623d9de");
  ExpectTheSameElsewhere(operations);
}

}  // namespace
}  // namespace nimbus::replay
