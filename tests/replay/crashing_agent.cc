// An agent for recorder_crash_test: takes STEPS steps, each of which writes its
// number to the ledger, the outside world, and dies where it is told to.
//
//   crashing_agent STORE SESSION OPERATION STEPS LEDGER once|idempotent [in|after STEP]
//
// Prints the digest of the final state. Exits 3 when a step is in doubt.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "nimbus/replay/recorder.h"

namespace {

using nimbus::replay::Recorder;
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
  const absl::Status status = Record(agent, argv);
  if (status.ok()) return 0;
  fmt::print(stderr, "{}\n", status.ToString());
  return absl::IsFailedPrecondition(status) ? 3 : 1;
}
