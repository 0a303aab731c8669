// Reads bodies back: finds the chain of bases, decodes it, keeps what it decoded.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "body.h"
#include "environment.h"

namespace nimbus::journal {

// A decoded block. Not checked against a commitment.
struct PlainBlock {
  std::shared_ptr<const Bytes> bytes;
  BodyExtents bodies;
  uint8_t depth = 0;

  uint64_t first() const { return bodies.front().sequence; }
};

// One body of it; keeps the block alive.
struct PlainBody {
  std::shared_ptr<const Bytes> block;
  std::span<const uint8_t> bytes;
  Nonce nonce{};
};

// Least recently used blocks, up to a number of plaintext bytes.
class BlockCache {
 public:
  explicit BlockCache(size_t bytes_max) : bytes_max_(bytes_max) {}
  // The block that holds the body of `sequence`; valid until the next Insert.
  const PlainBlock* Find(uint64_t sequence);
  void Insert(PlainBlock block);
  void Clear();

 private:
  struct Slot {
    PlainBlock block;
    std::list<uint64_t>::iterator use;
  };
  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::list<uint64_t> uses_;  // first sequences; the front was used last
  std::map<uint64_t, Slot> slots_;
};

// One thread at a time.
class BodyReader {
 public:
  // Where blocks come from: as Environment::ReadBlock.
  using Source = std::function<absl::StatusOr<std::optional<BlockEntry>>(uint64_t, Bytes*)>;

  BodyReader(const Environment& environment, size_t cache_bytes_max);
  BodyReader(Source source, size_t cache_bytes_max)
      : source_(std::move(source)), cache_(cache_bytes_max) {}

  // nullopt when nothing is stored for `sequence`. DataLoss when what is stored
  // does not decode.
  absl::StatusOr<std::optional<PlainBlock>> ReadBlock(uint64_t sequence);
  absl::StatusOr<std::optional<PlainBody>> Read(uint64_t sequence);

 private:
  absl::StatusOr<std::optional<PlainBlock>> ReadChain(uint64_t sequence);
  uint64_t GenerationNow() const;

  const Environment* environment_ = nullptr;  // when blocks come from one
  const Source source_;
  uint64_t generation_ = 0;  // of the blocks that are cached
  BlockCache cache_;
};

}  // namespace nimbus::journal
