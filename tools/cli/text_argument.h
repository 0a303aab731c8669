// A text given on the command line, or where it is to be read.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace nimbus::tools::cli {

inline constexpr size_t kTextArgumentBytesMax = 64u << 20;

// "@FILE" is what the file holds, "@-" what standard input does, anything else itself.
// NotFound or PermissionDenied: the file can't be read. InvalidArgument: it is too long.
absl::StatusOr<std::string> TextOf(const std::string& argument);

}  // namespace nimbus::tools::cli
