// replay_bench: how fast recorded steps are folded, what the state at any step of a
// very long run costs, and how verification of many runs uses processors. Method and
// last results: README.md.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/child.h"
#include "bench/program.h"
#include "bench/run.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/reader.h"
#include "nimbus/replay/bisect.h"
#include "nimbus/replay/forks.h"
#include "nimbus/replay/patch.h"
#include "nimbus/replay/recorder.h"
#include "nimbus/replay/session.h"
#include "nimbus/replay/state.h"
#include "nimbus/replay/verify.h"
#include "nimbus/schema/status.h"
#include "testing/workload.h"

namespace nimbus::bench {
namespace {

namespace fs = std::filesystem;
using journal::Journal;
using schema::Event;
using schema::Json;
using schema::Uuid;
using schema::fb::EntityKind;

constexpr uint64_t kQuickSteps = 2000;
constexpr uint64_t kShortSteps = 10'000;  // a run that the long one is compared with
constexpr uint64_t kRuns = 64;            // to verify
constexpr size_t kAppendEvents = 4000;    // of one append
constexpr size_t kMessagesMax = 40;       // that the state keeps

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::unique_ptr<schema::fb::Id> IdPtr(const Uuid& id) {
  return std::make_unique<schema::fb::Id>(id.ToFb());
}

// What steps are given and return: of the canonical workload, 400 and 1,500 bytes, or
// as little as there can be.
class StepTexts {
 public:
  struct Texts {
    std::string input, output;
  };

  StepTexts() : texts_{{.input = R"({"command":"make"})", .output = R"({"exit":0})"}} {}
  explicit StepTexts(uint64_t seed) {
    const test::Workload workload(seed);
    for (uint64_t number = 0; number < kOperations; ++number) {
      for (const test::WorkloadStep& step : workload.Operation(number).steps) {
        texts_.push_back({.input = step.input, .output = step.output});
      }
    }
  }

  const Texts& operator[](uint64_t step) const { return texts_[step % texts_.size()]; }

 private:
  static constexpr uint64_t kOperations = 100;
  std::vector<Texts> texts_;
};

// Records a run as an agent does that keeps its last messages and a counter as its
// state: a patch of some 400 bytes a step, a state of some 12 KB.
class Recording {
 public:
  Recording(Journal* journal, const Uuid& operation, const StepTexts& texts)
      : journal_(*journal), operation_(operation), texts_(texts) {}

  absl::Status Run(const Uuid& session, uint64_t steps) {
    NIMBUS_RETURN_IF_ERROR(Begin(session));
    for (uint64_t number = 1; number <= steps; ++number) {
      NIMBUS_RETURN_IF_ERROR(AddStep(number));
      if (events_.size() + 3 > kAppendEvents) NIMBUS_RETURN_IF_ERROR(Append());
    }
    return Append();
  }

 private:
  absl::Status Begin(const Uuid& session) {
    NIMBUS_ASSIGN_OR_RETURN(replay::State state,
                            replay::State::Make(Json::MakeObject(
                                {{"messages", Json::MakeArray()}, {"step", Json::Uint(0)}})));
    state_.emplace(std::move(state));
    schema::fb::OperationCreatedT created;
    created.session = IdPtr(session);
    created.type = "chat";
    Add(std::move(created));
    Add(schema::fb::OperationStartedT()).body.state = state_->Text();
    return absl::OkStatus();
  }

  absl::Status AddStep(uint64_t number) {
    const Uuid step = schema::NewUuid();
    schema::fb::StepAddedT added;
    added.step = IdPtr(step);
    added.type = schema::fb::StepType::tool_call;
    added.tool_name = "bash";
    Add(std::move(added)).body.input = texts_[number].input;
    NIMBUS_ASSIGN_OR_RETURN(const replay::StateChange change, state_->Record(Patch(number)));
    schema::fb::StepCompletedT completed;
    completed.step = IdPtr(step);
    Event& event = Add(std::move(completed));
    event.body.output = texts_[number].output;
    event.body.patch = change.patch;
    if (change.digest.has_value()) {
      event.body.digest = std::make_unique<schema::fb::Digest>(schema::ToFb(*change.digest));
    }
    if (change.checkpoint_due) AddCheckpoint(step);
    return absl::OkStatus();
  }

  void AddCheckpoint(const Uuid& step) {
    schema::fb::CheckpointCreatedT checkpoint;
    checkpoint.checkpoint = IdPtr(schema::NewUuid());
    checkpoint.step = IdPtr(step);
    Event& event = Add(std::move(checkpoint));
    event.body.state = state_->Text();
    event.body.digest = std::make_unique<schema::fb::Digest>(schema::ToFb(state_->Digest()));
    state_->MarkCheckpoint();
  }

  static Json Patch(uint64_t number) {
    const auto change = [](const char* op, const char* path, std::optional<Json> value) {
      Json item = Json::MakeObject({{"op", Json::String(op)}, {"path", Json::String(path)}});
      if (value.has_value()) item.Set("value", *std::move(value));
      return item;
    };
    std::string text = fmt::format("step {}:", number);
    for (uint64_t word = number; text.size() < 250; word = word * 6364136223846793005u + 1) {
      text += fmt::format(" {:x}", word >> 48);
    }
    Json::Array changes;
    changes.push_back(change(
        "add", "/messages/-",
        Json::MakeObject({{"role", Json::String("tool")}, {"content", Json::String(text)}})));
    if (number > kMessagesMax) changes.push_back(change("remove", "/messages/0", std::nullopt));
    changes.push_back(change("replace", "/step", Json::Uint(number)));
    return Json::MakeArray(std::move(changes));
  }

  template <typename Payload>
  Event& Add(Payload payload) {
    events_.push_back(schema::MakeEvent(EntityKind::operation, operation_, std::move(payload)));
    return events_.back();
  }

  absl::Status Append() {
    NIMBUS_RETURN_IF_ERROR(
        journal_.Append(events_, {.durability = journal::Durability::kRelaxed}).status());
    events_.clear();
    return absl::OkStatus();
  }

  Journal& journal_;
  const Uuid operation_;
  const StepTexts& texts_;
  std::optional<replay::State> state_;
  std::vector<Event> events_;
};

// A store of so many runs, each of so many steps.
absl::StatusOr<std::vector<Uuid>> RecordRuns(const fs::path& store, uint64_t runs, uint64_t steps,
                                             const StepTexts& texts) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal,
                          Journal::Open(store.string(), {}));
  const Uuid session = schema::NewUuid();
  NIMBUS_RETURN_IF_ERROR(journal->Append(test::SessionStarted(session)).status());
  std::vector<Uuid> operations;
  for (uint64_t run = 0; run < runs; ++run) {
    operations.push_back(schema::NewUuid());
    NIMBUS_RETURN_IF_ERROR(Recording(journal.get(), operations.back(), texts).Run(session, steps));
  }
  return operations;
}

absl::StatusOr<std::unique_ptr<Journal>> OpenToRead(const fs::path& store) {
  return Journal::Open(store.string(), {.create = false, .read_only = true});
}

// What has to be done to every record and body, by whoever reads them. This and the
// next one are in seconds of the processor: they wait for nothing.
absl::StatusOr<double> ReadAll(const Journal& journal) {
  const double begin = CpuMicros();
  journal::Reader reader(journal);
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* record, reader.Next());
    if (record == nullptr) break;
    NIMBUS_RETURN_IF_ERROR(reader.Body(*record).status());
  }
  return (CpuMicros() - begin) / 1e6;
}

absl::StatusOr<double> FoldAll(const Journal& journal, const Uuid& operation) {
  const double begin = CpuMicros();
  NIMBUS_ASSIGN_OR_RETURN(replay::Session session, replay::Session::Open(journal, operation));
  session.Rewind();
  uint64_t steps = 0;
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<replay::Moment> moment, session.Next());
    if (!moment.has_value()) break;
    NIMBUS_RETURN_IF_ERROR(moment->fold);
    steps += moment->kind == replay::Moment::Kind::kStep;
  }
  if (steps == session.StepCount()) return (CpuMicros() - begin) / 1e6;
  return absl::DataLossError("not all steps were folded");
}

absl::StatusOr<double> VerifyAll(const Journal& journal, const std::vector<Uuid>& operations,
                                 unsigned threads) {
  std::atomic<size_t> next = 0;
  std::vector<absl::Status> statuses(threads);
  const auto work = [&](absl::Status* status) {
    for (size_t i = next++; i < operations.size() && status->ok(); i = next++) {
      const auto report = replay::ReplayOperation(journal, operations[i], {});
      *status = report.ok() && !report->holds() ? absl::InternalError("it does not reproduce")
                                                : report.status();
    }
  };
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i) others.emplace_back(work, &statuses[i]);
  work(&statuses[0]);
  for (std::thread& other : others) other.join();
  for (const absl::Status& status : statuses) NIMBUS_RETURN_IF_ERROR(status);
  return SecondsSince(begin);
}

// In MB. Pages of the memory map are the page cache's, and not in it.
double AnonymousMemory() {
  std::ifstream status("/proc/self/status");
  constexpr std::string_view kKey = "RssAnon:";
  uint64_t kilobytes = 0;
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(kKey)) continue;
    const size_t digits = line.find_first_of("0123456789");
    std::from_chars(line.data() + digits, line.data() + line.size(), kilobytes);
  }
  return static_cast<double>(kilobytes) / 1e3;
}

// In a process of its own: prints milliseconds, and megabytes when it is there.
absl::Status SeekInChild(const std::string& store, const std::string& operation, uint32_t step) {
  const auto begin = std::chrono::steady_clock::now();
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, OpenToRead(store));
  NIMBUS_ASSIGN_OR_RETURN(const Uuid id, schema::ParseUuid(operation));
  NIMBUS_ASSIGN_OR_RETURN(replay::Session session, replay::Session::Open(*journal, id));
  NIMBUS_RETURN_IF_ERROR(session.SeekToStep(step));
  const std::string text = session.state().Text();
  fmt::print("{} {} {}\n", SecondsSince(begin) * 1e3, AnonymousMemory(), text.size());
  return absl::OkStatus();
}

struct Sought {
  double ms = 0, mb = 0;
};

absl::StatusOr<Sought> Seek(const fs::path& store, const Uuid& operation, uint64_t step) {
  NIMBUS_ASSIGN_OR_RETURN(
      const std::unique_ptr<Child> child,
      Child::Start({"--child-of", store.string(), "--child-operation", operation.ToString(),
                    "--child-step", fmt::format("{}", step)}));
  NIMBUS_ASSIGN_OR_RETURN(const std::string line, child->ReadLine());
  NIMBUS_RETURN_IF_ERROR(child->Wait());
  Sought sought;
  size_t bytes = 0;
  if (std::sscanf(line.c_str(), "%lf %lf %zu", &sought.ms, &sought.mb, &bytes) == 3) return sought;
  return absl::InternalError("the child said: " + line);
}

absl::Status MeasureFold(const Setup& setup, uint64_t steps, Results* results) {
  const fs::path store = setup.directory / "fold";
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Uuid> operations,
                          RecordRuns(store, 1, steps, StepTexts(setup.seed)));
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, OpenToRead(store));
  std::vector<double> fold, read, verify;
  const auto per_second = [&](double seconds) { return static_cast<double>(steps) / seconds; };
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const double read_s, ReadAll(*journal));
    NIMBUS_ASSIGN_OR_RETURN(const double fold_s, FoldAll(*journal, operations[0]));
    NIMBUS_ASSIGN_OR_RETURN(const double verify_s, VerifyAll(*journal, operations, 1));
    read.push_back(per_second(read_s));
    fold.push_back(per_second(fold_s));
    verify.push_back(per_second(verify_s));
  }
  results->rows.push_back(MakeRow({.question = fmt::format("fold {} steps: steps/s", steps),
                                   .unit = "steps/s",
                                   .peer = "read all records and bodies",
                                   .aim = AtLeast(0.7)},
                                  fold, read));
  results->rows.push_back(MakeRow({.question = fmt::format("verify {} steps: steps/s", steps),
                                   .unit = "steps/s",
                                   .peer = "read all records and bodies"},
                                  verify, read));
  return absl::OkStatus();
}

Row ValueRow(const std::string& question, Aim aim, const std::vector<double>& ms) {
  return MakeRow({.question = question + ", ms",
                  .unit = "ms",
                  .peer = {},
                  .measure = Measure::kValue,
                  .aim = aim},
                 ms, {});
}

// What must not take a long run from one end to the other: to bisect it, to plan a fork
// of it, and to begin to execute it again.
absl::Status MeasureVerbs(const Setup& setup, const fs::path& store, const Uuid& operation,
                          uint64_t steps, Results* results) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, OpenToRead(store));
  const auto judge = [&](const replay::Trial& trial) -> absl::StatusOr<replay::Judgement> {
    return trial.step > steps / 3 ? replay::Judgement::kBad : replay::Judgement::kGood;
  };
  const replay::RecorderOptions again{.mode = replay::RecorderOptions::Mode::kReexecute};
  const std::pair<std::string, std::function<absl::Status()>> verbs[] = {
      {"bisect {} steps",
       [&] { return replay::BisectOperation(*journal, operation, judge, {}).status(); }},
      {"plan a fork at the end of {} steps",
       [&] {
         return replay::PlanFork(*journal, operation, {.kind = replay::Point::Kind::kEnd}).status();
       }},
      {"open a recording of {} steps to execute it again", [&] {
         return replay::Recorder::Open(journal.get(),
                                       {.id = operation, .type = "chat", .input = "null"}, again)
             .status();
       }}};
  for (const auto& [question, verb] : verbs) {
    std::vector<double> ms;
    for (size_t round = 0; round < setup.rounds; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      NIMBUS_RETURN_IF_ERROR(verb());
      ms.push_back(SecondsSince(begin) * 1e3);
    }
    results->rows.push_back(ValueRow(fmt::format(fmt::runtime(question), steps), AtMost(300), ms));
  }
  return absl::OkStatus();
}

absl::Status MeasureSeek(const Setup& setup, uint64_t steps, Results* results) {
  const fs::path store = setup.directory / "long", other = setup.directory / "short";
  const uint64_t few = std::min(steps, kShortSteps);
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Uuid> run, RecordRuns(store, 1, steps, StepTexts()));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Uuid> short_run,
                          RecordRuns(other, 1, few, StepTexts()));
  std::vector<double> last_ms, middle_ms, short_ms, last_mb, short_mb;
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const Sought last, Seek(store, run[0], steps));
    NIMBUS_ASSIGN_OR_RETURN(const Sought middle, Seek(store, run[0], steps / 2));
    NIMBUS_ASSIGN_OR_RETURN(const Sought shorter, Seek(other, short_run[0], few));
    last_ms.push_back(last.ms);
    middle_ms.push_back(middle.ms);
    short_ms.push_back(shorter.ms);
    last_mb.push_back(std::max(last.mb, middle.mb));
    short_mb.push_back(shorter.mb);
  }
  const std::string of = fmt::format("of {} steps", steps);
  const std::string peer = fmt::format("of {} steps", few);
  results->rows.push_back(ValueRow("state after the last " + of, AtMost(300), last_ms));
  results->rows.push_back(ValueRow("state after the middle " + of, AtMost(300), middle_ms));
  results->rows.push_back(MakeRow({.question = fmt::format("the same {}, MB", of),
                                   .unit = "MB",
                                   .peer = peer,
                                   .measure = Measure::kDifference,
                                   .aim = AtMost(4)},
                                  last_mb, short_mb));
  results->rows.push_back(ValueRow("(run to compare: the last, of fewer) " + of, {}, short_ms));
  return MeasureVerbs(setup, store, run[0], steps, results);
}

absl::Status MeasureThreads(const Setup& setup, uint64_t steps, Results* results) {
  const fs::path store = setup.directory / "many";
  const uint64_t each = std::max<uint64_t>(steps / kRuns, 10);
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Uuid> runs,
                          RecordRuns(store, kRuns, each, StepTexts(setup.seed)));
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, OpenToRead(store));
  std::vector<double> one, two;
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const double one_s, VerifyAll(*journal, runs, 1));
    NIMBUS_ASSIGN_OR_RETURN(const double two_s, VerifyAll(*journal, runs, 2));
    one.push_back(static_cast<double>(kRuns * each) / one_s);
    two.push_back(static_cast<double>(kRuns * each) / two_s);
  }
  results->rows.push_back(
      MakeRow({.question = fmt::format("verify {} runs, 2 threads: steps/s", kRuns),
               .unit = "steps/s",
               .peer = "1 thread",
               .aim = AtLeast(1.6)},
              two, one));
  return absl::OkStatus();
}

absl::StatusOr<Results> MeasureAll(const Setup& setup, uint64_t steps, uint64_t long_steps) {
  if (setup.quick) steps = long_steps = kQuickSteps;
  Results results;
  NIMBUS_RETURN_IF_ERROR(MeasureFold(setup, steps, &results));
  NIMBUS_RETURN_IF_ERROR(MeasureSeek(setup, long_steps, &results));
  NIMBUS_RETURN_IF_ERROR(MeasureThreads(setup, steps, &results));
  return results;
}

int Main(int argc, char** argv) {
  Program program("replay_bench", "Folding, seeking and verifying recorded runs.");
  uint64_t steps = 100'000, long_steps = 1'000'000;
  std::string child_of, child_operation;
  uint32_t child_step = 0;
  const auto count = CLI::Range(uint64_t{100}, uint64_t{100'000'000});
  program.app()
      .add_option("--steps", steps, "Of the run to fold")
      ->check(count)
      ->capture_default_str();
  program.app()
      .add_option("--long-steps", long_steps, "Of the run to seek in")
      ->check(count)
      ->capture_default_str();
  program.app().add_option("--child-of", child_of)->group("");
  program.app().add_option("--child-operation", child_operation)->group("");
  program.app().add_option("--child-step", child_step)->group("");
  program.RunInstead([&](uint64_t) -> std::optional<absl::Status> {
    if (child_of.empty()) return std::nullopt;
    return SeekInChild(child_of, child_operation, child_step);
  });
  return program.Main(argc, argv,
                      [&](const Setup& setup) { return MeasureAll(setup, steps, long_steps); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
