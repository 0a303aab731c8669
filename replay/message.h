// The words of an error, where they become a part of a text: without its code's name and
// what it holds for programs. Private to the module.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace nimbus::replay {

inline std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

}  // namespace nimbus::replay
