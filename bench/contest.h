// Peers side by side: every setting is measured with each of its peers in turn,
// round after round, so that a disk that changes its mind hits all of them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/program.h"
#include "bench/result.h"
#include "bench/run.h"

namespace nimbus::bench {

struct Setting {
  std::string name;  // e.g. "64 writers"
  RunOptions run;
  std::vector<std::string> peers;  // those that this build lacks are left out
};

enum class Metric { kRate, kP50, kP99, kCpu };

struct Question {
  std::string text;
  std::string setting;
  // The best of them by its median stands for all: of two ways to use SQLite,
  // say, the one a user would take.
  std::vector<std::string> peers;
  Metric metric = Metric::kRate;
  Aim aim{};
  Measure measure = Measure::kRatio;
};

// All rounds of one peer in one setting.
struct Series {
  std::string setting;
  std::string peer;
  std::vector<RunResult> rounds;
};

// Nothing when the series lack Nimbus or all of the peers.
std::optional<Row> Answer(const Question& question, std::span<const Series> series);

// The medians of each series, for people.
std::string ToText(std::span<const Series> series);
schema::Json ToJson(std::span<const Series> series);

class Contest {
 public:
  // Adds --seconds, --settings and --peers to the program.
  Contest(Program* program, std::vector<Setting> settings, std::vector<Question> questions);

  absl::StatusOr<Results> Measure(const Setup& setup) const;

 private:
  std::vector<std::string> ChosenPeers(const Setting& setting) const;
  absl::Status MeasureSetting(const Setup& setup, const Setting& setting, Results* results,
                              std::vector<Series>* series) const;

  const std::vector<Setting> settings_;
  const std::vector<Question> questions_;
  double seconds_ = 0.6;
  std::vector<std::string> chosen_settings_;
  std::vector<std::string> chosen_peers_;
};

}  // namespace nimbus::bench
