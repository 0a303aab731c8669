// The two macros Debian's Abseil lacks, and the printf-free way to make an error.
//
//   absl::Status Load() {
//     NIMBUS_ASSIGN_OR_RETURN(const Json value, Json::Parse(text));
//     NIMBUS_RETURN_IF_ERROR(Check(value));
//     return Error(absl::StatusCode::kNotFound, "no step {}", number);
//   }
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nimbus::schema {

template <typename... Args>
absl::Status Error(absl::StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return absl::Status(code, fmt::format(format, std::forward<Args>(args)...));
}

// The same error with `context` and ": " put before its message.
absl::Status Annotate(const absl::Status& status, const std::string& context);

}  // namespace nimbus::schema

#define NIMBUS_CONCAT_INNER(a, b) a##b
#define NIMBUS_CONCAT(a, b) NIMBUS_CONCAT_INNER(a, b)

#define NIMBUS_RETURN_IF_ERROR(expression)                                                    \
  do {                                                                                        \
    if (absl::Status nimbus_status = (expression); !nimbus_status.ok()) return nimbus_status; \
  } while (false)

#define NIMBUS_ASSIGN_OR_RETURN(declaration, expression) \
  NIMBUS_ASSIGN_OR_RETURN_IMPL(NIMBUS_CONCAT(nimbus_statusor_, __LINE__), declaration, expression)

#define NIMBUS_ASSIGN_OR_RETURN_IMPL(statusor, declaration, expression) \
  auto statusor = (expression);                                         \
  if (!statusor.ok()) return std::move(statusor).status();              \
  declaration = std::move(statusor).value()
