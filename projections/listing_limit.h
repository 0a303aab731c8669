// How many rows a listing returns that was not told: the preference
// history.max_entries as it is now.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "sqlite.h"

namespace nimbus::projections {

class ListingLimit {
 public:
  // Of the views that `database` reads, whether or not they hold preferences.
  static absl::StatusOr<ListingLimit> Create(sqlite::Connection* database);

  // `limit`, else the preference, else kListingLimitDefault; as SQLite takes it.
  absl::StatusOr<int64_t> Get(std::optional<uint64_t> limit);

 private:
  ListingLimit() = default;

  std::optional<sqlite::Statement> select_;  // unset without the table
};

}  // namespace nimbus::projections
