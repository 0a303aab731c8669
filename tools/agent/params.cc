#include "tools/agent/params.h"

#include "nimbus/schema/status.h"
#include "tools/cli/nearest.h"

namespace nimbus::tools::agent {

using schema::Error;
using schema::Json;
using Code = absl::StatusCode;

std::optional<Json> Params::Take(std::string_view name) {
  known_.emplace_back(name);
  Json* found = left_.Find(name);
  if (found == nullptr) return std::nullopt;
  Json value = std::move(*found);
  left_.Erase(name);
  return value;
}

absl::StatusOr<Json> Params::Value(std::string_view name) {
  std::optional<Json> value = Take(name);
  if (!value.has_value()) return Error(Code::kInvalidArgument, "{}: missing", name);
  return *std::move(value);
}

absl::StatusOr<std::string> Params::Text(std::string_view name) {
  NIMBUS_ASSIGN_OR_RETURN(const Json value, Value(name));
  if (!value.IsString()) return Error(Code::kInvalidArgument, "{}: no string", name);
  return value.string();
}

absl::StatusOr<std::string> Params::TextOr(std::string_view name, std::string_view fallback) {
  const std::optional<Json> value = Take(name);
  if (!value.has_value()) return std::string(fallback);
  if (!value->IsString()) return Error(Code::kInvalidArgument, "{}: no string", name);
  return value->string();
}

absl::StatusOr<bool> Params::BoolOr(std::string_view name, bool fallback) {
  const std::optional<Json> value = Take(name);
  if (!value.has_value()) return fallback;
  if (!value->IsBool()) return Error(Code::kInvalidArgument, "{}: neither true nor false", name);
  return value->boolean();
}

absl::StatusOr<uint64_t> Params::Count(std::string_view name, uint64_t min, uint64_t max) {
  NIMBUS_ASSIGN_OR_RETURN(const Json value, Value(name));
  const std::optional<int64_t> number = value.AsInt();
  if (!number.has_value() || *number < 0 || static_cast<uint64_t>(*number) < min ||
      static_cast<uint64_t>(*number) > max) {
    return Error(Code::kInvalidArgument, "{}: no whole number of {} to {}", name, min, max);
  }
  return static_cast<uint64_t>(*number);
}

absl::Status Params::CheckAllTaken() const {
  if (left_.object().empty()) return absl::OkStatus();
  const std::string& name = left_.object().front().first;
  return Error(Code::kInvalidArgument, "'{}': no parameter of this call{}", name,
               cli::DidYouMean(name, known_));
}

}  // namespace nimbus::tools::agent
