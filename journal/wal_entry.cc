#include "wal_entry.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "frame.h"
#include "nimbus/schema/check.h"

namespace nimbus::journal {
namespace {

size_t Aligned(size_t size) { return (size + kWalAlignment - 1) / kWalAlignment * kWalAlignment; }

uint64_t ChecksumOf(WalEntryHeader header, std::span<const uint8_t> payload) {
  header.checksum = 0;
  const uint64_t of_header = XXH3_64bits(&header, sizeof(header));
  return XXH3_64bits_withSeed(payload.data(), payload.size(), of_header);
}

// Header of one change; key and value follow, then padding to 8.
struct ChangeHeader {
  uint8_t table;
  uint8_t reserved;
  uint16_t key_bytes;
  uint32_t value_bytes;
};
static_assert(sizeof(ChangeHeader) == 8);

size_t PayloadBytes(const WalEntryParts& parts) {
  size_t bytes = 2 * sizeof(uint32_t);
  for (const WalFrame& frame : parts.frames) bytes += sizeof(uint64_t) + Padded(frame.value.size());
  for (const WalChange& change : parts.changes) {
    bytes += sizeof(ChangeHeader) + Padded(change.key.size() + change.value.size());
  }
  return bytes;
}

// Appends to bytes that were allocated before.
class Cursor {
 public:
  explicit Cursor(uint8_t* at) : at_(at) {}
  template <typename T>
  void Put(const T& value) {
    std::memcpy(at_, &value, sizeof(T));
    at_ += sizeof(T);
  }
  void Put(std::span<const uint8_t> bytes) {
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  void Skip(size_t bytes) { at_ += bytes; }

 private:
  uint8_t* at_;
};

bool Take(std::span<const uint8_t>* in, size_t size, std::span<const uint8_t>* out) {
  if (size > in->size()) return false;
  *out = in->first(size);
  *in = in->subspan(size);
  return true;
}

}  // namespace

std::unique_ptr<const WalEntry> WalEntry::Make(const WalEntryParts& parts) {
  NIMBUS_CHECK(parts.records > 0 && !parts.frames.empty());
  const size_t payload_bytes = PayloadBytes(parts);
  NIMBUS_CHECK(payload_bytes <= UINT32_MAX);
  WalEntryHeader header{.magic = kWalEntryMagic,
                        .version = kWalEntryVersion,
                        .flags = 0,
                        .journal = parts.journal.bytes,
                        .first_sequence = parts.first_sequence,
                        .records = parts.records,
                        .payload_bytes = static_cast<uint32_t>(payload_bytes),
                        .durable_before = parts.durable_before,
                        .salt = parts.salt,
                        .previous = parts.previous,
                        .checksum = 0};
  Bytes bytes(Aligned(sizeof(header) + payload_bytes));
  Cursor cursor(bytes.data() + sizeof(header));
  cursor.Put(static_cast<uint32_t>(parts.frames.size()));
  cursor.Put(static_cast<uint32_t>(parts.changes.size()));
  for (const WalFrame& frame : parts.frames) {
    cursor.Put(uint64_t{frame.value.size()});
    cursor.Put(frame.value);
    cursor.Skip(Padded(frame.value.size()) - frame.value.size());
  }
  for (const WalChange& change : parts.changes) {
    const size_t size = change.key.size() + change.value.size();
    cursor.Put(ChangeHeader{.table = static_cast<uint8_t>(change.table),
                            .reserved = 0,
                            .key_bytes = static_cast<uint16_t>(change.key.size()),
                            .value_bytes = static_cast<uint32_t>(change.value.size())});
    cursor.Put(change.key);
    cursor.Put(change.value);
    cursor.Skip(Padded(size) - size);
  }
  header.checksum =
      ChecksumOf(header, std::span<const uint8_t>(bytes).subspan(sizeof(header), payload_bytes));
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::unique_ptr<WalEntry> entry(new WalEntry);
  entry->bytes_ = std::move(bytes);
  entry->header_ = header;
  NIMBUS_CHECK(entry->Split().ok());
  return entry;
}

std::optional<size_t> WalEntryExtent(std::span<const uint8_t> bytes, const schema::Uuid& journal) {
  WalEntryHeader header;
  if (!TakeFixed(&bytes, &header) || header.magic != kWalEntryMagic ||
      header.version != kWalEntryVersion || header.journal != journal.bytes ||
      header.records == 0) {
    return std::nullopt;
  }
  return Aligned(sizeof(header) + header.payload_bytes);
}

absl::StatusOr<std::unique_ptr<const WalEntry>> WalEntry::Decode(Bytes bytes) {
  std::unique_ptr<WalEntry> entry(new WalEntry);
  entry->bytes_ = std::move(bytes);
  std::span<const uint8_t> payload = entry->bytes_;
  WalEntryHeader& header = entry->header_;
  if (!TakeFixed(&payload, &header) || header.magic != kWalEntryMagic ||
      header.version != kWalEntryVersion || header.payload_bytes > payload.size() ||
      header.records == 0) {
    return absl::DataLossError("not an entry of the log");
  }
  if (ChecksumOf(header, payload.first(header.payload_bytes)) != header.checksum) {
    return absl::DataLossError("the checksum of a log entry does not match");
  }
  if (const absl::Status split = entry->Split(); !split.ok()) return split;
  return std::unique_ptr<const WalEntry>(std::move(entry));
}

absl::Status WalEntry::Split() {
  const absl::Status malformed = absl::DataLossError("a log entry is malformed");
  std::span<const uint8_t> in(bytes_);
  in = in.subspan(sizeof(header_), header_.payload_bytes);
  uint32_t frames = 0, changes = 0;
  if (!TakeFixed(&in, &frames) || !TakeFixed(&in, &changes) || frames == 0 ||
      frames > header_.records || changes > header_.payload_bytes / sizeof(ChangeHeader)) {
    return malformed;
  }
  uint64_t next = header_.first_sequence;
  for (uint32_t i = 0; i < frames; ++i) {
    uint64_t size = 0;
    WalFrame frame;
    FrameHeader header;
    if (!TakeFixed(&in, &size) || size > in.size() || !Take(&in, Padded(size), &frame.value)) {
      return malformed;
    }
    frame.value = frame.value.first(size);
    std::span<const uint8_t> value = frame.value;
    if (!TakeFixed(&value, &header) || header.first_sequence != next || header.count == 0) {
      return malformed;
    }
    frame.first_sequence = next;
    next += header.count;
    frame.end_sequence = next;
    frames_.push_back(frame);
  }
  if (next != end_sequence()) return malformed;
  changes_.reserve(changes);
  for (uint32_t i = 0; i < changes; ++i) {
    ChangeHeader header;
    std::span<const uint8_t> both;
    if (!TakeFixed(&in, &header) || header.table > static_cast<uint8_t>(WalTable::kChunks) ||
        !Take(&in, Padded(size_t{header.key_bytes} + header.value_bytes), &both)) {
      return malformed;
    }
    changes_.push_back({.table = static_cast<WalTable>(header.table),
                        .key = both.first(header.key_bytes),
                        .value = both.subspan(header.key_bytes, header.value_bytes)});
  }
  return in.empty() ? absl::OkStatus() : malformed;
}

const WalFrame* WalEntry::FindFrame(uint64_t sequence) const {
  const auto after =
      std::upper_bound(frames_.begin(), frames_.end(), sequence,
                       [](uint64_t s, const WalFrame& frame) { return s < frame.first_sequence; });
  if (after == frames_.begin()) return nullptr;
  const WalFrame& frame = *(after - 1);
  return sequence < frame.end_sequence ? &frame : nullptr;
}

}  // namespace nimbus::journal
