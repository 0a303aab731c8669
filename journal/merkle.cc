#include "merkle.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <memory>

#include "nimbus/schema/check.h"

namespace nimbus::journal {
namespace {

constexpr uint8_t kLeafPrefix = 0;
constexpr uint8_t kNodePrefix = 1;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// OpenSSL's SHA-256 uses the processor's own, libsodium's does not: of a leaf or a
// node that is a quarter of the time. Looking the algorithm up costs more than a
// hash, so each thread keeps a context that knows it.
class Sha256 {
 public:
  Sha256() { NIMBUS_CHECK(EVP_DigestInit_ex2(Context(), nullptr, nullptr) == 1); }
  void Add(std::span<const uint8_t> bytes) {
    NIMBUS_CHECK(EVP_DigestUpdate(Context(), bytes.data(), bytes.size()) == 1);
  }
  Hash Finish() {
    Hash hash;
    NIMBUS_CHECK(EVP_DigestFinal_ex(Context(), hash.data(), nullptr) == 1);
    return hash;
  }

 private:
  static EVP_MD_CTX* Context() {
    thread_local const std::unique_ptr<EVP_MD_CTX, FreeContext> context = Make();
    return context.get();
  }
  static std::unique_ptr<EVP_MD_CTX, FreeContext> Make() {
    std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
    NIMBUS_CHECK(context != nullptr);
    NIMBUS_CHECK(EVP_DigestInit_ex2(context.get(), EVP_sha256(), nullptr) == 1);
    return context;
  }
};

}  // namespace

Hash LeafHashOf(std::span<const uint8_t> record) {
  Sha256 sha256;
  sha256.Add({&kLeafPrefix, 1});
  sha256.Add(record);
  return sha256.Finish();
}

Hash NodeHashOf(const Hash& left, const Hash& right) {
  std::array<uint8_t, 1 + 2 * sizeof(Hash)> bytes{kNodePrefix};
  std::copy(left.begin(), left.end(), bytes.begin() + 1);
  std::copy(right.begin(), right.end(), bytes.begin() + 1 + sizeof(Hash));
  Sha256 sha256;
  sha256.Add(bytes);
  return sha256.Finish();
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
  if (subtrees_.empty()) return Sha256().Finish();
  Hash root = subtrees_.back();
  for (size_t i = subtrees_.size() - 1; i-- > 0;) root = NodeHashOf(subtrees_[i], root);
  return root;
}

}  // namespace nimbus::journal
