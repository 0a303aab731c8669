#include "nimbus/projections/plugin_registry.h"

#include <limits>
#include <set>
#include <utility>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/json.h"
#include "registry_rows.h"
#include "view_reader.h"

namespace nimbus::projections {

namespace fb = schema::fb;
using schema::Error;
using schema::Event;
using schema::Json;
using schema::MakeEvent;
using schema::Uuid;
using Code = absl::StatusCode;

namespace {

absl::StatusOr<Event> ToEvent(const NewRegistryEntry& entry) {
  if (entry.downloads > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return Error(Code::kInvalidArgument, "downloads: {} is more than 2^63 - 1", entry.downloads);
  }
  fb::RegistryEntryCachedT cached;
  cached.name = entry.name;
  cached.latest_version = entry.latest_version;
  cached.downloads = entry.downloads;
  if (entry.rating) cached.rating = *entry.rating;
  Event event = MakeEvent(fb::EntityKind::registry_entry, schema::RegistryEntryId(entry.name),
                          std::move(cached));
  event.body.description = entry.description;
  event.body.details = std::make_unique<fb::DetailsT>();
  event.body.details->author = entry.author;
  event.body.details->metadata = entry.metadata;
  if (!entry.categories.empty()) {
    Json::Array categories;
    for (const std::string& category : entry.categories) {
      categories.push_back(Json::String(category));
    }
    event.body.details->categories = Json::MakeArray(std::move(categories)).Dump();
  }
  return event;
}

}  // namespace

class PluginRegistry::Rows : public ViewReader<RegistryReader> {
 public:
  using ViewReader::ViewReader;
};

PluginRegistry::PluginRegistry(journal::Journal* journal, Views* views)
    : journal_(journal), rows_(std::make_unique<Rows>(views)) {}

PluginRegistry::~PluginRegistry() = default;

absl::StatusOr<Written> PluginRegistry::Cache(const std::vector<NewRegistryEntry>& entries) {
  if (entries.empty() || entries.size() > kRegistryEntriesMax) {
    return Error(Code::kInvalidArgument, "{} entries; 1 to {} are cached at once", entries.size(),
                 kRegistryEntriesMax);
  }
  std::vector<Event> events;
  std::set<std::string_view> names;
  for (const NewRegistryEntry& entry : entries) {
    if (!names.insert(entry.name).second) {
      return Error(Code::kInvalidArgument, "entry '{}' is there twice", entry.name);
    }
    absl::StatusOr<Event> event = ToEvent(entry);
    const absl::Status valid = event.ok() ? schema::ValidateEvent(*event) : event.status();
    if (!valid.ok()) return schema::Annotate(valid, fmt::format("entry '{}'", entry.name));
    events.push_back(*std::move(event));
  }
  NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended, journal_->Append(events));
  return Written{.id = events.back().stream, .sequence = appended.first + appended.count - 1};
}

absl::StatusOr<Written> PluginRegistry::Remove(std::string_view name, const std::string& reason) {
  const Uuid id = schema::RegistryEntryId(name);
  Event event = MakeEvent(fb::EntityKind::registry_entry, id, fb::RegistryEntryRemovedT{});
  event.body.description = reason;
  const absl::StatusOr<journal::Appended> appended = journal_->Append(event);
  if (absl::IsNotFound(appended.status())) {
    return Error(Code::kNotFound, "the registry holds no '{}'", name);
  }
  NIMBUS_RETURN_IF_ERROR(appended.status());
  return Written{.id = id, .sequence = appended->first};
}

absl::StatusOr<std::optional<RegistryEntry>> PluginRegistry::Get(std::string_view name) {
  return rows_->With([&](RegistryReader& reader) { return reader.Get(name); });
}

absl::StatusOr<std::vector<RegistryEntry>> PluginRegistry::Search(const RegistryFilter& filter) {
  std::optional<int64_t> since;
  if (filter.max_age_us) {
    const int64_t now = filter.now_us ? *filter.now_us : schema::SystemClock().NowMicros();
    if (__builtin_sub_overflow(now, *filter.max_age_us, &since.emplace())) since.reset();
  }
  return rows_->With([&](RegistryReader& reader) { return reader.Search(filter, since); });
}

}  // namespace nimbus::projections
