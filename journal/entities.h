// The two small tables that let an append be refused before it is written:
// entities (kind, id → what became of it) and names (kind, scope, name → id).
// Both follow from the records alone; Verifier rebuilds them by the same rules.
//
//   Changes changes(TableReader(txn, tables, &overlay));
//   StatusOr<Placement> p = changes.Apply(record, sequence);
//   p.ok() ? changes.Accept() : changes.Reject();   // per append: all its events or none
//   changes.Collect();                              // per group
//
// What an event needs, and the state it leaves:
//
//   SessionStarted       the session does not exist                → running
//   SessionUpdated       it exists; with a persona: it is running
//   SessionEnded         it is running                             → completed
//   OperationCreated     the operation does not exist, its session is running, its
//                        parent, if it names one, exists           → pending
//   OperationPlanned     it is not final
//   OperationStarted     it is pending                             → running
//   Operation{Completed,Failed,Cancelled}  it is not final         → final
//   StepAdded            the operation is not final, the step does not exist → pending;
//                        takes the operation's next step number
//   StepStarted          the step is of this operation and pending, its attempt is the
//                        next one                                  → running
//   StepAttemptFailed    the step is of this operation and running, the attempt is
//                        the one under way                         → pending
//   Step{Completed,Failed,Cancelled}  of this operation, which is not final, and not final → final
//   CheckpointCreated    the checkpoint does not exist, its step is of this operation
//   ImportStarted        the source holds, or takes, the name (format, key) → running
//   SourceStored         the source is running; `first` is the number of records stored
//   ImportFinished       the source is running                     → completed
//   JournalCreated       sequence 0
//
// What is set up (a plugin, persona, preference, …) is in place until removed:
//
//   PluginInstalled      the plugin does not exist, its name is free, what it needs is in place
//   PluginUninstalled    it is in place, no other needs it; its name is free again
//   other Plugin…, Hook… the plugin is in place; a hook is of it and in place
//   PersonaDefined       the persona does not exist, its name is free
//   PersonaUsed          it is active, the session exists
//   PersonaDeactivated   it is not the default one
//   PersonaRemoved       nothing refers to it, it is not built in, nor the default one
//   SessionStarted, SessionUpdated with a persona: it is active
//   PreferenceDefined    the preference does not exist; its version is 1
//   PreferenceSet, PreferenceReset  it exists; takes its next version
//   Preference… with a persona: it is active, and becomes the default one
//   …Saved, …Set, RegistryEntryCached  puts in place, or changes what is
//   …Activated, …MadeDefault  it is in place; `previous` has that role, or nobody
//   …Deleted, …Unset, …Removed  it is in place; the active config profile stays
//   Credential…          as for personas, without use counted
//   OperationForked      the operation has no step yet and is no fork, its parent, which is
//                        another, and checkpoint exist
//   OperationReplayed    the operation exists, the receipt does not, the records did
//   ValueRecorded        the operation is not final
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "format.h"
#include "lmdb_env.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/events_generated.h"
#include "wal_overlay.h"

namespace nimbus::journal {

struct EntityTables {
  lmdb::Table entities;
  lmdb::Table names;
};

// The tables as one transaction sees them, with what the log holds beyond it.
// Both outlive the reader.
class TableReader {
 public:
  TableReader(const lmdb::Transaction& txn, const EntityTables& tables,
              const WalOverlay* overlay = nullptr)
      : txn_(txn), tables_(tables), overlay_(overlay) {}
  absl::StatusOr<std::optional<lmdb::View>> Get(WalTable table, std::span<const uint8_t> key) const;

 private:
  const lmdb::Transaction& txn_;
  EntityTables tables_;
  const WalOverlay* overlay_;
};

lmdb::Table TableOf(const EntityTables& tables, WalTable table);

// Kind and id, for messages.
std::string Describe(schema::fb::EntityKind kind, const schema::Uuid& id);

using EntityKey = std::array<uint8_t, 17>;  // kind, id

EntityKey MakeEntityKey(schema::fb::EntityKind kind, const schema::Uuid& id);

// The last append that carried an append id, so that a retry finds its result.
struct LastAppend {
  AppendId id{};
  Appended result;
};

struct Entity {
  EntityState state;
  std::optional<LastAppend> last_append;
  bool changed = false;  // by the appends in hand; not stored
};

Bytes EncodeEntity(const Entity& entity);
absl::StatusOr<Entity> DecodeEntity(std::span<const uint8_t> key, std::span<const uint8_t> value);

// Key in the names table: kind, scope, 0x00, name; where LMDB takes no key so
// long, kind, 0x00, BLAKE2b-256 of scope, 0x00, name.
Bytes MakeNameKey(schema::fb::EntityKind kind, std::string_view scope, std::string_view name);

// Nil when the name was given up.
absl::StatusOr<std::optional<schema::Uuid>> FindName(const TableReader& tables, const Bytes& key);

absl::StatusOr<std::optional<Entity>> FindEntity(const TableReader& tables,
                                                 schema::fb::EntityKind kind,
                                                 const schema::Uuid& id);

// Envelope fields that the journal's state decides.
struct Placement {
  uint64_t version = 0;
  uint64_t previous = 0;
  uint32_t ordinal = 0;
};

// What a table entry is set to. Owns its bytes, as the changes of an entry of
// the log do not.
struct TableChange {
  WalTable table = WalTable::kEntities;
  Bytes key;
  Bytes value;
};

// Changes of one group on top of what the tables hold. One thread.
class Changes {
 public:
  explicit Changes(const TableReader& tables) : tables_(tables) {}

  // Checks the rules of `record`'s event as of now and notes what it changes.
  // Reads of the envelope only its stream and kind. Errors other than those of
  // the rules are failures to read.
  absl::StatusOr<Placement> Apply(const schema::fb::Record& record, uint64_t sequence);

  // Ends one append: keeps or forgets what Apply noted since the last of these.
  void Accept();
  void Reject();

  // For the rules (entity_rules.h): entities and names as they are after the changes
  // so far. A pointer is valid until the next call of Apply, Accept or Reject.

  // nullptr when there is none.
  absl::StatusOr<Entity*> Find(schema::fb::EntityKind kind, const schema::Uuid& id);
  absl::StatusOr<Entity*> Require(schema::fb::EntityKind kind, const schema::Uuid& id);
  // AlreadyExists when there is one.
  absl::StatusOr<Entity*> Create(EntityState state);
  // Who has the name; nullopt when it is free.
  absl::StatusOr<std::optional<schema::Uuid>> FindHolder(const Bytes& key) const;
  void SetHolder(Bytes key, const std::optional<schema::Uuid>& holder);

  // All that was accepted.
  std::vector<TableChange> Collect() const;

 private:
  using Entities = std::map<EntityKey, Entity>;
  using Names = std::map<Bytes, schema::Uuid>;  // nil: given up

  const TableReader tables_;
  Entities accepted_, trial_;
  Names accepted_names_, trial_names_;
};

}  // namespace nimbus::journal
