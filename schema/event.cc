#include "nimbus/schema/event.h"

#include <algorithm>

namespace nimbus::schema {
namespace {

bool IsEmpty(const fb::BodyT& body) {
  return body.name.empty() && body.description.empty() && body.context.empty() &&
         body.input.empty() && body.output.empty() && body.plan.empty() && body.error.empty() &&
         body.state.empty() && body.patch.empty() && body.digest == nullptr &&
         body.source.empty() && body.details == nullptr;
}

size_t TextBytes(const fb::DetailsT& details) {
  size_t bytes = 0;
  for (const std::string* text :
       {&details.author, &details.homepage, &details.repository, &details.entry_point,
        &details.config_schema, &details.dependencies, &details.permissions, &details.config,
        &details.categories, &details.metadata, &details.display_name, &details.system_prompt,
        &details.model, &details.response_style, &details.capabilities, &details.value,
        &details.default_value, &details.text, &details.sealed}) {
    bytes += text->size();
  }
  return bytes;
}

// The thread's builder, empty: its memory is worth keeping.
flatbuffers::FlatBufferBuilder& Builder() {
  thread_local flatbuffers::FlatBufferBuilder builder(4096);
  builder.Clear();
  return builder;
}

// Appends what was built. What grew large is given back.
void AppendBuilt(flatbuffers::FlatBufferBuilder* builder, std::vector<uint8_t>* out) {
  constexpr size_t kKeptBytesMax = 256 * 1024;
  const size_t size = builder->GetSize();
  const size_t needed = out->size() + size + 7;  // it is padded to 8 as often as not
  if (out->capacity() < needed) out->reserve(std::max(needed, 2 * out->capacity()));
  out->insert(out->end(), builder->GetBufferPointer(), builder->GetBufferPointer() + size);
  if (size > kKeptBytesMax) builder->Reset();
}

}  // namespace

void AppendRecord(const Event& event, std::vector<uint8_t>* out) {
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
  AppendBuilt(&builder, out);
}

std::vector<uint8_t> EncodeRecord(const Event& event) {
  std::vector<uint8_t> bytes;
  AppendRecord(event, &bytes);
  return bytes;
}

size_t TextBytes(const fb::BodyT& body) {
  return body.name.size() + body.description.size() + body.context.size() + body.input.size() +
         body.output.size() + body.plan.size() + body.error.size() + body.state.size() +
         body.patch.size() + body.source.size() +
         (body.details == nullptr ? 0 : TextBytes(*body.details));
}

void AppendBody(const Event& event, std::vector<uint8_t>* out) {
  if (IsEmpty(event.body)) return;
  flatbuffers::FlatBufferBuilder& builder = Builder();
  builder.Finish(fb::Body::Pack(builder, &event.body));
  AppendBuilt(&builder, out);
}

std::vector<uint8_t> EncodeBody(const Event& event) {
  std::vector<uint8_t> bytes;
  AppendBody(event, &bytes);
  return bytes;
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
