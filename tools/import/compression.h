// zstd, of whole files and of the members of an archive.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace nimbus::tools::import {

// Whether the bytes begin as zstd's frames do.
bool IsZstd(std::string_view bytes);

// All frames, one after the other. InvalidArgument: no zstd, or cut off inside a
// frame. ResourceExhausted: it becomes larger than `bytes_max`.
absl::StatusOr<std::string> DecompressZstd(std::string_view compressed, size_t bytes_max);

// The answer to what is larger than a limit: ResourceExhausted.
absl::Status TooLarge(size_t bytes_max);

}  // namespace nimbus::tools::import
