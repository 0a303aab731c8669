// The journal: an append-only sequence of events in one LMDB environment,
// shared by any number of processes on one machine.
//
//   NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<Journal> journal, Journal::Open(store, {}));
//   NIMBUS_ASSIGN_OR_RETURN(Appended appended, journal->Append(events));
//   journal->Append(event, {.expected_version = appended.version});
//
// Thread-safe: every method may be called from any thread. A process opens a
// store once; a second Open of the same directory in the same process is
// FailedPrecondition. Not to be used in a child after fork(); start helpers
// with posix_spawn.
//
// Layout, byte order and limits of what it stores: journal/FORMAT.md.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/clock.h"
#include "nimbus/schema/event.h"

namespace nimbus::journal {

class CommitQueue;
class Environment;

struct Options {
  bool create = true;      // make the store when the directory has none
  bool read_only = false;  // Append is FailedPrecondition; needs write permission on lock.mdb only
  size_t queue_records_max = 4096;  // appends block while more wait
  size_t queue_bytes_max = 64u << 20;
  size_t group_records_max = 512;        // of one commit, unless one append has more
  size_t group_bytes_max = 512u << 10;   // what the log takes; a larger one goes straight to LMDB
  size_t body_bytes_max = 64u << 20;     // plaintext; no more than this default
  size_t append_bytes_max = 512u << 20;  // plaintext of one append's bodies; up to 1 GiB
  size_t base_cache_bytes_max = 32u << 20;  // plaintext kept to compress against
  int compression_level = 3;                // zstd
  size_t map_bytes = size_t{1} << 40;       // address space asked for; halved while refused
  schema::Clock* clock = nullptr;           // system clock when null; must outlive the journal
};

using AppendId = std::array<uint8_t, 16>;

// When Append returns.
enum class Durability : uint8_t {
  kDurable,  // once the events are on stable storage
  kRelaxed,  // once they are written to the log file: a power cut may take them until
             // they are flushed, which is within 100 ms where the machine has processor
             // time and a disk for it; the death of this process does not, but if it is
             // killed before, they are flushed by the next to open or write
};

struct AppendOptions {
  // The stream of the first event must be at this version: 0 says it must not
  // exist yet. Otherwise Aborted.
  std::optional<uint64_t> expected_version;
  // Makes a retry safe: if this is the last append id the stream of the first
  // event accepted, Append returns that append's result again and checks and
  // writes nothing.
  std::optional<AppendId> append_id;
  Durability durability = Durability::kDurable;
};

struct Appended {
  uint64_t first = 0;  // sequence of the first event; the others follow without gaps
  uint64_t count = 0;
  uint64_t version = 0;  // of the first event's stream after this append
  bool durable = false;  // on stable storage by now; always, unless relaxed
};

struct EntityState {
  schema::fb::EntityKind kind = schema::fb::EntityKind::none;
  schema::Uuid id;
  // What its events made of it: a Lifecycle of sessions, operations, steps,
  // checkpoints and sources, a Standing of all else.
  uint8_t state = 0;
  schema::Uuid parent;          // session of an operation, operation of a step or
                                // checkpoint, plugin of a hook
  uint64_t version = 0;         // events in its stream; 0 for steps and checkpoints
  uint64_t first_sequence = 0;  // the event that made it
  uint64_t head_sequence = 0;   // the last event of its stream; of a step: the last about it
  // Of an operation: steps added. Of a source: records stored. Of a preference: its
  // version. Of a plugin: plugins that need it. Of a persona: what refers to it. Of a
  // step: its attempts that failed and were followed by another.
  uint32_t steps = 0;
};

enum class Lifecycle : uint8_t { kPending = 0, kRunning, kCompleted, kFailed, kCancelled };

// Of what is set up, switched on and off, and removed. What has been removed and
// has a derived id (nimbus/schema/entity_id.h) may be set up again.
enum class Standing : uint8_t { kOff = 0, kOn = 1, kRemoved = 4 };

inline bool IsFinal(Lifecycle state) { return state >= Lifecycle::kCompleted; }

struct Stat {
  schema::Uuid journal_id;
  uint32_t format = 0;
  uint64_t records = 0;
  uint64_t frames = 0;
  uint64_t bytes_used = 0;   // of data.mdb, without preallocated and free pages
  uint64_t bytes_free = 0;   // pages LMDB will use again
  uint64_t file_bytes = 0;   // size of data.mdb
  uint64_t frame_bytes = 0;  // records and bodies
  uint64_t tile_bytes = 0, entity_bytes = 0;
  uint64_t log_records = 0;  // of `records`, those that are only in the write-ahead log yet
  uint64_t log_bytes = 0;    // size of that file
  schema::Digest root{};     // Merkle root over all records
};

class Journal {
 public:
  // Opens the journal of the store directory `store`. NotFound: no store there
  // and !create. InvalidArgument: the directory holds something else.
  // Unimplemented: a newer format. DataLoss: damaged. PermissionDenied,
  // ResourceExhausted, Unavailable: the file system's answer.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const std::string& store,
                                                       const Options& options);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Appends all events or none, in order, and returns when they are on stable
  // storage: visible to readers of this process at once, of other processes
  // within 10 ms. Relaxed ones become visible when they are durable. Blocks while
  // the queue is full.
  //
  // Nothing was written: Aborted (stream not at expected_version), NotFound /
  // AlreadyExists / FailedPrecondition (an entity rule, see entities.h),
  // InvalidArgument (malformed JSON, over a limit), ResourceExhausted (disk or
  // map full; the journal stays readable, and writable once there is room),
  // Cancelled (the journal is closing). Unknown whether it was written:
  // DataLoss (a sync failed); every later Append of this process says so too.
  // After reopening the append is there whole or not at all.
  //
  // The bodies of one append are compressed together, and against earlier ones
  // of the same stream: texts that repeat each other belong into one append.
  absl::StatusOr<Appended> Append(std::span<const schema::Event> events,
                                  const AppendOptions& options = {});
  absl::StatusOr<Appended> Append(const schema::Event& event, const AppendOptions& options = {});

  // The same without waiting: checks and encodes the events on this thread, then
  // queues them (blocks while the queue is full) and returns. An error: they are
  // not queued, and `done` is not called. Else `done` is called once, by a thread
  // of the journal or of another caller, with what Append would return. It must be
  // quick and must not append. Events of appends queued by one thread get their
  // sequences in that order; `done` may be called in another. Closing the journal
  // waits until all have been called.
  absl::Status AppendAsync(std::span<const schema::Event> events, const AppendOptions& options,
                           std::function<void(absl::StatusOr<Appended>)> done);

  // Returns when all that this process appended before is on stable storage: also
  // relaxed appends, and asynchronous ones that are still queued. DataLoss as from
  // Append.
  absl::Status Flush();

  // Moves what the write-ahead log holds into LMDB. Happens by itself as the log
  // fills, and when the journal is closed.
  absl::Status ApplyLog();

  // Number of records on stable storage, of all processes.
  absl::StatusOr<uint64_t> Size() const;

  // Returns Size() once it exceeds `size`, or after `timeout_ms`. Sleeps until
  // then, without looking now and again, and is woken by appends of any process
  // (within 10 ms where it may not map wal.state). `Wake` ends all waits of this
  // process early (for shutting down).
  absl::StatusOr<uint64_t> WaitForMore(uint64_t size, int64_t timeout_ms) const;
  void Wake();

  absl::StatusOr<std::optional<EntityState>> FindEntity(schema::fb::EntityKind kind,
                                                        const schema::Uuid& id) const;
  // Ids of this kind that begin with `hex` (hex digits, hyphens ignored), in
  // id order, at most `limit`.
  absl::StatusOr<std::vector<schema::Uuid>> FindEntitiesByPrefix(schema::fb::EntityKind kind,
                                                                 std::string_view hex,
                                                                 size_t limit) const;
  // The entity that holds a unique name: a source by format and key, a plugin,
  // persona or credential by its name in scope "". A role that one entity of a
  // kind has is a name in scope "role": the "active" config profile, the "default"
  // persona and credential profile.
  absl::StatusOr<std::optional<schema::Uuid>> FindName(schema::fb::EntityKind kind,
                                                       std::string_view scope,
                                                       std::string_view name) const;

  // Leaf hash (RFC 6962) of a record. OutOfRange beyond the journal.
  absl::StatusOr<schema::Digest> LeafHash(uint64_t sequence) const;

  absl::StatusOr<Stat> GetStat() const;

  const schema::Uuid& id() const;
  const std::string& store() const;

 private:
  friend class Internals;
  friend class Reader;
  friend class Verifier;
  Journal(std::unique_ptr<Environment> environment, const Options& options);
  absl::Status CheckAppend(std::span<const schema::Event> events) const;

  // All constant after construction; each has its own lock.
  const Options options_;
  const std::unique_ptr<Environment> environment_;
  std::unique_ptr<CommitQueue> queue_;  // null when read-only
  std::atomic<uint64_t> wakes_ = 0;
};

}  // namespace nimbus::journal
