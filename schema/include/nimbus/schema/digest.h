// BLAKE2b-256 (RFC 7693), as libsodium computes it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "nimbus/schema/events_generated.h"
#include "nimbus/schema/json.h"

namespace nimbus::schema {

using Digest = std::array<uint8_t, 32>;

Digest Blake2b256(std::string_view bytes);
Digest KeyedBlake2b256(std::string_view bytes, std::span<const uint8_t> key);

// What identifies a state: BLAKE2b-256 of its canonical JSON.
Digest StateDigest(const Json& state);

std::string ToHex(std::span<const uint8_t> bytes);

fb::Digest ToFb(const Digest& digest);
Digest FromFb(const fb::Digest& digest);

}  // namespace nimbus::schema
