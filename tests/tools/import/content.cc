#include "tools/import/content.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "nimbus/journal/reader.h"
#include "nimbus/replay/patch.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"

namespace nimbus::test {
namespace {

using schema::Json;
using schema::Uuid;

std::string Text(const flatbuffers::String* text) { return text == nullptr ? "" : text->str(); }

std::string OutcomeText(const schema::fb::Outcome* outcome) {
  if (outcome == nullptr) return "";
  const auto text = [](const auto& number) {
    return number ? std::to_string(*number) : std::string("-");
  };
  return fmt::format("{} ms, {} tokens ({} {} {} {}), {} u$", text(outcome->duration_ms()),
                     text(outcome->tokens_used()), text(outcome->input_tokens()),
                     text(outcome->output_tokens()), text(outcome->cache_read_tokens()),
                     text(outcome->cache_write_tokens()), text(outcome->cost_microdollars()));
}

class ContentReader {
 public:
  absl::Status Add(const journal::RecordView& view, const schema::fb::Body* body) {
    view_ = &view;
    body_ = body;
    stream_ = Uuid::FromFb(view.envelope().stream()).ToString();
    switch (view.envelope().stream_kind()) {
      case schema::fb::EntityKind::session:
        return AddToSession();
      case schema::fb::EntityKind::operation:
        NIMBUS_RETURN_IF_ERROR(AddToOperation());
        return AddStepEnd();
      case schema::fb::EntityKind::source:
        return AddToSource();
      default:
        return absl::OkStatus();
    }
  }

  Content Take() {
    for (const auto& [id, state] : states_) content_.operations[id].state = state.Dump();
    return std::move(content_);
  }

 private:
  absl::Status AddToSession() {
    SessionContent& session = content_.sessions[stream_];
    if (view_->record->event_as_SessionEnded() != nullptr) session.status = "ended";
    if (body_ == nullptr) return absl::OkStatus();
    if (body_->name() != nullptr) session.name = Text(body_->name());
    if (body_->description() != nullptr) session.description = Text(body_->description());
    if (body_->context() != nullptr) session.context = Text(body_->context());
    return absl::OkStatus();
  }

  absl::Status AddToOperation() {
    OperationContent& operation = content_.operations[stream_];
    const schema::fb::Record& record = *view_->record;
    if (const auto* event = record.event_as_OperationCreated()) {
      operation.session = Uuid::FromFb(*event->session()).ToString();
      if (event->parent() != nullptr) operation.parent = Uuid::FromFb(*event->parent()).ToString();
      operation.type = Text(event->type());
      operation.name = Text(body_->name());
      operation.input = Text(body_->input());
      operation.status = "pending";
    }
    if (record.event_as_OperationPlanned() != nullptr) operation.plan = Text(body_->plan());
    if (record.event_as_OperationStarted() != nullptr) {
      operation.status = "running";
      NIMBUS_ASSIGN_OR_RETURN(states_[stream_], Json::Parse(Text(body_->state())));
      return CompareDigest();
    }
    if (const auto* event = record.event_as_OperationCompleted())
      EndOperation("completed", event->outcome());
    if (const auto* event = record.event_as_OperationFailed())
      EndOperation("failed", event->outcome());
    if (const auto* event = record.event_as_OperationCancelled())
      EndOperation("cancelled", event->outcome());
    if (const auto* event = record.event_as_StepAdded()) {
      StepContent& step = operation.steps[Uuid::FromFb(*event->step()).ToString()];
      step.number = view_->envelope().ordinal();
      step.type = schema::fb::EnumNameStepType(event->type());
      step.tool = Text(event->tool_name());
      step.input = Text(body_ == nullptr ? nullptr : body_->input());
      step.status = "pending";
    }
    if (const auto* event = record.event_as_StepStarted())
      operation.steps[Uuid::FromFb(*event->step()).ToString()].status = "running";
    if (const auto* event = record.event_as_CheckpointCreated()) {
      const std::string state = Text(body_->state());
      operation.checkpoints[Uuid::FromFb(*event->checkpoint()).ToString()] = state;
      if (state != states_[stream_].Dump()) return Differs("the checkpoint's state");
      return CompareDigest();
    }
    return absl::OkStatus();
  }

  void EndOperation(std::string status, const schema::fb::Outcome* outcome) {
    OperationContent& operation = content_.operations[stream_];
    operation.status = std::move(status);
    operation.outcome = OutcomeText(outcome);
    operation.output = Text(body_ == nullptr ? nullptr : body_->output());
    operation.error = Text(body_ == nullptr ? nullptr : body_->error());
  }

  absl::Status AddStepEnd() {
    const schema::fb::Record& record = *view_->record;
    if (const auto* event = record.event_as_StepCompleted())
      return EndStep("completed", event->step(), event->outcome());
    if (const auto* event = record.event_as_StepFailed())
      return EndStep("failed", event->step(), event->outcome());
    if (const auto* event = record.event_as_StepCancelled())
      return EndStep("cancelled", event->step(), event->outcome());
    return absl::OkStatus();
  }

  absl::Status EndStep(std::string status, const schema::fb::Id* id,
                       const schema::fb::Outcome* outcome) {
    StepContent& step = content_.operations[stream_].steps[Uuid::FromFb(*id).ToString()];
    step.status = std::move(status);
    step.outcome = OutcomeText(outcome);
    if (body_ == nullptr) return absl::OkStatus();
    step.output = Text(body_->output());
    step.error = Text(body_->error());
    if (body_->patch() == nullptr) return absl::OkStatus();
    NIMBUS_ASSIGN_OR_RETURN(const Json patch, Json::Parse(Text(body_->patch())));
    NIMBUS_RETURN_IF_ERROR(replay::ApplyPatch(patch, &states_[stream_]).status());
    return CompareDigest();
  }

  absl::Status CompareDigest() {
    if (body_->digest() == nullptr) return absl::OkStatus();
    ++content_.digests;
    if (schema::FromFb(*body_->digest()) != schema::StateDigest(states_[stream_]))
      return Differs("the state's digest");
    return absl::OkStatus();
  }

  absl::Status Differs(std::string_view what) const {
    return schema::Error(absl::StatusCode::kDataLoss, "record {}: {} differs", view_->sequence,
                         what);
  }

  absl::Status AddToSource() {
    SourceContent& source = content_.sources[stream_];
    const schema::fb::Record& record = *view_->record;
    if (const auto* event = record.event_as_ImportStarted()) {
      source.format = Text(event->format());
      source.key = Text(event->key());
      source.finished = false;
    }
    if (record.event_as_ImportFinished() != nullptr) {
      source.finished = true;
      source.gaps = body_ == nullptr ? "" : Text(body_->context());
    }
    const auto* stored = record.event_as_SourceStored();
    if (stored == nullptr) return absl::OkStatus();
    std::string& piece = pieces_[stream_];
    piece.append(reinterpret_cast<const char*>(body_->source()->data()), body_->source()->size());
    for (uint32_t i = 0; i < stored->count(); ++i) {
      const size_t end = i + 1 == stored->count() ? piece.size() : piece.find('\n');
      source.records.push_back(piece.substr(0, end));
      piece.erase(0, end + 1);
    }
    return absl::OkStatus();
  }

  const journal::RecordView* view_ = nullptr;
  const schema::fb::Body* body_ = nullptr;
  std::string stream_;
  Content content_;
  std::map<std::string, Json> states_;
  std::map<std::string, std::string> pieces_;
};

template <typename Map>
void Compare(std::string_view what, const Map& expected, const Map& actual, std::string* out) {
  for (const auto& [id, value] : expected) {
    const auto at = actual.find(id);
    if (at == actual.end()) {
      *out += fmt::format("{} {} is missing\n", what, id);
    } else if (!(at->second == value)) {
      *out += fmt::format("{} {} differs\n", what, id);
    }
  }
  for (const auto& [id, value] : actual) {
    if (!expected.contains(id)) *out += fmt::format("{} {} should not be\n", what, id);
  }
}

}  // namespace

absl::StatusOr<Content> ReadContent(const journal::Journal& journal) {
  journal::Reader reader(journal);
  ContentReader content;
  reader.Seek(0);
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* record, reader.Next());
    if (record == nullptr) return content.Take();
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, reader.Body(*record));
    NIMBUS_RETURN_IF_ERROR(content.Add(*record, body));
  }
}

std::string Differences(const Content& expected, const Content& actual) {
  std::string out;
  Compare("session", expected.sessions, actual.sessions, &out);
  Compare("source", expected.sources, actual.sources, &out);
  Compare("operation", expected.operations, actual.operations, &out);
  for (const auto& [id, operation] : expected.operations) {
    const auto at = actual.operations.find(id);
    if (at == actual.operations.end()) continue;
    const OperationContent& other = at->second;
    Compare("  step", operation.steps, other.steps, &out);
    Compare("  checkpoint", operation.checkpoints, other.checkpoints, &out);
    if (operation.state != other.state) out += "  state differs\n";
    if (operation.status != other.status)
      out += fmt::format("  status {} instead of {}\n", other.status, operation.status);
  }
  return out;
}

}  // namespace nimbus::test
