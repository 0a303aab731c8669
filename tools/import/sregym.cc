// SREGym traces: one JSON document per stage (diagnosis, localization,
// mitigation) of an agent's work on a Kubernetes fault, with what it thought,
// the tools it called and what the benchmark's oracles found.
//
// A trace becomes one operation. Thoughts are llm_calls, tool calls tool_calls,
// each key of oracle_results_enhanced a verification. Stages of one run share a
// session: the trace id without the stage.
//
// A tool call's `timestamp` is when it ended: in real traces that minus
// `duration` is never before the event ahead of it, while that plus `duration`
// often passes the next one.
#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/import/document.h"
#include "tools/import/format.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Error;
using schema::Json;
using schema::fb::StepType;

constexpr std::string_view kFormat = "sregym-trace";

// "AgentType.DIAGNOSIS" -> "diagnosis".
std::string StageOf(std::string_view agent_type) {
  std::string stage(agent_type.substr(agent_type.rfind('.') + 1));
  std::transform(stage.begin(), stage.end(), stage.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return stage;
}

// Diagnosing and localizing only look; mitigating changes the cluster.
std::string OperationType(const std::string& stage) {
  if (stage == "diagnosis" || stage == "localization") return "query";
  return stage == "mitigation" ? "deploy" : stage;
}

Json MessageOf(std::string_view role, Json::Object members) {
  members.insert(members.begin(), {"role", Json::String(std::string(role))});
  return Json::MakeObject(std::move(members));
}

Json CopyOf(const Json* value) { return value == nullptr ? Json() : *value; }

absl::StatusOr<Step> ReadThought(const Json& item, size_t index) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields thought,
                          Fields::Of(item, ItemPath("thinking_steps", index)));
  Step step;
  step.source_id = fmt::format("thinking-{}", index);
  step.type = StepType::llm_call;
  step.output = item.Dump();
  NIMBUS_ASSIGN_OR_RETURN(step.started_at_us, thought.Time("timestamp"));
  step.ended_at_us = step.started_at_us;
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view reasoning, thought.Text("reasoning"));
  step.messages.push_back(
      MessageOf("assistant", {{"content", Json::String(std::string(reasoning))}}));
  return step;
}

absl::Status ReadCallTimes(const Fields& call, Step* step) {
  NIMBUS_ASSIGN_OR_RETURN(step->ended_at_us, call.Time("timestamp"));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> duration_us, call.Duration("duration"));
  step->started_at_us = step->ended_at_us;
  if (!duration_us.has_value()) return absl::OkStatus();
  step->duration_ms = MillisecondsOf(*duration_us);
  int64_t started;
  if (step->ended_at_us.has_value() &&
      !__builtin_sub_overflow(*step->ended_at_us, *duration_us, &started)) {
    step->started_at_us = started;
  }
  return absl::OkStatus();
}

absl::StatusOr<Step> ReadToolCall(const Json& item, size_t index) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields call, Fields::Of(item, ItemPath("tool_calls", index)));
  Step step;
  step.source_id = fmt::format("tool-{}", index);
  step.type = StepType::tool_call;
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view tool, call.Text("tool_name"));
  step.tool_name = ToolName(tool);
  NIMBUS_RETURN_IF_ERROR(ReadCallTimes(call, &step));
  const Json* arguments = call.Find("arguments");
  const Json* response = call.Find("response");
  step.input = arguments == nullptr ? "{}" : arguments->Dump();
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<bool> success, call.Bool("success"));
  if (response == nullptr && !success.has_value()) step.status = Lifecycle::kRunning;
  if (response != nullptr) step.output = response->Dump();
  if (success.has_value() && !*success) {
    step.status = Lifecycle::kFailed;
    step.error = ContentText(response);
  }
  if (step.status == Lifecycle::kRunning) return step;
  step.messages.push_back(MessageOf("tool", {{"name", Json::String(step.tool_name)},
                                             {"arguments", CopyOf(arguments)},
                                             {"content", CopyOf(response)}}));
  return step;
}

// Whether the thought comes before the call. By their times where both have
// one: each thought precedes the call it leads to. Else in turn.
bool ThoughtIsNext(const Step& thought, size_t thoughts_taken, const Step& call,
                   size_t calls_taken) {
  if (thought.ended_at_us.has_value() && call.ended_at_us.has_value()) {
    return *thought.ended_at_us <= *call.ended_at_us;
  }
  return thoughts_taken <= calls_taken;
}

absl::Status ReadSteps(const Fields& trace, Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* thinking,
                          trace.Required("thinking_steps", Json::Type::kArray));
  NIMBUS_ASSIGN_OR_RETURN(const Json* tools, trace.Required("tool_calls", Json::Type::kArray));
  std::vector<Step> thoughts, calls;
  for (size_t i = 0; i < thinking->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(Step step, ReadThought(thinking->array()[i], i));
    thoughts.push_back(std::move(step));
  }
  for (size_t i = 0; i < tools->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(Step step, ReadToolCall(tools->array()[i], i));
    calls.push_back(std::move(step));
  }
  size_t t = 0, c = 0;
  while (t < thoughts.size() || c < calls.size()) {
    const bool thought =
        c == calls.size() || (t < thoughts.size() && ThoughtIsNext(thoughts[t], t, calls[c], c));
    operation->steps.push_back(std::move(thought ? thoughts[t++] : calls[c++]));
  }
  return absl::OkStatus();
}

absl::Status ReadVerifications(const Fields& trace, Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* oracles,
                          trace.Optional("oracle_results_enhanced", Json::Type::kObject));
  if (oracles == nullptr) return absl::OkStatus();
  const std::string path = trace.PathOf("oracle_results_enhanced");
  for (const Json::Member& member : oracles->object()) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields oracle,
                            Fields::Of(member.second, MemberPath(path, member.first)));
    Step step;
    step.source_id = "oracle-" + member.first;
    step.type = StepType::verification;
    step.input = Json::MakeObject({{"oracle", Json::String(member.first)}}).Dump();
    step.output = member.second.Dump();
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<bool> success, oracle.Bool("success"));
    if (success.has_value() && !*success) step.status = Lifecycle::kFailed;
    operation->steps.push_back(std::move(step));
  }
  return absl::OkStatus();
}

absl::Status ReadOutcome(const Fields& trace, Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(operation->created_at_us, trace.Time("start_time"));
  NIMBUS_ASSIGN_OR_RETURN(operation->ended_at_us, trace.Time("end_time"));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<bool> success, trace.Bool("success"));
  if (!success.has_value() && !operation->ended_at_us.has_value()) {
    operation->status = Lifecycle::kRunning;
  } else if (success.has_value() && !*success) {
    operation->status = Lifecycle::kFailed;
    // The recorder's note that the agent came to its end is no error.
    const std::string submission = ContentText(trace.Find("final_submission"));
    if (!submission.starts_with("Execution completed in ")) operation->error = submission;
  }
  NIMBUS_ASSIGN_OR_RETURN(const Json* metrics,
                          trace.Optional("performance_metrics", Json::Type::kObject));
  if (metrics != nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields fields,
                            Fields::Of(*metrics, trace.PathOf("performance_metrics")));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> us, fields.Duration("total_duration"));
    if (us.has_value()) operation->duration_ms = MillisecondsOf(*us);
  }
  Json::Object output;
  for (const std::string_view key : {"final_submission", "performance_metrics", "ground_truth"}) {
    if (const Json* value = trace.json().Find(key)) output.emplace_back(key, *value);
  }
  if (operation->status != Lifecycle::kRunning) {
    operation->output = Json::MakeObject(std::move(output)).Dump();
  }
  return absl::OkStatus();
}

// What the trace says of its surroundings; the stages of a run agree on it.
absl::StatusOr<Json> ReadContext(const Fields& trace) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* problem,
                          trace.Optional("problem_context", Json::Type::kObject));
  Json context = Json::MakeObject({{"agent", Json::String("SREGym")}});
  for (const std::string_view key : {"problem_id", "app_name", "app_namespace"}) {
    const Json* value = problem == nullptr ? nullptr : problem->Find(key);
    if (value != nullptr && !value->IsNull()) context.Set(key, *value);
  }
  return context;
}

}  // namespace

bool IsSregymTrace(const Source& source) {
  const Json* document = DocumentOf(source);
  if (document == nullptr) return false;
  for (const std::string_view key : {"trace_id", "agent_type", "thinking_steps", "tool_calls"}) {
    if (document->Find(key) == nullptr) return false;
  }
  return true;
}

absl::StatusOr<Run> ReadSregymTrace(const Source& source) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields trace, Fields::Of(*DocumentOf(source), ""));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view trace_id, trace.Name("trace_id"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view agent_type, trace.Name("agent_type"));
  const std::string stage = StageOf(agent_type);
  if (trace_id.empty() || stage.empty()) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: \"{}\" names nothing",
                 trace_id.empty() ? "trace_id" : "agent_type",
                 trace_id.empty() ? trace_id : agent_type);
  }
  Operation operation;
  operation.source_id = trace_id;
  operation.name = stage;
  operation.type = OperationType(stage);
  operation.end_record = 1;
  NIMBUS_ASSIGN_OR_RETURN(const Json* problem,
                          trace.Optional("problem_context", Json::Type::kObject));
  operation.input = problem == nullptr ? "{}" : problem->Dump();
  NIMBUS_RETURN_IF_ERROR(ReadSteps(trace, &operation));
  NIMBUS_RETURN_IF_ERROR(ReadVerifications(trace, &operation));
  NIMBUS_RETURN_IF_ERROR(ReadOutcome(trace, &operation));
  SettleOpenCalls(&operation);

  Session session;
  session.source_id = trace_id;
  if (session.source_id.ends_with("_" + stage)) {
    session.source_id.resize(session.source_id.size() - stage.size() - 1);
  }
  NIMBUS_ASSIGN_OR_RETURN(session.context, ReadContext(trace));
  session.name = session.context.StringOr("problem_id", session.source_id);
  session.started_at_us = operation.created_at_us;
  session.operations.push_back(std::move(operation));

  Run run;
  run.format = kFormat;
  run.key = trace_id;
  run.sessions.push_back(std::move(session));
  return run;
}

}  // namespace nimbus::tools::import
