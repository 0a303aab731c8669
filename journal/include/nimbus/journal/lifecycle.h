// The product specification's words for how far something has come. (Formats that are
// imported have words of their own.)
//
//   StatusText(Lifecycle::kRunning)                          // "running"
//   NIMBUS_ASSIGN_OR_RETURN(filter.status, ParseStatus("failed"));
//
// Thread-safe.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"

namespace nimbus::journal {

// 'pending', 'running', 'completed', 'failed', 'cancelled'. Valid forever.
std::string_view StatusText(Lifecycle status);

// InvalidArgument for any other word.
absl::StatusOr<Lifecycle> ParseStatus(std::string_view text);

}  // namespace nimbus::journal
