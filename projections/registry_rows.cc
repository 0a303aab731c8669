#include "registry_rows.h"

#include <utility>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/entity_id.h"
#include "plugin_rows.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using sqlite::Statement;

constexpr char kEntryColumns[] =
    "SELECT rowid, id, name, latest_version, description, author, downloads, rating, categories, "
    "metadata, fetched_at FROM plugin_registry ";

absl::StatusOr<RegistryEntry> ReadEntry(const Statement& row) {
  RowReader reader(row);
  RegistryEntry entry{.id = reader.Id(1),
                      .name = std::string(row.Text(2)),
                      .latest_version = std::string(row.Text(3)),
                      .description = row.OptionalText(4),
                      .author = row.OptionalText(5),
                      .downloads = row.Int(6),
                      .rating = row.OptionalDouble(7),
                      .categories = StringsOf(row.OptionalText(8)),
                      .metadata = row.OptionalText(9),
                      .fetched_at_us = reader.Time(10),
                      .sequence = reader.sequence()};
  NIMBUS_RETURN_IF_ERROR(reader.status());
  return entry;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RowWriter>> RegistryWriter::Create(sqlite::Connection* database) {
  std::unique_ptr<RegistryWriter> writer(new RegistryWriter(database));
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database,
      {
          {&writer->put_,
           "INSERT INTO plugin_registry (rowid, id, name, latest_version, description, author, "
           "downloads, rating, categories, metadata, fetched_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, "
           "?, ?, ?) ON CONFLICT (id) DO UPDATE SET latest_version = excluded.latest_version, "
           "description = excluded.description, author = excluded.author, downloads = "
           "excluded.downloads, rating = excluded.rating, categories = excluded.categories, "
           "metadata = excluded.metadata, fetched_at = excluded.fetched_at"},
          {&writer->remove_, "DELETE FROM plugin_registry WHERE id = ?"},
      }));
  return writer;
}

bool RegistryWriter::NeedsBody(fb::Event type) const {
  return type == fb::Event::RegistryEntryCached;
}

absl::Status RegistryWriter::Apply(const AppliedRecord& record) {
  if (record.record().event_type() == fb::Event::RegistryEntryCached) {
    return Put(record, *record.record().event_as_RegistryEntryCached());
  }
  return Remove(record);
}

absl::Status RegistryWriter::Put(const AppliedRecord& record,
                                 const fb::RegistryEntryCached& event) {
  const fb::Body* body = record.body;
  const fb::Details* details = record.details();
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> downloads,
                          SqlInteger("downloads", event.downloads()));
  std::optional<double> rating;
  if (event.rating().has_value()) rating = *event.rating();
  return put_->Run(record.rowid(), StreamId(record), Text(event.name()),
                   Text(event.latest_version()), Text(body ? body->description() : nullptr),
                   Text(details ? details->author() : nullptr), downloads, rating,
                   Text(details ? details->categories() : nullptr),
                   Text(details ? details->metadata() : nullptr), Time(record));
}

absl::Status RegistryWriter::Remove(const AppliedRecord& record) {
  const std::string id = StreamId(record);
  NIMBUS_RETURN_IF_ERROR(remove_->Run(id));
  return RequireChange(*database_, "registry entry", id);
}

absl::StatusOr<RegistryReader> RegistryReader::Create(sqlite::Connection* database) {
  RegistryReader reader;
  const std::string columns = kEntryColumns;
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database,
      {
          {&reader.get_, columns + "WHERE id = ?"},
          {&reader.search_,
           columns +
               "WHERE (instr(lower(name), lower(?1)) OR instr(lower(description), lower(?1)) OR "
               "instr(lower(author), lower(?1))) AND (?2 IS NULL OR EXISTS (SELECT 1 FROM "
               "json_each(categories) WHERE value = ?2)) AND (?3 IS NULL OR fetched_at >= ?3) "
               "ORDER BY downloads DESC, name LIMIT ?4"},
      }));
  return reader;
}

absl::StatusOr<std::optional<RegistryEntry>> RegistryReader::Get(std::string_view name) {
  const std::string id = schema::RegistryEntryId(name).ToString();
  return ReadOne(&*get_, get_->First(id), &ReadEntry);
}

absl::StatusOr<std::vector<RegistryEntry>> RegistryReader::Search(const RegistryFilter& filter,
                                                                  std::optional<int64_t> since_us) {
  std::optional<std::string> since;
  if (since_us) since = schema::FormatUtc(*since_us);
  return ReadAll(&*search_,
                 search_->First(filter.text, filter.category, since, SqlCount(filter.limit)),
                 &ReadEntry);
}

}  // namespace nimbus::projections
