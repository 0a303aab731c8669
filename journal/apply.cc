#include "apply.h"

#include <algorithm>
#include <map>
#include <utility>

#include "nimbus/schema/check.h"
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

// Fills frames with the records and bodies of entries.
class Packing {
 public:
  Packing(const Environment& environment, lmdb::Transaction* txn, TileWriter* tiles, Head* head,
          int compression_level)
      : environment_(environment),
        txn_(*txn),
        tiles_(*tiles),
        head_(*head),
        compression_level_(compression_level) {}

  absl::Status Add(const WalFrame& from);
  absl::Status Finish() { return frame_.has_value() ? CloseFrame() : absl::OkStatus(); }

 private:
  absl::Status AddRecords(const Frame& frame, uint64_t from, uint64_t to);
  void AddBlock(const BlockEntry& block);
  void ClosePack();
  absl::Status CloseFrame();

  const Environment& environment_;
  lmdb::Transaction& txn_;
  TileWriter& tiles_;
  Head& head_;
  const int compression_level_;
  std::optional<FrameBuilder> frame_;
  std::optional<BodyFrameBuilder> bodies_;
  std::vector<BodyExtent> pack_;  // small bodies that are to be one block
  Bytes pack_plain_;
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
  for (uint64_t i = from; i < to; ++i) bytes += frame.record(i - frame.first_sequence()).size();
  const bool full = frame_.has_value() && (!frame_->HasRoomFor(to - from, bytes) ||
                                           (bodies_.has_value() && bodies_->IsFull()));
  if (full) NIMBUS_RETURN_IF_ERROR(CloseFrame());
  if (!frame_.has_value()) {
    NIMBUS_CHECK(from == head_.size());
    frame_.emplace(environment_.journal_id(), from, head_.frame_checksum);
  }
  for (uint64_t i = from; i < to; ++i) {
    const std::span<const uint8_t> record = frame.record(i - frame.first_sequence());
    frame_->Add(record);
    const Hash leaf = LeafHashOf(record);
    head_.frontier.Append(leaf);
    NIMBUS_RETURN_IF_ERROR(tiles_.Append(environment_, &txn_, leaf));
  }
  return absl::OkStatus();
}

void Packing::AddBlock(const BlockEntry& block) {
  if (!bodies_.has_value()) bodies_.emplace(frame_->first_sequence());
  if (!IsPackable(block)) {
    ClosePack();
    bodies_->Add(block);
    return;
  }
  if (pack_plain_.size() + block.stored.size() > kPackedBlockBytesMax ||
      pack_.size() + block.bodies.size() > kRunRecordsMax) {
    ClosePack();
  }
  pack_.insert(pack_.end(), block.bodies.begin(), block.bodies.end());
  pack_plain_.insert(pack_plain_.end(), block.stored.begin(), block.stored.end());
}

void Packing::ClosePack() {
  if (pack_.empty()) return;
  Encoded encoded = EncodeStored(pack_plain_, {}, compression_level_);
  const Block block{.codec = encoded.codec,
                    .depth = 0,
                    .bodies = std::exchange(pack_, {}),
                    .stored = std::move(encoded.bytes)};
  pack_plain_.clear();
  bodies_->Add(PlaceBlock(block, 0, std::nullopt));
}

// The frame and the bodies of its records are one value: a B-tree and a page's
// slack less, for each frame.
absl::Status Packing::CloseFrame() {
  const uint64_t key = frame_->first_sequence();
  FrameBuilder::Finished frame = frame_->Finish();
  head_.frame_checksum = frame.checksum;
  frame_.reset();
  if (bodies_.has_value()) {
    ClosePack();
    bodies_->AppendTo(&frame.bytes);
    bodies_.reset();
  }
  return txn_.Put(environment_.tables().frames, KeyOf(key), frame.bytes);
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
  Packing packing(environment_, txn, &tiles_, head, compression_level_);
  for (const WalEntry* entry : entries) {
    for (const WalFrame& frame : entry->frames()) NIMBUS_RETURN_IF_ERROR(packing.Add(frame));
  }
  NIMBUS_RETURN_IF_ERROR(packing.Finish());
  NIMBUS_RETURN_IF_ERROR(PutChanges(txn, entries));
  head->entry_checksum = entries.back()->header().checksum;
  return environment_.WriteHead(txn, *head);
}

absl::Status LogApplier::PutChanges(lmdb::Transaction* txn,
                                    std::span<const WalEntry* const> entries) const {
  using Key = std::pair<WalTable, std::span<const uint8_t>>;
  const auto less = [](const Key& a, const Key& b) {
    if (a.first != b.first) return a.first < b.first;
    return std::ranges::lexicographical_compare(a.second, b.second);
  };
  std::map<Key, std::span<const uint8_t>, decltype(less)> last(less);
  for (const WalEntry* entry : entries) {
    for (const WalChange& change : entry->changes())
      last[{change.table, change.key}] = change.value;
  }
  for (const auto& [key, value] : last) {
    const lmdb::Table table = key.first == WalTable::kChunks
                                  ? environment_.tables().chunks
                                  : TableOf(environment_.tables().entity, key.first);
    NIMBUS_RETURN_IF_ERROR(txn->Put(table, key.second, value));
  }
  return absl::OkStatus();
}

}  // namespace nimbus::journal
