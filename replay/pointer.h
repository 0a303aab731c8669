// JSON Pointers (RFC 6901). Private to replay.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace nimbus::replay {

// The reference tokens of `pointer`, unescaped. InvalidArgument when it is none.
absl::StatusOr<std::vector<std::string>> ParsePointer(std::string_view pointer);

// The array index `token` stands for: digits without a leading zero; nullopt
// when it is no index.
std::optional<size_t> ParseIndex(std::string_view token);

}  // namespace nimbus::replay
