// Time as Nimbus writes it: microseconds since 1970-01-01 UTC, and their text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nimbus::schema {

// Where a component gets the time; simulations bring their own.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t NowMicros() = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t NowMicros() override;
};

// "2026-01-10 21:39:35.285000": what SQLite's date functions read, and what
// sorts as text. Years 0000 to 9999; outside, the nearest of these.
std::string FormatUtc(int64_t micros);

// ISO 8601 / RFC 3339 with 'T' or a space, any number of fractional digits
// (truncated to microseconds), 'Z' or an offset. Without either the time is
// taken as UTC. nullopt for anything else, including impossible dates.
std::optional<int64_t> ParseUtc(std::string_view text);

}  // namespace nimbus::schema
