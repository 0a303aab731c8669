#include "group.h"

#include <algorithm>

#include "nimbus/schema/check.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

std::span<const uint8_t> KeyOf(const uint64_t& sequence) {
  return {reinterpret_cast<const uint8_t*>(&sequence), sizeof(sequence)};
}

std::span<const uint8_t> BytesOf(std::span<const Hash> hashes) {
  return {reinterpret_cast<const uint8_t*>(hashes.data()), hashes.size_bytes()};
}

const schema::fb::Envelope& FirstEnvelope(std::span<const Run> runs) {
  return *schema::fb::GetRecord(runs.front().records.front().data())->envelope();
}

// Adds the root of a full tile to the level above; a tile that fills there
// does the same in turn.
absl::Status AddToLevel(const Environment& environment, lmdb::Transaction* txn, uint8_t level,
                        uint64_t position, Hash hash) {
  for (;; ++level, position /= kTileHashes) {
    const Bytes key = MakeTileKey(level, position / kTileHashes);
    NIMBUS_ASSIGN_OR_RETURN(const auto stored, txn->Get(environment.tables().tiles, key));
    std::vector<Hash> hashes(position % kTileHashes);
    const size_t have = stored.has_value() ? stored->size() : 0;
    if (have != hashes.size() * sizeof(Hash)) {
      return Error(Code::kDataLoss, "tile {}/{} has {} bytes", level, position / kTileHashes, have);
    }
    if (have > 0) std::memcpy(hashes.data(), stored->data(), have);
    hashes.push_back(hash);
    NIMBUS_RETURN_IF_ERROR(txn->Put(environment.tables().tiles, key, BytesOf(hashes)));
    if (hashes.size() < kTileHashes) return absl::OkStatus();
    hash = CompleteRoot(hashes);
  }
}

}  // namespace

absl::Status TileWriter::Load(const Environment& environment, const lmdb::Transaction& txn,
                              uint64_t size) {
  if (loaded_ && size_ == size) return absl::OkStatus();
  partial_.clear();
  for (uint64_t sequence = size - size % kTileHashes; sequence < size;) {
    NIMBUS_ASSIGN_OR_RETURN(const Frame frame, environment.ReadFrame(txn, sequence));
    for (; sequence < std::min(size, frame.end_sequence()); ++sequence) {
      partial_.push_back(LeafHashOf(frame.record(sequence - frame.first_sequence())));
    }
  }
  size_ = size;
  loaded_ = true;
  return absl::OkStatus();
}

absl::Status TileWriter::Append(const Environment& environment, lmdb::Transaction* txn,
                                const Hash& leaf) {
  NIMBUS_CHECK(loaded_);
  partial_.push_back(leaf);
  ++size_;
  if (partial_.size() < kTileHashes) return absl::OkStatus();
  NIMBUS_RETURN_IF_ERROR(
      AddToLevel(environment, txn, 1, size_ / kTileHashes - 1, CompleteRoot(partial_)));
  partial_.clear();
  return absl::OkStatus();
}

Group::~Group() {
  if (dirty_ && !committed_) tiles_.Forget();
}

absl::Status Group::Begin() {
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, environment_.BeginWrite());
  txn_.emplace(std::move(txn));
  changes_.emplace(*txn_, environment_.tables().entity);
  NIMBUS_ASSIGN_OR_RETURN(head_, environment_.ReadHead(*txn_));
  return tiles_.Load(environment_, *txn_, head_.size());
}

absl::StatusOr<std::optional<Appended>> Group::CheckOptions(const schema::fb::Envelope& first,
                                                            const AppendOptions& options) {
  if (!options.append_id.has_value() && !options.expected_version.has_value()) {
    return std::optional<Appended>();
  }
  const schema::Uuid stream = schema::Uuid::FromFb(first.stream());
  NIMBUS_ASSIGN_OR_RETURN(const Entity* entity, changes_->Find(first.stream_kind(), stream));
  if (options.append_id.has_value() && entity != nullptr && entity->last_append.has_value() &&
      entity->last_append->id == *options.append_id) {
    return std::optional<Appended>(entity->last_append->result);
  }
  const uint64_t version = entity == nullptr ? 0 : entity->state.version;
  if (options.expected_version.value_or(version) != version) {
    return Error(Code::kAborted, "{} {} is at version {}, not {}",
                 schema::fb::EnumNameEntityKind(first.stream_kind()), stream.ToString(), version,
                 *options.expected_version);
  }
  return std::optional<Appended>();
}

absl::StatusOr<Appended> Group::Add(std::span<Run> runs, const AppendOptions& options) {
  NIMBUS_CHECK(!runs.empty() && failed_.ok());
  absl::StatusOr<std::optional<Appended>> earlier = CheckOptions(FirstEnvelope(runs), options);
  if (!earlier.ok() || earlier->has_value()) {
    changes_->Reject();
    return earlier.ok() ? absl::StatusOr<Appended>(**earlier) : earlier.status();
  }
  absl::StatusOr<Appended> placed = Place(runs, options);
  if (!placed.ok()) {
    changes_->Reject();
    return placed;
  }
  changes_->Accept();
  dirty_ = true;
  failed_ = Write(runs);
  if (!failed_.ok()) return failed_;
  return placed;
}

absl::StatusOr<Appended> Group::Place(std::span<Run> runs, const AppendOptions& options) {
  Appended appended{.first = head_.size(), .count = 0, .version = 0};
  for (Run& run : runs) {
    for (Bytes& bytes : run.records) {
      const uint64_t sequence = appended.first + appended.count++;
      NIMBUS_ASSIGN_OR_RETURN(const Placement placement,
                              changes_->Apply(*schema::fb::GetRecord(bytes.data()), sequence));
      schema::fb::Envelope* envelope = schema::MutableEnvelope(bytes);
      envelope->mutate_sequence(sequence);
      envelope->mutate_version(placement.version);
      envelope->mutate_previous(placement.previous);
      envelope->mutate_ordinal(placement.ordinal);
      envelope->mutate_time_us(clock_.NowMicros());
    }
  }
  const schema::fb::Envelope& first = FirstEnvelope(runs);
  NIMBUS_ASSIGN_OR_RETURN(
      Entity * entity, changes_->Find(first.stream_kind(), schema::Uuid::FromFb(first.stream())));
  NIMBUS_CHECK(entity != nullptr);
  appended.version = entity->state.version;
  if (options.append_id.has_value()) {
    entity->last_append = LastAppend{.id = *options.append_id, .result = appended};
  }
  return appended;
}

absl::Status Group::Write(std::span<const Run> runs) {
  uint64_t block_before = 0;  // sequence of the first body of the run before
  for (const Run& run : runs) {
    const bool bodies_full = bodies_.has_value() && bodies_->IsFull();
    if (frame_.has_value() &&
        (bodies_full || !frame_->HasRoomFor(run.records.size(), run.record_bytes()))) {
      NIMBUS_RETURN_IF_ERROR(CloseFrame());
    }
    const uint64_t first = head_.size();
    if (!frame_.has_value()) {
      frame_.emplace(environment_.journal_id(), first, head_.frame_checksum);
    }
    NIMBUS_RETURN_IF_ERROR(WriteRun(run));
    if (!run.block.has_value()) continue;
    const std::optional<uint64_t> base = run.base_is_run_before ? block_before : run.base;
    NIMBUS_RETURN_IF_ERROR(WriteBlock(run, first, base));
    block_before = first + run.block->bodies.front().sequence;
  }
  return absl::OkStatus();
}

absl::Status Group::WriteRun(const Run& run) {
  for (const Bytes& record : run.records) {
    frame_->Add(record);
    const Hash leaf = LeafHashOf(record);
    head_.frontier.Append(leaf);
    NIMBUS_RETURN_IF_ERROR(tiles_.Append(environment_, &*txn_, leaf));
  }
  return absl::OkStatus();
}

absl::Status Group::WriteBlock(const Run& run, uint64_t first, std::optional<uint64_t> base) {
  if (!bodies_.has_value()) bodies_.emplace(frame_->first_sequence());
  bodies_->Add(first, base, *run.block);
  const Bytes& stored = run.block->stored;
  if (stored.size() <= kChunkBytes) return absl::OkStatus();
  const uint64_t sequence = first + run.block->bodies.front().sequence;
  for (size_t offset = 0; offset < stored.size(); offset += kChunkBytes) {
    const size_t size = std::min(kChunkBytes, stored.size() - offset);
    NIMBUS_RETURN_IF_ERROR(txn_->Put(environment_.tables().chunks,
                                     MakeChunkKey(sequence, offset / kChunkBytes),
                                     std::span(stored).subspan(offset, size)));
  }
  return absl::OkStatus();
}

// The frame and the bodies of its records are one value: a B-tree and a page's
// slack less, for each commit.
absl::Status Group::CloseFrame() {
  const uint64_t key = frame_->first_sequence();
  FrameBuilder::Finished frame = frame_->Finish();
  head_.frame_checksum = frame.checksum;
  frame_.reset();
  if (bodies_.has_value()) {
    const Bytes bodies = bodies_->Finish();
    frame.bytes.insert(frame.bytes.end(), bodies.begin(), bodies.end());
    bodies_.reset();
  }
  return txn_->Put(environment_.tables().frames, KeyOf(key), frame.bytes);
}

absl::Status Group::Commit() {
  NIMBUS_CHECK(failed_.ok());
  if (!dirty_) return absl::OkStatus();
  NIMBUS_RETURN_IF_ERROR(CloseFrame());
  NIMBUS_RETURN_IF_ERROR(changes_->Write(&*txn_));
  NIMBUS_RETURN_IF_ERROR(environment_.WriteHead(&*txn_, head_));
  NIMBUS_RETURN_IF_ERROR(txn_->Commit());
  committed_ = true;
  return absl::OkStatus();
}

}  // namespace nimbus::journal
