#include "entry.h"

#include <utility>

#include "internals.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

constexpr size_t kBodyCacheBytes = size_t{16} << 20;

absl::Status CheckBody(const schema::fb::Envelope& envelope, const Entry& entry) {
  const std::optional<EntryBody>& body = entry.body;
  const schema::Digest commitment = schema::FromFb(envelope.body_commitment());
  const bool committed = envelope.body_size() != 0 || commitment != schema::Digest{};
  if (committed && entry.archived.has_value() && !body.has_value()) return absl::OkStatus();
  if (committed != body.has_value()) {
    return absl::DataLossError(committed ? "its body is missing" : "it commits to no body");
  }
  if (!committed) return absl::OkStatus();
  if (body->bytes.size() != envelope.body_size() ||
      BodyCommitment(body->bytes, body->nonce) != commitment) {
    return absl::DataLossError("its body is not the one it commits to");
  }
  return schema::VerifyBody(body->bytes).status();
}

}  // namespace

absl::StatusOr<const schema::fb::Record*> CheckEntry(const Entry& entry) {
  const auto annotate = [&](const absl::Status& status) {
    return schema::Annotate(status, fmt::format("record {}", entry.sequence));
  };
  if (entry.record.size() > schema::kRecordBytesMax) {
    return annotate(absl::DataLossError("it is over the limit"));
  }
  const absl::StatusOr<const schema::fb::Record*> record = schema::VerifyRecord(entry.record);
  if (!record.ok()) return annotate(record.status());
  const schema::fb::Envelope& envelope = *(*record)->envelope();
  if (envelope.sequence() != entry.sequence) {
    return annotate(Error(Code::kDataLoss, "it says it is record {}", envelope.sequence()));
  }
  const absl::Status body = CheckBody(envelope, entry);
  if (!body.ok()) return annotate(body);
  return record;
}

absl::Status CheckPlacement(const schema::fb::Envelope& envelope, const Placement& placement) {
  if (envelope.version() == placement.version && envelope.previous() == placement.previous &&
      envelope.ordinal() == placement.ordinal) {
    return absl::OkStatus();
  }
  return Error(Code::kDataLoss,
               "record {}: version {}, back-link {} and number {} should be {}, {} and {}",
               envelope.sequence(), envelope.version(), envelope.previous(), envelope.ordinal(),
               placement.version, placement.previous, placement.ordinal);
}

EntryReader::EntryReader(const Journal& journal, Archived archived)
    : environment_(Internals::EnvironmentOf(journal)),
      archived_(archived),
      reader_(journal, {.read_ahead_bodies = true}),
      bodies_(environment_, kBodyCacheBytes) {}

// Entries come in order, so that one range serves many of them.
absl::StatusOr<std::optional<uint64_t>> EntryReader::FindArchive(uint64_t sequence) {
  if (!no_more_ranges_ && (!range_.has_value() || sequence >= range_->end)) {
    NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment_.TakeSnapshot());
    NIMBUS_ASSIGN_OR_RETURN(
        range_, NextArchivedRange(snapshot.txn(), environment_.tables().meta, sequence));
    no_more_ranges_ = !range_.has_value();
  }
  if (no_more_ranges_ || sequence < range_->first) return std::optional<uint64_t>();
  return std::optional<uint64_t>(range_->number);
}

absl::StatusOr<std::optional<Entry>> EntryReader::Next() {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader_.Next());
  if (view == nullptr) return std::optional<Entry>();
  Entry entry{.sequence = view->sequence, .record = view->bytes, .body = std::nullopt};
  if (view->envelope().body_size() != 0 && archived_ == Archived::kKeep) {
    NIMBUS_ASSIGN_OR_RETURN(entry.archived, FindArchive(view->sequence));
  }
  if (view->envelope().body_size() != 0 && !entry.archived.has_value()) {
    NIMBUS_ASSIGN_OR_RETURN(body_, bodies_.Read(view->sequence));
    if (!body_.has_value()) {
      return Error(Code::kDataLoss, "record {}: its body is missing", view->sequence);
    }
    entry.body = EntryBody{.bytes = body_->bytes, .nonce = body_->nonce};
  }
  return std::optional<Entry>(entry);
}

}  // namespace nimbus::journal
