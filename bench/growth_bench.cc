// growth_bench: whether an append costs the same, and the process takes the same
// memory, however much the journal holds. Method and last results: README.md.
#include <fmt/format.h>

#include <unistd.h>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/plot.h"
#include "bench/program.h"
#include "bench/run.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/status.h"
#include "testing/workload.h"

namespace nimbus::bench {
namespace {

using journal::Journal;

constexpr uint64_t kFirstEvents = 10'000;
constexpr uint64_t kQuickEvents = 20'000;

// What the appends since the point before cost.
struct Point {
  uint64_t events = 0;   // in the journal
  double cpu_us = 0;     // of an event
  double append_us = 0;  // median, of an operation of 24 events until it is durable
  double memory_mb = 0;  // anonymous, at the point
  double bytes = 0;      // of data.mdb that are used, per event in the journal
};

// Appends operations until the journal holds so many events.
absl::StatusOr<Point> GrowTo(Journal* journal, Texts* texts, uint64_t events) {
  const schema::Uuid session = texts->Sessions().front();
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal->Size());
  const double cpu = CpuMicros();
  std::vector<double> appends_us;
  for (uint64_t have = size; have < events; have += test::kWorkloadEvents) {
    const std::vector<schema::Event> operation =
        texts->Next(0, have / test::kWorkloadEvents).Events(session);
    const auto begin = std::chrono::steady_clock::now();
    NIMBUS_RETURN_IF_ERROR(journal->Append(operation).status());
    const auto end = std::chrono::steady_clock::now();
    appends_us.push_back(std::chrono::duration<double, std::micro>(end - begin).count());
  }
  const auto appended = static_cast<double>(appends_us.size() * test::kWorkloadEvents);
  Point point{.cpu_us = (CpuMicros() - cpu) / appended, .append_us = Median(appends_us)};
  NIMBUS_ASSIGN_OR_RETURN(point.events, journal->Size());
  NIMBUS_ASSIGN_OR_RETURN(point.memory_mb, AnonymousMemory());
  NIMBUS_ASSIGN_OR_RETURN(const journal::Stat stat, journal->GetStat());
  point.bytes = static_cast<double>(stat.bytes_used) / static_cast<double>(point.events);
  return point;
}

// 10,000, 20,000, 50,000, 100,000, … and `last`.
std::vector<uint64_t> Sizes(uint64_t last) {
  std::vector<uint64_t> sizes;
  for (uint64_t decade = kFirstEvents; decade <= last; decade *= 10) {
    for (const uint64_t step : {1u, 2u, 5u}) {
      if (decade * step <= last) sizes.push_back(decade * step);
    }
  }
  if (sizes.empty() || sizes.back() != last) sizes.push_back(last);
  return sizes;
}

absl::StatusOr<std::vector<Point>> Grow(const Setup& setup, uint64_t events) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal,
                          Journal::Open((setup.directory / "store").string(), {}));
  Texts texts(test::Workload(setup.seed), 1);
  NIMBUS_RETURN_IF_ERROR(journal->Append(test::SessionStarted(texts.Sessions().front())).status());
  std::vector<Point> points;
  for (const uint64_t size : Sizes(events)) {
    NIMBUS_ASSIGN_OR_RETURN(points.emplace_back(), GrowTo(journal.get(), &texts, size));
    if (isatty(STDERR_FILENO)) fmt::print(stderr, "{} events\n", points.back().events);
  }
  return points;
}

std::string Drawn(const std::vector<Point>& points) {
  PlotLine cpu{.name = "CPU, all threads", .points = {}};
  PlotLine append{.name = "an append of 24 events, durable, divided by 24", .points = {}};
  PlotLine memory{.name = "anonymous memory of the process", .points = {}};
  for (const Point& point : points) {
    const auto x = static_cast<double>(point.events);
    cpu.points.emplace_back(x, point.cpu_us);
    append.points.emplace_back(x, point.append_us / static_cast<double>(test::kWorkloadEvents));
    memory.points.emplace_back(x, point.memory_mb);
  }
  return SvgPlot({.x_label = "events in the journal",
                  .panels = {{.title = "us per event", .lines = {cpu, append}},
                             {.title = "MB", .lines = {memory}}}});
}

schema::Json ToJson(const std::vector<Point>& points) {
  schema::Json::Array all;
  for (const Point& point : points) {
    all.push_back(
        schema::Json::MakeObject({{"events", schema::Json::Uint(point.events)},
                                  {"cpu_us_per_event", schema::Json::Double(point.cpu_us)},
                                  {"append_us", schema::Json::Double(point.append_us)},
                                  {"anonymous_mb", schema::Json::Double(point.memory_mb)},
                                  {"bytes_per_event", schema::Json::Double(point.bytes)}}));
  }
  return schema::Json::MakeArray(std::move(all));
}

std::string ToText(const std::vector<Point>& points) {
  std::string text = fmt::format("{:>10} {:>10} {:>10} {:>10} {:>12}\n", "events", "CPU us/ev",
                                 "append us", "memory MB", "bytes/event");
  for (const Point& point : points) {
    text += fmt::format("{:>10} {:>10.1f} {:>10.0f} {:>10.1f} {:>12.0f}\n", point.events,
                        point.cpu_us, point.append_us, point.memory_mb, point.bytes);
  }
  return text;
}

// The last point against the first.
Row Growth(Row row, const std::vector<Point>& points, double Point::*figure) {
  row.peer = fmt::format("at {}", points.front().events);
  row.question = fmt::format("{} at {} events", row.question, points.back().events);
  return MakeRow(std::move(row), std::vector<double>{points.back().*figure},
                 std::vector<double>{points.front().*figure});
}

absl::StatusOr<Results> Measure(const Setup& setup, uint64_t events, const std::string& svg) {
  if (setup.quick) events = kQuickEvents;
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Point> points, Grow(setup, events));
  if (!svg.empty()) {
    std::ofstream file(svg);
    file << Drawn(points);
    if (!file.flush()) return absl::InternalError("cannot write " + svg);
  }
  Results results;
  results.rows = {Growth({.question = "CPU per event, us", .unit = "us", .aim = AtMost(1.25)},
                         points, &Point::cpu_us),
                  Growth({.question = "durable append, us", .unit = "us", .aim = AtMost(1.25)},
                         points, &Point::append_us),
                  Growth({.question = "memory, MB",
                          .unit = "MB",
                          .measure = Measure::kDifference,
                          .aim = AtMost(48)},
                         points, &Point::memory_mb)};
  results.text = ToText(points);
  results.detail = ToJson(points);
  return results;
}

int Main(int argc, char** argv) {
  Program program("growth_bench", "What an append costs as the journal grows.");
  uint64_t events = 1'000'000;
  std::string svg;
  program.app()
      .add_option("--events", events, "How far it grows")
      ->check(CLI::Range(kFirstEvents, uint64_t{1'000'000'000}))
      ->capture_default_str();
  program.app().add_option("--svg", svg, "Draw the plot into this file");
  return program.Main(argc, argv, [&](const Setup& setup) { return Measure(setup, events, svg); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
