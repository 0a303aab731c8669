// What a benchmark answers: rows, the same for all programs, and the file that
// keeps them.
//
//   results.rows.push_back(MakeRow({.question = "64 writers, durable", .unit = "events/s",
//                                   .peer = "lmdb", .aim = AtLeast(2)}, ours, theirs));
//   fmt::print("{}", ToText(results));
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/schema/json.h"

namespace nimbus::bench {

struct Aim {
  enum class Kind { kNone, kAtLeast, kAtMost };
  Kind kind = Kind::kNone;
  double value = 0;
};
constexpr Aim AtLeast(double value) { return {Aim::Kind::kAtLeast, value}; }
constexpr Aim AtMost(double value) { return {Aim::Kind::kAtMost, value}; }

// How Nimbus's figure becomes what the aim is about.
enum class Measure {
  kRatio,       // Nimbus / peer, round by round: neighbouring runs saw the same machine
  kInverse,     // peer / Nimbus: for times, where a ratio of speeds is asked for
  kDifference,  // Nimbus − peer, in the row's unit
  kValue,       // Nimbus's own figure
};

struct Row {
  std::string question;
  std::string unit;
  std::string peer;  // empty: none
  Measure measure = Measure::kRatio;
  Aim aim{};
  // Medians over the rounds.
  double nimbus = 0;
  double peer_value = 0;
  // By `measure`: median, least and most of the rounds.
  double median = 0;
  double least = 0;
  double most = 0;
};

// A row of what was measured in each round. Both have a value for each round,
// `theirs` is empty with kValue.
Row MakeRow(Row row, std::span<const double> ours, std::span<const double> theirs);

// True without an aim.
bool IsMet(const Row& row);

struct Results {
  std::string program;
  std::string directory;
  uint64_t seed = 0;
  uint64_t rounds = 0;
  std::vector<double> flush_us;  // MeasureFlush, now and then
  std::vector<Row> rows;
  std::string text;     // more to print, before the rows
  schema::Json detail;  // more to keep
};

// One table of all rows.
std::string RowsToText(std::span<const Row> rows);
std::string RowsToMarkdown(std::span<const Row> rows);
std::string ToText(const Results& results);

schema::Json ToJson(const Results& results);
// What the summary needs of it: program, flushes, rows. InvalidArgument when it
// is no such file.
absl::StatusOr<Results> ParseResults(std::string_view json);

// The smallest of them that at least `fraction` of them do not exceed (nearest
// rank); 0 gives the smallest. Requires some.
double Percentile(std::vector<double> values, double fraction);
double Median(std::span<const double> values);

}  // namespace nimbus::bench
