#include "playback.h"

#include <string_view>
#include <utility>

#include "message.h"
#include "nimbus/journal/lifecycle.h"
#include "nimbus/schema/status.h"

namespace nimbus::replay {

using journal::Lifecycle;
using journal::RecordView;
using schema::Error;
using schema::Json;
using schema::Uuid;
using Code = absl::StatusCode;
using Event = schema::fb::Event;

namespace {

std::optional<Lifecycle> EndOf(Event type) {
  switch (type) {
    case Event::OperationCompleted:
      return Lifecycle::kCompleted;
    case Event::OperationFailed:
      return Lifecycle::kFailed;
    case Event::OperationCancelled:
      return Lifecycle::kCancelled;
    default:
      return std::nullopt;
  }
}

std::string Text(const flatbuffers::String* text) { return text == nullptr ? "" : text->str(); }

}  // namespace

Json EndJson(Lifecycle ended) {
  return Json::MakeObject({{"end", Json::String(std::string(journal::StatusText(ended)))}});
}

Json StepJson(schema::fb::StepType type, std::string_view tool) {
  Json step = Json::MakeObject({{"type", Json::String(schema::fb::EnumNameStepType(type))}});
  if (!tool.empty()) step.Set("tool", Json::String(std::string(tool)));
  return Json::MakeObject({{"step", std::move(step)}});
}

Json Recorded::ToJson() const {
  switch (kind) {
    case Kind::kNone:
      return Json();
    case Kind::kStep:
      return StepJson(step.step.type, step.step.tool_name);
    case Kind::kValue:
      return Json::MakeObject({{"value", Json::String(name)}});
    case Kind::kCheckpoint:
      return Json::MakeObject({{"checkpoint", Json::String(name)}});
    case Kind::kEnd:
      return EndJson(ended);
  }
  return Json();
}

absl::Status Playback::Advance(Tape* tape) {
  next = Recorded();
  while (next.kind == Recorded::Kind::kNone) {
    const size_t part = position.part;
    NIMBUS_ASSIGN_OR_RETURN(const Tape::Item item, tape->Next(&position));
    if (item.view == nullptr) return absl::OkStatus();
    if (item.part != part) last_ended.reset();
    NIMBUS_RETURN_IF_ERROR(Pass(tape, item));
  }
  return absl::OkStatus();
}

absl::Status Playback::Finish(Tape* tape) {
  while (next.kind != Recorded::Kind::kNone) NIMBUS_RETURN_IF_ERROR(Advance(tape));
  return absl::OkStatus();
}

absl::StatusOr<schema::fb::OutcomeT> Playback::OutcomeAtEnd(Tape* tape) const {
  schema::fb::OutcomeT sum = outcome;
  for (Tape::Position left = position; !tape->AtEnd(left);) {
    NIMBUS_ASSIGN_OR_RETURN(const Tape::Item item, tape->Next(&left));
    if (item.part == tape->End().part) AddOutcomeOf(*item.view->record, &sum);
  }
  return sum;
}

absl::Status Playback::Pass(Tape* tape, const Tape::Item& item) {
  const RecordView& view = *item.view;
  const schema::fb::Record& record = *view.record;
  if (item.part == tape->End().part) AddOutcomeOf(record, &outcome);
  const Event type = record.event_type();
  const auto found = [&](Recorded::Kind kind) {
    next.kind = kind;
    next.sequence = view.sequence;
    next.part = item.part;
  };
  if (type == Event::StepAdded) {
    if (tape->BeginsAnew(item.part, view)) return absl::OkStatus();  // it was called before
    found(Recorded::Kind::kStep);
    NIMBUS_ASSIGN_OR_RETURN(next.step, tape->ReadStep(view, item.part));  // the view's last use
    return absl::OkStatus();
  }
  if (const auto* value = record.event_as_ValueRecorded()) {
    next.name = Text(value->name());
    found(Recorded::Kind::kValue);
    return absl::OkStatus();
  }
  if (const std::optional<Lifecycle> end = EndOf(type)) {
    next.ended = *end;
    found(Recorded::Kind::kEnd);
    return absl::OkStatus();
  }
  const auto with_body = [&](auto&& use) -> absl::Status {
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, tape->Body(view));
    return use(body);
  };
  const auto end_step = [&](const schema::fb::Id& step) {
    return with_body([&](const auto* body) { return EndStep(view, step, body); });
  };
  switch (type) {
    case Event::OperationStarted:
      return with_body([&](const auto* body) { return Start(body, item.part == 0); });
    case Event::StepCompleted:
      return end_step(*record.event_as_StepCompleted()->step());
    case Event::StepFailed:
      return end_step(*record.event_as_StepFailed()->step());
    case Event::StepCancelled:
      return end_step(*record.event_as_StepCancelled()->step());
    case Event::CheckpointCreated:
      state.MarkCheckpoint();
      return with_body([&](const auto* body) {
        if (body != nullptr) next.name = Text(body->name());
        // One without a name was not asked for.
        if (!next.name.empty()) found(Recorded::Kind::kCheckpoint);
        return absl::OkStatus();
      });
    default:
      return absl::OkStatus();  // says nothing about the state
  }
}

// A fork's start has no state: it goes on with its parent's.
absl::Status Playback::Start(const schema::fb::Body* body, bool first) {
  if (body == nullptr || body->state() == nullptr) {
    return first ? state.Restore(Json()) : absl::OkStatus();
  }
  absl::StatusOr<Json> start = Json::Parse(body->state()->string_view());
  if (!start.ok()) {
    return Error(Code::kDataLoss, "the initial state: {}", MessageOf(start.status()));
  }
  return state.Restore(*std::move(start));
}

absl::Status Playback::EndStep(const RecordView& view, const schema::fb::Id& step,
                               const schema::fb::Body* body) {
  last_ended = Uuid::FromFb(step);
  if (body == nullptr || body->patch() == nullptr) {
    state.FoldUnchanged();
  } else if (const absl::Status folded = state.Fold(body->patch()->string_view()); !folded.ok()) {
    return Error(Code::kDataLoss, "record {}: the recorded patch does not apply: {}", view.sequence,
                 MessageOf(folded));
  }
  if (body == nullptr || body->digest() == nullptr ||
      schema::FromFb(*body->digest()) == state.Digest()) {
    return absl::OkStatus();
  }
  return Error(Code::kDataLoss, "the state after record {} is not the one recorded", view.sequence);
}

}  // namespace nimbus::replay
