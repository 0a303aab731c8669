#include "bench/row_loop.h"

#include <utility>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/id.h"
#include "nimbus/schema/status.h"
#include "spec_sql.h"

namespace nimbus::bench {
namespace {

namespace fb = schema::fb;
using schema::Uuid;

// 4096 pages of 16 KiB are 64 MiB.
constexpr char kSettings[] =
    "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
    "PRAGMA foreign_keys = OFF; PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 4096";

std::optional<std::string_view> Text(const flatbuffers::String* text) {
  if (text == nullptr) return std::nullopt;
  return text->string_view();
}

std::optional<int64_t> Integer(flatbuffers::Optional<uint64_t> value) {
  if (!value.has_value()) return std::nullopt;
  return static_cast<int64_t>(*value);
}

std::string IdText(const fb::Id& id) { return Uuid::FromFb(id).ToString(); }

std::string TimeOf(const fb::Record& record) {
  return schema::FormatUtc(schema::OccurredAt(record).value_or(0));
}

absl::Status NotTheWorkload() { return absl::InternalError("the events are not the workload's"); }

}  // namespace

absl::StatusOr<std::unique_ptr<RowLoop>> RowLoop::Create(const std::string& path) {
  std::unique_ptr<RowLoop> loop(new RowLoop);
  sqlite3* connection = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &connection,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  loop->connection_.reset(connection);
  if (code != SQLITE_OK) return SqliteError(connection, path);
  NIMBUS_RETURN_IF_ERROR(loop->Execute(kSettings));
  NIMBUS_RETURN_IF_ERROR(loop->Execute(kSpecSql));
  NIMBUS_RETURN_IF_ERROR(loop->Prepare());
  return loop;
}

absl::Status RowLoop::Execute(const char* sql) {
  if (sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) {
    return absl::OkStatus();
  }
  return SqliteError(connection_.get(), sql);
}

absl::Status RowLoop::Prepare() {
  const std::pair<Statement*, const char*> statements[] = {
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&add_session_,
       "INSERT INTO sessions (rowid, id, name, context, started_at) VALUES (?, ?, ?, ?, ?)"},
      {&add_operation_,
       "INSERT INTO operations (rowid, id, session_id, type, input, created_at, output, status, "
       "duration_ms, tokens_used, completed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      {&end_operation_,
       "UPDATE operations SET output = ?, status = ?, duration_ms = ?, tokens_used = ?, "
       "completed_at = ? WHERE id = ?"},
      {&add_step_,
       "INSERT INTO operation_steps (rowid, id, operation_id, step_number, type, tool_name, input, "
       "created_at, output, status, duration_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      {&end_step_,
       "UPDATE operation_steps SET output = ?, status = ?, duration_ms = ? WHERE id = ?"},
      {&add_checkpoint_,
       "INSERT INTO checkpoints (rowid, id, operation_id, step_id, name, state, created_at) "
       "VALUES (?, ?, ?, ?, ?, ?, ?)"}};
  for (const auto& [statement, sql] : statements) {
    NIMBUS_RETURN_IF_ERROR(statement->Prepare(connection_.get(), sql));
  }
  return absl::OkStatus();
}

absl::Status RowLoop::Begin() { return begin_.Run().status(); }

absl::Status RowLoop::Apply(const fb::Record& record, uint64_t sequence, const fb::Body* body) {
  const auto rowid = static_cast<int64_t>(sequence);
  switch (record.event_type()) {
    case fb::Event::SessionStarted:
      return StartSession(record, sequence, *body);
    case fb::Event::OperationCreated: {
      const auto* event = record.event_as_OperationCreated();
      operation_ = {.rowid = rowid,
                    .id = IdText(record.envelope()->stream()),
                    .session = IdText(*event->session()),
                    .type = event->type()->str(),
                    .input = body->input()->str(),
                    .created_at = TimeOf(record)};
      return absl::OkStatus();
    }
    case fb::Event::StepAdded: {
      if (step_.has_value()) return NotTheWorkload();
      const auto* event = record.event_as_StepAdded();
      step_ = {.rowid = rowid,
               .number = record.envelope()->ordinal(),
               .id = IdText(*event->step()),
               .type = fb::EnumNameStepType(event->type()),
               .tool_name = event->tool_name() == nullptr ? "" : event->tool_name()->str(),
               .input = body->input()->str(),
               .created_at = TimeOf(record)};
      return absl::OkStatus();
    }
    case fb::Event::StepCompleted:
      return EndStep(*record.event_as_StepCompleted()->outcome(), *body);
    case fb::Event::CheckpointCreated:
      return AddCheckpoint(record, sequence, *body);
    case fb::Event::OperationCompleted:
      return EndOperation(record, record.event_as_OperationCompleted()->outcome(), *body);
    default:
      return absl::OkStatus();
  }
}

absl::Status RowLoop::StartSession(const fb::Record& record, uint64_t sequence,
                                   const fb::Body& body) {
  const std::string id = IdText(record.envelope()->stream()), time = TimeOf(record);
  return add_session_.Bind(static_cast<int64_t>(sequence))
      .Bind(id)
      .Bind(Text(body.name()))
      .Bind(Text(body.context()))
      .Bind(time)
      .Run()
      .status();
}

absl::Status RowLoop::AddCheckpoint(const fb::Record& record, uint64_t sequence,
                                    const fb::Body& body) {
  const auto* event = record.event_as_CheckpointCreated();
  const std::string id = IdText(*event->checkpoint()), step = IdText(*event->step()),
                    time = TimeOf(record);
  return add_checkpoint_.Bind(static_cast<int64_t>(sequence))
      .Bind(id)
      .Bind(operation_->id)
      .Bind(step)
      .Bind(Text(body.name()))
      .Bind(Text(body.state()))
      .Bind(time)
      .Run()
      .status();
}

absl::Status RowLoop::StoreStep(std::string_view status, std::optional<std::string_view> output,
                                std::optional<int64_t> duration_ms) {
  if (step_->stored) {
    return end_step_.Bind(output).Bind(status).Bind(duration_ms).Bind(step_->id).Run().status();
  }
  add_step_.Bind(step_->rowid).Bind(step_->id).Bind(operation_->id).Bind(step_->number);
  add_step_.Bind(step_->type);
  step_->tool_name.empty() ? add_step_.BindNull() : add_step_.Bind(step_->tool_name);
  return add_step_.Bind(step_->input)
      .Bind(step_->created_at)
      .Bind(output)
      .Bind(status)
      .Bind(duration_ms)
      .Run()
      .status();
}

absl::Status RowLoop::EndStep(const fb::Outcome& outcome, const fb::Body& body) {
  if (!step_.has_value()) return NotTheWorkload();
  NIMBUS_RETURN_IF_ERROR(
      StoreStep("completed", Text(body.output()), Integer(outcome.duration_ms())));
  step_.reset();
  return absl::OkStatus();
}

absl::Status RowLoop::EndOperation(const fb::Record& record, const fb::Outcome* outcome,
                                   const fb::Body& body) {
  if (!operation_.has_value()) return NotTheWorkload();
  const std::string time = TimeOf(record);
  std::optional<int64_t> duration_ms, tokens_used;
  if (outcome != nullptr) {
    duration_ms = Integer(outcome->duration_ms());
    tokens_used = Integer(outcome->tokens_used());
  }
  Statement& statement = operation_->stored ? end_operation_ : add_operation_;
  if (!operation_->stored) {
    statement.Bind(operation_->rowid).Bind(operation_->id).Bind(operation_->session);
    statement.Bind(operation_->type).Bind(operation_->input).Bind(operation_->created_at);
  }
  statement.Bind(Text(body.output())).Bind("completed").Bind(duration_ms).Bind(tokens_used);
  statement.Bind(time);
  if (operation_->stored) statement.Bind(operation_->id);
  NIMBUS_RETURN_IF_ERROR(statement.Run().status());
  operation_.reset();
  return absl::OkStatus();
}

absl::Status RowLoop::Commit() {
  if (operation_.has_value() && !operation_->stored) {
    add_operation_.Bind(operation_->rowid).Bind(operation_->id).Bind(operation_->session);
    add_operation_.Bind(operation_->type).Bind(operation_->input).Bind(operation_->created_at);
    add_operation_.BindNull().Bind("pending").BindNull().BindNull().BindNull();
    NIMBUS_RETURN_IF_ERROR(add_operation_.Run().status());
    operation_->stored = true;
  }
  if (step_.has_value() && !step_->stored) {
    NIMBUS_RETURN_IF_ERROR(StoreStep("pending", std::nullopt, std::nullopt));
    step_->stored = true;
  }
  return commit_.Run().status();
}

}  // namespace nimbus::bench
