// follow_bench: what a follower costs while nothing happens, and how soon it
// wakes when something does. Method and last results: README.md.
#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/child.h"
#include "bench/program.h"
#include "bench/run.h"
#include "bench/wake.h"
#include "nimbus/journal/journal.h"
#include "nimbus/projections/database.h"
#include "nimbus/schema/status.h"
#include "testing/workload.h"

namespace nimbus::bench {
namespace {

using journal::Journal;
using projections::Database;

constexpr int64_t kWaitMs = 60'000;
// Between two appends: not a multiple of any period that a follower may look at.
constexpr int64_t kPauseUs = 3'700, kPauseStepUs = 130, kPauses = 40;

// Waits again and again until the journal has `until` records.
absl::StatusOr<std::vector<Wake>> Follow(const Journal& journal, uint64_t size, uint64_t until) {
  std::vector<Wake> wakes;
  while (size < until) {
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t now, journal.WaitForMore(size, kWaitMs));
    if (now <= size) return absl::DeadlineExceededError("the follower was not woken");
    size = now;
    wakes.push_back({.size = size, .at_ns = NowNanos()});
  }
  return wakes;
}

// The other process: follows `appends` records, then says when it was woken.
absl::Status RunFollower(const std::string& store, uint64_t appends) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal,
                          Journal::Open(store, {.create = false, .read_only = true}));
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal->Size());
  std::puts("ready");
  std::fflush(stdout);
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Wake> wakes, Follow(*journal, size, size + appends));
  SayWakes(wakes);
  return absl::OkStatus();
}

// Appends now and then; when each was acknowledged.
absl::StatusOr<std::vector<Wake>> AppendSlowly(Journal* journal, Texts* texts, uint64_t operation,
                                               uint64_t appends) {
  std::vector<Wake> acknowledged;
  for (uint64_t number = 0; number < appends; ++number) {
    std::this_thread::sleep_for(std::chrono::microseconds(
        kPauseUs + kPauseStepUs * static_cast<int64_t>(number % kPauses)));
    const uint64_t round = operation + number / test::kWorkloadEvents;
    NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended,
                            journal->Append(texts->Next(0, round).Event(
                                number % test::kWorkloadEvents, texts->Sessions().front())));
    acknowledged.push_back({.size = appended.first + 1, .at_ns = NowNanos()});
  }
  return acknowledged;
}

struct Latencies {
  std::vector<double> here_ms, there_ms;
};

// A follower in this process and one in another, at once.
absl::StatusOr<Latencies> MeasureWakes(const std::string& store, uint64_t seed, uint64_t round,
                                       uint64_t appends) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  Texts texts(test::Workload(seed), 1);
  if (round == 0) {
    NIMBUS_RETURN_IF_ERROR(
        journal->Append(test::SessionStarted(texts.Sessions().front())).status());
  }
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal->Size());
  NIMBUS_ASSIGN_OR_RETURN(
      const std::unique_ptr<Child> child,
      Child::Start({"--child-of", store, "--child-appends", fmt::format("{}", appends)}));
  NIMBUS_RETURN_IF_ERROR(child->ReadLine().status());
  absl::StatusOr<std::vector<Wake>> here;
  std::thread follower([&] { here = Follow(*journal, size, size + appends); });
  const absl::StatusOr<std::vector<Wake>> acknowledged =
      AppendSlowly(journal.get(), &texts, round * (appends / test::kWorkloadEvents + 1), appends);
  if (!acknowledged.ok()) journal->Wake();
  follower.join();
  NIMBUS_RETURN_IF_ERROR(acknowledged.status());
  NIMBUS_RETURN_IF_ERROR(here.status());
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Wake> there, HearWakes(child.get()));
  NIMBUS_RETURN_IF_ERROR(child->Wait());
  Latencies latencies;
  NIMBUS_ASSIGN_OR_RETURN(latencies.here_ms, LatenciesMs(*acknowledged, *here));
  NIMBUS_ASSIGN_OR_RETURN(latencies.there_ms, LatenciesMs(*acknowledged, there));
  return latencies;
}

// Percent of a core that this process takes with its views up to date.
absl::StatusOr<double> MeasureIdle(Database* database, double seconds) {
  NIMBUS_RETURN_IF_ERROR(database->CatchUp(kWaitMs));
  const double cpu_us = CpuMicros();
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const std::chrono::duration<double, std::micro> elapsed =
      std::chrono::steady_clock::now() - begin;
  return (CpuMicros() - cpu_us) / elapsed.count() * 100;
}

Row WakeRow(const std::string& where, const std::vector<std::vector<double>>& rounds,
            double fraction, Aim aim) {
  std::vector<double> values;
  for (const std::vector<double>& latencies : rounds) {
    values.push_back(Percentile(latencies, fraction));
  }
  return MakeRow({.question = fmt::format("wake of {}, p{:.0f}", where, fraction * 100),
                  .unit = "ms",
                  .measure = Measure::kValue,
                  .aim = aim},
                 values, {});
}

absl::StatusOr<Results> Measure(const Setup& setup, uint64_t appends, double idle_seconds) {
  if (setup.quick) appends = 10, idle_seconds = 0.1;
  const std::string store = (setup.directory / "store").string();
  std::vector<std::vector<double>> here, there;
  std::vector<double> idle;
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(Latencies latencies, MeasureWakes(store, setup.seed, round, appends));
    here.push_back(std::move(latencies.here_ms));
    there.push_back(std::move(latencies.there_ms));
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database, Database::Open(store, {}));
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(
        idle.emplace_back(),
        MeasureIdle(database.get(), idle_seconds / static_cast<double>(setup.rounds)));
  }
  Results results;
  results.rows = {MakeRow({.question = "idle follower with views: CPU",
                           .unit = "% of a core",
                           .measure = Measure::kValue,
                           .aim = AtMost(1)},
                          idle, {}),
                  WakeRow("a follower in this process", here, 0.5, {}),
                  WakeRow("a follower in this process", here, 0.99, AtMost(10)),
                  WakeRow("a follower in another process", there, 0.5, {}),
                  WakeRow("a follower in another process", there, 0.99, AtMost(10))};
  return results;
}

int Main(int argc, char** argv) {
  Program program("follow_bench", "What followers cost, and how soon they wake.");
  uint64_t appends = 200, child_appends = 0;
  double idle_seconds = 5;
  std::string child_of;
  program.app()
      .add_option("--appends", appends, "To be woken by, in each round")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  program.app()
      .add_option("--idle-seconds", idle_seconds, "To do nothing for, in all rounds together")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  program.app().add_option("--child-of", child_of)->group("");
  program.app().add_option("--child-appends", child_appends)->group("");
  program.RunInstead([&](uint64_t) -> std::optional<absl::Status> {
    if (child_of.empty()) return std::nullopt;
    return RunFollower(child_of, child_appends);
  });
  return program.Main(argc, argv,
                      [&](const Setup& setup) { return Measure(setup, appends, idle_seconds); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
