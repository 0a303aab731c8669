#include "merkle.h"

#include <sodium.h>

#include <bit>

#include "nimbus/schema/check.h"

namespace nimbus::journal {
namespace {

constexpr uint8_t kLeafPrefix = 0;
constexpr uint8_t kNodePrefix = 1;

static_assert(sizeof(Hash) == crypto_hash_sha256_BYTES);

}  // namespace

Hash LeafHashOf(std::span<const uint8_t> record) {
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  crypto_hash_sha256_update(&state, &kLeafPrefix, 1);
  crypto_hash_sha256_update(&state, record.data(), record.size());
  Hash hash;
  crypto_hash_sha256_final(&state, hash.data());
  return hash;
}

Hash NodeHashOf(const Hash& left, const Hash& right) {
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  crypto_hash_sha256_update(&state, &kNodePrefix, 1);
  crypto_hash_sha256_update(&state, left.data(), left.size());
  crypto_hash_sha256_update(&state, right.data(), right.size());
  Hash hash;
  crypto_hash_sha256_final(&state, hash.data());
  return hash;
}

Hash CompleteRoot(std::span<const Hash> hashes) {
  NIMBUS_CHECK(std::has_single_bit(hashes.size()));
  Frontier frontier;
  for (const Hash& hash : hashes) frontier.Append(hash);
  return frontier.Root();
}

Frontier::Frontier(uint64_t size, std::vector<Hash> subtrees)
    : size_(size), subtrees_(std::move(subtrees)) {
  NIMBUS_CHECK(static_cast<size_t>(std::popcount(size_)) == subtrees_.size());
}

void Frontier::Append(const Hash& leaf) {
  Hash hash = leaf;
  for (int merges = std::countr_one(size_); merges > 0; --merges) {
    hash = NodeHashOf(subtrees_.back(), hash);
    subtrees_.pop_back();
  }
  subtrees_.push_back(hash);
  ++size_;
}

Hash Frontier::Root() const {
  if (subtrees_.empty()) {
    Hash empty;
    crypto_hash_sha256(empty.data(), nullptr, 0);
    return empty;
  }
  Hash root = subtrees_.back();
  for (size_t i = subtrees_.size() - 1; i-- > 0;) root = NodeHashOf(subtrees_[i], root);
  return root;
}

}  // namespace nimbus::journal
