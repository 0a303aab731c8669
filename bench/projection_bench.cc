// How fast the views are rebuilt from a journal of the canonical workload, and
// how far they lag behind a journal that grows.
//
//   projection_bench [--operations N] [--store DIR]
//
// The wall clock and the CPU time of a rebuild are both printed: only the second
// compares across machines that do other things too.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "nimbus/projections/database.h"
#include "nimbus/schema/status.h"
#include "testing/workload.h"

namespace nimbus::bench {
namespace {

using projections::Database;
using projections::DatabaseOptions;
using schema::Uuid;

constexpr uint64_t kSeed = 2026;
constexpr int64_t kWaitMs = 600'000;
constexpr uint64_t kLagOperations = 100;
constexpr size_t kAppendTogether = 480;

// Of all threads of this process, user and system.
double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

absl::Status Fill(const std::string& store, uint64_t operations) {
  DatabaseOptions options;
  options.views.project = false;
  NIMBUS_ASSIGN_OR_RETURN(auto database, Database::Open(store, options));
  const test::Workload workload(kSeed);
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

absl::Status MeasureRebuild(const std::string& store) {
  const double begin = Seconds(), cpu_begin = CpuSeconds();
  NIMBUS_ASSIGN_OR_RETURN(auto database, Database::Open(store, {}));
  NIMBUS_RETURN_IF_ERROR(database->CatchUp(kWaitMs));
  const double caught_up = Seconds(), cpu = CpuSeconds() - cpu_begin;
  NIMBUS_ASSIGN_OR_RETURN(const projections::ViewsStatus status, database->GetViewsStatus());
  database.reset();
  const double closed = Seconds();
  const auto events = static_cast<double>(status.watermark);
  fmt::print("rebuild   {:.0f} events/s: {:.0f} in {:.2f} s; {:.1f} us of CPU each\n",
             events / (caught_up - begin), events, caught_up - begin, cpu / events * 1e6);
  fmt::print("close     {:.2f} s\n", closed - caught_up);
  fmt::print("views     {:.1f} MB, {:.0f} bytes an event\n",
             static_cast<double>(std::filesystem::file_size(status.path)) / 1e6,
             static_cast<double>(std::filesystem::file_size(status.path)) / events);
  return absl::OkStatus();
}

// One writer; after each append, the time until the views show it.
absl::Status MeasureLag(const std::string& store, uint64_t first_operation) {
  NIMBUS_ASSIGN_OR_RETURN(auto database, Database::Open(store, {}));
  NIMBUS_RETURN_IF_ERROR(database->CatchUp(kWaitMs));
  const test::Workload workload(kSeed);
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
  std::sort(lags_ms.begin(), lags_ms.end());
  fmt::print("lag       p50 {:.2f} ms, p99 {:.2f} ms, max {:.2f} ms, of {} single appends\n",
             lags_ms[lags_ms.size() / 2], lags_ms[lags_ms.size() * 99 / 100], lags_ms.back(),
             lags_ms.size());
  return absl::OkStatus();
}

absl::Status Measure(const std::string& store, uint64_t operations) {
  NIMBUS_RETURN_IF_ERROR(Fill(store, operations));
  NIMBUS_RETURN_IF_ERROR(MeasureRebuild(store));
  return MeasureLag(store, operations);
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) {
  CLI::App app("Measures rebuilding the SQLite views, and how far they lag");
  uint64_t operations = 5000;
  std::string store = "projection_bench.nimbus";
  app.add_option("--operations", operations, "Operations of 24 events to rebuild")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--store", store, "Directory to make, and to remove afterwards")
      ->check(CLI::NonexistentPath)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = nimbus::bench::Measure(store, operations);
  std::error_code not_removed;
  std::filesystem::remove_all(store, not_removed);
  if (not_removed) fmt::print(stderr, "{} is left: {}\n", store, not_removed.message());
  if (!status.ok()) fmt::print(stderr, "{}\n", status.ToString());
  return status.ok() ? 0 : 74;
}
