// Which writer projects which events, and into the tables of which schema version.
#pragma once

#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "nimbus/schema/events_generated.h"
#include "rows.h"
#include "sqlite.h"

namespace nimbus::projections {

struct Domain {
  int schema_version;  // that has its tables
  schema::fb::Event first, last;
  absl::StatusOr<std::unique_ptr<RowWriter>> (*create)(sqlite::Connection* database);
};

// All, by the events they apply. What is in none of them changes no rows.
std::span<const Domain> Domains();

}  // namespace nimbus::projections
