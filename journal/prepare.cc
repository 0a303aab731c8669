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

size_t Prepared::records() const {
  size_t records = 0;
  for (const Run& run : runs) records += run.lengths.size();
  return records;
}

size_t Prepared::bytes() const {
  size_t bytes = 0;
  for (const Run& run : runs) {
    bytes += run.records.size() + (run.block.has_value() ? run.block->stored.size() : 0);
  }
  return bytes;
}

absl::StatusOr<Prepared> Preparer::Prepare(std::span<const schema::Event> events) {
  for (size_t i = 0; i < events.size(); ++i) {
    const absl::Status status = Add(events[i]);
    if (!status.ok()) return schema::Annotate(status, fmt::format("event {}", i));
  }
  CloseRun();
  return std::move(append_);
}

absl::Status Preparer::Add(const schema::Event& event) {
  const size_t text_bytes = schema::TextBytes(event.body);
  if (text_bytes > options_.body_bytes_max) {  // before FlatBuffers, which can't refuse
    return Error(Code::kInvalidArgument, "body of {} bytes, {} are allowed", text_bytes,
                 options_.body_bytes_max);
  }
  NIMBUS_RETURN_IF_ERROR(
      schema::ValidateEvent(event, schema::JsonLimits{.bytes_max = options_.body_bytes_max}));
  const size_t records_end = run_.records.size(), bodies_end = plain_.size();
  schema::AppendRecord(event, &run_.records);
  schema::AppendBody(event, &plain_);
  const size_t record_bytes = run_.records.size() - records_end;
  const size_t body_bytes = plain_.size() - bodies_end;
  NIMBUS_RETURN_IF_ERROR(CheckSizes(record_bytes, body_bytes));
  const bool full = run_.lengths.size() >= kRunRecordsMax ||
                    run_.records.size() > kRunRecordBytesMax ||
                    (bodies_end > 0 && plain_.size() > kBlockBytesMax);
  if (full && !run_.lengths.empty()) CloseRunBefore(records_end, bodies_end);
  if (body_bytes > 0) {
    if (!append_.chain.has_value()) append_.chain.emplace(event.stream, event.payload.type);
    CommitToBody(std::span(run_.records).last(record_bytes), std::span(plain_).last(body_bytes));
  }
  run_.lengths.push_back(static_cast<uint32_t>(record_bytes));
  run_.records.resize(Padded(run_.records.size()));
  plain_.resize(Padded(plain_.size()));
  return absl::OkStatus();
}

absl::Status Preparer::CheckSizes(size_t record_bytes, size_t body_bytes) {
  if (record_bytes > schema::kRecordBytesMax) {
    return Error(Code::kInvalidArgument, "record of {} bytes, {} are allowed", record_bytes,
                 schema::kRecordBytesMax);
  }
  if (body_bytes > options_.body_bytes_max) {
    return Error(Code::kInvalidArgument, "body of {} bytes, {} are allowed", body_bytes,
                 options_.body_bytes_max);
  }
  append_bytes_ += body_bytes;
  if (append_bytes_ > options_.append_bytes_max) {
    return Error(Code::kInvalidArgument, "bodies of {} bytes in one append, {} are allowed",
                 append_bytes_, options_.append_bytes_max);
  }
  return absl::OkStatus();
}

// What lies after these ends begins the next run.
void Preparer::CloseRunBefore(size_t records_end, size_t bodies_end) {
  const auto cut = [](Bytes* bytes, size_t end) {
    Bytes rest(bytes->begin() + static_cast<ptrdiff_t>(end), bytes->end());
    bytes->resize(end);
    return rest;
  };
  Bytes record = cut(&run_.records, records_end), body = cut(&plain_, bodies_end);
  CloseRun();
  run_.records = std::move(record);
  plain_ = std::move(body);
}

// The body is that of the run's next record.
void Preparer::CommitToBody(std::span<uint8_t> record, std::span<const uint8_t> body) {
  if (!run_.block.has_value()) run_.block.emplace();
  const BodyExtent extent{
      .sequence = run_.lengths.size(), .bytes = body.size(), .nonce = NewNonce()};
  schema::fb::Envelope* envelope = schema::MutableEnvelope(record);
  envelope->mutable_body_commitment() = schema::ToFb(BodyCommitment(body, extent.nonce));
  envelope->mutate_body_size(static_cast<uint32_t>(body.size()));
  run_.block->bodies.push_back(extent);
}

void Preparer::CloseRun() {
  if (run_.lengths.empty()) return;
  Bytes plain = std::exchange(plain_, {});
  if (run_.block.has_value() && plain.size() < kPackableBytesMax) {
    // The applier compresses it together with its neighbours.
    run_.block->stored = std::move(plain);
  } else if (run_.block.has_value()) {
    run_.plain = std::make_shared<const Bytes>(std::move(plain));
    CompressBlock(run_.plain);
  }
  append_.runs.push_back(std::exchange(run_, {}));
}

void Preparer::CompressBlock(const std::shared_ptr<const Bytes>& plain) {
  std::optional<Base> base;
  const Run* before = append_.runs.empty() ? nullptr : &append_.runs.back();
  if (before != nullptr && before->plain != nullptr) {
    base = Base{.depth = before->block->depth, .bytes = before->plain};
    run_.base_is_run_before = true;
  } else {
    base = bases_.ForNext(*append_.chain);
    if (base.has_value() && base->sequence < bases_begin_) base.reset();
  }
  if (base.has_value() && base->depth >= kBlockDepthMax) base.reset();
  Encoded encoded = EncodeStored(
      *plain,
      base.has_value() ? std::span<const uint8_t>(*base->bytes) : std::span<const uint8_t>(),
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

void NoteWritten(const Prepared& append, uint64_t first, BaseCache* bases) {
  if (std::ranges::all_of(append.runs, [](const Run& run) { return run.plain == nullptr; })) return;
  const schema::fb::Record* record = schema::fb::GetRecord(append.runs.front().records.data());
  if (record->envelope()->sequence() != first) return;
  for (const Run& run : append.runs) {
    if (run.plain != nullptr) {
      bases->Add(*append.chain, Base{.sequence = first + run.block->bodies.front().sequence,
                                     .depth = run.block->depth,
                                     .bytes = run.plain});
    }
    first += run.lengths.size();
  }
}

}  // namespace nimbus::journal
