// The personas and preferences that the product specification begins with. They are
// events like all others, so that what was in force at any time is on record.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "nimbus/journal/journal.h"

namespace nimbus::projections {

// Preferences that Nimbus itself obeys.
inline constexpr std::string_view kDefaultPersonaKey = "agent.default_persona";
inline constexpr std::string_view kListingLimitKey = "history.max_entries";

// Appends those the journal lacks: all in one append, or none when they are there.
// Whoever opens a journal to write does so; of several at once one succeeds, and all
// return OK. As Journal::Append.
absl::Status AppendBuiltins(journal::Journal* journal);

}  // namespace nimbus::projections
