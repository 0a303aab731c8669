// ATIF trajectories: one JSON document per run (or, exported by Nimbus, per
// session). What a step of one is, is atif.h's matter.
//
// A trajectory is one operation, those embedded in it (v1.7) its children; one
// of ours says in extra.nimbus which operations it was made of. The session id
// alone does not tell runs apart, so what was said up to the first answer does.
// The format has no mark of the end: a trajectory with totals is taken to be
// whole, one without may go on after a tool's result or a prompt.
#include "tools/import/atif.h"

#include <algorithm>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/import/format.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Error;
using schema::Json;
using schema::fb::StepType;
using Code = absl::StatusCode;

constexpr std::string_view kFormat = "atif";

Json Opening(const Json& step) {
  Json said = Json::MakeObject();
  for (const std::string_view key : {"source", "message"}) {
    if (const Json* value = step.Find(key)) said.Set(key, *value);
  }
  return said;
}

// What every later snapshot begins with.
std::string RunKey(const Fields& trajectory, const Json::Array& steps) {
  Json::Array opening;
  if (const Json* id = trajectory.Find("session_id")) opening.push_back(*id);
  for (const Json& step : steps) {
    opening.push_back(Opening(step));
    if (step.StringOr("source") == "agent") break;
  }
  return ConversationKey(kFormat, opening);
}

// The member `nimbus` of `extra`; without one, an empty object.
absl::StatusOr<Fields> OursIn(const Fields& object) {
  static const Json kNone = Json::MakeObject();
  const Json* extra = object.Find("extra");
  const Json* ours = extra == nullptr ? nullptr : extra->Find("nimbus");
  const std::string path = MemberPath(object.PathOf("extra"), "nimbus");
  return Fields::Of(ours == nullptr || ours->IsNull() ? kNone : *ours, path);
}

// Reads the steps of one trajectory into operations.
class Reader {
 public:
  Reader(const Fields& trajectory, const Json::Array& steps)
      : trajectory_(trajectory), steps_(steps) {}

  absl::StatusOr<std::vector<Operation>> Read(const std::string& id) {
    NIMBUS_ASSIGN_OR_RETURN(const Json* agent, trajectory_.Optional("agent", Json::Type::kObject));
    if (agent != nullptr) model_ = agent->StringOr("model_name");
    NIMBUS_ASSIGN_OR_RETURN(const Fields ours, OursIn(trajectory_));
    NIMBUS_ASSIGN_OR_RETURN(const Json* parts, ours.Optional("operations", Json::Type::kArray));
    if (parts == nullptr || parts->array().empty()) {
      NIMBUS_RETURN_IF_ERROR(ReadPlain(id));
      return std::move(operations_);
    }
    size_t next = 0;
    for (size_t i = 0; i < parts->array().size(); ++i) {
      const std::string path = ItemPath(ours.PathOf("operations"), i);
      NIMBUS_ASSIGN_OR_RETURN(const Fields part, Fields::Of(parts->array()[i], path));
      NIMBUS_RETURN_IF_ERROR(ReadPart(part, id, &next));
    }
    if (next == steps_.size()) return std::move(operations_);
    return Error(Code::kInvalidArgument, "{}: of {} steps, of which there are {}",
                 ours.PathOf("operations"), next, steps_.size());
  }

 private:
  absl::Status ReadSteps(size_t from, size_t to, Operation* operation) {
    ChatHeard heard;
    CostMeter cost;
    for (size_t i = from; i < to; ++i) {
      NIMBUS_ASSIGN_OR_RETURN(const Fields fields,
                              Fields::Of(steps_[i], ItemPath(trajectory_.PathOf("steps"), i)));
      NIMBUS_ASSIGN_OR_RETURN(std::vector<Step> made, StepsOf(fields, &cost));
      if (made.empty()) heard.Add(fields);
      for (size_t k = 0; k < made.size(); ++k) {
        made[k].source_id = fmt::format("step-{}-{}", i - from + 1, k);
        if (made[k].status != Lifecycle::kRunning) heard.GiveTo(&made[k]);
        AddUsage(made[k].usage, &operation->usage);
        operation->steps.push_back(std::move(made[k]));
      }
    }
    return absl::OkStatus();
  }

  // Messages that are no step: of the system, or copied from another trajectory.
  struct ChatHeard {
    std::vector<Json> messages;

    void Add(const Fields& step) {
      const std::string_view source = step.json().StringOr("source");
      const Json* message = step.Find("message");
      if (message == nullptr) return;
      const std::string role(source == "agent" ? "assistant" : source);
      messages.push_back(Json::MakeObject({{"role", Json::String(role)}, {"content", *message}}));
    }
    void GiveTo(Step* step) {
      step->messages.insert(step->messages.begin(), messages.begin(), messages.end());
      messages.clear();
    }
  };

  absl::StatusOr<std::vector<Step>> StepsOf(const Fields& fields, CostMeter* cost) const {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<bool> copied, fields.Bool("is_copied_context"));
    if (copied.value_or(false)) return std::vector<Step>();
    NIMBUS_ASSIGN_OR_RETURN(std::vector<Step> plain, ReadAtifStep(fields, model_, cost));
    NIMBUS_ASSIGN_OR_RETURN(const Fields ours, OursIn(fields));
    return ApplyDifferences(ours, std::move(plain));
  }

  // A trajectory that is one operation.
  absl::Status ReadPlain(const std::string& id) {
    Operation operation;
    operation.source_id = id;
    operation.type = "generate";
    operation.input = "{}";
    NIMBUS_RETURN_IF_ERROR(ReadSteps(0, steps_.size(), &operation));
    for (const Step& step : operation.steps) {
      if (step.type != StepType::user_input) continue;
      operation.input = step.input;
      break;
    }
    NIMBUS_ASSIGN_OR_RETURN(const bool totals, ReadTotals(&operation));
    if (!totals && !steps_.empty() && GoesOn(operation)) operation.status = Lifecycle::kRunning;
    SettleOpenCalls(&operation);
    SetTimes(&operation);
    if (operation.status != Lifecycle::kRunning) operation.output = AnswerOf(operation);
    operations_.push_back(std::move(operation));
    return absl::OkStatus();
  }

  bool GoesOn(const Operation& operation) const {
    return steps_.back().StringOr("source") != "agent" || operation.steps.empty() ||
           operation.steps.back().type == StepType::tool_call;
  }

  static std::string AnswerOf(const Operation& operation) {
    for (auto step = operation.steps.rbegin(); step != operation.steps.rend(); ++step) {
      if (step->type == StepType::llm_call) return step->output;
    }
    return {};
  }

  void SetTimes(Operation* operation) const {
    for (const Step& step : operation->steps) {
      if (!operation->created_at_us.has_value()) operation->created_at_us = step.started_at_us;
      const auto last = step.ended_at_us.has_value() ? step.ended_at_us : step.started_at_us;
      if (last.has_value() && operation->status != Lifecycle::kRunning)
        operation->ended_at_us = last;
    }
    if (operation->created_at_us.has_value() && operation->ended_at_us.has_value() &&
        *operation->ended_at_us >= *operation->created_at_us)
      operation->duration_ms = MillisecondsOf(*operation->ended_at_us - *operation->created_at_us);
  }

  // Whether there are any. What they say counts, also of steps that say nothing.
  absl::StatusOr<bool> ReadTotals(Operation* operation) const {
    NIMBUS_ASSIGN_OR_RETURN(const Json* json,
                            trajectory_.Optional("final_metrics", Json::Type::kObject));
    if (json == nullptr) return false;
    NIMBUS_ASSIGN_OR_RETURN(const Fields totals,
                            Fields::Of(*json, trajectory_.PathOf("final_metrics")));
    Usage usage;
    NIMBUS_ASSIGN_OR_RETURN(usage.input, totals.Count("total_prompt_tokens"));
    NIMBUS_ASSIGN_OR_RETURN(usage.output, totals.Count("total_completion_tokens"));
    if (usage.input.has_value() || usage.output.has_value()) {
      usage.total = SumOf(usage);
      NIMBUS_ASSIGN_OR_RETURN(usage.cache_read, totals.Count("total_cached_tokens"));
      usage.cost_microdollars = operation->usage.cost_microdollars;
      operation->usage = usage;
    }
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> picos,
                            totals.Picodollars("total_cost_usd"));
    if (picos.has_value()) operation->usage.cost_microdollars = MicrodollarsOf(*picos);
    return true;
  }

  // One of the operations that a trajectory of ours was made of.
  absl::Status ReadPart(const Fields& part, const std::string& id, size_t* next) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> count, part.Count("atif_steps"));
    if (count.value_or(0) > steps_.size() - *next)
      return Error(Code::kInvalidArgument, "{}: beyond the end of the steps",
                   part.PathOf("atif_steps"));
    const size_t from = std::exchange(*next, *next + count.value_or(0));
    Operation operation;
    operation.source_id = fmt::format("{}/{}", id, operations_.size());
    NIMBUS_RETURN_IF_ERROR(ReadSteps(from, *next, &operation));
    operation.usage = {};
    NIMBUS_RETURN_IF_ERROR(ApplyOperation(part, &operation));
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> parent, part.Count("parent"));
    if (parent.has_value() && *parent >= operations_.size())
      return Error(Code::kInvalidArgument, "{}: no operation before this one",
                   part.PathOf("parent"));
    if (parent.has_value()) operation.parent_source_id = operations_[*parent].source_id;
    operations_.push_back(std::move(operation));
    return absl::OkStatus();
  }

  const Fields& trajectory_;
  const Json::Array& steps_;
  std::string model_;
  std::vector<Operation> operations_;
};

absl::Status ReadTrajectory(const Fields& trajectory, const std::string& parent, Session* session,
                            std::string* key) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* steps, trajectory.Required("steps", Json::Type::kArray));
  *key = RunKey(trajectory, steps->array());
  const size_t before = session->operations.size();
  // Two embedded ones may begin alike.
  const std::string id = parent.empty() ? ShortDigest(*key) : fmt::format("{}/{}", parent, before);
  NIMBUS_ASSIGN_OR_RETURN(std::vector<Operation> operations,
                          Reader(trajectory, steps->array()).Read(id));
  for (Operation& operation : operations) {
    if (operation.parent_source_id.empty()) operation.parent_source_id = parent;
    operation.first_record = session->operations.empty() ? 0 : 1;
    operation.end_record = 1;
    session->operations.push_back(std::move(operation));
  }
  NIMBUS_ASSIGN_OR_RETURN(const Json* inner,
                          trajectory.Optional("subagent_trajectories", Json::Type::kArray));
  const std::string first = session->operations[before].source_id;
  for (size_t i = 0; inner != nullptr && i < inner->array().size(); ++i) {
    const std::string path = ItemPath(trajectory.PathOf("subagent_trajectories"), i);
    NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(inner->array()[i], path));
    std::string ignored;
    NIMBUS_RETURN_IF_ERROR(ReadTrajectory(fields, first, session, &ignored));
  }
  return absl::OkStatus();
}

// As the trajectory describes its agent or, one of ours, its session.
absl::Status DescribeSession(const Fields& trajectory, Session* session) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields ours, OursIn(trajectory));
  NIMBUS_ASSIGN_OR_RETURN(const Json* described, ours.Optional("session", Json::Type::kObject));
  if (described != nullptr) {
    session->name = described->StringOr("name");
    session->description = described->StringOr("description");
    const Json* context = described->Find("context");
    session->context = context != nullptr && context->IsObject() ? *context : Json::MakeObject();
    return absl::OkStatus();
  }
  NIMBUS_ASSIGN_OR_RETURN(const Json* agent, trajectory.Optional("agent", Json::Type::kObject));
  session->context = Json::MakeObject();
  const auto set = [&](std::string_view key, const Json* value) {
    if (value != nullptr && !value->IsNull()) session->context.Set(key, *value);
  };
  if (agent != nullptr) {
    session->name = agent->StringOr("name");
    set("agent", agent->Find("name"));
    set("version", agent->Find("version"));
    set("model", agent->Find("model_name"));
    set("tool_definitions", agent->Find("tool_definitions"));
  }
  set("schema_version", trajectory.Find("schema_version"));
  set("notes", trajectory.Find("notes"));
  set("continued_trajectory_ref", trajectory.Find("continued_trajectory_ref"));
  return absl::OkStatus();
}

}  // namespace

bool IsAtif(const Source& source) {
  const Json* document = DocumentOf(source);
  if (document == nullptr || !document->StringOr("schema_version").starts_with("ATIF-v"))
    return false;
  return document->Find("steps") != nullptr;
}

absl::StatusOr<Run> ReadAtif(const Source& source) {
  NIMBUS_ASSIGN_OR_RETURN(const Fields trajectory, Fields::Of(*DocumentOf(source), ""));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view session_id, trajectory.Text("session_id"));
  Run run;
  run.format = kFormat;
  Session session;
  NIMBUS_RETURN_IF_ERROR(ReadTrajectory(trajectory, "", &session, &run.key));
  session.source_id = session_id.empty() ? std::string_view(run.key) : session_id;
  NIMBUS_RETURN_IF_ERROR(DescribeSession(trajectory, &session));
  if (session.name.empty()) session.name = StemOf(source);
  session.started_at_us = session.operations.front().created_at_us;
  run.sessions.push_back(std::move(session));
  return run;
}

}  // namespace nimbus::tools::import
