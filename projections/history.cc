#include "nimbus/projections/history.h"

#include <utility>

#include "history_rows.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/json.h"
#include "persona_definition.h"
#include "view_reader.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using journal::Lifecycle;
using schema::Error;
using schema::Event;
using schema::MakeEvent;
using schema::Uuid;

std::unique_ptr<fb::Id> FbId(const Uuid& id) { return std::make_unique<fb::Id>(id.ToFb()); }

template <typename Payload>
Payload WithOutcome(const Result& result) {
  Payload payload;
  payload.outcome = std::make_unique<fb::OutcomeT>(result.outcome);
  return payload;
}

template <typename Payload>
Event OperationEnd(const Uuid& operation, const Result& result) {
  Event event = MakeEvent(fb::EntityKind::operation, operation, WithOutcome<Payload>(result));
  event.body.output = result.output;
  event.body.error = result.error;
  return event;
}

// The state and what identifies it, for replay to compare.
absl::Status SetState(const std::string& state, fb::BodyT* body) {
  absl::StatusOr<schema::Json> parsed = schema::Json::Parse(state);
  if (!parsed.ok()) return schema::Annotate(parsed.status(), "state");
  body->state = state;
  body->digest = std::make_unique<fb::Digest>(schema::ToFb(schema::StateDigest(*parsed)));
  return absl::OkStatus();
}

bool IsEmpty(const Result& result) {
  const fb::OutcomeT& outcome = result.outcome;
  const bool counted = outcome.tokens_used || outcome.input_tokens || outcome.output_tokens ||
                       outcome.cache_read_tokens || outcome.cache_write_tokens;
  return result.output.empty() && result.error.empty() && result.patch.empty() && !counted &&
         !outcome.duration_ms && !outcome.cost_microdollars;
}

}  // namespace

class History::Rows : public ViewReader<HistoryReader> {
 public:
  using ViewReader::ViewReader;
};

History::History(journal::Journal* journal, Views* views)
    : journal_(journal), rows_(std::make_unique<Rows>(views)) {}

History::~History() = default;

absl::StatusOr<Written> History::Append(const Uuid& id, const std::vector<Event>& events) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended, journal_->Append(events));
  return Written{.id = id, .sequence = appended.first + appended.count - 1};
}

absl::StatusOr<Written> History::Append(const Uuid& id, const Event& event) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended, journal_->Append(event));
  return Written{.id = id, .sequence = appended.first};
}

// The event, and that its persona was used, if it has one.
template <typename Payload>
absl::StatusOr<Written> History::AppendForSession(const Uuid& session, fb::BodyT body,
                                                  const std::string& persona) {
  Payload payload;
  std::vector<Event> events;
  if (persona.empty()) {
    events.push_back(MakeEvent(fb::EntityKind::session, session, std::move(payload)));
  } else {
    NIMBUS_ASSIGN_OR_RETURN(const PersonaDefinition definition, FindPersona(*journal_, persona));
    payload.persona = definition.row_id;
    events.push_back(MakeEvent(fb::EntityKind::session, session, std::move(payload)));
    events.push_back(PersonaUsedEvent(definition, session));
  }
  events[0].body = std::move(body);
  return Append(session, events);
}

absl::StatusOr<Written> History::CreateSession(const NewSession& session) {
  const Uuid id = session.id ? *session.id : schema::NewUuid();
  fb::BodyT body;
  body.name = session.name;
  body.description = session.description;
  body.context = session.context;
  return AppendForSession<fb::SessionStartedT>(id, std::move(body), session.persona);
}

absl::StatusOr<Written> History::UpdateSession(const Uuid& session, const SessionChange& change) {
  fb::BodyT body;
  body.name = change.name;
  body.description = change.description;
  body.context = change.context;
  return AppendForSession<fb::SessionUpdatedT>(session, std::move(body), change.persona);
}

absl::StatusOr<Written> History::EndSession(const Uuid& session) {
  return Append(session, MakeEvent(fb::EntityKind::session, session, fb::SessionEndedT{}));
}

absl::StatusOr<Written> History::CreateOperation(const NewOperation& operation) {
  const Uuid id = operation.id ? *operation.id : schema::NewUuid();
  fb::OperationCreatedT created;
  created.session = FbId(operation.session);
  created.type = operation.type;
  if (operation.parent) created.parent = FbId(*operation.parent);
  std::vector<Event> events;
  events.push_back(MakeEvent(fb::EntityKind::operation, id, std::move(created)));
  events.back().body.input = operation.input;
  events.back().body.name = operation.name;
  if (!operation.plan.empty()) {
    events.push_back(MakeEvent(fb::EntityKind::operation, id, fb::OperationPlannedT{}));
    events.back().body.plan = operation.plan;
  }
  return Append(id, std::move(events));
}

absl::StatusOr<Written> History::PlanOperation(const Uuid& operation, std::string plan) {
  if (plan.empty()) return Error(absl::StatusCode::kInvalidArgument, "plan: is required");
  Event event = MakeEvent(fb::EntityKind::operation, operation, fb::OperationPlannedT{});
  event.body.plan = std::move(plan);
  return Append(operation, std::move(event));
}

absl::StatusOr<Written> History::StartOperation(const Uuid& operation, const std::string& state) {
  Event event = MakeEvent(fb::EntityKind::operation, operation, fb::OperationStartedT{});
  if (!state.empty()) NIMBUS_RETURN_IF_ERROR(SetState(state, &event.body));
  return Append(operation, std::move(event));
}

absl::StatusOr<Written> History::UpdateOperationStatus(const Uuid& operation, Lifecycle status,
                                                       const Result& result) {
  if (!result.patch.empty()) {
    return Error(absl::StatusCode::kInvalidArgument, "patch: belongs to a step");
  }
  switch (status) {
    case Lifecycle::kPending:
      return Error(absl::StatusCode::kInvalidArgument,
                   "an operation is pending when it is created, and never again");
    case Lifecycle::kRunning:
      if (IsEmpty(result)) return StartOperation(operation);
      return Error(absl::StatusCode::kInvalidArgument, "a running operation has no result");
    case Lifecycle::kCompleted:
      return Append(operation, OperationEnd<fb::OperationCompletedT>(operation, result));
    case Lifecycle::kFailed:
      return Append(operation, OperationEnd<fb::OperationFailedT>(operation, result));
    case Lifecycle::kCancelled:
      return Append(operation, OperationEnd<fb::OperationCancelledT>(operation, result));
  }
  return Error(absl::StatusCode::kInvalidArgument, "{} is no status", static_cast<int>(status));
}

absl::StatusOr<Written> History::AddOperationStep(const NewStep& step) {
  const Uuid id = step.id ? *step.id : schema::NewUuid();
  fb::StepAddedT added;
  added.step = FbId(id);
  added.type = step.type;
  added.tool_name = step.tool_name;
  Event event = MakeEvent(fb::EntityKind::operation, step.operation, std::move(added));
  event.body.input = step.input;
  return Append(id, std::move(event));
}

// Events about a step belong to the stream of its operation.
absl::StatusOr<Uuid> History::OperationOfStep(const Uuid& step) const {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> found,
                          journal_->FindEntity(fb::EntityKind::step, step));
  if (found) return found->parent;
  return Error(absl::StatusCode::kNotFound, "there is no step {}", step.ToString());
}

absl::StatusOr<Written> History::StartOperationStep(const Uuid& step) {
  NIMBUS_ASSIGN_OR_RETURN(const Uuid operation, OperationOfStep(step));
  fb::StepStartedT started;
  started.step = FbId(step);
  return Append(step, MakeEvent(fb::EntityKind::operation, operation, std::move(started)));
}

template <typename Payload>
absl::StatusOr<Written> History::EndStep(const Uuid& step, const Result& result) {
  NIMBUS_ASSIGN_OR_RETURN(const Uuid operation, OperationOfStep(step));
  Payload payload = WithOutcome<Payload>(result);
  payload.step = FbId(step);
  Event event = MakeEvent(fb::EntityKind::operation, operation, std::move(payload));
  event.body.output = result.output;
  event.body.error = result.error;
  event.body.patch = result.patch;
  return Append(step, std::move(event));
}

absl::StatusOr<Written> History::CompleteOperationStep(const Uuid& step, const Result& result) {
  return EndStep<fb::StepCompletedT>(step, result);
}

absl::StatusOr<Written> History::FailOperationStep(const Uuid& step, const Result& result) {
  return EndStep<fb::StepFailedT>(step, result);
}

absl::StatusOr<Written> History::CancelOperationStep(const Uuid& step, const Result& result) {
  return EndStep<fb::StepCancelledT>(step, result);
}

absl::StatusOr<Written> History::CreateCheckpoint(const NewCheckpoint& checkpoint) {
  const Uuid id = checkpoint.id ? *checkpoint.id : schema::NewUuid();
  fb::CheckpointCreatedT created;
  created.checkpoint = FbId(id);
  created.step = FbId(checkpoint.step);
  Event event = MakeEvent(fb::EntityKind::operation, checkpoint.operation, std::move(created));
  event.body.name = checkpoint.name;
  NIMBUS_RETURN_IF_ERROR(SetState(checkpoint.state, &event.body));
  return Append(id, std::move(event));
}

absl::StatusOr<std::optional<Session>> History::GetSession(const Uuid& session) {
  return rows_->With([&](HistoryReader& reader) { return reader.GetSession(session); });
}

absl::StatusOr<std::vector<Session>> History::GetSessions(std::optional<uint64_t> limit,
                                                          uint64_t offset) {
  return rows_->With([&](HistoryReader& reader) { return reader.GetSessions(limit, offset); });
}

absl::StatusOr<std::optional<Operation>> History::GetOperation(const Uuid& operation) {
  return rows_->With([&](HistoryReader& reader) { return reader.GetOperation(operation); });
}

absl::StatusOr<std::vector<Operation>> History::GetOperationHistory(const OperationFilter& filter) {
  return rows_->With([&](HistoryReader& reader) { return reader.GetOperations(filter); });
}

absl::StatusOr<std::optional<OperationWithSteps>> History::GetOperationWithSteps(
    const Uuid& operation, bool with_states) {
  return rows_->With(
      [&](HistoryReader& reader) { return reader.GetOperationWithSteps(operation, with_states); });
}

}  // namespace nimbus::projections
