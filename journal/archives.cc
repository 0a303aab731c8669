#include "archives.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "absl/strings/cord.h"
#include "nimbus/journal/prune.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

constexpr std::string_view kPrefix = "archived";
constexpr char kAbsentUrl[] = "nimbus/archive-absent";

// Big-endian, so that LMDB keeps the ranges in order.
Bytes MakeKey(uint64_t first) {
  Bytes key(kPrefix.begin(), kPrefix.end());
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<uint8_t>(first >> shift));
  return key;
}

absl::StatusOr<std::optional<ArchivedRange>> Decode(const lmdb::KeyValue& entry) {
  if (entry.key.size() != kPrefix.size() + sizeof(uint64_t) ||
      !std::equal(kPrefix.begin(), kPrefix.end(), entry.key.begin())) {
    return std::optional<ArchivedRange>();
  }
  ArchivedRange range;
  for (const uint8_t byte : entry.key.subspan(kPrefix.size()))
    range.first = range.first << 8 | byte;
  std::span<const uint8_t> value = entry.value;
  if (!TakeFixed(&value, &range.end) || !TakeFixed(&value, &range.number) || !value.empty()) {
    return absl::DataLossError("the table of archived bodies is malformed");
  }
  return std::optional<ArchivedRange>(range);
}

}  // namespace

std::string ArchiveDirectory(const std::string& store) { return store + "/archives"; }

std::string ArchivePath(const std::string& store, uint64_t number) {
  return fmt::format("{}/bodies-{}.nmar", ArchiveDirectory(store), number);
}

absl::Status PutArchivedRange(lmdb::Transaction* txn, lmdb::Table meta,
                              const ArchivedRange& range) {
  Bytes value;
  PutFixed(range.end, &value);
  PutFixed(range.number, &value);
  return txn->Put(meta, MakeKey(range.first), value);
}

absl::StatusOr<std::optional<ArchivedRange>> FindArchivedRange(const lmdb::Transaction& txn,
                                                               lmdb::Table meta,
                                                               uint64_t sequence) {
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor, txn.OpenCursor(meta));
  // The last range that begins at or before `sequence`.
  NIMBUS_ASSIGN_OR_RETURN(auto entry, cursor.AtOrAfter(MakeKey(sequence + 1)));
  if (entry.has_value()) {
    NIMBUS_ASSIGN_OR_RETURN(entry, cursor.Previous());
  } else {
    NIMBUS_ASSIGN_OR_RETURN(entry, cursor.Last());
  }
  if (!entry.has_value()) return std::optional<ArchivedRange>();
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<ArchivedRange> range, Decode(*entry));
  if (!range.has_value() || sequence < range->first || sequence >= range->end) {
    return std::optional<ArchivedRange>();
  }
  return range;
}

absl::StatusOr<std::optional<ArchivedRange>> NextArchivedRange(const lmdb::Transaction& txn,
                                                               lmdb::Table meta,
                                                               uint64_t sequence) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<ArchivedRange> range,
                          FindArchivedRange(txn, meta, sequence));
  if (range.has_value()) return range;
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor, txn.OpenCursor(meta));
  NIMBUS_ASSIGN_OR_RETURN(const auto entry, cursor.AtOrAfter(MakeKey(sequence + 1)));
  return entry.has_value() ? Decode(*entry) : std::optional<ArchivedRange>();
}

absl::Status ArchiveAbsentError(const std::string& store, uint64_t number, uint64_t sequence) {
  absl::Status status =
      schema::Error(absl::StatusCode::kFailedPrecondition,
                    "the body of record {} was moved to the archive {}, which is not there",
                    sequence, ArchivePath(store, number));
  status.SetPayload(kAbsentUrl, absl::Cord(fmt::format("{}", sequence)));
  return status;
}

bool IsArchiveAbsent(const absl::Status& status) {
  return status.GetPayload(kAbsentUrl) != absl::nullopt;
}

std::optional<uint64_t> AbsentRecord(const absl::Status& status) {
  const auto payload = status.GetPayload(kAbsentUrl);
  if (!payload.has_value()) return std::nullopt;
  const std::string text(*payload);
  uint64_t sequence = 0;
  std::from_chars(text.data(), text.data() + text.size(), sequence);
  return sequence;
}

absl::StatusOr<std::shared_ptr<const Archive>> Archives::Get(const std::string& store,
                                                             uint64_t number,
                                                             const schema::Uuid& journal) {
  const schema::MutexLock lock(&mu_);
  std::shared_ptr<const Archive>& slot = open_[number];
  if (slot == nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(slot, Archive::Open(ArchivePath(store, number), journal));
  }
  return slot;
}

}  // namespace nimbus::journal
