// An agent for recorder_crash_test: takes STEPS steps, each of which writes its
// number to the ledger, the outside world, and dies where it is told to.
//
//   crashing_agent STORE SESSION OPERATION STEPS LEDGER once|idempotent [in|after STEP]
//   crashing_agent STORE SESSION OPERATION 0 LEDGER everything|reexecute [at EVENT]
//
// The second records something of each kind, and dies while an event of this run is
// appended, counted from 1; or executes that again, and exits 1 unless it holds.
// Prints the digest of the final state. Exits 3 when a step is in doubt.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "nimbus/replay/recorder.h"

namespace {

using nimbus::replay::BegunStep;
using nimbus::replay::Recorder;
using nimbus::replay::RecorderOptions;
using nimbus::replay::StepCall;
using nimbus::replay::StepResult;
using nimbus::schema::Json;
using nimbus::schema::Uuid;

void Die() { kill(getpid(), SIGKILL); }

absl::Status WriteLedger(const std::string& path, int number) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return absl::InternalError("no ledger");
  const std::string line = std::to_string(number) + "\n";
  const ssize_t written = write(file, line.data(), line.size());
  close(file);
  return written == static_cast<ssize_t>(line.size()) ? absl::OkStatus()
                                                      : absl::InternalError("ledger not written");
}

struct Agent {
  std::string ledger;
  bool idempotent = false;
  int die_in = 0, die_after = 0;

  absl::Status Run(Recorder& recorder, int steps) const {
    for (int number = 1; number <= steps; ++number) {
      const auto step = recorder.Step(
          {.tool_name = "ledger",
           .input = fmt::format(R"({{"number":{}}})", number),
           .idempotent = idempotent},
          [&]() -> absl::StatusOr<StepResult> {
            if (const absl::Status status = WriteLedger(ledger, number); !status.ok()) {
              return status;
            }
            if (number == die_in) Die();
            Json state = recorder.state();
            state.array().push_back(
                Json::String(fmt::format("{} {}", number, std::string(300, 'x'))));
            return StepResult{.output = std::to_string(number), .state = std::move(state)};
          });
      if (!step.ok()) return step.status();
      if (number == die_after) Die();
    }
    return recorder.Complete();
  }
};

// The journal asks for the time of what it is about to write.
class DeadlyClock final : public nimbus::schema::Clock {
 public:
  int64_t NowMicros() override {
    if (--left_ == 0) Die();
    return nimbus::schema::SystemClock().NowMicros();
  }
  void Arm(int die_at) { left_ = die_at; }

 private:
  std::atomic<int> left_ = 0;
};

// Steps one by one, with attempts, in parallel and on threads; values, checkpoints.
class Everything {
 public:
  Everything(Recorder* recorder, std::string ledger)
      : recorder_(*recorder), ledger_(std::move(ledger)) {}

  absl::Status Run() {
    // An input made of a value that was made anew would be a divergence.
    absl::StatusOr<std::string> random = recorder_.Random(8);
    if (!random.ok()) return random.status();
    const absl::StatusOr<int64_t> now = recorder_.Now();
    if (!now.ok()) return now.status();
    absl::Status status = recorder_.Step(Call(1, *now), [&] { return Work(1); }).status();
    if (status.ok()) status = RunWithAttempts();
    if (status.ok()) status = recorder_.Checkpoint("tried");
    if (status.ok()) status = RunInParallel();
    if (status.ok()) status = RunOnThreads();
    if (status.ok()) status = recorder_.Checkpoint("done");
    if (!status.ok()) return status;
    const absl::StatusOr<Uuid> id = recorder_.NewId();  // nothing but the end depends on it
    if (!id.ok()) return id.status();
    return recorder_.Complete(Json::String("done").Dump());
  }

 private:
  static StepCall Call(int number, int64_t value = 0) {
    return {.tool_name = "ledger",
            .input = fmt::format(R"({{"number":{},"value":{}}})", number, value),
            .idempotent = true};
  }

  absl::StatusOr<StepResult> Work(int number) const {
    if (const absl::Status status = WriteLedger(ledger_, number); !status.ok()) return status;
    StepResult result;
    result.output = std::to_string(number);
    result.patch =
        Json::MakeArray({Json::MakeObject({{"op", Json::String("add")},
                                           {"path", Json::String(fmt::format("/step{}", number))},
                                           {"value", Json::String(std::string(3000, 'x'))}})});
    result.outcome.tokens_used = static_cast<uint64_t>(number);
    return result;
  }

  absl::Status RunWithAttempts() {
    absl::StatusOr<BegunStep> begun = recorder_.BeginStep(Call(2));
    if (!begun.ok() || begun->recorded.has_value()) return begun.status();
    if (begun->attempt == 1) {
      absl::Status status = recorder_.AttemptFailed(2, {.error = "not yet"});
      if (status.ok()) status = recorder_.BeginAttempt(2).status();
      if (!status.ok()) return status;
    }
    return End(2);
  }

  absl::Status End(uint32_t number) {
    absl::StatusOr<StepResult> result = Work(static_cast<int>(number));
    if (!result.ok()) return result.status();
    return recorder_.EndStep(number, *std::move(result)).status();
  }

  // Ended in another order than begun, with values between.
  absl::Status RunInParallel() {
    std::vector<uint32_t> open;
    for (const int number : {3, 4, 5}) {
      const absl::StatusOr<int64_t> now = recorder_.Now();
      if (!now.ok()) return now.status();
      const absl::StatusOr<BegunStep> begun = recorder_.BeginStep(Call(number, *now));
      if (!begun.ok()) return begun.status();
      if (!begun->recorded.has_value()) open.insert(open.begin(), begun->number);
    }
    for (const uint32_t number : open) {
      if (const absl::Status ended = End(number); !ended.ok()) return ended;
    }
    return absl::OkStatus();
  }

  absl::Status RunOnThreads() {
    std::vector<Recorder::ParallelStep> steps;
    for (const int number : {6, 7}) {
      steps.push_back({Call(number), [this, number] { return Work(number); }});
    }
    return recorder_.Parallel(steps).status();
  }

  Recorder& recorder_;
  const std::string ledger_;
};

absl::Status RecordEverything(char** argv, int die_at) {
  DeadlyClock clock;
  nimbus::journal::Options of_journal;
  of_journal.clock = &clock;
  absl::StatusOr<std::unique_ptr<nimbus::journal::Journal>> journal =
      nimbus::journal::Journal::Open(argv[1], of_journal);
  if (!journal.ok()) return journal.status();
  clock.Arm(die_at);
  const bool again = std::string(argv[6]) == "reexecute";
  RecorderOptions options;
  if (again) options.mode = RecorderOptions::Mode::kReexecute;
  absl::StatusOr<Recorder> recorder =
      Recorder::Open(journal->get(),
                     {.id = nimbus::schema::ParseUuid(argv[3]).value_or(Uuid()),
                      .session = nimbus::schema::ParseUuid(argv[2]).value_or(Uuid()),
                      .type = "deploy",
                      .state = Json::MakeObject()},
                     options);
  if (!recorder.ok()) return recorder.status();
  const absl::Status status = Everything(&*recorder, argv[5]).Run();
  if (!status.ok()) return status;
  if (again && !recorder->report().holds()) {
    return absl::InternalError(recorder->report().ToJson().Dump());
  }
  fmt::print("{}\n", nimbus::schema::ToHex(nimbus::schema::StateDigest(recorder->state())));
  return absl::OkStatus();
}

absl::Status Record(const Agent& agent, char** argv) {
  absl::StatusOr<std::unique_ptr<nimbus::journal::Journal>> journal =
      nimbus::journal::Journal::Open(argv[1], {});
  if (!journal.ok()) return journal.status();
  absl::StatusOr<Recorder> recorder = Recorder::Open(
      journal->get(), {.id = nimbus::schema::ParseUuid(argv[3]).value_or(Uuid()),
                       .session = nimbus::schema::ParseUuid(argv[2]).value_or(Uuid()),
                       .type = "deploy",
                       .state = Json::MakeArray()});
  if (!recorder.ok()) return recorder.status();
  if (const absl::Status status = agent.Run(*recorder, std::atoi(argv[4])); !status.ok()) {
    return status;
  }
  fmt::print("{}\n", nimbus::schema::ToHex(nimbus::schema::StateDigest(recorder->state())));
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7 && argc != 9) return 64;
  Agent agent{.ledger = argv[5], .idempotent = std::string(argv[6]) == "idempotent"};
  if (argc == 9) {
    (std::string(argv[7]) == "in" ? agent.die_in : agent.die_after) = std::atoi(argv[8]);
  }
  const std::string mode = argv[6];
  const bool everything = mode == "everything" || mode == "reexecute";
  const absl::Status status =
      everything ? RecordEverything(argv, argc == 9 ? std::atoi(argv[8]) : 0) : Record(agent, argv);
  if (status.ok()) return 0;
  fmt::print(stderr, "{}\n", status.ToString());
  return absl::IsFailedPrecondition(status) ? 3 : 1;
}
