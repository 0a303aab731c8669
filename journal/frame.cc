#include "frame.h"

#include <xxhash.h>
#include <zstd.h>

#include <algorithm>

#include "nimbus/schema/check.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;

// Records repeat ids and layout, so even the fastest level halves them; below
// this a frame costs more to compress than it saves.
constexpr size_t kCompressBytesMin = 1024;
constexpr int kCompressionLevel = 1;

constexpr size_t kPlainBytesMax =
    kFrameRecordBytesMax + schema::kRecordBytesMax + 8 + kFrameRecordsMax * sizeof(uint32_t) + 8;

size_t Padded(size_t size) { return (size + 7) & ~size_t{7}; }

uint64_t ChecksumOf(FrameHeader header, std::span<const uint8_t> payload) {
  header.checksum = 0;
  const uint64_t of_header = XXH3_64bits(&header, sizeof(header));
  return XXH3_64bits_withSeed(payload.data(), payload.size(), of_header);
}

// Empty when compressing does not pay.
Bytes Compressed(const Bytes& plain) {
  if (plain.size() < kCompressBytesMin) return {};
  Bytes out(ZSTD_compressBound(plain.size()));
  const size_t size =
      ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), kCompressionLevel);
  if (ZSTD_isError(size) || size >= plain.size()) return {};
  out.resize(size);
  return out;
}

}  // namespace

FrameBuilder::FrameBuilder(const schema::Uuid& journal, uint64_t first_sequence,
                           uint64_t previous_checksum) {
  header_.magic = kRecordFrameMagic;
  header_.version = kFrameVersion;
  header_.journal = journal.bytes;
  header_.first_sequence = first_sequence;
  header_.previous_checksum = previous_checksum;
}

void FrameBuilder::Add(std::span<const uint8_t> record) {
  NIMBUS_CHECK(!IsFull() && !record.empty() && record.size() <= schema::kRecordBytesMax);
  lengths_.push_back(static_cast<uint32_t>(record.size()));
  records_.insert(records_.end(), record.begin(), record.end());
  records_.resize(Padded(records_.size()));
}

bool FrameBuilder::IsFull() const {
  return lengths_.size() >= kFrameRecordsMax || records_.size() >= kFrameRecordBytesMax;
}

bool FrameBuilder::HasRoomFor(size_t records, size_t bytes) const {
  return IsEmpty() || (lengths_.size() + records <= kFrameRecordsMax &&
                       records_.size() + bytes + 8 * records <= kFrameRecordBytesMax);
}

Bytes FrameBuilder::Plain() const {
  NIMBUS_CHECK(!IsEmpty());
  Bytes plain(Padded(lengths_.size() * sizeof(uint32_t)));
  std::memcpy(plain.data(), lengths_.data(), lengths_.size() * sizeof(uint32_t));
  plain.insert(plain.end(), records_.begin(), records_.end());
  return plain;
}

FrameBuilder::Finished FrameBuilder::Finish() const {
  const Bytes plain = Plain();
  return Assemble(plain, Compressed(plain));
}

FrameBuilder::Finished FrameBuilder::FinishRaw() const { return Assemble(Plain(), {}); }

FrameBuilder::Finished FrameBuilder::Assemble(const Bytes& plain, const Bytes& compressed) const {
  const Bytes& payload = compressed.empty() ? plain : compressed;
  FrameHeader header = header_;
  header.flags = compressed.empty() ? 0 : kFrameCompressed;
  header.count = static_cast<uint32_t>(lengths_.size());
  header.plain_bytes = static_cast<uint32_t>(plain.size());
  header.stored_bytes = static_cast<uint32_t>(payload.size());
  header.checksum = ChecksumOf(header, payload);

  Finished finished{.bytes = {}, .checksum = header.checksum};
  finished.bytes.reserve(sizeof(header) + payload.size());
  PutFixed(header, &finished.bytes);
  finished.bytes.insert(finished.bytes.end(), payload.begin(), payload.end());
  return finished;
}

std::optional<size_t> FrameBytes(std::span<const uint8_t> bytes) {
  FrameHeader header;
  std::span<const uint8_t> payload = bytes;
  if (!TakeFixed(&payload, &header) || header.stored_bytes > payload.size()) return std::nullopt;
  return sizeof(header) + header.stored_bytes;
}

absl::StatusOr<Frame> Frame::Decode(std::span<const uint8_t> bytes) {
  Frame frame;
  FrameHeader& header = frame.header_;
  std::span<const uint8_t> payload = bytes;
  if (!TakeFixed(&payload, &header) || header.magic != kRecordFrameMagic) {
    return absl::DataLossError("not a frame");
  }
  if (header.version != kFrameVersion) {
    return Error(absl::StatusCode::kDataLoss, "frame version {}", header.version);
  }
  if (payload.size() < header.stored_bytes || header.plain_bytes > kPlainBytesMax ||
      header.count == 0 || header.count > kFrameRecordsMax) {
    return absl::DataLossError("frame sizes do not agree");
  }
  payload = payload.first(header.stored_bytes);
  if (ChecksumOf(header, payload) != header.checksum) {
    return absl::DataLossError("frame checksum does not match");
  }
  if ((header.flags & kFrameCompressed) == 0) {
    frame.plain_.assign(payload.begin(), payload.end());
  } else {
    frame.plain_.resize(header.plain_bytes);
    const size_t size =
        ZSTD_decompress(frame.plain_.data(), frame.plain_.size(), payload.data(), payload.size());
    if (ZSTD_isError(size)) return absl::DataLossError("frame does not decompress");
    frame.plain_.resize(size);
  }
  NIMBUS_RETURN_IF_ERROR(frame.Split());
  return frame;
}

absl::Status Frame::Split() {
  const absl::Status malformed = absl::DataLossError("frame contents do not agree with its header");
  if (plain_.size() != header_.plain_bytes) return malformed;
  const size_t lengths_bytes = header_.count * sizeof(uint32_t);
  size_t offset = Padded(lengths_bytes);
  if (plain_.size() < offset) return malformed;
  records_.reserve(header_.count);
  for (size_t i = 0; i < header_.count; ++i) {
    uint32_t length;
    std::memcpy(&length, plain_.data() + i * sizeof(length), sizeof(length));
    if (length == 0 || length > plain_.size() - offset) return malformed;
    records_.push_back({static_cast<uint32_t>(offset), length});
    offset = std::min(plain_.size(), offset + Padded(length));
  }
  return offset == plain_.size() ? absl::OkStatus() : malformed;
}

}  // namespace nimbus::journal
