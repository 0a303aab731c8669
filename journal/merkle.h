// The Merkle tree of RFC 6962 over the journal's records, SHA-256.
//
//   Leaf: SHA-256(0x00 ‖ record bytes). Node: SHA-256(0x01 ‖ left ‖ right).
//
// A Frontier holds what is needed to append and to compute the root: the roots
// of the complete subtrees, largest first, one for each set bit of the size.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nimbus/schema/digest.h"

namespace nimbus::journal {

using Hash = schema::Digest;

Hash LeafHashOf(std::span<const uint8_t> record);
Hash NodeHashOf(const Hash& left, const Hash& right);

// Root of a complete tree over `hashes`; their number is a power of two.
Hash CompleteRoot(std::span<const Hash> hashes);

class Frontier {
 public:
  Frontier() = default;
  // Requires one hash for each set bit of `size`.
  Frontier(uint64_t size, std::vector<Hash> subtrees);

  void Append(const Hash& leaf);
  Hash Root() const;  // SHA-256("") when empty
  uint64_t size() const { return size_; }
  const std::vector<Hash>& subtrees() const { return subtrees_; }

 private:
  uint64_t size_ = 0;
  std::vector<Hash> subtrees_;
};

}  // namespace nimbus::journal
