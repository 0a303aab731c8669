#include "listing_limit.h"

#include "nimbus/projections/builtins.h"
#include "nimbus/projections/history.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"
#include "rows.h"

namespace nimbus::projections {

absl::StatusOr<ListingLimit> ListingLimit::Create(sqlite::Connection* database) {
  ListingLimit limit;
  NIMBUS_ASSIGN_OR_RETURN(const bool exists, database->TableExists("preferences"));
  if (!exists) return limit;
  NIMBUS_ASSIGN_OR_RETURN(limit.select_,
                          database->Prepare("SELECT value FROM preferences WHERE key = ?"));
  return limit;
}

absl::StatusOr<int64_t> ListingLimit::Get(std::optional<uint64_t> limit) {
  if (limit.has_value()) return SqlCount(*limit);
  if (!select_.has_value()) return SqlCount(kListingLimitDefault);
  NIMBUS_ASSIGN_OR_RETURN(const bool found, select_->First(kListingLimitKey));
  if (!found) return SqlCount(kListingLimitDefault);
  const absl::StatusOr<schema::Json> value = schema::Json::Parse(select_->Text(0));
  select_->Reset();
  // What is no such number (erased, or set past Config) does not hide the history.
  const int64_t count = value.ok() ? value->AsInt().value_or(0) : 0;
  return count > 0 ? count : SqlCount(kListingLimitDefault);
}

}  // namespace nimbus::projections
