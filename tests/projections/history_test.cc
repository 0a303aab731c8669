// Commands of History, and the rows and structs that come of them.
#include "nimbus/projections/history.h"

#include <gtest/gtest.h>

#include "fixture.h"
#include "history_rows.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using Code = absl::StatusCode;
using journal::Lifecycle;
using schema::Uuid;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class HistoryTest : public StoreTest {
 protected:
  void SetUp() override { ASSERT_THAT(Open(), IsOk()); }

  Uuid MakeSession() {
    absl::StatusOr<Written> written = history().CreateSession({.name = "s"});
    EXPECT_THAT(written, IsOk());
    return written.ok() ? written->id : Uuid{};
  }
  Uuid MakeOperation(const Uuid& session, std::string type = "chat") {
    absl::StatusOr<Written> written =
        history().CreateOperation({.session = session, .type = std::move(type)});
    EXPECT_THAT(written, IsOk());
    return written.ok() ? written->id : Uuid{};
  }
  Uuid MakeStep(const Uuid& operation) {
    absl::StatusOr<Written> written = history().AddOperationStep({.operation = operation});
    EXPECT_THAT(written, IsOk());
    return written.ok() ? written->id : Uuid{};
  }
  std::vector<Uuid> Listed(const OperationFilter& filter) {
    EXPECT_THAT(CatchUp(), IsOk());
    absl::StatusOr<std::vector<Operation>> rows = history().GetOperationHistory(filter);
    EXPECT_THAT(rows, IsOk());
    std::vector<Uuid> ids;
    if (rows.ok()) {
      for (const auto& row : *rows) ids.push_back(row.id);
    }
    return ids;
  }
};

TEST_F(HistoryTest, ASessionIsARowFromItsStartToItsEnd) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written made,
                              history().CreateSession({.name = "deploy",
                                                       .description = "to the new cluster",
                                                       .context = R"({"directory":"/srv"})",
                                                       .persona = "persona_devops"}));
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(std::optional<Session> row, history().GetSession(made.id));
  ASSERT_TRUE(row);
  EXPECT_EQ(row->id, made.id);
  EXPECT_EQ(row->sequence + 1, made.sequence) << "the use of the persona follows it";
  EXPECT_EQ(row->name, "deploy");
  EXPECT_EQ(row->description, "to the new cluster");
  EXPECT_EQ(row->context, R"({"directory":"/srv"})");
  EXPECT_EQ(row->persona_id, "persona_devops");
  EXPECT_TRUE(row->started_at_us);
  EXPECT_EQ(row->ended_at_us, std::nullopt);
  ASSERT_THAT(history().UpdateSession(made.id, {.description = "done"}), IsOk());
  ASSERT_THAT(history().EndSession(made.id), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(row, history().GetSession(made.id));
  EXPECT_EQ(row->name, "deploy") << "what was not set stays";
  EXPECT_EQ(row->description, "done");
  EXPECT_GT(row->ended_at_us.value_or(0), row->started_at_us.value_or(0));
}

TEST_F(HistoryTest, ContextAndInputsAreAnEmptyObjectUnlessGiven) {
  const Uuid operation = MakeOperation(MakeSession());
  MakeStep(operation);
  EXPECT_THAT(Sql("SELECT context FROM sessions"), ElementsAre("{}"));
  EXPECT_THAT(Sql("SELECT input FROM operations"), ElementsAre("{}"));
  EXPECT_THAT(Sql("SELECT input FROM operation_steps"), ElementsAre("{}"));
  EXPECT_THAT(Sql("SELECT output FROM operations"), ElementsAre("NULL"));
  EXPECT_THAT(Sql("SELECT plan FROM operations"), ElementsAre("NULL"));
}

TEST_F(HistoryTest, AnOperationGoesThroughTheSpecifiedStatuses) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Written made,
                              history().CreateOperation({.session = MakeSession(),
                                                         .type = "generate",
                                                         .input = R"({"prompt":"a VPC"})",
                                                         .plan = R"(["write","check"])"}));
  const auto now = [&]() {
    EXPECT_THAT(CatchUp(), IsOk());
    absl::StatusOr<std::optional<Operation>> row = history().GetOperation(made.id);
    EXPECT_THAT(row, IsOk());
    return row.ok() && *row ? **row : Operation{};
  };
  EXPECT_EQ(now().status, Lifecycle::kPending);
  EXPECT_EQ(now().plan, R"(["write","check"])");
  ASSERT_THAT(history().UpdateOperationStatus(made.id, Lifecycle::kRunning), IsOk());
  EXPECT_EQ(now().status, Lifecycle::kRunning);
  EXPECT_EQ(now().completed_at_us, std::nullopt) << "only a final status completes";
  Result result{.output = R"({"files":3})"};
  result.outcome.duration_ms = 1500;
  result.outcome.tokens_used = 4200;
  result.outcome.cost_microdollars = 12'345;
  ASSERT_THAT(history().UpdateOperationStatus(made.id, Lifecycle::kCompleted, result), IsOk());
  const Operation row = now();
  EXPECT_EQ(row.status, Lifecycle::kCompleted);
  EXPECT_EQ(row.input, R"({"prompt":"a VPC"})");
  EXPECT_EQ(row.output, R"({"files":3})");
  EXPECT_EQ(row.error, std::nullopt);
  EXPECT_EQ(row.duration_ms, 1500);
  EXPECT_EQ(row.tokens_used, 4200);
  EXPECT_EQ(row.cost_cents, 1);
  EXPECT_GT(row.completed_at_us.value_or(0), row.created_at_us.value_or(0));
  EXPECT_THAT(Sql("SELECT status FROM operations"), ElementsAre("completed"));
}

TEST_F(HistoryTest, FailedAndCancelledOperationsKeepTheirError) {
  const Uuid session = MakeSession();
  const Uuid failed = MakeOperation(session), cancelled = MakeOperation(session);
  ASSERT_THAT(history().UpdateOperationStatus(failed, Lifecycle::kFailed, {.error = "no quota"}),
              IsOk());
  ASSERT_THAT(history().UpdateOperationStatus(cancelled, Lifecycle::kCancelled), IsOk());
  EXPECT_THAT(Sql("SELECT status || ':' || error FROM operations WHERE status = 'failed'"),
              ElementsAre("failed:no quota"));
  EXPECT_THAT(Sql("SELECT count(*) FROM operations WHERE status = 'cancelled' AND error IS NULL "
                  "AND completed_at IS NOT NULL"),
              ElementsAre("1"));
  EXPECT_THAT(history().UpdateOperationStatus(failed, Lifecycle::kCompleted),
              StatusIs(Code::kFailedPrecondition));
}

TEST_F(HistoryTest, StepsAreNumberedAndEndWithTheirOutput) {
  const Uuid operation = MakeOperation(MakeSession());
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Written first,
      history().AddOperationStep(
          {.operation = operation, .type = fb::StepType::llm_call, .input = R"({"model":"m"})"}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Written second,
      history().AddOperationStep(
          {.operation = operation, .type = fb::StepType::tool_call, .tool_name = "terraform"}));
  const Uuid third = MakeStep(operation), fourth = MakeStep(operation);
  Result result{.output = R"({"ok":true})"};
  result.outcome.duration_ms = 12;
  ASSERT_THAT(history().CompleteOperationStep(first.id, result), IsOk());
  ASSERT_THAT(history().StartOperationStep(second.id), IsOk());
  ASSERT_THAT(history().FailOperationStep(third, {.error = "exit \"1\""}), IsOk());
  ASSERT_THAT(history().CancelOperationStep(fourth), IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<OperationWithSteps> found,
                              history().GetOperationWithSteps(operation));
  ASSERT_TRUE(found);
  ASSERT_EQ(found->steps.size(), 4u);
  EXPECT_EQ(found->steps[0].id, first.id);
  EXPECT_EQ(found->steps[0].step_number, 1);
  EXPECT_EQ(found->steps[0].type, fb::StepType::llm_call);
  EXPECT_EQ(found->steps[0].tool_name, std::nullopt);
  EXPECT_EQ(found->steps[0].input, R"({"model":"m"})");
  EXPECT_EQ(found->steps[0].output, R"({"ok":true})");
  EXPECT_EQ(found->steps[0].status, Lifecycle::kCompleted);
  EXPECT_EQ(found->steps[0].duration_ms, 12);
  EXPECT_EQ(found->steps[1].tool_name, "terraform");
  EXPECT_EQ(found->steps[1].status, Lifecycle::kRunning);
  EXPECT_EQ(found->steps[2].status, Lifecycle::kFailed);
  EXPECT_EQ(found->steps[2].output, R"({"error":"exit \"1\""})");
  EXPECT_EQ(found->steps[3].step_number, 4);
  EXPECT_EQ(found->steps[3].status, Lifecycle::kCancelled);
}

TEST_F(HistoryTest, AnyMomentIsATimeOfARow) {
  for (const int64_t time : {INT64_MIN, int64_t{-1}, INT64_MAX}) {
    schema::Event event =
        schema::MakeEvent(fb::EntityKind::session, schema::NewUuid(), fb::SessionStartedT{});
    event.occurred_at_us = time;
    ASSERT_THAT(journal().Append(event), IsOk());
    EXPECT_THAT(CatchUp(), IsOk()) << time;
  }
}

TEST_F(HistoryTest, AStepShowsWhatItsLastAttemptCameTo) {
  const Uuid operation = MakeOperation(MakeSession());
  const Uuid step = MakeStep(operation);
  ASSERT_THAT(history().StartOperationStep(step), IsOk());
  fb::StepAttemptFailedT payload;
  payload.step = std::make_unique<fb::Id>(step.ToFb());
  payload.outcome = std::make_unique<fb::OutcomeT>();
  payload.outcome->duration_ms = 7;
  schema::Event failed =
      schema::MakeEvent(fb::EntityKind::operation, operation, std::move(payload));
  failed.body.error = "no route";
  ASSERT_THAT(journal().Append(failed), IsOk());
  const std::string row =
      "SELECT status || ' ' || coalesce(output, '') || ' ' || coalesce(duration_ms, '') "
      "FROM operation_steps";
  EXPECT_THAT(Sql(row), ElementsAre(R"(pending {"error":"no route"} 7)"));
  fb::StepStartedT again;
  again.step = std::make_unique<fb::Id>(step.ToFb());
  again.attempt = 2;
  ASSERT_THAT(
      journal().Append(schema::MakeEvent(fb::EntityKind::operation, operation, std::move(again))),
      IsOk());
  EXPECT_THAT(Sql(row), ElementsAre(R"(running {"error":"no route"} 7)"));
  ASSERT_THAT(history().CompleteOperationStep(step, {}), IsOk());
  EXPECT_THAT(Sql(row), ElementsAre("completed  "));
}

TEST_F(HistoryTest, CheckpointsHoldTheirStateAndItsDigest) {
  const Uuid operation = MakeOperation(MakeSession());
  const Uuid step = MakeStep(operation);
  const std::string state = R"({"b":1, "a":[1.0]})";
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Written made,
      history().CreateCheckpoint(
          {.operation = operation, .step = step, .name = "before apply", .state = state}));
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<OperationWithSteps> found,
                              history().GetOperationWithSteps(operation));
  ASSERT_TRUE(found);
  ASSERT_EQ(found->checkpoints.size(), 1u);
  EXPECT_EQ(found->checkpoints[0].id, made.id);
  EXPECT_EQ(found->checkpoints[0].step_id, step);
  EXPECT_EQ(found->checkpoints[0].name, "before apply");
  EXPECT_EQ(found->checkpoints[0].state, state) << "byte for byte";
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::optional<OperationWithSteps> light,
                              history().GetOperationWithSteps(operation, false));
  EXPECT_EQ(light->checkpoints[0].state, "");
  journal::Reader reader(journal());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const journal::RecordView* record, reader.Read(made.sequence));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const fb::Body* body, reader.Body(*record));
  ASSERT_NE(body->digest(), nullptr);
  EXPECT_EQ(schema::FromFb(*body->digest()), schema::StateDigest(*schema::Json::Parse(state)));
}

TEST_F(HistoryTest, ListsNewestFirstFilteredAndPaged) {
  const Uuid a = MakeSession(), b = MakeSession();
  const Uuid first = MakeOperation(a, "chat"), second = MakeOperation(b, "chat"),
             third = MakeOperation(a, "deploy"), fourth = MakeOperation(a, "chat");
  ASSERT_THAT(history().UpdateOperationStatus(first, Lifecycle::kCompleted), IsOk());
  EXPECT_THAT(Listed({}), ElementsAre(fourth, third, second, first));
  EXPECT_THAT(Listed({.session = a}), ElementsAre(fourth, third, first));
  EXPECT_THAT(Listed({.type = "chat"}), ElementsAre(fourth, second, first));
  EXPECT_THAT(Listed({.status = Lifecycle::kCompleted}), ElementsAre(first));
  EXPECT_THAT(Listed({.session = a, .type = "chat", .status = Lifecycle::kPending}),
              ElementsAre(fourth));
  EXPECT_THAT(Listed({.limit = 2}), ElementsAre(fourth, third));
  EXPECT_THAT(Listed({.limit = 2, .offset = 1}), ElementsAre(third, second));
  EXPECT_THAT(Listed({.session = a, .limit = 1, .offset = 2}), ElementsAre(first));
  EXPECT_THAT(Listed({.limit = 0}), IsEmpty());
  EXPECT_THAT(Listed({.limit = UINT64_MAX, .offset = 4}), IsEmpty());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const std::vector<Session> sessions, history().GetSessions());
  ASSERT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions[0].id, b);
}

TEST_F(HistoryTest, AListingIsLimitedToTheSpecifiedThousand) {
  const Uuid session = MakeSession();
  std::vector<schema::Event> events;
  for (int i = 0; i < 1001; ++i) {
    for (schema::Event& event : OperationEvents(session, 0)) {
      if (event.payload.type == fb::Event::OperationCreated) {
        events.push_back(std::move(event));
      }
    }
  }
  ASSERT_THAT(journal().Append(events), IsOk());
  EXPECT_EQ(Listed({}).size(), 1000u);
  EXPECT_EQ(Listed({.limit = 1001}).size(), 1001u);
  EXPECT_EQ(Listed({.session = session, .limit = 5000}).size(), 1001u);
}

TEST_F(HistoryTest, OneTimeIsOrderedBySequenceAndUnknownTimesComeLast) {
  const Uuid session = MakeSession();
  std::vector<Uuid> ids;
  for (const std::optional<int64_t> time :
       {std::optional<int64_t>(5'000'000), std::optional<int64_t>(5'000'000),
        std::optional<int64_t>(), std::optional<int64_t>(9'000'000)}) {
    std::vector<schema::Event> events = OperationEvents(session, 0);
    events.resize(1);
    events[0].imported = true;
    events[0].occurred_at_us = time;
    ids.push_back(events[0].stream);
    ASSERT_THAT(journal().Append(events), IsOk());
  }
  EXPECT_THAT(Listed({}), ElementsAre(ids[3], ids[1], ids[0], ids[2]));
  EXPECT_THAT(Sql("SELECT created_at FROM operations ORDER BY rowid"),
              ElementsAre("1970-01-01 00:00:05.000000", "1970-01-01 00:00:05.000000", "NULL",
                          "1970-01-01 00:00:09.000000"));
}

TEST_F(HistoryTest, TimesComeFromTheJournalNotFromSqlite) {
  MakeStep(MakeOperation(MakeSession()));
  EXPECT_THAT(Sql("SELECT min(started_at) FROM sessions"),
              ElementsAre(testing::StartsWith("2026-01-10 21:39:")));
  EXPECT_THAT(Sql("SELECT count(*) FROM operations WHERE created_at LIKE '2026-01-10 21:39:%' AND "
                  "completed_at IS NULL"),
              ElementsAre("1"));
  EXPECT_THAT(Sql("SELECT count(*) FROM operation_steps WHERE created_at LIKE '2026-01-10 21:39%'"),
              ElementsAre("1"));
}

TEST_F(HistoryTest, ListingsCanLeaveTheBodiesOut) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const Written made,
      history().CreateOperation(
          {.session = MakeSession(), .type = "chat", .input = R"({"large":"text"})"}));
  ASSERT_THAT(history().UpdateOperationStatus(made.id, Lifecycle::kCompleted, {.output = "[1]"}),
              IsOk());
  ASSERT_THAT(CatchUp(), IsOk());
  NIMBUS_ASSERT_OK_AND_ASSIGN(std::vector<Operation> rows,
                              history().GetOperationHistory({.with_bodies = false}));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].input, "");
  EXPECT_EQ(rows[0].output, std::nullopt);
  EXPECT_EQ(rows[0].status, Lifecycle::kCompleted);
  NIMBUS_ASSERT_OK_AND_ASSIGN(rows, history().GetOperationHistory());
  EXPECT_EQ(rows[0].input, R"({"large":"text"})");
  EXPECT_EQ(rows[0].output, "[1]");
}

TEST_F(HistoryTest, RefusesWhatIsNotAllowedAndWritesNothing) {
  const Uuid session = MakeSession(), operation = MakeOperation(session),
             step = MakeStep(operation);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const uint64_t before, journal().Size());
  const Uuid nobody = schema::NewUuid();
  EXPECT_THAT(history().CreateSession({.context = "{not json"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("context")));
  EXPECT_THAT(history().CreateSession({.id = session}), StatusIs(Code::kAlreadyExists));
  EXPECT_THAT(history().CreateOperation({.session = nobody, .type = "chat"}),
              StatusIs(Code::kNotFound));
  EXPECT_THAT(history().CreateOperation({.session = session, .type = ""}),
              StatusIs(Code::kInvalidArgument, HasSubstr("type")));
  EXPECT_THAT(history().CreateOperation({.session = session, .type = "chat", .plan = "[1,"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("plan")));
  EXPECT_THAT(history().PlanOperation(operation, ""), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(history().UpdateOperationStatus(operation, Lifecycle::kPending),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(history().UpdateOperationStatus(operation, Lifecycle::kRunning, {.output = "1"}),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(history().UpdateOperationStatus(operation, Lifecycle::kFailed, {.patch = "[]"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("patch")));
  EXPECT_THAT(history().CompleteOperationStep(nobody, {}), StatusIs(Code::kNotFound));
  EXPECT_THAT(history().CompleteOperationStep(step, {.output = "\xff"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("output")));
  EXPECT_THAT(history().CreateCheckpoint({.operation = operation, .step = step, .state = ""}),
              StatusIs(Code::kInvalidArgument, HasSubstr("state")));
  EXPECT_THAT(history().CreateCheckpoint({.operation = operation, .step = nobody, .state = "1"}),
              StatusIs(Code::kNotFound));
  EXPECT_THAT(journal().Size(), IsOkAndHolds(before));
}

TEST_F(HistoryTest, AnUnknownIdIsAbsentNotAnError) {
  ASSERT_THAT(CatchUp(), IsOk());
  const Uuid nobody = schema::NewUuid();
  EXPECT_THAT(history().GetSession(nobody), IsOkAndHolds(testing::Eq(std::nullopt)));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto operation, history().GetOperation(nobody));
  EXPECT_FALSE(operation);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto with_steps, history().GetOperationWithSteps(nobody));
  EXPECT_FALSE(with_steps);
  EXPECT_THAT(Listed({.session = nobody}), IsEmpty());
}

TEST(CostTest, MicrodollarsAreRoundedHalfUpToCents) {
  EXPECT_EQ(CentsFromMicrodollars(0), 0);
  EXPECT_EQ(CentsFromMicrodollars(4'999), 0);
  EXPECT_EQ(CentsFromMicrodollars(5'000), 1);
  EXPECT_EQ(CentsFromMicrodollars(14'999), 1);
  EXPECT_EQ(CentsFromMicrodollars(15'000), 2);
  EXPECT_EQ(CentsFromMicrodollars(-5'000), 0);
  EXPECT_EQ(CentsFromMicrodollars(-5'001), -1);
  EXPECT_EQ(CentsFromMicrodollars(INT64_MAX), 922'337'203'685'478);
  EXPECT_EQ(CentsFromMicrodollars(INT64_MIN), -922'337'203'685'478);
}

}  // namespace
}  // namespace nimbus::projections
