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

struct Options {
  size_t threads = std::max(1u, std::thread::hardware_concurrency());
  uint64_t operations = 3000;  // of each thread
  std::string only;            // "journal" or "loop", for a profile of it
};

// A round of each.
struct Speeds {
  std::vector<double> rates, cpu_us;
  void Add(const Speed& speed) {
    rates.push_back(speed.events_per_second);
    cpu_us.push_back(speed.cpu_us);
  }
};

absl::StatusOr<Results> Measure(const Setup& setup, const Options& options) {
  const uint64_t operations = setup.quick ? kQuickOperations : options.operations;
  const std::string store = (setup.directory / "store").string();
  Texts texts(test::Workload(setup.seed), options.threads);
  Speeds journals, loops;
  for (size_t round = 0; round < setup.rounds; ++round) {
    if (options.only != "journal") {
      NIMBUS_ASSIGN_OR_RETURN(const Speed loop, MeasureLoop(&texts, operations));
      loops.Add(loop);
    }
    if (options.only != "loop") {
      NIMBUS_ASSIGN_OR_RETURN(const Speed journal, MeasureJournal(store, &texts, operations));
      NIMBUS_RETURN_IF_ERROR(RemoveDurably(store));
      journals.Add(journal);
    }
  }
  Results results;
  if (!options.only.empty()) {
    const Speeds& speeds = options.only == "loop" ? loops : journals;
    results.text = fmt::format("{:.0f} events/s, {:.1f} us of CPU an event\n", Median(speeds.rates),
                               Median(speeds.cpu_us));
    return results;
  }
  const std::string what = fmt::format("async relaxed, {} threads: ", options.threads);
  results.rows = {MakeRow({.question = what + "events/s",
                           .unit = "events/s",
                           .peer = "bare loop",
                           .aim = AtLeast(0.8)},
                          journals.rates, loops.rates),
                  MakeRow({.question = what + "CPU/event, us", .unit = "us", .peer = "bare loop"},
                          journals.cpu_us, loops.cpu_us)};
  return results;
}

int Main(int argc, char** argv) {
  Program program("async_bench", "Appends that nobody waits for.");
  Options options;
  program.app()
      .add_option("--threads", options.threads, "That append, and that run the loop")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  program.app()
      .add_option("--operations", options.operations, "Of 24 events, in each thread")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  program.app()
      .add_option("--only", options.only, "Run only this, for a profile of it")
      ->check(CLI::IsMember({"journal", "loop"}));
  return program.Main(argc, argv, [&](const Setup& setup) { return Measure(setup, options); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
