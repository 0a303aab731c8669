#include "nimbus/journal/journal.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base_cache.h"
#include "commit_queue.h"
#include "environment.h"
#include "nimbus/schema/status.h"
#include "prepare.h"
#include "size_signal.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

// How often a waiter looks whether another process has appended: two words of
// the memory map, no system call.
constexpr int64_t kPollMs = 5;
// How long until it looks again for a commit that it has seen coming.
constexpr int64_t kLookMs = 1;

absl::Status CheckLimits(const Options& options) {
  if (options.queue_records_max == 0 || options.group_records_max == 0 ||
      options.body_bytes_max > kBodyBytesMax || options.compression_level < 1 ||
      options.compression_level > 19) {
    return absl::InvalidArgumentError("journal options out of range");
  }
  return absl::OkStatus();
}

}  // namespace

Journal::Journal(std::unique_ptr<Environment> environment, const Options& options)
    : options_(options),
      environment_(std::move(environment)),
      bases_(std::make_unique<BaseCache>(options.base_cache_bytes_max)),
      signal_(std::make_unique<SizeSignal>()),
      queue_(options.read_only
                 ? nullptr
                 : std::make_unique<CommitQueue>(*environment_, options, signal_.get())) {}

Journal::~Journal() = default;

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const std::string& store,
                                                       const Options& options) {
  NIMBUS_RETURN_IF_ERROR(CheckLimits(options));
  NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<Environment> environment,
                          Environment::Open(store, options));
  return std::unique_ptr<Journal>(new Journal(std::move(environment), options));
}

absl::StatusOr<Appended> Journal::Append(std::span<const schema::Event> events,
                                         const AppendOptions& options) {
  if (queue_ == nullptr) return absl::FailedPreconditionError("the journal is open read-only");
  if (events.empty() || events.size() > options_.queue_records_max) {
    return Error(Code::kInvalidArgument, "an append of {} events; 1 to {} are allowed",
                 events.size(), options_.queue_records_max);
  }
  const CommitQueue::Visit visit(queue_.get());
  Preparer preparer(options_, bases_.get());
  NIMBUS_ASSIGN_OR_RETURN(std::vector<Run> runs, preparer.Prepare(events));
  NIMBUS_ASSIGN_OR_RETURN(const Appended appended, queue_->Append(runs, options));
  // A retry is answered with an earlier append, which held other bodies: then
  // the writer placed none of these records.
  const schema::fb::Record* first = schema::fb::GetRecord(runs.front().records.front().data());
  if (first->envelope()->sequence() == appended.first) preparer.NoteDurable(runs, appended.first);
  return appended;
}

absl::StatusOr<Appended> Journal::Append(const schema::Event& event, const AppendOptions& options) {
  return Append(std::span(&event, 1), options);
}

absl::StatusOr<uint64_t> Journal::Size() const {
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_->BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(const Head head, environment_->ReadHead(txn));
  return head.size();
}

absl::StatusOr<uint64_t> Journal::WaitForMore(uint64_t size, int64_t timeout_ms) const {
  const absl::Time deadline = absl::Now() + absl::Milliseconds(timeout_ms);
  const uint64_t wakes = signal_->wakes();
  for (;;) {
    uint64_t now = 0, seen = 0;
    {
      NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_->BeginRead());
      NIMBUS_ASSIGN_OR_RETURN(const Head head, environment_->ReadHead(txn));
      now = head.size();
      seen = txn.Id();
    }
    if (now > size) return now;
    for (bool look_again = false; !look_again;) {
      // Taken before looking, so that a commit in between ends the wait at once.
      const uint64_t generation = signal_->generation();
      const int64_t left_ms = absl::ToInt64Milliseconds(deadline - absl::Now());
      if (left_ms <= 0 || signal_->wakes() != wakes) return Size();
      // A commit is in the file a while before readers are let see it: its flush.
      look_again = environment_->env().LastTransaction() != seen;
      signal_->Wait(generation, std::min(left_ms, look_again ? kLookMs : kPollMs));
    }
  }
}

void Journal::Wake() { signal_->Wake(); }

absl::StatusOr<std::optional<EntityState>> Journal::FindEntity(schema::fb::EntityKind kind,
                                                               const schema::Uuid& id) const {
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_->BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Entity> entity,
                          journal::FindEntity(txn, environment_->tables().entity, kind, id));
  if (!entity.has_value()) return std::optional<EntityState>();
  return std::optional<EntityState>(entity->state);
}

absl::StatusOr<std::vector<schema::Uuid>> Journal::FindEntitiesByPrefix(schema::fb::EntityKind kind,
                                                                        std::string_view hex,
                                                                        size_t limit) const {
  std::string prefix;
  for (const char c : hex) {
    if (c != '-') prefix.push_back(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  if (prefix.size() > 32 || prefix.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return Error(Code::kInvalidArgument, "'{}' is not the beginning of an id", hex.substr(0, 64));
  }
  const auto digit = [](char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  EntityKey key{static_cast<uint8_t>(kind)};
  for (size_t i = 0; i < prefix.size(); ++i) {
    key[1 + i / 2] |= static_cast<uint8_t>(digit(prefix[i]) << (i % 2 == 0 ? 4 : 0));
  }

  std::vector<schema::Uuid> ids;
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_->BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor,
                          txn.OpenCursor(environment_->tables().entity.entities));
  NIMBUS_ASSIGN_OR_RETURN(auto entry, cursor.AtOrAfter(key));
  while (entry.has_value() && ids.size() < limit) {
    NIMBUS_ASSIGN_OR_RETURN(const Entity entity, DecodeEntity(entry->key, entry->value));
    if (entity.state.kind != kind) break;
    if (schema::ToHex(entity.state.id.bytes).compare(0, prefix.size(), prefix) != 0) break;
    ids.push_back(entity.state.id);
    NIMBUS_ASSIGN_OR_RETURN(entry, cursor.Next());
  }
  return ids;
}

absl::StatusOr<std::optional<schema::Uuid>> Journal::FindName(schema::fb::EntityKind kind,
                                                              std::string_view scope,
                                                              std::string_view name) const {
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_->BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(
      std::optional<lmdb::View> value,
      txn.Get(environment_->tables().entity.names, MakeNameKey(kind, scope, name)));
  if (!value.has_value()) return std::optional<schema::Uuid>();
  schema::Uuid id;
  if (!TakeFixed(&*value, &id.bytes)) return absl::DataLossError("name table is malformed");
  return std::optional<schema::Uuid>(id);
}

absl::StatusOr<schema::Digest> Journal::LeafHash(uint64_t sequence) const {
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_->BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(const Frame frame, environment_->ReadFrame(txn, sequence));
  return LeafHashOf(frame.record(sequence - frame.first_sequence()));
}

absl::StatusOr<Stat> Journal::GetStat() const {
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_->BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(const Head head, environment_->ReadHead(txn));
  const Tables& tables = environment_->tables();
  Stat stat{.journal_id = id(),
            .format = kFormatVersion,
            .records = head.size(),
            .root = head.frontier.Root()};
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::TableStat frames, txn.Stat(tables.frames));
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::TableStat chunks, txn.Stat(tables.chunks));
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::TableStat tiles, txn.Stat(tables.tiles));
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::TableStat entities, txn.Stat(tables.entity.entities));
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::TableStat names, txn.Stat(tables.entity.names));
  NIMBUS_ASSIGN_OR_RETURN(stat.bytes_free, txn.FreePageBytes());
  stat.frames = frames.entries;
  stat.frame_bytes = frames.bytes + chunks.bytes;
  stat.tile_bytes = tiles.bytes;
  stat.entity_bytes = entities.bytes + names.bytes;
  stat.file_bytes = environment_->env().BytesAllocated();
  stat.bytes_used = stat.file_bytes - stat.bytes_free;
  return stat;
}

const schema::Uuid& Journal::id() const { return environment_->journal_id(); }
const std::string& Journal::store() const { return environment_->store(); }

}  // namespace nimbus::journal
