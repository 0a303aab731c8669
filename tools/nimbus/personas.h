// How a person names a persona.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "nimbus/projections/database.h"

namespace nimbus::tools {

inline constexpr size_t kFieldWidth = 200;  // characters of a text on a line

// The row id of the persona with that name or row id. NotFound suggests the nearest
// name.
absl::StatusOr<std::string> SelectPersona(projections::Database& database, const std::string& text);

}  // namespace nimbus::tools
