// HolmesGPT conversation histories: one JSON array of chat messages as the
// model's API has them, each with the number of its tokens.
//
// A message of the user begins an operation. Messages of the assistant are
// llm_calls, what these call tool_calls, answered by id. No times are recorded;
// `total` adds up differently from message to message and is kept, not read.
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

constexpr std::string_view kFormat = "holmesgpt";

// The arguments of a call: an object, or a string of JSON.
Json Arguments(const Json* arguments) {
  if (arguments == nullptr || arguments->IsNull()) return Json();
  if (!arguments->IsString()) return *arguments;
  absl::StatusOr<Json> parsed = Json::Parse(arguments->string(), {.depth_max = 300});
  return parsed.ok() ? *std::move(parsed) : *arguments;
}

class Reader {
 public:
  explicit Reader(const Json::Array& messages) : messages_(messages) {
    operations_.reserve(messages.size());  // the chat below points into it
  }

  absl::StatusOr<Run> Read() {
    for (size_t i = 0; i < messages_.size(); ++i) {
      NIMBUS_ASSIGN_OR_RETURN(const Fields message, Fields::Of(messages_[i], ItemPath("", i)));
      NIMBUS_RETURN_IF_ERROR(Take(message, i));
    }
    if (operations_.empty())
      return Error(absl::StatusCode::kInvalidArgument, "no message of a user");
    Leave();
    // Something is still to come unless the last answer called nothing.
    const bool answered = messages_.back().StringOr("role") == "assistant" && !chat_->waiting();
    if (!answered) {
      operations_.back().status = Lifecycle::kRunning;
      operations_.back().output.clear();
    }
    return Finish();
  }

 private:
  absl::Status Take(const Fields& message, size_t index) {
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view role, message.Text("role"));
    const std::string id = fmt::format("message-{}", index);
    if (role == "user") {
      if (!chat_.has_value() || chat_->answered()) Begin(id, message);
      chat_->Prompt(id, message.json());
    } else if (!chat_.has_value()) {
      heard_.push_back(message.json());
    } else if (role == "assistant") {
      return TakeAnswer(message, id);
    } else if (role == "tool") {
      NIMBUS_ASSIGN_OR_RETURN(const std::string_view call, message.Text("tool_call_id"));
      if (call.empty() || chat_->Result(call, message.json()) == nullptr)
        chat_->Hear(message.json());
    } else {
      chat_->Hear(message.json());
    }
    if (!answered_) opening_.push_back(message.json());
    return absl::OkStatus();
  }

  absl::Status TakeAnswer(const Fields& message, const std::string& id) {
    if (!std::exchange(answered_, true)) opening_.push_back(message.json());
    Step& step = chat_->Answer(id, message.json());
    NIMBUS_ASSIGN_OR_RETURN(step.usage.output, message.Count("token_count"));
    step.usage.total = step.usage.output;
    NIMBUS_ASSIGN_OR_RETURN(const Json* calls, message.Optional("tool_calls", Json::Type::kArray));
    for (size_t i = 0; calls != nullptr && i < calls->array().size(); ++i) {
      const std::string path = ItemPath(message.PathOf("tool_calls"), i);
      NIMBUS_ASSIGN_OR_RETURN(const Fields call, Fields::Of(calls->array()[i], path));
      NIMBUS_ASSIGN_OR_RETURN(const Json* function, call.Required("function", Json::Type::kObject));
      NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*function, call.PathOf("function")));
      NIMBUS_ASSIGN_OR_RETURN(const std::string_view tool, fields.Text("name"));
      NIMBUS_ASSIGN_OR_RETURN(const std::string_view call_id, call.Text("id"));
      chat_->Call(fmt::format("{}-call-{}", id, i), {.id = std::string(call_id),
                                                     .tool = std::string(tool),
                                                     .input = Arguments(fields.Find("arguments"))});
    }
    const std::string text = ContentText(message.Find("content"));
    if (!text.empty()) operations_.back().output = Json::String(text).Dump();
    return absl::OkStatus();
  }

  void Begin(const std::string& id, const Fields& message) {
    Leave();
    Operation operation;
    operation.source_id = id;
    operation.type = "chat";
    operation.name = Headline(ContentText(message.Find("content")));
    operation.input = message.json().Dump();
    // One record tells of all of them: it is the first one's.
    operation.first_record = operations_.empty() ? 0 : 1;
    operation.end_record = 1;
    operations_.push_back(std::move(operation));
    chat_.emplace(&operations_.back());
    for (Json& heard : std::exchange(heard_, {})) chat_->Hear(std::move(heard));
  }

  void Leave() {
    if (operations_.empty()) return;
    for (const Step& step : operations_.back().steps)
      AddUsage(step.usage, &operations_.back().usage);
  }

  Run Finish() {
    for (Operation& operation : operations_) SettleOpenCalls(&operation);
    Run run;
    run.format = kFormat;
    run.key = ConversationKey(kFormat, opening_);
    Session session;
    session.source_id = run.key;
    session.name = operations_.front().name;
    session.context = Json::MakeObject({{"agent", Json::String("HolmesGPT")}});
    session.operations = std::move(operations_);
    run.sessions.push_back(std::move(session));
    return run;
  }

  const Json::Array& messages_;
  std::vector<Operation> operations_;
  std::optional<ChatSteps> chat_;  // of the last operation
  std::vector<Json> heard_;        // before the first
  Json::Array opening_;            // up to the first answer
  bool answered_ = false;
};

}  // namespace

bool IsHolmesGpt(const Source& source) {
  const Json* document = DocumentOf(source);
  if (document == nullptr || !document->IsArray() || document->array().empty()) return false;
  for (const Json& message : document->array()) {
    const Json* tokens = message.Find("token_count");
    if (tokens == nullptr || !tokens->IsNumber() || message.StringOr("role").empty()) return false;
  }
  return true;
}

absl::StatusOr<Run> ReadHolmesGpt(const Source& source) {
  return Reader(DocumentOf(source)->array()).Read();
}

}  // namespace nimbus::tools::import
