#include "tools/import/trace.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "nimbus/schema/status.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using schema::fb::StepType;

constexpr size_t kDepthMax = 1000;         // spans above one; deeper is taken for a cycle
constexpr size_t kNeighboursTried = 1000;  // spans of a trace, for what one does not say
constexpr size_t kHeardMax = 16;           // conversations of one operation that are told apart

std::optional<uint64_t> MillisecondsBetween(const Span& span) {
  if (!span.start_ns.has_value() || !span.end_ns.has_value() || *span.end_ns < *span.start_ns)
    return std::nullopt;
  return MillisecondsOf((*span.end_ns - *span.start_ns + 500) / 1000);
}

std::string DumpOrEmpty(const Json& value) { return value.IsNull() ? std::string() : value.Dump(); }

// Members of `more` that `object` has not; either may be null.
void FillIn(Json more, Json* object) {
  if (more.IsNull()) return;
  if (object->IsNull()) *object = Json::MakeObject();
  for (Json::Member& member : more.object()) {
    if (object->Find(member.first) == nullptr) object->Set(member.first, std::move(member.second));
  }
}

template <typename T>
void FillIn(const std::optional<T>& more, std::optional<T>* value) {
  if (!value->has_value()) *value = more;
}

Json MessageBy(std::string_view role, Json content) {
  return Json::MakeObject(
      {{"role", Json::String(std::string(role))}, {"content", std::move(content)}});
}

// Whether the message was said by a model or a tool, so that the step that said
// it has brought it into the conversation.
bool WasRecorded(const Json& message) {
  const std::string_view role = message.StringOr("role");
  if (role == "assistant" || role == "model" || role == "tool") return true;
  const Json* parts = message.Find("parts");
  return parts != nullptr && parts->IsArray() && !parts->array().empty() &&
         parts->array().front().Find("function_response") != nullptr;
}

bool BeginsWith(const Json::Array& messages, const Json::Array& beginning) {
  return !beginning.empty() && beginning.size() <= messages.size() &&
         std::equal(beginning.begin(), beginning.end(), messages.begin());
}

// What is new in the messages to a model since it, or another, was last spoken to.
Json::Array NewMessages(const Json& messages, std::vector<Json::Array>* heard) {
  if (messages.IsNull()) return {};
  if (!messages.IsArray()) return {MessageBy("user", messages)};
  const Json::Array& all = messages.array();
  for (Json::Array& before : *heard) {
    if (!BeginsWith(all, before)) continue;
    Json::Array added;
    for (size_t i = before.size(); i < all.size(); ++i) {
      if (!WasRecorded(all[i])) added.push_back(all[i]);
    }
    before = all;
    return added;
  }
  if (heard->size() == kHeardMax) heard->erase(heard->begin());
  heard->push_back(all);
  return all;
}

void AppendAnswer(const Json& answer, std::vector<Json>* messages) {
  if (answer.IsNull()) return;
  if (!answer.IsArray()) {
    messages->push_back(MessageBy("assistant", answer));
    return;
  }
  messages->insert(messages->end(), answer.array().begin(), answer.array().end());
}

// What was asked of the agent: the last message of a person to its first model.
Json Question(const Json& messages) {
  if (!messages.IsArray()) return messages;
  for (auto at = messages.array().rbegin(); at != messages.array().rend(); ++at) {
    if (at->StringOr("role") == "user" && !WasRecorded(*at)) return *at;
  }
  return Json();
}

int64_t StartOf(const Span& span) {
  return span.start_ns.value_or(std::numeric_limits<int64_t>::max());
}

}  // namespace

// ---- What is above a span

// Indices of those that are new.
std::vector<size_t> TraceReader::Add(std::vector<Span> spans) {
  std::vector<size_t> added;
  for (Span& span : spans) {
    Trace& trace = traces_[span.trace];
    if (!index_.emplace(SpanKey(span.trace, span.id), spans_.size()).second) {
      ++trace.duplicates;
      continue;
    }
    if (!span.end_ns.has_value()) ++trace.unended;
    added.push_back(spans_.size());
    roles_.push_back(RoleOf(span));
    parents_.emplace_back();
    spans_.push_back(std::move(span));
  }
  return added;
}

// The parent, if it is known by now.
std::optional<size_t> TraceReader::ParentOf(size_t span) {
  if (parents_[span].has_value()) return parents_[span];
  const auto parent = index_.find(SpanKey(spans_[span].trace, spans_[span].parent));
  if (parent != index_.end()) parents_[span] = parent->second;
  return parents_[span];
}

TraceReader::Ancestry TraceReader::Above(size_t span) {
  Ancestry above;
  above.top = span;
  bool same_model = roles_[span] == SpanRole::kModel, same_tool = roles_[span] == SpanRole::kTool;
  if (roles_[span] == SpanRole::kAgent) above.agent = span;
  const std::string_view call = ToolCallIdOf(spans_[span]);
  while (!spans_[above.top].parent.empty()) {
    const std::optional<size_t> parent = ParentOf(above.top);
    above.end = parent.has_value() ? Top::kRoot : Top::kMissing;
    if (!parent.has_value()) return above;
    if (*parent == span || ++above.depth > kDepthMax) {
      above.end = Top::kCycle;
      return above;
    }
    above.top = *parent;
    const SpanRole role = roles_[above.top];
    if (role == SpanRole::kAgent) above.agent = above.top;
    if (role == SpanRole::kModel && same_model) above.model = above.top;
    if (role == SpanRole::kTool && same_tool && !call.empty() &&
        ToolCallIdOf(spans_[above.top]) == call)
      above.tool = above.top;
    if (role == SpanRole::kAgent || role == SpanRole::kTool) same_model = false;
    if (role == SpanRole::kAgent || role == SpanRole::kModel) same_tool = false;
  }
  return above;
}

// Spans that turn out to be around a call that was counted before they came.
void TraceReader::CoverOuterModels(const std::vector<size_t>& added) {
  for (const size_t span : added) {
    const auto waiting = models_waiting_.find(SpanKey(spans_[span].trace, spans_[span].id));
    if (waiting == models_waiting_.end()) continue;
    const std::vector<size_t> models = std::move(waiting->second);
    models_waiting_.erase(waiting);
    for (const size_t model : models) {
      const Ancestry above = Above(model);
      if (above.model.has_value()) covered_.insert(*above.model);
      const Span& top = spans_[above.top];
      if (above.end == Top::kMissing)
        models_waiting_[SpanKey(top.trace, top.parent)].push_back(model);
    }
  }
}

// Whether nothing of its trace can be above the span: it has no parent, or one
// in another program, which may never be seen here.
bool TraceReader::IsRoot(const Pending& pending) const {
  if (pending.above.end == Top::kCycle || pending.above.top != pending.span) return false;
  const Span& span = spans_[pending.span];
  return span.parent.empty() || span.remote_parent || span.kind == kServerSpan ||
         span.kind == kConsumerSpan;
}

// ---- Operations

absl::Status TraceReader::Take(uint64_t record, std::vector<Span> spans) {
  record_ = record;
  const std::vector<size_t> added = Add(std::move(spans));
  CoverOuterModels(added);
  std::vector<std::string> order;
  std::map<std::string, std::vector<size_t>> by_trace;
  for (const size_t span : added) {
    std::vector<size_t>& of_trace = by_trace[spans_[span].trace];
    if (of_trace.empty()) order.push_back(spans_[span].trace);
    of_trace.push_back(span);
  }
  for (const std::string& id : order) NIMBUS_RETURN_IF_ERROR(TakeTrace(id, by_trace[id]));
  return absl::OkStatus();
}

absl::Status TraceReader::TakeTrace(const std::string& id, const std::vector<size_t>& added) {
  Trace& trace = traces_[id];
  std::vector<Pending> spans;
  for (const size_t span : added) {
    spans.push_back({span, Above(span), {}});
    trace.cycles += spans.back().above.end == Top::kCycle;
  }
  std::stable_sort(spans.begin(), spans.end(), [&](const Pending& a, const Pending& b) {
    return std::tuple(StartOf(spans_[a.span]), a.above.depth) <
           std::tuple(StartOf(spans_[b.span]), b.above.depth);
  });
  AddAgents(spans, &trace);
  NIMBUS_RETURN_IF_ERROR(AddSteps(StepsOf(spans), &trace));
  for (const Pending& span : spans) {
    if (EvaluationsOf(spans_[span.span]).empty()) continue;
    AddEvaluations(spans_[span.span], &works_[WorkFor(span, &trace)]);
  }
  if (trace.works.empty()) {
    const auto root = std::find_if(spans.begin(), spans.end(),
                                   [this](const Pending& span) { return IsRoot(span); });
    trace.work = NewWork(root == spans.end() ? spans.front().span : root->span, id, &trace);
  }
  Claim(&works_[trace.work.value_or(trace.works.back())]);
  return EndWorks(spans, &trace);
}

// An operation for each agent that is in no other; the one that a trace has
// waited for takes what it has.
void TraceReader::AddAgents(const std::vector<Pending>& spans, Trace* trace) {
  for (const Pending& span : spans) {
    if (span.above.agent != span.span) continue;
    const Span& agent = spans_[span.span];
    if (trace->work.has_value() && !journal::IsFinal(works_[*trace->work].operation.status)) {
      works_of_agents_[span.span] = *trace->work;
      continue;
    }
    works_of_agents_[span.span] = NewWork(span.span, agent.trace + agent.id, trace);
  }
}

// The operation a step goes to: its agent's while that lasts, else the trace's.
size_t TraceReader::WorkFor(const Pending& step, Trace* trace) {
  if (step.above.agent.has_value()) {
    const auto agent = works_of_agents_.find(*step.above.agent);
    if (agent != works_of_agents_.end() &&
        !journal::IsFinal(works_[agent->second].operation.status))
      return agent->second;
  }
  if (trace->work.has_value() && !journal::IsFinal(works_[*trace->work].operation.status))
    return *trace->work;
  const std::string& id = spans_[step.span].trace;
  const bool again = trace->work.has_value();
  trace->work = NewWork(step.span, again ? fmt::format("{}@{}", id, record_) : id, trace);
  return *trace->work;
}

size_t TraceReader::NewWork(size_t index, std::string source_id, Trace* trace) {
  const Span& span = spans_[index];
  const bool agent = roles_[index] == SpanRole::kAgent;
  Work work;
  work.session = SessionFor(index);
  Operation& operation = work.operation;
  operation.source_id = std::move(source_id);
  operation.type = agent ? "chat" : "trace";
  operation.name = agent ? AgentNameOf(span) : std::string_view();
  if (operation.name.empty()) operation.name = span.name;
  operation.input = "{}";
  operation.status = Lifecycle::kRunning;
  operation.created_at_us = MicrosOfNanos(span.start_ns);
  operation.first_record = operation.end_record = record_;
  operation.added_record = record_;
  const Json asked = agent ? InputMessages(span) : Json();
  if (!asked.IsNull()) operation.input = Json::MakeObject({{"messages", asked}}).Dump();
  Session& session = sessions_[work.session];
  if (!session.started_at_us.has_value()) session.started_at_us = operation.created_at_us;
  if (session.name.empty()) session.name = operation.name;
  trace->works.push_back(works_.size());
  works_.push_back(std::move(work));
  Claim(&works_.back());
  return works_.size() - 1;
}

// The record tells of this operation, unless it tells of one before.
void TraceReader::Claim(Work* work) {
  Operation& operation = work->operation;
  const bool none = operation.first_record == operation.end_record;
  if (unclaimed_ > record_ || (!none && operation.end_record != record_)) return;
  if (none && operation.first_record != record_) return;
  operation.end_record = unclaimed_ = record_ + 1;
}

// By the conversation of the span or, where it names none, of one that is known
// of its trace; without any, the trace itself.
size_t TraceReader::SessionFor(size_t index) {
  const Span& span = spans_[index];
  std::string_view conversation = ConversationOf(span), model = ModelOf(span),
                   provider = ProviderOf(span);
  size_t tried = 0;
  for (auto at = index_.lower_bound(SpanKey(span.trace, ""));
       at != index_.end() && at->first.first == span.trace && ++tried <= kNeighboursTried; ++at) {
    const Span& other = spans_[at->second];
    if (conversation.empty()) conversation = ConversationOf(other);
    if (model.empty()) model = ModelOf(other);
    if (provider.empty()) provider = ProviderOf(other);
    if (!conversation.empty() && !model.empty() && !provider.empty()) break;
  }
  const std::string id(conversation.empty() ? std::string_view(span.trace) : conversation);
  const auto [at, added] = sessions_by_id_.emplace(id, sessions_.size());
  if (!added) return at->second;
  Session session;
  session.source_id = id;
  session.context = Json::MakeObject();
  const auto set = [&session](std::string_view key, std::string_view value) {
    if (!value.empty()) session.context.Set(key, Json::String(std::string(value)));
  };
  set("agent", roles_[index] == SpanRole::kAgent ? AgentNameOf(span) : std::string_view());
  set("model", model);
  set("provider", provider);
  set("service", span.service);
  set("instrumentation", span.scope);
  set("trace_id", span.trace);
  sessions_.push_back(std::move(session));
  return at->second;
}

// ---- Steps

std::vector<TraceReader::Pending> TraceReader::StepsOf(const std::vector<Pending>& spans) const {
  std::vector<Pending> steps;
  std::map<size_t, size_t> step_of;  // span to index in steps
  for (const Pending& span : spans) {
    const SpanRole role = roles_[span.span];
    const bool model =
        role == SpanRole::kModel && !span.above.model.has_value() && !covered_.contains(span.span);
    const bool tool = role == SpanRole::kTool && !span.above.tool.has_value();
    if (!model && !tool) continue;
    step_of[span.span] = steps.size();
    steps.push_back(span);
  }
  for (const Pending& span : spans) {
    if (roles_[span.span] != SpanRole::kModel || !span.above.model.has_value()) continue;
    const auto outer = step_of.find(*span.above.model);
    if (outer != step_of.end()) steps[outer->second].inner.push_back(span.span);
  }
  return steps;
}

absl::Status TraceReader::AddSteps(const std::vector<Pending>& steps, Trace* trace) {
  for (const Pending& step : steps) {
    Work& work = works_[WorkFor(step, trace)];
    NIMBUS_RETURN_IF_ERROR(AddStep(step, &work));
    Claim(&work);
    const Span& top = spans_[step.above.top];
    if (roles_[step.span] == SpanRole::kModel && step.above.end == Top::kMissing)
      models_waiting_[SpanKey(top.trace, top.parent)].push_back(step.span);
  }
  return absl::OkStatus();
}

absl::Status TraceReader::AddStep(const Pending& pending, Work* work) {
  const Span& span = spans_[pending.span];
  Step step;
  step.source_id = span.id;
  step.added_record = step.ended_record = record_;
  step.started_at_us = MicrosOfNanos(span.start_ns);
  step.ended_at_us = MicrosOfNanos(span.end_ns);
  step.duration_ms = MillisecondsBetween(span);
  step.error = ErrorOf(span);
  if (!step.error.empty()) step.status = Lifecycle::kFailed;
  if (roles_[pending.span] == SpanRole::kModel) {
    NIMBUS_RETURN_IF_ERROR(AddModelCall(pending, work, &step));
  } else {
    AddToolCall(span, &step);
  }
  if (!span.end_ns.has_value()) {
    step.status = Lifecycle::kRunning;
    step.output.clear();
    step.messages.clear();
  }
  work->operation.steps.push_back(std::move(step));
  return absl::OkStatus();
}

absl::Status TraceReader::AddModelCall(const Pending& call, Work* work, Step* step) {
  const Span& span = spans_[call.span];
  step->type = StepType::llm_call;
  Json input = ModelInput(span), output = ModelOutput(span);
  NIMBUS_ASSIGN_OR_RETURN(SpanUsage used, ReadSpanUsage(span));
  for (const size_t inner : call.inner) {
    FillIn(ModelInput(spans_[inner]), &input);
    FillIn(ModelOutput(spans_[inner]), &output);
    NIMBUS_ASSIGN_OR_RETURN(const SpanUsage more, ReadSpanUsage(spans_[inner]));
    FillIn(more.usage.input, &used.usage.input);
    FillIn(more.usage.output, &used.usage.output);
    FillIn(more.usage.cache_read, &used.usage.cache_read);
    FillIn(more.usage.cache_write, &used.usage.cache_write);
    FillIn(more.usage.total, &used.usage.total);
    FillIn(more.picodollars, &used.picodollars);
  }
  step->usage = used.usage;
  if (used.picodollars.has_value())
    step->usage.cost_microdollars = work->cost.Add(*used.picodollars);
  const Json* asked = input.Find("messages");
  const Json* answer = output.Find("messages");
  if (asked != nullptr) {
    step->messages = NewMessages(*asked, &work->heard);
    Operation& operation = work->operation;
    const bool first = operation.input == "{}" && operation.added_record == record_;
    const Json question = first ? Question(*asked) : Json();
    if (!question.IsNull())
      operation.input = Json::MakeObject({{"messages", Json::MakeArray({question})}}).Dump();
  }
  if (answer != nullptr) AppendAnswer(*answer, &step->messages);
  step->output = DumpOrEmpty(output);
  if (input.IsNull()) input = Json::MakeObject();
  input.Set("span", Json::MakeObject({{"trace_id", Json::String(span.trace)},
                                      {"span_id", Json::String(span.id)},
                                      {"name", Json::String(span.name)}}));
  step->input = input.Dump();
  return absl::OkStatus();
}

void TraceReader::AddToolCall(const Span& span, Step* step) const {
  step->type = StepType::tool_call;
  step->tool_name = ToolName(ToolNameOf(span));
  if (step->tool_name.empty()) step->tool_name = "tool";
  const Json arguments = ToolArguments(span), result = ToolResult(span);
  const std::string call(ToolCallIdOf(span));
  step->input = arguments.IsNull() ? "{}" : arguments.Dump();
  Json::Object said{{"role", Json::String("tool")}, {"name", Json::String(step->tool_name)}};
  if (!call.empty()) said.emplace_back("tool_call_id", Json::String(call));
  if (!result.IsNull()) {
    Json output = Json::MakeObject({{"result", result}, {"span_id", Json::String(span.id)}});
    if (!call.empty()) output.Set("call_id", Json::String(call));
    step->output = output.Dump();
  }
  said.emplace_back("content", result.IsNull() ? Json::String(step->error) : result);
  step->messages.push_back(Json::MakeObject(std::move(said)));
}

void TraceReader::AddEvaluations(const Span& span, Work* work) const {
  for (const size_t index : EvaluationsOf(span)) {
    const SpanEvent& event = span.events[index];
    Step step;
    step.source_id = fmt::format("{}-evaluation-{}", span.id, index);
    step.type = StepType::verification;
    step.added_record = step.ended_record = record_;
    step.started_at_us = step.ended_at_us = MicrosOfNanos(event.time_ns);
    const std::string name(event.attributes.StringOr("gen_ai.evaluation.name"));
    step.input =
        Json::MakeObject({{"evaluation", Json::String(name)}, {"span_id", Json::String(span.id)}})
            .Dump();
    step.output = event.attributes.Dump();
    step.error = event.attributes.StringOr("error.type");
    if (!step.error.empty()) step.status = Lifecycle::kFailed;
    work->operation.steps.push_back(std::move(step));
  }
}

// ---- Ends

absl::Status TraceReader::EndWorks(const std::vector<Pending>& spans, Trace* trace) {
  for (const Pending& span : spans) {
    const auto agent = works_of_agents_.find(span.span);
    const bool ends_trace = IsRoot(span) && trace->work.has_value();
    if (agent != works_of_agents_.end())
      NIMBUS_RETURN_IF_ERROR(End(span.span, &works_[agent->second]));
    if (ends_trace) NIMBUS_RETURN_IF_ERROR(End(span.span, &works_[*trace->work]));
    const Span& root = spans_[span.span];
    trace->ended = trace->ended || (root.parent.empty() && root.end_ns.has_value());
  }
  // What comes after the end of its trace waits for nothing.
  if (!trace->ended || !trace->work.has_value()) return absl::OkStatus();
  Operation& late = works_[*trace->work].operation;
  if (journal::IsFinal(late.status)) return absl::OkStatus();
  late.status = Lifecycle::kCompleted;
  late.ended_record = record_;
  for (const Step& step : late.steps) AddUsage(step.usage, &late.usage);
  return absl::OkStatus();
}

absl::Status TraceReader::End(size_t index, Work* work) {
  const Span& span = spans_[index];
  Operation& operation = work->operation;
  if (!span.end_ns.has_value() || journal::IsFinal(operation.status)) return absl::OkStatus();
  operation.error = ErrorOf(span);
  operation.status = operation.error.empty() ? Lifecycle::kCompleted : Lifecycle::kFailed;
  operation.ended_record = record_;
  operation.ended_at_us = MicrosOfNanos(span.end_ns);
  if (operation.created_at_us == MicrosOfNanos(span.start_ns))
    operation.duration_ms = MillisecondsBetween(span);
  Json answer = roles_[index] == SpanRole::kAgent ? OutputMessages(span) : Json();
  if (!answer.IsNull()) {
    operation.output = Json::MakeObject({{"messages", std::move(answer)}}).Dump();
  } else {
    const auto last = std::find_if(
        operation.steps.rbegin(), operation.steps.rend(),
        [](const Step& step) { return step.type == StepType::llm_call && !step.output.empty(); });
    if (last != operation.steps.rend()) operation.output = last->output;
  }
  bool told = false;
  for (const Step& step : operation.steps) {
    AddUsage(step.usage, &operation.usage);
    told = told || step.usage.total.has_value();
  }
  if (told || roles_[index] != SpanRole::kAgent) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const SpanUsage used, ReadSpanUsage(span));
  operation.usage = used.usage;
  if (used.picodollars.has_value())
    operation.usage.cost_microdollars = MicrodollarsOf(*used.picodollars);
  return absl::OkStatus();
}

Run TraceReader::Finish() {
  for (const auto& [id, trace] : traces_) {
    if (trace.works.empty()) continue;
    Json notes = Json::MakeObject();
    const auto note = [&notes](std::string_view key, uint64_t count) {
      if (count > 0) notes.Set(key, Json::Uint(count));
    };
    note("duplicate", trace.duplicates);
    note("in_parent_cycle", trace.cycles);
    note("without_end", trace.unended);
    if (notes.object().empty()) continue;
    sessions_[works_[trace.works.front()].session].context.Set("spans", std::move(notes));
  }
  Run run;
  run.format = format_;
  run.sessions = std::move(sessions_);
  for (Work& work : works_) {
    SettleOpenCalls(&work.operation);
    run.sessions[work.session].operations.push_back(std::move(work.operation));
  }
  return run;
}

}  // namespace nimbus::tools::import
