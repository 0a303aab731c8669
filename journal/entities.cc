#include "entities.h"

#include <algorithm>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

std::string Describe(EntityKind kind, const Uuid& id) {
  return fmt::format("{} {}", schema::fb::EnumNameEntityKind(kind), id.ToString());
}

std::string_view NameOf(Lifecycle state) {
  static constexpr std::string_view kNames[] = {"pending", "running", "completed", "failed",
                                                "cancelled"};
  return kNames[static_cast<size_t>(state)];
}

Lifecycle StateOf(const Entity& entity) { return static_cast<Lifecycle>(entity.state.state); }

bool HasStream(EntityKind kind) {
  return kind != EntityKind::step && kind != EntityKind::checkpoint;
}

absl::Status Refuse(const Entity& entity, std::string_view rule) {
  return Error(Code::kFailedPrecondition, "{} is {}: {}",
               Describe(entity.state.kind, entity.state.id), NameOf(StateOf(entity)), rule);
}

constexpr uint8_t kHasLastAppend = 0x80;  // in the state byte
constexpr size_t kNameKeyBytesMax = 511;  // LMDB's limit

}  // namespace

EntityKey MakeEntityKey(EntityKind kind, const Uuid& id) {
  EntityKey key;
  key[0] = static_cast<uint8_t>(kind);
  std::copy(id.bytes.begin(), id.bytes.end(), key.begin() + 1);
  return key;
}

Bytes MakeNameKey(EntityKind kind, std::string_view scope, std::string_view name) {
  Bytes key{static_cast<uint8_t>(kind)};
  key.insert(key.end(), scope.begin(), scope.end());
  key.push_back(0);
  key.insert(key.end(), name.begin(), name.end());
  if (key.size() <= kNameKeyBytesMax) return key;
  const schema::Digest digest =
      schema::Blake2b256({reinterpret_cast<const char*>(key.data()) + 1, key.size() - 1});
  key = {static_cast<uint8_t>(kind), 0};
  key.insert(key.end(), digest.begin(), digest.end());
  return key;
}

Bytes EncodeEntity(const Entity& entity) {
  const EntityState& state = entity.state;
  Bytes out;
  out.reserve(64);
  out.push_back(state.state | (entity.last_append.has_value() ? kHasLastAppend : 0));
  PutFixed(state.parent, &out);
  PutVarint(state.version, &out);
  PutVarint(state.first_sequence, &out);
  PutVarint(state.head_sequence - state.first_sequence, &out);
  PutVarint(state.steps, &out);
  if (entity.last_append.has_value()) {
    PutFixed(entity.last_append->id, &out);
    PutVarint(entity.last_append->result.first, &out);
    PutVarint(entity.last_append->result.count, &out);
    PutVarint(entity.last_append->result.version, &out);
  }
  return out;
}

absl::StatusOr<Entity> DecodeEntity(std::span<const uint8_t> key, std::span<const uint8_t> value) {
  const absl::Status malformed = absl::DataLossError("entity table entry is malformed");
  Entity entity;
  EntityState& state = entity.state;
  uint8_t kind = 0, flags = 0;
  if (!TakeFixed(&key, &kind) || !TakeFixed(&key, &state.id) || !key.empty()) return malformed;
  if (!TakeFixed(&value, &flags) || !TakeFixed(&value, &state.parent)) return malformed;
  const auto version = TakeVarint(&value), first = TakeVarint(&value);
  const auto span = TakeVarint(&value), steps = TakeVarint(&value);
  if (!version || !first || !span || !steps) return malformed;
  state.kind = static_cast<EntityKind>(kind);
  state.state = flags & ~kHasLastAppend;
  state.version = *version;
  state.first_sequence = *first;
  state.head_sequence = *first + *span;
  state.steps = static_cast<uint32_t>(*steps);
  if (state.state > static_cast<uint8_t>(Lifecycle::kCancelled)) return malformed;
  if ((flags & kHasLastAppend) == 0)
    return value.empty() ? absl::StatusOr<Entity>(entity) : malformed;
  LastAppend last;
  if (!TakeFixed(&value, &last.id)) return malformed;
  const auto append_first = TakeVarint(&value), count = TakeVarint(&value);
  const auto append_version = TakeVarint(&value);
  if (!append_first || !count || !append_version || !value.empty()) return malformed;
  last.result = {.first = *append_first, .count = *count, .version = *append_version};
  entity.last_append = last;
  return entity;
}

lmdb::Table TableOf(const EntityTables& tables, WalTable table) {
  NIMBUS_CHECK(table != WalTable::kChunks);
  return table == WalTable::kEntities ? tables.entities : tables.names;
}

absl::StatusOr<std::optional<lmdb::View>> TableReader::Get(WalTable table,
                                                           std::span<const uint8_t> key) const {
  if (overlay_ != nullptr) {
    if (const auto changed = overlay_->FindChange(table, key)) {
      return std::optional<lmdb::View>(*changed);
    }
  }
  return txn_.Get(TableOf(tables_, table), key);
}

absl::StatusOr<std::optional<Entity>> FindEntity(const TableReader& tables, EntityKind kind,
                                                 const Uuid& id) {
  const EntityKey key = MakeEntityKey(kind, id);
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<lmdb::View> value,
                          tables.Get(WalTable::kEntities, key));
  if (!value.has_value()) return std::optional<Entity>();
  NIMBUS_ASSIGN_OR_RETURN(Entity entity, DecodeEntity(key, *value));
  return std::optional<Entity>(std::move(entity));
}

struct Changes::Context {
  const schema::fb::Record& record;
  EntityKind kind;
  Uuid stream;
  uint64_t sequence;
};

absl::StatusOr<Entity*> Changes::Find(EntityKind kind, const Uuid& id) {
  const EntityKey key = MakeEntityKey(kind, id);
  if (const auto it = trial_.find(key); it != trial_.end()) return &it->second;
  if (const auto it = accepted_.find(key); it != accepted_.end()) {
    return &trial_.emplace(key, it->second).first->second;
  }
  NIMBUS_ASSIGN_OR_RETURN(std::optional<Entity> stored, FindEntity(tables_, kind, id));
  if (!stored.has_value()) return nullptr;
  return &trial_.emplace(key, *std::move(stored)).first->second;
}

absl::StatusOr<Entity*> Changes::Require(EntityKind kind, const Uuid& id) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * entity, Find(kind, id));
  if (entity == nullptr) return Error(Code::kNotFound, "no {}", Describe(kind, id));
  return entity;
}

absl::StatusOr<Entity*> Changes::Create(const Context& context, EntityKind kind, const Uuid& id,
                                        Lifecycle state, const Uuid& parent) {
  NIMBUS_ASSIGN_OR_RETURN(const Entity* existing, Find(kind, id));
  if (existing != nullptr) {
    return Error(Code::kAlreadyExists, "{} exists already", Describe(kind, id));
  }
  Entity entity;
  entity.state = {.kind = kind,
                  .id = id,
                  .state = static_cast<uint8_t>(state),
                  .parent = parent,
                  .version = 0,
                  .first_sequence = context.sequence,
                  .head_sequence = context.sequence,
                  .steps = 0};
  entity.changed = true;
  return &trial_.emplace(MakeEntityKey(kind, id), std::move(entity)).first->second;
}

absl::StatusOr<Entity*> Changes::RequireStep(const Context& context, const schema::fb::Id& step) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * entity, Require(EntityKind::step, Uuid::FromFb(step)));
  if (entity->state.parent != context.stream) {
    return Error(Code::kFailedPrecondition, "{} belongs to operation {}, not to {}",
                 Describe(EntityKind::step, entity->state.id), entity->state.parent.ToString(),
                 context.stream.ToString());
  }
  return entity;
}

absl::StatusOr<Entity*> Changes::CreateOperation(const Context& context) {
  const auto& event = *context.record.event_as_OperationCreated();
  const Uuid session_id = Uuid::FromFb(*event.session());
  NIMBUS_ASSIGN_OR_RETURN(const Entity* session, Require(EntityKind::session, session_id));
  if (StateOf(*session) != Lifecycle::kRunning) {
    return Refuse(*session, "an ended session takes no new operation");
  }
  if (event.parent() != nullptr) {
    NIMBUS_RETURN_IF_ERROR(Require(EntityKind::operation, Uuid::FromFb(*event.parent())).status());
  }
  return Create(context, EntityKind::operation, context.stream, Lifecycle::kPending, session_id);
}

absl::StatusOr<Entity*> Changes::MoveOperation(const Context& context, Lifecycle to) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation, Require(EntityKind::operation, context.stream));
  const Lifecycle from = StateOf(*operation);
  if (IsFinal(from)) return Refuse(*operation, "a finished operation does not change");
  if (to == Lifecycle::kRunning && from != Lifecycle::kPending) {
    return Refuse(*operation, "only a pending operation starts");
  }
  operation->state.state = static_cast<uint8_t>(to);
  return operation;
}

absl::StatusOr<Entity*> Changes::AddStep(const Context& context, Placement* placement) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation, Require(EntityKind::operation, context.stream));
  if (IsFinal(StateOf(*operation))) {
    return Refuse(*operation, "a finished operation takes no step");
  }
  const Uuid step = Uuid::FromFb(*context.record.event_as_StepAdded()->step());
  NIMBUS_RETURN_IF_ERROR(
      Create(context, EntityKind::step, step, Lifecycle::kPending, context.stream).status());
  placement->ordinal = ++operation->state.steps;
  return operation;
}

absl::StatusOr<Entity*> Changes::MoveStep(const Context& context, const schema::fb::Id& step_id,
                                          Lifecycle to) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation, Require(EntityKind::operation, context.stream));
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

absl::StatusOr<Entity*> Changes::CreateCheckpoint(const Context& context) {
  const auto& event = *context.record.event_as_CheckpointCreated();
  NIMBUS_ASSIGN_OR_RETURN(Entity * operation, Require(EntityKind::operation, context.stream));
  NIMBUS_RETURN_IF_ERROR(RequireStep(context, *event.step()).status());
  NIMBUS_RETURN_IF_ERROR(Create(context, EntityKind::checkpoint, Uuid::FromFb(*event.checkpoint()),
                                Lifecycle::kCompleted, context.stream)
                             .status());
  return operation;
}

absl::Status Changes::ClaimName(const Context& context, std::string_view scope,
                                std::string_view name) {
  const Bytes key = MakeNameKey(context.kind, scope, name);
  std::optional<Uuid> holder;
  if (const auto it = trial_names_.find(key); it != trial_names_.end()) holder = it->second;
  if (const auto it = accepted_names_.find(key); it != accepted_names_.end()) holder = it->second;
  if (!holder.has_value()) {
    NIMBUS_ASSIGN_OR_RETURN(std::optional<lmdb::View> stored, tables_.Get(WalTable::kNames, key));
    if (stored.has_value()) {
      holder.emplace();
      if (!TakeFixed(&*stored, &*holder)) return absl::DataLossError("name table is malformed");
    }
  }
  if (!holder.has_value()) {
    trial_names_.emplace(key, context.stream);
    return absl::OkStatus();
  }
  if (*holder == context.stream) return absl::OkStatus();
  return Error(Code::kAlreadyExists, "{} '{}' of '{}' is {} already",
               schema::fb::EnumNameEntityKind(context.kind), name, scope, holder->ToString());
}

absl::StatusOr<Entity*> Changes::StartImport(const Context& context) {
  const auto& event = *context.record.event_as_ImportStarted();
  NIMBUS_RETURN_IF_ERROR(
      ClaimName(context, event.format()->string_view(), event.key()->string_view()));
  NIMBUS_ASSIGN_OR_RETURN(Entity * source, Find(EntityKind::source, context.stream));
  if (source == nullptr) {
    return Create(context, EntityKind::source, context.stream, Lifecycle::kRunning, Uuid{});
  }
  source->state.state = static_cast<uint8_t>(Lifecycle::kRunning);
  return source;
}

absl::StatusOr<Entity*> Changes::StoreSource(const Context& context) {
  const auto& event = *context.record.event_as_SourceStored();
  NIMBUS_ASSIGN_OR_RETURN(Entity * source, Require(EntityKind::source, context.stream));
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

absl::StatusOr<Entity*> Changes::ApplyRule(const Context& context, Placement* placement) {
  using schema::fb::Event;
  const schema::fb::Record& record = context.record;
  switch (record.event_type()) {
    case Event::JournalCreated:
      if (context.sequence != 0) return Error(Code::kFailedPrecondition, "the journal exists");
      return Create(context, EntityKind::journal, context.stream, Lifecycle::kRunning, Uuid{});
    case Event::SessionStarted:
      return Create(context, EntityKind::session, context.stream, Lifecycle::kRunning, Uuid{});
    case Event::SessionUpdated:
      return Require(EntityKind::session, context.stream);
    case Event::SessionEnded: {
      NIMBUS_ASSIGN_OR_RETURN(Entity * session, Require(EntityKind::session, context.stream));
      if (StateOf(*session) != Lifecycle::kRunning) return Refuse(*session, "it has ended");
      session->state.state = static_cast<uint8_t>(Lifecycle::kCompleted);
      return session;
    }
    case Event::OperationCreated:
      return CreateOperation(context);
    case Event::OperationPlanned: {
      NIMBUS_ASSIGN_OR_RETURN(Entity * operation, Require(EntityKind::operation, context.stream));
      if (IsFinal(StateOf(*operation))) return Refuse(*operation, "it takes no plan");
      return operation;
    }
    case Event::OperationStarted:
      return MoveOperation(context, Lifecycle::kRunning);
    case Event::OperationCompleted:
      return MoveOperation(context, Lifecycle::kCompleted);
    case Event::OperationFailed:
      return MoveOperation(context, Lifecycle::kFailed);
    case Event::OperationCancelled:
      return MoveOperation(context, Lifecycle::kCancelled);
    case Event::StepAdded:
      return AddStep(context, placement);
    case Event::StepStarted:
      return MoveStep(context, *record.event_as_StepStarted()->step(), Lifecycle::kRunning);
    case Event::StepCompleted:
      return MoveStep(context, *record.event_as_StepCompleted()->step(), Lifecycle::kCompleted);
    case Event::StepFailed:
      return MoveStep(context, *record.event_as_StepFailed()->step(), Lifecycle::kFailed);
    case Event::StepCancelled:
      return MoveStep(context, *record.event_as_StepCancelled()->step(), Lifecycle::kCancelled);
    case Event::CheckpointCreated:
      return CreateCheckpoint(context);
    case Event::ImportStarted:
      return StartImport(context);
    case Event::SourceStored:
      return StoreSource(context);
    case Event::ImportFinished: {
      NIMBUS_ASSIGN_OR_RETURN(Entity * source, Require(EntityKind::source, context.stream));
      if (StateOf(*source) != Lifecycle::kRunning) return Refuse(*source, "no import is under way");
      source->state.state = static_cast<uint8_t>(Lifecycle::kCompleted);
      return source;
    }
    case Event::NONE:
      break;
  }
  // An event of a later version: it belongs to its stream, and that is all
  // there is to say about it.
  NIMBUS_ASSIGN_OR_RETURN(Entity * entity, Find(context.kind, context.stream));
  if (entity != nullptr) return entity;
  return Create(context, context.kind, context.stream, Lifecycle::kPending, Uuid{});
}

absl::StatusOr<Placement> Changes::Apply(const schema::fb::Record& record, uint64_t sequence) {
  const Context context{.record = record,
                        .kind = record.envelope()->stream_kind(),
                        .stream = Uuid::FromFb(record.envelope()->stream()),
                        .sequence = sequence};
  Placement placement;
  NIMBUS_ASSIGN_OR_RETURN(Entity * entity, ApplyRule(context, &placement));
  if (entity->state.kind != context.kind || !HasStream(context.kind)) {
    return Error(Code::kInvalidArgument, "{} belongs to the stream of {}, not of {}",
                 schema::fb::EnumNameEvent(record.event_type()),
                 schema::fb::EnumNameEntityKind(entity->state.kind),
                 schema::fb::EnumNameEntityKind(context.kind));
  }
  placement.version = ++entity->state.version;
  placement.previous = placement.version == 1 ? sequence : entity->state.head_sequence;
  entity->state.head_sequence = sequence;
  entity->changed = true;
  return placement;
}

void Changes::Accept() {
  for (auto& [key, entity] : trial_) accepted_.insert_or_assign(key, std::move(entity));
  trial_.clear();
  accepted_names_.merge(trial_names_);
  trial_names_.clear();
}

void Changes::Reject() {
  trial_.clear();
  trial_names_.clear();
}

std::vector<TableChange> Changes::Collect() const {
  NIMBUS_CHECK(trial_.empty() && trial_names_.empty());
  std::vector<TableChange> changes;
  for (const auto& [key, entity] : accepted_) {
    if (!entity.changed) continue;
    changes.push_back({.table = WalTable::kEntities,
                       .key = Bytes(key.begin(), key.end()),
                       .value = EncodeEntity(entity)});
  }
  for (const auto& [key, id] : accepted_names_) {
    changes.push_back(
        {.table = WalTable::kNames, .key = key, .value = Bytes(id.bytes.begin(), id.bytes.end())});
  }
  return changes;
}

}  // namespace nimbus::journal
