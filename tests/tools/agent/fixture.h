// Agent programs under `nimbus record` and `nimbus-replay exec`.
#pragma once

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "nimbus/journal/journal.h"
#include "nimbus/replay/verify.h"
#include "tools/nimbus/fixture.h"

namespace nimbus::tools {

// A client for programs in Python that send what the real one would not: `send` a request,
// take an `answer`, or `call`, which does both, prints an error, and returns the result.
inline constexpr char kPythonCalls[] = R"py(
import json, os
requests = os.fdopen(int(os.environ["NIMBUS_RPC_WRITE"]), "wb")
replies = os.fdopen(int(os.environ["NIMBUS_RPC_READ"]), "rb")
def send(method, **params):
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    requests.write(json.dumps(message).encode() + b"\n"); requests.flush()
def answer():
    return json.loads(replies.readline())
def call(method, **params):
    send(method, **params)
    reply = answer()
    if "error" in reply: print(method, reply["error"]["message"])
    return reply.get("result")
)py";

class AgentTest : public CommandLineTest {
 protected:
  void SetUp() override { ASSERT_EQ(Nimbus({"init"}).exit_code, 0); }

  test::ProgramOptions AgentOptions(std::vector<std::string> argv) const {
    test::ProgramOptions options = Options(std::move(argv));
    options.environment.push_back("PYTHONPATH=" NIMBUS_CLIENTS "/python");
    options.environment.push_back("PYTHONDONTWRITEBYTECODE=1");
    return options;
  }

  test::Finished RunAgent(std::vector<std::string> argv, const std::string& input = {}) const {
    test::ProgramOptions options = AgentOptions(std::move(argv));
    options.input = input;
    const absl::StatusOr<test::Finished> run = test::RunProgram(options);
    EXPECT_THAT(run, test::IsOk());
    return run.value_or(test::Finished{.exit_code = -1});
  }

  static std::vector<std::string> Joined(std::vector<std::string> words,
                                         const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  test::Finished Record(const std::vector<std::string>& arguments,
                        const std::string& input = {}) const {
    return RunAgent(Joined({NIMBUS_PROGRAM, "record"}, arguments), input);
  }

  test::Finished Execute(const std::vector<std::string>& arguments,
                         const std::string& input = {}) const {
    return RunAgent(Joined({NIMBUS_REPLAY_PROGRAM, "exec"}, arguments), input);
  }

  // The report that --json prints last.
  static schema::Json Report(const test::Finished& run) {
    const size_t end = run.out.find_last_not_of('\n') + 1;
    const size_t before = run.out.rfind('\n', end - 1);
    const size_t begin = before == std::string::npos ? 0 : before + 1;
    const absl::StatusOr<schema::Json> json =
        schema::Json::Parse(run.out.substr(begin, end - begin));
    EXPECT_THAT(json, test::IsOk()) << run.out << run.err;
    return json.value_or(schema::Json::MakeObject());
  }

  // Waits until the program has printed `text`.
  static void AwaitOutput(const test::Program& program, std::string_view text) {
    constexpr int kLooksMax = 6000;
    for (int look = 0; look < kLooksMax; ++look) {
      if (program.OutputSoFar().find(text) != std::string::npos) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "'" << text << "' was not printed: " << program.OutputSoFar();
  }

  struct Operation {
    journal::Lifecycle status = journal::Lifecycle::kPending;
    uint32_t steps = 0;
    std::string digest;  // of its last state
  };

  // The events of an operation; 0 when there is none.
  uint64_t CountEvents(const std::string& id) const {
    const auto journal =
        journal::Journal::Open(Path("store"), {.create = false, .read_only = true});
    EXPECT_THAT(journal, test::IsOk());
    const absl::StatusOr<schema::Uuid> uuid = schema::ParseUuid(id);
    EXPECT_THAT(uuid, test::IsOk()) << id;
    if (!journal.ok() || !uuid.ok()) return 0;
    const auto entity = (*journal)->FindEntity(schema::fb::EntityKind::operation, *uuid);
    EXPECT_THAT(entity, test::IsOk());
    return entity.ok() && entity->has_value() ? (*entity)->version : 0;
  }

  // The operation as the journal has it, replayed.
  Operation ReadOperation(const std::string& id) const {
    Operation operation;
    const auto journal =
        journal::Journal::Open(Path("store"), {.create = false, .read_only = true});
    EXPECT_THAT(journal, test::IsOk());
    const absl::StatusOr<schema::Uuid> uuid = schema::ParseUuid(id);
    EXPECT_THAT(uuid, test::IsOk()) << id;
    if (!journal.ok() || !uuid.ok()) return operation;
    const auto entity = (*journal)->FindEntity(schema::fb::EntityKind::operation, *uuid);
    EXPECT_THAT(entity, test::IsOk());
    EXPECT_TRUE(entity.ok() && entity->has_value());
    const auto report = replay::ReplayOperation(**journal, *uuid, {});
    EXPECT_THAT(report, test::IsOk());
    if (!report.ok() || !entity.ok() || !entity->has_value()) return operation;
    EXPECT_TRUE(report->holds()) << report->ToJson().Dump();
    operation.status = static_cast<journal::Lifecycle>((*entity)->state);
    operation.steps = (*entity)->steps;
    if (report->digest.has_value()) operation.digest = schema::ToHex(*report->digest);
    return operation;
  }
};

}  // namespace nimbus::tools
