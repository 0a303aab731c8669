// The calls that record values and checkpoints, and those that end the operation.
#include <algorithm>
#include <utility>

#include "message.h"
#include "nimbus/replay/patch.h"
#include "nimbus/schema/status.h"
#include "recorder_events.h"
#include "recorder_impl.h"

namespace nimbus::replay {

using journal::IsFinal;
using journal::Lifecycle;
using journal::RecordView;
using schema::Error;
using schema::Event;
using schema::Json;
using schema::Uuid;
using Code = absl::StatusCode;
using What = StepDivergence::What;

namespace {

// What waits for an append is appended by itself beyond this.
constexpr size_t kWaitingValuesMax = 256;
constexpr size_t kWaitingBytesMax = 1u << 20;

Json Named(std::string_view kind, std::string_view name) {
  return Json::MakeObject({{std::string(kind), Json::String(std::string(name))}});
}

}  // namespace

absl::StatusOr<Json> Recorder::Impl::Value(std::string name,
                                           const std::function<absl::StatusOr<Json>()>& make) {
  if (InRun()) return make();
  {
    const std::lock_guard lock(mu_);
    redactor_.Text(&name);
    NIMBUS_ASSIGN_OR_RETURN(std::optional<Json> recorded, ServeValue(name));
    if (recorded.has_value()) return *std::move(recorded);
  }
  NIMBUS_ASSIGN_OR_RETURN(Json value, make());
  const std::lock_guard lock(mu_);
  redactor_.Value(&value);
  schema::fb::ValueRecordedT payload;
  payload.name = std::move(name);
  Event event = OperationEvent(operation_, std::move(payload));
  event.body.details = std::make_unique<schema::fb::DetailsT>();
  event.body.details->value = value.Dump();
  // Now, because later it would be another call that fails.
  NIMBUS_RETURN_IF_ERROR(schema::ValidateEvent(event));
  value_bytes_ += event.body.details->value.size();
  values_.push_back(std::move(event));
  if (values_.size() >= kWaitingValuesMax || value_bytes_ > kWaitingBytesMax) {
    NIMBUS_RETURN_IF_ERROR(Append({}));
  }
  return value;
}

// The recorded value at this place; nullopt where a new one is to be made.
absl::StatusOr<std::optional<Json>> Recorder::Impl::ServeValue(std::string_view name) {
  NIMBUS_RETURN_IF_ERROR(broken_);
  const Recorded& next = main_.next;
  if (next.kind == Recorded::Kind::kNone && reexecuting()) return GoesNoFurther();
  if (!reexecuting() && (next.kind == Recorded::Kind::kNone || next.kind == Recorded::Kind::kEnd)) {
    if (IsFinal(status_)) return Ended();
    return std::optional<Json>();
  }
  if (next.kind != Recorded::Kind::kValue || next.name != name) {
    return Diverge(What::kValue, next.ToJson(), Named("value", name));
  }
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, tape_.ReadAt(next.part, next.sequence));
  const absl::StatusOr<const schema::fb::Body*> body = tape_.Body(*view);
  if (reexecuting() && IsAbsent(body.status())) {
    return Incomplete(
        fmt::format("value '{}' after step {}: {}", name, done_, MessageOf(body.status())));
  }
  NIMBUS_RETURN_IF_ERROR(body.status());
  const schema::fb::Details* details = *body == nullptr ? nullptr : (*body)->details();
  NIMBUS_ASSIGN_OR_RETURN(Json value,
                          ParseRecorded(details == nullptr ? nullptr : details->value()));
  ++report_.values;
  NIMBUS_RETURN_IF_ERROR(Advance());
  return std::optional<Json>(std::move(value));
}

Event Recorder::Impl::CheckpointEvent(const Uuid& step, std::string_view name,
                                      const State& state) const {
  schema::fb::CheckpointCreatedT created;
  created.checkpoint = IdPtr(schema::NewUuid());
  created.step = IdPtr(step);
  Event event = OperationEvent(operation_, std::move(created));
  event.body.name = name;
  event.body.state = state.Text();
  event.body.digest = DigestPtr(state.Digest());
  return event;
}

// Whether the calls are where a fork goes on: behind those of its parent, before its own.
bool Recorder::Impl::AtFork() const {
  const size_t part = main_.next.kind == Recorded::Kind::kNone ? tape_.End().part : main_.next.part;
  return part > 0 && done_ == tape_.CalledAt(part, 0);
}

absl::Status Recorder::Impl::Checkpoint(std::string name) {
  if (name.empty()) return Error(Code::kInvalidArgument, "a checkpoint needs a name");
  const std::lock_guard lock(mu_);
  redactor_.Text(&name);
  NIMBUS_RETURN_IF_ERROR(broken_);
  const Recorded& next = main_.next;
  const bool live = next.kind == Recorded::Kind::kNone;
  if (next.kind == Recorded::Kind::kCheckpoint && next.name == name) return Advance();
  // Where a fork begins, the state is its parent's, which has it; so none was recorded.
  const bool ended = main_.last_ended.has_value();
  if (AtFork() && (!ended || !live)) return absl::OkStatus();
  if (!ended && done_ == 0 && next.kind != Recorded::Kind::kCheckpoint) {
    return Error(Code::kFailedPrecondition, "a checkpoint belongs to a step, and there is none");
  }
  if (next.kind == Recorded::Kind::kEnd && !reexecuting()) return Ended();
  if (!live) return Diverge(What::kCheckpoint, next.ToJson(), Named("checkpoint", name));
  if (reexecuting()) return GoesNoFurther();
  if (IsFinal(status_)) return Ended();
  if (!main_.last_ended.has_value()) {
    return Error(Code::kFailedPrecondition, "a checkpoint belongs to a step that has ended");
  }
  std::vector<Event> events;
  events.push_back(CheckpointEvent(*main_.last_ended, name, main_.state));
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  main_.state.MarkCheckpoint();
  return absl::OkStatus();
}

absl::Status Recorder::Impl::Complete(std::string output, const schema::fb::OutcomeT& outcome) {
  const std::lock_guard lock(mu_);
  NIMBUS_RETURN_IF_ERROR(schema::Annotate(redactor_.JsonText(&output), "output"));
  NIMBUS_RETURN_IF_ERROR(broken_);
  if (!reexecuting()) {
    NIMBUS_RETURN_IF_ERROR(NothingIsOpen());
    const Recorded& next = main_.next;
    if (next.kind != Recorded::Kind::kNone && next.kind != Recorded::Kind::kEnd) {
      return Diverge(What::kEnd, next.ToJson(), EndJson(Lifecycle::kCompleted));
    }
  }
  schema::fb::OperationCompletedT completed;
  NIMBUS_ASSIGN_OR_RETURN(completed.outcome, Filled(outcome));
  Event event = OperationEvent(operation_, std::move(completed));
  event.body.output = std::move(output);
  return End(Lifecycle::kCompleted, std::move(event));
}

absl::Status Recorder::Impl::NothingIsOpen() const {
  if (open_.empty() || IsFinal(status_)) return absl::OkStatus();
  const Held& open = open_.front();
  return Error(
      Code::kFailedPrecondition, "step {} ({}) {}", open.step.number, open.step.id.ToString(),
      open.holder == Holder::kInDoubt ? "is in doubt: it was begun, and no result of it is recorded"
                                      : "has not ended");
}

absl::Status Recorder::Impl::Fail(std::string error, const schema::fb::OutcomeT& outcome) {
  const std::lock_guard lock(mu_);
  redactor_.Text(&error);
  schema::fb::OperationFailedT failed;
  NIMBUS_ASSIGN_OR_RETURN(failed.outcome, Filled(outcome));
  Event event = OperationEvent(operation_, std::move(failed));
  event.body.error = std::move(error);
  return End(Lifecycle::kFailed, std::move(event));
}

absl::Status Recorder::Impl::Cancel(const schema::fb::OutcomeT& outcome) {
  const std::lock_guard lock(mu_);
  schema::fb::OperationCancelledT cancelled;
  NIMBUS_ASSIGN_OR_RETURN(cancelled.outcome, Filled(outcome));
  return End(Lifecycle::kCancelled, OperationEvent(operation_, std::move(cancelled)));
}

absl::Status Recorder::Impl::EndHere() {
  const std::lock_guard lock(mu_);
  if (!reexecuting()) return Error(Code::kFailedPrecondition, "only executing again ends nowhere");
  NIMBUS_RETURN_IF_ERROR(broken_);
  if (report_.ended) return absl::OkStatus();
  if (main_.next.kind == Recorded::Kind::kNone) return GoesNoFurther();
  return Diverge(What::kEnd, main_.next.ToJson(), Json());
}

absl::Status Recorder::Impl::End(Lifecycle status, Event event) {
  if (reexecuting()) return CompareEnd(status, event);
  if (status_ == status) return absl::OkStatus();
  if (IsFinal(status_)) {
    return Error(Code::kFailedPrecondition, "operation {} has ended otherwise",
                 operation_.ToString());
  }
  std::vector<Event> events;
  events.push_back(std::move(event));
  NIMBUS_RETURN_IF_ERROR(Append(std::move(events)));
  status_ = status;
  ended_.notify_all();
  return absl::OkStatus();
}

absl::Status Recorder::Impl::CompareEnd(Lifecycle status, const Event& event) {
  NIMBUS_RETURN_IF_ERROR(broken_);
  const Recorded& next = main_.next;
  if (next.kind == Recorded::Kind::kNone) return GoesNoFurther();
  if (next.kind != Recorded::Kind::kEnd || next.ended != status) {
    return Diverge(What::kEnd, next.ToJson(), EndJson(status));
  }
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, tape_.ReadAt(next.part, next.sequence));
  const absl::StatusOr<const schema::fb::Body*> body = tape_.Body(*view);
  if (IsAbsent(body.status())) {
    return Incomplete(fmt::format("the end of the operation: {}", MessageOf(body.status())));
  }
  NIMBUS_RETURN_IF_ERROR(body.status());
  Json expected = EndJson(status), actual = EndJson(status);
  NIMBUS_ASSIGN_OR_RETURN(Json output, ParseRecorded(*body ? (*body)->output() : nullptr));
  const auto* error = *body ? (*body)->error() : nullptr;
  expected.Set("output", std::move(output));
  expected.Set("error", Json::String(error == nullptr ? "" : error->str()));
  NIMBUS_ASSIGN_OR_RETURN(output, ParseGiven(event.body.output, "output"));
  actual.Set("output", std::move(output));
  actual.Set("error", Json::String(event.body.error));
  if (expected == actual) {
    report_.ended = true;
    return absl::OkStatus();
  }
  Json difference = Diff(expected, actual);
  return Diverge(What::kEnd, std::move(expected), std::move(actual), std::move(difference));
}

// What is appended behind the place of the calls is counted when they come by.
void Recorder::Impl::Count(const schema::fb::OutcomeT& outcome) {
  if (main_.next.kind == Recorded::Kind::kNone) {
    AddOutcome(outcome, &main_.outcome);
  } else if (tail_.has_value()) {
    AddOutcome(outcome, &tail_->outcome);
  }
}

absl::StatusOr<schema::fb::OutcomeT> Recorder::Impl::Totals() {
  return (tail_.has_value() ? *tail_ : main_).OutcomeAtEnd(&tape_);
}

absl::StatusOr<std::unique_ptr<schema::fb::OutcomeT>> Recorder::Impl::Filled(
    const schema::fb::OutcomeT& outcome) {
  auto filled = std::make_unique<schema::fb::OutcomeT>(outcome);
  // What was journaled ends nothing, and is compared without it.
  if (reexecuting() || IsFinal(status_)) return filled;
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::OutcomeT totals, Totals());
  const auto fill = [](auto* number, const auto& sum) {
    if (!number->has_value()) *number = sum;
  };
  fill(&filled->tokens_used, totals.tokens_used);
  fill(&filled->input_tokens, totals.input_tokens);
  fill(&filled->output_tokens, totals.output_tokens);
  fill(&filled->cache_read_tokens, totals.cache_read_tokens);
  fill(&filled->cache_write_tokens, totals.cache_write_tokens);
  fill(&filled->cost_microdollars, totals.cost_microdollars);
  if (!filled->duration_ms.has_value()) {
    filled->duration_ms =
        static_cast<uint64_t>(std::max<int64_t>(0, NowMicros() - begun_us_) / 1000);
  }
  return filled;
}

}  // namespace nimbus::replay
