// From runs to a table for people and a JSON file for machines.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "bench/run.h"
#include "nimbus/schema/json.h"

namespace nimbus::bench {

// All rounds of one peer at one number of writers.
struct Series {
  std::string peer;
  size_t writers = 0;
  std::vector<RunResult> rounds;
};

// Medians over the rounds.
struct Summary {
  double events_per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
  double bytes_per_event = 0;
};
Summary Summarize(const Series& series);

// Nimbus against a peer. Rates are compared round by round, since neighbouring
// runs saw the same machine; above 1 is in favour of Nimbus, except for bytes
// and latencies, which are smaller the better.
struct Ratio {
  std::string peer;
  size_t writers = 0;
  double rate = 0;  // median over rounds
  double rate_min = 0;
  double rate_max = 0;
  double p50 = 0;
  double p99 = 0;
  double bytes = 0;
};
Ratio Compare(const Series& nimbus, const Series& peer);

struct Report {
  std::string directory;
  uint64_t seed = 0;
  std::vector<double> flush_us;  // MeasureFlush before each round
  std::vector<Series> series;
};

// The ratios the issue asks for: to the faster of the two SQLite designs, and
// to plain LMDB, at each number of writers.
std::vector<Ratio> Ratios(const Report& report);

std::string ToText(const Report& report);
schema::Json ToJson(const Report& report);

}  // namespace nimbus::bench
