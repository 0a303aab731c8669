// From an entity to its row, where the row is named and the entity's id is derived
// from that name: the row 'persona_devops', the preference 'ui.theme'.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/id.h"
#include "sqlite.h"

namespace nimbus::projections {

class StreamRows {
 public:
  using Derive = schema::Uuid (*)(std::string_view name);

  // `select` gives the names of all rows, `derive` the entity of each.
  static absl::StatusOr<StreamRows> Create(sqlite::Connection* database, std::string_view select,
                                           Derive derive);

  // The name of the row of `stream`. NotFound when there is none. What it remembers
  // holds whatever becomes of a transaction or of another projector's rows, since ids
  // follow from names; the table is read again only for a stream it does not know.
  absl::StatusOr<std::string> Find(const schema::Uuid& stream);

  void Forget(const schema::Uuid& stream) { names_.erase(stream); }

 private:
  explicit StreamRows(Derive derive) : derive_(derive) {}

  Derive derive_;
  std::optional<sqlite::Statement> select_;
  std::unordered_map<schema::Uuid, std::string> names_;
};

}  // namespace nimbus::projections
