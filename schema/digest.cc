#include "nimbus/schema/digest.h"

#include <sodium.h>

#include <cstring>

#include "nimbus/schema/check.h"

namespace nimbus::schema {

static_assert(sizeof(Digest) == crypto_generichash_BYTES);

Digest Blake2b256(std::string_view bytes) { return KeyedBlake2b256(bytes, {}); }

Digest KeyedBlake2b256(std::string_view bytes, std::span<const uint8_t> key) {
  NIMBUS_CHECK(sodium_init() >= 0);
  Digest digest;
  NIMBUS_CHECK(crypto_generichash(digest.data(), digest.size(),
                                  reinterpret_cast<const unsigned char*>(bytes.data()),
                                  bytes.size(), key.data(), key.size()) == 0);
  return digest;
}

Digest StateDigest(const Json& state) { return Blake2b256(CanonicalJson(state)); }

std::string ToHex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

fb::Digest ToFb(const Digest& digest) {
  return fb::Digest(flatbuffers::span<const uint8_t, 32>(digest.data(), digest.size()));
}

Digest FromFb(const fb::Digest& digest) {
  Digest result;
  std::memcpy(result.data(), digest.bytes()->Data(), result.size());
  return result;
}

}  // namespace nimbus::schema
