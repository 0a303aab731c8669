#include "nimbus/replay/export.h"

#include <string>
#include <utility>
#include <vector>

#include "nimbus/journal/lifecycle.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/schema/clock.h"
#include "nimbus/schema/status.h"
#include "steps.h"

namespace nimbus::replay {

using journal::RecordView;
using schema::Error;
using schema::Json;
using schema::Uuid;
using Code = absl::StatusCode;

namespace {

Json TextOrNull(std::string_view text) {
  return text.empty() ? Json() : Json::String(std::string(text));
}

// Recorded JSON as it is: parsed, so that it nests, with its number tokens.
absl::StatusOr<Json> JsonOrNull(std::string_view text, const schema::JsonLimits& limits) {
  if (text.empty()) return Json();
  return Json::Parse(text, limits);
}

Json DigestOrNull(const std::optional<schema::Digest>& digest) {
  return digest.has_value() ? Json::String(schema::ToHex(*digest)) : Json();
}

Json TimeOrNull(std::optional<int64_t> micros) {
  return micros.has_value() ? Json::String(schema::FormatUtc(*micros)) : Json();
}

template <typename Number>
void SetIfKnown(std::string_view key, const Number& number, Json* json) {
  if (!number.has_value()) return;
  json->Set(key, std::is_signed_v<typename Number::value_type>
                     ? Json::Int(static_cast<int64_t>(*number))
                     : Json::Uint(static_cast<uint64_t>(*number)));
}

Json OutcomeJson(const schema::fb::OutcomeT& outcome) {
  Json json = Json::MakeObject();
  SetIfKnown("duration_ms", outcome.duration_ms, &json);
  SetIfKnown("tokens_used", outcome.tokens_used, &json);
  SetIfKnown("input_tokens", outcome.input_tokens, &json);
  SetIfKnown("output_tokens", outcome.output_tokens, &json);
  SetIfKnown("cache_read_tokens", outcome.cache_read_tokens, &json);
  SetIfKnown("cache_write_tokens", outcome.cache_write_tokens, &json);
  SetIfKnown("cost_microdollars", outcome.cost_microdollars, &json);
  return json;
}

class Export {
 public:
  Export(const journal::Journal& journal, Session session, const ExportOptions& options,
         const ExportSink& sink)
      : journal_(journal),
        session_(std::move(session)),
        limits_(options.session.state.limits),
        options_(options),
        sink_(sink) {}

  absl::Status Run() {
    NIMBUS_RETURN_IF_ERROR(SetRange());
    NIMBUS_ASSIGN_OR_RETURN(Json operation, Operation());
    return options_.lines ? WriteLines(std::move(operation)) : WriteDocument(operation);
  }

 private:
  absl::Status SetRange() {
    const uint32_t steps = session_.StepCount();
    to_ = options_.to_step.value_or(steps);
    if (options_.to_step.has_value() && *options_.to_step > 0) {
      NIMBUS_RETURN_IF_ERROR(session_.FindStep(to_).status());
    }
    if (options_.from_step > 1) {
      NIMBUS_RETURN_IF_ERROR(session_.FindStep(options_.from_step).status());
    }
    if (!options_.to_step.has_value() || options_.from_step <= to_) return absl::OkStatus();
    return Error(Code::kInvalidArgument, "steps {} to {} are none", options_.from_step, to_);
  }

  bool IsWanted(uint32_t step) const { return step >= options_.from_step && step <= to_; }

  absl::StatusOr<Json> Operation() {
    NIMBUS_ASSIGN_OR_RETURN(const OperationRecord created, session_.ReadOperation());
    NIMBUS_ASSIGN_OR_RETURN(Json input, JsonOrNull(created.input, limits_));
    Json json = Json::MakeObject(
        {{"id", Json::String(session_.operation().ToString())},
         {"session", Json::String(created.session.ToString())},
         {"type", Json::String(created.type)},
         {"name", TextOrNull(created.name)},
         {"created_at", TimeOrNull(created.created_at_us)},
         {"status", Json::String(std::string(journal::StatusText(session_.status())))},
         {"steps", Json::Uint(session_.StepCount())},
         {"input", std::move(input)}});
    NIMBUS_RETURN_IF_ERROR(AddStart(&json));
    NIMBUS_RETURN_IF_ERROR(AddRest(&json));
    return json;
  }

  // The state it began with.
  absl::Status AddStart(Json* json) {
    NIMBUS_RETURN_IF_ERROR(session_.SeekToStart());
    json->Set("state", session_.state().document());
    json->Set("digest", Json::String(schema::ToHex(session_.state().Digest())));
    return absl::OkStatus();
  }

  // What its other events tell: plan, origin, end.
  absl::Status AddRest(Json* json) {
    for (const std::string_view name : {"plan", "output", "error", "outcome", "forked_from"}) {
      json->Set(name, Json());
    }
    NIMBUS_ASSIGN_OR_RETURN(
        journal::StreamReader stream,
        journal::StreamReader::Open(journal_, schema::fb::EntityKind::operation,
                                    session_.operation(), options_.session.reader));
    return WalkBack(&stream, [&](const RecordView& view) -> absl::StatusOr<bool> {
      NIMBUS_RETURN_IF_ERROR(AddEvent(view, &stream, json));
      return true;
    });
  }

  static absl::Status AddEvent(const RecordView& view, journal::StreamReader* stream, Json* json) {
    using Event = schema::fb::Event;
    switch (view.record->event_type()) {
      case Event::OperationPlanned:
        if (!json->Find("plan")->IsNull()) return absl::OkStatus();  // a later one is in force
        return AddText(view, stream, "plan", json);
      case Event::OperationForked:
        json->Set("forked_from", Origin(*view.record->event_as_OperationForked()));
        return absl::OkStatus();
      case Event::OperationCompleted:
      case Event::OperationFailed:
      case Event::OperationCancelled:
        if (const schema::fb::Outcome* outcome = OutcomeOf(*view.record)) {
          schema::fb::OutcomeT known;
          outcome->UnPackTo(&known);
          json->Set("outcome", OutcomeJson(known));
        }
        return AddText(view, stream, "output", json);
      default:
        return absl::OkStatus();
    }
  }

  static absl::Status AddText(const RecordView& view, journal::StreamReader* stream,
                              std::string_view name, Json* json) {
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream->Body(view));
    if (body == nullptr) return absl::OkStatus();
    const flatbuffers::String* text = name == "plan" ? body->plan() : body->output();
    if (text != nullptr) {
      NIMBUS_ASSIGN_OR_RETURN(Json value, JsonOrNull(text->string_view(), {}));
      json->Set(name, std::move(value));
    }
    if (body->error() != nullptr) json->Set("error", Json::String(body->error()->str()));
    return absl::OkStatus();
  }

  static Json Origin(const schema::fb::OperationForked& event) {
    const schema::fb::Id* checkpoint = event.checkpoint();
    return Json::MakeObject(
        {{"operation", Json::String(Uuid::FromFb(*event.parent()).ToString())},
         {"checkpoint",
          checkpoint == nullptr ? Json() : Json::String(Uuid::FromFb(*checkpoint).ToString())},
         {"step_number", checkpoint == nullptr ? Json::Uint(event.step_number()) : Json()}});
  }

  absl::StatusOr<Json> Step(const StepInfo& info) {
    NIMBUS_ASSIGN_OR_RETURN(const StepRecord record, session_.ReadStep(info.number));
    NIMBUS_ASSIGN_OR_RETURN(Json input, JsonOrNull(record.input, limits_));
    NIMBUS_ASSIGN_OR_RETURN(Json output, JsonOrNull(record.output, limits_));
    NIMBUS_ASSIGN_OR_RETURN(Json patch, JsonOrNull(record.patch, limits_));
    return Json::MakeObject(
        {{"step_number", Json::Uint(info.number)},
         {"id", Json::String(info.id.ToString())},
         {"type", Json::String(schema::fb::EnumNameStepType(info.type))},
         {"tool_name", TextOrNull(info.tool_name)},
         {"status", Json::String(std::string(journal::StatusText(info.status)))},
         {"input", std::move(input)},
         {"output", std::move(output)},
         {"error", TextOrNull(record.error)},
         {"patch", std::move(patch)},
         {"digest", DigestOrNull(record.digest)},
         {"outcome", record.outcome.has_value() ? OutcomeJson(*record.outcome) : Json()},
         {"added", Json::Uint(info.added)},
         {"ended", info.ended.has_value() ? Json::Uint(*info.ended) : Json()}});
  }

  absl::StatusOr<Json> Checkpoint(const CheckpointInfo& info) {
    NIMBUS_ASSIGN_OR_RETURN(const std::string name, session_.ReadCheckpointName(info));
    NIMBUS_ASSIGN_OR_RETURN(Moment moment, session_.ReadCheckpoint(info.id));
    return Json::MakeObject({{"id", Json::String(info.id.ToString())},
                             {"step_number", Json::Uint(info.step)},
                             {"name", TextOrNull(name)},
                             {"digest", DigestOrNull(moment.digest)},
                             {"sequence", Json::Uint(info.sequence)},
                             {"state", std::move(moment.state).value_or(Json())}});
  }

  absl::Status Line(std::string_view kind, Json json) {
    Json::Object& members = json.object();
    members.emplace(members.begin(), "record", Json::String(std::string(kind)));
    return sink_(json.Dump() + "\n");
  }

  // Calls these for what is wanted, where a step was added and a checkpoint made.
  absl::Status ForEachWanted(const std::function<absl::Status(Json)>& write_step,
                             const std::function<absl::Status(Json)>& write_checkpoint) {
    return session_.ForEachPoint(
        [&](const StepInfo& info) -> absl::Status {
          if (!write_step || !IsWanted(info.number)) return absl::OkStatus();
          NIMBUS_ASSIGN_OR_RETURN(Json step, Step(info));
          return write_step(std::move(step));
        },
        [&](const CheckpointInfo& info) -> absl::Status {
          if (!write_checkpoint || !IsWanted(info.step)) return absl::OkStatus();
          NIMBUS_ASSIGN_OR_RETURN(Json checkpoint, Checkpoint(info));
          return write_checkpoint(std::move(checkpoint));
        });
  }

  absl::Status WriteLines(Json operation) {
    NIMBUS_RETURN_IF_ERROR(Line("operation", std::move(operation)));
    return ForEachWanted(
        [&](Json step) { return Line("step", std::move(step)); },
        [&](Json checkpoint) { return Line("checkpoint", std::move(checkpoint)); });
  }

  absl::Status WriteDocument(const Json& operation) {
    std::string_view separator = "\n";
    const auto write = [&](const Json& item) {
      const std::string text = std::string(separator) + item.Dump();
      separator = ",\n";
      return sink_(text);
    };
    NIMBUS_RETURN_IF_ERROR(sink_("{\"operation\":" + operation.Dump() + ",\n\"steps\":["));
    NIMBUS_RETURN_IF_ERROR(ForEachWanted(write, nullptr));
    NIMBUS_RETURN_IF_ERROR(sink_("],\n\"checkpoints\":["));
    separator = "\n";
    NIMBUS_RETURN_IF_ERROR(ForEachWanted(nullptr, write));
    return sink_("]}\n");
  }

  const journal::Journal& journal_;
  Session session_;
  const schema::JsonLimits limits_;
  const ExportOptions& options_;
  const ExportSink& sink_;
  uint32_t to_ = 0;
};

}  // namespace

absl::Status ExportOperation(const journal::Journal& journal, const Uuid& operation,
                             const ExportOptions& options, const ExportSink& sink) {
  NIMBUS_ASSIGN_OR_RETURN(Session session, Session::Open(journal, operation, options.session));
  return Export(journal, std::move(session), options, sink).Run();
}

}  // namespace nimbus::replay
