// Gemini CLI chat sessions (session-….json): one document that the program writes
// anew with every message.
//
// A prompt of the user begins an operation; every message of the model after it
// is an llm_call, and what it called are tool_calls. Notices of the program
// (info, warning) are no steps; an error is the operation's. An operation is
// complete when the model has answered without calling anything; should the model
// say more without having been asked, that is another.
#include <string>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/import/document.h"
#include "tools/import/format.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;

constexpr std::string_view kFormat = "gemini-cli";

Json CopyOf(const Json* value) { return value == nullptr ? Json() : *value; }

// How a call of that status stands: executing and the like may still end.
Lifecycle LifecycleOfCall(std::string_view status) {
  if (status == "success") return Lifecycle::kCompleted;
  if (status == "error") return Lifecycle::kFailed;
  if (status == "cancelled") return Lifecycle::kCancelled;
  return Lifecycle::kRunning;
}

// The text of a result: what the function answered.
std::string ResultText(const Json* result) {
  if (result == nullptr || !result->IsArray()) return ContentText(result);
  std::string text;
  for (const Json& part : result->array()) {
    const Json* response = part.FindPath({"functionResponse", "response"});
    if (response == nullptr) continue;
    for (const std::string_view key : {"error", "output"}) text += response->StringOr(key);
  }
  return text.empty() ? ContentText(result) : text;
}

class SessionReader {
 public:
  absl::Status Take(const Fields& message, size_t index);
  std::vector<Operation> Finish();

 private:
  absl::Status Begin(const Fields& message, size_t index);
  absl::Status TakePrompt(const Fields& message);
  absl::Status TakeAnswer(const Fields& message, size_t index);
  absl::Status TakeCall(const Fields& call, std::string id);
  absl::Status ReadTokens(const Fields& message, Step* step);
  void End(bool last);

  std::vector<Operation> operations_;
  bool open_ = false;  // the last of them
};

absl::Status SessionReader::Take(const Fields& message, size_t index) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view type, message.Text("type"));
  if (type == "user") {
    End(false);
    NIMBUS_RETURN_IF_ERROR(Begin(message, index));
    return TakePrompt(message);
  }
  if (type == "gemini") {
    if (!open_) NIMBUS_RETURN_IF_ERROR(Begin(message, index));
    return TakeAnswer(message, index);
  }
  if (type == "error" && open_) {
    operations_.back().status = Lifecycle::kFailed;
    operations_.back().error = ContentText(message.Find("content"));
    End(false);
  }
  return absl::OkStatus();
}

absl::Status SessionReader::Begin(const Fields& message, size_t index) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view id, message.Name("id"));
  Operation operation;
  operation.source_id = id.empty() ? fmt::format("message-{}", index) : std::string(id);
  operation.type = "chat";
  operation.first_record = operations_.empty() ? 0 : 1;  // the one record tells of all
  operation.end_record = 1;
  NIMBUS_ASSIGN_OR_RETURN(operation.created_at_us, message.UtcText("timestamp"));
  operation.input = "{}";
  operations_.push_back(std::move(operation));
  open_ = true;
  return absl::OkStatus();
}

absl::Status SessionReader::TakePrompt(const Fields& message) {
  Operation& operation = operations_.back();
  operation.input = message.json().Dump();
  operation.name = Headline(ContentText(message.Find("content")));
  Step step;
  step.source_id = "prompt";
  step.type = StepType::user_input;
  step.input = operation.input;
  step.started_at_us = step.ended_at_us = operation.created_at_us;
  step.messages.push_back(Json::MakeObject(
      {{"role", Json::String("user")}, {"content", CopyOf(message.Find("content"))}}));
  operation.steps.push_back(std::move(step));
  return absl::OkStatus();
}

// What the model thinks is counted apart from what it says; both are output.
// Cached tokens are among those of the input.
absl::Status SessionReader::ReadTokens(const Fields& message, Step* step) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* tokens, message.Optional("tokens", Json::Type::kObject));
  if (tokens == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields counts, Fields::Of(*tokens, message.PathOf("tokens")));
  NIMBUS_ASSIGN_OR_RETURN(step->usage.input, counts.Count("input"));
  NIMBUS_ASSIGN_OR_RETURN(step->usage.output, counts.Count("output"));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> thoughts, counts.Count("thoughts"));
  if (thoughts.has_value()) step->usage.output = step->usage.output.value_or(0) + *thoughts;
  NIMBUS_ASSIGN_OR_RETURN(step->usage.cache_read, counts.Count("cached"));
  NIMBUS_ASSIGN_OR_RETURN(step->usage.total, counts.Count("total"));
  AddUsage(step->usage, &operations_.back().usage);
  return absl::OkStatus();
}

absl::Status SessionReader::TakeAnswer(const Fields& message, size_t index) {
  Operation& operation = operations_.back();
  Step step;
  step.source_id = fmt::format("message-{}", index);
  step.type = StepType::llm_call;
  step.input = "{}";
  if (const Json* model = message.Find("model"))
    step.input = Json::MakeObject({{"model", *model}}).Dump();
  NIMBUS_ASSIGN_OR_RETURN(step.started_at_us, message.UtcText("timestamp"));
  step.ended_at_us = step.started_at_us;
  if (step.ended_at_us) operation.ended_at_us = step.ended_at_us;
  NIMBUS_ASSIGN_OR_RETURN(const Json* calls, message.Optional("toolCalls", Json::Type::kArray));
  // The calls are told with their results, which this step can't know.
  step.output = Without(message.json(), {"type", "toolCalls"}).Dump();
  Json said = Json::MakeObject(
      {{"role", Json::String("assistant")}, {"content", CopyOf(message.Find("content"))}});
  step.messages.push_back(std::move(said));
  NIMBUS_RETURN_IF_ERROR(ReadTokens(message, &step));
  operation.steps.push_back(std::move(step));
  operation.output = Json::MakeObject({{"content", CopyOf(message.Find("content"))}}).Dump();
  for (size_t i = 0; calls != nullptr && i < calls->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(
        const Fields call, Fields::Of(calls->array()[i], ItemPath(message.PathOf("toolCalls"), i)));
    NIMBUS_RETURN_IF_ERROR(TakeCall(call, fmt::format("message-{}-call-{}", index, i)));
  }
  if (calls == nullptr || calls->array().empty()) End(false);
  return absl::OkStatus();
}

absl::Status SessionReader::TakeCall(const Fields& call, std::string id) {
  Operation& operation = operations_.back();
  Step step;
  step.source_id = std::move(id);
  step.type = StepType::tool_call;
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, call.Text("name"));
  step.tool_name = name.empty() ? "tool" : ToolName(name);
  const Json* args = call.Find("args");
  step.input = args == nullptr ? "{}" : args->Dump();
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view status, call.Text("status"));
  step.status = LifecycleOfCall(status);
  if (step.status == Lifecycle::kRunning) {
    operation.steps.push_back(std::move(step));
    return absl::OkStatus();
  }
  NIMBUS_ASSIGN_OR_RETURN(step.ended_at_us, call.UtcText("timestamp"));
  if (step.ended_at_us) operation.ended_at_us = step.ended_at_us;
  step.output = Without(call.json(), {"name", "args", "description"}).Dump();
  if (step.status != Lifecycle::kCompleted) {
    step.error = ResultText(call.Find("result"));
    if (step.error.empty()) step.error = status;
  }
  step.messages.push_back(Json::MakeObject({{"role", Json::String("tool")},
                                            {"name", Json::String(step.tool_name)},
                                            {"arguments", CopyOf(args)},
                                            {"content", CopyOf(call.Find("result"))}}));
  operation.steps.push_back(std::move(step));
  return absl::OkStatus();
}

// The last operation: nothing follows it, so it may go on.
void SessionReader::End(bool last) {
  if (!std::exchange(open_, false)) return;
  Operation& operation = operations_.back();
  if (last) {
    operation.status = Lifecycle::kRunning;
    operation.output.clear();
    operation.ended_at_us.reset();
  }
  SettleOpenCalls(&operation);
  const auto &begin = operation.created_at_us, &end = operation.ended_at_us;
  if (begin && end && *end >= *begin) operation.duration_ms = MillisecondsOf(*end - *begin);
}

std::vector<Operation> SessionReader::Finish() {
  End(true);
  return std::move(operations_);
}

}  // namespace

bool IsGeminiCli(const Source& source) {
  const Json* document = DocumentOf(source);
  if (document == nullptr) return false;
  const Json* messages = document->Find("messages");
  return messages != nullptr && messages->IsArray() && document->Find("projectHash") != nullptr &&
         !document->StringOr("sessionId").empty();
}

absl::StatusOr<Run> ReadGeminiCli(const Source& source) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields document, Fields::Of(*DocumentOf(source), ""));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view id, document.Name("sessionId"));
  NIMBUS_ASSIGN_OR_RETURN(const Json* messages, document.Required("messages", Json::Type::kArray));
  Session session;
  session.source_id = id;
  NIMBUS_ASSIGN_OR_RETURN(session.started_at_us, document.UtcText("startTime"));
  session.context = Json::MakeObject({{"agent", Json::String("Gemini CLI")}});
  for (const std::string_view key : {"projectHash", "directories", "kind"}) {
    if (const Json* value = document.Find(key)) session.context.Set(key, *value);
  }
  SessionReader reader;
  for (size_t i = 0; i < messages->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(
        const Fields message,
        Fields::Of(messages->array()[i], ItemPath(document.PathOf("messages"), i)));
    NIMBUS_RETURN_IF_ERROR(reader.Take(message, i));
  }
  session.operations = reader.Finish();
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view summary, document.Text("summary"));
  session.name = Headline(summary);
  if (session.name.empty() && !session.operations.empty())
    session.name = session.operations.front().name;
  Run run;
  run.format = kFormat;
  run.key = id;
  run.sessions.push_back(std::move(session));
  return run;
}

}  // namespace nimbus::tools::import
