#include "apply.h"

#include <algorithm>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "stream_marks.h"

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

// Whether a block waits to be packed with its neighbours.
bool IsPackable(const BlockEntry& block) {
  return block.codec == Codec::kRaw && !block.chunked && !block.base.has_value() &&
         block.stored_bytes < kPackableBytesMax;
}

// What is filled is written when it has so many bytes: what there is of a bypass
// is in memory once already.
constexpr size_t kFilledBytesMax = kWalBytes;

// A value of the frames table, but for its compression.
struct FilledFrame {
  FrameBuilder records;
  std::vector<PackedBlock> blocks;
  size_t body_bytes = 0;
};

// Fills frames with the records and bodies of entries.
class Packing {
 public:
  Packing(const Environment& environment, lmdb::Transaction* txn, TileWriter* tiles,
          BlockWork* work, Head* head)
      : environment_(environment), txn_(*txn), tiles_(*tiles), work_(*work), head_(*head) {}

  absl::Status Add(const WalFrame& from);
  absl::Status Finish();

 private:
  absl::Status AddRecords(const Frame& frame, uint64_t from, uint64_t to);
  void AddBlock(const BlockEntry& block);
  void ClosePack();
  void CloseFrame();
  absl::Status WriteFilled();
  absl::Status WriteFrame(FilledFrame* frame);

  const Environment& environment_;
  lmdb::Transaction& txn_;
  TileWriter& tiles_;
  BlockWork& work_;
  Head& head_;
  std::optional<FilledFrame> frame_;
  PackedBlock pack_;  // the last of its blocks, if that is of small bodies
  size_t pack_bytes_ = 0;
  std::vector<FilledFrame> filled_;
  size_t filled_bytes_ = 0;
};

absl::Status Packing::Add(const WalFrame& from) {
  NIMBUS_ASSIGN_OR_RETURN(const Frame frame, Frame::Decode(from.value));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<BlockEntry> blocks,
                          BlocksOf(from.value, from.first_sequence));
  uint64_t next = frame.first_sequence();
  for (const BlockEntry& block : blocks) {
    if (block.first() < next || block.bodies.back().sequence >= frame.end_sequence()) {
      return Error(Code::kDataLoss, "bodies of record {} in the log are malformed", next);
    }
    for (; next < block.first(); ++next) {
      NIMBUS_RETURN_IF_ERROR(AddRecords(frame, next, next + 1));
    }
    // The bodies of a block belong to records of one frame.
    next = block.bodies.back().sequence + 1;
    NIMBUS_RETURN_IF_ERROR(AddRecords(frame, block.first(), next));
    AddBlock(block);
  }
  for (; next < frame.end_sequence(); ++next) {
    NIMBUS_RETURN_IF_ERROR(AddRecords(frame, next, next + 1));
  }
  return absl::OkStatus();
}

absl::Status Packing::AddRecords(const Frame& frame, uint64_t from, uint64_t to) {
  size_t bytes = 0;
  for (uint64_t i = from; i < to; ++i) {
    bytes += Padded(frame.record(i - frame.first_sequence()).size());
  }
  const bool full = frame_.has_value() && (!frame_->records.HasRoomFor(to - from, bytes) ||
                                           frame_->body_bytes >= kFrameBodyBytesMax);
  if (full) CloseFrame();
  if (filled_bytes_ >= kFilledBytesMax) NIMBUS_RETURN_IF_ERROR(WriteFilled());
  if (!frame_.has_value()) {
    NIMBUS_CHECK(from == head_.size());
    frame_.emplace(FilledFrame{.records = {environment_.journal_id(), from, 0}, .blocks = {}});
  }
  filled_bytes_ += bytes;
  for (uint64_t i = from; i < to; ++i) {
    const std::span<const uint8_t> record = frame.record(i - frame.first_sequence());
    frame_->records.Add(record);
    const Hash leaf = LeafHashOf(record);
    head_.frontier.Append(leaf);
    NIMBUS_RETURN_IF_ERROR(tiles_.Append(environment_, &txn_, leaf));
    const schema::fb::Envelope* envelope = FindEnvelope(record);
    if (envelope == nullptr) continue;  // readers will say so
    NIMBUS_RETURN_IF_ERROR(PutStreamMarks(&txn_, environment_.tables().meta, *envelope));
  }
  return absl::OkStatus();
}

void Packing::AddBlock(const BlockEntry& block) {
  frame_->body_bytes += block.stored.size();
  if (!IsPackable(block)) {
    ClosePack();
    frame_->blocks.push_back({.entry = block, .pieces = {}, .stored = {}});
    return;
  }
  BodyExtents& bodies = pack_.entry.bodies;
  if (pack_bytes_ + block.stored.size() > kPackedBlockBytesMax ||
      bodies.size() + block.bodies.size() > kRunRecordsMax) {
    ClosePack();
  }
  bodies.insert(bodies.end(), block.bodies.begin(), block.bodies.end());
  pack_.pieces.push_back(block.stored);
  pack_bytes_ += block.stored.size();
}

void Packing::ClosePack() {
  if (pack_.pieces.empty()) return;
  frame_->blocks.push_back(std::exchange(pack_, {}));
  pack_bytes_ = 0;
}

void Packing::CloseFrame() {
  ClosePack();
  filled_bytes_ += frame_->body_bytes;
  filled_.push_back(*std::move(frame_));
  frame_.reset();
}

absl::Status Packing::Finish() {
  if (frame_.has_value()) CloseFrame();
  return WriteFilled();
}

absl::Status Packing::WriteFilled() {
  std::vector<PackedBlock*> blocks;
  for (FilledFrame& frame : filled_) {
    for (PackedBlock& block : frame.blocks) {
      if (!block.pieces.empty()) blocks.push_back(&block);
    }
  }
  work_.Compress(blocks);
  for (FilledFrame& frame : filled_) {
    NIMBUS_RETURN_IF_ERROR(WriteFrame(&frame));
    LetOthersRun();
  }
  filled_.clear();
  filled_bytes_ = 0;
  return absl::OkStatus();
}

// The frame and the bodies of its records are one value: a B-tree and a page's
// slack less, for each frame.
absl::Status Packing::WriteFrame(FilledFrame* frame) {
  const uint64_t key = frame->records.first_sequence();
  frame->records.set_previous_checksum(head_.frame_checksum);
  FrameBuilder::Finished value = frame->records.Finish();
  head_.frame_checksum = value.checksum;
  if (!frame->blocks.empty()) {
    BodyFrameBuilder bodies(key);
    for (const PackedBlock& block : frame->blocks) bodies.Add(block.entry);
    bodies.AppendTo(&value.bytes);
  }
  return txn_.Put(environment_.tables().frames, KeyOf(key), value.bytes);
}

}  // namespace

absl::Status TileWriter::Load(const Environment& environment, const Snapshot& lmdb) {
  const uint64_t size = lmdb.size();
  if (loaded_ && size_ == size) return absl::OkStatus();
  partial_.clear();
  for (uint64_t sequence = size - size % kTileHashes; sequence < size;) {
    NIMBUS_ASSIGN_OR_RETURN(const Frame frame, environment.ReadFrame(lmdb, sequence));
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

absl::Status LogApplier::Apply(const WalEntry* bypass) {
  work_.Begin();
  const absl::Status status = ApplyEntries(bypass);
  work_.End();
  return status;
}

absl::Status LogApplier::ApplyEntries(const WalEntry* bypass) {
  // What could not be flushed must not become visible by way of LMDB.
  NIMBUS_RETURN_IF_ERROR(environment_.wal()->Flush());
  WalOverlay overlay = environment_.wal()->DurableOverlay();
  std::vector<const WalEntry*> entries;
  Head head;
  {
    NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction read, environment_.BeginRead());
    NIMBUS_ASSIGN_OR_RETURN(head, environment_.ReadHead(read));
    const Snapshot lmdb(std::move(read), head, {});
    NIMBUS_RETURN_IF_ERROR(tiles_.Load(environment_, lmdb));
  }
  NIMBUS_CHECK(overlay.Continue(head.size()));
  for (size_t i = 0; i < overlay.count(); ++i) entries.push_back(&overlay.entry(i));
  if (bypass != nullptr) entries.push_back(bypass);
  if (entries.empty()) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, environment_.BeginWrite());
  absl::Status status = Put(&txn, entries, &head);
  if (status.ok()) status = txn.Commit();
  if (!status.ok()) {
    tiles_.Forget();
    return status;
  }
  bypass == nullptr ? environment_.wal()->NoteApplied(head.size())
                    : environment_.wal()->NoteBypass(head.link());
  return absl::OkStatus();
}

absl::Status LogApplier::Put(lmdb::Transaction* txn, std::span<const WalEntry* const> entries,
                             Head* head) {
  Packing packing(environment_, txn, &tiles_, &work_, head);
  for (const WalEntry* entry : entries) {
    for (const WalFrame& frame : entry->frames()) NIMBUS_RETURN_IF_ERROR(packing.Add(frame));
    LetOthersRun();
  }
  NIMBUS_RETURN_IF_ERROR(packing.Finish());
  NIMBUS_RETURN_IF_ERROR(PutChanges(txn, entries));
  head->entry_checksum = entries.back()->header().checksum;
  return environment_.WriteHead(txn, *head);
}

absl::Status LogApplier::PutChanges(lmdb::Transaction* txn,
                                    std::span<const WalEntry* const> entries) const {
  std::vector<const WalChange*> changes;
  for (const WalEntry* entry : entries) {
    for (const WalChange& change : entry->changes()) changes.push_back(&change);
  }
  const auto less = [](const WalChange* a, const WalChange* b) {
    if (a->table != b->table) return a->table < b->table;
    return std::ranges::lexicographical_compare(a->key, b->key);
  };
  std::ranges::stable_sort(changes, less);  // of several of a key, the last one stays the last
  for (size_t i = 0; i < changes.size(); ++i) {
    if (i + 1 < changes.size() && !less(changes[i], changes[i + 1])) continue;
    const WalChange& change = *changes[i];
    const lmdb::Table table = change.table == WalTable::kChunks
                                  ? environment_.tables().chunks
                                  : TableOf(environment_.tables().entity, change.table);
    NIMBUS_RETURN_IF_ERROR(txn->Put(table, change.key, change.value));
  }
  return absl::OkStatus();
}

}  // namespace nimbus::journal
