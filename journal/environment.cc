#include "environment.h"

#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <set>
#include <utility>

#include "file_lock.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"
#include "store.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

constexpr char kMetaKeyJournal[] = "journal";
constexpr char kMetaKeyHead[] = "head";
constexpr char kMetaKeySuperseded[] = "superseded_by";
constexpr char kMetaKeyBases[] = "bases_begin";

std::span<const uint8_t> KeyOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::span<const uint8_t> KeyOf(const uint64_t& sequence) {
  return {reinterpret_cast<const uint8_t*>(&sequence), sizeof(sequence)};
}

// LMDB allows an environment once in a process.
std::mutex registry_mu;

std::set<std::string>& Registry() {
  static std::set<std::string> open;
  return open;
}

absl::Status Register(const std::string& directory, std::string* key) {
  struct stat info;
  if (stat(directory.c_str(), &info) != 0) return StatusOfErrno(errno, directory);
  *key = fmt::format("{}:{}", info.st_dev, info.st_ino);
  const std::lock_guard<std::mutex> lock(registry_mu);
  if (Registry().insert(*key).second) return absl::OkStatus();
  key->clear();
  return Error(Code::kFailedPrecondition, "{}: open in this process already", directory);
}

// Big-endian, so that LMDB keeps keys in numeric order.
void PutBigEndian(uint64_t value, Bytes* out) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<uint8_t>(value >> shift));
}

Bytes EncodeMeta(const schema::Uuid& journal) {
  Bytes out;
  PutFixed(kFormatVersion, &out);
  PutFixed(journal.bytes, &out);
  return out;
}

}  // namespace

Bytes EncodeHead(const Head& head) {
  Bytes out;
  PutFixed(head.size(), &out);
  PutFixed(head.frame_checksum, &out);
  PutFixed(head.entry_checksum, &out);
  for (const Hash& hash : head.frontier.subtrees()) PutFixed(hash, &out);
  return out;
}

absl::StatusOr<Head> DecodeHead(std::span<const uint8_t> bytes) {
  const absl::Status malformed = absl::DataLossError("journal head is malformed");
  Head head;
  uint64_t size = 0;
  if (!TakeFixed(&bytes, &size) || !TakeFixed(&bytes, &head.frame_checksum) ||
      !TakeFixed(&bytes, &head.entry_checksum)) {
    return malformed;
  }
  std::vector<Hash> subtrees(static_cast<size_t>(std::popcount(size)));
  for (Hash& hash : subtrees) {
    if (!TakeFixed(&bytes, &hash)) return malformed;
  }
  if (!bytes.empty()) return malformed;
  head.frontier = Frontier(size, std::move(subtrees));
  return head;
}

Bytes MakeTileKey(uint8_t level, uint64_t index) {
  Bytes key{level};
  PutBigEndian(index, &key);
  return key;
}

Bytes MakeChunkKey(uint64_t sequence, uint64_t index) {
  Bytes key;
  PutBigEndian(sequence, &key);
  PutBigEndian(index, &key);
  return key;
}

void RemoveOldGenerations(const std::string& store, uint64_t number) {
  std::error_code error;  // what can't be removed now is tried again at the next open
  for (std::filesystem::directory_iterator entry(store, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string directory = entry->path().string();
    const uint64_t old = GenerationNumber(directory);
    if (old == 0 || old >= number) continue;
    // LMDB's locks of a process end when it closes lock.mdb anywhere: so nobody may
    // look at that of one which is open here.
    std::string key;
    if (!Register(directory, &key).ok()) continue;
    std::error_code ignored;
    if (CheckNoLockHolder(directory).ok()) std::filesystem::remove_all(directory, ignored);
    const std::lock_guard<std::mutex> lock(registry_mu);
    Registry().erase(key);
  }
}

Generation::~Generation() {
  env.reset();
  const std::lock_guard<std::mutex> lock(registry_mu);
  if (!registered.empty()) Registry().erase(registered);
}

absl::StatusOr<std::unique_ptr<Environment>> Environment::Open(const std::string& store,
                                                               const Options& options) {
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const StoreLayout layout, options.create && !options.read_only
                                                          ? CreateStore(store)
                                                          : FindStore(store));
    absl::StatusOr<std::unique_ptr<Environment>> environment = TryOpen(layout, store, options);
    if (environment.ok()) return environment;
    // A generation that was the live one a moment ago may be gone.
    const absl::StatusOr<StoreLayout> now = FindStore(store);
    if (!now.ok() || now->journal_directory == layout.journal_directory) return environment;
  }
}

absl::StatusOr<std::unique_ptr<Environment>> Environment::TryOpen(const StoreLayout& layout,
                                                                  const std::string& store,
                                                                  const Options& options) {
  std::unique_ptr<Environment> environment(new Environment(store, options));
  // What was complete once is damaged now, if it is not there: to make it anew
  // would hide that.
  if (layout.complete) NIMBUS_RETURN_IF_ERROR(CheckDataFile(layout.journal_directory));
  NIMBUS_ASSIGN_OR_RETURN(std::shared_ptr<Generation> generation,
                          environment->OpenGeneration(layout.journal_directory));
  const absl::StatusOr<Tables> tables = environment->OpenTables(*generation, !layout.complete);
  if (absl::IsNotFound(tables.status())) {
    return schema::Annotate(absl::DataLossError(tables.status().message()),
                            layout.journal_directory);
  }
  NIMBUS_RETURN_IF_ERROR(tables.status());
  environment->tables_ = *tables;
  {
    const schema::MutexLock lock(&environment->mu_);
    environment->live_ = generation;
  }
  if (!layout.complete) NIMBUS_RETURN_IF_ERROR(environment->CreateJournal(options));
  NIMBUS_RETURN_IF_ERROR(environment->ReadMeta(generation.get(), &environment->journal_id_));
  NIMBUS_ASSIGN_OR_RETURN(generation->wal, Wal::Open(layout.journal_directory,
                                                     environment->journal_id_, options.read_only));
  if (layout.complete) {
    generation.reset();  // it may be removed
    NIMBUS_RETURN_IF_ERROR(environment->Follow());
    if (!options.read_only) RemoveOldGenerations(store, environment->generation()->number);
    return environment;
  }
  // Of several processes that make the store, one makes the log and writes CURRENT.
  NIMBUS_ASSIGN_OR_RETURN(const auto turn, LockFile::Open(layout.journal_directory + "/turn.lock"));
  NIMBUS_ASSIGN_OR_RETURN(const FileLock lock, FileLock::Take(turn.get()));
  if (!FindStore(store).ok()) {
    NIMBUS_RETURN_IF_ERROR(generation->wal->Create());
    NIMBUS_RETURN_IF_ERROR(CompleteStore(store, layout));
  }
  return environment;
}

absl::StatusOr<std::unique_ptr<Environment>> Environment::Make(const std::string& directory,
                                                               const schema::Uuid& journal,
                                                               const Options& options) {
  std::unique_ptr<Environment> environment(new Environment(directory, options));
  environment->journal_id_ = journal;
  NIMBUS_ASSIGN_OR_RETURN(const std::shared_ptr<Generation> generation,
                          environment->OpenGeneration(directory));
  NIMBUS_ASSIGN_OR_RETURN(environment->tables_, environment->OpenTables(*generation, true));
  {
    const schema::MutexLock lock(&environment->mu_);
    environment->live_ = generation;
  }
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, environment->BeginWrite());
  NIMBUS_RETURN_IF_ERROR(
      txn.Put(environment->tables_.meta, KeyOf(kMetaKeyJournal), EncodeMeta(journal)));
  NIMBUS_RETURN_IF_ERROR(environment->WriteHead(&txn, Head{}));
  NIMBUS_RETURN_IF_ERROR(txn.Commit());
  return environment;
}

std::shared_ptr<const Generation> Environment::generation() const {
  const schema::MutexLock lock(&mu_);
  return live_;
}

std::shared_ptr<Wal> Environment::wal() const {
  const schema::MutexLock lock(&mu_);
  return {live_, live_->wal.get()};
}

absl::StatusOr<std::shared_ptr<Generation>> Environment::OpenGeneration(
    const std::string& directory) const {
  auto generation = std::make_shared<Generation>();
  generation->number = GenerationNumber(directory);
  generation->directory = directory;
  NIMBUS_RETURN_IF_ERROR(Register(directory, &generation->registered));
  NIMBUS_RETURN_IF_ERROR(OpenFiles(generation.get()));
  return generation;
}

absl::Status Environment::OpenFiles(Generation* generation) const {
  const std::string& directory = generation->directory;
  lmdb::EnvOptions env_options{.map_bytes = map_bytes_, .read_only = read_only_};
  if (!read_only_) {
    NIMBUS_ASSIGN_OR_RETURN(const auto turn, LockFile::Open(directory + "/turn.lock"));
    NIMBUS_ASSIGN_OR_RETURN(const FileLock lock, FileLock::Take(turn.get()));
    NIMBUS_RETURN_IF_ERROR(PrepareLockFile(directory));
    NIMBUS_RETURN_IF_ERROR(RemoveStump(directory));
    NIMBUS_ASSIGN_OR_RETURN(generation->env, lmdb::Env::Open(directory, env_options));
    return generation->env->ClearDeadReaders();
  }
  const absl::Status prepared = PrepareLockFile(directory);
  absl::StatusOr<std::unique_ptr<lmdb::Env>> env =
      prepared.ok() ? lmdb::Env::Open(directory, env_options) : prepared;
  if (absl::IsPermissionDenied(env.status())) {
    // An auditor may not write to lock.mdb: safe while nobody else has it open.
    NIMBUS_RETURN_IF_ERROR(CheckNoLockHolder(directory));
    env_options.unlocked = true;
    env = lmdb::Env::Open(directory, env_options);
  }
  NIMBUS_RETURN_IF_ERROR(env.status());
  generation->env = *std::move(env);
  return absl::OkStatus();
}

absl::StatusOr<Tables> Environment::OpenTables(const Generation& generation, bool create) const {
  using Mode = lmdb::Transaction::Mode;
  NIMBUS_ASSIGN_OR_RETURN(
      lmdb::Transaction txn,
      lmdb::Transaction::Begin(*generation.env, create ? Mode::kWrite : Mode::kRead));
  Tables tables;
  NIMBUS_ASSIGN_OR_RETURN(tables.meta, txn.OpenTable("meta", false, create));
  NIMBUS_ASSIGN_OR_RETURN(tables.frames, txn.OpenTable("frames", true, create));
  NIMBUS_ASSIGN_OR_RETURN(tables.chunks, txn.OpenTable("chunks", false, create));
  NIMBUS_ASSIGN_OR_RETURN(tables.tiles, txn.OpenTable("tiles", false, create));
  NIMBUS_ASSIGN_OR_RETURN(tables.entity.entities, txn.OpenTable("entities", false, create));
  NIMBUS_ASSIGN_OR_RETURN(tables.entity.names, txn.OpenTable("names", false, create));
  NIMBUS_RETURN_IF_ERROR(txn.Commit());
  return tables;
}

absl::StatusOr<uint64_t> Environment::ReadSuperseded(const lmdb::Transaction& txn) const {
  NIMBUS_ASSIGN_OR_RETURN(auto value, txn.Get(tables_.meta, KeyOf(kMetaKeySuperseded)));
  uint64_t number = 0;
  if (value.has_value() && !TakeFixed(&*value, &number)) {
    return absl::DataLossError("the number of the next generation is malformed");
  }
  return number;
}

absl::Status Environment::Supersede(lmdb::Transaction* txn, uint64_t number) const {
  Bytes value;
  PutFixed(number, &value);
  return txn->Put(tables_.meta, KeyOf(kMetaKeySuperseded), value);
}

absl::Status Environment::WriteBasesBegin(lmdb::Transaction* txn, uint64_t sequence) const {
  Bytes value;
  PutFixed(sequence, &value);
  return txn->Put(tables_.meta, KeyOf(kMetaKeyBases), value);
}

absl::Status Environment::Follow() const {
  for (;;) {
    const std::shared_ptr<const Generation> live = generation();
    NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, BeginReadIn(live));
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t next, ReadSuperseded(txn));
    if (next == 0) return absl::OkStatus();
    NIMBUS_RETURN_IF_ERROR(Reopen(*live, next));
  }
}

// Puts the generation after `old` in its place, unless another thread has.
absl::Status Environment::Reopen(const Generation& old, uint64_t number) const {
  const schema::MutexLock reopening(&reopen_mu_);
  if (generation()->number != old.number) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(StoreLayout layout, FindStore(store_));
  if (GenerationNumber(layout.journal_directory) <= old.number) {
    // Whoever made it did not come to name it.
    layout = {.journal_directory = fmt::format("{}/journal-{}", store_, number)};
    if (!read_only_) NIMBUS_RETURN_IF_ERROR(CompleteStore(store_, layout));
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::shared_ptr<Generation> next,
                          OpenGeneration(layout.journal_directory));
  NIMBUS_ASSIGN_OR_RETURN(const Tables tables, OpenTables(*next, false));
  // LMDB numbers the tables of an environment in the order they are opened.
  NIMBUS_CHECK(tables.meta.handle == tables_.meta.handle &&
               tables.entity.names.handle == tables_.entity.names.handle);
  schema::Uuid journal;
  NIMBUS_RETURN_IF_ERROR(ReadMeta(next.get(), &journal));
  if (journal != journal_id_) {
    return Error(Code::kDataLoss, "{}: of another journal", layout.journal_directory);
  }
  NIMBUS_ASSIGN_OR_RETURN(next->wal, Wal::Open(layout.journal_directory, journal, read_only_));
  const schema::MutexLock lock(&mu_);
  live_ = next;
  return absl::OkStatus();
}

absl::Status Environment::CreateJournal(const Options& options) {
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, BeginWrite());
  NIMBUS_ASSIGN_OR_RETURN(const auto meta, txn.Get(tables_.meta, KeyOf(kMetaKeyJournal)));
  if (meta.has_value()) return absl::OkStatus();

  const schema::Uuid id = schema::NewUuid();
  schema::fb::JournalCreatedT created;
  created.journal = std::make_unique<schema::fb::Id>(id.ToFb());
  created.software = "nimbus " NIMBUS_VERSION;
  Bytes record = schema::EncodeRecord(
      schema::MakeEvent(schema::fb::EntityKind::journal, id, std::move(created)));
  schema::fb::Envelope* envelope = schema::MutableEnvelope(record);
  schema::SystemClock system_clock;
  envelope->mutate_time_us((options.clock != nullptr ? options.clock : &system_clock)->NowMicros());
  Changes changes(TableReader(txn, tables_.entity));
  NIMBUS_ASSIGN_OR_RETURN(const Placement placement,
                          changes.Apply(*schema::fb::GetRecord(record.data()), 0));
  changes.Accept();
  envelope->mutate_version(placement.version);

  FrameBuilder builder(id, 0, 0);
  builder.Add(record);
  const FrameBuilder::Finished frame = builder.Finish();
  Head head;
  head.frontier.Append(LeafHashOf(record));
  head.frame_checksum = frame.checksum;
  NIMBUS_RETURN_IF_ERROR(txn.Put(tables_.frames, KeyOf(uint64_t{0}), frame.bytes));
  for (const TableChange& change : changes.Collect()) {
    NIMBUS_RETURN_IF_ERROR(
        txn.Put(TableOf(tables_.entity, change.table), change.key, change.value));
  }
  NIMBUS_RETURN_IF_ERROR(WriteHead(&txn, head));
  NIMBUS_RETURN_IF_ERROR(txn.Put(tables_.meta, KeyOf(kMetaKeyJournal), EncodeMeta(id)));
  return txn.Commit();
}

absl::Status Environment::WriteHead(lmdb::Transaction* txn, const Head& head) const {
  return txn->Put(tables_.meta, KeyOf(kMetaKeyHead), EncodeHead(head));
}

absl::Status Environment::ReadMeta(Generation* generation, schema::Uuid* journal) const {
  NIMBUS_ASSIGN_OR_RETURN(
      const lmdb::Transaction txn,
      lmdb::Transaction::Begin(*generation->env, lmdb::Transaction::Mode::kRead));
  NIMBUS_ASSIGN_OR_RETURN(auto meta, txn.Get(tables_.meta, KeyOf(kMetaKeyJournal)));
  uint32_t format = 0;
  if (!meta.has_value() || !TakeFixed(&*meta, &format)) {
    return Error(Code::kDataLoss, "{}: the journal was never created", store_);
  }
  if (format > kFormatVersion) {
    return Error(Code::kUnimplemented, "{}: format {} is newer than this program's {}", store_,
                 format, kFormatVersion);
  }
  if (format != kFormatVersion || !TakeFixed(&*meta, &journal->bytes)) {
    return Error(Code::kDataLoss, "{}: journal identity is malformed", store_);
  }
  NIMBUS_ASSIGN_OR_RETURN(auto bases, txn.Get(tables_.meta, KeyOf(kMetaKeyBases)));
  if (bases.has_value() && !TakeFixed(&*bases, &generation->bases_begin)) {
    return Error(Code::kDataLoss, "{}: the beginning of its bases is malformed", store_);
  }
  return absl::OkStatus();
}

absl::StatusOr<lmdb::Transaction> Environment::BeginReadIn(
    const std::shared_ptr<const Generation>& generation) {
  NIMBUS_ASSIGN_OR_RETURN(
      lmdb::Transaction txn,
      lmdb::Transaction::Begin(*generation->env, lmdb::Transaction::Mode::kRead));
  txn.KeepAlive(generation);
  return txn;
}

absl::StatusOr<lmdb::Transaction> Environment::BeginRead() const {
  return BeginReadIn(generation());
}

absl::StatusOr<lmdb::Transaction> Environment::BeginWrite() const {
  const std::shared_ptr<const Generation> live = generation();
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn,
                          lmdb::Transaction::Begin(*live->env, lmdb::Transaction::Mode::kWrite));
  txn.KeepAlive(live);
  return txn;
}

absl::StatusOr<Head> Environment::ReadHead(const lmdb::Transaction& txn) const {
  NIMBUS_ASSIGN_OR_RETURN(const auto value, txn.Get(tables_.meta, KeyOf(kMetaKeyHead)));
  if (!value.has_value()) return absl::DataLossError("journal head is missing");
  return DecodeHead(*value);
}

absl::StatusOr<uint64_t> Environment::FindFrameKey(const lmdb::Transaction& txn,
                                                   uint64_t sequence) const {
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor, txn.OpenCursor(tables_.frames));
  NIMBUS_ASSIGN_OR_RETURN(auto entry, cursor.AtOrAfter(KeyOf(sequence)));
  uint64_t key = 0;
  const auto read_key = [&] {
    return entry.has_value() && entry->key.size() == sizeof(key) &&
           (std::memcpy(&key, entry->key.data(), sizeof(key)), true);
  };
  if (read_key() && key == sequence) return key;
  if (entry.has_value()) {
    NIMBUS_ASSIGN_OR_RETURN(entry, cursor.Previous());
  } else {
    NIMBUS_ASSIGN_OR_RETURN(entry, cursor.Last());
  }
  if (!read_key()) return Error(Code::kDataLoss, "no frame holds record {}", sequence);
  return key;
}

// The log first, LMDB second: what was applied in between is in both, and what
// the log holds continues LMDB.
absl::StatusOr<Snapshot> Environment::TrySnapshot(bool* again) const {
  const std::shared_ptr<const Generation> live = generation();
  WalOverlay overlay = live->wal->DurableOverlay();
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, BeginReadIn(live));
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t next, ReadSuperseded(txn));
  NIMBUS_ASSIGN_OR_RETURN(Head head, ReadHead(txn));
  *again = next != 0 || !overlay.Continue(head.size());
  if (next != 0) {
    NIMBUS_RETURN_IF_ERROR(Reopen(*live, next));
  } else if (*again) {
    NIMBUS_RETURN_IF_ERROR(live->wal->Synchronize(head.link()));
  }
  return Snapshot(std::move(txn), std::move(head), std::move(overlay));
}

absl::StatusOr<Snapshot> Environment::TakeSnapshot() const {
  // A log that moves on while it is read looks damaged once, or twice; one that
  // is damaged always does.
  constexpr int kTries = 20;
  absl::Status status;
  for (int i = 0; i < kTries; ++i) {
    bool again = false;
    absl::StatusOr<Snapshot> snapshot = TrySnapshot(&again);
    if (snapshot.ok() && !again) return snapshot;
    status = snapshot.status();
    if (!status.ok() && !absl::IsDataLoss(status)) return status;
  }
  if (!status.ok()) return status;
  return absl::UnavailableError("the log moves on faster than it can be read");
}

absl::StatusOr<Snapshot> Environment::TakeWriterSnapshot() const {
  WalOverlay overlay = wal()->WholeOverlay();
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(Head head, ReadHead(txn));
  NIMBUS_CHECK(overlay.Continue(head.size()));
  return Snapshot(std::move(txn), std::move(head), std::move(overlay));
}

// The value that holds `sequence`, and the sequence of its first record.
absl::StatusOr<lmdb::View> Environment::FrameValue(const Snapshot& snapshot, uint64_t sequence,
                                                   uint64_t* key) const {
  if (sequence >= snapshot.size()) {
    return Error(Code::kOutOfRange, "record {}: the journal ends at {}", sequence, snapshot.size());
  }
  if (sequence >= snapshot.head().size()) {
    const WalFrame* frame = snapshot.overlay().FindFrame(sequence);
    if (frame == nullptr) return Error(Code::kDataLoss, "no frame holds record {}", sequence);
    *key = frame->first_sequence;
    return frame->value;
  }
  NIMBUS_ASSIGN_OR_RETURN(*key, FindFrameKey(snapshot.txn(), sequence));
  NIMBUS_ASSIGN_OR_RETURN(const auto value, snapshot.txn().Get(tables_.frames, KeyOf(*key)));
  if (!value.has_value()) return Error(Code::kDataLoss, "no frame holds record {}", sequence);
  return *value;
}

absl::StatusOr<Frame> Environment::ReadFrame(const Snapshot& snapshot, uint64_t sequence,
                                             ReadAhead* ahead) const {
  uint64_t key = 0;
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::View value, FrameValue(snapshot, sequence, &key));
  if (ahead != nullptr && key < snapshot.head().size()) {
    NIMBUS_RETURN_IF_ERROR(ahead->Come(snapshot.txn(), tables_.frames, key));
  }
  absl::StatusOr<Frame> frame = Frame::Decode(value);
  if (!frame.ok()) return schema::Annotate(frame.status(), fmt::format("record {}", key));
  if (ahead != nullptr) ahead->NoteRecordBytes(sizeof(FrameHeader) + frame->header().stored_bytes);
  if (frame->first_sequence() != key || frame->header().journal != journal_id_.bytes) {
    return Error(Code::kDataLoss, "record {}: the frame belongs elsewhere", key);
  }
  if (!frame->Holds(sequence)) {
    return Error(Code::kDataLoss, "no frame holds record {}", sequence);
  }
  if (frame->end_sequence() > snapshot.size()) {
    return Error(Code::kDataLoss, "the frame of record {} ends after the journal does", sequence);
  }
  return frame;
}

absl::StatusOr<Frontier> Environment::FrontierOf(const Snapshot& snapshot) const {
  Frontier frontier = snapshot.head().frontier;
  while (frontier.size() < snapshot.size()) {
    NIMBUS_ASSIGN_OR_RETURN(const Frame frame, ReadFrame(snapshot, frontier.size()));
    while (frontier.size() < frame.end_sequence()) {
      frontier.Append(LeafHashOf(frame.record(frontier.size() - frame.first_sequence())));
    }
  }
  return frontier;
}

absl::Status Environment::ReadChunks(const lmdb::Transaction& txn, uint64_t sequence, size_t size,
                                     Bytes* bytes) const {
  bytes->clear();
  for (uint64_t index = 0; bytes->size() < size; ++index) {
    NIMBUS_ASSIGN_OR_RETURN(const auto chunk,
                            txn.Get(tables_.chunks, MakeChunkKey(sequence, index)));
    if (!chunk.has_value() || chunk->empty() || chunk->size() > size - bytes->size()) {
      return Error(Code::kDataLoss, "body {}: piece {} is missing or malformed", sequence, index);
    }
    bytes->insert(bytes->end(), chunk->begin(), chunk->end());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<BlockEntry>> Environment::ReadArchived(const Snapshot& snapshot,
                                                                    uint64_t sequence,
                                                                    Bytes* bytes) const {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<ArchivedRange> range,
                          FindArchivedRange(snapshot.txn(), tables_.meta, sequence));
  if (!range.has_value()) return std::optional<BlockEntry>();
  const absl::StatusOr<std::shared_ptr<const Archive>> archive =
      archives_.Get(store_, range->number, journal_id_);
  if (absl::IsNotFound(archive.status())) {
    return ArchiveAbsentError(store_, range->number, sequence);
  }
  NIMBUS_RETURN_IF_ERROR(archive.status());
  return (*archive)->ReadBlock(sequence, bytes);
}

absl::StatusOr<std::optional<BlockEntry>> Environment::ReadBlock(uint64_t sequence,
                                                                 Bytes* bytes) const {
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, TakeSnapshot());
  uint64_t key = 0;
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::View value, FrameValue(snapshot, sequence, &key));
  absl::StatusOr<std::vector<BlockEntry>> blocks = BlocksOf(value, key);
  if (!blocks.ok()) {
    return schema::Annotate(blocks.status(), fmt::format("bodies of record {} and after", key));
  }
  const auto it = std::find_if(blocks->begin(), blocks->end(),
                               [&](const BlockEntry& block) { return block.Holds(sequence); });
  if (it == blocks->end()) return ReadArchived(snapshot, sequence, bytes);
  BlockEntry block = std::move(*it);
  if (block.chunked) {
    NIMBUS_RETURN_IF_ERROR(ReadChunks(snapshot.txn(), block.first(), block.stored_bytes, bytes));
  } else {
    bytes->assign(block.stored.begin(), block.stored.end());
  }
  block.stored = *bytes;
  return std::optional<BlockEntry>(std::move(block));
}

}  // namespace nimbus::journal
