#include "nimbus/replay/forks.h"

#include <memory>
#include <utility>
#include <vector>

#include "nimbus/journal/reader.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/schema/saturate.h"
#include "nimbus/schema/status.h"
#include "steps.h"

namespace nimbus::replay {

using journal::Lifecycle;
using journal::RecordView;
using schema::Error;
using schema::Event;
using schema::Json;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

namespace {

std::unique_ptr<schema::fb::Id> IdPtr(const Uuid& id) {
  return std::make_unique<schema::fb::Id>(id.ToFb());
}

void Add(const schema::fb::Outcome* outcome, StepTotals* totals) {
  if (outcome == nullptr) return;
  const auto add = [](auto part, auto* sum) { *sum = schema::SaturatedSum(*sum, part); };
  add(outcome->duration_ms().value_or(0), &totals->duration_ms);
  add(outcome->cost_microdollars().value_or(0), &totals->cost_microdollars);
  add(outcome->tokens_used().value_or(schema::SaturatedSum(outcome->input_tokens().value_or(0),
                                                           outcome->output_tokens().value_or(0))),
      &totals->tokens);
}

Json ToJson(const StepTotals& totals) {
  return Json::MakeObject({{"steps", Json::Uint(totals.steps)},
                           {"duration_ms", Json::Uint(totals.duration_ms)},
                           {"tokens", Json::Uint(totals.tokens)},
                           {"cost_microdollars", Json::Int(totals.cost_microdollars)}});
}

Event Created(const Uuid& operation, const Uuid& session, const ForkPlan& plan,
              const ForkOptions& options) {
  schema::fb::OperationCreatedT created;
  created.session = IdPtr(session);
  created.type = plan.operation.type;
  created.parent = IdPtr(plan.parent);
  Event event = schema::MakeEvent(EntityKind::operation, operation, std::move(created));
  event.body.name = options.name.empty() ? plan.operation.name : options.name;
  event.body.input = plan.operation.input;
  return event;
}

Event ForkedEvent(const Uuid& operation, const ForkPlan& plan) {
  schema::fb::OperationForkedT event_payload;
  event_payload.parent = IdPtr(plan.parent);
  if (plan.checkpoint.has_value()) {
    event_payload.checkpoint = IdPtr(*plan.checkpoint);
  } else {
    event_payload.step_number = plan.step;
  }
  Event event = schema::MakeEvent(EntityKind::operation, operation, std::move(event_payload));
  if (plan.totals.has_value()) {
    event.body.context = Json::MakeObject({{"reused", ToJson(plan.totals->reused)}}).Dump();
  }
  return event;
}

bool IsRunning(const journal::EntityState& session) {
  return static_cast<Lifecycle>(session.state) == Lifecycle::kRunning;
}

// A session that takes the place of `ended`, and tells the same of itself.
absl::StatusOr<Event> NewSession(const journal::Journal& journal,
                                 const journal::EntityState& ended) {
  journal::Reader reader(journal);
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader.Read(ended.first_sequence));
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, reader.Body(*view));
  Event event =
      schema::MakeEvent(EntityKind::session, schema::NewUuid(), schema::fb::SessionStartedT());
  if (body == nullptr) return event;
  if (body->name() != nullptr) event.body.name = body->name()->str();
  if (body->context() != nullptr) event.body.context = body->context()->str();
  return event;
}

}  // namespace

Json ForkPlan::ToJson() const {
  return Json::MakeObject(
      {{"parent", Json::String(parent.ToString())},
       {"checkpoint", checkpoint.has_value() ? Json::String(checkpoint->ToString()) : Json()},
       {"step", Json::Uint(step)},
       {"sequence", Json::Uint(sequence)},
       {"digest", Json::String(schema::ToHex(digest))},
       {"state_bytes", Json::Uint(state_bytes)},
       {"reused", totals.has_value() ? replay::ToJson(totals->reused) : Json()},
       {"after", totals.has_value() ? replay::ToJson(totals->after) : Json()},
       {"unended_steps", totals.has_value() ? Json::Uint(totals->unended) : Json()}});
}

absl::StatusOr<ForkPlan> PlanFork(const journal::Journal& journal, const Uuid& parent,
                                  const Point& point, const SessionOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(Session session, Session::Open(journal, parent, options));
  if (session.status() == Lifecycle::kPending) {
    return Error(Code::kFailedPrecondition, "operation {} has not been started: it has no state",
                 parent.ToString());
  }
  NIMBUS_RETURN_IF_ERROR(SeekTo(journal, point, &session));
  ForkPlan plan{.parent = parent, .parent_status = session.status()};
  NIMBUS_ASSIGN_OR_RETURN(plan.operation, session.ReadOperation());
  if (point.kind == Point::Kind::kCheckpoint) plan.checkpoint = point.checkpoint;
  plan.sequence = session.sequence();
  plan.digest = session.state().Digest();
  plan.state_bytes = session.state().bytes();
  plan.step = session.step();
  return plan;
}

absl::Status AddTotals(const journal::Journal& journal, ForkPlan* plan,
                       const SessionOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(
      journal::StreamReader stream,
      journal::StreamReader::Open(journal, EntityKind::operation, plan->parent, options.reader));
  ForkTotals sums;
  uint64_t begun = 0;
  NIMBUS_RETURN_IF_ERROR(WalkBack(&stream, [&](const RecordView& view) -> absl::StatusOr<bool> {
    const bool by_then = view.sequence <= plan->sequence;
    if (view.record->event_type() == schema::fb::Event::StepAdded) begun += by_then;
    StepTotals* totals = by_then ? &sums.reused : &sums.after;
    totals->steps += IsStepEnd(*view.record);
    Add(StepOutcomeOf(*view.record), totals);
    return true;
  }));
  sums.unended = begun - sums.reused.steps;
  plan->totals = sums;
  return absl::OkStatus();
}

absl::StatusOr<Forked> ForkOperation(journal::Journal* journal, const ForkPlan& plan,
                                     const ForkOptions& options) {
  Forked forked{.operation = schema::NewUuid(),
                .session = options.session.value_or(plan.operation.session)};
  NIMBUS_ASSIGN_OR_RETURN(const auto session,
                          journal->FindEntity(EntityKind::session, forked.session));
  std::vector<Event> events;
  if (session.has_value() && !IsRunning(*session) && !options.session.has_value()) {
    NIMBUS_ASSIGN_OR_RETURN(Event started, NewSession(*journal, *session));
    forked.session = started.stream;
    forked.new_session = true;
    events.push_back(std::move(started));
  }
  events.push_back(Created(forked.operation, forked.session, plan, options));
  events.push_back(ForkedEvent(forked.operation, plan));
  events.push_back(
      schema::MakeEvent(EntityKind::operation, forked.operation, schema::fb::OperationStartedT()));
  NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended, journal->Append(events));
  forked.sequence = appended.first + appended.count - 1;
  return forked;
}

}  // namespace nimbus::replay
