// How far the views are behind a writer that appends at a steady rate: from the
// acknowledgement of an append until the views hold it, as somebody in the same process
// and somebody in another see it. Each of the two processes has the views open and
// projects, as two programs on one store do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/run.h"

namespace nimbus::bench {

struct LagOptions {
  uint64_t events = 30'000;
  uint64_t events_per_second = 10'000;
  bool other_process = false;  // is there, and is who looks
};

struct Lags {
  std::vector<double> ms;  // of each append
  double events_per_second = 0;
};

// Appends to the journal in the directory `store`, after `events_before` of `texts`.
absl::StatusOr<Lags> MeasureLag(const std::string& store, Texts* texts, const LagOptions& options,
                                uint64_t events_before);

// The other process: follows `events` more records, then says when it saw them.
absl::Status RunLagFollower(const std::string& store, uint64_t events);

}  // namespace nimbus::bench
