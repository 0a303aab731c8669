// Reads bodies back: finds the chain of bases, decodes it, keeps what it decoded.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "body.h"
#include "environment.h"

namespace nimbus::journal {

// A decoded body. Not checked against a commitment.
struct PlainBody {
  std::shared_ptr<const Bytes> bytes;
  Nonce nonce{};
  uint8_t depth = 0;
};

// Least recently used bodies by sequence, up to a number of plaintext bytes.
class BodyCache {
 public:
  explicit BodyCache(size_t bytes_max) : bytes_max_(bytes_max) {}
  const PlainBody* Find(uint64_t sequence);  // valid until the next Insert
  void Insert(uint64_t sequence, PlainBody body);

 private:
  struct Slot {
    PlainBody body;
    std::list<uint64_t>::iterator use;
  };
  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::list<uint64_t> uses_;  // the front was used last
  std::map<uint64_t, Slot> slots_;
};

// One thread at a time.
class BodyReader {
 public:
  BodyReader(const Environment& environment, size_t cache_bytes_max)
      : environment_(environment), cache_(cache_bytes_max) {}

  // nullopt when nothing is stored for `sequence`. DataLoss when what is stored
  // does not decode.
  absl::StatusOr<std::optional<PlainBody>> Read(uint64_t sequence);

 private:
  const Environment& environment_;
  BodyCache cache_;
};

}  // namespace nimbus::journal
