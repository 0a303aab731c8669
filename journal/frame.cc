#include "frame.h"

#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"
#include "zstd_context.h"

namespace nimbus::journal {
namespace {

using schema::Error;

// Records repeat ids and layout, so even the fastest level halves them; below
// this a frame costs more to compress than it saves.
constexpr size_t kCompressBytesMin = 1024;
constexpr int kCompressionLevel = 1;

constexpr size_t kPlainBytesMax =
    kFrameRecordBytesMax + schema::kRecordBytesMax + 8 + kFrameRecordsMax * sizeof(uint32_t) + 8;

uint64_t ChecksumOf(FrameHeader header, std::span<const uint8_t> payload) {
  header.checksum = 0;
  const uint64_t of_header = XXH3_64bits(&header, sizeof(header));
  return XXH3_64bits_withSeed(payload.data(), payload.size(), of_header);
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

void FrameBuilder::AddAll(std::span<const uint32_t> lengths, std::span<const uint8_t> records) {
  NIMBUS_CHECK(HasRoomFor(lengths.size(), records.size()));
  lengths_.insert(lengths_.end(), lengths.begin(), lengths.end());
  records_.insert(records_.end(), records.begin(), records.end());
}

bool FrameBuilder::IsFull() const {
  return lengths_.size() >= kFrameRecordsMax || records_.size() >= kFrameRecordBytesMax;
}

bool FrameBuilder::HasRoomFor(size_t records, size_t bytes) const {
  return IsEmpty() || (lengths_.size() + records <= kFrameRecordsMax &&
                       records_.size() + bytes <= kFrameRecordBytesMax);
}

// The payload, after room for the header.
Bytes FrameBuilder::Plain() const {
  NIMBUS_CHECK(!IsEmpty());
  const size_t lengths_bytes = lengths_.size() * sizeof(uint32_t);
  Bytes bytes;
  bytes.reserve(sizeof(FrameHeader) + Padded(lengths_bytes) + records_.size());
  bytes.resize(sizeof(FrameHeader) + Padded(lengths_bytes));
  std::memcpy(bytes.data() + sizeof(FrameHeader), lengths_.data(), lengths_bytes);
  bytes.insert(bytes.end(), records_.begin(), records_.end());
  return bytes;
}

FrameBuilder::Finished FrameBuilder::Finish() const {
  Bytes plain = Plain();
  const std::span<const uint8_t> payload = std::span(plain).subspan(sizeof(FrameHeader));
  if (payload.size() < kCompressBytesMin) return Seal(std::move(plain), 0, payload.size());
  Bytes bytes(sizeof(FrameHeader) + ZSTD_compressBound(payload.size()));
  const size_t size = ZSTD_compressCCtx(ThreadCompressor(), bytes.data() + sizeof(FrameHeader),
                                        bytes.size() - sizeof(FrameHeader), payload.data(),
                                        payload.size(), kCompressionLevel);
  if (ZSTD_isError(size) || size >= payload.size()) {
    return Seal(std::move(plain), 0, payload.size());
  }
  bytes.resize(sizeof(FrameHeader) + size);
  return Seal(std::move(bytes), kFrameCompressed, payload.size());
}

FrameBuilder::Finished FrameBuilder::FinishRaw() const {
  Bytes plain = Plain();
  const size_t plain_bytes = plain.size() - sizeof(FrameHeader);
  return Seal(std::move(plain), 0, plain_bytes);
}

// Writes the header before the payload of `bytes`.
FrameBuilder::Finished FrameBuilder::Seal(Bytes bytes, uint16_t flags, size_t plain_bytes) const {
  const std::span<const uint8_t> payload = std::span(bytes).subspan(sizeof(FrameHeader));
  FrameHeader header = header_;
  header.flags = flags;
  header.count = static_cast<uint32_t>(lengths_.size());
  header.plain_bytes = static_cast<uint32_t>(plain_bytes);
  header.stored_bytes = static_cast<uint32_t>(payload.size());
  header.checksum = ChecksumOf(header, payload);
  std::memcpy(bytes.data(), &header, sizeof(header));
  return {.bytes = std::move(bytes), .checksum = header.checksum};
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
    const size_t size = ZSTD_decompressDCtx(ThreadDecompressor(), frame.plain_.data(),
                                            frame.plain_.size(), payload.data(), payload.size());
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
