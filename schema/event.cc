#include "nimbus/schema/event.h"

#include "nimbus/schema/check.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"
#include "utf8.h"

namespace nimbus::schema {
namespace {

absl::Status Invalid(std::string_view field, std::string_view why) {
  return Error(absl::StatusCode::kInvalidArgument, "{}: {}", field, why);
}

absl::Status CheckJson(std::string_view field, const std::string& text, const JsonLimits& limits) {
  if (text.empty()) return absl::OkStatus();
  return Annotate(ValidateJson(text, limits), std::string(field));
}

absl::Status CheckText(std::string_view field, const std::string& text) {
  if (!IsUtf8(text)) return Invalid(field, "not valid UTF-8");
  return absl::OkStatus();
}

absl::Status CheckName(std::string_view field, const std::string& name, bool required) {
  if (name.empty()) return required ? Invalid(field, "is required") : absl::OkStatus();
  if (name.size() > kNameBytesMax) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: {} bytes, {} are allowed", field,
                 name.size(), kNameBytesMax);
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return Invalid(field, "holds a control character");
    }
  }
  return CheckText(field, name);
}

absl::Status CheckId(std::string_view field, const std::unique_ptr<fb::Id>& id) {
  if (id == nullptr || Uuid::FromFb(*id).IsNil()) return Invalid(field, "is required");
  return absl::OkStatus();
}

absl::Status CheckBody(const fb::BodyT& body, const JsonLimits& limits) {
  NIMBUS_RETURN_IF_ERROR(CheckText("name", body.name));
  NIMBUS_RETURN_IF_ERROR(CheckText("description", body.description));
  NIMBUS_RETURN_IF_ERROR(CheckText("error", body.error));
  NIMBUS_RETURN_IF_ERROR(CheckJson("context", body.context, limits));
  NIMBUS_RETURN_IF_ERROR(CheckJson("input", body.input, limits));
  NIMBUS_RETURN_IF_ERROR(CheckJson("output", body.output, limits));
  NIMBUS_RETURN_IF_ERROR(CheckJson("plan", body.plan, limits));
  NIMBUS_RETURN_IF_ERROR(CheckJson("state", body.state, limits));
  return CheckJson("patch", body.patch, limits);
}

absl::Status CheckStepId(const fb::EventUnion& payload) {
  if (const auto* e = payload.AsStepStarted()) return CheckId("step", e->step);
  if (const auto* e = payload.AsStepCompleted()) return CheckId("step", e->step);
  if (const auto* e = payload.AsStepFailed()) return CheckId("step", e->step);
  if (const auto* e = payload.AsStepCancelled()) return CheckId("step", e->step);
  return absl::OkStatus();
}

absl::Status CheckPayload(const fb::EventUnion& payload) {
  if (const auto* e = payload.AsJournalCreated()) {
    NIMBUS_RETURN_IF_ERROR(CheckId("journal", e->journal));
    return CheckName("software", e->software, true);
  }
  if (const auto* e = payload.AsSessionStarted()) return CheckName("persona", e->persona, false);
  if (const auto* e = payload.AsOperationCreated()) {
    NIMBUS_RETURN_IF_ERROR(CheckId("session", e->session));
    return CheckName("type", e->type, true);
  }
  if (const auto* e = payload.AsStepAdded()) {
    NIMBUS_RETURN_IF_ERROR(CheckId("step", e->step));
    return CheckName("tool_name", e->tool_name, false);
  }
  if (const auto* e = payload.AsCheckpointCreated()) {
    NIMBUS_RETURN_IF_ERROR(CheckId("checkpoint", e->checkpoint));
    return CheckId("step", e->step);
  }
  if (const auto* e = payload.AsImportStarted()) {
    NIMBUS_RETURN_IF_ERROR(CheckName("format", e->format, true));
    return CheckName("key", e->key, true);
  }
  return CheckStepId(payload);
}

bool IsEmpty(const fb::BodyT& body) {
  return body.name.empty() && body.description.empty() && body.context.empty() &&
         body.input.empty() && body.output.empty() && body.plan.empty() && body.error.empty() &&
         body.state.empty() && body.patch.empty() && body.digest == nullptr && body.source.empty();
}

// The thread's builder, empty: its memory is worth keeping.
flatbuffers::FlatBufferBuilder& Builder() {
  thread_local flatbuffers::FlatBufferBuilder builder(4096);
  builder.Clear();
  return builder;
}

// What was built. What grew large is given back.
std::vector<uint8_t> TakeBytes(flatbuffers::FlatBufferBuilder* builder) {
  constexpr size_t kKeptBytesMax = 256 * 1024;
  std::vector<uint8_t> bytes;
  bytes.reserve(builder->GetSize() + 8);  // it is padded to 8 as often as not
  bytes.assign(builder->GetBufferPointer(), builder->GetBufferPointer() + builder->GetSize());
  if (bytes.size() > kKeptBytesMax) builder->Reset();
  return bytes;
}

}  // namespace

absl::Status ValidateEvent(const Event& event, const JsonLimits& json_limits) {
  if (event.payload.type == fb::Event::NONE || event.payload.value == nullptr) {
    return Invalid("event", "is required");
  }
  if (event.stream_kind == fb::EntityKind::none || event.stream.IsNil()) {
    return Invalid("stream", "is required");
  }
  NIMBUS_RETURN_IF_ERROR(CheckPayload(event.payload));
  return CheckBody(event.body, json_limits);
}

std::vector<uint8_t> EncodeRecord(const Event& event) {
  flatbuffers::FlatBufferBuilder& builder = Builder();
  const flatbuffers::Offset<void> payload = event.payload.Pack(builder);
  fb::Envelope envelope;
  envelope.mutable_stream() = event.stream.ToFb();
  envelope.mutate_stream_kind(event.stream_kind);
  fb::RecordBuilder record(builder);
  record.add_envelope(&envelope);
  record.add_event_type(event.payload.type);
  record.add_event(payload);
  if (event.occurred_at_us.has_value()) record.add_occurred_at_us(*event.occurred_at_us);
  if (event.imported) record.add_imported(true);
  fb::FinishRecordBuffer(builder, record.Finish());
  return TakeBytes(&builder);
}

size_t TextBytes(const fb::BodyT& body) {
  return body.name.size() + body.description.size() + body.context.size() + body.input.size() +
         body.output.size() + body.plan.size() + body.error.size() + body.state.size() +
         body.patch.size() + body.source.size();
}

std::vector<uint8_t> EncodeBody(const Event& event) {
  if (IsEmpty(event.body)) return {};
  flatbuffers::FlatBufferBuilder& builder = Builder();
  builder.Finish(fb::Body::Pack(builder, &event.body));
  return TakeBytes(&builder);
}

absl::StatusOr<const fb::Record*> VerifyRecord(std::span<const uint8_t> bytes) {
  flatbuffers::Verifier verifier(bytes.data(), bytes.size());
  if (bytes.size() < 16 || !fb::VerifyRecordBuffer(verifier)) {
    return absl::DataLossError("not a valid record");
  }
  return fb::GetRecord(bytes.data());
}

absl::StatusOr<const fb::Body*> VerifyBody(std::span<const uint8_t> bytes) {
  flatbuffers::Verifier verifier(bytes.data(), bytes.size());
  if (bytes.size() < 8 || !verifier.VerifyBuffer<fb::Body>(nullptr)) {
    return absl::DataLossError("not a valid body");
  }
  return flatbuffers::GetRoot<fb::Body>(bytes.data());
}

fb::Envelope* MutableEnvelope(std::span<uint8_t> record) {
  return fb::GetMutableRecord(record.data())->mutable_envelope();
}

std::optional<int64_t> OccurredAt(const fb::Record& record) {
  if (const auto occurred = record.occurred_at_us(); occurred.has_value()) return *occurred;
  if (record.imported()) return std::nullopt;
  return record.envelope()->time_us();
}

}  // namespace nimbus::schema
