#include "tools/import/inspect_sample.h"

#include <algorithm>
#include <map>
#include <utility>

#include "nimbus/replay/patch.h"
#include "nimbus/schema/status.h"
#include "tools/import/script.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using absl::StatusCode;
using journal::Lifecycle;
using schema::Error;
using schema::Json;
using schema::fb::StepType;

// What an event may become by what is put in for its references.
constexpr size_t kResolvedBytesMax = 16u << 20;

absl::StatusOr<const Json*> ArrayOrNull(const Json* value, const std::string& path) {
  if (value == nullptr || value->IsNull()) return nullptr;
  if (!value->IsArray()) return Error(StatusCode::kInvalidArgument, "{}: an array is needed", path);
  return value;
}

// ---- References

// What the events of a sample refer to instead of repeating it: long texts by
// their hash ("attachment://…", at first "tc://…"), messages by their places in
// a pool.
class References {
 public:
  static absl::StatusOr<References> Of(const Fields& sample) {
    References references;
    const Json* texts = sample.Find("attachments");
    if (texts == nullptr) texts = sample.json().FindPath({"transcript", "content"});
    if (texts != nullptr && texts->IsObject()) {
      for (const auto& [hash, text] : texts->object()) {
        if (text.IsString()) references.texts_.emplace(hash, &text.string());
      }
    }
    for (const auto& [pool, member, old_member] :
         {std::tuple{&references.messages_, "messages", "message_pool"},
          std::tuple{&references.calls_, "calls", "call_pool"}}) {
      const Json* items = sample.json().FindPath({"events_data", member});
      if (items == nullptr) items = sample.Find(old_member);
      NIMBUS_ASSIGN_OR_RETURN(*pool, ArrayOrNull(items, sample.PathOf(old_member)));
    }
    return references;
  }

  // The value with what it refers to; as it is, and a note, where that is too long.
  absl::StatusOr<Json> Resolve(const Json& value, const std::string& path, Notes* notes) const {
    Json resolved = value;
    Work work{kResolvedBytesMax, {}};
    NIMBUS_RETURN_IF_ERROR(PutMessages(&resolved, path, &work));
    PutTexts(&resolved, &work);
    if (work.exceeded) {
      notes->Add(fmt::format("{}: left as it is recorded, it refers to more than {} bytes", path,
                             kResolvedBytesMax));
      return value;
    }
    for (const std::string& hash : work.absent)
      notes->Add(fmt::format("{}: refers to an attachment that is not there, {}", path, hash));
    return resolved;
  }

 private:
  struct Work {
    size_t bytes_left;
    std::vector<std::string> absent;
    bool exceeded = false;

    bool Take(size_t bytes) {
      exceeded = exceeded || bytes > bytes_left;
      if (!exceeded) bytes_left -= bytes;
      return !exceeded;
    }
  };

  // `input_refs` of a model event, and `call_refs` of its call.
  absl::Status PutMessages(Json* event, const std::string& path, Work* work) const {
    if (!event->IsObject() || event->StringOr("event") != "model") return absl::OkStatus();
    NIMBUS_RETURN_IF_ERROR(PutPool(event, event, "input_refs", "input", messages_, path, work));
    Json* call = event->Find("call");
    if (call == nullptr || !call->IsObject() || call->Find("call_refs") == nullptr)
      return absl::OkStatus();
    if (call->Find("request") == nullptr || !call->Find("request")->IsObject())
      call->Set("request", Json::MakeObject());
    const std::string key(call->StringOr("call_key", "messages"));
    NIMBUS_RETURN_IF_ERROR(PutPool(call, call->Find("request"), "call_refs", key, calls_,
                                   MemberPath(path, "call"), work));
    call->Erase("call_key");
    return absl::OkStatus();
  }

  // Puts the items of `pool` that `owner` refers to under `refs_key`, as pairs of
  // a first and an end, into `target` under `key`.
  static absl::Status PutPool(Json* owner, Json* target, std::string_view refs_key,
                              std::string_view key, const Json* pool, const std::string& path,
                              Work* work) {
    const std::string where = MemberPath(path, refs_key);
    NIMBUS_ASSIGN_OR_RETURN(const Json* refs, ArrayOrNull(owner->Find(refs_key), where));
    if (refs == nullptr) return absl::OkStatus();
    const size_t pool_size = pool == nullptr ? 0 : pool->array().size();
    Json::Array items;
    for (size_t i = 0; i < refs->array().size(); ++i) {
      const Json& range = refs->array()[i];
      const bool pair = range.IsArray() && range.array().size() == 2;
      const int64_t first = pair ? range.array()[0].AsInt().value_or(-1) : -1;
      const int64_t end = pair ? range.array()[1].AsInt().value_or(-1) : -1;
      if (first < 0 || end < first || static_cast<uint64_t>(end) > pool_size)
        return Error(StatusCode::kInvalidArgument, "{}: no range of a pool of {}",
                     ItemPath(where, i), pool_size);
      for (int64_t at = first; at < end; ++at) {
        const Json& item = pool->array()[static_cast<size_t>(at)];
        if (!work->Take(item.Dump().size())) return absl::OkStatus();
        items.push_back(item);
      }
    }
    owner->Erase(refs_key);
    target->Set(key, Json::MakeArray(std::move(items)));
    return absl::OkStatus();
  }

  void PutTexts(Json* value, Work* work) const {
    if (work->exceeded) return;
    if (value->IsArray()) {
      for (Json& item : value->array()) PutTexts(&item, work);
    } else if (value->IsObject()) {
      for (Json::Member& member : value->object()) PutTexts(&member.second, work);
    } else if (value->IsString()) {
      PutText(value, work);
    }
  }

  void PutText(Json* value, Work* work) const {
    for (const std::string_view scheme : {"attachment://", "tc://"}) {
      std::string_view hash = value->string();
      if (!hash.starts_with(scheme)) continue;
      hash.remove_prefix(scheme.size());
      const auto at = texts_.find(hash);
      if (at == texts_.end()) {
        if (work->absent.size() < Notes::kNotesMax)
          work->absent.push_back(Headline(value->string(), 80));
      } else if (work->Take(at->second->size())) {
        *value = Json::String(*at->second);
      }
      return;
    }
  }

  std::map<std::string_view, const std::string*> texts_;
  const Json* messages_ = nullptr;
  const Json* calls_ = nullptr;
};

// ---- Usage

// The counts of one usage; its cost is added to `meter`.
absl::StatusOr<Usage> ReadUsage(const Fields& usage, CostMeter* meter) {
  Usage out;
  NIMBUS_ASSIGN_OR_RETURN(out.input, usage.Count("input_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(out.output, usage.Count("output_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(out.total, usage.Count("total_tokens"));
  NIMBUS_ASSIGN_OR_RETURN(out.cache_read, usage.Count("input_tokens_cache_read"));
  NIMBUS_ASSIGN_OR_RETURN(out.cache_write, usage.Count("input_tokens_cache_write"));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> cost, usage.Picodollars("total_cost"));
  if (cost.has_value()) out.cost_microdollars = meter->Add(*cost);
  return out;
}

// ---- Events

// Goes through the events of a sample and makes steps of them.
class EventReader {
 public:
  EventReader(const References& references, Notes* notes, Operation* operation)
      : references_(references), notes_(*notes), operation_(*operation) {}

  absl::Status TakeAll(const Json& events, const std::string& path, const std::string& id) {
    for (size_t i = 0; i < events.array().size(); ++i) {
      NIMBUS_ASSIGN_OR_RETURN(const Fields event, Fields::Of(events.array()[i], ItemPath(path, i)));
      NIMBUS_RETURN_IF_ERROR(Take(event, fmt::format("{}-{}", id, i)));
    }
    return absl::OkStatus();
  }

  // After the last event.
  void Finish();

  const std::optional<InspectState>& state() const { return state_; }
  std::optional<int64_t> first_us() const { return first_us_; }
  std::optional<int64_t> last_us() const { return last_us_; }
  const Usage& usage() const { return usage_; }

 private:
  // The span that a tool call ran in, and the step that is the call.
  struct ToolSpan {
    std::string id, parent, tool;
    std::optional<size_t> step;
  };

  absl::Status Take(const Fields& event, const std::string& id);
  absl::Status TakeTimes(const Fields& event);
  absl::Status TakeInit(const Fields& event);
  absl::Status TakeSpan(const Fields& event);
  absl::Status TakeStep(const Fields& event);
  absl::Status TakeChange(const Fields& event, bool store);
  absl::Status TakeModel(const Fields& event, Step step);
  absl::Status TakeTool(const Fields& event, Step step, const std::string& id);
  absl::Status TakeSandbox(const Fields& event);
  absl::Status TakeOther(const Fields& event, std::string_view kind, Step step);
  absl::Status TakeNested(const Fields& event, const std::string& id);

  absl::StatusOr<Step> BeginStep(const Fields& event, StepType type, const std::string& id);
  void AddStep(Step step, Json output);
  void SettleState();

  const References& references_;
  Notes& notes_;
  Operation& operation_;
  std::optional<InspectState> state_;
  std::vector<Json> outputs_;  // of the steps
  std::vector<ToolSpan> tool_spans_;
  std::map<size_t, Json::Array> sandbox_;  // by step
  CostMeter meter_;
  Usage usage_;  // of the model calls
  std::optional<int64_t> first_us_, last_us_;
};

absl::Status EventReader::Take(const Fields& event, const std::string& id) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view kind, event.Text("event"));
  NIMBUS_RETURN_IF_ERROR(TakeTimes(event));
  if (kind == "sample_init") return TakeInit(event);
  if (kind == "span_begin" || kind == "span_end") return TakeSpan(event);
  if (kind == "step") return TakeStep(event);
  if (kind == "state" || kind == "store") return TakeChange(event, kind == "store");
  if (kind == "sandbox") return TakeSandbox(event);
  if (kind == "subtask") return TakeNested(event, id);
  if (kind == "model") {
    NIMBUS_ASSIGN_OR_RETURN(Step step, BeginStep(event, StepType::llm_call, id));
    return TakeModel(event, std::move(step));
  }
  if (kind == "tool") {
    NIMBUS_ASSIGN_OR_RETURN(Step step, BeginStep(event, StepType::tool_call, id));
    return TakeTool(event, std::move(step), id);
  }
  if (kind == "input" || kind == "approval" || kind == "score") {
    const StepType type = kind == "score" ? StepType::verification : StepType::user_input;
    NIMBUS_ASSIGN_OR_RETURN(Step step, BeginStep(event, type, id));
    return TakeOther(event, kind, std::move(step));
  }
  return absl::OkStatus();  // others stay in the source
}

absl::Status EventReader::TakeTimes(const Fields& event) {
  for (const std::string_view key : {"timestamp", "completed"}) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> time, event.UtcText(key));
    if (!time.has_value()) continue;
    first_us_ = std::min(first_us_.value_or(*time), *time);
    last_us_ = std::max(last_us_.value_or(*time), *time);
  }
  return absl::OkStatus();
}

absl::Status EventReader::TakeInit(const Fields& event) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* state, event.Optional("state", Json::Type::kObject));
  if (state == nullptr || state_.has_value()) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(Json resolved,
                          references_.Resolve(*state, event.PathOf("state"), &notes_));
  state_.emplace(std::move(resolved), InspectStateLimits{.state_bytes_max = kStateBytesMax});
  operation_.state = state_->current();
  return absl::OkStatus();
}

absl::Status EventReader::TakeSpan(const Fields& event) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view id, event.Text("id"));
  if (event.json().StringOr("event") == "span_end") {
    if (state_.has_value() && !id.empty()) state_->CloseSpan(id);
    return absl::OkStatus();
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view type, event.Text("type"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view parent, event.Text("parent_id"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view name, event.Text("name"));
  if (type == "tool") {
    tool_spans_.push_back({std::string(id), std::string(parent), std::string(name), std::nullopt});
  }
  if (!state_.has_value() || id.empty()) return absl::OkStatus();
  return schema::Annotate(state_->OpenSpan(std::string(id)), event.path());
}

absl::Status EventReader::TakeStep(const Fields& event) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view action, event.Text("action"));
  if (!state_.has_value()) return absl::OkStatus();
  if (action == "begin") return schema::Annotate(state_->OpenStep(), event.path());
  if (action == "end") state_->CloseStep();
  return absl::OkStatus();
}

absl::Status EventReader::TakeChange(const Fields& event, bool store) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* changes, event.Required("changes", Json::Type::kArray));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view span, event.Text("span_id"));
  if (!state_.has_value()) {
    notes_.Add(fmt::format("{}: changes a state that no sample_init begins", event.path()));
    return absl::OkStatus();
  }
  NIMBUS_ASSIGN_OR_RETURN(const Json resolved,
                          references_.Resolve(*changes, event.PathOf("changes"), &notes_));
  return state_->Change(resolved, {.span = span, .store = store}, event.path(), &notes_);
}

absl::StatusOr<Step> EventReader::BeginStep(const Fields& event, StepType type,
                                            const std::string& id) {
  SettleState();
  Step step;
  step.source_id = id;
  step.type = type;
  NIMBUS_ASSIGN_OR_RETURN(step.started_at_us, event.UtcText("timestamp"));
  NIMBUS_ASSIGN_OR_RETURN(step.ended_at_us, event.UtcText("completed"));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> us, event.Duration("working_time"));
  if (us.has_value()) {
    step.duration_ms = MillisecondsOf(*us);
  } else if (step.started_at_us && step.ended_at_us) {
    int64_t took;
    if (!__builtin_sub_overflow(*step.ended_at_us, *step.started_at_us, &took))
      step.duration_ms = MillisecondsOf(took);
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<bool> pending, event.Bool("pending"));
  if (pending.value_or(false)) step.status = Lifecycle::kRunning;
  return step;
}

void EventReader::AddStep(Step step, Json output) {
  operation_.steps.push_back(std::move(step));
  outputs_.push_back(std::move(output));
}

// What has changed belongs to the last step; before the first, to that.
void EventReader::SettleState() {
  if (!state_.has_value() || operation_.steps.empty()) return;
  Json patch = state_->TakePatch();
  if (!patch.array().empty()) operation_.steps.back().patch = std::move(patch);
}

// An error is a text, or has a message and perhaps a type.
std::string ErrorText(const Json& error) {
  if (error.IsString()) return error.string();
  const std::string_view type = error.StringOr("type"), message = error.StringOr("message");
  if (type.empty() && message.empty()) return error.Dump();
  return type.empty() ? std::string(message) : fmt::format("{}: {}", type, message);
}

void ReadError(const Fields& event, Step* step) {
  const Json* error = event.Find("error");
  if (error == nullptr) return;
  step->status = Lifecycle::kFailed;
  step->error = ErrorText(*error);
}

absl::Status EventReader::TakeModel(const Fields& event, Step step) {
  ReadError(event, &step);
  NIMBUS_ASSIGN_OR_RETURN(const Json resolved,
                          references_.Resolve(event.json(), event.path(), &notes_));
  Json input = Json::MakeObject();
  for (const std::string_view key :
       {"model", "role", "input", "input_refs", "tools", "tool_choice", "config"}) {
    const Json* value = resolved.Find(key);
    if (value != nullptr && !value->IsNull()) input.Set(key, *value);
  }
  step.input = input.Dump();
  NIMBUS_ASSIGN_OR_RETURN(const Json* output, event.Optional("output", Json::Type::kObject));
  if (output != nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*output, event.PathOf("output")));
    NIMBUS_ASSIGN_OR_RETURN(const Json* usage, fields.Optional("usage", Json::Type::kObject));
    if (usage != nullptr) {
      NIMBUS_ASSIGN_OR_RETURN(const Fields counts, Fields::Of(*usage, fields.PathOf("usage")));
      NIMBUS_ASSIGN_OR_RETURN(step.usage, ReadUsage(counts, &meter_));
      AddUsage(step.usage, &usage_);
    }
  }
  AddStep(std::move(step), Without(resolved, {"event", "model", "role", "input", "input_refs",
                                              "tools", "tool_choice", "config"}));
  return absl::OkStatus();
}

absl::Status EventReader::TakeTool(const Fields& event, Step step, const std::string& id) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view function, event.Text("function"));
  step.tool_name = function.empty() ? "tool" : ToolName(function);
  ReadError(event, &step);
  NIMBUS_ASSIGN_OR_RETURN(
      const Json resolved,
      references_.Resolve(Without(event.json(), {"events"}), event.path(), &notes_));
  const Json* arguments = resolved.Find("arguments");
  step.input = arguments == nullptr ? "{}" : arguments->Dump();
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view span, event.Text("span_id"));
  AddStep(std::move(step), Without(resolved, {"event", "function", "arguments"}));
  const auto ran_in =
      std::find_if(tool_spans_.rbegin(), tool_spans_.rend(), [&](const ToolSpan& candidate) {
        return !candidate.step && candidate.parent == span && candidate.tool == function;
      });
  if (ran_in != tool_spans_.rend()) ran_in->step = operation_.steps.size() - 1;
  return TakeNested(event, id);
}

// A sandbox event belongs to the tool that ran in its span.
absl::Status EventReader::TakeSandbox(const Fields& event) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view span, event.Text("span_id"));
  const auto ran_in = std::find_if(tool_spans_.rbegin(), tool_spans_.rend(),
                                   [&](const ToolSpan& candidate) { return candidate.id == span; });
  if (ran_in == tool_spans_.rend() || !ran_in->step) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(Json resolved, references_.Resolve(event.json(), event.path(), &notes_));
  sandbox_[*ran_in->step].push_back(Without(resolved, {"event", "span_id"}));
  return absl::OkStatus();
}

// Older logs have what happened inside a tool or subtask inside its event.
absl::Status EventReader::TakeNested(const Fields& event, const std::string& id) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* events, event.Optional("events", Json::Type::kArray));
  if (events == nullptr) return absl::OkStatus();
  return TakeAll(*events, event.PathOf("events"), id);
}

absl::Status EventReader::TakeOther(const Fields& event, std::string_view kind, Step step) {
  NIMBUS_ASSIGN_OR_RETURN(const Json resolved,
                          references_.Resolve(event.json(), event.path(), &notes_));
  if (!step.ended_at_us) step.ended_at_us = step.started_at_us;
  // What was asked for, and the answer.
  const std::string_view input = kind == "input" ? "input" : kind == "score" ? "target" : "call";
  Json::Object asked;
  if (const Json* value = resolved.Find(input)) asked.emplace_back(input, *value);
  step.input = Json::MakeObject(std::move(asked)).Dump();
  Json output = Without(resolved, {"event", input});
  AddStep(std::move(step), std::move(output));
  return absl::OkStatus();
}

void EventReader::Finish() {
  SettleState();
  if (state_.has_value() && operation_.steps.empty()) operation_.state = state_->current();
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const auto at = sandbox_.find(i);
    if (at != sandbox_.end()) outputs_[i].Set("sandbox", Json::MakeArray(std::move(at->second)));
    if (operation_.steps[i].status != Lifecycle::kRunning)
      operation_.steps[i].output = outputs_[i].Dump();
  }
}

// ---- The sample

// Says where the sample ends otherwise than its events do.
absl::Status CompareState(const Fields& sample, const References& references,
                          const InspectState& state, Notes* notes) {
  for (const std::string_view key : {"messages", "output", "store", "metadata"}) {
    const Json* recorded = sample.Find(key);
    const Json* made = state.current().Find(key);
    if (recorded == nullptr || made == nullptr) continue;
    NIMBUS_ASSIGN_OR_RETURN(const Json resolved,
                            references.Resolve(*recorded, sample.PathOf(key), notes));
    const Json difference = replay::Diff(*made, resolved);
    if (difference.array().empty()) continue;
    notes->Add(fmt::format("{}{}: differs from the state that the events make", sample.PathOf(key),
                           difference.array()[0].StringOr("path")));
  }
  return absl::OkStatus();
}

// A sample without events tells only how it ended.
absl::Status TakeLastState(const Fields& sample, const References& references, Notes* notes,
                           Operation* operation) {
  Json state = Json::MakeObject({{"messages", Json::MakeArray()}});
  for (const std::string_view key : {"messages", "output", "store"}) {
    const Json* recorded = sample.Find(key);
    if (recorded == nullptr) continue;
    NIMBUS_ASSIGN_OR_RETURN(Json resolved,
                            references.Resolve(*recorded, sample.PathOf(key), notes));
    state.Set(key, std::move(resolved));
  }
  operation->state = std::move(state);
  return absl::OkStatus();
}

absl::StatusOr<std::string> SampleId(const Fields& sample) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view uuid, sample.Name("uuid"));
  if (!uuid.empty()) return std::string(uuid);
  const Json* id = sample.Find("id");
  if (id == nullptr || !(id->IsString() || id->IsNumber()))
    return Error(StatusCode::kInvalidArgument, "{}: a string or a number is needed",
                 sample.PathOf("id"));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> epoch, sample.Count("epoch"));
  return fmt::format("{}-epoch-{}", id->IsString() ? id->string() : id->number(),
                     epoch.value_or(1));
}

absl::Status ReadOutcome(const Fields& sample, Operation* operation) {
  const Json* error = sample.Find("error");
  NIMBUS_ASSIGN_OR_RETURN(const Json* limit, sample.Optional("limit", Json::Type::kObject));
  if (error != nullptr) {
    operation->status = Lifecycle::kFailed;
    operation->error = ErrorText(*error);
  } else if (limit != nullptr) {
    operation->status = Lifecycle::kCancelled;
    const Json* value = limit->Find("limit");
    operation->error = fmt::format("{} limit of {} reached", limit->StringOr("type", "unknown"),
                                   value == nullptr ? "?" : value->Dump());
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> us, sample.Duration("total_time"));
  if (us.has_value()) operation->duration_ms = MillisecondsOf(*us);
  NIMBUS_ASSIGN_OR_RETURN(operation->created_at_us, sample.UtcText("started_at"));
  NIMBUS_ASSIGN_OR_RETURN(operation->ended_at_us, sample.UtcText("completed_at"));
  return absl::OkStatus();
}

std::string Completion(const Json& output) {
  const Json* completion = output.Find("completion");
  if (completion != nullptr && completion->IsString()) return completion->string();
  const Json* choices = output.Find("choices");
  if (choices == nullptr || !choices->IsArray() || choices->array().empty()) return {};
  return ContentText(choices->array()[0].FindPath({"message", "content"}));
}

absl::Status ReadTexts(const Fields& sample, const References& references, Notes* notes,
                       Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(
      const Json resolved,
      references.Resolve(
          Without(sample.json(), {"events", "messages", "store", "transcript", "attachments",
                                  "events_data", "message_pool", "call_pool"}),
          sample.path(), notes));
  Json input = Json::MakeObject(), output = Json::MakeObject();
  for (const std::string_view key : {"id", "epoch", "input", "choices", "target", "metadata"}) {
    if (const Json* value = resolved.Find(key)) input.Set(key, *value);
  }
  if (const Json* answer = resolved.Find("output"))
    output.Set("completion", Json::String(Completion(*answer)));
  for (const std::string_view key : {"scores", "error", "limit", "error_retries"}) {
    const Json* value = resolved.Find(key);
    if (value != nullptr && !value->IsNull()) output.Set(key, *value);
  }
  operation->input = input.Dump();
  operation->output = output.Dump();
  return absl::OkStatus();
}

absl::Status ReadEvents(const Fields& sample, const References& references, Notes* notes,
                        Operation* operation) {
  NIMBUS_ASSIGN_OR_RETURN(const Json* events, sample.Optional("events", Json::Type::kArray));
  std::string path = sample.PathOf("events");
  if (events == nullptr) {  // the first logs
    path = sample.PathOf("transcript.events");
    NIMBUS_ASSIGN_OR_RETURN(events,
                            ArrayOrNull(sample.json().FindPath({"transcript", "events"}), path));
  }
  EventReader reader(references, notes, operation);
  if (events != nullptr) NIMBUS_RETURN_IF_ERROR(reader.TakeAll(*events, path, "event"));
  reader.Finish();
  if (!operation->created_at_us) operation->created_at_us = reader.first_us();
  if (!operation->ended_at_us) operation->ended_at_us = reader.last_us();
  if (!operation->usage.total && !operation->usage.input) operation->usage = reader.usage();
  if (reader.state().has_value()) return CompareState(sample, references, *reader.state(), notes);
  return TakeLastState(sample, references, notes, operation);
}

}  // namespace

absl::StatusOr<Usage> ReadInspectUsage(const Fields& owner) {
  Usage sum;
  NIMBUS_ASSIGN_OR_RETURN(const Json* models, owner.Optional("model_usage", Json::Type::kObject));
  if (models == nullptr) return sum;
  CostMeter meter;
  const std::string path = owner.PathOf("model_usage");
  for (const auto& [model, usage] : models->object()) {
    NIMBUS_ASSIGN_OR_RETURN(const Fields counts, Fields::Of(usage, MemberPath(path, model)));
    NIMBUS_ASSIGN_OR_RETURN(const Usage of_model, ReadUsage(counts, &meter));
    AddUsage(of_model, &sum);
  }
  return sum;
}

absl::StatusOr<Operation> ReadInspectSample(const Fields& sample, Notes* notes) {
  Operation operation;
  operation.type = "query";
  NIMBUS_ASSIGN_OR_RETURN(operation.source_id, SampleId(sample));
  NIMBUS_ASSIGN_OR_RETURN(const References references, References::Of(sample));
  NIMBUS_RETURN_IF_ERROR(ReadOutcome(sample, &operation));
  NIMBUS_RETURN_IF_ERROR(ReadTexts(sample, references, notes, &operation));
  NIMBUS_ASSIGN_OR_RETURN(operation.usage, ReadInspectUsage(sample));
  NIMBUS_RETURN_IF_ERROR(ReadEvents(sample, references, notes, &operation));
  SettleOpenCalls(&operation);
  return operation;
}

}  // namespace nimbus::tools::import
