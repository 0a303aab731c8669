#include "stream_rows.h"

#include "nimbus/schema/status.h"

namespace nimbus::projections {

absl::StatusOr<StreamRows> StreamRows::Create(sqlite::Connection* database, std::string_view select,
                                              Derive derive) {
  StreamRows rows(derive);
  NIMBUS_ASSIGN_OR_RETURN(rows.select_, database->Prepare(select));
  return rows;
}

absl::StatusOr<std::string> StreamRows::Find(const schema::Uuid& stream) {
  if (const auto known = names_.find(stream); known != names_.end()) return known->second;
  names_.clear();
  NIMBUS_ASSIGN_OR_RETURN(bool row, select_->First());
  while (row) {
    std::string name(select_->Text(0));
    names_.emplace(derive_(name), std::move(name));
    NIMBUS_ASSIGN_OR_RETURN(row, select_->Next());
  }
  if (const auto known = names_.find(stream); known != names_.end()) return known->second;
  return schema::Error(absl::StatusCode::kNotFound, "entity {} has no row", stream.ToString());
}

}  // namespace nimbus::projections
