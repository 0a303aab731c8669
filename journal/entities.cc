#include "entities.h"

#include <algorithm>
#include <utility>

#include "entity_rules.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

bool HasStream(EntityKind kind) {
  return kind != EntityKind::step && kind != EntityKind::checkpoint &&
         kind != EntityKind::plugin_hook;
}

constexpr uint8_t kHasLastAppend = 0x80;  // in the state byte
constexpr size_t kNameKeyBytesMax = 511;  // LMDB's limit

}  // namespace

std::string Describe(EntityKind kind, const Uuid& id) {
  return fmt::format("{} {}", schema::fb::EnumNameEntityKind(kind), id.ToString());
}

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

absl::StatusOr<std::optional<Uuid>> FindName(const TableReader& tables, const Bytes& key) {
  NIMBUS_ASSIGN_OR_RETURN(std::optional<lmdb::View> value, tables.Get(WalTable::kNames, key));
  if (!value.has_value()) return std::nullopt;
  Uuid id;
  if (!TakeFixed(&*value, &id.bytes)) return absl::DataLossError("name table is malformed");
  return id;
}

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

absl::StatusOr<Entity*> Changes::Create(EntityState state) {
  NIMBUS_ASSIGN_OR_RETURN(const Entity* existing, Find(state.kind, state.id));
  if (existing != nullptr) {
    return Error(Code::kAlreadyExists, "{} exists already", Describe(state.kind, state.id));
  }
  const EntityKey key = MakeEntityKey(state.kind, state.id);
  Entity entity{.state = std::move(state), .last_append = std::nullopt, .changed = true};
  return &trial_.emplace(key, std::move(entity)).first->second;
}

absl::StatusOr<std::optional<Uuid>> Changes::FindHolder(const Bytes& key) const {
  std::optional<Uuid> holder;
  if (const auto it = accepted_names_.find(key); it != accepted_names_.end()) holder = it->second;
  if (const auto it = trial_names_.find(key); it != trial_names_.end()) holder = it->second;
  if (!holder.has_value()) {
    NIMBUS_ASSIGN_OR_RETURN(holder, FindName(tables_, key));
  }
  if (holder.has_value() && holder->IsNil()) holder.reset();
  return holder;
}

void Changes::SetHolder(Bytes key, const std::optional<Uuid>& holder) {
  trial_names_.insert_or_assign(std::move(key), holder.value_or(Uuid{}));
}

absl::StatusOr<Placement> Changes::Apply(const schema::fb::Record& record, uint64_t sequence) {
  Placement placement;
  const RuleContext context{.changes = *this,
                            .record = record,
                            .kind = record.envelope()->stream_kind(),
                            .stream = Uuid::FromFb(record.envelope()->stream()),
                            .sequence = sequence,
                            .placement = placement};
  NIMBUS_ASSIGN_OR_RETURN(Entity * entity, ApplyRule(context));
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
  for (const auto& [key, id] : trial_names_) accepted_names_.insert_or_assign(key, id);
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
