#include "nimbus/schema/status.h"

#include <string_view>

#include "absl/strings/cord.h"

namespace nimbus::schema {

absl::Status Annotate(const absl::Status& status, const std::string& context) {
  if (status.ok()) return status;
  const std::string_view message(status.message().data(), status.message().size());
  absl::Status annotated(status.code(), fmt::format("{}: {}", context, message));
  status.ForEachPayload(
      [&annotated](auto url, const absl::Cord& payload) { annotated.SetPayload(url, payload); });
  return annotated;
}

}  // namespace nimbus::schema
