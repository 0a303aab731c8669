// SREGym Stratus trajectories: JSONL of a metadata record, and per stage a
// stage_start and events. Of a stage only some events, as a rule the last, have
// the messages; each then has all of them so far, as LangGraph keeps them. The
// others say again what these hold, and are kept only as records.
//
// A stage is an operation, and over once the next begins or its agent has
// submitted. Messages of the AI are llm_calls, their calls tool_calls, which the
// ToolMessages answer in turn: they name no call. No times are recorded but the
// one at which the file was written, which has no zone and is kept as text.
#include <algorithm>
#include <map>
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

constexpr std::string_view kFormat = "sregym-stratus";

// Mitigating changes the cluster; all else looks.
std::string_view TypeOf(std::string_view stage) {
  return stage.starts_with("mitigation") ? "deploy" : "query";
}

class Reader {
 public:
  explicit Reader(const Source& source) : source_(source) {}

  absl::StatusOr<Run> Read() {
    stages_.reserve(source_.records.size());  // a stage's chat points into it
    for (record_ = 0; record_ < source_.records.size(); ++record_) {
      const SourceRecord& record = source_.records[record_];
      const absl::Status status = Take(record.value);
      if (!status.ok()) return schema::Annotate(status, fmt::format("line {}", record.line));
    }
    return Finish();
  }

 private:
  struct Stage {
    Operation operation;
    std::optional<ChatSteps> chat;
    size_t messages = 0;  // taken
    bool prompted = false;
  };

  absl::Status Take(const Json& value) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields record, Fields::Of(value, ""));
    const std::string_view type = value.StringOr("type");
    if (type == "metadata") {
      if (metadata_.IsNull()) metadata_ = value;
      return absl::OkStatus();
    }
    if (type != "stage_start" && type != "event") return absl::OkStatus();
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, record.Name("stage"));
    if (name.empty()) return Error(absl::StatusCode::kInvalidArgument, "stage: a name is needed");
    if (stages_.empty() || stages_.back().operation.source_id != name)
      NIMBUS_RETURN_IF_ERROR(Begin(name));
    Operation& operation = stages_.back().operation;
    if (journal::IsFinal(operation.status)) return absl::OkStatus();  // told after its end
    operation.end_record = record_ + 1;
    return type == "event" ? TakeEvent(record, &stages_.back()) : absl::OkStatus();
  }

  absl::Status Begin(std::string_view name) {
    for (const Stage& stage : stages_) {
      if (stage.operation.source_id == name)
        return Error(absl::StatusCode::kInvalidArgument, "stage: '{}' begins again", name);
    }
    if (!stages_.empty()) End(record_, &stages_.back());
    stages_.emplace_back();
    Stage& stage = stages_.back();
    Operation& operation = stage.operation;
    operation.source_id = operation.name = name;
    operation.type = TypeOf(name);
    operation.input = metadata_.IsNull() ? "{}" : metadata_.Dump();
    operation.status = Lifecycle::kRunning;
    operation.first_record = operation.added_record = record_;
    operation.end_record = record_ + 1;
    stage.chat.emplace(&operation);
    return absl::OkStatus();
  }

  absl::Status TakeEvent(const Fields& event, Stage* stage) {
    NIMBUS_ASSIGN_OR_RETURN(const Json* messages, event.Optional("messages", Json::Type::kArray));
    stage->chat->SetRecord(record_);
    for (size_t i = stage->messages; messages != nullptr && i < messages->array().size(); ++i) {
      NIMBUS_ASSIGN_OR_RETURN(const Fields message,
                              Fields::Of(messages->array()[i], ItemPath("messages", i)));
      NIMBUS_RETURN_IF_ERROR(TakeMessage(message, i, stage));
    }
    if (messages != nullptr) stage->messages = std::max(stage->messages, messages->array().size());
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<bool> submitted, event.Bool("submitted"));
    if (!submitted.value_or(false)) return absl::OkStatus();
    stage->operation.output = Without(event.json(), {"type", "messages", "event_index"}).Dump();
    End(record_, stage);
    return absl::OkStatus();
  }

  absl::Status TakeMessage(const Fields& message, size_t index, Stage* stage) {
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view type, message.Text("type"));
    const std::string id = fmt::format("message-{}", index);
    Json said = Without(message.json(), {"additional_kwargs"});
    if (type == "HumanMessage" && !std::exchange(stage->prompted, true)) {
      stage->chat->Prompt(id, std::move(said));
    } else if (type.starts_with("AIMessage")) {
      return TakeAnswer(message, id, stage);
    } else if (type != "ToolMessage" ||
               stage->chat->Result(message.json().StringOr("tool_call_id"), said) == nullptr) {
      stage->chat->Hear(std::move(said));
    }
    return absl::OkStatus();
  }

  absl::Status TakeAnswer(const Fields& message, const std::string& id, Stage* stage) {
    Step& step = stage->chat->Answer(id, Without(message.json(), {"additional_kwargs"}));
    step.output = message.json().Dump();
    NIMBUS_ASSIGN_OR_RETURN(const Json* calls, message.Optional("tool_calls", Json::Type::kArray));
    for (size_t i = 0; calls != nullptr && i < calls->array().size(); ++i) {
      const std::string path = ItemPath(message.PathOf("tool_calls"), i);
      NIMBUS_ASSIGN_OR_RETURN(const Fields call, Fields::Of(calls->array()[i], path));
      NIMBUS_ASSIGN_OR_RETURN(const std::string_view tool, call.Text("name"));
      NIMBUS_ASSIGN_OR_RETURN(const std::string_view call_id, call.Text("id"));
      const Json* arguments = call.Find("args");
      stage->chat->Call(fmt::format("{}-call-{}", id, i),
                        {.id = std::string(call_id),
                         .tool = std::string(tool),
                         .input = arguments == nullptr ? Json() : *arguments});
    }
    return absl::OkStatus();
  }

  static void End(uint64_t record, Stage* stage) {
    if (journal::IsFinal(stage->operation.status)) return;
    stage->operation.status = Lifecycle::kCompleted;
    stage->operation.ended_record = record;
  }

  absl::StatusOr<Run> Finish() {
    const bool described = !metadata_.IsNull();
    if (!described) metadata_ = Json::MakeObject();
    NIMBUS_ASSIGN_OR_RETURN(const Fields metadata, Fields::Of(metadata_, ""));
    NIMBUS_ASSIGN_OR_RETURN(const std::string_view problem, metadata.Text("problem_id"));
    Session session;
    session.name = problem;
    session.context = Json::MakeObject({{"agent", Json::String("Stratus")}});
    for (const std::string_view key : {"problem_id", "timestamp", "timestamp_readable"}) {
      if (const Json* value = metadata.Find(key)) session.context.Set(key, *value);
    }
    Run run;
    run.format = kFormat;
    // The counts in the first record change from one snapshot to the next.
    run.key = ConversationKey(
        kFormat,
        {!described ? source_.records.front().value
                    : Without(metadata_, {"total_stages", "total_events", "timestamp_readable"})});
    session.source_id = run.key;
    for (Stage& stage : stages_) {
      SettleOpenCalls(&stage.operation);
      session.operations.push_back(std::move(stage.operation));
    }
    run.sessions.push_back(std::move(session));
    return run;
  }

  const Source& source_;
  uint64_t record_ = 0;
  Json metadata_;
  std::vector<Stage> stages_;
};

bool IsStageStart(const Json& record) {
  return record.StringOr("type") == "stage_start" && record.Find("stage") != nullptr &&
         record.Find("num_events") != nullptr;
}

}  // namespace

bool IsStratus(const Source& source) {
  constexpr size_t kRecordsTried = 2;  // what a stage begins with is never further down
  for (size_t i = 0; i < std::min(source.records.size(), kRecordsTried); ++i) {
    const Json& record = source.records[i].value;
    if (IsStageStart(record)) return true;
    if (record.StringOr("type") != "metadata") return false;
    if (record.Find("problem_id") != nullptr && record.Find("total_stages") != nullptr) return true;
  }
  return false;
}

absl::StatusOr<Run> ReadStratus(const Source& source) { return Reader(source).Read(); }

}  // namespace nimbus::tools::import
