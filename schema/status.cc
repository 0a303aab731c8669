#include "nimbus/schema/status.h"

#include <string_view>

namespace nimbus::schema {

absl::Status Annotate(const absl::Status& status, const std::string& context) {
  if (status.ok()) return status;
  const std::string_view message(status.message().data(), status.message().size());
  return absl::Status(status.code(), fmt::format("{}: {}", context, message));
}

}  // namespace nimbus::schema
