#include "base_cache.h"

namespace nimbus::journal {
namespace {

uint64_t WithoutLowestBit(uint64_t n) { return n & (n - 1); }

}  // namespace

std::optional<Base> BaseCache::ForNext(const ChainKey& key) {
  const schema::MutexLock lock(&mu_);
  const auto it = chains_.find(key);
  if (it == chains_.end()) return std::nullopt;
  const uint64_t wanted = WithoutLowestBit(it->second.count);
  for (const auto& [n, base] : it->second.kept) {
    if (n == wanted) return base;
  }
  return std::nullopt;
}

size_t BaseCache::BytesOf(const Chain& chain) {
  size_t bytes = 0;
  for (const auto& [n, base] : chain.kept) bytes += base.bytes->size();
  return bytes;
}

void BaseCache::Add(const ChainKey& key, Base base) {
  const schema::MutexLock lock(&mu_);
  const auto [it, is_new] = chains_.try_emplace(key);
  Chain& chain = it->second;
  if (is_new) {
    uses_.push_front(key);
    chain.use = uses_.begin();
  } else {
    uses_.splice(uses_.begin(), uses_, chain.use);
    bytes_ -= BytesOf(chain);
  }
  const uint64_t n = chain.count++;
  if (n > 0) {
    while (!chain.kept.empty() && chain.kept.back().first != WithoutLowestBit(n)) {
      chain.kept.pop_back();
    }
  }
  chain.kept.emplace_back(n, std::move(base));
  bytes_ += BytesOf(chain);
  while (bytes_ > bytes_max_ && !uses_.empty()) {
    const auto oldest = chains_.find(uses_.back());
    bytes_ -= BytesOf(oldest->second);
    chains_.erase(oldest);
    uses_.pop_back();
  }
}

}  // namespace nimbus::journal
