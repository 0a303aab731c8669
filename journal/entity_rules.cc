#include "entity_rules.h"

#include <algorithm>

#include "nimbus/journal/lifecycle.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using schema::Uuid;
using schema::fb::EntityKind;
using schema::fb::Event;
using Code = absl::StatusCode;

constexpr uint8_t Byte(Lifecycle state) { return static_cast<uint8_t>(state); }

Lifecycle StateOf(const Entity& entity) { return static_cast<Lifecycle>(entity.state.state); }

absl::Status Refuse(const Entity& entity, std::string_view rule) {
  return Error(Code::kFailedPrecondition, "{} is {}: {}",
               Describe(entity.state.kind, entity.state.id), StatusText(StateOf(entity)), rule);
}

absl::StatusOr<Entity*> StartSession(const RuleContext& context) {
  NIMBUS_RETURN_IF_ERROR(
      ReferToPersona(context, context.record.event_as_SessionStarted()->persona()));
  return Create(context, EntityKind::session, context.stream, Byte(Lifecycle::kRunning));
}

absl::StatusOr<Entity*> UpdateSession(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * session,
                          context.changes.Require(EntityKind::session, context.stream));
  const auto* persona = context.record.event_as_SessionUpdated()->persona();
  if (persona != nullptr && persona->size() > 0 && StateOf(*session) != Lifecycle::kRunning) {
    return Refuse(*session, "an ended session takes no persona");
  }
  NIMBUS_RETURN_IF_ERROR(ReferToPersona(context, persona));
  return session;
}

absl::StatusOr<Entity*> EndSession(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * session,
                          context.changes.Require(EntityKind::session, context.stream));
  if (StateOf(*session) != Lifecycle::kRunning) return Refuse(*session, "it has ended");
  session->state.state = Byte(Lifecycle::kCompleted);
  return session;
}

absl::StatusOr<Entity*> RequireStep(const RuleContext& context, const schema::fb::Id& step) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * entity,
                          context.changes.Require(EntityKind::step, Uuid::FromFb(step)));
  if (entity->state.parent != context.stream) {
    return Error(Code::kFailedPrecondition, "{} belongs to operation {}, not to {}",
                 Describe(EntityKind::step, entity->state.id), entity->state.parent.ToString(),
                 context.stream.ToString());
  }
  return entity;
}

absl::StatusOr<Entity*> CreateOperation(const RuleContext& context) {
  const auto& event = *context.record.event_as_OperationCreated();
  const Uuid session_id = Uuid::FromFb(*event.session());
  NIMBUS_ASSIGN_OR_RETURN(const Entity* session,
                          context.changes.Require(EntityKind::session, session_id));
  if (StateOf(*session) != Lifecycle::kRunning) {
    return Refuse(*session, "an ended session takes no new operation");
  }
  if (event.parent() != nullptr) {
    NIMBUS_RETURN_IF_ERROR(
        context.changes.Require(EntityKind::operation, Uuid::FromFb(*event.parent())).status());
  }
  return Create(context, EntityKind::operation, context.stream, Byte(Lifecycle::kPending),
                session_id);
}

absl::StatusOr<Entity*> MoveOperation(const RuleContext& context, Lifecycle to) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation,
                          context.changes.Require(EntityKind::operation, context.stream));
  const Lifecycle from = StateOf(*operation);
  if (IsFinal(from)) return Refuse(*operation, "a finished operation does not change");
  if (to == Lifecycle::kRunning && from != Lifecycle::kPending) {
    return Refuse(*operation, "only a pending operation starts");
  }
  operation->state.state = static_cast<uint8_t>(to);
  return operation;
}

absl::StatusOr<Entity*> AddStep(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation,
                          context.changes.Require(EntityKind::operation, context.stream));
  if (IsFinal(StateOf(*operation))) {
    return Refuse(*operation, "a finished operation takes no step");
  }
  const Uuid step = Uuid::FromFb(*context.record.event_as_StepAdded()->step());
  NIMBUS_RETURN_IF_ERROR(
      Create(context, EntityKind::step, step, Byte(Lifecycle::kPending), context.stream).status());
  context.placement.ordinal = ++operation->state.steps;
  return operation;
}

absl::StatusOr<Entity*> MoveStep(const RuleContext& context, const schema::fb::Id& step_id,
                                 Lifecycle to) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation,
                          context.changes.Require(EntityKind::operation, context.stream));
  if (IsFinal(StateOf(*operation))) return Refuse(*operation, "its steps do not change any more");
  NIMBUS_ASSIGN_OR_RETURN(Entity * step, RequireStep(context, step_id));
  const Lifecycle from = StateOf(*step);
  if (IsFinal(from)) return Refuse(*step, "a finished step does not change");
  if (to == Lifecycle::kRunning && from != Lifecycle::kPending) {
    return Refuse(*step, "only a pending step starts");
  }
  step->state.state = static_cast<uint8_t>(to);
  step->state.head_sequence = context.sequence;
  step->changed = true;
  return operation;
}

absl::Status CheckAttempt(const RuleContext& context, const schema::fb::Id& step_id,
                          uint32_t attempt) {
  NIMBUS_ASSIGN_OR_RETURN(const Entity* step, RequireStep(context, step_id));
  const uint64_t next = uint64_t{step->state.steps} + 1;
  if (attempt == next) return absl::OkStatus();
  return Error(Code::kFailedPrecondition, "{} is at attempt {}, not {}",
               Describe(EntityKind::step, step->state.id), next, attempt);
}

absl::StatusOr<Entity*> StartStep(const RuleContext& context) {
  const auto& event = *context.record.event_as_StepStarted();
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation,
                          MoveStep(context, *event.step(), Lifecycle::kRunning));
  NIMBUS_RETURN_IF_ERROR(CheckAttempt(context, *event.step(), event.attempt()));
  return operation;
}

absl::StatusOr<Entity*> FailAttempt(const RuleContext& context) {
  const auto& event = *context.record.event_as_StepAttemptFailed();
  NIMBUS_ASSIGN_OR_RETURN(Entity * step, RequireStep(context, *event.step()));
  if (StateOf(*step) != Lifecycle::kRunning) return Refuse(*step, "no attempt is under way");
  NIMBUS_RETURN_IF_ERROR(CheckAttempt(context, *event.step(), event.attempt()));
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation,
                          MoveStep(context, *event.step(), Lifecycle::kPending));
  ++step->state.steps;
  return operation;
}

absl::StatusOr<Entity*> RecordValue(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation,
                          context.changes.Require(EntityKind::operation, context.stream));
  if (IsFinal(StateOf(*operation))) return Refuse(*operation, "it takes no value");
  return operation;
}

absl::StatusOr<Entity*> CreateCheckpoint(const RuleContext& context) {
  const auto& event = *context.record.event_as_CheckpointCreated();
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation,
                          context.changes.Require(EntityKind::operation, context.stream));
  NIMBUS_RETURN_IF_ERROR(RequireStep(context, *event.step()).status());
  NIMBUS_RETURN_IF_ERROR(Create(context, EntityKind::checkpoint, Uuid::FromFb(*event.checkpoint()),
                                Byte(Lifecycle::kCompleted), context.stream)
                             .status());
  return operation;
}

absl::StatusOr<Entity*> StartImport(const RuleContext& context) {
  const auto& event = *context.record.event_as_ImportStarted();
  NIMBUS_RETURN_IF_ERROR(
      ClaimName(context, event.format()->string_view(), event.key()->string_view()));
  NIMBUS_ASSIGN_OR_RETURN(Entity * source,
                          context.changes.Find(EntityKind::source, context.stream));
  if (source == nullptr) {
    return Create(context, EntityKind::source, context.stream, Byte(Lifecycle::kRunning));
  }
  source->state.state = static_cast<uint8_t>(Lifecycle::kRunning);
  return source;
}

absl::StatusOr<Entity*> StoreSource(const RuleContext& context) {
  const auto& event = *context.record.event_as_SourceStored();
  NIMBUS_ASSIGN_OR_RETURN(Entity * source,
                          context.changes.Require(EntityKind::source, context.stream));
  if (StateOf(*source) != Lifecycle::kRunning) return Refuse(*source, "no import is under way");
  if (event.first() != source->state.steps) {
    return Error(Code::kAborted, "{} holds {} records, not {}",
                 Describe(EntityKind::source, context.stream), source->state.steps, event.first());
  }
  if (event.count() > UINT32_MAX - source->state.steps) {
    return Error(Code::kInvalidArgument, "{} holds {} records and can't hold {} more",
                 Describe(EntityKind::source, context.stream), source->state.steps, event.count());
  }
  source->state.steps += event.count();
  return source;
}

absl::StatusOr<Entity*> FinishImport(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * source,
                          context.changes.Require(EntityKind::source, context.stream));
  if (StateOf(*source) != Lifecycle::kRunning) return Refuse(*source, "no import is under way");
  source->state.state = Byte(Lifecycle::kCompleted);
  return source;
}

absl::StatusOr<Entity*> PlanOperation(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation,
                          context.changes.Require(EntityKind::operation, context.stream));
  if (IsFinal(StateOf(*operation))) return Refuse(*operation, "it takes no plan");
  return operation;
}

// The id is one of the scope's, for good; whoever had it before.
absl::Status ClaimOnce(const RuleContext& context, std::string_view scope, const Uuid& id) {
  Bytes key = MakeNameKey(context.kind, scope, id.ToString());
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> holder, context.changes.FindHolder(key));
  if (holder.has_value()) {
    return Error(Code::kAlreadyExists, "{} has the {} {} already", Describe(context.kind, *holder),
                 scope, id.ToString());
  }
  context.changes.SetHolder(std::move(key), context.stream);
  return absl::OkStatus();
}

absl::StatusOr<Entity*> ReplayOperation(const RuleContext& context) {
  const auto& event = *context.record.event_as_OperationReplayed();
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation,
                          context.changes.Require(EntityKind::operation, context.stream));
  // A replay tells of what was there.
  if (event.records() > context.sequence || event.first() > event.last() ||
      event.last() >= std::max<uint64_t>(event.records(), 1)) {
    return Error(Code::kOutOfRange, "{}: no replay of records {} to {} of {}, now {}",
                 Describe(EntityKind::operation, context.stream), event.first(), event.last(),
                 event.records(), context.sequence);
  }
  NIMBUS_RETURN_IF_ERROR(ClaimOnce(context, "receipt", Uuid::FromFb(*event.receipt())));
  return operation;
}

absl::StatusOr<Entity*> ForkOperation(const RuleContext& context) {
  const auto& event = *context.record.event_as_OperationForked();
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation,
                          context.changes.Require(EntityKind::operation, context.stream));
  if (IsFinal(StateOf(*operation)) || operation->state.steps > 0) {
    return Refuse(*operation, "a fork has no step of its own yet");
  }
  const Uuid parent_id = Uuid::FromFb(*event.parent());
  if (parent_id == context.stream) {
    return Error(Code::kInvalidArgument, "{} can't be a fork of itself",
                 Describe(EntityKind::operation, parent_id));
  }
  NIMBUS_ASSIGN_OR_RETURN(const Entity* parent,
                          context.changes.Require(EntityKind::operation, parent_id));
  NIMBUS_RETURN_IF_ERROR(ClaimOnce(context, "fork", context.stream));
  if (event.checkpoint() != nullptr) {
    const Uuid id = Uuid::FromFb(*event.checkpoint());
    NIMBUS_ASSIGN_OR_RETURN(const Entity* checkpoint,
                            context.changes.Require(EntityKind::checkpoint, id));
    if (checkpoint->state.parent != parent_id) {
      return Error(Code::kFailedPrecondition, "{} belongs to operation {}, not to {}",
                   Describe(EntityKind::checkpoint, id), checkpoint->state.parent.ToString(),
                   parent_id.ToString());
    }
  }
  if (event.step_number() > parent->state.steps) {
    return Error(Code::kOutOfRange, "{} has {} steps, not {}",
                 Describe(EntityKind::operation, parent_id), parent->state.steps,
                 event.step_number());
  }
  return operation;
}

// An event of a later version: it belongs to its stream, and that is all there is to
// say about it.
absl::StatusOr<Entity*> ApplyUnknown(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * entity, context.changes.Find(context.kind, context.stream));
  if (entity != nullptr) return entity;
  return Create(context, context.kind, context.stream, Byte(Lifecycle::kPending));
}

absl::StatusOr<Entity*> ApplyStepRule(const RuleContext& context) {
  const schema::fb::Record& record = context.record;
  switch (record.event_type()) {
    case Event::StepAdded:
      return AddStep(context);
    case Event::StepStarted:
      return StartStep(context);
    case Event::StepCompleted:
      return MoveStep(context, *record.event_as_StepCompleted()->step(), Lifecycle::kCompleted);
    case Event::StepFailed:
      return MoveStep(context, *record.event_as_StepFailed()->step(), Lifecycle::kFailed);
    case Event::StepCancelled:
      return MoveStep(context, *record.event_as_StepCancelled()->step(), Lifecycle::kCancelled);
    default:
      return CreateCheckpoint(context);
  }
}

absl::StatusOr<Entity*> ApplyHistoryRule(const RuleContext& context) {
  switch (context.record.event_type()) {
    case Event::JournalCreated:
      if (context.sequence != 0) return Error(Code::kFailedPrecondition, "the journal exists");
      return Create(context, EntityKind::journal, context.stream, Byte(Lifecycle::kRunning));
    case Event::SessionStarted:
      return StartSession(context);
    case Event::SessionUpdated:
      return UpdateSession(context);
    case Event::SessionEnded:
      return EndSession(context);
    case Event::OperationCreated:
      return CreateOperation(context);
    case Event::OperationPlanned:
      return PlanOperation(context);
    case Event::OperationStarted:
      return MoveOperation(context, Lifecycle::kRunning);
    case Event::OperationCompleted:
      return MoveOperation(context, Lifecycle::kCompleted);
    case Event::OperationFailed:
      return MoveOperation(context, Lifecycle::kFailed);
    case Event::OperationCancelled:
      return MoveOperation(context, Lifecycle::kCancelled);
    case Event::ImportStarted:
      return StartImport(context);
    case Event::SourceStored:
      return StoreSource(context);
    case Event::ImportFinished:
      return FinishImport(context);
    default:
      return ApplyStepRule(context);
  }
}

absl::StatusOr<Entity*> ApplyLineageRule(const RuleContext& context) {
  switch (context.record.event_type()) {
    case Event::ViewsMigrated:
      return context.changes.Require(EntityKind::journal, context.stream);
    case Event::OperationForked:
      return ForkOperation(context);
    default:
      return ReplayOperation(context);
  }
}

absl::StatusOr<Entity*> ApplyRecordingRule(const RuleContext& context) {
  if (context.record.event_type() == Event::ValueRecorded) return RecordValue(context);
  return FailAttempt(context);
}

}  // namespace

absl::StatusOr<Entity*> Create(const RuleContext& context, EntityKind kind, const Uuid& id,
                               uint8_t state, const Uuid& parent) {
  return context.changes.Create({.kind = kind,
                                 .id = id,
                                 .state = state,
                                 .parent = parent,
                                 .version = 0,
                                 .first_sequence = context.sequence,
                                 .head_sequence = context.sequence,
                                 .steps = 0});
}

absl::Status ClaimName(const RuleContext& context, std::string_view scope, std::string_view name) {
  Bytes key = MakeNameKey(context.kind, scope, name);
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> holder, context.changes.FindHolder(key));
  if (!holder.has_value()) {
    context.changes.SetHolder(std::move(key), context.stream);
    return absl::OkStatus();
  }
  if (*holder == context.stream) return absl::OkStatus();
  const std::string of = scope.empty() ? "" : fmt::format(" of '{}'", scope);
  return Error(Code::kAlreadyExists, "{} '{}'{} is {} already",
               schema::fb::EnumNameEntityKind(context.kind), name, of, holder->ToString());
}

// The events of one domain stand together in events.fbs.
absl::StatusOr<Entity*> ApplyRule(const RuleContext& context) {
  const Event type = context.record.event_type();
  if (type == Event::NONE || type > Event::MAX) return ApplyUnknown(context);
  if (type <= Event::ImportFinished) return ApplyHistoryRule(context);
  if (type <= Event::RegistryEntryRemoved) return ApplyPluginRule(context);
  if (type <= Event::PersonaUsed) return ApplyPersonaRule(context);
  if (type <= Event::EnvironmentConfigDeleted) return ApplyConfigRule(context);
  if (type <= Event::CredentialProfileDeleted) return ApplyCredentialRule(context);
  if (type <= Event::OperationReplayed) return ApplyLineageRule(context);
  return ApplyRecordingRule(context);
}

}  // namespace nimbus::journal
