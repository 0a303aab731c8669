#include "stream_marks.h"

#include <algorithm>
#include <string_view>

#include "format.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {

using schema::Uuid;
using Of = StreamMark::Of;

namespace {

constexpr std::string_view kPrefix = "stream";
constexpr size_t kNumberAt = kPrefix.size() + sizeof(Uuid::bytes) + 1;
constexpr size_t kKeyBytes = kNumberAt + sizeof(uint64_t);

// The number is big-endian, so that LMDB keeps marks in order.
Bytes MakeKey(const Uuid& operation, Of of, uint64_t number) {
  Bytes key(kPrefix.begin(), kPrefix.end());
  key.insert(key.end(), operation.bytes.begin(), operation.bytes.end());
  key.push_back(static_cast<uint8_t>(of));
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<uint8_t>(number >> shift));
  return key;
}

Bytes KeyOf(const StreamMark& mark) { return MakeKey(mark.operation, mark.of, mark.number); }

bool IsMark(lmdb::View key) {
  return key.size() >= kPrefix.size() && std::equal(kPrefix.begin(), kPrefix.end(), key.begin());
}

absl::Status Put(lmdb::Transaction* txn, lmdb::Table meta, const std::optional<StreamMark>& mark) {
  if (!mark.has_value()) return absl::OkStatus();
  return txn->Put(meta, KeyOf(*mark), lmdb::MakeView(&mark->sequence, sizeof(mark->sequence)));
}

}  // namespace

StreamMarks::StreamMarks(const schema::fb::Envelope& envelope) {
  if (envelope.stream_kind() != schema::fb::EntityKind::operation) return;
  const auto mark = [&](Of of, uint64_t number) -> std::optional<StreamMark> {
    if (number == 0 || number % kStreamMarkEvery != 0) return std::nullopt;
    return StreamMark{.operation = Uuid::FromFb(envelope.stream()),
                      .of = of,
                      .number = number,
                      .sequence = envelope.sequence()};
  };
  version = mark(Of::kVersion, envelope.version());
  step = mark(Of::kStep, envelope.ordinal());
}

const schema::fb::Envelope* FindEnvelope(std::span<const uint8_t> record) {
  flatbuffers::Verifier verifier(record.data(), record.size());
  const flatbuffers::uoffset_t offset = verifier.VerifyOffset(size_t{0});
  if (offset == 0) return nullptr;
  const uint8_t* table = record.data() + offset;
  if (!verifier.VerifyTableStart(table)) return nullptr;
  const auto* root = reinterpret_cast<const flatbuffers::Table*>(table);
  constexpr auto kField = schema::fb::Record::VT_ENVELOPE;
  if (!root->VerifyField<schema::fb::Envelope>(verifier, kField, alignof(uint64_t))) return nullptr;
  return root->GetStruct<const schema::fb::Envelope*>(kField);
}

absl::Status PutStreamMarks(lmdb::Transaction* txn, lmdb::Table meta,
                            const schema::fb::Envelope& envelope) {
  const StreamMarks marks(envelope);
  NIMBUS_RETURN_IF_ERROR(Put(txn, meta, marks.version));
  return Put(txn, meta, marks.step);
}

absl::StatusOr<std::optional<StreamMark>> FindStreamMark(const lmdb::Transaction& txn,
                                                         lmdb::Table meta, const Uuid& operation,
                                                         Of of, uint64_t number) {
  const Bytes key = MakeKey(operation, of, number);
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor, txn.OpenCursor(meta));
  NIMBUS_ASSIGN_OR_RETURN(const auto entry, cursor.AtOrAfter(key));
  if (!entry.has_value() || entry->key.size() != kKeyBytes ||
      !std::equal(key.begin(), key.begin() + kNumberAt, entry->key.begin())) {
    return std::optional<StreamMark>();
  }
  StreamMark mark{.operation = operation, .of = of};
  for (const uint8_t byte : entry->key.subspan(kNumberAt)) mark.number = mark.number << 8 | byte;
  std::span<const uint8_t> value = entry->value;
  if (!TakeFixed(&value, &mark.sequence) || !value.empty()) {
    return absl::DataLossError("a mark of a stream is malformed; verify the journal");
  }
  return std::optional<StreamMark>(mark);
}

absl::StatusOr<bool> StreamMarkCheck::Holds(const lmdb::Transaction& txn, lmdb::Table meta,
                                            const schema::fb::Envelope& envelope) {
  const StreamMarks marks(envelope);
  bool holds = true;
  for (const std::optional<StreamMark>& mark : {marks.version, marks.step}) {
    if (!mark.has_value()) continue;
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<lmdb::View> stored, txn.Get(meta, KeyOf(*mark)));
    if (!stored.has_value()) continue;
    ++found_;
    const lmdb::View expected = lmdb::MakeView(&mark->sequence, sizeof(mark->sequence));
    holds &= std::ranges::equal(*stored, expected);
  }
  return holds;
}

absl::StatusOr<bool> StreamMarkCheck::HoldsInAll(const lmdb::Transaction& txn,
                                                 lmdb::Table meta) const {
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor, txn.OpenCursor(meta));
  NIMBUS_ASSIGN_OR_RETURN(auto entry, cursor.AtOrAfter(Bytes(kPrefix.begin(), kPrefix.end())));
  uint64_t stored = 0;
  for (; entry.has_value() && IsMark(entry->key); ++stored) {
    NIMBUS_ASSIGN_OR_RETURN(entry, cursor.Next());
  }
  return stored == found_;
}

}  // namespace nimbus::journal
