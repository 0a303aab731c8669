// demo-agent: surveys the machine it runs on, each tool call a durable step.
//
//   demo-agent --store DIR                    a new survey; prints its operation's id first
//   demo-agent --store DIR --crash-after 5    killed (SIGKILL) inside its sixth call
//   demo-agent --store DIR --resume ID        goes on: what is recorded is not run again
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nimbus/journal/journal.h"
#include "nimbus/replay/recorder.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/id.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"
#include "tools/demo/tool.h"

namespace nimbus::tools::demo {
namespace {

using journal::Journal;
using replay::RecordedStep;
using replay::Recorder;
using replay::StepResult;
using schema::Json;
using schema::Uuid;
namespace fb = schema::fb;

struct Arguments {
  std::string store;
  std::string resume;    // operation id; empty for a new survey
  int crash_after = -1;  // results to journal before the crash; negative for none
};

struct Question {
  std::string_view finding;  // where the answer goes in the state
  std::vector<std::string> argv;
};

// What a newcomer to a machine looks at first; none of it changes anything.
const std::vector<Question>& Questions() {
  static const std::vector<Question> questions = {
      {"kernel", {"uname", "-srm"}},
      {"system", {"sh", "-c", ". /etc/os-release && echo \"$PRETTY_NAME\""}},
      {"processors", {"nproc"}},
      {"memory", {"grep", "MemTotal", "/proc/meminfo"}},
      {"disk", {"df", "-Ph", "."}},
      {"root", {"ls", "/"}},
      {"load", {"cat", "/proc/loadavg"}},
      {"time", {"date", "-u", "+%Y-%m-%dT%H:%M:%SZ"}},
  };
  return questions;
}

constexpr uint32_t kHalfway = 4;  // the step after which the agent takes a checkpoint of its own

std::string_view WithoutLineEnd(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\n') + 1);
}

// The lines of a tool's output: one is a string, several are an array.
Json Finding(std::string_view text) {
  text = WithoutLineEnd(text);
  if (text.find('\n') == std::string_view::npos) return Json::String(std::string(text));
  Json::Array lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    lines.push_back(Json::String(std::string(line)));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return Json::MakeArray(std::move(lines));
}

// Runs the question's program; the state afterwards holds its answer too.
absl::StatusOr<StepResult> Ask(const Question& question, const Json& before) {
  NIMBUS_ASSIGN_OR_RETURN(const ToolOutput output, RunTool(question.argv));
  StepResult result;
  result.output = Json::MakeObject({{"exit_code", Json::Int(output.exit_code)},
                                    {"text", Json::String(output.text)}})
                      .Dump();
  if (output.exit_code != 0) {
    result.error = fmt::format("exit code {}", output.exit_code);
    return result;
  }
  Json after = before;
  after.Find("findings")->Set(question.finding, Finding(output.text));
  result.state = std::move(after);
  return result;
}

std::string InputOf(const Question& question) {
  Json::Array argv;
  for (const std::string& argument : question.argv) argv.push_back(Json::String(argument));
  return Json::MakeObject({{"argv", Json::MakeArray(std::move(argv))}}).Dump();
}

absl::StatusOr<Uuid> StartSession(Journal* journal) {
  const Uuid id = schema::NewUuid();
  schema::Event event = schema::MakeEvent(fb::EntityKind::session, id, fb::SessionStartedT{});
  event.body.name = "quickstart";
  NIMBUS_RETURN_IF_ERROR(journal->Append(event, {.expected_version = 0}).status());
  return id;
}

absl::StatusOr<Recorder> Begin(Journal* journal, const Arguments& arguments) {
  replay::NewRecording recording{
      .type = "survey",
      .name = "Survey this machine",
      .input = R"({"goal":"say what machine this is"})",
      .state = Json::MakeObject({{"findings", Json::MakeObject()}}),
  };
  if (arguments.resume.empty()) {
    recording.id = schema::NewUuid();
    NIMBUS_ASSIGN_OR_RETURN(recording.session, StartSession(journal));
  } else {
    NIMBUS_ASSIGN_OR_RETURN(recording.id, schema::ParseUuid(arguments.resume));
    NIMBUS_ASSIGN_OR_RETURN(const auto known,
                            journal->FindEntity(fb::EntityKind::operation, recording.id));
    if (!known) return absl::NotFoundError("no operation " + arguments.resume + " to resume");
    recording.session = known->parent;
  }
  return Recorder::Open(journal, std::move(recording));
}

absl::Status Survey(Recorder* recorder, int crash_after) {
  for (const Question& question : Questions()) {
    const auto run = [&]() -> absl::StatusOr<StepResult> {
      // Its intent is on disk, its result never will be.
      if (static_cast<int>(recorder->steps()) == crash_after + 1) raise(SIGKILL);
      return Ask(question, recorder->state());
    };
    NIMBUS_ASSIGN_OR_RETURN(
        const RecordedStep step,
        recorder->Step(
            {.tool_name = question.argv.front(), .input = InputOf(question), .idempotent = true},
            run));
    fmt::print("step {} {:<6} {:<11} {}\n", step.number, question.argv.front(), question.finding,
               step.recorded ? "recorded before, not run again" : "ran");
    // A crash must not swallow what the agent has said.
    std::fflush(stdout);
    if (recorder->steps() == kHalfway) NIMBUS_RETURN_IF_ERROR(recorder->Checkpoint("halfway"));
  }
  NIMBUS_RETURN_IF_ERROR(recorder->Checkpoint("surveyed"));
  return recorder->Complete(recorder->state().Dump());
}

absl::Status Run(const Arguments& arguments) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal,
                          Journal::Open(arguments.store, {}));
  NIMBUS_ASSIGN_OR_RETURN(Recorder recorder, Begin(journal.get(), arguments));
  fmt::print("operation {}\n", recorder.operation().ToString());
  std::fflush(stdout);
  return Survey(&recorder, arguments.crash_after);
}

}  // namespace
}  // namespace nimbus::tools::demo

int main(int argc, char** argv) {
  nimbus::tools::demo::Arguments arguments;
  CLI::App app("Survey this machine, each tool call a durable step", "demo-agent");
  app.add_option("--store", arguments.store, "Directory of the store")->required();
  app.add_option("--resume", arguments.resume, "Operation to go on with");
  app.add_option("--crash-after", arguments.crash_after, "Results to journal before a SIGKILL");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = nimbus::tools::demo::Run(arguments);
  if (status.ok()) return 0;
  fmt::print(stderr, "demo-agent: {}\n", status.ToString());
  return 1;
}
