// A stream is read right from anywhere, whether the journal has marks of it, lacks
// them, or has wrong ones.
#include "nimbus/journal/stream_reader.h"

#include <lmdb.h>

#include <algorithm>
#include <functional>
#include <map>
#include <vector>

#include "fixture.h"
#include "format.h"
#include "lmdb_env.h"
#include "nimbus/journal/backup.h"
#include "nimbus/journal/compact.h"
#include "nimbus/journal/verify.h"
#include "stream_marks.h"
#include "testing/random.h"

namespace nimbus::journal {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kOperations = 3;

class StreamReaderTest : public JournalTest {
 protected:
  void Append(const std::vector<Event>& events) {
    const absl::StatusOr<Appended> appended = journal_->Append(events);
    ASSERT_THAT(appended, IsOk());
    for (uint64_t i = 0; i < events.size(); ++i) {
      streams_[events[i].stream].push_back(appended->first + i);
    }
  }

  void Start() {
    Append({SessionStarted(session_)});
    for (size_t i = 0; i < kOperations; ++i) {
      operations_.push_back(schema::NewUuid());
      Append({OperationCreated(operations_.back(), session_)});
    }
  }

  void AddStep(const Uuid& operation, std::vector<Event>* events) {
    const Uuid step = schema::NewUuid();
    events->push_back(StepAdded(operation, step));
    if (random_.Below(4) == 0)
      events->push_back(OperationEvent<schema::fb::OperationPlannedT>(operation));
    if (random_.Below(3) > 0) {
      events->push_back(StepEvent<schema::fb::StepCompletedT>(operation, step, "{}"));
    }
  }

  // Appends of one to many events, of an operation each, that take turns.
  void Fill(size_t appends) {
    if (operations_.empty()) Start();
    for (size_t i = 0; i < appends; ++i) {
      const Uuid& operation = operations_[random_.Below(operations_.size())];
      std::vector<Event> events;
      for (uint64_t steps = random_.Below(5) == 0 ? 20 : 1; steps > 0; --steps) {
        AddStep(operation, &events);
      }
      Append(events);
    }
  }

  StreamReader Opened(const Uuid& operation) {
    absl::StatusOr<StreamReader> stream =
        StreamReader::Open(*journal_, EntityKind::operation, operation);
    EXPECT_THAT(stream, IsOk());
    return *std::move(stream);
  }

  // That the stream is `sequences`, forward, back, at random, and by its steps.
  void ExpectStream(const Uuid& operation, const std::vector<uint64_t>& sequences) {
    StreamReader stream = Opened(operation);
    ASSERT_EQ(stream.version(), sequences.size());
    std::vector<uint64_t> steps;
    for (const uint64_t sequence : sequences) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* record, stream.Next());
      ASSERT_NE(record, nullptr);
      ASSERT_EQ(record->sequence, sequence);
      if (record->envelope().ordinal() > 0) steps.push_back(sequence);
    }
    EXPECT_THAT(stream.Next(), IsOkAndHolds(nullptr));
    for (size_t i = sequences.size(); i-- > 0;) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* record, stream.Previous());
      ASSERT_NE(record, nullptr);
      ASSERT_EQ(record->sequence, sequences[i]);
    }
    EXPECT_THAT(stream.Previous(), IsOkAndHolds(nullptr));
    StreamReader another = Opened(operation);
    for (int i = 0; i < 200; ++i) {
      const uint64_t version = 1 + random_.Below(sequences.size());
      NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* record, another.Read(version));
      ASSERT_EQ(record->sequence, sequences[version - 1]);
      const auto step = static_cast<uint32_t>(1 + random_.Below(steps.size()));
      NIMBUS_ASSERT_OK_AND_ASSIGN(record, another.ReadStepAdded(step));
      ASSERT_EQ(record->sequence, steps[step - 1]);
    }
  }

  void ExpectAllStreams() {
    for (const Uuid& operation : operations_) ExpectStream(operation, streams_[operation]);
  }

  // What is stored of an operation's marks.
  std::vector<StreamMark> Marks(const Uuid& operation) {
    std::vector<StreamMark> marks;
    Tamper([&](lmdb::Transaction* txn) {
      const lmdb::Table meta = *txn->OpenTable("meta", false, false);
      for (const StreamMark::Of of : {StreamMark::Of::kVersion, StreamMark::Of::kStep}) {
        for (uint64_t number = 1;;) {
          const auto mark = *FindStreamMark(*txn, meta, operation, of, number);
          if (!mark.has_value()) break;
          marks.push_back(*mark);
          number = mark->number + 1;
        }
      }
    });
    return marks;
  }

  static Bytes KeyOf(const StreamMark& mark) {
    Bytes key{'s', 't', 'r', 'e', 'a', 'm'};
    key.insert(key.end(), mark.operation.bytes.begin(), mark.operation.bytes.end());
    key.push_back(static_cast<uint8_t>(mark.of));
    for (int shift = 56; shift >= 0; shift -= 8) {
      key.push_back(static_cast<uint8_t>(mark.number >> shift));
    }
    return key;
  }

  static void Put(lmdb::Transaction* txn, const StreamMark& mark) {
    const lmdb::Table meta = *txn->OpenTable("meta", false, false);
    EXPECT_THAT(txn->Put(meta, KeyOf(mark), lmdb::MakeView(&mark.sequence, sizeof(mark.sequence))),
                IsOk());
  }

  // Changes the closed journal's tables.
  void Tamper(const std::function<void(lmdb::Transaction*)>& change) {
    journal_.reset();
    NIMBUS_ASSERT_OK_AND_ASSIGN(
        const auto env, lmdb::Env::Open(store() + "/journal-1", {.map_bytes = size_t{1} << 30}));
    NIMBUS_ASSERT_OK_AND_ASSIGN(lmdb::Transaction txn,
                                lmdb::Transaction::Begin(*env, lmdb::Transaction::Mode::kWrite));
    change(&txn);
    ASSERT_THAT(txn.Commit(), IsOk());
  }

  // Nothing in Nimbus removes an entry, so its wrapper of LMDB can't.
  void Remove(const std::vector<StreamMark>& marks) {
    journal_.reset();
    MDB_env* env = nullptr;
    MDB_txn* txn = nullptr;
    MDB_dbi meta = 0;
    ASSERT_EQ(mdb_env_create(&env), 0);
    ASSERT_EQ(mdb_env_set_maxdbs(env, 8), 0);
    ASSERT_EQ(mdb_env_set_mapsize(env, size_t{1} << 30), 0);
    ASSERT_EQ(mdb_env_open(env, (store() + "/journal-1").c_str(), 0, 0600), 0);
    ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
    ASSERT_EQ(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    for (const StreamMark& mark : marks) {
      Bytes bytes = KeyOf(mark);
      MDB_val key{bytes.size(), bytes.data()};
      EXPECT_EQ(mdb_del(txn, meta, &key, nullptr), 0);
    }
    ASSERT_EQ(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    Open();
  }

  // As a program without marks leaves it, if it wrote what comes after.
  void RemoveMarks(const Uuid& operation, uint64_t after) {
    std::vector<StreamMark> marks = Marks(operation);
    std::erase_if(marks, [&](const StreamMark& mark) { return mark.number <= after; });
    Remove(marks);
  }

  VerifyReport Verify() {
    absl::StatusOr<VerifyReport> report = VerifyJournal(*journal_, {});
    EXPECT_THAT(report, IsOk());
    return report.ok() ? *report : VerifyReport{};
  }

  test::SeededRandom random_;
  std::vector<Uuid> operations_;
  std::map<Uuid, std::vector<uint64_t>> streams_;
};

TEST_F(StreamReaderTest, ReadsStreamsThatTakeTurnsFromTheLogAndFromLmdb) {
  Fill(150);
  ExpectAllStreams();  // most is in the log
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  ExpectAllStreams();
  Fill(150);
  ExpectAllStreams();
  Open();
  ExpectAllStreams();
  EXPECT_THAT(Verify().findings, IsEmpty());
}

TEST_F(StreamReaderTest, KeepsAMarkOfEvery64thRecordAndStep) {
  Fill(300);
  for (const Uuid& operation : operations_) {
    const std::vector<uint64_t>& sequences = streams_[operation];
    std::vector<uint64_t> steps;
    StreamReader stream = Opened(operation);
    for (uint64_t version = 1; version <= sequences.size(); ++version) {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* record, stream.Read(version));
      if (record->envelope().ordinal() > 0) steps.push_back(record->sequence);
    }
    const std::vector<StreamMark> marks = Marks(operation);
    EXPECT_EQ(marks.size(), sequences.size() / 64 + steps.size() / 64);
    for (const StreamMark& mark : marks) {
      const auto& all = mark.of == StreamMark::Of::kVersion ? sequences : steps;
      EXPECT_EQ(mark.sequence, all[mark.number - 1]);
    }
    Open();
  }
}

TEST_F(StreamReaderTest, ReadsWhatAProgramWithoutMarksWrote) {
  Fill(200);
  for (const uint64_t after : {UINT64_MAX, uint64_t{128}, uint64_t{0}}) {
    for (const Uuid& operation : operations_) RemoveMarks(operation, after);
    ExpectAllStreams();
    EXPECT_THAT(Verify().findings, IsEmpty());
  }
  Fill(200);  // the marks begin somewhere in the middle
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  ExpectAllStreams();
  EXPECT_THAT(Verify().findings, IsEmpty());
}

TEST_F(StreamReaderTest, CopiesMakeTheMarksAnew) {
  Fill(200);
  const size_t marks = Marks(operations_[0]).size();
  EXPECT_GT(marks, 0u);
  RemoveMarks(operations_[0], 0);
  const std::string copy = (directory_ / "copy").string();
  NIMBUS_ASSERT_OK(BackupJournal(*journal_, copy, {}).status());
  NIMBUS_ASSERT_OK(CompactJournal(journal_.get(), {}).status());
  ExpectAllStreams();
  EXPECT_THAT(Verify().findings, IsEmpty());
  journal_.reset();
  for (const std::string& path : {copy + "/journal-2", store() + "/journal-2"}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const auto env,
                                lmdb::Env::Open(path, {.map_bytes = size_t{1} << 30}));
    NIMBUS_ASSERT_OK_AND_ASSIGN(lmdb::Transaction txn,
                                lmdb::Transaction::Begin(*env, lmdb::Transaction::Mode::kWrite));
    const lmdb::Table meta = *txn.OpenTable("meta", false, false);
    const auto mark = *FindStreamMark(txn, meta, operations_[0], StreamMark::Of::kVersion, 1);
    ASSERT_TRUE(mark.has_value());
    EXPECT_EQ(mark->sequence, streams_[operations_[0]][63]);
  }
}

TEST_F(StreamReaderTest, AWrongMarkIsNeverBelievedAndVerifyFindsIt) {
  Fill(200);
  const Uuid& operation = operations_[0];
  const std::vector<StreamMark> marks = Marks(operation);
  const std::vector<uint64_t>& sequences = streams_[operation];
  ASSERT_GE(marks.size(), 2u);
  // Another record of the stream, one of another stream, one that is not there.
  for (const uint64_t wrong : {sequences[64], streams_[operations_[1]][70], uint64_t{1} << 40}) {
    for (const StreamMark& mark : marks) {
      StreamMark forged = mark;
      forged.sequence = wrong;
      Tamper([&](lmdb::Transaction* txn) { Put(txn, forged); });
      Open();
      EXPECT_THAT(Verify().findings,
                  Contains(Field(&Finding::what, HasSubstr("mark of its stream"))));
      StreamReader stream = Opened(operation);
      const absl::StatusOr<const RecordView*> read =
          mark.of == StreamMark::Of::kVersion
              ? stream.Read(mark.number)
              : stream.ReadStepAdded(static_cast<uint32_t>(mark.number));
      // It is beyond what the reader saw, and of no use; or it is refused.
      if (read.ok()) {
        EXPECT_EQ((*read)->sequence, mark.sequence);
      } else {
        EXPECT_THAT(read.status(), StatusIs(Code::kDataLoss));
      }
      Tamper([&](lmdb::Transaction* txn) { Put(txn, mark); });
    }
  }
  Open();
  EXPECT_THAT(Verify().findings, IsEmpty());
}

TEST_F(StreamReaderTest, VerifyFindsMarksThatNoRecordMakes) {
  Fill(200);
  for (const StreamMark& extra :
       {StreamMark{.operation = operations_[0], .number = 64'000, .sequence = 5},
        StreamMark{
            .operation = operations_[0], .number = 65, .sequence = streams_[operations_[0]][64]},
        StreamMark{.operation = session_, .number = 64, .sequence = 5}}) {
    Tamper([&](lmdb::Transaction* txn) { Put(txn, extra); });
    Open();
    EXPECT_THAT(Verify().findings, Contains(Field(&Finding::what, HasSubstr("no record makes"))));
    Remove({extra});
    EXPECT_THAT(Verify().findings, IsEmpty());
  }
}

TEST_F(StreamReaderTest, SeesTheStreamAsItWasAtOpen) {
  Fill(100);
  StreamReader before = Opened(operations_[0]);
  const std::vector<uint64_t> sequences = streams_[operations_[0]];
  Fill(300);
  ASSERT_THAT(journal_->ApplyLog(), IsOk());
  for (uint64_t version = 1; version <= sequences.size(); ++version) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* record, before.Next());
    ASSERT_EQ(record->sequence, sequences[version - 1]);
  }
  EXPECT_THAT(before.Next(), IsOkAndHolds(nullptr));
}

TEST_F(StreamReaderTest, ReadsStreamsWithoutMarks) {
  Append({SessionStarted(session_)});
  std::vector<Event> events;
  for (uint64_t i = 0; i < 500; ++i) events.push_back(SessionUpdated(session_, i));
  Append(events);
  NIMBUS_ASSERT_OK_AND_ASSIGN(StreamReader stream,
                              StreamReader::Open(*journal_, EntityKind::session, session_));
  EXPECT_EQ(stream.version(), 501u);
  for (const uint64_t version : {uint64_t{501}, uint64_t{1}, uint64_t{64}, uint64_t{65}}) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const RecordView* record, stream.Read(version));
    EXPECT_EQ(record->sequence, streams_[session_][version - 1]);
  }
  EXPECT_THAT(stream.ReadStepAdded(1), StatusIs(Code::kNotFound));
}

TEST_F(StreamReaderTest, SaysWhatThereIsNot) {
  Fill(10);
  const Uuid& operation = operations_[0];
  EXPECT_THAT(StreamReader::Open(*journal_, EntityKind::operation, session_).status(),
              StatusIs(Code::kNotFound, HasSubstr(session_.ToString())));
  StreamReader stream = Opened(operation);
  const uint64_t version = stream.version();
  EXPECT_THAT(stream.Read(0), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(stream.Read(version + 1), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(stream.Seek(0), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(stream.Seek(version + 1), IsOk());
  EXPECT_THAT(stream.Next(), IsOkAndHolds(nullptr));
  EXPECT_THAT(stream.Seek(version + 2), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(stream.ReadStepAdded(0), StatusIs(Code::kNotFound));
  EXPECT_THAT(stream.ReadStepAdded(stream.entity().steps + 1), StatusIs(Code::kNotFound));
  EXPECT_THAT(stream.ReadAt(streams_[operations_[1]][0]), StatusIs(Code::kDataLoss));
  EXPECT_THAT(stream.ReadAt(uint64_t{1} << 40), StatusIs(Code::kDataLoss));
}

}  // namespace
}  // namespace nimbus::journal
