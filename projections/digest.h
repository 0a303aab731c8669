// Digests of tables, and the comparison of two databases table by table and row by row.
// Which generation made the rows can't be told from them: that is what is tested.
//
// Left out: SQLite's own tables, the projector's bookkeeping (nimbus_…), and the times
// in `migrations`.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/projections/tables.h"
#include "sqlite.h"

namespace nimbus::projections {

// Of all tables, by name. As of one moment if the caller has begun a Snapshot.
absl::StatusOr<std::vector<TableDigest>> DigestTables(sqlite::Connection* database);

struct CompareOptions {
  // Only tables that both have, and `migrations` not: for databases of two versions.
  bool common_only = false;
  std::string_view a_name = "the first";  // as TableDifference::what says it
  std::string_view b_name = "the second";
};

// Where the two differ first, in a table, an index or a row; nullopt when they don't.
// Memory: one row of each.
absl::StatusOr<std::optional<TableDifference>> CompareTables(sqlite::Connection* a,
                                                             sqlite::Connection* b,
                                                             const CompareOptions& options = {});

}  // namespace nimbus::projections
