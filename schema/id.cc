#include "nimbus/schema/id.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "nimbus/schema/check.h"
#include "nimbus/schema/clock.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/status.h"

namespace nimbus::schema {
namespace {

void SetVersion(int version, Uuid* id) {
  id->bytes[6] = static_cast<uint8_t>((id->bytes[6] & 0x0f) | (version << 4));
  id->bytes[8] = static_cast<uint8_t>((id->bytes[8] & 0x3f) | 0x80);
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsHyphenPosition(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

}  // namespace

std::string Uuid::ToString() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

fb::Id Uuid::ToFb() const {
  return fb::Id(flatbuffers::span<const uint8_t, 16>(bytes.data(), bytes.size()));
}

Uuid Uuid::FromFb(const fb::Id& id) {
  Uuid result;
  std::memcpy(result.bytes.data(), id.bytes()->Data(), result.bytes.size());
  return result;
}

absl::StatusOr<Uuid> ParseUuid(std::string_view text) {
  const auto malformed = [&] {
    return Error(absl::StatusCode::kInvalidArgument, "'{}' is not a UUID",
                 text.substr(0, std::min<size_t>(text.size(), 64)));
  };
  if (text.size() != 36) return malformed();
  Uuid id;
  size_t digits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (IsHyphenPosition(i)) {
      if (text[i] != '-') return malformed();
      continue;
    }
    const int value = HexValue(text[i]);
    if (value < 0) return malformed();
    uint8_t& byte = id.bytes[digits / 2];
    byte = static_cast<uint8_t>(byte << 4 | value);
    ++digits;
  }
  return id;
}

Uuid MakeUuidV7(int64_t unix_ms, const std::array<uint8_t, 10>& random) {
  Uuid id;
  for (size_t i = 0; i < 6; ++i) {
    id.bytes[i] = static_cast<uint8_t>(static_cast<uint64_t>(unix_ms) >> (8 * (5 - i)));
  }
  std::copy(random.begin(), random.end(), id.bytes.begin() + 6);
  SetVersion(7, &id);
  return id;
}

Uuid NewUuid() {
  // RFC 9562, section 6.2, method 1: a counter in the 12 bits after the time,
  // and the next millisecond when it runs over, keep the order within one.
  static std::mutex mu;
  static int64_t last_ms = 0;
  static uint32_t counter = 0;

  NIMBUS_CHECK(sodium_init() >= 0);
  std::array<uint8_t, 10> random;
  randombytes_buf(random.data(), random.size());
  int64_t ms = SystemClock().NowMicros() / 1000;
  {
    const std::lock_guard<std::mutex> lock(mu);
    if (ms > last_ms) {
      last_ms = ms;
      counter = random[0];  // leaves more than 3,800 before the next carry
    } else if (++counter > 0xfff) {
      ++last_ms;
      counter = 0;
    }
    ms = last_ms;
    random[0] = static_cast<uint8_t>(counter >> 8);
    random[1] = static_cast<uint8_t>(counter);
  }
  return MakeUuidV7(ms, random);
}

Uuid DeriveUuid(std::string_view scope, std::string_view name) {
  std::string bytes(scope);
  bytes.push_back('\0');
  bytes.append(name);
  const Digest digest = Blake2b256(bytes);
  Uuid id;
  std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
  SetVersion(8, &id);
  return id;
}

}  // namespace nimbus::schema

size_t std::hash<nimbus::schema::Uuid>::operator()(const nimbus::schema::Uuid& id) const noexcept {
  // The last eight bytes of every version made here are random or hashed.
  uint64_t tail;
  std::memcpy(&tail, id.bytes.data() + 8, sizeof(tail));
  return static_cast<size_t>(tail);
}
