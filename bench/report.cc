#include "bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>

#include "nimbus/schema/check.h"

namespace nimbus::bench {
namespace {

using schema::Json;

double Median(std::vector<double> values) { return Percentile(std::move(values), 0.5); }

template <typename Value>
double MedianOf(const Series& series, Value value) {
  std::vector<double> values;
  for (const RunResult& round : series.rounds) values.push_back(value(round));
  return Median(std::move(values));
}

const Series* Find(const Report& report, std::string_view peer, size_t writers) {
  for (const Series& series : report.series) {
    if (series.peer == peer && series.writers == writers) return &series;
  }
  return nullptr;
}

const Series* Faster(const Series* a, const Series* b) {
  if (a == nullptr || b == nullptr) return a == nullptr ? b : a;
  return Summarize(*a).events_per_second >= Summarize(*b).events_per_second ? a : b;
}

Json RoundJson(const RunResult& round) {
  return Json::MakeObject({{"events", Json::Uint(round.events)},
                           {"seconds", Json::Double(round.seconds)},
                           {"events_per_second", Json::Double(round.EventsPerSecond())},
                           {"p50_us", Json::Double(round.p50_us)},
                           {"p99_us", Json::Double(round.p99_us)},
                           {"bytes", Json::Uint(round.bytes)}});
}

Json SeriesJson(const Series& series) {
  const Summary summary = Summarize(series);
  Json::Array rounds;
  for (const RunResult& round : series.rounds) rounds.push_back(RoundJson(round));
  return Json::MakeObject({{"peer", Json::String(series.peer)},
                           {"writers", Json::Uint(series.writers)},
                           {"events_per_second", Json::Double(summary.events_per_second)},
                           {"p50_us", Json::Double(summary.p50_us)},
                           {"p99_us", Json::Double(summary.p99_us)},
                           {"bytes_per_event", Json::Double(summary.bytes_per_event)},
                           {"rounds", Json::MakeArray(std::move(rounds))}});
}

Json RatioJson(const Ratio& ratio) {
  return Json::MakeObject({{"peer", Json::String(ratio.peer)},
                           {"writers", Json::Uint(ratio.writers)},
                           {"rate", Json::Double(ratio.rate)},
                           {"rate_min", Json::Double(ratio.rate_min)},
                           {"rate_max", Json::Double(ratio.rate_max)},
                           {"p50", Json::Double(ratio.p50)},
                           {"p99", Json::Double(ratio.p99)},
                           {"bytes", Json::Double(ratio.bytes)}});
}

}  // namespace

Summary Summarize(const Series& series) {
  return {.events_per_second =
              MedianOf(series, [](const RunResult& round) { return round.EventsPerSecond(); }),
          .p50_us = MedianOf(series, [](const RunResult& round) { return round.p50_us; }),
          .p99_us = MedianOf(series, [](const RunResult& round) { return round.p99_us; }),
          .bytes_per_event =
              MedianOf(series, [](const RunResult& round) { return round.BytesPerEvent(); })};
}

Ratio Compare(const Series& nimbus, const Series& peer) {
  NIMBUS_CHECK(nimbus.rounds.size() == peer.rounds.size());
  std::vector<double> rates;
  for (size_t round = 0; round < nimbus.rounds.size(); ++round) {
    rates.push_back(nimbus.rounds[round].EventsPerSecond() / peer.rounds[round].EventsPerSecond());
  }
  const Summary ours = Summarize(nimbus);
  const Summary theirs = Summarize(peer);
  return {.peer = peer.peer,
          .writers = peer.writers,
          .rate = Median(rates),
          .rate_min = *std::min_element(rates.begin(), rates.end()),
          .rate_max = *std::max_element(rates.begin(), rates.end()),
          .p50 = ours.p50_us / theirs.p50_us,
          .p99 = ours.p99_us / theirs.p99_us,
          .bytes = ours.bytes_per_event / theirs.bytes_per_event};
}

std::vector<Ratio> Ratios(const Report& report) {
  std::set<size_t> writers;
  for (const Series& series : report.series) writers.insert(series.writers);
  std::vector<Ratio> ratios;
  for (const size_t count : writers) {
    const Series* nimbus = Find(report, "nimbus", count);
    if (nimbus == nullptr) continue;
    const Series* sqlite =
        Faster(Find(report, "sqlite-shared", count), Find(report, "sqlite-own", count));
    const Series* lmdb = Find(report, "lmdb", count);
    if (sqlite != nullptr) ratios.push_back(Compare(*nimbus, *sqlite));
    if (lmdb != nullptr) ratios.push_back(Compare(*nimbus, *lmdb));
  }
  return ratios;
}

std::string ToText(const Report& report) {
  std::string text = fmt::format(
      "directory {}, seed {}; medians of {} rounds\n"
      "flush of 4 KiB: {:.0f} us ({:.0f} to {:.0f})\n\n"
      "{:>7}  {:<14} {:>10} {:>10} {:>10} {:>12}\n",
      report.directory, report.seed, report.series.empty() ? 0 : report.series[0].rounds.size(),
      Median(report.flush_us), Percentile(report.flush_us, 0.0), Percentile(report.flush_us, 1.0),
      "writers", "peer", "events/s", "p50 us", "p99 us", "bytes/event");
  for (const Series& series : report.series) {
    const Summary summary = Summarize(series);
    text += fmt::format("{:>7}  {:<14} {:>10.0f} {:>10.0f} {:>10.0f} {:>12.0f}\n", series.writers,
                        series.peer, summary.events_per_second, summary.p50_us, summary.p99_us,
                        summary.bytes_per_event);
  }
  text += fmt::format("\n{:>7}  {:<22} {:>9} {:>15} {:>7} {:>7} {:>7}\n", "writers",
                      "nimbus against", "events/s", "(min to max)", "p50", "p99", "bytes");
  for (const Ratio& ratio : Ratios(report)) {
    text += fmt::format("{:>7}  {:<22} {:>8.2f}x {:>15} {:>6.2f}x {:>6.2f}x {:>6.2f}x\n",
                        ratio.writers, ratio.peer, ratio.rate,
                        fmt::format("({:.2f} to {:.2f})", ratio.rate_min, ratio.rate_max),
                        ratio.p50, ratio.p99, ratio.bytes);
  }
  return text;
}

Json ToJson(const Report& report) {
  Json::Array flushes, series, ratios;
  for (const double flush : report.flush_us) flushes.push_back(Json::Double(flush));
  for (const Series& one : report.series) series.push_back(SeriesJson(one));
  for (const Ratio& ratio : Ratios(report)) ratios.push_back(RatioJson(ratio));
  return Json::MakeObject({{"directory", Json::String(report.directory)},
                           {"seed", Json::Uint(report.seed)},
                           {"flush_us", Json::MakeArray(std::move(flushes))},
                           {"series", Json::MakeArray(std::move(series))},
                           {"ratios", Json::MakeArray(std::move(ratios))}});
}

}  // namespace nimbus::bench
