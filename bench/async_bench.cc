// async_bench: asynchronous, relaxed appends of as many threads as there are
// processors, beside a loop that does to the same events only what has to be
// done. Method, profile and last results: README.md.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/bare_loop.h"
#include "bench/program.h"
#include "bench/run.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/status.h"
#include "testing/workload.h"

namespace nimbus::bench {
namespace {

using journal::Journal;

constexpr uint64_t kQuickOperations = 20;

struct Speed {
  double events_per_second = 0;
  double cpu_us = 0;  // of an event
};

// Runs `work(thread)` in each thread, and `end` after them; both are measured.
template <typename Work, typename End>
absl::StatusOr<Speed> MeasureThreads(size_t threads, uint64_t operations, const Work& work,
                                     const End& end) {
  std::vector<absl::Status> statuses(threads);
  std::vector<std::thread> running;
  const double cpu_us = CpuMicros();
  const auto begin = std::chrono::steady_clock::now();
  for (size_t thread = 0; thread < threads; ++thread) {
    running.emplace_back([&, thread] { statuses[thread] = work(thread); });
  }
  for (std::thread& thread : running) thread.join();
  for (const absl::Status& status : statuses) NIMBUS_RETURN_IF_ERROR(status);
  NIMBUS_RETURN_IF_ERROR(end());
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  const auto events = static_cast<double>(threads * operations * test::kWorkloadEvents);
  return Speed{.events_per_second = events / elapsed.count(),
               .cpu_us = (CpuMicros() - cpu_us) / events};
}

absl::StatusOr<Speed> MeasureLoop(Texts* texts, uint64_t operations) {
  const std::vector<schema::Uuid> sessions = texts->Sessions();
  std::atomic<uint64_t> sum = 0;
  const auto work = [&](size_t thread) {
    BareLoop loop;
    for (uint64_t number = 0; number < operations; ++number) {
      const test::WorkloadOperation& operation = texts->Next(thread, number);
      for (size_t index = 0; index < test::kWorkloadEvents; ++index) {
        loop.Add(operation.Event(index, sessions[thread]));
      }
    }
    sum += loop.Finish();
    return absl::OkStatus();
  };
  return MeasureThreads(texts->writers(), operations, work, [&] {
    return sum > 0 ? absl::OkStatus() : absl::InternalError("nothing was done");
  });
}

// Until all is on stable storage, compressed and in the tree: the journal is
// closed within the time.
absl::StatusOr<Speed> MeasureJournal(const std::string& store, Texts* texts, uint64_t operations) {
  NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  const std::vector<schema::Uuid> sessions = texts->Sessions();
  for (const schema::Uuid& session : sessions) {
    NIMBUS_RETURN_IF_ERROR(journal->Append(test::SessionStarted(session)).status());
  }
  std::atomic<uint64_t> done = 0, failed = 0;
  const journal::AppendOptions relaxed{.durability = journal::Durability::kRelaxed};
  const auto work = [&](size_t thread) {
    for (uint64_t number = 0; number < operations; ++number) {
      const test::WorkloadOperation& operation = texts->Next(thread, number);
      for (size_t index = 0; index < test::kWorkloadEvents; ++index) {
        const schema::Event event = operation.Event(index, sessions[thread]);
        NIMBUS_RETURN_IF_ERROR(journal->AppendAsync(
            {&event, 1}, relaxed, [&](const absl::StatusOr<journal::Appended>& appended) {
              ++(appended.ok() ? done : failed);
            }));
      }
    }
    return absl::OkStatus();
  };
  const auto end = [&] {
    NIMBUS_RETURN_IF_ERROR(journal->Flush());
    journal.reset();
    const uint64_t expected = texts->writers() * operations * test::kWorkloadEvents;
    if (done == expected) return absl::OkStatus();
    return schema::Error(absl::StatusCode::kInternal, "{} of {} appends succeeded, {} failed",
                         done.load(), expected, failed.load());
  };
  return MeasureThreads(texts->writers(), operations, work, end);
}

absl::StatusOr<Results> Measure(const Setup& setup, size_t threads, uint64_t operations) {
  if (setup.quick) operations = kQuickOperations;
  Texts texts(test::Workload(setup.seed), threads);
  std::vector<double> journal_rates, loop_rates, journal_cpu, loop_cpu;
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const Speed loop, MeasureLoop(&texts, operations));
    const std::string store = (setup.directory / "store").string();
    NIMBUS_ASSIGN_OR_RETURN(const Speed journal, MeasureJournal(store, &texts, operations));
    NIMBUS_RETURN_IF_ERROR(RemoveDurably(store));
    loop_rates.push_back(loop.events_per_second);
    loop_cpu.push_back(loop.cpu_us);
    journal_rates.push_back(journal.events_per_second);
    journal_cpu.push_back(journal.cpu_us);
  }
  Results results;
  results.rows = {
      MakeRow({.question = fmt::format("async relaxed, {} threads: events/s", threads),
               .unit = "events/s",
               .peer = "bare loop",
               .aim = AtLeast(0.8)},
              journal_rates, loop_rates),
      MakeRow({.question = fmt::format("async relaxed, {} threads: CPU/event, us", threads),
               .unit = "us",
               .peer = "bare loop"},
              journal_cpu, loop_cpu)};
  return results;
}

int Main(int argc, char** argv) {
  Program program("async_bench", "Appends that nobody waits for.");
  size_t threads = std::max(1u, std::thread::hardware_concurrency());
  uint64_t operations = 3000;
  program.app()
      .add_option("--threads", threads, "That append, and that run the loop")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  program.app()
      .add_option("--operations", operations, "Of 24 events, in each thread")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  return program.Main(argc, argv,
                      [&](const Setup& setup) { return Measure(setup, threads, operations); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
