#include "history_rows.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/json.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Error;
using schema::Uuid;
using sqlite::Statement;

std::optional<std::string> PersonaRow(const flatbuffers::String* persona) {
  if (persona == nullptr || persona->size() == 0) return std::nullopt;
  return schema::CanonicalRowId(persona->string_view());
}

// A step type's name; of one this version does not know, its number.
std::string StepTypeText(fb::StepType type) {
  const std::string_view name = fb::EnumNameStepType(type);
  return name.empty() ? fmt::format("{}", static_cast<int>(type)) : std::string(name);
}

struct OutcomeColumns {
  std::optional<int64_t> duration_ms, tokens_used, cost_cents;
};

constexpr std::string_view kPending = "pending", kRunning = "running";

absl::Status Twice(std::string_view what, const Uuid& id) {
  return Error(absl::StatusCode::kAlreadyExists, "{} {} is there twice", what, id.ToString());
}

std::optional<std::string> Copied(const std::optional<std::string_view>& text) {
  if (!text) return std::nullopt;
  return std::string(*text);
}

// Whether the query has a row.
template <typename... Parameters>
absl::StatusOr<bool> Finds(Statement* query, const Parameters&... parameters) {
  NIMBUS_ASSIGN_OR_RETURN(const bool found, query->First(parameters...));
  query->Reset();
  return found;
}

absl::StatusOr<OutcomeColumns> Columns(const fb::Outcome* outcome) {
  OutcomeColumns columns;
  if (outcome == nullptr) return columns;
  NIMBUS_ASSIGN_OR_RETURN(columns.duration_ms, SqlInteger("duration_ms", outcome->duration_ms()));
  NIMBUS_ASSIGN_OR_RETURN(columns.tokens_used, SqlInteger("tokens_used", outcome->tokens_used()));
  const flatbuffers::Optional<int64_t> cost = outcome->cost_microdollars();
  if (cost.has_value()) columns.cost_cents = CentsFromMicrodollars(*cost);
  return columns;
}

// Reading a row. Columns are numbered as the SELECTs below list them.

journal::Lifecycle ReadStatus(const Statement& row, int column, RowReader* reader) {
  const absl::StatusOr<journal::Lifecycle> status = ParseStatus(row.Text(column));
  if (status.ok()) return *status;
  reader->Fail("status", column);
  return journal::Lifecycle::kPending;
}

constexpr char kSessionColumns[] =
    "SELECT rowid, id, name, description, context, persona_id, started_at, ended_at FROM sessions ";

absl::StatusOr<Session> ReadSession(const Statement& row) {
  RowReader reader(row);
  Session session{.id = reader.Id(1),
                  .name = row.OptionalText(2),
                  .description = row.OptionalText(3),
                  .context = row.OptionalText(4),
                  .persona_id = row.OptionalText(5),
                  .started_at_us = reader.Time(6),
                  .ended_at_us = reader.Time(7),
                  .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return session;
}

// ?1 says whether bodies are wanted: SQLite does not read what is not.
constexpr char kOperationColumns[] =
    "SELECT rowid, id, session_id, type, CASE WHEN ?1 THEN input END, "
    "CASE WHEN ?1 THEN output END, CASE WHEN ?1 THEN plan END, status, error, duration_ms, "
    "tokens_used, cost_cents, created_at, completed_at FROM operations ";

absl::StatusOr<Operation> ReadOperation(const Statement& row) {
  RowReader reader(row);
  Operation operation{.id = reader.Id(1),
                      .session_id = reader.Id(2),
                      .type = std::string(row.Text(3)),
                      .input = std::string(row.Text(4)),
                      .output = row.OptionalText(5),
                      .plan = row.OptionalText(6),
                      .status = ReadStatus(row, 7, &reader),
                      .error = row.OptionalText(8),
                      .duration_ms = row.OptionalInt(9),
                      .tokens_used = row.OptionalInt(10),
                      .cost_cents = row.OptionalInt(11),
                      .created_at_us = reader.Time(12),
                      .completed_at_us = reader.Time(13),
                      .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return operation;
}

constexpr char kSelectSteps[] =
    "SELECT rowid, id, operation_id, step_number, type, tool_name, input, output, status, "
    "duration_ms, created_at FROM operation_steps WHERE operation_id = ? ORDER BY step_number";

absl::StatusOr<OperationStep> ReadStep(const Statement& row) {
  RowReader reader(row);
  OperationStep step{
      .id = reader.Id(1),
      .operation_id = reader.Id(2),
      .step_number = row.Int(3),
      .type = reader.Member(4, "step type", fb::EnumValuesStepType(), &fb::EnumNameStepType),
      .tool_name = row.OptionalText(5),
      .input = row.OptionalText(6),
      .output = row.OptionalText(7),
      .status = ReadStatus(row, 8, &reader),
      .duration_ms = row.OptionalInt(9),
      .created_at_us = reader.Time(10),
      .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return step;
}

constexpr char kSelectCheckpoints[] =
    "SELECT rowid, id, operation_id, step_id, name, CASE WHEN ?2 THEN state END, created_at "
    "FROM checkpoints WHERE operation_id = ?1 ORDER BY rowid";

absl::StatusOr<Checkpoint> ReadCheckpoint(const Statement& row) {
  RowReader reader(row);
  Checkpoint checkpoint{.id = reader.Id(1),
                        .operation_id = reader.Id(2),
                        .step_id = reader.Id(3),
                        .name = row.OptionalText(4),
                        .state = std::string(row.Text(5)),
                        .created_at_us = reader.Time(6),
                        .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return checkpoint;
}

}  // namespace

int64_t CentsFromMicrodollars(int64_t microdollars) {
  constexpr int64_t kPerCent = 10'000;
  int64_t cents = microdollars / kPerCent;
  int64_t rest = microdollars % kPerCent;
  if (rest < 0) {  // division rounds towards zero, this should round down
    rest += kPerCent;
    --cents;
  }
  return rest >= kPerCent / 2 ? cents + 1 : cents;
}

struct HistoryWriter::OperationEnd {
  std::string_view status;
  std::optional<std::string_view> output, error;
  OutcomeColumns columns;
  std::optional<std::string> completed_at;
};

struct HistoryWriter::StepEnd {
  std::string_view status;
  std::optional<std::string_view> output;
  std::optional<int64_t> duration_ms;
};

absl::StatusOr<std::unique_ptr<RowWriter>> HistoryWriter::Create(sqlite::Connection* database) {
  std::unique_ptr<HistoryWriter> writer(new HistoryWriter(database));
  NIMBUS_RETURN_IF_ERROR(writer->Prepare());
  return writer;
}

absl::Status HistoryWriter::Prepare() {
  return PrepareAll(
      database_,
      {
          {&start_session_,
           "INSERT INTO sessions (rowid, id, name, description, context, persona_id, started_at, "
           "ended_at) VALUES (?, ?, ?, ?, ?, ?, ?, NULL)"},
          {&update_session_,
           "UPDATE sessions SET name = coalesce(?2, name), description = coalesce(?3, "
           "description), "
           "context = coalesce(?4, context), persona_id = coalesce(?5, persona_id) WHERE id = ?1"},
          {&end_session_, "UPDATE sessions SET ended_at = ?2 WHERE id = ?1"},
          // A row whose parent is missing (its record is in quarantine) must not come to
          // be, and foreign keys are not enforced: hence the look for it. INSERT … SELECT
          // would do both, but SQLite copies each page it changes, lest a later row fail.
          {&find_session_, "SELECT 1 FROM sessions WHERE id = ?"},
          {&create_operation_,
           "INSERT INTO operations (rowid, id, session_id, type, input, output, plan, status, "
           "error, duration_ms, tokens_used, cost_cents, created_at, completed_at) "
           "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
          {&find_operation_, "SELECT 1 FROM operations WHERE id = ?"},
          {&plan_operation_, "UPDATE operations SET plan = ?2 WHERE id = ?1"},
          {&start_operation_, "UPDATE operations SET status = 'running' WHERE id = ?1"},
          {&end_operation_,
           "UPDATE operations SET status = ?2, output = ?3, error = ?4, duration_ms = ?5, "
           "tokens_used = ?6, cost_cents = ?7, completed_at = ?8 WHERE id = ?1"},
          {&add_step_,
           "INSERT INTO operation_steps (rowid, id, operation_id, step_number, type, tool_name, "
           "input, output, status, duration_ms, created_at) "
           "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
          {&start_step_, "UPDATE operation_steps SET status = 'running' WHERE id = ?1"},
          {&end_step_,
           "UPDATE operation_steps SET status = ?2, output = ?3, duration_ms = ?4 WHERE id = ?1"},
          {&find_step_, "SELECT 1 FROM operation_steps WHERE id = ? AND operation_id = ?"},
          {&create_checkpoint_,
           "INSERT INTO checkpoints (rowid, id, operation_id, step_id, name, state, created_at) "
           "VALUES (?, ?, ?, ?, ?, ?, ?)"},
      });
}

bool HistoryWriter::NeedsBody(fb::Event type) const {
  // The initial state of an operation is the journal's alone, and may be large.
  return type != fb::Event::OperationStarted;
}

absl::Status HistoryWriter::Apply(const AppliedRecord& record) {
  const fb::Record& r = record.record();
  switch (r.event_type()) {
    case fb::Event::SessionStarted:
      return StartSession(record, *r.event_as_SessionStarted());
    case fb::Event::SessionUpdated:
      return UpdateSession(record, *r.event_as_SessionUpdated());
    case fb::Event::SessionEnded:
      return EndSession(record);
    case fb::Event::OperationCreated:
      return CreateOperation(record, *r.event_as_OperationCreated());
    case fb::Event::OperationPlanned:
      return PlanOperation(record);
    case fb::Event::OperationStarted:
      return StartOperation(record);
    case fb::Event::OperationCompleted:
      return EndOperation(record, "completed", r.event_as_OperationCompleted()->outcome());
    case fb::Event::OperationFailed:
      return EndOperation(record, "failed", r.event_as_OperationFailed()->outcome());
    case fb::Event::OperationCancelled:
      return EndOperation(record, "cancelled", r.event_as_OperationCancelled()->outcome());
    case fb::Event::StepAdded:
      return AddStep(record, *r.event_as_StepAdded());
    case fb::Event::StepStarted:
      return StartStep(Uuid::FromFb(*r.event_as_StepStarted()->step()));
    case fb::Event::StepCompleted: {
      const auto* e = r.event_as_StepCompleted();
      return EndStep(record, "completed", Uuid::FromFb(*e->step()), e->outcome());
    }
    case fb::Event::StepFailed: {
      const auto* e = r.event_as_StepFailed();
      return EndStep(record, "failed", Uuid::FromFb(*e->step()), e->outcome());
    }
    case fb::Event::StepCancelled: {
      const auto* e = r.event_as_StepCancelled();
      return EndStep(record, "cancelled", Uuid::FromFb(*e->step()), e->outcome());
    }
    // What the attempt came to, until another one comes to something.
    case fb::Event::StepAttemptFailed: {
      const auto* e = r.event_as_StepAttemptFailed();
      return EndStep(record, "pending", Uuid::FromFb(*e->step()), e->outcome());
    }
    case fb::Event::CheckpointCreated:
      return CreateCheckpoint(record, *r.event_as_CheckpointCreated());
    default:
      return Error(absl::StatusCode::kInternal, "event {} is none of history's",
                   fb::EnumNameEvent(r.event_type()));
  }
}

absl::Status HistoryWriter::StartSession(const AppliedRecord& record,
                                         const fb::SessionStarted& event) {
  const fb::Body* body = record.body;
  return start_session_->Run(record.rowid(), StreamId(record), Text(body ? body->name() : nullptr),
                             Text(body ? body->description() : nullptr),
                             JsonOrEmptyObject(record, body ? body->context() : nullptr),
                             PersonaRow(event.persona()), Time(record));
}

absl::Status HistoryWriter::UpdateSession(const AppliedRecord& record,
                                          const fb::SessionUpdated& event) {
  const fb::Body* body = record.body;
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(update_session_->Run(
      id, Text(body ? body->name() : nullptr), Text(body ? body->description() : nullptr),
      Text(body ? body->context() : nullptr), PersonaRow(event.persona())));
  return RequireChange(*database_, "session", id);
}

absl::Status HistoryWriter::EndSession(const AppliedRecord& record) {
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(end_session_->Run(id, Time(record)));
  return RequireChange(*database_, "session", id);
}

absl::Status HistoryWriter::CreateOperation(const AppliedRecord& record,
                                            const fb::OperationCreated& event) {
  const Uuid session_id = Uuid::FromFb(*event.session());
  std::string session = session_id.ToString();
  if (!found_sessions_.contains(session_id)) {
    NIMBUS_ASSIGN_OR_RETURN(const bool found, Finds(&*find_session_, session));
    if (!found) return NoRow("session", session);
    found_sessions_.insert(session_id);
  }
  const auto input = JsonOrEmptyObject(record, record.body ? record.body->input() : nullptr);
  const auto [row, is_new] = operations_.try_emplace(
      record.stream(),
      NewOperation{.rowid = record.rowid(),
                   .session = std::move(session),
                   .type = std::string(*Text(event.type())),
                   .input = input ? std::string(*input) : ErasedMark(record.sequence()),
                   .plan = {},
                   .created_at = Time(record),
                   .status = kPending});
  return is_new ? absl::OkStatus() : Twice("operation", row->first);
}

absl::Status HistoryWriter::PlanOperation(const AppliedRecord& record) {
  const auto plan = Text(record.body ? record.body->plan() : nullptr);
  if (const auto row = operations_.find(record.stream()); row != operations_.end()) {
    row->second.plan = plan;
    return absl::OkStatus();
  }
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(plan_operation_->Run(id, plan));
  return RequireChange(*database_, "operation", id);
}

absl::Status HistoryWriter::StartOperation(const AppliedRecord& record) {
  if (const auto row = operations_.find(record.stream()); row != operations_.end()) {
    row->second.status = kRunning;
    return absl::OkStatus();
  }
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(start_operation_->Run(id));
  return RequireChange(*database_, "operation", id);
}

absl::Status HistoryWriter::EndOperation(const AppliedRecord& record, std::string_view status,
                                         const fb::Outcome* outcome) {
  const fb::Body* body = record.body;
  NIMBUS_ASSIGN_OR_RETURN(const OutcomeColumns columns, Columns(outcome));
  const OperationEnd end{.status = status,
                         .output = Text(body ? body->output() : nullptr),
                         .error = Text(body ? body->error() : nullptr),
                         .columns = columns,
                         .completed_at = Time(record)};
  if (const auto row = operations_.extract(record.stream())) {
    return Insert(row.key(), row.mapped(), end);
  }
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(end_operation_->Run(id, end.status, end.output, end.error,
                                             columns.duration_ms, columns.tokens_used,
                                             columns.cost_cents, end.completed_at));
  return RequireChange(*database_, "operation", id);
}

absl::Status HistoryWriter::AddStep(const AppliedRecord& record, const fb::StepAdded& event) {
  NIMBUS_ASSIGN_OR_RETURN(const bool has_parent, HasOperation(record.stream()));
  std::string operation = StreamId(record);
  if (!has_parent) return NoRow("operation", operation);
  const auto input = JsonOrEmptyObject(record, record.body ? record.body->input() : nullptr);
  const auto [row, is_new] =
      steps_.try_emplace(Uuid::FromFb(*event.step()),
                         NewStep{.rowid = record.rowid(),
                                 .operation = std::move(operation),
                                 .number = static_cast<int64_t>(record.view.envelope().ordinal()),
                                 .type = StepTypeText(event.type()),
                                 .tool_name = Copied(Text(event.tool_name())),
                                 .input = Copied(input),
                                 .created_at = Time(record),
                                 .status = kPending});
  return is_new ? absl::OkStatus() : Twice("step", row->first);
}

absl::Status HistoryWriter::StartStep(const Uuid& step) {
  if (const auto row = steps_.find(step); row != steps_.end()) {
    row->second.status = kRunning;
    return absl::OkStatus();
  }
  const std::string id = step.ToString();
  NIMBUS_RETURN_IF_ERROR(start_step_->Run(id));
  return RequireChange(*database_, "step", id);
}

absl::Status HistoryWriter::EndStep(const AppliedRecord& record, std::string_view status,
                                    const Uuid& step, const fb::Outcome* outcome) {
  NIMBUS_ASSIGN_OR_RETURN(const OutcomeColumns columns, Columns(outcome));
  StepEnd end{.status = status,
              .output = Text(record.body ? record.body->output() : nullptr),
              .duration_ms = columns.duration_ms};
  // The table has no column for a step's error; rather than hide it, it becomes
  // the output of a step that has none.
  std::string error;
  if (!end.output && record.body != nullptr && record.body->error() != nullptr) {
    error = R"({"error":)";
    schema::AppendJsonString(*Text(record.body->error()), &error);
    error += '}';
    end.output = error;
  }
  if (const auto row = steps_.extract(step)) return Insert(step, row.mapped(), end);
  const std::string id = step.ToString();
  NIMBUS_RETURN_IF_ERROR(end_step_->Run(id, status, end.output, end.duration_ms));
  return RequireChange(*database_, "step", id);
}

absl::Status HistoryWriter::CreateCheckpoint(const AppliedRecord& record,
                                             const fb::CheckpointCreated& event) {
  const fb::Body* body = record.body;
  const Uuid step_id = Uuid::FromFb(*event.step());
  if (const auto row = steps_.extract(step_id)) {
    NIMBUS_RETURN_IF_ERROR(Insert(step_id, row.mapped(), {.status = row.mapped().status}));
  }
  const std::string step = step_id.ToString(), operation = StreamId(record);
  NIMBUS_ASSIGN_OR_RETURN(const bool found, Finds(&*find_step_, step, operation));
  if (!found) return NoRow("step", step);
  // Recorded without a state, it is JSON's null; erased, it says so.
  const std::string missing = record.erased ? ErasedMark(record.sequence()) : "null";
  return create_checkpoint_->Run(record.rowid(), IdText(*event.checkpoint()), operation, step,
                                 Text(body ? body->name() : nullptr),
                                 Text(body ? body->state() : nullptr).value_or(missing),
                                 Time(record));
}

absl::StatusOr<bool> HistoryWriter::HasOperation(const Uuid& operation) {
  if (operations_.contains(operation) || found_operations_.contains(operation)) return true;
  NIMBUS_ASSIGN_OR_RETURN(const bool found, Finds(&*find_operation_, operation.ToString()));
  if (found) found_operations_.insert(operation);
  return found;
}

absl::Status HistoryWriter::Insert(const Uuid& id, const NewOperation& row,
                                   const OperationEnd& end) {
  return create_operation_->Run(row.rowid, id.ToString(), row.session, row.type, row.input,
                                end.output, row.plan, end.status, end.error,
                                end.columns.duration_ms, end.columns.tokens_used,
                                end.columns.cost_cents, row.created_at, end.completed_at);
}

absl::Status HistoryWriter::Insert(const Uuid& id, const NewStep& row, const StepEnd& end) {
  return add_step_->Run(row.rowid, id.ToString(), row.operation, row.number, row.type,
                        row.tool_name, row.input, end.output, end.status, end.duration_ms,
                        row.created_at);
}

absl::Status HistoryWriter::InsertAll() {
  for (const auto& [id, row] : operations_) {
    NIMBUS_RETURN_IF_ERROR(Insert(id, row, {.status = row.status}));
  }
  for (const auto& [id, row] : steps_) {
    NIMBUS_RETURN_IF_ERROR(Insert(id, row, {.status = row.status}));
  }
  return absl::OkStatus();
}

absl::Status HistoryWriter::Flush() {
  absl::Status status = InsertAll();
  operations_.clear();
  steps_.clear();
  found_operations_.clear();
  found_sessions_.clear();
  return status;
}

absl::StatusOr<HistoryReader> HistoryReader::Create(sqlite::Connection* database) {
  NIMBUS_ASSIGN_OR_RETURN(ListingLimit limit, ListingLimit::Create(database));
  HistoryReader reader(std::move(limit));
  const std::string sessions = kSessionColumns;
  const std::string operations = kOperationColumns;
  // A listing finds the rowids of its page first, from indexes as far as it can:
  // sorting whole rows, or walking past a large input to a row's status, would
  // cost what the bodies weigh.
  const std::string page_begin = "WHERE rowid IN (SELECT rowid FROM operations ";
  const std::string page_end =
      "AND (?3 IS NULL OR type = ?3) ORDER BY created_at DESC, rowid DESC LIMIT ?5 OFFSET ?6) "
      "ORDER BY created_at DESC, rowid DESC";
  const std::string of_status =
      "(?4 IS NULL OR rowid IN (SELECT rowid FROM operations WHERE status = ?4)) ";
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database,
      {
          {&reader.begin_, "BEGIN"},
          {&reader.commit_, "COMMIT"},
          {&reader.get_session_, sessions + "WHERE id = ?"},
          {&reader.get_sessions_,
           sessions + "ORDER BY started_at DESC, rowid DESC LIMIT ? OFFSET ?"},
          {&reader.get_operation_, operations + "WHERE id = ?2"},
          {&reader.get_operations_, operations + page_begin +
                                        "INDEXED BY idx_operations_created WHERE ?2 IS NULL AND " +
                                        of_status + page_end},
          {&reader.get_operations_of_session_,
           operations + page_begin + "WHERE session_id = ?2 AND " + of_status + page_end},
          {&reader.get_steps_, kSelectSteps},
          {&reader.get_checkpoints_, kSelectCheckpoints},
      }));
  return reader;
}

absl::StatusOr<std::optional<Session>> HistoryReader::GetSession(const Uuid& id) {
  const std::string text = id.ToString();
  return ReadOne(&*get_session_, get_session_->First(text), &ReadSession);
}

absl::StatusOr<std::vector<Session>> HistoryReader::GetSessions(std::optional<uint64_t> limit,
                                                                uint64_t offset) {
  NIMBUS_ASSIGN_OR_RETURN(const int64_t count, limit_.Get(limit));
  return ReadAll(&*get_sessions_, get_sessions_->First(count, SqlCount(offset)), &ReadSession);
}

absl::StatusOr<std::optional<Operation>> HistoryReader::GetOperation(const Uuid& id) {
  const std::string text = id.ToString();
  return ReadOne(&*get_operation_, get_operation_->First(1, text), &ReadOperation);
}

absl::StatusOr<std::vector<Operation>> HistoryReader::GetOperations(const OperationFilter& filter) {
  std::optional<std::string> session;
  if (filter.session) session = filter.session->ToString();
  std::optional<std::string_view> status;
  if (filter.status) status = StatusText(*filter.status);
  NIMBUS_ASSIGN_OR_RETURN(const int64_t count, limit_.Get(filter.limit));
  Statement& rows = session ? *get_operations_of_session_ : *get_operations_;
  return ReadAll(&rows,
                 rows.First(filter.with_bodies ? 1 : 0, session, filter.type, status, count,
                            SqlCount(filter.offset)),
                 &ReadOperation);
}

absl::StatusOr<std::optional<OperationWithSteps>> HistoryReader::GetOperationWithSteps(
    const Uuid& id, bool with_states) {
  NIMBUS_RETURN_IF_ERROR(begin_->Run());
  absl::StatusOr<std::optional<OperationWithSteps>> found = ReadOperationWithSteps(id, with_states);
  const absl::Status ended = commit_->Run();
  if (found.ok()) NIMBUS_RETURN_IF_ERROR(ended);
  return found;
}

absl::StatusOr<std::optional<OperationWithSteps>> HistoryReader::ReadOperationWithSteps(
    const Uuid& id, bool with_states) {
  NIMBUS_ASSIGN_OR_RETURN(std::optional<Operation> operation, GetOperation(id));
  if (!operation) return std::nullopt;
  OperationWithSteps found{.operation = *std::move(operation), .steps = {}, .checkpoints = {}};
  const std::string text = id.ToString();
  NIMBUS_ASSIGN_OR_RETURN(found.steps, ReadAll(&*get_steps_, get_steps_->First(text), &ReadStep));
  NIMBUS_ASSIGN_OR_RETURN(
      found.checkpoints,
      ReadAll(&*get_checkpoints_, get_checkpoints_->First(text, with_states ? 1 : 0),
              &ReadCheckpoint));
  return found;
}

}  // namespace nimbus::projections
