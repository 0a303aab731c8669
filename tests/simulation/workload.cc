// The program whose power is cut: it appends to a journal in all the ways there
// are, and says in its trace (claims.h) what it was told.
//
//   simulation_workload STORE seed=N threads=N appends=N [large=1] [rounds=N] [pause_ms=N]
//   simulation_workload STORE follow_ms=N
//
// appends: of each thread in each round; rounds: times the store is opened and
// closed; large: bodies up to 3 MB; pause_ms: of each round, at its end. The second
// only reads, beside others, for that long.
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "journal/events.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "simulation/recorder.h"

namespace nimbus::simulation {
namespace {

using journal::Appended;
using journal::AppendOptions;
using journal::Journal;
using schema::Event;
using schema::Uuid;

struct Settings {
  std::string store;
  uint64_t seed = 0, threads = 1, appends = 1, large = 0, rounds = 1, pause_ms = 0, follow_ms = 0;
};

Settings ParseArguments(const std::vector<std::string>& arguments) {
  Settings settings{.store = arguments.at(0)};
  const std::map<std::string, uint64_t*> numbers = {
      {"seed", &settings.seed},          {"threads", &settings.threads},
      {"appends", &settings.appends},    {"large", &settings.large},
      {"rounds", &settings.rounds},      {"pause_ms", &settings.pause_ms},
      {"follow_ms", &settings.follow_ms}};
  for (size_t i = 1; i < arguments.size(); ++i) {
    const size_t equals = arguments[i].find('=');
    NIMBUS_CHECK(equals != std::string::npos);
    const std::string value = arguments[i].substr(equals + 1);
    uint64_t* number = numbers.at(arguments[i].substr(0, equals));
    NIMBUS_CHECK(std::from_chars(value.data(), value.data() + value.size(), *number).ec ==
                 std::errc());
  }
  return settings;
}

// Says that an append was acknowledged; `update`: the number of its first update.
void Acknowledge(const std::string& store, const Appended& appended, const Uuid& session,
                 std::optional<uint64_t> update) {
  std::string text = fmt::format("ack {} {} {}", appended.first, appended.count,
                                 appended.durable ? "durable" : "relaxed");
  if (update.has_value()) text += fmt::format(" {} {}", session.ToString(), *update);
  Mark(text);
  Snapshot(store + "/journal-1/wal.state");
  if (appended.first % 16 == 0) Snapshot(store + "/journal-1/lock.mdb");
}

// Appends that were not waited for.
class Unfinished {
 public:
  void Begin() {
    const std::lock_guard<std::mutex> lock(mu_);
    ++count_;
  }
  void End(const absl::Status& status) {
    const std::lock_guard<std::mutex> lock(mu_);
    if (result_.ok()) result_ = status;
    if (--count_ == 0) none_.notify_all();
  }
  absl::Status Wait() {
    std::unique_lock<std::mutex> lock(mu_);
    none_.wait(lock, [&] { return count_ == 0; });
    return result_;
  }

 private:
  std::mutex mu_;
  std::condition_variable none_;
  size_t count_ = 0;
  absl::Status result_;
};

// One thread: a session of updates, and operations in it.
class Writer {
 public:
  Writer(Journal* journal, const Settings& settings, uint64_t seed)
      : journal_(journal), settings_(settings), random_(seed) {}

  absl::Status Run() {
    NIMBUS_RETURN_IF_ERROR(Append({journal::SessionStarted(session_)}, {}, std::nullopt));
    for (uint64_t i = 0; i < settings_.appends; ++i) {
      const uint64_t what = Below(10);
      NIMBUS_RETURN_IF_ERROR(what < 5   ? Update(1)
                             : what < 7 ? Update(2 + Below(20))
                             : what < 8 ? Later()
                                        : Operation());
      if (Below(8) == 0) NIMBUS_RETURN_IF_ERROR(Flush());
    }
    return unfinished_.Wait();
  }

 private:
  uint64_t Below(uint64_t end) {
    return std::uniform_int_distribution<uint64_t>(0, end - 1)(random_);
  }

  // Text that compresses to about half.
  std::string Text(size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += fmt::format("{:016x} ", random_());
    return text;
  }

  std::string TextOfSomeSize() {
    const uint64_t what = Below(100);
    if (settings_.large != 0 && what < 4) return Text(1'000'000 + Below(2'000'000));
    if (what < (settings_.large != 0 ? 30 : 10)) return Text(20'000 + Below(80'000));
    return Text(Below(2'000));
  }

  AppendOptions SomeOptions() {
    AppendOptions options;
    if (Below(3) == 0) options.durability = journal::Durability::kRelaxed;
    return options;
  }

  absl::Status Append(const std::vector<Event>& events, const AppendOptions& options,
                      std::optional<uint64_t> update) {
    NIMBUS_ASSIGN_OR_RETURN(const Appended appended, journal_->Append(events, options));
    last_ = appended;
    Acknowledge(settings_.store, appended, session_, update);
    return absl::OkStatus();
  }

  std::vector<Event> Updates(uint64_t count) {
    std::vector<Event> events;
    for (uint64_t i = 0; i < count; ++i) {
      events.push_back(journal::SessionUpdated(session_, next_update_ + i));
      events.back().body.description = TextOfSomeSize();
    }
    next_update_ += count;
    return events;
  }

  absl::Status Update(uint64_t count) {
    AppendOptions options = SomeOptions();
    if (Below(2) == 0) options.append_id = journal::AppendIdOf(session_, next_update_);
    const uint64_t first = next_update_;
    return Append(Updates(count), options, first);
  }

  // Updates that are not waited for.
  absl::Status Later() {
    for (int i = 0; i < 3; ++i) {
      const auto done = [this, first = next_update_](const absl::StatusOr<Appended>& appended) {
        if (appended.ok()) Acknowledge(settings_.store, *appended, session_, first);
        unfinished_.End(appended.status());
      };
      unfinished_.Begin();
      const absl::Status begun = journal_->AppendAsync(Updates(1), SomeOptions(), done);
      if (!begun.ok()) unfinished_.End(begun);
      NIMBUS_RETURN_IF_ERROR(begun);
    }
    return absl::OkStatus();
  }

  absl::Status Operation() {
    const Uuid operation = schema::NewUuid(), step = schema::NewUuid();
    const std::string json = fmt::format(R"({{"text":"{}"}})", TextOfSomeSize());
    std::vector<Event> events = {
        journal::OperationCreated(operation, session_), journal::StepAdded(operation, step, json),
        journal::StepEvent<schema::fb::StepCompletedT>(operation, step, json),
        journal::CheckpointCreated(operation, schema::NewUuid(), step, json)};
    // Some are so long that their streams and steps have marks, which come every 64.
    const bool is_long = Below(4) == 0;
    for (uint64_t left = is_long ? 130 : 0; left > 0; --left) {
      events.push_back(journal::StepAdded(operation, schema::NewUuid(), "{}"));
    }
    events.push_back(journal::OperationEvent<schema::fb::OperationCompletedT>(operation, "{}"));
    const AppendOptions options = SomeOptions();
    if (is_long || Below(2) == 0) return Append(events, options, std::nullopt);
    for (const Event& event : events) {
      NIMBUS_RETURN_IF_ERROR(Append({event}, options, std::nullopt));
    }
    return absl::OkStatus();
  }

  // What this thread was told is written is durable after a flush.
  absl::Status Flush() {
    NIMBUS_RETURN_IF_ERROR(journal_->Flush());
    Mark(fmt::format("ack {} {} durable", last_.first, last_.count));
    return absl::OkStatus();
  }

  Journal* const journal_;
  const Settings& settings_;
  std::mt19937_64 random_;
  const Uuid session_ = schema::NewUuid();
  uint64_t next_update_ = 0;
  Appended last_;
  Unfinished unfinished_;
};

// Idle, with something in the trace to cut the power at.
void Pause(uint64_t ms) {
  for (uint64_t passed = 0; passed < ms; passed += 20) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    Mark("idle");
  }
}

// Says what a reader sees, until `done` returns true.
absl::Status Watch(const Journal& journal, const std::function<bool()>& done) {
  uint64_t seen = 0;
  while (!done()) {
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal.WaitForMore(seen, 20));
    if (size > seen) Mark(fmt::format("seen {}", size));
    seen = size;
  }
  return absl::OkStatus();
}

absl::Status RunRound(const Settings& settings, uint64_t round) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal,
                          Journal::Open(settings.store, {}));
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal->Size());
  Mark(fmt::format("opened {}", size));
  std::vector<absl::Status> results(settings.threads + 1);
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < settings.threads; ++i) {
    threads.emplace_back([&, i] {
      Writer writer(journal.get(), settings, settings.seed + 1000 * round + i);
      results[i] = writer.Run();
    });
  }
  std::atomic<bool> done = false;
  std::thread watcher([&] { results.back() = Watch(*journal, [&] { return done.load(); }); });
  for (std::thread& thread : threads) thread.join();
  Pause(settings.pause_ms);
  done = true;
  watcher.join();
  for (const absl::Status& result : results) NIMBUS_RETURN_IF_ERROR(result);
  return absl::OkStatus();
}

absl::Status Follow(const Settings& settings) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(settings.follow_ms);
  const auto done = [&] { return std::chrono::steady_clock::now() > end; };
  while (!done()) {
    const absl::StatusOr<std::unique_ptr<Journal>> journal =
        Journal::Open(settings.store, {.read_only = true});
    if (journal.ok()) return Watch(**journal, done);
    if (!absl::IsNotFound(journal.status())) return journal.status();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // until another has made it
  }
  return absl::OkStatus();
}

absl::Status Run(const Settings& settings) {
  if (settings.follow_ms > 0) return Follow(settings);
  for (uint64_t round = 0; round < settings.rounds; ++round) {
    NIMBUS_RETURN_IF_ERROR(RunRound(settings, round));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace nimbus::simulation

int main(int argc, char** argv) {
  namespace sim = nimbus::simulation;
  const absl::Status status = sim::Run(sim::ParseArguments({argv + 1, argv + argc}));
  if (!status.ok()) std::fputs((status.ToString() + "\n").c_str(), stderr);
  return static_cast<int>(status.code());
}
