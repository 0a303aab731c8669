#include "simulation/check.h"

#include <map>
#include <memory>
#include <optional>

#include "journal/events.h"
#include "nimbus/journal/reader.h"
#include "nimbus/journal/verify.h"
#include "nimbus/schema/status.h"

namespace nimbus::simulation {
namespace {

using journal::Journal;
using journal::Reader;
using journal::RecordView;
using schema::Error;
constexpr auto kLost = absl::StatusCode::kDataLoss;

// What a check reads beside the records.
enum class Depth { kRecords, kVerified, kBodiesVerified };

absl::StatusOr<Records> ReadAll(const Journal& journal, Depth depth) {
  Records records;
  Reader reader(journal);
  for (reader.Seek(0);;) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* record, reader.Next());
    if (record == nullptr) return records;
    records.push_back(schema::Blake2b256(
        {reinterpret_cast<const char*>(record->bytes.data()), record->bytes.size()}));
    if (depth != Depth::kBodiesVerified) continue;
    NIMBUS_RETURN_IF_ERROR(reader.Body(*record).status());
  }
}

absl::Status Verify(const Journal& journal, uint64_t records) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::VerifyReport report, VerifyJournal(journal, {}));
  if (!report.holds()) {
    const journal::Finding& finding = report.findings.front();
    return Error(kLost, "verification: record {}: {}", finding.sequence, finding.what);
  }
  if (report.records != records) {
    return Error(kLost, "verification found {} of {} records", report.records, records);
  }
  return absl::OkStatus();
}

// That it begins as `written` do, and has no more than `others` beyond them.
// Returns its size.
absl::StatusOr<uint64_t> CheckPrefix(const Journal& journal, const Records& written,
                                     uint64_t size_min, uint64_t others, Depth depth) {
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal.Size());
  if (size < size_min) return Error(kLost, "{} records, {} were acknowledged", size, size_min);
  NIMBUS_ASSIGN_OR_RETURN(const Records found, ReadAll(journal, depth));
  if (found.size() != size) return Error(kLost, "{} of {} records read", found.size(), size);
  if (size < others || size - others > written.size()) {
    return Error(kLost, "{} records, {} were ever written", size, written.size());
  }
  for (uint64_t i = 0; i < size - others; ++i) {
    if (found[i] != written[i]) return Error(kLost, "record {} is not the one written there", i);
  }
  if (depth != Depth::kRecords) NIMBUS_RETURN_IF_ERROR(Verify(journal, size));
  return size;
}

absl::Status CheckUpdate(const Journal& journal, Reader* reader, const Acknowledgement& ack,
                         uint64_t i) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* record, reader->Read(ack.first + i));
  const schema::fb::Envelope& envelope = record->envelope();
  const uint64_t version = envelope.version();
  if (schema::Uuid::FromFb(envelope.stream()) != ack.session || version != ack.n + i + 2) {
    return Error(kLost, "record {} is not update {} of its session", ack.first + i, ack.n + i);
  }
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, reader->Body(*record));
  if (body == nullptr || body->name() == nullptr ||
      body->name()->str() != journal::UpdateName(ack.n + i)) {
    return Error(kLost, "record {} has another text than it was given", ack.first + i);
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> state,
                          journal.FindEntity(schema::fb::EntityKind::session, ack.session));
  if (!state.has_value() || state->version < version) {
    return Error(kLost, "the session of record {} is behind", ack.first + i);
  }
  return absl::OkStatus();
}

// Appends two records to what a power cut left.
absl::Status Append(Journal* journal) {
  const schema::Uuid session = schema::NewUuid();
  NIMBUS_RETURN_IF_ERROR(journal->Append(journal::SessionStarted(session)).status());
  return journal->Append(journal::SessionUpdated(session, 0)).status();
}

absl::StatusOr<std::unique_ptr<Journal>> Open(const std::string& store, bool read_only) {
  return Journal::Open(store, {.create = !read_only, .read_only = read_only});
}

absl::StatusOr<uint64_t> CheckReading(const std::string& store, const Needed& needed,
                                      const Records& written) {
  absl::StatusOr<std::unique_ptr<Journal>> journal = Open(store, true);
  if (absl::IsNotFound(journal.status()) && !needed.store) return 0;
  if (!journal.ok()) return schema::Annotate(journal.status(), "opened for reading");
  absl::StatusOr<uint64_t> size =
      CheckPrefix(**journal, written, needed.records, 0, Depth::kBodiesVerified);
  if (!size.ok()) return schema::Annotate(size.status(), "read");
  return size;
}

// What reads there were, `size` records of them, a writer finds too.
absl::StatusOr<uint64_t> CheckWriting(const std::string& store, uint64_t size,
                                      const Records& written) {
  absl::StatusOr<std::unique_ptr<Journal>> journal = Open(store, false);
  if (!journal.ok()) return schema::Annotate(journal.status(), "opened for writing");
  // A store whose making was cut off is made anew, with another first record.
  const uint64_t others = size == 0 ? 1 : 0;
  absl::StatusOr<uint64_t> found = CheckPrefix(**journal, written, size, others, Depth::kRecords);
  if (!found.ok() && size == 0) found = CheckPrefix(**journal, written, size, 0, Depth::kRecords);
  if (!found.ok()) return schema::Annotate(found.status(), "opened for writing");
  const absl::Status appended = Append(journal->get());
  if (!appended.ok()) return schema::Annotate(appended, "appended to");
  return found;
}

}  // namespace

absl::StatusOr<Records> ReadRecords(const std::string& store, const Claims& claims) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Open(store, true));
  NIMBUS_ASSIGN_OR_RETURN(Records written, ReadAll(*journal, Depth::kBodiesVerified));
  NIMBUS_RETURN_IF_ERROR(Verify(*journal, written.size()));
  Reader reader(*journal);
  for (const Acknowledgement& ack : claims.acknowledgements) {
    if (ack.first + ack.count > written.size()) return Error(kLost, "record {} is lost", ack.first);
    for (uint64_t i = 0; !ack.session.IsNil() && i < ack.count; ++i) {
      NIMBUS_RETURN_IF_ERROR(CheckUpdate(*journal, &reader, ack, i));
    }
  }
  return written;
}

absl::Status CheckStore(const std::string& store, const Needed& needed, const Records& written) {
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t read, CheckReading(store, needed, written));
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, CheckWriting(store, read, written));
  absl::StatusOr<std::unique_ptr<Journal>> journal = Open(store, true);
  if (!journal.ok()) return schema::Annotate(journal.status(), "opened again");
  constexpr uint64_t kAppended = 2;
  const uint64_t others = kAppended + (read == 0 ? 1 : 0);
  absl::StatusOr<uint64_t> again =
      CheckPrefix(**journal, written, size + kAppended, others, Depth::kVerified);
  if (!again.ok() && read == 0) {
    again = CheckPrefix(**journal, written, size + kAppended, kAppended, Depth::kVerified);
  }
  if (!again.ok()) return schema::Annotate(again.status(), "opened again");
  if (*again != size + kAppended) {
    return Error(kLost, "opened again: {} records instead of {}", *again, size + kAppended);
  }
  return absl::OkStatus();
}

}  // namespace nimbus::simulation
