#include "persona_rows.h"

#include <utility>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/entity_id.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Error;
using schema::Uuid;
using sqlite::Statement;

Uuid PersonaOfRow(std::string_view row_id) {
  return schema::RowEntityId(fb::EntityKind::persona, row_id);
}

// A use has no id of its own: it is the n-th event of its persona.
std::string UseId(const AppliedRecord& record) {
  return schema::DeriveUuid("persona_usage", fmt::format("{} {}", StreamId(record),
                                                         record.view.envelope().version()))
      .ToString();
}

constexpr char kPersonaColumns[] =
    "SELECT rowid, id, name, display_name, description, system_prompt, temperature, "
    "model_preference, response_style, capabilities, is_builtin, is_active, created_at, "
    "updated_at FROM personas ";

absl::StatusOr<Persona> ReadPersona(const Statement& row) {
  RowReader reader(row);
  Persona persona{.id = std::string(row.Text(1)),
                  .name = std::string(row.Text(2)),
                  .display_name = std::string(row.Text(3)),
                  .description = row.OptionalText(4),
                  .system_prompt = std::string(row.Text(5)),
                  .temperature = row.Real(6),
                  .model_preference = row.OptionalText(7),
                  .response_style = row.OptionalText(8),
                  .capabilities = row.OptionalText(9),
                  .is_builtin = row.Int(10) != 0,
                  .is_active = row.Int(11) != 0,
                  .created_at_us = reader.Time(12),
                  .updated_at_us = reader.Time(13),
                  .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return persona;
}

constexpr char kSelectUsage[] =
    "SELECT personas.rowid, personas.id, personas.name, count(*), max(used_at) "
    "FROM persona_usage JOIN personas ON personas.id = persona_id "
    "WHERE (?1 IS NULL OR persona_id = ?1) AND (?2 IS NULL OR session_id = ?2) "
    "AND (?3 IS NULL OR used_at >= ?3) "
    "GROUP BY personas.rowid ORDER BY count(*) DESC, personas.rowid";

absl::StatusOr<PersonaUsage> ReadUsage(const Statement& row) {
  RowReader reader(row);
  PersonaUsage usage{.persona_id = std::string(row.Text(1)),
                     .name = std::string(row.Text(2)),
                     .uses = static_cast<uint64_t>(row.Int(3)),
                     .last_used_at_us = reader.Time(4)};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return usage;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RowWriter>> PersonaWriter::Create(sqlite::Connection* database) {
  NIMBUS_ASSIGN_OR_RETURN(StreamRows rows,
                          StreamRows::Create(database, "SELECT id FROM personas", &PersonaOfRow));
  std::unique_ptr<PersonaWriter> writer(new PersonaWriter(database, std::move(rows)));
  NIMBUS_RETURN_IF_ERROR(writer->Prepare());
  return writer;
}

absl::Status PersonaWriter::Prepare() {
  return PrepareAll(
      database_,
      {
          {&define_,
           "INSERT INTO personas (rowid, id, name, display_name, description, system_prompt, "
           "temperature, model_preference, response_style, capabilities, is_builtin, is_active, "
           "created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, NULL)"},
          {&update_,
           "UPDATE personas SET display_name = coalesce(?2, display_name), "
           "description = coalesce(?3, description), system_prompt = coalesce(?4, system_prompt), "
           "temperature = coalesce(?5, temperature), "
           "model_preference = coalesce(?6, model_preference), "
           "response_style = coalesce(?7, response_style), "
           "capabilities = coalesce(?8, capabilities), updated_at = ?9 WHERE id = ?1"},
          {&switch_, "UPDATE personas SET is_active = ?2, updated_at = ?3 WHERE id = ?1"},
          {&remove_, "DELETE FROM personas WHERE id = ?1"},
          {&use_,
           "INSERT INTO persona_usage (rowid, id, persona_id, session_id, used_at) "
           "SELECT ?1, ?2, id, ?4, ?5 FROM personas WHERE id = ?3 "
           "AND (?4 IS NULL OR EXISTS (SELECT 1 FROM sessions WHERE id = ?4))"},
      });
}

bool PersonaWriter::NeedsBody(fb::Event type) const {
  return type == fb::Event::PersonaDefined || type == fb::Event::PersonaUpdated;
}

absl::Status PersonaWriter::Apply(const AppliedRecord& record) {
  const fb::Record& r = record.record();
  switch (r.event_type()) {
    case fb::Event::PersonaDefined:
      return Define(record, *r.event_as_PersonaDefined());
    case fb::Event::PersonaUpdated:
      return Update(record, *r.event_as_PersonaUpdated());
    case fb::Event::PersonaActivated:
      return Switch(record, true);
    case fb::Event::PersonaDeactivated:
      return Switch(record, false);
    case fb::Event::PersonaRemoved:
      return Remove(record);
    case fb::Event::PersonaUsed:
      return Use(record, *r.event_as_PersonaUsed());
    default:
      return Error(absl::StatusCode::kInternal, "event {} is none of the personas'",
                   fb::EnumNameEvent(r.event_type()));
  }
}

absl::Status PersonaWriter::Define(const AppliedRecord& record, const fb::PersonaDefined& event) {
  const std::optional<std::string_view> given = Text(event.row_id());
  const std::string id =
      given.value_or("").empty() ? StreamId(record) : schema::CanonicalRowId(*given);
  // Recorded without one, a text that can't be NULL is empty; erased, it says so.
  const std::string missing = record.erased ? ErasedMark(record.sequence()) : "";
  const fb::Details* details = record.details();
  return define_->Run(record.rowid(), id, Text(event.name()),
                      Text(details ? details->display_name() : nullptr).value_or(missing),
                      Text(record.body ? record.body->description() : nullptr),
                      Text(details ? details->system_prompt() : nullptr).value_or(missing),
                      event.temperature(), Text(details ? details->model() : nullptr),
                      Text(details ? details->response_style() : nullptr),
                      Text(details ? details->capabilities() : nullptr), event.builtin() ? 1 : 0,
                      Time(record));
}

absl::Status PersonaWriter::Update(const AppliedRecord& record, const fb::PersonaUpdated& event) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string id, rows_.Find(record.stream()));
  const fb::Details* details = record.details();
  std::optional<double> temperature;
  if (event.temperature().has_value()) temperature = *event.temperature();
  NIMBUS_RETURN_IF_ERROR(update_->Run(id, Text(details ? details->display_name() : nullptr),
                                      Text(record.body ? record.body->description() : nullptr),
                                      Text(details ? details->system_prompt() : nullptr),
                                      temperature, Text(details ? details->model() : nullptr),
                                      Text(details ? details->response_style() : nullptr),
                                      Text(details ? details->capabilities() : nullptr),
                                      Time(record)));
  return RequireChange(*database_, "persona", id);
}

absl::Status PersonaWriter::Switch(const AppliedRecord& record, bool active) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string id, rows_.Find(record.stream()));
  NIMBUS_RETURN_IF_ERROR(switch_->Run(id, active ? 1 : 0, Time(record)));
  return RequireChange(*database_, "persona", id);
}

absl::Status PersonaWriter::Remove(const AppliedRecord& record) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string id, rows_.Find(record.stream()));
  NIMBUS_RETURN_IF_ERROR(remove_->Run(id));
  NIMBUS_RETURN_IF_ERROR(RequireChange(*database_, "persona", id));
  rows_.Forget(record.stream());
  return absl::OkStatus();
}

absl::Status PersonaWriter::Use(const AppliedRecord& record, const fb::PersonaUsed& event) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string id, rows_.Find(record.stream()));
  std::optional<std::string> session;
  if (event.session() != nullptr) session = IdText(*event.session());
  NIMBUS_RETURN_IF_ERROR(use_->Run(record.rowid(), UseId(record), id, session, Time(record)));
  return RequireChange(*database_, "session", session.value_or("of a use"));
}

absl::StatusOr<PersonaReader> PersonaReader::Create(sqlite::Connection* database) {
  PersonaReader reader;
  const std::string personas = kPersonaColumns;
  NIMBUS_RETURN_IF_ERROR(
      PrepareAll(database, {
                               {&reader.get_, personas + "WHERE id = ?"},
                               {&reader.get_by_name_, personas + "WHERE name = ?"},
                               {&reader.list_, personas + "WHERE is_active >= ? ORDER BY rowid"},
                               {&reader.get_usage_, kSelectUsage},
                           }));
  return reader;
}

absl::StatusOr<std::optional<Persona>> PersonaReader::Get(std::string_view row_id) {
  const std::string id = schema::CanonicalRowId(row_id);
  return ReadOne(&*get_, get_->First(id), &ReadPersona);
}

absl::StatusOr<std::optional<Persona>> PersonaReader::GetByName(std::string_view name) {
  return ReadOne(&*get_by_name_, get_by_name_->First(name), &ReadPersona);
}

absl::StatusOr<std::vector<Persona>> PersonaReader::List(bool active_only) {
  return ReadAll(&*list_, list_->First(active_only ? 1 : 0), &ReadPersona);
}

absl::StatusOr<std::vector<PersonaUsage>> PersonaReader::GetUsage(
    const PersonaUsageFilter& filter) {
  std::optional<std::string> persona, session, since;
  if (filter.persona) persona = schema::CanonicalRowId(*filter.persona);
  if (filter.session) session = filter.session->ToString();
  if (filter.since_us) since = schema::FormatUtc(*filter.since_us);
  return ReadAll(&*get_usage_, get_usage_->First(persona, session, since), &ReadUsage);
}

}  // namespace nimbus::projections
