// What an append compresses its block of bodies against.
//
// The blocks of a stream and event type (that of the append's first body) form
// a chain. Block n takes as its base the block n minus its lowest set bit, so
// that reading any decodes at most log2 n others while the space stays that of
// what is new. The blocks a chain can still need are n, n - lowbit(n), …, 0:
// these are kept, of the chains used last. A chain that fell out of the cache,
// or was written by another process, begins anew.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "format.h"
#include "nimbus/schema/events_generated.h"
#include "nimbus/schema/id.h"
#include "nimbus/schema/mutex.h"

namespace nimbus::journal {

struct Base {
  uint64_t sequence = 0;  // of the block's first body
  uint8_t depth = 0;
  std::shared_ptr<const Bytes> bytes;
};

using ChainKey = std::pair<schema::Uuid, schema::fb::Event>;

// Thread-safe.
class BaseCache {
 public:
  explicit BaseCache(size_t bytes_max) : bytes_max_(bytes_max) {}

  // The base for the next block of this chain; nullopt for its first.
  std::optional<Base> ForNext(const ChainKey& key);
  // Notes a block of the chain that is durable now.
  void Add(const ChainKey& key, Base base);

 private:
  struct Chain {
    uint64_t count = 0;                           // blocks added
    std::vector<std::pair<uint64_t, Base>> kept;  // (n, block n), n falling by its lowest bit
    std::list<ChainKey>::iterator use;
  };
  static size_t BytesOf(const Chain& chain);

  const size_t bytes_max_;
  schema::Mutex mu_;
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<ChainKey, Chain> chains_ ABSL_GUARDED_BY(mu_);
  std::list<ChainKey> uses_ ABSL_GUARDED_BY(mu_);  // the front was used last
};

}  // namespace nimbus::journal
