#include "bench/wake.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <string>
#include <system_error>

#include "nimbus/schema/status.h"

namespace nimbus::bench {

int64_t NowNanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void SayWakes(const std::vector<Wake>& wakes) {
  for (const Wake& wake : wakes) {
    std::puts(fmt::format("{} {}", wake.size, wake.at_ns).c_str());
  }
}

absl::StatusOr<std::vector<Wake>> HearWakes(Child* child) {
  std::vector<Wake> wakes;
  for (;;) {
    const absl::StatusOr<std::string> line = child->ReadLine();
    if (absl::IsOutOfRange(line.status())) return wakes;
    NIMBUS_RETURN_IF_ERROR(line.status());
    Wake wake;
    const char* const end = line->data() + line->size();
    const auto size = std::from_chars(line->data(), end, wake.size);
    const auto at = std::from_chars(std::min(size.ptr + 1, end), end, wake.at_ns);
    if (at.ec != std::errc() || at.ptr != end) {
      return schema::Error(absl::StatusCode::kInternal, "the child says '{}'", *line);
    }
    wakes.push_back(wake);
  }
}

absl::StatusOr<std::vector<double>> LatenciesMs(const std::vector<Wake>& acknowledged,
                                                const std::vector<Wake>& wakes) {
  std::vector<double> latencies;
  auto wake = wakes.begin();
  for (const Wake& append : acknowledged) {
    while (wake != wakes.end() && wake->size < append.size) ++wake;
    if (wake == wakes.end()) return absl::InternalError("the follower missed an append");
    latencies.push_back(std::max(0.0, static_cast<double>(wake->at_ns - append.at_ns) / 1e6));
  }
  return latencies;
}

}  // namespace nimbus::bench
