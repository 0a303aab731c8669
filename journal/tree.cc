#include "tree.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

constexpr int kTileBits = 8;
static_assert(kTileHashes == 1u << kTileBits);

// The root of the 2^height leaves from `first` on, a multiple of that. `height`
// is at least that of a full tile.
absl::StatusOr<Hash> SubtreeRoot(const Environment& environment, const lmdb::Transaction& txn,
                                 uint64_t first, int height) {
  const int level = height / kTileBits;
  const uint64_t index = first >> (kTileBits * level);
  const size_t count = size_t{1} << (height % kTileBits);
  const Bytes key = MakeTileKey(static_cast<uint8_t>(level), index / kTileHashes);
  NIMBUS_ASSIGN_OR_RETURN(const auto tile, txn.Get(environment.tables().tiles, key));
  const size_t begin = index % kTileHashes;
  if (!tile.has_value() || tile->size() < (begin + count) * sizeof(Hash)) {
    return schema::Error(absl::StatusCode::kDataLoss, "tile {}/{} is missing or cut off", level,
                         index / kTileHashes);
  }
  std::vector<Hash> hashes(count);
  std::memcpy(hashes.data(), tile->data() + begin * sizeof(Hash), count * sizeof(Hash));
  return CompleteRoot(hashes);
}

}  // namespace

absl::StatusOr<Frontier> FrontierAt(const Environment& environment, const Snapshot& snapshot,
                                    uint64_t size) {
  if (size > snapshot.size()) {
    return schema::Error(absl::StatusCode::kOutOfRange, "the journal ends at {}, before {}",
                         snapshot.size(), size);
  }
  const uint64_t known = std::min(size, snapshot.head().size());
  const uint64_t tiled = known - known % kTileHashes;
  std::vector<Hash> subtrees;
  uint64_t first = 0;
  for (int height = 63; height >= kTileBits; --height) {
    if ((tiled >> height & 1) == 0) continue;
    NIMBUS_ASSIGN_OR_RETURN(const Hash root,
                            SubtreeRoot(environment, snapshot.txn(), first, height));
    subtrees.push_back(root);
    first += uint64_t{1} << height;
  }
  Frontier frontier(tiled, std::move(subtrees));
  while (frontier.size() < size) {
    NIMBUS_ASSIGN_OR_RETURN(const Frame frame, environment.ReadFrame(snapshot, frontier.size()));
    while (frontier.size() < std::min(size, frame.end_sequence())) {
      frontier.Append(LeafHashOf(frame.record(frontier.size() - frame.first_sequence())));
    }
  }
  return frontier;
}

}  // namespace nimbus::journal
