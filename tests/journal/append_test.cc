// What Journal::Append promises, except what needs several processes.
#include <fmt/format.h>
#include <atomic>

#include <optional>
#include <thread>

#include "fixture.h"
#include "journal/stream.h"

namespace nimbus::journal {
namespace {

using ::testing::HasSubstr;

TEST_F(JournalTest, BeginsWithTheRecordOfItsOwnCreation) {
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(1u));
  Reader reader(*journal_);
  absl::StatusOr<const RecordView*> first = reader.Next();
  ASSERT_THAT(first, IsOk());
  ASSERT_NE(*first, nullptr);
  const auto* created = (*first)->record->event_as_JournalCreated();
  ASSERT_NE(created, nullptr);
  EXPECT_EQ(Uuid::FromFb(*created->journal()), journal_->id());
  EXPECT_EQ((*first)->envelope().version(), 1u);
}

TEST_F(JournalTest, AnswersWithTheSequencesInOrder) {
  absl::StatusOr<Appended> first = journal_->Append(SessionStarted(session_));
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->first, 1u);
  EXPECT_EQ(first->version, 1u);
  const Event entries[] = {OperationCreated(operation_, session_),
                           OperationEvent<schema::fb::OperationStartedT>(operation_)};
  absl::StatusOr<Appended> second = journal_->Append(entries);
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->first, 2u);
  EXPECT_EQ(second->count, 2u);
  EXPECT_EQ(second->version, 2u);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(4u));
}

TEST_F(JournalTest, KeepsEverythingAcrossReopening) {
  Begin();
  const Uuid id = journal_->id();
  const Stat before = *journal_->GetStat();
  Open();
  EXPECT_EQ(journal_->id(), id);
  const Stat after = *journal_->GetStat();
  EXPECT_EQ(after.records, 3u);
  EXPECT_EQ(after.root, before.root);
  Reader reader(*journal_);
  reader.Seek(2);
  const RecordView* record = *reader.Next();
  ASSERT_NE(record, nullptr);
  const schema::fb::Body* body = *reader.Body(*record);
  ASSERT_NE(body, nullptr);
  EXPECT_EQ(body->input()->string_view(), R"({"prompt":"deploy it"})");
}

TEST_F(JournalTest, WritesNothingOfAnAppendThatIsRefused) {
  Begin();
  const Uuid step = schema::NewUuid();
  const Event entries[] = {StepAdded(operation_, step), StepAdded(operation_, step)};
  EXPECT_THAT(journal_->Append(entries), StatusIs(Code::kAlreadyExists, HasSubstr("step")));
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(3u));
  EXPECT_FALSE(journal_->FindEntity(EntityKind::step, step)->has_value());
  EXPECT_THAT(journal_->Append(StepAdded(operation_, step)), IsOk());
}

TEST_F(JournalTest, RefusesAnUnexpectedVersion) {
  Begin();
  const Event event = StepAdded(operation_, schema::NewUuid());
  EXPECT_THAT(journal_->Append(event, {.expected_version = 0}), StatusIs(Code::kAborted));
  EXPECT_THAT(journal_->Append(event, {.expected_version = 2}), StatusIs(Code::kAborted));
  absl::StatusOr<Appended> appended = journal_->Append(event, {.expected_version = 1});
  ASSERT_THAT(appended, IsOk());
  EXPECT_EQ(appended->version, 2u);
}

TEST_F(JournalTest, AnswersARetryWithTheFirstResult) {
  Begin();
  const AppendId id{1, 2, 3};
  const Event event = StepAdded(operation_, schema::NewUuid());
  absl::StatusOr<Appended> first = journal_->Append(event, {.append_id = id});
  ASSERT_THAT(first, IsOk());
  Open();  // the id outlives the process
  absl::StatusOr<Appended> again =
      journal_->Append(event, {.expected_version = 1, .append_id = id});
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->first, first->first);
  EXPECT_EQ(again->version, first->version);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(4u));
  EXPECT_THAT(journal_->Append(event, {.append_id = AppendId{9}}), StatusIs(Code::kAlreadyExists));
}

TEST_F(JournalTest, RefusesMalformedJsonAndNamesTheField) {
  Begin();
  EXPECT_THAT(journal_->Append(StepAdded(operation_, schema::NewUuid(), "{\"a\":}")),
              StatusIs(Code::kInvalidArgument, HasSubstr("input")));
  EXPECT_THAT(journal_->Append(StepAdded(operation_, schema::NewUuid(), "\"\xff\"")),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(3u));
}

TEST_F(JournalTest, TakesABodyUpToItsLimitAndNoFurther) {
  Options options;
  options.body_bytes_max = 4096;
  Open(options);
  Begin();
  const std::string fits = "\"" + std::string(4096 - 100, 'a') + "\"";
  EXPECT_THAT(journal_->Append(StepAdded(operation_, schema::NewUuid(), fits)), IsOk());
  const std::string too_long = "\"" + std::string(4096, 'a') + "\"";
  EXPECT_THAT(journal_->Append(StepAdded(operation_, schema::NewUuid(), too_long)),
              StatusIs(Code::kInvalidArgument));
}

TEST_F(JournalTest, TakesBodiesOfOneAppendUpToTheirLimitAndNoFurther) {
  Begin();
  const std::vector<Event> events = {SessionUpdated(session_, 0), SessionUpdated(session_, 1)};
  const size_t bytes = schema::EncodeBody(events[0]).size() + schema::EncodeBody(events[1]).size();
  for (const size_t limit : {bytes - 1, bytes, bytes + 1}) {
    Open({.append_bytes_max = limit});
    const absl::Status status = journal_->Append(events).status();
    if (limit < bytes) {
      EXPECT_THAT(status, StatusIs(Code::kInvalidArgument, HasSubstr("event 1"))) << limit;
    } else {
      EXPECT_THAT(status, IsOk()) << limit;
    }
  }
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(7u));
}

TEST_F(JournalTest, RefusesAnEmptyAppendAndOneLargerThanTheQueue) {
  Options options;
  options.queue_records_max = 3;
  Open(options);
  EXPECT_THAT(journal_->Append(std::span<const Event>()), StatusIs(Code::kInvalidArgument));
  std::vector<Event> entries;
  for (int i = 0; i < 3; ++i) entries.push_back(SessionStarted(schema::NewUuid()));
  EXPECT_THAT(journal_->Append(entries), IsOk());
  for (Event& entry : entries) entry.stream = schema::NewUuid();
  entries.push_back(SessionStarted(schema::NewUuid()));
  EXPECT_THAT(journal_->Append(entries), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(4u));
}

TEST_F(JournalTest, KeepsBodiesOfManyMegabytes) {
  Begin();
  std::string text = "[";
  for (uint64_t i = 0, x = 1; text.size() < 6'000'000; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;  // incompressible
    text += fmt::format("{}{}", i == 0 ? "" : ",", x);
  }
  text += "]";
  absl::StatusOr<Appended> appended =
      journal_->Append(StepAdded(operation_, schema::NewUuid(), text));
  ASSERT_THAT(appended, IsOk());
  Reader reader(*journal_);
  const RecordView* record = *reader.Read(appended->first);
  absl::StatusOr<const schema::fb::Body*> body = reader.Body(*record);
  ASSERT_THAT(body, IsOk());
  EXPECT_EQ((*body)->input()->string_view(), text);
}

TEST_F(JournalTest, StoresWhatGrowsByLittleInLittleSpace) {
  Begin();
  std::string context = "\"";
  std::vector<std::pair<uint64_t, std::string>> written;
  uint64_t plain = 0;
  for (int i = 0; i < 200; ++i) {
    for (int word = 0; word < 40; ++word)
      context += fmt::format("w{} ", (i * 7919 + word * 104729) % 99991);
    const std::string text = context + "\"";
    plain += text.size();
    absl::StatusOr<Appended> appended =
        journal_->Append(StepAdded(operation_, schema::NewUuid(), text));
    ASSERT_THAT(appended, IsOk());
    written.emplace_back(appended->first, text);
  }
  EXPECT_LT(journal_->GetStat()->frame_bytes * 5, plain);
  Open();
  Reader reader(*journal_);
  for (const auto& [sequence, text] : written) {
    const RecordView* record = *reader.Read(sequence);
    absl::StatusOr<const schema::fb::Body*> body = reader.Body(*record);
    ASSERT_THAT(body, IsOk());
    EXPECT_EQ((*body)->input()->string_view(), text);
  }
}

TEST_F(JournalTest, StoresWhatOneAppendRepeatsOnce) {
  Begin();
  std::string noise;
  for (uint64_t i = 0, x = 7; i < 2000; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    noise += fmt::format("{:x}", x);
  }
  const uint64_t before = journal_->GetStat()->frame_bytes;
  std::vector<Event> events;
  for (int i = 0; i < 9; ++i) {
    events.push_back(StepAdded(operation_, schema::NewUuid(), "[\"" + noise + "\"]"));
  }
  absl::StatusOr<Appended> appended = journal_->Append(events);
  ASSERT_THAT(appended, IsOk());
  EXPECT_LT(journal_->GetStat()->frame_bytes - before, 2 * noise.size());
  Reader reader(*journal_);
  const RecordView* last = *reader.Read(appended->first + 8);
  EXPECT_EQ((*reader.Body(*last))->input()->string_view(), "[\"" + noise + "\"]");
}

TEST_F(JournalTest, KeepsAnAppendOfManyBlocksWholeAndInOrder) {
  Begin();
  std::vector<Event> events;
  std::vector<std::string> texts;
  for (uint64_t i = 0; i < 300; ++i) {  // more than a run's records, more than a block's bytes
    std::string text = "\"";
    for (uint64_t x = i; text.size() < 8000; x = x * 6364136223846793005u + 1) {
      text += fmt::format("{:x}", x);
    }
    texts.push_back(text + "\"");
    events.push_back(StepAdded(operation_, schema::NewUuid(), texts.back()));
  }
  absl::StatusOr<Appended> appended = journal_->Append(events);
  ASSERT_THAT(appended, IsOk());
  EXPECT_EQ(appended->count, 300u);
  Open();
  Reader reader(*journal_, {.body_cache_bytes_max = 0});
  for (size_t i : {0u, 1u, 130u, 131u, 255u, 256u, 299u}) {
    const RecordView* record = *reader.Read(appended->first + i);
    EXPECT_EQ(record->envelope().ordinal(), i + 1);
    EXPECT_EQ((*reader.Body(*record))->input()->string_view(), texts[i]);
  }
}

TEST_F(JournalTest, AssignsStepNumbersWithoutGaps) {
  Begin();
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(journal_->Append(StepAdded(operation_, schema::NewUuid())), IsOk());
    EXPECT_FALSE(journal_->Append(StepAdded(schema::NewUuid(), schema::NewUuid())).ok());
  }
  Reader reader(*journal_);
  reader.Seek(3);
  for (uint32_t number = 1; number <= 5; ++number) {
    EXPECT_EQ((*reader.Next())->envelope().ordinal(), number);
  }
}

TEST_F(JournalTest, ManyWritersLoseNothingAndKeepEachStreamInOrder) {
  constexpr int kWriters = 16, kSteps = 40;
  ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
  std::vector<Uuid> operations(kWriters);
  std::vector<std::thread> writers;
  std::atomic<int> failures = 0;
  for (Uuid& operation : operations) {
    operation = schema::NewUuid();
    writers.emplace_back([&, operation] {
      if (!journal_->Append(OperationCreated(operation, session_)).ok()) ++failures;
      for (int i = 0; i < kSteps; ++i) {
        const std::string input = fmt::format("{{\"n\":{}}}", i);
        if (!journal_->Append(StepAdded(operation, schema::NewUuid(), input)).ok()) ++failures;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(failures, 0);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(2u + kWriters * (kSteps + 1)));
  Reader reader(*journal_);
  for (const Uuid& operation : operations) {
    const EntityState state = **journal_->FindEntity(EntityKind::operation, operation);
    EXPECT_EQ(state.version, 1u + kSteps);
    const std::vector<uint64_t> sequences = *StreamSequences(&reader, state.head_sequence);
    ASSERT_EQ(sequences.size(), 1u + kSteps);
    for (int i = 0; i < kSteps; ++i) {
      const RecordView* record = *reader.Read(sequences[static_cast<size_t>(i) + 1]);
      EXPECT_EQ((*reader.Body(*record))->input()->string_view(), fmt::format("{{\"n\":{}}}", i));
    }
  }
}

TEST_F(JournalTest, FindsEntitiesByTheBeginningOfTheirId) {
  const Uuid first = *schema::ParseUuid("01234567-0000-7000-8000-000000000001");
  const Uuid second = *schema::ParseUuid("01234567-0000-7000-8000-000000000002");
  ASSERT_THAT(journal_->Append(SessionStarted(first)), IsOk());
  ASSERT_THAT(journal_->Append(SessionStarted(second)), IsOk());
  const auto find = [&](std::string_view hex) {
    return *journal_->FindEntitiesByPrefix(EntityKind::session, hex, 10);
  };
  EXPECT_THAT(find("0123"), ::testing::ElementsAre(first, second));
  EXPECT_THAT(find("01234567-0000-7000-8000-000000000002"), ::testing::ElementsAre(second));
  EXPECT_THAT(find("012"), ::testing::SizeIs(2));
  EXPECT_THAT(find("02"), ::testing::IsEmpty());
  EXPECT_THAT(journal_->FindEntitiesByPrefix(EntityKind::session, "xyz", 10),
              StatusIs(Code::kInvalidArgument));
}

TEST_F(JournalTest, WaitersWakeWhenTheJournalGrows) {
  std::thread writer([&] { ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk()); });
  EXPECT_THAT(journal_->WaitForMore(1, 60'000), IsOkAndHolds(2u));
  writer.join();
  EXPECT_THAT(journal_->WaitForMore(2, 1), IsOkAndHolds(2u));
}

TEST_F(JournalTest, OpensOnceInAProcess) {
  EXPECT_THAT(Journal::Open(store(), {}), StatusIs(Code::kFailedPrecondition));
  journal_.reset();
  EXPECT_THAT(Journal::Open(store(), {}), IsOk());
}

TEST_F(JournalTest, ReadOnlyReadsAndRefusesToAppend) {
  Begin();
  Options options;
  options.read_only = true;
  Open(options);
  EXPECT_THAT(journal_->Size(), IsOkAndHolds(3u));
  EXPECT_THAT(journal_->Append(SessionStarted(schema::NewUuid())),
              StatusIs(Code::kFailedPrecondition));
}

}  // namespace
}  // namespace nimbus::journal
