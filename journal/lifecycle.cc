#include "nimbus/journal/lifecycle.h"

#include <algorithm>
#include <array>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

// By the value of the Lifecycle.
constexpr auto kWords =
    std::to_array<std::string_view>({"pending", "running", "completed", "failed", "cancelled"});
static_assert(kWords.size() == static_cast<size_t>(Lifecycle::kCancelled) + 1);

}  // namespace

std::string_view StatusText(Lifecycle status) {
  const auto index = static_cast<size_t>(status);
  NIMBUS_CHECK(index < kWords.size());
  return kWords[index];
}

absl::StatusOr<Lifecycle> ParseStatus(std::string_view text) {
  const auto* const word = std::find(kWords.begin(), kWords.end(), text);
  if (word != kWords.end()) return static_cast<Lifecycle>(word - kWords.begin());
  return schema::Error(absl::StatusCode::kInvalidArgument,
                       "'{}' is no status; pending, running, completed, failed and cancelled are",
                       text);
}

}  // namespace nimbus::journal
