// AIOpsLab sessions: one JSON document of an agent's work on one problem, in
// turns: what the model said, with one action in a block of code, and what the
// environment answered.
//
// A session is one operation: each turn of the model an llm_call, its action a
// tool_call, the results a verification. Tokens are known for the whole only.
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/import/chat.h"
#include "tools/import/document.h"
#include "tools/import/format.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Error;
using schema::Json;
using schema::fb::StepType;

constexpr std::string_view kFormat = "aiopslab";
constexpr std::string_view kFence = "```";
// How the environment says that it ran nothing, and that what it ran failed.
constexpr std::string_view kNotParsed = "Error parsing response";
constexpr std::string_view kFailures[] = {kNotParsed, "[ERROR]", "error: "};

// The call in the message's last block of code: exec_shell("kubectl get pods").
std::string_view ActionOf(std::string_view text) {
  const size_t close = text.rfind(kFence);
  if (close == std::string_view::npos || close == 0) return {};
  const size_t open = text.rfind(kFence, close - 1);
  if (open == std::string_view::npos) return {};
  std::string_view block = text.substr(open + kFence.size(), close - open - kFence.size());
  const size_t first = block.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  block.remove_prefix(first);
  return block.substr(0, block.find_last_not_of(" \t\r\n") + 1);
}

std::string ToolOf(std::string_view action) {
  const std::string_view name = action.substr(0, action.find('('));
  const bool word = !name.empty() && name.find_first_of(" \t\r\n") == std::string_view::npos;
  return word ? std::string(name) : "action";
}

bool Fails(std::string_view answer) {
  for (const std::string_view failure : kFailures) {
    if (answer.starts_with(failure)) return true;
  }
  return false;
}

absl::Status ReadTurns(const Fields& document, ChatSteps* chat) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* trace, document.Required("trace", Json::Type::kArray));
  for (size_t i = 0; i < trace->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields turn,
                            Fields::Of(trace->array()[i], ItemPath(document.PathOf("trace"), i)));
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view role, turn.Text("role"));
    const std::string id = fmt::format("turn-{}", i);
    const std::string text = ContentText(turn.Find("content"));
    if (role == "assistant") {
      chat->Answer(id, turn.json());
      const std::string_view action = ActionOf(text);
      if (action.empty()) continue;
      chat->Call(id + "-action",
                 {.tool = ToolOf(action),
                  .input = Json::MakeObject({{"action", Json::String(std::string(action))}})});
      continue;
    }
    Step* call = chat->Result("", turn.json());
    if (call == nullptr) chat->Hear(turn.json());
    if (call == nullptr || !Fails(text)) continue;
    call->status = Lifecycle::kFailed;
    call->error = text;
  }
  return absl::OkStatus();
}

absl::Status ReadResults(const Fields& document, Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* json, document.Optional("results", Json::Type::kObject));
  if (json == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields results, Fields::Of(*json, document.PathOf("results")));
  NIMBUS_ASSIGN_OR_RETURN(operation->usage.input, results.Count("in_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(operation->usage.output, results.Count("out_tokens"));
  operation->usage.total = SumOf(operation->usage);
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<bool> success, results.Bool("success"));
  operation->status = success.value_or(true) ? Lifecycle::kCompleted : Lifecycle::kFailed;
  operation->output = json->Dump();
  Step step;
  step.source_id = "results";
  step.type = StepType::verification;
  step.input = Json::MakeObject({{"problem_id", Json::String(operation->name)}}).Dump();
  step.output = json->Dump();
  if (operation->status == Lifecycle::kFailed) step.status = Lifecycle::kFailed;
  operation->steps.push_back(std::move(step));
  return absl::OkStatus();
}

}  // namespace

bool IsAiOpsLab(const Source& source) {
  const Json* document = DocumentOf(source);
  if (document == nullptr) return false;
  for (const std::string_view key : {"session_id", "problem_id", "agent"}) {
    if (document->StringOr(key).empty()) return false;
  }
  const Json* trace = document->Find("trace");
  return trace != nullptr && trace->IsArray();
}

absl::StatusOr<Run> ReadAiOpsLab(const Source& source) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields document, Fields::Of(*DocumentOf(source), ""));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view session_id, document.Name("session_id"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view problem, document.Name("problem_id"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view agent, document.Name("agent"));
  Operation operation;
  operation.source_id = session_id;
  operation.name = problem;
  operation.type = problem.find("mitigation") == std::string_view::npos ? "query" : "deploy";
  operation.input = Json::MakeObject({{"problem_id", Json::String(std::string(problem))}}).Dump();
  operation.status = Lifecycle::kRunning;
  operation.end_record = 1;
  NIMBUS_ASSIGN_OR_RETURN(operation.created_at_us, document.Time("start_time"));
  NIMBUS_ASSIGN_OR_RETURN(operation.ended_at_us, document.Time("end_time"));
  ChatSteps chat(&operation);
  NIMBUS_RETURN_IF_ERROR(ReadTurns(document, &chat));
  if (operation.ended_at_us.has_value()) operation.status = Lifecycle::kCompleted;
  NIMBUS_RETURN_IF_ERROR(ReadResults(document, &operation));
  if (operation.created_at_us.has_value() && operation.ended_at_us.has_value() &&
      *operation.ended_at_us >= *operation.created_at_us)
    operation.duration_ms = MillisecondsOf(*operation.ended_at_us - *operation.created_at_us);
  SettleOpenCalls(&operation);

  Session session;
  session.source_id = session_id;
  session.name = problem;
  session.context = Json::MakeObject({{"agent", Json::String("AIOpsLab " + std::string(agent))},
                                      {"problem_id", Json::String(std::string(problem))}});
  session.started_at_us = operation.created_at_us;
  Run run;
  run.format = kFormat;
  run.key = session_id;
  session.operations.push_back(std::move(operation));
  run.sessions.push_back(std::move(session));
  return run;
}

}  // namespace nimbus::tools::import
