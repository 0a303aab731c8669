#include "bench/bare_loop.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <zstd.h>

#include <array>

#include "nimbus/journal/journal.h"
#include "nimbus/schema/check.h"

namespace nimbus::bench {
namespace {

constexpr size_t kBlockBytes = 64u << 10;
constexpr size_t kNonceBytes = 16;
constexpr size_t kBodyAlignment = 8;
constexpr uint8_t kLeafPrefix = 0;

}  // namespace

struct BareLoop::Contexts {
  ZSTD_CCtx* const zstd = ZSTD_createCCtx();
  EVP_MD_CTX* const sha256 = EVP_MD_CTX_new();
  const int level = journal::Options().compression_level;
  ~Contexts() {
    ZSTD_freeCCtx(zstd);
    EVP_MD_CTX_free(sha256);
  }
};

BareLoop::BareLoop() : contexts_(std::make_unique<Contexts>()) {
  NIMBUS_CHECK(sodium_init() >= 0);
  NIMBUS_CHECK(EVP_DigestInit_ex2(contexts_->sha256, EVP_sha256(), nullptr) == 1);
}

BareLoop::~BareLoop() = default;

void BareLoop::Add(const schema::Event& event) {
  record_.clear();
  body_.clear();
  schema::AppendRecord(event, &record_);
  schema::AppendBody(event, &body_);
  std::array<uint8_t, kNonceBytes> nonce;
  randombytes_buf(nonce.data(), nonce.size());
  schema::Digest commitment;
  crypto_generichash(commitment.data(), commitment.size(), body_.data(), body_.size(), nonce.data(),
                     nonce.size());
  schema::MutableEnvelope(record_)->mutable_body_commitment() = schema::ToFb(commitment);
  schema::Digest leaf;
  EVP_MD_CTX* sha256 = contexts_->sha256;
  NIMBUS_CHECK(EVP_DigestInit_ex2(sha256, nullptr, nullptr) == 1 &&
               EVP_DigestUpdate(sha256, &kLeafPrefix, 1) == 1 &&
               EVP_DigestUpdate(sha256, record_.data(), record_.size()) == 1 &&
               EVP_DigestFinal_ex(sha256, leaf.data(), nullptr) == 1);
  sum_ += leaf[0];
  if (block_.size() + body_.size() > kBlockBytes) Compress();
  block_.insert(block_.end(), body_.begin(), body_.end());
  block_.resize((block_.size() + kBodyAlignment - 1) / kBodyAlignment * kBodyAlignment);
}

uint64_t BareLoop::Finish() {
  Compress();
  return sum_ + compressed_bytes_;
}

void BareLoop::Compress() {
  if (block_.empty()) return;
  compressed_.resize(ZSTD_compressBound(block_.size()));
  const size_t size = ZSTD_compressCCtx(contexts_->zstd, compressed_.data(), compressed_.size(),
                                        block_.data(), block_.size(), contexts_->level);
  NIMBUS_CHECK(!ZSTD_isError(size));
  compressed_bytes_ += size;
  block_.clear();
}

}  // namespace nimbus::bench
