// The parameters of a call, taken out one by one; what nobody took is an error, so that
// a misspelt one is not lost.
//
//   NIMBUS_ASSIGN_OR_RETURN(const uint64_t number, params.Count("number", 1, UINT32_MAX));
//   NIMBUS_ASSIGN_OR_RETURN(const std::string tool, params.TextOr("tool", ""));
//   NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
//
// All errors are InvalidArgument and name the parameter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/json.h"

namespace nimbus::tools::agent {

class Params {
 public:
  // Requires an object.
  explicit Params(schema::Json object) : left_(std::move(object)) {}

  std::optional<schema::Json> Take(std::string_view name);
  absl::StatusOr<schema::Json> Value(std::string_view name);
  absl::StatusOr<std::string> Text(std::string_view name);
  absl::StatusOr<std::string> TextOr(std::string_view name, std::string_view fallback);
  absl::StatusOr<bool> BoolOr(std::string_view name, bool fallback);
  // A whole number of [min, max].
  absl::StatusOr<uint64_t> Count(std::string_view name, uint64_t min, uint64_t max);

  absl::Status CheckAllTaken() const;

 private:
  schema::Json left_;
  std::vector<std::string> known_;  // asked for
};

}  // namespace nimbus::tools::agent
