// Puts bodies into blocks: those that follow each other are compressed together,
// and against an earlier block of a chain as in base_cache.h: mostly the one chain
// of all blocks, since what repeats is near. What is large is often a context that
// grew, and repeats what its own stream held before, however far back: it has a
// chain a stream too, and takes of the two bases the better one.
//
//   if (packer.IsFull(body.bytes.size())) Store(packer.Close());
//   packer.Add(stream, sequence, body);
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base_cache.h"
#include "body.h"

namespace nimbus::journal {

struct PackerOptions {
  int compression_level = 9;
  size_t block_bytes_max = 256u << 10;  // plaintext of a block, unless it is of one body
  size_t base_cache_bytes_max = 32u << 20;
  // Whether the block of this first body may still be named as a base. All may
  // when this is empty.
  std::function<bool(uint64_t)> may_be_base;
  // Told of each block, in order: its first sequence and its plaintext.
  std::function<void(uint64_t, std::shared_ptr<const Bytes>)> note_block;
};

class BlockPacker {
 public:
  explicit BlockPacker(PackerOptions options);

  bool empty() const { return bodies_.empty(); }
  uint64_t first() const { return bodies_.front().sequence; }
  // Whether the block must be closed before a body of so many bytes.
  bool IsFull(size_t more) const;
  void Add(const schema::Uuid& stream, uint64_t sequence, const EntryBody& body);

  struct Packed {
    Block block;  // its bodies have their sequences in the journal
    std::optional<uint64_t> base;
  };
  // Requires a body.
  Packed Close();

 private:
  struct Candidate {
    Encoded encoded;
    std::optional<Base> base;
  };
  void TryBase(const ChainKey& chain, const Bytes& plain, Candidate* best);

  const PackerOptions options_;
  BaseCache bases_;
  Bytes plain_;
  BodyExtents bodies_;
  std::optional<ChainKey> stream_;  // of the first body, if that is large
};

}  // namespace nimbus::journal
