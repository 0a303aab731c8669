#include "bench/contest.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::bench {
namespace {

using schema::Json;

constexpr double kQuickSeconds = 0.05;

double ValueOf(const RunResult& round, Metric metric) {
  switch (metric) {
    case Metric::kRate:
      return round.EventsPerSecond();
    case Metric::kP50:
      return round.p50_us;
    case Metric::kP99:
      return round.p99_us;
    case Metric::kCpu:
      break;
  }
  return round.CpuPerEvent();
}

std::vector<double> ValuesOf(const Series& series, Metric metric) {
  std::vector<double> values;
  for (const RunResult& round : series.rounds) values.push_back(ValueOf(round, metric));
  return values;
}

template <typename Value>
double MedianOf(const Series& series, Value value) {
  std::vector<double> values;
  for (const RunResult& round : series.rounds) values.push_back(value(round));
  return Median(values);
}

const Series* Find(std::span<const Series> all, const std::string& setting,
                   const std::string& peer) {
  for (const Series& series : all) {
    if (series.setting == setting && series.peer == peer) return &series;
  }
  return nullptr;
}

const Series* Best(std::span<const Series> all, const Question& question) {
  const Series* best = nullptr;
  for (const std::string& peer : question.peers) {
    const Series* series = Find(all, question.setting, peer);
    if (series == nullptr) continue;
    if (best != nullptr) {
      const double had = Median(ValuesOf(*best, question.metric));
      const double has = Median(ValuesOf(*series, question.metric));
      if (question.metric == Metric::kRate ? has <= had : has >= had) continue;
    }
    best = series;
  }
  return best;
}

bool IsChosen(const std::vector<std::string>& chosen, const std::string& name) {
  return chosen.empty() || std::find(chosen.begin(), chosen.end(), name) != chosen.end();
}

Json RoundJson(const RunResult& round) {
  return Json::MakeObject({{"events", Json::Uint(round.events)},
                           {"seconds", Json::Double(round.seconds)},
                           {"events_per_second", Json::Double(round.EventsPerSecond())},
                           {"p50_us", Json::Double(round.p50_us)},
                           {"p99_us", Json::Double(round.p99_us)},
                           {"cpu_us_per_event", Json::Double(round.CpuPerEvent())},
                           {"close_seconds", Json::Double(round.close_seconds)},
                           {"bytes", Json::Uint(round.bytes)}});
}

}  // namespace

std::optional<Row> Answer(const Question& question, std::span<const Series> series) {
  const Series* nimbus = Find(series, question.setting, "nimbus");
  const Series* peer = Best(series, question);
  if (nimbus == nullptr || peer == nullptr) return std::nullopt;
  Row row{.question = question.text,
          .unit = question.metric == Metric::kRate ? "events/s" : "us",
          .peer = peer->peer,
          .measure = question.measure,
          .aim = question.aim};
  return MakeRow(std::move(row), ValuesOf(*nimbus, question.metric),
                 ValuesOf(*peer, question.metric));
}

std::string ToText(std::span<const Series> series) {
  std::string text =
      fmt::format("{:<22} {:<14} {:>10} {:>9} {:>9} {:>9} {:>9} {:>11}\n", "", "peer", "events/s",
                  "p50 us", "p99 us", "CPU us/ev", "close ms", "bytes/event");
  for (const Series& one : series) {
    const double close = MedianOf(one, [](const RunResult& round) { return round.close_seconds; });
    const double bytes =
        MedianOf(one, [](const RunResult& round) { return round.BytesPerEvent(); });
    text += fmt::format("{:<22} {:<14} {:>10.0f} {:>9.0f} {:>9.0f} {:>9.1f} {:>9.0f} {:>11.0f}\n",
                        one.setting, one.peer, Median(ValuesOf(one, Metric::kRate)),
                        Median(ValuesOf(one, Metric::kP50)), Median(ValuesOf(one, Metric::kP99)),
                        Median(ValuesOf(one, Metric::kCpu)), close * 1e3, bytes);
  }
  return text;
}

Json ToJson(std::span<const Series> series) {
  Json::Array all;
  for (const Series& one : series) {
    Json::Array rounds;
    for (const RunResult& round : one.rounds) rounds.push_back(RoundJson(round));
    all.push_back(Json::MakeObject({{"setting", Json::String(one.setting)},
                                    {"peer", Json::String(one.peer)},
                                    {"rounds", Json::MakeArray(std::move(rounds))}}));
  }
  return Json::MakeArray(std::move(all));
}

Contest::Contest(Program* program, std::vector<Setting> settings, std::vector<Question> questions)
    : settings_(std::move(settings)), questions_(std::move(questions)) {
  std::vector<std::string> setting_names, peer_names;
  for (const Setting& setting : settings_) setting_names.push_back(setting.name);
  for (const PeerKind& kind : PeerKinds()) peer_names.emplace_back(kind.name);
  program->app()
      .add_option("--seconds", seconds_, "Length of one run")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  program->app()
      .add_option("--settings", chosen_settings_, "Only these")
      ->delimiter(',')
      ->check(CLI::IsMember(setting_names));
  program->app()
      .add_option("--peers", chosen_peers_, "Only these")
      ->delimiter(',')
      ->check(CLI::IsMember(peer_names));
}

std::vector<std::string> Contest::ChosenPeers(const Setting& setting) const {
  std::vector<std::string> peers;
  for (const std::string& peer : setting.peers) {
    if (FindPeerKind(peer) != nullptr && IsChosen(chosen_peers_, peer)) peers.push_back(peer);
  }
  return peers;
}

absl::Status Contest::MeasureSetting(const Setup& setup, const Setting& setting, Results* results,
                                     std::vector<Series>* series) const {
  const size_t first = series->size();
  const std::vector<std::string> peers = ChosenPeers(setting);
  for (const std::string& peer : peers) series->push_back({setting.name, peer, {}});
  Texts texts(test::Workload(setup.seed), setting.run.writers, setting.run.content);
  RunOptions run = setting.run;
  run.seconds = setup.quick ? kQuickSeconds : seconds_;
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const double flush_us, MeasureFlush(setup.directory));
    results->flush_us.push_back(flush_us);
    for (size_t peer = 0; peer < peers.size(); ++peer) {
      NIMBUS_ASSIGN_OR_RETURN(const RunResult result, MeasurePeer(*FindPeerKind(peers[peer]), run,
                                                                  texts, setup.directory / "run"));
      if (isatty(STDERR_FILENO)) {
        fmt::print(stderr, "{}, round {} of {}: {} {:.0f} events/s\n", setting.name, round + 1,
                   setup.rounds, peers[peer], result.EventsPerSecond());
      }
      (*series)[first + peer].rounds.push_back(result);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Results> Contest::Measure(const Setup& setup) const {
  Results results;
  std::vector<Series> series;
  for (const Setting& setting : settings_) {
    if (!IsChosen(chosen_settings_, setting.name)) continue;
    NIMBUS_RETURN_IF_ERROR(MeasureSetting(setup, setting, &results, &series));
  }
  for (const Question& question : questions_) {
    if (std::optional<Row> row = Answer(question, series)) results.rows.push_back(*row);
  }
  results.text = ToText(series);
  results.detail = ToJson(series);
  return results;
}

}  // namespace nimbus::bench
