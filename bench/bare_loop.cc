#include "bench/bare_loop.h"

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

struct BareLoop::Compressor {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  const int level = journal::Options().compression_level;
  ~Compressor() { ZSTD_freeCCtx(context); }
};

BareLoop::BareLoop() : compressor_(std::make_unique<Compressor>()) {
  NIMBUS_CHECK(sodium_init() >= 0);
}

BareLoop::~BareLoop() = default;

void BareLoop::Add(const schema::Event& event) {
  Bytes record = schema::EncodeRecord(event);
  const Bytes body = schema::EncodeBody(event);
  std::array<uint8_t, kNonceBytes> nonce;
  randombytes_buf(nonce.data(), nonce.size());
  schema::Digest commitment;
  crypto_generichash(commitment.data(), commitment.size(), body.data(), body.size(), nonce.data(),
                     nonce.size());
  schema::MutableEnvelope(record)->mutable_body_commitment() = schema::ToFb(commitment);
  crypto_hash_sha256_state state;
  schema::Digest leaf;
  crypto_hash_sha256_init(&state);
  crypto_hash_sha256_update(&state, &kLeafPrefix, 1);
  crypto_hash_sha256_update(&state, record.data(), record.size());
  crypto_hash_sha256_final(&state, leaf.data());
  sum_ += leaf[0];
  if (block_.size() + body.size() > kBlockBytes) Compress();
  block_.insert(block_.end(), body.begin(), body.end());
  block_.resize((block_.size() + kBodyAlignment - 1) / kBodyAlignment * kBodyAlignment);
}

uint64_t BareLoop::Finish() {
  Compress();
  return sum_ + compressed_bytes_;
}

void BareLoop::Compress() {
  if (block_.empty()) return;
  compressed_.resize(ZSTD_compressBound(block_.size()));
  const size_t size =
      ZSTD_compressCCtx(compressor_->context, compressed_.data(), compressed_.size(), block_.data(),
                        block_.size(), compressor_->level);
  NIMBUS_CHECK(!ZSTD_isError(size));
  compressed_bytes_ += size;
  block_.clear();
}

}  // namespace nimbus::bench
