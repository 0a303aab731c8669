// What has to be done to an event, and nothing else: it is built, its body
// committed to and compressed, its record hashed. No order, no queue, no disk.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bench/peer.h"
#include "nimbus/schema/event.h"

namespace nimbus::bench {

// Of one thread. Straight calls of the libraries the journal uses: BLAKE2b-256
// keyed with a random nonce, SHA-256 of the record as a leaf of RFC 6962, zstd at
// the journal's level over bodies gathered up to 64 KiB.
class BareLoop {
 public:
  BareLoop();
  ~BareLoop();
  BareLoop(const BareLoop&) = delete;
  BareLoop& operator=(const BareLoop&) = delete;

  void Add(const schema::Event& event);
  // Compresses what is left; gives a figure made of all results, so that no
  // compiler can leave out the work.
  uint64_t Finish();

  uint64_t compressed_bytes() const { return compressed_bytes_; }

 private:
  struct Contexts;

  void Compress();

  const std::unique_ptr<Contexts> contexts_;
  Bytes record_, body_;  // their memory is kept
  Bytes block_, compressed_;
  uint64_t compressed_bytes_ = 0;
  uint64_t sum_ = 0;
};

}  // namespace nimbus::bench
