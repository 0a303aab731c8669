#include "tools/import/journaled.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "nimbus/journal/reader.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"
#include "tools/import/stored.h"

namespace nimbus::tools::import {
namespace {

using absl::StatusCode;
using journal::Lifecycle;
using schema::Error;
using schema::Json;
using schema::Uuid;
using schema::fb::EntityKind;

std::string Text(const flatbuffers::String* text) {
  return text == nullptr ? std::string() : text->str();
}

template <typename T>
std::optional<T> Optional(const flatbuffers::Optional<T>& value) {
  return value.has_value() ? std::optional<T>(*value) : std::nullopt;
}

void ReadOutcome(const schema::fb::Outcome* outcome, std::optional<uint64_t>* duration_ms,
                 Usage* usage) {
  if (outcome == nullptr) return;
  *duration_ms = Optional(outcome->duration_ms());
  usage->total = Optional(outcome->tokens_used());
  usage->input = Optional(outcome->input_tokens());
  usage->output = Optional(outcome->output_tokens());
  usage->cache_read = Optional(outcome->cache_read_tokens());
  usage->cache_write = Optional(outcome->cache_write_tokens());
  usage->cost_microdollars = Optional(outcome->cost_microdollars());
}

// What a patch appends to /messages.
std::vector<Json> AppendedMessages(const std::string& patch) {
  std::vector<Json> messages;
  const absl::StatusOr<Json> changes = Json::Parse(patch);
  if (!changes.ok() || !changes->IsArray()) return messages;
  for (const Json& change : changes->array()) {
    const Json* value = change.Find("value");
    if (change.StringOr("op") == "add" && change.StringOr("path").starts_with("/messages/") &&
        value != nullptr)
      messages.push_back(*value);
  }
  return messages;
}

// Folds the events of one operation's stream.
class OperationReader {
 public:
  explicit OperationReader(const Uuid& id) {
    operation_.source_id = id.ToString();
    operation_.input = "{}";
    operation_.status = Lifecycle::kRunning;
  }

  absl::Status Add(const journal::RecordView& view, const schema::fb::Body* body) {
    body_ = body;
    time_ = schema::OccurredAt(*view.record);
    const schema::fb::Record& record = *view.record;
    if (const auto* event = record.event_as_OperationCreated()) {
      operation_.type = Text(event->type());
      operation_.created_at_us = time_;
      if (event->parent() != nullptr)
        operation_.parent_source_id = Uuid::FromFb(*event->parent()).ToString();
      if (body == nullptr) return absl::OkStatus();
      operation_.name = Text(body->name());
      operation_.input = Text(body->input());
    } else if (record.event_as_OperationPlanned() != nullptr) {
      operation_.plan = body == nullptr ? "" : Text(body->plan());
    } else if (const auto* completed = record.event_as_OperationCompleted()) {
      End(Lifecycle::kCompleted, completed->outcome());
    } else if (const auto* failed = record.event_as_OperationFailed()) {
      End(Lifecycle::kFailed, failed->outcome());
    } else if (const auto* cancelled = record.event_as_OperationCancelled()) {
      End(Lifecycle::kCancelled, cancelled->outcome());
    } else {
      return AddToStep(view);
    }
    return absl::OkStatus();
  }

  Operation Take() { return std::move(operation_); }

 private:
  absl::Status AddToStep(const journal::RecordView& view) {
    const schema::fb::Record& record = *view.record;
    if (const auto* added = record.event_as_StepAdded()) {
      Step step;
      step.source_id = Uuid::FromFb(*added->step()).ToString();
      step.type = added->type();
      step.tool_name = Text(added->tool_name());
      step.input = body_ == nullptr ? "" : Text(body_->input());
      step.status = Lifecycle::kRunning;
      step.started_at_us = time_;
      steps_[step.source_id] = operation_.steps.size();
      operation_.steps.push_back(std::move(step));
    } else if (const auto* started = record.event_as_StepStarted()) {
      NIMBUS_ASSIGN_OR_RETURN(Step * step, Find(started->step(), view.sequence));
      if (time_.has_value()) step->started_at_us = time_;
    } else if (const auto* completed = record.event_as_StepCompleted()) {
      return EndStep(Lifecycle::kCompleted, *completed, view.sequence);
    } else if (const auto* failed = record.event_as_StepFailed()) {
      return EndStep(Lifecycle::kFailed, *failed, view.sequence);
    } else if (const auto* cancelled = record.event_as_StepCancelled()) {
      return EndStep(Lifecycle::kCancelled, *cancelled, view.sequence);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Step*> Find(const schema::fb::Id* id, uint64_t sequence) {
    const auto at = steps_.find(Uuid::FromFb(*id).ToString());
    if (at == steps_.end())
      return Error(StatusCode::kDataLoss, "record {}: of a step that was not added", sequence);
    return &operation_.steps[at->second];
  }

  template <typename Event>
  absl::Status EndStep(Lifecycle status, const Event& event, uint64_t sequence) {
    NIMBUS_ASSIGN_OR_RETURN(Step * step, Find(event.step(), sequence));
    step->status = status;
    step->ended_at_us = time_;
    ReadOutcome(event.outcome(), &step->duration_ms, &step->usage);
    if (body_ == nullptr) return absl::OkStatus();
    step->output = Text(body_->output());
    step->error = Text(body_->error());
    step->messages = AppendedMessages(Text(body_->patch()));
    return absl::OkStatus();
  }

  void End(Lifecycle status, const schema::fb::Outcome* outcome) {
    operation_.status = status;
    operation_.ended_at_us = time_;
    ReadOutcome(outcome, &operation_.duration_ms, &operation_.usage);
    if (body_ == nullptr) return;
    operation_.output = Text(body_->output());
    operation_.error = Text(body_->error());
  }

  Operation operation_;
  std::unordered_map<std::string, size_t> steps_;
  const schema::fb::Body* body_ = nullptr;
  std::optional<int64_t> time_;
};

absl::StatusOr<journal::EntityState> Find(const journal::Journal& journal, EntityKind kind,
                                          const Uuid& id) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> entity,
                          journal.FindEntity(kind, id));
  if (!entity.has_value())
    return Error(StatusCode::kNotFound, "no {} {}", schema::fb::EnumNameEntityKind(kind),
                 id.ToString());
  return *entity;
}

absl::StatusOr<Operation> ReadOperation(const journal::Journal& journal, const Uuid& operation_id) {
  NIMBUS_ASSIGN_OR_RETURN(
      auto stream, journal::StreamReader::Open(journal, EntityKind::operation, operation_id));
  OperationReader operation(operation_id);
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* record, stream.Next());
    if (record == nullptr) return operation.Take();
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream.Body(*record));
    NIMBUS_RETURN_IF_ERROR(operation.Add(*record, body));
  }
}

absl::StatusOr<Session> ReadSession(const journal::Journal& journal, const Uuid& id) {
  NIMBUS_RETURN_IF_ERROR(Find(journal, EntityKind::session, id).status());
  NIMBUS_ASSIGN_OR_RETURN(const StoredSession stored, ReadStoredSession(journal, id));
  Session session;
  session.source_id = id.ToString();
  session.name = stored.name;
  session.description = stored.description;
  session.context = Json::MakeObject();
  if (stored.context.empty()) return session;
  NIMBUS_ASSIGN_OR_RETURN(session.context, Json::Parse(stored.context));
  if (!session.context.IsObject()) session.context = Json::MakeObject();
  return session;
}

}  // namespace

absl::StatusOr<Session> ReadJournaledSession(const journal::Journal& journal, const Uuid& id) {
  NIMBUS_ASSIGN_OR_RETURN(Session session, ReadSession(journal, id));
  NIMBUS_ASSIGN_OR_RETURN(
      const std::vector<Uuid> ids,
      journal.FindEntitiesByPrefix(EntityKind::operation, "", std::numeric_limits<size_t>::max()));
  std::vector<journal::EntityState> operations;
  for (const Uuid& operation : ids) {
    NIMBUS_ASSIGN_OR_RETURN(const journal::EntityState entity,
                            Find(journal, EntityKind::operation, operation));
    if (entity.parent == id) operations.push_back(entity);
  }
  std::sort(operations.begin(), operations.end(),
            [](const auto& a, const auto& b) { return a.first_sequence < b.first_sequence; });
  for (const journal::EntityState& entity : operations) {
    NIMBUS_ASSIGN_OR_RETURN(Operation operation, ReadOperation(journal, entity.id));
    session.operations.push_back(std::move(operation));
  }
  return session;
}

absl::StatusOr<Session> ReadJournaledOperation(const journal::Journal& journal, const Uuid& id) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::EntityState entity,
                          Find(journal, EntityKind::operation, id));
  NIMBUS_ASSIGN_OR_RETURN(Session session, ReadSession(journal, entity.parent));
  NIMBUS_ASSIGN_OR_RETURN(Operation operation, ReadOperation(journal, entity.id));
  session.operations.push_back(std::move(operation));
  return session;
}

}  // namespace nimbus::tools::import
