// projection_bench: how fast the views are rebuilt from a journal of the
// canonical workload, and how far they lag behind a journal that grows. Method
// and last results: README.md.
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "bench/program.h"
#include "bench/result.h"
#include "bench/run.h"
#include "nimbus/projections/database.h"
#include "nimbus/schema/status.h"
#include "testing/workload.h"

namespace nimbus::bench {
namespace {

using projections::Database;
using projections::DatabaseOptions;
using schema::Uuid;

constexpr int64_t kWaitMs = 600'000;
constexpr uint64_t kLagOperations = 10;  // of 24 appends, in a round
constexpr uint64_t kQuickOperations = 20;
constexpr size_t kAppendTogether = 480;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

absl::Status Fill(const std::string& store, const test::Workload& workload, uint64_t operations) {
  DatabaseOptions options;
  options.views.project = false;
  NIMBUS_ASSIGN_OR_RETURN(auto database, Database::Open(store, options));
  const Uuid session = workload.SessionId(0);
  std::vector<schema::Event> events;
  events.push_back(test::SessionStarted(session));
  for (uint64_t i = 0; i < operations; ++i) {
    for (schema::Event& event : workload.Operation(i).Events(session)) {
      events.push_back(std::move(event));
    }
    if (events.size() < kAppendTogether && i + 1 < operations) continue;
    NIMBUS_RETURN_IF_ERROR(database->journal().Append(events).status());
    events.clear();
  }
  return absl::OkStatus();
}

struct Rebuild {
  double events_per_second = 0;
  double cpu_us = 0;  // of an event; compares across machines that do other things too
  double bytes = 0;   // of an event
};

absl::StatusOr<Rebuild> MeasureRebuild(const std::string& store) {
  for (const auto& entry : std::filesystem::directory_iterator(store)) {
    if (entry.path().filename().string().starts_with("views")) {
      std::filesystem::remove_all(entry.path());
    }
  }
  const double begin = Seconds(), cpu_us = CpuMicros();
  NIMBUS_ASSIGN_OR_RETURN(auto database, Database::Open(store, {}));
  NIMBUS_RETURN_IF_ERROR(database->CatchUp(kWaitMs));
  const double seconds = Seconds() - begin, cpu = CpuMicros() - cpu_us;
  NIMBUS_ASSIGN_OR_RETURN(const projections::ViewsStatus status, database->GetViewsStatus());
  database.reset();
  const auto events = static_cast<double>(status.watermark);
  return Rebuild{.events_per_second = events / seconds,
                 .cpu_us = cpu / events,
                 .bytes = static_cast<double>(std::filesystem::file_size(status.path)) / events};
}

// One writer; after each append, the milliseconds until the views show it.
absl::StatusOr<std::vector<double>> MeasureLag(const std::string& store,
                                               const test::Workload& workload,
                                               uint64_t first_operation) {
  NIMBUS_ASSIGN_OR_RETURN(auto database, Database::Open(store, {}));
  NIMBUS_RETURN_IF_ERROR(database->CatchUp(kWaitMs));
  std::vector<double> lags_ms;
  for (uint64_t i = 0; i < kLagOperations; ++i) {
    const test::WorkloadOperation operation = workload.Operation(first_operation + i);
    for (const schema::Event& event : operation.Events(workload.SessionId(0))) {
      NIMBUS_ASSIGN_OR_RETURN(const auto appended, database->journal().Append(event));
      const double begin = Seconds();
      NIMBUS_RETURN_IF_ERROR(database->WaitFor(appended.first, kWaitMs));
      lags_ms.push_back((Seconds() - begin) * 1e3);
    }
  }
  return lags_ms;
}

Row ValueRow(const char* question, const char* unit, const std::vector<double>& rounds) {
  return MakeRow({.question = question, .unit = unit, .measure = Measure::kValue}, rounds, {});
}

absl::StatusOr<Results> Measure(const Setup& setup, uint64_t operations) {
  if (setup.quick) operations = kQuickOperations;
  const std::string store = (setup.directory / "store").string();
  const test::Workload workload(setup.seed);
  NIMBUS_RETURN_IF_ERROR(Fill(store, workload, operations));
  std::vector<double> rates, cpu, bytes, lag_p50, lag_p99;
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const Rebuild rebuild, MeasureRebuild(store));
    rates.push_back(rebuild.events_per_second);
    cpu.push_back(rebuild.cpu_us);
    bytes.push_back(rebuild.bytes);
    NIMBUS_ASSIGN_OR_RETURN(const std::vector<double> lags,
                            MeasureLag(store, workload, operations + round * kLagOperations));
    lag_p50.push_back(Percentile(lags, 0.5));
    lag_p99.push_back(Percentile(lags, 0.99));
  }
  Results results;
  results.rows = {ValueRow("views rebuilt: events/s", "events/s", rates),
                  ValueRow("views rebuilt: CPU per event", "us", cpu),
                  ValueRow("views: size of an event", "bytes", bytes),
                  ValueRow("views behind an append, p50", "ms", lag_p50),
                  ValueRow("views behind an append, p99", "ms", lag_p99)};
  return results;
}

int Main(int argc, char** argv) {
  Program program("projection_bench", "Rebuilding the SQLite views, and how far they lag.");
  uint64_t operations = 2000;
  program.app()
      .add_option("--operations", operations, "Operations of 24 events to rebuild")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  return program.Main(argc, argv, [&](const Setup& setup) { return Measure(setup, operations); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
