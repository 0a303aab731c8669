// Small files that a command reads whole.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace nimbus::tools::cli {

// The file's bytes; standard input's if it is "-". NotFound when it can't be opened,
// InvalidArgument when it holds more than `bytes_max`, Unavailable when reading fails.
absl::StatusOr<std::string> ReadInput(const std::string& path, size_t bytes_max);

}  // namespace nimbus::tools::cli
