#include "tools/import/export.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::tools::import {

absl::StatusOr<std::vector<SourceInfo>> ListSources(const journal::Journal& journal) {
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<schema::Uuid> ids,
                          journal.FindEntitiesByPrefix(schema::fb::EntityKind::source, "",
                                                       std::numeric_limits<size_t>::max()));
  std::vector<SourceInfo> sources;
  for (const schema::Uuid& id : ids) {
    NIMBUS_ASSIGN_OR_RETURN(StoredSource stored, ReadStoredSource(journal, id, nullptr));
    sources.push_back({.id = id,
                       .format = std::move(stored.format),
                       .key = std::move(stored.key),
                       .records = stored.records,
                       .finished = stored.finished,
                       .operations = std::move(stored.operations)});
  }
  return sources;
}

absl::StatusOr<uint64_t> ExportOriginal(const journal::Journal& journal, const schema::Uuid& id,
                                        const RecordSink& sink) {
  NIMBUS_ASSIGN_OR_RETURN(const StoredSource stored, ReadStoredSource(journal, id, sink));
  if (!stored.exists)
    return schema::Error(absl::StatusCode::kNotFound, "no source {}", id.ToString());
  return stored.records;
}

}  // namespace nimbus::tools::import
