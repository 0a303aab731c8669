#include "nimbus/journal/journal.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <utility>

#include "commit_queue.h"
#include "environment.h"
#include "futex.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

// How often a waiter looks that nobody can wake.
constexpr int64_t kPollMs = 5;

absl::Status CheckLimits(const Options& options) {
  if (options.queue_records_max == 0 || options.group_records_max == 0 ||
      options.body_bytes_max > kBodyBytesMax || options.append_bytes_max > kAppendBytesMax ||
      options.compression_level < 1 || options.compression_level > 19) {
    return absl::InvalidArgumentError("journal options out of range");
  }
  return absl::OkStatus();
}

}  // namespace

Journal::Journal(std::unique_ptr<Environment> environment, const Options& options)
    : options_(options), environment_(std::move(environment)) {}

Journal::~Journal() = default;

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const std::string& store,
                                                       const Options& options) {
  NIMBUS_RETURN_IF_ERROR(CheckLimits(options));
  NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<Environment> environment,
                          Environment::Open(store, options));
  std::unique_ptr<Journal> journal(new Journal(std::move(environment), options));
  // A log that is damaged is found out now.
  NIMBUS_RETURN_IF_ERROR(journal->environment_->TakeSnapshot().status());
  if (!options.read_only) {
    NIMBUS_ASSIGN_OR_RETURN(journal->queue_, CommitQueue::Open(*journal->environment_, options));
  }
  return journal;
}

absl::Status Journal::CheckAppend(std::span<const schema::Event> events) const {
  if (queue_ == nullptr) return absl::FailedPreconditionError("the journal is open read-only");
  if (events.empty() || events.size() > options_.queue_records_max) {
    return Error(Code::kInvalidArgument, "an append of {} events; 1 to {} are allowed",
                 events.size(), options_.queue_records_max);
  }
  return absl::OkStatus();
}

absl::StatusOr<Appended> Journal::Append(std::span<const schema::Event> events,
                                         const AppendOptions& options) {
  NIMBUS_RETURN_IF_ERROR(CheckAppend(events));
  const CommitQueue::Visit visit(queue_.get());
  return queue_->Append(events, options);
}

absl::Status Journal::AppendAsync(std::span<const schema::Event> events,
                                  const AppendOptions& options,
                                  std::function<void(absl::StatusOr<Appended>)> done) {
  NIMBUS_RETURN_IF_ERROR(CheckAppend(events));
  const CommitQueue::Visit visit(queue_.get());
  return queue_->AppendAsync(events, options, std::move(done));
}

absl::Status Journal::Flush() {
  if (queue_ == nullptr) return absl::FailedPreconditionError("the journal is open read-only");
  const CommitQueue::Visit visit(queue_.get());
  return queue_->Flush();
}

absl::Status Journal::ApplyLog() {
  if (queue_ == nullptr) return absl::FailedPreconditionError("the journal is open read-only");
  const CommitQueue::Visit visit(queue_.get());
  return queue_->Apply();
}

absl::StatusOr<Appended> Journal::Append(const schema::Event& event, const AppendOptions& options) {
  return Append(std::span(&event, 1), options);
}

absl::StatusOr<uint64_t> Journal::Size() const {
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment_->TakeSnapshot());
  return snapshot.size();
}

absl::StatusOr<uint64_t> Journal::WaitForMore(uint64_t size, int64_t timeout_ms) const {
  constexpr int64_t kForeverMs = int64_t{1000} * 3600 * 24 * 365;
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::milliseconds(std::min(timeout_ms, kForeverMs));
  const uint64_t wakes = wakes_.load();
  for (;;) {
    const std::shared_ptr<Wal> wal = environment_->wal();
    const WalState* state = wal->state();
    // Taken before looking, so that an append in between ends the wait at once.
    const uint32_t ticket = state == nullptr ? 0 : state->ticket();
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t now, Size());
    if (now > size || wakes_.load() != wakes) return now;
    const int64_t left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                                deadline - std::chrono::steady_clock::now())
                                .count();
    if (left_ms <= 0) return now;
    if (environment_->wal() != wal) continue;  // another generation's: nobody wakes this one
    if (state != nullptr) {
      state->Wait(ticket, left_ms);
    } else {
      std::atomic<uint32_t> nobody = 0;
      FutexWait(nobody, 0, std::min(left_ms, kPollMs) * 1'000'000, FutexScope::kProcess);
    }
  }
}

void Journal::Wake() {
  ++wakes_;
  if (environment_->wal()->state() != nullptr) environment_->wal()->state()->Wake();
}

absl::StatusOr<std::optional<EntityState>> Journal::FindEntity(schema::fb::EntityKind kind,
                                                               const schema::Uuid& id) const {
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment_->TakeSnapshot());
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Entity> entity,
                          journal::FindEntity(environment_->TablesOf(snapshot), kind, id));
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

  std::set<schema::Uuid> ids;
  // True while the key is one of those asked for.
  const auto add = [&](std::span<const uint8_t> entry) {
    if (entry.size() != key.size() || entry.front() != static_cast<uint8_t>(kind)) return false;
    const std::span<const uint8_t> id = entry.subspan(1);
    if (schema::ToHex(id).compare(0, prefix.size(), prefix) != 0) return false;
    schema::Uuid found;
    std::copy(id.begin(), id.end(), found.bytes.begin());
    ids.insert(found);
    return true;
  };
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment_->TakeSnapshot());
  for (size_t i = 0; i < snapshot.overlay().count(); ++i) {
    for (const WalChange& change : snapshot.overlay().entry(i).changes()) {
      if (change.table == WalTable::kEntities) add(change.key);
    }
  }
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor,
                          snapshot.txn().OpenCursor(environment_->tables().entity.entities));
  NIMBUS_ASSIGN_OR_RETURN(auto entry, cursor.AtOrAfter(key));
  for (size_t taken = 0; entry.has_value() && taken < limit && add(entry->key); ++taken) {
    NIMBUS_ASSIGN_OR_RETURN(entry, cursor.Next());
  }
  std::vector<schema::Uuid> found(ids.begin(), ids.end());
  if (found.size() > limit) found.resize(limit);
  return found;
}

absl::StatusOr<std::optional<schema::Uuid>> Journal::FindName(schema::fb::EntityKind kind,
                                                              std::string_view scope,
                                                              std::string_view name) const {
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment_->TakeSnapshot());
  NIMBUS_ASSIGN_OR_RETURN(
      const std::optional<schema::Uuid> holder,
      journal::FindName(environment_->TablesOf(snapshot), MakeNameKey(kind, scope, name)));
  if (!holder.has_value() || holder->IsNil()) return std::optional<schema::Uuid>();
  return holder;
}

absl::StatusOr<schema::Digest> Journal::LeafHash(uint64_t sequence) const {
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment_->TakeSnapshot());
  NIMBUS_ASSIGN_OR_RETURN(const Frame frame, environment_->ReadFrame(snapshot, sequence));
  return LeafHashOf(frame.record(sequence - frame.first_sequence()));
}

absl::StatusOr<Stat> Journal::GetStat() const {
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment_->TakeSnapshot());
  const lmdb::Transaction& txn = snapshot.txn();
  const Tables& tables = environment_->tables();
  NIMBUS_ASSIGN_OR_RETURN(const Frontier frontier, environment_->FrontierOf(snapshot));
  Stat stat{.journal_id = id(),
            .format = kFormatVersion,
            .records = snapshot.size(),
            .root = frontier.Root()};
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
  stat.file_bytes = environment_->generation()->env->BytesAllocated();
  stat.bytes_used = stat.file_bytes - stat.bytes_free;
  stat.log_records = snapshot.size() - snapshot.head().size();
  stat.log_bytes = environment_->wal()->FileBytes();
  return stat;
}

const schema::Uuid& Journal::id() const { return environment_->journal_id(); }
const std::string& Journal::store() const { return environment_->store(); }

}  // namespace nimbus::journal
