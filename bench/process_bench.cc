// process_bench: two processes that write one journal, as fast as they can and
// in strict turns; what they wrote is checked. Method and last results: README.md.
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/child.h"
#include "bench/program.h"
#include "bench/run.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/status.h"
#include "testing/workload.h"

namespace nimbus::bench {
namespace {

using journal::Journal;

constexpr size_t kParent = 0, kChild = 1, kWriters = 2;
constexpr char kGo[] = "go";

// Appends the events of one writer's operations, one by one, and remembers
// where they were said to be.
class Writer {
 public:
  Writer(uint64_t seed, size_t number) : texts_(test::Workload(seed), kWriters), number_(number) {}

  absl::Status Begin(Journal* journal) {
    journal_ = journal;
    return journal_->Append(test::SessionStarted(session())).status();
  }

  absl::Status Append() {
    const uint64_t count = sequences_.size();
    const test::WorkloadOperation& operation = texts_.Next(number_, count / test::kWorkloadEvents);
    NIMBUS_ASSIGN_OR_RETURN(
        const journal::Appended appended,
        journal_->Append(operation.Event(count % test::kWorkloadEvents, session())));
    sequences_.push_back(appended.first);
    return absl::OkStatus();
  }

  absl::Status AppendFor(double seconds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < deadline) NIMBUS_RETURN_IF_ERROR(Append());
    return absl::OkStatus();
  }

  // Of an operation as it was numbered when its events were appended.
  schema::Uuid OperationId(uint64_t event) {
    return texts_.Next(number_, event / test::kWorkloadEvents).id;
  }

  schema::Uuid session() const { return texts_.Sessions()[number_]; }
  const std::vector<uint64_t>& sequences() const { return sequences_; }

 private:
  Texts texts_;
  const size_t number_;
  Journal* journal_ = nullptr;
  std::vector<uint64_t> sequences_;
};

absl::StatusOr<uint64_t> Number(const std::string& text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  return schema::Error(absl::StatusCode::kInternal, "the child says '{}'", text);
}

void Say(const std::string& line) {
  std::fputs((line + '\n').c_str(), stdout);
  std::fflush(stdout);
}

bool Hear() {
  int c = 0;
  while ((c = std::getchar()) != EOF) {
    if (c == '\n') return true;
  }
  return false;
}

// The other process. Says "ready", then appends an event for every line it
// hears and says its sequence; or, told how long, appends for so long and says
// all of them at the end.
absl::Status RunChild(const std::string& store, uint64_t seed, double seconds) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  Writer writer(seed, kChild);
  NIMBUS_RETURN_IF_ERROR(writer.Begin(journal.get()));
  Say("ready");
  if (seconds > 0) {
    if (!Hear()) return absl::CancelledError("the parent has ended");
    NIMBUS_RETURN_IF_ERROR(writer.AppendFor(seconds));
    for (const uint64_t sequence : writer.sequences()) Say(fmt::format("{}", sequence));
    return absl::OkStatus();
  }
  while (Hear()) {
    NIMBUS_RETURN_IF_ERROR(writer.Append());
    Say(fmt::format("{}", writer.sequences().back()));
  }
  return absl::OkStatus();
}

// What the two processes appended, in one run.
struct Shared {
  std::vector<uint64_t> child;  // sequences
  double seconds = 0;
};

absl::StatusOr<Shared> WriteAtOnce(Child* child, Writer* writer, double seconds) {
  const auto begin = std::chrono::steady_clock::now();
  NIMBUS_RETURN_IF_ERROR(child->SendLine(kGo));
  NIMBUS_RETURN_IF_ERROR(writer->AppendFor(seconds));
  Shared shared;
  shared.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (;;) {
    const absl::StatusOr<std::string> line = child->ReadLine();
    if (absl::IsOutOfRange(line.status())) return shared;
    NIMBUS_RETURN_IF_ERROR(line.status());
    NIMBUS_ASSIGN_OR_RETURN(shared.child.emplace_back(), Number(*line));
  }
}

// Each appends when the other's event is durable.
absl::StatusOr<Shared> WriteInTurns(Child* child, Writer* writer, double seconds) {
  const auto begin = std::chrono::steady_clock::now();
  Shared shared;
  do {
    NIMBUS_RETURN_IF_ERROR(writer->Append());
    NIMBUS_RETURN_IF_ERROR(child->SendLine(kGo));
    NIMBUS_ASSIGN_OR_RETURN(const std::string line, child->ReadLine());
    NIMBUS_ASSIGN_OR_RETURN(shared.child.emplace_back(), Number(line));
    shared.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  } while (shared.seconds < seconds);
  return shared;
}

// How many of the writer's events are not where they should be: there, of the
// right operation and at the place in it, in the order they were appended.
absl::StatusOr<uint64_t> CountWrong(const Journal& journal, uint64_t seed, size_t number,
                                    const std::vector<uint64_t>& sequences) {
  Writer writer(seed, number);
  journal::Reader reader(journal);
  uint64_t wrong = 0, last = 0;
  for (uint64_t event = 0; event < sequences.size(); ++event) {
    const absl::StatusOr<const journal::RecordView*> record = reader.Read(sequences[event]);
    if (!record.ok() && !absl::IsOutOfRange(record.status())) return record.status();
    const bool right =
        record.ok() && sequences[event] > last &&
        schema::Uuid::FromFb((*record)->envelope().stream()) == writer.OperationId(event) &&
        (*record)->envelope().version() == event % test::kWorkloadEvents + 1;
    last = sequences[event];
    if (!right) ++wrong;
  }
  return wrong;
}

struct Outcome {
  double events_per_second = 0;
  double wrong = 0;
};

absl::StatusOr<Outcome> MeasureTwo(const Setup& setup, double seconds, bool in_turns) {
  const std::string store = (setup.directory / "store").string();
  Outcome outcome;
  {
    NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
    Writer writer(setup.seed, kParent);
    NIMBUS_RETURN_IF_ERROR(writer.Begin(journal.get()));
    NIMBUS_ASSIGN_OR_RETURN(
        const std::unique_ptr<Child> child,
        Child::Start({"--child-of", store, "--seed", fmt::format("{}", setup.seed),
                      "--child-seconds", fmt::format("{}", in_turns ? 0 : seconds)}));
    NIMBUS_RETURN_IF_ERROR(child->ReadLine().status());
    NIMBUS_ASSIGN_OR_RETURN(const Shared shared, in_turns
                                                     ? WriteInTurns(child.get(), &writer, seconds)
                                                     : WriteAtOnce(child.get(), &writer, seconds));
    NIMBUS_RETURN_IF_ERROR(child->Wait());
    const uint64_t events = writer.sequences().size() + shared.child.size();
    outcome.events_per_second = static_cast<double>(events) / shared.seconds;
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t parent_wrong,
                            CountWrong(*journal, setup.seed, kParent, writer.sequences()));
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t child_wrong,
                            CountWrong(*journal, setup.seed, kChild, shared.child));
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal->Size());
    // Beside the events: JournalCreated and the two sessions.
    const uint64_t expected = events + 1 + kWriters;
    outcome.wrong = static_cast<double>(parent_wrong + child_wrong +
                                        (size > expected ? size - expected : expected - size));
  }
  NIMBUS_RETURN_IF_ERROR(RemoveDurably(store));
  return outcome;
}

absl::StatusOr<Results> Measure(const Setup& setup, double seconds) {
  if (setup.quick) seconds = 0.05;
  std::vector<double> at_once, one_process, in_turns, wrong;
  Texts texts(test::Workload(setup.seed), kWriters);
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const Outcome free, MeasureTwo(setup, seconds, /*in_turns=*/false));
    NIMBUS_ASSIGN_OR_RETURN(
        const RunResult one,
        MeasurePeer(*FindPeerKind("nimbus"), {.writers = kWriters, .seconds = seconds}, texts,
                    setup.directory / "run"));
    NIMBUS_ASSIGN_OR_RETURN(const Outcome turns, MeasureTwo(setup, seconds, /*in_turns=*/true));
    at_once.push_back(free.events_per_second);
    one_process.push_back(one.EventsPerSecond());
    in_turns.push_back(turns.events_per_second);
    wrong.push_back(free.wrong + turns.wrong);
  }
  Results results;
  results.rows = {
      MakeRow({.question = "two processes: lost, reordered or added",
               .unit = "events",
               .measure = Measure::kValue,
               .aim = AtMost(0)},
              wrong, {}),
      MakeRow(
          {.question = "two processes at once: events/s", .unit = "events/s", .peer = "2 threads"},
          at_once, one_process),
      MakeRow({.question = "two processes in strict turns: events/s",
               .unit = "events/s",
               .measure = Measure::kValue},
              in_turns, {})};
  return results;
}

int Main(int argc, char** argv) {
  Program program("process_bench", "Two processes that write one journal.");
  double seconds = 0.6, child_seconds = 0;
  std::string child_of;
  program.app()
      .add_option("--seconds", seconds, "Length of one run")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  program.app().add_option("--child-of", child_of)->group("");
  program.app().add_option("--child-seconds", child_seconds)->group("");
  program.RunInstead([&](uint64_t seed) -> std::optional<absl::Status> {
    if (child_of.empty()) return std::nullopt;
    return RunChild(child_of, seed, child_seconds);
  });
  return program.Main(argc, argv, [&](const Setup& setup) { return Measure(setup, seconds); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
