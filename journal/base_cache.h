// What an append compresses its bodies against.
//
// The n-th body of a stream and event type takes as its base the body n minus
// its lowest set bit, so that reading any body decodes at most log2 n others
// while the space stays that of what is new. The bodies a stream can still need
// are the chain n, n - lowbit(n), …, 0: these are kept, of the streams used
// last. A stream that fell out of the cache, or was written by another process,
// begins a new chain.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "body_reader.h"
#include "nimbus/schema/events_generated.h"
#include "nimbus/schema/id.h"
#include "nimbus/schema/mutex.h"

namespace nimbus::journal {

struct Base {
  uint64_t sequence = 0;
  uint8_t depth = 0;
  std::shared_ptr<const Bytes> bytes;
};

using ChainKey = std::pair<schema::Uuid, schema::fb::Event>;

// Thread-safe.
class BaseCache {
 public:
  BaseCache(const Environment& environment, size_t bytes_max);

  // The base for the next body of this chain; nullopt for its first.
  std::optional<Base> ForNext(const ChainKey& key);
  // Notes a body of the chain that is durable now.
  void Add(const ChainKey& key, Base base);

  // Any body of the journal. NotFound when there is none.
  absl::StatusOr<Base> Read(uint64_t sequence);

 private:
  struct Chain {
    uint64_t count = 0;                           // bodies added
    std::vector<std::pair<uint64_t, Base>> kept;  // (n, body n), n falling by its lowest bit
    std::list<ChainKey>::iterator use;
  };
  static size_t BytesOf(const Chain& chain);

  const size_t bytes_max_;
  schema::Mutex mu_;
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<ChainKey, Chain> chains_ ABSL_GUARDED_BY(mu_);
  std::list<ChainKey> uses_ ABSL_GUARDED_BY(mu_);  // the front was used last
  BodyReader reader_ ABSL_GUARDED_BY(mu_);
};

}  // namespace nimbus::journal
