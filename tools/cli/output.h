// Where a command writes what it makes.
#pragma once

#include <functional>
#include <ostream>
#include <string>

#include "absl/status/status.h"

namespace nimbus::tools::cli {

// `name` is what errors call the output.
using WriteFunction = std::function<absl::Status(std::ostream* out, const std::string& name)>;

// To the file; to standard output if `path` is "-". A regular file is written beside itself
// first ("PATH.new"), so one of that name is whole, whatever happens. What is no regular
// file, as a pipe or a device, is written as it is. Unavailable: it can't be written.
absl::Status WriteOutput(const std::string& path, const WriteFunction& write);

}  // namespace nimbus::tools::cli
