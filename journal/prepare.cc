#include "prepare.h"

#include <algorithm>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

}  // namespace

size_t Run::record_bytes() const {
  size_t bytes = 0;
  for (const Bytes& record : records) bytes += record.size();
  return bytes;
}

absl::StatusOr<std::vector<Run>> Preparer::Prepare(std::span<const schema::Event> events) {
  for (size_t i = 0; i < events.size(); ++i) {
    const absl::Status status = Add(events[i]);
    if (!status.ok()) return schema::Annotate(status, fmt::format("event {}", i));
  }
  CloseRun();
  return std::move(runs_);
}

absl::Status Preparer::Add(const schema::Event& event) {
  const size_t text_bytes = schema::TextBytes(event.body);
  if (text_bytes > options_.body_bytes_max) {  // before FlatBuffers, which can't refuse
    return Error(Code::kInvalidArgument, "body of {} bytes, {} are allowed", text_bytes,
                 options_.body_bytes_max);
  }
  NIMBUS_RETURN_IF_ERROR(
      schema::ValidateEvent(event, schema::JsonLimits{.bytes_max = options_.body_bytes_max}));
  Bytes record = schema::EncodeRecord(event);
  if (record.size() > schema::kRecordBytesMax) {
    return Error(Code::kInvalidArgument, "record of {} bytes, {} are allowed", record.size(),
                 schema::kRecordBytesMax);
  }
  Bytes body = schema::EncodeBody(event);
  if (body.size() > options_.body_bytes_max) {
    return Error(Code::kInvalidArgument, "body of {} bytes, {} are allowed", body.size(),
                 options_.body_bytes_max);
  }
  append_bytes_ += body.size();
  if (append_bytes_ > options_.append_bytes_max) {
    return Error(Code::kInvalidArgument, "bodies of {} bytes in one append, {} are allowed",
                 append_bytes_, options_.append_bytes_max);
  }
  const bool full = run_.records.size() >= kRunRecordsMax ||
                    run_.record_bytes() + record.size() > kRunRecordBytesMax ||
                    (!plain_.empty() && plain_.size() + body.size() > kBlockBytesMax);
  if (full) CloseRun();
  if (!body.empty()) {
    if (!chain_.has_value()) chain_.emplace(event.stream, event.payload.type);
    if (!run_.block.has_value()) run_.block.emplace();
    const BodyExtent extent{
        .sequence = run_.records.size(), .bytes = body.size(), .nonce = NewNonce()};
    schema::fb::Envelope* envelope = schema::MutableEnvelope(record);
    envelope->mutable_body_commitment() = schema::ToFb(BodyCommitment(body, extent.nonce));
    envelope->mutate_body_size(static_cast<uint32_t>(body.size()));
    AppendToBlock(std::move(body), &plain_);
    run_.block->bodies.push_back(extent);
  }
  run_.records.push_back(std::move(record));
  return absl::OkStatus();
}

void Preparer::CloseRun() {
  if (run_.records.empty()) return;
  std::shared_ptr<const Bytes> plain;
  if (run_.block.has_value() && plain_.size() < kPackableBytesMax) {
    // The applier compresses it together with its neighbours.
    run_.block->stored = std::exchange(plain_, {});
  } else if (run_.block.has_value()) {
    plain = std::make_shared<const Bytes>(std::exchange(plain_, {}));
    CompressBlock(*plain);
  }
  plains_.push_back(std::move(plain));
  runs_.push_back(std::exchange(run_, {}));
}

void Preparer::CompressBlock(const Bytes& plain) {
  std::optional<Base> base;
  if (!runs_.empty() && plains_.back() != nullptr) {
    base = Base{.depth = runs_.back().block->depth, .bytes = plains_.back()};
    run_.base_is_run_before = true;
  } else {
    base = bases_.ForNext(*chain_);
    if (base.has_value() && base->sequence < bases_begin_) base.reset();
  }
  if (base.has_value() && base->depth >= kBlockDepthMax) base.reset();
  Encoded encoded = EncodeStored(
      plain, base.has_value() ? std::span<const uint8_t>(*base->bytes) : std::span<const uint8_t>(),
      options_.compression_level);
  run_.block->codec = encoded.codec;
  run_.block->stored = std::move(encoded.bytes);
  if (base.has_value() && encoded.codec != Codec::kRaw) {
    run_.block->depth = static_cast<uint8_t>(base->depth + 1);
    if (!run_.base_is_run_before) {
      run_.base = base->sequence;
      run_.base_bytes = base->bytes;
    }
  } else {
    run_.base_is_run_before = false;
  }
}

void Preparer::NoteWritten(std::span<const Run> runs, uint64_t first) {
  NIMBUS_CHECK(runs.size() == plains_.size());
  if (std::ranges::all_of(plains_, [](const auto& plain) { return plain == nullptr; })) return;
  const schema::fb::Record* record = schema::fb::GetRecord(runs.front().records.front().data());
  if (record->envelope()->sequence() != first) return;
  for (size_t i = 0; i < runs.size(); first += runs[i].records.size(), ++i) {
    if (plains_[i] == nullptr) continue;
    bases_.Add(*chain_, Base{.sequence = first + runs[i].block->bodies.front().sequence,
                             .depth = runs[i].block->depth,
                             .bytes = plains_[i]});
  }
}

}  // namespace nimbus::journal
