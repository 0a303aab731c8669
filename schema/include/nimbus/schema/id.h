// UUIDs (RFC 9562). What Nimbus makes itself is version 7: time-ordered, the
// rest random. What it derives from another program's ids is version 8: the
// same source always gives the same id, so an import repeated adds nothing.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nimbus/schema/events_generated.h"

namespace nimbus::schema {

struct Uuid {
  std::array<uint8_t, 16> bytes{};  // network order

  auto operator<=>(const Uuid&) const = default;
  bool IsNil() const { return *this == Uuid{}; }

  // 36 lower-case characters, with hyphens.
  std::string ToString() const;

  fb::Id ToFb() const;
  static Uuid FromFb(const fb::Id& id);
};

// A UUID in its 36-character form, either case. InvalidArgument otherwise.
absl::StatusOr<Uuid> ParseUuid(std::string_view text);

// Version 7: 48 bits of `unix_ms`, 74 bits from `random` (10 bytes).
Uuid MakeUuidV7(int64_t unix_ms, const std::array<uint8_t, 10>& random);

// Version 7 from the system's clock and entropy. Thread-safe; ids made by one
// process within a millisecond are in the order they were made.
Uuid NewUuid();

// Version 8: 122 bits of BLAKE2b over `scope`, a zero byte and `name`.
Uuid DeriveUuid(std::string_view scope, std::string_view name);

}  // namespace nimbus::schema

template <>
struct std::hash<nimbus::schema::Uuid> {
  size_t operator()(const nimbus::schema::Uuid& id) const noexcept;
};
