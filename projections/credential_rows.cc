#include "credential_rows.h"

#include "nimbus/schema/clock.h"
#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Error;
using schema::Uuid;
using sqlite::Statement;

std::optional<std::string> TimeText(flatbuffers::Optional<int64_t> micros) {
  if (!micros.has_value()) return std::nullopt;
  return schema::FormatUtc(*micros);
}

// All but the sealed text, which no listing reads.
constexpr char kCredentialColumns[] =
    "SELECT rowid, id, name, provider, type, metadata, expires_at, last_used_at, created_at, "
    "updated_at FROM credentials ";

absl::StatusOr<Credential> ReadCredential(const Statement& row) {
  RowReader reader(row);
  Credential credential{.id = reader.Id(1),
                        .name = std::string(row.Text(2)),
                        .provider = std::string(row.Text(3)),
                        .type = std::string(row.Text(4)),
                        .metadata = row.OptionalText(5),
                        .expires_at_us = reader.Time(6),
                        .last_used_at_us = reader.Time(7),
                        .created_at_us = reader.Time(8),
                        .updated_at_us = reader.Time(9),
                        .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return credential;
}

constexpr char kProfileColumns[] =
    "SELECT rowid, id, name, description, credentials, is_default, created_at "
    "FROM credential_profiles ";

absl::StatusOr<CredentialProfile> ReadProfile(const Statement& row) {
  RowReader reader(row);
  CredentialProfile profile{.id = reader.Id(1),
                            .name = std::string(row.Text(2)),
                            .description = row.OptionalText(3),
                            .credentials = std::string(row.Text(4)),
                            .is_default = row.Int(5) != 0,
                            .created_at_us = reader.Time(6),
                            .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return profile;
}

// The sealed text of an event. Recorded without one, it is the empty text.
std::string_view Sealed(const AppliedRecord& record, const std::string& erased) {
  if (record.erased) return erased;
  const fb::Details* details = record.details();
  return Text(details == nullptr ? nullptr : details->sealed()).value_or("");
}

std::optional<std::string_view> Metadata(const AppliedRecord& record) {
  const fb::Details* details = record.details();
  return Text(details == nullptr ? nullptr : details->metadata());
}

}  // namespace

absl::StatusOr<std::unique_ptr<RowWriter>> CredentialWriter::Create(sqlite::Connection* database) {
  std::unique_ptr<CredentialWriter> writer(new CredentialWriter(database));
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database,
      {{&writer->store_,
        "INSERT INTO credentials (rowid, id, name, provider, type, encrypted_data, metadata, "
        "expires_at, last_used_at, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, NULL)"},
       {&writer->rotate_,
        "UPDATE credentials SET encrypted_data = ?2, metadata = coalesce(?3, metadata), "
        "expires_at = ?4, updated_at = ?5 WHERE id = ?1"},
       {&writer->use_, "UPDATE credentials SET last_used_at = ?2 WHERE id = ?1"},
       {&writer->remove_, "DELETE FROM credentials WHERE id = ?"}}));
  return writer;
}

bool CredentialWriter::NeedsBody(fb::Event type) const {
  return type == fb::Event::CredentialStored || type == fb::Event::CredentialRotated;
}

absl::Status CredentialWriter::Apply(const AppliedRecord& record) {
  const fb::Record& r = record.record();
  const std::string id = StreamId(record);
  switch (r.event_type()) {
    case fb::Event::CredentialStored:
      return Store(record, *r.event_as_CredentialStored());
    case fb::Event::CredentialRotated:
      NIMBUS_RETURN_IF_ERROR(Rotate(record, *r.event_as_CredentialRotated()));
      break;
    case fb::Event::CredentialUsed:
      NIMBUS_RETURN_IF_ERROR(use_->Run(id, Time(record)));
      break;
    case fb::Event::CredentialRemoved:
      NIMBUS_RETURN_IF_ERROR(remove_->Run(id));
      break;
    default:
      return Error(absl::StatusCode::kInternal, "event {} is none of credentials'",
                   fb::EnumNameEvent(r.event_type()));
  }
  return RequireChange(*database_, "credential", id);
}

absl::Status CredentialWriter::Store(const AppliedRecord& record,
                                     const fb::CredentialStored& event) {
  const std::string erased = ErasedMark(record.sequence());
  return store_->Run(record.rowid(), StreamId(record), Text(event.name()), Text(event.provider()),
                     Text(event.type()), Sealed(record, erased), Metadata(record),
                     TimeText(event.expires_at_us()), Time(record));
}

absl::Status CredentialWriter::Rotate(const AppliedRecord& record,
                                      const fb::CredentialRotated& event) {
  const std::string erased = ErasedMark(record.sequence());
  return rotate_->Run(StreamId(record), Sealed(record, erased), Metadata(record),
                      TimeText(event.expires_at_us()), Time(record));
}

absl::StatusOr<std::unique_ptr<RowWriter>> CredentialProfileWriter::Create(
    sqlite::Connection* database) {
  std::unique_ptr<CredentialProfileWriter> writer(new CredentialProfileWriter(database));
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database,
      {{&writer->save_,
        "INSERT INTO credential_profiles (rowid, id, name, description, credentials, is_default, "
        "created_at) VALUES (?, ?, ?, ?, ?, 0, ?) ON CONFLICT (id) DO UPDATE SET "
        "description = excluded.description, credentials = excluded.credentials"},
       {&writer->make_default_,
        "UPDATE credential_profiles SET is_default = (id = ?1) WHERE (id = ?1 OR is_default) "
        "AND EXISTS (SELECT 1 FROM credential_profiles WHERE id = ?1)"},
       {&writer->delete_, "DELETE FROM credential_profiles WHERE id = ?"}}));
  return writer;
}

bool CredentialProfileWriter::NeedsBody(fb::Event type) const {
  return type == fb::Event::CredentialProfileSaved;
}

absl::Status CredentialProfileWriter::Apply(const AppliedRecord& record) {
  const fb::Record& r = record.record();
  const std::string id = StreamId(record);
  switch (r.event_type()) {
    case fb::Event::CredentialProfileSaved:
      return Save(record, *r.event_as_CredentialProfileSaved());
    case fb::Event::CredentialProfileMadeDefault:
      NIMBUS_RETURN_IF_ERROR(make_default_->Run(id));
      break;
    case fb::Event::CredentialProfileDeleted:
      NIMBUS_RETURN_IF_ERROR(delete_->Run(id));
      break;
    default:
      return Error(absl::StatusCode::kInternal, "event {} is none of credential profiles'",
                   fb::EnumNameEvent(r.event_type()));
  }
  return RequireChange(*database_, "credential profile", id);
}

absl::Status CredentialProfileWriter::Save(const AppliedRecord& record,
                                           const fb::CredentialProfileSaved& event) {
  const fb::Details* details = record.details();
  const std::string erased = ErasedMark(record.sequence());
  const auto mapping = JsonOrEmptyObject(record, details == nullptr ? nullptr : details->config());
  return save_->Run(record.rowid(), StreamId(record), Text(event.name()),
                    Text(record.body == nullptr ? nullptr : record.body->description()),
                    mapping.value_or(erased), Time(record));
}

absl::StatusOr<CredentialReader> CredentialReader::Create(sqlite::Connection* database) {
  CredentialReader reader;
  const std::string columns = kCredentialColumns;
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database,
      {{&reader.list_, columns + "WHERE ?1 IS NULL OR provider = ?1 ORDER BY name"},
       {&reader.list_expiring_, columns + "WHERE expires_at < ? ORDER BY expires_at, name"},
       {&reader.get_, columns + "WHERE id = ?"},
       {&reader.get_by_name_, columns + "WHERE name = ?"},
       {&reader.get_sealed_, "SELECT encrypted_data FROM credentials WHERE id = ?"}}));
  return reader;
}

absl::StatusOr<std::vector<Credential>> CredentialReader::List(
    const std::optional<std::string>& provider) {
  return ReadAll(&*list_, list_->First(provider), &ReadCredential);
}

absl::StatusOr<std::vector<Credential>> CredentialReader::ListExpiring(int64_t before_us) {
  const std::string before = schema::FormatUtc(before_us);
  return ReadAll(&*list_expiring_, list_expiring_->First(before), &ReadCredential);
}

absl::StatusOr<std::optional<Credential>> CredentialReader::Get(const Uuid& id) {
  const std::string text = id.ToString();
  return ReadOne(&*get_, get_->First(text), &ReadCredential);
}

absl::StatusOr<std::optional<Credential>> CredentialReader::GetByName(std::string_view name) {
  return ReadOne(&*get_by_name_, get_by_name_->First(name), &ReadCredential);
}

absl::StatusOr<std::optional<std::string>> CredentialReader::GetSealed(const Uuid& id) {
  const std::string text = id.ToString();
  NIMBUS_ASSIGN_OR_RETURN(const bool found, get_sealed_->First(text));
  if (!found) return std::nullopt;
  std::string sealed(get_sealed_->Text(0));
  get_sealed_->Reset();
  return sealed;
}

absl::StatusOr<CredentialProfileReader> CredentialProfileReader::Create(
    sqlite::Connection* database) {
  CredentialProfileReader reader;
  const std::string columns = kProfileColumns;
  NIMBUS_RETURN_IF_ERROR(
      PrepareAll(database, {{&reader.list_, columns + "ORDER BY name"},
                            {&reader.get_, columns + "WHERE name = ?"},
                            {&reader.get_default_, columns + "WHERE is_default"}}));
  return reader;
}

absl::StatusOr<std::vector<CredentialProfile>> CredentialProfileReader::List() {
  return ReadAll(&*list_, list_->First(), &ReadProfile);
}

absl::StatusOr<std::optional<CredentialProfile>> CredentialProfileReader::Get(
    std::string_view name) {
  return ReadOne(&*get_, get_->First(name), &ReadProfile);
}

absl::StatusOr<std::optional<CredentialProfile>> CredentialProfileReader::GetDefault() {
  return ReadOne(&*get_default_, get_default_->First(), &ReadProfile);
}

}  // namespace nimbus::projections
